package analysis

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCountQuery(t *testing.T) {
	for _, c := range []struct {
		sql, query string
		params     []int
	}{
		{"DELETE FROM t", "SELECT pg_catalog.count(*) FROM t", nil},
		{"delete from only s.t as x where x.a = $3 and x.b <> $1 or x.a = $3 returning $9::int",
			"SELECT pg_catalog.count(*) FROM ONLY s.t x WHERE (x.a = $2 AND x.b <> $1) OR x.a = $2", []int{1, 3}},
		{"UPDATE \"T 1\" SET a = $1, b = (SELECT 1 WHERE $2) WHERE c = '; DROP TABLE t --' -- where",
			`SELECT pg_catalog.count(*) FROM "T 1" WHERE c = '; DROP TABLE t --'`, nil},
		{"UPDATE t SET a = 1 WHERE b = U&'\\0027' AND c = E'\\\\'", `SELECT pg_catalog.count(*) FROM t WHERE b = '''' AND c = E'\\'`, nil},
		{"UPDATE t SET a = 1 FROM u", "", nil},
		{"WITH w AS (SELECT 1) DELETE FROM t", "", nil},
		{"DELETE FROM t USING u", "", nil},
		{"DELETE FROM t WHERE CURRENT OF c", "", nil},
		{"DELETE FROM t; DELETE FROM u", "", nil},
		{"SELECT 1", "", nil},
		{"EXPLAIN DELETE FROM t", "", nil},
		{"not sql", "", nil},
		{"DELETE FROM t WHERE a IN (" + strings.Repeat("1,", maxCounted/2) + "1)", "", nil},
	} {
		query, params, ok := CountQuery(c.sql)
		require.Equal(t, c.query != "", ok, c.sql)
		require.Equal(t, c.params, params, c.sql)
		if ok {
			require.Equal(t, c.query, query)
		}
	}
}

// What is counted is the same table and condition, whatever the text.
func FuzzCountQuery(f *testing.F) {
	f.Add("DELETE FROM t WHERE a = $2 AND b LIKE 'x' OR NOT c")
	f.Add("UPDATE ONLY s.t x SET a = 1 WHERE x.a[1].b = ANY(ARRAY[$1]) AND x.* IS NOT NULL")
	f.Fuzz(func(t *testing.T, sql string) {
		query, params, ok := CountQuery(sql)
		if !ok {
			return
		}
		tree, err := parseSQL(query)
		require.NoError(t, err)
		require.Len(t, tree.Stmts, 1)
		require.NotNil(t, tree.Stmts[0].Stmt.GetSelectStmt())
		require.Len(t, renumber(tree.ProtoReflect()), len(params))
	})
}
