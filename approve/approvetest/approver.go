package approvetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
)

// Answer says how the people behind an approver act in a test.
type Answer int

// The answers.
const (
	SayNo      Answer = iota // a person rejects
	SayYes                   // people approve, as many and of such groups as are needed
	SayNothing               // nobody ever answers
)

// NewRequest returns a request with a digest that name makes unique, asked by
// the verified subject "agent", for the group "dba".
func NewRequest(name string) approve.Request {
	return approve.Request{
		ID: "request-" + name, Digest: "digest-" + name, Shape: "shape-" + name,
		Statement: "delete from orders where id = $1", Args: []string{"42"},
		Identity: Person("agent", "agents"), Database: "shop on 1 as app", Rule: "deletes", Reason: "a delete needs a person",
		Effects: []string{"delete from public.orders"}, Rows: 1, Exact: -1,
		Groups: []string{"dba"}, Created: time.Now(), Deadline: time.Now().Add(time.Minute),
	}
}

// TestApprover proves an approver. newApprover returns one whose people act as
// answer says, and are in the group "dba"; for SayYes there are at least two of
// them, or the approver rejects what needs two.
func TestApprover(t *testing.T, newApprover func(t *testing.T, answer Answer) approve.Approver) {
	refused := func(t *testing.T, g approve.Grant, err error, r approve.Request) {
		t.Helper()
		require.Error(t, err)
		require.Error(t, g.Check(r, time.Now()), "what comes with an error lets nothing run")
	}
	t.Run("no", func(t *testing.T) {
		r := NewRequest("no")
		g, err := newApprover(t, SayNo).Approve(t.Context(), r)
		refused(t, g, err, r)
		require.ErrorIs(t, err, approve.ErrRejected)
		var rejected *approve.RejectedError
		require.ErrorAs(t, err, &rejected)
		require.NotEmpty(t, rejected.Request)
	})
	t.Run("yes", func(t *testing.T) {
		a, r := newApprover(t, SayYes), NewRequest("yes")
		g, err := a.Approve(t.Context(), r)
		require.NoError(t, err)
		require.NoError(t, g.Check(r, time.Now()))
		require.NoError(t, g.Redeem(t.Context()))

		other := NewRequest("other")
		require.Error(t, g.Check(other, time.Now()), "it is for that statement")
		repeated := r
		repeated.ID = "request-repeated"
		if g.Check(repeated, time.Now()) == nil {
			require.ErrorIs(t, g.Redeem(t.Context()), approve.ErrVoid, "for that one time")
		}
	})
	t.Run("two people", func(t *testing.T) {
		r := NewRequest("quorum")
		r.Quorum = 2
		g, err := newApprover(t, SayYes).Approve(t.Context(), r)
		if err != nil {
			refused(t, g, err, r)
			return
		}
		require.NoError(t, g.Check(r, time.Now()))
		require.GreaterOrEqual(t, len(g.By), 2)
	})
	t.Run("nobody may", func(t *testing.T) {
		r := NewRequest("nobody")
		r.Groups, r.Deadline = []string{"a group without people"}, time.Now().Add(50*time.Millisecond)
		g, err := newApprover(t, SayYes).Approve(t.Context(), r)
		if err == nil {
			err = g.Check(r, time.Now())
		}
		require.Error(t, err)
	})
	t.Run("the asker ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := NewRequest("cancelled")
		type result struct {
			g   approve.Grant
			err error
		}
		done, a := make(chan result, 1), newApprover(t, SayNothing)
		go func() {
			g, err := a.Approve(ctx, r)
			done <- result{g, err}
		}()
		cancel()
		got := <-done
		refused(t, got.g, got.err, r)
	})
	t.Run("the deadline passes", func(t *testing.T) {
		r := NewRequest("late")
		r.Deadline = time.Now().Add(30 * time.Millisecond)
		g, err := newApprover(t, SayNothing).Approve(t.Context(), r)
		refused(t, g, err, r)
	})
	t.Run("a ticket does not wait", func(t *testing.T) {
		r := NewRequest("ticket")
		r.Ticket = true
		g, err := newApprover(t, SayNothing).Approve(t.Context(), r)
		refused(t, g, err, r)
		require.True(t, errors.Is(err, approve.ErrPending) || errors.Is(err, approve.ErrRejected), "%v", err)
		var pending *approve.PendingError
		if errors.As(err, &pending) {
			require.NotEmpty(t, pending.Ticket)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		a := newApprover(t, SayYes)
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				r := NewRequest(fmt.Sprint("many-", n))
				g, err := a.Approve(t.Context(), r)
				if err == nil {
					err = g.Check(r, time.Now())
				}
				if err != nil {
					t.Errorf("request %d: %v", n, err)
				}
			})
		}
		all.Wait()
	})
}
