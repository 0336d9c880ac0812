package redteam_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestUnguardedRisky proves that the risky cases are: without the guard, each
// changes what TestRisky looks at, or the state of its session, or does what
// leaves no trace in either.
func TestUnguardedRisky(t *testing.T) {
	l := newLab(t)
	rep := newReport("changed", "session changed", "ran", "nothing")
	t.Run("case", func(t *testing.T) {
		for i, c := range riskyCases(t) {
			if !full && i%16 != 0 {
				continue
			}
			if _, _, ok := copyData(c.Steps[len(c.Steps)-1]); ok {
				continue // database/sql has no way to send the data
			}
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				s := setup{user: agentUser, mode: defaultMode}
				if !c.worksAs(agentUser) {
					s.user = users[1]
				}
				l.with(func(b *bench) {
					b.clean = false // a bystander may be gone
					client := b.unguarded(t, s)
					var states []digest
					list, changed := b.attempt(t, client, c, func() {
						if d := client.state(t); d != nil {
							states = append(states, d)
						}
					})
					b.restore(t)
					verdict := "nothing"
					last := list[len(list)-1]
					switch {
					case len(changed) > 0:
						verdict = "changed"
					case c.Want == "session" && statesDiffer(states):
						verdict = "session changed"
					case (c.Want == "session" || c.Want == "read") && last.err == nil:
						verdict = "ran"
					}
					rep.count(c.Family, verdict)
					if verdict == "nothing" {
						t.Errorf("%s %s: %s\n%s", c.ID, c.Family, c.Why, describe(c, list))
					} else if verdict == "ran" {
						rep.note("%s %s: ran, and left no trace\n", c.ID, c.Family)
					}
				})
			})
		}
	})
	rep.log(t)
}

// restore undoes what outlives the clone of a case: it is the server's.
func (b *bench) restore(t *testing.T) {
	t.Helper()
	statements := []string{restoreSQL, "ALTER SYSTEM RESET ALL"}
	rows, err := b.admin.Query(t.Context(), `SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts
		UNION ALL SELECT format('DROP TABLESPACE %I', spcname) FROM pg_tablespace WHERE oid > 16383`)
	require.NoError(t, err)
	more, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, sql := range append(statements, more...) {
		require.NoError(t, b.administer(t.Context(), sql))
	}
}

const restoreSQL = `DO $$ DECLARE r record; BEGIN
	PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots;
	PERFORM pg_replication_origin_drop(roname) FROM pg_replication_origin;
	FOR r IN SELECT 'ROLE ' || rolname AS object FROM pg_roles WHERE rolname !~ '^pg_' UNION ALL SELECT 'ROLE ALL' LOOP
		EXECUTE format('ALTER %s RESET ALL', r.object);
	END LOOP;
	ALTER ROLE agent LOGIN NOINHERIT NOBYPASSRLS NOSUPERUSER PASSWORD 'agent';
	REVOKE app_owner FROM agent;
	GRANT maintenance TO agent;
	IF to_regclass('pg_parameter_acl') IS NOT NULL THEN -- since 15
		FOR r IN EXECUTE 'SELECT parname FROM pg_parameter_acl' LOOP EXECUTE format('REVOKE ALL ON PARAMETER %I FROM agent', r.parname); END LOOP;
	END IF;
END $$`

func statesDiffer(states []digest) bool {
	for i := range states[min(1, len(states)):] {
		if len(states[i].changed(states[i+1])) > 0 {
			return true
		}
	}
	return false
}

// stateSQL gives the parts of a session's state that statements change.
const stateSQL = `SELECT 'users', concat(current_user, ' ', session_user)
UNION ALL SELECT name, setting FROM pg_settings WHERE context IN ('user', 'superuser')
UNION ALL SELECT 'my.var', coalesce(current_setting('my.var', true), '')
UNION ALL SELECT 'guardedpg.subject', coalesce(current_setting('guardedpg.subject', true), '')
UNION ALL SELECT 'channels', coalesce(string_agg(c, ' '), '') FROM pg_listening_channels() c
UNION ALL SELECT 'temporary', concat((SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()), ' ', (SELECT count(*) FROM pg_proc WHERE pronamespace = pg_my_temp_schema()))
UNION ALL SELECT 'locks', count(*)::text FROM pg_locks WHERE pid = pg_backend_pid() AND (locktype = 'advisory' OR relation > 16383)`

// state returns the state of the client's session, or nil in a transaction that
// has failed.
func (c *client) state(t *testing.T) digest {
	t.Helper()
	if c.conn == nil {
		conn, err := c.db.Conn(t.Context())
		require.NoError(t, err)
		c.conn = conn
	}
	rows, err := c.conn.QueryContext(t.Context(), stateSQL)
	if err != nil {
		return nil
	}
	defer rows.Close()
	d := digest{}
	for rows.Next() {
		var name, value string
		require.NoError(t, rows.Scan(&name, &value))
		d[name] = value
	}
	return d
}
