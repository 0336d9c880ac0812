package approve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/identity"
)

// human sits at the far end of a terminal and answers each prompt with the next
// of its answers, and with the last for ever.
type human struct {
	terminal *approve.Terminal
	near     net.Conn
	prompts  chan struct{} // receives at every prompt
	mu       sync.Mutex
	seen     strings.Builder
}

const prompt = "then a reason: "

func sit(t *testing.T, as identity.Identity, answers ...string) *human {
	near, far := net.Pipe()
	h := &human{near: near, prompts: make(chan struct{}, 100)}
	var err error
	h.terminal, err = approve.NewTerminal(approve.TerminalConfig{As: as, In: far, Out: far})
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() {
		for b := make([]byte, 4096); ; {
			n, err := near.Read(b)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.seen.Write(b[:n])
			h.mu.Unlock()
			if !strings.HasSuffix(string(b[:n]), prompt) {
				continue
			}
			if len(answers) > 0 {
				answer := answers[0]
				if len(answers) > 1 {
					answers = answers[1:]
				}
				if _, err := io.WriteString(near, answer+"\n"); err != nil {
					return
				}
			}
			h.prompts <- struct{}{}
		}
	})
	t.Cleanup(func() {
		near.Close()
		far.Close()
		done.Wait()
	})
	return h
}

func (h *human) saw() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen.String()
}

func TestTerminalConforms(t *testing.T) {
	approvetest.TestApprover(t, func(t *testing.T, answer approvetest.Answer) approve.Approver {
		switch alice := person("alice", "dba"); answer {
		case approvetest.SayYes:
			return sit(t, alice, "yes looks right").terminal
		case approvetest.SayNo:
			return sit(t, alice, "no").terminal
		default:
			return sit(t, alice).terminal
		}
	})
}

func TestTerminalAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		runs    bool
		reason  string
	}{
		"yes":               {[]string{"yes"}, true, ""},
		"yes, with reason":  {[]string{"  YES, it is safe "}, true, "it is safe"},
		"no, with reason":   {[]string{"no too risky"}, false, "too risky"},
		"n":                 {[]string{"n"}, false, ""},
		"y is not a yes":    {[]string{"y", "no"}, false, ""},
		"nothing, then no":  {[]string{"", "no"}, false, ""},
		"yesterday, no":     {[]string{"yesterday", "no"}, false, ""},
		"break what is not": {[]string{"break-glass fire", "no"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := approvetest.NewRequest("1")
			g, err := sit(t, person("alice", "dba"), c.answers...).terminal.Approve(t.Context(), r)
			if c.runs {
				require.NoError(t, err)
				require.NoError(t, g.Check(r, time.Now()))
				require.Equal(t, c.reason, g.Reason)
				return
			}
			var rejected *approve.RejectedError
			require.ErrorAs(t, err, &rejected)
			require.Equal(t, c.reason, rejected.Reason)
		})
	}
}

func TestTerminalShowsNoEscapes(t *testing.T) {
	h := sit(t, person("alice", "dba"), "no")
	r := approvetest.NewRequest("1")
	r.ID, r.Statement, r.Rule = "1\x1b[2J", "select 1 -- \x1b]0;title\x07\u202e", "\x9b2J"
	_, err := h.terminal.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrRejected)
	require.NotContains(t, h.saw(), "\x1b")
	require.NotContains(t, h.saw(), "\x07")
	require.NotContains(t, h.saw(), "\u202e")
	require.Contains(t, h.saw(), `\u001b]0;title\u0007\u202e`)
}

func TestTerminalBreakGlass(t *testing.T) {
	r := approvetest.NewRequest("1")
	r.Quorum, r.BreakGlass = 2, []string{"oncall"}
	g, err := sit(t, person("olga", "oncall"), "yes please", "break-glass", "break-glass the shop is down").terminal.Approve(t.Context(), r)
	require.NoError(t, err)
	require.True(t, g.BreakGlass)
	require.Equal(t, "the shop is down", g.Reason)
}

func TestTerminalAsksNobodyInVain(t *testing.T) {
	asker := sit(t, person("agent", "dba"), "yes")
	_, err := asker.terminal.Approve(t.Context(), approvetest.NewRequest("1"))
	require.ErrorIs(t, err, approve.ErrRejected)
	require.Empty(t, asker.saw(), "the asker is not asked")

	gone := sit(t, identity.New(identity.Claims{Issuer: "https://people.test", Subject: "alice", Groups: []string{"dba"}, Expires: time.Now()}), "yes")
	_, err = gone.terminal.Approve(t.Context(), approvetest.NewRequest("1"))
	require.ErrorIs(t, err, approve.ErrRejected, "who signed in long ago may have left")
	require.ErrorIs(t, gone.terminal.Attend(t.Context(), withOne(t)), approve.ErrMayNot)

	h := sit(t, person("alice", "dba"), "yes")
	r := approvetest.NewRequest("1")
	r.Statement = strings.Repeat("x", 65<<10)
	_, err = h.terminal.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrRejected, "what nobody can read is not approved")
}

func withOne(t *testing.T) *approve.Queue {
	q := newQueue(t)
	file(t, q, ticket("1"))
	return q
}

func TestTerminalInputEnds(t *testing.T) {
	var out strings.Builder
	terminal, err := approve.NewTerminal(approve.TerminalConfig{As: person("alice", "dba"), In: strings.NewReader(""), Out: &out})
	require.NoError(t, err)
	_, err = terminal.Approve(t.Context(), approvetest.NewRequest("1"))
	require.ErrorIs(t, err, approve.ErrRejected)

	q := withOne(t)
	require.ErrorIs(t, terminal.Attend(t.Context(), q), io.EOF)
	c, err := q.Case(t.Context(), "request-1")
	require.NoError(t, err)
	require.Equal(t, approve.Pending, c.State, "who closes the terminal has not rejected what waits")

	long := strings.NewReader(strings.Repeat("y", 5<<10) + "\n")
	terminal, err = approve.NewTerminal(approve.TerminalConfig{As: person("alice", "dba"), In: long, Out: &out})
	require.NoError(t, err)
	_, err = terminal.Approve(t.Context(), approvetest.NewRequest("1"))
	require.Error(t, err)
}

// An answer that was typed for a question that has been withdrawn is not one to
// the next question.
func TestTerminalLateAnswer(t *testing.T) {
	h := sit(t, person("alice", "dba"))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := h.terminal.Approve(ctx, approvetest.NewRequest("first"))
		first <- err
	}()
	<-h.prompts
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)

	second := make(chan error, 1)
	go func() {
		_, err := h.terminal.Approve(t.Context(), approvetest.NewRequest("second"))
		second <- err
	}()
	<-h.prompts
	_, err := io.WriteString(h.near, "yes, the first\n")
	require.NoError(t, err)
	<-h.prompts // asked again
	_, err = io.WriteString(h.near, "no\n")
	require.NoError(t, err)
	require.ErrorIs(t, <-second, approve.ErrRejected)
}

func TestTerminalOneAtATime(t *testing.T) {
	h := sit(t, person("alice", "dba"))
	done := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		go func() {
			_, err := h.terminal.Approve(t.Context(), approvetest.NewRequest(name))
			done <- err
		}()
	}
	<-h.prompts
	require.Equal(t, 1, strings.Count(h.saw(), prompt))
	for range 2 {
		_, err := io.WriteString(h.near, "no\n")
		require.NoError(t, err)
		require.ErrorIs(t, <-done, approve.ErrRejected)
	}
}

func TestTerminalAttendsAQueue(t *testing.T) {
	h, q := sit(t, person("alice", "dba"), "yes fine"), newQueue(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.terminal.Attend(ctx, q) }()
	g, err := q.Approve(t.Context(), approvetest.NewRequest("1"))
	require.NoError(t, err)
	require.Equal(t, "fine", g.Reason)
	cancel()
	require.True(t, errors.Is(<-ended, context.Canceled))
}

func TestTerminalWithdrawsWhatAnotherDecided(t *testing.T) {
	h, q := sit(t, person("alice", "dba")), newQueue(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.terminal.Attend(ctx, q) }()
	first := file(t, q, ticket("1"))
	<-h.prompts
	decide(t, q, first, approve.Decision{By: person("bob", "dba"), Verdict: approve.No})
	second := file(t, q, ticket("2"))
	<-h.prompts // the next question
	require.Contains(t, h.saw(), "Withdrawn: request-1")
	_, err := io.WriteString(h.near, "yes to the first\n")
	require.NoError(t, err)
	<-h.prompts
	c, err := q.Case(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, approve.Pending, c.State)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestTerminalNeedsAPerson(t *testing.T) {
	_, err := approve.NewTerminal(approve.TerminalConfig{In: strings.NewReader(""), Out: io.Discard})
	require.ErrorContains(t, err, "As is missing")
	var none *approve.Terminal
	_, err = none.Approve(t.Context(), approve.Request{})
	require.ErrorIs(t, err, approve.ErrRejected)
}

// A store that is away for a while ends no watch, and an answer that may be lost
// is asked for again.
func TestAttendOutlivesTheStore(t *testing.T) {
	memory := &approve.MemoryStore{}
	agents, err := approve.NewQueue(approve.QueueConfig{Store: memory})
	require.NoError(t, err)
	loads, adds := 0, 0
	q, err := approve.NewQueue(approve.QueueConfig{Store: failing{memory, func() error {
		loads++
		if loads == 1 {
			return errors.New("gone\x1b[2J")
		}
		return nil
	}, func() error {
		adds++
		if adds == 1 {
			return errors.New("gone")
		}
		return nil
	}}})
	require.NoError(t, err)
	h := sit(t, person("alice", "dba"), "yes")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.terminal.Attend(ctx, q) }()
	id := file(t, agents, ticket("1"))
	for range 2 { // its answer to the first is lost
		<-h.prompts
	}
	require.Eventually(t, func() bool {
		c, err := agents.Case(t.Context(), id)
		return err == nil && c.State == approve.Approved
	}, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Contains(t, h.saw(), `does not answer, and is tried again: gone\u001b[2J`)
	require.Contains(t, h.saw(), "answers again")
	require.Contains(t, h.saw(), "Perhaps not stored")
}

type failing struct {
	approve.Store
	load, add func() error
}

// Watch wakes again and again, as stores do within seconds.
func (s failing) Watch(ctx context.Context) (<-chan struct{}, error) {
	w := make(chan struct{})
	go func() {
		for {
			select {
			case w <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return w, nil
}

func (s failing) Load(ctx context.Context, f approve.Filter) ([]approve.Event, time.Time, error) {
	if err := s.load(); err != nil {
		return nil, time.Time{}, err
	}
	return s.Store.Load(ctx, f)
}

func (s failing) Add(ctx context.Context, e approve.Event) (time.Time, error) {
	if err := s.add(); err != nil {
		return time.Time{}, err
	}
	return s.Store.Add(ctx, e)
}

// What nobody could look through is left undecided, in nobody's name.
func TestAttendPassesOverTheUnreadable(t *testing.T) {
	q, err := approve.NewQueue(approve.QueueConfig{Store: &approve.MemoryStore{}})
	require.NoError(t, err)
	long, short := ticket("1"), ticket("2")
	long.Statement = "select '" + strings.Repeat("x", 100<<10) + "'"
	file(t, q, long)
	file(t, q, short)
	h := sit(t, person("alice", "dba"), "yes")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.terminal.Attend(ctx, q) }()
	<-h.prompts
	cancel()
	require.Error(t, <-ended)
	c, err := q.Case(t.Context(), long.ID)
	require.NoError(t, err)
	require.Equal(t, approve.Pending, c.State)
	require.Empty(t, c.Decisions)

	_, err = h.terminal.Approve(t.Context(), long)
	var rejected *approve.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.True(t, rejected.By.IsZero())
}
