package audit

import (
	"bufio"
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the agent that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("GUARDEDPG_TEST_AGENT"); dir != "" {
		agent(dir, os.Getenv("GUARDEDPG_TEST_CARELESS") != "")
		return
	}
	os.Exit(m.Run())
}

// agent runs statements on eight connections until it is killed. The server is
// the parent, at the other end of the pipe: what arrives there was run. A
// careless agent writes the intent of a statement when it has run the next.
func agent(dir string, careless bool) {
	cfg := testConfig(dir)
	cfg.SegmentBytes = 64 << 10
	if !careless {
		cfg.SyncEvery = 0
	}
	tr, err := Open(cfg)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	say := func(what, id string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(what, id)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			late := "none"
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				effect := i%3 == 0
				d := Written
				if effect {
					d = Synced
				}
				if careless {
					say("run", id)
					id, late = late, id
				}
				seq, err := tr.Append(&Record{Kind: KindIntent, Statement: id, SQL: &SQL{Text: "update t set x = x + 1"}})
				if err == nil && !careless {
					err = tr.Wait(context.Background(), seq, d)
				}
				if err != nil {
					say("error", err.Error())
					return
				}
				if !careless {
					say("run", id)
				}
				seq, err = tr.Append(&Record{Kind: KindOutcome, Statement: id, Outcome: &Outcome{OK: true}})
				if err == nil && !careless {
					err = tr.Wait(context.Background(), seq, d)
				}
				if err != nil {
					say("error", err.Error())
					return
				}
				say("done", id)
			}
		})
	}
	wg.Wait()
}

// killAgent starts an agent on dir, kills it after it has said a number of
// things, and returns what it said.
func killAgent(t *testing.T, dir string, after int, careless bool) (said []string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GUARDEDPG_TEST_AGENT="+dir)
	if careless {
		cmd.Env = append(cmd.Env, "GUARDEDPG_TEST_CARELESS=1")
	}
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		require.NotContains(t, lines.Text(), "error")
		said = append(said, lines.Text())
		if len(said) == after {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait(), "it was killed")
	// A last word may have been cut.
	if n := len(said); n > 0 && strings.Count(said[n-1], "-") != 2 {
		said = said[:n-1]
	}
	return said
}

// missing compares what the agents said with what the trails say.
func missing(t *testing.T, dir string, said []string) (lost, unmarked []string) {
	intent, outcome, recovered := map[string]bool{}, map[string]bool{}, map[string]int{}
	require.NoError(t, eachRecord(dir, func(_ string, r *Record) {
		switch r.Kind {
		case KindIntent:
			intent[r.Statement] = true
		case KindOutcome:
			outcome[r.Statement] = true
		case KindRecovered:
			recovered[r.Statement]++
		}
	}))
	for _, s := range said {
		what, id, _ := strings.Cut(s, " ")
		if !intent[id] || what == "done" && !outcome[id] {
			lost = append(lost, s)
		}
	}
	for id := range intent {
		if !outcome[id] && recovered[id] != 1 {
			unmarked = append(unmarked, id+" "+strconv.Itoa(recovered[id]))
		}
	}
	return lost, unmarked
}

func TestKill(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	runs := rounds(10, 1000)
	var said []string
	dir := t.TempDir()
	for i := range runs {
		said = append(said, killAgent(t, dir, 1+r.Intn(2000), false)...)
		// A directory of many is read again for each; take a new one.
		if i%10 == 9 {
			anchor := restart(t, dir)
			lost, unmarked := missing(t, dir, said)
			require.Empty(t, lost)
			require.Empty(t, unmarked)
			rep, err := Verify(t.Context(), []string{dir}, VerifyOptions{Anchor: anchor})
			require.NoError(t, err)
			require.True(t, rep.OK(), "%v %+v", rep.Findings, rep.Trails)
			require.Len(t, rep.Trails, 11)
			for _, tr := range rep.Trails {
				require.Empty(t, tr.Orphans)
			}
			os.RemoveAll(dir)
			dir, said = t.TempDir(), nil
		}
	}
}

func TestKillFindsACarelessAgent(t *testing.T) {
	dir := t.TempDir()
	said := killAgent(t, dir, 50, true)
	lost, _ := missing(t, dir, said)
	require.NotEmpty(t, lost)
}
