package approve_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/identity"
)

func ExampleFunc() {
	// Nobody is asked: nothing that the policy holds runs.
	never := approve.Func(func(ctx context.Context, r approve.Request) (approve.Grant, error) {
		return approve.Grant{}, &approve.RejectedError{Request: r.ID, Reason: "changes are frozen until Monday"}
	})
	_, err := never.Approve(context.Background(), approve.Request{ID: "1"})
	fmt.Println(err)
	// Output: rejected: changes are frozen until Monday
}

func ExampleQueue() {
	ctx := context.Background()
	q, err := approve.NewQueue(approve.QueueConfig{Store: &approve.MemoryStore{}})
	if err != nil {
		log.Fatal(err)
	}
	// The guard asks, for an agent that does not wait.
	r := approve.Request{
		ID: "r1", Digest: "d1", Statement: "drop table old_orders", Ticket: true,
		Identity: identity.New(identity.Claims{Issuer: "https://idp.example.com", Subject: "agent"}),
		Groups:   []string{"dba"},
	}
	_, err = q.Approve(ctx, r)
	var pending *approve.PendingError
	fmt.Println(errors.As(err, &pending), err)

	// A person decides, perhaps in another process.
	alice := identity.New(identity.Claims{Issuer: "https://idp.example.com", Subject: "alice", Groups: []string{"dba"}})
	c, err := q.Decide(ctx, pending.Ticket, approve.Decision{By: alice, Verdict: approve.Yes, Reason: "it is empty"})
	fmt.Println(c.State, err)

	// The agent repeats the statement, and the guard runs it, once.
	g, err := q.Approve(ctx, r)
	fmt.Println(err, g.Check(r, time.Now()), g.Redeem(ctx))
	fmt.Println(g.Redeem(ctx))
	// Output:
	// true waiting for approval, ticket r1: run the same statement again when it is approved
	// approved <nil>
	// <nil> <nil> <nil>
	// approve: the decision does not apply, request r1: it is used up
}

func ExampleTerminal() {
	terminal, err := approve.NewTerminal(approve.TerminalConfig{
		As: identity.Development("me"), // and the terminal of this process
		In: strings.NewReader("no not on a Friday\n"), Out: os.Stdout,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = terminal.Approve(context.Background(), approve.Request{
		ID: "r1", Digest: "d1", Statement: "truncate orders", Rule: "baseline/truncate",
		Identity: identity.Development("agent"), Rows: 1200, Exact: -1,
	})
	fmt.Println("no not on a Friday") // as it would have been typed
	fmt.Println(err)
	// Output:
	// A statement waits for your decision: r1
	//   asked by   agent of development, NOT VERIFIED
	//   rule       baseline/truncate
	//   rows       about 1200, by the planner's estimate
	//   decided by anybody but the asker
	//   statement  15 bytes
	//   | truncate orders
	//   Let it run? yes or no, then a reason: no not on a Friday
	// rejected by me: not on a Friday
}
