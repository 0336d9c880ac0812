package mask

import (
	"bytes"
	"database/sql/driver"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write testdata/cells.txt anew; read the difference before committing it")

// typeCase is an entry of testdata/types.yaml.
type typeCase struct {
	Type     string   `yaml:"type"`
	OID      uint32   `yaml:"oid"`
	Kind     string   `yaml:"kind"`
	Base     string   `yaml:"base"`
	Element  string   `yaml:"element"`
	Subtype  string   `yaml:"subtype"`
	Fields   []string `yaml:"fields"`
	Labels   []string `yaml:"labels"`
	Values   []string `yaml:"values"`
	Constant any      `yaml:"constant"`

	resolved Type
}

// masks are the columns of the table; the constant mask is each type's own.
var masks = []string{
	"redact", "null", "constant", "{partial: {last: 4}}", "{partial: {first: 2, last: 1}}", "email", "card", "phone", "iban",
	"name", "text", "code", "ip", "{ip: {v4: 16, v6: 32}}", "date", "{date: {keep: month}}", "{number: {round: 1000}}",
	"{number: {bucket: 1000}}", "hash", "{jsonpath: {paths: {$..email: email}}}",
	"{jsonpath: {paths: {'$.n': redact}, rest: keep}}", "test-same",
}

func init() { Register("test-same", func(v driver.Value) driver.Value { return v }) }

var testKey = func() Key {
	k, err := NewKey([]byte("0123456789abcdef"))
	if err != nil {
		panic(err)
	}
	return k
}()

func readTypes(tb testing.TB) []*typeCase {
	tb.Helper()
	b, err := os.ReadFile("testdata/types.yaml")
	require.NoError(tb, err)
	var cases []*typeCase
	require.NoError(tb, yaml.Unmarshal(b, &cases))
	byName := make(map[string]*typeCase)
	for _, c := range cases {
		byName[c.Type] = c
	}
	var resolve func(name string) *Type
	resolve = func(name string) *Type {
		if name == "" {
			return nil
		}
		c := byName[name]
		require.NotNil(tb, c, "types.yaml lacks %s", name)
		t := Type{OID: c.OID, Name: c.Type, Kind: 'b', Labels: c.Labels, Base: resolve(c.Base), Element: resolve(c.Element), Subtype: resolve(c.Subtype)}
		if t.OID == 0 {
			t.OID = 100000 // as types that a database defines
		}
		if c.Kind != "" {
			t.Kind = c.Kind[0]
		}
		for _, f := range c.Fields {
			t.Fields = append(t.Fields, Field{Name: f, Type: *resolve(f)})
		}
		return &t
	}
	for _, c := range cases {
		c.resolved = *resolve(c.Type)
	}
	return cases
}

func decode(tb testing.TB, text string, c *typeCase) Spec {
	tb.Helper()
	var v any
	if text == "constant" {
		v = map[string]any{"constant": map[string]any{"value": c.Constant}}
	} else {
		require.NoError(tb, yaml.Unmarshal([]byte(text), &v))
	}
	if v == nil { // YAML's own null
		v = "null"
	}
	s, err := Decode(v)
	require.NoError(tb, err, text)
	return s
}

// cell is the outcome of a mask for one value, as the table shows it.
func cell(sh *shape, v driver.Value) string {
	if v == nil {
		return "NULL"
	}
	text, ok := sh.format(v)
	if !ok {
		return fmt.Sprintf("%v", v)
	}
	return fmt.Sprintf("%T %s", v, text)
}

// TestCells checks every mask on every type against testdata/cells.txt.
func TestCells(t *testing.T) {
	var out bytes.Buffer
	for _, c := range readTypes(t) {
		sh := shapeOf(&c.resolved)
		fmt.Fprintf(&out, "%s\n", c.Type)
		for _, text := range masks {
			s := decode(t, text, c)
			m, err := s.For(c.resolved, testKey)
			if err != nil {
				require.ErrorIs(t, err, ErrType)
				fmt.Fprintf(&out, "\t%s\terror\n", text)
				continue
			}
			require.Nil(t, m.Mask(nil), "NULL stays NULL")
			for _, value := range c.Values {
				in, ok := sh.parse(value)
				if !ok {
					require.Equal(t, famOther, sh.fam, "%s: %s", c.Type, value)
					in = value
				}
				got := m.Mask(in)
				sameGoType(t, in, got, "%s %s %s", c.Type, text, value)
				sameFromBytes(t, m, value)
				fmt.Fprintf(&out, "\t%s\t%q\t%q\n", text, value, cell(sh, got))
			}
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("testdata/cells.txt", out.Bytes(), 0o644))
	}
	want, err := os.ReadFile("testdata/cells.txt")
	require.NoError(t, err)
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")
	require.Len(t, gotLines, len(wantLines), "run with -update and read the difference")
	for i := range wantLines { // line by line, for a message that can be read
		require.Equal(t, wantLines[i], gotLines[i], "cells.txt:%d", i+1)
	}
}

// sameGoType allows NULL, and a date in place of infinity, which scans into
// everything that the string scans into.
func sameGoType(tb testing.TB, in, out driver.Value, format string, args ...any) {
	tb.Helper()
	if out == nil {
		return
	}
	if _, date := out.(time.Time); date && (in == "infinity" || in == "-infinity") {
		return
	}
	require.IsType(tb, in, out, fmt.Sprintf(format, args...))
}
