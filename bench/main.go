// Bench measures what guardedpg costs: pgx's stdlib driver, guardedpg and
// otelsql in one process, in alternating rounds, on PostgreSQL servers that it
// starts.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"time"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// options are the flags.
type options struct {
	rounds int
	round  time.Duration
	rows   int
	only   *regexp.Regexp
	docs   string
	json   string
	prof   string
}

func main() {
	opt, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = bench(ctx, opt, os.Stdout, os.Stderr)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string, usage io.Writer) (options, error) {
	var opt options
	var only string
	var short bool
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(usage)
	f.IntVar(&opt.rounds, "rounds", 25, "rounds per workload")
	f.DurationVar(&opt.round, "round", 200*time.Millisecond, "duration of one contestant's part of a round")
	f.IntVar(&opt.rows, "rows", 200_000, "customers in the table, and rows of a scan")
	f.StringVar(&only, "only", "", "regular expression of the workloads to run")
	f.BoolVar(&short, "short", false, "a look in half a minute: 3 rounds of 50 ms, 20,000 rows")
	f.StringVar(&opt.docs, "docs", "", "Markdown file to put the tables into")
	f.StringVar(&opt.json, "json", "", "directory for the samples")
	f.StringVar(&opt.prof, "profile", "", "file for a CPU profile, whose samples are labelled with the contestant")
	if err := f.Parse(args); err != nil {
		return opt, err
	}
	if short {
		opt.rounds, opt.round, opt.rows = 3, 50*time.Millisecond, 20_000
	}
	if f.NArg() > 0 {
		return opt, fmt.Errorf("no arguments are taken beside flags, and there is %q", f.Arg(0))
	}
	if opt.rounds < 1 || opt.round <= 0 || opt.rows < 1 {
		return opt, errors.New("-rounds, -round and -rows must be positive")
	}
	var err error
	opt.only, err = regexp.Compile(only)
	return opt, err
}

func bench(ctx context.Context, opt options, out, progress io.Writer) error {
	if opt.prof != "" {
		file, err := os.Create(opt.prof)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	g, err := newGuarded()
	if err != nil {
		return err
	}
	defer g.close()
	cs := contestants(g)
	r := &runner{contestants: cs, rounds: opt.rounds, round: opt.round, progress: progress}

	fast, version, stop, err := server(ctx, pgtest.Options{}, opt.rows)
	if err != nil {
		return err
	}
	defer stop()
	durable, _, stop, err := server(ctx, pgtest.Options{Durable: true}, 1)
	if err != nil {
		return err
	}
	defer stop()
	r.fast, r.durable = fast, durable

	rep := newReport(version, opt.rounds, cs)
	if rep.Disk, rep.DiskCPU, err = probeDisk(20 * opt.rounds); err != nil {
		return err
	}
	for _, w := range workloads(opt.rows) {
		if !opt.only.MatchString(w.name) {
			continue
		}
		res, err := r.run(ctx, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		rep.add(res)
		if w.name != newTexts {
			continue
		}
		for _, c := range cs {
			if rep.RoundTrips[c.name], err = roundTrips(ctx, c, w, fast); err != nil {
				return fmt.Errorf("round trips: %w", err)
			}
		}
	}
	if len(rep.Workloads) == 0 {
		return fmt.Errorf("no workload matches -only %s", opt.only)
	}

	if err := rep.markdown(out); err != nil {
		return err
	}
	if opt.json != "" {
		name, err := rep.writeJSON(opt.json)
		if err != nil {
			return err
		}
		fmt.Fprintln(progress, "samples in", name)
	}
	if opt.docs != "" {
		return rep.writeDocs(opt.docs)
	}
	return nil
}

// server starts a server with the tables and returns the DSN of a role that
// may use them and owns nothing.
func server(ctx context.Context, opt pgtest.Options, customers int) (dsn, version string, stop func(), err error) {
	// Each contestant holds its 64 connections at the same time.
	opt.Settings = map[string]string{"max_connections": "400"}
	s, err := opt.Run(ctx)
	if err != nil {
		return "", "", nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	db, err := sql.Open("pgx", s.DSN(pgtest.Superuser, "postgres"))
	if err != nil {
		return "", "", nil, err
	}
	defer db.Close()
	for _, statement := range []string{
		loadSchema(customers),
		"create role agent login password 'agent'; grant select, insert on customer, event to agent",
		"vacuum (freeze, analyze)",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return "", "", nil, err
		}
	}
	if err := db.QueryRowContext(ctx, "show server_version").Scan(&version); err != nil {
		return "", "", nil, err
	}
	return s.DSN("agent", "postgres"), version, s.Stop, nil
}
