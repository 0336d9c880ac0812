package analysis

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlank(t *testing.T) {
	for sql, want := range map[string]string{
		`SELECT 'a', E'\x61', 7, 1.5, B'1', X'a' -- b`: `SELECT '***', '***', '***', '***', '***', '***' '***'`,
		`SELECT U&'a' FROM t WER`:                      `SELECT '***' FROM t WER`,
		`SELECT U&'a' /* b */ UESCAPE '!' FROM t`:      `SELECT '***' FROM t`,
		`SELECT $$a$$ AS b, $q$a$q$`:                   `SELECT '***' AS b, '***'`,
		`SELECT 'a'`:                                   `SELECT '***'`,
		`SELECT U&'a'`:                                 `SELECT '***'`,
		`CREATE FUNCTION f() AS $$ SELECT 'a' $$`:      `CREATE FUNCTION f() AS '***'`,
	} {
		got, ok := Blank(sql)
		require.True(t, ok, sql)
		require.Equal(t, want, got)
	}
	for sql, want := range map[string]string{
		`CREATE FUNCTION f(x text DEFAULT $$a$$) AS $b$ SELECT 'a' -- c$b$ LANGUAGE sql`: `CREATE FUNCTION f(x text DEFAULT '***') AS $b$ SELECT '***' '***'$b$ LANGUAGE sql`,
		`DO $$ BEGIN EXECUTE $q$SELECT a$q$; END $$`:                                     `DO $$ BEGIN EXECUTE '***'; END $$`,
		`DO 'BEGIN END'`: `DO '***'`,
		`DO $$ 'a $$`:    `DO '***'`,
	} {
		got, ok := BlankCode(sql)
		require.True(t, ok, sql)
		require.Equal(t, want, got)
	}
}

// Statements of one shape do the same with other values.
func TestShape(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"DELETE FROM t WHERE a = 1", "DELETE  FROM t WHERE a = /* x */ 2.5", true},
		{"DELETE FROM t WHERE a = 'x'", "DELETE FROM t WHERE a = U&'y' UESCAPE '!'", true},
		{"DELETE FROM t WHERE a = $1", "DELETE FROM t WHERE a = $2", true},
		{"DELETE FROM t WHERE a = 1", "delete from T where A = 1", true},
		{"DELETE FROM \"t\"", "DELETE FROM \"T\"", false},
		{"DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a = '1'", false},
		{"DELETE FROM t WHERE f(a, b)", "DELETE FROM t WHERE f(b, a)", false},
		{"DELETE FROM t WHERE (a, b) < (1, 2)", "DELETE FROM t WHERE (b, a) < (1, 2)", false},
		{"DELETE FROM t WHERE a::text = 'x'", "DELETE FROM t WHERE a::varchar = 'x'", false},
		{"DELETE FROM t WHERE a AND true", "DELETE FROM t WHERE a AND false", false},
		{"INSERT INTO t (a, b) SELECT x, y FROM s", "INSERT INTO t (b, a) SELECT x, y FROM s", false},
		{"INSERT INTO t (a, b) SELECT x, y FROM s", "INSERT INTO t (a, b) SELECT y, x FROM s", false},
		{"INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1), (2)", false},
		{"UPDATE t SET a = CASE WHEN b THEN 1 WHEN c THEN 2 END", "UPDATE t SET a = CASE WHEN c THEN 1 WHEN b THEN 2 END", false},
		{"DELETE FROM t_2023 WHERE a = 1", "DELETE FROM t_2024 WHERE a = 1", false},
		{"SELECT 1 AS a", "SELECT 1 AS \"A\"", false},
	} {
		require.NotEmpty(t, Shape(c.a))
		require.Equal(t, c.same, Shape(c.a) == Shape(c.b), "%s | %s", c.a, c.b)
	}
	require.Empty(t, Shape("SELECT 'a"))
}
