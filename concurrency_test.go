package guardedpg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/pgtest"
	"github.com/guardedpg/guardedpg/mask"
)

// full is set for runs that take minutes.
var full = os.Getenv("GUARDEDPG_FULL") != ""

const (
	crowdWorkers     = 64
	crowdConnections = 12 // fewer than workers: every connection goes from one to the next
	crowdRows        = 4  // of each principal in the table own
)

// A principal is what the test knows of an identity. Subjects come three times:
// from two issuers, and unverified.
type principal struct {
	claims   identity.Claims
	verified bool
	key      string // its rows in the table own
	sees     map[string]bool
}

func (p *principal) identity() identity.Identity {
	if !p.verified {
		return identity.Development(p.claims.Subject, p.claims.Groups...)
	}
	return identity.New(p.claims)
}

func crowdPrincipals() []*principal {
	var all []*principal
	for i := range 16 {
		p := &principal{verified: i%4 != 3, claims: identity.Claims{Issuer: "https://idp.test", Subject: fmt.Sprintf("agent-%d", i/3)}}
		switch i % 4 {
		case 2:
			p.claims.Issuer = "https://other.test"
		case 3:
			p.claims.Issuer = "development"
		}
		p.sees = map[string]bool{"mail": i&1 != 0 && p.verified, "pin": i&4 != 0, "note": p.claims.Subject == "agent-2" && p.verified}
		if i&1 != 0 {
			p.claims.Groups = append(p.claims.Groups, "mail")
		}
		if i&4 != 0 {
			p.claims.Groups = append(p.claims.Groups, "pin")
		}
		p.key = p.claims.Issuer + "/" + p.claims.Subject
		all = append(all, p)
	}
	return all
}

func crowdPolicy() guard.Policy {
	return guard.Policy{Default: guard.Allow, Protect: []guard.Protect{
		{Column: "public.people.mail", Mask: maskNamed("email"), Unless: "'mail' in identity.groups && identity.verified"},
		{Column: "public.people.pin", Unless: "'pin' in identity.groups"},
		{Column: "public.people.note", Mask: maskOf(map[string]any{"partial": map[string]any{"last": 2}}),
			Unless: "identity.verified && identity.subject == 'agent-2'"},
		{Column: "public.people.token", Mask: maskNamed("hash")},
		{Column: "public.own.code", Unless: "'mail' in identity.groups && identity.verified"},
	}}
}

func maskOf(v any) guard.Mask {
	spec, err := mask.Decode(v)
	if err != nil {
		panic(err)
	}
	return guard.Mask{Spec: spec}
}

// witnessing is a sink that compares who a record names with who asked: the
// crowd's statements carry their principal as an argument.
type witnessing struct {
	nowhere
	seen, wrong atomic.Int64
}

const askedBy = "asked by "

func (s *witnessing) Append(r *audit.Record) (uint64, error) {
	if r.SQL == nil || r.Kind != audit.KindIntent {
		return 1, nil
	}
	for _, a := range r.SQL.Args {
		if key, ok := strings.CutPrefix(a.Value, askedBy); ok {
			s.seen.Add(1)
			if r.Who == nil || r.Who.Issuer+"/"+r.Who.Subject != key {
				s.wrong.Add(1)
			}
		}
	}
	return 1, nil
}

// A crowd is many principals on one pool.
type crowd struct {
	t          *testing.T
	db, admin  *sql.DB
	person     *sql.Stmt // prepared once, run by all
	principals []*principal
	tokens     map[int]string // the masked ones
	lost       atomic.Int64
	done       atomic.Int64
}

// A member is one goroutine's part of the crowd.
type member struct {
	*crowd
	*rand.Rand
	*principal
	ctx context.Context
}

const personSQL = `SELECT id, mail, pin, note, token, $2::text FROM people WHERE id = $1`

// TestCrowd has many goroutines with different identities on one pool, some of
// which fail, cancel, roll back and lose their connections. Nobody ever sees
// what only another may see.
func TestCrowd(t *testing.T) {
	operations := 8_000
	if full {
		operations = 200_000
	}
	schema, err := os.ReadFile("testdata/crowd/schema.sql")
	require.NoError(t, err)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			s := pgtest.Start(t)
			s.Template(t, "crowd", string(schema))
			name := s.Clone(t, "crowd")
			trail := &witnessing{}
			c := newCrowd(t, s.DSN(pgtest.Superuser, name), inMode(s.DSN("crowd", name), mode), trail)
			left := atomic.Int64{}
			left.Store(int64(operations / len(modes)))
			var workers sync.WaitGroup
			for w := range crowdWorkers {
				workers.Go(func() {
					m := &member{crowd: c, Rand: rand.New(rand.NewPCG(uint64(w), 11)), principal: c.principals[w%len(c.principals)]}
					m.renew()
					for left.Add(-1) >= 0 && !t.Failed() {
						m.operate()
					}
				})
			}
			workers.Wait()
			t.Logf("%d operations done, %d cut off, %d records compared", c.done.Load(), c.lost.Load(), trail.seen.Load())
			require.Zero(t, trail.wrong.Load(), "records that name another identity")
			require.Greater(t, trail.seen.Load(), int64(operations/len(modes)/4))
			require.Greater(t, c.done.Load(), 4*c.lost.Load(), "too much was cut off for the test to mean anything")
			c.allReturned()
		})
	}
}

func newCrowd(t *testing.T, adminDSN, dsn string, trail audit.Sink) *crowd {
	key, err := mask.NewKey([]byte("a secret of the crowd's policy"))
	require.NoError(t, err)
	c := &crowd{t: t, principals: crowdPrincipals(), tokens: map[int]string{}}
	c.admin, err = sql.Open("pgx", adminDSN)
	require.NoError(t, err)
	t.Cleanup(func() { c.admin.Close() })
	for _, p := range c.principals {
		for n := range crowdRows {
			_, err := c.admin.Exec("INSERT INTO own VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", p.key, n, code(p.key, n))
			require.NoError(t, err)
		}
	}
	c.db = open(t, guardedpg.Config{DSN: dsn, Policy: crowdPolicy(), MaskKey: key, Audit: trail,
		Identify: func(ctx context.Context) (identity.Identity, error) { return identity.FromContext(ctx), nil }})
	c.db.SetMaxOpenConns(crowdConnections)
	c.db.SetMaxIdleConns(crowdConnections)
	ctx := identity.NewContext(t.Context(), c.principals[0].identity())
	rows, err := c.db.QueryContext(ctx, "SELECT id, token FROM people")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int
		var token string
		require.NoError(t, rows.Scan(&id, &token))
		require.NotContains(t, token, "clear")
		c.tokens[id] = token
	}
	require.NoError(t, rows.Err())
	require.Len(t, c.tokens, 64)
	c.person, err = c.db.PrepareContext(ctx, personSQL)
	require.NoError(t, err)
	t.Cleanup(func() { c.person.Close() })
	return c
}

// allReturned takes every connection of the pool at once: one that a worker
// lost would not come. The pool's own count is of no use here, because it has
// connections in it that are still being opened for somebody who has left.
func (c *crowd) allReturned() {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for range crowdConnections {
		conn, err := c.db.Conn(ctx)
		require.NoError(c.t, err, "a connection was not given back")
		defer conn.Close()
	}
}

func code(key string, n int) string { return fmt.Sprintf("clear code %d of %s", n, key) }

// renew takes a new token: another Identity of the same principal.
func (m *member) renew() { m.ctx = identity.NewContext(m.t.Context(), m.identity()) }

// operate does one thing. What was cut off is counted, what is wrong fails the
// test.
func (m *member) operate() {
	var err error
	what := ""
	switch n := m.IntN(1000); {
	case n < 300:
		what, err = "point read", m.point(m.db)
	case n < 450:
		what, err = "prepared", m.prepared()
	case n < 600:
		what, err = "own rows", m.ownRows(m.db, m.principal, m.ctx, crowdRows)
	case n < 720:
		what, err = "tags", m.tags(m.db, m.principal, m.ctx)
	case n < 840:
		what, err = "transaction", m.transaction()
	case n < 890:
		what, err = "error", m.mistake()
	case n < 930:
		what, err = "cancelled reading", m.cancelled()
	case n < 945:
		what, err = "deadline", m.deadline()
	case n < 955:
		what, err = "killed", m.killed()
	case n < 965:
		what, err = "session", m.session()
	default:
		m.renew()
		what, err = "point read", m.point(m.db)
	}
	var wrong *wrongError
	switch {
	case err == nil:
		m.done.Add(1)
	case errors.As(err, &wrong), !cutOff(err):
		m.t.Errorf("%s of %s (verified %v): %v", what, m.key, m.verified, err)
	default:
		m.lost.Add(1)
	}
}

// wrongError says that somebody got what is another's, or not what is theirs.
type wrongError struct{ what string }

func (e *wrongError) Error() string { return e.what }

func wrong(format string, args ...any) error { return &wrongError{fmt.Sprintf(format, args...)} }

// cutOff reports whether an error is what a lost connection or an ended context
// gives.
func cutOff(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code == "57P01" || server.Code == "57014" // admin_shutdown, query_canceled
	}
	var network net.Error
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &network) || pgconn.SafeToRetry(err)
}

type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

type scanner interface{ Scan(...any) error }

// readPerson compares a row of people with what the principal may see of it.
func (m *member) readPerson(from scanner, want int) error {
	var id, pin int
	var mail, note, token, asked string
	if err := from.Scan(&id, &mail, &pin, &note, &token, &asked); err != nil {
		return err
	}
	wantMail, wantPin, wantNote := "c***@x.test", 0, fmt.Sprintf("***%02d", (1000+id)%100)
	if m.sees["mail"] {
		wantMail = fmt.Sprintf("clear%d@x.test", id)
	}
	if m.sees["pin"] {
		wantPin = 100000 + id
	}
	if m.sees["note"] {
		wantNote = fmt.Sprintf("clear note %d", 1000+id)
	}
	if want > 0 && id != want || mail != wantMail || pin != wantPin || note != wantNote || token != m.tokens[id] || asked != askedBy+m.key {
		return wrong("row %d (wanted %d): %q %d %q %q %q; wanted %q %d %q %q", id, want, mail, pin, note, token, asked, wantMail, wantPin, wantNote, m.tokens[id])
	}
	return nil
}

func (m *member) point(q querier) error {
	id := 1 + m.IntN(64)
	return m.readPerson(q.QueryRowContext(m.ctx, personSQL, id, askedBy+m.key), id)
}

func (m *member) prepared() error {
	id := 1 + m.IntN(64)
	return m.readPerson(m.person.QueryRowContext(m.ctx, id, askedBy+m.key), id)
}

// ownRows compares the rows that row level security gives with those of p.
func (m *member) ownRows(q querier, p *principal, ctx context.Context, want int) error {
	rows, err := q.QueryContext(ctx, "SELECT owner, n, code, $1::text FROM own ORDER BY n", askedBy+p.key)
	if err != nil {
		return err
	}
	defer rows.Close()
	got := 0
	for rows.Next() {
		var owner, value, asked string
		var n int
		if err := rows.Scan(&owner, &n, &value, &asked); err != nil {
			return err
		}
		wanted := mask.Stars
		if p.sees["mail"] {
			wanted = code(p.key, n)
		}
		if owner != p.key || value != wanted {
			return wrong("%s got %q of %q; wanted %q", p.key, value, owner, wanted)
		}
		got++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if got != want {
		return wrong("%s got %d rows, wanted %d", p.key, got, want)
	}
	return nil
}

// tags compares who the server says is asking with p.
func (m *member) tags(q querier, p *principal, ctx context.Context) error {
	var application, issuer, subject, groups, verified string
	err := q.QueryRowContext(ctx, `SELECT current_setting('application_name'), current_setting('guardedpg.issuer'),
		current_setting('guardedpg.subject'), current_setting('guardedpg.groups'), current_setting('guardedpg.verified')`).
		Scan(&application, &issuer, &subject, &groups, &verified)
	if err != nil {
		return err
	}
	name, on := p.claims.Subject, "on"
	if !p.verified {
		name, on = name+" (unverified)", "off"
	}
	list := ""
	for _, g := range p.claims.Groups {
		list += `,"` + g + `"`
	}
	if application != name || issuer != p.claims.Issuer || subject != p.claims.Subject || groups != "{"+strings.TrimPrefix(list, ",")+"}" || verified != on {
		return wrong("the server says %q, %q, %q, %q, %q", application, issuer, subject, groups, verified)
	}
	return nil
}

// transaction works for its member, and at times for another within it, and
// ends in one of many ways.
func (m *member) transaction() error {
	tx, err := m.db.BeginTx(m.ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := m.ownRows(tx, m.principal, m.ctx, crowdRows); err != nil {
		return err
	}
	// A number of its own: rows of others' transactions must not collide.
	n := 1000 + m.IntN(1<<30)
	if _, err := tx.ExecContext(m.ctx, "INSERT INTO own VALUES ($1, $2, $3)", m.key, n, code(m.key, n)); err != nil {
		return err
	}
	if err := m.ownRows(tx, m.principal, m.ctx, crowdRows+1); err != nil {
		return err
	}
	if m.IntN(3) == 0 {
		if err := m.amongOthers(tx); err != nil {
			return err
		}
	}
	switch m.IntN(5) {
	case 0:
		if _, err := tx.ExecContext(m.ctx, "DELETE FROM own WHERE n >= 1000 AND n = $1", n); err != nil {
			return err
		}
		return tx.Commit()
	case 1: // the error ends the transaction, Commit only says so
		_, err := tx.ExecContext(m.ctx, "SELECT 1 / (n - n) FROM own")
		if err := m.isState(err, "22012"); err != nil {
			return err
		}
		if err := tx.Commit(); err == nil {
			return wrong("a failed transaction was committed")
		}
	case 2: // the connection goes away within it
		var pid int
		if err := tx.QueryRowContext(m.ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		if _, err := m.admin.Exec("SELECT pg_terminate_backend($1, 10000)", pid); err != nil {
			return err
		}
		if err := m.point(tx); err == nil {
			return wrong("a statement ran in a transaction whose connection was gone")
		}
	default:
		return tx.Rollback()
	}
	return nil
}

// amongOthers lets another principal work in the same transaction, in a part of
// it that is undone: the tags come and go with it.
func (m *member) amongOthers(tx *sql.Tx) error {
	other := m.principals[m.IntN(len(m.principals))]
	ctx := identity.NewContext(m.t.Context(), other.identity())
	if _, err := tx.ExecContext(m.ctx, "SAVEPOINT a"); err != nil {
		return err
	}
	want := crowdRows
	if other.key == m.key {
		want++
	}
	if err := m.ownRows(tx, other, ctx, want); err != nil {
		return err
	}
	if err := m.tags(tx, other, ctx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT a"); err != nil {
		return err
	}
	if m.IntN(2) == 0 {
		if err := m.tags(tx, other, ctx); err != nil {
			return err
		}
	}
	if err := m.tags(tx, m.principal, m.ctx); err != nil {
		return err
	}
	return m.ownRows(tx, m.principal, m.ctx, crowdRows+1)
}

// isState checks that err is the server's, and shows no value that the member
// may not see.
func (m *member) isState(err error, state string) error {
	var server *pgconn.PgError
	switch {
	case err == nil:
		return wrong("no error, wanted %s", state)
	case !errors.As(err, &server) || server.Code != state:
		return err
	case !m.sees["mail"] && strings.Contains(fmt.Sprintf("%v %+v", err, server), "clear"):
		return wrong("the error shows a value: %v", err)
	}
	return nil
}

// mistake makes the server fail, before and after rows came.
func (m *member) mistake() error {
	_, err := m.db.ExecContext(m.ctx, "SELECT code::int FROM own")
	if err := m.isState(err, "22P02"); err != nil {
		return err
	}
	rows, err := m.db.QueryContext(m.ctx, "SELECT id, mail, pin, note, token, $1::text, 1 / (40 - id) FROM people ORDER BY id", askedBy+m.key)
	if err != nil {
		return m.isState(err, "22012")
	}
	defer rows.Close()
	for rows.Next() {
		var any any
		if err := m.readPerson(extra{rows, &any}, 0); err != nil {
			return err
		}
	}
	return m.isState(rows.Err(), "22012")
}

// extra scans one column more.
type extra struct {
	scanner
	into any
}

func (e extra) Scan(into ...any) error { return e.scanner.Scan(append(into, e.into)...) }

// cancelled gives up while rows come.
func (m *member) cancelled() error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	rows, err := m.db.QueryContext(ctx, "SELECT id, mail, pin, note, token, $1::text FROM people, generate_series(1, 500)", askedBy+m.key)
	if err != nil {
		return err
	}
	defer rows.Close()
	stop := m.IntN(200)
	for n := 0; rows.Next(); n++ {
		if n == stop {
			cancel()
		}
		if err := m.readPerson(rows, 0); err != nil {
			return err
		}
	}
	if rows.Err() == nil {
		return wrong("all rows came after the context ended")
	}
	return nil
}

// deadline gives up while the server works.
func (m *member) deadline() error {
	ctx, cancel := context.WithTimeout(m.ctx, time.Duration(m.IntN(3))*time.Millisecond)
	defer cancel()
	_, err := m.db.ExecContext(ctx, "SELECT pg_sleep(60), mail FROM people")
	if err == nil {
		return wrong("the deadline did not end the statement")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// killed loses its own connection.
func (m *member) killed() error {
	_, err := m.db.ExecContext(m.ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
	if err == nil {
		return wrong("the connection survived")
	}
	if cutOff(err) {
		return nil
	}
	return err
}

// session uses what belongs to a session, with one name for all. Half the time it
// leaves everything where it is.
func (m *member) session() (err error) {
	c, err := m.db.Conn(m.ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// The principal's own leavings may still be here, those of others may not.
	var path string
	var desk sql.NullString
	if err := c.QueryRowContext(m.ctx, "SELECT current_setting('search_path'), current_setting('desk.of', true)").Scan(&path, &desk); err != nil {
		return err
	}
	if desk.String != "" && desk.String != m.key {
		return wrong("a setting of %q", desk.String)
	}
	if path != `"$user", public` && desk.String != m.key {
		return wrong("the search path %q of another", path)
	}
	var others int
	if err := c.QueryRowContext(m.ctx, `SELECT (SELECT count(*) FROM pg_class WHERE relname = 'desk' AND relnamespace = pg_my_temp_schema()) +
		(SELECT count(*) FROM pg_prepared_statements WHERE from_sql) + (SELECT count(*) FROM pg_cursors WHERE name = 'held') +
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())`).Scan(&others); err != nil {
		return err
	}
	if others > 0 && desk.String != m.key {
		return wrong("%d things of another", others)
	}
	for _, text := range []string{"RESET search_path", "DROP TABLE IF EXISTS pg_temp.desk", "SELECT set_config('desk.of', '" + m.key + "', false)",
		"CREATE TEMP TABLE desk (v text)", "INSERT INTO desk VALUES ('" + m.key + "')", "SET search_path = pg_temp, public"} {
		if _, err := c.ExecContext(m.ctx, text); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("p%d", m.Uint64())
	for i, text := range []string{"SELECT v, current_setting('guardedpg.issuer') FROM desk", "EXECUTE " + name} {
		if i == 1 {
			_, err := c.ExecContext(m.ctx, "PREPARE "+name+" AS SELECT v, current_setting('guardedpg.issuer') FROM desk")
			if err != nil {
				return err
			}
		}
		var v, issuer string
		if err := c.QueryRowContext(m.ctx, text).Scan(&v, &issuer); err != nil {
			return err
		}
		if v != m.key || issuer != m.claims.Issuer {
			return wrong("its own table holds %q, of %q", v, issuer)
		}
	}
	if m.IntN(2) == 0 {
		for _, text := range []string{"DECLARE held CURSOR WITH HOLD FOR SELECT v FROM desk", "SELECT pg_advisory_lock_shared(7)"} {
			if _, err := c.ExecContext(m.ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
	if err := m.point(c); err != nil {
		return err
	}
	for _, text := range []string{"DEALLOCATE " + name, "DROP TABLE pg_temp.desk", "RESET search_path", "RESET desk.of"} {
		if _, err := c.ExecContext(m.ctx, text); err != nil {
			return err
		}
	}
	return m.tags(c, m.principal, m.ctx)
}
