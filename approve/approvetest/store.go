package approvetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
)

// TestStore proves a store. open returns two handles on one new, empty store,
// as two processes would have them; a store that lives in one process returns
// the same twice.
func TestStore(t *testing.T, open func(t *testing.T) (one, two approve.Store)) {
	event := func(stream string, seq int) approve.Event {
		return approve.Event{
			Stream: stream, Seq: seq, Kind: approve.KindUsed, Request: "request-" + stream,
			Body: fmt.Appendf(nil, `{"v": 1,  "data":{"digest":"%s"}}`, stream),
		}
	}
	t.Run("keeps what it is given", func(t *testing.T) {
		one, two := open(t)
		first, second := event("a", 1), event("a", 2)
		first.Kind, first.Shape = approve.KindAsked, `shape with "quotes", spaces and ünïcode`
		for _, e := range []approve.Event{first, second} {
			at, err := one.Add(t.Context(), e)
			require.NoError(t, err)
			require.False(t, at.IsZero())
		}
		got, now, err := two.Load(t.Context(), approve.Filter{Stream: "a"})
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.False(t, got[1].At.Before(got[0].At))
		require.False(t, now.Before(got[1].At))
		for n, want := range []approve.Event{first, second} {
			want.At = got[n].At
			require.Equal(t, want, got[n], "byte for byte")
		}
	})
	t.Run("says when it added", func(t *testing.T) {
		one, two := open(t)
		at, err := one.Add(t.Context(), event("a", 1))
		require.NoError(t, err)
		got, _, err := two.Load(t.Context(), approve.Filter{Stream: "a"})
		require.NoError(t, err)
		require.True(t, at.Equal(got[0].At), "%v, %v", at, got[0].At)
	})
	t.Run("refuses a place that is taken or too far", func(t *testing.T) {
		one, two := open(t)
		_, err := one.Add(t.Context(), event("a", 2))
		require.ErrorIs(t, err, approve.ErrConflict)
		_, err = one.Add(t.Context(), event("a", 0))
		require.ErrorIs(t, err, approve.ErrConflict)
		_, err = one.Add(t.Context(), event("a", 1))
		require.NoError(t, err)
		_, err = two.Add(t.Context(), event("a", 1))
		require.ErrorIs(t, err, approve.ErrConflict)
		_, err = two.Add(t.Context(), event("a", 3))
		require.ErrorIs(t, err, approve.ErrConflict)
		_, err = two.Add(t.Context(), event("b", 1))
		require.NoError(t, err, "streams do not know of each other")
		got, _, err := one.Load(t.Context(), approve.Filter{Stream: "a"})
		require.NoError(t, err)
		require.Len(t, got, 1, "what was refused is not stored")
	})
	t.Run("selects", func(t *testing.T) {
		one, two := open(t)
		shaped := event("b", 2)
		shaped.Shape, shaped.Request = "s", "request-other"
		for _, e := range []approve.Event{event("a", 1), event("b", 1), shaped, event("c", 1)} {
			_, err := one.Add(t.Context(), e)
			require.NoError(t, err)
		}
		all, now, err := two.Load(t.Context(), approve.Filter{Since: time.Now().Add(-24 * time.Hour)})
		require.NoError(t, err)
		require.Len(t, all, 4)
		for name, c := range map[string]struct {
			filter approve.Filter
			want   []string
		}{
			"nothing":          {approve.Filter{}, nil},
			"what is not":      {approve.Filter{Stream: "x", Request: "x", Shape: "x"}, nil},
			"a stream":         {approve.Filter{Stream: "a"}, []string{"a1"}},
			"by a request":     {approve.Filter{Request: "request-other"}, []string{"b1", "b2"}},
			"by a shape":       {approve.Filter{Shape: "s"}, []string{"b1", "b2"}},
			"any of them":      {approve.Filter{Stream: "c", Request: "request-a", Shape: "s"}, []string{"a1", "b1", "b2", "c1"}},
			"since the future": {approve.Filter{Since: now.Add(time.Hour)}, nil},
		} {
			got, _, err := two.Load(t.Context(), c.filter)
			require.NoError(t, err, name)
			var names []string
			for _, e := range got {
				names = append(names, fmt.Sprint(e.Stream, e.Seq))
			}
			place := slices.Clone(names)
			slices.Sort(names)
			require.Equal(t, c.want, names, name)
			if b1 := slices.Index(place, "b1"); b1 >= 0 {
				require.Equal(t, "b2", place[b1+1], "a stream's events are together and in order")
			}
		}
	})
	t.Run("of many who want one place, one has it", func(t *testing.T) {
		one, two := open(t)
		const writers, each = 4, 10
		var all sync.WaitGroup
		for w := range writers {
			store := one
			if w%2 == 1 {
				store = two
			}
			all.Go(func() {
				for added := 0; added < each; {
					got, _, err := store.Load(t.Context(), approve.Filter{Stream: "a"})
					if err != nil {
						t.Error(err)
						return
					}
					e := event("a", len(got)+1)
					e.Request = fmt.Sprintf("%d/%d", w, added)
					switch _, err := store.Add(t.Context(), e); {
					case err == nil:
						added++
					case !errors.Is(err, approve.ErrConflict):
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		got, _, err := one.Load(t.Context(), approve.Filter{Stream: "a"})
		require.NoError(t, err)
		require.Len(t, got, writers*each)
		seen := make(map[string]bool)
		for n, e := range got {
			require.Equal(t, n+1, e.Seq)
			require.False(t, seen[e.Request], "%s is there twice", e.Request)
			seen[e.Request] = true
		}
	})
	t.Run("wakes who watches", func(t *testing.T) {
		one, two := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wake, err := two.Watch(ctx)
		require.NoError(t, err)
		other, err := one.Watch(ctx)
		require.NoError(t, err)
		_, err = one.Add(t.Context(), event("a", 1))
		require.NoError(t, err)
		for _, w := range []<-chan struct{}{wake, other} {
			select {
			case <-w:
			case <-time.After(30 * time.Second):
				require.Fail(t, "a watcher was not woken")
			}
		}
	})
	t.Run("an ended context", func(t *testing.T) {
		one, two := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := one.Add(ctx, event("a", 1))
		require.Error(t, err)
		_, _, err = one.Load(ctx, approve.Filter{Stream: "a"})
		require.Error(t, err)
		_, err = one.Watch(ctx)
		require.Error(t, err)
		_, _, err = two.Load(t.Context(), approve.Filter{Stream: "a"})
		require.NoError(t, err, "the store is usable afterwards")
	})
	t.Run("carries a queue", func(t *testing.T) { testQueueOver(t, open) })
}

// testQueueOver has two processes' queues race over one store.
func testQueueOver(t *testing.T, open func(t *testing.T) (one, two approve.Store)) {
	one, two := open(t)
	agents, err := approve.NewQueue(approve.QueueConfig{Store: one})
	require.NoError(t, err)
	people, err := approve.NewQueue(approve.QueueConfig{Store: two})
	require.NoError(t, err)

	r := NewRequest("race")
	r.Ticket = true
	var pending *approve.PendingError
	_, err = agents.Approve(t.Context(), r)
	require.ErrorAs(t, err, &pending)
	_, err = people.Decide(t.Context(), pending.Ticket, approve.Decision{By: Person("human", "dba"), Verdict: approve.Yes})
	require.NoError(t, err)

	var used, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	var grants []approve.Grant
	for _, q := range []*approve.Queue{agents, people, agents, people} {
		g, err := q.Approve(t.Context(), r)
		require.NoError(t, err)
		require.NoError(t, g.Check(r, time.Now()))
		grants = append(grants, g)
	}
	for _, g := range grants {
		for range 2 {
			all.Go(func() {
				err := g.Redeem(t.Context())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					used++
				case errors.Is(err, approve.ErrVoid):
					refused++
				default:
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	require.Equal(t, 1, used, "one decision, one run")
	require.Equal(t, 7, refused)
	c, err := people.Case(t.Context(), pending.Ticket)
	require.NoError(t, err)
	require.Equal(t, approve.Used, c.State)
}
