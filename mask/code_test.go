package mask

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMaskCode(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT u = 'root/secret'":                  "SELECT u = '***'",
		"x := 'it''s'; y := E'a\\'secret'":          "x := '***'; y := E'***'",
		"-- secret\nRETURN 1; /* secret */ END":     "--\nRETURN 1; /**/ END",
		"a /* /* b */ ' */ 'secret' /* c":           "a /**/ '***' ",
		"RETURN $q$secret$q$ || \"Col umn\"":        "RETURN '***' || \"Col umn\"",
		"RETURN \"Col'umn\" || 'secret'":            "RETURN ",
		"AS $function$ SELECT 'secret' $function$":  "AS $function$ SELECT '***' $function$",
		"card = 4111111111111111 AND n < 42 - 7/2":  "card = 0 AND n < 42 - 7/2",
		"a_2024 < 12345 OR é2024x = 0x4111 + 1_234": "a_2024 < 0 OR é2024x = 0 + 0",
		"'secret without an end":                    "'***'",
		"$1 + $2":                                   "$1 + $2",
		// The first quote was cut off.
		"f\"(\"x\", 'secret')":                "f\"(\"x",
		"f\"(\"x\", 4111111111111111, \"y\")": "f\"(\"x",
		"sales\" = 'a\"secret'":               "sales",
		"\"Orders 2024\" = \"f(2)\"":          "\"Orders 2024\" = \"f(2)\"",
	} {
		got := maskCode(in)
		require.Equal(t, want, got)
		require.NotContains(t, strings.ToLower(got), "secret")
	}
}

func FuzzCode(f *testing.F) {
	f.Add("SELECT 'a' || $x$b$x$ -- c")
	f.Fuzz(func(t *testing.T, s string) {
		require.LessOrEqual(t, len(maskCode(s)), 6*len(s)+6)
	})
}
