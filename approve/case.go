package approve

import (
	"fmt"
	"slices"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// A Verdict is what one person says.
type Verdict string

// The verdicts. The empty Verdict is not valid.
const (
	Yes        Verdict = "yes"
	No         Verdict = "no"
	BreakGlass Verdict = "break-glass" // an emergency: one person, with a reason
)

// A Scope says what a yes covers. The zero Scope is that one statement, once,
// with any number of rows.
type Scope struct {
	// Times is how often statements of the request's shape may run, this one
	// included, at most 1000. 0 or 1 means that one statement, once.
	Times int `json:"times,omitempty"`
	// For is how long from the approval on; needed when Times is more than 1,
	// and 0 otherwise.
	For time.Duration `json:"for_ns,omitempty"`
	// MaxRows is how many rows each may touch at most; 0 means any number.
	MaxRows int64 `json:"max_rows,omitempty"`
}

// maxTimes bounds a stream's length, which every use reads.
const maxTimes = 1000

// maxWait and maxUse bound how long a request can be decided and a decision be
// used, whatever its event says: agents store it.
const (
	maxWait = 31 * 24 * time.Hour
	maxUse  = 24 * time.Hour
)

func (s Scope) wide() bool { return s.Times > 1 }

func (s Scope) validate(r Request) error {
	bad := func(detail string) error { return &Error{Class: ErrInvalid, Request: r.ID, Detail: detail} }
	switch {
	case s.Times < 0 || s.Times > maxTimes:
		return bad(fmt.Sprintf("a grant is for 1 to %d times", maxTimes))
	case s.MaxRows < 0:
		return bad("a number of rows is not negative")
	case s.wide() && s.For <= 0:
		return bad("a grant for several times needs an end")
	case !s.wide() && s.For != 0:
		return bad("a grant for one time has the end that the request says")
	case s.wide() && r.Shape == "":
		return bad("this statement can only be granted by itself")
	}
	return nil
}

// and returns what both s and t cover.
func (s Scope) and(t Scope) Scope {
	if !s.wide() || !t.wide() {
		s.Times, s.For = 0, 0
	} else {
		s.Times, s.For = min(s.Times, t.Times), min(s.For, t.For)
	}
	if s.MaxRows == 0 || t.MaxRows != 0 && t.MaxRows < s.MaxRows {
		s.MaxRows = t.MaxRows
	}
	return s
}

// A Decision is what one person said about a request.
type Decision struct {
	By      identity.Identity
	Verdict Verdict
	Reason  string // required for BreakGlass
	Scope   Scope
	At      time.Time // by the store's clock; set by the Queue
}

// State is where a request stands.
type State string

// The states.
const (
	Pending  State = "pending"  // people may decide
	Approved State = "approved" // it may run
	Rejected State = "rejected" // somebody said no
	Used     State = "used"     // it ran, or was about to, as often as allowed
	Expired  State = "expired"  // nobody decided, or used it, in time
	Revoked  State = "revoked"  // somebody took it back

	Unreadable State = "unreadable" // what is stored of it is damaged or of a newer version: nobody can use it
)

// A Case is a request and what became of it.
type Case struct {
	Request   Request
	State     State
	Decisions []Decision // those that count, in order
	Scope     Scope      // what everybody who agreed covers
	Uses      int        // how often it was used
	// Ends is when Pending or Approved end by themselves.
	Ends time.Time
	// Closed is when it was approved, rejected or revoked; zero before.
	Closed  time.Time
	Revoked *Decision // who revoked it; Verdict No

	seq int           // how many events its stream has
	use time.Duration // how long a decision is good
}

// times is how often an approved case may be used.
func (c *Case) times() int { return max(c.Scope.Times, 1) }

// at lets time pass.
func (c *Case) at(now time.Time) {
	if (c.State == Pending || c.State == Approved) && now.After(c.Ends) {
		c.State = Expired
	}
}

// decide lets d count, or says why it does not.
func (c *Case) decide(d Decision) error {
	if c.State != Pending {
		return &Error{Class: ErrClosed, Request: c.Request.ID, Detail: "it is " + string(c.State)}
	}
	if err := mayDecide(c.Request, d.By, d.Verdict == BreakGlass); err != nil {
		return err
	}
	if c.Request.Identity.Verified() && !d.By.Verified() {
		return &Error{Class: ErrMayNot, Request: c.Request.ID, Detail: Printable(d.By.Subject()) + " is not verified"}
	}
	if err := d.Scope.validate(c.Request); err != nil {
		return err
	}
	agreed := 0
	for _, other := range c.Decisions {
		if other.By.Same(d.By) && d.Verdict != No {
			return &Error{Class: ErrClosed, Request: c.Request.ID, Detail: Printable(d.By.Subject()) + " has decided already"}
		}
		if d.Verdict == Yes && other.By.Issuer() != d.By.Issuer() {
			return &Error{Class: ErrMayNot, Request: c.Request.ID,
				Detail: "somebody of " + Printable(other.By.Issuer()) + " agreed before, and people of two issuers cannot be told apart"}
		}
		agreed++
	}
	switch d.Verdict {
	case No:
		c.State = Rejected
	case Yes:
		if agreed++; agreed >= max(c.Request.Quorum, 1) {
			c.State = Approved
		}
	case BreakGlass:
		if !says(d.Reason) || d.Scope.wide() {
			return &Error{Class: ErrInvalid, Request: c.Request.ID, Detail: "breaking the glass needs a reason, and is for one time"}
		}
		c.State = Approved
	default:
		return &Error{Class: ErrInvalid, Request: c.Request.ID, Detail: "a verdict is yes, no or break-glass"}
	}
	if len(c.Decisions) == 0 || d.Verdict == BreakGlass {
		c.Scope = d.Scope
	} else {
		c.Scope = c.Scope.and(d.Scope)
	}
	c.Decisions = append(c.Decisions, d)
	if c.State != Pending {
		c.Closed, c.Ends = d.At, d.At.Add(c.use)
	}
	if c.State == Approved && c.Scope.wide() {
		c.Ends = d.At.Add(c.Scope.For)
	}
	return nil
}

// alike reports whether people see the same of r as of o. Both have one digest:
// they are, unless somebody else than the guard stored one of them.
func (r Request) alike(o Request) bool {
	return r.Statement == o.Statement && r.Database == o.Database && r.Shape == o.Shape && slices.Equal(r.Behind, o.Behind) &&
		slices.Equal(r.Args, o.Args) && slices.Equal(r.Effects, o.Effects) && r.Rule == o.Rule && r.Reason == o.Reason &&
		r.Identity.Name() == o.Identity.Name()
}

// covers says why c does not let r run, or nil.
func (c *Case) covers(r Request) error {
	void := func(detail string) error { return &Error{Class: ErrVoid, Request: c.Request.ID, Detail: detail} }
	exact := c.Request.Digest == r.Digest
	shaped := c.Scope.wide() && c.Request.Shape != "" && c.Request.Shape == r.Shape
	switch {
	case !c.Request.Identity.Same(r.Identity):
		return void("it is another's")
	case !exact && !shaped:
		return void("it is for another statement, or what it was bound to has changed")
	case exact && !c.Request.alike(r), shaped && (c.Request.Database != r.Database || !slices.Equal(c.Request.Effects, r.Effects)):
		return void("people saw another statement")
	case c.State == Used:
		return void("it is used up")
	case c.State == Expired:
		return void("it has expired")
	case c.State != Approved:
		return void("it is " + string(c.State))
	}
	return c.grant().Check(r, c.Closed)
}

// grant is what c gives, without the means to use it.
func (c *Case) grant() Grant {
	g := Grant{Request: c.Request.ID, Digest: c.Request.Digest, Statement: c.Request.Statement, At: c.Closed, MaxRows: c.Scope.MaxRows, Use: neverUse}
	if c.Scope.wide() {
		g.Shape = c.Request.Shape
	}
	decisions := c.Decisions
	if last := decisions[len(decisions)-1]; last.Verdict == BreakGlass {
		g.BreakGlass, decisions = true, decisions[len(decisions)-1:]
	}
	for _, d := range decisions {
		g.By = append(g.By, d.By)
		if d.Reason != "" {
			if g.Reason != "" {
				g.Reason += "; "
			}
			g.Reason += d.Reason
		}
	}
	return g
}

// redeem counts one run for the statement r.
func (c *Case) redeem(r Request) error {
	if err := c.covers(r); err != nil {
		return err
	}
	if c.Uses++; c.Uses >= c.times() {
		c.State = Used
	}
	return nil
}

// revoke takes c back.
func (c *Case) revoke(d Decision) error {
	if c.State != Pending && c.State != Approved {
		return &Error{Class: ErrClosed, Request: c.Request.ID, Detail: "it is " + string(c.State)}
	}
	if mayDecide(c.Request, d.By, false) != nil && mayDecide(c.Request, d.By, true) != nil {
		return mayDecide(c.Request, d.By, false)
	}
	if c.Request.Identity.Verified() && !d.By.Verified() {
		return &Error{Class: ErrMayNot, Request: c.Request.ID, Detail: Printable(d.By.Subject()) + " is not verified"}
	}
	d.Verdict = No
	c.State, c.Closed, c.Ends, c.Revoked = Revoked, d.At, d.At.Add(c.use), &d
	return nil
}

// clone lets a change be tried.
func (c *Case) clone() *Case {
	d := *c
	d.Decisions = slices.Clone(c.Decisions)
	return &d
}

// replay makes cases, in order of their asking, of one stream's events. What
// may not count does not count, whoever stored it: each event goes through the
// same rules as before it was stored. It fails on events that it cannot read,
// so that a newer version's rejection is not overlooked.
func replay(events []Event, now time.Time) ([]*Case, error) {
	var cases []*Case
	for n, e := range events {
		if e.Seq != n+1 {
			return nil, fmt.Errorf("approve: stream %q has event %d in place %d", e.Stream, e.Seq, n+1)
		}
		var err error
		if cases, err = apply(cases, e); err != nil {
			return nil, fmt.Errorf("approve: event %d of stream %q: %w", e.Seq, e.Stream, err)
		}
	}
	for _, c := range cases {
		c.at(now)
		c.seq = len(events)
	}
	return cases, nil
}

func apply(cases []*Case, e Event) ([]*Case, error) {
	var c *Case
	if i := slices.IndexFunc(cases, func(c *Case) bool { return c.Request.ID == e.Request }); i >= 0 {
		c = cases[i]
		c.at(e.At)
	}
	switch e.Kind {
	case KindAsked:
		b, err := decode[askedBody](e.Body)
		if err != nil {
			return nil, err
		}
		r := b.Request.request()
		inTime := 0 < b.Wait && b.Wait <= maxWait && 0 < b.Use && b.Use <= maxUse
		if c == nil && r.ID == e.Request && r.ID != "" && r.Digest == e.Stream && !r.Identity.IsZero() && inTime {
			r.Created, r.Deadline = e.At, e.At.Add(b.Wait)
			cases = append(cases, &Case{Request: r, State: Pending, Ends: r.Deadline, use: b.Use})
		}
	case KindDecided:
		b, err := decode[decidedBody](e.Body)
		if err != nil {
			return nil, err
		}
		if c != nil {
			_ = c.decide(Decision{b.By.identity(), b.Verdict, b.Reason, b.Scope, e.At})
		}
	case KindUsed:
		b, err := decode[usedBody](e.Body)
		if err != nil {
			return nil, err
		}
		if c != nil {
			// How many rows it touches was checked before it was stored.
			r := c.Request
			r.Digest, r.Exact = b.Digest, -1
			_ = c.redeem(r)
		}
	case KindRevoked:
		b, err := decode[revokedBody](e.Body)
		if err != nil {
			return nil, err
		}
		if c != nil {
			_ = c.revoke(Decision{By: b.By.identity(), Reason: b.Reason, At: e.At})
		}
	default:
		return nil, fmt.Errorf("its kind %q is not known", e.Kind)
	}
	return cases, nil
}
