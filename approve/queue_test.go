package approve_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/identity"
)

func TestMemoryStore(t *testing.T) {
	approvetest.TestStore(t, func(t *testing.T) (one, two approve.Store) {
		s := &approve.MemoryStore{}
		return s, s
	})
}

func newQueue(t testing.TB) *approve.Queue {
	q, err := approve.NewQueue(approve.QueueConfig{Store: &approve.MemoryStore{}})
	require.NoError(t, err)
	return q
}

// people decide every request that q holds.
func people(t *testing.T, q *approve.Queue, verdict approve.Verdict, who ...identity.Identity) {
	ctx, cancel := context.WithCancel(context.Background())
	wake, err := q.Watch(ctx)
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			cases, err := q.Cases(ctx, time.Now().Add(-time.Hour))
			if err != nil {
				return
			}
			for _, c := range cases {
				for _, p := range who {
					if c.State == approve.Pending {
						c, _ = q.Decide(ctx, c.Request.ID, approve.Decision{By: p, Verdict: verdict})
					}
				}
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

func TestQueueConforms(t *testing.T) {
	approvetest.TestApprover(t, func(t *testing.T, answer approvetest.Answer) approve.Approver {
		q := newQueue(t)
		switch answer {
		case approvetest.SayYes:
			people(t, q, approve.Yes, person("alice", "dba"), person("bob", "dba"))
		case approvetest.SayNo:
			people(t, q, approve.No, person("alice", "dba"))
		}
		return q
	})
}

func ticket(name string) approve.Request {
	r := approvetest.NewRequest(name)
	r.Ticket, r.Deadline = true, time.Time{}
	return r
}

func file(t *testing.T, q *approve.Queue, r approve.Request) string {
	t.Helper()
	_, err := q.Approve(t.Context(), r)
	var pending *approve.PendingError
	require.ErrorAs(t, err, &pending)
	return pending.Ticket
}

func yes(subject string) approve.Decision {
	return approve.Decision{By: person(subject, "dba"), Verdict: approve.Yes}
}

func decide(t *testing.T, q *approve.Queue, id string, d approve.Decision) approve.Case {
	t.Helper()
	c, err := q.Decide(t.Context(), id, d)
	require.NoError(t, err)
	return c
}

func granted(t *testing.T, q *approve.Queue, r approve.Request) approve.Grant {
	t.Helper()
	g, err := q.Approve(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, g.Check(r, time.Now()))
	return g
}

func TestTicketIsUsedOnce(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	id := file(t, q, r)
	again := r
	again.ID = "another name for the same"
	require.Equal(t, id, file(t, q, again), "the same statement is the same request")
	require.Equal(t, approve.Approved, decide(t, q, id, yes("alice")).State)

	g := granted(t, q, again)
	require.Equal(t, id, g.Request)
	other := granted(t, q, r)
	require.NoError(t, g.Redeem(t.Context()))
	require.ErrorIs(t, g.Redeem(t.Context()), approve.ErrVoid)
	require.ErrorIs(t, other.Redeem(t.Context()), approve.ErrVoid)
	require.NotEqual(t, id, file(t, q, again), "used up: a new decision is needed")
}

func TestTicketByName(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	id := file(t, q, r)
	r.TicketID = id
	require.Equal(t, id, file(t, q, r))

	other := ticket("2")
	other.TicketID = id
	_, err := q.Approve(t.Context(), other)
	require.ErrorIs(t, err, approve.ErrVoid, "the ticket of another statement")
	other.TicketID = "unknown"
	_, err = q.Approve(t.Context(), other)
	require.ErrorIs(t, err, approve.ErrUnknown)

	decide(t, q, id, yes("alice"))
	_, err = q.Approve(t.Context(), ticketFor(other, id))
	require.ErrorIs(t, err, approve.ErrVoid)
	require.NoError(t, granted(t, q, r).Redeem(t.Context()))
	_, err = q.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrVoid, "a used ticket makes no new request")
}

func ticketFor(r approve.Request, id string) approve.Request {
	r.TicketID = id
	return r
}

func TestAnotherIdentityGetsNothing(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	id := file(t, q, r)
	decide(t, q, id, approve.Decision{By: person("alice", "dba"), Verdict: approve.Yes, Scope: approve.Scope{Times: 5, For: time.Hour}})
	thief := r
	thief.ID, thief.Identity = "thief", person("thief", "agents")
	require.Equal(t, "thief", file(t, q, thief), "even with the digest, which binds the identity already")
	_, err := q.Approve(t.Context(), ticketFor(thief, id))
	require.ErrorIs(t, err, approve.ErrVoid)
	dev := r
	dev.ID, dev.Identity = "dev", identity.Development("agent")
	require.Equal(t, "dev", file(t, q, dev))
}

func TestWhoMayDecide(t *testing.T) {
	for name, d := range map[string]approve.Decision{
		"nobody":                  {Verdict: approve.Yes},
		"the asker":               {Verdict: approve.Yes, By: person("agent", "dba")},
		"the asker, against":      {Verdict: approve.No, By: person("agent", "dba")},
		"a stranger":              {Verdict: approve.Yes, By: person("eve", "dev")},
		"a stranger, against":     {Verdict: approve.No, By: person("eve", "dev")},
		"not verified":            {Verdict: approve.Yes, By: identity.Development("eve", "dba")},
		"glass that is not there": {Verdict: approve.BreakGlass, By: person("alice", "dba"), Reason: "fire"},
		"no verdict":              {By: person("alice", "dba")},
		"unknown verdict":         {By: person("alice", "dba"), Verdict: "YES"},
		"once, but no longer":     {Verdict: approve.Yes, By: identity.New(identity.Claims{Issuer: "https://people.test", Subject: "alice", Groups: []string{"dba"}, Expires: time.Now().Add(-1)})},
		"several times for ever":  {By: person("alice", "dba"), Verdict: approve.Yes, Scope: approve.Scope{Times: 2}},
		"very many times":         {By: person("alice", "dba"), Verdict: approve.Yes, Scope: approve.Scope{Times: 1e6, For: 1}},
		"once with an end":        {By: person("alice", "dba"), Verdict: approve.Yes, Scope: approve.Scope{For: time.Hour}},
		"negative rows":           {By: person("alice", "dba"), Verdict: approve.Yes, Scope: approve.Scope{MaxRows: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(t)
			id := file(t, q, ticket("1"))
			_, err := q.Decide(t.Context(), id, d)
			var typed *approve.Error
			require.ErrorAs(t, err, &typed)
			c, err := q.Case(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, approve.Pending, c.State)
			require.Empty(t, c.Decisions)
		})
	}
}

func TestAnybodyStillMustBeVerified(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Groups = nil
	id := file(t, q, r)
	_, err := q.Decide(t.Context(), id, approve.Decision{By: identity.Development("me"), Verdict: approve.Yes})
	require.ErrorIs(t, err, approve.ErrMayNot)
	decide(t, q, id, approve.Decision{By: person("anybody"), Verdict: approve.Yes})
	granted(t, q, r)
}

func TestQuorum(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Quorum = 2
	id := file(t, q, r)
	require.Equal(t, approve.Pending, decide(t, q, id, yes("alice")).State)
	require.Equal(t, approve.Pending, decide(t, q, id, yes("alice")).State, "one person counts once")
	sameInAnotherGroup := yes("alice")
	sameInAnotherGroup.By = person("alice", "dba", "owners")
	require.Equal(t, approve.Pending, decide(t, q, id, sameInAnotherGroup).State)
	file(t, q, r)
	require.Equal(t, approve.Approved, decide(t, q, id, yes("bob")).State)
	require.Len(t, granted(t, q, r).By, 2)
}

func TestOneRejectionEnds(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Quorum = 2
	id := file(t, q, r)
	decide(t, q, id, yes("alice"))
	require.Equal(t, approve.Rejected, decide(t, q, id, approve.Decision{By: person("bob", "dba"), Verdict: approve.No, Reason: "too risky"}).State)
	_, err := q.Decide(t.Context(), id, yes("carol"))
	require.ErrorIs(t, err, approve.ErrClosed)
	_, err = q.Approve(t.Context(), r)
	var rejected *approve.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, "bob", rejected.By.Subject())
	require.Equal(t, "too risky", rejected.Reason)
}

func TestRejectionIsRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		r := ticket("1")
		id := file(t, q, r)
		decide(t, q, id, approve.Decision{By: person("bob", "dba"), Verdict: approve.No})
		time.Sleep(10 * time.Minute)
		_, err := q.Approve(t.Context(), r)
		require.ErrorIs(t, err, approve.ErrRejected)
		time.Sleep(time.Second)
		require.NotEqual(t, id, file(t, q, r))
	})
}

func TestBreakGlass(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Quorum, r.BreakGlass = 2, []string{"oncall"}
	id := file(t, q, r)
	olga := person("olga", "oncall")
	_, err := q.Decide(t.Context(), id, approve.Decision{By: olga, Verdict: approve.BreakGlass})
	require.ErrorIs(t, err, approve.ErrInvalid, "without a reason")
	_, err = q.Decide(t.Context(), id, approve.Decision{By: olga, Verdict: approve.Yes})
	require.ErrorIs(t, err, approve.ErrMayNot)
	_, err = q.Decide(t.Context(), id, approve.Decision{By: person("agent", "oncall"), Verdict: approve.BreakGlass, Reason: "fire"})
	require.ErrorIs(t, err, approve.ErrMayNot, "nor does the asker break it")
	decide(t, q, id, approve.Decision{By: olga, Verdict: approve.BreakGlass, Reason: "fire"})
	g := granted(t, q, r)
	require.True(t, g.BreakGlass)
	require.Equal(t, "fire", g.Reason)
	require.Equal(t, "olga", g.By[0].Subject())
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		r := ticket("1")
		id := file(t, q, r)
		time.Sleep(24*time.Hour + time.Second)
		_, err := q.Decide(t.Context(), id, yes("alice"))
		require.ErrorIs(t, err, approve.ErrClosed, "too late to decide")

		id = file(t, q, r)
		decide(t, q, id, yes("alice"))
		g := granted(t, q, r)
		time.Sleep(10*time.Minute + time.Second)
		require.ErrorIs(t, g.Check(r, time.Now()), approve.ErrVoid)
		require.ErrorIs(t, g.Redeem(t.Context()), approve.ErrVoid, "too late to use")
		require.NotEqual(t, id, file(t, q, r))
	})
}

func TestWiderGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		of := func(name string) approve.Request {
			r := ticket(name)
			r.Shape = "delete from orders where id = ?"
			return r
		}
		r := of("1")
		id := file(t, q, r)
		wide := yes("alice")
		wide.Scope = approve.Scope{Times: 3, For: 30 * time.Minute, MaxRows: 100}
		decide(t, q, id, wide)

		second := of("2")
		g := granted(t, q, second)
		require.Equal(t, id, g.Request)
		require.EqualValues(t, 100, g.MaxRows)
		require.NoError(t, g.Redeem(t.Context()))
		require.NoError(t, granted(t, q, ticketFor(of("3"), id)).Redeem(t.Context()))

		large := of("large")
		large.Exact = 101
		require.Equal(t, large.ID, file(t, q, large), "more rows than granted")
		otherShape := of("4")
		otherShape.Shape = "delete from payments"
		require.Equal(t, otherShape.ID, file(t, q, otherShape))
		noShape := of("5")
		noShape.Shape = ""
		require.Equal(t, noShape.ID, file(t, q, noShape))
		elsewhere := of("elsewhere")
		elsewhere.Database = "another"
		require.Equal(t, elsewhere.ID, file(t, q, elsewhere), "people saw another database")
		farther := of("farther")
		farther.Effects = append(farther.Effects, "deletes payments")
		require.Equal(t, farther.ID, file(t, q, farther), "people saw other effects")
		stricter := of("6")
		stricter.Quorum = 2
		require.Equal(t, stricter.ID, file(t, q, stricter), "a grant does not outrun a policy that asks for more")

		last, rival := granted(t, q, of("7")), granted(t, q, r)
		require.NoError(t, last.Redeem(t.Context()))
		require.ErrorIs(t, rival.Redeem(t.Context()), approve.ErrVoid, "three times")
		require.Equal(t, "request-8", file(t, q, of("8")))
	})
}

func TestWiderGrantEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		r := ticket("1")
		id := file(t, q, r)
		wide := yes("alice")
		wide.Scope = approve.Scope{Times: 3, For: 30 * time.Minute}
		decide(t, q, id, wide)
		time.Sleep(29 * time.Minute)
		g := granted(t, q, r)
		time.Sleep(2 * time.Minute)
		require.ErrorIs(t, g.Redeem(t.Context()), approve.ErrVoid)
	})
}

func TestWiderGrantIsWhatAllAgreedTo(t *testing.T) {
	q := newQueue(t)
	scoped := func(subject string, s approve.Scope) approve.Decision {
		d := yes(subject)
		d.Scope = s
		return d
	}
	wide := approve.Scope{Times: 10, For: time.Hour, MaxRows: 5}
	r := ticket("1")
	r.Quorum = 2
	id := file(t, q, r)
	decide(t, q, id, scoped("alice", wide))
	c := decide(t, q, id, yes("bob"))
	require.Equal(t, approve.Scope{MaxRows: 5}, c.Scope, "bob agreed to once")

	r = ticket("2")
	r.Quorum = 2
	id = file(t, q, r)
	decide(t, q, id, scoped("alice", wide))
	c = decide(t, q, id, scoped("bob", approve.Scope{Times: 3, For: 2 * time.Hour}))
	require.Equal(t, approve.Scope{Times: 3, For: time.Hour, MaxRows: 5}, c.Scope)
}

func TestRevoke(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	id := file(t, q, r)
	wide := yes("alice")
	wide.Scope = approve.Scope{Times: 3, For: time.Hour}
	decide(t, q, id, wide)
	g := granted(t, q, r)
	require.NoError(t, g.Redeem(t.Context()))
	_, err := q.Revoke(t.Context(), id, person("agent", "dba"), "")
	require.ErrorIs(t, err, approve.ErrMayNot)
	c, err := q.Revoke(t.Context(), id, person("bob", "dba"), "enough")
	require.NoError(t, err)
	require.Equal(t, approve.Revoked, c.State)
	require.ErrorIs(t, g.Redeem(t.Context()), approve.ErrVoid, "at once, also for who holds the grant already")
	_, err = q.Approve(t.Context(), r)
	require.ErrorContains(t, err, "rejected by bob: revoked: enough")
	_, err = q.Revoke(t.Context(), id, person("bob", "dba"), "enough")
	require.NoError(t, err, "again changes nothing")
}

func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		r := approvetest.NewRequest("1")
		grants := make(chan approve.Grant)
		wait := func(r approve.Request) {
			g, err := q.Approve(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			grants <- g
		}
		go wait(r)
		synctest.Wait()
		decide(t, q, r.ID, yes("alice"))
		require.NoError(t, (<-grants).Redeem(t.Context()))

		// Of two that wait for the same, one runs per decision, and the other is
		// not forgotten.
		ran := make(chan string, 2)
		for _, name := range []string{"first", "second"} {
			r := r
			r.ID = name
			go func() {
				for {
					g, err := q.Approve(t.Context(), r)
					if err != nil {
						t.Error(err)
					} else if g.Redeem(t.Context()) != nil {
						continue
					}
					ran <- name
					return
				}
			}()
		}
		synctest.Wait()
		pending := func() (ids []string) {
			cases, err := q.Cases(t.Context(), time.Now().Add(-time.Hour))
			require.NoError(t, err)
			for _, c := range cases {
				if c.State == approve.Pending {
					ids = append(ids, c.Request.ID)
				}
			}
			return ids
		}
		for range 2 {
			ids := pending()
			require.Len(t, ids, 1, "they wait for one request")
			decide(t, q, ids[0], yes("alice"))
			<-ran
			synctest.Wait()
		}
		require.Empty(t, pending())
	})
}

func TestWaitEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		long := ticket("1")
		id := file(t, q, long)
		r := long
		r.ID, r.Ticket, r.Deadline = "waiter", false, time.Now().Add(time.Minute)
		begin := time.Now()
		_, err := q.Approve(t.Context(), r)
		require.ErrorIs(t, err, approve.ErrRejected)
		require.InDelta(t, time.Minute, time.Since(begin), float64(time.Second))
		decide(t, q, id, yes("alice"))
	})
}

func TestQueueRefusesIncomplete(t *testing.T) {
	_, err := approve.NewQueue(approve.QueueConfig{})
	require.ErrorContains(t, err, "Store")
	q := newQueue(t)
	for _, change := range []func(*approve.Request){
		func(r *approve.Request) { r.ID = "" },
		func(r *approve.Request) { r.Digest = "" },
		func(r *approve.Request) { r.Identity = identity.Identity{} },
	} {
		r := ticket("1")
		change(&r)
		_, err := q.Approve(t.Context(), r)
		require.ErrorIs(t, err, approve.ErrInvalid)
	}
}

// forge stores events as somebody would who has the store and not a Queue.
func forge(t *testing.T, s approve.Store, stream, request string, kind approve.Kind, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		got, _, err := s.Load(t.Context(), approve.Filter{Stream: stream})
		require.NoError(t, err)
		_, err = s.Add(t.Context(), approve.Event{Stream: stream, Seq: len(got) + 1, Kind: kind, Request: request, Body: []byte(b)})
		require.NoError(t, err)
	}
}

func TestStoredDecisionsAreJudgedAgain(t *testing.T) {
	s := &approve.MemoryStore{}
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	require.NoError(t, err)
	r := ticket("1")
	id := file(t, q, r)
	const by = `{"v":1,"data":{"by":{"issuer":%q,"subject":%q,"groups":["dba"],"verified":%t},"verdict":%q}}`
	forge(t, s, r.Digest, id, approve.KindDecided,
		fmt.Sprintf(by, r.Identity.Issuer(), "agent", true, "yes"),
		fmt.Sprintf(by, "https://people.test", "eve", false, "yes"),
		fmt.Sprintf(by, "", "eve", true, "yes"),
		fmt.Sprintf(by, "https://people.test", "", true, "yes"),
		fmt.Sprintf(by, "https://people.test", "eve", true, "Yes"),
		fmt.Sprintf(by, "https://people.test", "eve", true, "break-glass"),
	)
	forge(t, s, r.Digest, id, approve.KindUsed, `{"v":1,"data":{"digest":"`+r.Digest+`"}}`)
	require.Equal(t, id, file(t, q, r))
	c, err := q.Case(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, c.Decisions)
	require.Zero(t, c.Uses)
}

func TestUnreadableEventsStopTheirStream(t *testing.T) {
	for name, e := range map[string]struct {
		kind approve.Kind
		body string
	}{
		"unknown kind":    {"forgiven", `{"v":1,"data":{}}`},
		"newer version":   {approve.KindDecided, `{"v":2,"data":{}}`},
		"unknown field":   {approve.KindDecided, `{"v":1,"data":{"unless":"x"}}`},
		"no JSON":         {approve.KindDecided, `x`},
		"empty":           {approve.KindRevoked, ``},
		"something after": {approve.KindUsed, `{"v":1,"data":{}} {}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &approve.MemoryStore{}
			q, err := approve.NewQueue(approve.QueueConfig{Store: s})
			require.NoError(t, err)
			r := ticket("1")
			id := file(t, q, r)
			decide(t, q, id, yes("alice"))
			forge(t, s, r.Digest, id, e.kind, e.body)
			_, err = q.Approve(t.Context(), r)
			require.Error(t, err)
		})
	}
}

func FuzzReplay(f *testing.F) {
	f.Add("decided", []byte(`{"v":1,"data":{"by":{"issuer":"i","subject":"s","groups":["dba"],"verified":true},"verdict":"yes"}}`))
	f.Add("asked", []byte(`{"v":1,"data":{"request":{"id":"x","digest":"d","statement":"","identity":{"issuer":"i","subject":"s","verified":true},"rows":0,"exact":0},"wait_ns":-1,"use_ns":9223372036854775807}}`))
	f.Add("used", []byte(`{"v":1,"data":{"digest":"d"}}`))
	f.Add("revoked", []byte(`{"v":1,"data":{"by":{"issuer":"i","subject":"s","verified":false}}}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		s := &approve.MemoryStore{}
		q, err := approve.NewQueue(approve.QueueConfig{Store: s})
		require.NoError(t, err)
		r := ticket("1")
		r.Quorum = 2
		id := file(t, q, r)
		_, err = s.Add(t.Context(), approve.Event{Stream: r.Digest, Seq: 2, Kind: approve.Kind(kind), Request: id, Body: body})
		require.NoError(t, err)
		if g, err := q.Approve(t.Context(), r); err == nil {
			t.Fatalf("one event made a quorum of two: %v", g)
		}
	})
}

// lyingStore changes what a store says.
type lyingStore struct {
	approve.Store
	beforeAdd func()
	onLoad    func([]approve.Event) []approve.Event
}

func (s lyingStore) Add(ctx context.Context, e approve.Event) (time.Time, error) {
	if s.beforeAdd != nil {
		s.beforeAdd()
	}
	return s.Store.Add(ctx, e)
}

func (s lyingStore) Load(ctx context.Context, f approve.Filter) ([]approve.Event, time.Time, error) {
	events, now, err := s.Store.Load(ctx, f)
	if s.onLoad != nil {
		events = s.onLoad(events)
	}
	return events, now, err
}

// A process that stops for long between its look and its event uses nothing
// that has ended meanwhile.
func TestExpiryBetweenLookAndEvent(t *testing.T) {
	now := time.Now()
	memory := &approve.MemoryStore{Now: func() time.Time { return now }}
	q, err := approve.NewQueue(approve.QueueConfig{Store: memory})
	require.NoError(t, err)
	slow, err := approve.NewQueue(approve.QueueConfig{Store: lyingStore{Store: memory, beforeAdd: func() { now = now.Add(11 * time.Minute) }}})
	require.NoError(t, err)
	r := ticket("1")
	id := file(t, q, r)
	decide(t, q, id, yes("alice"))
	g, err := slow.Approve(t.Context(), r)
	require.NoError(t, err)
	require.ErrorIs(t, g.Redeem(t.Context()), approve.ErrVoid)
	c, err := q.Case(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, approve.Expired, c.State)
}

func TestMissingEventsAreNoticed(t *testing.T) {
	memory := &approve.MemoryStore{}
	q, err := approve.NewQueue(approve.QueueConfig{Store: memory})
	require.NoError(t, err)
	r := ticket("1")
	r.Quorum = 2
	id := file(t, q, r)
	decide(t, q, id, yes("alice"))
	decide(t, q, id, yes("bob"))
	_, err = q.Revoke(t.Context(), id, person("alice", "dba"), "")
	require.NoError(t, err)
	without := func(n int) *approve.Queue {
		q, err := approve.NewQueue(approve.QueueConfig{Store: lyingStore{Store: memory, onLoad: func(events []approve.Event) []approve.Event {
			return append(events[:n:n], events[n+1:]...)
		}}})
		require.NoError(t, err)
		return q
	}
	for n := range 3 {
		_, err := without(n).Approve(t.Context(), r)
		require.ErrorContains(t, err, "in place", n)
	}
}

func TestTwoRequestsOfOneName(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	id := file(t, q, r)
	impostor := ticket("2")
	impostor.ID = id
	file(t, q, impostor)
	_, err := q.Decide(t.Context(), id, yes("alice"))
	require.ErrorIs(t, err, approve.ErrUnknown, "a person who saw one must not decide the other")
}

func TestExpiredIdentityRevokesNothing(t *testing.T) {
	q := newQueue(t)
	id := file(t, q, ticket("1"))
	gone := identity.New(identity.Claims{Issuer: "https://people.test", Subject: "alice", Groups: []string{"dba"}, Expires: time.Now()})
	_, err := q.Revoke(t.Context(), id, gone, "")
	require.ErrorIs(t, err, approve.ErrMayNot)
}

// Nobody can tell whether people of two issuers are two.
func TestQuorumOfTwoIssuers(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Quorum = 2
	id := file(t, q, r)
	decide(t, q, id, yes("alice"))
	elsewhere := func(v approve.Verdict) approve.Decision {
		return approve.Decision{Verdict: v, By: identity.New(identity.Claims{Issuer: "https://elsewhere.test", Subject: "alice", Groups: []string{"dba"}})}
	}
	_, err := q.Decide(t.Context(), id, elsewhere(approve.Yes))
	require.ErrorIs(t, err, approve.ErrMayNot)
	require.Equal(t, approve.Approved, decide(t, q, id, yes("bob")).State)
	g := granted(t, q, r)
	g.By[1] = elsewhere(approve.Yes).By
	require.ErrorIs(t, g.Check(r, time.Now()), approve.ErrVoid)

	r = ticket("2")
	r.Quorum = 2
	id = file(t, q, r)
	decide(t, q, id, yes("alice"))
	require.Equal(t, approve.Rejected, decide(t, q, id, elsewhere(approve.No)).State, "against is always heard")
}

func TestIssuersMayDecide(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Issuers = []string{"https://people.test"}
	id := file(t, q, r)
	for _, v := range []approve.Verdict{approve.Yes, approve.No} {
		_, err := q.Decide(t.Context(), id, approve.Decision{Verdict: v,
			By: identity.New(identity.Claims{Issuer: "http://127.0.0.1:8080", Subject: "alice", Groups: []string{"dba"}})})
		require.ErrorIs(t, err, approve.ErrMayNot)
	}
	decide(t, q, id, yes("alice"))
	require.NoError(t, granted(t, q, r).Redeem(t.Context()))
}

func TestClaimsOfWhoDecides(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Claims, r.BreakGlass = map[string]string{"team": "payments"}, []string{"dba"}
	id := file(t, q, r)
	having := func(claims map[string]string) identity.Identity {
		return identity.New(identity.Claims{Issuer: "https://people.test", Subject: "alice", Groups: []string{"dba"}, Attributes: claims})
	}
	for _, claims := range []map[string]string{nil, {"team": ""}, {"team": "Payments"}, {"Team": "payments"}} {
		for _, v := range []approve.Verdict{approve.Yes, approve.No, approve.BreakGlass} {
			_, err := q.Decide(t.Context(), id, approve.Decision{By: having(claims), Verdict: v, Reason: "fire"})
			require.ErrorIs(t, err, approve.ErrMayNot)
		}
	}
	decide(t, q, id, approve.Decision{By: having(map[string]string{"team": "payments"}), Verdict: approve.Yes})
	require.NoError(t, granted(t, q, r).Redeem(t.Context()))
}

func TestBlankReasonBreaksNoGlass(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.BreakGlass = []string{"oncall"}
	for _, reason := range []string{" \t", "\u200b", "\u2800\u3164", "..."} {
		_, err := q.Decide(t.Context(), file(t, q, r), approve.Decision{By: person("olga", "oncall"), Verdict: approve.BreakGlass, Reason: reason})
		require.ErrorIs(t, err, approve.ErrInvalid, "%q", reason)
	}
}

// What agents store cannot make a request outlive the bounds.
func TestStoredLivesAreBounded(t *testing.T) {
	for name, lives := range map[string]string{
		"waits for ever": `"wait_ns":9223372036854775807,"use_ns":60000000000`,
		"good for ever":  `"wait_ns":60000000000,"use_ns":9223372036854775807`,
		"negative":       `"wait_ns":-1,"use_ns":-1`,
		"none":           `"wait_ns":0,"use_ns":0`,
	} {
		s := &approve.MemoryStore{}
		q, err := approve.NewQueue(approve.QueueConfig{Store: s})
		require.NoError(t, err)
		forge(t, s, "d", "x", approve.KindAsked, `{"v":1,"data":{"request":{"id":"x","digest":"d","statement":"","identity":{"issuer":"i","subject":"s","verified":true},"rows":0,"exact":0},`+lives+`}}`)
		_, err = q.Decide(t.Context(), "x", yes("alice"))
		require.ErrorIs(t, err, approve.ErrUnknown, name)
	}
	for _, c := range []approve.QueueConfig{{TicketLife: 32 * 24 * time.Hour}, {WaitLife: 32 * 24 * time.Hour}, {Use: 25 * time.Hour}, {MaxPending: -1}} {
		c.Store = &approve.MemoryStore{}
		_, err := approve.NewQueue(c)
		require.Error(t, err)
	}
}

// What an agent stored beside the guard's own words is not what people agreed to.
func TestStoredWordsAreTheGuards(t *testing.T) {
	s := &approve.MemoryStore{}
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	require.NoError(t, err)
	r := ticket("1")
	r.Rule, r.Reason, r.Args, r.Effects, r.Behind = "baseline.ddl", "it changes definitions", nil, nil, nil
	for name, words := range map[string]string{
		"rule":   `"rule":"reports","reason":"it changes definitions","identity":{"issuer":%q,"subject":%q,"verified":true}`,
		"reason": `"rule":"baseline.ddl","reason":"it only reads","identity":{"issuer":%q,"subject":%q,"verified":true}`,
		"name":   `"rule":"baseline.ddl","reason":"it changes definitions","identity":{"issuer":%q,"subject":%q,"name":"the head of IT","verified":true}`,
	} {
		forge(t, s, r.Digest, name, approve.KindAsked, fmt.Sprintf(`{"v":1,"data":{"request":{"id":%q,"digest":%q,"shape":%q,"statement":%q,"database":%q,"rows":-1,"exact":-1,`+words+`},"wait_ns":60000000000,"use_ns":60000000000}}`,
			name, r.Digest, r.Shape, base64.StdEncoding.EncodeToString([]byte(r.Statement)), r.Database, r.Identity.Issuer(), r.Identity.Subject()))
		decide(t, q, name, yes("alice"))
	}
	id := file(t, q, r)
	require.Equal(t, r.ID, id)
	decide(t, q, id, yes("alice"))
	require.Equal(t, id, granted(t, q, r).Request, "only what the guard itself asked")
}

// One stream that cannot be read hides no other.
func TestUnreadableEventsStopNoOther(t *testing.T) {
	s := &approve.MemoryStore{}
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	require.NoError(t, err)
	r := ticket("1")
	id := file(t, q, r)
	forge(t, s, "poison", "x", approve.KindAsked, `{"v":99}`)
	cases, err := q.Cases(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	states := map[string]approve.State{}
	for _, c := range cases {
		states[c.Request.ID] = c.State
	}
	require.Equal(t, map[string]approve.State{id: approve.Pending, "poison": approve.Unreadable}, states)
	_, err = q.Case(t.Context(), "x")
	require.Error(t, err)
	require.NotErrorIs(t, err, approve.ErrUnknown)

	// Nor does one that claims the shape of another.
	_, err = s.Add(t.Context(), approve.Event{Stream: "poison", Seq: 2, Kind: approve.KindAsked, Request: id, Shape: r.Shape, Body: []byte("{}")})
	require.NoError(t, err)
	decide(t, q, id, yes("alice"))
	require.NoError(t, granted(t, q, ticketFor(r, id)).Redeem(t.Context()))
}

func TestMaxPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := approve.NewQueue(approve.QueueConfig{Store: &approve.MemoryStore{}, MaxPending: 2})
		require.NoError(t, err)
		first := file(t, q, ticket("1"))
		file(t, q, ticket("2"))
		_, err = q.Approve(t.Context(), ticket("3"))
		require.ErrorIs(t, err, approve.ErrTooMany)
		file(t, q, ticket("2"))
		another := ticket("4")
		another.Identity = person("agent-2")
		file(t, q, another)
		decide(t, q, first, yes("alice"))
		file(t, q, ticket("3"))
		_, err = q.Approve(t.Context(), ticket("5"))
		require.ErrorIs(t, err, approve.ErrTooMany)
		time.Sleep(24*time.Hour + time.Second)
		file(t, q, ticket("5"))
		sixth := file(t, q, ticket("6"))

		// What is seen to be decided makes room at once, however many wait.
		q, err = approve.NewQueue(approve.QueueConfig{Store: &approve.MemoryStore{}, MaxPending: 20})
		require.NoError(t, err)
		for n := range 20 {
			file(t, q, ticket(fmt.Sprint(n)))
		}
		decide(t, q, sixth, yes("alice"))
		granted(t, q, ticket("6"))
		file(t, q, ticket("20"))
		_, err = q.Approve(t.Context(), ticket("21"))
		require.ErrorIs(t, err, approve.ErrTooMany)
		decide(t, q, "request-15", yes("alice"))
		for range 5 { // else in turn
			if _, err = q.Approve(t.Context(), ticket("21")); !errors.Is(err, approve.ErrTooMany) {
				break
			}
		}
		require.ErrorIs(t, err, approve.ErrPending)
	})
}

func TestTooLongToRead(t *testing.T) {
	q := newQueue(t)
	r := ticket("1")
	r.Args = []string{string(make([]byte, 2<<20))}
	_, err := q.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrInvalid)
	require.NotContains(t, err.Error(), "\x00")
}
