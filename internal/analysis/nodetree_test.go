package analysis

import (
	"fmt"
	"strconv"
	"strings"
)

// A tree is a node of pg_node_tree text (nodeToString in outfuncs.c): the
// server's own analyzed form of a query, which the oracle reads.
type tree struct {
	name   string
	fields map[string]any // *tree, []any, string or []string
}

type treeReader struct {
	s   string
	pos int
}

func readTree(s string) (any, error) {
	r := &treeReader{s: s}
	return r.value()
}

func (r *treeReader) space() {
	for r.pos < len(r.s) && (r.s[r.pos] == ' ' || r.s[r.pos] == '\n') {
		r.pos++
	}
}

func (r *treeReader) token() string {
	r.space()
	start := r.pos
	for r.pos < len(r.s) {
		switch r.s[r.pos] {
		case '\\':
			r.pos += 2
			continue
		case ' ', '\n', '(', ')', '{', '}':
			return r.s[start:r.pos]
		}
		r.pos++
	}
	return r.s[start:]
}

func (r *treeReader) value() (any, error) {
	r.space()
	if r.pos >= len(r.s) {
		return nil, fmt.Errorf("end of tree")
	}
	switch r.s[r.pos] {
	case '(':
		r.pos++
		list := []any{}
		for {
			r.space()
			if r.pos >= len(r.s) {
				return nil, fmt.Errorf("list without end")
			}
			if r.s[r.pos] == ')' {
				r.pos++
				return list, nil
			}
			v, err := r.value()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	case '{':
		r.pos++
		t := &tree{name: r.token(), fields: map[string]any{}}
		field := ""
		for {
			r.space()
			if r.pos >= len(r.s) {
				return nil, fmt.Errorf("node without end")
			}
			if r.s[r.pos] == '}' {
				r.pos++
				return t, nil
			}
			if r.s[r.pos] == ':' {
				field = r.token()[1:]
				continue
			}
			v, err := r.value()
			if err != nil {
				return nil, err
			}
			if old, ok := t.fields[field]; ok {
				// More than one token: a constant's bytes; keep them as text.
				t.fields[field] = fmt.Sprint(old, " ", v)
			} else {
				t.fields[field] = v
			}
		}
	case ')', '}':
		return nil, fmt.Errorf("unexpected %q at %d", r.s[r.pos], r.pos)
	}
	return r.token(), nil
}

func (t *tree) str(f string) string {
	s, _ := t.fields[f].(string)
	return strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`)
}

func (t *tree) num(f string) int {
	n, _ := strconv.Atoi(t.str(f))
	return n
}

func (t *tree) node(f string) *tree {
	n, _ := t.fields[f].(*tree)
	return n
}

func (t *tree) list(f string) []any {
	l, _ := t.fields[f].([]any)
	return l
}
