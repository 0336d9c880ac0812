package mask

import (
	"database/sql/driver"
	"maps"
	"slices"
	"sync"
)

// A Func is a mask written in Go. It gets the value as pgx's stdlib driver
// gives it (bool, int64, float64, []byte, time.Time or string, never nil), must
// not keep or change it, and must be pure and safe for concurrent use. What it
// returns counts only if it has the same Go type and is a value of the column's
// PostgreSQL type as far as that can be told; else, and when it panics, the
// caller gets NULL.
type Func func(driver.Value) driver.Value

var registry struct {
	sync.RWMutex
	funcs map[string]Func
}

// Register makes f a mask that policies can name. Call it from an init function:
// a policy is read against what is registered then. It panics, like
// database/sql's Register, when f is nil or the name is empty or taken.
func Register(name string, f Func) {
	registry.Lock()
	defer registry.Unlock()
	_, builtIn := arguments[name]
	_, taken := registry.funcs[name]
	if name == "" || f == nil || builtIn || taken {
		panic("mask: Register of a nil function or of an empty or taken name: " + name)
	}
	if registry.funcs == nil {
		registry.funcs = make(map[string]Func)
	}
	registry.funcs[name] = f
}

func registered(name string) Func {
	registry.RLock()
	defer registry.RUnlock()
	return registry.funcs[name]
}

func registeredNames() []string {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Sorted(maps.Keys(registry.funcs))
}

// compileFunc guards a registered function: neither its panic nor a value of
// another type reaches the caller.
func compileFunc(f Func, s *shape) *Masker {
	unchecked := s.fam == famFixed || s.fam == famOther // strings of which no more is known
	return &Masker{mask: func(v driver.Value) (out driver.Value) {
		defer func() {
			if recover() != nil {
				out = nil
			}
		}()
		w := f(v)
		switch w := w.(type) {
		case string:
			if _, same := v.(string); same && (unchecked && textShape.validString(w) || s.valid(w)) {
				return w
			}
		case []byte:
			if _, same := v.([]byte); same && (s.fam == famXML || s.valid(w)) {
				return w
			}
		default:
			if w != nil && s.valid(w) {
				return w
			}
		}
		return nil
	}}
}
