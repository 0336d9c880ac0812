package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Entity is a piece of free text that looks like personal data: the bytes
// from Start to End (exclusive).
type Entity struct {
	Kind       string // email, card, iban, phone or number
	Start, End int
}

// Entities finds addresses, card numbers (by their Luhn digit), IBANs (by their
// check digits) and telephone numbers in a text, in order and without overlap.
// Runs of seven or more digits that are none of these are kind number. It finds
// what has such a form, no names and no other personal data, and nothing that
// is spelled out or split: it narrows a leak and does not close one.
func Entities(text string) []Entity {
	var found []Entity
	at := 0 // what stands before was taken
	for i := 0; i < len(text); {
		if i < at {
			i = at
			continue
		}
		e, ok := entityAt(text, i, at)
		if !ok {
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
			continue
		}
		found = append(found, e)
		at, i = e.End, e.End
	}
	return found
}

// maskEntities puts [email], [card] and so on in place of what Entities finds.
func maskEntities(text string) string {
	found := Entities(text)
	if len(found) == 0 {
		return text
	}
	var out strings.Builder
	at := 0
	for _, e := range found {
		out.WriteString(text[at:e.Start])
		out.WriteString("[" + e.Kind + "]")
		at = e.End
	}
	out.WriteString(text[at:])
	return out.String()
}

func ownsEntities(text string) Likeness {
	for _, kind := range []string{"email", "card", "iban", "phone", "number"} {
		if strings.Contains(text, "["+kind+"]") {
			return Certain
		}
	}
	return Unlike
}

// entityAt looks for an entity that is recognised at i; it may begin before,
// but not before from.
func entityAt(text string, i, from int) (Entity, bool) {
	c := text[i]
	switch {
	case c == '@':
		return emailAt(text, i, from)
	case (isDigit(c) || c == '+' || c == '(') && !(i > 0 && isDigit(text[i-1])):
		return digitsAt(text, i)
	case asciiLetter(c) && !(i > 0 && (isDigit(text[i-1]) || asciiLetter(text[i-1]))):
		return ibanAt(text, i)
	}
	return Entity{}, false
}

func asciiLetter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }

// emailAt extends from the @ to both sides, as far as RFC 5321's limits.
func emailAt(text string, at, from int) (Entity, bool) {
	start := at
	for start > from && at-start < 64 {
		r, size := utf8.DecodeLastRuneInString(text[from:start])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			break
		}
		start -= size
	}
	end := at + 1
	for end < len(text) && end-at < 255 {
		r, size := utf8.DecodeRuneInString(text[end:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' {
			break
		}
		end += size
	}
	domain := strings.TrimRight(text[at+1:end], ".-")
	if start == at || !validDomain(domain) {
		return Entity{}, false
	}
	return Entity{"email", start, at + 1 + len(domain)}, true
}

// digitsAt takes the longest run of digits, single separators between them
// included, that begins at i.
func digitsAt(text string, i int) (Entity, bool) {
	end, digits := i, make([]byte, 0, 24)
	gap := 0
	j := i
scan:
	for ; j < len(text); j++ {
		switch c := text[j]; {
		case isDigit(c):
			digits = append(digits, c)
			end, gap = j+1, 0
		case strings.IndexByte(" -+()./", c) >= 0 && gap < 3:
			gap++
		default:
			break scan
		}
	}
	run := text[i:end]
	e := Entity{"number", i, end}
	switch {
	case len(digits) < minPhone || isoDate(run):
		return Entity{}, false
	case hasCard(digits):
		e.Kind = "card"
	case len(digits) <= maxPhone:
		e.Kind = "phone"
	}
	return e, true
}

// isoDate keeps dates and times, which most free texts are full of.
func isoDate(run string) bool {
	if len(run) < 10 || run[4] != '-' || run[7] != '-' {
		return false
	}
	for i := range 10 {
		if i != 4 && i != 7 && !isDigit(run[i]) {
			return false
		}
	}
	return len(run) <= len("2006-01-02 15")
}

// hasCard looks for 15 to 19 digits in a row, or 12 and more that are all there
// are, whose last is their Luhn digit.
func hasCard(digits []byte) bool {
	for start := range digits {
		for n := minCard; n <= maxCard && start+n <= len(digits); n++ {
			if (n == len(digits) || n >= 15) && luhn(digits[start:start+n]) {
				return true
			}
		}
	}
	return false
}

func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// ibanAt takes the longest run at i whose check digits are right.
func ibanAt(text string, i int) (Entity, bool) {
	if i+4 > len(text) || !asciiLetter(text[i+1]) || !isDigit(text[i+2]) || !isDigit(text[i+3]) {
		return Entity{}, false
	}
	end := i
	for end < len(text) && end-i < 48 && (isDigit(text[end]) || asciiLetter(text[end]) || text[end] == ' ') {
		end++
	}
	for ; end-i >= 15; end-- {
		if text[end-1] != ' ' && validIBAN(text[i:end]) {
			return Entity{"iban", i, end}, true
		}
	}
	return Entity{}, false
}
