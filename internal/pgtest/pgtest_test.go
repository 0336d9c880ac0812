//go:build unix

package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func value[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&v))
	return v
}

func TestServerSettings(t *testing.T) {
	s := pgtest.Start(t)
	require.Same(t, s, pgtest.Start(t), "one server per test binary")
	conn := connect(t, s.Database(t))

	require.Equal(t, strconv.Itoa(s.VersionNum()), value[string](t, conn, "show server_version_num"))
	require.GreaterOrEqual(t, s.VersionNum(), 140000)
	for name, want := range map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
		"wal_level": "logical", "max_prepared_transactions": "10", "max_connections": "200",
		"timezone": "UTC",
	} {
		require.Equal(t, want, value[string](t, conn, "show "+name), name)
	}
	require.Equal(t, "É", value[string](t, conn, "select upper('é')"))
}

// TestContrib loads the extensions that the suite's schemas use. A package of
// server binaries may list one and be unable to load it.
func TestContrib(t *testing.T) {
	s := pgtest.Start(t)
	conn := connect(t, s.Database(t))
	for _, name := range []string{
		"btree_gist", "citext", "dblink", "fuzzystrmatch", "hstore", "pg_stat_statements", "pg_trgm",
		"pgcrypto", "postgres_fdw", "tablefunc", "unaccent", "xml2",
	} {
		_, err := conn.Exec(t.Context(), "create extension "+name)
		require.NoError(t, err)
	}
	require.Positive(t, value[int](t, conn, "select count(*) from pg_stat_statements"))
	_, err := conn.Exec(t.Context(), "select dblink_connect($1)", s.DSN(pgtest.Superuser, "postgres"))
	require.NoError(t, err, "dblink loads its client library")
}

func TestOptions(t *testing.T) {
	s := pgtest.Options{Durable: true, Settings: map[string]string{"max_connections": "17"}}.Start(t)
	conn := connect(t, s.DSN(pgtest.Superuser, "postgres"))
	require.Equal(t, "17", value[string](t, conn, "show max_connections"))
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		require.Equal(t, "on", value[string](t, conn, "show "+name), name)
	}
}

func TestPasswordOverTCP(t *testing.T) {
	s := pgtest.Start(t)
	admin := connect(t, s.DSN(pgtest.Superuser, "postgres"))
	_, err := admin.Exec(t.Context(), "create role reader login password 'reader'")
	require.NoError(t, err)
	t.Cleanup(func() { admin.Exec(context.Background(), "drop role reader") })

	conn := connect(t, s.DSN("reader", "postgres"))
	require.Equal(t, "reader", value[string](t, conn, "select current_user::text"))

	_, err = pgx.Connect(t.Context(), strings.Replace(s.DSN("reader", "postgres"), ":reader@", ":wrong@", 1))
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "28P01", pgErr.Code)
}

func TestDatabaseIsDropped(t *testing.T) {
	s := pgtest.Start(t)
	admin := connect(t, s.DSN(pgtest.Superuser, "postgres"))
	count := "select count(*) from pg_database where datname like 'test\\_%'"
	before := value[int](t, admin, count)
	t.Run("uses one", func(t *testing.T) {
		dsn := s.Database(t)
		require.Equal(t, before+1, value[int](t, admin, count))
		// What DROP DATABASE refuses to drop over: a connection, a prepared
		// transaction and a replication slot.
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		defer conn.Close(context.Background())
		for _, sql := range []string{
			"select pg_create_logical_replication_slot('kept', 'pgoutput')",
			"begin", "create table held (n int)", "prepare transaction 'it''s'", "begin", "select 1",
		} {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err, sql)
		}
	})
	require.Equal(t, before, value[int](t, admin, count))
}

func TestClone(t *testing.T) {
	s := pgtest.Start(t)
	text := "create table item (n int); insert into item select generate_series(1, 1000)"
	s.Template(t, "items", text)
	s.Template(t, "items", text)

	one, two := s.Clone(t, "items"), s.Clone(t, "items")
	require.NotEqual(t, one, two)
	conn := connect(t, s.DSN(pgtest.Superuser, one))
	require.Equal(t, 1000.0, value[float64](t, conn, "select reltuples from pg_class where relname = 'item'"), "analyzed")
	_, err := conn.Exec(t.Context(), "truncate item")
	require.NoError(t, err)
	require.Equal(t, 1000, value[int](t, connect(t, s.DSN(pgtest.Superuser, two)), "select count(*) from item"))

	// The same name again, over a connection that is still open.
	s.CloneAs(t, "items", "shop")
	old := connect(t, s.DSN(pgtest.Superuser, "shop"))
	_, err = old.Exec(t.Context(), "drop table item")
	require.NoError(t, err)
	s.CloneAs(t, "items", "shop")
	require.Equal(t, 1000, value[int](t, connect(t, s.DSN(pgtest.Superuser, "shop")), "select count(*) from item"))
}

func TestKillAndRestart(t *testing.T) {
	s := pgtest.Options{Durable: true}.Start(t)
	dsn := s.Database(t)
	conn := connect(t, dsn)
	_, err := conn.Exec(t.Context(), "create table item (n int); insert into item values (1)")
	require.NoError(t, err)

	// A backend in the middle of a statement must die with the postmaster.
	busy := connect(t, dsn)
	result := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), "do $$ begin loop end loop; end $$")
		result <- err
	}()
	s.Kill(t)
	require.Error(t, <-result)
	_, err = pgx.Connect(t.Context(), dsn)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	s.Restart(t)
	require.Equal(t, 1, value[int](t, connect(t, dsn), "select n from item"), "what was committed survives")
	s.Restart(t)
	require.Equal(t, 1, value[int](t, connect(t, dsn), "select n from item"))
}

// TestServerEndsWithItsProcess runs this test binary again, lets the copy start
// a server, ends the copy in each way and sees the server end.
func TestServerEndsWithItsProcess(t *testing.T) {
	for _, way := range []string{"return", "panic", "exit", "kill"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestEndLike$")
			cmd.Env = append(os.Environ(), "PGTEST_END="+way)
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())

			var dir, dsn string
			lines := bufio.NewScanner(stdout)
			for lines.Scan() {
				if n, _ := fmt.Sscanf(lines.Text(), "server %s %s", &dir, &dsn); n == 2 {
					break
				}
			}
			require.NotEmpty(t, dir, "the copy started no server")
			require.DirExists(t, dir)
			conn := connect(t, dsn)

			if way == "kill" {
				require.NoError(t, cmd.Process.Kill())
			}
			stdin.Close() // the copy goes on
			io.Copy(io.Discard, stdout)
			cmd.Wait()

			// Returns when the server closes the connection.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = conn.WaitForNotification(ctx)
			require.Error(t, err)
			require.NoError(t, ctx.Err(), "the server still runs")
			require.Eventually(t, func() bool {
				_, err := os.Stat(dir)
				return errors.Is(err, os.ErrNotExist)
			}, time.Minute, 10*time.Millisecond, "the server's directory stays")
			_, err = pgx.Connect(t.Context(), dsn)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		})
	}
}

// TestEndLike is the copy's part. It does nothing in an ordinary run.
func TestEndLike(t *testing.T) {
	way := os.Getenv("PGTEST_END")
	if way == "" {
		return
	}
	s := pgtest.Start(t)
	fmt.Printf("server %s %s\n", pgtest.Dir(s), s.DSN(pgtest.Superuser, "postgres"))
	io.Copy(io.Discard, os.Stdin)
	switch way {
	case "panic":
		panic("on purpose")
	case "exit":
		os.Exit(3)
	}
}
