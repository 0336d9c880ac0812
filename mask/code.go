package mask

import (
	"regexp"
	"strings"
)

var (
	dollarTag = regexp.MustCompile(`^\$[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*\$|^\$\$`)
	// What no name in double quotes is likely to hold: a constant, a comment, or a
	// number among others.
	noName = regexp.MustCompile(`'|\$[A-Za-z_\x80-\xff]*\$|--|/\*|[(),=<>]\s*[0-9][0-9A-Za-z_]{3,}|[0-9][0-9A-Za-z_]{3,}\s*[(),=<>]`)
	// The digits in a name are no number: orders_2024.
	nameOrNumber = regexp.MustCompile(`[A-Za-z_\x80-\x{10ffff}][A-Za-z0-9_\x80-\x{10ffff}]*|[0-9][0-9A-Za-z_]{3,}`)
)

// maskCode replaces, in SQL or PL/pgSQL code, what stands in quotes, comments and long numbers. A
// body between $function$ or $procedure$, as pg_get_functiondef writes it, is
// code.
func maskCode(s string) string {
	var b strings.Builder
	word := func(text string) {
		b.WriteString(nameOrNumber.ReplaceAllStringFunc(text, func(s string) string {
			if s[0] >= '0' && s[0] <= '9' {
				return "0"
			}
			return s
		}))
	}
	for s != "" {
		i := strings.IndexAny(s, "'$-/\"")
		if i < 0 {
			word(s)
			break
		}
		word(s[:i])
		escapes := i > 0 && (s[i-1] == 'E' || s[i-1] == 'e')
		s = s[i:]
		switch {
		case s[0] == '\'':
			n := constantLen(s, escapes)
			b.WriteString("'***'")
			s = s[n:]
		case s[0] == '"':
			n := 1 + strings.IndexByte(s[1:], '"') + 1
			if n < 2 || noName.MatchString(s[1:n-1]) {
				return b.String() // of a text whose first quote was cut off
			}
			b.WriteString(s[:n])
			s = s[n:]
		case strings.HasPrefix(s, "--"):
			n := strings.IndexByte(s, '\n')
			if n < 0 {
				return b.String()
			}
			b.WriteString("--")
			s = s[n:]
		case strings.HasPrefix(s, "/*"):
			n := commentLen(s)
			if n < 0 {
				return b.String()
			}
			b.WriteString("/**/")
			s = s[n:]
		case s[0] == '$':
			tag := dollarTag.FindString(s)
			if tag == "" {
				b.WriteByte('$')
				s = s[1:]
				break
			}
			if tag == "$function$" || tag == "$procedure$" {
				b.WriteString(tag)
				s = s[len(tag):]
				break
			}
			n := strings.Index(s[len(tag):], tag)
			b.WriteString("'***'")
			if n < 0 {
				return b.String()
			}
			s = s[len(tag)+n+len(tag):]
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String()
}

// commentLen returns the length of the comment that s begins with, which may hold
// others, or -1 where it does not end.
func commentLen(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// constantLen returns the length of the string constant that s begins with.
func constantLen(s string, escapes bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && escapes:
			i++
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == '\'':
			return i + 1
		}
	}
	return len(s)
}

// ownsCode finds code whose constants were all replaced.
func ownsCode(text string) Likeness {
	if strings.Contains(text, "'***'") && maskCode(text) == text {
		return Ambiguous
	}
	return Unlike
}
