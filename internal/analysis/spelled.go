package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// Rows that a statement makes up by itself, numbers counted or letters listed,
// hold every value there is. A condition in which they meet a column chooses
// those that the column holds, and so spells it with values that derive from
// nothing: SELECT g FROM generate_series(1, 127) g, customers WHERE
// ascii(email) = g. What is chosen so derives from the column.

// generation says whether a value comes from rows that the statement makes up.
type generation int8

const (
	given   generation = iota // it does not
	stocked                   // the system catalogs have them, every small number among them
	listed                    // each of them stands in the text or an argument
	counted                   // they are counted up
)

// A link is a condition in which sources with made-up rows meet base columns,
// or one another.
type link struct {
	src     Columns
	sources []*source
	least   generation // of the columns that it chooses
	// copied is true where the link is no condition: one source holds what is in
	// the others, so that what chooses among the rows of one does so of all.
	copied bool
}

// counters are the functions that count up rows.
var counters = []string{"generate_series", "generate_subscripts"}

// tested analyzes a condition as exprAs, each part of a conjunction by itself.
// It also returns what that says of the made-up rows that the condition chooses.
func (p *part) tested(typ catalog.OID, n *pg.Node, sc *scope) (value, value) {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		defer p.leave()
		if !p.enter() {
			return constant(boolOID), constant(0)
		}
		v, says := value{how: Constant, typ: boolOID, known: true}, constant(0)
		for _, n := range b.Args {
			w, more := p.tested(boolOID, n, sc)
			v, says = p.combine(boolOID, v, w), p.combine(0, says, more)
		}
		v = derived(v)
		p.probe(v.src)
		return v, says
	}
	met, computed := p.a.met, p.a.computed
	p.a.met, p.a.computed = nil, false
	v, says := p.exprAs(typ, n, sc), constant(0)
	least := p.least(v.src)
	if !p.a.computed && looksUp(n) {
		// Whole values that the statement brings along are guesses.
		least = counted
	}
	p.link(v.src, least, p.a.met...)
	if v.gen >= least && len(v.src) > 0 {
		says = counting(v.src, Expression)
		says.gen = v.gen
	}
	p.a.met, p.a.computed = append(met, p.a.met...), computed || p.a.computed
	return v, says
}

// least is of which rows a condition on these columns chooses: those of the
// catalogs are made up where it is about something else.
func (p *part) least(src Columns) generation {
	if p.userColumns(src) {
		return stocked
	}
	return listed
}

// link records that a condition on these columns chooses among the sources.
func (p *part) link(src Columns, least generation, sources ...*source) {
	if len(sources) > 0 && len(src)+len(sources) > 1 && p.step() {
		p.a.links = append(p.a.links, link{src: src, sources: slices.Clone(sources), least: least})
	}
}

// linkUsing is link for a column of JOIN USING.
func (p *part) linkUsing(left, right value, sources []*source) {
	src := left.src.Union(right.src)
	least := p.least(src)
	if (len(left.src) == 0 || left.how == Plain) && (len(right.src) == 0 || right.how == Plain) {
		least = counted
	}
	p.link(src, least, sources...)
}

// looksUp reports whether a condition only compares whole values for equality.
func looksUp(n *pg.Node) bool {
	if b := n.GetBoolExpr(); b != nil {
		return !slices.ContainsFunc(b.Args, func(n *pg.Node) bool { return !looksUp(n) })
	}
	if s := n.GetSubLink(); s != nil {
		list := s.Subselect.GetSelectStmt().GetTargetList()
		return s.SubLinkType == pg.SubLinkType_ANY_SUBLINK && len(s.OperName) == 0 && whole(s.Testexpr) &&
			len(list) == 1 && whole(list[0].GetResTarget().GetVal())
	}
	e := n.GetAExpr()
	if e == nil || len(e.Name) != 1 {
		return false
	}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_IN:
		op := strs(e.Name)[0]
		return (op == "=" || op == "<>") && whole(e.Lexpr) && whole(e.Rexpr)
	}
	return false
}

// whole reports whether an expression is all of a value, but for its case and
// the space around it.
func whole(n *pg.Node) bool {
	switch e := n.GetNode().(type) {
	case *pg.Node_ColumnRef, *pg.Node_AConst, *pg.Node_ParamRef:
		return true
	case *pg.Node_TypeCast:
		return whole(e.TypeCast.Arg)
	case *pg.Node_CollateClause:
		return whole(e.CollateClause.Arg)
	case *pg.Node_List:
		return !slices.ContainsFunc(e.List.Items, func(n *pg.Node) bool { return !whole(n) })
	case *pg.Node_FuncCall:
		name := strs(e.FuncCall.Funcname)
		return len(e.FuncCall.Args) == 1 && slices.Contains([]string{"lower", "upper", "btrim"}, name[len(name)-1]) && whole(e.FuncCall.Args[0])
	}
	return false
}

// computes notes that a condition names a column that is more than a column of a
// table.
func (p *part) computes(v value) {
	p.a.computed = p.a.computed || len(v.src) > 0 && v.how != Plain
}

// meets notes the sources at one level whose made-up columns a name means.
func (p *part) meets(src *source, name string) {
	for _, f := range src.cols {
		if f.gen != given && (name == "" || f.name == name) {
			p.a.met = append(p.a.met, src)
			return
		}
	}
}

// spell lets the sources of sc derive from what chooses among their rows, by the
// links from the given one on.
func (p *part) spell(sc *scope, from int) {
	by := p.choices(from)
	if len(by) == 0 {
		return
	}
	here := map[*source]bool{}
	for src := range sc.all() {
		here[src] = true
	}
	for k, src := range by {
		if here[k.src] {
			p.spellSource(sc, k.src, k.least, src)
		}
	}
}

// A choice is about the columns of a source that are made up at least so.
type choice struct {
	src   *source
	least generation
}

// choices returns what chooses among the rows of sources, by the links from the
// given one on.
func (p *part) choices(from int) map[choice]Columns {
	links := p.a.links[min(from, len(p.a.links)):]
	by := map[choice]Columns{}
	for changed := len(links) > 0; changed && p.spend(len(links)); {
		changed = false
		for _, l := range links {
			all := l.src
			for least := stocked; least <= counted; least++ {
				src := l.src
				for _, s := range l.sources {
					src = src.Union(by[choice{s, least}])
				}
				all = all.Union(src)
				changed = l.copied && choose(by, l.sources, least, src) || changed
			}
			changed = !l.copied && choose(by, l.sources, l.least, all) || changed
		}
	}
	return by
}

// choose adds src to what chooses among the rows of sources, and reports whether
// that is more.
func choose(by map[choice]Columns, sources []*source, least generation, src Columns) bool {
	more := false
	for _, s := range sources {
		if k := (choice{s, least}); !by[k].ContainsAll(src) {
			by[k], more = by[k].Union(src), true
		}
	}
	return more
}

// copies analyzes an entry of FROM, which may hold what made-up rows of entries
// around it do.
func (p *part) copies(around *scope, analyze func() *source) *source {
	met := p.a.met
	p.a.met = nil
	s := analyze()
	if s != nil && slices.ContainsFunc(s.cols, func(f field) bool { return f.gen != given }) {
		sources := []*source{s}
		for sc := around; sc != nil && len(p.a.met) > 0; sc = sc.outer {
			for src := range sc.all() {
				if slices.Contains(p.a.met, src) {
					sources = append(sources, src)
				}
			}
		}
		if len(sources) > 1 && p.step() {
			p.a.links = append(p.a.links, link{sources: sources, copied: true})
		}
	}
	p.a.met = append(met, p.a.met...)
	return s
}

// spellSource lets the made-up columns of a source derive from src.
func (p *part) spellSource(sc *scope, s *source, least generation, src Columns) {
	names := map[string]bool{}
	s.cols = slices.Clone(s.cols)
	for i, f := range s.cols {
		if f.gen >= least && !derives(f.value, src) {
			s.cols[i].value = p.spelled(f.value, src)
			names[f.name] = true
		}
	}
	if len(names) == 0 {
		return
	}
	s.whole = p.spelled(s.whole, src)
	if s.whole.fields != nil && len(s.whole.fields) == len(s.cols) {
		s.whole.fields = s.cols
	}
	s.rows = s.rows.Union(src)
	for _, it := range sc.items {
		if !slices.Contains(it.sources, s) {
			continue
		}
		it.visible = slices.Clone(it.visible)
		for i, f := range it.visible {
			if names[f.name] && f.gen >= least {
				it.visible[i].value = p.spelled(f.value, src)
			}
		}
	}
}

// derives reports whether v and all that is told apart in it derive from src.
func derives(v value, src Columns) bool {
	missing := func(f field) bool { return !derives(f.value, src) }
	return v.src.ContainsAll(src) && !slices.ContainsFunc(v.fields, missing) && !slices.ContainsFunc(v.keys, missing)
}

// spelled returns v where src chooses it.
func (p *part) spelled(v value, src Columns) value {
	r := p.chosen(v, counting(src, Expression))
	r.origin, r.known = v.origin, v.known
	for _, f := range v.fields {
		r.fields = append(r.fields, field{f.name, p.spelled(f.value, src)})
	}
	return r
}

// correlated returns what a subquery, which made the links from the given one
// on, says of the made-up rows around it.
func (p *part) correlated(sc *scope, from int) value {
	by := p.choices(from)
	v := constant(0)
	for s := sc; s != nil && len(by) > 0 && p.spend(len(by)); s = s.outer {
		for src := range s.all() {
			for least := stocked; least <= counted; least++ {
				if chosen := by[choice{src, least}]; len(chosen) > 0 && (least == stocked || !isStock(src)) {
					v = p.combine(0, v, counting(chosen, Expression))
					v.gen = counted // it says of them which are right
				}
			}
		}
	}
	return v
}

// isStock reports whether the system catalogs are all that a source is.
func isStock(src *source) bool {
	return !slices.ContainsFunc(src.cols, func(f field) bool { return f.gen > stocked })
}

// choosing links what else of a SELECT chooses among made-up rows before its
// outputs are looked at: HAVING, and what it is grouped and ordered by.
func (p *part) choosing(sel *pg.SelectStmt, sc *scope) {
	for src := range sc.all() {
		if slices.ContainsFunc(src.cols, func(f field) bool { return f.gen != given }) {
			if sel.HavingClause != nil {
				p.tested(boolOID, sel.HavingClause, sc)
			}
			for _, list := range [][]*pg.Node{sel.SortClause, sel.GroupClause, sel.DistinctClause} {
				for _, n := range list {
					if sb := n.GetSortBy(); sb != nil {
						n = sb.Node
					}
					if n = p.keyed(n, sel, sc); n != nil && n.Node != nil && n.GetGroupingSet() == nil {
						p.tested(0, n, sc)
					}
				}
			}
			return
		}
	}
}

// keyed returns what a key stands for: an output by its name or number. It is nil
// for a column as it is that holds nothing but what others hold, or made-up values.
func (p *part) keyed(n *pg.Node, sel *pg.SelectStmt, sc *scope) *pg.Node {
	if c := n.GetAConst(); c != nil {
		i := int(c.GetIval().GetIval())
		if i < 1 || i > len(sel.TargetList) {
			return nil
		}
		n = sel.TargetList[i-1].GetResTarget().GetVal()
	} else if parts := n.GetColumnRef().GetFields(); len(parts) == 1 {
		for _, t := range sel.TargetList {
			if name := t.GetResTarget().GetName(); name != "" && name == parts[0].GetString_().GetSval() {
				n = t.GetResTarget().GetVal()
				break
			}
		}
	}
	ref := n.GetColumnRef()
	if ref == nil {
		return n
	}
	if len(ref.Fields) == 0 || ref.Fields[len(ref.Fields)-1].GetAStar() != nil {
		return nil
	}
	if v, ok := p.column(strs(ref.Fields), sc); ok && v.gen != given && len(v.src) > 0 {
		return n
	}
	return nil
}

// madeUp returns the sources of a join that have a made-up column of a name.
func (p *part) madeUp(it *item, name string) []*source {
	var out []*source
	for _, src := range it.sources {
		if f := named(src.cols, name); f.gen != given {
			out = append(out, src)
		}
	}
	return out
}

// generates says how a function that returns rows makes them up.
func (p *part) generates(f *catalog.Function, v value) generation {
	switch {
	case p.isBuiltin(f) && slices.Contains(counters, f.Name):
		return counted
	case len(v.src) > 0 && p.isBuiltin(f) && !p.userColumns(v.src):
		return stocked
	case len(v.src) > 0 || v.how == Opaque:
		return given
	case p.isBuiltin(f):
		return listed
	}
	return counted
}
