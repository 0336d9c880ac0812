package approve_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/identity"
)

var person = approvetest.Person

func TestGrantCheck(t *testing.T) {
	now := time.Now()
	use := func(context.Context) error { return nil }
	alice, bob := person("alice", "dba"), person("bob", "dba")
	base := func() (approve.Grant, approve.Request) {
		r := approvetest.NewRequest("1")
		return approve.Grant{Request: r.ID, Digest: r.Digest, By: []identity.Identity{alice}, At: now}, r
	}
	type change = func(g *approve.Grant, r *approve.Request)
	cases := []struct {
		name   string
		change change
		class  error // nil: it runs
	}{
		{"as it is", func(*approve.Grant, *approve.Request) {}, nil},
		{"zero", func(g *approve.Grant, _ *approve.Request) { *g = approve.Grant{} }, approve.ErrVoid},
		{"zero for zero", func(g *approve.Grant, r *approve.Request) { *g, *r = approve.Grant{}, approve.Request{} }, approve.ErrVoid},
		{"no digest on either side", func(g *approve.Grant, r *approve.Request) { g.Digest, r.Digest = "", "" }, approve.ErrVoid},
		{"other digest", func(g *approve.Grant, _ *approve.Request) { g.Digest = "x" }, approve.ErrVoid},
		{"other request, not counted", func(g *approve.Grant, _ *approve.Request) { g.Request = "x" }, approve.ErrVoid},
		{"earlier request, counted", func(g *approve.Grant, _ *approve.Request) { g.Request, g.Use = "x", use }, nil},
		{"other ticket", func(g *approve.Grant, r *approve.Request) { g.Use, r.TicketID = use, "x" }, approve.ErrVoid},
		{"this ticket", func(g *approve.Grant, r *approve.Request) { g.Use, g.Request, r.TicketID = use, "x", "x" }, nil},
		{"shape", func(g *approve.Grant, r *approve.Request) { g.Use, g.Digest, g.Shape = use, "x", r.Shape }, nil},
		{"shape, not counted", func(g *approve.Grant, r *approve.Request) { g.Digest, g.Shape = "x", r.Shape }, approve.ErrVoid},
		{"no shape on either side", func(g *approve.Grant, r *approve.Request) { g.Use, g.Digest, g.Shape, r.Shape = use, "x", "", "" }, approve.ErrVoid},
		{"expired", func(g *approve.Grant, _ *approve.Request) { g.Expires = now.Add(-1) }, approve.ErrVoid},
		{"not expired", func(g *approve.Grant, _ *approve.Request) { g.Expires = now.Add(1) }, nil},
		{"nobody", func(g *approve.Grant, _ *approve.Request) { g.By = nil }, approve.ErrVoid},
		{"a zero person", func(g *approve.Grant, _ *approve.Request) { g.By = append(g.By, identity.Identity{}) }, approve.ErrMayNot},
		{"the asker", func(g *approve.Grant, r *approve.Request) { g.By, r.Groups = []identity.Identity{r.Identity}, nil }, approve.ErrMayNot},
		{"the asker, who is in the group", func(g *approve.Grant, _ *approve.Request) { g.By = []identity.Identity{person("agent", "dba")} }, approve.ErrMayNot},
		{"the asker beside another", func(g *approve.Grant, _ *approve.Request) { g.By = append(g.By, person("agent", "dba")) }, approve.ErrMayNot},
		{"not in the group", func(g *approve.Grant, _ *approve.Request) { g.By = []identity.Identity{person("eve", "dev")} }, approve.ErrMayNot},
		{"groups not verified", func(g *approve.Grant, _ *approve.Request) {
			g.By = []identity.Identity{identity.Development("eve", "dba")}
		}, approve.ErrMayNot},
		{"development on both sides", func(g *approve.Grant, r *approve.Request) {
			g.By, r.Identity = []identity.Identity{identity.Development("me", "dba")}, identity.Development("agent")
		}, nil},
		{"too few", func(_ *approve.Grant, r *approve.Request) { r.Quorum = 2 }, approve.ErrVoid},
		{"enough", func(g *approve.Grant, r *approve.Request) { g.By, r.Quorum = []identity.Identity{alice, bob}, 2 }, nil},
		{"one person twice", func(g *approve.Grant, r *approve.Request) {
			g.By, r.Quorum = []identity.Identity{alice, person("alice", "dba", "another")}, 2
		}, approve.ErrVoid},
		{"glass that nobody may break", func(g *approve.Grant, _ *approve.Request) { g.BreakGlass, g.Reason = true, "fire" }, approve.ErrMayNot},
		{"glass broken alone", func(g *approve.Grant, r *approve.Request) {
			g.BreakGlass, g.Reason, g.By = true, "fire", []identity.Identity{person("olga", "oncall")}
			r.BreakGlass, r.Quorum = []string{"oncall"}, 2
		}, nil},
		{"glass broken by the asker", func(g *approve.Grant, r *approve.Request) {
			g.BreakGlass, g.Reason, g.By = true, "fire", []identity.Identity{person("agent", "oncall")}
			r.BreakGlass = []string{"oncall"}
		}, approve.ErrMayNot},
		{"glass broken without a reason", func(g *approve.Grant, r *approve.Request) {
			g.BreakGlass, r.BreakGlass = true, []string{"dba"}
		}, approve.ErrVoid},
		{"more rows", func(g *approve.Grant, r *approve.Request) { g.MaxRows, r.Exact = 1, 2 }, approve.ErrVoid},
		{"as many rows", func(g *approve.Grant, r *approve.Request) { g.MaxRows, r.Exact = 2, 2 }, nil},
		{"negative rows", func(g *approve.Grant, _ *approve.Request) { g.MaxRows = -1 }, approve.ErrVoid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g, r := base()
			c.change(&g, &r)
			require.ErrorIs(t, g.Check(r, now), c.class)
		})
	}
}

func TestRedeem(t *testing.T) {
	require.ErrorIs(t, approve.Grant{}.Redeem(t.Context()), approve.ErrVoid)
	require.NoError(t, approve.Grant{Request: "1"}.Redeem(t.Context()))
	no := errors.New("no")
	require.ErrorIs(t, approve.Grant{Request: "1", Use: func(context.Context) error { return no }}.Redeem(t.Context()), no)
}

func TestNilFuncRejects(t *testing.T) {
	_, err := approve.Func(nil).Approve(t.Context(), approve.Request{})
	require.ErrorIs(t, err, approve.ErrRejected)
}

func TestFuncConforms(t *testing.T) {
	approvetest.TestApprover(t, func(t *testing.T, answer approvetest.Answer) approve.Approver {
		return approve.Func(func(ctx context.Context, r approve.Request) (approve.Grant, error) {
			switch {
			case answer == approvetest.SayNo || r.Ticket:
				return approve.Grant{}, &approve.RejectedError{Request: r.ID}
			case answer == approvetest.SayNothing:
				ctx, end := context.WithDeadline(ctx, r.Deadline)
				defer end()
				<-ctx.Done()
				return approve.Grant{}, ctx.Err()
			}
			return approve.Grant{Request: r.ID, Digest: r.Digest, At: time.Now(),
				By: []identity.Identity{person("alice", "dba"), person("bob", "dba")}}, nil
		})
	})
}

func TestFakeConforms(t *testing.T) {
	approvetest.TestApprover(t, func(t *testing.T, answer approvetest.Answer) approve.Approver {
		var f approvetest.Fake
		switch answer {
		case approvetest.SayYes:
			f.Yes(person("alice", "dba"), person("bob", "dba"))
		case approvetest.SayNo:
			f.No("")
		case approvetest.SayNothing:
			f.Block()
		}
		return &f
	})
}

func TestFake(t *testing.T) {
	var f approvetest.Fake
	r := approvetest.NewRequest("fake")
	_, err := f.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrRejected, "the zero value rejects")
	f.Wait()
	_, err = f.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrPending)
	f.Yes()
	r.Quorum = 3
	g, err := f.Approve(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, g.Check(r, time.Now()))
	require.NoError(t, g.Redeem(t.Context()))
	require.Equal(t, 1, f.Redeemed())
	f.No("not today")
	_, err = f.Approve(t.Context(), r)
	require.ErrorContains(t, err, "not today")
	failure := errors.New("broken")
	f.Fail(failure)
	_, err = f.Approve(t.Context(), r)
	require.ErrorIs(t, err, failure)
	require.Len(t, f.Requests(), 5)
}
