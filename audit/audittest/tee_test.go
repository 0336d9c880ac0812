package audittest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/stretchr/testify/require"
)

func TestTeeIsASink(t *testing.T) {
	TestSink(t, func() audit.Sink {
		s, err := audit.Tee(audit.TeeConfig{
			First:    &Recorder{},
			Required: []audit.NamedSink{{Name: "second", Sink: &Recorder{}}},
			Optional: []audit.NamedSink{{Name: "third", Sink: &Recorder{}}},
		})
		require.NoError(t, err)
		return s
	})
}

func TestSlogIsASink(t *testing.T) {
	TestSink(t, func() audit.Sink {
		s, err := audit.Slog(audit.SlogConfig{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Durable: true})
		require.NoError(t, err)
		return s
	})
	s, err := audit.Slog(audit.SlogConfig{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	seq, err := s.Append(record(0, 0))
	require.NoError(t, err)
	require.NoError(t, s.Wait(t.Context(), seq, audit.Written))
	require.Error(t, s.Wait(t.Context(), seq, audit.Synced))
	_, err = audit.Slog(audit.SlogConfig{})
	require.ErrorIs(t, err, audit.ErrConfig)
}

func TestSlogSaysNoSQL(t *testing.T) {
	var b strings.Builder
	s, err := audit.Slog(audit.SlogConfig{Logger: slog.New(slog.NewTextHandler(&b, nil))})
	require.NoError(t, err)
	r := record(0, 0)
	r.SQL.Text = "select secret"
	_, err = s.Append(r)
	require.NoError(t, err)
	require.Contains(t, b.String(), "kind=intent")
	require.Contains(t, b.String(), "subject=agent")
	require.NotContains(t, b.String(), "secret")
}

func TestTeeKeepsPayloadsWhereFirstDoes(t *testing.T) {
	tr, err := audit.Open(audit.TrailConfig{Dir: t.TempDir(), SegmentBytes: 1 << 20})
	require.NoError(t, err)
	s, err := audit.Tee(audit.TeeConfig{First: tr})
	require.NoError(t, err)
	require.Implements(t, (*audit.PayloadSink)(nil), s)
	require.Implements(t, (*audit.SealingSink)(nil), s)
	require.NoError(t, s.Close())
	s, err = audit.Tee(audit.TeeConfig{First: &Recorder{}})
	require.NoError(t, err)
	_, ok := s.(audit.PayloadSink)
	require.False(t, ok)
	require.NoError(t, s.Close())
	_, err = audit.Tee(audit.TeeConfig{})
	require.ErrorIs(t, err, audit.ErrConfig)
}

// moody is a sink in a mood.
type moody struct {
	inner Recorder
	mu    sync.Mutex
	mood  string // "", "fail", "panic", "hang"
	gate  chan struct{}
}

func (m *moody) set(mood string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
}

func (m *moody) Append(r *audit.Record) (uint64, error) {
	m.mu.Lock()
	mood := m.mood
	m.mu.Unlock()
	switch mood {
	case "fail":
		return 0, errors.New("bad mood")
	case "panic":
		panic("bad mood")
	case "hang":
		<-m.gate
	}
	return m.inner.Append(r)
}

func (m *moody) Wait(ctx context.Context, seq uint64, d audit.Durability) error {
	return m.inner.Wait(ctx, seq, d)
}
func (m *moody) Close() error { return m.inner.Close() }

func TestTeeRequired(t *testing.T) {
	for _, mood := range []string{"fail", "panic", "hang"} {
		t.Run(mood, func(t *testing.T) {
			first, m := &Recorder{}, &moody{gate: make(chan struct{})}
			s, err := audit.Tee(audit.TeeConfig{First: first, Required: []audit.NamedSink{{Name: "m", Sink: m}}, Patience: 100 * time.Millisecond})
			require.NoError(t, err)
			seq, err := s.Append(record(0, 0))
			require.NoError(t, err)
			require.NoError(t, s.Wait(t.Context(), seq, audit.Synced))
			m.set(mood)
			bad, err := s.Append(record(0, 1))
			require.NoError(t, err)
			require.ErrorIs(t, s.Wait(t.Context(), bad, audit.Written), audit.ErrBusy)
			m.set("")
			if mood == "hang" {
				close(m.gate)
			}
			require.Eventually(t, func() bool {
				return s.Wait(t.Context(), bad, audit.Synced) == nil
			}, 10*time.Second, time.Millisecond, "it gets what it missed")
			require.NoError(t, s.Close())
			require.Len(t, m.inner.Records(audit.KindIntent), 2, "no gap in a required sink")
			if mood != "hang" {
				require.Len(t, first.Records(audit.KindSinkFailed), 1)
				require.Len(t, first.Records(audit.KindSinkRecovered), 1)
			}
		})
	}
}

// hung is a sink whose Wait looks at nothing.
type hung struct {
	Recorder
	calls atomic.Int32
	gate  chan struct{}
}

func (h *hung) Wait(context.Context, uint64, audit.Durability) error {
	h.calls.Add(1)
	<-h.gate
	return nil
}

func TestTeeIsNotFilledByASinkThatHangs(t *testing.T) {
	h := &hung{gate: make(chan struct{})}
	s, err := audit.Tee(audit.TeeConfig{First: &Recorder{}, Required: []audit.NamedSink{{Name: "h", Sink: h}}, Patience: time.Millisecond})
	require.NoError(t, err)
	seq, err := s.Append(record(0, 0))
	require.NoError(t, err)
	for range 200 {
		require.ErrorIs(t, s.Wait(t.Context(), seq, audit.Synced), audit.ErrBusy)
	}
	require.LessOrEqual(t, h.calls.Load(), int32(20))
	close(h.gate)
	require.Eventually(t, func() bool { return s.Wait(t.Context(), seq, audit.Synced) == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
}

func TestTeeRefusesWhenARequiredSinkIsFarBehind(t *testing.T) {
	m := &moody{gate: make(chan struct{}), mood: "hang"}
	s, err := audit.Tee(audit.TeeConfig{First: &Recorder{}, Required: []audit.NamedSink{{Name: "m", Sink: m}}, Buffer: 4})
	require.NoError(t, err)
	refused := false
	for i := range 10 {
		if _, err := s.Append(record(0, i)); err != nil {
			require.ErrorIs(t, err, audit.ErrBusy)
			refused = true
		}
	}
	require.True(t, refused)
	close(m.gate)
	m.set("")
	require.NoError(t, s.Close())
}

func TestTeeOptional(t *testing.T) {
	for _, mood := range []string{"fail", "panic", "hang"} {
		t.Run(mood, func(t *testing.T) {
			first, m := &Recorder{}, &moody{gate: make(chan struct{})}
			s, err := audit.Tee(audit.TeeConfig{First: first, Optional: []audit.NamedSink{{Name: "m", Sink: m}}, Buffer: 4})
			require.NoError(t, err)
			m.set(mood)
			for i := range 50 {
				seq, err := s.Append(record(0, i))
				require.NoError(t, err)
				require.NoError(t, s.Wait(t.Context(), seq, audit.Synced))
			}
			m.set("")
			if mood == "hang" {
				close(m.gate)
			}
			require.Eventually(t, func() bool {
				_, err := s.Append(record(1, 1))
				return err == nil && len(first.Records(audit.KindSinkRecovered)) > 0
			}, 10*time.Second, time.Millisecond)
			require.NoError(t, s.Close())
			require.Len(t, first.Records(audit.KindSinkFailed), 1, "the gap is recorded")
			require.NotEmpty(t, m.inner.Records(audit.KindSinkRecovered), "in the sink too")
			require.NotEmpty(t, m.inner.Records(audit.KindSinkRecovered)[0].Detail["missed"])
		})
	}
}
