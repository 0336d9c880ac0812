// Package pgxsuite runs the tests of pgx's stdlib package, taken from the module
// cache, against the guarded driver.
package pgxsuite

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/clienttest/pgxsuite/stdlib"
	"github.com/guardedpg/guardedpg/internal/pgtest"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

// policies are those that the suite runs under.
var policies = []string{"allowing", "protecting"}

// leftOut are the tests that cannot pass through the guard.
type leftOut struct {
	Tests []struct {
		Name   string `yaml:"name"`
		Under  string `yaml:"under"` // the policy; "" is any
		Reason string `yaml:"reason"`
	} `yaml:"tests"`
}

func TestSuite(t *testing.T) {
	suite := build(t)
	out := readLeftOut(t)
	tests := strings.Fields(run(t, suite, "allowing", true, "-test.list", "^Test"))
	require.Greater(t, len(tests), 40, "pgx has fewer tests than this is meant to run")
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			var skip []string
			for _, test := range out.Tests {
				if test.Under == "" || test.Under == policy {
					skip = append(skip, exactly(test.Name))
				}
			}
			report := run(t, suite, policy, true, "-test.v", "-test.timeout=2m", "-test.skip", strings.Join(skip, "|"))
			require.NotContains(t, report, "--- SKIP", "a test that is skipped proves nothing")
			require.Equal(t, len(tests)-len(skip), strings.Count(report, "\n--- PASS"))
		})
	}

	for _, test := range out.Tests {
		t.Run("left out/"+test.Name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, tests, test.Name, "pgx has no such test any more")
			require.NotEmpty(t, test.Reason)
			policy := test.Under
			if policy == "" {
				policy = policies[0]
			}
			require.Contains(t, policies, policy)
			report := run(t, suite, policy, false, "-test.v", "-test.timeout=30s", "-test.run", exactly(test.Name))
			require.Contains(t, report, "=== RUN   "+test.Name)
		})
	}
}

// exactly is the pattern of one test.
func exactly(name string) string { return "^" + regexp.QuoteMeta(name) + "$" }

func readLeftOut(t *testing.T) (out leftOut) {
	t.Helper()
	const file = "testdata/leftout.yaml"
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, strictyaml.Decode(data, file, &out))
	return out
}

// passes are the lines about tests that passed.
var passes = regexp.MustCompile(`(?m)^(=== RUN| *--- PASS).*\n`)

// run runs the compiled tests and requires that they pass, or fail.
func run(t *testing.T, suite, policy string, pass bool, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), suite, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(),
		"PGX_TEST_DATABASE="+pgtest.Start(t).Database(t),
		"GUARDEDPG_CONFIG="+stdlib.ConfigName,
		stdlib.PolicyVariable+"="+policy)
	report, err := cmd.CombinedOutput()
	if pass {
		require.NoError(t, err, "%s", passes.ReplaceAll(report, nil))
	} else {
		require.Error(t, err, "%s", report)
	}
	return string(report)
}

// build compiles pgx's tests, as if they were a package of this module, with
// the guard in the place of pgx's stdlib. Nothing of them is written into the
// module.
func build(t *testing.T) (path string) {
	t.Helper()
	here, err := filepath.Abs(".")
	require.NoError(t, err)
	work := t.TempDir()
	overlay := map[string]string{}
	sources, err := filepath.Glob(filepath.Join(pgxDir(t), "stdlib", "*_test.go"))
	require.NoError(t, err)
	for _, source := range sources {
		changed, ok := rewrite(t, source)
		if !ok {
			continue
		}
		name := filepath.Base(source)
		require.NoError(t, os.WriteFile(filepath.Join(work, name), changed, 0o600))
		overlay[filepath.Join(here, "suite", name)] = filepath.Join(work, name)
	}
	replace, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(work, "overlay.json"), replace, 0o600))

	path = filepath.Join(work, "suite.test")
	args := []string{"test", "-c", "-vet=off", "-o", path, "-overlay", filepath.Join(work, "overlay.json")}
	if raced() {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./suite")...)
	report, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", report)
	return path
}

// raced reports whether this test was built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func pgxDir(t *testing.T) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5").Output()
	require.NoError(t, err)
	return string(bytes.TrimSpace(dir))
}

// rewrite puts the guard in the place of pgx's stdlib in a source file. It
// returns false for tests of what is inside of that package.
func rewrite(t *testing.T, path string) ([]byte, bool) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
	require.NoError(t, err)
	if file.Name.Name != "stdlib_test" {
		return nil, false
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			switch n.Value {
			case `"github.com/jackc/pgx/v5/stdlib"`:
				n.Value = strconv.Quote("github.com/guardedpg/guardedpg/clienttest/pgxsuite/stdlib")
			case `"pgx"`, `"pgx/v5"`: // the driver's names
				n.Value = strconv.Quote("guardedpg")
			}
		case *ast.FuncDecl:
			// They ask the *pgx.Conn which server it is. It is PostgreSQL, and newer
			// than all that is asked for.
			if n.Name.Name == "skipCockroachDB" || n.Name.Name == "skipPostgreSQLVersionLessThan" {
				n.Body.List = slices.Insert(n.Body.List, 0, ast.Stmt(&ast.ReturnStmt{}))
			}
		}
		return true
	})
	var b bytes.Buffer
	require.NoError(t, format.Node(&b, fset, file))
	return b.Bytes(), true
}
