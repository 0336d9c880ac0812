package guardedpg_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// What a decision is bound to, through database/sql, a queue in PostgreSQL and a
// PostgreSQL on which the statement would run.

var (
	second = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "mo", Groups: []string{"dba"}})
	oncall = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "olga", Groups: []string{"oncall"}})
	other  = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent-2", Groups: []string{"agents", "dba"}})
)

// A queued is a guarded shop whose statements wait in a queue.
type queued struct {
	t     *testing.T
	c     *guardedpg.Connector
	db    *sql.DB
	plain *sql.DB
	queue *approve.Queue
	trail *audittest.Recorder
	dsn   string
	// between, where not nil, runs once between a decision and the statement.
	between atomic.Pointer[func()]
}

// Approve asks the queue, as a Config's Approver.
func (q *queued) Approve(ctx context.Context, r approve.Request) (approve.Grant, error) {
	g, err := q.queue.Approve(ctx, r)
	if do := q.between.Load(); err == nil && do != nil {
		q.between.Store(nil)
		(*do)()
	}
	return g, err
}

func queuePolicy() guard.Policy {
	p := shopPolicy()
	p.Critical = []string{"*.orders"}
	p.Approval = guard.Approval{Approvers: guard.Approvers{Groups: []string{"dba"}, BreakGlass: []string{"oncall"}}}
	return p
}

func newQueue(t *testing.T, c approve.QueueConfig) *approve.Queue {
	t.Helper()
	s, err := pgstore.Open(t.Context(), pgstore.Config{DSN: pgtest.Start(t).Database(t)})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c.Store = s
	q, err := approve.NewQueue(c)
	require.NoError(t, err)
	return q
}

func newQueued(t *testing.T, q *approve.Queue, change ...func(*guardedpg.Config)) *queued {
	t.Helper()
	return newQueuedOn(t, shop(t), q, change...)
}

func newQueuedOn(t *testing.T, dsn string, q *approve.Queue, change ...func(*guardedpg.Config)) *queued {
	t.Helper()
	s := &queued{t: t, queue: q, trail: &audittest.Recorder{}, dsn: dsn}
	cfg := guardedpg.Config{DSN: dsn, Policy: queuePolicy(), Approver: s, Audit: s.trail, CatalogRefresh: -1,
		Identify: func(ctx context.Context) (identity.Identity, error) {
			if who := identity.FromContext(ctx); !who.IsZero() {
				return who, nil
			}
			return agent, nil
		}}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	s.c, err = guardedpg.NewConnector(cfg)
	require.NoError(t, err)
	s.db = sql.OpenDB(s.c)
	t.Cleanup(func() { require.NoError(t, s.db.Close()) })
	s.plain, err = sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { s.plain.Close() })
	return s
}

func waits(c *guardedpg.Config) { c.Policy.Approval.Wait = time.Minute }

// ticket runs a statement that must wait, and returns its ticket.
func (q *queued) ticket(sql string, args ...any) string {
	q.t.Helper()
	_, err := q.db.Exec(sql, args...)
	return pendingTicket(q.t, err)
}

func pendingTicket(t *testing.T, err error) string {
	t.Helper()
	var p *approve.PendingError
	require.ErrorAs(t, err, &p)
	require.ErrorIs(t, err, guardedpg.ErrPending)
	return p.Ticket
}

func (q *queued) yes(id string, by ...identity.Identity) approve.Case {
	q.t.Helper()
	if len(by) == 0 {
		by = []identity.Identity{dba}
	}
	var c approve.Case
	var err error
	for _, who := range by {
		c, err = q.queue.Decide(context.Background(), id, approve.Decision{By: who, Verdict: approve.Yes})
		require.NoError(q.t, err)
	}
	return c
}

func (q *queued) orders() (n int) {
	q.t.Helper()
	require.NoError(q.t, q.plain.QueryRow("SELECT count(*) FROM public.orders").Scan(&n))
	return n
}

func (q *queued) sql(text string) {
	q.t.Helper()
	_, err := q.plain.Exec(text)
	require.NoError(q.t, err)
}

func (q *queued) request(id string) approve.Request {
	q.t.Helper()
	c, err := q.queue.Case(context.Background(), id)
	require.NoError(q.t, err)
	return c.Request
}

func (q *queued) state(id string) approve.State {
	q.t.Helper()
	c, err := q.queue.Case(context.Background(), id)
	require.NoError(q.t, err)
	return c.State
}

// An attempt is a statement as it runs after the decision.
type attempt struct {
	on   *queued
	ctx  context.Context
	text string
	args []any
}

const deleteOrder = "DELETE FROM orders WHERE id = $1"

// bindings are what can change between a decision and the statement.
var bindings = map[string]func(t *testing.T, q *queued, a *attempt){
	"another argument":            func(t *testing.T, q *queued, a *attempt) { a.args = []any{2} },
	"an argument of another type": func(t *testing.T, q *queued, a *attempt) { a.args = []any{"1"} },
	"another text":                func(t *testing.T, q *queued, a *attempt) { a.text += " " },
	"another identity":            func(t *testing.T, q *queued, a *attempt) { a.ctx = identity.NewContext(a.ctx, other) },
	"an identity of the same name": func(t *testing.T, q *queued, a *attempt) {
		a.ctx = identity.NewContext(a.ctx, identity.New(identity.Claims{Issuer: "https://elsewhere.test", Subject: agent.Subject()}))
	},
	"an identity that is not verified": func(t *testing.T, q *queued, a *attempt) {
		a.ctx = identity.NewContext(a.ctx, identity.Development(agent.Subject(), agent.Groups()...))
	},
	"an identity with another group": func(t *testing.T, q *queued, a *attempt) {
		// Row security reads guardedpg.groups: it may let more rows go.
		a.ctx = identity.NewContext(a.ctx, identity.New(identity.Claims{Issuer: agent.Issuer(), Subject: agent.Subject(), Groups: []string{"agents", "admins"}}))
	},
	"another policy": func(t *testing.T, q *queued, a *attempt) {
		p := queuePolicy()
		p.Critical = append(p.Critical, "hr.notes")
		require.NoError(t, q.c.Reload(p))
	},
	"a column of the table":  func(t *testing.T, q *queued, a *attempt) { q.sql("ALTER TABLE orders ADD COLUMN note text") },
	"a trigger of the table": func(t *testing.T, q *queued, a *attempt) { q.sql(archive + archiving) },
	"what the names mean": func(t *testing.T, q *queued, a *attempt) {
		q.sql("CREATE SCHEMA postgres; CREATE TABLE postgres.orders (LIKE public.orders)")
	},
	"a table that it cascades to": func(t *testing.T, q *queued, a *attempt) {
		q.sql("CREATE TABLE items (o int REFERENCES orders ON DELETE CASCADE)")
	},
	"another database": func(t *testing.T, q *queued, a *attempt) {
		a.on = newQueued(t, q.queue)
	},
	"another role": func(t *testing.T, q *queued, a *attempt) {
		q.sql(`DO $$ BEGIN CREATE ROLE binder SUPERUSER LOGIN PASSWORD 'binder'; EXCEPTION WHEN duplicate_object THEN END $$`)
		conn, err := pgx.ParseConfig(q.dsn)
		require.NoError(t, err)
		conn.User, conn.Password = "binder", "binder"
		a.on = newQueuedOn(t, q.dsn, q.queue, func(c *guardedpg.Config) { c.DSN, c.ConnConfig = "", conn })
	},
}

const (
	archive = `CREATE FUNCTION archive() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO scratch VALUES (OLD.id, 'gone'); RETURN NULL; END $$;`
	archiving = "CREATE TRIGGER archive AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION archive()"
)

// A decision is good for what it was made on, and for nothing else.
func TestDecisionBinds(t *testing.T) {
	t.Run("nothing changes", func(t *testing.T) {
		q := newQueued(t, newQueue(t, approve.QueueConfig{}))
		id := q.ticket(deleteOrder, 1)
		require.Equal(t, approve.Approved, q.yes(id).State)
		_, err := q.db.Exec(deleteOrder, 1)
		require.NoError(t, err)
		require.Equal(t, 2, q.orders())
		require.Equal(t, approve.Used, q.state(id))
	})
	for name, change := range bindings {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, newQueue(t, approve.QueueConfig{}))
			id := q.ticket(deleteOrder, 1)
			q.yes(id)
			a := attempt{q, t.Context(), deleteOrder, []any{1}}
			change(t, q, &a)
			_, err := a.on.db.ExecContext(guardedpg.WithTicket(a.ctx, id), a.text, a.args...)
			require.ErrorIs(t, err, guardedpg.ErrHeld)
			require.ErrorIs(t, err, approve.ErrVoid)
			_, err = a.on.db.ExecContext(a.ctx, a.text, a.args...)
			again := pendingTicket(t, err)
			require.NotEqual(t, id, again, "another statement is another request")
			require.NotEqual(t, q.request(id).Digest, q.request(again).Digest)
			require.Equal(t, 3, a.on.orders())
			require.Equal(t, approve.Approved, q.state(id), "nobody used it")
			require.Empty(t, a.on.trail.Records(audit.KindRedeem))
		})
	}
	// The text of a function that a trigger calls is part of it.
	t.Run("a function that a trigger calls", func(t *testing.T) {
		q := newQueued(t, newQueue(t, approve.QueueConfig{}))
		q.sql(archive + archiving)
		id := q.ticket(deleteOrder, 1)
		q.yes(id)
		q.sql(`CREATE OR REPLACE FUNCTION archive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM customers; RETURN NULL; END $$`)
		_, err := q.db.ExecContext(guardedpg.WithTicket(t.Context(), id), deleteOrder, 1)
		require.ErrorIs(t, err, approve.ErrVoid)
		require.Equal(t, 3, q.orders())
	})
}

// What people let out masked does not come in clear to another run of the same agent.
func TestDecisionBindsMasks(t *testing.T) {
	run := func(n string) context.Context {
		return identity.NewContext(t.Context(), identity.New(identity.Claims{Issuer: agent.Issuer(), Subject: agent.Subject(),
			Groups: agent.Groups(), Attributes: map[string]string{"run": n}}))
	}
	q := newQueued(t, newQueue(t, approve.QueueConfig{}), func(c *guardedpg.Config) {
		c.Policy.Protect[0].Unless = "'run' in identity.attributes && identity.attributes['run'] == '3'"
		c.Policy.Rules = append(c.Policy.Rules, guard.Rule{Name: "ask", When: "statement.kind == 'SELECT'", Then: guard.Hold})
	})
	const text = "SELECT email FROM customers WHERE id = 1"
	_, err := q.db.ExecContext(run("1"), text)
	id := pendingTicket(t, err)
	q.yes(id)
	_, err = q.db.ExecContext(guardedpg.WithTicket(run("3"), id), text)
	require.ErrorIs(t, err, approve.ErrVoid)
	_, err = q.db.ExecContext(guardedpg.WithTicket(run("2"), id), text)
	require.NoError(t, err, "another run of the same agent, to which the same comes")
}

// The same, when it changes while the statement waits, after the decision.
func TestDecisionBindsWhileWaiting(t *testing.T) {
	for _, name := range []string{"another policy", "a column of the table", "a trigger of the table", "a table that it cascades to", "what the names mean"} {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, newQueue(t, approve.QueueConfig{}), waits)
			between := func() { bindings[name](t, q, &attempt{}) }
			q.between.Store(&between)
			go q.decideNext(dba)
			_, err := q.db.Exec(deleteOrder, 1)
			require.ErrorIs(t, err, guardedpg.ErrHeld)
			require.ErrorIs(t, err, approve.ErrVoid)
			require.Equal(t, 3, q.orders())
			require.Empty(t, q.trail.Records(audit.KindRedeem, audit.KindIntent))
		})
	}
	t.Run("the policy now denies it", func(t *testing.T) {
		q := newQueued(t, newQueue(t, approve.QueueConfig{}), waits)
		between := func() { require.NoError(t, q.c.Reload(guard.Policy{})) }
		q.between.Store(&between)
		go q.decideNext(dba)
		_, err := q.db.Exec(deleteOrder, 1)
		require.ErrorIs(t, err, guardedpg.ErrDenied)
		require.Equal(t, 3, q.orders())
	})
}

// decideNext says yes to the next request that waits.
func (q *queued) decideNext(by ...identity.Identity) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	wake, err := q.queue.Watch(ctx)
	if err != nil {
		q.t.Error(err)
		return
	}
	for {
		cases, err := q.queue.Cases(ctx, time.Now().Add(-time.Hour))
		if err != nil {
			q.t.Error(err)
			return
		}
		for _, c := range cases {
			if c.State == approve.Pending {
				for _, who := range by {
					if _, err := q.queue.Decide(ctx, c.Request.ID, approve.Decision{By: who, Verdict: approve.Yes}); err != nil {
						q.t.Error(err)
					}
				}
				return
			}
		}
		<-wake
	}
}

// One approval is one run, however many want it.
func TestDecisionOnce(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}))
	q.sql("CREATE TABLE ledger (n int); INSERT INTO ledger VALUES (0)")
	const add = "UPDATE ledger SET n = n + 1"
	twin := newQueuedOn(t, q.dsn, q.queue)
	id := q.ticket(add)
	require.Equal(t, id, twin.ticket(add), "the same request, from another process")
	q.yes(id)
	var ran, void atomic.Int32
	var wait sync.WaitGroup
	for i := range 8 {
		db := []*sql.DB{q.db, twin.db}[i%2]
		wait.Go(func() {
			_, err := db.ExecContext(guardedpg.WithTicket(context.Background(), id), add)
			switch {
			case err == nil:
				ran.Add(1)
			case errors.Is(err, approve.ErrVoid) && errors.Is(err, guardedpg.ErrHeld):
				void.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, 1, ran.Load())
	require.EqualValues(t, 7, void.Load())
	var n int
	require.NoError(t, q.plain.QueryRow("SELECT n FROM ledger").Scan(&n))
	require.Equal(t, 1, n)
	require.NotEqual(t, id, q.ticket(add), "once more is asked once more")
}

func (q *queued) killBackends() {
	q.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE '%agent-1' AND pid <> pg_backend_pid()")
}

// The connection dies while the statement waits: database/sql runs it again on
// another one, and the decision goes with it.
func TestDecisionOutlivesConnection(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}), waits)
	var asked atomic.Int32
	between := func() { asked.Add(1); q.killBackends() }
	q.between.Store(&between)
	go q.decideNext(dba)
	_, err := q.db.Exec(deleteOrder, 1)
	require.NoError(t, err)
	require.Equal(t, 2, q.orders())
	require.EqualValues(t, 1, asked.Load())
	cases, err := q.queue.Cases(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Len(t, cases, 1, "nobody was asked twice")
	require.Equal(t, approve.Used, cases[0].State)
	require.Len(t, q.trail.Records(audit.KindRedeem), 1)
	require.Len(t, q.trail.Records(audit.KindDecision), 1)
}

// In a transaction the connection is the transaction: nothing is run again.
func TestDecisionInDeadTransaction(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}), waits, func(c *guardedpg.Config) { c.Policy.Approval.InTransaction = guard.WaitInTransaction })
	tx, err := q.db.Begin()
	require.NoError(t, err)
	between := func() { q.killBackends() }
	q.between.Store(&between)
	go q.decideNext(dba)
	_, err = tx.Exec(deleteOrder, 1)
	require.Error(t, err)
	tx.Rollback()
	require.Equal(t, 3, q.orders())
	require.Empty(t, q.trail.Records(audit.KindRedeem))
}

// After it was redeemed, a decision is used, whether or not the statement ran:
// also where nothing was sent, and database/sql would run it again.
func TestConnectionDiesOnceRedeemed(t *testing.T) {
	for _, cut := range []string{"by the server", "before anything is sent"} {
		t.Run(cut, func(t *testing.T) {
			var mu sync.Mutex
			var dialled []net.Conn
			q := newQueued(t, newQueue(t, approve.QueueConfig{}), func(c *guardedpg.Config) {
				conn, err := pgx.ParseConfig(c.DSN)
				require.NoError(t, err)
				dial := conn.DialFunc
				conn.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := dial(ctx, network, addr)
					mu.Lock()
					defer mu.Unlock()
					dialled = append(dialled, nc)
					return nc, err
				}
				c.DSN, c.ConnConfig = "", conn
				inner := c.Approver.(*queued)
				c.Approver = approve.Func(func(ctx context.Context, r approve.Request) (approve.Grant, error) {
					g, err := inner.Approve(ctx, r)
					if use := g.Use; use != nil {
						g.Use = func(ctx context.Context) error {
							err := use(ctx)
							if cut == "by the server" {
								inner.killBackends()
								return err
							}
							mu.Lock()
							defer mu.Unlock()
							for _, nc := range dialled {
								nc.Close()
							}
							return err
						}
					}
					return g, err
				})
			})
			id := q.ticket(deleteOrder, 1)
			q.yes(id)
			_, err := q.db.Exec(deleteOrder, 1)
			require.Error(t, err)
			require.NotErrorIs(t, err, guardedpg.ErrPending, "it was not run again by database/sql")
			require.Equal(t, 3, q.orders())
			require.Equal(t, approve.Used, q.state(id))
			require.Len(t, q.trail.Records(audit.KindRedeem), 1)
			last := q.trail.Records(audit.KindOutcome)
			require.False(t, last[len(last)-1].Outcome.OK)
			require.NotEqual(t, id, q.ticket(deleteOrder, 1))
		})
	}
}

func TestDecisionExpires(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{Use: time.Millisecond}))
	id := q.ticket(deleteOrder, 1)
	q.yes(id)
	require.Eventually(t, func() bool { return q.state(id) == approve.Expired }, 10*time.Second, time.Millisecond)
	_, err := q.db.ExecContext(guardedpg.WithTicket(t.Context(), id), deleteOrder, 1)
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.ErrorIs(t, err, approve.ErrVoid)
	require.ErrorContains(t, err, "expired")
	require.NotEqual(t, id, q.ticket(deleteOrder, 1))
	require.Equal(t, 3, q.orders())

	// Waiting ends too.
	q = newQueued(t, newQueue(t, approve.QueueConfig{}), func(c *guardedpg.Config) { c.Policy.Approval.Wait = 20 * time.Millisecond })
	_, err = q.db.Exec(deleteOrder, 1)
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.ErrorContains(t, err, "nobody decided in time")
	require.Equal(t, 3, q.orders())
}

// Inside of an open transaction the agent gets a ticket, goes on, and repeats
// the statement there.
func TestTicketRepeatedInTransaction(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}), waits)
	tx, err := q.db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("INSERT INTO scratch VALUES (1, 'before')")
	require.NoError(t, err)
	_, err = tx.Exec(deleteOrder, 1)
	id := pendingTicket(t, err)
	_, err = tx.Exec("INSERT INTO scratch VALUES (2, 'meanwhile')")
	require.NoError(t, err)
	q.yes(id)
	_, err = tx.Exec(deleteOrder, 1)
	require.NoError(t, err)
	require.Equal(t, 3, q.orders(), "not before it is committed")
	require.NoError(t, tx.Commit())
	require.Equal(t, 2, q.orders())
	require.Equal(t, approve.Used, q.state(id))
}

func TestWithTicket(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}))
	first, third := q.ticket(deleteOrder, 1), q.ticket(deleteOrder, 3)
	q.yes(first)
	for ticket, class := range map[string]error{third: guardedpg.ErrPending, "no such ticket": approve.ErrUnknown} {
		_, err := q.db.ExecContext(guardedpg.WithTicket(t.Context(), ticket), deleteOrder, 3)
		require.ErrorIs(t, err, class)
	}
	_, err := q.db.ExecContext(guardedpg.WithTicket(t.Context(), third), deleteOrder, 1)
	require.ErrorIs(t, err, approve.ErrVoid, "the ticket of another statement, although one would fit")
	require.Equal(t, 3, q.orders())
	_, err = q.db.ExecContext(guardedpg.WithTicket(t.Context(), first), deleteOrder, 1)
	require.NoError(t, err)
	require.Equal(t, 2, q.orders())
}

// A person grants a shape: any arguments, some times, some rows each.
func TestWiderGrant(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}))
	q.sql("INSERT INTO orders SELECT i, 3, 1 FROM generate_series(10, 30) i")
	const of = "DELETE FROM orders WHERE id BETWEEN $1 AND $2"
	id := q.ticket(of, 10, 10)
	_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.Yes,
		Scope: approve.Scope{Times: 4, For: time.Hour, MaxRows: 2}})
	require.NoError(t, err)
	_, err = q.db.Exec(of, 10, 10)
	require.NoError(t, err)
	_, err = q.db.Exec("delete from orders where id between $1 and $2", 11, 12)
	require.NoError(t, err, "the same shape")
	require.Equal(t, 21, q.orders())
	_, err = q.db.Exec(of, 13, 15)
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.ErrorContains(t, err, "more than the 2 rows")
	require.Equal(t, 21, q.orders(), "undone")
	_, err = q.db.ExecContext(identity.NewContext(t.Context(), other), of, 20, 20)
	require.NotEqual(t, id, pendingTicket(t, err), "it is another's")
	require.NotEqual(t, id, q.ticket("DELETE FROM orders WHERE id BETWEEN $1 AND $2 OR id = 30", 20, 20), "another shape")
	_, err = q.db.Exec(of, 16, 16)
	require.NoError(t, err)
	require.NotEqual(t, id, q.ticket(of, 17, 17), "used up, the one that was undone included")
	require.Equal(t, 20, q.orders())
	require.Equal(t, approve.Used, q.state(id))
}

// What changes takes a wider grant with it, too.
func TestWiderGrantBinds(t *testing.T) {
	for _, name := range []string{"another policy", "a trigger of the table", "what the names mean", "another identity", "another database"} {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, newQueue(t, approve.QueueConfig{}))
			id := q.ticket(deleteOrder, 1)
			_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.Yes, Scope: approve.Scope{Times: 9, For: time.Hour}})
			require.NoError(t, err)
			a := attempt{q, t.Context(), deleteOrder, []any{2}}
			bindings[name](t, q, &a)
			_, err = a.on.db.ExecContext(guardedpg.WithTicket(a.ctx, id), a.text, a.args...)
			require.ErrorIs(t, err, approve.ErrVoid)
			require.Equal(t, 3, a.on.orders())
		})
	}
}

func TestRevokedGrant(t *testing.T) {
	q := newQueued(t, newQueue(t, approve.QueueConfig{}))
	id := q.ticket(deleteOrder, 1)
	_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: dba, Verdict: approve.Yes, Scope: approve.Scope{Times: 9, For: time.Hour}})
	require.NoError(t, err)
	_, err = q.db.Exec(deleteOrder, 1)
	require.NoError(t, err)
	_, err = q.queue.Revoke(t.Context(), id, second, "a mistake")
	require.NoError(t, err)
	_, err = q.db.ExecContext(guardedpg.WithTicket(t.Context(), id), deleteOrder, 2)
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	_, err = q.db.Exec(deleteOrder, 1)
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.ErrorContains(t, err, "a mistake")
	require.Equal(t, 2, q.orders())

	// Between the decision and the use.
	q = newQueued(t, newQueue(t, approve.QueueConfig{}))
	id = q.ticket(deleteOrder, 1)
	q.yes(id)
	between := func() {
		_, err := q.queue.Revoke(context.Background(), id, dba, "too late?")
		require.NoError(t, err)
	}
	q.between.Store(&between)
	_, err = q.db.Exec(deleteOrder, 1)
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.Equal(t, 3, q.orders())
	require.Empty(t, q.trail.Records(audit.KindRedeem))
}

func TestWhoDecides(t *testing.T) {
	quorum := func(c *guardedpg.Config) { c.Policy.Approval.Approvers.Quorum = 2 }
	q := newQueued(t, newQueue(t, approve.QueueConfig{}), quorum)
	asker := identity.NewContext(t.Context(), other)
	_, err := q.db.ExecContext(asker, deleteOrder, 1)
	id := pendingTicket(t, err)
	decide := func(by identity.Identity, v approve.Verdict, reason string) error {
		_, err := q.queue.Decide(t.Context(), id, approve.Decision{By: by, Verdict: v, Reason: reason})
		return err
	}
	require.ErrorIs(t, decide(other, approve.Yes, ""), approve.ErrMayNot, "the asker, although in the group")
	require.ErrorIs(t, decide(oncall, approve.Yes, ""), approve.ErrMayNot)
	require.ErrorIs(t, decide(identity.Development("jo", "dba"), approve.Yes, ""), approve.ErrMayNot)
	require.NoError(t, decide(dba, approve.Yes, ""))
	again := identity.New(identity.Claims{Issuer: dba.Issuer(), Subject: dba.Subject(), Groups: []string{"dba", "oncall"}})
	require.NoError(t, decide(again, approve.Yes, ""), "said again, it changes nothing")
	_, err = q.db.ExecContext(asker, deleteOrder, 1)
	require.Equal(t, id, pendingTicket(t, err), "one person counts once")
	require.NoError(t, decide(second, approve.Yes, ""))
	_, err = q.db.ExecContext(asker, deleteOrder, 1)
	require.NoError(t, err)
	require.Len(t, q.trail.Records(audit.KindDecision)[0].Decision.By, 2)

	id = q.ticket(deleteOrder, 2)
	require.NoError(t, decide(dba, approve.Yes, ""))
	require.NoError(t, decide(second, approve.No, "not that one"))
	_, err = q.db.Exec(deleteOrder, 2)
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.ErrorContains(t, err, "not that one")

	// An emergency: one person, of a group of its own, with a reason.
	id = q.ticket(deleteOrder, 3)
	require.ErrorIs(t, decide(dba, approve.BreakGlass, "quick"), approve.ErrMayNot)
	require.ErrorIs(t, decide(oncall, approve.BreakGlass, ""), approve.ErrInvalid)
	require.NoError(t, decide(oncall, approve.BreakGlass, "the shop is down"))
	_, err = q.db.Exec(deleteOrder, 3)
	require.NoError(t, err)
	decisions := q.trail.Records(audit.KindDecision)
	last := decisions[len(decisions)-1]
	require.Equal(t, "true", last.Detail["break_glass"])
	require.Equal(t, "the shop is down", last.Decision.Reason)
	require.Equal(t, "olga", last.Decision.By[0].Subject)
	require.Equal(t, 1, q.orders())

	// Without such groups in the policy, nobody may.
	q = newQueued(t, newQueue(t, approve.QueueConfig{}), func(c *guardedpg.Config) { c.Policy.Approval.Approvers.BreakGlass = nil })
	id = q.ticket(deleteOrder, 1)
	require.ErrorIs(t, decide(oncall, approve.BreakGlass, "the shop is down"), approve.ErrMayNot)
}
