package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

const policyTestUsage = `usage: guardedpg policy test [-dsn DSN] [-policy FILE] [-v] CASES...

Checks that a policy decides as its author means it to. A file of cases:

  policy: guard.yaml            # beside this file; -policy takes its place
  setup: |                      # or setup_file: schema.sql
    CREATE TABLE customers (id int PRIMARY KEY, email text);
  cases:
    - name: agents see masked addresses
      statement: SELECT id, email FROM customers
      identity: {subject: bot, groups: [agents]}
      want: {verdict: allow, masks: [pass, email]}
    - name: and drop nothing
      statement: DROP TABLE customers
      want: {verdict: hold, rule: baseline.ddl, approvers: [dba]}

identity also takes issuer, attributes and development: true. A case also takes
in_transaction: true, rows: N (the planner's estimate) and at: a time (default:
now, so name one where a rule asks for the time). What want does not name is not
checked, but for the verdict.

The database is -dsn, or DATABASE_URL, or what PGHOST and its kin say. The setup
runs in a transaction that is rolled back. No statement of a case runs.

Exit codes: 0 all cases are as expected; 1 one is not; 2 wrong arguments, a file
that cannot be read, or no connection.
`

// A policyCases is a file of cases.
type policyCases struct {
	Policy    string       `yaml:"policy"`
	Setup     string       `yaml:"setup"`
	SetupFile string       `yaml:"setup_file"`
	Cases     []policyCase `yaml:"cases"`

	Places strictyaml.Places `yaml:"-"`
}

type policyCase struct {
	Name          string     `yaml:"name"`
	Statement     string     `yaml:"statement"`
	Identity      asker      `yaml:"identity"`
	InTransaction bool       `yaml:"in_transaction"`
	Rows          *int64     `yaml:"rows"`
	At            string     `yaml:"at"`
	Want          policyWant `yaml:"want"`

	Places strictyaml.Places `yaml:"-"`
}

type policyWant struct {
	Verdict   guard.Verdict `yaml:"verdict"`
	Rule      string        `yaml:"rule"`
	Masks     []string      `yaml:"masks"`
	Approvers []string      `yaml:"approvers"`
	Tests     []string      `yaml:"tests"`

	Places strictyaml.Places `yaml:"-"`
}

func policyTest(ctx context.Context, args []string, e env) int {
	flags := flag.NewFlagSet("policy test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dsn := flags.String("dsn", databaseURL(), "")
	policy := flags.String("policy", "", "")
	verbose := flags.Bool("v", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		if errors.Is(err, flag.ErrHelp) {
			io.WriteString(e.stdout, policyTestUsage)
			return exitOK
		}
		if err == nil {
			err = errors.New("name a file of cases")
		}
		return wrong(e, "policy test", "%v", err)
	}
	ran, failed := 0, 0
	for _, path := range flags.Args() {
		n, bad, err := testFile(ctx, path, *dsn, *policy, *verbose, e)
		if err != nil {
			fmt.Fprintln(e.stderr, "guardedpg policy test:", err)
			return exitUsage
		}
		ran, failed = ran+n, failed+bad
	}
	if failed > 0 {
		fmt.Fprintf(e.stdout, "%d of %s failed\n", failed, count(ran, "case"))
		return exitFound
	}
	fmt.Fprintf(e.stdout, "%s, all as expected\n", count(ran, "case"))
	return exitOK
}

func testFile(ctx context.Context, path, dsn, policy string, verbose bool, e env) (ran, failed int, err error) {
	file, err := readCases(path)
	if err != nil {
		return 0, 0, err
	}
	if policy == "" {
		policy = beside(path, file.Policy)
	}
	conn, err := connect(ctx, dsn)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // which rolls back
	if err := setUp(ctx, conn, file.Setup); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	p, err := newPlanning(ctx, policy, conn)
	if err != nil {
		return 0, 0, err
	}
	p.warn(e)
	for _, c := range file.Cases {
		wrong := p.check(ctx, c)
		switch {
		case len(wrong) > 0:
			failed++
			fmt.Fprintf(e.stdout, "FAIL  %s: %s\n", c.Places.Key("name"), c.Name)
			for _, w := range wrong {
				fmt.Fprintf(e.stdout, "      %s\n", w)
			}
		case verbose:
			fmt.Fprintf(e.stdout, "ok    %s\n", c.Name)
		}
	}
	return len(file.Cases), failed, nil
}

func readCases(path string) (*policyCases, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file policyCases
	if err := strictyaml.Decode(data, path, &file); err != nil {
		return nil, err
	}
	var errs strictyaml.Errors
	add := func(p strictyaml.Places, key, full, what string) {
		errs = append(errs, &strictyaml.Error{Place: p.Key(key), Key: full, What: what})
	}
	if len(file.Cases) == 0 {
		add(file.Places, "cases", "cases", "has no case: nothing would be checked")
	}
	if file.SetupFile != "" {
		if file.Setup != "" {
			add(file.Places, "setup_file", "setup_file", "stands beside setup: leave one of them out")
		}
		sql, err := os.ReadFile(beside(path, file.SetupFile))
		if err != nil {
			return nil, err
		}
		file.Setup = string(sql)
	}
	for i, c := range file.Cases {
		key := fmt.Sprintf("cases[%d]", i)
		if c.Name == "" {
			add(c.Places, "name", key+".name", "is missing")
		}
		if strings.TrimSpace(c.Statement) == "" {
			add(c.Places, "statement", key+".statement", "is missing")
		}
		if !c.Want.Places.Has("verdict") {
			add(c.Places, "want", key+".want.verdict", "is missing: allow, hold or deny")
		}
		if _, err := c.at(); err != nil {
			add(c.Places, "at", key+".at", `is no time such as "2026-01-02T03:04:05Z"`)
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return &file, nil
}

// beside returns a path that a file names, relative to that file.
func beside(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

func (c policyCase) at() (time.Time, error) {
	if c.At == "" {
		return time.Now(), nil
	}
	return time.Parse(time.RFC3339, c.At)
}

// check returns what is not as the case wants it.
func (p *planning) check(ctx context.Context, c policyCase) []string {
	plan, err := p.plan(ctx, c.Statement)
	if err != nil {
		// What is not SQL is refused before any policy.
		if c.Want.Verdict == guard.Deny && c.Want.Rule == "" {
			return nil
		}
		return []string{"the text is refused: " + err.Error()}
	}
	at, _ := c.at()
	got := plan.Decide(p.input(c.Identity, c.InTransaction, c.Rows, at))
	var wrong []string
	differ := func(what, want, got string) {
		if want != got {
			wrong = append(wrong, fmt.Sprintf("%s: want %s, got %s", what, want, got))
		}
	}
	differ("verdict", c.Want.Verdict.String(), got.Verdict.String())
	if c.Want.Rule != "" {
		differ("rule", c.Want.Rule, got.Rule)
	}
	if c.Want.Places.Has("masks") {
		var masks []string
		for _, list := range got.Masks {
			for _, m := range list {
				masks = append(masks, maskText(m))
			}
		}
		differ("masks", list(c.Want.Masks), list(masks))
	}
	if c.Want.Places.Has("approvers") {
		differ("approvers", list(sortedCopy(c.Want.Approvers)), list(sortedCopy(got.Approvers.Groups)))
	}
	if c.Want.Places.Has("tests") {
		differ("tests", list(sortedCopy(c.Want.Tests)), list(got.Tests))
	}
	if len(wrong) > 0 {
		why := "rule " + got.Rule
		if got.Reason != "" {
			why += ": " + got.Reason
		}
		wrong = append(wrong, "decided by "+why)
	}
	return wrong
}

func list(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

func sortedCopy(items []string) []string { return slices.Sorted(slices.Values(items)) }
