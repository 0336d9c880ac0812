package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatNobodyWaitsForIsSyncedToo(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.SyncEvery = 0
	tr, err := Open(cfg)
	require.NoError(t, err)
	defer tr.Close()
	require.LessOrEqual(t, 2*tr.cfg.SyncEvery, 50*time.Millisecond)
	for range 3 {
		seq, err := tr.Append(intent(1))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return tr.synced.at.Load() >= seq }, 10*time.Second, time.Millisecond)
	}
}

func TestHeartbeat(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Heartbeat, cfg.SyncEvery = time.Millisecond, time.Millisecond
	tr, err := Open(cfg)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		beats := 0
		require.NoError(t, eachRecord(tr.Dir(), func(_ string, r *Record) {
			if r.Kind == KindHeartbeat {
				beats++
			}
		}))
		return beats >= 2
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, tr.Close())
}

func TestTheTrailsOwnKindsAreRefused(t *testing.T) {
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	defer tr.Close()
	for _, r := range []*Record{{}, {Kind: KindSeal}, {Kind: KindOpen}, {Kind: KindClose}, {Kind: KindHeartbeat}, {Kind: "a b"}, {Kind: `x","trail":"y`}, {Kind: KindIntent, Seal: &Seal{}}} {
		_, err := tr.Append(r)
		require.Error(t, err)
	}
}
