package guardedpg_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/mask"
)

// shopPolicy protects what the shop must not give away.
func shopPolicy() guard.Policy {
	return guard.Policy{
		Protect: []guard.Protect{
			{Column: "public.customers.email", Mask: maskNamed("email")},
			{Column: "public.customers.card"},
			{Column: "hr.notes.body"},
		},
		Critical: []string{"public.orders"},
		Include:  []string{"baseline"},
		Approval: guard.Approval{Wait: time.Minute},
	}
}

func shop(t *testing.T) string {
	t.Helper()
	schema, err := os.ReadFile("testdata/shop/schema.sql")
	require.NoError(t, err)
	return database(t, "shop", string(schema))
}

// A fixture is a guarded shop and what stands around it.
type fixture struct {
	db       *sql.DB
	plain    *sql.DB // without a guard, to look behind it
	approver *approvetest.Fake
	trail    *audittest.Recorder
}

// newFixture opens a shop as a program does: by name.
func newFixture(t *testing.T, change ...func(*guardedpg.Config)) fixture {
	t.Helper()
	return newFixtureOn(t, shop(t), change...)
}

func newFixtureOn(t *testing.T, dsn string, change ...func(*guardedpg.Config)) fixture {
	t.Helper()
	f := fixture{approver: &approvetest.Fake{}, trail: &audittest.Recorder{}}
	cfg := guardedpg.Config{Identify: as(agent), Policy: shopPolicy(), Approver: f.approver, Audit: f.trail}
	for _, c := range change {
		c(&cfg)
	}
	guardedpg.RegisterConfig(t.Name(), cfg)
	var err error
	if cfg.ConnConfig != nil {
		f.db, err = sql.Open("guardedpg", "guardedpg_config="+t.Name())
	} else {
		f.db, err = sql.Open("guardedpg", dsn+"&guardedpg_config="+t.Name())
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.db.Close()) })
	f.plain, err = sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { f.plain.Close() })
	return f
}

// exists asks behind the guard whether a table is there.
func (f *fixture) exists(t *testing.T, table string) bool {
	t.Helper()
	var there bool
	require.NoError(t, f.plain.QueryRow("select to_regclass($1) is not null", table).Scan(&there))
	return there
}

func (f *fixture) kinds() []audit.Kind {
	var kinds []audit.Kind
	for _, r := range f.trail.Records() {
		switch r.Kind {
		case audit.KindSession, audit.KindPolicy, audit.KindCatalog, audit.KindIdentity:
		default:
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}

func TestMaskedSelect(t *testing.T) {
	f := newFixture(t)
	var name, email, card string
	require.NoError(t, f.db.QueryRow("SELECT name, email, card FROM customers WHERE id = $1", 1).Scan(&name, &email, &card))
	require.Equal(t, "Ann", name)
	require.Equal(t, "a***@canary.test", email)
	require.Equal(t, mask.Stars, card)

	records := f.trail.Records(audit.KindIntent, audit.KindOutcome)
	require.Len(t, records, 2)
	intent, outcome := records[0], records[1]
	require.Equal(t, "agent-1", intent.Who.Subject)
	require.True(t, intent.Who.Verified)
	require.Equal(t, "SELECT name, email, card FROM customers WHERE id = $1", intent.SQL.Text)
	require.Equal(t, "1", intent.SQL.Args[0].Value)
	require.Equal(t, "allow", intent.Verdict.Verdict)
	require.Equal(t, intent.Statement, outcome.Statement)
	require.True(t, outcome.Outcome.OK)
	require.EqualValues(t, 1, outcome.Outcome.Rows)
	require.Len(t, outcome.Masks, 2)
	require.Equal(t, []string{"public.customers.email"}, outcome.Masks[0].Sources)
	require.EqualValues(t, 1, outcome.Masks[0].Values)
}

func TestHeldApproved(t *testing.T) {
	f := newFixture(t)
	f.approver.Yes(dba)
	_, err := f.db.ExecContext(guardedpg.WithPurpose(t.Context(), "clean up"), "DROP TABLE scratch")
	require.NoError(t, err)
	require.False(t, f.exists(t, "scratch"))
	require.Equal(t, 1, f.approver.Redeemed())
	require.Equal(t, []audit.Kind{audit.KindHold, audit.KindDecision, audit.KindRedeem, audit.KindIntent, audit.KindOutcome}, f.kinds())
	asked := f.approver.Requests()[0]
	require.Equal(t, "DROP TABLE scratch", asked.Statement)
	require.Equal(t, "clean up", asked.Purpose)
	require.Equal(t, "baseline.ddl", asked.Rule)
	require.NotEmpty(t, asked.Effects)
	decision := f.trail.Records(audit.KindDecision)[0].Decision
	require.Equal(t, "jo", decision.By[0].Subject)
	require.True(t, decision.Approved)
}

func TestHeldRejected(t *testing.T) {
	f := newFixture(t)
	f.approver.No("not today")
	_, err := f.db.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	var rejected *approve.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Contains(t, err.Error(), "not today")
	require.True(t, f.exists(t, "scratch"))
	require.Equal(t, []audit.Kind{audit.KindHold, audit.KindDecision, audit.KindDenied}, f.kinds())
}

func TestHeldWithoutApprover(t *testing.T) {
	f := newFixture(t, func(c *guardedpg.Config) { c.Approver = nil })
	_, err := f.db.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.True(t, f.exists(t, "scratch"))
}

func TestSelfApproval(t *testing.T) {
	f := newFixture(t)
	f.approver.Yes(agent)
	_, err := f.db.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.True(t, f.exists(t, "scratch"))
	require.Zero(t, f.approver.Redeemed())
}

func TestTicket(t *testing.T) {
	f := newFixture(t)
	f.approver.Wait()
	_, err := f.db.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrPending)
	var pending *approve.PendingError
	require.ErrorAs(t, err, &pending)
	require.NotEmpty(t, pending.Ticket)
	require.Contains(t, err.Error(), pending.Ticket)
	require.True(t, f.exists(t, "scratch"))

	f.approver.Yes(dba)
	_, err = f.db.ExecContext(guardedpg.WithTicket(t.Context(), ""), "DROP TABLE scratch")
	require.NoError(t, err)
	require.False(t, f.exists(t, "scratch"))
}

// Inside a transaction nobody is waited for, because it would hold locks.
func TestTicketInTransaction(t *testing.T) {
	f := newFixture(t)
	f.approver.Answer(func(r approve.Request) (approve.Grant, error) {
		require.True(t, r.Ticket)
		require.True(t, r.InTransaction)
		return approve.Grant{}, &approve.PendingError{Ticket: r.ID}
	})
	tx, err := f.db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrPending)
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM orders").Scan(&n), "the transaction goes on")
	require.Equal(t, 3, n)
}

func TestFailingSink(t *testing.T) {
	full := errors.New("disk full")
	t.Run("write", func(t *testing.T) {
		f := newFixture(t)
		_, err := f.db.Exec("SELECT 1")
		require.NoError(t, err)
		f.trail.FailAppend = audittest.OfKind(audit.KindIntent, full)
		_, err = f.db.Exec("INSERT INTO scratch VALUES (1, 'x')")
		require.ErrorIs(t, err, guardedpg.ErrAudit)
		require.ErrorIs(t, err, full)
		require.Zero(t, f.count(t, "scratch"))
	})
	t.Run("not durable", func(t *testing.T) {
		f := newFixture(t)
		f.trail.FailWait = func(uint64, audit.Durability) error { return full }
		_, err := f.db.Exec("INSERT INTO scratch VALUES (1, 'x')")
		require.ErrorIs(t, err, guardedpg.ErrAudit)
		require.Zero(t, f.count(t, "scratch"))
		_, err = f.db.Query("SELECT * FROM orders")
		require.ErrorIs(t, err, guardedpg.ErrAudit, "no row is released")
	})
	t.Run("commit", func(t *testing.T) {
		f := newFixture(t)
		tx, err := f.db.Begin()
		require.NoError(t, err)
		_, err = tx.Exec("INSERT INTO scratch VALUES (1, 'x')")
		require.NoError(t, err)
		f.trail.FailAppend = audittest.OfKind(audit.KindCommit, full)
		require.ErrorIs(t, tx.Commit(), guardedpg.ErrAudit)
		require.Zero(t, f.count(t, "scratch"))
		f.trail.FailAppend = nil
		require.NoError(t, f.db.Ping())
	})
	t.Run("hold", func(t *testing.T) {
		f := newFixture(t)
		f.approver.Yes(dba)
		f.trail.FailAppend = audittest.OfKind(audit.KindHold, full)
		_, err := f.db.Exec("DROP TABLE scratch")
		require.ErrorIs(t, err, guardedpg.ErrAudit)
		require.Empty(t, f.approver.Requests(), "nobody is asked about what is not recorded")
	})
	t.Run("decision", func(t *testing.T) {
		f := newFixture(t)
		f.approver.Yes(dba)
		f.trail.FailAppend = audittest.OfKind(audit.KindDecision, full)
		_, err := f.db.Exec("DROP TABLE scratch")
		require.ErrorIs(t, err, guardedpg.ErrAudit)
		require.Zero(t, f.approver.Redeemed())
		require.True(t, f.exists(t, "scratch"))
	})
}

func (f *fixture) count(t *testing.T, table string) (n int) {
	t.Helper()
	require.NoError(t, f.plain.QueryRow("select count(*) from "+table).Scan(&n))
	return n
}

func TestNoIdentity(t *testing.T) {
	for name, identify := range map[string]func(context.Context) (identity.Identity, error){
		"no function": nil,
		"nobody":      as(identity.Identity{}),
		"error":       func(context.Context) (identity.Identity, error) { return identity.Identity{}, errors.New("bad token") },
		"expired":     as(identity.New(identity.Claims{Issuer: "i", Subject: "s", Expires: time.Now().Add(-time.Second)})),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *guardedpg.Config) { c.Identify = identify })
			_, err := f.db.Exec("INSERT INTO scratch VALUES (1, 'x')")
			require.ErrorIs(t, err, guardedpg.ErrNoIdentity)
			_, err = f.db.Query("SELECT 1")
			require.ErrorIs(t, err, guardedpg.ErrNoIdentity)
			_, err = f.db.Prepare("SELECT 1")
			require.ErrorIs(t, err, guardedpg.ErrNoIdentity)
			_, err = f.db.Begin()
			require.ErrorIs(t, err, guardedpg.ErrNoIdentity)
			require.Zero(t, f.count(t, "scratch"))
			require.Len(t, f.trail.Records(audit.KindDenied), 4)
		})
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.approver.Answer(func(r approve.Request) (approve.Grant, error) {
		cancel()
		// A decision that comes too late.
		return approve.Grant{Request: r.ID, Digest: r.Digest, By: []identity.Identity{dba}, At: r.Created}, nil
	})
	_, err := f.db.ExecContext(ctx, "DROP TABLE scratch")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.True(t, f.exists(t, "scratch"))
	require.NoError(t, f.db.Ping())
}

// A policy that says nothing lets nothing run.
func TestZeroPolicy(t *testing.T) {
	f := newFixture(t, func(c *guardedpg.Config) { c.Policy = guard.Policy{} })
	_, err := f.db.Exec("SELECT 1")
	require.ErrorIs(t, err, guardedpg.ErrDenied)
	_, err = f.db.Begin()
	require.ErrorIs(t, err, guardedpg.ErrDenied)
}

// The server knows who asks, whoever asked before on the connection.
func TestTag(t *testing.T) {
	f := newFixture(t, func(c *guardedpg.Config) {
		c.Identify = func(ctx context.Context) (identity.Identity, error) { return identity.FromContext(ctx), nil }
	})
	f.db.SetMaxOpenConns(1)
	tag := func(q interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}, who identity.Identity) (name, subject string) {
		t.Helper()
		err := q.QueryRowContext(identity.NewContext(t.Context(), who),
			"SELECT current_setting('application_name'), current_setting('guardedpg.subject')").Scan(&name, &subject)
		require.NoError(t, err)
		return name, subject
	}
	for _, who := range []identity.Identity{agent, dba, agent, identity.Development("dev")} {
		_, subject := tag(f.db, who)
		require.Equal(t, who.Subject(), subject)
	}
	name, _ := tag(f.db, agent)
	require.Equal(t, "agent-1", name)
	// Changed inside a transaction that is rolled back, the settings come back
	// as they were before, and the guard knows.
	ctx := identity.NewContext(t.Context(), agent)
	tx, err := f.db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, subject := tag(tx, dba)
	require.Equal(t, "jo", subject)
	require.NoError(t, tx.Rollback())
	_, subject = tag(f.db, dba)
	require.Equal(t, "jo", subject)
	_, subject = tag(f.db, agent)
	require.Equal(t, "agent-1", subject)
}

func maskNamed(text string) guard.Mask {
	spec, err := mask.Decode(text)
	if err != nil {
		panic(err)
	}
	return guard.Mask{Spec: spec}
}

// A person may allow so many rows and no more.
func TestGrantedRows(t *testing.T) {
	f := newFixture(t)
	grant := func(rows int64) {
		f.approver.Answer(func(r approve.Request) (approve.Grant, error) {
			return approve.Grant{Request: r.ID, Digest: r.Digest, By: []identity.Identity{dba}, At: r.Created, MaxRows: rows}, nil
		})
	}
	grant(2)
	_, err := f.db.Exec("DELETE FROM orders")
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.ErrorContains(t, err, "more than the 2 rows")
	require.Equal(t, 3, f.count(t, "orders"))
	_, err = f.db.Query("DELETE FROM orders RETURNING id")
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.Equal(t, 3, f.count(t, "orders"))
	tx, err := f.db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO scratch VALUES (1, 'kept')")
	require.NoError(t, err)
	_, err = tx.Exec("DELETE FROM orders")
	require.ErrorIs(t, err, guardedpg.ErrHeld)
	require.NoError(t, tx.Commit(), "the transaction goes on")
	require.Equal(t, 1, f.count(t, "scratch"))
	require.Equal(t, 3, f.count(t, "orders"))
	grant(3)
	res, err := f.db.Exec("DELETE FROM orders")
	require.NoError(t, err)
	n, err := res.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.Zero(t, f.count(t, "orders"))
}

// An agent that writes back what it was given would destroy what was masked.
func TestMaskedValueIsNotWrittenBack(t *testing.T) {
	f := newFixture(t)
	var id int
	var email, card string
	require.NoError(t, f.db.QueryRow("SELECT id, email, card FROM customers WHERE id = 1").Scan(&id, &email, &card))
	for _, c := range []struct {
		text string
		args []any
	}{
		{"UPDATE customers SET email = $1 WHERE id = $2", []any{email, id}},
		{"UPDATE customers SET card = $1 WHERE id = $2", []any{&card, id}},
		{"UPDATE customers SET email = 'a***@canary.test' WHERE id = 1", nil},
		{"INSERT INTO customers (id, name, email) VALUES ($1, 'x', $2)", []any{4, email}},
		{"UPDATE customers SET card = '***' WHERE id = 1", nil},
	} {
		_, err := f.db.Exec(c.text, c.args...)
		require.ErrorIs(t, err, guardedpg.ErrDenied, c.text)
		require.ErrorContains(t, err, "masked value", c.text)
	}
	_, err := f.db.Exec("UPDATE customers SET email = $1 WHERE id = $2", "ann@new.test", 1)
	require.NoError(t, err)
	require.Equal(t, 1, func() (n int) {
		require.NoError(t, f.plain.QueryRow("select count(*) from customers where email = 'ann@new.test'").Scan(&n))
		return n
	}())
}

// A result can have rows and no columns.
func TestNoColumns(t *testing.T) {
	f := newFixture(t)
	for _, text := range []string{"SELECT FROM customers", "SELECT FROM customers WHERE id < 3 UNION ALL SELECT FROM orders WHERE id < 2"} {
		rows, err := f.db.Query(text)
		require.NoError(t, err, text)
		n := 0
		for rows.Next() {
			n++
		}
		require.NoError(t, rows.Err())
		require.Equal(t, 3, n, text)
	}
}

// A text of several statements that is refused leaves the transaction as it was.
func TestRefusedTextKeepsTheTransaction(t *testing.T) {
	f := newFixture(t)
	tx, err := f.db.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("ALTER TABLE scratch RENAME note TO x; ALTER TABLE scratch RENAME x TO y")
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	_, err = tx.Exec("SELECT 1")
	require.NoError(t, err)
}
