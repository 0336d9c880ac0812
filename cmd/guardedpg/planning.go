package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	driver "github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// planning is a policy bound to a database's definitions, to ask what would
// happen. Nothing of what is asked is run.
type planning struct {
	bound    *guard.Bound
	snap     *catalog.Snapshot
	path     []string
	database string
	user     string
}

// newPlanning reads the policy from a configuration file and the definitions
// from conn's session.
func newPlanning(ctx context.Context, config string, conn *pgx.Conn) (*planning, error) {
	cfg, err := driver.LoadConfig(config)
	if err != nil {
		return nil, err
	}
	engine, err := guard.Compile(cfg.Policy)
	if err != nil {
		return nil, err
	}
	p := &planning{}
	if p.snap, err = catalog.Load(ctx, conn); err != nil {
		return nil, fmt.Errorf("the catalog cannot be read: %w", err)
	}
	err = conn.QueryRow(ctx, "SELECT pg_catalog.current_schemas(true)::pg_catalog.text[], pg_catalog.current_database()::pg_catalog.text, CURRENT_USER::pg_catalog.text").
		Scan(&p.path, &p.database, &p.user)
	if err != nil {
		return nil, fmt.Errorf("the session cannot be read: %w", err)
	}
	if p.bound, err = engine.Bind(p.snap, nil); err != nil {
		return nil, fmt.Errorf("the policy does not fit the database: %w", err)
	}
	return p, nil
}

// warn prints what the policy names and the database does not have.
func (p *planning) warn(e env) {
	for _, w := range p.bound.Warnings() {
		fmt.Fprintln(e.stderr, "warning:", w)
	}
}

// plan plans a text.
func (p *planning) plan(ctx context.Context, sql string) (*guard.Plan, error) {
	facts, err := analysis.Analyze(ctx, sql, p.snap, analysis.Session{Path: p.path, Trusted: p.bound.Engine().Trusts})
	if err != nil {
		return nil, err
	}
	return p.bound.Plan(facts), nil
}

// An asker is who runs a statement and where: the keys of a case.
type asker struct {
	Issuer      string            `yaml:"issuer"`
	Subject     string            `yaml:"subject"`
	Groups      []string          `yaml:"groups"`
	Attributes  map[string]string `yaml:"attributes"`
	Development bool              `yaml:"development"`
}

func (a asker) identity() identity.Identity {
	if a.Subject == "" {
		a.Subject = "agent"
	}
	if a.Development {
		return identity.Development(a.Subject, a.Groups...)
	}
	if a.Issuer == "" {
		a.Issuer = "https://issuer.example"
	}
	return identity.New(identity.Claims{Issuer: a.Issuer, Subject: a.Subject, Groups: a.Groups, Attributes: a.Attributes})
}

func (p *planning) input(a asker, inTransaction bool, rows *int64, at time.Time) guard.Input {
	in := guard.Input{Identity: a.identity(), InTransaction: inTransaction, Database: p.database, User: p.user, Now: at}
	if rows != nil {
		in.Rows, in.RowsKnown = *rows, true
	}
	return in
}

// maskText says what happens to a column of a result: pass, clear, or a mask.
func maskText(m guard.OutputMask) string {
	switch {
	case m.Pass:
		return "pass"
	case m.Clear:
		return "clear"
	}
	return m.Spec.String()
}

func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("no connection: %w", err)
	}
	return conn, nil
}

// setUp runs definitions in a transaction that is never committed.
func setUp(ctx context.Context, conn *pgx.Conn, sql string) error {
	if _, err := conn.Exec(ctx, "begin"); err != nil {
		return err
	}
	if strings.TrimSpace(sql) == "" {
		return nil
	}
	if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("the setup failed: %w", err)
	}
	if conn.PgConn().TxStatus() != 'T' {
		return fmt.Errorf("the setup ended the transaction that was to undo it: leave out COMMIT and ROLLBACK")
	}
	return nil
}

func databaseURL() string { return os.Getenv("DATABASE_URL") }
