package guardedpg_test

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A generatedQuery is an entry of internal/analysis/testdata/precision.yaml: a
// random query, and the base columns of each output as the server's own
// analyzer sees them. A test of that package compares the file with the server.
type generatedQuery struct {
	SQL  string
	From [][]string

	plain  [][]any // what pgx returns
	counts []bool  // which outputs say how many rows there are, and no more
	// made are, by output, the columns that decide how many rows there are: they
	// flow into what counts them, which the server does not see.
	made []analysis.Columns
}

// TestPrecision protects one column at a time. An output that derives from it
// is masked, or the statement refused; one that does not is what pgx returns, in
// value and Go type.
func TestPrecision(t *testing.T) {
	schema, err := os.ReadFile("internal/analysis/testdata/oracle.sql")
	require.NoError(t, err)
	b, err := os.ReadFile("internal/analysis/testdata/precision.yaml")
	require.NoError(t, err)
	var queries []*generatedQuery
	require.NoError(t, yaml.Unmarshal(b, &queries))
	require.GreaterOrEqual(t, len(queries), 300)
	dsn := database(t, "precision", string(schema))
	plain, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer plain.Close()
	snap := snapshot(t, dsn)
	columns := map[string]bool{}
	for _, q := range queries {
		facts, err := analysis.Analyze(t.Context(), q.SQL, snap, analysis.Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err)
		st := facts.Statements[0]
		for _, o := range st.Outputs {
			q.counts = append(q.counts, o.How == analysis.Count)
			q.made = append(q.made, slices.DeleteFunc(slices.Clone(o.Sources), func(c analysis.Column) bool {
				return !st.Tests.Contains(c) && !st.DefinedTests.Contains(c)
			}))
		}
		q.plain, _ = table(t, plain, q.SQL)
		for _, from := range q.From {
			for _, column := range from {
				if strings.HasPrefix(column, "public.") {
					columns[column] = true
				}
			}
		}
	}
	require.Greater(t, len(columns), 25)
	carriers := carriersOf(snap)
	name := columnNames(snap)
	var ran, masked, same, refused, counted, wider int
	for n, column := range slices.Sorted(maps.Keys(columns)) {
		carries := carriers(column)
		require.Contains(t, carries, column)
		db := open(t, guardedpg.Config{DSN: dsn, Identify: as(agent), Policy: guard.Policy{
			Default: guard.Allow, Protect: []guard.Protect{{Column: quoted(column), Mask: maskNamed("null")}}}})
		for i, q := range queries {
			derives := make([]bool, len(q.From))
			for j, from := range q.From {
				derives[j] = !q.counts[j] && slices.ContainsFunc(from, func(c string) bool { return carries[c] })
			}
			touches := slices.Contains(derives, true)
			// Where nothing derives from the column, every query is tried with a
			// fourth of the columns, or in a full run with each.
			if !touches && !full && (i+n)%8 != 0 {
				continue
			}
			ran++
			rows, err := db.Query(q.SQL)
			var refusal *guardedpg.RefusedError
			if errors.As(err, &refusal) {
				require.True(t, touches, "%s is refused for %s: %v", q.SQL, column, err)
				refused++
				continue
			}
			require.NoError(t, err, q.SQL)
			got := readRows(t, rows)
			require.Len(t, got, len(q.plain), q.SQL)
			for j := range derives {
				over := false
				for k := range got {
					switch {
					case derives[j]:
						require.Nil(t, got[k][j], "output %d derives from %s: %s", j, column, q.SQL)
						masked++
					case shown(q.plain[k][j]) == shown(got[k][j]):
						same++
					case got[k][j] == nil:
						over = true
					default:
						t.Fatalf("output %d with %s protected: %s instead of %s: %s", j, column, shown(got[k][j]), shown(q.plain[k][j]), q.SQL)
					}
				}
				if over && slices.ContainsFunc(q.made[j], func(c analysis.Column) bool { return carries[name[c]] }) {
					counted++
				} else if over {
					wider++
					t.Logf("output %d does not derive from %s and is masked: %s", j, column, q.SQL)
				}
			}
		}
		db.Close()
	}
	t.Logf("%d queries, %d columns, %d runs: %d values masked, %d as pgx gives them, %d statements refused, %d outputs masked for what they count, %d without need",
		len(queries), len(columns), ran, masked, same, refused, counted, wider)
	require.Less(t, counted*50, ran)
	require.Zero(t, wider)
	require.Less(t, refused*100, ran, "statements refused rather than masked")
}

func snapshot(t *testing.T, dsn string) *catalog.Snapshot {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	defer conn.Close(ctx)
	snap, err := catalog.Load(ctx, conn)
	require.NoError(t, err)
	return snap
}

// carriersOf returns a function that names the columns that carry a column's
// values: partitions, generated columns, materialized views and the like.
func carriersOf(snap *catalog.Snapshot) func(column string) map[string]bool {
	name := columnNames(snap)
	seeds := map[string]analysis.Column{}
	for column, n := range name {
		seeds[n] = column
	}
	return func(column string) map[string]bool {
		all := map[string]bool{column: true}
		for c := range analysis.Derived(snap, analysis.Columns{seeds[column]}) {
			all[name[c]] = true
		}
		return all
	}
}

func columnNames(snap *catalog.Snapshot) map[analysis.Column]string {
	name := map[analysis.Column]string{}
	for rel := range snap.Relations() {
		for _, c := range rel.Columns {
			name[analysis.Column{Rel: rel.OID, Att: c.Num}] = rel.Schema + "." + rel.Name + "." + c.Name
		}
	}
	return name
}

// quoted writes "schema.table.column" as a pattern that folds no case. None of
// the names has a dot.
func quoted(column string) string {
	parts := strings.Split(column, ".")
	for i, p := range parts {
		parts[i] = pgx.Identifier{p}.Sanitize()
	}
	return strings.Join(parts, ".")
}
