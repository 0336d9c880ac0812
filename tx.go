package guardedpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
)

// Tx is an open transaction.
type Tx struct {
	inner pgx.Tx
	conn  *Conn
	// ctx and who are those of BeginTx: database/sql gives Commit and Rollback
	// none of their own.
	ctx context.Context
	who identity.Identity
}

var _ driver.Tx = (*Tx)(nil)

// BeginTx begins a transaction with the isolation levels that pgx's stdlib
// takes.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.pgx.IsClosed() {
		return nil, driver.ErrBadConn
	}
	var o pgx.TxOptions
	switch sql.IsolationLevel(opts.Isolation) {
	case sql.LevelDefault:
	case sql.LevelReadUncommitted:
		o.IsoLevel = pgx.ReadUncommitted
	case sql.LevelReadCommitted:
		o.IsoLevel = pgx.ReadCommitted
	case sql.LevelRepeatableRead, sql.LevelSnapshot:
		o.IsoLevel = pgx.RepeatableRead
	case sql.LevelSerializable:
		o.IsoLevel = pgx.Serializable
	default:
		return nil, fmt.Errorf("unsupported isolation: %v", opts.Isolation)
	}
	if opts.ReadOnly {
		o.AccessMode = pgx.ReadOnly
	}
	r, err := c.start(ctx, beginText(o), nil, false)
	if err != nil {
		return nil, err
	}
	tx, err := c.pgx.BeginTx(ctx, o)
	who := r.who
	if err = r.end(outcome{err: err}); err != nil {
		return nil, err
	}
	return &Tx{inner: tx, conn: c, ctx: ctx, who: who}, nil
}

// beginText is the statement that pgx sends for the options, for the policy and
// the trail to see.
func beginText(o pgx.TxOptions) string {
	var b strings.Builder
	b.WriteString("begin")
	if o.IsoLevel != "" {
		b.WriteString(" isolation level " + string(o.IsoLevel))
	}
	if o.AccessMode != "" {
		b.WriteString(" " + string(o.AccessMode))
	}
	return b.String()
}

// Commit commits. What cannot be recorded is not committed.
func (t *Tx) Commit() error {
	r, err := t.conn.control(t.ctx, t.who, "commit")
	if err != nil {
		t.Rollback()
		return err
	}
	return r.end(outcome{err: t.inner.Commit(t.ctx)})
}

// Rollback rolls back, whether or not that can be recorded.
func (t *Tx) Rollback() error {
	r, recordErr := t.conn.control(t.ctx, t.who, "rollback")
	err := t.inner.Rollback(t.ctx)
	if recordErr != nil {
		t.conn.session.transactionEnded()
		return err
	}
	return r.end(outcome{err: err})
}

// control starts the end of a transaction through [Tx]. It needs no decision:
// what the transaction did was decided when it did it.
func (c *Conn) control(ctx context.Context, who identity.Identity, sql string) (*run, error) {
	if c.pg.IsBusy() {
		return nil, errBusy // a result is open, whose run this would take
	}
	c.current = run{conn: c, id: c.session.nextStatement(), who: who, started: time.Now(), call: call{sql: sql}}
	r := &c.current
	p, err := c.planOffline(ctx, sql)
	if err != nil {
		return nil, err
	}
	r.plan = p
	r.decision = guard.Decision{Verdict: guard.Allow, Rule: "guard.transaction"}
	r.scrub = c.session.tx.scrub
	if err := r.recordIntent(ctx); err != nil {
		return nil, err
	}
	c.session.gate.open = !r.scrub
	return r, nil
}
