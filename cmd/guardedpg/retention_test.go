package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/audit"
)

func TestPruneAndShred(t *testing.T) {
	dir, _ := writeEvidence(t)
	code, out, errs := guardedpg(t, "shred", "--before", "2020-01-01", dir)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "0 keys deleted")
	code, out, errs = guardedpg(t, "shred", "--before", "9999-01-01", dir)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "1 key deleted")
	code, out, _ = guardedpg(t, "query", "--kind", "shredded", dir)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "default.age")

	code, out, errs = guardedpg(t, "prune", "--before", "9999-01-01", dir)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "3 trails deleted")
	code, out, errs = guardedpg(t, "verify", dir)
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "deleted by the rules of retention")

	nowhere := filepath.Join(t.TempDir(), "x")
	for _, args := range [][]string{{"prune", dir}, {"prune", "--before", "1h"}, {"shred", "--before", "x", dir}, {"prune", "--before", "1h", nowhere}, {"shred", "--before", "1h", t.TempDir()}, {"shred", "--before", "1h", "--class", "PII", dir}} {
		code, _, _ := guardedpg(t, args...)
		require.Equal(t, exitUsage, code, args)
	}
	require.NoDirExists(t, nowhere)
}

func TestProve(t *testing.T) {
	dir, _ := writeEvidence(t)
	trails, err := audit.Trails(dir)
	require.NoError(t, err)
	code, out, errs := guardedpg(t, "prove", trails[0], "4")
	require.Equal(t, exitOK, code, errs)
	file := filepath.Join(t.TempDir(), "proof")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	p, err := audit.Prove(trails[0], 4)
	require.NoError(t, err)
	code, out, errs = guardedpg(t, "prove", "--check", file, "--key", p.Verifier)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, `"seq":4`)
	other, err := audit.Prove(trails[0], 1)
	require.NoError(t, err)
	code, _, _ = guardedpg(t, "prove", "--check", file, "--key", other.Verifier)
	require.Equal(t, exitFound, code)
	code, _, errs = guardedpg(t, "prove", dir, "4")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "not the directory of one process's trail")
	for _, args := range [][]string{{"prove"}, {"prove", trails[0], "0"}, {"prove", trails[0], "99"}, {"prove", "--check", file}, {"prove", "--check", dir, "--key", "x"}} {
		code, _, _ := guardedpg(t, args...)
		require.Equal(t, exitUsage, code, args)
	}
}

func TestQuerySaysWhereATrailBreaksOff(t *testing.T) {
	dir, _ := writeEvidence(t)
	trails, err := audit.Trails(dir)
	require.NoError(t, err)
	file := filepath.Join(trails[0], "00000001.jsonl")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(file, b, 0o600))
	for _, args := range [][]string{{"query", dir}, {"show", "c1-1", dir}} {
		_, _, errs := guardedpg(t, args...)
		require.Contains(t, errs, "breaks off")
	}
}
