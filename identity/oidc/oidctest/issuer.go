// Package oidctest runs an OpenID Connect issuer for tests and for trying
// things out. It signs whatever it is asked to sign: believe it nowhere else.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an issuer over HTTP on this machine's loopback address: discovery,
// keys, and the device authorization grant (RFC 8628). It is safe for
// concurrent use.
type Issuer struct {
	// URL is the issuer's URL.
	URL string

	server *http.Server
	done   chan struct{}

	mu        sync.Mutex
	signing   jose.JSONWebKey
	published []jose.JSONWebKey // public halves
	keys      int               // how many were made
	failing   int
	requests  map[string]int
	devices   map[string]*device // by device code
}

// Start starts an issuer with one ES256 key. It panics when it cannot listen,
// as net/http/httptest does.
func Start() *Issuer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	i := &Issuer{
		URL:      "http://" + listener.Addr().String(),
		done:     make(chan struct{}),
		requests: make(map[string]int),
		devices:  make(map[string]*device),
	}
	i.RotateKeys(false)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.jwks)
	mux.HandleFunc("POST /device", i.startDevice)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("GET /activate", i.activatePage)
	mux.HandleFunc("POST /activate", i.activate)
	i.server = &http.Server{Handler: i.counted(mux), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(i.done)
		_ = i.server.Serve(listener) // always ErrServerClosed after Close
	}()
	return i
}

// Close ends the issuer and its connections.
func (i *Issuer) Close() {
	_ = i.server.Close()
	<-i.done
}

// Sign returns a token with these claims, signed with the current key. Where
// claims do not name them, iss is the issuer's URL, iat is now and exp is in an
// hour; a claim that is nil is left out.
func (i *Issuer) Sign(claims map[string]any) string {
	i.mu.Lock()
	key := i.signing
	i.mu.Unlock()
	return i.sign(key, claims)
}

// Forge returns a token as Sign does, signed with a key that the issuer does
// not publish, under the name of the current one.
func (i *Issuer) Forge(claims map[string]any) string {
	i.mu.Lock()
	id := i.signing.KeyID
	i.mu.Unlock()
	return i.sign(newKey(id), claims)
}

func (i *Issuer) sign(key jose.JSONWebKey, claims map[string]any) string {
	now := time.Now()
	all := map[string]any{"iss": i.URL, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		panic("oidctest: claims: " + err.Error())
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return token
}

// RotateKeys makes a new key and signs with it from now on. The earlier ones
// stay published if keep.
func (i *Issuer) RotateKeys(keep bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys++
	i.signing = newKey(fmt.Sprintf("key-%d", i.keys))
	if !keep {
		i.published = nil
	}
	i.published = append(i.published, i.signing.Public())
}

func newKey(id string) jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("oidctest: " + err.Error())
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}
}

// Fail makes every endpoint answer with status, until Fail(0).
func (i *Issuer) Fail(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.failing = status
}

// Requests returns how many requests there were for path: "/keys",
// "/.well-known/openid-configuration", "/device", "/token".
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

func (i *Issuer) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.requests[r.URL.Path]++
		failing := i.failing
		i.mu.Unlock()
		if failing != 0 {
			http.Error(w, "the issuer was told to fail", failing)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                i.URL,
		"jwks_uri":                              i.URL + "/keys",
		"device_authorization_endpoint":         i.URL + "/device",
		"token_endpoint":                        i.URL + "/token",
		"authorization_endpoint":                i.URL + "/activate",
		"id_token_signing_alg_values_supported": []string{string(jose.ES256)},
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	set := jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey(nil), i.published...)}
	i.mu.Unlock()
	answer(w, http.StatusOK, set)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}
