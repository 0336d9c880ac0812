package analysis

import (
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/proto"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// LeastRows is a condition on an output: that it is one of some aggregate
// functions of a column, over at least so many rows in which the column is not
// null.
type LeastRows struct {
	Output    int    // its place
	Column    string // of the one table that the query reads
	Functions []string
	Rows      int
}

// AtLeast returns a text that gives NULL for an output where fewer rows came to
// it than its condition asks, and the places of the outputs that this could be
// written for. The text is to be one SELECT from one table, in which nothing
// makes rows: where others are joined to it, or a function makes many of one,
// one row can come many times and drown the rest. Of any other text ok is false.
func AtLeast(sql string, snap *catalog.Snapshot, list []LeastRows) (text string, outputs []int, ok bool) {
	if len(sql) > maxCounted {
		return "", nil, false
	}
	tree, err := parseSQL(sql)
	if err != nil || len(tree.Stmts) != 1 {
		return "", nil, false
	}
	sel := tree.Stmts[0].Stmt.GetSelectStmt()
	if sel == nil || sel.Op != pg.SetOperation_SETOP_NONE || sel.WithClause != nil || sel.IntoClause != nil || len(sel.ValuesLists) > 0 ||
		len(sel.FromClause) != 1 || sel.FromClause[0].GetRangeVar() == nil || len(sel.LockingClause) > 0 {
		return "", nil, false
	}
	if mayCall(tree.Stmts[0].Stmt, snap, returnsSet) {
		return "", nil, false
	}
	for _, n := range sel.TargetList {
		val := n.GetResTarget().GetVal()
		for _, path := range [][]*pg.Node{val.GetColumnRef().GetFields(), val.GetAIndirection().GetIndirection()} {
			if len(path) > 0 && path[len(path)-1].GetAStar() != nil {
				return "", nil, false // what follows has another place among the outputs than here
			}
		}
	}
	for _, l := range list {
		if l.Output >= len(sel.TargetList) {
			continue
		}
		target := sel.TargetList[l.Output].GetResTarget()
		call := target.GetVal().GetFuncCall()
		if call.GetAggFilter() != nil && mayCall(tree.Stmts[0].Stmt, snap, volatile) {
			continue // the filter could let a row pass to one aggregate and not to the other
		}
		if wrapped := atLeast(call, l); wrapped != nil {
			target.Val = wrapped
			outputs = append(outputs, l.Output)
		}
	}
	if len(outputs) == 0 {
		return "", nil, false
	}
	if text, err = pg.Deparse(tree); err != nil {
		return "", nil, false
	}
	// What was written must read as what was meant.
	again, err := parseSQL(text)
	if err != nil {
		return "", nil, false
	}
	for _, t := range []*pg.ParseResult{tree, again} {
		forgetPlaces(t.ProtoReflect())
	}
	return text, outputs, proto.Equal(tree, again)
}

// mayCall reports whether any name in a statement is that of a function like
// that, or of an operator of one, in whatever schema and role.
func mayCall(n *pg.Node, snap *catalog.Snapshot, like func(*catalog.Function) bool) (found bool) {
	walk(n, func(n *pg.Node) {
		name := n.GetString_().GetSval()
		if name == "" {
			return
		}
		found = found || slices.ContainsFunc(snap.FunctionsNamed(name), like) ||
			slices.ContainsFunc(snap.OperatorsNamed(name), func(o *catalog.Operator) bool { return like(snap.Function(o.Function)) })
	})
	return found
}

func returnsSet(f *catalog.Function) bool { return f == nil || f.ReturnsSet }

func volatile(f *catalog.Function) bool { return f == nil || f.Volatility == 'v' }

// atLeast returns the call under a condition, or nil where it is not what l
// means. The functions are those of the server, whatever the search path is.
func atLeast(call *pg.FuncCall, l LeastRows) *pg.Node {
	if call == nil || len(call.Args) != 1 || len(call.AggOrder) > 0 || call.AggDistinct || call.AggWithinGroup || call.AggStar ||
		call.FuncVariadic || call.Over != nil {
		return nil
	}
	name := strs(call.Funcname)
	if len(name) == 2 && name[0] == "pg_catalog" {
		name = name[1:]
	}
	if len(name) != 1 || !slices.Contains(l.Functions, name[0]) {
		return nil
	}
	column := call.Args[0].GetColumnRef()
	if column == nil || column.Fields[len(column.Fields)-1].GetString_().GetSval() != l.Column {
		return nil
	}
	// The result's name is that of the call in ELSE.
	tree, err := parseSQL("SELECT CASE WHEN pg_catalog.count(c) OPERATOR(pg_catalog.<) " + strconv.Itoa(l.Rows) + " THEN NULL ELSE pg_catalog.f(c) END")
	if err != nil {
		return nil
	}
	out := tree.Stmts[0].Stmt.GetSelectStmt().TargetList[0].GetResTarget().Val
	count := out.GetCaseExpr().Args[0].GetCaseWhen().Expr.GetAExpr().Lexpr.GetFuncCall()
	result := out.GetCaseExpr().Defresult.GetFuncCall()
	result.Funcname[1].GetString_().Sval = name[0]
	for _, f := range []*pg.FuncCall{count, result} {
		f.Args[0] = call.Args[0]
		f.AggFilter = call.AggFilter
	}
	return out
}
