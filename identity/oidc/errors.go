package oidc

import (
	"errors"
	"strconv"
)

// The classes of refusal. Every error of this package matches at most one.
var (
	ErrNoToken     = errors.New("oidc: there is no token")
	ErrSource      = errors.New("oidc: the token source failed")
	ErrMalformed   = errors.New("oidc: the token is malformed")
	ErrIssuer      = errors.New("oidc: the token's issuer is not configured")
	ErrSignature   = errors.New("oidc: the token's signature is not valid")
	ErrAudience    = errors.New("oidc: the token is for another audience")
	ErrExpired     = errors.New("oidc: the token has expired")
	ErrNotYetValid = errors.New("oidc: the token is not valid yet")
	ErrClaim       = errors.New("oidc: the token lacks a required claim")
	ErrUnreachable = errors.New("oidc: the issuer could not be asked")
)

// Error says why a token was refused.
type Error struct {
	// Class is one of the sentinels above.
	Class error
	// Issuer is the configured issuer, or, for ErrIssuer, what the token says,
	// cut short. Empty when it is not known.
	Issuer string
	// Detail says more, without any part of the token beyond claims' names.
	Detail string
	// Err is the cause, or nil. It never comes from the token's content.
	Err error
}

// Error gives class, issuer, detail and cause on one line.
func (e *Error) Error() string {
	s := e.Class.Error()
	if e.Issuer != "" {
		s += " (issuer " + strconv.Quote(cut(e.Issuer)) + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + cut(e.Err.Error())
	}
	return s
}

// Unwrap returns the class, and the cause if there is one.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

// cut keeps texts that others wrote (an issuer's error page) from flooding ours.
func cut(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}
