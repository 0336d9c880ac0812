package guardedpg_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/identity"
)

// A program may make the identity anew for each statement. It is recorded once,
// and the server is told once.
func TestEqualIdentitiesAreOne(t *testing.T) {
	dsn := shop(t)
	conn, told := watched(t, dsn, "set_config('guardedpg.subject'")
	claims := identity.Claims{Issuer: "https://idp.test", Subject: "agent-7", Groups: []string{"agents"}, Expires: time.Now().Add(time.Hour)}
	f := newFixtureOn(t, dsn, func(c *guardedpg.Config) {
		c.ConnConfig = conn
		c.Identify = func(context.Context) (identity.Identity, error) { return identity.New(claims), nil }
	})
	f.db.SetMaxOpenConns(1)
	groups := func() string {
		t.Helper()
		var groups string
		require.NoError(t, f.db.QueryRow("SELECT current_setting('guardedpg.groups') FROM customers WHERE id = $1", 1).Scan(&groups))
		return groups
	}
	for range 3 {
		require.Equal(t, `{"agents"}`, groups())
	}
	require.EqualValues(t, 1, told.Load())
	require.Len(t, f.trail.Records(audit.KindIdentity), 1)

	claims.Groups = []string{"agents", "reporting"}
	require.Equal(t, `{"agents","reporting"}`, groups())
	require.EqualValues(t, 2, told.Load())
	require.Len(t, f.trail.Records(audit.KindIdentity), 2)
}
