package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A predicate in a function's body, or in a DO block, may find its constants in
// parameters and variables:
//
//	CREATE FUNCTION purge(a int) ... DELETE FROM t WHERE id > a
//	SELECT purge(0)
//
// What a call passes as constants is put in their places. A variable of a DO block
// stands for the one expression that it is given; for what is not followed where
// that is another.

// gets notes an expression that the variable is given.
func (v *plVar) gets(expr string) {
	if !slices.Contains(v.exprs, expr) {
		v.exprs = append(v.exprs, expr)
	}
}

// selected notes that one variable is given a column's value, or the least or the
// greatest, once that is assigned.
func (p *part) selected(fr *plFrame, s *plStmt, cols []field) (done func()) {
	if len(s.targets) != 1 || len(cols) != 1 || len(s.targets[0].subscripts) > 0 {
		return func() {}
	}
	dst, rest := p.find(fr, s.targets[0].name)
	sel := p.parsed(fr, s.sql).GetSelectStmt()
	if dst == nil || len(rest) > 0 || sel == nil || sel.IntoClause != nil || len(sel.TargetList) != 1 {
		return func() {}
	}
	of := sel.TargetList[0].GetResTarget().GetVal()
	if f := of.GetFuncCall(); of.GetColumnRef() == nil && !ofEqual[lastOf(f.GetFuncname())] {
		return func() {} // a count may be 0
	}
	other := dst.other
	return func() {
		dst.other = other
		dst.gets("(" + s.sql + ")")
	}
}

// valued returns a predicate with what is known of parameters and variables in
// their places.
func (t *limits) valued(where *pg.Node) *pg.Node {
	p := t.p
	if len(p.loops) > 0 && p.loops[0].call {
		l := p.loops[0]
		row := slices.Clone(l.args)
		for i, name := range l.names {
			if t.rel.ColumnNamed(name) != nil {
				row[i] = nil // the column
			}
		}
		if !slices.ContainsFunc(row, func(n *pg.Node) bool { return n != nil }) {
			return where
		}
		return filled(byName(where, l.names), []valueTable{{alias: l.name, columns: l.names, rows: [][]*pg.Node{row}}}, []int{0})
	}
	names, ok := p.vars.(plNames)
	if !ok || !p.own() || where == nil {
		return where
	}
	found := false
	t.references(where, func(ref *pg.ColumnRef, inner []*pg.RangeVar) {
		found = found || t.variable(names, ref, inner) != nil
	})
	if !found {
		return where
	}
	return t.withVariables(where, names, 0)
}

// variable returns the variable that a reference in a predicate means, or nil: a
// column goes first.
func (t *limits) variable(names plNames, ref *pg.ColumnRef, inner []*pg.RangeVar) *plVar {
	parts := strs(ref.Fields)
	if len(parts) == 0 || t.refers(ref, inner) {
		return nil
	}
	v, _ := names.scope.find(parts)
	return v
}

// withVariables puts expressions in the places of variables.
func (t *limits) withVariables(n *pg.Node, names plNames, depth int) *pg.Node {
	n = proto.Clone(n).(*pg.Node)
	var descend func(m protoreflect.Message)
	descend = func(m protoreflect.Message) {
		node, ok := m.Interface().(*pg.Node)
		if ref := node.GetColumnRef(); ok && ref != nil {
			if v := t.variable(names, ref, nil); v != nil {
				node.Node = t.variableValue(v, ref, names, depth).Node
			}
			return
		}
		each(m, descend)
	}
	descend(n.ProtoReflect())
	return n
}

func (t *limits) variableValue(v *plVar, ref *pg.ColumnRef, names plNames, depth int) *pg.Node {
	if v.other || len(v.exprs) != 1 || v.record || v.rel != nil || depth > maxListedDepth || !t.p.charge(v.exprs[0]) {
		return notFollowed
	}
	tree, err := parseSQL("SELECT " + v.exprs[0])
	if err != nil || len(tree.Stmts) != 1 || len(tree.Stmts[0].Stmt.GetSelectStmt().GetTargetList()) != 1 {
		return notFollowed
	}
	n := t.withVariables(tree.Stmts[0].Stmt.GetSelectStmt().TargetList[0].GetResTarget().GetVal(), names, depth+1)
	if n.GetSubLink() == nil && t.varies(n) {
		return notFollowed
	}
	return n
}

// passedConstant is what a call passes where that is a constant, or nil. l is the
// loop that the function's body stands in.
func (p *part) passedConstant(n *pg.Node, l *loop) *pg.Node {
	n = p.withArguments(n)
	if newLimits(p, nil, nil).varies(n) || hasParam(n) && !p.text {
		return nil
	}
	l.byArgs = l.byArgs || hasParam(n)
	return n
}
