// Command quickstart plays a session of an AI agent against a shop's database
// behind guardedpg: what it asks, what it gets, what waits for a person, and
// the evidence that remains.
//
// It starts what it needs (PostgreSQL, an OpenID Connect issuer) and leaves
// nothing behind. Where there is a terminal, you are the person who decides.
package main

import (
	"bytes"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/term"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/identity/oidc"
	"github.com/guardedpg/guardedpg/identity/oidc/oidctest"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

//go:embed shop.sql
var shopSQL string

//go:embed guard.yaml
var guardYAML string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "guardedpg-quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	title("1. A shop's database, an identity provider, and a policy")
	server, err := pgtest.Run(ctx)
	if err != nil {
		return err
	}
	defer server.Stop()
	if err := load(ctx, server); err != nil {
		return err
	}
	issuer := oidctest.Start()
	defer issuer.Close()
	os.Setenv("AGENT_TOKEN", issuer.Sign(map[string]any{
		"sub": "repo:shop/reports:ref:refs/heads/main", "aud": "guardedpg", "groups": []string{"agents"}}))
	config, err := writeConfig(dir, issuer.URL)
	if err != nil {
		return err
	}
	cfg, err := guardedpg.LoadConfig(config)
	if err != nil {
		return err
	}
	cfg.DSN = server.DSN("agent", "shop") + "&application_name=report-agent"
	cfg.Approver, err = approver(ctx, issuer)
	if err != nil {
		return err
	}
	db, err := guardedpg.OpenDB(cfg)
	if err != nil {
		return err
	}

	title("2. What the agent asks, and what it gets")
	agent := &session{ctx: guardedpg.WithPurpose(ctx, "weekly sales report"), db: db}
	agent.asks("Who are our newest customers, and how do I reach them?",
		"SELECT c.name, c.email, k.card_number FROM customers c JOIN cards k ON k.customer_id = c.id ORDER BY c.since DESC, c.id LIMIT 3")
	agent.asks("The same through a view, under another name.",
		"SELECT name, reach_at AS note FROM contacts WHERE id <= 2")
	agent.asks("Perhaps an expression gets past it?",
		"SELECT id, reverse(email) AS a, encode(email::bytea, 'base64') AS b FROM customers WHERE id = 7")
	agent.asks("Or an error message?",
		"SELECT email::int FROM customers WHERE id = 7")
	agent.asks("Or a copy, to be read later?",
		"INSERT INTO support_notes (customer_id, body) SELECT id, email FROM customers")
	agent.asks("What is not protected comes back as it is.",
		"SELECT region, count(*) AS customers, sum(o.total) AS revenue FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY region ORDER BY region")
	agent.asks("An ordinary change, limited by a key, just runs.",
		"UPDATE orders SET status = 'sent' WHERE id = 42")

	title("3. What waits for a person")
	agent.asks("An old import is in the way.", "DROP TABLE import_2019")
	agent.asks("So is the payments table, the agent believes.", "DROP TABLE payments")
	agent.asks("A change without a limit.", "UPDATE orders SET status = 'returned'")
	agent.asks("A customer goes; the payments go with it, three tables further.", "DELETE FROM customers WHERE id = 7")

	if err := db.Close(); err != nil {
		return err
	}
	return evidence(ctx, filepath.Join(dir, "audit"))
}

func load(ctx context.Context, server *pgtest.Server) error {
	conn, err := pgx.Connect(ctx, server.DSN("postgres", "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE shop"); err != nil {
		return err
	}
	shop, err := pgx.Connect(ctx, server.DSN("postgres", "shop"))
	if err != nil {
		return err
	}
	defer shop.Close(ctx)
	if _, err := shop.Exec(ctx, shopSQL); err != nil {
		return err
	}
	var rows int64
	if err := shop.QueryRow(ctx, "SELECT sum(reltuples)::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'hr'::regnamespace)").Scan(&rows); err != nil {
		return err
	}
	fmt.Printf("PostgreSQL %d, %d rows in 7 tables.\n", server.VersionNum()/10000, rows)
	return nil
}

func writeConfig(dir, issuer string) (string, error) {
	t, err := template.New("guard.yaml").Parse(guardYAML)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]string{"Issuer": issuer}); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "guard.yaml")
	fmt.Printf("\n%s", indent(b.String()))
	return path, os.WriteFile(path, b.Bytes(), 0o600)
}

// approver asks at the terminal where there is one; else a reviewer decides by
// a script. Both are identities that the issuer vouches for.
func approver(ctx context.Context, issuer *oidctest.Issuer) (approve.Approver, error) {
	v, err := oidc.New(ctx, oidc.Config{Issuers: []oidc.Issuer{{Issuer: issuer.URL, Audience: "guardedpg"}}})
	if err != nil {
		return nil, err
	}
	reviewer, err := v.Verify(ctx, issuer.Sign(map[string]any{"sub": "on-call-reviewer", "aud": "guardedpg", "groups": []string{"dba"}}))
	if err != nil {
		return nil, err
	}
	if term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())) {
		return approve.NewTerminal(approve.TerminalConfig{As: reviewer})
	}
	return approve.Func(func(_ context.Context, r approve.Request) (approve.Grant, error) {
		if err := approve.Describe(indented{}, r); err != nil {
			return approve.Grant{}, err
		}
		if r.Statement == "DROP TABLE import_2019" {
			fmt.Println("    | scripted reviewer: yes, that import is done with")
			return approve.Grant{Request: r.ID, Digest: r.Digest, By: []identity.Identity{reviewer}, Reason: "that import is done with", At: time.Now()}, nil
		}
		fmt.Println("    | scripted reviewer: no")
		return approve.Grant{}, &approve.RejectedError{Request: r.ID, By: reviewer, Reason: "not without a ticket"}
	}), nil
}

// session is the agent's side: database/sql and nothing else.
type session struct {
	ctx context.Context
	db  *sql.DB
}

func (s *session) asks(why, query string) {
	fmt.Printf("\n  %s\n  > %s\n", why, query)
	if err := s.query(query); err != nil {
		fmt.Printf("    ! %v\n", err)
	}
}

func (s *session) query(query string) error {
	if !strings.HasPrefix(query, "SELECT") {
		res, err := s.db.ExecContext(s.ctx, query)
		if err != nil {
			return err
		}
		n, _ := res.RowsAffected()
		fmt.Printf("    done, %d rows\n", n)
		return nil
	}
	rows, err := s.db.QueryContext(s.ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	fmt.Printf("    %s\n", strings.Join(cols, " | "))
	for rows.Next() {
		values := make([]any, len(cols))
		for i := range values {
			values[i] = new(sql.NullString)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		line := make([]string, len(cols))
		for i, v := range values {
			line[i] = v.(*sql.NullString).String
		}
		fmt.Printf("    %s\n", strings.Join(line, " | "))
	}
	return rows.Err()
}

// evidence shows what the trail holds, verifies it, and alters one byte.
func evidence(ctx context.Context, dir string) error {
	title("4. The evidence")
	segments, err := segments(dir)
	if err != nil {
		return err
	}
	for _, path := range segments {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			if r, err := audit.ParseRecord(bytes.TrimSpace(line)); err == nil {
				tell(r)
			}
		}
	}
	report, err := audit.Verify(ctx, []string{dir}, audit.VerifyOptions{})
	if err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return fmt.Errorf("the trail does not verify: %v", report.Findings[0])
	}
	for _, t := range report.Trails {
		fmt.Printf("\n  verified: %d records, %d seals, nothing altered\n", t.Records, t.Seals)
		for _, u := range t.Unknown {
			fmt.Printf("  not known: %s\n", u)
		}
	}

	title("5. One byte of it altered")
	data, err := os.ReadFile(segments[0])
	if err != nil {
		return err
	}
	at := bytes.Index(data, []byte("DROP TABLE payments"))
	if at < 0 {
		return errors.New("the trail does not name the statement")
	}
	data[at+len("DROP TABLE ")] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		return err
	}
	report, err = audit.Verify(ctx, []string{dir}, audit.VerifyOptions{})
	if err != nil {
		return err
	}
	if len(report.Findings) == 0 {
		return errors.New("an altered trail verified")
	}
	for _, f := range report.Findings {
		fmt.Printf("  found: %v\n", f)
	}
	fmt.Println("\nThat is all. The README says how to put it before your own database.")
	return nil
}

// tell prints a record in a line, where a reader would want it.
func tell(r *audit.Record) {
	switch {
	case r.Kind == audit.KindDecision && r.Decision != nil:
		word := "rejected"
		if r.Decision.Approved {
			word = "approved"
		}
		by := ""
		for _, p := range r.Decision.By {
			by += " by " + p.Subject
		}
		fmt.Printf("  %4d  %-9s %s%s: %s\n", r.Seq, r.Kind, word, by, r.Decision.Reason)
	case r.SQL != nil && r.Verdict != nil:
		who := "?"
		if r.Who != nil {
			who = r.Who.Subject
			if !r.Who.Verified {
				who += " (unverified)"
			}
		}
		fmt.Printf("  %4d  %-9s %-5s by rule %s, %s: %s\n", r.Seq, r.Kind, r.Verdict.Verdict, r.Verdict.Rule, who, short(r.SQL.Text))
	case r.Kind == audit.KindMask || len(r.Masks) > 0:
		for _, m := range r.Masks {
			fmt.Printf("  %4d  %-9s %s from %s: %d values by %s\n", r.Seq, "mask", m.Column, strings.Join(m.Sources, ", "), m.Values, m.Masker)
		}
	}
}

func segments(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".jsonl") {
			out = append(out, path)
		}
		return err
	})
	if err == nil && len(out) == 0 {
		err = errors.New("there is no trail in " + dir)
	}
	return out, err
}

func title(s string) { fmt.Printf("\n%s\n%s\n", s, strings.Repeat("-", len(s))) }

func short(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") + "\n"
}

// indented writes to the standard output behind a bar.
type indented struct{}

func (indented) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		fmt.Printf("    | %s", line)
	}
	return len(p), nil
}
