package oidctest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity/oidc"
)

// TestTokenSource proves a token source. newSource returns a source that gives
// token, which may be empty: then there is none.
func TestTokenSource(t *testing.T, newSource func(t *testing.T, token string) oidc.TokenSource) {
	t.Run("gives the token", func(t *testing.T) {
		s := newSource(t, "header.claims.signature")
		for range 3 {
			token, err := s.Token(t.Context())
			require.NoError(t, err)
			require.Equal(t, "header.claims.signature", token)
		}
	})
	t.Run("no token is an error", func(t *testing.T) {
		token, err := newSource(t, "").Token(t.Context())
		require.ErrorIs(t, err, oidc.ErrNoToken)
		require.Empty(t, token)
	})
	t.Run("many at once", func(t *testing.T) {
		s := newSource(t, "header.claims.signature")
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				token, err := s.Token(t.Context())
				if err != nil || token != "header.claims.signature" {
					t.Errorf("got %q, %v", token, err)
				}
			})
		}
		all.Wait()
	})
	t.Run("an ended context does not hang", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		token, err := newSource(t, "header.claims.signature").Token(ctx)
		if err == nil {
			require.Equal(t, "header.claims.signature", token)
		} else {
			require.ErrorIs(t, err, oidc.ErrSource)
		}
	})
}
