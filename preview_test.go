package guardedpg_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/guard"
)

// previewed runs a statement that is held and rejected, and returns what the
// approver was shown.
func (f *fixture) previewed(t *testing.T, sql string, args ...any) approve.Request {
	t.Helper()
	f.approver.No("only looking")
	before := len(f.approver.Requests())
	_, err := f.db.Exec(sql, args...)
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	asked := f.approver.Requests()
	require.Len(t, asked, before+1)
	return asked[before]
}

func withPreview(p guard.Preview) func(*guardedpg.Config) {
	return func(c *guardedpg.Config) { c.Policy.Approval.Preview = p }
}

func TestPreviewEstimate(t *testing.T) {
	f := newFixture(t)
	r := f.previewed(t, "DELETE FROM orders")
	require.EqualValues(t, 3, r.Rows)
	require.EqualValues(t, -1, r.Exact, "the policy does not ask for it")
	r = f.previewed(t, "UPDATE orders SET total = $2 WHERE id = $1", 1, 5.5)
	require.EqualValues(t, 1, r.Rows)
	r = f.previewed(t, "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone")
	require.EqualValues(t, 3, r.Rows, "what is written counts, not what comes back")
	r = f.previewed(t, "DROP TABLE orders")
	require.EqualValues(t, -1, r.Rows)
	require.Equal(t, 3, f.count(t, "orders"))
}

func TestPreviewExact(t *testing.T) {
	for name, mode := range map[string]pgx.QueryExecMode{
		"cache_statement": pgx.QueryExecModeCacheStatement, "describe_exec": pgx.QueryExecModeDescribeExec,
		"exec": pgx.QueryExecModeExec, "simple": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withPreview(guard.PreviewExact))
			r := f.previewed(t, "DELETE FROM orders o WHERE o.customer = $2 AND o.id < $1", mode, 3, 1)
			require.EqualValues(t, 2, r.Exact)
			r = f.previewed(t, "UPDATE orders SET total = $1 WHERE id > $2 RETURNING id", mode, 7.5, 1)
			require.EqualValues(t, 2, r.Exact)
			r = f.previewed(t, "UPDATE orders SET total = 0", mode)
			require.EqualValues(t, 3, r.Exact)
			// Not one table, by its WHERE.
			r = f.previewed(t, "DELETE FROM orders USING customers c WHERE c.id = customer", mode)
			require.EqualValues(t, -1, r.Exact)
		})
	}
	f := newFixture(t, withPreview(guard.PreviewNone))
	r := f.previewed(t, "DELETE FROM orders")
	require.EqualValues(t, -1, r.Rows)
	require.EqualValues(t, -1, r.Exact)
}

// A preview that fails says nothing, and the statement waits all the same.
func TestPreviewFails(t *testing.T) {
	f := newFixture(t, withPreview(guard.PreviewExact))
	f.approver.No("no")
	f.db.SetMaxOpenConns(1)
	tx, err := f.db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("SET LOCAL statement_timeout = '77s'")
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO scratch VALUES (1, 'kept')")
	require.NoError(t, err)
	// The division fails when it is planned.
	_, err = tx.Exec("DELETE FROM orders WHERE id = 1 / 0")
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	r := f.approver.Requests()[0]
	require.EqualValues(t, -1, r.Rows)
	require.EqualValues(t, -1, r.Exact)
	// It sees what the transaction did, and leaves nothing behind.
	_, err = tx.Exec("DELETE FROM scratch")
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.EqualValues(t, 1, f.approver.Requests()[1].Exact)
	var timeout, readOnly string
	require.NoError(t, tx.QueryRow("SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')").Scan(&timeout, &readOnly))
	require.Equal(t, "77s", timeout)
	require.Equal(t, "off", readOnly)
	var locks int
	require.NoError(t, f.plain.QueryRow("SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass").Scan(&locks))
	require.Zero(t, locks, "the question took locks and kept them")
	require.NoError(t, tx.Commit())
	require.Equal(t, 1, f.count(t, "scratch"))
}

// Planning runs functions that claim to be immutable, and counting runs those
// of the WHERE.
func TestPreviewRunsNothing(t *testing.T) {
	f := newFixture(t, withPreview(guard.PreviewExact), func(c *guardedpg.Config) { c.Policy.Unknown = guard.Hold })
	for _, sql := range []string{
		"CREATE FUNCTION lock_now() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN true; END $$",
		"CREATE FUNCTION liar() RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN lock_now(); END $$",
		"CREATE FUNCTION hidden() RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ DECLARE b bool; BEGIN EXECUTE 'select lock_now()' INTO b; RETURN b; END $$",
		"CREATE FUNCTION fickle(int) RETURNS bool LANGUAGE sql AS 'SELECT $1 > 0'",
	} {
		_, err := f.plain.Exec(sql)
		require.NoError(t, err)
	}
	for _, sql := range []string{
		"DELETE FROM orders WHERE liar()", "DELETE FROM orders WHERE hidden()", "DELETE FROM orders WHERE lock_now()",
		"DELETE FROM orders WHERE pg_advisory_lock(7) IS NULL",
	} {
		r := f.previewed(t, sql)
		require.EqualValues(t, -1, r.Rows, sql)
		require.EqualValues(t, -1, r.Exact, sql)
	}
	var locks int
	require.NoError(t, f.plain.QueryRow("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").Scan(&locks))
	require.Zero(t, locks)
	r := f.previewed(t, "DELETE FROM orders WHERE fickle(id)")
	require.Positive(t, r.Rows, "planning does not call it")
	require.EqualValues(t, -1, r.Exact)
}

// A rule may ask for the estimate; what cannot be estimated counts as matching.
func TestEstimateRule(t *testing.T) {
	f := newFixture(t, func(c *guardedpg.Config) {
		c.Policy.Critical = nil
		c.Policy.Rules = []guard.Rule{{Name: "many", When: "statement.kind == 'DELETE' && statement.estimate > 2", Then: guard.Hold}}
	})
	f.approver.No("no")
	_, err := f.db.Exec("DELETE FROM orders WHERE id = $1", 1)
	require.NoError(t, err)
	require.Empty(t, f.approver.Requests())
	_, err = f.plain.Exec("INSERT INTO orders SELECT i, 1, 1 FROM generate_series(10, 2000) i; ANALYZE orders")
	require.NoError(t, err)
	r := f.previewed(t, "DELETE FROM orders WHERE id > 0")
	require.Equal(t, "many", r.Rule)
	require.Greater(t, r.Rows, int64(1000))
	_, err = f.db.Exec("DELETE FROM orders WHERE id = 1 / 0")
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.Equal(t, 1993, f.count(t, "orders"))
}
