package guard

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// A pattern names relations or columns: dotted parts, each an identifier as in
// SQL in which * stands for any characters.
type pattern struct {
	text  string
	parts []patternPart
}

// A patternPart is the literal pieces between its stars: one piece is a name,
// two empty ones are a lone *.
type patternPart []string

// maxName is NAMEDATALEN - 1; the server cuts longer identifiers.
const maxName = 63

// parsePattern reads n dotted parts; shape says how that looks.
func parsePattern(text string, n int, shape string) (pattern, error) {
	p := pattern{text: text}
	rest := text
	for {
		part, after, err := parsePart(rest)
		if err != nil {
			return pattern{}, err
		}
		p.parts = append(p.parts, part)
		if after == "" {
			break
		}
		if after[0] != '.' {
			return pattern{}, fmt.Errorf("a name with other characters than letters, digits and _ needs double quotes; the form is %s", shape)
		}
		rest = after[1:]
	}
	if len(p.parts) != n {
		return pattern{}, fmt.Errorf("has %d parts; the form is %s", len(p.parts), shape)
	}
	return p, nil
}

// parsePart reads one part and returns what follows it.
func parsePart(s string) (patternPart, string, error) {
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] != '"':
				b.WriteByte(s[i])
			case i+1 < len(s) && s[i+1] == '"':
				b.WriteByte('"')
				i++
			case b.Len() == 0:
				return nil, "", errors.New("a name between double quotes is empty")
			case b.Len() > maxName:
				return nil, "", fmt.Errorf("a name is longer than %d bytes; the server cuts it there, so do so too", maxName)
			default:
				return patternPart{b.String()}, s[i+1:], nil
			}
		}
		return nil, "", errors.New("a double quote is not closed")
	}
	end := len(s)
	for i, r := range s {
		if r != '*' && r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end = i
			break
		}
	}
	name := s[:end]
	switch {
	case name == "" && strings.HasPrefix(s, "."), s == "":
		return nil, "", errors.New("a name is empty")
	case len(name) > maxName:
		return nil, "", fmt.Errorf("a name is longer than %d bytes; the server cuts it there, so do so too", maxName)
	}
	// The server folds ASCII only, in every multibyte encoding.
	fold := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Split(strings.Map(fold, name), "*"), s[end:], nil
}

// match reports whether the pattern names these names.
func (p pattern) match(names ...string) bool {
	if len(p.parts) != len(names) {
		return false
	}
	for i, part := range p.parts {
		if !part.match(names[i]) {
			return false
		}
	}
	return true
}

func (p patternPart) match(name string) bool {
	if len(p) == 1 {
		return name == p[0]
	}
	name, ok := strings.CutPrefix(name, p[0])
	if !ok {
		return false
	}
	for _, piece := range p[1 : len(p)-1] {
		i := strings.Index(name, piece)
		if i < 0 {
			return false
		}
		name = name[i+len(piece):]
	}
	return strings.HasSuffix(name, p[len(p)-1])
}

func (p patternPart) literal() bool { return len(p) == 1 }

// exact reports whether the pattern has no star.
func (p pattern) exact() bool {
	for _, part := range p.parts {
		if !part.literal() {
			return false
		}
	}
	return true
}

// moreSpecific orders patterns: more parts without a star first, then more
// literal characters. Equal ones keep the order of the policy.
func (p pattern) moreSpecific(q pattern) bool {
	a, b := p.weight(), q.weight()
	return a[0] > b[0] || a[0] == b[0] && a[1] > b[1]
}

func (p pattern) weight() (w [2]int) {
	for _, part := range p.parts {
		if part.literal() {
			w[0]++
		}
		for _, piece := range part {
			w[1] += len(piece)
		}
	}
	return w
}

// quoteName writes an identifier as SQL and policies do.
func quoteName(name string) string {
	plain := name != ""
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (i == 0 || (r < '0' || r > '9') && r != '$') {
			plain = false
		}
	}
	if plain {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
