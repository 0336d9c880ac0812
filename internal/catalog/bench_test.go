package catalog_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// 5,000 tables with 60,000 columns, 15,000 defaults, 5,000 foreign keys and
// checks, 500 views and 500 functions.
const many = `do $$ begin
	for i in 1..5000 loop
		execute format('create table t%s (id int8 generated always as identity primary key, a text not null default ''x'', b text,
			c int default 5, d numeric check (d > 0), e timestamptz default now(), f text, g text, h jsonb, i uuid, j date, k text%s)',
			i, case when i > 1 then format(', foreign key (id) references t%s', i - 1) else '' end);
		if i % 100 = 0 then
			commit;
		end if;
	end loop;
	for i in 1..500 loop
		execute format('create view v%s as select t.id, t.a, u.b from t%s t join t%s u using (id) where t.c > 5', i, i, i + 1);
		execute format('create function f%s(x int, out y text) language sql as $f$ select a from t%s where id = x $f$', i, i);
	end loop;
end $$`

func large(b *testing.B) *pgx.Conn {
	b.Helper()
	conn := connect(b, pgtest.Start(b).Database(b))
	_, err := conn.Exec(context.Background(), many)
	require.NoError(b, err)
	_, err = conn.Exec(context.Background(), `analyze`)
	require.NoError(b, err)
	return conn
}

func BenchmarkLoad(b *testing.B) {
	conn := large(b)
	load(b, conn) // the built-ins
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	s := load(b, conn)
	held := heap() - before
	runtime.KeepAlive(s)
	for b.Loop() {
		load(b, conn)
	}
	b.ReportMetric(held, "MiB-held")
}

func BenchmarkFingerprint(b *testing.B) {
	for name, conn := range map[string]*pgx.Conn{
		"empty":       connect(b, pgtest.Start(b).Database(b)),
		"5000_tables": large(b),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := catalog.TakeFingerprint(context.Background(), conn)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	conn := large(b)
	s := load(b, conn)
	var oids []catalog.OID
	for _, name := range []string{"t1", "t2", "v1"} {
		oids = append(oids, s.RelationNamed("public", name).OID)
	}
	sql := catalog.DigestSQL(oids, []catalog.OID{s.FunctionsNamed("f1")[0].OID})
	var digest int64
	for b.Loop() {
		require.NoError(b, conn.QueryRow(context.Background(), sql).Scan(&digest))
	}
}

func BenchmarkCachedSnapshot(b *testing.B) {
	conn := connect(b, pgtest.Start(b).Database(b))
	session := catalog.NewCache(catalog.Config{MaxAge: time.Hour}).Session()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.Snapshot(context.Background(), conn); err != nil {
			b.Fatal(err)
		}
	}
}

func TestACachedSnapshotAllocatesNothing(t *testing.T) {
	conn := connect(t, pgtest.Start(t).Database(t))
	session := catalog.NewCache(catalog.Config{MaxAge: time.Hour}).Session()
	snapshot(t, session, conn)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := session.Snapshot(context.Background(), conn); err != nil {
			t.Error(err)
		}
	}))
}
