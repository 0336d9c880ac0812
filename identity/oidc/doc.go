// Package oidc makes identities from OpenID Connect ID tokens and other JWTs
// that an OpenID Connect issuer signs (a CI job's, a workload's).
//
// A [Verifier] believes a token when one of its issuers signed it with an
// asymmetric key that the issuer publishes now, for the configured audience,
// and it has neither expired nor is yet to begin. Keys and verified tokens are
// kept in memory: a token seen before costs a hash and a lookup. Nothing asks
// the issuer about a single token, so a token that the issuer revokes is still
// believed until it expires, and a key that the issuer withdraws until
// [Config.MaxAge] has passed. Issue short-lived tokens.
//
// [Identify] joins a [TokenSource] and a Verifier to what the guard's
// configuration wants. No error text holds a token or a part of one.
package oidc
