package approve

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/guardedpg/guardedpg/identity"
)

// Printable returns s such that it shows what it is, on one line: control
// characters (and so terminal escapes), invisible and direction-changing
// characters, white space other than the space, and bytes that are not UTF-8
// are written as Go escapes. A statement's author cannot then move the cursor,
// hide a part, or make it read backwards (Unicode TR 36, section 2.10).
func Printable(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case visible(r):
			b.WriteString(s[:n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func visible(r rune) bool {
	const blankBraille = '\u2800'
	return unicode.IsPrint(r) && r != blankBraille &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Bidi_Control)
}

// Person returns who i is, on one line.
func Person(i identity.Identity) string {
	if i.IsZero() {
		return "nobody"
	}
	s := Printable(i.Subject())
	if n := i.Name(); n != "" && n != i.Subject() {
		s += " (" + Printable(n) + ")"
	}
	s += " of " + Printable(i.Issuer())
	if !i.Verified() {
		s += ", NOT VERIFIED"
	}
	return s
}

// Describe writes r for a person to decide on, the statement last but for its
// arguments. Everything
// in it is written as by [Printable]; the lines of the statement begin with a
// bar, so that a statement cannot pass for our own words.
func Describe(w io.Writer, r Request) error {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-10s %s\n", name, value)
		}
	}
	line("asked by", Person(r.Identity))
	line("groups", Printable(strings.Join(r.Identity.Groups(), ", ")))
	line("purpose", claimed(r.Purpose))
	line("database", Printable(r.Database))
	rule := Printable(r.Rule)
	if r.Reason != "" {
		rule += ": " + Printable(r.Reason)
	}
	line("rule", rule)
	for _, e := range r.Effects {
		line("effect", Printable(e))
	}
	switch {
	case r.Exact >= 0:
		line("rows", fmt.Sprintf("%d, counted", r.Exact))
	case r.Rows >= 0:
		line("rows", fmt.Sprintf("about %d, by the planner's estimate", r.Rows))
	}
	who := "anybody but the asker"
	if len(r.Groups) > 0 {
		who = Printable(strings.Join(r.Groups, ", "))
	}
	if r.Quorum > 1 {
		who = fmt.Sprintf("%d people of %s", r.Quorum, who)
	}
	line("decided by", who)
	if r.InTransaction {
		line("note", "the asker holds an open transaction")
	}
	if !ascii(r.Statement) {
		line("note", "the statement has characters beyond ASCII: letters may look alike")
	}
	line("statement", fmt.Sprintf("%d bytes", len(r.Statement)))
	for text := range strings.SplitSeq(strings.ReplaceAll(r.Statement, "\t", "    "), "\n") {
		b.WriteString("  | " + Printable(text) + "\n")
	}
	for i, a := range r.Args {
		line(fmt.Sprintf("$%d", i+1), Printable(a))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func claimed(purpose string) string {
	if purpose == "" {
		return ""
	}
	return Printable(purpose) + " (the asker's words)"
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
