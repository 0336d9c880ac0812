package guardedpg

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// Conn is a guarded connection. [sql.Conn.Raw] yields it. There is no way from
// it to the connection that it guards. Like every driver connection it is not
// safe for concurrent use.
type Conn struct {
	inner     *stdlib.Conn
	pgx       *pgx.Conn
	pg        *pgconn.PgConn
	connector *Connector
	session   *session
	catalog   *catalog.Session
	mode      pgx.QueryExecMode // default_query_exec_mode
	named     map[string]int    // how many open Stmts have the text
	record    recorder
	current   run
}

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
)

// ExecContext runs a statement, or several in one string, without a result.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.start(ctx, query, args, false)
	if err != nil {
		return nil, err
	}
	returned := false
	defer r.panicked(&returned)
	tag, err := r.exec(ctx)
	returned = true
	bad := r.retryable(err)
	err = r.end(outcome{tag: tag, rows: tag.RowsAffected(), err: err})
	if bad {
		return nil, driver.ErrBadConn
	}
	return driver.RowsAffected(tag.RowsAffected()), err
}

// QueryContext runs a statement with a result.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.query(ctx, query, args)
	if err == errReplan {
		rows, err = c.query(ctx, query, args)
		if err == errReplan {
			return nil, c.current.contradiction()
		}
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// errReplan says that a read contradicted its plan, and that both were dropped.
var errReplan = errors.New("guardedpg: plan again")

func (c *Conn) query(ctx context.Context, query string, args []driver.NamedValue) (*Rows, error) {
	r, err := c.start(ctx, query, args, true)
	if err != nil {
		return nil, err
	}
	returned := false
	defer r.panicked(&returned)
	rows, err := r.send(ctx)
	returned = true
	if err != nil {
		bad := r.retryable(err)
		err = r.end(outcome{err: err})
		if bad {
			return nil, driver.ErrBadConn
		}
		return nil, err
	}
	fields := rows.FieldDescriptions()
	if err := r.witness(fields); err != nil {
		return nil, r.refuted(ctx, rows, err)
	}
	out := &Rows{run: r, rows: rows, types: c.pgx.TypeMap(), fields: fields}
	if len(fields) > 0 {
		out.masks = r.masks(fields)
		out.keep()
	}
	out.preloaded, out.more = true, rows.Next()
	if !out.more {
		// The connection is free again: what the statement did to the session
		// must be known before the next one.
		if err := out.Close(); err != nil {
			return nil, err
		}
		return out, nil
	}
	if out.failed = r.release(ctx); out.failed != nil {
		return nil, out.Close()
	}
	return out, nil
}

// Prepare prepares a statement.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// Close closes the connection, or gives it back to its pgxpool.
func (c *Conn) Close() error { return c.inner.Close() }

// Begin begins a transaction.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Ping asks the server for a sign of life. It runs nothing, so it needs no
// identity.
func (c *Conn) Ping(ctx context.Context) error { return c.inner.Ping(ctx) }

// CheckNamedValue lets pgx convert the arguments.
func (c *Conn) CheckNamedValue(nv *driver.NamedValue) error { return c.inner.CheckNamedValue(nv) }

// ResetSession is called before the connection is used again.
func (c *Conn) ResetSession(ctx context.Context) error {
	if err := c.inner.ResetSession(ctx); err != nil {
		return err
	}
	if c.connector.hooked {
		// The program's own hook may have changed the session.
		c.session.forget()
	}
	return nil
}

// IsValid reports whether the connection may go back to the pool.
func (c *Conn) IsValid() bool { return !c.pgx.IsClosed() }
