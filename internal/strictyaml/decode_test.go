package strictyaml

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

type sample struct {
	Name    string            `yaml:"name"`
	Wait    time.Duration     `yaml:"wait"`
	On      bool              `yaml:"on"`
	Count   int8              `yaml:"count"`
	Size    uint              `yaml:"size"`
	Ratio   float64           `yaml:"ratio"`
	Words   []string          `yaml:"words"`
	Labels  map[string]string `yaml:"labels"`
	Parts   []part            `yaml:"parts"`
	Inner   *part             `yaml:"inner"`
	Any     any               `yaml:"any"`
	Verdict verdict           `yaml:"verdict"`
	Either  either            `yaml:"either"`
	Hidden  string
	Places  Places `yaml:"-"`
}

type part struct {
	Column string `yaml:"column"`
	Places Places `yaml:"-"`
}

type verdict string

func (v *verdict) UnmarshalText(b []byte) error {
	if *v = verdict(b); *v != "allow" && *v != "deny" {
		return fmt.Errorf("is none of allow, deny%s", DidYouMean(string(b), []string{"allow", "deny"}))
	}
	return nil
}

// either is a name, or one key with arguments.
type either struct {
	name string
	args any
}

func (e *either) UnmarshalNode(n Node) {
	if s, ok := n.Scalar(); ok {
		e.name = s
		return
	}
	pairs, ok := n.Pairs()
	if ok && len(pairs) != 1 {
		n.Errorf("must have one key")
	}
	for _, p := range pairs {
		if p.Key != "partial" {
			p.Unknown([]string{"partial"})
			continue
		}
		e.name, e.args = p.Key, p.Value.Plain()
	}
}

// Each archive in testdata has documents NAME.yaml and beside each either
// NAME.err with all mistakes, or NAME.out with the value.
func TestDecode(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		parts := map[string]string{}
		for _, f := range archive.Files {
			parts[f.Name] = string(f.Data)
		}
		for name, doc := range parts {
			base, ok := strings.CutSuffix(name, ".yaml")
			if !ok {
				continue
			}
			t.Run(filepath.Base(file)+"/"+base, func(t *testing.T) {
				var s sample
				err := Decode([]byte(doc), name, &s)
				if want, bad := parts[base+".err"]; bad {
					require.Error(t, err)
					require.Equal(t, strings.TrimSpace(want), err.Error())
					return
				}
				require.NoError(t, err)
				want, ok := parts[base+".out"]
				require.True(t, ok, "%s has neither .err nor .out", base)
				require.Equal(t, strings.TrimSpace(want), show(s))
			})
		}
	}
}

func show(s sample) string {
	inner := "none"
	if s.Inner != nil {
		inner = s.Inner.Column
	}
	columns := []string{}
	for _, p := range s.Parts {
		columns = append(columns, p.Column+" at "+p.Places.Key("column").String())
	}
	return fmt.Sprintf("name=%q wait=%v on=%v count=%d size=%d ratio=%g words=%q labels=%v parts=%q inner=%s any=%v verdict=%s either=%s",
		s.Name, s.Wait, s.On, s.Count, s.Size, s.Ratio, s.Words, s.Labels, columns, inner, s.Any, s.Verdict, s.Either)
}

func TestPlaces(t *testing.T) {
	var s sample
	require.NoError(t, Decode([]byte("name: x\n\nwait: 5m\n"), "p.yaml", &s))
	require.Equal(t, "p.yaml:3", s.Places.Key("wait").String())
	require.Equal(t, "p.yaml:1", s.Places.Key("absent").String())
	require.True(t, s.Places.Has("name"))
	require.False(t, s.Places.Has("on"))
	require.Equal(t, "", Places{}.Key("x").String())
}

func TestInline(t *testing.T) {
	var s struct {
		Part part   `yaml:",inline"`
		Name string `yaml:"name"`
	}
	require.NoError(t, Decode([]byte("name: x\ncolumn: y\n"), "p.yaml", &s))
	require.Equal(t, "y", s.Part.Column)
	require.Equal(t, "p.yaml:2", s.Part.Places.Key("column").String())
	require.ErrorContains(t, Decode([]byte("colum: y"), "p.yaml", &s), `did you mean "column"`)
}

func TestErrorsUnwrap(t *testing.T) {
	var s sample
	err := Decode([]byte("nam: x\nwait: y\n"), "p.yaml", &s)
	var one *Error
	require.ErrorAs(t, err, &one)
	require.Equal(t, "nam", one.Key)
	require.Len(t, err.(Errors), 2)
}

func TestLimits(t *testing.T) {
	var s sample
	require.ErrorContains(t, Decode(make([]byte, maxBytes+1), "p.yaml", &s), "larger")
	require.ErrorContains(t, Decode([]byte("any: "+strings.Repeat("[", 200)+strings.Repeat("]", 200)), "p.yaml", &s), "deeply")
	require.Error(t, Decode([]byte("any: "+strings.Repeat("[", 200_000)), "p.yaml", &s))
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		for _, part := range txtar.Parse(data).Files {
			f.Add(part.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if err := Decode(data, "f.yaml", &s); err != nil {
			for _, one := range err.(Errors) {
				require.Positive(t, one.Place.Line)
				require.NotEmpty(t, one.What)
			}
		}
	})
}

func (e either) String() string { return fmt.Sprintf("%s(%v)", e.name, e.args) }
