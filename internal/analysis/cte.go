package analysis

import (
	"maps"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// with makes the WITH queries of a statement visible in sc. The function that
// it returns analyzes those that nothing referred to: they may have effects.
func (p *part) with(w *pg.WithClause, sc *scope) func() {
	if w == nil {
		return func() {}
	}
	var all []*cte
	for _, n := range w.Ctes {
		c := &cte{name: n.GetCommonTableExpr().GetCtename(), node: n.GetCommonTableExpr(), outer: sc.outer}
		all = append(all, c)
		if w.Recursive {
			sc.ctes = &cteList{c, sc.ctes}
			continue
		}
		// Only what stands before it is visible to a query, and it to what
		// stands after.
		c.ctes = sc.ctes
		p.cteColumns(c)
		sc.ctes = &cteList{c, sc.ctes}
	}
	for _, c := range all {
		if w.Recursive {
			c.ctes = sc.ctes
		}
	}
	return func() {
		for _, c := range all {
			p.cteColumns(c)
		}
	}
}

// maxWithDepth bounds how deep WITH queries may refer to one another: the
// server's own work on such chains is more than linear and cannot be
// interrupted (PostgreSQL 15: 400 take seconds, 600 take 23).
const maxWithDepth = 100

// cteColumns returns the columns of a WITH query.
func (p *part) cteColumns(c *cte) []field {
	around := p.a.with
	p.a.with = c
	cols := p.cteResult(c)
	p.a.with = around
	if around != nil && around != c && c.state == 2 {
		around.depth = max(around.depth, c.depth+1)
		p.a.tooDeep = p.a.tooDeep || around.depth > maxWithDepth
	}
	return cols
}

func (p *part) cteResult(c *cte) []field {
	switch c.state {
	case 2:
		return c.cols
	case 1:
		c.looping = true
		if c.cols == nil {
			p.unknown("the WITH query "+c.name+" refers to itself before its first part", -1)
		}
		return c.cols
	}
	c.state = 1
	names := strs(c.node.Aliascolnames)
	looped := false
	around := &scope{outer: c.outer, ctes: c.ctes}
	if sel := c.node.Ctequery.GetSelectStmt(); sel != nil {
		if sel.Op == pg.SetOperation_SETOP_UNION && sel.Larg != nil {
			first := &scope{outer: c.outer, ctes: c.ctes}
			p.with(sel.WithClause, first)
			c.cols = forgetKeys(c.columns(p, p.query(leftmost(sel), first), names))
		}
		for range 20 {
			c.looping = false
			var cols []field
			tests := p.testsOf(func() { cols = c.columns(p, p.query(sel, around), names) })
			c.rows = c.rows.Union(p.a.rows)
			looped = looped || c.looping
			if c.looping && len(tests) > 0 {
				// Predicates decide how often it goes round, and so how far it
				// counts.
				c.rows = c.rows.Union(tests)
				for i := range cols {
					if computes(sel.Rarg, i) {
						cols[i].value = derived(p.combine(cols[i].typ, cols[i].value, counting(tests, Expression)))
					}
				}
			}
			same := len(cols) == len(c.cols)
			if c.cols != nil {
				for i := range cols {
					if i >= len(c.cols) {
						break
					}
					before := c.cols[i].src
					src := cols[i].src.Union(before)
					cols[i].src, cols[i].byRows, cols[i].keys = src, byRows(src, cols[i].value, c.cols[i].value), nil
					cols[i].named, cols[i].intact = false, false
					same = same && len(cols[i].src) == len(before) && sameFields(cols[i].fields, c.cols[i].fields)
				}
			}
			c.cols = cols
			if !c.looping || same {
				break
			}
		}
		if c.looping {
			// It may stop short of the fixed point only if the rounds ran out:
			// then every column may derive from all.
			var all value
			for _, f := range c.cols {
				all.src = all.src.Union(f.src)
			}
			check := c.columns(p, p.query(sel, around), names)
			for i := range check {
				if i < len(c.cols) && !c.cols[i].src.ContainsAll(check[i].src) {
					for j := range c.cols {
						c.cols[j].src, c.cols[j].how, c.cols[j].fields = all.src.Union(check[j].src), Expression, nil
					}
					break
				}
			}
		}
		if c.node.Ctequery.GetSelectStmt().Op != pg.SetOperation_SETOP_NONE {
			for i := range c.cols {
				c.cols[i].origin, c.cols[i].known = Column{}, true
			}
		}
	} else {
		cols, returns := p.statementIn(c.node.Ctequery, around)
		c.rows = p.a.rows
		c.cols = rename(slices.Clone(cols), names)
		if !returns {
			c.cols = nil
		}
	}
	if again := c.node.Ctequery.GetSelectStmt().GetRarg(); looped && again != nil {
		for i := range c.cols {
			if computes(again, i) {
				c.cols[i].gen = counted
			}
		}
	}
	c.state = 2
	return c.cols
}

// computes reports whether output i of a SELECT is more than a column or a
// constant.
func computes(sel *pg.SelectStmt, i int) bool {
	if sel.Op != pg.SetOperation_SETOP_NONE || len(sel.ValuesLists) > 0 {
		return true
	}
	for j, n := range sel.TargetList {
		ref := n.GetResTarget().GetVal().GetColumnRef()
		if ref != nil && ref.Fields[len(ref.Fields)-1].GetAStar() != nil {
			return true // which output this is cannot be told
		}
		if i == j {
			return ref == nil && n.GetResTarget().GetVal().GetAConst() == nil
		}
	}
	return false
}

// testsOf returns what is tested by what f analyzes.
func (p *part) testsOf(f func()) Columns {
	tests, defined := p.rec.tests, p.rec.defined
	p.rec.tests, p.rec.defined = map[Column]struct{}{}, map[Column]struct{}{}
	f()
	all := setOf(p.rec.tests).Union(setOf(p.rec.defined))
	maps.Copy(p.rec.tests, tests)
	maps.Copy(p.rec.defined, defined)
	return all
}

func sameFields(a, b []field) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if len(a[i].src) != len(b[i].src) {
			return false
		}
	}
	return true
}

// leftmost returns the first part of a UNION, which cannot refer to the WITH
// query itself.
func leftmost(sel *pg.SelectStmt) *pg.SelectStmt {
	for sel.Op == pg.SetOperation_SETOP_UNION && sel.Larg != nil {
		sel = sel.Larg
	}
	return sel
}

// columns applies the column names, and adds what SEARCH and CYCLE add.
func (c *cte) columns(p *part, cols []field, names []string) []field {
	cols = rename(settle(cols), names)
	of := func(list []*pg.Node) value {
		var vs []value
		for _, name := range strs(list) {
			vs = append(vs, named(cols, name))
		}
		return derived(p.combine(0, vs...))
	}
	add := func(name string, v value) { cols = append(cols[:len(cols):len(cols)], field{name, v}) }
	if s := c.node.SearchClause; s != nil && s.SearchSeqColumn != "" {
		add(s.SearchSeqColumn, of(s.SearchColList))
	}
	if s := c.node.CycleClause; s != nil {
		path := of(s.CycleColList)
		for _, name := range strs(s.CycleColList) {
			p.compared(named(cols, name))
		}
		mark := p.choose([]*pg.Node{s.CycleMarkValue, s.CycleMarkDefault}, nil)
		p.operator([]string{"<>"}, []value{mark, mark}, -1)
		add(s.CycleMarkColumn, p.combine(mark.typ, mark, path))
		add(s.CyclePathColumn, path)
	}
	return cols
}
