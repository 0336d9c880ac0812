// Package clienttest runs libraries that are made for database/sql on a guarded
// database. It is a module of its own, so that guardedpg depends on none of
// them.
package clienttest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/pgtest"
	"github.com/guardedpg/guardedpg/mask"
)

// A client is a library, with a program that uses it as its users do.
type client struct {
	name string
	run  func(t *testing.T, db *sql.DB, saw *transcript)
	// empty is true for a program that makes its tables itself.
	empty bool
	// more is the SQL of further tables. Default: none.
	more func(t *testing.T) string
	// rules are what the operator of such a program adds to the baseline.
	// Default: none.
	rules []guard.Rule
	// held is how many statements of the program each rule holds. Default: none,
	// all of it is ordinary.
	held map[string]int
}

var clients = []client{
	sqlxClient, squirrelClient, scanyClient, sqlcClient, jetClient,
	gormClient, bunClient, entClient, xormClient,
	migrateClient, gooseClient, atlasClient, riverClient,
}

// TestClients runs each program with pgx alone, behind a guard that allows all,
// and behind one with the baseline and a protected column. What the program
// sees, and what it leaves in the database, must be the same, but for the mask.
func TestClients(t *testing.T) {
	for _, c := range clients {
		for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			t.Run(c.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				plain := open(t, "pgx", c.database(t, mode))
				seen := run(t, c, plain)
				left := dump(t, plain)

				t.Run("allowing", func(t *testing.T) {
					g := newGuarded(t, c.database(t, mode), guard.Policy{Default: guard.Allow})
					require.Equal(t, seen, run(t, c, g.db))
					require.Equal(t, left, dump(t, g.plain))
					require.Empty(t, g.refused())
				})
				t.Run("protecting", func(t *testing.T) {
					policy := baseline()
					policy.Rules = c.rules
					g := newGuarded(t, c.database(t, mode), policy)
					require.Equal(t, masked(seen), run(t, c, g.db))
					require.Equal(t, left, dump(t, g.plain))
					require.Empty(t, g.refused())
					if len(c.held) > 0 || len(g.held()) > 0 {
						require.Equal(t, c.held, g.held())
					}
				})
			})
		}
	}
}

// run runs the program and returns what it saw.
func run(t *testing.T, c client, db *sql.DB) string {
	t.Helper()
	var saw transcript
	c.run(t, db, &saw)
	require.NotEmpty(t, saw.String())
	return saw.String()
}

// A transcript is what a program saw.
type transcript struct{ strings.Builder }

// value notes a value as JSON.
func (s *transcript) value(what string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(s, "%s: %s\n", what, b)
}

// fails notes an error: its type, and the server's in it.
func (s *transcript) fails(what string, err error) {
	fmt.Fprintf(s, "%s: %T", what, err)
	var e *pgconn.PgError
	if errors.As(err, &e) {
		fmt.Fprintf(s, " %s %s", e.Code, e.ConstraintName)
	}
	for _, known := range []error{sql.ErrNoRows, sql.ErrTxDone, context.Canceled} {
		if errors.Is(err, known) {
			fmt.Fprintf(s, ", is %v", known)
		}
	}
	s.WriteByte('\n')
}

// emails are those of the programs.
var emails = regexp.MustCompile(`([a-z])[a-z]*@client\.test`)

// masked is the text with what the policy makes of it: the emails are masked.
func masked(text string) string { return emails.ReplaceAllString(text, "$1***@client.test") }

// dump returns what is in the tables of the schema public. River's are full of
// times and attempts.
func dump(t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.Query("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'river%' ORDER BY relname")
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	var b strings.Builder
	for _, table := range tables {
		var text sql.NullString
		require.NoError(t, db.QueryRow("SELECT string_agg(r::text, E'\\n' ORDER BY r::text) FROM "+table+" r").Scan(&text))
		fmt.Fprintf(&b, "%s\n%s\n", table, unstable.ReplaceAllString(text.String, "(now)"))
	}
	return b.String()
}

// unstable are the times that a program's library takes from the clock.
var unstable = regexp.MustCompile(`202[0-9]-[0-9-]+ [0-9:]+\.[0-9]+(\+00)?`)

// A guarded database, and what stands around it.
type guarded struct {
	db       *sql.DB
	plain    *sql.DB // without a guard, to look behind it
	approver *approvetest.Fake
	trail    *audittest.Recorder
}

func newGuarded(t *testing.T, dsn string, policy guard.Policy) *guarded {
	t.Helper()
	g := &guarded{plain: open(t, "pgx", dsn), approver: &approvetest.Fake{}, trail: &audittest.Recorder{}}
	g.approver.Yes(approvetest.Person("jo", "dba"))
	agent := identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent-1", Groups: []string{"agents"}})
	guardedpg.RegisterConfig(t.Name(), guardedpg.Config{
		Identify: func(context.Context) (identity.Identity, error) { return agent, nil },
		Policy:   policy,
		Approver: g.approver,
		Audit:    g.trail,
	})
	g.db = open(t, "guardedpg", dsn+"&guardedpg_config="+url.QueryEscape(t.Name()))
	return g
}

// baseline is the policy of most: the built-in pack, and a column that is
// protected wherever it is.
func baseline() guard.Policy {
	email, err := mask.Decode("email")
	if err != nil {
		panic(err)
	}
	return guard.Policy{
		Protect:  []guard.Protect{{Column: "*.customers.email", Mask: guard.Mask{Spec: email}}},
		Include:  []string{"baseline"},
		Approval: guard.Approval{Wait: time.Minute},
	}
}

// held counts the statements that each rule held.
func (g *guarded) held() map[string]int {
	held := map[string]int{}
	for _, r := range g.trail.Records(audit.KindHold) {
		held[r.Verdict.Rule]++
	}
	return held
}

// refused returns what the guard refused, also where the library kept it to
// itself. Where there is an outcome it was the server, or a context that ended.
func (g *guarded) refused() []string {
	var refused []string
	for _, r := range g.trail.Records(audit.KindDenied) {
		if r.Outcome == nil {
			refused = append(refused, r.SQL.Text)
		}
	}
	return refused
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// database makes the database of a program, with the tables of
// testdata/schema.sql or empty.
func (c client) database(t *testing.T, mode string) (dsn string) {
	t.Helper()
	s := pgtest.Start(t)
	if c.empty {
		return s.Database(t) + "&default_query_exec_mode=" + mode
	}
	schema, err := os.ReadFile("testdata/schema.sql")
	require.NoError(t, err)
	template, setup := "clients", string(schema)
	if c.more != nil {
		template, setup = c.name, setup+c.more(t)
	}
	s.Template(t, template, setup)
	return s.DSN(pgtest.Superuser, s.Clone(t, template)) + "&default_query_exec_mode=" + mode
}
