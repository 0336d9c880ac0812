package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
)

const verifyUsage = `usage: guardedpg verify [--json] [--anchor ANCHOR] DIR...

Checks the trails in each DIR: every record against the chain, every seal
against the key that had to sign it, every trail against the one that followed,
and against the ANCHOR, if one is given: the postgres:// URL of a database with
the heads, or a file of heads, one JSON object in each line. Without an anchor
nobody can say whether a trail that was not closed was cut.

Exit codes: 0 all is as it was written; 1 something was altered; 2 it could not
be checked; 3 nothing is wrong, but the end of a trail cannot be known.

`

func verify(ctx context.Context, args []string, e env) int {
	fs := flag.NewFlagSet("verify", flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() {
		io.WriteString(e.stderr, verifyUsage)
		fs.PrintDefaults()
	}
	asJSON := fs.Bool("json", false, "print the report as JSON")
	anchor := fs.String("anchor", "", "compare with the heads at this `URL or file`")
	dirs, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitUsage
	}
	if len(dirs) == 0 {
		return wrong(e, "verify", "which trails? Name their directory")
	}
	var opt audit.VerifyOptions
	if *anchor != "" {
		r, done, err := openAnchor(ctx, *anchor)
		if err != nil {
			fmt.Fprintf(e.stderr, "guardedpg verify: %v\n", err)
			return exitUsage
		}
		defer done()
		opt.Anchor = r
	}
	began := time.Now()
	report, err := audit.Verify(ctx, dirs, opt)
	if err != nil {
		fmt.Fprintf(e.stderr, "guardedpg verify: %v\n", err)
		return exitUsage
	}
	if *asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(report); err != nil {
			return exitUsage
		}
	} else {
		printReport(e.stdout, report, time.Since(began))
	}
	switch {
	case len(report.Findings) > 0:
		return exitFound
	case !report.OK():
		return exitOpen
	}
	return exitOK
}

// parseMixed parses flags wherever they stand among the arguments.
func parseMixed(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if args = fs.Args(); len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func printReport(w io.Writer, r *audit.Report, took time.Duration) {
	var b strings.Builder
	var records uint64
	var seals int
	for _, t := range r.Trails {
		records += t.Records
		seals += t.Seals
		fmt.Fprintf(&b, "%s  %d records, %d seals, %s", approve.Printable(t.Origin), t.Records, t.Seals, t.End)
		if t.Anchored > 0 {
			fmt.Fprintf(&b, ", anchored to %d", t.Anchored)
		}
		if !t.First.IsZero() {
			fmt.Fprintf(&b, ", %s to %s", t.First.Format(time.DateTime), t.Last.Format(time.DateTime))
		}
		b.WriteByte('\n')
		for _, o := range t.Orphans {
			fmt.Fprintf(&b, "  statement %s has no outcome\n", approve.Printable(o))
		}
		for _, u := range t.Unknown {
			fmt.Fprintf(&b, "  unknown: %s\n", approve.Printable(u))
		}
	}
	for _, d := range r.Deleted {
		fmt.Fprintf(&b, "%s  %d records, deleted by the rules of retention: record %d of %s, %s\n", approve.Printable(d.Head.Origin),
			d.Head.Seq, d.Seq, approve.Printable(d.By), d.Time.Format(time.DateTime))
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "TAMPERED %s\n", approve.Printable(f.String()))
	}
	verdict := "OK: every record is as it was written"
	switch {
	case len(r.Findings) > 0:
		verdict = "NOT OK: " + plural(len(r.Findings), "finding")
	case !r.OK():
		verdict = "NOT CLOSED: nothing is wrong in what is here; what cannot be known is said above"
	}
	fmt.Fprintf(&b, "\nchecked %s, %s, %s in %v\n%s\n", plural(len(r.Trails), "trail"), plural(records, "record"), plural(seals, "seal"), took.Round(time.Millisecond), verdict)
	io.WriteString(w, b.String())
}
