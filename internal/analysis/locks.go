package analysis

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// locks records that a query locks the rows that it reads; where nothing limits
// these, the lock is of the whole table in all but name.
func (p *part) locks(sel *pg.SelectStmt, sc *scope) {
	p.effect(RowLock, "locks the rows that it reads")
	if !p.own() || sel == p.cursor { // a cursor locks row by row
		return
	}
	t := &limits{p: p, sc: sc}
	if !t.unlimited(sel) || sel.HavingClause != nil {
		return
	}
	var rels []*catalog.Relation
	var listed []*pg.Node
	from, quals := flattened(sel.FromClause)
	for _, f := range from {
		if _, ok := t.table(f, t.withs().and(sel.WithClause), 0); ok {
			listed = append(listed, f)
			continue
		}
		walk(f, func(n *pg.Node) {
			rv := n.GetRangeVar()
			if rv == nil || rv.Schemaname == "" && p.withQuery(sc.ctes, rv.Relname) != nil {
				return
			}
			if rel := p.names.relation(rangeVarParts(rv)); rel != nil {
				rels = append(rels, rel)
			}
		})
		if f.GetRangeVar() == nil && f.GetJoinExpr() == nil {
			return // it may limit them
		}
	}
	where := sel.WhereClause
	if len(rels) == 1 {
		where = both(where, quals)
	}
	switch {
	case len(rels) == 0:
	case where == nil:
		p.effect(Lock, "locks all rows of "+relName(rels[0]))
	case len(rels) == 1 && len(from) == len(listed)+1:
		if !p.boundOf(rels[0], Update, where, sc, listed...).Limited {
			p.effect(Lock, "locks all rows of "+relName(rels[0]))
		}
	}
}
