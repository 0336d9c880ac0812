package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report is everything that a run found out. Its JSON is what a later run is
// compared with.
type report struct {
	Taken       time.Time          `json:"taken"`
	Go          string             `json:"go"`
	Platform    string             `json:"platform"`
	CPUs        int                `json:"cpus"`
	Server      string             `json:"server"`
	Rounds      int                `json:"rounds"`
	Contestants []string           `json:"contestants"`
	Disk        quartiles          `json:"append_and_fdatasync_ns"`
	DiskCPU     float64            `json:"append_and_fdatasync_cpu_ns"`
	Workloads   []workloadReport   `json:"workloads"`
	RoundTrips  map[string]float64 `json:"round_trips_of_a_new_text"`
	Lacking     []string           `json:"lacking,omitempty"` // figures of less work than their name says
}

type workloadReport struct {
	Name    string              `json:"name"`
	AtOnce  int                 `json:"at_once"`
	Unit    string              `json:"unit"`
	Samples map[string][]sample `json:"samples"`

	budget  budget
	durable bool
}

func newReport(server string, rounds int, cs []contestant) *report {
	r := &report{
		Taken: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Server: server, Rounds: rounds, RoundTrips: map[string]float64{},
	}
	for _, c := range cs {
		r.Contestants = append(r.Contestants, c.name)
	}
	return r
}

func (r *report) add(res *result) {
	w := res.workload
	r.Lacking = append(r.Lacking, res.lacking...)
	r.Workloads = append(r.Workloads, workloadReport{
		Name: w.name, AtOnce: w.atOnce, Unit: w.unit, Samples: res.Samples, budget: w.budget, durable: w.durable,
	})
}

func (w workloadReport) title() string {
	if w.AtOnce == 1 {
		return w.Name
	}
	return fmt.Sprintf("%s, %d at once", w.Name, w.AtOnce)
}

// markdown writes the tables.
func (r *report) markdown(out io.Writer) error {
	var b strings.Builder
	first := r.Contestants[0]
	fmt.Fprintf(&b, "Taken %s with %s on %s, %d processors, PostgreSQL %s, %d rounds each.\n",
		r.Taken.Format(time.DateOnly), r.Go, r.Platform, r.CPUs, r.Server, r.Rounds)

	fmt.Fprintf(&b, "\nWall time. The column %s is the median of one operation or row; the others are ratios to it.\n\n", first)
	r.table(&b, func(w workloadReport, name string) string {
		if name == first {
			return duration(median(w.Samples[name], wall))
		}
		return ratios(w.Samples[name], w.Samples[first], wall).String()
	}, func(w workloadReport) string {
		if w.durable {
			return duration((median(w.Samples[first], wall) + r.Disk.Median) * 1.10)
		}
		return number(w.budget.wall, "%.2f")
	})

	fmt.Fprintf(&b, "\nClient CPU, user and system, the same way.\n\n")
	r.table(&b, func(w workloadReport, name string) string {
		if name == first {
			return duration(median(w.Samples[name], cpu))
		}
		return ratios(w.Samples[name], w.Samples[first], cpu).String()
	}, func(w workloadReport) string { return number(w.budget.cpu, "%.2f") })

	fmt.Fprintf(&b, "\nAllocations. The column %s is the median of one operation or row; the others are what is added to it.\n\n", first)
	r.table(&b, func(w workloadReport, name string) string {
		base := median(w.Samples[first], allocs)
		if name == first {
			return fmt.Sprintf("%.1f", base)
		}
		return fmt.Sprintf("%+.1f", median(w.Samples[name], allocs)-base)
	}, func(w workloadReport) string {
		if w.budget == (budget{}) {
			return ""
		}
		return fmt.Sprintf("%+.0f", w.budget.allocs)
	})

	if len(r.Lacking) > 0 {
		fmt.Fprintf(&b, "\n**Figures of less work than their name says, and so no evidence of a budget that is kept:**\n\n")
		for _, s := range r.Lacking {
			fmt.Fprintf(&b, "- %s\n", s)
		}
	}
	if low, high, ok := r.noise(); ok {
		fmt.Fprintf(&b, "\nThe wall time of A/A lies between %.2f and %.2f of pgx: a ratio within that is no difference.\n", low, high)
	}
	if r.Disk.Median > 0 {
		fmt.Fprintf(&b, "\nAn append of 512 bytes with fdatasync takes %s here (%s to %s), and %s of the processor. The budget of an insert is %s plus one of those, plus 10 %%.\n",
			duration(r.Disk.Median), duration(r.Disk.Q1), duration(r.Disk.Q3), duration(r.DiskCPU), first)
	}
	if len(r.RoundTrips) > 0 {
		fmt.Fprintf(&b, "\nRound trips that a text takes when it is seen for the first time, on an open connection:")
		for i, name := range r.Contestants {
			sep := ";"
			if i == 0 {
				sep = ""
			}
			if n, ok := r.RoundTrips[name]; ok {
				fmt.Fprintf(&b, "%s %s %.1f", sep, name, n)
			}
		}
		b.WriteString(".\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// noise returns the range of the medians of A/A.
func (r *report) noise() (low, high float64, ok bool) {
	for _, w := range r.Workloads {
		if len(w.Samples[control]) == 0 {
			continue
		}
		m := ratios(w.Samples[control], w.Samples[r.Contestants[0]], wall).Median
		if !ok {
			low, high, ok = m, m, true
		}
		low, high = min(low, m), max(high, m)
	}
	return low, high, ok
}

// table writes a row per workload and a column per contestant.
func (r *report) table(b *strings.Builder, cell func(workloadReport, string) string, budget func(workloadReport) string) {
	fmt.Fprintf(b, "| workload | %s | budget |\n|%s\n", strings.Join(r.Contestants, " | "), strings.Repeat(" --- |", len(r.Contestants)+2))
	for _, w := range r.Workloads {
		fmt.Fprintf(b, "| %s |", w.title())
		for _, name := range r.Contestants {
			text := ""
			if len(w.Samples[name]) > 0 {
				text = cell(w, name)
			}
			fmt.Fprintf(b, " %s |", text)
		}
		fmt.Fprintf(b, " %s |\n", budget(w))
	}
}

// duration writes nanoseconds with three digits and the unit that suits them.
func duration(ns float64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e6, "ms"}, {1e3, "us"}} {
		if ns >= u.ns {
			return fmt.Sprintf("%.3g %s", ns/u.ns, u.name)
		}
	}
	return fmt.Sprintf("%.3g ns", ns)
}

// number is empty for what has no budget.
func number(v float64, format string) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// writeJSON writes the report into dir under a name with its time.
func (r *report) writeJSON(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, r.Taken.Format("20060102-150405")+".json")
	return name, os.WriteFile(name, append(b, '\n'), 0o644)
}

const (
	begin = "<!-- bench: begin -->"
	end   = "<!-- bench: end -->"
)

// writeDocs puts the tables between the markers of a Markdown file.
func (r *report) writeDocs(name string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var tables strings.Builder
	if err := r.markdown(&tables); err != nil {
		return err
	}
	text, err := between(string(old), tables.String())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// between replaces what stands between the markers.
func between(text, with string) (string, error) {
	head, rest, ok := strings.Cut(text, begin)
	if !ok {
		return "", fmt.Errorf("the marker %s is missing", begin)
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the marker %s is missing after %s", end, begin)
	}
	return head + begin + "\n\n" + with + "\n" + end + tail, nil
}
