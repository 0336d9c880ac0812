//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// template is a database that is loaded once and cloned per test.
type template struct {
	sql      string
	database string
	once     sync.Once
	err      error
}

// Database makes an empty database and returns the superuser's DSN for it. The
// database goes when the test ends.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := s.nextName()
	s.create(tb, name, "template1")
	return s.DSN(Superuser, name)
}

// Template loads sql, one or many statements, into a template database at the
// first call with this name; later calls must bring the same text. The text runs
// as the superuser in a transaction of its own, unless it has its own.
//
// Roles belong to the server and outlive the test, so the text must bear that
// they exist. Settings and grants on the database itself are not cloned.
func (s *Server) Template(tb testing.TB, name, sql string) {
	tb.Helper()
	s.mu.Lock()
	t, ok := s.templates[name]
	if !ok {
		t = &template{sql: sql, database: "template_" + name}
		s.templates[name] = t
	}
	s.mu.Unlock()
	if t.sql != sql {
		tb.Fatalf("pgtest: template %s is already loaded from another text", name)
	}
	t.once.Do(func() { t.err = s.load(t) })
	if t.err != nil {
		tb.Fatalf("pgtest: template %s: %v", name, t.err)
	}
}

func (s *Server) load(t *template) error {
	ctx := context.Background()
	if err := s.exec(ctx, "postgres", "create database "+quote(t.database)); err != nil {
		return err
	}
	if err := s.exec(ctx, t.database, t.sql); err != nil {
		return err
	}
	// Clones start with settled visibility and statistics, so that plans do not
	// depend on when autovacuum came by.
	if err := s.exec(ctx, t.database, "vacuum (freeze, analyze)"); err != nil {
		return err
	}
	// A connection to the template, autovacuum's included, would hold up
	// every clone.
	return s.exec(ctx, "postgres", "alter database "+quote(t.database)+" with allow_connections false")
}

// Clone copies a template into a database with a fresh name, which it returns.
// The database goes when the test ends.
func (s *Server) Clone(tb testing.TB, template string) (database string) {
	tb.Helper()
	database = s.nextName()
	s.CloneAs(tb, template, database)
	return database
}

// CloneAs is Clone with a name for the database. One that has the name is
// dropped first, its connections with it.
func (s *Server) CloneAs(tb testing.TB, template, database string) {
	tb.Helper()
	s.mu.Lock()
	t, ok := s.templates[template]
	s.mu.Unlock()
	if !ok {
		tb.Fatalf("pgtest: there is no template %s; call Template first", template)
	}
	if err := s.drop(database); err != nil {
		tb.Fatalf("pgtest: drop database %s: %v", database, err)
	}
	s.create(tb, database, t.database)
}

func (s *Server) nextName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return fmt.Sprintf("test_%d", s.serial)
}

func (s *Server) create(tb testing.TB, database, from string) {
	tb.Helper()
	err := s.exec(context.Background(), "postgres", "create database "+quote(database)+" template "+quote(from))
	if err != nil {
		tb.Fatalf("pgtest: create database %s: %v", database, err)
	}
	tb.Cleanup(func() {
		if s.process == nil {
			return // killed by the test; its data goes with it
		}
		if err := s.drop(database); err != nil {
			tb.Errorf("pgtest: drop database %s: %v", database, err)
		}
	})
}

// drop ends what FORCE does not: prepared transactions and replication slots.
func (s *Server) drop(database string) error {
	ctx := context.Background()
	statement := "drop database if exists " + quote(database) + " with (force)"
	err := s.exec(ctx, "postgres", statement)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "55006" { // object_in_use
		return err
	}
	if err := s.release(ctx, database); err != nil {
		return err
	}
	return s.exec(ctx, "postgres", statement)
}

func (s *Server) release(ctx context.Context, database string) error {
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `select pg_terminate_backend(active_pid)
		from pg_replication_slots where database = current_database() and active`); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `select pg_drop_replication_slot(slot_name)
		from pg_replication_slots where database = current_database()`); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `select format('rollback prepared %L', gid)
		from pg_prepared_xacts where database = current_database()`)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// exec runs one or many statements on a connection of its own.
func (s *Server) exec(ctx context.Context, database, sql string) error {
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
