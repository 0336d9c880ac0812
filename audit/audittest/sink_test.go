package audittest

import (
	"errors"
	"testing"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/stretchr/testify/require"
)

func TestRecorderIsASink(t *testing.T) {
	TestSink(t, func() audit.Sink { return &Recorder{} })
}

func TestTrailIsASink(t *testing.T) {
	TestSink(t, func() audit.Sink {
		tr, err := audit.Open(audit.TrailConfig{Dir: t.TempDir(), SegmentBytes: 1 << 20})
		require.NoError(t, err)
		return tr
	})
}

func TestRecorderFails(t *testing.T) {
	boom := errors.New("boom")
	s := Recorder{FailAppend: From(2, boom), FailWait: func(seq uint64, _ audit.Durability) error { return boom }}
	seq, err := s.Append(record(0, 0))
	require.NoError(t, err)
	require.ErrorIs(t, s.Wait(t.Context(), seq, audit.Written), boom)
	_, err = s.Append(record(0, 1))
	require.ErrorIs(t, err, boom)
	require.Len(t, s.Records(), 1)
	require.Len(t, s.Records(audit.KindIntent), 1)
	require.Empty(t, s.Records(audit.KindDenied))
	require.Equal(t, []Wait{{seq, audit.Written, 1}}, s.Waits())
	s = Recorder{FailAppend: OfKind(audit.KindOutcome, boom)}
	_, err = s.Append(record(0, 0))
	require.NoError(t, err)
	_, err = s.Append(&audit.Record{Kind: audit.KindOutcome})
	require.ErrorIs(t, err, boom)
}
