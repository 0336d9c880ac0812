package guardedpg

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A decision may let a statement touch so many rows and no more. How many it
// touches is known when it has run, so it runs where it can be undone.

// countable are the classes of statements that do nothing but read and write
// rows.
const countable = analysis.Read | analysis.Write | analysis.Unbounded | analysis.RowLock | analysis.Sequence

// limitable refuses a limited decision for what cannot be counted, or not undone
// in time.
func (r *run) limitable(maxRows int64) error {
	if maxRows == 0 {
		return nil
	}
	if len(r.plan.facts.Statements) != 1 {
		return r.held("the decision limits the number of rows, which needs a single statement", "send the statements one by one", nil)
	}
	st := r.plan.facts.Statements[0]
	uncounted := func(u analysis.Use) bool {
		rel := r.plan.view.snap.Relation(u.Rel)
		// The server does not count what it writes elsewhere.
		return u.Action == analysis.Truncate || rel == nil || rel.Kind == 'f'
	}
	switch {
	case st.Classes&^countable != 0 || len(st.Unknown) > 0 || slices.ContainsFunc(st.Writes, uncounted):
		return r.held("the decision limits the number of rows, and this statement does what is not counted in rows",
			"ask for it without a limit", nil)
	case r.conn.pg.TxStatus() != 'I' && slices.ContainsFunc(st.Writes, r.plan.defers):
		return r.held("the decision limits the number of rows, and a trigger of what it writes can wait for the end of the transaction",
			"run it outside of a transaction", nil)
	case r.query && !r.plan.reads:
		return r.held("the decision limits the number of rows, which must be counted before a result is given out", "run it with Exec", nil)
	}
	return nil
}

// defers reports whether what is written has a trigger that can be deferred:
// within a transaction of the caller's, it writes when nobody counts any more.
func (p *plan) defers(u analysis.Use) bool {
	rel := p.view.snap.Relation(u.Rel)
	return rel != nil && slices.ContainsFunc(rel.Triggers, func(t catalog.Trigger) bool {
		return strings.Contains(strings.ReplaceAll(t.Definition, "NOT DEFERRABLE", ""), "DEFERRABLE")
	})
}

// exec executes the text, within the number of rows that was allowed.
func (r *run) exec(ctx context.Context) (pgconn.CommandTag, error) {
	c := r.conn
	if r.maxRows == 0 || len(r.plan.facts.Statements[0].Writes) == 0 {
		return c.pgx.Exec(ctx, r.call.sql, r.call.pass...)
	}
	begin, keep, undo := "begin", "commit", "rollback"
	own := c.pg.TxStatus() != 'T'
	if !own {
		begin, keep = "savepoint guardedpg_limit", "release savepoint guardedpg_limit"
		undo = "rollback to savepoint guardedpg_limit; release savepoint guardedpg_limit"
	}
	if err := c.ownControl(ctx, begin); err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := r.execWithin(ctx, own)
	if err == nil {
		return tag, c.ownControl(ctx, keep)
	}
	// The caller's context may have ended, and the server waits in a transaction.
	if undoErr := c.ownControl(context.WithoutCancel(ctx), undo); undoErr != nil {
		c.inner.Close()
	}
	return tag, err
}

// execWithin executes the text and returns an error when it touched too much.
// What its command tag says is not asked: triggers, cascades, functions and the
// parts of WITH touch rows too.
func (r *run) execWithin(ctx context.Context, own bool) (pgconn.CommandTag, error) {
	c := r.conn
	before, err := c.touched(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := c.pgx.Exec(ctx, r.call.sql, r.call.pass...)
	if err != nil {
		return tag, err
	}
	if own {
		// Triggers that wait for the commit would not be counted.
		if err := c.ownControl(ctx, "set constraints all immediate"); err != nil {
			return pgconn.CommandTag{}, err
		}
	}
	touched, err := c.touched(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	if touched-before > r.maxRows {
		return pgconn.CommandTag{}, r.held(fmt.Sprintf("it touched more than the %d rows that were allowed, and was undone", r.maxRows),
			"limit it further, or ask for more rows", nil)
	}
	return tag, nil
}

// touchedSQL is what the transaction has written so far, and what the session
// had not yet reported when it began, by the server's own count.
const touchedSQL = `select coalesce(pg_catalog.sum(n_tup_ins operator(pg_catalog.+) n_tup_upd operator(pg_catalog.+) n_tup_del), 0)::pg_catalog.text,` +
	` pg_catalog.current_setting('track_counts')` +
	` from pg_catalog.pg_stat_xact_all_tables where schemaname operator(pg_catalog.!~) '^pg_toast'`

func (c *Conn) touched(ctx context.Context) (int64, error) {
	rows, err := c.session.ask(ctx, touchedSQL)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 || rows[0][1] != "on" {
		return 0, &RefusedError{Class: ErrHeld, Reason: "the decision limits the number of rows, and the server does not count them",
			Hint: "set track_counts on, or ask for it without a limit"}
	}
	return strconv.ParseInt(rows[0][0], 10, 64)
}

// ownControl runs transaction control of the guard's own.
func (c *Conn) ownControl(ctx context.Context, sql string) error {
	return c.pg.Exec(ctx, sql).Close()
}
