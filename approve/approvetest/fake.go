// Package approvetest has an approver for unit tests, and the tests that an
// approver and a store must pass.
package approvetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/identity"
)

// Fake is an approver that answers as it was told last. The zero value rejects.
// It is safe for concurrent use.
type Fake struct {
	mu       sync.Mutex
	answer   func(approve.Request) (approve.Grant, error)
	block    bool
	requests []approve.Request
	used     int
}

// Block answers nobody from now on: Approve returns when ctx ends or r.Deadline
// passes.
func (f *Fake) Block() { f.set(nil, true) }

// Approve records r and answers. A context that has ended gets its error.
func (f *Fake) Approve(ctx context.Context, r approve.Request) (approve.Grant, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	answer, block := f.answer, f.block
	f.mu.Unlock()
	if block && !r.Ticket {
		if !r.Deadline.IsZero() {
			var end context.CancelFunc
			ctx, end = context.WithDeadline(ctx, r.Deadline)
			defer end()
		}
		<-ctx.Done()
	}
	switch {
	case ctx.Err() != nil:
		return approve.Grant{}, ctx.Err()
	case block:
		return approve.Grant{}, &approve.PendingError{Ticket: r.ID}
	case answer == nil:
		return approve.Grant{}, &approve.RejectedError{Request: r.ID, Reason: "the fake approver was not told to approve"}
	}
	return answer(r)
}

// Yes approves from now on, in the name of by. Without by, it is as many people
// as r.Quorum says, who are in all of r.Groups.
func (f *Fake) Yes(by ...identity.Identity) {
	f.Answer(func(r approve.Request) (approve.Grant, error) {
		people := by
		if len(people) == 0 {
			for n := range max(r.Quorum, 1) {
				people = append(people, Person(fmt.Sprintf("approver-%d", n+1), r.Groups...))
			}
		}
		used := false
		return approve.Grant{
			Request: r.ID, Digest: r.Digest, By: people, Reason: "approved by the fake", At: r.Created,
			Use: func(ctx context.Context) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				if used {
					return &approve.Error{Class: approve.ErrVoid, Request: r.ID, Detail: "it is used up"}
				}
				used = true
				f.used++
				return nil
			},
		}, nil
	})
}

// No rejects from now on, with this reason.
func (f *Fake) No(reason string) {
	f.Answer(func(r approve.Request) (approve.Grant, error) {
		return approve.Grant{}, &approve.RejectedError{Request: r.ID, By: Person("approver-1", r.Groups...), Reason: reason}
	})
}

// Wait answers from now on that the decision comes later. After a Yes, the
// repeated statement is approved.
func (f *Fake) Wait() {
	f.Answer(func(r approve.Request) (approve.Grant, error) {
		return approve.Grant{}, &approve.PendingError{Ticket: r.ID}
	})
}

// Fail answers with err from now on.
func (f *Fake) Fail(err error) {
	f.Answer(func(approve.Request) (approve.Grant, error) { return approve.Grant{}, err })
}

// Answer answers by calling answer from now on, perhaps several times at once.
func (f *Fake) Answer(answer func(approve.Request) (approve.Grant, error)) { f.set(answer, false) }

func (f *Fake) set(answer func(approve.Request) (approve.Grant, error), block bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.block = answer, block
}

// Requests returns what was asked, in order.
func (f *Fake) Requests() []approve.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]approve.Request(nil), f.requests...)
}

// Redeemed returns how many of the grants of Yes were redeemed.
func (f *Fake) Redeemed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// Person returns a verified identity of a person who exists in tests alone.
func Person(subject string, groups ...string) identity.Identity {
	return identity.New(identity.Claims{Issuer: "https://people.test", Subject: subject, Groups: groups})
}

var _ approve.Approver = (*Fake)(nil)
