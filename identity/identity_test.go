package identity_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity"
)

func TestZeroIsNobody(t *testing.T) {
	var nobody identity.Identity
	require.True(t, nobody.IsZero())
	require.False(t, nobody.Verified())
	require.Empty(t, nobody.Subject())
	require.Empty(t, nobody.Issuer())
	require.Empty(t, nobody.Groups())
	require.Empty(t, nobody.Attributes())
	require.False(t, nobody.In(""))
	require.False(t, nobody.Same(nobody), "nobody is not somebody")
	require.True(t, identity.FromContext(t.Context()).IsZero())
}

func TestIncompleteClaimsAreNobody(t *testing.T) {
	require.True(t, identity.New(identity.Claims{Subject: "s"}).IsZero())
	require.True(t, identity.New(identity.Claims{Issuer: "i"}).IsZero())
	require.True(t, identity.Development("").IsZero())
}

func TestClaimsAreCopied(t *testing.T) {
	groups, attributes := []string{"a"}, map[string]string{"run": "1"}
	i := identity.New(identity.Claims{Issuer: "i", Subject: "s", Groups: groups, Attributes: attributes})
	groups[0], attributes["run"] = "dba", "2"
	require.Equal(t, []string{"a"}, i.Groups())
	require.Equal(t, "1", i.Attributes()["run"])
}

func TestSame(t *testing.T) {
	a := identity.New(identity.Claims{Issuer: "i", Subject: "s", Name: "one"})
	require.True(t, a.Same(identity.New(identity.Claims{Issuer: "i", Subject: "s", Expires: time.Now()})))
	require.False(t, a.Same(identity.New(identity.Claims{Issuer: "i", Subject: "t"})))
	require.False(t, a.Same(identity.New(identity.Claims{Issuer: "j", Subject: "s"})))
	dev := identity.Development("s")
	forged := identity.New(identity.Claims{Issuer: "development", Subject: "s"})
	require.False(t, dev.Same(forged), "a verified identity is not an unverified one")
	require.False(t, dev.Verified())
	require.True(t, forged.Verified())
}

func TestContextCarries(t *testing.T) {
	i := identity.Development("dev", "dba")
	ctx := identity.NewContext(context.Background(), i)
	require.True(t, identity.FromContext(ctx).Same(i))
	require.True(t, identity.FromContext(ctx).In("dba"))
	require.Zero(t, testing.AllocsPerRun(100, func() { identity.FromContext(ctx) }))
}
