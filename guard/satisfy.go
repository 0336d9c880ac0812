package guard

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"
)

// A rule that contradicts itself, such as one for two kinds of statement at
// once, would never match and look as if it did. Whether a condition can be true
// is decided by trying: what it says of one field is one choice among the values
// that it names and another, and all else that it asks is true or false.

// maxTries bounds the choices. What would need more is taken to be possible.
const maxTries = 1 << 14

// A choice is a field with its possible values, or anything else that is asked.
type choice struct {
	key    string
	values []any // for a field
	now    int   // index of the value, or 0 for false and 1 for true
}

func (c *choice) size() int { return max(len(c.values), 2) }

type satisfier struct {
	info    *ast.SourceInfo
	choices []*choice
}

// satisfiable reports whether a condition can be true.
func satisfiable(tree *ast.AST) bool {
	s := satisfier{info: tree.SourceInfo()}
	s.collect(tree.Expr())
	total := 1
	for _, c := range s.choices {
		if total *= c.size(); total > maxTries {
			return true
		}
	}
	for range total {
		if s.holds(tree.Expr()) {
			return true
		}
		for _, c := range s.choices {
			if c.now++; c.now < c.size() {
				break
			}
			c.now = 0
		}
	}
	return false
}

// collect finds the choices in a condition.
func (s *satisfier) collect(e ast.Expr) {
	if parts, ok := connected(e); ok {
		for _, p := range parts {
			s.collect(p)
		}
		return
	}
	if e.Kind() == ast.LiteralKind {
		return
	}
	field, _, values, ok := comparison(e)
	if !ok {
		s.choice(s.key(e))
		return
	}
	c := s.choice(s.key(field))
	for _, v := range values {
		candidates := []any{v, nil} // nil is what is equal to none of them
		switch v := v.(type) {
		case int64:
			candidates = []any{v - 1, v, v + 1}
		case bool:
			candidates = []any{true, false}
		}
		for _, v := range candidates {
			if !slices.Contains(c.values, v) {
				c.values = append(c.values, v)
			}
		}
	}
}

// connected returns what and, or, not and the conditional connect.
func connected(e ast.Expr) ([]ast.Expr, bool) {
	if e.Kind() == ast.CallKind && slices.Contains([]string{"_&&_", "_||_", "!_", "_?_:_"}, e.AsCall().FunctionName()) {
		return e.AsCall().Args(), true
	}
	return nil, false
}

// comparison takes the comparison of a field with constants apart. The operator
// is as with the field on the left side.
func comparison(e ast.Expr) (field ast.Expr, op string, values []any, ok bool) {
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return nil, "", nil, false
	}
	op = e.AsCall().FunctionName()
	left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
	mirrored := map[string]string{"_==_": "_==_", "_!=_": "_!=_", "_<_": "_>_", "_>_": "_<_", "_<=_": "_>=_", "_>=_": "_<=_"}
	switch {
	case op == "@in":
	case mirrored[op] == "":
		return nil, "", nil, false
	case left.Kind() == ast.LiteralKind:
		left, right, op = right, left, mirrored[op]
	}
	if left.Kind() != ast.SelectKind || left.AsSelect().IsTestOnly() {
		return nil, "", nil, false
	}
	constants := []ast.Expr{right}
	if op == "@in" {
		if right.Kind() != ast.ListKind {
			return nil, "", nil, false
		}
		constants = right.AsList().Elements()
	}
	for _, c := range constants {
		if c.Kind() != ast.LiteralKind {
			return nil, "", nil, false
		}
		v := c.AsLiteral().Value()
		switch v.(type) {
		case string, bool:
			if op != "@in" && op != "_==_" && op != "_!=_" {
				return nil, "", nil, false
			}
		case int64:
		default:
			return nil, "", nil, false
		}
		values = append(values, v)
	}
	return left, op, values, len(values) > 0
}

func (s *satisfier) key(e ast.Expr) string {
	text, err := parser.Unparse(e, s.info)
	if err != nil {
		return fmt.Sprint("expression ", e.ID())
	}
	return text
}

func (s *satisfier) choice(key string) *choice {
	if i := slices.IndexFunc(s.choices, func(c *choice) bool { return c.key == key }); i >= 0 {
		return s.choices[i]
	}
	c := &choice{key: key}
	s.choices = append(s.choices, c)
	return c
}

// holds evaluates a condition under the choices as they are.
func (s *satisfier) holds(e ast.Expr) bool {
	if parts, ok := connected(e); ok {
		switch e.AsCall().FunctionName() {
		case "_&&_":
			return !slices.ContainsFunc(parts, func(p ast.Expr) bool { return !s.holds(p) })
		case "_||_":
			return slices.ContainsFunc(parts, s.holds)
		case "!_":
			return !s.holds(parts[0])
		}
		if s.holds(parts[0]) {
			return s.holds(parts[1])
		}
		return s.holds(parts[2])
	}
	if e.Kind() == ast.LiteralKind {
		return e.AsLiteral().Value() == true
	}
	field, op, values, ok := comparison(e)
	if !ok {
		return s.truth(s.choice(s.key(e)))
	}
	c := s.choice(s.key(field))
	v := c.values[c.now]
	n, isNumber := v.(int64)
	switch op {
	case "_==_", "@in":
		return slices.Contains(values, v)
	case "_!=_":
		return v != values[0]
	}
	m, ok := values[0].(int64)
	if !isNumber || !ok {
		return true
	}
	switch op {
	case "_<_":
		return n < m
	case "_<=_":
		return n <= m
	case "_>_":
		return n > m
	}
	return n >= m
}

// truth is what a choice says where it is asked as a condition of its own.
func (s *satisfier) truth(c *choice) bool {
	if len(c.values) > 0 {
		return c.values[c.now] == true // a boolean that is also compared
	}
	return c.now == 1
}
