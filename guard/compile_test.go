package guard

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

// Each archive in testdata/errors has policies NAME.yaml and beside each
// NAME.err, all its mistakes.
func TestPolicyErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		parts := map[string]string{}
		for _, f := range archive.Files {
			parts[f.Name] = string(f.Data)
		}
		for name, text := range parts {
			base, ok := strings.CutSuffix(name, ".yaml")
			if !ok {
				continue
			}
			t.Run(base, func(t *testing.T) {
				var p Policy
				err := strictyaml.Decode([]byte(text), name, &p)
				if err == nil {
					_, err = Compile(p)
				}
				require.Error(t, err)
				require.Equal(t, strings.TrimSpace(parts[base+".err"]), err.Error())
			})
		}
	}
}

func TestPoliciesMadeInGo(t *testing.T) {
	_, err := Compile(Policy{Rules: []Rule{{Name: "a", When: "statement.is_dll"}}})
	require.EqualError(t, err, `rules[0].when: statement has no field "is_dll"; did you mean "is_ddl"`)
	_, err = Compile(Policy{Default: 9, Predicates: 9, Approval: Approval{Wait: -1, InTransaction: 9}})
	require.ErrorContains(t, err, "default: must be")
	require.ErrorContains(t, err, "predicates: must be")
	require.ErrorContains(t, err, "approval.wait: must not")
	require.ErrorContains(t, err, "approval.in_transaction: must be")
}

func TestHash(t *testing.T) {
	compile := func(text, file string) string {
		var p Policy
		require.NoError(t, strictyaml.Decode([]byte(text), file, &p))
		e, err := Compile(p)
		require.NoError(t, err)
		require.Len(t, e.Hash(), 64)
		return e.Hash()
	}
	base := compile("include: [baseline]\nprotect: [{column: a.b.c}]", "x.yaml")
	require.Equal(t, base, compile("# said otherwise\nprotect: [{column: a.b.c, mask: redact}]\ninclude:\n  - baseline\n", "y.yaml"))
	for _, other := range []string{
		"include: [read-only]\nprotect: [{column: a.b.c}]",
		"include: [baseline]\nprotect: [{column: a.b.c, mask: hash}]",
		"include: [baseline]\nprotect: [{column: a.b.c}]\npredicates: deny",
		"include: [baseline]\nprotect: [{column: a.b.c}]\napproval: {wait: 1s}",
		"include: [baseline]\nprotect: [{column: a.b.c, unless: identity.verified}]",
	} {
		require.NotEqual(t, base, compile(other, "x.yaml"), other)
	}
}

func TestTrusts(t *testing.T) {
	e, err := Compile(Policy{TrustedFunctions: []string{"public.f", `"Ext".*`}})
	require.NoError(t, err)
	require.True(t, e.Trusts("public", "f"))
	require.True(t, e.Trusts("Ext", "anything"))
	require.False(t, e.Trusts("public", "g"))
	require.False(t, e.Trusts("ext", "f"))
	require.False(t, (&Engine{}).Trusts("public", "f"))
}

// A rule of the policy takes the place of the pack's rule of its name.
func TestReplacedPackRule(t *testing.T) {
	e, err := Compile(Policy{Include: []string{"baseline"}, Rules: []Rule{{Name: "baseline.ddl", When: "statement.is_ddl", Then: Allow}}})
	require.NoError(t, err)
	count := 0
	for _, r := range e.rules {
		if r.name == "baseline.ddl" {
			count++
			require.Equal(t, Allow, r.then)
		}
	}
	require.Equal(t, 1, count)
}

func TestPacksCompile(t *testing.T) {
	require.Equal(t, []string{"baseline", "read-only"}, Packs())
	for _, name := range Packs() {
		require.NotEmpty(t, PackSource(name))
		rules, err := loadPack(name)
		require.NoError(t, err)
		for _, r := range rules {
			require.True(t, strings.HasPrefix(r.Name, name+"."), r.Name)
			require.True(t, r.Then == Allow || r.Reason != "", "%s says no reason", r.Name)
		}
	}
	require.Nil(t, PackSource("../policy.go"))
}
