package mask

import (
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/require"
)

// A masked value allocates no more than itself: a string takes two allocations,
// its bytes and the interface's string header. hash is left to the benchmarks,
// because its pool forgets at random under the race detector.
func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		mask string
		t    Type
		v    driver.Value
		most float64
	}{
		{"redact", textType, "jane@x.test", 0},
		{"redact", Type{OID: 20}, int64(42), 0},
		{"redact", Type{OID: 1184}, "infinity", 0},
		{"redact", Type{OID: 1009, Element: &textType}, "{a,b}", 0},
		{"null", textType, "jane@x.test", 0},
		{"{constant: {value: x}}", textType, "jane@x.test", 0},
		{"{partial: {last: 4}}", textType, "900-11-0001", 2},
		{"email", textType, "jane@x.test", 2},
		{"card", textType, "4111-1111-1111-1111", 2},
	} {
		m := masker(t, c.mask, c.t)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { sink = m.Mask(c.v) }), c.most, c.mask)
		if text, ok := c.v.(string); ok {
			raw := []byte(text)
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() { sink = m.MaskText(raw) }), c.most, c.mask)
		}
	}
}
