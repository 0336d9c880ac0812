package analysis

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/catalog/builtin"
)

// Bounds that no row is beyond, though its type could be: the usual ways around
// a check for WHERE.

const (
	// manyKeys is an upper bound that leaves out no key that anybody counts on.
	manyKeys = 1_000_000
	// manyRows is the same of what a query gives at most.
	manyRows = 100_000
	// manyInSeries is the same of keys that are generated instead of bounded.
	manyInSeries = 1_000
)

// farTime judges a comparison of a point in time with one before all that is
// recorded, or generations ahead.
func (t *limits) farTime(l *pg.Node, op string, r *pg.Node) verdict {
	if t.farAge(l, op, r) {
		return always
	}
	if e := l.GetAExpr(); e != nil && (opName(e) == "+" || opName(e) == "-") && e.Lexpr != nil && t.moment(e.Lexpr, 0) != nil {
		// x + years < time is x < time - years.
		back := map[string]string{"+": "-", "-": "+"}[opName(e)]
		r = &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: e.Kind, Name: []*pg.Node{pg.MakeStrNode(back)}, Lexpr: r, Rexpr: e.Rexpr}}}
		l = e.Lexpr
	}
	c := t.moment(l, 0)
	if c == nil {
		return depends
	}
	first := time.Date(t.firstYear(c), 1, 1, 0, 0, 0, 0, time.UTC)
	at, ok := t.constantTime(r, 0)
	switch op {
	case ">", ">=":
		if ok && !at.After(first) {
			return always
		}
	case "<", "<=":
		if ok && at.Year() >= 2100 {
			return always
		}
	}
	return depends
}

// farAge judges a comparison of how long ago a point in time is with what no age
// comes to: now() - x < interval '1000 years'.
func (t *limits) farAge(l *pg.Node, op string, r *pg.Node) bool {
	var x *pg.Node
	if e := l.GetAExpr(); e != nil && e.Lexpr != nil && opName(e) == "-" && isNow(e.Lexpr) {
		x = e.Rexpr
	} else if f := l.GetFuncCall(); lastOf(f.GetFuncname()) == "age" && len(f.Args) > 0 && (len(f.Args) == 1 || isNow(f.Args[0])) {
		x = lastNode(f.Args)
	}
	if x == nil || t.moment(x, 0) == nil {
		return false
	}
	years, ok := t.years(r, 0)
	return ok && ((op == "<" || op == "<=") && years >= 130 || (op == ">" || op == ">=") && years <= -60)
}

// firstYear is the first that a column of dates or times is taken to have.
func (t *limits) firstYear(c *catalog.Column) int {
	if typ := t.p.a.snap.Type(t.p.baseType(c.Type)); typ != nil && typ.Name == "date" {
		return 1900 // of birth, for one
	}
	return 1970
}

// moment returns the column of dates or times that an expression is, or is a
// coarser form of, or nil.
func (t *limits) moment(n *pg.Node, depth int) *catalog.Column {
	n = t.bare(n)
	if depth > maxCoverDepth {
		return nil
	}
	if c := t.column(n); c != nil {
		if typ := t.p.a.snap.Type(t.p.baseType(c.Type)); typ != nil && slices.Contains([]string{"date", "timestamp", "timestamptz"}, typ.Name) {
			return c
		}
		return nil
	}
	if cast := n.GetTypeCast(); cast != nil && slices.ContainsFunc([]string{"date", "timestamp", "timestamptz"}, func(name string) bool { return isType(cast.TypeName, name) }) {
		return t.moment(cast.Arg, depth+1)
	}
	if f := n.GetFuncCall(); f != nil && len(f.Args) >= 2 {
		switch lastOf(f.Funcname) {
		case "date_trunc", "timezone":
			return t.moment(f.Args[1], depth+1)
		}
	}
	return nil
}

var timeLayouts = []string{"2006-1-2", "2006-1-2 15:04", "2006-1-2 15:04:05", "2006-1-2T15:04:05", "2006-1-2 15:04:05-07", "2006-1-2 15:04:05Z07:00", "2006-1-2T15:04:05Z07:00", "20060102", "January 2, 2006", "2 January 2006"}

// farAhead stands for what is decades from now, longAgo for what was before all
// that is recorded.
var (
	farAhead = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	longAgo  = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)
)

// constantTime reads a point in time. Of those that count from now, it knows the
// ones that are far ahead.
func (t *limits) constantTime(n *pg.Node, depth int) (at time.Time, ok bool) {
	n = t.simple(n)
	for depth < maxCoverDepth && n.GetTypeCast() != nil {
		n, depth = n.GetTypeCast().Arg, depth+1
	}
	if e := n.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP && (opName(e) == "+" || opName(e) == "-") && e.Lexpr != nil {
		by, ok := t.years(e.Rexpr, 0)
		if opName(e) == "-" {
			by = -by
		}
		switch {
		case !ok || depth > maxCoverDepth:
			return time.Time{}, false
		case isNow(e.Lexpr):
			// Of what is a few years from now, it depends on when it runs.
			return farFrom(by), by >= 30 || by <= -60
		}
		at, ok := t.constantTime(e.Lexpr, depth+1)
		by = math.Max(-9999, math.Min(9999, by))
		return at.AddDate(0, 0, int(by*daysPerYear)), ok
	}
	if f := n.GetFuncCall(); f != nil {
		var parts []int
		for _, a := range f.Args {
			if c := t.number(a); c != nil {
				i, _ := c.Int64()
				parts = append(parts, int(i))
			}
		}
		switch name := lastOf(f.Funcname); {
		case (name == "make_date" || name == "make_timestamp" || name == "make_timestamptz") && len(parts) >= 3:
			return time.Date(parts[0], time.Month(parts[1]), parts[2], 0, 0, 0, 0, time.UTC), true
		case name == "to_timestamp" && len(f.Args) == 1 && len(parts) == 1:
			return time.Unix(int64(parts[0]), 0).UTC(), true
		case (name == "to_date" || name == "to_timestamp") && len(f.Args) == 2:
			return t.constantTime(f.Args[0], depth+1)
		}
		return time.Time{}, false
	}
	c, known := t.fold(n)
	if !known || c.text == nil {
		return time.Time{}, false
	}
	text := strings.TrimSpace(*c.text)
	before := strings.HasSuffix(strings.ToUpper(text), "BC")
	switch {
	case strings.EqualFold(text, "epoch"):
		return time.Unix(0, 0).UTC(), true
	case strings.EqualFold(text, "-infinity"), before:
		return longAgo, true
	case strings.EqualFold(text, "infinity"):
		return farAhead, true
	}
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	if y, _, ok := strings.Cut(text, "-"); ok && len(y) > 4 && strings.Trim(y, "0123456789") == "" {
		return farAhead, true
	}
	return time.Time{}, false
}

func isNow(n *pg.Node) bool {
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	if n.GetSqlvalueFunction() != nil {
		return true
	}
	switch lastOf(n.GetFuncCall().GetFuncname()) {
	case "now", "clock_timestamp", "statement_timestamp", "transaction_timestamp":
		return true
	}
	return false
}

func farFrom(years float64) time.Time {
	if years > 0 {
		return farAhead
	}
	return longAgo
}

const daysPerYear = 365.25

// perYear says how long units of an interval are.
var perYear = map[string]float64{"y": 1, "yr": 1, "year": 1, "decade": 10, "decad": 10, "century": 100, "centurie": 100, "millennium": 1000, "millennia": 1000,
	"mon": 1. / 12, "month": 1. / 12, "w": 7 / daysPerYear, "week": 7 / daysPerYear, "d": 1 / daysPerYear, "day": 1 / daysPerYear,
	"h": 1 / 24. / daysPerYear, "hour": 1 / 24. / daysPerYear, "minute": 1 / 1440. / daysPerYear, "min": 1 / 1440. / daysPerYear, "second": 1 / 86400. / daysPerYear, "sec": 1 / 86400. / daysPerYear}

// years is how long an interval is. A number alone is one of days.
func (t *limits) years(n *pg.Node, depth int) (float64, bool) {
	for ; depth < maxCoverDepth && n.GetTypeCast() != nil; depth++ {
		n = n.GetTypeCast().Arg
	}
	if days := t.number(n); days != nil {
		f, _ := days.Float64()
		return f / daysPerYear, true
	}
	if e := n.GetAExpr(); e != nil && opName(e) == "*" && e.Lexpr != nil && depth < maxCoverDepth {
		for _, side := range [][2]*pg.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
			times := t.number(uncast(side[0]))
			if by, ok := t.years(side[1], depth+1); ok && times != nil {
				f, _ := times.Float64()
				return f * by, true
			}
		}
		return 0, false
	}
	if f := n.GetFuncCall(); lastOf(f.GetFuncname()) == "make_interval" {
		sum := 0.0
		for i, a := range f.Args {
			unit := ""
			if i < len(intervalParts) {
				unit = intervalParts[i]
			}
			if named := a.GetNamedArgExpr(); named != nil {
				unit, a = named.Name, named.Arg
			}
			c := t.number(uncast(a))
			if c == nil {
				return 0, false
			}
			x, _ := c.Float64()
			sum += x * perYear[strings.TrimSuffix(unit, "s")]
		}
		return sum, true
	}
	c, ok := t.fold(n)
	if !ok || c.text == nil {
		return 0, false
	}
	words := strings.Fields(*c.text)
	sum := 0.0
	for i := 0; i+1 < len(words); i += 2 {
		num, ok := number(words[i])
		per := perYear[strings.TrimSuffix(strings.ToLower(words[i+1]), "s")]
		if !ok || per == 0 {
			return 0, false
		}
		x, _ := num.Float64()
		sum += x * per
	}
	return sum, len(words) > 0 && len(words)%2 == 0
}

var intervalParts = []string{"years", "months", "weeks", "days", "hours", "mins", "secs"}

func uncast(n *pg.Node) *pg.Node {
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	return n
}

// ends returns the bounds of a range that a text spells out; nil is none.
func (t *limits) ends(n *pg.Node) (from, to *pg.Node, ok bool) {
	open := func(n *pg.Node) *pg.Node {
		if n == nil || t.null(n) {
			return nil
		}
		return n
	}
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	if f := n.GetFuncCall(); f != nil {
		switch name := lastOf(f.Funcname); {
		case strings.HasSuffix(name, "multirange") && len(f.Args) == 1:
			return t.ends(f.Args[0])
		case strings.HasSuffix(name, "range") && len(f.Args) >= 2:
			return open(f.Args[0]), open(f.Args[1]), true
		}
		return nil, nil, false
	}
	c, known := t.fold(n)
	if !known || c.text == nil {
		return nil, nil, false
	}
	text := strings.TrimSpace(strings.Trim(strings.TrimSpace(*c.text), "{}"))
	if len(text) < 3 || !strings.ContainsAny(text[:1], "[(") || !strings.ContainsAny(text[len(text)-1:], "])") {
		return nil, nil, false
	}
	low, high, found := strings.Cut(text[1:len(text)-1], ",")
	if !found || strings.ContainsAny(high, ",[(") {
		return nil, nil, false
	}
	end := func(s string) *pg.Node {
		if s = strings.Trim(strings.TrimSpace(s), `"`); s == "" {
			return nil
		}
		return pg.MakeAConstStrNode(s, -1)
	}
	return end(low), end(high), true
}

// within reports whether a range holds x of every row.
func (t *limits) within(x, r *pg.Node) bool {
	from, to, ok := t.ends(r)
	return ok && (from == nil || t.compare(x, ">=", from) == always) && (to == nil || t.compare(x, "<", to) == always)
}

// series returns the columns of generate_series where it gives every key that
// the target has.
func (t *limits) series(f *pg.FuncCall, name string) outputs {
	if lastOf(f.GetFuncname()) != "generate_series" || len(f.GetArgs()) < 2 || len(f.Args) > 3 {
		return nil
	}
	from, to := t.number(f.Args[0]), t.number(f.Args[1])
	if len(f.Args) == 3 {
		step := t.number(f.Args[2])
		if step == nil || from == nil || to == nil {
			return nil
		}
		switch {
		case step.Cmp(big.NewFloat(-1)) == 0:
			from, to = to, from
		case step.Cmp(big.NewFloat(1)) != 0:
			return nil
		}
	}
	if from == nil || from.Cmp(big.NewFloat(1)) > 0 || to != nil && to.Cmp(big.NewFloat(manyInSeries)) < 0 ||
		to == nil && f.Args[1].GetSubLink() == nil {
		return nil
	}
	for _, c := range t.rel.Columns {
		if t.wholeNumbers(&c) && !c.Dropped && t.isKey(c.Num) {
			return outputs{{name, c.Name}}
		}
	}
	return nil
}

func (t *limits) wholeNumbers(c *catalog.Column) bool {
	switch t.p.baseType(c.Type) {
	case int2OID, int4OID, int8OID:
		return true
	}
	return false
}

// aboutItself reports whether what is compared is of a value and itself, or of
// its type alone: similarity(x, x), pg_typeof(x). What such a function gives is
// not looked at; it leaves no row out that anybody would mean.
func (t *limits) aboutItself(n *pg.Node) bool {
	f := t.bare(n).GetFuncCall()
	if f == nil || len(f.Args) == 0 || f.AggFilter != nil || f.Over != nil {
		return false
	}
	switch lastOf(f.Funcname) {
	case "pg_typeof":
		return t.mentions(f.Args[0])
	case "jsonb_typeof", "json_typeof":
		g := f.Args[0].GetFuncCall()
		return g != nil && (lastOf(g.Funcname) == "to_jsonb" || lastOf(g.Funcname) == "to_json") && len(g.Args) == 1 && t.nullness(g.Args[0]) == never
	}
	return len(f.Args) >= 2 && t.column(t.bare(f.Args[0])) != nil && t.same(f.Args[0], f.Args[1])
}

// disguised reports whether a pattern is put together from constants alone by
// functions whose result is not known here: nobody would write that.
func (t *limits) disguised(n *pg.Node) bool {
	if _, ok := t.fold(n); ok {
		return false
	}
	calls, open := false, false
	walk(n, func(m *pg.Node) {
		switch e := m.GetNode().(type) {
		case *pg.Node_ColumnRef, *pg.Node_ParamRef, *pg.Node_SubLink, *pg.Node_SqlvalueFunction:
			open = true
		case *pg.Node_FuncCall:
			fs := t.p.names.functions(strs(e.FuncCall.Funcname))
			calls = true
			class, _ := builtin.Function("pg_catalog", lastOf(e.FuncCall.Funcname))
			// Of several with the name, one that is the same for all is enough.
			open = open || len(e.FuncCall.Args) == 0 || class&builtin.Pure == 0 && !slices.ContainsFunc(fs, func(f *catalog.Function) bool { return f.Volatility == 'i' })
		}
	})
	if !calls || open {
		return false
	}
	s := &sampler{t: t, free: map[*pg.Node]int{}, verdicts: map[*pg.Node]verdict{}, left: maxConstantNodes}
	_, ok := s.constant(n)
	return !ok
}

// roundedDown reports whether coarse is fine or less: date_trunc('day', x), x.
func (t *limits) roundedDown(coarse, fine *pg.Node) bool {
	f := t.bare(coarse).GetFuncCall()
	switch name := lastOf(f.GetFuncname()); {
	case name == "date_trunc" && len(f.Args) >= 2:
		return t.same(f.Args[1], fine)
	case name == "floor" && len(f.Args) == 1:
		return t.same(f.Args[0], fine)
	}
	return false
}

// anyDocument reports whether a JSON path does not look into the document.
func (t *limits) anyDocument(path *pg.Node) bool {
	for path.GetTypeCast() != nil {
		path = path.GetTypeCast().Arg
	}
	return t.matchesAll(path, func(s string) bool {
		s = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(s), "lax"), "strict")
		return strings.TrimSpace(s) == "$" || !strings.ContainsAny(s, "$@")
	})
}

// allLabels reports whether an array is all values of an enum.
func (t *limits) allLabels(n *pg.Node) bool {
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	f := n.GetFuncCall()
	return lastOf(f.GetFuncname()) == "enum_range" && !slices.ContainsFunc(f.Args, func(a *pg.Node) bool { return !t.null(a) })
}
