package approve_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/identity"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"delete from t":            "delete from t",
		"Grüße, 世界, ñ":             "Grüße, 世界, ñ",
		"a\x1b[2Kb":                `a\u001b[2Kb`,
		"a\x9bb":                   `a\x9bb`,
		"a\u009bb":                 `a\u009bb`,
		"a\rb\nc\td":               `a\rb\nc\td`,
		"a\x00\x07\x08\x7f":        `a\u0000\u0007\u0008\u007f`,
		"drop\u202etable":          `drop\u202etable`,
		"a\u2066b\u2069":           `a\u2066b\u2069`,
		"a\u200bb\u200db\ufeff":    `a\u200bb\u200db\ufeff`,
		"a\u00a0b\u2028c\u3000":    `a\u00a0b\u2028c\u3000`,
		"a\u3164b\u2800c\u115f":    `a\u3164b\u2800c\u115f`,
		"a\ufe0fb\U000e0041":       `a\ufe0fb\U000e0041`,
		"a\xffb\xc3":               `a\xffb\xc3`,
		"\u061c\u200e\u200f\u00ad": `\u061c\u200e\u200f\u00ad`,
	} {
		require.Equal(t, want, approve.Printable(in))
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b]8;;http://x\x07b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := approve.Printable(s)
		if !utf8.ValidString(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		for _, r := range out {
			if !unicode.IsPrint(r) || unicode.In(r, unicode.Bidi_Control, unicode.Cf, unicode.Cc) {
				t.Fatalf("%q holds %U", out, r)
			}
		}
	})
}

func TestDescribe(t *testing.T) {
	r := approvetest.NewRequest("1")
	r.Statement = "delete from orders\n  | where id = 7\x1b[1A\x1b[2K\n\twhere а = 1 -- Cyrillic"
	r.Args = []string{"x\x1b[31m"}
	r.Purpose = "cleanup\n  rule       harmless"
	r.Identity = identity.Development("agent\u202e")
	r.Quorum, r.InTransaction = 2, true
	var b strings.Builder
	require.NoError(t, approve.Describe(&b, r))
	want := `  asked by   agent\u202e of development, NOT VERIFIED
  purpose    cleanup\n  rule       harmless (the asker's words)
  database   shop on 1 as app
  rule       deletes: a delete needs a person
  effect     delete from public.orders
  rows       about 1, by the planner's estimate
  decided by 2 people of dba
  note       the asker holds an open transaction
  note       the statement has characters beyond ASCII, and letters may look
             alike: а U+0430
  statement  69 bytes in 3 lines
  | delete from orders
  |   | where id = 7\u001b[1A\u001b[2K
  |     where а = 1 -- Cyrillic
  $1         x\u001b[31m
`
	require.Equal(t, want, b.String())
}

// An author who knows how wide the terminal is could otherwise write lines that
// look like ours, or put the end of a statement out of sight.
func TestDescribeCutsLines(t *testing.T) {
	const forged = "  rows       0, counted"
	pad := func(used int) string { return strings.Repeat(" ", 80-used) }
	r := approvetest.NewRequest("1")
	r.Purpose = "cleanup" + pad(len("  purpose    cleanup")) + forged
	r.Statement = "select 1" + pad(len("  | select 1")) + forged + strings.Repeat("\n \t", 1000) + "\n; drop table orders" +
		strings.Repeat("世", 50)
	r.Args = []string{strings.Repeat("x", 67) + forged}
	r.Behind = []string{"prepared statement p: PREPARE p AS SELECT 1" + pad(0) + forged}
	var b strings.Builder
	require.NoError(t, approve.Describe(&b, r))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	require.Less(t, len(lines), 30)
	for _, l := range lines {
		columns := 0
		for _, r := range l {
			if columns++; r >= utf8.RuneSelf {
				columns++
			}
		}
		require.LessOrEqual(t, columns, 80, l)
		require.NotEqual(t, forged, l)
	}
	require.Contains(t, lines, "  - 1000 empty lines")
	require.Contains(t, b.String(), "  | ; drop table orders")
}

func TestErrorsAreOneLine(t *testing.T) {
	e := &approve.RejectedError{By: person("eve\x1b[2J"), Reason: "a\nb"}
	require.Equal(t, `rejected by eve\u001b[2J: a\nb`, e.Error())
}
