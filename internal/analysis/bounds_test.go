package analysis

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whether a predicate limits a DELETE and an UPDATE.
func TestBounds(t *testing.T) {
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	text, err := os.ReadFile("testdata/effects/bounds.txt")
	require.NoError(t, err)
	cases := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		want, predicate, ok := strings.Cut(line, ": ")
		require.True(t, ok, line)
		cases++
		for _, sql := range []string{"DELETE FROM plain WHERE " + predicate, "UPDATE plain SET b = 'x' WHERE " + predicate} {
			f, err := Analyze(context.Background(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
			require.NoError(t, err, sql)
			st := f.Statements[0]
			require.Len(t, st.Bounds, 1, sql)
			got := "some"
			if !st.Bounds[0].Limited {
				got = "all"
			} else if st.Bounds[0].OneRow {
				got = "one"
			}
			if got != want {
				t.Errorf("%s: want %s, got %s (%s)", sql, want, got, st.Bounds[0].Why)
			}
			require.Equal(t, got == "all", st.Classes&Unbounded != 0, sql)
			require.Equal(t, got == "all", st.Bounds[0].Why != "", sql)
		}
	}
	require.Greater(t, cases, 100)
}

// Other relations do not limit by being there.
func TestBoundsOfJoins(t *testing.T) {
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	for sql, limited := range map[string]bool{
		"DELETE FROM plain USING parent":                                                                                        false,
		"DELETE FROM plain USING parent WHERE true":                                                                             false,
		"DELETE FROM plain USING parent p WHERE p.id = 1":                                                                       false,
		"DELETE FROM plain USING parent p WHERE p.id = plain.id":                                                                true,
		"DELETE FROM plain x USING plain y WHERE x.id = y.id":                                                                   false,
		"DELETE FROM plain x USING plain y WHERE x.id = y.id AND y.n = 1":                                                       true,
		"DELETE FROM plain x USING plain y WHERE x.a = y.a AND x.id > y.id":                                                     true,
		"DELETE FROM plain x USING parent y WHERE x.id = y.id":                                                                  true,
		"MERGE INTO plain t USING plain p ON t.id = p.id WHEN MATCHED THEN DELETE":                                              false,
		"MERGE INTO plain t USING parent p ON true WHEN MATCHED AND t.id = 1 THEN DELETE":                                       true,
		"INSERT INTO plain SELECT * FROM plain ON CONFLICT (id) DO UPDATE SET b = 'x'":                                          false,
		"WITH s AS (SELECT * FROM plain) INSERT INTO plain SELECT * FROM s ON CONFLICT (id) DO UPDATE SET b = 'x'":              false,
		"UPDATE plain SET b = p.v FROM parent p WHERE p.v = 'a'":                                                                false,
		"UPDATE plain SET b = p.v FROM parent p WHERE p.v = a":                                                                  true,
		"UPDATE plain AS t SET b = 'x' WHERE t.id = 1":                                                                          true,
		"UPDATE plain AS t SET b = 'x' WHERE t.id = t.id":                                                                       false,
		"DELETE FROM plain WHERE CURRENT OF c":                                                                                  true,
		"WITH x AS (DELETE FROM plain RETURNING 1) SELECT * FROM x":                                                             false,
		"MERGE INTO plain t USING parent p ON true WHEN MATCHED THEN DELETE":                                                    false,
		"MERGE INTO plain t USING parent p ON t.id = p.id WHEN MATCHED THEN DELETE":                                             true,
		"EXPLAIN ANALYZE DELETE FROM plain":                                                                                     false,
		"UPDATE plain SET b = d.x FROM (SELECT id, upper(a) AS x FROM plain) d WHERE d.id = plain.id":                           false,
		"UPDATE plain SET b = d.x FROM (SELECT id, a AS x FROM plain WHERE n = 1) d WHERE d.id = plain.id":                      true,
		"UPDATE plain SET b = d.x FROM (SELECT a, count(*)::text AS x FROM plain GROUP BY a) d WHERE d.a = plain.a":             false,
		"WITH d AS (SELECT * FROM plain) DELETE FROM plain USING d WHERE plain.id = d.id":                                       false,
		"WITH d AS (SELECT * FROM plain LIMIT 5) DELETE FROM plain USING d WHERE plain.id = d.id":                               true,
		"WITH d AS (SELECT id, row_number() OVER () AS r FROM plain) DELETE FROM plain USING d WHERE plain.id = d.id AND r > 5": true,
		"WITH d AS (SELECT id FROM plain) DELETE FROM plain WHERE id IN (TABLE d)":                                              false,
		"WITH d (i) AS (SELECT id FROM plain) DELETE FROM plain WHERE EXISTS (SELECT FROM d WHERE i = plain.id)":                false,
		"WITH d AS (SELECT id FROM plain WHERE n = 1) DELETE FROM plain WHERE id IN (SELECT id FROM d)":                         true,
		"WITH d AS (SELECT * FROM plain) MERGE INTO plain t USING d ON t.id = d.id WHEN MATCHED THEN DELETE":                    false,
		"MERGE INTO plain t USING (SELECT * FROM plain) d ON t.id = d.id WHEN MATCHED AND t.n = 1 THEN DELETE":                  true,
		"DELETE FROM plain x USING plain y WHERE x.* = y.*":                                                                     false,
		"DELETE FROM plain x USING plain y WHERE x = y":                                                                         false,
		"DELETE FROM plain x USING plain y WHERE (x.id, x.a) = (y.id, y.a)":                                                     false,
		"DELETE FROM plain x USING plain y, parent p WHERE x.id = y.id":                                                         false,
		"DELETE FROM plain x USING plain y JOIN parent p ON p.id = y.id WHERE x.id = y.id":                                      true,
		"DELETE FROM plain x USING plain y CROSS JOIN parent p WHERE x.id = y.id":                                               false,
		"DELETE FROM ONLY plain WHERE id IN (SELECT p.id FROM parent p WHERE p.v = a)":                                          true,
		"DELETE FROM plain x USING plain y LEFT JOIN parent p ON p.id = y.n WHERE x.id = y.id":                                  false,
		"DELETE FROM plain x USING plain y LEFT JOIN parent p ON p.id = y.n WHERE x.id = y.id AND p.id IS NULL":                 true,
		"DELETE FROM plain x USING parent p RIGHT JOIN plain y ON p.id = y.n WHERE x.id = y.id AND v IS NULL":                   true,
		"DELETE FROM plain x USING plain y LEFT JOIN (SELECT * FROM parent) p ON p.id = y.n WHERE x.id = y.id AND p.v = 'a'":    true,
	} {
		f, err := Analyze(context.Background(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err, sql)
		require.NotEmpty(t, f.Statements[0].Bounds, sql)
		require.Equal(t, limited, f.Statements[0].Bounds[0].Limited, sql)
	}
}

// Queries that name each other twice, and cases within cases, are judged in
// bounded time.
func TestBoundsEnd(t *testing.T) {
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	with := func(first, next string) string {
		s := "WITH a0 AS (" + first + ")"
		for i := range 40 {
			s += fmt.Sprintf(", a%d AS (%s)", i+1, strings.ReplaceAll(next, "@", fmt.Sprintf("a%d", i)))
		}
		return s + " DELETE FROM plain WHERE id IN (SELECT id FROM a40)"
	}
	cases := "id"
	for range 9 {
		cases = "CASE WHEN n = 1 THEN " + cases + " ELSE " + cases + " END"
	}
	for _, sql := range []string{
		with("SELECT id FROM plain WHERE n = 1", "SELECT id FROM @ UNION SELECT id FROM @"),
		with("SELECT id FROM plain", "SELECT p.id FROM @ p, @ q"),
		"DELETE FROM plain WHERE " + cases + " IN (" + strings.Repeat("1, ", 300) + "2)",
		"DELETE FROM plain WHERE " + cases + " NOT BETWEEN 1 AND 5",
		"DELETE FROM plain WHERE " + strings.Repeat("NOT (", 150) + "id > 1" + strings.Repeat(" IS NOT TRUE)", 150),
		"DELETE FROM plain WHERE " + strings.Repeat("repeat(", 10) + "a" + strings.Repeat(", 100)", 10) + " <> 'x'",
		"DELETE FROM plain WHERE " + strings.Repeat("replace(", 40) + "a" + strings.Repeat(", 'q', 'qqqqqqqqqq')", 40) + " <> 'q'",
		"DELETE FROM plain WHERE length(a) <> 12000 AND (a NOT LIKE '" + strings.Repeat("%q", 90) + "%x' OR a !~ '(q+q+)+x')",
		"DELETE FROM plain WHERE " + strings.Repeat("id + ", 2000) + "id <> 7",
		"DELETE FROM plain WHERE " + strings.Repeat("id IN (SELECT id FROM plain WHERE ", 25) + "n = 1" + strings.Repeat(")", 25),
		"DELETE FROM plain WHERE id <> ALL ('{" + strings.Repeat("1,", 50_000) + "2}')",
	} {
		start := time.Now()
		_, err := Analyze(context.Background(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err)
		require.Less(t, time.Since(start), 5*time.Second, sql)
	}
}
