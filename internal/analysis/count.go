package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxCounted bounds the texts that [CountQuery] takes: writing a tree recurses
// in C as deep as the tree is.
const maxCounted = 4 << 10

// CountQuery returns a query that counts the rows which a text would touch that
// is one UPDATE or DELETE of one table, found by its WHERE alone. Params are the
// numbers of the text's parameters that the query has: its $1 is the text's
// $params[0]. Of any other text, ok is false.
func CountQuery(sql string) (query string, params []int, ok bool) {
	if len(sql) > maxCounted {
		return "", nil, false
	}
	tree, err := parseSQL(sql)
	if err != nil || len(tree.Stmts) != 1 {
		return "", nil, false
	}
	var table *pg.RangeVar
	var where *pg.Node
	switch s := tree.Stmts[0].Stmt.GetNode().(type) {
	case *pg.Node_UpdateStmt:
		u := s.UpdateStmt
		if u.WithClause != nil || len(u.FromClause) > 0 {
			return "", nil, false
		}
		table, where = u.Relation, u.WhereClause
	case *pg.Node_DeleteStmt:
		d := s.DeleteStmt
		if d.WithClause != nil || len(d.UsingClause) > 0 {
			return "", nil, false
		}
		table, where = d.Relation, d.WhereClause
	default:
		return "", nil, false
	}
	if where.GetCurrentOfExpr() != nil {
		return "", nil, false
	}
	counting, err := parseSQL("SELECT pg_catalog.count(*) FROM t WHERE true")
	if err != nil {
		return "", nil, false
	}
	query0 := counting.Stmts[0].Stmt.GetSelectStmt()
	query0.FromClause[0].Node = &pg.Node_RangeVar{RangeVar: table}
	query0.WhereClause = where
	params = renumber(counting.ProtoReflect())
	query, err = pg.Deparse(counting)
	if err != nil {
		return "", nil, false
	}
	// What was written must read as what was meant.
	again, err := parseSQL(query)
	if err != nil {
		return "", nil, false
	}
	for _, t := range []*pg.ParseResult{counting, again} {
		forgetPlaces(t.ProtoReflect())
	}
	return query, params, proto.Equal(counting, again)
}

// renumber numbers the parameters of a tree from 1 without a gap, and returns
// their numbers before.
func renumber(tree protoreflect.Message) []int {
	var refs []*pg.ParamRef
	var params []int
	var find func(m protoreflect.Message)
	find = func(m protoreflect.Message) {
		if p, ok := m.Interface().(*pg.ParamRef); ok {
			refs = append(refs, p)
			params = append(params, int(p.Number))
		}
		each(m, find)
	}
	find(tree)
	slices.Sort(params)
	params = slices.Compact(params)
	for _, p := range refs {
		p.Number = int32(slices.Index(params, int(p.Number)) + 1)
	}
	return params
}

// forgetPlaces removes from a tree where in the text things stand.
func forgetPlaces(m protoreflect.Message) {
	for _, name := range []protoreflect.Name{"location", "stmt_location", "stmt_len"} {
		if fd := m.Descriptor().Fields().ByName(name); fd != nil {
			m.Clear(fd)
		}
	}
	each(m, forgetPlaces)
}
