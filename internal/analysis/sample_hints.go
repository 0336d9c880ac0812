package analysis

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// What a predicate leaves out may be one value in a million. Here comparisons are
// solved for the columns in them: substr(x, 3, 2) <> 'ab' is false of 'qqab'.

// A hint is a part of a row: values of variables.
type hint map[string]sample

const (
	maxHints  = 60
	maxWished = 40 // values of one column

	maxConstantNodes = 100
)

// hints solves the comparisons in n. Those of a constraint only say what values
// there are.
func (s *sampler) hints(n *pg.Node, constraint bool) {
	add := func(e *pg.Node, v sample) {
		h := hint{}
		if !s.wish(e, v, h) {
			return
		}
		for key, v := range h {
			if len(s.wished[key]) < maxWished && !slices.ContainsFunc(s.wished[key], func(w sample) bool { return alike(v, w) }) {
				s.wished[key] = append(s.wished[key], v)
			}
		}
		if !constraint && len(h) > 0 {
			s.hinted = append(s.hinted, h)
		}
	}
	solve := func(e *pg.Node, v sample) {
		add(e, v)
		if v.kind == numberSample {
			add(e, sampleNumber(v.n+1))
			add(e, sampleNumber(v.n-1))
		}
	}
	walk(n, func(m *pg.Node) {
		e := m.GetAExpr()
		if e == nil || s.left <= 0 || len(s.hinted) >= maxHints {
			return
		}
		l, r := e.Lexpr, e.Rexpr
		switch op := strings.TrimPrefix(opName(e), "!"); {
		case strings.HasPrefix(op, "~~"):
			if v, ok := s.constant(r); ok && v.kind == textSample {
				add(l, sampleText(likeText(v.s)))
			}
			return
		case mirrored[opName(e)] == "" && e.Kind == pg.A_Expr_Kind_AEXPR_OP:
			return
		}
		if e.Kind == pg.A_Expr_Kind_AEXPR_OP || e.Kind == pg.A_Expr_Kind_AEXPR_DISTINCT || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT {
			if v, ok := s.constant(r); ok {
				solve(l, v)
			} else if v, ok := s.constant(l); ok {
				solve(r, v)
			}
			return
		}
		items := r.GetList().GetItems()
		if items == nil {
			items, _ = s.t.elements(r)
		}
		for _, i := range items[:min(len(items), maxHints)] {
			if v, ok := s.constant(i); ok {
				solve(l, v)
			}
		}
	})
}

// constant evaluates what has one value.
func (s *sampler) constant(n *pg.Node) (sample, bool) {
	left := s.left
	s.left = min(left, maxConstantNodes)
	s.met, s.sizes = map[string]sample{}, s.sizes[:0]
	v := s.value(n)
	s.left = left - (min(left, maxConstantNodes) - s.left)
	return v, v.known() && v.kind != nullSample && len(s.met) == 0
}

func alike(v, w sample) bool {
	return v.kind == w.kind && v.b == w.b && v.n == w.n && v.s == w.s
}

// likeText is a text that a pattern matches.
func likeText(pattern string) string {
	var b strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteRune(r)
		case r == '_':
			b.WriteByte('a')
		case r != '%' && r != '\\':
			b.WriteRune(r)
		}
		escaped = !escaped && r == '\\'
	}
	return b.String()
}

// wish puts into h what gives n the value v, and reports whether that is known.
func (s *sampler) wish(n *pg.Node, v sample, h hint) bool {
	s.left--
	s.t.depth++
	defer func() { s.t.depth-- }()
	if n == nil || s.left <= 0 || s.t.depth > maxPredicateDepth {
		return false
	}
	if name := s.t.columnName(n); name != "" {
		v, ok := s.fit(name, v)
		if ok {
			h["column "+name] = v
		}
		return ok
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_TypeCast:
		return s.wish(e.TypeCast.Arg, v, h)
	case *pg.Node_CollateClause:
		return s.wish(e.CollateClause.Arg, v, h)
	case *pg.Node_CoalesceExpr:
		return s.wish(e.CoalesceExpr.Args[0], v, h)
	case *pg.Node_RowExpr:
		if v.kind != listSample || len(v.list) != len(e.RowExpr.Args) {
			return false
		}
		for i, a := range e.RowExpr.Args {
			s.wish(a, v.list[i], h)
		}
		return true
	case *pg.Node_AExpr:
		if e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP && e.AExpr.Lexpr != nil {
			return s.wishOperator(opName(e.AExpr), e.AExpr.Lexpr, e.AExpr.Rexpr, v, h)
		}
	case *pg.Node_FuncCall:
		return s.wishCall(e.FuncCall, v, h)
	case *pg.Node_SubLink:
		if v.kind == numberSample && v.n >= 0 && v.n == math.Trunc(v.n) && len(s.counts) < maxWished {
			s.counts = append(s.counts, v)
		}
	}
	return false
}

func (s *sampler) wishOperator(op string, l, r *pg.Node, v sample, h hint) bool {
	if op == "||" {
		return s.wishParts(s.parts(l, s.parts(r, nil)), v, h)
	}
	if v.kind != numberSample {
		return false
	}
	a, aconst := s.constant(l)
	b, bconst := s.constant(r)
	switch {
	case bconst && b.kind == numberSample:
		var x float64
		switch op {
		case "+":
			x = v.n - b.n
		case "-":
			x = v.n + b.n
		case "*":
			x = v.n / b.n
		case "/":
			x = v.n * b.n
		case "<<":
			x = math.Ldexp(v.n, -int(min(b.n, 64)))
		case ">>":
			x = math.Ldexp(v.n, int(min(b.n, 64)))
		case "%":
			found := false
			for i := range 100 { // one of them may do for what is within
				w := hint{}
				if !s.wish(l, sampleNumber(v.n+float64(i)*b.n), w) {
					continue
				}
				found = true
				maps.Copy(h, w)
				if !slices.ContainsFunc(slices.Collect(maps.Values(w)), func(v sample) bool { return v.n < 0 }) {
					break
				}
			}
			return found
		case "&", "|":
			x = v.n
		default:
			return false
		}
		return s.wish(l, sampleNumber(tidy(x)), h)
	case aconst && a.kind == numberSample:
		switch op {
		case "+":
			return s.wish(r, sampleNumber(tidy(v.n-a.n)), h)
		case "-":
			return s.wish(r, sampleNumber(tidy(a.n-v.n)), h)
		case "*":
			return s.wish(r, sampleNumber(tidy(v.n/a.n)), h)
		}
		return false
	}
	if s.t.same(l, r) {
		return op == "+" && s.wish(l, sampleNumber(v.n/2), h) || op == "*" && s.wish(l, sampleNumber(tidy(math.Sqrt(v.n))), h)
	}
	neutral := map[string]float64{"*": 1, "/": 1}[op]
	return s.wish(l, v, h) && s.wish(r, sampleNumber(neutral), h)
}

// parts are those of a concatenation, before the rest.
func (s *sampler) parts(n *pg.Node, rest []*pg.Node) []*pg.Node {
	if e := n.GetAExpr(); e != nil && e.Lexpr != nil && opName(e) == "||" && len(rest) < 100 {
		return s.parts(e.Lexpr, s.parts(e.Rexpr, rest))
	}
	return append([]*pg.Node{n}, rest...)
}

// wishParts divides a text among what it is put together from.
func (s *sampler) wishParts(parts []*pg.Node, v sample, h hint) bool {
	if v = asText(v); v.kind != textSample {
		return false
	}
	rest := v.s
	var open *pg.Node
	for _, n := range parts {
		c, ok := s.constant(n)
		if !ok {
			if open != nil && !s.wish(open, sampleText(""), h) {
				return false
			}
			open = n
			continue
		}
		before, after, found := strings.Cut(rest, asText(c).s)
		switch {
		case !found || open == nil && before != "" || open != nil && !s.wish(open, sampleText(before), h):
			return false
		}
		rest, open = after, nil
	}
	if open == nil {
		return rest == ""
	}
	return s.wish(open, sampleText(rest), h)
}

func (s *sampler) wishCall(f *pg.FuncCall, v sample, h hint) bool {
	if len(f.Args) == 0 {
		return false
	}
	arg := f.Args[0]
	number := func(i int) int {
		if i < len(f.Args) {
			if c, ok := s.constant(f.Args[i]); ok && c.kind == numberSample && math.Abs(c.n) <= maxSampleText {
				return int(c.n)
			}
		}
		return 0
	}
	before := func(i int, text string) sample { return sampleText(strings.Repeat("q", max(i-1, 0)) + text) }
	whole := v.kind == numberSample && v.n >= 0 && v.n <= maxSampleText && v.n == math.Trunc(v.n)
	switch name := lastOf(f.Funcname); name {
	case "lower":
		return v.kind == textSample && s.wish(arg, sampleText(strings.ToLower(v.s)), h)
	case "upper": // of a letter in either case
		return v.kind == textSample && (s.wish(arg, v, h) || s.wish(arg, sampleText(strings.ToLower(v.s)), h))
	case "length", "char_length", "character_length", "octet_length":
		if v.kind == numberSample && v.n > maxSampleText && v.n <= maxLength && len(s.lengths) < maxWished {
			s.lengths = append(s.lengths, v)
		}
		return whole && (s.wish(arg, sampleText(strings.Repeat("q", int(v.n))), h) || v.n > 0 && v.n < 16 && s.wish(arg, sampleNumber(math.Pow10(int(v.n)-1)), h))
	case "left", "right", "btrim", "ltrim", "rtrim", "replace", "abs", "round", "trunc", "floor", "ceil", "ceiling":
		return s.wish(arg, v, h) || name == "right" && v.kind == textSample && s.wish(arg, sampleText("1"+v.s), h)
	case "mod":
		return len(f.Args) == 2 && s.wishOperator("%", arg, f.Args[1], v, h)
	case "substr", "substring":
		return v.kind == textSample && (s.wish(arg, before(number(1), v.s), h) || s.wish(arg, sampleText(strings.Repeat("1", max(number(1)-1, 0))+v.s), h))
	case "strpos", "position":
		c, ok := s.constant(lastNode(f.Args))
		return whole && ok && c.kind == textSample && s.wish(arg, before(int(v.n), c.s), h)
	case "reverse":
		runes := []rune(v.s)
		slices.Reverse(runes)
		return v.kind == textSample && s.wish(arg, sampleText(string(runes)), h)
	case "concat":
		return s.wishParts(f.Args, v, h)
	case "md5": // which text has it cannot be known
		hash := strings.ToLower(v.s)
		if v.kind == textSample && len(hash) <= 32 && strings.Trim(hash, "0123456789abcdef") == "" && len(s.hashes) < maxWished {
			s.hashes = append(s.hashes, sampleText(hash+strings.Repeat("0", 32-len(hash))))
		}
	}
	return false
}

// fit makes a value one of a column's type.
func (s *sampler) fit(name string, v sample) (sample, bool) {
	c := s.t.rel.ColumnNamed(name)
	if c == nil || !v.known() {
		return v, false
	}
	typ := s.t.p.baseType(c.Type)
	if s.t.isString(typ) {
		v = asText(v)
		return v, v.kind == textSample && len(v.s) <= maxSampleText
	}
	if typ == boolOID {
		return v, v.kind == boolSample
	}
	low, high, whole, ok := s.t.numbers(c)
	if !ok { // what it is, nobody looks at
		return sample{kind: literalSample, s: v.s}, v.kind == textSample && len(v.s) <= maxSampleText && (v.s != "" || !s.t.neverEmpty(typ))
	}
	if v.kind == textSample {
		f, err := strconv.ParseFloat(strings.TrimFunc(v.s, unicode.IsSpace), 64)
		if err != nil {
			return v, false
		}
		v = sampleNumber(f)
	}
	return v, v.kind == numberSample && v.n >= low && v.n <= high && (!whole || v.n == math.Trunc(v.n))
}

// neverEmpty reports whether no value of a type is written as an empty string.
func (t *limits) neverEmpty(oid catalog.OID) bool {
	typ := t.p.a.snap.Type(oid)
	return typ != nil && (typ.Kind == 'e' || strings.ContainsRune("ADIRT", rune(typ.Category)) || slices.Contains([]string{"uuid", "json", "jsonb"}, typ.Name))
}
