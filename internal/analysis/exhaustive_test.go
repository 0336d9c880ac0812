package analysis

import (
	"path/filepath"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// words makes a set of the words of s.
func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// Where each kind of node may stand in what the parser makes. Statements, whose
// names end in Stmt, are in statements_test.go.
var (
	// expressions are handled by part.expr.
	expressions = words(`ColumnRef ParamRef A_Const A_Expr BoolExpr NullTest BooleanTest FuncCall NamedArgExpr TypeCast CollateClause
		SubLink CaseExpr CoalesceExpr MinMaxExpr A_Indirection A_ArrayExpr RowExpr SQLValueFunction GroupingFunc XmlExpr XmlSerialize
		JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor JsonObjectAgg JsonArrayAgg JsonKeyValue JsonValueExpr
		JsonIsPredicate List MultiAssignRef SetToDefault CurrentOfExpr ResTarget`)
	// sources are handled by part.fromItem.
	sources = words(`RangeVar RangeSubselect RangeFunction RangeTableFunc RangeTableSample JoinExpr`)
	// within are read by what holds them, and stand nowhere else.
	within = words(`Alias IntoClause WithClause CommonTableExpr CTESearchClause CTECycleClause InferClause OnConflictClause MergeWhenClause
		TypeName A_Star A_Indices SortBy WindowDef GroupingSet LockingClause RangeTableFuncCol CaseWhen JsonFormat JsonOutput JsonAggConstructor
		RoleSpec ColumnDef TableLikeClause IndexElem DefElem PartitionElem PartitionSpec PartitionBoundSpec PartitionRangeDatum PartitionCmd
		TriggerTransition AlterTableCmd ObjectWithArgs AccessPriv Constraint CreateOpClassItem StatsElem FunctionParameter VacuumRelation
		PublicationTable PublicationObjSpec String Integer Float Boolean BitString`)
	// analyzed are made by the server's analysis, planner or executor, never by
	// the parser.
	analyzed = words(`TableFunc Var Param Aggref WindowFunc SubscriptingRef FuncExpr OpExpr DistinctExpr NullIfExpr ScalarArrayOpExpr SubPlan
		AlternativeSubPlan FieldSelect FieldStore RelabelType CoerceViaIO ArrayCoerceExpr ConvertRowtypeExpr CollateExpr CaseTestExpr
		ArrayExpr RowCompareExpr JsonReturning JsonConstructorExpr CoerceToDomain CoerceToDomainValue NextValueExpr InferenceElem TargetEntry
		RangeTblRef FromExpr OnConflictExpr Query RangeTblEntry RTEPermissionInfo RangeTblFunction TableSampleClause WithCheckOption
		SortGroupClause WindowClause RowMarkClause MergeAction InlineCodeBlock CallContext IntList OidList`)
)

// nodeKinds calls visit with each kind of node that is no statement, and an
// empty node of it.
func nodeKinds(visit func(name string, n *pg.Node)) {
	fields := (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().ByName("node").Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if name := string(f.Message().Name()); !strings.HasSuffix(name, "Stmt") {
			n := &pg.Node{}
			n.ProtoReflect().Set(f, protoreflect.ValueOfMessage(n.ProtoReflect().NewField(f).Message()))
			visit(name, n)
		}
	}
}

func emptyPart() (*part, *Statement) {
	snap := &catalog.Snapshot{}
	st := &Statement{}
	a := &analyzer{snap: snap, depends: map[catalog.OID]struct{}{}}
	return &part{a: a, rec: newRecorder(st), names: newPathNames(snap, nil), text: true}, st
}

// Every kind of node that the parser knows has its place, and what is out of
// place is Unknown: a new version of the parser's library with a new kind fails
// here.
func TestEveryNodeHasItsPlace(t *testing.T) {
	unknown := func(st *Statement, what string) bool {
		for _, u := range st.Unknown {
			if strings.HasPrefix(u.What, what) {
				return true
			}
		}
		return false
	}
	kinds := 0
	nodeKinds(func(name string, n *pg.Node) {
		kinds++
		places := 0
		for _, set := range []map[string]bool{expressions, sources, within, analyzed} {
			if set[name] {
				places++
			}
		}
		require.Equal(t, 1, places, "%s is in so many lists", name)

		p, st := emptyPart()
		v := p.expr(n, &scope{})
		require.Equal(t, !expressions[name], unknown(st, "an expression of kind"), "%s as an expression", name)
		if !expressions[name] {
			require.Equal(t, Opaque, v.how, name)
		}
		p, st = emptyPart()
		p.fromItem(n, &scope{}, nil)
		require.Equal(t, !sources[name], unknown(st, "an entry of FROM of kind"), "%s in FROM", name)
	})
	require.Equal(t, len(expressions)+len(sources)+len(within)+len(analyzed), kinds)
}

// The lists say what is true of the statements that the corpus has, and it has
// every kind of expression and of source.
func TestCorpusHasEveryNode(t *testing.T) {
	files, err := filepath.Glob("testdata/regress/*.sql")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, file := range files {
		for _, s := range regressFile(t, file) {
			tree, err := parseSQL(s.sql)
			if err != nil {
				continue
			}
			walk(tree.Stmts[0].Stmt, func(n *pg.Node) {
				m := n.ProtoReflect()
				if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("node")); f != nil {
					name := string(f.Message().Name())
					require.False(t, analyzed[name], "%s has a %s", s.place, name)
					seen[name] = true
				}
			})
		}
	}
	for _, set := range []map[string]bool{expressions, sources} {
		for name := range set {
			require.True(t, seen[name], "no statement of the corpus has a %s", name)
		}
	}
}
