package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseTextArray(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`:               nil,
		`{a}`:              {"a"},
		`{a,NULL,"NULL"}`:  {"a", "", "NULL"},
		`{"","a\"b","\\"}`: {"", `a"b`, `\`},
		`{"a,b","{c}"}`:    {"a,b", "{c}"},
	} {
		got, err := parseTextArray(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{``, `{`, `a`, `{,}`, `{a,}`, `{"a}`, `{"a"b}`, `{"a\}`, `{{a}}`} {
		_, err := parseTextArray(text)
		require.Error(t, err, text)
	}
}

func FuzzParseTextArray(f *testing.F) {
	f.Add(`{a,"b\"c",NULL}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseTextArray(text)
		if err != nil {
			return
		}
		quoted := make([]string, len(list))
		for i, s := range list {
			quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
		again, err := parseTextArray("{" + strings.Join(quoted, ",") + "}")
		require.NoError(t, err)
		require.Equal(t, list, again)
	})
}

func TestTriggerCondition(t *testing.T) {
	for definition, want := range map[string]string{
		`CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW WHEN ((new.a > 1)) EXECUTE FUNCTION f()`:                                    `(new.a > 1)`,
		`CREATE TRIGGER "x WHEN (y)" BEFORE INSERT ON t FOR EACH ROW WHEN ((new.a = ') x'::text)) EXECUTE FUNCTION f('WHEN (q)')`:     `(new.a = ') x'::text)`,
		`CREATE TRIGGER a BEFORE INSERT ON "when" FOR EACH ROW WHEN ((new.a = E'\') ''(')) EXECUTE FUNCTION f()`:                      `(new.a = E'\') ''(')`,
		`CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f('WHEN (q)')`:                                             ``,
		`CREATE TRIGGER a BEFORE INSERT ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT WHEN (((1 + 1) = 2)) EXECUTE FUNCTION f()`: `((1 + 1) = 2)`,
	} {
		require.Equal(t, want, triggerCondition(definition), definition)
	}
}

func FuzzTriggerCondition(f *testing.F) {
	f.Add(`CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW WHEN ((new.a = E'\') ''(')) EXECUTE FUNCTION f()`)
	f.Add(`when (`)
	f.Fuzz(func(t *testing.T, definition string) {
		require.Contains(t, definition, triggerCondition(definition))
	})
}
