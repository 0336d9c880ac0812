package audittest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/stretchr/testify/require"
)

// TestSink proves what every sink promises. open returns a new, empty sink;
// TestSink closes it. Sinks that only forward may pass too: nothing is read
// back here.
func TestSink(t *testing.T, open func() audit.Sink) {
	t.Run("numbers rise and are not shared", func(t *testing.T) {
		s := open()
		defer s.Close()
		const writers, each = 8, 50
		seqs := make([][]uint64, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					seq, err := s.Append(record(w, i))
					if err != nil {
						t.Error(err)
						return
					}
					seqs[w] = append(seqs[w], seq)
					if err := s.Wait(t.Context(), seq, audit.Durability(i%2)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		seen := map[uint64]bool{}
		for _, list := range seqs {
			require.Len(t, list, each)
			for i, seq := range list {
				require.NotZero(t, seq)
				require.False(t, seen[seq], "number %d twice", seq)
				seen[seq] = true
				if i > 0 {
					require.Greater(t, seq, list[i-1], "later records have higher numbers")
				}
			}
		}
	})
	t.Run("the record stays the caller's", func(t *testing.T) {
		s := open()
		defer s.Close()
		r := record(1, 1)
		c := r.Clone()
		_, err := s.Append(r)
		require.NoError(t, err)
		require.Equal(t, c, r, "Append must not change the record")
		seq, err := s.Append(r) // the same again is another record
		require.NoError(t, err)
		r.SQL.Text = "changed while it is being written"
		require.NoError(t, s.Wait(t.Context(), seq, audit.Synced))
	})
	t.Run("waiting for what was never appended", func(t *testing.T) {
		s := open()
		defer s.Close()
		seq, err := s.Append(record(0, 0))
		require.NoError(t, err)
		require.Error(t, s.Wait(t.Context(), seq+1_000_000, audit.Written))
		require.NoError(t, s.Wait(t.Context(), seq, audit.Synced))
		require.NoError(t, s.Wait(t.Context(), seq, audit.Written), "synced is also written")
	})
	t.Run("a context that has ended", func(t *testing.T) {
		s := open()
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		seq, err := s.Append(record(0, 0))
		require.NoError(t, err)
		if err := s.Wait(ctx, seq, audit.Synced); err != nil { // it may be safe already
			require.ErrorIs(t, err, context.Canceled)
		}
		require.NoError(t, s.Wait(t.Context(), seq, audit.Synced), "the sink goes on")
	})
	t.Run("after Close", func(t *testing.T) {
		s := open()
		seq, err := s.Append(record(0, 0))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		require.NoError(t, s.Wait(t.Context(), seq, audit.Synced), "Close made it safe")
		_, err = s.Append(record(0, 1))
		require.ErrorIs(t, err, audit.ErrClosed)
		s.Close() // must not panic
	})
	t.Run("Close during appends", func(t *testing.T) {
		s := open()
		var wg sync.WaitGroup
		started := make(chan struct{}, 4)
		for w := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					seq, err := s.Append(record(w, i))
					if err == nil {
						err = s.Wait(context.Background(), seq, audit.Written)
					}
					if i == 0 {
						started <- struct{}{}
					}
					if err != nil {
						return
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		require.NoError(t, s.Close())
		wg.Wait() // every append ends, taken or refused
	})
}

func record(w, i int) *audit.Record {
	return &audit.Record{
		Kind:      audit.KindIntent,
		Time:      time.Unix(1_800_000_000, int64(i)).UTC(),
		Session:   fmt.Sprint("c", w),
		Statement: fmt.Sprintf("c%d-%d", w, i),
		Who:       &audit.Principal{Issuer: "https://idp.example.com", Subject: "agent", Groups: []string{"agents"}, Attributes: map[string]string{"run": "1"}, Verified: true},
		SQL:       &audit.SQL{Text: "select $1 \x00 \xff", Args: []audit.Arg{{Type: "string", Value: "\xfe"}}},
		Detail:    map[string]string{"a": "b"},
	}
}
