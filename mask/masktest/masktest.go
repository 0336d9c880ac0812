// Package masktest checks masks that are written in Go.
package masktest

import (
	"bytes"
	"database/sql/driver"
	"reflect"
	"sync"
	"testing"

	"github.com/guardedpg/guardedpg/mask"
)

// Func checks that a function keeps what mask.Func asks for: that it is pure and
// safe for concurrent use, leaves its input alone, does not panic, and gives for
// each of the values (as pgx's stdlib driver gives them) something that is
// accepted for the type, or NULL. It registers f under the name of the test.
func Func(tb testing.TB, f mask.Func, t mask.Type, values ...driver.Value) {
	tb.Helper()
	mask.Register(tb.Name(), f)
	spec, err := mask.Parse(tb.Name(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := spec.For(t, mask.Key{})
	if err != nil {
		tb.Fatal(err)
	}
	for i, v := range values {
		before := v
		if b, ok := v.([]byte); ok {
			before = bytes.Clone(b)
		}
		want, panicked := call(f, v)
		switch {
		case panicked:
			tb.Errorf("value %d: the function panics", i)
			continue
		case !reflect.DeepEqual(before, v):
			tb.Errorf("value %d: the function changed its input", i)
			continue
		case want != nil && m.Mask(v) == nil:
			tb.Errorf("value %d: what the function gives is no value of the type, so that the caller gets NULL", i)
			continue
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if got, _ := call(f, v); !reflect.DeepEqual(got, want) {
					tb.Errorf("value %d: the function is not pure, or not safe for concurrent use", i)
				}
			})
		}
		group.Wait()
	}
}

func call(f mask.Func, v driver.Value) (out driver.Value, panicked bool) {
	defer func() { panicked = recover() != nil }()
	return f(v), false
}
