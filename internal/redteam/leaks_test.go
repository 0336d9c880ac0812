package redteam_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

func leakCases(t *testing.T) []*attackCase { return readCases(t, "leaks.jsonl", "leaks_more.jsonl") }

const inference = "inference"

// TestLeaks runs every attack on masking through the guard.
func TestLeaks(t *testing.T) {
	l, d := newLab(t), newDetector(t)
	rep := newReport("refused", "masked", "leaked", "hung")
	t.Run("case", func(t *testing.T) {
		for i, c := range leakCases(t) {
			if c.Family == inference {
				continue
			}
			for _, s := range chosen(i, c) {
				t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
					t.Parallel()
					l.with(func(b *bench) {
						client := b.guarded(t, s)
						defer client.close()
						list := attack(t.Context(), client, c)
						verdict := judge(list)
						hits := d.findings(c, list)
						if len(hits) > 0 {
							verdict = "leaked"
						}
						rep.count(c.Family, verdict)
						if verdict == "hung" || verdict == "leaked" {
							t.Errorf("%s %s %s (%s) %s\n%s%s", c.ID, c.Family, verdict, c.Policy, c.Note, describe(c, list), strings.Join(hits, "\n"))
						}
					})
				})
			}
		}
	})
	rep.log(t)
}

// judge says how an attack that shows nothing was stopped.
func judge(list []*outcome) string {
	verdict := "masked"
	for _, o := range list {
		switch {
		case o.took >= stepLimit || errors.Is(o.err, context.DeadlineExceeded):
			return "hung"
		case o.refused != nil:
			verdict = "refused"
		}
	}
	return verdict
}

// attack runs a case's steps, or the program that stands for them. A last
// statement fetches what waits for the client.
func attack(ctx context.Context, c *client, a *attackCase) []*outcome {
	switch a.Mode {
	case "go:raw":
		return throughRaw(ctx, c, a)
	case "go:poolleak":
		return throughPool(ctx, c)
	}
	list := c.run(ctx, a.Steps, a.Args, a.simpleOnly())
	last := c.run(ctx, []string{"SELECT 1"}, nil, false)
	last[0].step = len(a.Steps) - 1
	return append(list, last...)
}

// throughRaw looks for a way from the driver's connection to pgx's.
func throughRaw(ctx context.Context, c *client, a *attackCase) []*outcome {
	o := &outcome{}
	conn, err := c.db.Conn(ctx)
	if err != nil {
		o.fail(err)
		return []*outcome{o}
	}
	o.fail(conn.Raw(func(driverConn any) error {
		if way := wayToPgx(reflect.ValueOf(driverConn), 3); way != "" {
			return fmt.Errorf("canary-email-0001 is reachable through %s", way)
		}
		return nil
	}))
	conn.Close() // there is only one
	return append(c.run(ctx, a.Steps[:1], nil, false), o)
}

// wayToPgx follows exported fields and methods without arguments.
func wayToPgx(v reflect.Value, depth int) string {
	if !v.IsValid() || depth == 0 {
		return ""
	}
	switch v.Type() {
	case reflect.TypeFor[*pgx.Conn](), reflect.TypeFor[*pgconn.PgConn](), reflect.TypeFor[*stdlib.Conn](), reflect.TypeFor[*sql.DB]():
		return v.Type().String()
	}
	for i := range v.NumMethod() {
		m := v.Type().Method(i)
		if m.Type.NumIn() != 1 || m.Name == "Close" || m.Name == "Begin" {
			continue
		}
		for _, out := range v.Method(i).Call(nil) {
			if way := wayToPgx(out, depth-1); way != "" {
				return m.Name + "() " + way
			}
		}
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return ""
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.IsExported() {
			if way := wayToPgx(v.Field(i), depth-1); way != "" {
				return f.Name + " " + way
			}
		}
	}
	return ""
}

// TestWayToPgx sees that the search would find what it is for.
func TestWayToPgx(t *testing.T) {
	require.NotEmpty(t, wayToPgx(reflect.ValueOf(&struct{ Inner *stdlib.Conn }{&stdlib.Conn{}}), 3))
	require.NotEmpty(t, wayToPgx(reflect.ValueOf(&stdlib.Conn{}), 3))
	require.Empty(t, wayToPgx(reflect.ValueOf(&struct{ inner *stdlib.Conn }{&stdlib.Conn{}}), 3))
}

// throughPool leaves a search_path behind in the pool.
func throughPool(ctx context.Context, c *client) []*outcome {
	list := c.run(ctx, []string{"SET search_path = hr"}, nil, false)
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
	next := c.run(ctx, []string{"SELECT body FROM notes"}, nil, false)
	next[0].step = 1
	return append(list, next...)
}
