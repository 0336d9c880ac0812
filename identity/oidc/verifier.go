package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/guardedpg/guardedpg/identity"
)

// maxToken bounds a token, in bytes, before anything is decoded.
const maxToken = 64 << 10

// algorithms are the asymmetric ones of RFC 7518 and RFC 8037. With a
// symmetric one, a published key would be the signing key (RFC 8725, 2.1).
var algorithms = []string{
	gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
	gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.EdDSA,
}

// Config says which tokens a Verifier believes.
type Config struct {
	// Issuers are those who may vouch. At least one, each URL once.
	Issuers []Issuer
	// Leeway allows for clocks that differ, on a token's beginning and its
	// end: an identity expires this much after the token's exp.
	// Default: 30 seconds. Negative means none.
	Leeway time.Duration
	// MaxAge is how long an issuer's keys and a verified token are believed
	// before the issuer is asked for its keys again. Default: 1 hour.
	MaxAge time.Duration
	// Lazy puts off discovery to the first token of each issuer. Default:
	// false, New fails when an issuer cannot be asked.
	Lazy bool
	// Client asks the issuers. Default: one with a timeout of 10 seconds.
	Client *http.Client
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

// Issuer is one OpenID Connect issuer and what it is believed about.
type Issuer struct {
	// Issuer is its URL, exactly as in the tokens' iss. HTTPS, unless the host
	// is this machine. Required.
	Issuer string
	// Audience must be among the token's aud. Required.
	Audience string
	// Groups is the claim that lists the groups: a string or a list of
	// strings. A token without it is in no group. Default: "groups".
	Groups string
	// Name is the claim with a name for people. Default: "name".
	Name string
	// Require are claims that must have this value, or be a list that holds
	// it. Default: none.
	Require map[string]string
	// Attributes are claims to keep as the identity's attributes: strings,
	// numbers and booleans. One that is missing is left out. Default: none.
	Attributes []string
}

func (c *Config) validate() error {
	if len(c.Issuers) == 0 {
		return errors.New("oidc: Config.Issuers is empty: name at least one issuer")
	}
	for n, i := range c.Issuers {
		if err := secure(i.Issuer); err != nil {
			return fmt.Errorf("oidc: Config.Issuers[%d].Issuer: %w", n, err)
		}
		if i.Audience == "" {
			return fmt.Errorf("oidc: Config.Issuers[%d].Audience is empty: without it a token made for another service would do", n)
		}
		for _, other := range c.Issuers[:n] {
			if other.Issuer == i.Issuer {
				return fmt.Errorf("oidc: Config.Issuers[%d].Issuer: %s is listed twice", n, i.Issuer)
			}
		}
	}
	return nil
}

// secure says why keys must not be fetched from raw.
func secure(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL, want https://host/path", raw)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return fmt.Errorf("%q is not HTTPS: whoever is on the way could give out keys of their own", raw)
	}
	return nil
}

// Verifier turns tokens into identities. It is safe for concurrent use.
type Verifier struct {
	config  Config
	issuers map[string]*issuer
	cache   cache
}

// New returns a Verifier. Unless c.Lazy, it asks each issuer for its
// configuration first, and fails with ErrUnreachable when one cannot be asked.
func New(ctx context.Context, c Config) (*Verifier, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	switch {
	case c.Leeway == 0:
		c.Leeway = 30 * time.Second
	case c.Leeway < 0:
		c.Leeway = 0
	}
	if c.MaxAge <= 0 {
		c.MaxAge = time.Hour
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &Verifier{config: c, issuers: make(map[string]*issuer, len(c.Issuers))}
	for _, i := range c.Issuers {
		if i.Groups == "" {
			i.Groups = "groups"
		}
		if i.Name == "" {
			i.Name = "name"
		}
		i.Require, i.Attributes = maps.Clone(i.Require), slices.Clone(i.Attributes)
		s := &issuer{Issuer: i, config: &v.config, asking: make(chan struct{}, 1)}
		v.issuers[i.Issuer] = s
		if !c.Lazy {
			if _, err := s.verifier(ctx, c.Now()); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// Verify returns the identity that token vouches for, or an [*Error].
func (v *Verifier) Verify(ctx context.Context, token string) (identity.Identity, error) {
	t, err := v.verify(ctx, token)
	if err != nil {
		return identity.Identity{}, err
	}
	return t.id, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (*verified, error) {
	if token == "" {
		return nil, &Error{Class: ErrNoToken}
	}
	if len(token) > maxToken {
		return nil, &Error{Class: ErrMalformed, Detail: "it is longer than 64 KiB"}
	}
	var room [4096]byte // on the stack; a longer token costs an allocation
	now, key := v.config.Now(), tokenKey(sha256.Sum256(append(room[:0], token...)))
	if t := v.cache.get(key); t != nil && now.Before(t.until) {
		return t, nil
	}
	claimed, err := peek(token)
	if err != nil {
		return nil, err
	}
	i := v.issuers[claimed]
	if i == nil {
		return nil, &Error{Class: ErrIssuer, Issuer: claimed}
	}
	t, err := i.verify(ctx, token, now)
	if err != nil {
		return nil, err
	}
	v.cache.put(key, t)
	return t, nil
}

// peek reads, without believing it, who a token says signed it, and refuses
// what is no JWT that could vouch for anybody.
func peek(token string) (issuer string, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", &Error{Class: ErrMalformed, Detail: "a JWT has three parts"}
	}
	var header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
	}
	var claims map[string]json.RawMessage
	if !decode(parts[0], &header) || !decode(parts[1], &claims) || json.Unmarshal(claims["iss"], &issuer) != nil {
		return "", &Error{Class: ErrMalformed, Detail: "header and claims must be JSON, and iss a string"}
	}
	if !slices.Contains(algorithms, header.Algorithm) {
		return "", &Error{Class: ErrSignature, Detail: "only asymmetric signature algorithms are accepted"}
	}
	// RFC 8725, 3.11: a logout token or a proof of possession is signed by the
	// same keys and vouches for nobody.
	switch strings.TrimPrefix(strings.ToLower(header.Type), "application/") {
	case "", "jwt", "at+jwt", "id_token+jwt":
	default:
		return "", &Error{Class: ErrMalformed, Detail: "its typ is not JWT"}
	}
	return issuer, nil
}

func decode(part string, to any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, to) == nil
}

// issuer is a configured issuer with what is known of it.
type issuer struct {
	Issuer
	config *Config
	asking chan struct{} // holds one item while somebody asks the issuer
	known  atomic.Pointer[discovered]
}

type discovered struct {
	verifier *gooidc.IDTokenVerifier
	until    time.Time
	err      error // when discovery failed, until then
}

// retryAfter is how long a failed discovery is not tried again, so that an
// issuer that is down costs its callers one timeout and not one each.
const retryAfter = time.Second

// verifier returns a verifier whose keys are younger than MaxAge.
func (i *issuer) verifier(ctx context.Context, now time.Time) (*gooidc.IDTokenVerifier, error) {
	if d := i.known.Load(); d != nil && now.Before(d.until) {
		return d.verifier, d.err
	}
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	case <-ctx.Done():
		return nil, &Error{Class: ErrUnreachable, Issuer: i.Issuer.Issuer, Err: ctx.Err()}
	}
	if d := i.known.Load(); d != nil && now.Before(d.until) {
		return d.verifier, d.err
	}
	d := &discovered{until: now.Add(i.config.MaxAge)}
	d.verifier, d.err = i.discover(ctx)
	if d.err != nil {
		if ctx.Err() != nil { // says nothing about the issuer
			return nil, d.err
		}
		d.until = now.Add(retryAfter)
	}
	i.known.Store(d)
	return d.verifier, d.err
}

func (i *issuer) discover(ctx context.Context) (*gooidc.IDTokenVerifier, error) {
	fail := func(err error) error {
		return &Error{Class: ErrUnreachable, Issuer: i.Issuer.Issuer, Detail: "discovery", Err: err}
	}
	p, err := gooidc.NewProvider(gooidc.ClientContext(ctx, i.config.Client), i.Issuer.Issuer)
	if err != nil {
		return nil, fail(err)
	}
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&metadata); err != nil {
		return nil, fail(err)
	}
	if err := secure(metadata.Keys); err != nil {
		return nil, fail(fmt.Errorf("jwks_uri: %w", err))
	}
	// The key set keeps its context for later fetches.
	keys := gooidc.NewRemoteKeySet(gooidc.ClientContext(context.WithoutCancel(ctx), i.config.Client), metadata.Keys)
	return gooidc.NewVerifier(i.Issuer.Issuer, keySet{keys}, &gooidc.Config{
		SupportedSigningAlgs: algorithms,
		// Both are checked here, with a leeway and with errors that say which failed.
		SkipClientIDCheck: true,
		SkipExpiryCheck:   true,
	}), nil
}

// keySet passes a failure's cause on beside go-oidc, which flattens it to text.
type keySet struct{ inner gooidc.KeySet }

type keyErrorContext struct{}

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.inner.VerifySignature(ctx, jwt)
	if to, ok := ctx.Value(keyErrorContext{}).(*error); ok {
		*to = err
	}
	return payload, err
}

func (i *issuer) verify(ctx context.Context, token string, now time.Time) (*verified, error) {
	fail := func(class error, detail string, err error) (*verified, error) {
		return nil, &Error{Class: class, Issuer: i.Issuer.Issuer, Detail: detail, Err: err}
	}
	verifier, err := i.verifier(ctx, now)
	if err != nil {
		return nil, err
	}
	var keyErr error
	t, err := verifier.Verify(context.WithValue(ctx, keyErrorContext{}, &keyErr), token)
	switch {
	case keyErr != nil && errors.Unwrap(keyErr) != nil: // go-oidc wraps only what fetching the keys gave
		return fail(ErrUnreachable, "fetching its keys", errors.Unwrap(keyErr))
	case keyErr != nil:
		return fail(ErrSignature, "none of the issuer's keys made it", nil)
	case err != nil: // its text may quote claims
		return fail(ErrMalformed, "its claims are not those of an ID token", nil)
	}

	var claims map[string]json.RawMessage
	if err := t.Claims(&claims); err != nil {
		return fail(ErrMalformed, "its claims are not an object", nil)
	}
	for name := range claims {
		if k := slices.IndexFunc(registered, func(r string) bool { return strings.EqualFold(r, name) }); k >= 0 && registered[k] != name {
			return fail(ErrMalformed, "it has a claim that differs from "+registered[k]+" in case alone", nil)
		}
	}
	if !slices.Contains(t.Audience, i.Audience) {
		return fail(ErrAudience, fmt.Sprintf("want %q", i.Audience), nil)
	}
	if t.Expiry.IsZero() || t.Expiry.Unix() <= 0 {
		return fail(ErrMalformed, "it has no exp", nil)
	}
	expires := t.Expiry.Add(i.config.Leeway)
	if !now.Before(expires) {
		return fail(ErrExpired, "at "+t.Expiry.UTC().Format(time.RFC3339), nil)
	}
	if raw, ok := claims["nbf"]; ok {
		var begin float64
		if json.Unmarshal(raw, &begin) != nil {
			return fail(ErrMalformed, "nbf is no number", nil)
		}
		if begin > float64(now.Add(i.config.Leeway).Unix()) { // as a float: what no int64 holds is not in the past
			return fail(ErrNotYetValid, "", nil)
		}
	}
	for claim, want := range i.Require {
		if got, ok := list(claims[claim]); !ok || !slices.Contains(got, want) {
			return fail(ErrClaim, fmt.Sprintf("%s must be %q", claim, want), nil)
		}
	}
	c := identity.Claims{Issuer: i.Issuer.Issuer, Subject: t.Subject, Expires: expires}
	if raw, ok := claims[i.Groups]; ok {
		if c.Groups, ok = list(raw); !ok {
			return fail(ErrMalformed, i.Groups+" is neither a string nor a list of strings", nil)
		}
	}
	_ = json.Unmarshal(claims[i.Name], &c.Name) // for people only: anything but a string is no name
	for _, claim := range i.Attributes {
		raw, ok := claims[claim]
		if !ok {
			continue
		}
		value, ok := scalar(raw)
		if !ok {
			return fail(ErrMalformed, claim+" is neither a string nor a number nor a boolean", nil)
		}
		if c.Attributes == nil {
			c.Attributes = make(map[string]string, len(i.Attributes))
		}
		c.Attributes[claim] = value
	}
	id := identity.New(c)
	if id.IsZero() {
		return fail(ErrMalformed, "it has no sub", nil)
	}
	until := now.Add(i.config.MaxAge)
	if expires.Before(until) {
		until = expires
	}
	return &verified{id, until}, nil
}

// registered are the claims that go-oidc reads. Names of claims are compared
// exactly (RFC 7519, section 10.1.1), but by encoding/json without case: a
// custom claim "Sub" would take the place of sub.
var registered = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "_claim_names", "_claim_sources"}

// list reads a string, or a list of them.
func list(raw json.RawMessage) ([]string, bool) {
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return many, true
	}
	one, ok := scalar(raw)
	return []string{one}, ok
}

// scalar reads a string, or a number or boolean as it is written.
func scalar(raw json.RawMessage) (string, bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case float64, bool:
		return string(raw), true
	}
	return "", false
}
