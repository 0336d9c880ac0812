package oidc

import (
	"context"
	"errors"
	"net/http"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// DeviceConfig says how a person signs in who has no browser where this program
// runs: by the device authorization grant (RFC 8628).
type DeviceConfig struct {
	// Issuer is the issuer's URL. Required.
	Issuer string
	// ClientID is this program's name at the issuer; the token's audience is
	// usually the same. Required.
	ClientID string
	// Scopes are asked for beside openid. Default: "profile".
	Scopes []string
	// Prompt tells the person to open url and to check, or type, code there.
	// complete, if not empty, is a URL that has the code in it. An error ends
	// the attempt. Required.
	Prompt func(url, complete, code string) error
	// Client asks the issuer. Default: one with a timeout of 10 seconds.
	Client *http.Client
}

// Device has a person sign in and returns their ID token, which nobody has
// verified yet. It waits until they have, the issuer refuses, or ctx ends. Its
// errors are [*Error].
func Device(ctx context.Context, c DeviceConfig) (string, error) {
	fail := func(class error, detail string, err error) (string, error) {
		return "", &Error{Class: class, Issuer: c.Issuer, Detail: detail, Err: err}
	}
	if c.Prompt == nil || c.ClientID == "" {
		return fail(ErrSource, "DeviceConfig lacks Prompt or ClientID", nil)
	}
	if err := secure(c.Issuer); err != nil {
		return fail(ErrSource, "", err)
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile"}
	}
	ctx = gooidc.ClientContext(ctx, c.Client)
	provider, err := gooidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return fail(ErrUnreachable, "discovery", err)
	}
	endpoint := provider.Endpoint()
	if endpoint.DeviceAuthURL == "" {
		return fail(ErrSource, "it offers no device authorization: give a token instead", nil)
	}
	for _, u := range []string{endpoint.DeviceAuthURL, endpoint.TokenURL} {
		if err := secure(u); err != nil {
			return fail(ErrSource, "", err)
		}
	}
	config := oauth2.Config{ClientID: c.ClientID, Endpoint: endpoint, Scopes: append([]string{gooidc.ScopeOpenID}, c.Scopes...)}
	device, err := config.DeviceAuth(ctx)
	if err != nil {
		return fail(ErrSource, "device authorization", err)
	}
	if err := c.Prompt(device.VerificationURI, device.VerificationURIComplete, device.UserCode); err != nil {
		return fail(ErrSource, "", err)
	}
	t, err := config.DeviceAccessToken(ctx, device)
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused): // its text has the issuer's whole answer
		return fail(ErrSource, "the issuer refused: "+cut(refused.ErrorCode), nil)
	case err != nil:
		return fail(ErrSource, "device authorization", err)
	}
	token, ok := t.Extra("id_token").(string)
	if !ok || token == "" {
		return fail(ErrNoToken, "the issuer answered without an ID token", nil)
	}
	return token, nil
}
