package approve

import (
	"fmt"
	"io"
	"maps"
	"slices"
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

// Lines are cut to fit 80 columns. A terminal would wrap longer ones itself, at
// a place that their author can choose, and what stands behind it would look
// like a line of ours.
const (
	labelWidth = 80 - len("  decided by ")
	textWidth  = 80 - len("  | ")
)

// cut divides what Printable returned into lines, after a space where there is
// one near. What is not ASCII counts as two columns, which it takes at most.
func cut(s string, width int) []string {
	var lines []string
	for {
		used, space, end := 0, 0, len(s)
		for i, r := range s {
			if used++; r >= utf8.RuneSelf {
				used++
			}
			if used > width {
				end = i
				break
			}
			if r == ' ' {
				space = i + 1
			}
		}
		if end < len(s) && space > end/2 {
			end = space
		}
		lines = append(lines, s[:end])
		if s = s[end:]; s == "" {
			return lines
		}
	}
}

// Describe writes r for a person to decide on, the statement last but for what
// goes with it. Everything in it is written as by [Printable]; the lines of the
// statement begin with a bar, and those that continue one with a greater-than
// sign, so that a statement cannot pass for our own words.
func Describe(w io.Writer, r Request) error {
	var b strings.Builder
	line := func(name, value string) {
		if value == "" {
			return
		}
		for _, part := range cut(value, labelWidth) {
			fmt.Fprintf(&b, "  %-10s %s\n", name, strings.TrimRight(part, " "))
			name = ""
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
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		who += fmt.Sprintf(", with %s %s", Printable(name), Printable(r.Claims[name]))
	}
	if len(r.Issuers) > 0 {
		who += ", by the word of " + Printable(strings.Join(r.Issuers, ", "))
	}
	line("decided by", who)
	if r.InTransaction {
		line("note", "the asker holds an open transaction")
	}
	if odd := beyondASCII(r.Statement); odd != "" {
		line("note", "the statement has characters beyond ASCII, and letters may look alike: "+odd)
	}
	text := strings.Split(strings.ReplaceAll(r.Statement, "\t", "    "), "\n")
	if len(text) > 1 {
		line("statement", fmt.Sprintf("%d bytes in %d lines", len(r.Statement), len(text)))
	} else {
		line("statement", fmt.Sprintf("%d bytes", len(r.Statement)))
	}
	for i := 0; i < len(text); i++ {
		empty := 0
		for i+empty < len(text) && strings.TrimSpace(text[i+empty]) == "" {
			empty++
		}
		if empty > 3 {
			// What follows must not be out of sight.
			fmt.Fprintf(&b, "  - %d empty lines\n", empty)
			i += empty - 1
			continue
		}
		mark := "|"
		for _, part := range cut(Printable(text[i]), textWidth) {
			b.WriteString("  " + mark + " " + part + "\n")
			mark = ">"
		}
	}
	for i, a := range r.Args {
		line(fmt.Sprintf("$%d", i+1), Printable(a))
	}
	for _, name := range r.Behind {
		line("is", Printable(name))
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

// beyondASCII names the first few characters of s that are not ASCII.
func beyondASCII(s string) string {
	const few = 6
	var names []string
	for _, r := range s {
		if r < utf8.RuneSelf {
			continue
		}
		name := fmt.Sprintf("U+%04X", r)
		if visible(r) {
			name = string(r) + " " + name
		}
		if slices.Contains(names, name) {
			continue
		}
		if len(names) == few {
			return strings.Join(names, ", ") + " and more"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
