package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/guardedpg/guardedpg/identity/oidc"
	"github.com/guardedpg/guardedpg/identity/oidc/oidctest"
)

func Example() {
	ctx := context.Background()
	issuer := oidctest.Start() // stands for your identity provider
	defer issuer.Close()

	verifier, err := oidc.New(ctx, oidc.Config{
		Issuers: []oidc.Issuer{{Issuer: issuer.URL, Audience: "guardedpg"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	// Usually oidc.Env, oidc.File or oidc.Command.
	source := oidc.Static(issuer.Sign(map[string]any{
		"sub": "ci-agent", "aud": "guardedpg", "groups": []string{"agents"},
	}))
	identify := oidc.Identify(source, verifier)

	who, err := identify(ctx)
	fmt.Println(who.Subject(), who.Groups(), who.Verified(), err)

	stolen := issuer.Sign(map[string]any{"sub": "ci-agent", "aud": "another-service"})
	_, err = identify(oidc.ContextWithToken(ctx, stolen))
	fmt.Println(errors.Is(err, oidc.ErrAudience))
	// Output:
	// ci-agent [agents] true <nil>
	// true
}
