package oidc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity/oidc"
	"github.com/guardedpg/guardedpg/identity/oidc/oidctest"
)

const audience = "guardedpg"

func start(t testing.TB) *oidctest.Issuer {
	i := oidctest.Start()
	t.Cleanup(i.Close)
	return i
}

func verifier(t testing.TB, issuer *oidctest.Issuer, change func(*oidc.Config)) *oidc.Verifier {
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	c := oidc.Config{
		Issuers: []oidc.Issuer{{Issuer: issuer.URL, Audience: audience}},
		Client:  client,
	}
	if change != nil {
		change(&c)
	}
	v, err := oidc.New(t.Context(), c)
	require.NoError(t, err)
	return v
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func claims(more map[string]any) map[string]any {
	c := map[string]any{"sub": "agent", "aud": audience}
	for k, v := range more {
		c[k] = v
	}
	return c
}

func TestVerify(t *testing.T) {
	issuer := start(t)
	v := verifier(t, issuer, func(c *oidc.Config) {
		c.Issuers[0].Groups = "roles"
		c.Issuers[0].Attributes = []string{"repository", "run", "protected", "absent"}
		c.Issuers[0].Require = map[string]string{"env": "prod"}
	})
	exp := time.Now().Add(time.Minute).Truncate(time.Second)
	i, err := v.Verify(t.Context(), issuer.Sign(claims(map[string]any{
		"aud": []string{"other", audience}, "roles": []string{"a", "b"}, "name": "Agent",
		"repository": "shop", "run": 12345678901, "protected": true, "env": []string{"prod", "eu"}, "exp": exp.Unix(),
	})))
	require.NoError(t, err)
	require.True(t, i.Verified())
	require.Equal(t, issuer.URL, i.Issuer())
	require.Equal(t, "agent", i.Subject())
	require.Equal(t, "Agent", i.Name())
	require.Equal(t, []string{"a", "b"}, i.Groups())
	require.Equal(t, map[string]string{"repository": "shop", "run": "12345678901", "protected": "true"}, i.Attributes())
	require.WithinDuration(t, exp.Add(30*time.Second), i.Expires(), 0)
}

func TestRefusals(t *testing.T) {
	issuer, stranger := start(t), start(t)
	v := verifier(t, issuer, func(c *oidc.Config) {
		c.Issuers[0].Require = map[string]string{"env": "prod"}
		c.Issuers[0].Attributes = []string{"run"}
	})
	ok := func(more map[string]any) map[string]any {
		m := claims(map[string]any{"env": "prod"})
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	past := time.Now().Add(-time.Hour).Unix()
	good := issuer.Sign(ok(nil))
	_, err := v.Verify(t.Context(), good)
	require.NoError(t, err, "the control: what the cases change is what is refused")

	parts := strings.Split(good, ".")
	body := func(m map[string]any) string {
		b, err := json.Marshal(m)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	full := ok(map[string]any{"iss": issuer.URL, "exp": time.Now().Add(time.Hour).Unix()})
	cases := []struct {
		name, token string
		class       error
	}{
		{"empty", "", oidc.ErrNoToken},
		{"no JWT", "hunter2-is-my-secret", oidc.ErrMalformed},
		{"two parts", parts[0] + "." + parts[1], oidc.ErrMalformed},
		{"header is not JSON", "e30x." + parts[1] + "." + parts[2], oidc.ErrMalformed},
		{"huge", strings.Repeat("a", 70<<10), oidc.ErrMalformed},
		{"issuer is no string", issuer.Sign(ok(map[string]any{"iss": 7})), oidc.ErrMalformed},
		{"no issuer", issuer.Sign(ok(map[string]any{"iss": nil})), oidc.ErrMalformed},
		{"unknown issuer", stranger.Sign(ok(nil)), oidc.ErrIssuer},
		{"issuer with a slash more", issuer.Sign(ok(map[string]any{"iss": issuer.URL + "/"})), oidc.ErrIssuer},
		{"another's key", stranger.Sign(ok(map[string]any{"iss": issuer.URL})), oidc.ErrSignature},
		{"unpublished key under a published name", issuer.Forge(ok(nil)), oidc.ErrSignature},
		{"claims of one, signature of another", parts[0] + "." + body(full) + "." + parts[2], oidc.ErrSignature},
		{"algorithm none", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + body(full) + ".", oidc.ErrSignature},
		{"symmetric key", symmetric(t, body(full)), oidc.ErrSignature},
		{"logout token", typed(t, "logout+jwt", parts), oidc.ErrMalformed},
		{"wrong audience", issuer.Sign(ok(map[string]any{"aud": "other"})), oidc.ErrAudience},
		{"no audience", issuer.Sign(ok(map[string]any{"aud": nil})), oidc.ErrAudience},
		{"expired", issuer.Sign(ok(map[string]any{"exp": past})), oidc.ErrExpired},
		{"never expires", issuer.Sign(ok(map[string]any{"exp": nil})), oidc.ErrMalformed},
		{"not yet", issuer.Sign(ok(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})), oidc.ErrNotYetValid},
		{"never", issuer.Sign(ok(map[string]any{"nbf": 1e300})), oidc.ErrNotYetValid},
		{"expires beyond all time", issuer.Sign(ok(map[string]any{"exp": 1e300})), oidc.ErrMalformed},
		{"expires as text", issuer.Sign(ok(map[string]any{"exp": "tomorrow"})), oidc.ErrMalformed},
		{"beginning is no number", issuer.Sign(ok(map[string]any{"nbf": true})), oidc.ErrMalformed},
		{"required claim missing", issuer.Sign(ok(map[string]any{"env": nil})), oidc.ErrClaim},
		{"required claim differs", issuer.Sign(ok(map[string]any{"env": []string{"test"}})), oidc.ErrClaim},
		{"no subject", issuer.Sign(ok(map[string]any{"sub": nil})), oidc.ErrMalformed},
		{"another subject beside it", issuer.Sign(ok(map[string]any{"suB": "root"})), oidc.ErrMalformed},
		{"an audience that is none", issuer.Sign(ok(map[string]any{"aud": nil, "Aud": "guardedpg"})), oidc.ErrMalformed},
		{"groups are an object", issuer.Sign(ok(map[string]any{"groups": map[string]any{"dba": 1}})), oidc.ErrMalformed},
		{"groups are null", issuer.Sign(ok(map[string]any{"groups": []any{1}})), oidc.ErrMalformed},
		{"attribute is an object", issuer.Sign(ok(map[string]any{"run": map[string]any{}})), oidc.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			i, err := v.Verify(t.Context(), c.token)
			require.ErrorIs(t, err, c.class)
			require.True(t, i.IsZero())
			var typed *oidc.Error
			require.ErrorAs(t, err, &typed)
			for _, part := range append(strings.Split(c.token, "."), "hunter2") {
				if len(part) > 5 {
					require.NotContains(t, err.Error(), part, "no part of a token stands in an error")
				}
			}
		})
	}
}

func symmetric(t *testing.T, claims string) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, nil)
	require.NoError(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(claims)
	require.NoError(t, err)
	signed, err := s.Sign(payload)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

func typed(t *testing.T, typ string, parts []string) string {
	header := fmt.Sprintf(`{"alg":"ES256","typ":%q}`, typ)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "." + parts[2]
}

func TestExpiryWithLeewayAndCache(t *testing.T) {
	issuer, now := start(t), newClock()
	v := verifier(t, issuer, func(c *oidc.Config) { c.Now = now.Now })
	token := issuer.Sign(claims(map[string]any{"exp": now.Now().Add(time.Minute).Unix()}))
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	now.Advance(80 * time.Second) // within the leeway of 30 s
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	now.Advance(15 * time.Second)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, oidc.ErrExpired, "a cached token expires too")
	require.Equal(t, 1, issuer.Requests("/keys"))
}

func TestKeyRotation(t *testing.T) {
	issuer, now := start(t), newClock()
	v := verifier(t, issuer, func(c *oidc.Config) { c.Now = now.Now })
	sign := func() string {
		return issuer.Sign(claims(map[string]any{"exp": now.Now().Add(24 * time.Hour).Unix()}))
	}
	first := sign()
	_, err := v.Verify(t.Context(), first)
	require.NoError(t, err)

	issuer.RotateKeys(true)
	// go-oidc hands out the answer of a fetch a moment before it is ready to
	// fetch again.
	require.Eventually(t, func() bool {
		_, err := v.Verify(t.Context(), sign())
		return err == nil
	}, time.Minute, time.Millisecond, "a new key is fetched when a token names it")

	issuer.RotateKeys(false) // all earlier keys are withdrawn
	_, err = v.Verify(t.Context(), first)
	require.NoError(t, err, "verified before, and younger than MaxAge")
	now.Advance(time.Hour + time.Second)
	_, err = v.Verify(t.Context(), first)
	require.ErrorIs(t, err, oidc.ErrSignature, "a withdrawn key is not believed for longer than MaxAge")
	require.Eventually(t, func() bool {
		_, err := v.Verify(t.Context(), sign())
		return err == nil
	}, time.Minute, time.Millisecond)
}

func TestUnreachableIssuer(t *testing.T) {
	issuer, now := start(t), newClock()
	v := verifier(t, issuer, func(c *oidc.Config) { c.Now = now.Now })
	issuer.Fail(http.StatusServiceUnavailable)
	_, err := v.Verify(t.Context(), issuer.Sign(claims(nil)))
	require.ErrorIs(t, err, oidc.ErrUnreachable, "its keys were never seen")
	require.NotErrorIs(t, err, oidc.ErrSignature)

	issuer.Fail(0)
	token := issuer.Sign(claims(nil))
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	issuer.Fail(http.StatusServiceUnavailable)
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err, "what is known needs no issuer")
	_, err = v.Verify(t.Context(), issuer.Sign(claims(map[string]any{"sub": "other"})))
	require.NoError(t, err, "nor does a new token under a known key")
}

func TestDiscovery(t *testing.T) {
	issuer := start(t)
	issuer.Fail(http.StatusInternalServerError)
	config := oidc.Config{Issuers: []oidc.Issuer{{Issuer: issuer.URL, Audience: audience}}}
	_, err := oidc.New(t.Context(), config)
	require.ErrorIs(t, err, oidc.ErrUnreachable)

	now := newClock()
	config.Lazy, config.Now = true, now.Now
	v, err := oidc.New(t.Context(), config)
	require.NoError(t, err)
	for range 3 {
		_, err = v.Verify(t.Context(), issuer.Sign(claims(nil)))
		require.ErrorIs(t, err, oidc.ErrUnreachable)
	}
	require.Equal(t, 2, issuer.Requests("/.well-known/openid-configuration"), "a failure is remembered for a second")
	issuer.Fail(0)
	now.Advance(2 * time.Second)
	_, err = v.Verify(t.Context(), issuer.Sign(claims(nil)))
	require.NoError(t, err)
}

func TestDiscoveryCancelled(t *testing.T) {
	issuer := start(t)
	v := verifier(t, issuer, func(c *oidc.Config) { c.Lazy = true })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.Verify(ctx, issuer.Sign(claims(nil)))
	require.ErrorIs(t, err, context.Canceled)
	_, err = v.Verify(t.Context(), issuer.Sign(claims(nil)))
	require.NoError(t, err, "one caller's end is not the issuer's")
}

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]oidc.Config{
		"no issuer":     {},
		"no audience":   {Issuers: []oidc.Issuer{{Issuer: "https://idp.example.com"}}},
		"no URL":        {Issuers: []oidc.Issuer{{Issuer: "idp", Audience: audience}}},
		"no HTTPS":      {Issuers: []oidc.Issuer{{Issuer: "http://idp.example.com", Audience: audience}}},
		"local by name": {Issuers: []oidc.Issuer{{Issuer: "http://localhost.example.com", Audience: audience}}},
		"twice": {Issuers: []oidc.Issuer{
			{Issuer: "https://idp.example.com", Audience: "a"}, {Issuer: "https://idp.example.com", Audience: "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Lazy = true
			_, err := oidc.New(t.Context(), c)
			require.Error(t, err)
		})
	}
}

func TestTwoIssuers(t *testing.T) {
	one, two := start(t), start(t)
	v := verifier(t, one, func(c *oidc.Config) {
		c.Issuers = append(c.Issuers, oidc.Issuer{Issuer: two.URL, Audience: "other"})
	})
	i, err := v.Verify(t.Context(), two.Sign(map[string]any{"sub": "s", "aud": "other"}))
	require.NoError(t, err)
	require.Equal(t, two.URL, i.Issuer())
	_, err = v.Verify(t.Context(), one.Sign(map[string]any{"sub": "s", "aud": "other"}))
	require.ErrorIs(t, err, oidc.ErrAudience, "each issuer has its own audience")
	_, err = v.Verify(t.Context(), one.Sign(map[string]any{"iss": two.URL, "sub": "s", "aud": "other"}))
	require.ErrorIs(t, err, oidc.ErrSignature, "and its own keys")
}

func TestManyTokensAtOnce(t *testing.T) {
	issuer := start(t)
	v := verifier(t, issuer, nil)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for m := range 300 { // more than the cache holds, in all
				subject := fmt.Sprint(n, "-", m)
				i, err := v.Verify(t.Context(), issuer.Sign(claims(map[string]any{"sub": subject})))
				if err != nil || i.Subject() != subject {
					t.Errorf("want %s, got %s, %v", subject, i.Subject(), err)
				}
			}
		})
	}
	all.Wait()
}

func FuzzVerify(f *testing.F) {
	issuer := start(f)
	v := verifier(f, issuer, nil)
	f.Add(issuer.Sign(claims(nil)))
	f.Add("e30.e30.")
	f.Add("..")
	f.Add(`eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.AA`)
	f.Fuzz(func(t *testing.T, token string) {
		i, err := v.Verify(context.Background(), token)
		if err == nil && i.Subject() != "agent" {
			t.Fatalf("a token that nobody signed: %q", i.Subject())
		}
		if err != nil && !i.IsZero() {
			t.Fatal("an identity beside an error")
		}
	})
}

// FuzzClaims has a real issuer sign anything.
func FuzzClaims(f *testing.F) {
	issuer := start(f)
	v := verifier(f, issuer, func(c *oidc.Config) { c.Issuers[0].Attributes = []string{"run"} })
	f.Add([]byte(`{"sub":"agent","aud":"guardedpg"}`))
	f.Add([]byte(`{"sub":"agent","aud":["x","guardedpg"],"groups":"a","name":7,"nbf":1e18,"run":true}`))
	f.Add([]byte(`{"sub":"agent","aud":"guardedpg","exp":-1,"_claim_names":{"groups":"x"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var claims map[string]any
		if json.Unmarshal(raw, &claims) != nil {
			return
		}
		i, err := v.Verify(context.Background(), issuer.Sign(claims))
		if (err == nil) == i.IsZero() {
			t.Fatalf("%v beside %v", i, err)
		}
		if err != nil {
			return
		}
		aud, _ := claims["aud"].([]any)
		if claims["aud"] != audience && !slices.Contains(aud, any(audience)) {
			t.Fatalf("for another audience: %s", raw)
		}
		if i.Issuer() != issuer.URL || i.Subject() == "" || !i.Expires().After(time.Now()) {
			t.Fatalf("%s, %s, %v", i.Issuer(), i.Subject(), i.Expires())
		}
	})
}

func BenchmarkVerifyKnown(b *testing.B) {
	issuer := start(b)
	v := verifier(b, issuer, nil)
	token := issuer.Sign(claims(map[string]any{"groups": []string{"a", "b"}}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKeysOverPlainHTTP(t *testing.T) {
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://idp.example.com/keys"}`, issuer.URL)
	}))
	defer issuer.Close()
	_, err := oidc.New(t.Context(), oidc.Config{Issuers: []oidc.Issuer{{Issuer: issuer.URL, Audience: audience}}})
	require.ErrorIs(t, err, oidc.ErrUnreachable)
	require.ErrorContains(t, err, "not HTTPS")
}
