package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"filippo.io/age"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
)

const showUsage = `usage: guardedpg show [--identity FILE] [--rows N] STATEMENT DIR...

Tells the whole story of one statement: who ran it, what it was, what was decided
and by whom, what was delivered, and what was masked. With an auditor's age key,
also the originals of what was masked.

Exit codes: 0 shown; 1 there is no such statement; 2 wrong arguments, or
something could not be read.

`

// show is the command. A story is told as far as it can be: what cannot be read
// says so in its place.
func show(ctx context.Context, args []string, e env) int {
	fs := flag.NewFlagSet("show", flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() {
		io.WriteString(e.stderr, showUsage)
		fs.PrintDefaults()
	}
	keyFile := fs.String("identity", "", "open sealed originals with the age key in `FILE`")
	rows := fs.Int("rows", 20, "print at most `n` rows and originals")
	rest, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case len(rest) < 2:
		return wrong(e, "show", "want a statement's ID, as \"guardedpg query\" prints it, and then the directory of the trails")
	case *rows < 0:
		return wrong(e, "show", "--rows %d: want a number of rows", *rows)
	}
	s := story{w: e.stdout, rows: *rows}
	if *keyFile != "" {
		f, err := os.Open(*keyFile)
		if err == nil {
			s.keys, err = age.ParseIdentities(f)
			f.Close()
		}
		if err != nil {
			// Not the parser's words: they may repeat the key.
			fmt.Fprintf(e.stderr, "guardedpg show: %s is not a readable file of age keys\n", *keyFile)
			return exitUsage
		}
	}
	for entry, err := range entries(ctx, rest[1:], e) {
		if err != nil {
			fmt.Fprintf(e.stderr, "guardedpg show: %v\n", err)
			return exitUsage
		}
		if entry.Record.Statement == rest[0] {
			s.tell(entry)
		}
	}
	if !s.begun {
		fmt.Fprintf(e.stderr, "guardedpg show: there is no statement %s\n", approve.Printable(rest[0]))
		return exitFound
	}
	return exitOK
}

// A story prints records of one statement, the first with all that is said once.
type story struct {
	w     io.Writer
	rows  int
	keys  []age.Identity
	begun bool
}

func (s *story) line(name, format string, args ...any) {
	fmt.Fprintf(s.w, "  %-12s %s\n", approve.Printable(name), approve.Printable(fmt.Sprintf(format, args...)))
}

func (s *story) list(name string, list []string) {
	for _, x := range list {
		s.line(name, "%s", x)
		name = ""
	}
}

func (s *story) tell(x audit.Entry) {
	r := x.Record
	if !s.begun {
		fmt.Fprintf(s.w, "statement %s\n", approve.Printable(r.Statement))
		if r.Who != nil {
			s.line("who", "%s", person(r.Who))
			s.list("groups", r.Who.Groups)
			for _, k := range sortedKeys(r.Who.Attributes) {
				s.line(k, "%s", r.Who.Attributes[k])
			}
		}
		if d := r.Database; d != nil {
			s.line("database", "%s as %s, backend %d, system %s", d.Name, d.User, d.BackendPID, d.SystemID)
		}
	}
	s.begun = true
	fmt.Fprintf(s.w, "\n%s  %s  record %d of %s\n", r.Time.Format(time.RFC3339Nano), approve.Printable(string(r.Kind)), r.Seq, approve.Printable(r.Trail))
	if r.SQL != nil {
		s.sql(x)
	}
	if v := r.Verdict; v != nil {
		s.line("verdict", "%s by rule %s of policy %s", v.Verdict, v.Rule, v.Policy)
		if v.Reason != "" {
			s.line("", "%s", v.Reason)
		}
	}
	if d := r.Decision; d != nil {
		word := "rejected"
		if d.Approved {
			word = "approved"
		}
		s.line("decision", "%s, request %s", word, d.ID)
		for i := range d.By {
			s.line("by", "%s", person(&d.By[i]))
		}
		if d.Reason != "" {
			s.line("reason", "%s", d.Reason)
		}
	}
	if o := r.Outcome; o != nil {
		s.outcome(x.Dir, o)
	}
	opened := map[string]bool{}
	for _, m := range r.Masks {
		word := "masked by " + m.Masker
		if m.Clear {
			word = "in clear"
		}
		s.line("column "+fmt.Sprint(m.Index), "%s: %s, %d values, rule %q, from %s", m.Column, word, m.Values, m.Rule, strings.Join(m.Sources, ", "))
		if m.Sealed != "" && !opened[m.Sealed] {
			opened[m.Sealed] = true
			s.originals(x.Dir, m.Sealed, r.Statement)
		}
	}
	for _, k := range sortedKeys(r.Detail) {
		s.line(k, "%s", r.Detail[k])
	}
}

func person(p *audit.Principal) string {
	text := p.Subject + " of " + p.Issuer
	if !p.Verified {
		text += " (NOT verified)"
	}
	return text
}

func (s *story) sql(x audit.Entry) {
	q := x.Record.SQL
	name := "sql"
	for part := range strings.Lines(q.Text) {
		s.line(name, "%s", strings.TrimSuffix(part, "\n"))
		name = ""
	}
	for i, a := range q.Args {
		v := fmt.Sprintf("%q", a.Value)
		switch {
		case a.Sealed:
			v = "(sealed)"
		case a.Null:
			v = "NULL"
		}
		s.line(fmt.Sprintf("$%d", i+1), "%s %s", a.Type, v)
	}
	if q.Sealed != "" {
		if len(s.keys) == 0 {
			s.line("original", "sealed; --identity opens it")
		} else if plain, err := audit.OpenSealed(x.Dir, q.Sealed, x.Record.Statement, s.keys...); err != nil {
			s.line("original", "%v", err)
		} else {
			s.line("original", "%s", plain)
		}
	}
	if f := q.Facts; f != nil {
		s.list("reads", f.Reads)
		s.list("tests", f.Tests)
		s.list("writes", f.Writes)
		s.list("effects", f.Effects)
		s.list("unknown", f.Unknown)
	}
}

func (s *story) outcome(dir string, o *audit.Outcome) {
	switch {
	case o.OK && o.Partial:
		s.line("outcome", "ok, closed before the last row: %d rows, %d bytes in %v", o.Rows, o.Bytes, o.Duration)
	case o.OK:
		s.line("outcome", "ok, %s, %d rows, %d bytes in %v", o.Tag, o.Rows, o.Bytes, o.Duration)
	default:
		s.line("outcome", "failed with SQLSTATE %s after %v: %s", o.SQLState, o.Duration, o.Error)
	}
	p := o.Payload
	if p == nil {
		return
	}
	s.line("payload", "%d rows, %d bytes, sha256 %s", p.Rows, p.Bytes, p.Digest)
	if p.Mode != "full" {
		return
	}
	d, err := audit.ReadPayload(dir, p)
	if err != nil {
		s.line("", "%v", err)
		return
	}
	out := tabwriter.NewWriter(s.w, 0, 0, 2, ' ', 0)
	cells := make([]string, len(d.Columns))
	for i, c := range d.Columns {
		cells[i] = approve.Printable(c)
	}
	fmt.Fprintln(out, "    "+strings.Join(cells, "\t"))
	for i, row := range d.Rows {
		if i == s.rows {
			break
		}
		for k, v := range row {
			cells[k] = cell(v)
		}
		fmt.Fprintln(out, "    "+strings.Join(cells, "\t"))
	}
	out.Flush()
	if more := p.Rows - int64(min(len(d.Rows), s.rows)); more > 0 {
		s.line("", "and %d rows more; %d of %d bytes are kept", more, p.Stored, p.Bytes)
	}
}

func cell(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return short(approve.Printable(string(v)), 60)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case string:
		return short(approve.Printable(v), 60)
	}
	return fmt.Sprint(v)
}

func (s *story) originals(dir, ref, statement string) {
	if len(s.keys) == 0 {
		s.line("", "originals are sealed; --identity opens them")
		return
	}
	plain, err := audit.OpenSealed(dir, ref, statement, s.keys...)
	if err != nil {
		s.line("", "%v", err)
		return
	}
	list, err := audit.ParseOriginals(plain)
	if err != nil {
		s.line("", "%v", err)
		return
	}
	for i, o := range list {
		if i == s.rows {
			s.line("", "and %d originals more", len(list)-i)
			return
		}
		s.line("original", "row %d, column %d: %s", o.Row, o.Column, o.Value)
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// printableLines writes to w what write writes, each line as by
// [approve.Printable]: names in it come from whoever wrote the statement.
func printableLines(w io.Writer, write func(io.Writer) error) error {
	var b strings.Builder
	if err := write(&b); err != nil {
		return err
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = approve.Printable(l)
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n"))
	return err
}
