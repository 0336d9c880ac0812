package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/identity/oidc"
)

const approveUsage = `usage: guardedpg approve COMMAND [FLAGS] [ARGUMENTS]

Statements that the policy holds wait here for a person.

  list                       what waits; with --all, also what is decided
  show ID                    one request and what became of it
  yes ID [REASON]            let it run, once
  grant ID [REASON]          let its shape run several times: --times, --for, --rows
  no ID [REASON]             do not let it run
  break-glass ID REASON      let it run alone, in an emergency, if the policy lets you
  revoke ID [REASON]         take an approval back, at once
  watch                      be asked about each request as it comes
  login                      sign in and print a token for GUARDEDPG_TOKEN
  setup                      make the store; with --agents and --approvers, hold two
                             database roles apart in it

An ID can be cut short where that names one request. Who decides must prove who
they are: by an OIDC token in GUARDEDPG_TOKEN or --token-file, or, where there is
neither, by signing in with a browser elsewhere.

Exit codes: 0 done; 1 refused: there is no such request, you may not decide it,
or it is closed; 2 wrong arguments, or something could not be reached.

Flags:
`

// approveFlags are the flags of all of approve's commands.
type approveFlags struct {
	store, issuer, audience, groups string
	claims                          string
	client, tokenFile               string
	all                             bool
	since, lasts                    time.Duration
	times                           int
	rows                            int64
	agents, approvers               string
}

func (f *approveFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.store, "store", "", "`DSN` of the database with the requests (default: GUARDEDPG_APPROVE_DSN)")
	fs.StringVar(&f.issuer, "issuer", "", "`URL` of the OIDC issuer of approvers (default: GUARDEDPG_ISSUER)")
	fs.StringVar(&f.audience, "audience", "", "the token's `audience` (default: GUARDEDPG_AUDIENCE, else guardedpg)")
	fs.StringVar(&f.groups, "groups", "", "the `claim` with your groups (default: GUARDEDPG_GROUPS, else groups)")
	fs.StringVar(&f.claims, "claims", "", "further `claims` that policies ask of approvers, A,B (default: GUARDEDPG_CLAIMS)")
	fs.StringVar(&f.client, "client", "", "the OIDC client `ID` to sign in with (default: the audience)")
	fs.StringVar(&f.tokenFile, "token-file", "", "read the token from `FILE`")
	fs.BoolVar(&f.all, "all", false, "list: also what is decided or has expired")
	fs.DurationVar(&f.since, "since", 7*24*time.Hour, "list: what something happened to since so `long` ago")
	fs.IntVar(&f.times, "times", 0, "grant: how `often`, this time included")
	fs.DurationVar(&f.lasts, "for", 0, "grant: how `long` from now on, such as 30m")
	fs.Int64Var(&f.rows, "rows", 0, "yes and grant: how many `rows` each may touch at most (default: any number)")
	fs.StringVar(&f.agents, "agents", "", "setup: database `role` of the agents' processes")
	fs.StringVar(&f.approvers, "approvers", "", "setup: database `role` of the approvers")
}

// complete takes from the environment what no flag says. Not as the flags'
// defaults: help prints those, and a DSN may hold a password.
func (f *approveFlags) complete() {
	for _, v := range []struct {
		flag       *string
		name, last string
	}{
		{&f.store, "GUARDEDPG_APPROVE_DSN", ""},
		{&f.issuer, "GUARDEDPG_ISSUER", ""},
		{&f.audience, "GUARDEDPG_AUDIENCE", "guardedpg"},
		{&f.groups, "GUARDEDPG_GROUPS", "groups"},
		{&f.claims, "GUARDEDPG_CLAIMS", ""},
	} {
		*v.flag = cmp.Or(*v.flag, os.Getenv(v.name), v.last)
	}
}

func approveCommand(ctx context.Context, args []string, e env) int {
	fs := flag.NewFlagSet("approve", flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() {
		io.WriteString(e.stderr, approveUsage)
		fs.PrintDefaults()
	}
	var f approveFlags
	f.define(fs)
	words, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitUsage
	}
	if len(words) == 0 {
		fs.Usage()
		return exitUsage
	}
	f.complete()
	a := &approval{flags: f, env: e}
	err = a.run(ctx, words[0], words[1:])
	a.close()
	var refused *approve.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &refused):
		fmt.Fprintf(e.stderr, "guardedpg approve: %v\n", refused)
		return exitFound
	case ctx.Err() != nil:
		return exitOK // asked to end
	}
	fmt.Fprintf(e.stderr, "guardedpg approve: %v\n", err)
	return exitUsage
}

// approval is one run of approve.
type approval struct {
	flags approveFlags
	env   env
	store *pgstore.Store
	queue *approve.Queue
}

func (a *approval) close() {
	if a.store != nil {
		a.store.Close()
	}
}

func (a *approval) run(ctx context.Context, command string, args []string) error {
	id, reason := "", ""
	switch command {
	case "show", "yes", "no", "grant", "revoke", "break-glass":
		if len(args) == 0 {
			return fmt.Errorf("%s needs the ID of a request: \"guardedpg approve list\" shows them", command)
		}
		id, reason = args[0], strings.Join(args[1:], " ")
	case "list", "watch", "login", "setup":
		if len(args) > 0 {
			return fmt.Errorf("%s takes no arguments", command)
		}
	default:
		return fmt.Errorf("there is no command %q: \"guardedpg approve -h\" lists them", command)
	}
	if command != "grant" && (a.flags.times != 0 || a.flags.lasts != 0) {
		return errors.New("--times and --for go with grant")
	}
	if command == "login" {
		return a.login(ctx)
	}
	if err := a.open(ctx); err != nil {
		return err
	}
	switch command {
	case "list":
		return a.list(ctx)
	case "show":
		return a.show(ctx, id)
	case "watch":
		return a.watch(ctx)
	case "setup":
		return a.setup(ctx)
	}
	by, err := a.identify(ctx)
	if err != nil {
		return err
	}
	if id, err = a.resolve(ctx, id); err != nil {
		return err
	}
	d := approve.Decision{By: by, Reason: reason}
	switch command {
	case "revoke":
		return a.done(a.queue.Revoke(ctx, id, by, reason))
	case "no":
		d.Verdict = approve.No
	case "break-glass":
		d.Verdict = approve.BreakGlass
	case "yes":
		d.Verdict, d.Scope = approve.Yes, approve.Scope{MaxRows: a.flags.rows}
	case "grant":
		if a.flags.times < 2 || a.flags.lasts <= 0 {
			return errors.New("grant needs --times, of at least 2, and --for: \"yes\" lets it run once")
		}
		d.Verdict = approve.Yes
		d.Scope = approve.Scope{Times: a.flags.times, For: a.flags.lasts, MaxRows: a.flags.rows}
	}
	return a.done(a.queue.Decide(ctx, id, d))
}

func (a *approval) open(ctx context.Context) error {
	if a.flags.store == "" {
		return errors.New("which store? Give --store or set GUARDEDPG_APPROVE_DSN")
	}
	var err error
	if a.store, err = pgstore.Open(ctx, pgstore.Config{DSN: a.flags.store}); err != nil {
		return err
	}
	a.queue, err = approve.NewQueue(approve.QueueConfig{Store: a.store})
	return err
}

// identify says who runs this command.
func (a *approval) identify(ctx context.Context) (identity.Identity, error) {
	if a.flags.issuer == "" {
		return identity.Identity{}, errors.New("who are you? Give --issuer or set GUARDEDPG_ISSUER, and a token in GUARDEDPG_TOKEN")
	}
	var claims []string
	if a.flags.claims != "" {
		claims = strings.Split(a.flags.claims, ",")
	}
	v, err := oidc.New(ctx, oidc.Config{Issuers: []oidc.Issuer{{
		Issuer: a.flags.issuer, Audience: a.flags.audience, Groups: a.flags.groups, Attributes: claims,
	}}})
	if err != nil {
		return identity.Identity{}, err
	}
	token, err := a.token(ctx)
	if err != nil {
		return identity.Identity{}, err
	}
	return v.Verify(ctx, token)
}

func (a *approval) token(ctx context.Context) (string, error) {
	switch {
	case a.flags.tokenFile != "":
		return oidc.File(a.flags.tokenFile).Token(ctx)
	case os.Getenv("GUARDEDPG_TOKEN") != "":
		return oidc.Env("GUARDEDPG_TOKEN").Token(ctx)
	}
	return a.signIn(ctx)
}

func (a *approval) signIn(ctx context.Context) (string, error) {
	return oidc.Device(ctx, oidc.DeviceConfig{
		Issuer: a.flags.issuer, ClientID: cmp.Or(a.flags.client, a.flags.audience),
		Prompt: func(url, complete, code string) error {
			if complete != "" {
				url = complete
			}
			_, err := fmt.Fprintf(a.env.stderr, "To sign in, open\n\n  %s\n\nand check that it shows the code %s\n\n",
				approve.Printable(url), approve.Printable(code))
			return err
		},
	})
}

func (a *approval) login(ctx context.Context) error {
	if a.flags.issuer == "" {
		return errors.New("sign in where? Give --issuer or set GUARDEDPG_ISSUER")
	}
	token, err := a.signIn(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.env.stdout, token)
	return err
}

// resolve returns the whole of an ID that may be cut short. Who asks might name
// a request as people cut the ID of another one short: where that could be meant,
// neither is.
func (a *approval) resolve(ctx context.Context, id string) (string, error) {
	exact, err := a.queue.Case(ctx, id)
	if err != nil && !errors.Is(err, approve.ErrUnknown) {
		return "", err
	}
	cases, listErr := a.queue.Cases(ctx, time.Now().Add(-a.flags.since))
	if listErr != nil {
		return "", listErr
	}
	cases = slices.DeleteFunc(cases, func(c approve.Case) bool {
		rest, longer := strings.CutPrefix(c.Request.ID, id)
		return !longer || err == nil && (c.State != approve.Pending || strings.Trim(rest, "0123456789") == "")
	})
	if err == nil {
		cases = append(cases, exact)
	}
	switch len(cases) {
	case 0:
		return "", err
	case 1:
		return cases[0].Request.ID, nil
	}
	return "", &approve.Error{Class: approve.ErrUnknown, Request: id, Detail: fmt.Sprintf("%d requests begin so: write more of it", len(cases))}
}

func (a *approval) list(ctx context.Context) error {
	cases, err := a.queue.Cases(ctx, time.Now().Add(-a.flags.since))
	if err != nil {
		return err
	}
	if !a.flags.all {
		cases = slices.DeleteFunc(cases, func(c approve.Case) bool { return c.State != approve.Pending && c.State != approve.Unreadable })
	}
	if len(cases) == 0 {
		_, err := fmt.Fprintln(a.env.stdout, "Nothing waits.")
		return err
	}
	w := tabwriter.NewWriter(a.env.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tAGE\tASKED BY\tRULE\tSTATEMENT")
	for _, c := range cases {
		state := string(c.State)
		if n := max(c.Request.Quorum, 1); c.State == approve.Pending && n > 1 {
			state = fmt.Sprintf("%s, %d of %d", state, len(c.Decisions), n)
		}
		if c.State == approve.Unreadable {
			fmt.Fprintf(w, "%s\t%s\t\t\t\t%s\n", short(c.Request.ID, 24), state, short(c.Request.Reason, 60))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", approve.Printable(c.Request.ID), state, ago(c.Request.Created),
			short(c.Request.Identity.Subject(), 24), short(c.Request.Rule, 32), short(c.Request.Statement, 60))
	}
	return w.Flush()
}

// ago is how long ago something was, for a table.
func ago(t time.Time) string {
	d := max(time.Since(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// short is the beginning of s, for a table.
func short(s string, n int) string {
	r := []rune(approve.Printable(strings.Join(strings.Fields(s), " ")))
	if len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return string(r)
}

func (a *approval) show(ctx context.Context, id string) error {
	id, err := a.resolve(ctx, id)
	if err != nil {
		return err
	}
	c, err := a.queue.Case(ctx, id)
	if err != nil {
		return err
	}
	return a.describe(c)
}

// done shows what a decision made of c.
func (a *approval) done(c approve.Case, err error) error {
	if err != nil {
		return err
	}
	return a.describe(c)
}

func (a *approval) describe(c approve.Case) error {
	w := a.env.stdout
	fmt.Fprintf(w, "%s is %s\n", approve.Printable(c.Request.ID), c.State)
	if err := approve.Describe(w, c.Request); err != nil {
		return err
	}
	for _, d := range c.Decisions {
		fmt.Fprintf(w, "  %-10s %s by %s%s\n", "decided", d.Verdict, approve.Person(d.By), because(d.Reason))
	}
	if c.Revoked != nil {
		fmt.Fprintf(w, "  %-10s by %s%s\n", "revoked", approve.Person(c.Revoked.By), because(c.Revoked.Reason))
	}
	if c.State == approve.Approved || c.State == approve.Used {
		fmt.Fprintf(w, "  %-10s %d of %d times", "used", c.Uses, max(c.Scope.Times, 1))
		if c.Scope.MaxRows > 0 {
			fmt.Fprintf(w, ", at most %d rows each", c.Scope.MaxRows)
		}
		fmt.Fprintln(w)
	}
	if c.State == approve.Pending || c.State == approve.Approved {
		fmt.Fprintf(w, "  %-10s %s\n", "ends", c.Ends.Local().Format(time.RFC1123))
	}
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + approve.Printable(reason)
}

func (a *approval) watch(ctx context.Context) error {
	by, err := a.identify(ctx)
	if err != nil {
		return err
	}
	terminal, err := approve.NewTerminal(approve.TerminalConfig{As: by, In: a.env.stdin, Out: a.env.stdout})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.env.stdout, "Watching as %s. Ctrl-C ends.\n", approve.Person(by))
	if err := terminal.Attend(ctx, a.queue); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (a *approval) setup(ctx context.Context) error {
	if a.flags.agents == "" && a.flags.approvers == "" {
		_, err := fmt.Fprintln(a.env.stdout, "The store is ready. Anybody with its owner's role can approve: --agents and --approvers hold two roles apart.")
		return err
	}
	if err := a.store.Separate(ctx, a.flags.agents, a.flags.approvers); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.env.stdout, "The store is ready. %s can ask, and %s can decide.\n",
		approve.Printable(a.flags.agents), approve.Printable(a.flags.approvers))
	return err
}
