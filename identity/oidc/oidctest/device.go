package oidctest

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"strings"
	"time"
)

// device is one device authorization (RFC 8628).
type device struct {
	user    string // the user code
	client  string
	claims  map[string]any // whom it was approved for; nil while nobody has
	denied  bool
	expires time.Time
}

const deviceLife = 10 * time.Minute

// ApproveDevice lets the device that shows userCode have a token with these
// claims, as the person does at the verification page. The audience is the
// device's client, unless claims name another.
func (i *Issuer) ApproveDevice(userCode string, claims map[string]any) error {
	return i.decideDevice(userCode, func(d *device) {
		d.claims = map[string]any{"aud": d.client}
		maps.Copy(d.claims, claims)
	})
}

// DenyDevice refuses the device that shows userCode.
func (i *Issuer) DenyDevice(userCode string) error {
	return i.decideDevice(userCode, func(d *device) { d.denied = true })
}

func (i *Issuer) decideDevice(userCode string, decide func(*device)) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, d := range i.devices {
		if d.user == strings.ToUpper(strings.TrimSpace(userCode)) && d.claims == nil && !d.denied {
			decide(d)
			return nil
		}
	}
	return fmt.Errorf("oidctest: no device shows %q", userCode)
}

func (i *Issuer) startDevice(w http.ResponseWriter, r *http.Request) {
	client := r.PostFormValue("client_id")
	if client == "" {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	code, text := rand.Text(), rand.Text()
	d := &device{user: text[:4] + "-" + text[4:8], client: client, expires: time.Now().Add(deviceLife)}
	i.mu.Lock()
	i.devices[code] = d
	i.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"device_code":               code,
		"user_code":                 d.user,
		"verification_uri":          i.URL + "/activate",
		"verification_uri_complete": i.URL + "/activate?user_code=" + d.user,
		"expires_in":                int(deviceLife.Seconds()),
		"interval":                  1,
	})
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) { answer(w, http.StatusBadRequest, map[string]any{"error": code}) }
	if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
		refuse("unsupported_grant_type")
		return
	}
	code := r.PostFormValue("device_code")
	i.mu.Lock()
	d := i.devices[code]
	if d != nil && (d.claims != nil || d.denied) {
		delete(i.devices, code) // a code is good for one token
	}
	i.mu.Unlock()
	switch {
	case d == nil || d.client != r.PostFormValue("client_id"):
		refuse("invalid_grant")
	case d.denied:
		refuse("access_denied")
	case time.Now().After(d.expires):
		refuse("expired_token")
	case d.claims == nil:
		refuse("authorization_pending")
	default:
		answer(w, http.StatusOK, map[string]any{
			"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600,
			"id_token": i.Sign(d.claims),
		})
	}
}

var page = template.Must(template.New("activate").Parse(`<!doctype html>
<html lang="en"><title>Test issuer</title>
<h1>Test issuer: who are you?</h1>
<form method="post">
<p><label>Code <input name="user_code" value="{{.}}" required></label>
<p><label>Subject <input name="sub" required></label>
<p><label>Groups, separated by spaces <input name="groups"></label>
<p><button>Sign in</button>
</form>
`))

func (i *Issuer) activatePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, r.FormValue("user_code")) // the client has gone
}

func (i *Issuer) activate(w http.ResponseWriter, r *http.Request) {
	claims := map[string]any{"sub": r.PostFormValue("sub"), "groups": strings.Fields(r.PostFormValue("groups"))}
	if err := i.ApproveDevice(r.PostFormValue("user_code"), claims); err != nil {
		http.Error(w, "no device shows this code", http.StatusNotFound)
		return
	}
	fmt.Fprintln(w, "Done. You can close this page.")
}
