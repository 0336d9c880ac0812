//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// installed are the places where packagers put server binaries.
var installed = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PGDG's RPMs
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on ARM
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

// findBinaries returns a directory that holds initdb and postgres.
func findBinaries() (string, error) {
	if dir := os.Getenv("GUARDEDPG_PGBIN"); dir != "" {
		// Relative to the directory of the test, which differs per package:
		// the run would use one server here and fall over there.
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("GUARDEDPG_PGBIN=%s must be an absolute path", dir)
		}
		if !hasServer(dir) {
			return "", fmt.Errorf("GUARDEDPG_PGBIN=%s does not hold initdb and postgres", dir)
		}
		return dir, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) && hasServer(dir) {
			return dir, nil
		}
	}
	if dir := newest(installed); dir != "" {
		return dir, nil
	}
	dir, err := download()
	if err != nil {
		return "", fmt.Errorf("no PostgreSQL server is installed and none can be downloaded (%w); %s", err, installHint())
	}
	return dir, nil
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// newest returns the directory with the highest version in its path among those
// that match and hold a server, or "".
func newest(patterns []string) string {
	best, bestVersion := "", -1.0
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(pattern) // the patterns are constants
		for _, dir := range dirs {
			if v := versionIn(dir); v > bestVersion && hasServer(dir) {
				best, bestVersion = dir, v
			}
		}
	}
	return best
}

// versionIn returns the last number in the path of a bin directory: 15 in
// /usr/lib/postgresql/15/bin, and 0 where there is none.
func versionIn(dir string) float64 {
	name := filepath.Base(filepath.Dir(dir))
	i := strings.LastIndexFunc(name, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	v, err := strconv.ParseFloat(name[i+1:], 64)
	if err != nil {
		return 0
	}
	return v
}

// hasLibrary reports whether the server can load a library of contrib.
func hasLibrary(bin, name string) bool {
	if real, err := filepath.EvalSymlinks(filepath.Join(bin, "postgres")); err == nil {
		bin = filepath.Dir(real)
	}
	for _, dir := range []string{"../lib", "../lib/postgresql"} {
		for _, ext := range []string{".so", ".dylib"} {
			if _, err := os.Stat(filepath.Join(bin, dir, name+ext)); err == nil {
				return true
			}
		}
	}
	return false
}

func installCommand() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql@17"
	}
	if _, err := exec.LookPath("dnf"); err == nil {
		return "dnf install -y postgresql-server postgresql-contrib"
	}
	return "apt-get install -y postgresql"
}
