package pgxsuite

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/clienttest/pgxsuite/stdlib"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// What pgx's TestCheckIdleConn shows, without reaching behind the guard: idle
// connections that died are replaced before a statement meets them.
func TestIdleConnections(t *testing.T) {
	cfg, err := pgx.ParseConfig(pgtest.Start(t).Database(t))
	require.NoError(t, err)
	db := stdlib.OpenDB(*cfg, stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return true }))
	defer func() { require.NoError(t, db.Close()) }()
	var conns []*sql.Conn
	pids := map[int]bool{}
	for range 2 {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		conns = append(conns, c)
		var pid int
		require.NoError(t, c.QueryRowContext(t.Context(), "select pg_backend_pid()").Scan(&pid))
		pids[pid] = true
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	require.Equal(t, 2, db.Stats().Idle)

	controller, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer controller.Close(context.Background())
	for pid := range pids {
		// With a timeout it waits for the backend's end.
		_, err := controller.Exec(t.Context(), "select pg_terminate_backend($1, 10000)", pid)
		require.NoError(t, err)
	}
	var pid int
	require.NoError(t, db.QueryRow("select pg_backend_pid()").Scan(&pid))
	require.NotContains(t, pids, pid)
	require.Equal(t, 1, db.Stats().OpenConnections)
}
