package analysis

import (
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// notStatements are node types whose name ends in Stmt and that never stand as
// a statement, with the reason.
var notStatements = map[string]string{
	"RawStmt":             "wraps the statements of a text",
	"SetOperationStmt":    "made by the server's analysis, never by the parser",
	"PLAssignStmt":        "made in another parse mode only",
	"ReplicaIdentityStmt": "a part of ALTER TABLE",
}

// queryStatements are analyzed by part.statement itself.
var queryStatements = map[string]bool{"SelectStmt": true, "InsertStmt": true, "UpdateStmt": true, "DeleteStmt": true, "MergeStmt": true, "ReturnStmt": true}

// Every kind of statement that the parser knows is handled, and an empty one
// does not make the analysis panic.
func TestEveryStatementIsHandled(t *testing.T) {
	oneof := (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().ByName("node")
	kinds := 0
	for i := range oneof.Fields().Len() {
		f := oneof.Fields().Get(i)
		name := string(f.Message().Name())
		if !strings.HasSuffix(name, "Stmt") || queryStatements[name] || notStatements[name] != "" {
			continue
		}
		kinds++
		n := &pg.Node{}
		m := n.ProtoReflect()
		m.Set(f, protoreflect.ValueOfMessage(m.NewField(f).Message()))
		st := emptyStatement(n)
		require.NotEqual(t, "UNKNOWN", st.Kind, name)
		require.NotEmpty(t, st.Kind, name)
		require.True(t, st.Classes != 0 || len(st.Unknown) > 0, "%s has neither a class nor an unknown", name)
	}
	require.Greater(t, kinds, 100)
}

// What never stands as a statement is Unknown when it does.
func TestNoStatementIsUnknown(t *testing.T) {
	for name := range notStatements {
		oneof := (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().ByName("node")
		for i := range oneof.Fields().Len() {
			if f := oneof.Fields().Get(i); string(f.Message().Name()) == name {
				n := &pg.Node{}
				n.ProtoReflect().Set(f, protoreflect.ValueOfMessage(n.ProtoReflect().NewField(f).Message()))
				require.NotEmpty(t, emptyStatement(n).Unknown, name)
			}
		}
	}
}

func emptyStatement(n *pg.Node) *Statement {
	snap := &catalog.Snapshot{}
	st := &Statement{}
	a := &analyzer{snap: snap, depends: map[catalog.OID]struct{}{}}
	p := &part{a: a, rec: newRecorder(st), names: newPathNames(snap, nil), text: true}
	p.statement(proto.Clone(n).(*pg.Node))
	p.rec.finish()
	return st
}
