package guardedpg_test

import (
	"database/sql"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/pgtest"
	"github.com/guardedpg/guardedpg/mask"
)

// benchMasks are the columns of the benchmark's table, and the most that one
// value may take in nanoseconds of the client's processor.
var benchMasks = []struct {
	column, mask string
	most         float64
}{
	{"redact", "redact", 150}, {"nothing", "'null'", 150}, {"partial", "{partial: {last: 4}}", 150}, {"hash", "hash", 600},
	{"email", "email", 0}, {"card", "card", 0},
}

const benchRows = 20_000

// benchDatabases opens a table of many rows with and without the guard.
func benchDatabases(tb testing.TB) (plain, guarded *sql.DB) {
	tb.Helper()
	setup := "CREATE TABLE long (id int, a text, b text, n int8, plain text"
	values := "g, 'name ' || g, 'city ' || g, g, 'user' || g || '@x.test'"
	policy := guard.Policy{Default: guard.Allow}
	for _, m := range benchMasks {
		setup += ", " + m.column + " text"
		values += ", 'user' || g || '@x.test'"
		var v any
		require.NoError(tb, yaml.Unmarshal([]byte(m.mask), &v))
		policy.Protect = append(policy.Protect, guard.Protect{Column: "public.long." + m.column, Mask: maskOf(v)})
	}
	s := pgtest.Start(tb)
	s.Template(tb, "long", setup+"); INSERT INTO long SELECT "+values+" FROM generate_series(1, 20000) g")
	dsn := s.DSN(pgtest.Superuser, s.Clone(tb, "long"))
	key, err := mask.NewKey([]byte("the key of the benchmarks"))
	require.NoError(tb, err)
	plain, err = sql.Open("pgx", dsn)
	require.NoError(tb, err)
	guarded, err = guardedpg.OpenDB(guardedpg.Config{DSN: dsn, Identify: as(agent), Policy: policy, Audit: nowhere{}, MaskKey: key})
	require.NoError(tb, err)
	for _, db := range []*sql.DB{plain, guarded} {
		db.SetMaxOpenConns(1)
		tb.Cleanup(func() { db.Close() })
	}
	return plain, guarded
}

// readAll reads a whole result through Next alone.
func readAll(tb testing.TB, db *sql.DB, query string) {
	rows, err := db.Query(query)
	require.NoError(tb, err)
	n := 0
	for rows.Next() {
		n++
	}
	require.NoError(tb, rows.Err())
	require.Equal(tb, benchRows, n)
}

// spent is the processor time of this process so far.
func spent() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A contestant reads the same number of rows as all others, in turns with them.
type contestant struct {
	name, query string
	db          *sql.DB
	wall, cpu   []float64 // nanoseconds per row, of each round
}

func (c *contestant) round(tb testing.TB) {
	runtime.GC() // none pays for another's garbage
	start, cpu := time.Now(), spent()
	readAll(tb, c.db, c.query)
	c.wall = append(c.wall, float64(time.Since(start))/benchRows)
	c.cpu = append(c.cpu, float64(spent()-cpu)/benchRows)
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// BenchmarkRows compares rows with nothing protected in them: the guard's with
// pgx's own, and pgx's with themselves, in alternating rounds.
func BenchmarkRows(b *testing.B) {
	plain, guarded := benchDatabases(b)
	const query = "SELECT id, a, b, n, plain FROM long"
	list := []*contestant{{name: "pgx", query: query, db: plain}, {name: "again", query: query, db: plain}, {name: "guardedpg", query: query, db: guarded}}
	for _, c := range list {
		readAll(b, c.db, c.query)
	}
	for b.Loop() {
		for _, c := range list {
			c.round(b)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(list[0].cpu), "pgx-cpu-ns/row")
	for _, c := range list[1:] {
		b.ReportMetric(median(c.cpu)/median(list[0].cpu), c.name+"-cpu/pgx")
		b.ReportMetric(median(c.wall)/median(list[0].wall), c.name+"-wall/pgx")
	}
}

// BenchmarkMaskedValues shows what each mask adds to a value that is read: the
// difference to the guard's own reading of an unprotected column of the same
// values. What "pgx" shows is that column's difference between pgx and the guard.
func BenchmarkMaskedValues(b *testing.B) {
	plain, guarded := benchDatabases(b)
	list := []*contestant{{name: "plain", query: "SELECT plain FROM long", db: guarded}, {name: "pgx", query: "SELECT plain FROM long", db: plain}}
	for _, m := range benchMasks {
		list = append(list, &contestant{name: m.column, query: "SELECT " + m.column + " FROM long", db: guarded})
	}
	for _, c := range list {
		readAll(b, c.db, c.query)
	}
	for b.Loop() {
		for _, c := range list {
			c.round(b)
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, c := range list[1:] {
		var added []float64 // round by round: the machine's own drift cancels out
		for i := range c.cpu {
			added = append(added, c.cpu[i]-list[0].cpu[i])
		}
		b.ReportMetric(median(added), c.name+"-ns/value")
	}
}

// TestMaskedAllocations holds what does not depend on the machine: a row with
// nothing protected in it allocates what pgx's does, and a masked value no more
// than itself, which is two: the string and its header.
func TestMaskedAllocations(t *testing.T) {
	plain, guarded := benchDatabases(t)
	perRow := func(db *sql.DB, columns string) float64 {
		return testing.AllocsPerRun(3, func() { readAll(t, db, "SELECT "+columns+" FROM long") }) / benchRows
	}
	const unprotected = "id, a, b, n, plain"
	require.Less(t, perRow(guarded, unprotected), perRow(plain, unprotected)+0.01)
	clear := perRow(plain, "plain")
	for _, m := range benchMasks {
		// The clear value is decoded and given up. What hash takes is its own.
		most := clear + 2.01
		if m.column == "redact" || m.column == "nothing" {
			most = clear + 0.01
		}
		got := perRow(guarded, m.column)
		if m.column == "hash" && raceDetector {
			continue // it keeps its states in a sync.Pool, which forgets at random then
		}
		t.Logf("%s: %.2f allocations per row, pgx %.2f", m.column, got, clear)
		require.Less(t, got, most, m.column)
	}
	require.Less(t, perRow(guarded, strings.Repeat("redact, ", 5)+"plain"), 6*clear+0.01)
}
