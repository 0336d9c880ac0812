// Command approval shows two people's view of one queue: an agent whose risky
// statements wait, and an approver who decides them in another terminal.
//
//	go run ./examples/approval
//
// starts PostgreSQL and an OpenID Connect issuer, prints the command for the
// second terminal, and runs the agent. Without a terminal it plays both sides.
// Nothing is left behind.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"
	"golang.org/x/term"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/audit"
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
	alone := !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd()))
	err := run(ctx, alone)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "approval:", err)
		os.Exit(1)
	}
}

// The roles of the store: who has the one cannot do what the other does.
const asking, deciding = "asking", "deciding"

func run(ctx context.Context, alone bool) error {
	dir, err := os.MkdirTemp("", "guardedpg-approval-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := pgtest.Run(ctx)
	if err != nil {
		return err
	}
	defer server.Stop()
	if err := prepare(ctx, server); err != nil {
		return err
	}
	issuer := oidctest.Start()
	defer issuer.Close()
	os.Setenv("AGENT_TOKEN", issuer.Sign(map[string]any{
		"sub": "repo:shop/cleanup:ref:refs/heads/main", "aud": "guardedpg", "groups": []string{"agents"}}))
	token := issuer.Sign(map[string]any{"sub": "robin", "name": "Robin", "aud": "guardedpg", "groups": []string{"dba"}})

	storeDSN := server.DSN(deciding, "approvals")
	ended := make(chan error, 1)
	if alone {
		approving, end := context.WithCancel(ctx)
		defer func() { end(); <-ended }()
		go func() { ended <- approveAlone(approving, storeDSN, issuer.URL, token) }()
	} else {
		path := filepath.Join(dir, "robin.token")
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			return err
		}
		ended <- nil
		fmt.Printf("This is the agent. To be the approver, run in another terminal, in this directory:\n\n"+
			"  go run ./cmd/guardedpg approve watch --store '%s' --issuer %s --token-file %s\n\n", storeDSN, issuer.URL, path)
	}
	return agent(ctx, dir, server, issuer.URL)
}

// prepare makes the shop, and the store in a database of its own with two roles.
func prepare(ctx context.Context, server *pgtest.Server) error {
	do := func(database, sql string) error {
		conn, err := pgx.Connect(ctx, server.DSN(pgtest.Superuser, database))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql)
		return err
	}
	for _, step := range [][2]string{
		{"postgres", "CREATE DATABASE shop"},
		{"postgres", "CREATE DATABASE approvals"},
		{"postgres", "CREATE ROLE " + asking + " LOGIN PASSWORD '" + asking + "'"},
		{"postgres", "CREATE ROLE " + deciding + " LOGIN PASSWORD '" + deciding + "'"},
		{"shop", shopSQL},
	} {
		if err := do(step[0], step[1]); err != nil {
			return err
		}
	}
	store, err := pgstore.Open(ctx, pgstore.Config{DSN: server.DSN(pgtest.Superuser, "approvals")})
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Separate(ctx, asking, deciding)
}

// agent runs three statements, each of which waits for a person.
func agent(ctx context.Context, dir string, server *pgtest.Server, issuer string) error {
	store, err := pgstore.Open(ctx, pgstore.Config{DSN: server.DSN(asking, "approvals")})
	if err != nil {
		return err
	}
	defer store.Close()
	queue, err := approve.NewQueue(approve.QueueConfig{Store: store})
	if err != nil {
		return err
	}
	config, err := writeConfig(dir, issuer)
	if err != nil {
		return err
	}
	cfg, err := guardedpg.LoadConfig(config)
	if err != nil {
		return err
	}
	cfg.DSN, cfg.Approver = server.DSN(pgtest.Superuser, "shop")+"&application_name=cleanup-agent", queue
	db, err := guardedpg.OpenDB(cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range []struct{ purpose, sql string }{
		{"an old import is in the way", "DROP TABLE import_2019"},
		{"a customer asked to be forgotten", "DELETE FROM customers WHERE id = 7"},
		{"the shop moves to another system", "UPDATE orders SET status = 'closed'"},
	} {
		fmt.Printf("agent > %s\n        ... waits\n", s.sql)
		res, err := db.ExecContext(guardedpg.WithPurpose(ctx, s.purpose), s.sql)
		switch {
		case errors.Is(err, guardedpg.ErrRejected):
			fmt.Printf("        %v\n\n", err)
		case err != nil:
			return err
		default:
			rows, err := res.RowsAffected()
			if err != nil {
				return err
			}
			fmt.Printf("        done, %d rows\n\n", rows)
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	return decisions(ctx, filepath.Join(dir, "audit"))
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
	return path, os.WriteFile(path, b.Bytes(), 0o600)
}

// decisions shows what the trail has of who decided.
func decisions(ctx context.Context, dir string) error {
	fmt.Println("In the trail:")
	for e, err := range audit.Entries(ctx, dir) {
		if err != nil {
			return err
		}
		if r := e.Record; r.Kind == audit.KindDecision {
			word := "rejected"
			if r.Decision.Approved {
				word = "approved"
			}
			for _, by := range r.Decision.By {
				fmt.Printf("  statement %s %s by %s: %s\n", r.Statement, word, by.Subject, r.Decision.Reason)
			}
		}
	}
	return nil
}

// answers are what Robin types where nobody is there to.
const answers = "yes that import is done with\nyes I checked the request\nno the shop stays where it is\n"

// approveAlone does what "guardedpg approve watch" does, with answers typed
// ahead.
func approveAlone(ctx context.Context, dsn, issuer, token string) error {
	v, err := oidc.New(ctx, oidc.Config{Issuers: []oidc.Issuer{{Issuer: issuer, Audience: "guardedpg"}}})
	if err != nil {
		return err
	}
	robin, err := v.Verify(ctx, token)
	if err != nil {
		return err
	}
	store, err := pgstore.Open(ctx, pgstore.Config{DSN: dsn})
	if err != nil {
		return err
	}
	defer store.Close()
	queue, err := approve.NewQueue(approve.QueueConfig{Store: store})
	if err != nil {
		return err
	}
	terminal, err := approve.NewTerminal(approve.TerminalConfig{As: robin, In: strings.NewReader(answers), Out: os.Stdout})
	if err != nil {
		return err
	}
	return terminal.Attend(ctx, queue)
}
