package analysis

import (
	"math/big"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// locks records that a query locks the rows that it reads; where nothing limits
// these, the lock is of the whole table in all but name.
func (p *part) locks(sel *pg.SelectStmt, sc *scope) {
	p.effect(RowLock, "locks the rows that it reads")
	if !p.asked() {
		return
	}
	rel := p.locked(sel, sc)
	switch {
	case rel == nil:
	case sel == p.cursor: // it locks row by row
		p.rec.st.Locks = relName(rel)
	default:
		p.effect(Lock, "locks all rows of "+relName(rel))
	}
}

// locked returns a relation of which a query locks all rows, or nil.
func (p *part) locked(sel *pg.SelectStmt, sc *scope) *catalog.Relation {
	t := newLimits(p, nil, sc)
	if !t.unlimited(sel) || sel.HavingClause != nil {
		return nil
	}
	var rels []*catalog.Relation
	var listed, others []*pg.Node
	from, quals := flattened(sel.FromClause)
	for _, f := range from {
		if _, ok := t.table(f, t.withs().and(sel.WithClause), 0); ok {
			listed = append(listed, f)
			continue
		}
		list, limited := t.lockedIn(f, 0)
		if limited {
			return nil
		}
		rels, others = append(rels, list...), append(others, f)
	}
	where := sel.WhereClause
	if len(rels) == 1 {
		where = both(where, quals)
	} else if t.fixes(quals, rels) {
		return nil
	}
	switch {
	case len(rels) == 0:
	case where == nil:
		return rels[0]
	case len(rels) == 1 && len(others) == 1 && others[0].GetRangeVar() != nil:
		if !p.boundOf(rels[0], Update, where, sc, listed...).Limited {
			return rels[0]
		}
	}
	return nil
}

// lockedIn returns the relations of which an entry of FROM locks rows, and whether
// the entry itself limits which.
func (t *limits) lockedIn(n *pg.Node, depth int) (rels []*catalog.Relation, limited bool) {
	if depth > maxCoverDepth {
		return nil, true
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		if e.RangeVar.Schemaname == "" && t.p.withQuery(t.sc.ctes, e.RangeVar.Relname) != nil {
			return nil, false
		}
		if rel := t.p.names.relation(rangeVarParts(e.RangeVar)); rel != nil {
			rels = append(rels, rel)
		}
		return rels, false
	case *pg.Node_JoinExpr:
		left, limitsLeft := t.lockedIn(e.JoinExpr.Larg, depth+1)
		right, limitsRight := t.lockedIn(e.JoinExpr.Rarg, depth+1)
		return append(left, right...), limitsLeft || limitsRight
	case *pg.Node_RangeFunction:
		return nil, false
	case *pg.Node_RangeTableSample:
		if args := e.RangeTableSample.Args; len(args) == 1 {
			if percent := t.number(args[0]); percent != nil && percent.Cmp(big.NewFloat(99)) >= 0 {
				return t.lockedIn(e.RangeTableSample.Relation, depth+1)
			}
		}
	case *pg.Node_RangeSubselect:
		sel := e.RangeSubselect.GetSubquery().GetSelectStmt()
		if sel == nil || sel.Op != pg.SetOperation_SETOP_NONE || sel.WhereClause != nil || sel.HavingClause != nil || len(sel.GroupClause) > 0 || !t.unlimited(sel) {
			return nil, true
		}
		for _, f := range sel.FromClause {
			list, limited := t.lockedIn(f, depth+1)
			if limited {
				return nil, true
			}
			rels = append(rels, list...)
		}
		return rels, false
	}
	return nil, true
}

// fixes reports whether the conditions of inner joins join all relations by their
// columns, one to the next, and say which value one of these has.
func (t *limits) fixes(quals *pg.Node, rels []*catalog.Relation) bool {
	if quals == nil {
		return false
	}
	fixed := false
	joined, group := 0, map[string]string{} // by name, another of those that are joined
	root := func(name string) string {
		for group[name] != "" {
			name = group[name]
		}
		return name
	}
	for _, n := range conjuncts(quals) {
		e := n.GetAExpr()
		if e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP || opName(e) != "=" {
			continue
		}
		l, r := strs(e.Lexpr.GetColumnRef().GetFields()), strs(e.Rexpr.GetColumnRef().GetFields())
		fixes := func(side []string, n *pg.Node) bool {
			return len(side) == 2 && !t.varies(n) && !isBool(n, true) && !isBool(n, false)
		}
		switch {
		case len(l) == 2 && len(r) == 2:
			if a, b := root(l[0]), root(r[0]); a != b {
				group[a] = b
				joined++
			}
		case fixes(l, e.Rexpr), fixes(r, e.Lexpr):
			fixed = true
		}
	}
	return fixed && joined == len(rels)-1
}
