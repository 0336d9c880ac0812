// Package stdlib stands in for pgx's package of that name when pgx's own tests
// run against the guard: what opens a database opens a guarded one, and the rest
// is pgx's.
package stdlib

import (
	"context"
	"database/sql"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
)

// PolicyVariable names the policy of the run. Both policies allow all.
// "allowing" protects nothing; "protecting" protects columns that pgx's tests
// have none of, so that nothing else changes.
const PolicyVariable = "PGXSUITE_POLICY"

// ConfigName is what GUARDEDPG_CONFIG must be for the tests that use sql.Open.
const ConfigName = "pgxsuite"

func init() { guardedpg.RegisterConfig(ConfigName, config()) }

func config() guardedpg.Config {
	policy := guard.Policy{Default: guard.Allow}
	if os.Getenv(PolicyVariable) == "protecting" {
		policy.Protect = []guard.Protect{{Column: "*.secrets.body"}}
	}
	agent := identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent-1", Groups: []string{"agents"}})
	return guardedpg.Config{
		Identify: func(context.Context) (identity.Identity, error) { return agent, nil },
		Policy:   policy,
		Audit:    &audittest.Recorder{},
	}
}

func open(cfg guardedpg.Config) *sql.DB {
	db, err := guardedpg.OpenDB(cfg)
	if err != nil {
		panic(err) // pgx's functions return no error
	}
	return db
}

// OpenDB is pgx's OpenDB with the guard before it.
func OpenDB(conn pgx.ConnConfig, opts ...stdlib.OptionOpenDB) *sql.DB {
	cfg := config()
	cfg.ConnConfig, cfg.StdlibOptions = &conn, opts
	return open(cfg)
}

// OpenDBFromPool is pgx's OpenDBFromPool with the guard before it.
func OpenDBFromPool(pool *pgxpool.Pool, opts ...stdlib.OptionOpenDB) *sql.DB {
	cfg := config()
	cfg.Pool, cfg.StdlibOptions = pool, opts
	return open(cfg)
}

// What follows is pgx's own.
type (
	Conn             = stdlib.Conn
	OptionOpenDB     = stdlib.OptionOpenDB
	ShouldPingParams = stdlib.ShouldPingParams
)

var (
	OptionBeforeConnect    = stdlib.OptionBeforeConnect
	OptionAfterConnect     = stdlib.OptionAfterConnect
	OptionResetSession     = stdlib.OptionResetSession
	OptionShouldPing       = stdlib.OptionShouldPing
	RandomizeHostOrderFunc = stdlib.RandomizeHostOrderFunc
	RegisterConnConfig     = stdlib.RegisterConnConfig
	UnregisterConnConfig   = stdlib.UnregisterConnConfig
)
