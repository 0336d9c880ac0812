package analysis

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// Parsed definitions are kept with the snapshot that they come from. The trees
// are never changed.

type (
	definitionKey struct{ oid catalog.OID }
	bodyKey       struct{ oid catalog.OID }
	expressionKey struct{ text string }
)

// definition returns the parsed SELECT of a view, or nil.
func (a *analyzer) definition(rel *catalog.Relation) *pg.SelectStmt {
	v := a.snap.Memo(definitionKey{rel.OID}, func() any {
		tree, err := parseSQL(rel.Definition)
		if err != nil || len(tree.Stmts) != 1 {
			return (*pg.SelectStmt)(nil)
		}
		return tree.Stmts[0].Stmt.GetSelectStmt()
	})
	return v.(*pg.SelectStmt)
}

// body returns the parsed statements of an SQL function, nil when they do not
// parse, and an empty list for an empty body.
func (a *analyzer) body(f *catalog.Function, text string) []*pg.Node {
	v := a.snap.Memo(bodyKey{f.OID}, func() any {
		if f.Body != "" {
			return atomicBody(f.Body)
		}
		tree, err := parseSQL(text)
		if err != nil {
			return []*pg.Node(nil)
		}
		stmts := make([]*pg.Node, 0, len(tree.Stmts))
		for _, s := range tree.Stmts {
			stmts = append(stmts, s.Stmt)
		}
		return stmts
	})
	return v.([]*pg.Node)
}

// atomicBody parses what pg_get_function_sqlbody gives: RETURN expression, or
// BEGIN ATOMIC statements END. It is a part of CREATE FUNCTION only.
func atomicBody(text string) []*pg.Node {
	tree, err := parseSQL("CREATE FUNCTION f() RETURNS void " + text)
	if err != nil || len(tree.Stmts) != 1 {
		return nil
	}
	body := tree.Stmts[0].Stmt.GetCreateFunctionStmt().GetSqlBody()
	if body.GetReturnStmt() != nil {
		return []*pg.Node{body}
	}
	stmts := []*pg.Node{}
	for _, n := range body.GetList().GetItems() {
		if l := n.GetList(); l != nil {
			stmts = append(stmts, l.Items...)
			continue
		}
		stmts = append(stmts, n)
	}
	return stmts
}

// expression returns the parsed form of an expression that the server deparsed,
// or nil.
func (a *analyzer) expression(text string) *pg.Node {
	v := a.snap.Memo(expressionKey{text}, func() any {
		tree, err := parseSQL("SELECT " + text)
		if err != nil || len(tree.Stmts) != 1 {
			return (*pg.Node)(nil)
		}
		list := tree.Stmts[0].Stmt.GetSelectStmt().GetTargetList()
		if len(list) != 1 {
			return (*pg.Node)(nil)
		}
		return list[0].GetResTarget().GetVal()
	})
	return v.(*pg.Node)
}
