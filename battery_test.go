package guardedpg_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
)

var modes = []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"}

func inMode(dsn, mode string) string { return dsn + "&default_query_exec_mode=" + mode }

// TestBattery runs the same program through pgx and through the guard, under a
// policy that allows all and protects nothing, and compares all that the
// program can see.
func TestBattery(t *testing.T) {
	schema, err := os.ReadFile("testdata/battery/schema.sql")
	require.NoError(t, err)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			plain, err := sql.Open("pgx", inMode(database(t, "battery", string(schema)), mode))
			require.NoError(t, err)
			defer plain.Close()
			guarded := open(t, guardedpg.Config{
				DSN: inMode(database(t, "battery", string(schema)), mode), Identify: as(agent), Policy: allowAll(),
			})
			for _, b := range battery(t) {
				t.Run(b.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					var want, got transcript
					b.run(ctx, &want, plain)
					b.run(ctx, &got, guarded)
					require.NotEmpty(t, want.String())
					require.Equal(t, want.String(), got.String())
				})
			}
		})
	}
}

// A transcript is what a program saw, in words.
type transcript struct{ strings.Builder }

func (l *transcript) say(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }

// fails describes an error: its type, its text, and that of the server's error
// in it.
func (l *transcript) fails(what string, err error) bool {
	if err == nil {
		l.say("%s: ok", what)
		return false
	}
	l.say("%s: %T %s", what, err, strings.ReplaceAll(err.Error(), "guardedpg", "pgx"))
	var e *pgconn.PgError
	if errors.As(err, &e) {
		shown := *e
		if e.Code == "25P02" {
			// Which message it was that the server would not take is pgx's affair.
			shown.File, shown.Line, shown.Routine = "", 0, ""
		}
		l.say("  %+v", shown)
	}
	for _, target := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrNoRows, sql.ErrTxDone, sql.ErrConnDone} {
		l.say("  is %v: %v", target, errors.Is(err, target))
	}
	return true
}

// rows describes a result: its columns, its values, its end.
func (l *transcript) rows(rows *sql.Rows, err error) {
	if l.fails("query", err) {
		return
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	l.fails("columns", err)
	for _, c := range types {
		length, hasLength := c.Length()
		precision, scale, hasScale := c.DecimalSize()
		nullable, hasNullable := c.Nullable()
		l.say("column %s %s length %d %v size %d %d %v nullable %v %v scan %v",
			c.Name(), c.DatabaseTypeName(), length, hasLength, precision, scale, hasScale, nullable, hasNullable, c.ScanType())
	}
	values, into := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if l.fails("scan", rows.Scan(into...)) {
			break
		}
		for _, v := range values {
			if at, ok := v.(time.Time); ok {
				v = at.Format(time.RFC3339Nano) + at.Location().String()
				l.say("time %s", v)
				continue
			}
			l.say("value %T %#v", v, v)
		}
	}
	l.fails("rows", rows.Err())
	l.fails("close", rows.Close())
}

func (l *transcript) exec(res sql.Result, err error) {
	if l.fails("exec", err) {
		return
	}
	n, err := res.RowsAffected()
	l.fails("affected", err)
	l.say("affected %d", n)
	_, err = res.LastInsertId()
	l.fails("last id", err)
}

type batteryCase struct {
	name string
	run  func(ctx context.Context, l *transcript, db *sql.DB)
}

func battery(t *testing.T) []batteryCase {
	types, err := os.ReadFile("testdata/battery/types.txt")
	require.NoError(t, err)
	var list []batteryCase
	for line := range strings.Lines(string(types)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		list = append(list, batteryCase{"type " + line, func(ctx context.Context, l *transcript, db *sql.DB) {
			l.rows(db.QueryContext(ctx, "select "+line+" as c, 1 as n"))
			l.rows(db.QueryContext(ctx, "select "+line+" as c, 1 as n"))
		}})
	}
	return append(list, programs...)
}

var programs = []batteryCase{
	{"table", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.rows(db.QueryContext(ctx, "select * from item order by id"))
		l.rows(db.QueryContext(ctx, "select * from cheap"))
		l.rows(db.QueryContext(ctx, "select i.*, count(*) over () from item i where id = any ($1) order by id", []int32{1, 3}))
		l.rows(db.QueryContext(ctx, "select from item"))
		l.rows(db.QueryContext(ctx, "table item"))
		l.rows(db.QueryContext(ctx, "values (1, 'a'), (2, null)"))
	}},
	{"arguments", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.rows(db.QueryContext(ctx, "select $1::int4, $2::text, $3::bool, $4::float8, $5::timestamptz, $6::bytea",
			7, "x", true, 1.5, time.Date(2024, 1, 2, 3, 4, 5, 6000, time.UTC), []byte{1, 2}))
		l.rows(db.QueryContext(ctx, "select $1::int4, $2::text", nil, nil))
		l.rows(db.QueryContext(ctx, "select $1::text", sql.NullString{String: "s", Valid: true}))
		l.rows(db.QueryContext(ctx, "select $1::text", sql.NullString{}))
		l.rows(db.QueryContext(ctx, "select $1::text[]", []string{"a", "b"}))
		l.rows(db.QueryContext(ctx, "select $1::int4", "not a number"))
		l.rows(db.QueryContext(ctx, "select $1::int4"))
		l.rows(db.QueryContext(ctx, "select 1", 1))
		l.rows(db.QueryContext(ctx, "select $1::int4", struct{ X int }{1}))
		l.rows(db.QueryContext(ctx, "select $1::int8", sql.Named("n", 8)))
		l.rows(db.QueryContext(ctx, "select $1::int8 + $1::int8", int64(8)))
	}},
	{"options", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.rows(db.QueryContext(ctx, "select @a::int4, @b::text", pgx.NamedArgs{"a": 1, "b": "x"}))
		l.rows(db.QueryContext(ctx, "select @a::int4", pgx.StrictNamedArgs{"b": 1}))
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol, 99} {
			l.rows(db.QueryContext(ctx, "select id, price from item where id = $1", mode, 1))
			_, err := db.ExecContext(ctx, "update item set name = name where id = $1", mode, 1)
			l.fails("exec", err)
		}
		l.rows(db.QueryContext(ctx, "select id, price from item where id = $1", pgx.QueryResultFormats{0, 0}, 1))
		l.rows(db.QueryContext(ctx, "select id, made from item where id = $1", pgx.QueryResultFormatsByOID{}, 1))
		_, err := db.ExecContext(ctx, "update item set name = name where id = @id", pgx.NamedArgs{"id": 1})
		l.fails("exec", err)
	}},
	{"writes", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values ($1, $2)", 10, "ten"))
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values (11, 'eleven'), (12, 'twelve')"))
		l.rows(db.QueryContext(ctx, "insert into item (id, name) values (13, 'thirteen') returning id, name, price"))
		l.exec(db.ExecContext(ctx, "update item set price = 1 where id >= $1", 10))
		l.rows(db.QueryContext(ctx, "update item set price = price * 2 where id = 10 returning *"))
		l.exec(db.ExecContext(ctx, "with d as (delete from item where id = 13 returning id) insert into child select id, null from d"))
		l.exec(db.ExecContext(ctx, "delete from item where id >= 10"))
		l.exec(db.ExecContext(ctx, "delete from child"))
		l.exec(db.ExecContext(ctx, "call bump($1)", 1))
		l.exec(db.ExecContext(ctx, "update item set price = 1.10 where id = 1"))
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values (1, 'again')"))
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values ($1, $2)", 20, strings.Repeat("x", 30)))
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values ($1, $2) on conflict (id) do update set name = excluded.name", 1, "one"))
		l.rows(db.QueryContext(ctx, "delete from item where id = 99"))
	}},
	{"many statements", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values (30, 'a'); update item set name = 'b' where id = 30; delete from item where id = 30"))
		l.exec(db.ExecContext(ctx, "insert into item (id, name) values (31, 'a'); select 1/0; delete from item where id = 31"))
		l.rows(db.QueryContext(ctx, "select count(*) from item"))
		l.rows(db.QueryContext(ctx, "select 1 as a; select 2 as b"))
		l.exec(db.ExecContext(ctx, "select 1; select 2", pgx.QueryExecModeSimpleProtocol))
		l.exec(db.ExecContext(ctx, "create table made (a int); insert into made values (1), (2); select * from made; drop table made"))
		l.exec(db.ExecContext(ctx, "begin; insert into item (id, name) values (32, 'z'); rollback"))
		l.rows(db.QueryContext(ctx, "select count(*) from item"))
		l.exec(db.ExecContext(ctx, ";;"))
	}},
	{"empty", func(ctx context.Context, l *transcript, db *sql.DB) {
		for _, text := range []string{"", " ", ";", "-- nothing", "/* nothing */"} {
			l.exec(db.ExecContext(ctx, text))
			l.rows(db.QueryContext(ctx, text))
		}
	}},
	{"errors", func(ctx context.Context, l *transcript, db *sql.DB) {
		for _, text := range []string{
			"selec 1", "select", "select *", "select from nothing", "select nothing from item", "select no_function(1)", "select 1 +",
			"select 'x", "select 1/0", "select 'a'::int", "select boom('x')", "select id from item where name = 1",
			"insert into child values (1, 99)", "insert into item (id) values (50)", "create table item ()", "drop table nothing",
			"select * from pg_catalog.nothing", "select * from nosuch.item", "fetch all from nothing", "execute nothing", "select $1",
			"select id from item group by name", "alter table item add column id int", "create schema pg_x",
			"set work_mem = 'x'", "release savepoint nothing", "select * from item, item", "explain select nothing",
		} {
			l.say("%s", text)
			l.rows(db.QueryContext(ctx, text))
			_, err := db.ExecContext(ctx, text)
			l.fails("exec", err)
		}
	}},
	{"error after rows", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.rows(db.QueryContext(ctx, "select 10 / (3 - g) from generate_series(1, 5) g"))
		l.rows(db.QueryContext(ctx, "select 1"))
	}},
	{"transactions", func(ctx context.Context, l *transcript, db *sql.DB) {
		for _, o := range []*sql.TxOptions{nil, {ReadOnly: true}, {Isolation: sql.LevelSerializable}, {Isolation: sql.LevelRepeatableRead, ReadOnly: true},
			{Isolation: sql.LevelReadUncommitted}, {Isolation: sql.LevelSnapshot}, {Isolation: sql.LevelLinearizable}} {
			tx, err := db.BeginTx(ctx, o)
			if l.fails("begin", err) {
				continue
			}
			l.rows(tx.QueryContext(ctx, "select current_setting('transaction_isolation'), current_setting('transaction_read_only')"))
			_, err = tx.ExecContext(ctx, "insert into item (id, name) values (60, 'sixty')")
			l.fails("insert", err)
			l.rows(tx.QueryContext(ctx, "select count(*) from item"))
			l.fails("rollback", tx.Rollback())
			l.fails("rollback again", tx.Rollback())
		}
		tx, err := db.BeginTx(ctx, nil)
		l.fails("begin", err)
		l.exec(tx.ExecContext(ctx, "insert into item (id, name) values ($1, $2)", 61, "x"))
		l.exec(tx.ExecContext(ctx, "savepoint a"))
		l.exec(tx.ExecContext(ctx, "insert into item (id, name) values (61, 'y')"))
		l.rows(tx.QueryContext(ctx, "select 1"))
		l.rows(tx.QueryContext(ctx, "select * from item where id = $1", 61))
		l.rows(tx.QueryContext(ctx, "selec"))
		l.exec(tx.ExecContext(ctx, "select 1; select 2"))
		l.exec(tx.ExecContext(ctx, "rollback to a"))
		l.rows(tx.QueryContext(ctx, "select * from item where id = $1", 61))
		l.exec(tx.ExecContext(ctx, "delete from item where id = 61"))
		l.fails("commit", tx.Commit())
		tx, err = db.BeginTx(ctx, nil)
		l.fails("begin", err)
		l.exec(tx.ExecContext(ctx, "select 1/0"))
		l.fails("commit of a failed one", tx.Commit())
		tx, err = db.BeginTx(ctx, nil)
		l.fails("begin", err)
		l.exec(tx.ExecContext(ctx, "insert into child values (1, 99)"))
		l.fails("deferred constraint", tx.Commit())
		tx, err = db.BeginTx(ctx, nil)
		l.fails("begin", err)
		l.exec(tx.ExecContext(ctx, "set transaction isolation level serializable"))
		l.rows(tx.QueryContext(ctx, "select current_setting('transaction_isolation')"))
		l.exec(tx.ExecContext(ctx, "set transaction isolation level repeatable read"))
		l.fails("rollback", tx.Rollback())
	}},
	{"textual transactions", func(ctx context.Context, l *transcript, db *sql.DB) {
		c, err := db.Conn(ctx)
		l.fails("conn", err)
		defer c.Close()
		for _, text := range []string{"begin isolation level serializable", "insert into item (id, name) values (70, 'x')", "savepoint a",
			"select 1/0", "select 1", "selec", "rollback to savepoint a", "set local search_path = pg_catalog", "select count(*) from item",
			"rollback", "commit", "begin; select 1", "commit", "start transaction read only", "create table t ()", "end", "abort"} {
			l.say("%s", text)
			_, err := c.ExecContext(ctx, text)
			l.fails("exec", err)
		}
		l.rows(c.QueryContext(ctx, "select count(*) from item"))
	}},
	{"prepared", func(ctx context.Context, l *transcript, db *sql.DB) {
		s, err := db.PrepareContext(ctx, "select id, name from item where id = $1")
		if l.fails("prepare", err) {
			return
		}
		for _, id := range []any{1, 2, 99, nil, "x"} {
			l.rows(s.QueryContext(ctx, id))
		}
		l.rows(s.QueryContext(ctx))
		l.rows(s.QueryContext(ctx, 1, 2))
		l.exec(s.ExecContext(ctx, 1))
		l.fails("close", s.Close())
		for _, text := range []string{"select 1; select 2", "selec", "select nothing", "insert into item values ($1)", ""} {
			s, err := db.PrepareContext(ctx, text)
			if !l.fails("prepare "+text, err) {
				s.Close()
			}
		}
		tx, err := db.BeginTx(ctx, nil)
		l.fails("begin", err)
		s, err = tx.PrepareContext(ctx, "update item set name = $1 where id = $2")
		l.fails("prepare", err)
		l.exec(s.ExecContext(ctx, "uno", 1))
		l.fails("rollback", tx.Rollback())
		l.rows(db.QueryContext(ctx, "select name from item where id = 1"))
	}},
	{"sessions", func(ctx context.Context, l *transcript, db *sql.DB) {
		c, err := db.Conn(ctx)
		l.fails("conn", err)
		defer c.Close()
		for _, text := range []string{
			"create temp table item (z text)", "insert into item values ('temporary')", "select * from item", "drop table pg_temp.item",
			"select count(*) from item", "create schema other", "create table other.item (o int)", "set search_path = other, public",
			"select * from item", "reset search_path", "select id from item where id = 1", "drop schema other cascade",
			"prepare p (int) as select name from item where id = $1", "execute p(1)", "deallocate p", "execute p(1)",
			"begin", "declare c cursor for select id from item order by id", "fetch 2 from c", "move 1 in c", "fetch all from c", "close c", "commit",
			"show search_path", "explain (costs off) select 1", "set statement_timeout = '1min'", "show statement_timeout", "reset statement_timeout",
			"do $$ begin perform 1; end $$", "select set_config('my.setting', 'x', false)", "select current_setting('my.setting')",
			"discard all", "select id from item where id = 2", "select count(*) from pg_class where relname = 'item'",
			"alter table item add column extra int default 5", "select * from item where id = 1", "alter table item drop column extra", "select * from item where id = 1",
		} {
			l.say("%s", text)
			l.rows(c.QueryContext(ctx, text))
		}
	}},
	{"cancel", func(ctx context.Context, l *transcript, db *sql.DB) {
		// What is meant is cancelling a statement, not making a connection.
		l.fails("connected", db.PingContext(ctx))
		ctx1, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		_, err := db.ExecContext(ctx1, "select pg_sleep(20)")
		cancel()
		l.fails("deadline", err)
		l.fails("connected", db.PingContext(ctx))
		ctx2, cancel := context.WithCancel(ctx)
		time.AfterFunc(300*time.Millisecond, cancel)
		_, err = db.QueryContext(ctx2, "select pg_sleep(20)")
		l.fails("cancel", err)
		_, err = db.QueryContext(ctx2, "select 1")
		l.fails("cancelled before", err)
		l.rows(db.QueryContext(ctx, "select 1"))
		c, err := db.Conn(ctx)
		l.fails("conn", err)
		_, err = c.ExecContext(ctx, "set statement_timeout = 50")
		l.fails("set", err)
		_, err = c.ExecContext(ctx, "select pg_sleep(20)")
		l.fails("statement timeout", err)
		_, err = c.ExecContext(ctx, "reset statement_timeout")
		l.fails("reset", err)
		c.Close()
		tx, err := db.BeginTx(ctx, nil)
		l.fails("begin", err)
		ctx3, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		_, err = tx.ExecContext(ctx3, "select pg_sleep(20)")
		cancel()
		l.fails("deadline", err)
		l.fails("rollback", tx.Rollback())
		l.rows(db.QueryContext(ctx, "select 1"))
	}},
	{"big", func(ctx context.Context, l *transcript, db *sql.DB) {
		rows, err := db.QueryContext(ctx, "select g, repeat('x', 100), g * 1.5::float8, g::text from generate_series(1, 20000) g")
		if l.fails("query", err) {
			return
		}
		n, sum := 0, 0
		for rows.Next() {
			var g int
			var s, u string
			var f float64
			if l.fails("scan", rows.Scan(&g, &s, &f, &u)) {
				break
			}
			n, sum = n+1, sum+g+len(s)+len(u)
		}
		l.say("%d %d", n, sum)
		l.fails("rows", rows.Err())
		rows, err = db.QueryContext(ctx, "select g from generate_series(1, 20000) g")
		l.fails("query", err)
		rows.Next()
		l.fails("early close", rows.Close())
		l.rows(db.QueryContext(ctx, "select 1"))
	}},
	{"scan", func(ctx context.Context, l *transcript, db *sql.DB) {
		var i int8
		l.fails("overflow", db.QueryRowContext(ctx, "select 1000").Scan(&i))
		l.fails("null", db.QueryRowContext(ctx, "select null::int4").Scan(&i))
		var s string
		l.fails("string", db.QueryRowContext(ctx, "select '{1,2}'::int4[]").Scan(&s))
		l.say("%s", s)
		l.fails("no rows", db.QueryRowContext(ctx, "select 1 where false").Scan(&i))
		var raw sql.RawBytes
		rows, err := db.QueryContext(ctx, "select 'raw'::bytea, 5")
		l.fails("query", err)
		for rows.Next() {
			l.fails("raw", rows.Scan(&raw, &i))
			l.say("%s %d", raw, i)
		}
		var n sql.NullInt64
		l.fails("null int", db.QueryRowContext(ctx, "select null::int8").Scan(&n))
		l.say("%v", n)
	}},
	{"ping", func(ctx context.Context, l *transcript, db *sql.DB) {
		l.fails("ping", db.PingContext(ctx))
		_, err := db.ExecContext(ctx, "select pg_terminate_backend(pg_backend_pid())")
		l.fails("killed", err)
		l.fails("ping", db.PingContext(ctx))
		l.rows(db.QueryContext(ctx, "select 1"))
	}},
}
