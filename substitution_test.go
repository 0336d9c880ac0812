package guardedpg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
)

// What the author of statements may try in order to have something run under a
// decision that nobody made about it.

// A secretText shows nothing of itself where it is printed.
type secretText string

func (secretText) String() string { return "***" }

// A turning Valuer says something else each time it is asked.
type turning struct{ asked *int }

func (v turning) Value() (driver.Value, error) {
	*v.asked++
	return fmt.Sprintf("tag-%d", *v.asked), nil
}

// An absent one is a value although it is nil.
type absent struct{}

func (*absent) Value() (driver.Value, error) { return "tag-3", nil }

// inMemory is a queue in this process: these tests are about what it is told.
func inMemory(t *testing.T, c approve.QueueConfig) *approve.Queue {
	t.Helper()
	c.Store = &approve.MemoryStore{}
	q, err := approve.NewQueue(c)
	require.NoError(t, err)
	return q
}

func tagged(t *testing.T, change ...func(*guardedpg.Config)) *queued {
	t.Helper()
	q := newQueued(t, inMemory(t, approve.QueueConfig{}), change...)
	q.sql("ALTER TABLE orders ADD COLUMN tag text; UPDATE orders SET tag = 'tag-' || id")
	return q
}

func (q *queued) tags() (all []string) {
	q.t.Helper()
	rows, err := q.plain.Query("SELECT tag FROM orders ORDER BY tag")
	require.NoError(q.t, err)
	for rows.Next() {
		var s string
		require.NoError(q.t, rows.Scan(&s))
		all = append(all, s)
	}
	require.NoError(q.t, rows.Err())
	return all
}

// Arguments that print alike are not alike.
func TestArgumentsThatPrintAlike(t *testing.T) {
	for name, c := range map[string]struct {
		sql        string
		shown, run any
		args       []string
	}{
		"elements":              {"DELETE FROM orders WHERE tag = ANY($1)", []string{"tag-1 tag-2"}, []string{"tag-1", "tag-2"}, []string{`{"tag-1 tag-2"}`}},
		"a String method":       {"DELETE FROM orders WHERE tag = $1", secretText("none"), secretText("tag-1"), []string{"none"}},
		"a pointer":             {"DELETE FROM orders WHERE tag = $1", new(string), ptr("tag-1"), []string{""}},
		"bytes":                 {"DELETE FROM orders WHERE tag::bytea = $1", []byte("none"), []byte("tag-1"), []string{"none"}},
		"JSON":                  {"DELETE FROM orders WHERE tag = $1::jsonb->>'a'", map[string]any{"a": "b"}, map[string]any{"a": "tag-1"}, []string{`{"a":"b"}`}},
		"a nil that is a value": {"DELETE FROM orders WHERE tag = $1", (*string)(nil), (*absent)(nil), []string{"NULL"}},
	} {
		t.Run(name, func(t *testing.T) {
			q := tagged(t)
			id := q.ticket(c.sql, c.shown)
			require.Equal(t, c.args, q.request(id).Args)
			q.yes(id)
			_, err := q.db.Exec(c.sql, c.run)
			require.NotEqual(t, id, pendingTicket(t, err))
			_, err = q.db.ExecContext(guardedpg.WithTicket(t.Context(), id), c.sql, c.run)
			require.ErrorIs(t, err, approve.ErrVoid)
			require.Len(t, q.tags(), 3)
			_, err = q.db.Exec(c.sql, c.shown)
			require.NoError(t, err)
			require.Equal(t, approve.Used, q.state(id))
		})
	}
}

func ptr[T any](v T) *T { return &v }

// What a person saw runs, whatever the caller does meanwhile to what the
// arguments are made of.
func TestArgumentsThatChange(t *testing.T) {
	for name, c := range map[string]func(q *queued) (text string, args []any, change func()){
		"a pointer": func(*queued) (string, []any, func()) {
			s := "tag-1"
			return "DELETE FROM orders WHERE tag = $1", []any{&s}, func() { s = "tag-2" }
		},
		"a slice": func(*queued) (string, []any, func()) {
			s := []string{"tag-1"}
			return "DELETE FROM orders WHERE tag = ANY($1)", []any{s}, func() { s[0] = "tag-2" }
		},
		"bytes": func(*queued) (string, []any, func()) {
			s := []byte("tag-1")
			return "DELETE FROM orders WHERE tag::bytea = $1", []any{s}, func() { s[4] = '2' }
		},
		"a map": func(*queued) (string, []any, func()) {
			m := map[string]any{"a": []any{"tag-1"}}
			return "DELETE FROM orders WHERE tag = $1::jsonb->'a'->>0", []any{m}, func() { m["a"].([]any)[0] = "tag-2" }
		},
		"a Valuer": func(*queued) (string, []any, func()) {
			n := 0
			return "DELETE FROM orders WHERE tag = $1", []any{turning{&n}}, func() { n = 7 }
		},
		"a Valuer's bytes": func(*queued) (string, []any, func()) {
			v := keeping{[]byte("tag-1")}
			return "DELETE FROM orders WHERE tag::bytea = $1", []any{v}, func() { v.bytes[4] = '2' }
		},
		"a rewriter's arguments": func(*queued) (string, []any, func()) {
			r := &retaining{sql: "DELETE FROM orders WHERE tag = $1", args: []any{"tag-1"}}
			return "", []any{r}, func() { r.sql, r.args[0] = "DELETE FROM orders", "tag-2" }
		},
		"named arguments": func(*queued) (string, []any, func()) {
			a := pgx.NamedArgs{"tag": "tag-1"}
			return "DELETE FROM orders WHERE tag = @tag", []any{a}, func() { a["tag"] = "tag-2" }
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := tagged(t, waits)
			text, args, change := c(q)
			between := change
			q.between.Store(&between)
			go q.decideNext(dba)
			_, err := q.db.Exec(text, args...)
			require.NoError(t, err)
			require.Equal(t, []string{"tag-2", "tag-3"}, q.tags())
			for _, r := range q.trail.Records(audit.KindHold, audit.KindIntent) {
				require.Contains(t, r.SQL.Args[0].Value, "tag-1", r.Kind)
			}
		})
	}
}

type keeping struct{ bytes []byte }

func (v keeping) Value() (driver.Value, error) { return v.bytes, nil }

type retaining struct {
	sql  string
	args []any
}

func (r *retaining) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	return r.sql, r.args, nil
}

// The record has what ran also where nobody was asked.
func TestValuerIsAskedOnce(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	n := 0
	_, err := q.db.Exec("INSERT INTO scratch VALUES (1, $1)", turning{&n})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	var got string
	require.NoError(t, q.plain.QueryRow("SELECT note FROM scratch WHERE id = 1").Scan(&got))
	require.Equal(t, "tag-1", got)
	arg := q.trail.Records(audit.KindIntent)[0].SQL.Args[0]
	require.Equal(t, audit.Arg{Type: "guardedpg_test.turning", Value: "tag-1"}, arg)
}

// A cycle has no value; a function has none that anybody sees.
func TestArgumentsThatCannotBeBound(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	type node struct{ Next *node }
	cycle := &node{}
	cycle.Next = cycle
	for _, arg := range []any{cycle, func() {}, make(chan int)} {
		_, err := q.db.Exec("DELETE FROM orders WHERE total = $1::jsonb::text::int", arg)
		require.ErrorIs(t, err, guardedpg.ErrHeld)
		require.ErrorContains(t, err, "plain values")
	}
	require.Equal(t, 3, q.orders())
}

// What a name stands for is part of what was approved, and is shown.
func TestNamesThatAreTakenAgain(t *testing.T) {
	begin := func(t *testing.T, q *queued) (*sql.Conn, func(text string) error) {
		c, err := q.db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c, func(text string) error {
			_, err := c.ExecContext(t.Context(), text)
			return err
		}
	}
	for _, run := range []string{"EXECUTE p", "EXPLAIN ANALYZE EXECUTE p"} {
		t.Run(run, func(t *testing.T) {
			q := newQueued(t, inMemory(t, approve.QueueConfig{}))
			_, do := begin(t, q)
			require.NoError(t, do("PREPARE p AS DELETE FROM orders WHERE id = 1"))
			id := pendingTicket(t, do(run))
			require.Equal(t, []string{"prepared statement p: PREPARE p AS DELETE FROM orders WHERE id = 1"}, q.request(id).Behind)
			require.Empty(t, q.request(id).Shape)
			q.yes(id)
			require.NoError(t, do("DEALLOCATE p"))
			require.NoError(t, do("PREPARE p AS DELETE FROM orders"))
			require.NotEqual(t, id, pendingTicket(t, do(run)))
			require.Equal(t, 3, q.orders())
			require.NoError(t, do("DEALLOCATE p"))
			require.NoError(t, do("PREPARE p AS DELETE FROM orders WHERE id = 1"))
			require.NoError(t, do(run))
			require.Equal(t, 2, q.orders())
		})
	}
	t.Run("what was harmless", func(t *testing.T) {
		q := newQueued(t, inMemory(t, approve.QueueConfig{}), func(c *guardedpg.Config) {
			c.Policy.Rules = []guard.Rule{{Name: "baseline.unknown", When: "false || statement.unknown", Then: guard.Hold}}
		})
		_, do := begin(t, q)
		require.NoError(t, do("PREPARE p AS SELECT 1"))
		const explain = "EXPLAIN ANALYZE EXECUTE p"
		require.NoError(t, do(explain))
		require.NoError(t, do("DEALLOCATE p"))
		require.NoError(t, do("PREPARE p AS DELETE FROM orders"))
		pendingTicket(t, do(explain))
		require.Equal(t, 3, q.orders())
	})
	t.Run("CURRENT OF", func(t *testing.T) {
		q := newQueued(t, inMemory(t, approve.QueueConfig{}))
		_, do := begin(t, q)
		const declare, remove = "DECLARE c CURSOR FOR SELECT id FROM orders WHERE id = ", "DELETE FROM orders WHERE CURRENT OF c"
		require.NoError(t, do("BEGIN"))
		require.NoError(t, do(declare+"1"))
		require.NoError(t, do("FETCH c"))
		id := pendingTicket(t, do(remove))
		require.Equal(t, []string{"cursor c: " + declare + "1"}, q.request(id).Behind)
		q.yes(id)
		require.NoError(t, do("CLOSE c"))
		require.NoError(t, do(declare+"2"))
		require.NoError(t, do("FETCH c"))
		require.NotEqual(t, id, pendingTicket(t, do(remove)))
		require.NoError(t, do("ROLLBACK"))
	})
}

// Settings that decide what a constant means are part of it, too.
func TestSettingsThatChangeConstants(t *testing.T) {
	for _, set := range []string{"SET datestyle = 'DMY'", "SET timezone = 'Asia/Tokyo'", "SET intervalstyle = 'sql_standard'",
		"SET timezone_abbreviations = 'India'", "SET default_text_search_config = 'simple'", "SET bytea_output = 'escape'",
		"SET extra_float_digits = 0", "SELECT set_config('xmloption', 'document', false)"} {
		q := newQueued(t, inMemory(t, approve.QueueConfig{}))
		c, err := q.db.Conn(t.Context())
		require.NoError(t, err)
		const text = "DELETE FROM orders WHERE id = 1 AND now() > '02/01/2020'"
		_, err = c.ExecContext(t.Context(), text)
		id := pendingTicket(t, err)
		q.yes(id)
		_, err = c.ExecContext(t.Context(), set)
		require.NoError(t, err)
		_, err = c.ExecContext(t.Context(), text)
		require.NotEqual(t, id, pendingTicket(t, err), set)
		require.NoError(t, c.Close())
	}
}

// As whom a statement acts decides which rows it finds. The server does not report
// the role.
func TestRoleThatActs(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	q.sql(`DO $$ BEGIN CREATE ROLE acts_on_one; CREATE ROLE acts_on_all; EXCEPTION WHEN duplicate_object THEN END $$;
		GRANT ALL ON orders TO acts_on_one, acts_on_all; ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
		CREATE POLICY one ON orders TO acts_on_one USING (id = 1); CREATE POLICY every ON orders TO acts_on_all USING (true)`)
	c, err := q.db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	become := func(role string) {
		_, err := c.ExecContext(t.Context(), "SET ROLE "+role)
		q.yes(pendingTicket(t, err))
		_, err = c.ExecContext(t.Context(), "SET ROLE "+role)
		require.NoError(t, err)
	}
	const text = "DELETE FROM orders WHERE id > 0"
	become("acts_on_one")
	_, err = c.ExecContext(t.Context(), text)
	id := pendingTicket(t, err)
	q.yes(id)
	become("acts_on_all")
	_, err = c.ExecContext(t.Context(), text)
	require.NotEqual(t, id, pendingTicket(t, err))
	require.Equal(t, 3, q.orders())
	become("acts_on_one")
	_, err = c.ExecContext(t.Context(), text)
	require.NoError(t, err)
	require.Equal(t, 2, q.orders())
}

// A wider grant is for other values, and for nothing else that could differ.
func TestShapeIsExact(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	const of = "INSERT INTO orders (id, customer) SELECT id + 10, 3 FROM notes"
	id := q.ticket(of)
	_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.Yes, Scope: approve.Scope{Times: 9, For: time.Hour}})
	require.NoError(t, err)
	for _, text := range []string{
		"INSERT INTO orders (customer, id) SELECT id + 10, 3 FROM notes",
		"INSERT INTO orders (id, customer) SELECT 3, id + 10 FROM notes",
		"INSERT INTO orders (id, customer) SELECT id + 10, id FROM notes",
	} {
		require.NotEqual(t, id, q.ticket(text), text)
	}
	_, err = q.db.Exec("INSERT INTO orders (id, customer) SELECT id + 20, 2 FROM notes")
	require.NoError(t, err)
}

// A grant for a shape does not cover the constant that lets every row through.
func TestShapeStaysBounded(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	id := q.ticket("UPDATE orders SET customer = 5 WHERE id > 100")
	_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.Yes, Scope: approve.Scope{Times: 9, For: time.Hour}})
	require.NoError(t, err)
	require.NotEqual(t, id, q.ticket("UPDATE orders SET customer = 5 WHERE id > 0"))
	_, err = q.db.Exec("UPDATE orders SET customer = 5 WHERE id > 200")
	require.NoError(t, err)
}

// Where a constant is code, a role or a file, a decision covers that one alone.
func TestShapeOfCode(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	for _, text := range []string{
		"DO $$ BEGIN DELETE FROM orders WHERE id = 1; END $$", "SET ROLE 'pg_monitor'", "COPY orders TO PROGRAM 'true'",
		"SELECT lo_import('/nowhere')", "ALTER ROLE postgres PASSWORD 'x'",
		"SELECT pg_terminate_backend(1)", "DELETE FROM orders; DELETE FROM orders",
	} {
		id := q.ticket(text)
		require.Empty(t, q.request(id).Shape, text)
		_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.Yes, Scope: approve.Scope{Times: 2, For: time.Hour}})
		require.ErrorIs(t, err, approve.ErrInvalid, text)
	}
}

// Definitions that another session changed a moment ago are another question,
// however long the catalog may be believed.
func TestDecisionBindsWithinRefresh(t *testing.T) {
	for name, change := range map[string]string{
		"a trigger": archive + archiving,
		"a cascade": "CREATE TABLE items (o int REFERENCES orders ON DELETE CASCADE)",
		"a column":  "ALTER TABLE orders ADD COLUMN note text",
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, inMemory(t, approve.QueueConfig{}), func(c *guardedpg.Config) { c.CatalogRefresh = time.Hour })
			id := q.ticket(deleteOrder, 1)
			q.yes(id)
			q.sql(change)
			_, err := q.db.Exec(deleteOrder, 1)
			require.NotEqual(t, id, pendingTicket(t, err))
			require.Equal(t, 3, q.orders())
		})
	}
}

// A definition that is dropped or changed is the one that people were told of, and
// what goes with it is what there was.
func TestDecisionBindsObjects(t *testing.T) {
	for name, c := range map[string]struct{ text, change string }{
		"another of its name":     {"DROP TABLE scratch", "ALTER TABLE scratch RENAME TO old; CREATE TABLE scratch (id int)"},
		"another that is altered": {"ALTER TABLE scratch ADD COLUMN x int", "ALTER TABLE scratch RENAME TO old; CREATE TABLE scratch (id int)"},
		"another function":        {"DROP FUNCTION shout(int)", "ALTER FUNCTION shout(int) RENAME TO old; CREATE FUNCTION shout(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"},
		"a view on it":            {"DROP TABLE scratch CASCADE", "CREATE VIEW v AS SELECT id FROM scratch"},
		"a view on a column":      {"ALTER TABLE scratch DROP COLUMN note CASCADE", "CREATE VIEW v AS SELECT note FROM scratch"},
		"a table in it":           {"DROP SCHEMA hr CASCADE", "CREATE TABLE hr.more (id int)"},
		"another of all":          {"GRANT SELECT ON ALL TABLES IN SCHEMA hr TO PUBLIC", "CREATE TABLE hr.more (id int)"},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, inMemory(t, approve.QueueConfig{}))
			id := q.ticket(c.text)
			q.yes(id)
			q.sql(c.change)
			require.NotEqual(t, id, q.ticket(c.text))
		})
	}
}

// Who can store a question could show people a harmless one.
func TestForgedQuestion(t *testing.T) {
	forge := func(t *testing.T, q *queued, id string, change func(*approve.Request)) {
		r := q.request(id)
		r.ID, r.Ticket, r.TicketID = "forged", true, ""
		change(&r)
		_, err := q.queue.Approve(t.Context(), r)
		pendingTicketOf(t, err)
	}
	t.Run("under its digest", func(t *testing.T) {
		q := newQueued(t, inMemory(t, approve.QueueConfig{}))
		id := q.ticket("DELETE FROM orders")
		forge(t, q, id, func(r *approve.Request) { r.Statement = "SELECT 1" })
		q.yes("forged")
		_, err := q.db.Exec("DELETE FROM orders")
		require.Equal(t, id, pendingTicket(t, err))
		_, err = q.db.ExecContext(guardedpg.WithTicket(t.Context(), "forged"), "DELETE FROM orders")
		require.ErrorIs(t, err, approve.ErrVoid)
		require.Equal(t, 3, q.orders())
	})
	t.Run("under its shape", func(t *testing.T) {
		q := newQueued(t, inMemory(t, approve.QueueConfig{}))
		id := q.ticket("DELETE FROM orders")
		forge(t, q, id, func(r *approve.Request) { r.Statement, r.Digest = "DELETE FROM scratch", "made up" })
		_, err := q.queue.Decide(t.Context(), "forged", approve.Decision{By: dba, Verdict: approve.Yes, Scope: approve.Scope{Times: 9, For: time.Hour}})
		require.NoError(t, err)
		_, err = q.db.Exec("DELETE FROM orders")
		require.ErrorIs(t, err, approve.ErrVoid)
		require.ErrorContains(t, err, "held")
		require.Equal(t, 3, q.orders())
	})
}

func pendingTicketOf(t *testing.T, err error) string {
	t.Helper()
	var p *approve.PendingError
	require.ErrorAs(t, err, &p)
	return p.Ticket
}

// An agent in a loop does not bury what others ask.
func TestTooManyQuestions(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{MaxPending: 2}))
	first := q.ticket(deleteOrder, 1)
	q.ticket(deleteOrder, 2)
	_, err := q.db.Exec(deleteOrder, 3)
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.ErrorIs(t, err, approve.ErrTooMany)
	require.Equal(t, first, q.ticket(deleteOrder, 1), "what was asked stays asked")
	_, err = q.db.ExecContext(identity.NewContext(t.Context(), other), deleteOrder, 3)
	pendingTicket(t, err)
	q.yes(first)
	q.ticket(deleteOrder, 3)
}

// Nobody decides for whom the policy does not trust to say who is who.
func TestIssuersOfApprovers(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}), func(c *guardedpg.Config) {
		c.Policy.Approval.Approvers.Issuers = []string{dba.Issuer()}
	})
	id := q.ticket(deleteOrder, 1)
	_, err := q.queue.Decide(t.Context(), id, approve.Decision{Verdict: approve.Yes,
		By: identity.New(identity.Claims{Issuer: "http://127.0.0.1:1", Subject: "jo", Groups: []string{"dba"}})})
	require.ErrorIs(t, err, approve.ErrMayNot)
	q.yes(id)
	_, err = q.db.Exec(deleteOrder, 1)
	require.NoError(t, err)
}

// Every record about a policy's decision says which policy and which rule.
func TestRecordsNamePolicyAndRule(t *testing.T) {
	q := newQueued(t, inMemory(t, approve.QueueConfig{}))
	id := q.ticket(deleteOrder, 1)
	_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: oncall, Verdict: approve.BreakGlass, Reason: "the shop is down"})
	require.NoError(t, err)
	_, err = q.db.Exec(deleteOrder, 1)
	require.NoError(t, err)
	id = q.ticket(deleteOrder, 2)
	_, err = q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.No})
	require.NoError(t, err)
	_, err = q.db.Exec(deleteOrder, 2)
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	_, err = q.db.Exec("SELECT * FROM pg_authid")
	require.ErrorIs(t, err, guardedpg.ErrDenied)
	_, err = q.db.Exec("SELECT 1")
	require.NoError(t, err)
	seen := map[audit.Kind]int{}
	policy := q.trail.Records(audit.KindPolicy)[0].Detail["policy"]
	for _, r := range q.trail.Records(audit.KindIntent, audit.KindHold, audit.KindDenied, audit.KindDecision, audit.KindBreakGlass, audit.KindRedeem) {
		seen[r.Kind]++
		require.NotNil(t, r.Verdict, r.Kind)
		require.Equal(t, policy, r.Verdict.Policy, r.Kind)
		require.NotEmpty(t, r.Verdict.Rule, r.Kind)
	}
	require.Len(t, seen, 6)
	glass := q.trail.Records(audit.KindBreakGlass)
	require.Len(t, glass, 1)
	require.Equal(t, "the shop is down", glass[0].Decision.Reason)
	require.Equal(t, "olga", glass[0].Decision.By[0].Subject)
}
