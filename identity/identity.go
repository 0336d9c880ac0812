// Package identity holds who stands behind a statement: an opaque value that
// only a verifier can make.
//
// The zero [Identity] is nobody, and the guard refuses it. Package
// [github.com/guardedpg/guardedpg/identity/oidc] makes identities from OpenID
// Connect ID tokens; [Development] makes one that every record calls unverified.
package identity

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Claims are what a verifier vouches for. They are copied by [New].
type Claims struct {
	// Issuer says who vouches (an OIDC issuer URL, a SPIFFE trust domain). Required.
	Issuer string
	// Subject is unique and never reassigned within Issuer. Required.
	Subject string
	// Groups are what approval and policy refer to. Nil means none.
	Groups []string
	// Name is for people to read; nothing is decided by it. Empty means unknown.
	Name string
	// Attributes are further string claims: a CI run, a repository, a commit,
	// an agent's model. Nil means none.
	Attributes map[string]string
	// Expires is when the proof ends; the zero time means that it does not.
	Expires time.Time
}

// Identity is a principal. It is immutable and safe for concurrent use. The
// zero value is no identity.
type Identity struct{ p *principal }

type principal struct {
	claims   Claims
	verified bool
}

// New returns a verified identity. Only code that has itself checked a proof
// (a signature, a client certificate) may call it: the guard believes it.
// It returns the zero Identity when Issuer or Subject is empty.
func New(c Claims) Identity { return newIdentity(c, true) }

// Development returns an identity that nobody verified, for work on one's own
// machine. Every record made under it says verified: false.
// It returns the zero Identity when subject is empty.
func Development(subject string, groups ...string) Identity {
	return newIdentity(Claims{Issuer: "development", Subject: subject, Groups: groups}, false)
}

func newIdentity(c Claims, verified bool) Identity {
	if c.Issuer == "" || c.Subject == "" {
		return Identity{}
	}
	c.Groups = slices.Clone(c.Groups)
	c.Attributes = maps.Clone(c.Attributes)
	return Identity{&principal{c, verified}}
}

// IsZero reports whether i is nobody.
func (i Identity) IsZero() bool { return i.p == nil }

// Verified reports whether a verifier vouched for i.
func (i Identity) Verified() bool { return i.p != nil && i.p.verified }

// Issuer returns who vouches for i.
func (i Identity) Issuer() string { return i.claims().Issuer }

// Subject returns the name of i that is unique within its issuer.
func (i Identity) Subject() string { return i.claims().Subject }

// Name returns a name for people to read, or "".
func (i Identity) Name() string { return i.claims().Name }

// Expires returns when the proof ends; the zero time means never.
func (i Identity) Expires() time.Time { return i.claims().Expires }

// Groups returns the groups of i. The caller must not change the slice.
func (i Identity) Groups() []string { return i.claims().Groups }

// Attributes returns further claims. The caller must not change the map.
func (i Identity) Attributes() map[string]string { return i.claims().Attributes }

// Same reports whether i and j are the same principal: equal issuer and
// subject, both verified or both not. The zero Identity is the same as nobody,
// itself included.
func (i Identity) Same(j Identity) bool {
	return i.p != nil && j.p != nil && i.p.verified == j.p.verified &&
		i.p.claims.Issuer == j.p.claims.Issuer && i.p.claims.Subject == j.p.claims.Subject
}

// Equal reports whether i and j say the same in everything: the same principal
// with the same groups, name, attributes and end of the proof, or both nobody.
func (i Identity) Equal(j Identity) bool {
	if i.p == j.p {
		return true
	}
	if !i.Same(j) {
		return false
	}
	a, b := &i.p.claims, &j.p.claims
	return a.Name == b.Name && a.Expires.Equal(b.Expires) && slices.Equal(a.Groups, b.Groups) && maps.Equal(a.Attributes, b.Attributes)
}

// In reports whether i is in group.
func (i Identity) In(group string) bool { return slices.Contains(i.claims().Groups, group) }

func (i Identity) claims() *Claims {
	if i.p == nil {
		return &Claims{}
	}
	return &i.p.claims
}

type contextKey struct{}

// NewContext returns a context that carries i to the statements run under it.
func NewContext(ctx context.Context, i Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, i)
}

// FromContext returns the identity that ctx carries, or the zero Identity.
func FromContext(ctx context.Context) Identity {
	i, _ := ctx.Value(contextKey{}).(Identity)
	return i
}
