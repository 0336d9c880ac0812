package audit

import (
	"context"
	"errors"
	"math/rand"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// switchAnchor is an anchor in memory that can be told to fail.
type switchAnchor struct {
	mu   sync.Mutex
	kept heads
	err  error
	bang bool
}

func (a *switchAnchor) Anchor(ctx context.Context, h Head) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bang {
		panic("bang")
	}
	if a.err != nil {
		return a.err
	}
	return a.kept.Anchor(ctx, h)
}

func (a *switchAnchor) set(err error, bang bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err, a.bang = err, bang
}

func (a *switchAnchor) last() Head {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept[len(a.kept)-1]
}

func TestAnchorSeesTheGenesisKeyFirstAndTheEnd(t *testing.T) {
	a := &switchAnchor{}
	cfg := testConfig(t.TempDir())
	cfg.Anchor = a
	tr, err := Open(cfg)
	require.NoError(t, err)
	require.Len(t, a.kept, 1)
	require.Equal(t, tr.genesis, a.kept[0].Key)
	write(t, tr, rand.New(rand.NewSource(1)), 10)
	require.NoError(t, tr.Close())
	require.Equal(t, tr.currentHead().Hash, a.last().Hash)
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: a.kept})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	require.Equal(t, rep.Trails[0].Records, rep.Trails[0].Anchored)
}

func TestAnchorFirst(t *testing.T) {
	a := &switchAnchor{}
	cfg := testConfig(t.TempDir())
	cfg.Anchor, cfg.AnchorFirst, cfg.AnchorEvery = a, true, time.Hour
	tr, err := Open(cfg)
	require.NoError(t, err)
	seq, err := tr.Append(&Record{Kind: KindIntent})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	require.GreaterOrEqual(t, a.last().Seq, seq)

	for _, bang := range []bool{false, true} {
		a.set(errors.New("down"), bang)
		seq, err = tr.Append(&Record{Kind: KindIntent})
		require.NoError(t, err)
		require.NoError(t, tr.Wait(t.Context(), seq, Written))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		require.ErrorIs(t, tr.Wait(ctx, seq, Synced), context.DeadlineExceeded)
		cancel()
		a.set(nil, false)
		require.NoError(t, tr.Wait(t.Context(), seq, Synced), "it goes on when the anchor is back")
	}
	require.NoError(t, tr.Close())
	b, err := os.ReadFile(tr.seg.path)
	require.NoError(t, err)
	require.Contains(t, string(b), `"kind":"sink_failed"`)
	require.Contains(t, string(b), `"kind":"sink_recovered"`)
}

func TestOpenNeedsItsAnchor(t *testing.T) {
	a := &switchAnchor{err: errors.New("down")}
	cfg := testConfig(t.TempDir())
	cfg.Anchor = a
	_, err := Open(cfg)
	require.ErrorContains(t, err, "down")
}
