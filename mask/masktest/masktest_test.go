package masktest

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/mask"
)

// faults collects what a check reports.
type faults struct {
	testing.TB
	name string
	mu   sync.Mutex
	list []string
}

func (f *faults) Name() string { return f.name }
func (f *faults) Helper()      {}
func (f *faults) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

func TestFunc(t *testing.T) {
	var calls atomic.Int64
	for _, c := range []struct {
		name string
		f    mask.Func
		oid  uint32
		v    driver.Value
		want string // "" is no fault
	}{
		{"good", func(v driver.Value) driver.Value { return strings.ToUpper(v.(string)) }, 25, "jane", ""},
		{"null", func(driver.Value) driver.Value { return nil }, 25, "jane", ""},
		{"panics", func(v driver.Value) driver.Value { return v.(int64) }, 25, "jane", "panics"},
		{"other type", func(driver.Value) driver.Value { return 1.5 }, 20, int64(1), "no value of the type"},
		{"no uuid", func(driver.Value) driver.Value { return "x" }, 2950, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "no value of the type"},
		{"writes", func(v driver.Value) driver.Value { v.([]byte)[0]++; return v }, 17, []byte("x"), "changed its input"},
		{"counts", func(driver.Value) driver.Value { return calls.Add(1) }, 20, int64(1), "not pure"},
	} {
		f := &faults{TB: t, name: "masktest " + c.name}
		Func(f, c.f, mask.Type{OID: c.oid}, c.v)
		if c.want == "" {
			require.Empty(t, f.list, c.name)
			continue
		}
		require.NotEmpty(t, f.list, c.name)
		require.Contains(t, f.list[0], c.want, c.name)
	}
}
