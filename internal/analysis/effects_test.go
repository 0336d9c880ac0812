package analysis

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

var update = flag.Bool("update", false, "write what the analysis finds into the corpus; read the difference before you commit it")

// An effectsCase is a statement and its facts, as describe writes them.
type effectsCase struct {
	SQL      string            `yaml:"sql"`
	Prepared map[string]string `yaml:"prepared"`
	Cursors  map[string]string `yaml:"cursors"`
	Path     []string          `yaml:"path"`
	Want     string            `yaml:"want"`
}

func corpusSnapshot(t testing.TB, name string, files ...string) *catalog.Snapshot {
	t.Helper()
	ctx := context.Background()
	s := pgtest.Start(t)
	var sql strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		sql.Write(text)
	}
	s.Template(t, name, sql.String())
	conn, err := pgx.Connect(ctx, s.DSN(pgtest.Superuser, s.Clone(t, name)))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(ctx) })
	snap, err := catalog.Load(ctx, conn)
	require.NoError(t, err)
	return snap
}

// The corpus says what statements write, lead to and let flow.
func TestEffects(t *testing.T) {
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	files, err := filepath.Glob("testdata/effects/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var cases []effectsCase
		require.NoError(t, yaml.Unmarshal(text, &cases), file)
		require.NotEmpty(t, cases, file)
		for i := range cases {
			c := &cases[i]
			got := factsOf(t, snap, *c)
			if *update {
				c.Want = got
				continue
			}
			require.Equal(t, strings.TrimSpace(c.Want), strings.TrimSpace(got), "%s: %s", file, c.SQL)
		}
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(corpusText(string(text), cases)), 0o644))
		}
	}
}

// corpusText writes cases as YAML, below the comment that the file begins with.
func corpusText(old string, cases []effectsCase) string {
	var b strings.Builder
	for line := range strings.Lines(old) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		b.WriteString(line)
	}
	block := func(key, text string) {
		fmt.Fprintf(&b, "  %s: |-\n", key)
		for line := range strings.Lines(strings.TrimSpace(text)) {
			b.WriteString("    " + line)
		}
		b.WriteString("\n")
	}
	for _, c := range cases {
		b.WriteString("\n-")
		var s strings.Builder
		if !strings.ContainsAny(c.SQL, "\n:#'\"{}[]|>&*!%@`") {
			s.WriteString("  sql: " + c.SQL + "\n")
		} else {
			s.WriteString("  sql: |-\n")
			for line := range strings.Lines(strings.TrimSpace(c.SQL)) {
				s.WriteString("    " + line)
			}
			s.WriteString("\n")
		}
		b.WriteString(s.String()[1:])
		for key, m := range map[string]map[string]string{"prepared": c.Prepared, "cursors": c.Cursors} {
			for name, sql := range m {
				fmt.Fprintf(&b, "  %s: {%s: %q}\n", key, name, sql)
			}
		}
		if c.Path != nil {
			fmt.Fprintf(&b, "  path: [%s]\n", strings.Join(c.Path, ", "))
		}
		block("want", c.Want)
	}
	return b.String()
}

func factsOf(t *testing.T, snap *catalog.Snapshot, c effectsCase) string {
	sess := Session{Path: []string{"pg_catalog", "public"}}
	if c.Path != nil {
		sess.Path = c.Path
	}
	sess.Prepared = func(name string) (string, bool) { sql, ok := c.Prepared[name]; return sql, ok }
	sess.Cursor = func(name string) (*Statement, bool) {
		sql, ok := c.Cursors[name]
		if !ok {
			return nil, false
		}
		f, err := Analyze(context.Background(), sql, snap, Session{Path: sess.Path})
		require.NoError(t, err)
		return f.Statements[0], true
	}
	f, err := Analyze(context.Background(), c.SQL, snap, sess)
	require.NoError(t, err, c.SQL)
	var out []string
	for _, st := range f.Statements {
		out = append(out, describe(snap, st))
	}
	return strings.Join(out, "\n")
}

// describe writes the facts that the corpus is about, one per line.
func describe(snap *catalog.Snapshot, st *Statement) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	state := ""
	for _, s := range []struct {
		on   bool
		name string
	}{{st.Names, "names"}, {st.Catalog, "catalog"}, {st.Tag, "tag"}} {
		if s.on {
			state += " +" + s.name
		}
	}
	add("%s [%s]%s", st.Kind, strings.Join(st.Classes.Names(), " "), state)
	via := func(path []string) string {
		if len(path) == 0 {
			return ""
		}
		return " via " + strings.Join(path, ", ")
	}
	relation := func(oid catalog.OID) string {
		if r := snap.Relation(oid); r != nil {
			return relName(r)
		}
		return "?"
	}
	hows := []string{"opaque", "constant", "plain", "expression", "aggregate", "count"}
	outs := func(list []Output) {
		for _, o := range list {
			add("output %s %s %s", o.Name, hows[o.How], columnList(snap, o.Sources))
		}
	}
	outs(st.Outputs)
	for _, u := range st.Writes {
		cols := ""
		if r := snap.Relation(u.Rel); r != nil && u.Columns != nil && u.Action != Delete {
			var names []string
			for _, n := range u.Columns {
				if c := r.Column(n); c != nil {
					names = append(names, c.Name)
				}
			}
			cols = " (" + strings.Join(names, " ") + ")"
		}
		add("%s %s%s%s", strings.ToLower(u.Action.String()), relation(u.Rel), cols, via(u.Path))
	}
	for _, b := range st.Bounds {
		why := b.Why
		if b.Limited {
			why = "limited"
		}
		if b.OneRow {
			why = "one row"
		}
		add("bound %s %s: %s", strings.ToLower(b.Action.String()), relation(b.Rel), why)
	}
	var flows []string
	for _, f := range st.Flows {
		to := f.Into
		if f.To.Rel != 0 {
			to = strings.TrimSpace(columnList(snap, Columns{f.To}) + " " + f.Into)
		}
		flows = append(flows, fmt.Sprintf("flow %s <- %s%s", to, columnList(snap, f.From), via(f.Path)))
	}
	slices.Sort(flows)
	lines = append(lines, slices.Compact(flows)...)
	for _, e := range st.Effects {
		add("effect %s: %s%s", strings.Join(e.Class.Names(), " "), e.What, via(e.Path))
	}
	if t := columnList(snap, st.Tests); t != "" {
		add("tests %s", t)
	}
	if t := columnList(snap, st.DefinedTests); t != "" {
		add("defined tests %s", t)
	}
	for _, u := range st.Unknown {
		add("unknown %s", u.What)
	}
	if st.Inner != nil {
		add("inner %s [%s]", st.Inner.Kind, strings.Join(st.Inner.Classes.Names(), " "))
	}
	return strings.Join(lines, "\n")
}

func columnList(snap *catalog.Snapshot, cols Columns) string {
	var out []string
	for _, c := range cols {
		name := "?"
		if r := snap.Relation(c.Rel); r != nil {
			name = relName(r) + ".*"
			if col := r.Column(c.Att); col != nil {
				name = relName(r) + "." + col.Name
			}
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}
