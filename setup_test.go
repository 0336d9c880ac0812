package guardedpg_test

import (
	"bytes"
	"context"
	"database/sql"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// agent is who runs the statements of the tests.
var agent = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent-1", Groups: []string{"agents"}})

// dba may approve.
var dba = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "jo", Groups: []string{"dba"}})

func as(who identity.Identity) func(context.Context) (identity.Identity, error) {
	return func(context.Context) (identity.Identity, error) { return who, nil }
}

// allowAll is a policy under which a guarded database behaves as pgx does.
func allowAll() guard.Policy { return guard.Policy{Default: guard.Allow} }

// database clones a template that setup made, once for each name.
func database(t *testing.T, name, setup string) string {
	t.Helper()
	s := pgtest.Start(t)
	s.Template(t, name, setup)
	return s.DSN(pgtest.Superuser, s.Clone(t, name))
}

// open opens a guarded database and closes it when the test ends.
func open(t *testing.T, cfg guardedpg.Config) *sql.DB {
	t.Helper()
	if cfg.Audit == nil {
		cfg.Audit = &audittest.Recorder{}
	}
	db, err := guardedpg.OpenDB(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func allowRule(name, when string) guard.Rule {
	return guard.Rule{Name: name, When: when, Then: guard.Allow}
}

// watched returns a connection's configuration that counts the messages with a text.
func watched(t *testing.T, dsn, text string) (*pgx.ConnConfig, *atomic.Int64) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	var sent atomic.Int64
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return watchedConn{c, text, &sent}, err
	}
	return cfg, &sent
}

type watchedConn struct {
	net.Conn
	text string
	sent *atomic.Int64
}

func (c watchedConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.text)) {
		c.sent.Add(1)
	}
	return c.Conn.Write(b)
}
