package mask

import "strings"

// Cards have 12 to 19 digits (ISO/IEC 7812), telephone numbers up to 15 (ITU-T
// E.164); fewer than 7 would show too much of them.
const (
	minCard, maxCard   = 12, 19
	minPhone, maxPhone = 7, 15
)

// maskCard keeps the last four digits and the layout: ****-****-****-0001.
func maskCard(text string) string { return keepLast(text, 4, minCard, maxCard, " -") }

// maskPhone keeps the last two digits and the layout: +* (***) ***-**01.
func maskPhone(text string) string { return keepLast(text, 2, minPhone, maxPhone, " -+()./") }

func ownsCard(text string) Likeness {
	return ownsKeepLast(text, 4, minCard, maxCard, " -")
}

func ownsPhone(text string) Likeness {
	return ownsKeepLast(text, 2, minPhone, maxPhone, " -+()./")
}

// keepLast stars every digit but the last n. A text with anything else than
// least to most digits and the layout's characters is masked whole.
func keepLast(text string, n, least, most int, layout string) string {
	digits, ok := countDigits(text, layout, "")
	if !ok || digits < least || digits > most {
		return Stars
	}
	var out strings.Builder
	out.Grow(len(text))
	for i := range len(text) {
		c := text[i]
		if isDigit(c) {
			if digits > n {
				c = '*'
			}
			digits--
		}
		out.WriteByte(c)
	}
	return out.String()
}

func ownsKeepLast(text string, n, least, most int, layout string) Likeness {
	digits, ok := countDigits(text, layout, "*")
	stars := strings.Count(text, "*")
	if ok && digits == n && stars+digits >= least && stars+digits <= most &&
		strings.LastIndexByte(text, '*') < strings.IndexAny(text, "0123456789") {
		return Certain
	}
	return Unlike
}

// countDigits is false when text holds more than digits, layout and extra, or
// is so long that its layout could carry a message.
func countDigits(text, layout, extra string) (int, bool) {
	digits := 0
	for i := range len(text) {
		switch c := text[i]; {
		case isDigit(c):
			digits++
		case strings.IndexByte(layout, c) < 0 && strings.IndexByte(extra, c) < 0:
			return 0, false
		}
	}
	return digits, len(text) <= 40
}
