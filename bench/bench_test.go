package main

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBench runs every workload, in the shortest way, and looks at the report.
func TestBench(t *testing.T) {
	opt, err := parse([]string{"-rounds", "2", "-round", "1ms", "-rows", "1000"}, io.Discard)
	require.NoError(t, err)
	opt.json = t.TempDir()
	opt.docs = filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, os.WriteFile(opt.docs, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o644))

	var out strings.Builder
	require.NoError(t, bench(t.Context(), opt, &out, io.Discard))
	for _, w := range workloads(1000) {
		require.Contains(t, out.String(), "| "+w.name)
	}
	for _, c := range contestants(nil) {
		require.Contains(t, out.String(), " "+c.name+" |")
	}
	require.Regexp(t, `pgx 2\.0;`, out.String(), "pgx takes two round trips for a new text")

	docs, err := os.ReadFile(opt.docs)
	require.NoError(t, err)
	require.Equal(t, "before\n"+begin+"\n\n"+out.String()+"\n"+end+"\nafter\n", string(docs))
	files, err := filepath.Glob(filepath.Join(opt.json, "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 1)
}

// TestFailureIsReported: a contestant that cannot is an error, not a figure.
func TestFailureIsReported(t *testing.T) {
	broken := errors.New("broken on purpose")
	r := &runner{rounds: 1, round: time.Millisecond, progress: io.Discard, contestants: []contestant{
		{name: "one", open: func(string, protection) (*sql.DB, func() error, error) { return nil, nil, broken }},
	}}
	_, err := r.run(t.Context(), workload{atOnce: 1, units: 1, start: insert})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "one: ")
}

func TestParse(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-round", "-1s"}, {"-rows", "0"}, {"-only", "("}, {"extra"}, {"-none"}} {
		_, err := parse(args, io.Discard)
		require.Error(t, err, args)
	}
}

func TestQuartiles(t *testing.T) {
	require.Equal(t, quartiles{3, 3, 3}, quartilesOf([]float64{3}))
	require.Equal(t, quartiles{2, 3, 4}, quartilesOf([]float64{5, 1, 4, 2, 3}))
	require.Equal(t, quartiles{1.75, 2.5, 3.25}, quartilesOf([]float64{4, 3, 2, 1}))

	of := []sample{{Wall: 2}, {Wall: 30}, {Wall: 1}}
	to := []sample{{Wall: 1}, {Wall: 20}, {Wall: 1}}
	require.Equal(t, 1.5, ratios(of, to, wall).Median, "round by round, not median by median")
}

func TestDuration(t *testing.T) {
	for ns, want := range map[float64]string{12: "12 ns", 1234: "1.23 us", 45_600: "45.6 us", 7_890_000: "7.89 ms"} {
		require.Equal(t, want, duration(ns))
	}
}

func TestBetweenNeedsItsMarkers(t *testing.T) {
	for _, text := range []string{"", begin, end, end + begin} {
		_, err := between(text, "new")
		require.Error(t, err, text)
	}
}

// TestRecorded: a trail without what was asked for does not pass for one.
func TestRecorded(t *testing.T) {
	for _, c := range []struct {
		name, line string
		p          protection
		lacks      string
	}{
		{"complete", `{"outcome":{},"payload":{"sealed":"r"}}`, protection{payload: "full", sealed: true}, ""},
		{"nothing asked", `{"outcome":{}}`, protection{payload: "none"}, ""},
		{"no rows", `{"outcome":{}}`, protection{payload: "digest", noRows: true}, ""},
		{"no trail", "", protection{payload: "none"}, "no outcome"},
		{"no payload", `{"outcome":{}}`, protection{payload: "digest"}, "no payload"},
		{"no original", `{"outcome":{},"payload":{}}`, protection{payload: "full", sealed: true}, "no sealed original"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "one"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "one", "00000001.jsonl"), []byte(c.line), 0o644))
			err := recorded(dir, c.p)
			if c.lacks == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errUnrecorded)
			require.ErrorContains(t, err, c.lacks)
		})
	}
}
