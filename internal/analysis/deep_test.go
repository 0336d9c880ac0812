package analysis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// A deepText is a line of testdata/deep/texts.txt.
type deepText struct{ line, head, link, middle, end, tail string }

func (d deepText) repeat(n int) string {
	return d.head + strings.Repeat(d.link, n) + d.middle + strings.Repeat(d.end, n) + d.tail
}

// fit returns how often the link goes into a text of so many bytes.
func (d deepText) fit(bytes int) int {
	return max(1, (bytes-len(d.head)-len(d.middle)-len(d.tail))/(len(d.link)+len(d.end)))
}

func deepTexts(t testing.TB) []deepText {
	text, err := os.ReadFile("testdata/deep/texts.txt")
	require.NoError(t, err)
	var out []deepText
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		d := deepText{line: line}
		rest := strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(line)
		var ok bool
		d.head, rest, ok = strings.Cut(rest, "{")
		require.True(t, ok, line)
		d.link, rest, ok = strings.Cut(rest, "}")
		require.True(t, ok, line)
		d.middle, rest, _ = strings.Cut(rest, "{")
		d.end, d.tail, _ = strings.Cut(rest, "}")
		out = append(out, d)
	}
	return out
}

// TestDeepTexts shows that no text can kill the process: each kind of chain and
// nesting is analyzed in a process of its own, which must come to its end. With
// GUARDEDPG_DEEP=all there are texts of up to 10 MB.
func TestDeepTexts(t *testing.T) {
	if dsn := os.Getenv("GUARDEDPG_DEEP_DSN"); dsn != "" {
		analyzeDeepTexts(t, dsn)
		return
	}
	s := pgtest.Start(t)
	sql, err := os.ReadFile("testdata/oracle.sql")
	require.NoError(t, err)
	s.Template(t, "oracle", string(sql))
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeepTexts$", "-test.v")
	cmd.Env = append(os.Environ(), "GUARDEDPG_DEEP_DSN="+s.DSN("postgres", s.Clone(t, "oracle")))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "the process died:\n%s", death(string(out)))
	_, summary, ok := strings.Cut(string(out), "\nin all ")
	require.True(t, ok, string(out))
	summary, _, _ = strings.Cut(summary, "\n")
	t.Log(summary)
}

// death returns what a dying process said first of it, or the end.
func death(out string) string {
	lines := strings.Split(out, "\n")
	at := slices.IndexFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "SIGSEGV") || strings.HasPrefix(l, "fatal error") || strings.HasPrefix(l, "panic:") || strings.Contains(l, "Error Trace")
	})
	if at < 0 {
		at = len(lines) - 20
	}
	return strings.Join(lines[max(0, at-3):min(len(lines), max(0, at)+40)], "\n")
}

func analyzeDeepTexts(t *testing.T, dsn string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	defer conn.Close(ctx)
	snap, err := catalog.Load(ctx, conn)
	require.NoError(t, err)
	n, accepted := 0, 0
	for _, d := range deepTexts(t) {
		// 25,000 links of any kind overflow a stack of 8 MB.
		counts := []int{10, d.fit(maxCounted), d.fit(shortText), maxDepth - 20, 25_000}
		if os.Getenv("GUARDEDPG_DEEP") == "all" {
			counts = append(counts, maxDepth+1, 50_000, 500_000, d.fit(1<<20), d.fit(10<<20))
		}
		for _, c := range counts {
			sql := d.repeat(c)
			// What runs is said before it does: afterwards may be too late.
			fmt.Println(strconv.Quote(d.line), "x", c, len(sql), "bytes")
			facts, err := Analyze(ctx, sql, snap, Session{Path: []string{"pg_catalog", "public"}})
			Fingerprint(sql)
			CountQuery(sql)
			var pe *ParseError
			switch {
			case err == nil:
				accepted++
				for _, st := range facts.Statements {
					require.NotEmpty(t, st.Kind)
				}
			case errors.As(err, &pe):
			default:
				require.NoError(t, err)
			}
			n++
		}
	}
	fmt.Println("in all", n, "texts,", accepted, "analyzed")
}

// A row that holds another one twice, which holds another one twice, and so on,
// has more parts than anybody could go through. It is not understood; one that
// holds a few is.
func TestRowsWithinRows(t *testing.T) {
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	rows := func(n int) string {
		return strings.Repeat("SELECT ROW(r, r) AS r FROM (", n) + "SELECT ROW(id, a) AS r FROM plain" + strings.Repeat(") q", n)
	}
	for sql, known := range map[string]bool{
		rows(3):                                  true,
		rows(40):                                 false,
		"TABLE t ORDER BY r":                     false,
		"SELECT r IS NOT DISTINCT FROM r FROM t": false,
		"SELECT to_jsonb(r) FROM t":              false,
		"SELECT CASE WHEN r IS NULL THEN r END FROM t":                                          false,
		"SELECT r::record FROM t":                                                               false,
		"SELECT * FROM pg_stat_get_activity(NULL)":                                              true, // of thirty columns
		"SELECT pg_stat_get_activity(1)":                                                        true,
		"DO $$ DECLARE r record; BEGIN r := ROW(1, 2); LOOP r := ROW(r, r); END LOOP; END $$":   false,
		"DO $$ DECLARE r record; BEGIN " + strings.Repeat("r := ROW(r, r); ", 40) + "END $$":    false,
		"DO $$ DECLARE r plain; BEGIN " + strings.Repeat("r.a := r; r.b := r; ", 40) + "END $$": false,
	} {
		if strings.Contains(sql, " t") && !strings.HasPrefix(sql, "DO") {
			sql = "WITH t AS (" + rows(40) + ") " + sql
		}
		f, err := Analyze(context.Background(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
		require.NoError(t, err, sql)
		if known != (len(f.Statements[0].Unknown) == 0) {
			t.Errorf("%s: %v", sql, f.Statements[0].Unknown)
		}
	}
}
