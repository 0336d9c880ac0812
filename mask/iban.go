package mask

import "strings"

// maskIBAN keeps the country and the last four characters: DE**************3000,
// in the layout that it had. What has not the form of ISO 13616 (two letters,
// two digits, 11 to 30 more characters) is masked whole.
func maskIBAN(text string) string {
	n := ibanLen(text, false)
	if n == 0 {
		return Stars
	}
	var out strings.Builder
	out.Grow(len(text))
	seen := 0
	for i := range len(text) {
		c := text[i]
		if c != ' ' {
			if seen >= 2 && seen < n-4 {
				c = '*'
			}
			seen++
		}
		out.WriteByte(c)
	}
	return out.String()
}

func ownsIBAN(text string) Likeness {
	if ibanLen(text, true) > 0 && containsStars(strings.ReplaceAll(text, " ", "")) && maskIBAN(strings.ReplaceAll(text, "*", "0")) == text {
		return Certain
	}
	return Unlike
}

// ibanLen counts the characters of an IBAN without blanks, or gives 0 for
// anything else. With stars, a star stands for any character after the country.
func ibanLen(text string, stars bool) int {
	n := 0
	for i := range len(text) {
		c := text[i]
		if c == ' ' {
			continue
		}
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		switch {
		case n < 2 && letter, n >= 2 && isDigit(c), n >= 4 && letter, n >= 2 && stars && c == '*':
			n++
		default:
			return 0
		}
	}
	if n < 15 || n > 34 || len(text) > 48 {
		return 0
	}
	return n
}

// validIBAN checks the two check digits (ISO 7064, mod 97-10).
func validIBAN(text string) bool {
	if ibanLen(text, false) == 0 {
		return false
	}
	compact := strings.ToUpper(strings.ReplaceAll(text, " ", ""))
	sum := 0
	for i := range len(compact) {
		c := compact[(i+4)%len(compact)]
		if isDigit(c) {
			sum = (sum*10 + int(c-'0')) % 97
		} else {
			sum = (sum*100 + int(c-'A') + 10) % 97
		}
	}
	return sum == 1
}
