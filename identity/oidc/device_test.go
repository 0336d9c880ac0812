package oidc_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity/oidc"
)

func TestDevice(t *testing.T) {
	issuer := start(t)
	token, err := oidc.Device(t.Context(), oidc.DeviceConfig{
		Issuer: issuer.URL, ClientID: audience,
		Prompt: func(page, complete, code string) error {
			require.Contains(t, complete, code)
			answer, err := http.PostForm(page, url.Values{"user_code": {code}, "sub": {"alice"}, "groups": {"dba oncall"}})
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, http.StatusOK, answer.StatusCode)
			return nil
		},
	})
	require.NoError(t, err)
	i, err := verifier(t, issuer, nil).Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, "alice", i.Subject())
	require.Equal(t, []string{"dba", "oncall"}, i.Groups())
}

func TestDeviceRefused(t *testing.T) {
	issuer := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	stop := errors.New("no screen")
	for name, c := range map[string]struct {
		config oidc.DeviceConfig
		want   error
	}{
		"denied": {oidc.DeviceConfig{Issuer: issuer.URL, ClientID: audience,
			Prompt: func(_, _, code string) error { return issuer.DenyDevice(code) }}, oidc.ErrSource},
		"prompt fails": {oidc.DeviceConfig{Issuer: issuer.URL, ClientID: audience,
			Prompt: func(_, _, _ string) error { return stop }}, stop},
		"no client":  {oidc.DeviceConfig{Issuer: issuer.URL, Prompt: func(_, _, _ string) error { return nil }}, oidc.ErrSource},
		"no prompt":  {oidc.DeviceConfig{Issuer: issuer.URL, ClientID: audience}, oidc.ErrSource},
		"not HTTPS":  {oidc.DeviceConfig{Issuer: "http://idp.example.com", ClientID: audience, Prompt: func(_, _, _ string) error { return nil }}, oidc.ErrSource},
		"impatience": {oidc.DeviceConfig{Issuer: issuer.URL, ClientID: audience, Prompt: func(_, _, _ string) error { cancel(); return nil }}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			with := t.Context()
			if name == "impatience" {
				with = ctx
			}
			token, err := oidc.Device(with, c.config)
			require.ErrorIs(t, err, c.want)
			require.Empty(t, token)
		})
	}
}
