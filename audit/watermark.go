package audit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A watermark is how far something has come, and who waits for it. The zero
// watermark is at 0.
type watermark struct {
	at      atomic.Uint64
	mu      sync.Mutex
	waiters []*waiter
}

type waiter struct {
	seq uint64
	c   chan struct{} // holds one token once the waiter need not wait
	// stall is here to be used again; it runs only while somebody selects.
	stall *time.Timer
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{c: make(chan struct{}, 1), stall: time.NewTimer(time.Hour)}
	w.stall.Stop()
	return w
}}

func (w *waiter) free() {
	w.stall.Stop()
	waiters.Put(w)
}

// wait returns a waiter for seq, or nil when the mark is there already.
func (m *watermark) wait(seq uint64) *waiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.Load() >= seq {
		return nil
	}
	w := waiters.Get().(*waiter)
	w.seq = seq
	m.waiters = append(m.waiters, w)
	return w
}

// forget ends w, which nobody will receive from.
func (m *watermark) forget(w *waiter) {
	m.mu.Lock()
	if i := slices.Index(m.waiters, w); i >= 0 {
		m.waiters = slices.Delete(m.waiters, i, i+1)
	} else {
		<-w.c // it was woken in the meantime
	}
	m.mu.Unlock()
	w.free()
}

// advance moves the mark to seq, never back, and wakes those who waited for it.
func (m *watermark) advance(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq <= m.at.Load() {
		return
	}
	m.at.Store(seq)
	m.waiters = slices.DeleteFunc(m.waiters, func(w *waiter) bool {
		if w.seq > seq {
			return false
		}
		w.c <- struct{}{}
		return true
	})
}

// wake wakes everybody, however far the mark is.
func (m *watermark) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.waiters {
		w.c <- struct{}{}
	}
	clear(m.waiters)
	m.waiters = m.waiters[:0]
}
