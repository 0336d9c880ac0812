package analysis

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAtLeast(t *testing.T) {
	snap, _ := connect(t, "oracle", "testdata/oracle.sql")
	list := []LeastRows{{0, "pay", []string{"avg", "sum"}, 5}, {1, "pay", []string{"avg"}, 7}}
	for sql, want := range map[string]string{
		"SELECT avg(pay) FROM staff": "SELECT CASE WHEN pg_catalog.count(pay) OPERATOR(pg_catalog.<) 5 THEN NULL ELSE pg_catalog.avg(pay) END FROM staff",
		"select sum(s.pay) as p, pg_catalog.avg(\"pay\") from hr.staff s where b=$1 group by c": "SELECT CASE WHEN pg_catalog.count(s.pay) OPERATOR(pg_catalog.<) 5 THEN NULL ELSE pg_catalog.sum(s.pay) END AS p, CASE WHEN pg_catalog.count(pay) OPERATOR(pg_catalog.<) 7 THEN NULL ELSE pg_catalog.avg(pay) END FROM hr.staff s WHERE b = $1 GROUP BY c",
		"SELECT avg(pay) FILTER (WHERE id = 7) FROM staff":                                      "SELECT CASE WHEN pg_catalog.count(pay) FILTER (WHERE id = 7) OPERATOR(pg_catalog.<) 5 THEN NULL ELSE pg_catalog.avg(pay) FILTER (WHERE id = 7) END FROM staff",
		"SELECT max(pay), sum(pay) FROM staff":                                                  "",
		"SELECT sum(DISTINCT pay) FROM staff":                                                   "",
		"SELECT avg(pay) OVER () FROM staff":                                                    "",
		"SELECT avg(CASE WHEN id = 7 THEN pay END) FROM staff":                                  "",
		"SELECT avg(-pay) FROM staff":                                                           "",
		"SELECT avg(pay) + 0 FROM staff":                                                        "",
		"SELECT my.avg(pay) FROM staff":                                                         "",
		"SELECT avg(pay) FROM staff, generate_series(1, 9)":                                     "",
		"SELECT avg(pay) FROM staff JOIN other USING (id)":                                      "",
		"SELECT avg(pay) FROM (SELECT pay FROM staff CROSS JOIN ten) s":                         "",
		"WITH s AS (SELECT pay FROM staff) SELECT avg(pay) FROM s":                              "",
		"SELECT avg(pay) FROM staff UNION ALL SELECT 1":                                         "",
		"SELECT avg(pay) FROM staff; SELECT 1":                                                  "",
		"SELECT *, avg(pay) FROM staff GROUP BY id":                                             "",
		"SELECT avg(pay) FROM staff WHERE id = 7 GROUP BY generate_series(1, 9) * 0":            "",
		"SELECT avg(pay), unnest('{1,2}'::int[]) * 0 AS g FROM staff GROUP BY g":                "",
		"SELECT avg(pay) FROM staff TABLESAMPLE SYSTEM (1)":                                     "",
		"SELECT (s).*, avg(pay), avg(pay), avg(pay) FROM staff s GROUP BY id":                   "",
		"SELECT avg(pay) FILTER (WHERE random() < 0.5) FROM staff":                              "",
		"SELECT avg(pay) FILTER (WHERE b), count(setseed(0.5)) FROM staff":                      "",
	} {
		text, _, ok := AtLeast(sql, snap, list)
		require.Equal(t, want, text, sql)
		require.Equal(t, want != "", ok, sql)
	}
	// The third place is nobody's.
	_, outputs, ok := AtLeast("SELECT avg(pay), 1, avg(pay) FROM staff", snap, append(list, LeastRows{9, "pay", []string{"avg"}, 2}))
	require.True(t, ok)
	require.Equal(t, []int{0}, outputs)
}
