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

	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

const policyExplainUsage = `usage: guardedpg policy explain [FLAGS] FILE [-sql TEXT]

Says what the policy of a configuration file makes of a statement, read from
-sql or the standard input, and why: the facts, what every rule says, the
verdict, and what happens to each column of the result. Nothing is run.

  -dsn DSN        the database (default: DATABASE_URL, or PGHOST and its kin)
  -subject NAME   who asks (default: agent)
  -issuer URL     who vouches for that
  -groups A,B     the asker's groups
  -attributes K=V,K=V
  -development    the identity is not verified
  -transaction    inside an open transaction
  -rows N         what the planner would estimate
  -json           for programs

Exit codes: 0 it is allowed; 1 it is held or denied; 2 wrong arguments, no
connection, or text that is not SQL.
`

// A decisionReport is what policy explain prints.
type decisionReport struct {
	analysis.Report
	Rules   [][]guard.RuleOutcome `json:"rules"` // for each statement
	Verdict string                `json:"verdict"`
	Rule    string                `json:"rule"`
	Reason  string                `json:"reason,omitempty"`
	Hint    string                `json:"hint,omitempty"`
	// Approvers, Ticket and Wait are of a held statement.
	Approvers *guard.Approvers `json:"approvers,omitempty"`
	Ticket    bool             `json:"ticket,omitempty"`
	Wait      string           `json:"wait,omitempty"`
	Masks     [][]maskReport   `json:"masks,omitempty"` // for each statement
	Policy    string           `json:"policy"`
}

type maskReport struct {
	Column  string   `json:"column"`
	Mask    string   `json:"mask"` // pass, clear or a mask
	Rule    string   `json:"rule,omitempty"`
	Sources []string `json:"sources,omitempty"`
}

func policyExplain(ctx context.Context, args []string, e env) int {
	flags := flag.NewFlagSet("policy explain", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dsn := flags.String("dsn", databaseURL(), "")
	sql := flags.String("sql", "", "")
	asJSON := flags.Bool("json", false, "")
	var who asker
	flags.StringVar(&who.Subject, "subject", "", "")
	flags.StringVar(&who.Issuer, "issuer", "", "")
	flags.BoolVar(&who.Development, "development", false, "")
	groups := flags.String("groups", "", "")
	attributes := flags.String("attributes", "", "")
	inTransaction := flags.Bool("transaction", false, "")
	rows := flags.Int64("rows", -1, "")
	files, err := parseMixed(flags, args)
	if err != nil || len(files) != 1 {
		if errors.Is(err, flag.ErrHelp) {
			io.WriteString(e.stdout, policyExplainUsage)
			return exitOK
		}
		if err == nil {
			err = errors.New("name one configuration file, and give the statement with -sql, or on the standard input")
		}
		return wrong(e, "policy explain", "%v", err)
	}
	fail := func(err error) int {
		fmt.Fprintln(e.stderr, "guardedpg policy explain:", err)
		return exitUsage
	}
	if *groups != "" {
		who.Groups = strings.Split(*groups, ",")
	}
	if *attributes != "" {
		who.Attributes = map[string]string{}
		for pair := range strings.SplitSeq(*attributes, ",") {
			k, v, ok := strings.Cut(pair, "=")
			if !ok {
				return fail(errors.New("-attributes takes name=value, separated by commas"))
			}
			who.Attributes[k] = v
		}
	}
	text := *sql
	if text == "" {
		data, err := io.ReadAll(e.stdin)
		if err != nil {
			return fail(err)
		}
		text = string(data)
	}
	conn, err := connect(ctx, *dsn)
	if err != nil {
		return fail(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p, err := newPlanning(ctx, files[0], conn)
	if err != nil {
		return fail(err)
	}
	p.warn(e)
	plan, err := p.plan(ctx, text)
	if err != nil {
		return fail(fmt.Errorf("the text is refused: %w", err))
	}
	var known *int64
	if *rows >= 0 {
		known = rows
	}
	r := p.report(plan, p.input(who, *inTransaction, known, time.Now()))
	if *asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(r)
	} else {
		err = printableLines(e.stdout, r.Write)
	}
	if err != nil {
		return fail(err)
	}
	if r.Verdict != guard.Allow.String() {
		return exitFound
	}
	return exitOK
}

func (p *planning) report(plan *guard.Plan, in guard.Input) decisionReport {
	d := plan.Decide(in)
	r := decisionReport{Report: plan.Facts().Report(p.snap), Rules: plan.Explain(in), Verdict: d.Verdict.String(), Rule: d.Rule,
		Reason: d.Reason, Hint: d.Hint, Policy: p.bound.Engine().Hash()}
	if d.Verdict == guard.Hold {
		r.Approvers, r.Ticket = &d.Approvers, d.Ticket
		if !d.Ticket {
			r.Wait = d.Wait.String()
		}
	}
	for i, masks := range d.Masks {
		var list []maskReport
		for j, m := range masks {
			list = append(list, maskReport{Column: plan.Facts().Statements[i].Outputs[j].Name, Mask: maskText(m), Rule: m.Rule, Sources: m.Sources})
		}
		r.Masks = append(r.Masks, list)
	}
	return r
}

// Write prints the report for a person.
func (r decisionReport) Write(w io.Writer) error {
	if err := r.Report.Write(w); err != nil {
		return err
	}
	var b strings.Builder
	for i, rules := range r.Rules {
		if len(r.Rules) > 1 {
			fmt.Fprintf(&b, "\nrules, statement %d\n", i+1)
		} else {
			b.WriteString("\nrules\n")
		}
		for _, o := range rules {
			mark, note := " ", ""
			if o.Counts {
				mark = "*"
			}
			switch {
			case o.Own:
				note = "  before any rule: " + o.Reason
			case o.Failed && o.Counts:
				note = "  cannot be evaluated, and counts"
			case o.Failed:
				note = "  cannot be evaluated, and does not count"
			}
			fmt.Fprintf(&b, "  %s %-5s %s%s\n", mark, o.Then, o.Rule, note)
		}
	}
	for i, masks := range r.Masks {
		if len(masks) == 0 {
			continue
		}
		if len(r.Masks) > 1 {
			fmt.Fprintf(&b, "\ncolumns, statement %d\n", i+1)
		} else {
			b.WriteString("\ncolumns\n")
		}
		for j, m := range masks {
			fmt.Fprintf(&b, "  %2d %s: %s", j+1, m.Column, m.Mask)
			if m.Rule != "" {
				fmt.Fprintf(&b, " by %s", m.Rule)
			}
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(&b, "\n%s by %s\n", r.Verdict, r.Rule)
	if r.Reason != "" {
		fmt.Fprintf(&b, "  %s; %s\n", r.Reason, r.Hint)
	}
	if a := r.Approvers; a != nil {
		who := "anybody but the asker"
		if len(a.Groups) > 0 {
			who = strings.Join(a.Groups, ", ")
		}
		fmt.Fprintf(&b, "  decided by %s of %s", count(max(a.Quorum, 1), "person"), who)
		for _, name := range sortedKeys(a.Claims) {
			fmt.Fprintf(&b, ", with %s %s", name, a.Claims[name])
		}
		if len(a.Issuers) > 0 {
			fmt.Fprintf(&b, ", by the word of %s", strings.Join(a.Issuers, ", "))
		}
		if len(a.BreakGlass) > 0 {
			fmt.Fprintf(&b, ", or one of %s in an emergency", strings.Join(a.BreakGlass, ", "))
		}
		if r.Ticket {
			b.WriteString("; the asker gets a ticket\n")
		} else {
			fmt.Fprintf(&b, "; the asker waits %s\n", r.Wait)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
