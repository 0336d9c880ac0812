// Package approve asks people: a statement that the policy holds waits for an
// [Approver].
//
// The guard makes a [Request] and calls [Approver.Approve]. With the [Grant]
// that comes back it proceeds in this order, and stops at the first failure:
//
//  1. [Grant.Check], against the request as it is now;
//  2. that the connection is alive, so that no decision is spent on a dead one;
//  3. the decision into the trail;
//  4. [Grant.Redeem], which uses the grant up: of any number of callers, in any
//     number of processes, as many succeed as people allowed, and no more;
//  5. the redemption and the intent into the trail, durably;
//  6. the statement.
//
// A process that dies between 4 and 6 leaves a grant that is used and a
// statement that did not run; the trail, which has or lacks the intent, says
// which. It never leaves one that ran twice.
//
// Approvers here are [Func], [Terminal] and [Queue].
package approve

import (
	"context"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// An Approver decides held statements. Approve blocks until there is a decision,
// ctx ends, or r.Deadline passes; when r.Ticket, it does not block. It returns a
// Grant for r, or an error: a [*RejectedError], a [*PendingError] when the
// decision comes later, ctx's error, or any other, all of which refuse the
// statement. Implementations are safe for concurrent use and prove themselves
// with approvetest.TestApprover.
type Approver interface {
	Approve(ctx context.Context, r Request) (Grant, error)
}

// Func adapts a function to an Approver. A nil Func rejects.
type Func func(ctx context.Context, r Request) (Grant, error)

// Approve calls f.
func (f Func) Approve(ctx context.Context, r Request) (Grant, error) {
	if f == nil {
		return Grant{}, &RejectedError{Request: r.ID, Reason: "no approver is configured"}
	}
	return f(ctx, r)
}

// A Request is one held statement, as an approver sees it.
type Request struct {
	// ID names the request. Unique; made by the guard.
	ID string
	// Digest binds a decision: SHA-256, in hex, over the statement, its
	// arguments, the identity with its groups, what it sees in clear, the database,
	// the policy, the versions of the catalog objects concerned, and the session's
	// role and settings.
	Digest string
	// Shape binds a wider grant: like Digest, but over the statement's
	// fingerprint in place of its text, and without the arguments. Empty means
	// that nothing wider than this one statement can be granted.
	Shape string
	// Statement is the SQL text as it will run.
	Statement string
	// Behind is what names in Statement stand for in the asker's session: the
	// texts of prepared statements and of cursors.
	Behind []string
	// Args are the arguments for a person to read; one that meets a protected
	// column reads "(protected)".
	Args []string
	// Identity is who asks.
	Identity identity.Identity
	// Purpose is what the asker says it is for; not verified. May be empty.
	Purpose string
	// Database is "name on system identifier as user".
	Database string
	// Policy is the policy's hash. May be empty.
	Policy string
	// Rule is the policy's rule that holds the statement, Reason its words.
	Rule, Reason string
	// Effects says what the statement would do, each with its path.
	Effects []string
	// Rows is the planner's estimate, or -1 when there is none.
	Rows int64
	// Exact is the exact number of rows that it would touch, or -1.
	Exact int64
	// Groups may decide; empty means anybody who is not the asker.
	Groups []string
	// BreakGlass are the groups of which one person alone may let the statement
	// run in an emergency, whatever Groups and Quorum say, by giving a reason.
	// Empty means nobody.
	BreakGlass []string
	// Claims are what an identity must have among its attributes to decide, all
	// of them, whatever its groups.
	Claims map[string]string
	// Issuers are those whose people may decide; empty means any.
	Issuers []string
	// Quorum is how many people must agree; 0 means 1. All of them are people of
	// one issuer: nobody can tell those of two apart.
	Quorum int
	// Ticket is true when the asker does not wait: the approver returns a
	// PendingError at once unless the decision is there already.
	Ticket bool
	// TicketID is the ID of an earlier request that the asker redeems: no other
	// decision will do, and no new request is made. Empty means any that fits.
	TicketID string
	// InTransaction is true when the asker holds an open transaction.
	InTransaction bool
	// Created is when it was asked. Deadline is when waiting ends; it means
	// nothing for a ticket, and zero means that only ctx ends the waiting.
	Created, Deadline time.Time
}
