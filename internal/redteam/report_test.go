package redteam_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// A report counts verdicts by family.
type report struct {
	mu       sync.Mutex
	families map[string]map[string]int
	verdicts []string // columns of the table
	notes    []string
}

func newReport(verdicts ...string) *report {
	return &report{families: map[string]map[string]int{}, verdicts: verdicts}
}

func (r *report) count(family, verdict string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.families[family] == nil {
		r.families[family] = map[string]int{}
	}
	r.families[family][verdict]++
}

// note is printed whatever becomes of the test.
func (r *report) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *report) log(t *testing.T) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "family\t%s\t\n", strings.Join(r.verdicts, "\t"))
	total := map[string]int{}
	line := func(name string, counts map[string]int) {
		fmt.Fprintf(w, "%s\t", name)
		for _, v := range r.verdicts {
			fmt.Fprintf(w, "%d\t", counts[v])
		}
		fmt.Fprintln(w)
	}
	for _, family := range slices.Sorted(maps.Keys(r.families)) {
		line(family, r.families[family])
		for v, n := range r.families[family] {
			total[v] += n
		}
	}
	line("all", total)
	w.Flush()
	slices.Sort(r.notes)
	t.Logf("\n%s%s", b.String(), strings.Join(r.notes, ""))
}
