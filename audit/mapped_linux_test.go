package audit

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Memory of a segment that somebody cut is not there any more: that ends the trail
// and not the process, and every later record is refused.
func TestACutSegmentEndsNoProcess(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 1 << 20
	tr, err := Open(cfg)
	require.NoError(t, err)
	require.NotEmpty(t, tr.seg.f.mapped(), "the segments of this test are mapped")
	_, err = tr.Append(&Record{Kind: KindIntent, Statement: "before"})
	require.NoError(t, err)
	require.NoError(t, os.Truncate(segmentPath(tr.Dir(), 1), 0))
	require.Eventually(t, func() bool {
		_, err = tr.Append(&Record{Kind: KindIntent, Statement: "after"})
		return err != nil
	}, time.Minute, time.Millisecond)
	require.ErrorIs(t, err, ErrFailed)
	_, err = tr.Append(&Record{Kind: KindIntent, Statement: "later"})
	require.ErrorIs(t, err, ErrFailed)
	require.Error(t, tr.Close())
}
