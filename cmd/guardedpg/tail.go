package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
)

const tailUsage = `usage: guardedpg tail [FLAGS] DIR...

Prints records as they are written, also those of processes that begin later,
until it is interrupted. It takes the flags of "guardedpg query".

Exit codes: 0 interrupted; 2 wrong arguments, or something could not be read.

`

// tailEvery is how often tail looks for more.
const tailEvery = 200 * time.Millisecond

func tail(ctx context.Context, args []string, e env) int {
	fs := flag.NewFlagSet("tail", flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() {
		io.WriteString(e.stderr, tailUsage)
		fs.PrintDefaults()
	}
	var f filter
	f.define(fs)
	format := fs.String("format", "table", "`how` to print: table or json")
	all := fs.Bool("all", false, "begin with what is already there")
	dirs, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case len(dirs) == 0:
		return wrong(e, "tail", "which trails? Name their directory")
	case *format != "table" && *format != "json":
		fmt.Fprintf(e.stderr, "guardedpg tail: --format %q: want table or json\n", *format)
		return exitUsage
	}
	readers, given := map[string]*audit.Reader{}, map[string]bool{} // given up
	defer func() {
		for _, r := range readers {
			r.Close()
		}
	}()
	look := func(print bool) error {
		for _, dir := range dirs {
			trails, err := audit.Trails(dir)
			if err != nil {
				return err
			}
			for _, trail := range trails {
				r := readers[trail]
				if r == nil {
					r = audit.NewReader(trail)
					readers[trail] = r
				}
				if given[trail] {
					continue
				}
				err := drain(ctx, r, func(x audit.Entry) bool {
					switch {
					case !print || !f.match(x.Record):
					case *format == "json":
						fmt.Fprintf(e.stdout, "%s\n", x.Line)
					default:
						fmt.Fprintln(e.stdout, tableRow(x.Record))
					}
					return true
				})
				if ctx.Err() == nil && (err != nil || r.Broken()) {
					given[trail] = true // the others go on
					fmt.Fprintf(e.stderr, "guardedpg tail: %s is not read any further: \"guardedpg verify\" says what is wrong\n", approve.Printable(trail))
				}
			}
		}
		return nil
	}
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for print := *all; ; print = true {
		if err := look(print); err != nil && ctx.Err() == nil {
			fmt.Fprintf(e.stderr, "guardedpg tail: %v\n", err)
			return exitUsage
		}
		select {
		case <-ctx.Done():
			return exitOK
		case <-tick.C:
		}
	}
}

// drain hands over what a reader has at present, until visit says stop.
func drain(ctx context.Context, r *audit.Reader, visit func(audit.Entry) bool) error {
	for ctx.Err() == nil {
		x, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !visit(x) {
			return nil
		}
	}
	return ctx.Err()
}
