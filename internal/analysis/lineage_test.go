package analysis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// connect gives a connection to a database with the schema of a file.
func connect(t testing.TB, name, file string) (*catalog.Snapshot, *pgx.Conn) {
	t.Helper()
	ctx := context.Background()
	s := pgtest.Start(t)
	sql, err := os.ReadFile(file)
	require.NoError(t, err)
	s.Template(t, name, string(sql))
	conn, err := pgx.Connect(ctx, s.DSN("postgres", s.Clone(t, name)))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(ctx) })
	snap, err := catalog.Load(ctx, conn)
	require.NoError(t, err)
	return snap, conn
}

// TestLineageAgainstServer compares our outputs with what the server's own
// analyzer says of random queries: never less, and almost never more.
func TestLineageAgainstServer(t *testing.T) {
	want := 500
	if s := os.Getenv("GUARDEDPG_ORACLE_QUERIES"); s != "" {
		var err error
		want, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	ctx := context.Background()
	_, conn := connect(t, "oracle", "testdata/oracle.sql")
	valid, tried, columns, exact, counted, wider := 0, 0, 0, 0, 0, 0
	seed := uint64(0)
	if s := os.Getenv("GUARDEDPG_ORACLE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	tables := slices.Clone(genTables)
	// Views over views, others in each run.
	for i, g := 0, newGenerator(seed); i < 30; i++ {
		g.tables = tables
		sql, view := g.view(fmt.Sprintf("v_random%d", i))
		if _, err := conn.Exec(ctx, sql); err == nil {
			tables = append(tables, view)
		}
	}
	require.Greater(t, len(tables), len(genTables)+10)
	snap, err := catalog.Load(ctx, conn)
	require.NoError(t, err)
	o := &oracle{conn: conn, snap: snap, views: map[catalog.OID]*tree{}}
	for ; valid < want; seed++ {
		tried++
		require.Less(t, tried, 20*want+1000, "the generator makes too few valid queries")
		g := newGenerator(seed)
		g.tables = tables
		sql := g.statement()
		truth, names, err := o.lineage(ctx, sql)
		var invalid errInvalid
		if errors.As(err, &invalid) {
			if os.Getenv("GUARDEDPG_ORACLE_INVALID") != "" {
				t.Logf("%v: %s", err, sql)
			}
			continue
		}
		require.NoError(t, err, sql)
		valid++
		facts, err := Analyze(ctx, sql, snap, Session{Path: []string{"pg_catalog", "public"}, coarse: true})
		require.NoError(t, err, sql)
		st := facts.Statements[0]
		require.Empty(t, st.Unknown, "seed %d: %s", seed, sql)
		require.Len(t, st.Outputs, len(truth), "seed %d: %s", seed, sql)
		for i, c := range truth {
			got := st.Outputs[i]
			columns++
			require.Truef(t, got.Sources.ContainsAll(c), "seed %d: output %d of\n%s\nhas %s, the server says %s", seed, i, sql,
				colNames(snap, got.Sources), colNames(snap, c))
			require.Equal(t, names[i], got.Name, "seed %d: %s", seed, sql)
			require.True(t, got.Sources.ContainsAll(got.ByRows), "seed %d: %s", seed, sql)
			counted += min(1, len(got.ByRows))
			switch {
			case slices.Equal(minus(got.Sources, got.ByRows), c):
				exact++
			default:
				wider++
				if wider <= 20 {
					t.Logf("seed %d: output %d (%s) is wider: %s, the server says %s\n%s", seed, i, got.Name, colNames(snap, got.Sources), colNames(snap, c), sql)
				}
			}
		}
	}
	t.Logf("%d queries (%d tried), %d outputs, %d exact, %d wider; of all, %d have sources by way of rows", valid, tried, columns, exact, wider, counted)
	require.GreaterOrEqual(t, exact*100, columns*99, "precision")
}

// minus returns what of c is not in d.
func minus(c, d Columns) Columns {
	return slices.DeleteFunc(slices.Clone(c), d.Contains)
}
