package guardedpg

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
)

// A decision that database/sql did not come back for is not found by a later
// call with the same context, which may be context.Background.
func TestCarriedDecisionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c carry
		k := carryKey{context.Background(), "digest"}
		g := carriedGrant{grant: approve.Grant{Request: "1"}}
		c.put(k, g)
		got, ok := c.take(k)
		require.True(t, ok)
		require.Equal(t, "1", got.grant.Request)
		_, ok = c.take(k)
		require.False(t, ok, "once")
		c.put(k, g)
		time.Sleep(maxCarry)
		_, ok = c.take(k)
		require.False(t, ok)
	})
}
