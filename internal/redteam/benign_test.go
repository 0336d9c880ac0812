package redteam_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBenign runs ordinary statements: nothing is held or denied, and exactly
// the listed columns differ from what pgx gives.
func TestBenign(t *testing.T) {
	l := newLab(t)
	rep := newReport("as with pgx", "stopped", "masked wrongly", "differs")
	t.Run("case", func(t *testing.T) {
		for i, c := range readCases(t, "benign.jsonl", "benign_more.jsonl") {
			for _, s := range chosen(i, c) {
				if s.mode == "simple_protocol" && !slices.Contains(c.Protocols, "simple") {
					continue // it does not work there with pgx either
				}
				t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
					t.Parallel()
					var with, without []*outcome
					l.with(func(b *bench) {
						client := b.guarded(t, s)
						defer client.close()
						with = client.run(t.Context(), c.Steps, c.Args, c.simpleOnly())
					})
					l.with(func(b *bench) {
						client := b.unguarded(t, s)
						defer client.close()
						without = client.run(t.Context(), c.Steps, c.Args, c.simpleOnly())
					})
					verdict, why := compare(c, with, without)
					rep.count(c.Family, verdict)
					if verdict != "as with pgx" && c.Policy == "" {
						t.Errorf("%s %s %s: %s\n%s", c.ID, c.Family, verdict, why, describe(c, with))
					} else if verdict != "as with pgx" {
						rep.note("%s (%s) %s: %s\n", c.ID, c.Policy, verdict, why)
					}
				})
			}
		}
	})
	rep.log(t)
}

func compare(c *attackCase, with, without []*outcome) (verdict, why string) {
	for i, o := range with {
		w := without[i]
		if o.err != nil && w.err == nil {
			return "stopped", fmt.Sprintf("step %d: %v", o.step, o.err)
		}
		if w.err != nil && (o.err == nil || o.err.Error() != w.err.Error()) {
			return "differs", fmt.Sprintf("step %d: pgx says %v", o.step, w.err)
		}
		if c.Volatile {
			continue
		}
		if i < len(c.RowsByStep) && labVersion()/10000 == 15 && w.columns != nil && len(w.rows) != c.RowsByStep[i] {
			return "differs", fmt.Sprintf("step %d: %d rows are expected, pgx has %d", o.step, c.RowsByStep[i], len(w.rows))
		}
		if len(o.rows) != len(w.rows) || !slices.Equal(o.columns, w.columns) || !slices.Equal(o.types, w.types) {
			return "differs", fmt.Sprintf("step %d: %d rows of %q, pgx has %d of %q", o.step, len(o.rows), o.columns, len(w.rows), w.columns)
		}
		var masked []string
		if i < len(c.MaskedByStep) {
			masked = c.MaskedByStep[i]
		}
		for j, name := range o.columns {
			differs := false
			for k := range o.rows {
				differs = differs || o.rows[k][j] != w.rows[k][j]
			}
			switch {
			case differs && !slices.Contains(masked, name):
				return "masked wrongly", fmt.Sprintf("step %d: column %s differs", o.step, name)
			case !differs && slices.Contains(masked, name) && len(o.rows) > 0:
				return "masked wrongly", fmt.Sprintf("step %d: column %s is not masked", o.step, name)
			}
		}
	}
	return "as with pgx", ""
}

// TestCompare sees that the comparison finds what it is for.
func TestCompare(t *testing.T) {
	c := &attackCase{MaskedByStep: [][]string{{"a"}}}
	with := []*outcome{{columns: []string{"a"}, rows: [][]string{{"x"}}}}
	without := []*outcome{{columns: []string{"a"}, rows: [][]string{{"x"}}}}
	v, _ := compare(c, with, without)
	require.Equal(t, "masked wrongly", v)
	with[0].rows[0][0] = "***"
	v, _ = compare(c, with, without)
	require.Equal(t, "as with pgx", v)
}
