package audit

import (
	"database/sql/driver"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestVerifyWhileItIsWritten looks at a trail that grows, with payloads and an
// anchor that is ahead of what a slow reader has seen.
func TestVerifyWhileItIsWritten(t *testing.T) {
	for range rounds(1, 20) {
		verifyWhileItIsWritten(t)
	}
}

func verifyWhileItIsWritten(t *testing.T) {
	a := &switchAnchor{}
	cfg := testConfig(t.TempDir())
	cfg.Anchor, cfg.AnchorEvery, cfg.SyncEvery = a, time.Millisecond, time.Millisecond
	tr, err := Open(cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, tr.Close()) }()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	for w := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("w%d-%d", w, i)
				p := tr.Payload(id, PayloadFull, []string{"c"})
				if err := p.Row([]driver.Value{id}); err != nil {
					t.Error(err)
					return
				}
				out, err := p.Close()
				if err != nil {
					t.Error(err)
					return
				}
				seq, err := tr.Append(&Record{Kind: KindOutcome, Statement: id, Outcome: &Outcome{Payload: out}})
				if err == nil {
					err = tr.Wait(t.Context(), seq, Durability(i%2))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer close(stop)
	for range 15 {
		a.mu.Lock()
		kept := append(heads(nil), a.kept...)
		a.mu.Unlock()
		rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: kept})
		require.NoError(t, err)
		require.Empty(t, rep.Findings)
		require.Equal(t, EndRunning, rep.Trails[0].End)
		require.True(t, rep.OK())
	}
}
