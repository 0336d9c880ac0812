package guardedpg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// kills is how many processes TestKills kills, unless GUARDEDPG_FAULTS says.
const kills = 16

// A killed process is this binary, in a role.
const (
	roleVariable  = "GUARDEDPG_TEST_ROLE"
	dsnVariable   = "GUARDEDPG_TEST_DSN"
	storeVariable = "GUARDEDPG_TEST_STORE"
	trailVariable = "GUARDEDPG_TEST_TRAIL"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(context.Background(), role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// TestKills has two agents and two approvers, each a process, over one store
// and one directory of trails, and kills them at random. Afterwards: no
// statement ran more often than people allowed, and every one that ran has its
// decision, its redemption and its intent in a trail that verifies.
func TestKills(t *testing.T) {
	n := kills
	if s := os.Getenv("GUARDEDPG_FAULTS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	server := pgtest.Start(t)
	dsn, storeDSN, dir := server.Database(t), server.Database(t), filepath.Join(t.TempDir(), "audit")
	pool, err := pgxpool.New(t.Context(), dsn)
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), "CREATE TABLE ran (key text NOT NULL)")
	require.NoError(t, err)
	store, err := pgstore.Open(t.Context(), pgstore.Config{DSN: storeDSN})
	require.NoError(t, err)
	defer store.Close()

	var left atomic.Int64
	left.Store(int64(n))
	var slots sync.WaitGroup
	for _, role := range []string{"agent", "agent", "alice", "bob"} {
		slots.Go(func() {
			for left.Load() > 0 {
				if err := playAndKill(t.Context(), role, dsn, storeDSN, dir); err != nil {
					t.Error(err)
					return
				}
				left.Add(-1)
			}
		})
	}
	slots.Wait()

	ran := map[string]int{}
	rows, err := pool.Query(t.Context(), "SELECT key, count(*) FROM ran GROUP BY key")
	require.NoError(t, err)
	for rows.Next() {
		var key string
		var times int
		require.NoError(t, rows.Scan(&key, &times))
		ran[key] = times
	}
	require.NoError(t, rows.Err())
	q, err := approve.NewQueue(approve.QueueConfig{Store: store})
	require.NoError(t, err)
	cases, err := q.Cases(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	uses, approved := map[string]int{}, map[string]string{} // by key; request: key
	for _, c := range cases {
		key := c.Request.Args[0]
		require.LessOrEqual(t, c.Uses, 1)
		uses[key] += c.Uses
		if c.Uses > 0 {
			approved[c.Request.ID] = key
		}
	}
	recorded := recordedRuns(t, dir, approved)
	total := 0
	for key, times := range ran {
		total += times
		require.LessOrEqual(t, times, uses[key], "%s ran more often than was allowed", key)
		require.LessOrEqual(t, times, recorded[key], "%s ran without a decision in the trail", key)
	}
	require.NotZero(t, total, "the test did nothing")
	report, err := audit.Verify(t.Context(), []string{dir}, audit.VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	t.Logf("%d kills, %d requests, %d runs allowed, %d ran", n, len(cases), len(approved), total)
}

// recordedRuns counts, by key, the statements of which the trail has a decision
// on an approved request, then its redemption, then the intent.
func recordedRuns(t *testing.T, dir string, approved map[string]string) map[string]int {
	t.Helper()
	stage, key := map[string]int{}, map[string]string{} // by statement
	counts := map[string]int{}
	for e, err := range audit.Entries(t.Context(), dir) {
		require.NoError(t, err)
		r := e.Record
		id := r.Statement
		switch {
		case r.Kind == audit.KindDecision && r.Decision.Approved && len(r.Decision.By) > 0:
			key[id] = approved[r.Decision.ID]
			stage[id] = 1
		case r.Kind == audit.KindRedeem && stage[id] == 1:
			stage[id] = 2
		case r.Kind == audit.KindIntent && stage[id] == 2:
			require.Equal(t, key[id], r.SQL.Args[0].Value)
			counts[key[id]]++
		}
	}
	return counts
}

// playAndKill starts this binary in a role, and kills it after a random number
// of its steps.
func playAndKill(ctx context.Context, role, dsn, store, dir string) error {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dsnVariable+"="+dsn, storeVariable+"="+store, trailVariable+"="+dir)
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

// play is one process. It ends when it is killed, or nobody reads its steps.
func play(ctx context.Context, role string) error {
	store, err := pgstore.Open(ctx, pgstore.Config{DSN: os.Getenv(storeVariable)})
	if err != nil {
		return err
	}
	q, err := approve.NewQueue(approve.QueueConfig{Store: store})
	if err != nil {
		return err
	}
	if role != "agent" {
		return judge(ctx, q, role)
	}
	trail, err := audit.Open(audit.TrailConfig{Dir: os.Getenv(trailVariable), SegmentBytes: 256 << 10})
	if err != nil {
		return err
	}
	db, err := guardedpg.OpenDB(guardedpg.Config{DSN: os.Getenv(dsnVariable), Identify: as(agent), Audit: trail,
		Policy: guard.Policy{Include: []string{"baseline"}, Critical: []string{"public.ran"},
			Approval: guard.Approval{Approvers: guard.Approvers{Groups: []string{"dba"}}}},
		Approver: approve.Func(func(ctx context.Context, r approve.Request) (approve.Grant, error) {
			g, err := q.Approve(ctx, r)
			if use := g.Use; use != nil {
				// Killed before and after it is used up, more often than chance would.
				g.Use = func(ctx context.Context) error {
					fmt.Println("step")
					defer fmt.Println("step")
					return use(ctx)
				}
			}
			return g, err
		})})
	if err != nil {
		return err
	}
	for {
		if _, err := fmt.Println("step"); err != nil {
			return err
		}
		// What both agents want, and new ones as time goes by.
		key := fmt.Sprintf("%d-%d", time.Now().UnixMilli()/700, rand.IntN(4))
		exec := db.ExecContext
		commit := func() error { return nil }
		if rand.IntN(3) == 0 {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			exec, commit = tx.ExecContext, tx.Commit
		}
		_, err := exec(ctx, "INSERT INTO ran VALUES ($1)", key)
		switch {
		case errors.Is(err, guardedpg.ErrPending), errors.Is(err, guardedpg.ErrRejected), errors.Is(err, approve.ErrVoid):
		case err != nil:
			return err
		}
		if err := commit(); err != nil {
			return err
		}
	}
}

// judge decides what waits.
func judge(ctx context.Context, q *approve.Queue, who string) error {
	wake, err := q.Watch(ctx)
	if err != nil {
		return err
	}
	for {
		if _, err := fmt.Println("step"); err != nil {
			return err
		}
		cases, err := q.Cases(ctx, time.Now().Add(-time.Hour))
		if err != nil {
			return err
		}
		decided := false
		rand.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		for _, c := range cases {
			if c.State != approve.Pending {
				continue
			}
			d := approve.Decision{By: approvetest.Person(who, "dba"), Verdict: approve.Yes}
			if rand.IntN(10) == 0 {
				d.Verdict = approve.No
			}
			if _, err := q.Decide(ctx, c.Request.ID, d); err != nil && !errors.Is(err, approve.ErrClosed) {
				return err
			}
			decided = true
			break
		}
		if !decided {
			<-wake
		}
	}
}
