package catalog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A row holds one row's fields in PostgreSQL's text format; nil is NULL.
//
// Its methods return the zero value for NULL. A field that is not what the
// method expects panics with a malformed, which [query.row] callers turn into
// an error by [decode].
type row struct{ fields [][]byte }

type malformed struct{ err error }

// decode wraps a function that reads a row.
func decode(f func(r row)) func(r row) error {
	return func(r row) (err error) {
		defer func() {
			switch p := recover().(type) {
			case nil:
			case malformed:
				err = p.err
			default:
				panic(p)
			}
		}()
		f(r)
		return nil
	}
}

func (r row) null(i int) bool  { return r.fields[i] == nil }
func (r row) str(i int) string { return string(r.fields[i]) }
func (r row) bool(i int) bool  { return len(r.fields[i]) == 1 && r.fields[i][0] == 't' }

// char is a value of the type "char"; NULL and the empty one are 0.
func (r row) char(i int) byte {
	if len(r.fields[i]) == 0 {
		return 0
	}
	return r.fields[i][0]
}

func (r row) int(i int) int {
	if r.null(i) {
		return 0
	}
	n, err := strconv.Atoi(string(r.fields[i]))
	if err != nil {
		panic(malformed{fmt.Errorf("field %d is not a number", i)})
	}
	return n
}

func (r row) oid(i int) OID {
	if r.null(i) {
		return 0
	}
	return parseOID(string(r.fields[i]))
}

// oids reads an oidvector ("1 2") or an oid[] ("{1,2}").
func (r row) oids(i int) []OID {
	parts := numbers(string(r.fields[i]))
	if len(parts) == 0 {
		return nil
	}
	list := make([]OID, len(parts))
	for i, p := range parts {
		list[i] = parseOID(p)
	}
	return list
}

// attrs reads an int2vector or an int2[].
func (r row) attrs(i int) []int16 {
	parts := numbers(string(r.fields[i]))
	if len(parts) == 0 {
		return nil
	}
	list := make([]int16, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseInt(p, 10, 16)
		if err != nil {
			panic(malformed{errors.New("an attribute number is not a number")})
		}
		list[i] = int16(n)
	}
	return list
}

// texts reads a text[]; a NULL element is the empty string.
func (r row) texts(i int) []string {
	if r.null(i) {
		return nil
	}
	list, err := parseTextArray(string(r.fields[i]))
	if err != nil {
		panic(malformed{err})
	}
	return list
}

// options reads a text[] of name=value.
func (r row) options(i int) map[string]string {
	list := r.texts(i)
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]string, len(list))
	for _, o := range list {
		name, value, _ := strings.Cut(o, "=")
		m[name] = value
	}
	return m
}

func numbers(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == ',' || c == '{' || c == '}' })
}

func parseOID(s string) OID {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(malformed{errors.New("an OID is not a number")})
	}
	return OID(n)
}

var errArray = errors.New("malformed text array")

// parseTextArray reads the output of array_out for a one-dimensional text[]
// (PostgreSQL manual, 8.15.6).
func parseTextArray(s string) ([]string, error) {
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, errArray
	}
	s = s[1 : len(s)-1]
	if s == "" {
		return nil, nil
	}
	var list []string
	for {
		if s != "" && s[0] == '"' {
			var elem strings.Builder
			i := 1
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
					if i == len(s) {
						return nil, errArray
					}
				}
				elem.WriteByte(s[i])
			}
			if i >= len(s) {
				return nil, errArray
			}
			list = append(list, elem.String())
			s = s[i+1:]
		} else {
			end := strings.IndexByte(s, ',')
			if end < 0 {
				end = len(s)
			}
			elem := s[:end]
			if elem == "" || strings.ContainsAny(elem, `"{}\`) {
				return nil, errArray
			}
			if elem == "NULL" {
				elem = ""
			}
			list = append(list, elem)
			s = s[end:]
		}
		if s == "" {
			return list, nil
		}
		if s[0] != ',' || len(s) == 1 {
			return nil, errArray
		}
		s = s[1:]
	}
}

// triggerCondition takes the WHEN condition out of a trigger's definition.
// pg_get_expr cannot deparse it, because it refers to OLD and NEW.
func triggerCondition(definition string) string {
	rest := definition
	for rest != "" {
		n := tokenLength(rest)
		if strings.EqualFold(rest[:n], "when") {
			rest = strings.TrimLeft(rest[n:], " ")
			if !strings.HasPrefix(rest, "(") {
				return ""
			}
			if n = parenthesised(rest); n < 2 || rest[n-1] != ')' {
				return ""
			}
			return rest[1 : n-1]
		}
		if rest[0] == '(' {
			n = parenthesised(rest)
		}
		rest = rest[n:]
	}
	return ""
}

// parenthesised is the length of the parenthesised text at the start of s.
func parenthesised(s string) int {
	depth := 0
	for i := 0; i < len(s); {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		i += tokenLength(s[i:])
		if depth == 0 {
			return i
		}
	}
	return len(s)
}

// tokenLength is the length of the quoted text, word or single byte at the
// start of s, in the form in which the server deparses: it quotes with ', E'
// and ", never with dollars.
func tokenLength(s string) int {
	quote, backslash, i := s[0], false, 1
	if (s[0] == 'E' || s[0] == 'e') && len(s) > 1 && s[1] == '\'' {
		quote, backslash, i = '\'', true, 2
	}
	if quote == '\'' || quote == '"' {
		for ; i < len(s); i++ {
			switch {
			case backslash && s[i] == '\\':
				i++
			case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
				i++
			case s[i] == quote:
				return i + 1
			}
		}
		return len(s)
	}
	if !wordByte(s[0]) {
		return 1
	}
	for i = 1; i < len(s) && wordByte(s[i]); i++ {
	}
	return i
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
