//go:build unix

package pgtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeServer makes a bin directory that looks like one.
func fakeServer(t *testing.T, dir string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
	}
	return dir
}

func TestFindBinaries(t *testing.T) {
	root := t.TempDir()
	named := fakeServer(t, filepath.Join(root, "named"))
	onPath := fakeServer(t, filepath.Join(root, "path"))
	fakeServer(t, filepath.Join(root, "lib", "9.6", "bin"))
	fakeServer(t, filepath.Join(root, "lib", "14", "bin"))
	newer := fakeServer(t, filepath.Join(root, "lib", "18", "bin"))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "lib", "19", "bin"), 0o755)) // client tools only

	packaged := installed
	t.Cleanup(func() { installed = packaged })
	installed = []string{filepath.Join(root, "lib", "*", "bin")}

	t.Setenv("PATH", filepath.Join(root, "none")+string(filepath.ListSeparator)+onPath)
	t.Setenv("GUARDEDPG_PGBIN", named)
	dir, err := findBinaries()
	require.NoError(t, err)
	require.Equal(t, named, dir)

	// What was asked for and is wrong must not become another server.
	for _, wrong := range []string{filepath.Join(root, "none"), "path"} {
		t.Setenv("GUARDEDPG_PGBIN", wrong)
		_, err = findBinaries()
		require.ErrorContains(t, err, "GUARDEDPG_PGBIN="+wrong)
	}

	t.Setenv("GUARDEDPG_PGBIN", "")
	dir, err = findBinaries()
	require.NoError(t, err)
	require.Equal(t, onPath, dir)

	t.Setenv("PATH", "")
	dir, err = findBinaries()
	require.NoError(t, err)
	require.Equal(t, newer, dir, "the newest that holds a server")
}

func TestVersionIn(t *testing.T) {
	for dir, want := range map[string]float64{
		"/usr/lib/postgresql/15/bin":             15,
		"/usr/lib/postgresql/9.6/bin":            9.6,
		"/usr/pgsql-17/bin":                      17,
		"/opt/homebrew/opt/postgresql@18/bin":    18,
		"/Applications/Postgres.app/latest/bin":  0,
		"/opt/homebrew/opt/postgresql@1.2.3/bin": 0,
	} {
		require.Equal(t, want, versionIn(dir), dir)
	}
}
