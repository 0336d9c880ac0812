package analysis

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReportOfOutputs reads what explain says of where columns come from.
func TestReportOfOutputs(t *testing.T) {
	snap, _ := connect(t, "report", "testdata/oracle.sql")
	for sql, want := range map[string]string{
		"SELECT id FROM person":                                                                           "id  public.person.id",
		"SELECT 1 AS one":                                                                                 "one  from no column",
		"SELECT upper(name) AS u FROM person":                                                             "u  computed from public.person.name",
		"SELECT count(*) AS n FROM person":                                                                "n  only how many",
		"SELECT max(name) AS m FROM person":                                                               "m  aggregate of public.person.name",
		"SELECT count(*) AS n FROM person, generate_series(1, length(name))":                              "n  of rows made by public.person.name",
		"SELECT name FROM person LIMIT (SELECT count(*) FROM person WHERE id = 1)":                        "name  public.person.name",
		"SELECT name FROM person LIMIT (SELECT max(id) FROM person)":                                      "name  computed from public.person.name; of rows made by public.person.id",
		"SELECT id FROM person LIMIT (SELECT max(id) FROM person)":                                        "id  computed from public.person.id",
		"SELECT max(id) + count(*) AS n FROM person, generate_series(1, id)":                              "n  aggregate of public.person.id",
		"WITH w AS (SELECT g FROM person, generate_series(1, id) g) SELECT array(SELECT 'a' FROM w) AS a": "a  of rows made by public.person.id",
		"SELECT row_number() OVER () AS n FROM person, generate_series(1, length(name))":                  "n  of rows made by public.person.name",
	} {
		facts, err := Analyze(t.Context(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err, sql)
		var b strings.Builder
		require.NoError(t, facts.Report(snap).Write(&b))
		line := ""
		for l := range strings.Lines(b.String()) {
			if _, rest, ok := strings.Cut(l, " 1 "); ok && strings.HasPrefix(rest, want[:strings.Index(want, " ")]) {
				line = strings.TrimSpace(rest)
				break
			}
		}
		require.Equal(t, want, line, "%s\n%s", sql, b.String())
	}
}
