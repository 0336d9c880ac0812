package analysis

import (
	"context"
	"os"
	"strings"
	"testing"

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
		"DELETE FROM plain USING parent":                                                                           false,
		"DELETE FROM plain USING parent WHERE true":                                                                false,
		"DELETE FROM plain USING parent p WHERE p.id = 1":                                                          false,
		"DELETE FROM plain USING parent p WHERE p.id = plain.id":                                                   true,
		"DELETE FROM plain x USING plain y WHERE x.id = y.id":                                                      false,
		"DELETE FROM plain x USING plain y WHERE x.id = y.id AND y.n = 1":                                          true,
		"DELETE FROM plain x USING plain y WHERE x.a = y.a AND x.id > y.id":                                        true,
		"DELETE FROM plain x USING parent y WHERE x.id = y.id":                                                     true,
		"MERGE INTO plain t USING plain p ON t.id = p.id WHEN MATCHED THEN DELETE":                                 false,
		"MERGE INTO plain t USING parent p ON true WHEN MATCHED AND t.id = 1 THEN DELETE":                          true,
		"INSERT INTO plain SELECT * FROM plain ON CONFLICT (id) DO UPDATE SET b = 'x'":                             false,
		"WITH s AS (SELECT * FROM plain) INSERT INTO plain SELECT * FROM s ON CONFLICT (id) DO UPDATE SET b = 'x'": false,
		"UPDATE plain SET b = p.v FROM parent p WHERE p.v = 'a'":                                                   false,
		"UPDATE plain SET b = p.v FROM parent p WHERE p.v = a":                                                     true,
		"UPDATE plain AS t SET b = 'x' WHERE t.id = 1":                                                             true,
		"UPDATE plain AS t SET b = 'x' WHERE t.id = t.id":                                                          false,
		"DELETE FROM plain WHERE CURRENT OF c":                                                                     true,
		"WITH x AS (DELETE FROM plain RETURNING 1) SELECT * FROM x":                                                false,
		"MERGE INTO plain t USING parent p ON true WHEN MATCHED THEN DELETE":                                       false,
		"MERGE INTO plain t USING parent p ON t.id = p.id WHEN MATCHED THEN DELETE":                                true,
		"EXPLAIN ANALYZE DELETE FROM plain":                                                                        false,
		"DELETE FROM ONLY plain WHERE id IN (SELECT p.id FROM parent p WHERE p.v = a)":                             true,
	} {
		f, err := Analyze(context.Background(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err, sql)
		require.NotEmpty(t, f.Statements[0].Bounds, sql)
		require.Equal(t, limited, f.Statements[0].Bounds[0].Limited, sql)
	}
}
