package guardedpg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/identity"
)

// upTo approves everything, for so many rows.
func (f *fixture) upTo(rows int64) {
	f.approver.Answer(func(r approve.Request) (approve.Grant, error) {
		return approve.Grant{Request: r.ID, Digest: r.Digest, By: []identity.Identity{dba}, At: r.Created, MaxRows: rows}, nil
	})
}

// A limit counts what the statement touches by any way, not what its command tag
// says.
func TestLimitCountsAll(t *testing.T) {
	for name, c := range map[string]struct {
		setup, sql string
		touches    int64
	}{
		"a cascade": {"", "DELETE FROM customers WHERE id = 1", 3},
		"a trigger": {`CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN NULL; END $$;
			CREATE TRIGGER wipe AFTER UPDATE ON notes FOR EACH STATEMENT EXECUTE FUNCTION wipe()`, "UPDATE notes SET body = 'x' WHERE id = 1", 4},
		"a trigger that waits for the commit": {`CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN NULL; END $$;
			CREATE CONSTRAINT TRIGGER wipe AFTER UPDATE ON notes INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wipe()`,
			"UPDATE notes SET body = 'x' WHERE id = 1", 4},
		"a part of a SELECT":      {"", "WITH gone AS (DELETE FROM orders RETURNING id) SELECT 1", 3},
		"a part of the same kind": {"", "WITH gone AS (DELETE FROM orders WHERE id < 3) DELETE FROM orders WHERE id = 3", 3},
		"a function":              {`CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN 1; END $$`, "SELECT wipe()", 3},
		"a part of the statement": {"", "WITH gone AS (DELETE FROM orders RETURNING id) INSERT INTO scratch SELECT 1, 'x' WHERE 1 = 1", 4},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := shop(t)
			f := newFixtureOn(t, dsn)
			_, err := f.plain.Exec(c.setup)
			require.NoError(t, err)
			f.db.SetMaxOpenConns(1)
			for range 2 { // what an earlier transaction wrote does not count
				f.upTo(c.touches - 1)
				_, err = f.db.Exec(c.sql)
				require.ErrorIs(t, err, guardedpg.ErrHeld)
				require.ErrorContains(t, err, "undone")
				require.Equal(t, 3, f.count(t, "orders"))
			}
			tx, err := f.db.Begin()
			require.NoError(t, err)
			_, err = tx.Exec("INSERT INTO scratch SELECT 1, 'x' FROM generate_series(1, 10)")
			require.NoError(t, err)
			_, err = tx.Exec(c.sql)
			require.ErrorIs(t, err, guardedpg.ErrHeld)
			require.NoError(t, tx.Commit())
			require.Equal(t, 3, f.count(t, "orders"))
			f.upTo(c.touches)
			_, err = f.db.Exec(c.sql)
			require.NoError(t, err)
			require.Less(t, f.count(t, "orders"), 3)
		})
	}
}

// What is not counted in rows does not run under a limit.
func TestLimitOfUncounted(t *testing.T) {
	f := newFixture(t)
	f.upTo(1000)
	for _, sql := range []string{"TRUNCATE orders", "DROP TABLE orders", "VACUUM orders", "DELETE FROM orders; DELETE FROM scratch"} {
		_, err := f.db.Exec(sql)
		require.ErrorIs(t, err, guardedpg.ErrHeld, sql)
		require.ErrorContains(t, err, "limits the number of rows", sql)
	}
	require.Equal(t, 3, f.count(t, "orders"))
}
