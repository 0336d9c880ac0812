package analysis

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A Report is facts in names, for people and for programs. Its JSON form is
// what `guardedpg explain --json` prints.
type Report struct {
	SQL        string            `json:"sql"`
	Statements []StatementReport `json:"statements"`
}

// StatementReport is the report of one statement.
type StatementReport struct {
	Text    string          `json:"text"`
	Kind    string          `json:"kind"`
	Classes []string        `json:"classes"`
	Outputs []OutputReport  `json:"outputs,omitempty"`
	Reads   []UseReport     `json:"reads,omitempty"`
	Tests   []string        `json:"tests,omitempty"`         // columns that decide which rows or values come
	Defined []string        `json:"defined_tests,omitempty"` // those of them in the definitions of views
	Writes  []UseReport     `json:"writes,omitempty"`
	Bounds  []BoundReport   `json:"bounds,omitempty"`
	Flows   []FlowReport    `json:"flows,omitempty"`
	Effects []EffectReport  `json:"effects,omitempty"`
	Unknown []UnknownReport `json:"unknown,omitempty"`
}

// OutputReport is one output column.
type OutputReport struct {
	Name    string   `json:"name"`
	How     string   `json:"how"` // constant, plain, expression, aggregate, count or unknown
	Sources []string `json:"sources,omitempty"`
	// ByRows are those of Sources that only decide which rows there are, or how
	// many, where the output picks or counts them.
	ByRows []string `json:"by_rows,omitempty"`
}

// UseReport is one relation that is read or written.
type UseReport struct {
	Relation string   `json:"relation"`
	Action   string   `json:"action"`
	Columns  []string `json:"columns,omitempty"` // none: all
	Path     []string `json:"path,omitempty"`
}

// BoundReport says how far an UPDATE or DELETE is limited.
type BoundReport struct {
	Relation string `json:"relation"`
	Action   string `json:"action"`
	Limited  bool   `json:"limited"`
	OneRow   bool   `json:"one_row,omitempty"`
	Why      string `json:"why,omitempty"`
}

// FlowReport is values that are written somewhere.
type FlowReport struct {
	To   string   `json:"to"`
	From []string `json:"from"`
	Path []string `json:"path,omitempty"`
}

// EffectReport is one effect.
type EffectReport struct {
	What    string   `json:"what"`
	Classes []string `json:"classes"`
	Path    []string `json:"path,omitempty"`
}

// UnknownReport is what could not be understood.
type UnknownReport struct {
	What   string `json:"what"`
	Line   int    `json:"line,omitempty"`   // from 1; 0 when not known
	Column int    `json:"column,omitempty"` // in characters, from 1
}

var howNames = [...]string{"unknown", "constant", "plain", "expression", "aggregate", "count"}

func (d Derivation) String() string {
	if int(d) < len(howNames) {
		return howNames[d]
	}
	return "unknown"
}

// ColumnName names a base column, "*" standing for all columns of a relation.
func ColumnName(snap *catalog.Snapshot, c Column) string {
	if c.Att == ResultAtt {
		if f := snap.Function(c.Rel); f != nil {
			return funcName(f) + "()"
		}
		return fmt.Sprintf("function %d()", c.Rel)
	}
	rel := snap.Relation(c.Rel)
	if rel == nil {
		return fmt.Sprintf("relation %d", c.Rel)
	}
	if c.Att == 0 {
		return relName(rel) + ".*"
	}
	if col := rel.Column(c.Att); col != nil {
		return relName(rel) + "." + col.Name
	}
	for name, s := range systemColumns {
		if s.num == c.Att {
			return relName(rel) + "." + name
		}
	}
	return fmt.Sprintf("%s.column %d", relName(rel), c.Att)
}

func columnNames(snap *catalog.Snapshot, cols Columns) []string {
	if len(cols) == 0 {
		return nil
	}
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = ColumnName(snap, c)
	}
	slices.Sort(out)
	return out
}

// Report names what the facts hold, as snap knows it.
func (f *Facts) Report(snap *catalog.Snapshot) Report {
	r := Report{SQL: f.SQL}
	for _, st := range f.Statements {
		r.Statements = append(r.Statements, st.report(f.SQL, snap))
	}
	return r
}

func (st *Statement) report(sql string, snap *catalog.Snapshot) StatementReport {
	r := StatementReport{Text: st.Text, Kind: st.Kind, Classes: st.Classes.Names(),
		Tests: columnNames(snap, st.Tests), Defined: columnNames(snap, st.DefinedTests)}
	for _, o := range st.Outputs {
		r.Outputs = append(r.Outputs, OutputReport{o.Name, o.How.String(), columnNames(snap, o.Sources), columnNames(snap, o.ByRows)})
	}
	uses := func(list []Use) (out []UseReport) {
		for _, u := range list {
			name := fmt.Sprintf("relation %d", u.Rel)
			rel := snap.Relation(u.Rel)
			if rel != nil {
				name = relName(rel)
			}
			ur := UseReport{Relation: name, Action: u.Action.String(), Path: u.Path}
			for _, n := range u.Columns {
				if rel != nil && rel.Column(n) != nil {
					ur.Columns = append(ur.Columns, rel.Column(n).Name)
				}
			}
			out = append(out, ur)
		}
		return out
	}
	r.Reads, r.Writes = uses(st.Reads), uses(st.Writes)
	for _, b := range st.Bounds {
		r.Bounds = append(r.Bounds, BoundReport{strings.TrimSuffix(ColumnName(snap, Column{Rel: b.Rel}), ".*"), b.Action.String(), b.Limited, b.OneRow, b.Why})
	}
	for _, fl := range st.Flows {
		to := fl.Into
		if fl.To.Rel != 0 {
			to = ColumnName(snap, fl.To)
		}
		r.Flows = append(r.Flows, FlowReport{to, columnNames(snap, fl.From), fl.Path})
	}
	for _, e := range st.Effects {
		r.Effects = append(r.Effects, EffectReport{e.What, e.Class.Names(), e.Path})
	}
	for _, u := range st.Unknown {
		ur := UnknownReport{What: u.What}
		if u.Position >= 0 && u.Position <= len(sql) {
			before := sql[:u.Position]
			ur.Line = 1 + strings.Count(before, "\n")
			ur.Column = 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
		}
		r.Unknown = append(r.Unknown, ur)
	}
	return r
}

// Write prints the report for a person.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	for i, st := range r.Statements {
		if i > 0 {
			b.WriteByte('\n')
		}
		st.write(&b)
	}
	if len(r.Statements) == 0 {
		b.WriteString("no statement\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (st StatementReport) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s  (%s)\n", st.Kind, strings.Join(st.Classes, ", "))
	section := func(name string, lines []string) {
		for i, l := range lines {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(b, "  %-9s %s\n", name, l)
		}
	}
	through := func(path []string) string {
		if len(path) == 0 {
			return ""
		}
		return "  via " + strings.Join(path, ", ")
	}
	var lines []string
	width := 0
	for _, o := range st.Outputs {
		width = min(max(width, len(o.Name)), 30)
	}
	for i, o := range st.Outputs {
		values := slices.DeleteFunc(slices.Clone(o.Sources), func(s string) bool { return slices.Contains(o.ByRows, s) })
		from := strings.Join(values, ", ")
		switch o.How {
		case "plain":
		case "constant":
			from = "from no column"
		case "count":
			from = strings.TrimSpace("only how many " + from)
		case "unknown":
			from = strings.TrimSpace("UNKNOWN " + from)
		case "aggregate":
			from = "aggregate of " + from
		default:
			from = "computed from " + from
		}
		switch {
		case len(o.ByRows) > 0 && len(values) > 0:
			from += "; of rows made by " + strings.Join(o.ByRows, ", ")
		case len(o.ByRows) > 0:
			from = "of rows made by " + strings.Join(o.ByRows, ", ")
		}
		lines = append(lines, fmt.Sprintf("%2d %-*s  %s", i+1, width, o.Name, from))
	}
	section("returns", lines)
	section("decides", wrap(st.Tests))
	if len(st.Defined) > 0 {
		section("views ask", wrap(st.Defined))
	}
	uses := func(list []UseReport, action bool) (lines []string) {
		for _, u := range list {
			l := u.Relation
			if action {
				l = u.Action + " " + l
			}
			if len(u.Columns) > 0 {
				l += " (" + strings.Join(u.Columns, ", ") + ")"
			}
			lines = append(lines, l+through(u.Path))
		}
		return lines
	}
	section("reads", uses(st.Reads, false))
	section("writes", uses(st.Writes, true))
	lines = nil
	for _, bd := range st.Bounds {
		l := bd.Action + " " + bd.Relation + " is limited"
		switch {
		case bd.OneRow:
			l += " to one row"
		case !bd.Limited:
			l = bd.Action + " " + bd.Relation + " is NOT limited: " + bd.Why
		}
		lines = append(lines, l)
	}
	section("bounds", lines)
	lines = nil
	for _, f := range st.Flows {
		lines = append(lines, strings.Join(f.From, ", ")+" -> "+f.To+through(f.Path))
	}
	section("copies", lines)
	lines = nil
	for _, e := range st.Effects {
		lines = append(lines, e.What+through(e.Path))
	}
	section("effects", lines)
	lines = nil
	for _, u := range st.Unknown {
		l := u.What
		if u.Line > 0 {
			l += fmt.Sprintf(" (line %d, column %d)", u.Line, u.Column)
		}
		lines = append(lines, l)
	}
	section("UNKNOWN", lines)
}

// wrap puts names on lines of a readable length.
func wrap(names []string) []string {
	var lines []string
	for _, n := range names {
		if len(lines) > 0 && len(lines[len(lines)-1])+len(n) < 100 {
			lines[len(lines)-1] += ", " + n
			continue
		}
		lines = append(lines, n)
	}
	return lines
}
