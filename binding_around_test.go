package guardedpg_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
)

// surroundings are what a statement rests on besides relations and functions,
// and what can become of it between a decision and the statement.
var surroundings = map[string]struct{ setup, text, change string }{
	"the names of an enum's values": {"CREATE TYPE tier AS ENUM ('gold', 'tin'); ALTER TABLE orders ADD tier tier DEFAULT 'tin'", "DELETE FROM orders WHERE tier = 'gold'",
		"ALTER TYPE tier RENAME VALUE 'gold' TO 'x'; ALTER TYPE tier RENAME VALUE 'tin' TO 'gold'"},
	"what an operator calls": {"CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)", "DELETE FROM orders WHERE id === 1",
		"DROP OPERATOR === (int, int); CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4ne)"},
	"a domain's default": {"CREATE DOMAIN amount AS int DEFAULT 1; ALTER TABLE orders ADD extra amount", "INSERT INTO orders (id) VALUES (77)",
		"ALTER DOMAIN amount SET DEFAULT 1000"},
	"the attributes of a composite type": {"CREATE TYPE pair AS (a int, b int)", `DELETE FROM orders WHERE id = (SELECT a FROM jsonb_populate_record(NULL::pair, '{"a": 1, "b": 2}'))`,
		"ALTER TYPE pair RENAME ATTRIBUTE a TO x; ALTER TYPE pair RENAME ATTRIBUTE b TO a"},
	"a text search configuration": {"CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple)", "DELETE FROM orders WHERE NOT to_tsvector('plain', id::text) @@ '2'",
		"ALTER TEXT SEARCH CONFIGURATION plain DROP MAPPING FOR uint"},
	"a collation": {"CREATE COLLATION words (provider = icu, locale = 'en')", "DELETE FROM orders WHERE id = 1 AND id::text < 'b' COLLATE words",
		"DROP COLLATION words; CREATE COLLATION words FROM \"C\""},
	"an event trigger": {"", "CREATE TABLE made (a int)",
		"CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; END $$; CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION ev()"},
	"default privileges": {"", "CREATE TABLE made (a int)", "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC"},
	"a foreign server": {"CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'a'); CREATE USER MAPPING FOR public SERVER far; CREATE FOREIGN TABLE far_orders (id int) SERVER far",
		"UPDATE far_orders SET id = 1", "ALTER SERVER far OPTIONS (SET dbname 'b')"},
	"which type a name means":     {"CREATE TYPE pair AS (a int, b int)", "DROP TYPE pair", "DROP TYPE pair; CREATE TYPE pair AS ENUM ('a')"},
	"which schema a name means":   {"CREATE SCHEMA one; CREATE SCHEMA two", "CREATE TABLE one.made (a int)", "ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one"},
	"which index a name means":    {"CREATE INDEX ix ON orders (id)", "DROP INDEX ix", "DROP INDEX ix; CREATE UNIQUE INDEX ix ON orders (id)"},
	"which sequence a name means": {"CREATE SEQUENCE sq", "SELECT setval('sq', 5)", "DROP SEQUENCE sq; CREATE SEQUENCE sq INCREMENT 10"},
	"which role a name means": {"CREATE ROLE ra; CREATE ROLE rb", "GRANT SELECT ON orders TO ra",
		"ALTER ROLE ra RENAME TO rc; ALTER ROLE rb RENAME TO ra"},
	"what a role is a member of": {"CREATE ROLE rd; CREATE ROLE re", "GRANT rd TO re", "CREATE ROLE rf SUPERUSER; GRANT rf TO rd"},
}

func TestDecisionBindsSurroundings(t *testing.T) {
	queue := newQueue(t, approve.QueueConfig{})
	for name, c := range surroundings {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, queue, func(c *guardedpg.Config) { c.Policy.Include = []string{"baseline"} })
			const forget = "DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ '^r[a-f]$' LOOP EXECUTE 'DROP OWNED BY ' || r; EXECUTE 'DROP ROLE ' || r; END LOOP; END $$"
			q.sql(forget) // roles are the server's
			t.Cleanup(func() { q.sql(forget) })
			if c.setup != "" {
				q.sql(c.setup)
			}
			id := q.ticket(c.text)
			q.yes(id)
			q.sql(c.change)
			_, err := q.db.ExecContext(guardedpg.WithTicket(t.Context(), id), c.text)
			require.ErrorIs(t, err, guardedpg.ErrHeld)
			require.ErrorIs(t, err, approve.ErrVoid)
			require.Equal(t, approve.Approved, q.state(id), "nobody used it")
		})
	}
	// What goes on in a database all the time ends no decision.
	t.Run("nothing of it", func(t *testing.T) {
		q := newQueued(t, queue)
		id := q.ticket(deleteOrder, 1)
		q.yes(id)
		q.sql(`CREATE TABLE more (id serial PRIMARY KEY, tags text[]); CREATE INDEX ON more (tags); CREATE TEMP TABLE own (a int);
			CREATE ROLE token LOGIN; DROP ROLE token; ANALYZE; CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE VIEW seen AS SELECT 1 AS a`)
		_, err := q.db.ExecContext(guardedpg.WithTicket(t.Context(), id), deleteOrder, 1)
		require.NoError(t, err)
		require.Equal(t, 2, q.orders())
	})
}

// A setting that row security reads decides on which rows a statement acts.
func TestDecisionBindsSettingsRead(t *testing.T) {
	for name, policy := range map[string]string{
		"by a policy":   "CREATE POLICY tenant ON orders USING (id = current_setting('my.tenant', true)::int)",
		"by a function": "CREATE FUNCTION tenant() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_setting('my.tenant', true); END $$; CREATE POLICY tenant ON orders USING (id = tenant())",
	} {
		t.Run(name, func(t *testing.T) {
			queue := newQueue(t, approve.QueueConfig{})
			as := func(tenant string) func(*guardedpg.Config) {
				return func(c *guardedpg.Config) {
					conn, err := pgx.ParseConfig(c.DSN)
					require.NoError(t, err)
					conn.RuntimeParams["my.tenant"] = tenant
					c.DSN, c.ConnConfig = "", conn
				}
			}
			q := newQueued(t, queue, as("1"))
			q.sql("ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; " + policy)
			same, other := newQueuedOn(t, q.dsn, queue, as("1")), newQueuedOn(t, q.dsn, queue, as("2"))
			const text = "DELETE FROM orders WHERE id < 10"
			id := q.ticket(text)
			q.yes(id)
			ctx := guardedpg.WithTicket(t.Context(), id)
			_, err := other.db.ExecContext(ctx, text)
			require.ErrorIs(t, err, approve.ErrVoid)
			_, err = same.db.ExecContext(ctx, text)
			require.NoError(t, err)
		})
	}
}
