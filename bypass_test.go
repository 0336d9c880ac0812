package guardedpg_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
)

// Each test here shows a way around a wrapper that only looks at the text that
// it is given.

const canary = "canary.test"

// spill runs a query on whatever runs queries and returns all that comes out of
// it, errors included, as text.
func spill(q interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) string {
	rows, err := q.QueryContext(context.Background(), query, args...)
	if err != nil {
		return fmt.Sprintf("%v %+v", err, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	out := fmt.Sprint(columns, err)
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			out += err.Error()
		}
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			out += fmt.Sprintf(" %v", v)
		}
	}
	return out + fmt.Sprint(rows.Err())
}

func inModes(t *testing.T, test func(t *testing.T, f fixture)) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			test(t, newFixtureOn(t, inMode(shop(t), mode)))
		})
	}
}

// rewriter stands for an argument that replaces the text.
type rewriter struct {
	sql  string
	args []any
	seen *bool
}

func (r rewriter) RewriteQuery(_ context.Context, conn *pgx.Conn, _ string, _ []any) (string, []any, error) {
	if r.seen != nil {
		*r.seen = conn != nil
	}
	return r.sql, r.args, nil
}

type panicker struct{}

func (panicker) RewriteQuery(ctx context.Context, conn *pgx.Conn, _ string, _ []any) (string, []any, error) {
	conn.Exec(ctx, "drop table scratch")
	return "", nil, nil
}

func TestRewritingArguments(t *testing.T) {
	f := newFixture(t)
	seen := false
	_, err := f.db.Query("SELECT 1", rewriter{sql: "DELETE FROM orders", seen: &seen})
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.False(t, seen, "a rewriter got the connection")
	_, err = f.db.Exec("SELECT 1", rewriter{sql: "DELETE FROM orders"})
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	_, err = f.db.Query("SELECT 1", pgx.QueryExecModeExec, rewriter{sql: "DELETE FROM orders"})
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	// What a rewriter returns is not looked at for options again.
	_, err = f.db.Query("SELECT 1", rewriter{sql: "SELECT $1::int4", args: []any{rewriter{sql: "DELETE FROM orders"}}})
	require.Error(t, err)
	_, err = f.db.Query("SELECT 1", panicker{})
	require.ErrorContains(t, err, "gets no connection")
	require.Equal(t, 3, f.count(t, "orders"))
	require.True(t, f.exists(t, "scratch"))
	require.NotContains(t, spill(f.db, "SELECT 1", rewriter{sql: "SELECT email FROM customers"}), "ann@")
	asked := f.approver.Requests()
	require.Equal(t, "DELETE FROM orders", asked[0].Statement)
}

func TestFormatArguments(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		for _, option := range []any{pgx.QueryResultFormats{1, 1}, pgx.QueryResultFormats{0, 0}, pgx.QueryResultFormatsByOID{25: 1, 1043: 1},
			pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheDescribe} {
			out := spill(f.db, "SELECT email, card FROM customers ORDER BY id", option)
			require.NotContains(t, out, "ann@")
			require.NotContains(t, out, "4111")
			require.Contains(t, out, "a***@canary.test")
		}
	})
}

// pgx takes the name of a prepared statement for a text.
func TestStatementNames(t *testing.T) {
	f := newFixture(t)
	f.db.SetMaxOpenConns(1)
	const text = "SELECT email FROM customers WHERE id = $1"
	require.Contains(t, spill(f.db, text, 1), "a***@canary.test")
	digest := sha256.Sum256([]byte(text))
	for _, name := range []string{"stmtcache_" + hex.EncodeToString(digest[:24]), "stmt_" + hex.EncodeToString(digest[:24])} {
		_, err := f.db.Query(name, 1)
		require.Error(t, err)
		var server *pgconn.PgError
		require.ErrorAs(t, err, &server)
		require.Equal(t, "42601", server.Code, "the server reads it as a text")
		require.NotContains(t, spill(f.db, "EXECUTE "+name+"(1)"), "ann@")
	}
}

// Nor does a text run what somebody else prepared under the name that pgx gave
// it: by the name, the server runs whatever it finds.
func TestStatementNamesTakenOver(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		f := newFixture(t)
		f.db.SetMaxOpenConns(1)
		const text = "SELECT id FROM orders WHERE id > $1"
		look := func() []string { return []string{spill(f.db, text, 0)} }
		if prepared {
			stmt, err := f.db.Prepare(text)
			require.NoError(t, err)
			defer stmt.Close()
			look = func() []string {
				var ids []string
				rows, err := stmt.Query(0)
				if err != nil {
					return nil
				}
				defer rows.Close()
				for rows.Next() {
					var id string
					require.NoError(t, rows.Scan(&id))
					ids = append(ids, id)
				}
				return ids
			}
		}
		require.Contains(t, strings.Join(look(), " "), "2")
		var names []string
		rows, err := f.db.Query("SELECT name FROM pg_prepared_statements WHERE statement = $1", text)
		require.NoError(t, err)
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			names = append(names, name)
		}
		require.NoError(t, rows.Err())
		require.NotEmpty(t, names)
		for _, name := range names {
			for _, free := range []string{"DEALLOCATE " + name, "DEALLOCATE ALL"} {
				_, err = f.db.Exec(free)
				require.NoError(t, err)
				for _, take := range []string{
					"PREPARE " + name + " (int) AS DELETE FROM orders WHERE id > $1 RETURNING id",
					`PREPARE "` + name + `" (int) AS SELECT length(email) FROM customers WHERE id > $1`,
					"SELECT 1; PREPARE " + name + " (int) AS DELETE FROM orders WHERE id > $1 RETURNING id",
				} {
					_, err = f.db.Exec(take)
					require.ErrorIs(t, err, guardedpg.ErrDenied, take)
				}
				look() // what is gone is an error, as with pgx alone
			}
		}
		require.Equal(t, 3, f.count(t, "orders"))
	}
}

func TestManyStatements(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		for _, text := range []string{"SELECT 1; DROP TABLE scratch", "SELECT 1;DROP/**/TABLE scratch;", ";;DROP TABLE scratch", "DROP TABLE scratch; SELECT 1"} {
			_, err := f.db.Exec(text)
			require.Error(t, err, text)
			_, err = f.db.Query(text)
			require.Error(t, err, text)
			_, err = f.db.Query(text, pgx.QueryExecModeSimpleProtocol)
			require.Error(t, err, text)
		}
		require.True(t, f.exists(t, "scratch"))
		for _, text := range []string{"SELECT 1; SELECT email FROM customers", "SELECT email FROM customers; SELECT 1"} {
			require.NotContains(t, spill(f.db, text, pgx.QueryExecModeSimpleProtocol), "ann@")
		}
		require.NotContains(t, spill(f.db, "SET search_path = hr, public; SELECT body FROM notes", pgx.QueryExecModeSimpleProtocol), canary)
	})
}

// In the simple protocol arguments become text, at places that pgx finds with a
// reading of SQL of its own.
func TestPlaceholdersThatAreNone(t *testing.T) {
	f := newFixture(t)
	end := `; DROP TABLE scratch; --`
	for _, text := range []string{
		`SELECT text'\', '$1'`,
		`SELECT 1 AS a$1`,
		`SELECT E'a' '\', '$1'`,
		"SELECT E'a'\n'\\'', '$1'",
		`SELECT U&'\', '$1'`,
	} {
		_, err := f.db.Query(text, pgx.QueryExecModeSimpleProtocol, end)
		require.Error(t, err, text)
		_, err = f.db.Exec(text, pgx.QueryExecModeSimpleProtocol, end)
		require.Error(t, err, text)
		require.True(t, f.exists(t, "scratch"), text)
	}
}

func TestRaw(t *testing.T) {
	f := newFixture(t)
	c, err := f.db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Raw(func(dc any) error {
		require.IsType(t, &guardedpg.Conn{}, dc)
		require.NotImplements(t, (*interface{ Conn() *pgx.Conn })(nil), dc)
		_, err := dc.(driver.QueryerContext).QueryContext(t.Context(), "DROP TABLE scratch", nil)
		require.ErrorIs(t, err, guardedpg.ErrRejected)
		return nil
	}))
	for _, v := range []any{&guardedpg.Conn{}, &guardedpg.Stmt{}, &guardedpg.Rows{}, &guardedpg.Tx{}, &guardedpg.Connector{}, &guardedpg.Driver{}} {
		noWayIn(t, reflect.TypeOf(v))
	}
}

// noWayIn checks that a type has no exported or embedded field, and no method
// that gives out anything of pgx but its errors.
func noWayIn(t *testing.T, typ reflect.Type) {
	t.Helper()
	for i := range typ.Elem().NumField() {
		field := typ.Elem().Field(i)
		require.False(t, field.Anonymous, "%v embeds %v", typ, field.Name)
		require.False(t, field.IsExported(), "%v exports %v", typ, field.Name)
	}
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		for j := range m.Type.NumOut() {
			out := m.Type.Out(j)
			for out.Kind() == reflect.Pointer || out.Kind() == reflect.Slice {
				out = out.Elem()
			}
			require.NotContains(t, out.PkgPath(), "jackc", "%v.%s", typ, m.Name)
		}
	}
}

// The server describes a prepared statement once; afterwards its columns may be
// others.
func TestStaleDescriptions(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		f.db.SetMaxOpenConns(1)
		const nick = "SELECT nick FROM customers WHERE id = $1"
		require.Contains(t, spill(f.db, nick, 1), "annie")
		require.Contains(t, spill(f.db, "SELECT body FROM notes WHERE id = $1", 1), "public note")
		_, err := f.db.Exec("SET search_path = hr, public")
		require.NoError(t, err)
		require.NotContains(t, spill(f.db, "SELECT body FROM notes WHERE id = $1", 1), canary)
		_, err = f.db.Exec("RESET search_path")
		require.NoError(t, err)
		require.Contains(t, spill(f.db, "SELECT body FROM notes WHERE id = $1", 1), "public note")
		tx, err := f.db.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		require.Contains(t, spill(tx, "SELECT body FROM notes WHERE id = $1", 1), "public note")
		_, err = tx.Exec("SAVEPOINT a; SET LOCAL search_path = hr, public")
		require.NoError(t, err)
		require.NotContains(t, spill(tx, "SELECT body FROM notes WHERE id = $1", 1), canary)
		_, err = tx.Exec("ROLLBACK TO a")
		require.NoError(t, err)
		require.Contains(t, spill(tx, "SELECT body FROM notes WHERE id = $1", 1), "public note")
	})
}

func TestMigrationBehindTheBack(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			dsn := shop(t)
			f := newFixtureOn(t, inMode(dsn, mode), func(c *guardedpg.Config) { c.CatalogRefresh = -1 })
			f.db.SetMaxOpenConns(1)
			admin, err := sql.Open("pgx", dsn)
			require.NoError(t, err)
			defer admin.Close()
			const nick = "SELECT nick FROM customers WHERE id = $1"
			require.Contains(t, spill(f.db, nick, 1), "annie")
			_, err = admin.Exec(`ALTER TABLE customers RENAME email TO x; ALTER TABLE customers RENAME nick TO email; ALTER TABLE customers RENAME x TO nick`)
			require.NoError(t, err)
			out := spill(f.db, nick, 1)
			require.NotContains(t, out, "ann@")
			require.Contains(t, out, "***", "protection follows the column, not its name")
			require.Contains(t, spill(f.db, nick, 1), "***")
		})
	}
}

// Columns that somebody renames are noticed at once where they are read as they
// are, also by a statement that was prepared before.
func TestRenamedBehindTheBack(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			dsn := shop(t)
			f := newFixtureOn(t, inMode(dsn, mode), func(c *guardedpg.Config) { c.CatalogRefresh = time.Hour })
			f.db.SetMaxOpenConns(1)
			admin, err := sql.Open("pgx", dsn)
			require.NoError(t, err)
			defer admin.Close()
			const nick, every = "SELECT nick FROM customers WHERE id = $1", "SELECT id, nick FROM customers"
			st, err := f.db.Prepare(nick + " AND true")
			require.NoError(t, err)
			defer st.Close()
			read := func() string {
				var v string
				if err := st.QueryRow(1).Scan(&v); err != nil {
					return err.Error()
				}
				return v
			}
			for range 3 {
				require.Contains(t, spill(f.db, nick, 1), "annie")
				require.Contains(t, spill(f.db, every), "annie")
				require.Equal(t, "annie", read())
			}
			_, err = admin.Exec(`ALTER TABLE customers RENAME email TO x; ALTER TABLE customers RENAME nick TO email; ALTER TABLE customers RENAME x TO nick`)
			require.NoError(t, err)
			for range 3 {
				require.NotContains(t, read(), "ann@")
				require.NotContains(t, spill(f.db, nick, 1), "ann@")
				require.NotContains(t, spill(f.db, every), "ann@")
			}
			// pgx forgets a result that has more columns than it remembers.
			const all = "SELECT * FROM notes"
			require.NotContains(t, spill(f.db, all), "later")
			require.NotContains(t, spill(f.db, all), "later")
			_, err = admin.Exec("ALTER TABLE notes ADD later int")
			require.NoError(t, err)
			spill(f.db, all)
			require.Contains(t, spill(f.db, all), "later")
			require.Contains(t, spill(f.db, all), "public note")
		})
	}
}

// For all but plain columns the server does not say where a value comes from.
func TestUnknownOrigin(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		for _, text := range []string{
			"SELECT email || '' FROM customers", "SELECT email::varchar FROM customers", `SELECT email COLLATE "C" FROM customers`,
			"SELECT email FROM customers UNION ALL SELECT 'x'", "SELECT (SELECT email FROM customers WHERE id = 1)",
			"SELECT max(email) FROM customers", "SELECT lower(email) FROM customers", "SELECT c FROM customers c", "SELECT c.* FROM customers c",
			"SELECT row_to_json(c) FROM customers c", "SELECT array_agg(email) FROM customers", "SELECT contact FROM customer_list",
			"WITH RECURSIVE r(e, n) AS (SELECT email, 1 FROM customers UNION ALL SELECT e, n + 1 FROM r WHERE n < 2) SELECT e FROM r",
			"SELECT string_agg(email, ',') OVER () FROM customers", "SELECT left(email, 9) FROM customers", "SELECT to_jsonb(c) FROM customers c",
			"SELECT query_to_xml('select email from customers', true, true, '')", "TABLE customers",
			"SELECT e.e FROM customers, LATERAL (SELECT email AS e) e", "SELECT unnest(array[email]) FROM customers", "SELECT (c).email FROM customers c",
			"SELECT email(c) FROM customers c", "SELECT format('%s', email) FROM customers", "SELECT * FROM hr.notes",
			"UPDATE customers SET name = name WHERE id = 1 RETURNING email", "SELECT DISTINCT email FROM customers", "SELECT email FROM customers FETCH FIRST 1 ROW ONLY",
			"SELECT json_build_object('a', email) FROM customers", "SELECT CASE WHEN true THEN email END FROM customers", "SELECT coalesce(email, '') FROM customers",
			"EXPLAIN ANALYZE SELECT * FROM customers WHERE email = 'ann@canary.test'",
		} {
			out := spill(f.db, text)
			for _, value := range []string{"ann@", "bob@", "secret note", "4111111111111111"} {
				if !strings.Contains(text, value) {
					require.NotContains(t, out, value, text)
				}
			}
		}
	})
}

// database/sql runs a statement up to three times when its connection is dead,
// with the same context.
func TestConnectionDiesWhileWaiting(t *testing.T) {
	f := newFixture(t)
	asked := 0
	f.approver.Answer(func(r approve.Request) (approve.Grant, error) {
		asked++
		_, err := f.plain.Exec("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'agent-1'")
		require.NoError(t, err)
		return approve.Grant{Request: r.ID, Digest: r.Digest, By: []identity.Identity{dba}, At: r.Created}, nil
	})
	_, err := f.db.Exec("INSERT INTO orders VALUES (10, 1, 1)")
	require.NoError(t, err)
	require.Equal(t, 1, asked, "a decision serves the statement, whatever connection it runs on")
	require.Equal(t, 4, f.count(t, "orders"))
	require.Len(t, f.trail.Records(audit.KindRedeem), 1)
}

// The guard and the server must read a text alike.
func TestOtherReadings(t *testing.T) {
	for _, setting := range []string{"standard_conforming_strings=off", "client_encoding=SJIS", "client_encoding=LATIN1"} {
		f := newFixtureOn(t, shop(t)+"&"+setting)
		_, err := f.db.Query(`SELECT 'a\', email, 'b' FROM customers`)
		require.ErrorIs(t, err, guardedpg.ErrDenied, setting)
		require.ErrorContains(t, err, strings.Split(setting, "=")[0])
	}
	f := newFixture(t)
	f.approver.Yes(dba)
	f.db.SetMaxOpenConns(1)
	for _, text := range []string{"SET standard_conforming_strings = off", "SELECT set_config('standard_conforming_strings', 'off', false)",
		"SET client_encoding = 'SJIS'", "SET NAMES 'SJIS'", "DO $$ BEGIN EXECUTE 'SET standard_conforming_strings = off'; END $$"} {
		f.db.Exec(text)
		require.NotContains(t, spill(f.db, `SELECT 'a\', email, '$1' FROM customers`), "ann@")
	}
}

func TestRefusalIsNoBadConnection(t *testing.T) {
	f := newFixture(t)
	_, err := f.db.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrRejected)
	require.NotErrorIs(t, err, driver.ErrBadConn)
	require.Len(t, f.approver.Requests(), 1)
}

func TestCopy(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		f.approver.Yes(dba)
		for _, text := range []string{"COPY customers FROM STDIN", "COPY customers TO STDOUT", "COPY (SELECT email FROM customers) TO STDOUT"} {
			_, err := f.db.ExecContext(ctx, text)
			require.ErrorIs(t, err, guardedpg.ErrDenied, text)
			require.ErrorContains(t, err, "COPY")
			_, err = f.db.QueryContext(ctx, text)
			require.ErrorIs(t, err, guardedpg.ErrDenied, text)
		}
		// What is not protected goes nowhere either, as with pgx, and harms nobody.
		_, err := f.db.ExecContext(ctx, "COPY (SELECT 1) TO STDOUT")
		require.NoError(t, err)
		require.NoError(t, ctx.Err())
		require.Contains(t, spill(f.db, "SELECT 1"), "1")
	})
}

// tracing is a tracer that looks at errors.
type tracing func(error)

func (t tracing) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (t tracing) TraceQueryEnd(_ context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) { t(d.Err) }

// What the server says about protected values is reduced.
func TestErrorsAndNotices(t *testing.T) {
	var heard []string
	traced := 0
	dsn := shop(t)
	f := newFixtureOn(t, dsn, func(c *guardedpg.Config) {
		conn, err := pgx.ParseConfig(dsn)
		require.NoError(t, err)
		conn.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { heard = append(heard, n.Message+n.Detail+n.Where) }
		conn.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool {
			heard = append(heard, e.Message+e.Detail+e.Where)
			return true
		}
		conn.Tracer = tracing(func(err error) {
			var e *pgconn.PgError
			if errors.As(err, &e) {
				heard = append(heard, err.Error()+e.Message+e.Detail+e.Where)
				traced++
			}
		})
		c.ConnConfig = conn
		c.Policy.Declassify = guard.Hold
	})
	f.approver.Yes(dba)
	for _, text := range []string{
		"SELECT email::int FROM customers", "INSERT INTO customers VALUES (9, 'x', 'ann@' || 'canary.test')",
		"UPDATE customers SET email = 'ann@' || 'canary.test' WHERE id = 2", "SELECT shout(1)", "SELECT 1/(length(email) - length(email)) FROM customers",
		"DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM customers LIMIT 1); END $$",
		"DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM customers LIMIT 1); END $$",
		"SELECT xmlparse(document email) FROM customers", "SELECT email::date FROM customers", "SELECT ('{' || email)::jsonb FROM customers",
	} {
		require.NotContains(t, spill(f.db, text), canary, text)
		_, err := f.db.Exec(text)
		if err != nil {
			require.NotContains(t, fmt.Sprintf("%+v", err), canary, text)
		}
	}
	require.NotEmpty(t, heard)
	require.NotZero(t, traced)
	require.Contains(t, strings.Join(heard, "\n"), "withheld")
	require.NotContains(t, strings.Join(heard, "\n"), canary)
	// What touches nothing protected keeps its words.
	require.Contains(t, spill(f.db, "SELECT 'abc'::text::int"), `invalid input syntax for type integer: "abc"`)
	require.Contains(t, strings.Join(heard, "\n"), `invalid input syntax for type integer: "abc"`)
	for _, r := range f.trail.Records(audit.KindOutcome, audit.KindDenied) {
		if r.Outcome != nil {
			require.NotContains(t, r.Outcome.Error, canary)
		}
	}
}

// A SQLSTATE can carry a value out.
func TestChosenStates(t *testing.T) {
	f := newFixture(t)
	f.approver.Yes(dba)
	for _, state := range []string{"ZZ007", "42P01", "22012"} {
		_, err := f.db.Exec("DO $$ BEGIN PERFORM email FROM customers; RAISE EXCEPTION USING ERRCODE = '" + state + "'; END $$")
		var server *pgconn.PgError
		require.ErrorAs(t, err, &server)
		require.Equal(t, "P0001", server.Code)
	}
}

// What fails when a transaction ends is about statements that ran before.
func TestCommitErrorsAreReduced(t *testing.T) {
	dsn := shop(t)
	admin, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.Exec("ALTER TABLE customers DROP CONSTRAINT customers_email_key; ALTER TABLE customers ADD UNIQUE (email) DEFERRABLE INITIALLY DEFERRED")
	require.NoError(t, err)
	f := newFixtureOn(t, dsn)
	tx, err := f.db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE customers SET email = $1 WHERE id = 2", "ann@canary.test")
	require.NoError(t, err)
	err = tx.Commit()
	var server *pgconn.PgError
	require.ErrorAs(t, err, &server)
	require.Equal(t, "23505", server.Code)
	require.NotContains(t, fmt.Sprintf("%+v", *server), canary)
}
