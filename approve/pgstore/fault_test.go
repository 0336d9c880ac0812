package pgstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// faults is how many processes TestFaults kills, unless GUARDEDPG_FAULTS says.
const faults = 24

// TestFaults has two agents and two approvers, each a process, work over one
// store, and kills them at random. Afterwards: no statement ran more often than
// was allowed, none without a decision, no decision that its maker was told of
// is missing or counted twice, and every approval that was left can be used.
func TestFaults(t *testing.T) {
	kills := faults
	if s := os.Getenv("GUARDEDPG_FAULTS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		kills = n
	}
	dsn := pgtest.Start(t).Database(t)
	s := open(t, dsn)
	run(t, dsn, `create table ran (request text, digest text); create table told (request text, who text)`)

	var left atomic.Int64
	left.Store(int64(kills))
	var slots sync.WaitGroup
	for _, role := range []string{"agent", "agent", "alice", "bob"} {
		slots.Go(func() {
			for left.Load() > 0 {
				if err := runAndKill(t.Context(), dsn, role); err != nil {
					t.Error(err)
					return
				}
				left.Add(-1)
			}
		})
	}
	slots.Wait()

	q := queue(t, s)
	cases, err := q.Cases(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), dsn)
	require.NoError(t, err)
	defer pool.Close()
	count := func(sql string, args ...any) (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), sql, args...).Scan(&n))
		return n
	}
	ran, told, decided, approved := 0, 0, 0, 0
	for _, c := range cases {
		id := c.Request.ID
		runs := count("select count(*) from ran where request = $1", id)
		ran += runs
		require.LessOrEqual(t, runs, c.Uses, "%s ran without being used", id)
		require.LessOrEqual(t, c.Uses, max(c.Scope.Times, 1), "%s was used too often", id)
		yes := 0
		people := make(map[string]bool)
		for _, d := range c.Decisions {
			decided++
			if d.Verdict == approve.Yes {
				require.False(t, people[d.By.Subject()], "%s counted %s twice", id, d.By.Subject())
				yes++
			}
			people[d.By.Subject()] = true
		}
		if runs > 0 {
			require.GreaterOrEqual(t, yes, c.Request.Quorum, "%s ran undecided", id)
		}
		rows, err := pool.Query(t.Context(), "select who from told where request = $1", id)
		require.NoError(t, err)
		makers, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		for _, who := range makers {
			told++
			require.True(t, people[who], "%s lost the decision of %s", id, who)
		}
		if c.State == approve.Approved {
			approved++
			r := c.Request
			r.Ticket, r.TicketID = true, id
			for range max(c.Scope.Times, 1) - c.Uses {
				g, err := q.Approve(t.Context(), r)
				require.NoError(t, err, "%s was forgotten", id)
				require.NoError(t, g.Redeem(t.Context()))
			}
			_, err := q.Approve(t.Context(), r)
			require.ErrorIs(t, err, approve.ErrVoid)
		}
	}
	require.Equal(t, count("select count(*) from ran"), ran, "something ran for a request that there is not")
	require.Equal(t, count("select count(*) from told"), told)
	require.NotZero(t, ran, "the test did nothing")
	require.NotZero(t, decided)
	t.Logf("%d kills, %d requests, %d decisions, %d runs, %d approvals left over", kills, len(cases), decided, ran, approved)
}

// runAndKill starts this binary in a role, and kills it after a random number of
// its steps.
func runAndKill(ctx context.Context, dsn, role string) error {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "PGSTORE_TEST_ROLE="+role, "PGSTORE_TEST_DSN="+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	steps := rand.IntN(40) + 1
	lines := bufio.NewScanner(out)
	for steps > 0 && lines.Scan() {
		steps--
	}
	if steps > 0 {
		_ = cmd.Wait()
		return errors.New("a " + role + " ended by itself")
	}
	// Anywhere within the next step, too.
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // killed
	return nil
}

func TestMain(m *testing.M) {
	if role := os.Getenv("PGSTORE_TEST_ROLE"); role != "" {
		if err := play(context.Background(), role, os.Getenv("PGSTORE_TEST_DSN")); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// play is one process of TestFaults. It ends when it is killed, or when nobody
// reads its steps any more.
func play(ctx context.Context, role, dsn string) error {
	s, err := pgstore.Open(ctx, pgstore.Config{DSN: dsn})
	if err != nil {
		return err
	}
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if _, err := fmt.Println("step"); err != nil {
			return err
		}
		if role == "agent" {
			err = act(ctx, q, conn, fmt.Sprintf("%d-%d", os.Getpid(), n))
		} else {
			err = judge(ctx, q, conn, role)
		}
		if err != nil {
			return err
		}
	}
}

// act asks for one of a few statements, which both agents want, and runs it if
// it may.
func act(ctx context.Context, q *approve.Queue, conn *pgx.Conn, id string) error {
	n := rand.IntN(8)
	r := approvetest.NewRequest(fmt.Sprint(time.Now().UnixMilli()/500, "-", n)) // new ones, as time goes by
	r.ID, r.Ticket, r.Quorum = id, true, 1+n%2
	r.Shape = fmt.Sprint("shape-", n%4)
	g, err := q.Approve(ctx, r)
	switch {
	case errors.Is(err, approve.ErrPending), errors.Is(err, approve.ErrRejected):
		return nil
	case err != nil:
		return err
	}
	if err := g.Check(r, time.Now()); err != nil {
		return err
	}
	switch err := g.Redeem(ctx); {
	case errors.Is(err, approve.ErrVoid): // the other was first
		return nil
	case err != nil:
		return err
	}
	_, err = conn.Exec(ctx, "insert into ran values ($1, $2)", g.Request, r.Digest)
	return err
}

// judge decides one request that waits.
func judge(ctx context.Context, q *approve.Queue, conn *pgx.Conn, who string) error {
	cases, err := q.Cases(ctx, time.Now().Add(-time.Hour))
	if err != nil {
		return err
	}
	rand.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	for _, c := range cases {
		if c.State != approve.Pending {
			continue
		}
		d := approve.Decision{By: approvetest.Person(who, "dba"), Verdict: approve.Yes}
		switch rand.IntN(10) {
		case 0:
			d.Verdict = approve.No
		case 1, 2:
			d.Scope = approve.Scope{Times: 3, For: time.Hour}
		}
		switch _, err := q.Decide(ctx, c.Request.ID, d); {
		case errors.Is(err, approve.ErrClosed): // the other was first
			return nil
		case err != nil:
			return err
		}
		_, err := conn.Exec(ctx, "insert into told values ($1, $2)", c.Request.ID, who)
		return err
	}
	return nil
}

func queue(t testing.TB, s approve.Store) *approve.Queue {
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	require.NoError(t, err)
	return q
}
