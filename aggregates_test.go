package guardedpg_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
)

var payroll = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent-2", Groups: []string{"payroll"}})

// answer returns the values of a result, and errors.
func answer(db *sql.DB, query string, args ...any) string {
	all := spill(db, query, args...)
	_, values, ok := strings.Cut(all, "] <nil>")
	if !ok {
		return all
	}
	return strings.TrimSpace(strings.TrimSuffix(values, "<nil>"))
}

// A policy may give averages over enough people, and nothing of one of them.
func TestAggregates(t *testing.T) {
	dsn := database(t, "staff", `
		CREATE TABLE staff (id int PRIMARY KEY, dept text, pay numeric);
		INSERT INTO staff VALUES (1, 'a', 70101), (2, 'a', 70202), (3, 'a', 70303), (4, 'b', 70404), (5, 'b', 70505), (6, 'c', 70606),
			(7, 'c', NULL), (8, 'c', NULL);
		CREATE VIEW team AS SELECT * FROM staff;
		CREATE TABLE parted (id int, pay numeric) PARTITION BY LIST (id);
		CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
		INSERT INTO parted SELECT id, pay FROM staff;
		CREATE FUNCTION many(int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, $1)';
		CREATE OPERATOR @# (RIGHTARG = int, FUNCTION = many);`)
	policy := guard.Policy{Default: guard.Allow, Protect: []guard.Protect{
		{Column: "*.*.pay", Mask: maskNamed("null"), Unless: "'payroll' in identity.groups", Aggregates: guard.Aggregates{Functions: []string{"avg", "sum"}, Rows: 3}},
	}}
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		f := newFixtureOn(t, dsn+"&default_query_exec_mode="+mode, func(c *guardedpg.Config) { c.Policy = policy })
		for text, want := range map[string]string{
			"SELECT avg(pay)::int FROM staff":                                                  "<nil>", // a cast is another expression
			"SELECT avg(pay) FROM staff WHERE dept = 'a'":                                      "70202.000000000000",
			"SELECT sum(s.pay) AS total FROM staff AS s":                                       "422121",
			"SELECT dept, sum(pay) FROM staff GROUP BY dept ORDER BY dept":                     "a 210606 b <nil> c <nil>",
			"SELECT dept, avg(pay), count(*) FROM staff GROUP BY 1 ORDER BY 1":                 "a 70202.000000000000 3 b <nil> 2 c <nil> 3",
			"SELECT sum(pay) FILTER (WHERE id = 1) FROM staff":                                 "<nil>",
			"SELECT sum(pay) FROM staff WHERE id = 1":                                          "<nil>",
			"SELECT max(pay) FROM staff":                                                       "<nil>",
			"SELECT sum(pay), max(pay) FROM staff":                                             "422121 <nil>",
			"SELECT sum(pay) FROM staff, generate_series(1, 9) WHERE id = 1":                   "<nil>",
			"SELECT sum(pay) FROM staff WHERE id = 1 GROUP BY generate_series(1, 9) * 0":       "<nil>",
			"SELECT sum(pay), (@# 9) * 0 AS g FROM staff WHERE id = 1 GROUP BY g":              "<nil> 0",
			"SELECT sum(DISTINCT pay) FROM staff":                                              "<nil>",
			"SELECT sum(pay) OVER () FROM staff LIMIT 1":                                       "<nil>",
			"SELECT sum(pay) FROM team":                                                        "<nil>",
			"SELECT sum(pay) FROM parted":                                                      "422121",
			"SELECT (SELECT sum(pay) FROM staff)":                                              "<nil>",
			"SELECT pay FROM staff WHERE id = 1":                                               "<nil>",
			"SELECT (s).*, sum(pay), sum(pay), sum(pay) FROM staff s WHERE id = 1 GROUP BY id": "1 a <nil> <nil> <nil> <nil>",
			// What a filter of chance lets pass to the count it need not let pass to the sum.
			"SELECT sum(pay) FILTER (WHERE id = 1 OR random() < 2) FROM staff":               "<nil>",
			"SELECT sum(pay) FILTER (WHERE id < 4), count(*) FROM staff WHERE random() >= 0": "<nil> 8",
			"SELECT sum(pay) FILTER (WHERE id < 4 AND now() > '2000-01-01') FROM staff":      "210606",
			"SELECT sum(pay) FROM staff WHERE random() < 2":                                  "422121",
		} {
			require.Equal(t, want, answer(f.db, text), "%s: %s", mode, text)
		}
		require.Equal(t, "70202.000000000000", answer(f.db, "SELECT avg(pay) FROM staff WHERE dept = @dept", pgx.NamedArgs{"dept": "a"}), mode)
		stmt, err := f.db.Prepare("SELECT sum(pay) FROM staff WHERE dept = $1")
		require.NoError(t, err)
		for dept, want := range map[string]any{"a": "210606", "b": nil} {
			var sum any
			require.NoError(t, stmt.QueryRow(dept).Scan(&sum))
			require.Equal(t, want, sum, mode)
		}
		require.NoError(t, stmt.Close())
		found := false
		for _, r := range f.trail.Records(audit.KindOutcome) {
			for _, m := range r.Masks {
				found = found || m.Clear && m.Rule == "aggregates of public.staff.pay over 3 rows or more"
			}
		}
		require.True(t, found, "the record says that a clear value was given, and why")
	}
	// Who may see each value gets the sum of any number.
	f := newFixtureOn(t, dsn, func(c *guardedpg.Config) { c.Policy, c.Identify = policy, as(payroll) })
	require.Equal(t, "70101", answer(f.db, "SELECT sum(pay) FROM staff WHERE id = 1"))
}
