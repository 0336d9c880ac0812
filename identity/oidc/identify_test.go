package oidc_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/identity/oidc"
)

func TestIdentifyOrder(t *testing.T) {
	issuer := start(t)
	v := verifier(t, issuer, nil)
	sign := func(subject string) string { return issuer.Sign(claims(map[string]any{"sub": subject})) }
	identify := oidc.Identify(oidc.Static(sign("process")), v)

	i, err := identify(t.Context())
	require.NoError(t, err)
	require.Equal(t, "process", i.Subject())

	ctx := oidc.ContextWithToken(t.Context(), sign("request"))
	i, err = identify(ctx)
	require.NoError(t, err)
	require.Equal(t, "request", i.Subject())

	i, err = identify(identity.NewContext(ctx, identity.Development("dev")))
	require.NoError(t, err)
	require.Equal(t, "dev", i.Subject())

	_, err = identify(oidc.ContextWithToken(t.Context(), ""))
	require.ErrorIs(t, err, oidc.ErrNoToken, "an empty token does not become the process's identity")
	_, err = identify(oidc.ContextWithToken(t.Context(), issuer.Forge(claims(nil))))
	require.ErrorIs(t, err, oidc.ErrSignature, "nor does a forged one")
}

func TestIdentifyExpiry(t *testing.T) {
	issuer, now := start(t), newClock()
	v := verifier(t, issuer, func(c *oidc.Config) { c.Now = now.Now })
	token := issuer.Sign(claims(map[string]any{"exp": now.Now().Add(time.Minute).Unix()}))
	identify := oidc.Identify(oidc.Static(token), v)
	held, err := identify(t.Context())
	require.NoError(t, err)
	ctx := identity.NewContext(t.Context(), held)
	_, err = identify(ctx)
	require.NoError(t, err)

	now.Advance(2 * time.Minute)
	_, err = identify(t.Context())
	require.ErrorIs(t, err, oidc.ErrExpired)
	_, err = identify(ctx)
	require.ErrorIs(t, err, oidc.ErrExpired, "an identity that was verified once is not verified for ever")
}

func TestIdentifyWithout(t *testing.T) {
	issuer := start(t)
	_, err := oidc.Identify(nil, verifier(t, issuer, nil))(t.Context())
	require.ErrorIs(t, err, oidc.ErrNoToken)
	_, err = oidc.Identify(oidc.Static(issuer.Sign(claims(nil))), nil)(t.Context())
	require.ErrorIs(t, err, oidc.ErrIssuer)
	expired := identity.New(identity.Claims{Issuer: "i", Subject: "s", Expires: time.Now().Add(-time.Second)})
	_, err = oidc.Identify(nil, nil)(identity.NewContext(t.Context(), expired))
	require.ErrorIs(t, err, oidc.ErrExpired)
}

func TestIdentifyDoesNotAllocate(t *testing.T) {
	issuer := start(t)
	v := verifier(t, issuer, nil)
	token := issuer.Sign(claims(nil))
	t.Setenv("AGENT_TOKEN", token)
	ctx := t.Context()
	for name, identify := range map[string]func(context.Context) (identity.Identity, error){
		"static":  oidc.Identify(oidc.Static(token), v),
		"env":     oidc.Identify(oidc.Env("AGENT_TOKEN"), v),
		"context": func(context.Context) (identity.Identity, error) { return v.Verify(ctx, token) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := identify(ctx); err != nil {
				t.Fatal(err)
			}
		}), name)
	}
}

func BenchmarkIdentify(b *testing.B) {
	issuer := start(b)
	identify := oidc.Identify(oidc.Static(issuer.Sign(claims(nil))), verifier(b, issuer, nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identify(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
