package analysis

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"math"
	"math/big"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A predicate that lets every row through has as many notations as there are
// ways to write true. Here it is evaluated, on rows made up such that they tell
// its constants apart: what is true for all of them leaves none out.

// all reports whether a predicate is true for every row, or is if something is
// that does not depend on the row.
func (t *limits) all(n *pg.Node) bool { return t.truth(n) == always || t.sampled(n) }

// with returns t for a predicate in which other readings of the relation stand
// for the same row.
func (t *limits) with(selves []cover) *limits {
	u := *t
	u.selves = slices.Concat(t.selves, selves)
	return &u
}

// A sample is a value of an expression for one row.
type sample struct {
	kind sampleKind
	b    bool
	n    float64
	s    string // a text; of a symbol, the column
	list []sample
}

type sampleKind byte

const (
	unknownSample sampleKind = iota
	nullSample
	boolSample
	numberSample
	textSample
	symbolSample // the n-th of a column's values, of whose type nothing else is known
	tidSample
	listSample // an array or a row
)

var sampleNull = sample{kind: nullSample}

func sampleBool(b bool) sample      { return sample{kind: boolSample, b: b} }
func sampleNumber(n float64) sample { return sample{kind: numberSample, n: n} }
func sampleText(s string) sample    { return sample{kind: textSample, s: s} }

func (v sample) isTrue() bool  { return v.kind == boolSample && v.b }
func (v sample) isFalse() bool { return v.kind == boolSample && !v.b }
func (v sample) known() bool   { return v.kind != unknownSample }

// A sampler evaluates one predicate again and again. What can have several
// values is a variable; path has the choice made at each, in the order in which
// an evaluation meets them.
type sampler struct {
	t       *limits
	numbers []float64
	texts   []string

	path  []int
	sizes []int
	met   map[string]sample
	nulls bool // a column is NULL in this evaluation

	// free are conditions that do not depend on the row, each true if its bit is
	// set.
	free     map[*pg.Node]int
	assigned uint

	verdicts map[*pg.Node]verdict
	left     int
	random   uint32 // not 0: choices are drawn
	checking bool
}

const (
	maxSampled = 40_000 // nodes evaluated
	maxRows    = 600    // rows tried in order, and as many more drawn
	maxFree    = 3
)

func (t *limits) sampled(n *pg.Node) bool {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxSampleDepth || !t.mentions(n) {
		return false
	}
	s := &sampler{t: t, free: map[*pg.Node]int{}, verdicts: map[*pg.Node]verdict{}, left: maxSampled}
	s.constants(n)
	for s.assigned = 0; s.assigned < 1<<min(len(s.free), maxFree); s.assigned++ {
		if s.every(n) {
			return true
		}
	}
	return false
}

// maxSampleDepth bounds predicates within predicates.
const maxSampleDepth = 30

// every reports whether n is true for every row that is tried. That a NULL in a
// column makes it NULL is no limit that anybody would mean.
func (s *sampler) every(n *pg.Node) bool {
	s.path, s.sizes, s.random = nil, nil, 0
	found := false
	for rows := 0; rows < 2*maxRows; rows++ {
		if rows == maxRows {
			s.random = 1
		}
		s.met, s.nulls, s.sizes = map[string]sample{}, false, s.sizes[:0]
		switch v := s.cond(n); {
		case s.left <= 0:
			return found && rows > maxRows/2
		case v.isTrue():
			found = true
		case v.kind == nullSample && s.nulls:
		case s.possible():
			return false
		}
		if s.random == 0 && !s.next() {
			return found
		}
	}
	return found
}

// next goes on to the next row, and reports whether there is one.
func (s *sampler) next() bool {
	s.path = s.path[:len(s.sizes)]
	for i := len(s.path) - 1; i >= 0; i-- {
		if s.path[i]++; s.path[i] < s.sizes[i] {
			s.path = s.path[:i+1]
			return true
		}
	}
	return false
}

// possible reports whether the relation's constraints allow the row.
func (s *sampler) possible() bool {
	t := s.t
	own := *t
	own.selves = nil
	s.checking, s.t = true, &own
	defer func() { s.checking, s.t = false, t }()
	for _, c := range t.rel.Checks {
		if e := t.p.a.expression(c.Expr); e != nil && s.cond(e).isFalse() {
			return false
		}
	}
	return true
}

// choose gives a variable a value.
func (s *sampler) choose(key string, domain func() []sample) sample {
	if v, ok := s.met[key]; ok {
		return v
	}
	values := domain()
	i := len(s.sizes)
	s.sizes = append(s.sizes, len(values))
	if i >= len(s.path) {
		s.path = append(s.path, 0)
	}
	choice := s.path[i]
	if s.random != 0 {
		s.random = s.random*1664525 + 1013904223
		hi, _ := bits.Mul32(s.random, uint32(len(values)))
		choice = int(hi)
	}
	v := values[min(choice, len(values)-1)]
	s.met[key] = v
	return v
}

const maxConstants = 12

// constants collects what the predicate compares with.
func (s *sampler) constants(n *pg.Node) {
	number := func(f float64) {
		if len(s.numbers) < maxConstants && !slices.Contains(s.numbers, f) {
			s.numbers = append(s.numbers, f)
		}
	}
	walk(n, func(m *pg.Node) {
		c := m.GetAConst()
		if c == nil {
			return
		}
		f, ok := foldConst(c)
		switch {
		case !ok:
		case f.num != nil:
			v, _ := f.num.Float64()
			number(v)
		case f.text != nil:
			if x, err := strconv.ParseFloat(strings.TrimSpace(*f.text), 64); err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) {
				number(x)
			}
			if items, ok := s.t.elements(m); ok && len(items) <= maxConstants {
				for _, i := range items {
					if x, err := strconv.ParseFloat(i.GetAConst().GetSval().GetSval(), 64); err == nil {
						number(x)
					}
				}
			}
			if len(s.texts) < maxConstants && len(*f.text) <= 100 && !slices.Contains(s.texts, *f.text) {
				s.texts = append(s.texts, *f.text)
			}
		}
	})
}

// column gives a column of the row a value.
func (s *sampler) column(name string) sample {
	v := s.choose("column "+name, func() []sample { return s.domain(name) })
	s.nulls = s.nulls || v.kind == nullSample
	return v
}

func (s *sampler) domain(name string) []sample {
	t := s.t
	c := t.rel.ColumnNamed(name)
	if c == nil { // of the system
		switch name {
		case "ctid":
			var list []sample
			for _, n := range []float64{1, 2, 65536 + 1, 70000 * 65536, (1<<32 - 2) * 65536} {
				list = append(list, sample{kind: tidSample, n: n})
			}
			for _, c := range s.texts {
				if n, ok := tid(c); ok && n > 0 && n < (1<<32-1)*65536 { // the last block is none
					list = append(list, sample{kind: tidSample, n: n}, sample{kind: tidSample, n: n + 1})
				}
			}
			return list
		case "xmin":
			return s.numeric(3, 1<<32-1, true, 3, 1000003)
		}
		return []sample{{kind: symbolSample, s: name, n: 1}, {kind: symbolSample, s: name, n: 2}}
	}
	var list []sample
	switch typ := t.p.baseType(c.Type); {
	case typ == int2OID:
		list = s.numeric(math.MinInt16, math.MaxInt16, true, 103, -103)
	case typ == int4OID, typ == int8OID:
		low, high := float64(math.MinInt32), float64(math.MaxInt32)
		if typ == int8OID {
			low, high = math.MinInt64, math.MaxInt64
		}
		if t.isKey(c.Num) { // numbers from 1 up, as generated keys are
			list = s.numeric(1, high, true, 1000003, 1)
		} else {
			list = s.numeric(low, high, true, 1000003, -1000003, low, high)
		}
	case typ == numericOID, typ == float8OID, typ == float4OID:
		list = s.numeric(-1e12, 1e12, false, 1000003, -1000003, 0.5)
	case typ == boolOID:
		list = []sample{sampleBool(true), sampleBool(false)}
	case t.isString(typ):
		list = s.textual()
	default:
		list = []sample{{kind: symbolSample, s: name, n: 1}, {kind: symbolSample, s: name, n: 2}}
	}
	if !c.NotNull {
		list = append(list, sampleNull)
	}
	return list
}

// numeric are numbers around the constants and what they come to in pairs.
func (s *sampler) numeric(low, high float64, whole bool, first ...float64) []sample {
	list := slices.Concat(first, []float64{0, 1, 2, 3})
	around := func(c float64) {
		list = append(list, c, c-1, c+1, math.Floor(c), math.Ceil(c))
		if !whole {
			list = append(list, c-0.25, c+0.25)
		}
	}
	for i, a := range s.numbers {
		around(a)
		around(-a)
		for _, b := range s.numbers[:min(i, 4)] {
			around(a * b)
			around(a + b)
			around(a - b)
			around(b - a)
			if a != 0 && b != 0 {
				around(math.Trunc(a / b))
				around(math.Trunc(b / a))
			}
		}
	}
	var values []sample
	seen := map[float64]bool{}
	for _, n := range list {
		if n >= low && n <= high && (!whole || n == math.Trunc(n)) && !seen[n] {
			seen[n] = true
			values = append(values, sampleNumber(n))
		}
	}
	return values
}

func (s *sampler) textual() []sample {
	list := []string{"Zz 9", "", "a", " a ", "é~", "~~~~"}
	for _, c := range s.texts {
		bare := strings.NewReplacer("%", "", "_", "a").Replace(c)
		list = append(list, c, bare, bare+"x", "x"+bare, strings.ToUpper(bare))
		if bare != "" {
			list = append(list, bare[:len(bare)-1])
		}
	}
	for _, n := range s.numbers {
		if n == math.Trunc(n) {
			list = append(list, strconv.FormatFloat(n, 'f', 0, 64))
			if n > 0 && n <= 2000 {
				list = append(list, strings.Repeat("q", int(n)), strings.Repeat("q", int(n)+1), strings.Repeat("q", int(n)-1))
			}
		}
	}
	var values []sample
	seen := map[string]bool{}
	for _, c := range list {
		if !seen[c] {
			seen[c] = true
			values = append(values, sampleText(c))
		}
	}
	return values
}

func tid(s string) (float64, bool) {
	a, b, ok := strings.Cut(strings.Trim(strings.ReplaceAll(s, " ", ""), "()"), ",")
	block, err := strconv.ParseUint(a, 10, 32)
	off, err2 := strconv.ParseUint(b, 10, 16)
	return float64(block)*65536 + float64(off), ok && err == nil && err2 == nil
}

// cond evaluates a condition.
func (s *sampler) cond(n *pg.Node) sample {
	v := s.value(n)
	if v.kind == textSample {
		switch boolText(v.s) {
		case "t":
			return sampleBool(true)
		case "f":
			return sampleBool(false)
		}
		return sample{}
	}
	if v.known() || s.checking || n == nil {
		return v
	}
	if n.GetBoolExpr() == nil {
		truth, ok := s.verdicts[n]
		if !ok {
			truth = s.t.truth(n)
			s.verdicts[n] = truth
		}
		switch truth {
		case always:
			return sampleBool(true)
		case never:
			return sampleNull
		}
	}
	bit, ok := s.free[n]
	if !ok {
		bit = -1
		if !s.t.mentions(n) {
			bit = len(s.free)
		}
		s.free[n] = bit
		if bit < 0 {
			delete(s.free, n)
			s.verdicts[n] = depends
		}
	}
	if bit < 0 || bit >= maxFree {
		return v
	}
	return sampleBool(s.assigned>>bit&1 == 1)
}

// value evaluates an expression.
func (s *sampler) value(n *pg.Node) sample {
	if s.left--; s.left <= 0 || n == nil || !s.t.p.step() {
		return sample{}
	}
	s.t.depth++
	defer func() { s.t.depth-- }()
	if s.t.depth > maxPredicateDepth {
		return sample{}
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return sampleOf(foldConst(e.AConst))
	case *pg.Node_ColumnRef:
		if name := s.t.columnName(n); name != "" {
			return s.column(name)
		}
	case *pg.Node_AIndirection:
		if b := s.t.bare(n); b.GetColumnRef() != nil {
			return s.value(b)
		}
	case *pg.Node_TypeCast:
		return s.cast(e.TypeCast)
	case *pg.Node_CollateClause:
		return s.value(e.CollateClause.Arg)
	case *pg.Node_BoolExpr:
		return s.boolean(e.BoolExpr)
	case *pg.Node_NullTest:
		v := s.value(e.NullTest.Arg)
		if !v.known() || v.kind == listSample {
			return sample{}
		}
		return sampleBool((v.kind == nullSample) == (e.NullTest.Nulltesttype == pg.NullTestType_IS_NULL))
	case *pg.Node_BooleanTest:
		v := s.cond(e.BooleanTest.Arg)
		if v.kind != boolSample && v.kind != nullSample {
			return sample{}
		}
		switch e.BooleanTest.Booltesttype {
		case pg.BoolTestType_IS_TRUE:
			return sampleBool(v.isTrue())
		case pg.BoolTestType_IS_NOT_TRUE:
			return sampleBool(!v.isTrue())
		case pg.BoolTestType_IS_FALSE:
			return sampleBool(v.isFalse())
		case pg.BoolTestType_IS_NOT_FALSE:
			return sampleBool(!v.isFalse())
		case pg.BoolTestType_IS_UNKNOWN:
			return sampleBool(v.kind == nullSample)
		case pg.BoolTestType_IS_NOT_UNKNOWN:
			return sampleBool(v.kind != nullSample)
		}
	case *pg.Node_CoalesceExpr:
		for _, a := range e.CoalesceExpr.Args {
			if v := s.value(a); v.kind != nullSample {
				return v
			}
		}
		return sampleNull
	case *pg.Node_MinMaxExpr:
		best := sampleNull
		for _, a := range e.MinMaxExpr.Args {
			v := s.value(a)
			if !v.known() {
				return v
			}
			if best.kind == nullSample || v.kind == nullSample {
				if v.kind != nullSample {
					best = v
				}
				continue
			}
			c, ok := order(v, best)
			if !ok {
				return sample{}
			}
			if (e.MinMaxExpr.Op == pg.MinMaxOp_IS_GREATEST) == (c > 0) {
				best = v
			}
		}
		return best
	case *pg.Node_CaseExpr:
		return s.cases(e.CaseExpr)
	case *pg.Node_AArrayExpr:
		return s.list(e.AArrayExpr.Elements)
	case *pg.Node_RowExpr:
		return s.list(e.RowExpr.Args)
	case *pg.Node_List:
		return s.list(e.List.Items)
	case *pg.Node_FuncCall:
		return s.call(e.FuncCall)
	case *pg.Node_AExpr:
		return s.operator(e.AExpr)
	case *pg.Node_SubLink:
		return s.sub(e.SubLink)
	}
	return sample{}
}

func sampleOf(c folded, ok bool) sample {
	switch {
	case !ok:
	case c.null:
		return sampleNull
	case c.b != nil:
		return sampleBool(*c.b)
	case c.num != nil:
		n, _ := c.num.Float64()
		return sampleNumber(n)
	case c.text != nil:
		return sampleText(*c.text)
	}
	return sample{}
}

func (s *sampler) list(nodes []*pg.Node) sample {
	v := sample{kind: listSample}
	for _, n := range nodes {
		v.list = append(v.list, s.value(n))
	}
	return v
}

func (s *sampler) boolean(b *pg.BoolExpr) sample {
	if b.Boolop == pg.BoolExprType_NOT_EXPR {
		if v := s.cond(b.Args[0]); v.kind == boolSample {
			return sampleBool(!v.b)
		} else {
			return v
		}
	}
	and := b.Boolop == pg.BoolExprType_AND_EXPR
	result := sampleBool(and)
	for _, a := range b.Args {
		switch v := s.cond(a); {
		case v.kind == boolSample && v.b != and:
			return v
		case v.kind == nullSample && result.kind == boolSample:
			result = v
		case v.kind != boolSample && v.kind != nullSample:
			result = sample{}
		}
	}
	return result
}

func (s *sampler) cases(c *pg.CaseExpr) sample {
	var arg sample
	if c.Arg != nil {
		arg = s.value(c.Arg)
	}
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		var met sample
		if c.Arg != nil {
			met = compared("=", arg, s.value(w.GetExpr()))
		} else {
			met = s.cond(w.GetExpr())
		}
		switch {
		case met.isTrue():
			return s.value(w.GetResult())
		case !met.isFalse() && met.kind != nullSample:
			return sample{}
		}
	}
	if c.Defresult == nil {
		return sampleNull
	}
	return s.value(c.Defresult)
}

func (s *sampler) cast(c *pg.TypeCast) sample {
	v := s.value(c.Arg)
	if v.kind == nullSample || !v.known() || len(c.TypeName.GetArrayBounds()) > 0 {
		if v.kind == textSample {
			return s.array(c.Arg)
		}
		return v
	}
	names := strs(c.TypeName.GetNames())
	if len(names) == 0 {
		return sample{}
	}
	switch typ := names[len(names)-1]; typ {
	case "int2", "int4", "int8", "numeric", "float4", "float8", "oid", "xid":
		whole := strings.HasPrefix(typ, "int")
		switch v.kind {
		case textSample:
			f, err := strconv.ParseFloat(strings.TrimSpace(v.s), 64)
			if err != nil || math.IsNaN(f) {
				return sample{}
			}
			return sampleNumber(f)
		case boolSample:
			if v.b {
				return sampleNumber(1)
			}
			return sampleNumber(0)
		case numberSample:
			if whole {
				return sampleNumber(math.RoundToEven(v.n))
			}
			return v
		}
	case "text", "varchar", "bpchar", "name":
		if len(c.TypeName.GetTypmods()) == 0 {
			return asText(v)
		}
	case "bool":
		switch v.kind {
		case boolSample:
			return v
		case numberSample:
			return sampleBool(v.n != 0)
		case textSample:
			if b := boolText(v.s); b != "" {
				return sampleBool(b == "t")
			}
		}
	case "tid":
		if n, ok := tid(v.s); ok && v.kind == textSample {
			return sample{kind: tidSample, n: n}
		}
	}
	return sample{}
}

func asText(v sample) sample {
	switch v.kind {
	case textSample, nullSample:
		return v
	case boolSample:
		return sampleText(strconv.FormatBool(v.b))
	case numberSample:
		return sampleText(strconv.FormatFloat(v.n, 'f', -1, 64))
	}
	return sample{}
}

// array is the value of an array that a string spells out.
func (s *sampler) array(n *pg.Node) sample {
	items, ok := s.t.elements(n)
	if !ok || len(items) > 1000 {
		return sample{}
	}
	return s.list(items)
}

// order compares two values that are not NULL.
func order(a, b sample) (int, bool) {
	if a.kind == textSample && b.kind != textSample {
		c, ok := order(b, a)
		return -c, ok
	}
	if b.kind == textSample && a.kind != textSample { // a literal is of the other's type
		switch a.kind {
		case numberSample:
			f, err := strconv.ParseFloat(strings.TrimSpace(b.s), 64)
			if err != nil || math.IsNaN(f) {
				return 0, false
			}
			b = sampleNumber(f)
		case boolSample:
			t := boolText(b.s)
			if t == "" {
				return 0, false
			}
			b = sampleBool(t == "t")
		case tidSample:
			n, ok := tid(b.s)
			if !ok {
				return 0, false
			}
			b = sample{kind: tidSample, n: n}
		default:
			return 0, false
		}
	}
	if a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case numberSample, tidSample:
		return cmp.Compare(a.n, b.n), true
	case textSample:
		return strings.Compare(a.s, b.s), true
	case symbolSample:
		return cmp.Compare(a.n, b.n), a.s == b.s
	case boolSample:
		number := func(b bool) int {
			if b {
				return 1
			}
			return 0
		}
		return number(a.b) - number(b.b), true
	}
	return 0, false
}

// compared evaluates a comparison.
func compared(op string, a, b sample) sample {
	switch {
	case !a.known() || !b.known():
		return sample{}
	case a.kind == nullSample || b.kind == nullSample:
		return sampleNull
	case a.kind == listSample && b.kind == listSample:
		return comparedLists(op, a.list, b.list)
	}
	c, ok := order(a, b)
	if !ok {
		return sample{}
	}
	return holds(op, c)
}

func holds(op string, c int) sample {
	switch op {
	case "=":
		return sampleBool(c == 0)
	case "<>":
		return sampleBool(c != 0)
	case "<":
		return sampleBool(c < 0)
	case "<=":
		return sampleBool(c <= 0)
	case ">":
		return sampleBool(c > 0)
	case ">=":
		return sampleBool(c >= 0)
	}
	return sample{}
}

func comparedLists(op string, a, b []sample) sample {
	if len(a) != len(b) {
		return sample{}
	}
	for i := range a {
		if !a[i].known() || !b[i].known() {
			return sample{}
		}
		if a[i].kind == nullSample || b[i].kind == nullSample {
			return sampleNull
		}
		c, ok := order(a[i], b[i])
		if !ok {
			return sample{}
		}
		if c != 0 {
			return holds(op, c)
		}
	}
	return holds(op, 0)
}

// anyOf evaluates l op ANY or ALL of a list.
func anyOf(l sample, op string, list []sample, every bool) sample {
	result := sampleBool(every)
	for _, r := range list {
		switch v := applied(op, l, r); {
		case v.kind == boolSample && v.b != every:
			return v
		case v.kind == nullSample && result.kind == boolSample:
			result = v
		case !v.known():
			result = v
		}
	}
	return result
}

func distinct(a, b sample) sample {
	if !a.known() || !b.known() {
		return sample{}
	}
	if a.kind == nullSample || b.kind == nullSample {
		return sampleBool(a.kind != b.kind)
	}
	return compared("<>", a, b)
}

func inverse(v sample) sample {
	if v.kind == boolSample {
		v.b = !v.b
	}
	return v
}

func (s *sampler) operator(e *pg.A_Expr) sample {
	op := opName(e)
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if e.Lexpr == nil {
			return unary(op, s.value(e.Rexpr))
		}
		if sub := e.Rexpr.GetRowExpr(); sub == nil && mirrored[op] != "" {
			// Of a condition compared with a constant, what does not depend on the
			// row is free as well.
			return compared(op, s.operand(e.Lexpr), s.operand(e.Rexpr))
		}
		return applied(op, s.value(e.Lexpr), s.value(e.Rexpr))
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		list := s.value(e.Rexpr)
		if list.kind == textSample {
			list = s.array(e.Rexpr)
		}
		if list.kind != listSample {
			return sample{}
		}
		return anyOf(s.value(e.Lexpr), op, list.list, e.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL)
	case pg.A_Expr_Kind_AEXPR_IN:
		return anyOf(s.operand(e.Lexpr), op, s.list(e.Rexpr.GetList().GetItems()).list, op != "=")
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		return distinct(s.operand(e.Lexpr), s.operand(e.Rexpr))
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return inverse(distinct(s.operand(e.Lexpr), s.operand(e.Rexpr)))
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		l, r := s.value(e.Lexpr), s.value(e.Rexpr)
		switch v := compared("=", l, r); {
		case v.isTrue():
			return sampleNull
		case v.isFalse() || v.kind == nullSample:
			return l
		}
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		return applied(op, s.value(e.Lexpr), s.value(e.Rexpr))
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		items := e.Rexpr.GetList().GetItems()
		if len(items) != 2 {
			return sample{}
		}
		x, a, b := s.operand(e.Lexpr), s.value(items[0]), s.value(items[1])
		v := between3(x, a, b)
		symmetric := e.Kind == pg.A_Expr_Kind_AEXPR_BETWEEN_SYM || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM
		if w := between3(x, b, a); symmetric && (w.isTrue() || !w.known()) {
			v = w
		}
		if e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
			v = inverse(v)
		}
		return v
	}
	return sample{}
}

func between3(x, a, b sample) sample {
	l, r := compared(">=", x, a), compared("<=", x, b)
	switch {
	case l.isFalse() || r.isFalse():
		return sampleBool(false)
	case !l.known() || !r.known():
		return sample{}
	case l.kind == nullSample:
		return l
	}
	return r
}

// operand evaluates what may be a condition.
func (s *sampler) operand(n *pg.Node) sample {
	switch n.GetNode().(type) {
	case *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest:
		return s.cond(n)
	case *pg.Node_AExpr:
		if op := opName(n.GetAExpr()); mirrored[op] != "" || n.GetAExpr().Kind != pg.A_Expr_Kind_AEXPR_OP {
			return s.cond(n)
		}
	}
	return s.value(n)
}

func unary(op string, v sample) sample {
	if v.kind == nullSample {
		return v
	}
	if v.kind != numberSample {
		return sample{}
	}
	switch op {
	case "-":
		return sampleNumber(-v.n)
	case "+":
		return v
	case "@":
		return sampleNumber(math.Abs(v.n))
	case "~":
		return sampleNumber(-v.n - 1)
	case "|/":
		if v.n >= 0 {
			return sampleNumber(math.Sqrt(v.n))
		}
	}
	return sample{}
}

// applied evaluates l op r.
func applied(op string, l, r sample) sample {
	if !l.known() || !r.known() {
		return sample{}
	}
	if l.kind == nullSample || r.kind == nullSample {
		return sampleNull
	}
	if mirrored[op] != "" {
		return compared(op, l, r)
	}
	if l.kind == listSample && r.kind == listSample {
		has := func(list []sample, v sample) sample { return anyOf(v, "=", list, false) }
		within := func(a, b []sample) sample { // all of b are in a
			result := sampleBool(true)
			for _, v := range b {
				if in := has(a, v); !in.isTrue() {
					result = in
				}
			}
			return result
		}
		switch op {
		case "@>":
			return within(l.list, r.list)
		case "<@":
			return within(r.list, l.list)
		case "&&":
			for _, v := range r.list {
				if in := has(l.list, v); !in.isFalse() {
					return in
				}
			}
			return sampleBool(false)
		}
		return sample{}
	}
	if l.kind == textSample || r.kind == textSample {
		if op == "||" {
			if a, b := asText(l), asText(r); a.kind == textSample && b.kind == textSample {
				return sampleText(a.s + b.s)
			}
			return sample{}
		}
	}
	if l.kind == textSample && r.kind == textSample {
		switch op {
		case "~~", "!~~":
			return matched("(?s)^"+likeRegexp(r.s)+"$", l.s, op == "!~~", true)
		case "~~*", "!~~*":
			return matched("(?is)^"+likeRegexp(r.s)+"$", l.s, op == "!~~*", true)
		case "~", "!~":
			return matched("(?s)"+r.s, l.s, op == "!~", false)
		case "~*", "!~*":
			return matched("(?is)"+r.s, l.s, op == "!~*", false)
		case "^@":
			return sampleBool(strings.HasPrefix(l.s, r.s))
		}
	}
	number := func(v sample) (float64, bool) {
		if v.kind == textSample {
			f, err := strconv.ParseFloat(strings.TrimSpace(v.s), 64)
			return f, err == nil && !math.IsNaN(f)
		}
		return v.n, v.kind == numberSample
	}
	a, ok := number(l)
	b, ok2 := number(r)
	if !ok || !ok2 {
		return sample{}
	}
	whole := a == math.Trunc(a) && b == math.Trunc(b)
	bitwise := func(f func(x, y int64) int64) sample {
		if !whole || math.Abs(a) > 1<<53 || math.Abs(b) > 1<<53 {
			return sample{}
		}
		return sampleNumber(float64(f(int64(a), int64(b))))
	}
	switch op {
	case "+":
		return sampleNumber(a + b)
	case "-":
		return sampleNumber(a - b)
	case "*":
		return sampleNumber(a * b)
	case "/":
		switch {
		case b == 0:
		case whole:
			return sampleNumber(math.Trunc(a / b))
		default:
			return sampleNumber(a / b)
		}
	case "%":
		if b != 0 {
			return sampleNumber(math.Mod(a, b))
		}
	case "^":
		if f := math.Pow(a, b); !math.IsNaN(f) {
			return sampleNumber(f)
		}
	case "&":
		return bitwise(func(x, y int64) int64 { return x & y })
	case "|":
		return bitwise(func(x, y int64) int64 { return x | y })
	case "#":
		return bitwise(func(x, y int64) int64 { return x ^ y })
	case "<<", ">>":
		if b < 0 || b > 31 {
			return sample{}
		}
		return bitwise(func(x, y int64) int64 {
			if op == "<<" {
				return x << y
			}
			return x >> y
		})
	}
	return sample{}
}

func likeRegexp(pattern string) string {
	var b strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '%':
			b.WriteString(".*")
		case !escaped && r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
		escaped = false
	}
	return b.String()
}

// matched tells what a match tells. That no sample matches an expression says
// nothing, unless samples are made for its pattern.
func matched(expr, s string, not, made bool) sample {
	if len(expr) > 200 {
		return sample{}
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return sample{}
	}
	switch m := re.MatchString(s); {
	case m:
		return sampleBool(!not)
	case made:
		return sampleBool(not)
	}
	return sample{}
}

var comparing = regexp.MustCompile(`^(?:int[248]{1,2}|float[48]{1,2}|numeric_|text_?|bool)(eq|ne|lt|le|gt|ge)$`)

var comparisons = map[string]string{"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

var matching = map[string]string{"like": "~~", "notlike": "!~~", "textlike": "~~", "textnlike": "!~~", "texticlike": "~~*",
	"texticnlike": "!~~*", "textregexeq": "~", "texticregexeq": "~*", "regexp_like": "~", "starts_with": "^@", "mod": "%", "power": "^", "pow": "^"}

// call evaluates built-in functions, some.
func (s *sampler) call(f *pg.FuncCall) sample {
	name := lastOf(f.Funcname)
	if f.AggFilter != nil || f.Over != nil || len(f.AggOrder) > 0 || len(f.Args) > 8 {
		return sample{}
	}
	if name == "random" && len(f.Args) == 0 {
		return s.choose("random", func() []sample { return []sample{sampleNumber(0.5), sampleNumber(0), sampleNumber(0.999)} })
	}
	args := make([]sample, len(f.Args))
	nulls := 0
	for i, a := range f.Args {
		args[i] = s.value(a)
		if args[i].kind == nullSample {
			nulls++
		}
	}
	known := !slices.ContainsFunc(args, func(v sample) bool { return !v.known() })
	if !known {
		return sample{}
	}
	switch name {
	case "num_nulls":
		return sampleNumber(float64(nulls))
	case "num_nonnulls":
		return sampleNumber(float64(len(args) - nulls))
	case "concat":
		var b strings.Builder
		for _, a := range args {
			if a.kind == nullSample {
				continue
			}
			v := asText(a)
			if v.kind != textSample || a.kind == boolSample {
				return sample{}
			}
			b.WriteString(v.s)
		}
		return sampleText(b.String())
	case "array_position":
		if len(args) == 2 && args[0].kind == listSample {
			for i, v := range args[0].list {
				if in := distinct(v, args[1]); in.isFalse() {
					return sampleNumber(float64(i + 1))
				} else if !in.known() {
					return in
				}
			}
			return sampleNull
		}
	}
	if nulls > 0 || len(args) == 0 {
		return map[bool]sample{true: sampleNull}[nulls > 0 && strictBuiltin[name]]
	}
	first := args[0]
	if m := comparing.FindStringSubmatch(name); m != nil && len(args) == 2 {
		return compared(comparisons[m[1]], args[0], args[1])
	}
	if op := matching[name]; op != "" && len(args) == 2 {
		return applied(op, args[0], args[1])
	}
	switch name {
	case "cardinality", "array_length":
		if first.kind == listSample && len(first.list) > 0 {
			return sampleNumber(float64(len(first.list)))
		}
	case "abs":
		return unary("@", first)
	case "sign":
		if first.kind == numberSample {
			return sampleNumber(float64(cmp.Compare(first.n, 0)))
		}
	case "like_escape", "similar_to_escape":
		if len(args) == 2 && first.kind == textSample && strings.Contains(first.s, args[1].s) {
			return sample{}
		}
		if name == "like_escape" {
			return first
		}
		if first.kind == textSample {
			return sampleText("^(?:" + strings.NewReplacer("%", ".*", "_", ".").Replace(first.s) + ")$")
		}
	}
	if first.kind != textSample {
		return sample{}
	}
	runes := []rune(first.s)
	count := func(i int) (int, bool) {
		if i >= len(args) || args[i].kind != numberSample || math.Abs(args[i].n) > 10_000 {
			return 0, false
		}
		return int(args[i].n), true
	}
	switch name {
	case "lower":
		return sampleText(strings.ToLower(first.s))
	case "upper":
		return sampleText(strings.ToUpper(first.s))
	case "length", "char_length", "character_length":
		return sampleNumber(float64(len(runes)))
	case "octet_length":
		return sampleNumber(float64(len(first.s)))
	case "md5":
		sum := md5.Sum([]byte(first.s))
		return sampleText(hex.EncodeToString(sum[:]))
	case "reverse":
		slices.Reverse(runes)
		return sampleText(string(runes))
	case "btrim", "ltrim", "rtrim":
		if len(args) == 1 {
			switch name {
			case "ltrim":
				return sampleText(strings.TrimLeft(first.s, " "))
			case "rtrim":
				return sampleText(strings.TrimRight(first.s, " "))
			}
			return sampleText(strings.Trim(first.s, " "))
		}
	case "left":
		if n, ok := count(1); ok && n >= 0 {
			return sampleText(string(runes[:min(n, len(runes))]))
		}
	case "right":
		if n, ok := count(1); ok && n >= 0 {
			return sampleText(string(runes[max(len(runes)-n, 0):]))
		}
	case "repeat":
		if n, ok := count(1); ok && n <= 100 {
			return sampleText(strings.Repeat(first.s, max(n, 0)))
		}
	case "substr", "substring":
		from, ok := count(1)
		size, sized := count(2)
		if ok && from >= 1 && (len(args) == 2 || sized && size >= 0) {
			rest := runes[min(from-1, len(runes)):]
			if sized {
				rest = rest[:min(size, len(rest))]
			}
			return sampleText(string(rest))
		}
	case "replace":
		if len(args) == 3 && args[1].kind == textSample && args[2].kind == textSample && args[1].s != "" {
			return sampleText(strings.ReplaceAll(first.s, args[1].s, args[2].s))
		}
	case "strpos", "position":
		if len(args) == 2 && args[1].kind == textSample {
			at := strings.Index(first.s, args[1].s)
			if at >= 0 {
				at = len([]rune(first.s[:at]))
			}
			return sampleNumber(float64(at + 1))
		}
	}
	return sample{}
}

// strictBuiltin are functions that are NULL where an argument is.
var strictBuiltin = map[string]bool{"lower": true, "upper": true, "length": true, "char_length": true, "md5": true, "reverse": true, "btrim": true,
	"left": true, "right": true, "substr": true, "substring": true, "replace": true, "strpos": true, "position": true, "abs": true, "sign": true, "starts_with": true}

// sub evaluates subqueries without a FROM, and those that the row's own relation
// makes a bound of.
func (s *sampler) sub(l *pg.SubLink) sample {
	sel := l.Subselect.GetSelectStmt()
	if sel == nil || s.checking {
		return sample{}
	}
	switch l.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		if s.t.empty(sel) {
			return sampleBool(false)
		}
		if rows, ok := s.rows(sel); ok {
			return sampleBool(len(rows) > 0)
		}
	case pg.SubLinkType_EXPR_SUBLINK:
		rows, ok := s.rows(sel)
		switch {
		case !ok:
			return s.own(sel)
		case len(rows) == 0:
			return sampleNull
		case len(rows) == 1 && len(rows[0].list) == 1:
			return rows[0].list[0]
		}
	case pg.SubLinkType_ARRAY_SUBLINK:
		if rows, ok := s.rows(sel); ok {
			v := sample{kind: listSample}
			for _, r := range rows {
				v.list = append(v.list, r.list...)
			}
			return v
		}
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		every := l.SubLinkType == pg.SubLinkType_ALL_SUBLINK
		if s.t.empty(sel) {
			return sampleBool(every)
		}
		op := "="
		if len(l.OperName) > 0 {
			op = opName(&pg.A_Expr{Name: l.OperName})
		}
		rows, ok := s.rows(sel)
		if !ok {
			if v := s.own(sel); v.known() {
				return applied(op, s.value(l.Testexpr), v)
			}
			return sample{}
		}
		var list []sample
		x := s.value(l.Testexpr)
		for _, r := range rows {
			if x.kind != listSample && len(r.list) == 1 {
				r = r.list[0]
			}
			list = append(list, r)
		}
		return anyOf(x, op, list, every)
	}
	return sample{}
}

// rows are those of a query that reads no relation.
func (s *sampler) rows(sel *pg.SelectStmt) ([]sample, bool) {
	if sel.Op != pg.SetOperation_SETOP_NONE || len(sel.FromClause) > 0 || sel.HavingClause != nil || len(sel.GroupClause) > 0 || sel.LimitOffset != nil {
		return nil, false
	}
	if sel.LimitCount != nil {
		if n := s.value(sel.LimitCount); n.kind != numberSample || n.n < 1 {
			return nil, false
		}
	}
	if sel.WhereClause != nil {
		switch v := s.cond(sel.WhereClause); {
		case v.isFalse() || v.kind == nullSample:
			return nil, true
		case !v.isTrue():
			return nil, false
		}
	}
	if len(sel.ValuesLists) > 0 {
		var rows []sample
		for _, v := range sel.ValuesLists {
			rows = append(rows, s.list(v.GetList().GetItems()))
		}
		return rows, true
	}
	row := sample{kind: listSample}
	for _, n := range sel.TargetList {
		v := n.GetResTarget().GetVal()
		if f := v.GetFuncCall(); f != nil && s.t.aggregates(f) {
			return nil, false
		}
		row.list = append(row.list, s.value(v))
	}
	return []sample{row}, true
}

// own evaluates the aggregate of a query over all rows of the relation: the
// least is no more than the row's, and the greatest no less.
func (s *sampler) own(sel *pg.SelectStmt) sample {
	if len(sel.TargetList) != 1 || len(sel.GroupClause) > 0 || sel.Op != pg.SetOperation_SETOP_NONE {
		return sample{}
	}
	value := sel.TargetList[0].GetResTarget().GetVal()
	counts := value.GetFuncCall() != nil && value.GetFuncCall().AggStar
	if !counts && len(sel.FromClause) == 0 {
		return sample{}
	}
	covers := s.t.unfiltered(sel, s.t.withs().and(sel.WithClause), 0)
	if covers == nil || !s.t.unlimited(sel) {
		if counts && sel.HavingClause == nil && s.t.unlimited(sel) {
			return s.choose("count "+strconv.Itoa(int(value.GetFuncCall().Location)), func() []sample { return []sample{sampleNumber(0), sampleNumber(1), sampleNumber(1000)} })
		}
		return sample{}
	}
	return s.aggregate(value, covers)
}

// aggregate evaluates an expression of aggregates over all rows.
func (s *sampler) aggregate(n *pg.Node, covers []cover) sample {
	if s.left--; s.left <= 0 {
		return sample{}
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return sampleOf(foldConst(e.AConst))
	case *pg.Node_AExpr:
		if e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP && e.AExpr.Lexpr != nil {
			return applied(opName(e.AExpr), s.aggregate(e.AExpr.Lexpr, covers), s.aggregate(e.AExpr.Rexpr, covers))
		}
	case *pg.Node_TypeCast:
		if isType(e.TypeCast.TypeName, "int4") || isType(e.TypeCast.TypeName, "int8") {
			return s.aggregate(e.TypeCast.Arg, covers)
		}
	case *pg.Node_FuncCall:
		if e.FuncCall.AggFilter != nil || e.FuncCall.Over != nil {
			return sample{}
		}
		switch name := lastOf(e.FuncCall.Funcname); {
		case e.FuncCall.AggStar:
			return s.choose("count", func() []sample { return []sample{sampleNumber(1), sampleNumber(1000)} })
		case len(e.FuncCall.Args) != 1:
		case name == "min" || name == "max":
			column := s.t.coverRef(e.FuncCall.Args[0], covers)
			if column == "" {
				return sample{}
			}
			v := s.column(column)
			if v.kind != numberSample {
				return sample{}
			}
			away := s.choose("away "+name+" "+column, func() []sample { return []sample{sampleNumber(0), sampleNumber(1), sampleNumber(1000)} })
			if name == "min" {
				return sampleNumber(v.n - away.n)
			}
			return sampleNumber(v.n + away.n)
		}
	}
	return sample{}
}

// aggregates reports whether a call is of an aggregate.
func (t *limits) aggregates(f *pg.FuncCall) bool {
	return f.AggStar || slices.ContainsFunc(t.p.names.functions(strs(f.Funcname)), func(f *catalog.Function) bool { return f.Kind == 'a' })
}

func (t *limits) returnsSet(f *pg.FuncCall) bool {
	return slices.ContainsFunc(t.p.names.functions(strs(f.Funcname)), func(f *catalog.Function) bool { return f.ReturnsSet })
}

// empty reports whether a query gives no row whatever is in the tables.
func (t *limits) empty(sel *pg.SelectStmt) bool {
	if sel.Op != pg.SetOperation_SETOP_NONE {
		return false
	}
	if c, ok := t.fold(sel.LimitCount); ok && c.num != nil && c.num.Cmp(new(big.Float)) == 0 {
		return true
	}
	return sel.WhereClause != nil && t.truth(sel.WhereClause) == never && (len(sel.GroupClause) > 0 || !slices.ContainsFunc(sel.TargetList, func(n *pg.Node) bool {
		f := n.GetResTarget().GetVal().GetFuncCall()
		return f != nil && t.aggregates(f)
	}))
}
