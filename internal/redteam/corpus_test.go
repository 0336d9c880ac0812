// Package redteam_test runs attacks, risky statements and ordinary ones through
// the guard on a real server, and looks at everything that comes back.
//
// testdata/*.jsonl has one case per line. Each was run without the guard on
// PostgreSQL 15 and works there; TestUnguarded proves it again. GUARDEDPG_REDTEAM
// chooses how much is run: unset, each case once; "modes", each as both roles in
// all five exec modes; "full", also prepared and under other masks, and all of
// TestUnguarded.
package redteam_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// full is true for the whole matrix, everyMode for roles and exec modes.
var (
	full      = os.Getenv("GUARDEDPG_REDTEAM") == "full"
	everyMode = full || os.Getenv("GUARDEDPG_REDTEAM") == "modes"
)

// A attackCase is one line of a data file.
type attackCase struct {
	ID     string `json:"id"`
	Family string `json:"family"`
	// Steps run in order on one connection, also after an error.
	Steps []string `json:"steps"`
	// Encoding is base64 where the steps are no UTF-8.
	Encoding string     `json:"encoding"`
	Args     [][]string `json:"args"` // by step
	Mode     string     `json:"mode"` // go:NAME is a program of its own
	Note     string     `json:"note"`
	// Policy is "debatable" where it is a product's decision whether the case is
	// to be stopped, and "drift" where a migration outruns the policy.
	Policy    string   `json:"policy"`
	WorksAs   []string `json:"works_as"`
	Protocols []string `json:"protocols"`

	// Of leaks: the kinds of canary, and regular expressions that betray them.
	Leaks       []string   `json:"leaks"`
	Expect      []string   `json:"expect"`
	Control     []string   `json:"control"`
	ControlArgs [][]string `json:"control_args"`

	// Of risky statements.
	Why    string   `json:"why"`
	Want   string   `json:"want"`
	Class  string   `json:"class"`
	Effect []string `json:"effect"`

	// Of ordinary statements.
	MaskedColumns []string   `json:"masked_columns"`
	MaskedByStep  [][]string `json:"masked_by_step"`
	RowsByStep    []int      `json:"rows_by_step"` // on PostgreSQL 15: the catalogs of others hold other rows
	Volatile      bool       `json:"volatile"`

	expect []*regexp.Regexp
}

func (c *attackCase) worksAs(user string) bool {
	return slices.Contains(c.WorksAs, user) || len(c.WorksAs) == 0
}

// simpleOnly is true where a step holds several statements.
func (c *attackCase) simpleOnly() bool {
	return len(c.Protocols) > 0 && !slices.Contains(c.Protocols, "extended")
}

// readCases reads data files in the order given, without the cases that the
// lab's servers are too old for: see TestOlderServers.
func readCases(t *testing.T, names ...string) []*attackCase {
	t.Helper()
	since := readVersions(t)
	return slices.DeleteFunc(readAllCases(t, names...), func(c *attackCase) bool { return since[c.ID] > labVersion() })
}

// readVersions reads which cases need which major of the server, or a later one.
func readVersions(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("testdata/versions.json")
	require.NoError(t, err)
	var list map[int][]string
	require.NoError(t, json.Unmarshal(text, &list))
	since := map[string]int{}
	for major, ids := range list {
		for _, id := range ids {
			require.Zero(t, since[id], "%s stands twice", id)
			since[id] = major * 10000
		}
	}
	return since
}

// labVersion is the version of the lab's servers, as server_version_num.
func labVersion() int { return benches.all[0].server.VersionNum() }

func readAllCases(t *testing.T, names ...string) []*attackCase {
	t.Helper()
	var list []*attackCase
	seen := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			c := &attackCase{}
			require.NoError(t, json.Unmarshal(line, c), "%s: %.80s", name, line)
			require.NotEmpty(t, c.ID, name)
			require.False(t, seen[c.ID], "%s: %s stands twice", name, c.ID)
			seen[c.ID] = true
			if c.Encoding == "base64" {
				for i, s := range c.Steps {
					raw, err := base64.StdEncoding.DecodeString(s)
					require.NoError(t, err, c.ID)
					c.Steps[i] = string(raw)
				}
			}
			for _, x := range c.Expect {
				c.expect = append(c.expect, regexp.MustCompile(x))
			}
			list = append(list, c)
		}
	}
	return list
}

// arg returns the arguments of a step.
func arg(args [][]string, step int) []any {
	if step >= len(args) {
		return nil
	}
	out := make([]any, len(args[step]))
	for i, a := range args[step] {
		out[i] = a
	}
	return out
}

const (
	adminStep     = "--!admin "
	reconnectStep = "--!reconnect"
)

var copyFromStdin = regexp.MustCompile(`(?is)^\s*copy\b.*\bfrom\b.*\bstdin\b`)

// copyData splits a step that loads data into the statement and the data.
func copyData(step string) (statement, data string, ok bool) {
	statement, data, ok = strings.Cut(step, "\n")
	return statement, data, ok && copyFromStdin.MatchString(statement)
}
