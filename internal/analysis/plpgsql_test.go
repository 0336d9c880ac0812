package analysis

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v5"
	"github.com/stretchr/testify/require"
)

func bodies(t testing.TB) []string {
	text, err := os.ReadFile("testdata/plpgsql/bodies.txt")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "\n")
	list := strings.Split(rest, "\n----\n")
	require.Greater(t, len(list), 10)
	return list
}

// The SQL that the parser finds in a body is what the library's port of the
// server's PL/pgSQL parser finds, where that accepts the body.
func TestBlocksAsTheServerParsesThem(t *testing.T) {
	accepted := 0
	for _, body := range bodies(t) {
		block, err := parseBlock(body)
		require.NoError(t, err, body)
		want, ok := serverSQL(t, body)
		if !ok {
			continue
		}
		accepted++
		got := blockSQL(block)
		slices.Sort(got)
		slices.Sort(want)
		require.Equal(t, want, got, body)
	}
	require.Greater(t, accepted, 12)
}

func TestBlocksThatAreNone(t *testing.T) {
	for _, body := range []string{
		"", "BEGIN", "BEGIN NULL END", "BEGIN NULL; END; SELECT 1", "BEGIN IF a THEN NULL; END; END", "BEGIN x := ; END",
		"BEGIN IF THEN NULL; END IF; END", "DECLARE BEGIN END x y", "BEGIN RETURN QUERY ; END", "BEGIN SELECT 1 INTO a INTO b; END",
		"BEGIN FOR i IN 1..2 NULL; END LOOP; END", "BEGIN RAISE NOTICE; END", "BEGIN GET DIAGNOSTICS x; END", "BEGIN a.b.c(1); ",
		"BEGIN SELECT (1; END", "BEGIN OPEN c FOR; END", "BEGIN EXCEPTION END", "BEGIN FETCH c; END", "BEGIN 'a'; END", "BEGIN LOOP NULL; END; END",
		"BEGIN SELECT $$; END", "BEGIN NULL; END $", "\x00BEGIN NULL; END", strings.Repeat("BEGIN ", 100000), strings.Repeat("BEGIN IF a THEN ", 5000),
	} {
		_, err := parseBlock(body)
		require.Error(t, err, "%.60s", body)
	}
}

var (
	spaces   = regexp.MustCompile(`\s+`)
	caseTest = regexp.MustCompile(`^"__Case__Variable_\d+__" IN \((.*)\)$`)
	assigned = regexp.MustCompile(`^[^=]*?(:=|=)`)
)

func serverSQL(t *testing.T, body string) ([]string, bool) {
	out, err := pg.ParsePlPgSqlToJSON("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$" + body + "$body$")
	if err != nil {
		return nil, false
	}
	var tree any
	require.NoError(t, json.Unmarshal([]byte(out), &tree), body)
	var list []string
	var visit func(any)
	visit = func(v any) {
		switch n := v.(type) {
		case []any:
			for _, e := range n {
				visit(e)
			}
		case map[string]any:
			if q, ok := n["query"].(string); ok {
				if mode, _ := n["parseMode"].(float64); mode >= 3 {
					q = assigned.ReplaceAllString(q, "")
				}
				q = caseTest.ReplaceAllString(q, "$1")
				list = append(list, strings.TrimSpace(spaces.ReplaceAllString(q, " ")))
				return
			}
			for key, e := range n {
				// The loop variables are listed with the variables too.
				if key != "var" && key != "target" {
					visit(e)
				}
			}
		}
	}
	visit(tree)
	return list, true
}

func blockSQL(b *plBlock) []string {
	var list []string
	add := func(texts ...string) {
		for _, s := range texts {
			if s != "" {
				list = append(list, strings.TrimSpace(spaces.ReplaceAllString(s, " ")))
			}
		}
	}
	var visitBlock func(*plBlock)
	var visit func([]plStmt)
	visit = func(stmts []plStmt) {
		for _, s := range stmts {
			add(s.sql)
			add(s.exprs...)
			add(s.using...)
			for _, o := range s.options {
				add(o.expr)
			}
			for _, a := range s.arms {
				add(a.conds...)
				visit(a.body)
			}
			visit(s.body)
			if s.block != nil {
				visitBlock(s.block)
			}
		}
	}
	visitBlock = func(b *plBlock) {
		for _, d := range b.decls {
			add(d.def, d.cursor)
		}
		visit(b.body)
		for _, h := range b.handlers {
			visit(h)
		}
	}
	visitBlock(b)
	return list
}

// A DO block that runs DO blocks in loops, forty deep, would take 2^40 runs.
func TestNestedLoopsEnd(t *testing.T) {
	sql := "BEGIN DELETE FROM plain; END"
	for i := range 36 {
		tag := "$t" + itoa(i) + "$"
		sql = "DECLARE r text; a text; b text; c text; BEGIN LOOP c := b; b := a; a := r; SELECT email INTO r FROM secret.person; EXECUTE " +
			tag + "DO $x" + itoa(i) + "$ " + sql + " $x" + itoa(i) + "$" + tag + "; END LOOP; END"
	}
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	f, err := Analyze(context.Background(), "DO $top$"+sql+"$top$", snap, Session{Path: []string{"pg_catalog", "public"}})
	require.NoError(t, err)
	require.NotEmpty(t, f.Statements[0].Unknown)
}

// No text makes the parser panic, hang or accept what it did not read to the
// end.
func FuzzBlock(f *testing.F) {
	for _, b := range bodies(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b, err := parseBlock(body)
		if err != nil {
			require.Nil(t, b)
			return
		}
		require.NotNil(t, b)
	})
}
