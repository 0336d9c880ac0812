package redteam_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg"
)

// An outcome is what the client could see of one step.
type outcome struct {
	step    int
	columns []string
	types   []string // by column, as database/sql reports them
	rows    [][]string
	refused error    // the guard's refusal
	err     error    // any error, the guard's included
	tag     string   // of a step that gave no rows
	texts   []string // everything, cell by cell
	took    time.Duration
}

func (o *outcome) see(format string, args ...any) {
	o.texts = append(o.texts, fmt.Sprintf(format, args...))
}

// fail notes an error, with all that its fields say.
func (o *outcome) fail(err error) {
	if err == nil {
		return
	}
	if o.err == nil {
		o.err = err
	}
	var refusal *guardedpg.RefusedError
	if errors.As(err, &refusal) {
		o.refused = err
	}
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		o.see("%s", err.Error())
		o.texts = append(o.texts, textFields(reflect.ValueOf(err))...)
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
}

// textFields returns the exported text fields of a struct.
func textFields(v reflect.Value) []string {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for i := range v.NumField() {
		if f := v.Field(i); v.Type().Field(i).IsExported() && f.Kind() == reflect.String && f.Len() > 0 {
			out = append(out, f.String())
		}
	}
	return out
}

// An inboxes collects what arrives beside results.
type inbox struct {
	mu    sync.Mutex
	texts []string
}

func (i *inbox) add(texts ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.texts = append(i.texts, texts...)
}

func (i *inbox) take() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	texts := i.texts
	i.texts = nil
	return texts
}

// listen puts the inbox behind a connection's handlers.
func (i *inbox) listen(cfg *pgconn.Config) {
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { i.add(textFields(reflect.ValueOf(n))...) }
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { i.add(n.Channel, n.Payload) }
	cfg.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool {
		i.add(textFields(reflect.ValueOf(e))...)
		return !strings.EqualFold(e.SeverityUnlocalized, "FATAL")
	}
}

// A way is how a step is sent.
type way int

const (
	byQuery way = iota
	byExec
	byPrepare
)

// A client runs steps through one *sql.DB of one connection.
type client struct {
	bench *bench
	db    *sql.DB
	conn  *sql.Conn
	inbox *inbox
	way   way
}

// run runs steps and returns what was seen of each.
func (c *client) run(ctx context.Context, steps []string, args [][]string, batches bool) []*outcome {
	var list []*outcome
	for i, step := range steps {
		o := &outcome{step: i}
		list = append(list, o)
		begun := time.Now()
		switch {
		case step == reconnectStep:
			c.disconnect()
		case strings.HasPrefix(step, adminStep):
			if err := c.bench.administer(ctx, strings.TrimPrefix(step, adminStep)); err != nil {
				o.err = fmt.Errorf("the other session: %w", err)
			}
		default:
			c.step(ctx, o, step, arg(args, i), batches)
		}
		o.took = time.Since(begun)
		o.texts = append(o.texts, c.inbox.take()...)
	}
	return list
}

func (c *client) step(ctx context.Context, o *outcome, step string, args []any, batch bool) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if c.conn == nil {
		conn, err := c.db.Conn(ctx)
		if err != nil {
			o.fail(err)
			return
		}
		c.conn = conn
	}
	if statement, _, ok := copyData(step); ok {
		step = statement // database/sql has no way to send the data
	}
	switch {
	case c.way == byExec || batch && len(args) == 0:
		o.exec(c.conn.ExecContext(ctx, step, args...))
	case c.way == byPrepare:
		stmt, err := c.conn.PrepareContext(ctx, step)
		if err != nil {
			o.fail(err)
			return
		}
		o.query(stmt.QueryContext(ctx, args...))
		if err := stmt.Close(); err != nil {
			o.fail(err)
		}
	default:
		o.query(c.conn.QueryContext(ctx, step, args...))
	}
}

func (o *outcome) exec(res sql.Result, err error) {
	if err != nil {
		o.fail(err)
		return
	}
	n, err := res.RowsAffected()
	o.fail(err)
	o.tag = fmt.Sprint(n)
}

func (o *outcome) query(rows *sql.Rows, err error) {
	if err != nil {
		o.fail(err)
		return
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	o.fail(err)
	for _, t := range types {
		o.columns = append(o.columns, t.Name())
		o.types = append(o.types, fmt.Sprint(t.DatabaseTypeName(), " ", t.ScanType()))
	}
	o.texts = append(o.texts, o.columns...)
	values, into := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			o.fail(err)
			break
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = cell(v)
		}
		o.rows = append(o.rows, row)
		o.texts = append(o.texts, row...)
	}
	o.fail(rows.Err())
	o.fail(rows.Close())
}

// null stands for a NULL cell.
const null = "\x00NULL"

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return null
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999999999Z07:00")
	}
	return fmt.Sprint(v)
}

// disconnect ends the session; the next step gets another.
func (c *client) disconnect() {
	if c.conn == nil {
		return
	}
	// An error here makes database/sql close the connection.
	c.conn.Raw(func(any) error { return errEnough })
	c.conn.Raw(func(driverConn any) error {
		if closer, ok := driverConn.(interface{ Close() error }); ok {
			closer.Close()
		}
		return errEnough
	})
	c.conn.Close()
	c.conn = nil
	c.db.SetMaxIdleConns(0)
	c.db.SetMaxIdleConns(1)
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
	c.db.Close()
}

var errEnough = errors.New("enough")

// findings searches everything that was seen.
func (d *detector) findings(c *attackCase, list []*outcome) []string {
	hits := map[string]bool{}
	for _, o := range list {
		for _, text := range o.texts {
			for f := range d.find(text) {
				hits[fmt.Sprintf("step %d: %v", o.step, f)] = true
			}
			for _, x := range c.expect {
				if x.MatchString(text) {
					hits[fmt.Sprintf("step %d: matches %s", o.step, x)] = true
				}
			}
		}
		// A value one character or one row at a time is whole in the column.
		for i := range o.columns {
			var column strings.Builder
			distinct := map[string]bool{}
			for _, row := range o.rows {
				distinct[row[i]] = true
			}
			if len(distinct) < 3 {
				continue // eight ones are no digits of a card
			}
			for _, row := range o.rows {
				if len(row[i]) <= 4 {
					column.WriteString(row[i])
					if len(row[i]) > 1 {
						column.WriteByte(' ')
					}
				}
			}
			for f := range d.find(column.String()) {
				hits[fmt.Sprintf("step %d: %v down the column", o.step, f)] = true
			}
		}
	}
	var out []string
	for h := range hits {
		out = append(out, h)
	}
	slices.Sort(out)
	return out
}

// describe says what became of each step.
func describe(c *attackCase, list []*outcome) string {
	var b strings.Builder
	for _, o := range list {
		text := c.Steps[o.step]
		if len(text) > 300 {
			text = text[:300] + " ..."
		}
		fmt.Fprintf(&b, "  step %d  %q\n", o.step, text)
		if o.err != nil {
			fmt.Fprintf(&b, "          %s\n", o.err)
		} else {
			fmt.Fprintf(&b, "          ran: columns %q, %d rows\n", o.columns, len(o.rows))
		}
		for i, row := range o.rows {
			if i == 2 {
				break
			}
			fmt.Fprintf(&b, "          %.200q\n", row)
		}
	}
	return b.String()
}
