// Package arch_test keeps the direction of imports: the root composes, every
// other part knows only what stands here beside its name.
package arch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/guardedpg/guardedpg"

// mayImport lists, per part of the module, the other parts that its packages
// may import. A part is a directory with everything below it, the longest that
// matches; "." is the root package. A part imports itself freely.
var mayImport = map[string][]string{
	".":                {"approve", "audit", "guard", "identity", "internal/analysis", "internal/catalog", "internal/strictyaml", "mask"},
	"approve":          {"identity"},
	"audit":            {"identity"},
	"guard":            {"identity", "internal/analysis", "internal/catalog", "internal/strictyaml", "mask"},
	"identity":         {},
	"mask":             {},
	"internal/redteam": {},
	"cmd":              {".", "approve", "audit", "guard", "identity", "internal/analysis", "internal/catalog", "internal/strictyaml", "mask"},
	"examples":         {".", "approve", "audit", "guard", "identity", "internal/pgtest", "mask"},

	"internal/analysis":   {"internal/catalog"},
	"internal/arch":       {},
	"internal/catalog":    {},
	"internal/pgtest":     {},
	"internal/strictyaml": {},
}

// onlyImporter names the one part that may import a module of others.
var onlyImporter = map[string]string{
	"github.com/fergusstrange/embedded-postgres": "internal/pgtest",
	"github.com/pganalyze/pg_query_go/v5":        "internal/analysis",
}

// forTests must not be linked into a program that uses the library.
var forTests = []string{
	"testing", "net/http/httptest", "github.com/stretchr/testify", "github.com/fergusstrange/embedded-postgres",
	module + "/internal/pgtest",
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Imports    []string // without those of test files
	Deps       []string // transitively
}

func TestImportArrows(t *testing.T) {
	packages := list(t)
	require.Greater(t, len(packages), 5, "go list found next to nothing")
	require.Empty(t, violations(packages))
}

// TestViolations sees that the check would find what it is for.
func TestViolations(t *testing.T) {
	for _, c := range []struct {
		name string
		pkg  pkg
		want string // "" is no violation
	}{
		{"root composes", pkg{ImportPath: module, Imports: []string{"fmt", module + "/guard", module + "/audit/trail"}}, ""},
		{"within a part", pkg{ImportPath: module + "/identity/oidc", Imports: []string{module + "/identity"}}, ""},
		{"a test package uses testing", pkg{ImportPath: module + "/approve/approvetest", Imports: []string{"testing"}, Deps: []string{"testing"}}, ""},
		{"the parser's importer", pkg{ImportPath: module + "/internal/analysis", Imports: []string{"github.com/pganalyze/pg_query_go/v5/parser"}}, ""},

		{"a leaf grows", pkg{ImportPath: module + "/mask", Imports: []string{module + "/guard"}}, "mask may not import guard"},
		{"an arrow up", pkg{ImportPath: module + "/audit/trail", Imports: []string{module}}, "audit may not import ."},
		{"the catalog looks up", pkg{ImportPath: module + "/internal/catalog", Imports: []string{module + "/internal/analysis"}}, "internal/catalog may not import internal/analysis"},
		{"the server of tests", pkg{ImportPath: module + "/cmd/guardedpg", Imports: []string{module + "/internal/pgtest"}}, "cmd may not import internal/pgtest"},
		{"a second parser", pkg{ImportPath: module + "/guard", Imports: []string{"github.com/pganalyze/pg_query_go/v5"}}, "only internal/analysis"},
		{"a second download", pkg{ImportPath: module + "/examples/quickstart", Imports: []string{"github.com/fergusstrange/embedded-postgres"}}, "only internal/pgtest"},
		{"testing underneath", pkg{ImportPath: module + "/guard", Deps: []string{"testing"}}, "links testing"},
		{"assertions underneath", pkg{ImportPath: module, Deps: []string{"github.com/stretchr/testify/require"}}, "links github.com/stretchr/testify/require"},
		{"a test package in use", pkg{ImportPath: module + "/cmd/guardedpg", Imports: []string{module + "/audit/audittest"}}, "test package"},
		{"a part unknown here", pkg{ImportPath: module + "/internal/other"}, "no rule"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := violations([]pkg{c.pkg})
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.NotEmpty(t, got)
			require.Contains(t, strings.Join(got, "\n"), c.want)
		})
	}
}

func violations(packages []pkg) []string {
	var bad []string
	for _, p := range packages {
		from, ok := part(p.ImportPath)
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: no rule for it in internal/arch", p.ImportPath))
			continue
		}
		library := from != "examples" && from != "internal/pgtest" && from != "internal/arch" && !isTestPackage(p.ImportPath)
		for _, path := range p.Imports {
			if only, ok := onlyImporter[longestPrefix(path, onlyImporter)]; ok && only != from {
				bad = append(bad, fmt.Sprintf("%s: only %s may import %s", p.ImportPath, only, path))
			}
			if !inModule(path) {
				continue
			}
			if library && isTestPackage(path) {
				bad = append(bad, fmt.Sprintf("%s: imports the test package %s", p.ImportPath, path))
			}
			to, ok := part(path)
			if ok && to != from && !slices.Contains(mayImport[from], to) {
				bad = append(bad, fmt.Sprintf("%s: %s may not import %s", p.ImportPath, from, to))
			}
		}
		for _, path := range p.Deps {
			if library && slices.ContainsFunc(forTests, func(dir string) bool { return within(path, dir) }) {
				bad = append(bad, fmt.Sprintf("%s: links %s", p.ImportPath, path))
			}
		}
	}
	return bad
}

// part returns the key of mayImport that a package of the module falls under.
func part(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	key := longestPrefix(strings.TrimPrefix(path, module+"/"), mayImport)
	return key, key != ""
}

func longestPrefix[V any](path string, m map[string]V) string {
	best := ""
	for key := range m {
		if within(path, key) && len(key) > len(best) {
			best = key
		}
	}
	return best
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func inModule(path string) bool { return within(path, module) }

// isTestPackage reports whether a package ships fakes and conformance tests,
// as net/http/httptest does.
func isTestPackage(path string) bool {
	return inModule(path) && strings.HasSuffix(path, "test")
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var packages []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}
