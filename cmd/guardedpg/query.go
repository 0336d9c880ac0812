package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
)

const queryUsage = `usage: guardedpg query [FLAGS] DIR...

Prints the records of the trails in each DIR that match all the flags given, the
oldest trail first. "guardedpg show STATEMENT DIR..." tells one statement's story.
It believes what it reads: "guardedpg verify" says whether it may.

Exit codes: 0 printed, even if nothing matched; 2 wrong arguments, or something
could not be read.

`

// filter is what a record must match. Empty fields match all.
type filter struct {
	who, table, column, verdict, kind, approver, text, statement string
	since, until                                                 time.Time
}

func (f *filter) define(fs *flag.FlagSet) {
	fs.StringVar(&f.who, "who", "", "whose `subject`, issuer or group this is, or whose subject contains it")
	fs.StringVar(&f.table, "table", "", "that reads, tests, writes or masks this `table`, with or without schema")
	fs.StringVar(&f.column, "column", "", "that reads, tests or masks this `column`, with or without table and schema")
	// What nothing can match would look as if nothing had happened.
	fs.Func("verdict", "with this `verdict`: allow, hold or deny", func(s string) error {
		f.verdict = s
		return oneOf(s, "allow", "hold", "deny")
	})
	fs.Func("kind", "of these `kinds`, separated by commas: "+strings.Join(kinds(), ", "), func(s string) error {
		for _, k := range strings.Split(s, ",") {
			if err := oneOf(k, kinds()...); err != nil {
				return err
			}
		}
		f.kind = s
		return nil
	})
	fs.StringVar(&f.approver, "approver", "", "decided by this `subject`")
	fs.StringVar(&f.text, "text", "", "whose SQL contains this, in any case")
	fs.StringVar(&f.statement, "statement", "", "of this statement `ID`")
	fs.Func("since", "not before this `time`: RFC 3339, a date, or how long ago, as 24h", func(s string) (err error) {
		f.since, err = parseTime(s)
		return err
	})
	fs.Func("until", "before this `time`", func(s string) (err error) {
		f.until, err = parseTime(s)
		return err
	})
}

func kinds() []string {
	var list []string
	for _, k := range audit.Kinds() {
		list = append(list, string(k))
	}
	return list
}

func oneOf(s string, of ...string) error {
	if !slices.Contains(of, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(of, ", "))
	}
	return nil
}

func parseTime(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, time.DateTime} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("want a time as 2026-11-23T15:04:05Z, a date as 2026-11-23, or how long ago as 24h")
}

func (f *filter) match(r *audit.Record) bool {
	switch {
	case r.Kind == audit.KindSeal && f.kind == "":
		return false // they are the trail's own
	case f.kind != "" && !slices.Contains(strings.Split(f.kind, ","), string(r.Kind)),
		f.statement != "" && r.Statement != f.statement,
		!f.since.IsZero() && r.Time.Before(f.since),
		!f.until.IsZero() && !r.Time.Before(f.until),
		f.verdict != "" && (r.Verdict == nil || r.Verdict.Verdict != f.verdict),
		f.text != "" && (r.SQL == nil || !strings.Contains(strings.ToLower(r.SQL.Text), strings.ToLower(f.text))),
		f.who != "" && !f.matchWho(r.Who),
		f.approver != "" && !f.matchApprover(r.Decision),
		f.table != "" && !slices.ContainsFunc(names(r), func(n string) bool { return ofTable(n, f.table) }),
		f.column != "" && !slices.ContainsFunc(names(r), func(n string) bool { return n == f.column || strings.HasSuffix(n, "."+f.column) }):
		return false
	}
	return true
}

func (f *filter) matchWho(p *audit.Principal) bool {
	return p != nil && (p.Issuer == f.who || strings.Contains(p.Subject, f.who) || slices.Contains(p.Groups, f.who))
}

func (f *filter) matchApprover(d *audit.Decision) bool {
	return d != nil && slices.ContainsFunc(d.By, func(p audit.Principal) bool { return p.Subject == f.approver })
}

// names lists the relations and columns that a record names.
func names(r *audit.Record) []string {
	var list []string
	if r.SQL != nil && r.SQL.Facts != nil {
		list = slices.Concat(r.SQL.Facts.Reads, r.SQL.Facts.Tests, r.SQL.Facts.Writes)
	}
	for _, m := range r.Masks {
		list = append(list, m.Sources...)
	}
	return list
}

// ofTable reports whether name, a relation or one of its columns with its
// schema, is of table, which may lack the schema.
func ofTable(name, table string) bool {
	_, short, _ := strings.Cut(name, ".")
	for _, n := range []string{name, short} {
		if n == table || strings.HasPrefix(n, table+".") {
			return true
		}
	}
	return false
}

func query(ctx context.Context, args []string, e env) int {
	fs := flag.NewFlagSet("query", flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() {
		io.WriteString(e.stderr, queryUsage)
		fs.PrintDefaults()
	}
	var f filter
	f.define(fs)
	format := fs.String("format", "table", "`how` to print: table, json (one record in each line, as it stands in the trail) or csv")
	limit := fs.Int("limit", 0, "stop after `n` records; 0 means no limit")
	dirs, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case len(dirs) == 0:
		return wrong(e, "query", "which trails? Name their directory")
	case *limit < 0:
		return wrong(e, "query", "--limit %d: want a number of records, or 0 for all", *limit)
	}
	print, flush := printer(*format, e.stdout)
	if print == nil {
		fmt.Fprintf(e.stderr, "guardedpg query: --format %q: want table, json or csv\n", *format)
		return exitUsage
	}
	n, failed := 0, false
	for entry, err := range entries(ctx, dirs, e) {
		if err != nil {
			fmt.Fprintf(e.stderr, "guardedpg query: %v\n", err)
			failed = true
			continue
		}
		if !f.match(entry.Record) {
			continue
		}
		print(entry)
		if n++; n == *limit {
			break
		}
	}
	if err := flush(); err != nil {
		fmt.Fprintf(e.stderr, "guardedpg query: %v\n", err)
		failed = true
	}
	if failed {
		return exitUsage
	}
	return exitOK
}

// entries yields the records of the trails in dirs, as audit.Entries does. Where a
// trail breaks off it says so: what stands there may be what was looked for.
func entries(ctx context.Context, dirs []string, e env) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, dir := range dirs {
			trails, err := audit.Trails(dir)
			if err != nil {
				yield(audit.Entry{}, err)
				return
			}
			for _, trail := range trails {
				r := audit.NewReader(trail)
				more := true
				err := drain(ctx, r, func(x audit.Entry) bool {
					more = yield(x, nil)
					return more
				})
				if err == nil && r.Broken() {
					fmt.Fprintf(e.stderr, "guardedpg: %s is read only up to where it breaks off: \"guardedpg verify\" says what is wrong\n", approve.Printable(trail))
				}
				r.Close()
				if err != nil { // of this trail: the others can still be read
					more = yield(audit.Entry{}, err)
				}
				if !more || ctx.Err() != nil {
					return
				}
			}
		}
	}
}

// printer returns what prints an entry in that format, and what ends it; nil for
// a format that there is not.
func printer(format string, w io.Writer) (print func(audit.Entry), flush func() error) {
	switch format {
	case "json":
		var failed error
		return func(x audit.Entry) {
			if _, err := fmt.Fprintf(w, "%s\n", x.Line); err != nil {
				failed = err
			}
		}, func() error { return failed }
	case "csv":
		out := csv.NewWriter(w)
		out.Write([]string{"time", "trail", "seq", "kind", "session", "statement", "issuer", "subject", "verified", "database", "user", "verdict", "rule", "ok", "sqlstate", "rows", "approvers", "sql"})
		return func(x audit.Entry) { out.Write(csvRow(x.Record)) }, func() error {
			out.Flush()
			return out.Error()
		}
	case "table":
		out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "TIME\tSEQ\tKIND\tSTATEMENT\tWHO\tWHAT")
		return func(x audit.Entry) { fmt.Fprintln(out, tableRow(x.Record)) }, out.Flush
	}
	return nil, nil
}

func csvRow(r *audit.Record) []string {
	row := []string{r.Time.Format(time.RFC3339Nano), r.Trail, strconv.FormatUint(r.Seq, 10), string(r.Kind), r.Session, r.Statement}
	if p := r.Who; p != nil {
		row = append(row, p.Issuer, p.Subject, strconv.FormatBool(p.Verified))
	} else {
		row = append(row, "", "", "")
	}
	if d := r.Database; d != nil {
		row = append(row, d.Name, d.User)
	} else {
		row = append(row, "", "")
	}
	if v := r.Verdict; v != nil {
		row = append(row, v.Verdict, v.Rule)
	} else {
		row = append(row, "", "")
	}
	if o := r.Outcome; o != nil {
		row = append(row, strconv.FormatBool(o.OK), o.SQLState, strconv.FormatInt(o.Rows, 10))
	} else {
		row = append(row, "", "", "")
	}
	var by []string
	if r.Decision != nil {
		for _, p := range r.Decision.By {
			by = append(by, p.Subject)
		}
	}
	sql := ""
	if r.SQL != nil {
		sql = r.SQL.Text
	}
	row = append(row, strings.Join(by, " "), sql)
	for i, cell := range row {
		// Lines may stay, in quotes; what moves a terminal's cursor may not.
		lines := strings.Split(cell, "\n")
		for k := range lines {
			lines[k] = approve.Printable(lines[k])
		}
		cell = strings.Join(lines, "\n")
		row[i] = cell
		// A spreadsheet takes a cell that begins so for a formula.
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			row[i] = "'" + cell
		}
	}
	return row
}

func tableRow(r *audit.Record) string {
	who := ""
	if r.Who != nil {
		who = r.Who.Subject
		if !r.Who.Verified {
			who += " (not verified)"
		}
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s", r.Time.Format("2006-01-02 15:04:05.000"), r.Seq, approve.Printable(string(r.Kind)),
		approve.Printable(r.Statement), approve.Printable(who), approve.Printable(short(summary(r), 100)))
}

// summary says in a few words what a record says.
func summary(r *audit.Record) string {
	var parts []string
	if v := r.Verdict; v != nil {
		parts = append(parts, v.Verdict+" by "+v.Rule)
	}
	if d := r.Decision; d != nil {
		word := "rejected"
		if d.Approved {
			word = "approved"
		}
		if r.Detail["break_glass"] != "" {
			word = "BREAK-GLASS, " + word
		}
		for _, p := range d.By {
			word += " by " + p.Subject
		}
		if d.Reason != "" {
			word += " (" + d.Reason + ")"
		}
		parts = append(parts, word)
	}
	if o := r.Outcome; o != nil {
		if o.OK {
			parts = append(parts, fmt.Sprintf("ok, %d rows in %v", o.Rows, o.Duration.Round(10*time.Microsecond)))
		} else {
			parts = append(parts, "failed "+o.SQLState)
		}
	}
	masked := 0
	for _, m := range r.Masks {
		if !m.Clear {
			masked++
		}
	}
	if masked > 0 {
		parts = append(parts, fmt.Sprintf("masked columns %d", masked))
	}
	if r.SQL != nil {
		parts = append(parts, strings.Join(strings.Fields(r.SQL.Text), " "))
	}
	for _, k := range []string{"reason", "sink", "missed", "status", "origin", "key", "chunk", "relation", "hash"} {
		if v := r.Detail[k]; v != "" {
			parts = append(parts, k+" "+v)
		}
	}
	return strings.Join(parts, ": ")
}
