package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maskEmail keeps the first rune of the local part, if it has three or more,
// and the domain: j***@x.test. What is not an address is masked whole.
func maskEmail(text string) string {
	local, domain, ok := splitEmail(text)
	if !ok {
		return Stars
	}
	head := 0
	if longEnough(local, 3) {
		head = headLen(local, 1)
	}
	return local[:head] + Stars + "@" + domain
}

func ownsEmail(text string) Likeness {
	local, domain, ok := strings.Cut(text, "@")
	if ok && validDomain(domain) && strings.HasSuffix(local, Stars) && utf8.RuneCountInString(local) <= 1+len(Stars) {
		return Certain
	}
	return Unlike
}

// splitEmail accepts what RFC 5321 lets through as a mailbox and people use:
// no blanks, a domain with a dot. The limits are those of section 4.5.3.1.
func splitEmail(text string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(text, '@')
	if at < 1 || at > 64 || !utf8.ValidString(text) {
		return "", "", false
	}
	local, domain = text[:at], text[at+1:]
	for i := range len(local) {
		if local[i] <= ' ' || local[i] == 0x7f || local[i] == '@' {
			return "", "", false
		}
	}
	return local, domain, validDomain(domain)
}

// validDomain wants labels of letters, digits and hyphens, at least two, the
// last of which is no number.
func validDomain(d string) bool {
	if len(d) > 255 {
		return false
	}
	labels, length, digits := 1, 0, true
	for _, r := range d {
		switch {
		case r == '.':
			if length == 0 {
				return false
			}
			labels, length, digits = labels+1, 0, true
		case r == utf8.RuneError || !unicode.IsLetter(r) && r != '-' && (r < '0' || r > '9'):
			return false
		default:
			length++
			digits = digits && r >= '0' && r <= '9'
		}
	}
	return labels >= 2 && length > 0 && !digits
}
