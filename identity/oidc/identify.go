package oidc

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

type tokenContext struct{}

// ContextWithToken returns a context whose statements run as whoever token
// vouches for, where [Identify] is in use.
func ContextWithToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenContext{}, token)
}

// Identify returns a function that says who stands behind a context: the
// identity that [identity.NewContext] put there, else the one that the token of
// [ContextWithToken] vouches for, else that of the token from source. One that
// is there and is not good is refused; the next is not tried. A nil source
// gives no token, a nil v believes none.
//
// The function is safe for concurrent use. Every call checks the expiry. A
// token that is the same as in the call before costs no hash, and no
// allocation. Its errors are [*Error].
func Identify(source TokenSource, v *Verifier) func(context.Context) (identity.Identity, error) {
	var last atomic.Pointer[lastToken]
	return func(ctx context.Context) (identity.Identity, error) {
		if id := identity.FromContext(ctx); !id.IsZero() {
			if end := id.Expires(); !end.IsZero() && !v.now().Before(end) {
				return identity.Identity{}, &Error{Class: ErrExpired, Issuer: id.Issuer(), Detail: "the context's identity"}
			}
			return id, nil
		}
		token, given := ctx.Value(tokenContext{}).(string)
		if !given {
			if source == nil {
				return identity.Identity{}, &Error{Class: ErrNoToken, Detail: "the context has none, and no source is configured"}
			}
			var err error
			if token, err = source.Token(ctx); err != nil {
				return identity.Identity{}, err
			}
		}
		if v == nil {
			return identity.Identity{}, &Error{Class: ErrIssuer, Detail: "no issuer is configured"}
		}
		if l := last.Load(); l != nil && l.token == token && v.now().Before(l.until) {
			return l.id, nil
		}
		t, err := v.verify(ctx, token)
		if err != nil {
			return identity.Identity{}, err
		}
		if !given { // a context's token is one of many: the verifier's cache is for those
			last.Store(&lastToken{t, token})
		}
		return t.id, nil
	}
}

// lastToken keeps the token itself: the source holds it in memory anyway.
type lastToken struct {
	*verified
	token string
}

// now is the verifier's clock.
func (v *Verifier) now() time.Time {
	if v == nil {
		return time.Now()
	}
	return v.config.Now()
}
