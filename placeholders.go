package guardedpg

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// In the simple protocol pgx writes the arguments into the text, at the places
// that its own reading of SQL takes for placeholders. Where that differs from
// the server's reading (an escape string behind a type's name, a dollar in a
// name), an argument could end a string and become SQL that nobody planned.
// samePlaceholders reports whether both find the same places.
func samePlaceholders(sql string) bool {
	return slices.Equal(pgxPlaceholders(sql), serverPlaceholders(sql))
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isIdentStart(b byte) bool {
	return 'a' <= b|' ' && b|' ' <= 'z' || b == '_' || b >= 0x80
}

func isIdent(b byte) bool { return isIdentStart(b) || isDigit(b) || b == '$' }

// serverPlaceholders are the offsets of parameters as the server finds them with
// standard_conforming_strings on, which pgx demands (src/backend/parser/scan.l).
// Text that the server would not accept has none that matter.
func serverPlaceholders(sql string) []int {
	var at []int
	for i := 0; i < len(sql); {
		b := sql[i]
		next := byte(0)
		if i+1 < len(sql) {
			next = sql[i+1]
		}
		switch {
		case b == '\'':
			i = skipString(sql, i+1, false)
		case (b == 'e' || b == 'E') && next == '\'':
			i = skipString(sql, i+2, true)
		case b == '"':
			i = skipQuoted(sql, i+1)
		case isIdentStart(b):
			for i < len(sql) && isIdent(sql[i]) {
				i++
			}
		case b == '$' && isDigit(next):
			at = append(at, i)
			for i++; i < len(sql) && isDigit(sql[i]); i++ {
			}
		case b == '$':
			i = skipDollar(sql, i)
		case isDigit(b):
			// A letter behind a number begins a name in old servers and is an
			// error in new ones; a dollar does neither.
			for i < len(sql) && (isDigit(sql[i]) || sql[i] == '.') {
				i++
			}
		case b == '-' && next == '-':
			for i < len(sql) && sql[i] != '\n' && sql[i] != '\r' {
				i++
			}
		case b == '/' && next == '*':
			i = skipComment(sql, i)
		default:
			i++
		}
	}
	return at
}

// skipString returns the offset behind a string whose contents begin at i,
// including its continuations on further lines.
func skipString(sql string, i int, escapes bool) int {
	for i < len(sql) {
		switch {
		case escapes && sql[i] == '\\':
			i += 2
		case sql[i] != '\'':
			i++
		case i+1 < len(sql) && sql[i+1] == '\'':
			i += 2
		default:
			next := continuation(sql, i+1)
			if next < 0 {
				return i + 1
			}
			i = next + 1
		}
	}
	return len(sql)
}

// continuation returns the offset of the quote with which a string goes on that
// was closed before i: on a further line, comments may stand between. It is -1
// where the string has ended.
func continuation(sql string, i int) int {
	line := false
	for i < len(sql) {
		switch {
		case sql[i] == '\n' || sql[i] == '\r':
			line = true
			i++
		case strings.IndexByte(" \t\f\v", sql[i]) >= 0:
			i++
		case strings.HasPrefix(sql[i:], "--"):
			for i < len(sql) && sql[i] != '\n' && sql[i] != '\r' {
				i++
			}
		case sql[i] == '\'' && line:
			return i
		default:
			return -1
		}
	}
	return -1
}

func skipQuoted(sql string, i int) int {
	for ; i < len(sql); i++ {
		if sql[i] == '"' {
			return i + 1 // a doubled quote begins the next part of the name
		}
	}
	return len(sql)
}

func skipDollar(sql string, i int) int {
	end := i + 1
	for end < len(sql) && isIdent(sql[end]) && sql[end] != '$' {
		end++
	}
	if end >= len(sql) || sql[end] != '$' {
		return i + 1
	}
	tag := sql[i : end+1]
	close := strings.Index(sql[end+1:], tag)
	if close < 0 {
		return len(sql)
	}
	return end + 1 + close + len(tag)
}

func skipComment(sql string, i int) int {
	depth := 0
	for i < len(sql) {
		switch {
		case strings.HasPrefix(sql[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(sql[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(sql)
}

// pgxPlaceholders are the offsets at which pgx 5.12 puts arguments
// (internal/sanitize/sanitize.go). A test compares it with pgx itself.
func pgxPlaceholders(sql string) []int {
	var at []int
	for i := 0; i < len(sql); {
		r, width := utf8.DecodeRuneInString(sql[i:])
		if r == utf8.RuneError && width != 3 {
			return at // pgx stops reading here
		}
		next := byte(0)
		if i+width < len(sql) {
			next = sql[i+width]
		}
		switch {
		case (r == 'e' || r == 'E') && next == '\'':
			i = pgxString(sql, i+2, '\'', true)
		case r == '\'':
			i = pgxString(sql, i+1, '\'', false)
		case r == '"':
			i = pgxString(sql, i+1, '"', false)
		case r == '$' && isDigit(next):
			at = append(at, i)
			for i++; i < len(sql) && isDigit(sql[i]); i++ {
			}
		case r == '$':
			i = skipDollar(sql, i)
		case r == '-' && next == '-':
			for i < len(sql) && sql[i] != '\n' && sql[i] != '\r' {
				i++
			}
		case r == '/' && next == '*':
			i = skipComment(sql, i)
		default:
			i += width
		}
	}
	return at
}

func pgxString(sql string, i int, quote byte, escapes bool) int {
	for i < len(sql) {
		switch {
		case escapes && sql[i] == '\\':
			_, width := utf8.DecodeRuneInString(sql[i+1:])
			i += 1 + width
		case sql[i] != quote:
			i++
		case i+1 < len(sql) && sql[i+1] == quote:
			i += 2
		default:
			return i + 1
		}
	}
	return len(sql)
}
