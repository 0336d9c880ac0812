package identity_test

import (
	"context"
	"fmt"

	"github.com/guardedpg/guardedpg/identity"
)

func ExampleNewContext() {
	ctx := identity.NewContext(context.Background(), identity.Development("dev", "dba"))
	i := identity.FromContext(ctx)
	fmt.Println(i.Subject(), i.In("dba"), i.Verified())
	// Output: dev true false
}

func ExampleNew() {
	// Only code that has checked a proof itself may call New.
	i := identity.New(identity.Claims{
		Issuer:  "https://idp.example.com",
		Subject: "ci-agent",
		Groups:  []string{"agents"},
	})
	fmt.Println(i.Subject(), i.Verified())
	// Output: ci-agent true
}
