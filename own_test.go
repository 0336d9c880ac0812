package guardedpg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/guard"
)

// An agent reaches the approvers' queue in the same database by no statement,
// whatever the policy allows and whatever role it has.
func TestOwnSchemas(t *testing.T) {
	dsn := shop(t)
	store, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn})
	require.NoError(t, err)
	defer store.Close()
	f := newFixtureOn(t, dsn, func(c *guardedpg.Config) { c.Policy = guard.Policy{Default: guard.Allow} })
	f.db.SetMaxOpenConns(1)
	_, err = f.plain.Exec("CREATE VIEW peek AS SELECT body FROM guardedpg_approve.events;" +
		"CREATE TABLE child () INHERITS (guardedpg_approve.events);" +
		"CREATE FUNCTION forge() RETURNS void LANGUAGE sql AS $$ INSERT INTO guardedpg_approve.events VALUES ('s', 1, 'decided', 'r', '', now(), '{}') $$")
	require.NoError(t, err)
	for _, sql := range []string{
		"INSERT INTO guardedpg_approve.events VALUES ('s', 1, 'decided', 'r', '', now(), '{}')",
		"UPDATE guardedpg_approve.events SET kind = 'decided'",
		"DELETE FROM guardedpg_approve.events",
		"TRUNCATE guardedpg_approve.events",
		"SELECT body FROM guardedpg_approve.events",
		"SELECT count(*) FROM peek",
		"WITH w AS (INSERT INTO guardedpg_approve.events VALUES ('s', 1, 'decided', 'r', '', now(), '{}') RETURNING 1) SELECT 1 FROM w",
		"SELECT forge()",
		"INSERT INTO child VALUES ('s', 1, 'decided', 'r', '', now(), '{}')",
		"CREATE TABLE another () INHERITS (guardedpg_approve.events)",
		"ALTER TABLE notes INHERIT guardedpg_approve.events",
		"CREATE VIEW mine AS SELECT * FROM guardedpg_approve.events",
		"CREATE TABLE mine AS SELECT * FROM guardedpg_approve.events",
		"CREATE RULE r AS ON INSERT TO guardedpg_approve.events DO INSTEAD NOTHING",
		"CREATE RULE r AS ON INSERT TO notes DO ALSO INSERT INTO guardedpg_approve.events VALUES ('s', 1, 'decided', 'r', '', now(), '{}')",
		"CREATE POLICY p ON guardedpg_approve.events USING (true)",
		"DROP TRIGGER place ON guardedpg_approve.events",
		"CREATE OR REPLACE FUNCTION guardedpg_approve.place() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
		"ALTER TABLE guardedpg_approve.events DISABLE TRIGGER ALL",
		"ALTER TABLE guardedpg_approve.events SET SCHEMA public",
		"ALTER TABLE guardedpg_approve.events OWNER TO postgres",
		"ALTER SCHEMA guardedpg_approve RENAME TO elsewhere",
		"DROP SCHEMA guardedpg_approve CASCADE",
		"DROP TABLE guardedpg_approve.events CASCADE",
		"CREATE SCHEMA guardedpg_anchor",
		"GRANT ALL ON guardedpg_approve.events TO PUBLIC",
		"GRANT ALL ON ALL TABLES IN SCHEMA guardedpg_approve TO PUBLIC",
		"GRANT USAGE ON SCHEMA guardedpg_approve TO PUBLIC",
		"COPY guardedpg_approve.events TO '/tmp/events'",
		"LOCK TABLE guardedpg_approve.events",
		"EXPLAIN ANALYZE DELETE FROM guardedpg_approve.events",
		"PREPARE p AS DELETE FROM guardedpg_approve.events",
		"DECLARE c CURSOR WITH HOLD FOR SELECT * FROM guardedpg_approve.events",
		"DO $$ BEGIN DELETE FROM guardedpg_approve.events; END $$",
		"COMMENT ON TABLE guardedpg_approve.events IS 'x'",
		"CREATE STATISTICS st ON kind, request FROM guardedpg_approve.events",
		"CREATE INDEX ON guardedpg_approve.events (seq)",
		"CREATE TRIGGER g AFTER INSERT ON notes FOR EACH STATEMENT EXECUTE FUNCTION guardedpg_approve.tell()",
		"ALTER DEFAULT PRIVILEGES IN SCHEMA guardedpg_approve GRANT ALL ON TABLES TO PUBLIC",
		"CREATE PUBLICATION pub FOR TABLE guardedpg_approve.events",
	} {
		t.Run(sql, func(t *testing.T) {
			tx, err := f.db.Begin()
			require.NoError(t, err)
			defer tx.Rollback()
			_, err = tx.Exec(sql)
			require.ErrorIs(t, err, guardedpg.ErrDenied)
			require.ErrorContains(t, err, "guardedpg approve")
		})
	}
	_, err = f.db.Exec("SET search_path = guardedpg_approve")
	require.NoError(t, err)
	_, err = f.db.Exec("DELETE FROM events")
	require.ErrorIs(t, err, guardedpg.ErrDenied)
	// What is not the guard's is the policy's business.
	_, err = f.db.Exec("CREATE TABLE public.guardedpg_notes (id int)")
	require.NoError(t, err)
	require.Zero(t, f.count(t, "guardedpg_approve.events"))
}
