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

func TestEqual(t *testing.T) {
	claims := identity.Claims{Issuer: "i", Subject: "s", Name: "n", Groups: []string{"a", "b"},
		Attributes: map[string]string{"run": "1"}, Expires: time.Unix(1e9, 0)}
	a := identity.New(claims)
	require.True(t, a.Equal(identity.New(claims)))
	require.True(t, identity.Identity{}.Equal(identity.Identity{}))
	require.False(t, a.Equal(identity.Identity{}))
	require.False(t, identity.Identity{}.Equal(a))
	for what, change := range map[string]func(*identity.Claims){
		"issuer":     func(c *identity.Claims) { c.Issuer = "j" },
		"subject":    func(c *identity.Claims) { c.Subject = "t" },
		"name":       func(c *identity.Claims) { c.Name = "m" },
		"groups":     func(c *identity.Claims) { c.Groups = []string{"a"} },
		"order":      func(c *identity.Claims) { c.Groups = []string{"b", "a"} },
		"attributes": func(c *identity.Claims) { c.Attributes = map[string]string{"run": "2"} },
		"expires":    func(c *identity.Claims) { c.Expires = time.Unix(1e9+1, 0) },
	} {
		c := claims
		change(&c)
		require.False(t, a.Equal(identity.New(c)), what)
	}
	require.False(t, identity.Development("s").Equal(identity.New(identity.Claims{Issuer: "development", Subject: "s"})))
}

func TestContextCarries(t *testing.T) {
	i := identity.Development("dev", "dba")
	ctx := identity.NewContext(context.Background(), i)
	require.True(t, identity.FromContext(ctx).Same(i))
	require.True(t, identity.FromContext(ctx).In("dba"))
	require.Zero(t, testing.AllocsPerRun(100, func() { identity.FromContext(ctx) }))
}
