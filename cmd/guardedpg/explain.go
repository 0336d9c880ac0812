package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

const explainUsage = `usage: guardedpg explain [-dsn DSN] [-json] -sql TEXT
       guardedpg explain [-dsn DSN] [-json] < FILE

Prints what a statement would do, without running it: what each output column
derives from, which columns decide which rows come, what is read and written and
by which way, what else happens, and what could not be understood.

The database is -dsn, or what PGHOST, PGDATABASE and their kin say. Names mean
what they mean to that user with the search_path of that connection.

Exit codes: 0 all was understood; 1 something was not; 2 wrong arguments, no
connection, or text that is not SQL.
`

func explain(ctx context.Context, args []string, e env) int {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dsn := flags.String("dsn", os.Getenv("DATABASE_URL"), "")
	sql := flags.String("sql", "", "")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			io.WriteString(e.stdout, explainUsage)
			return exitOK
		}
		if err == nil {
			err = errors.New("give the statement with -sql, or on the standard input")
		}
		return wrong(e, "explain", "%v", err)
	}
	fail := func(what string, err error) int {
		fmt.Fprintf(e.stderr, "guardedpg explain: %s: %v\n", what, err)
		return exitUsage
	}
	text := *sql
	if text == "" {
		data, err := io.ReadAll(e.stdin)
		if err != nil {
			return fail("standard input cannot be read", err)
		}
		text = string(data)
	}
	conn, err := pgx.Connect(ctx, *dsn)
	if err != nil {
		return fail("no connection", err)
	}
	defer conn.Close(ctx)
	snap, err := catalog.Load(ctx, conn)
	if err != nil {
		return fail("the catalog cannot be read", err)
	}
	var path []string
	if err := conn.QueryRow(ctx, "SELECT current_schemas(true)::text[]").Scan(&path); err != nil {
		return fail("the search_path cannot be read", err)
	}
	facts, err := analysis.Analyze(ctx, text, snap, analysis.Session{Path: path})
	if err != nil {
		return fail("the text is refused", err)
	}
	report := facts.Report(snap)
	if *asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = printableLines(e.stdout, report.Write)
	}
	if err != nil {
		return fail("the report cannot be written", err)
	}
	for _, st := range report.Statements {
		if len(st.Unknown) > 0 {
			return exitFound
		}
	}
	return exitOK
}
