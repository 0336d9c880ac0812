package analysis

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// changed gives an expression of each type that differs from the column.
var changed = map[string]string{
	"integer": "$1 + 1000", "bigint": "$1 + 1000", "text": "$1 || '~'", "character varying": "$1 || '~'",
	"date": "$1 + 10", "timestamp with time zone": "$1 + interval '100 days'", "numeric": "$1 + 7", "ARRAY": "$1[2:]",
	"jsonb": `$1 || '{"k": "changed", "x": 1}'`, "boolean": "NOT $1", "USER-DEFINED": "NULL",
}

// TestPerturbation needs no analyzer to know the truth: where changing a
// column's values changes an output, the facts must name that column.
func TestPerturbation(t *testing.T) {
	queries := 50
	if s := os.Getenv("GUARDEDPG_PERTURB_QUERIES"); s != "" {
		var err error
		queries, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	ctx := context.Background()
	snap, conn := connect(t, "oracle", "testdata/oracle.sql")
	_, err := conn.Exec(ctx, "ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey; SET jit = off; SET statement_timeout = '20ms'")
	require.NoError(t, err)

	var list []perturbed
	for seed := uint64(500_000); len(list) < queries; seed++ {
		sql := newGenerator(seed).statement()
		if strings.Contains(sql, "xmin") {
			continue // writing a table anew changes it
		}
		if _, err := run(ctx, conn, sql); err != nil {
			continue
		}
		facts, err := Analyze(ctx, sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err)
		list = append(list, perturbed{sql, facts.Statements[0]})
	}
	// Only quick queries were taken; from now on they may take their time.
	_, err = conn.Exec(ctx, "SET statement_timeout = 0")
	require.NoError(t, err)
	columns, seen := perturb(ctx, t, snap, conn, list)
	t.Logf("%d queries, %d columns changed, %d changed outputs", len(list), columns, seen)
	require.Greater(t, seen, len(list), "the test sees too few changes to mean anything")
}

// TestPerturbWritten does the same with written statements over functions,
// operators, casts, triggers and rules that a user defines.
func TestPerturbWritten(t *testing.T) {
	ctx := context.Background()
	_, conn := connect(t, "oracle", "testdata/oracle.sql")
	schema, err := os.ReadFile("testdata/perturb/schema.sql")
	require.NoError(t, err)
	_, err = conn.PgConn().Exec(ctx, string(schema)).ReadAll()
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey; SET jit = off")
	require.NoError(t, err)
	snap, err := catalog.Load(ctx, conn)
	require.NoError(t, err)
	text, err := os.ReadFile("testdata/perturb/statements.sql")
	require.NoError(t, err)
	var list []perturbed
	for sql := range strings.Lines(string(text)) {
		if sql = strings.TrimSpace(sql); sql == "" || strings.HasPrefix(sql, "--") {
			continue
		}
		_, err := run(ctx, conn, sql)
		assert.NoError(t, err, sql)
		facts, err := Analyze(ctx, sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err, sql)
		assert.Empty(t, facts.Statements[0].Unknown, sql)
		list = append(list, perturbed{sql, facts.Statements[0]})
	}
	require.False(t, t.Failed())
	columns, seen := perturb(ctx, t, snap, conn, list)
	t.Logf("%d statements, %d columns changed, %d changed outputs", len(list), columns, seen)
	require.Greater(t, seen, 2*len(list))
}

// A perturbed statement is one whose outputs are watched.
type perturbed struct {
	sql string
	st  *Statement
}

// perturb changes every column of the tables, one after the other, and requires
// that the outputs that change name it. It returns how many columns it changed
// and how many outputs did change.
func perturb(ctx context.Context, t *testing.T, snap *catalog.Snapshot, conn *pgx.Conn, list []perturbed) (columns, seen int) {
	// Statistics that came between two runs would change the plan, and with it the
	// order in which array_agg and its kin gather.
	_, err := conn.Exec(ctx, `DO $$ DECLARE t regclass; BEGIN
		FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') LOOP
			EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', t);
		END LOOP; END $$`)
	require.NoError(t, err)
	rows, err := conn.Query(ctx, `SELECT table_name, column_name, data_type FROM information_schema.columns
		JOIN pg_class c ON c.oid = format('public.%I', table_name)::regclass
		WHERE table_schema = 'public' AND c.relkind = 'r' AND is_generated = 'NEVER' ORDER BY 1, ordinal_position`)
	require.NoError(t, err)
	type target struct{ Table, Column, Type string }
	targets, err := pgx.CollectRows(rows, pgx.RowToStructByPos[target])
	require.NoError(t, err)
	for _, c := range targets {
		rel := snap.RelationNamed("public", c.Table)
		base := Column{rel.OID, rel.ColumnNamed(c.Column).Num}
		carriers := Derived(snap, Columns{base})
		tx, err := conn.Begin(ctx)
		require.NoError(t, err)
		quoted := pgx.Identifier{c.Column}.Sanitize()
		table := pgx.Identifier{c.Table}.Sanitize()
		var cols string
		for _, col := range rel.Columns {
			if !col.Dropped && col.Generated == 0 {
				if cols != "" {
					cols += ", "
				}
				cols += pgx.Identifier{col.Name}.Sanitize()
			}
		}
		// The table is written anew before both runs, so that rows lie and
		// plans are the same, and only the values differ.
		rewrite := fmt.Sprintf("SET LOCAL session_replication_role = replica; TRUNCATE ONLY %[1]s; "+
			"INSERT INTO %[1]s (%[2]s) SELECT %[2]s FROM kept ORDER BY place; SET LOCAL session_replication_role = origin", table, cols)
		_, err = tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT row_number() OVER () AS place, * FROM ONLY %s; ", table)+rewrite)
		require.NoError(t, err)
		before := make([][][]string, len(list))
		for i, q := range list {
			before[i], err = runIn(ctx, tx, q.sql)
			require.NoError(t, err)
		}
		_, err = tx.Exec(ctx, fmt.Sprintf("UPDATE kept SET %s = %s; ", quoted, strings.ReplaceAll(changed[c.Type], "$1", quoted))+rewrite)
		require.NoError(t, err, "%v", c)
		for i, q := range list {
			after, err := runIn(ctx, tx, q.sql)
			if err != nil {
				continue // the change made it fail, which tells nothing of outputs
			}
			for j := range q.st.Outputs {
				if slices.Equal(before[i][j], after[j]) {
					continue
				}
				seen++
				named := func(cols Columns) bool {
					return slices.ContainsFunc(cols, func(x Column) bool { _, ok := carriers[x]; return ok })
				}
				assert.Truef(t, named(q.st.Outputs[j].Sources) || named(q.st.Tests) || named(q.st.DefinedTests),
					"changing %s.%s changes output %d of\n%s\nbut the facts name %s; tests %s", c.Table, c.Column, j, q.sql,
					colNames(snap, q.st.Outputs[j].Sources), colNames(snap, q.st.Tests))
			}
		}
		require.NoError(t, tx.Rollback(ctx))
	}
	return len(targets), seen
}

func run(ctx context.Context, conn *pgx.Conn, sql string) ([][]string, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx)
	return runIn(ctx, tx, sql)
}

// runIn returns the values of each output column, sorted: order is not meant.
func runIn(ctx context.Context, tx pgx.Tx, sql string) ([][]string, error) {
	sp, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer sp.Rollback(ctx)
	rows, err := sp.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([][]string, len(rows.FieldDescriptions()))
	for rows.Next() {
		for i, v := range rows.RawValues() {
			out[i] = append(out[i], string(v))
		}
	}
	for i := range out {
		sort.Strings(out[i])
	}
	return out, rows.Err()
}
