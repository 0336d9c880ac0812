package guardedpg

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Stmt is a prepared statement. It is planned when it is prepared, and decided
// on each time it runs. It is not safe for concurrent use.
type Stmt struct {
	inner  driver.Stmt
	conn   *Conn
	sql    string
	closed bool
}

var (
	_ driver.Stmt             = (*Stmt)(nil)
	_ driver.StmtExecContext  = (*Stmt)(nil)
	_ driver.StmtQueryContext = (*Stmt)(nil)
)

// PrepareContext prepares a statement on the server, which reads its text and
// runs nothing of it.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.plannable(ctx, query); err != nil {
		return nil, err
	}
	inner, err := c.inner.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if c.named == nil {
		c.named = map[string]int{}
	}
	c.named[query]++
	return &Stmt{inner: inner, conn: c, sql: query}, nil
}

// Close releases the statement.
func (s *Stmt) Close() error {
	if !s.closed {
		s.closed = true
		if s.conn.named[s.sql]--; s.conn.named[s.sql] == 0 {
			delete(s.conn.named, s.sql)
			delete(s.conn.session.descriptions, s.sql)
		}
	}
	return s.inner.Close()
}

// NumInput returns the number of arguments.
func (s *Stmt) NumInput() int { return s.inner.NumInput() }

// Exec is not implemented: database/sql calls ExecContext.
func (s *Stmt) Exec([]driver.Value) (driver.Result, error) {
	return nil, errors.New("Stmt.Exec deprecated and not implemented")
}

// ExecContext runs the statement without a result.
func (s *Stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.sql, args)
}

// Query is not implemented: database/sql calls QueryContext.
func (s *Stmt) Query([]driver.Value) (driver.Rows, error) {
	return nil, errors.New("Stmt.Query deprecated and not implemented")
}

// QueryContext runs the statement with a result.
func (s *Stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.sql, args)
}

// plannable identifies who prepares a statement, and plans it: the server must
// not read what the guard cannot.
func (c *Conn) plannable(ctx context.Context, sql string) error {
	r, err := c.begin(ctx, sql)
	if err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return r.refused(err)
	}
	return nil
}
