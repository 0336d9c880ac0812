package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// A write of one row, again and again for every row, is no more limited than one
// of all rows.

// A loop runs its body once for each row of a query or each number of a series.
// One that has neither goes on until it is left.
type loop struct {
	names  []string // of the variables; one may be a record
	query  *pg.SelectStmt
	series *pg.FuncCall
	cursor string
}

// looping returns p for the body of a loop. A function's loops are its owner's.
func (p *part) looping(fr *plFrame, s *plStmt) *part {
	if !p.own() {
		return p
	}
	var l loop
	for _, v := range s.targets {
		l.names = append(l.names, v.name[len(v.name)-1])
	}
	switch s.kind {
	case plForQuery:
		l.query = p.parsed(fr, s.sql).GetSelectStmt()
	case plForCursor:
		l.cursor = s.cursor[len(s.cursor)-1]
		if d := p.cursorDecl(fr, s.cursor); d != nil {
			l.query = p.parsed(fr, d.cursor).GetSelectStmt()
		}
	case plForInteger:
		l.series = &pg.FuncCall{Funcname: []*pg.Node{pg.MakeStrNode("generate_series")}}
		for _, e := range s.exprs {
			if sel := p.parsed(fr, "SELECT "+e).GetSelectStmt(); len(sel.GetTargetList()) == 1 {
				l.series.Args = append(l.series.Args, sel.TargetList[0].GetResTarget().GetVal())
			}
		}
	}
	q := *p
	q.loops = append(slices.Clip(p.loops), l)
	return &q
}

// everyRow reports whether the loops around a write meet every row of the
// relation by its predicate.
func (t *limits) everyRow(where *pg.Node) bool {
	var list []cover
	for _, l := range t.p.loops {
		var cols outputs
		switch {
		case l.query != nil:
			cols = t.coveredBy(l.query, t.withs(), 0)
		case l.series != nil && len(l.names) == 1 && len(l.series.Args) >= 2:
			if cols = t.series(l.series, l.names[0]); cols == nil { // REVERSE
				back := []*pg.Node{l.series.Args[1], l.series.Args[0]}
				cols = t.series(&pg.FuncCall{Funcname: l.series.Funcname, Args: append(back, l.series.Args[2:]...)}, l.names[0])
			}
		}
		switch {
		case cols == nil:
		case len(l.names) == 1 && len(cols) > 1:
			list = append(list, cover{l.names[0], cols})
		case len(l.names) == 1 && l.series == nil: // a record, or not
			list = append(list, cover{l.names[0], cols}, cover{"", cols.named(l.names)})
		default:
			list = append(list, cover{"", cols.named(l.names)})
		}
	}
	return t.joinsItself(where, list)
}

// everyRowOf reports whether the loops around a write at a cursor's row may take
// it over every row.
func (t *limits) everyRowOf(cursor string) bool {
	for _, l := range t.p.loops {
		switch {
		case l.cursor == cursor && l.query != nil:
			return t.coveredBy(l.query, t.withs(), 0) != nil
		case l.query == nil:
			return true
		}
	}
	return false
}
