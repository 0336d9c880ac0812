package approve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/guardedpg/guardedpg/identity"
)

// A Grant lets a request run. The zero Grant lets nothing run.
type Grant struct {
	// Request is the ID of the request that was decided. It may be an earlier
	// one than the one that asks now, if Use is there to count.
	Request string
	// Digest is the decided request's. Shape is too, if people granted more
	// than that one statement, and empty otherwise.
	Digest, Shape string
	// Statement is the decided request's. Required with a Shape, for a statement
	// other than that one: its own shape is compared.
	Statement string
	// By are the people who decided. At least one, none of them the asker.
	By []identity.Identity
	// Reason is what they said; may be empty.
	Reason string
	// At is when; Expires is when the grant ends, the zero time means at the
	// end of the call that asked.
	At, Expires time.Time
	// BreakGlass marks a grant outside the ordinary rules. Needs a Reason.
	BreakGlass bool
	// MaxRows is how many rows the statement may touch at most, what its cascades
	// and triggers touch included; when it touches more, the guard undoes it, and
	// what has no number of rows (TRUNCATE, DDL) does not run. 0 means any number.
	MaxRows int64
	// Use uses the grant up for one run, and fails when it is used up already,
	// revoked or expired. Nil means that the grant is good for the call that it
	// answers, and nowhere else. Call it through Redeem.
	Use func(context.Context) error
}

// Check returns nil when g lets r run at the time now, or an [*Error] of class
// ErrVoid or ErrMayNot that says why not.
func (g Grant) Check(r Request, now time.Time) error {
	void := func(detail string) error { return &Error{Class: ErrVoid, Request: g.Request, Detail: detail} }
	exact := g.Digest != "" && g.Digest == r.Digest
	shaped := g.Shape != "" && g.Shape == r.Shape && g.Use != nil
	switch {
	case g.Request == "" || !exact && !shaped:
		return void("it is for another statement, or what it was bound to has changed")
	case g.Request != r.ID && g.Use == nil:
		return void("it is for another request, and nothing counts its uses")
	case r.TicketID != "" && g.Request != r.TicketID:
		return void("it is for another ticket")
	case !g.Expires.IsZero() && now.After(g.Expires):
		return void("it has expired")
	case g.MaxRows < 0:
		return void("its number of rows is negative")
	case g.MaxRows > 0 && r.Exact > g.MaxRows:
		return void("the statement touches more rows than were allowed")
	case len(g.By) == 0:
		return void("it names nobody who decided")
	case g.BreakGlass && !says(g.Reason):
		return void("a break-glass grant needs a reason")
	}
	for i, by := range g.By {
		if err := mayDecide(r, by, g.BreakGlass); err != nil {
			return err
		}
		if slices.ContainsFunc(g.By[:i], by.Same) {
			return void("one person counts once")
		}
		if by.Issuer() != g.By[0].Issuer() {
			return void("people of two issuers cannot be told apart")
		}
	}
	if need := max(r.Quorum, 1); len(g.By) < need && !g.BreakGlass {
		return void(fmt.Sprintf("%d of %d needed people agreed", len(g.By), need))
	}
	return nil
}

// says reports whether a reason has a letter or a digit: what is made of blanks
// and invisible characters says nothing.
func says(reason string) bool {
	return strings.ContainsFunc(reason, func(r rune) bool { return visible(r) && (unicode.IsLetter(r) || unicode.IsDigit(r)) })
}

// Redeem uses g up for one run. The guard calls it after Check, as the last
// thing that can fail before the statement runs; see the package's
// documentation for the order.
func (g Grant) Redeem(ctx context.Context) error {
	if g.Request == "" {
		return &Error{Class: ErrVoid, Detail: "there is no grant"}
	}
	if g.Use == nil {
		return nil
	}
	return g.Use(ctx)
}

// mayDecide returns nil if by may decide r, by breaking the glass or ordinarily.
func mayDecide(r Request, by identity.Identity, breakGlass bool) error {
	not := func(detail string) error { return &Error{Class: ErrMayNot, Request: r.ID, Detail: detail} }
	groups := r.Groups
	if breakGlass {
		groups = r.BreakGlass
	}
	switch {
	case by.IsZero():
		return not("nobody is named")
	case by.Issuer() == r.Identity.Issuer() && by.Subject() == r.Identity.Subject():
		return not("the asker cannot approve")
	case len(r.Issuers) > 0 && !slices.Contains(r.Issuers, by.Issuer()):
		return not(Printable(by.Subject()) + " is of " + Printable(by.Issuer()) + ", whose people may not")
	case breakGlass && len(groups) == 0:
		return not("the policy lets nobody break the glass")
	case len(groups) > 0 && !slices.ContainsFunc(groups, by.In):
		return not(Printable(by.Subject()) + " is in none of the groups that may")
	case len(groups)+len(r.Claims) > 0 && r.Identity.Verified() && !by.Verified():
		// Anybody could claim a group. Where the asker is a development
		// identity too, nothing is protected anyway.
		return not(Printable(by.Subject()) + "'s groups are not verified")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if value, ok := by.Attributes()[name]; !ok || value != r.Claims[name] {
			return not(fmt.Sprintf("%s has no claim %s of %s", Printable(by.Subject()), Printable(name), Printable(r.Claims[name])))
		}
	}
	return nil
}
