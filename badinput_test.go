package guardedpg_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// badTexts are texts that nobody should send. Each either runs harmlessly or
// gives a clear error.
func badTexts() map[string]string {
	var placeholders strings.Builder
	placeholders.WriteString("SELECT 1 WHERE 1 IN ($1")
	for i := 2; i <= 10000; i++ {
		fmt.Fprintf(&placeholders, ",$%d", i)
	}
	placeholders.WriteString(")")
	return map[string]string{
		"garbage":              "\x01\x02;;''\"$$ SELECT )(",
		"words":                "please delete all my customers",
		"a megabyte":           "SELECT 1 WHERE 'a' IN ('" + strings.Repeat("x','", 1<<18) + "')",
		"a megabyte of spaces": "SELECT 1" + strings.Repeat(" ", 1<<20),
		"parentheses":          "SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000),
		"a long sum":           "SELECT 1" + strings.Repeat("+1", 64000),
		"NUL":                  "SELECT 1\x00; SELECT email FROM customers",
		"NUL first":            "\x00SELECT email FROM customers",
		"invalid UTF-8":        "SELECT 'a\xff\xfe', email FROM customers",
		"overlong UTF-8":       "SELECT '\xc0\xa7', email FROM customers",
		"empty":                "",
		"spaces":               " \n\t ",
		"semicolons":           ";;;",
		"comment":              "-- nothing",
		"block comment":        "/* /* nested */ */",
		"open comment":         "/* SELECT 1",
		"open string":          "SELECT 'abc",
		"open dollar":          "SELECT $a$abc",
		"placeholders":         placeholders.String(),
		"high placeholder":     "SELECT $65536",
		"huge placeholder":     "SELECT $99999999999999999999",
		"unicode escapes":      `SELECT U&"em\0061il" FROM customers`,
		"many statements":      strings.Repeat("SELECT 1;", 20000),
		"deep CASE":            "SELECT " + strings.Repeat("CASE WHEN true THEN ", 3000) + "1" + strings.Repeat(" END", 3000),
		"deep subqueries":      "SELECT " + strings.Repeat("(SELECT ", 2000) + "1" + strings.Repeat(")", 2000),
	}
}

func TestBadInput(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			f := newFixtureOn(t, inMode(shop(t), mode))
			f.db.SetMaxOpenConns(1)
			for name, text := range badTexts() {
				if len(text) > 100<<10 && mode != modes[0] && mode != "simple_protocol" {
					continue // how long a text takes to analyze has nothing to do with the mode
				}
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // a hang, not a slow machine
					defer cancel()
					before := len(f.trail.Records())
					_, err := f.db.ExecContext(ctx, text)
					check(t, err)
					rows, err := f.db.QueryContext(ctx, text)
					check(t, err)
					if err == nil {
						for rows.Next() {
						}
						check(t, rows.Err())
						rows.Close()
					}
					stmt, err := f.db.PrepareContext(ctx, text)
					check(t, err)
					if err == nil {
						stmt.Close()
					}
					require.NoError(t, ctx.Err())
					require.GreaterOrEqual(t, len(f.trail.Records())-before, 2, "the attempts are recorded")
					var one int
					require.NoError(t, f.db.QueryRowContext(ctx, "SELECT 1").Scan(&one), "the pool is usable")
				})
			}
			require.Equal(t, 3, f.count(t, "customers"))
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.NotContains(t, err.Error(), "panic")
		require.NotContains(t, fmt.Sprintf("%+v", err), canary)
		require.Less(t, len(err.Error()), 2000)
	}
}

// Arguments are untrusted too.
func TestBadArguments(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		for _, args := range [][]any{
			{make(chan int)}, {func() {}}, {struct{}{}}, {map[string]any{"a": make(chan int)}}, {(*int)(nil)}, {valuer{}}, {[]any{nil, 1}},
			{"\x00"}, {"\xff"}, {strings.Repeat("x", 1<<20)}, {1, 2, 3}, {pgx.QueryExecMode(-5), 1}, {rewriter{sql: "\x00"}}, {pgx.NamedArgs(nil)},
		} {
			_, err := f.db.Exec("SELECT $1::text", args...)
			check(t, err)
			_, err = f.db.Query("SELECT $1::text", args...)
			check(t, err)
		}
		require.NoError(t, f.db.Ping())
	})
}

// valuer panics when it is asked for its value.
type valuer struct{}

func (valuer) Value() (any, error) { panic("no value") }

// A server that dies while rows are read, and one that dies before.
func TestServerDies(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			server := pgtest.Options{}.Start(t)
			dsn := inMode(server.Database(t), mode)
			trail := &audittest.Recorder{}
			db := open(t, guardedpg.Config{DSN: dsn, Identify: as(agent), Policy: allowAll(), Audit: trail})
			rows, err := db.Query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)")
			require.NoError(t, err)
			require.True(t, rows.Next())
			server.Kill(t)
			for rows.Next() {
			}
			require.Error(t, rows.Err())
			require.NoError(t, rows.Close())
			outcomes := trail.Records(audit.KindOutcome)
			require.NotEmpty(t, outcomes)
			require.False(t, outcomes[len(outcomes)-1].Outcome.OK)
			_, err = db.Exec("SELECT 1")
			require.Error(t, err)
			server.Restart(t)
			_, err = db.Exec("SELECT 1")
			require.NoError(t, err)
		})
	}
}

func TestCancelledBefore(t *testing.T) {
	f := newFixture(t)
	c, err := f.db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.ExecContext(ctx, "INSERT INTO scratch VALUES (1, 'x')")
	require.ErrorIs(t, err, context.Canceled)
	// database/sql stops it itself; below it, the driver does.
	require.NoError(t, c.Raw(func(dc any) error {
		_, err := dc.(*guardedpg.Conn).ExecContext(ctx, "INSERT INTO scratch VALUES (1, 'x')", nil)
		require.ErrorIs(t, err, context.Canceled)
		_, err = dc.(*guardedpg.Conn).QueryContext(ctx, "SELECT 1", nil)
		require.ErrorIs(t, err, context.Canceled)
		return nil
	}))
	require.Zero(t, f.count(t, "scratch"))
	require.NotEmpty(t, f.trail.Records(audit.KindDenied))
	_, err = c.ExecContext(t.Context(), "SELECT 1")
	require.NoError(t, err)
}

// The driver starts no goroutines: none can be left.
func TestNoGoroutines(t *testing.T) {
	f := newFixture(t)
	_, err := f.db.Exec("SELECT 1")
	require.NoError(t, err)
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	require.NotContains(t, stacks, "created by github.com/guardedpg/guardedpg.")
}
