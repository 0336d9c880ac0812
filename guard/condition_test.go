package guard

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

// What is seen without evaluating a condition is what evaluating it gives.
func TestNeededGroups(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	leaves := []string{"'a' in identity.groups", "'b' in identity.groups", "['a', 'c'][0] in identity.groups",
		"identity.subject == 'agent'", "session.in_transaction", "identity.attributes['missing'] == 'x'", "identity.subject in ['a', 'b']"}
	var grow func(depth int) string
	grow = func(depth int) string {
		if depth == 0 || r.Intn(4) == 0 {
			return leaves[r.Intn(len(leaves))]
		}
		one, other := grow(depth-1), grow(depth-1)
		switch r.Intn(6) {
		case 0:
			return "(" + one + " || " + other + ")"
		case 1:
			return "!(" + one + ")"
		case 2:
			return "(" + one + " ? " + other + " : " + grow(depth-1) + ")"
		case 3:
			return "((" + one + ") == (" + other + "))"
		}
		return "(" + one + " && " + other + ")"
	}
	c, err := unlessCompiler()
	require.NoError(t, err)
	seen := map[outcome]int{}
	for range 2000 {
		text := grow(4)
		cond, errs := c.compile(text, "when", strictyaml.Place{})
		if errs != nil {
			continue // it can never be true
		}
		for _, groups := range [][]string{nil, {"a"}, {"b"}, {"b", "a"}} {
			d := (&Plan{}).decider(someone(groups...))
			value, _, err := cond.program.Eval(d.situation.vars)
			require.Equal(t, outcomeOf(value, err), cond.in(d.situation), "%s for %v", text, groups)
			if len(cond.groups) > 0 {
				seen[cond.in(d.situation)]++
			}
		}
	}
	require.Greater(t, seen[no], 100)
	require.Greater(t, seen[yes], 100)
	require.Greater(t, seen[unclear], 0)
}
