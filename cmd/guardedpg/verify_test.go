package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/stretchr/testify/require"
)

func guardedpg(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, env{bytes.NewReader(nil), &out, &errs})
	return code, out.String(), errs.String()
}

func TestVerifyExitCodes(t *testing.T) {
	dir := t.TempDir()
	tr, err := audit.Open(audit.TrailConfig{Dir: dir, SegmentBytes: 1 << 20})
	require.NoError(t, err)
	seq, err := tr.Append(&audit.Record{Kind: audit.KindIntent, Statement: "s1", SQL: &audit.SQL{Text: "select 1"}})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, audit.Synced))

	code, out, _ := guardedpg(t, "verify", dir)
	require.Equal(t, exitOpen, code, out)
	require.Contains(t, out, "running")

	require.NoError(t, tr.Close())
	code, out, _ = guardedpg(t, "verify", dir)
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "OK: every record is as it was written")
	require.Contains(t, out, "statement s1 has no outcome")

	file := filepath.Join(tr.Dir(), "00000001.jsonl")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	i := bytes.Index(b, []byte("select 1"))
	b[i+7] = '2'
	require.NoError(t, os.WriteFile(file, b, 0o600))
	code, out, _ = guardedpg(t, "verify", dir)
	require.Equal(t, exitFound, code, out)
	require.Contains(t, out, "altered record 3")

	code, out, _ = guardedpg(t, "verify", "--json", dir)
	require.Equal(t, exitFound, code)
	require.Contains(t, out, `"kind": "altered"`)

	code, _, errs := guardedpg(t, "verify", t.TempDir())
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "there is no trail")
	code, _, _ = guardedpg(t, "verify")
	require.Equal(t, exitUsage, code)
	code, _, errs = guardedpg(t, "verfy")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `no command "verfy"`)
}
