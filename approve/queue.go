package approve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// QueueConfig configures a Queue.
type QueueConfig struct {
	// Store keeps the requests and decisions. Required.
	Store Store
	// TicketLife is how long people may decide a ticket, at most 31 days.
	// Default: 24 hours.
	TicketLife time.Duration
	// WaitLife is how long people may decide a request without a Deadline whose
	// asker waits, at most 31 days. Default: 5 minutes.
	WaitLife time.Duration
	// Use is how long an approval can be used, unless it says itself, and how
	// long a rejection answers the same statement again before it is a new
	// request, at most 24 hours. Default: 10 minutes.
	Use time.Duration
	// MaxPending is how many requests of one identity may wait for people at
	// once. What goes beyond is refused with ErrTooMany: an agent in a loop must
	// not bury what others ask. Counted by each Queue for itself. Default: 50.
	MaxPending int
}

// A Queue lets many agents ask and many people decide, through a Store.
//
// A statement that is asked again, by the same identity and with the same
// digest, is the same request while people may still decide it or the approval
// can be used. Of many who wait for one request, one runs per approval, and the
// others' requests are asked anew.
//
// Who may decide: a verified identity in one of the request's groups, never the
// asker; one person counts once, one rejection ends it. An unverified identity
// may decide only what an unverified one asks. These rules are applied when a
// decision is made, and again whenever it is read. A Queue is safe for
// concurrent use.
type Queue struct {
	config QueueConfig

	mu    sync.Mutex
	asked map[asker][]waiting
}

type asker struct {
	issuer, subject string
	verified        bool
}

// A waiting is a request that this Queue stored, and until when it can be pending.
type waiting struct {
	id  string
	end time.Time
}

// NewQueue returns a Queue.
func NewQueue(c QueueConfig) (*Queue, error) {
	if c.Store == nil {
		return nil, errors.New("approve: QueueConfig.Store is missing: use &approve.MemoryStore{} or package approve/pgstore")
	}
	if c.TicketLife < 0 || c.WaitLife < 0 || c.Use < 0 {
		return nil, errors.New("approve: QueueConfig: a duration is negative")
	}
	if c.TicketLife > maxWait || c.WaitLife > maxWait || c.Use > maxUse {
		return nil, fmt.Errorf("approve: QueueConfig: people decide within %v at most, and a decision is used within %v", maxWait, maxUse)
	}
	if c.MaxPending < 0 {
		return nil, errors.New("approve: QueueConfig.MaxPending is negative")
	}
	if c.MaxPending == 0 {
		c.MaxPending = 50
	}
	for d, value := range map[*time.Duration]time.Duration{
		&c.TicketLife: 24 * time.Hour, &c.WaitLife: 5 * time.Minute, &c.Use: 10 * time.Minute,
	} {
		if *d == 0 {
			*d = value
		}
	}
	return &Queue{config: c, asked: make(map[asker][]waiting)}, nil
}

// Approve implements Approver. The Grant's Use counts through the Store.
func (q *Queue) Approve(ctx context.Context, r Request) (Grant, error) {
	if r.ID == "" || r.Digest == "" || r.Identity.IsZero() {
		return Grant{}, &Error{Class: ErrInvalid, Request: r.ID, Detail: "the request has no ID, no digest or no identity"}
	}
	if size := r.size(); size > maxSize {
		return Grant{}, &Error{Class: ErrInvalid, Request: r.ID, Detail: fmt.Sprintf("nobody could read the %d bytes of it before deciding", size)}
	}
	var wake <-chan struct{}
	if !r.Ticket {
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		var err error
		// Before the first look, so that nothing happens unseen in between.
		if wake, err = q.config.Store.Watch(ctx); err != nil {
			return Grant{}, err
		}
	}
	started := time.Now()
	for {
		c, now, err := q.ask(ctx, r, started)
		switch {
		case err != nil:
			return Grant{}, err
		case c.State == Approved:
			return q.grant(c, r, now), nil
		case r.Ticket:
			return Grant{}, &PendingError{Ticket: c.Request.ID, Expires: time.Now().Add(c.Ends.Sub(now))}
		}
		left := q.left(r, started)
		if left <= 0 {
			return Grant{}, late(c.Request.ID)
		}
		timer := time.NewTimer(min(left, c.Ends.Sub(now)) + time.Millisecond)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Grant{}, ctx.Err()
		}
		timer.Stop()
	}
}

// left is how long people may decide r from now on.
func (q *Queue) left(r Request, started time.Time) time.Duration {
	switch {
	case r.Ticket:
		return q.config.TicketLife
	case r.Deadline.IsZero():
		return q.config.WaitLife - time.Since(started)
	}
	return min(time.Until(r.Deadline), maxWait)
}

// ask returns the case that stands for r, pending or approved, making it if
// there is none, or the error that answers r.
func (q *Queue) ask(ctx context.Context, r Request, started time.Time) (*Case, time.Time, error) {
	for {
		now, streams, broken, err := q.load(ctx, Filter{Stream: r.Digest, Request: r.TicketID, Shape: r.Shape})
		if err == nil {
			err = broken[r.Digest]
		}
		if err != nil {
			return nil, now, err
		}
		if r.TicketID != "" {
			c, err := find(streams, broken, r.TicketID)
			if err == nil {
				err = c.answer(r)
			}
			return c, now, err
		}
		own := streams[r.Digest]
		for _, c := range own {
			if c.State != Pending {
				q.forget(askerOf(c.Request), c.Request.ID)
			}
			if c.covers(r) == nil {
				return c, now, nil
			}
		}
		for _, stream := range streams {
			for _, c := range stream {
				if c.covers(r) == nil {
					return c, now, nil
				}
			}
		}
		seq := 0
		for _, c := range slices.Backward(own) {
			seq = c.seq
			if !c.Request.Identity.Same(r.Identity) || !c.Request.alike(r) {
				continue // not what the guard asked
			}
			again := c.State == Pending ||
				(c.State == Rejected || c.State == Revoked) && !now.After(c.Ends)
			if again {
				return c, now, c.answer(r)
			}
			break
		}
		wait := q.left(r, started)
		if wait <= 0 {
			return nil, now, late(r.ID)
		}
		if err := q.mayAsk(ctx, r); err != nil {
			return nil, now, err
		}
		// A caller whose request ended, and who still waits, asks under a name
		// of its own again: an ID stands for one request.
		id := r.ID
		for n := 2; slices.ContainsFunc(own, func(c *Case) bool { return c.Request.ID == id }); n++ {
			id = fmt.Sprintf("%s-%d", r.ID, n)
		}
		asked := r
		asked.ID = id
		at, err := q.config.Store.Add(ctx, Event{
			Stream: r.Digest, Seq: seq + 1, Kind: KindAsked, Request: id,
			Body: encode(askedBody{storeRequest(asked), wait, q.config.Use}),
		})
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return nil, now, err
		}
		q.remember(asked, wait)
		return &Case{Request: asked, State: Pending, Ends: at.Add(wait)}, at, nil
	}
}

func askerOf(r Request) asker {
	return asker{r.Identity.Issuer(), r.Identity.Subject(), r.Identity.Verified()}
}

// mayAsk refuses a request of somebody of whom too many wait already.
func (q *Queue) mayAsk(ctx context.Context, r Request) error {
	who := askerOf(r)
	q.mu.Lock()
	list := slices.DeleteFunc(q.asked[who], func(w waiting) bool { return time.Now().After(w.end) })
	full := len(list) >= q.config.MaxPending
	var some []waiting
	if full {
		// People may have decided some that were not asked again. A few are
		// looked at each time, in turn: this is where a flood would cost most.
		few := min(len(list), 4)
		some = slices.Clone(list[:few])
		list = slices.Concat(list[few:], some)
	}
	if q.asked[who] = list; len(list) == 0 {
		delete(q.asked, who)
	}
	q.mu.Unlock()
	for _, w := range some {
		c, err := q.Case(ctx, w.id)
		switch {
		case err != nil && !errors.Is(err, ErrUnknown):
			return err
		case err != nil || c.State != Pending:
			q.forget(who, w.id)
			full = false
		}
	}
	if full {
		return &Error{Class: ErrTooMany, Request: r.ID, Detail: fmt.Sprintf("%d requests of %s wait already", len(list), Printable(r.Identity.Subject()))}
	}
	return nil
}

func (q *Queue) remember(r Request, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	who := askerOf(r)
	q.asked[who] = append(q.asked[who], waiting{r.ID, time.Now().Add(wait)})
}

func (q *Queue) forget(who asker, id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := slices.DeleteFunc(q.asked[who], func(w waiting) bool { return w.id == id })
	if q.asked[who] = list; len(list) == 0 {
		delete(q.asked, who)
	}
}

// maxSize bounds what can be asked, so that it can be shown and stored.
const maxSize = 1 << 20

// size is how many bytes a person would have to read.
func (r Request) size() int {
	n := len(r.Statement) + len(r.Purpose)
	for _, list := range [][]string{r.Args, r.Behind, r.Effects} {
		for _, s := range list {
			n += len(s)
		}
	}
	return n
}

func late(id string) error {
	return &RejectedError{Request: id, Reason: "nobody decided in time"}
}

// answer is what c says to r: nil when it is approved for r or can still be.
func (c *Case) answer(r Request) error {
	switch c.State {
	case Rejected, Revoked:
		if c.Request.Digest != r.Digest || !c.Request.Identity.Same(r.Identity) {
			return c.covers(r)
		}
		d := c.Revoked
		reason := "revoked"
		if c.State == Rejected {
			d, reason = &c.Decisions[len(c.Decisions)-1], ""
		}
		if d.Reason != "" {
			reason = strings.TrimPrefix(reason+": "+d.Reason, ": ")
		}
		return &RejectedError{Request: c.Request.ID, By: d.By, Reason: reason}
	case Pending:
		if c.Request.Digest == r.Digest && c.Request.Identity.Same(r.Identity) {
			return nil
		}
	}
	return c.covers(r)
}

func neverUse(context.Context) error { return &Error{Class: ErrVoid, Detail: "it was not given out"} }

// grant gives c out to r.
func (q *Queue) grant(c *Case, r Request, now time.Time) Grant {
	g := c.grant()
	// The store's clock decides in Use; these are for the caller's.
	g.Expires, g.At = time.Now().Add(c.Ends.Sub(now)), time.Now().Add(c.Closed.Sub(now))
	g.Use = func(ctx context.Context) error { return q.use(ctx, g.Request, r) }
	return g
}

// use counts one run of r under the request id.
func (q *Queue) use(ctx context.Context, id string, r Request) error {
	_, err := q.change(ctx, id, func(c *Case, at time.Time) (bool, error) { return true, c.redeem(r) },
		Event{Kind: KindUsed, Body: encode(usedBody{r.Digest})})
	return err
}

// Decide lets a person decide the request with this ID, and returns the case as
// it is then. Saying the same again changes nothing. Its errors are [*Error], or
// the store's: then the decision may have been stored, and Decide can be called
// again.
func (q *Queue) Decide(ctx context.Context, id string, d Decision) (Case, error) {
	if err := current(d.By, id); err != nil {
		return Case{}, err
	}
	return q.change(ctx, id, func(c *Case, at time.Time) (bool, error) {
		said := slices.IndexFunc(c.Decisions, func(o Decision) bool { return o.By.Same(d.By) && o.Verdict == d.Verdict })
		if said >= 0 {
			return false, nil
		}
		d.At = at
		return true, c.decide(d)
	}, Event{Kind: KindDecided, Body: encode(decidedBody{storePerson(d.By), d.Verdict, d.Reason, d.Scope})})
}

// Revoke takes back the request with this ID, whether it was approved yet or
// not: it cannot be used from now on. Whoever may decide it may revoke it.
func (q *Queue) Revoke(ctx context.Context, id string, by identity.Identity, reason string) (Case, error) {
	if err := current(by, id); err != nil {
		return Case{}, err
	}
	return q.change(ctx, id, func(c *Case, at time.Time) (bool, error) {
		if c.State == Revoked {
			return false, nil
		}
		return true, c.revoke(Decision{By: by, Reason: reason, At: at})
	}, Event{Kind: KindRevoked, Body: encode(revokedBody{storePerson(by), reason})})
}

// current says that by's proof of identity has ended, or nil. What is stored
// keeps no expiry: a decision stays made.
func current(by identity.Identity, request string) error {
	if end := by.Expires(); !end.IsZero() && !time.Now().Before(end) {
		return &Error{Class: ErrMayNot, Request: request, Detail: Printable(by.Subject()) + "'s identity has expired: sign in again"}
	}
	return nil
}

// change applies do to the case with this ID and stores e for it, if do says so
// and nothing came between.
func (q *Queue) change(ctx context.Context, id string, do func(c *Case, at time.Time) (bool, error), e Event) (Case, error) {
	for {
		now, streams, broken, err := q.load(ctx, Filter{Request: id})
		if err != nil {
			return Case{}, err
		}
		c, err := find(streams, broken, id)
		if err != nil {
			return Case{}, err
		}
		before := c.clone()
		store, err := do(c, now)
		if err != nil {
			return *before, err
		}
		if !store {
			return *before, nil
		}
		e.Stream, e.Seq, e.Request = c.Request.Digest, c.seq+1, id
		if e.Kind == KindDecided && c.Scope.wide() {
			e.Shape = c.Request.Shape
		}
		at, err := q.config.Store.Add(ctx, e)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return *before, err
		}
		// It may have expired between the look and the event: what counts is
		// what every later reader will say.
		before.at(at)
		if _, err := do(before, at); err != nil {
			return *before, err
		}
		before.seq++
		return *before, nil
	}
}

// Case returns the case of the request with this ID.
func (q *Queue) Case(ctx context.Context, id string) (Case, error) {
	_, streams, broken, err := q.load(ctx, Filter{Request: id})
	if err != nil {
		return Case{}, err
	}
	c, err := find(streams, broken, id)
	if err != nil {
		return Case{}, err
	}
	return *c, nil
}

// Cases returns the cases with which something happened since, by the store's
// clock, the oldest first, and those that share a digest with them. Events that
// cannot be read, which let nothing run, are one case of state Unreadable for
// each digest.
func (q *Queue) Cases(ctx context.Context, since time.Time) ([]Case, error) {
	_, streams, broken, err := q.load(ctx, Filter{Since: since})
	if err != nil {
		return nil, err
	}
	var all []Case
	for digest, err := range broken {
		all = append(all, Case{Request: Request{ID: digest, Digest: digest, Reason: err.Error()}, State: Unreadable})
	}
	for _, cases := range streams {
		for _, c := range cases {
			all = append(all, *c)
		}
	}
	slices.SortFunc(all, func(a, b Case) int {
		if n := a.Request.Created.Compare(b.Request.Created); n != 0 {
			return n
		}
		return strings.Compare(a.Request.ID, b.Request.ID)
	})
	return all, nil
}

// Watch returns a channel that receives when something may have changed, until
// ctx ends.
func (q *Queue) Watch(ctx context.Context) (<-chan struct{}, error) {
	return q.config.Store.Watch(ctx)
}

// untilClosed returns nil when nobody can decide the request with this ID any
// more, or an error when that cannot be told.
func (q *Queue) untilClosed(ctx context.Context, id string) error {
	wake, err := q.Watch(ctx)
	if err != nil {
		return err
	}
	for {
		c, err := q.Case(ctx, id)
		if err != nil {
			return err
		}
		if c.State != Pending {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// load returns the cases of the streams that f selects, and what is wrong with
// those that cannot be read.
func (q *Queue) load(ctx context.Context, f Filter) (time.Time, map[string][]*Case, map[string]error, error) {
	events, now, err := q.config.Store.Load(ctx, f)
	if err != nil {
		return now, nil, nil, err
	}
	streams, broken := make(map[string][]*Case), make(map[string]error)
	for begin := 0; begin < len(events); {
		stream, end := events[begin].Stream, begin
		for end < len(events) && events[end].Stream == stream {
			end++
		}
		cases, err := replay(events[begin:end], now)
		if err != nil {
			broken[stream] = err
		} else {
			streams[stream] = cases
		}
		begin = end
	}
	return now, streams, broken, nil
}

// find returns the one case with this ID. Two under one name would let a
// decision about one pass for the other.
func find(streams map[string][]*Case, broken map[string]error, id string) (*Case, error) {
	var found *Case
	for _, cases := range streams {
		for _, c := range cases {
			if c.Request.ID == id {
				if found != nil {
					return nil, &Error{Class: ErrUnknown, Request: id, Detail: "two requests have this name"}
				}
				found = c
			}
		}
	}
	if found == nil {
		for _, err := range broken {
			return nil, err // it may be there
		}
		return nil, &Error{Class: ErrUnknown, Request: id}
	}
	return found, nil
}
