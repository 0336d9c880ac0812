package analysis

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FuzzAnalyze finds texts that make the analysis panic, that come back with
// nothing to decide on, or that tell a value apart from the rest of the text.
func FuzzAnalyze(f *testing.F) {
	files, err := filepath.Glob("testdata/regress/*.sql")
	require.NoError(f, err)
	for _, file := range files {
		for i, s := range regressFile(f, file) {
			if i%20 == 0 {
				f.Add(s.sql)
			}
		}
	}
	snap, _ := connect(f, "oracle", "testdata/oracle.sql")
	sess := Session{
		Path:     []string{"pg_catalog", "public"},
		Prepared: func(string) (string, bool) { return "SELECT mail FROM person WHERE id = $1", true },
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 64<<10 {
			return
		}
		Fingerprint(sql)
		CountQuery(sql)
		facts, err := Analyze(context.Background(), sql, snap, sess)
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("an error of type %T: %v", err, err)
			}
			if pe.Position > len(sql) {
				t.Fatalf("position %d of %d", pe.Position, len(sql))
			}
			return
		}
		for _, st := range facts.Statements {
			if st.Kind == "" || st.Classes == 0 && len(st.Unknown) == 0 && st.TxControl == TxNone {
				t.Fatalf("nothing is known of a statement of kind %q, nor is that said", st.Kind)
			}
			if st.Returns && len(st.Unknown) == 0 {
				for _, o := range st.Outputs {
					if o.How == Opaque || o.How != Constant && o.How != Count && len(o.Sources) == 0 {
						t.Fatalf("the output %s is %v of nothing", o.Name, o.How)
					}
				}
			}
			for _, l := range st.Literals {
				if l.Start < 0 || l.End > len(sql) || l.Start > l.End {
					t.Fatalf("a literal from %d to %d of %d", l.Start, l.End, len(sql))
				}
			}
		}
		if err := facts.Report(snap).Write(&strings.Builder{}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzTextDepth finds texts that the bound takes for flatter than their tree is.
func FuzzTextDepth(f *testing.F) {
	for _, d := range deepTexts(f) {
		for _, n := range []int{1, 3, 50} {
			f.Add(d.repeat(n))
		}
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 4<<10 || checkText(sql) != nil {
			return
		}
		bound, err := textDepth(sql)
		if err != nil {
			return
		}
		tree, err := parseSQL(sql)
		if err != nil {
			return
		}
		// Each level that the bound counts may take up to three messages: the
		// node, what kind it is, and a list in it. Some twenty are there at once.
		if deep := messageDepth(tree.ProtoReflect()); deep > 3*bound+20 {
			t.Fatalf("the tree is %d messages deep, the bound says %d levels", deep, bound)
		}
	})
}

// messageDepth says how deep a tree is.
func messageDepth(m protoreflect.Message) int {
	deepest := 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				deepest = max(deepest, messageDepth(v.List().Get(i).Message()))
			}
		default:
			deepest = max(deepest, messageDepth(v.Message()))
		}
		return true
	})
	return deepest + 1
}
