package catalog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// Each of these statements changes a definition that a snapshot holds.
var changes = []string{
	`create table app.t1 (a int)`,
	`alter table app.t1 add b int`,
	`alter table app.t1 rename b to c`,
	`alter table app.t1 alter c set default 1`,
	`alter table app.t1 alter c set default 2`,
	`alter table app.t1 alter c type bigint`,
	`alter table app.t1 alter c set not null`,
	`alter table app.t1 drop c`,
	`alter table app.t1 add constraint k check (a > 0)`,
	`alter table app.t1 add constraint f foreign key (a) references app.orders`,
	`alter table app.t1 drop constraint f`,
	`comment on column app.t1.a is 'x'`,
	`comment on column app.t1.a is 'y'`,
	`comment on column app.t1.a is null`,
	`create unique index t1_a on app.t1 (a)`,
	`alter index app.t1_a rename to t1_b`,
	`drop index app.t1_b`,
	`alter table app.t1 inherit app.base`,
	`alter table app.t1 no inherit app.base`,
	`alter table app.t1 enable row level security`,
	`create policy p on app.t1 using (true)`,
	`alter policy p on app.t1 using (false)`,
	`create trigger t before insert on app.t1 for each row execute function app.touch()`,
	`alter table app.t1 disable trigger t`,
	`create rule r as on delete to app.t1 do instead nothing`,
	`alter table app.t1 rename to t2`,
	`alter table app.t2 set schema public`,
	`drop table public.t2`,
	`create or replace view app.contacts as select c.id, c.email as mail from app.customers c`,
	`alter view app.contacts rename mail to email`,
	`create or replace function app.add(x int, y int default 2, out total int, variadic z int[] default '{}') language sql as 'select 1'`,
	`alter function app.many() security invoker`,
	`create or replace function app.touch() returns trigger language plpgsql as $$ begin return null; end $$`,
	`create or replace aggregate app.total (int) (sfunc = int4mul, stype = int4, initcond = '0')`,
	`alter domain app.email drop constraint short`,
	`alter domain app.email set default 'z@z'`,
	`drop cast (text as app.pair)`,
	`create cast (text as app.pair) with function app.to_pair(text)`,
	`drop operator app.### (int, int)`,
	`alter table app.parts detach partition app.parts_2020`,
	`alter table app.parts attach partition app.parts_2020 for values from ('2020-01-01') to ('2022-01-01')`,
	`alter foreign table app.remote options (set table_name 'u')`,
	`alter foreign table app.remote alter a options (set column_name 'b')`,
	`alter schema app rename to app2`,
	`alter schema app2 rename to app`,
	`alter schema public rename to public2`,
	`create extension hstore schema app`,
	`alter extension hstore drop function app.akeys(app.hstore)`,
	`drop extension hstore cascade`,
}

func fingerprint(t *testing.T, conn *pgx.Conn) catalog.Fingerprint {
	t.Helper()
	f, err := catalog.TakeFingerprint(context.Background(), conn)
	require.NoError(t, err)
	return f
}

func TestEveryChangeChangesTheFingerprint(t *testing.T) {
	for name, inTransaction := range map[string]bool{"in a transaction": true, "committed": false} {
		t.Run(name, func(t *testing.T) {
			super, agent := database(t)
			outside := fingerprint(t, agent)
			if inTransaction {
				exec(t, super, `begin`)
			}
			last := fingerprint(t, super)
			for _, sql := range changes {
				exec(t, super, sql)
				now := fingerprint(t, super)
				require.NotEqual(t, last, now, sql)
				last = now
				require.Equal(t, now, fingerprint(t, super), sql)
				if !inTransaction {
					require.Equal(t, now, fingerprint(t, agent), sql)
				}
			}
			if inTransaction {
				require.Equal(t, outside, fingerprint(t, agent))
				exec(t, super, `rollback`)
				require.Equal(t, outside, fingerprint(t, super))
			}
		})
	}
}

func TestWhatIsNoChangeLeavesTheFingerprint(t *testing.T) {
	super, agent := database(t)
	before := fingerprint(t, agent)
	exec(t, super, `insert into app.base values (1); select nextval('app.seq'); delete from app.base`)
	for _, sql := range []string{`create temp table mine (a int)`, `vacuum freeze app.base`, `analyze`} {
		exec(t, super, sql)
	}
	require.Equal(t, before, fingerprint(t, agent))
	require.NotEqual(t, before, fingerprint(t, super), "the temporary table is its own session's")
}

func TestDigestFollowsTheObjectsConcerned(t *testing.T) {
	super, agent := database(t)
	ctx := context.Background()
	s := load(t, agent)
	orders, customers := s.RelationNamed("app", "orders"), s.RelationNamed("app", "customers")
	touch := s.FunctionsIn("app", "touch")[0]
	relations := []catalog.OID{orders.OID, customers.OID, orders.OID, s.RelationNamed("pg_catalog", "pg_stats").OID}
	functions := []catalog.OID{touch.OID, s.FunctionsNamed("lower")[0].OID}
	want, ok := s.Digest(relations, functions)
	require.True(t, ok)
	ask := func(conn *pgx.Conn) (digest int64) {
		t.Helper()
		require.NoError(t, conn.QueryRow(ctx, catalog.DigestSQL(relations, functions), pgx.QueryExecModeSimpleProtocol).Scan(&digest))
		return
	}
	require.Equal(t, want, ask(agent))

	_, ok = s.Digest([]catalog.OID{1}, nil)
	require.False(t, ok)
	none, ok := s.Digest(nil, nil)
	require.True(t, ok)
	require.Zero(t, none)

	exec(t, super, `create table app.elsewhere (a int); alter table app.base add z int`)
	require.Equal(t, want, ask(agent), "other objects do not matter")
	for _, sql := range []string{
		`alter table app.customers rename name to nickname`,
		`comment on table app.orders is 'x'`,
		`create table app.late (a int references app.orders on delete cascade)`,
		`create or replace function app.touch() returns trigger language plpgsql as $$ begin return old; end $$`,
		`alter table app.orders drop constraint orders_customer`,
		`create table app.heir () inherits (app.orders)`,
		`drop function app.touch() cascade`,
	} {
		exec(t, super, sql)
		now := ask(agent)
		require.NotEqual(t, want, now, sql)
		want = now
	}

	exec(t, super, `create function app.bit_xor(int8) returns int8 language sql as 'select 7::int8';
		create operator app.= (leftarg = oid, rightarg = oid, function = oidne); create domain app.oid as text`)
	exec(t, agent, `set search_path = app, pg_catalog`)
	require.Equal(t, want, ask(agent), "the search_path does not matter")
}

// counting counts the messages that a session sends.
type counting struct {
	conn  *pgx.Conn
	calls int
}

func (c *counting) PgConn() *pgconn.PgConn {
	c.calls++
	return c.conn.PgConn()
}

func snapshot(t *testing.T, s *catalog.Session, q catalog.Queryer) *catalog.Snapshot {
	t.Helper()
	got, err := s.Snapshot(context.Background(), q)
	require.NoError(t, err)
	require.NotNil(t, got)
	return got
}

func TestCacheAsksOnlyWhenDue(t *testing.T) {
	super, agent := database(t)
	cache := catalog.NewCache(catalog.Config{MaxAge: time.Hour})
	q := &counting{conn: agent}
	session := cache.Session()
	first := snapshot(t, session, q)
	calls := q.calls
	require.Same(t, first, snapshot(t, session, q))
	require.Same(t, first, snapshot(t, cache.Session(), q))
	require.Equal(t, calls, q.calls)

	cache.Invalidate()
	require.Same(t, first, snapshot(t, session, q), "nothing has changed")
	require.Greater(t, q.calls, calls)
	calls = q.calls
	require.Same(t, first, snapshot(t, session, q))
	require.Equal(t, calls, q.calls)

	exec(t, super, `create table app.t1 (a int)`)
	require.Same(t, first, snapshot(t, session, q), "not due yet")
	cache.Invalidate()
	second := snapshot(t, session, q)
	require.NotNil(t, second.RelationNamed("app", "t1"))
	require.Greater(t, second.Version, first.Version)
	require.Nil(t, first.RelationNamed("app", "t1"), "a snapshot is immutable")

	eager := catalog.NewCache(catalog.Config{}).Session()
	require.Nil(t, snapshot(t, eager, agent).RelationNamed("app", "t2"))
	exec(t, super, `create table app.t2 (a int)`)
	require.NotNil(t, snapshot(t, eager, agent).RelationNamed("app", "t2"))
}

func TestCacheKeepsUncommittedChangesApart(t *testing.T) {
	super, agent := database(t)
	cache := catalog.NewCache(catalog.Config{MaxAge: time.Hour})
	author, reader := cache.Session(), cache.Session()
	before := snapshot(t, reader, agent)

	exec(t, super, `begin; create table app.t1 (a int)`)
	author.Changed()
	own := snapshot(t, author, super)
	require.NotNil(t, own.RelationNamed("app", "t1"))
	require.Same(t, own, snapshot(t, author, super))
	cache.Invalidate()
	require.Same(t, before, snapshot(t, reader, agent))
	exec(t, super, `create or replace view app.contacts as select c.id, c.email as mail from app.customers c`)
	author.Changed()
	again := snapshot(t, author, super)
	require.NotEqual(t, own.RelationNamed("app", "contacts").Definition, again.RelationNamed("app", "contacts").Definition)

	exec(t, super, `rollback`)
	author.Changed()
	require.Same(t, before, snapshot(t, author, super))

	exec(t, super, `begin; create table app.t1 (a int)`)
	author.Changed()
	own = snapshot(t, author, super)
	exec(t, super, `commit`)
	author.Changed()
	cache.Invalidate()
	require.Same(t, own, snapshot(t, author, super), "what was loaded in the transaction serves all once it is committed")
	require.Same(t, own, snapshot(t, reader, agent))
}

func TestCacheKeepsTemporaryObjectsApart(t *testing.T) {
	super, agent := database(t)
	cache := catalog.NewCache(catalog.Config{MaxAge: time.Hour})
	author, reader := cache.Session(), cache.Session()
	shared := snapshot(t, reader, agent)
	exec(t, super, `create temp table mine (a int)`)
	author.Changed()
	own := snapshot(t, author, super)
	require.NotNil(t, own.RelationNamed("pg_temp", "mine"))
	require.Same(t, own.Relation(shared.RelationNamed("app", "base").OID), shared.RelationNamed("app", "base"), "the shared part is shared")
	require.Same(t, shared, snapshot(t, reader, agent))
	cache.Invalidate()
	require.Same(t, own, snapshot(t, author, super))

	exec(t, agent, `begin isolation level repeatable read; create temp table yours (a int)`)
	reader.Changed()
	require.NotNil(t, snapshot(t, reader, agent).RelationNamed("pg_temp", "yours"))
	exec(t, agent, `commit`)

	exec(t, super, `discard temp`)
	author.Changed()
	require.Nil(t, snapshot(t, author, super).RelationNamed("pg_temp", "mine"))
}

// A transaction that sees the past must not be planned by it: the server runs
// its statements by the present definitions.
func TestCacheInATransactionThatSeesThePast(t *testing.T) {
	super, agent := database(t)
	exec(t, agent, `begin isolation level repeatable read; select`)
	alone := catalog.NewCache(catalog.Config{}).Session()
	_, err := alone.Snapshot(context.Background(), agent)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.ErrorContains(t, err, "REPEATABLE READ")

	open := 0
	cache := catalog.NewCache(catalog.Config{Connect: func(ctx context.Context) (catalog.Queryer, func(), error) {
		conn, err := pgx.ConnectConfig(ctx, agent.Config())
		if err != nil {
			return nil, nil, err
		}
		open++
		return conn, func() { open--; conn.Close(ctx) }, nil
	}})
	exec(t, super, `create or replace view app.contacts as select c.id, (c.name collate "default")::app.email as mail from app.customers c`)
	session := cache.Session()
	require.Contains(t, snapshot(t, session, agent).RelationNamed("app", "contacts").Definition, "name)::app.email")
	exec(t, super, `create or replace view app.contacts as select c.id, (c.full_name collate "default")::app.email as mail from app.customers c`)
	require.Contains(t, snapshot(t, session, agent).RelationNamed("app", "contacts").Definition, "full_name)::app.email")
	require.Zero(t, open)
	require.Equal(t, byte('T'), agent.PgConn().TxStatus())
}

func TestCacheUnderConcurrency(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	super := connect(t, dsn)
	cache := catalog.NewCache(catalog.Config{MaxAge: time.Millisecond})
	exec(t, super, `create table t0 (a int); create view v as select * from t0`)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for worker := range 8 {
		conn := connect(t, dsn)
		wg.Go(func() {
			session := cache.Session()
			for i := range 5 {
				name := fmt.Sprintf("t_%d_%d", worker, i)
				kind := []string{"", "temp "}[worker%2]
				_, err := conn.Exec(ctx, "create "+kind+"table "+name+" (a int)")
				require.NoError(t, err)
				session.Changed()
				cache.Invalidate()
				s, err := session.Snapshot(ctx, conn)
				// Definitions that change without a pause are a refusal.
				if err != nil {
					require.ErrorIs(t, err, catalog.ErrLoad)
					continue
				}
				schema := []string{"public", "pg_temp"}[worker%2]
				require.NotNil(t, s.RelationNamed(schema, name))
			}
		})
	}
	wg.Wait()
	s := snapshot(t, cache.Session(), super)
	require.NotNil(t, s.RelationNamed("public", "t_0_4"))
	require.Nil(t, s.RelationNamed("pg_temp", "t_1_4"))
}

// A session that loads waits for the lock of one that waits for the load. The
// server cannot see this deadlock; the lock timeout ends it.
func TestALoadDoesNotWaitForLocksForever(t *testing.T) {
	super, agent := database(t)
	cache := catalog.NewCache(catalog.Config{MaxAge: time.Hour})
	exec(t, super, `begin; lock table app.customers in access exclusive mode`)
	_, err := cache.Session().Snapshot(context.Background(), agent)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.ErrorContains(t, err, "lock")
	snapshot(t, cache.Session(), super)
	exec(t, super, `rollback`)
	snapshot(t, cache.Session(), agent)
}

func TestACancelledWaitIsARefusal(t *testing.T) {
	_, agent := database(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := catalog.NewCache(catalog.Config{}).Session().Snapshot(ctx, agent)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.ErrorIs(t, err, context.Canceled)
}
