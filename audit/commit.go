package audit

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// flush writes what was appended. Whoever needs it calls it; one at a time.
func (t *Trail) flush() error {
	t.io.Lock()
	defer t.io.Unlock()
	if err := t.failure.Load(); err != nil {
		return err
	}
	t.mu.Lock()
	queue := append(append(t.taken[:0], t.chunks...), t.queue...)
	t.queue, t.chunks = nil, nil
	if len(t.buf) > 0 {
		queue = append(queue, batch{seg: t.seg, off: t.bufOff, data: t.buf, last: t.seq})
		t.buf, t.spare = t.spare[:0], nil
		t.bufOff = t.seg.end
	}
	t.mu.Unlock()
	t.taken = queue
	defer clear(queue)
	for i, b := range queue {
		if err := t.writeBatch(b); err != nil {
			if noRoom(err.err) {
				t.postpone(queue[i:], err.err)
				return t.busy(err.op, err.err)
			}
			return t.fail(err.op, b.seg.path, err.err)
		}
		t.mu.Lock()
		t.backlog -= int64(len(b.data))
		if b.last != 0 && cap(b.data) > cap(t.spare) && cap(b.data) <= keepBuffer {
			t.spare = b.data[:0]
		}
		t.mu.Unlock()
	}
	if t.full.Swap(nil) != nil {
		kick(t.syncC) // for those who were turned away meanwhile
	}
	return nil
}

// A writeError says what failed.
type writeError struct {
	op  string
	err error
}

func (t *Trail) writeBatch(b batch) *writeError {
	if b.seg.f == nil {
		if err := t.makeStore(b.seg); err != nil {
			return &writeError{"make", err}
		}
	}
	if !slices.Contains(t.dirty, b.seg) {
		t.dirty = append(t.dirty, b.seg)
	}
	if _, err := b.seg.f.WriteAt(b.data, b.off); err != nil {
		return &writeError{"write", err}
	}
	if b.seg.on.Load() == 0 && !strings.HasPrefix(b.seg.store, "keys/") && !slices.Contains(t.opened, b.seg) { // keys may be shredded
		t.opened = append(t.opened, b.seg)
	}
	b.seg.on.Store(b.off + int64(len(b.data)))
	if b.last != 0 {
		t.written.advance(b.last)
	} else {
		t.chunked.advance(b.total)
	}
	return nil
}

// noRoom reports whether a write failed in a way that may pass. Nobody was told
// that it succeeded, so that it can be done again.
func noRoom(err error) bool {
	return !errors.Is(err, errSync) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}

// postpone keeps what could not be written for the next time, and turns away all
// who would wait for it. The watcher tries again.
func (t *Trail) postpone(rest []batch, err error) {
	t.mu.Lock()
	lines := slices.IndexFunc(rest, func(b batch) bool { return b.last != 0 })
	if lines < 0 {
		lines = len(rest)
	}
	t.chunks = slices.Concat(rest[:lines], t.chunks)
	t.queue = slices.Concat(rest[lines:], t.queue)
	t.mu.Unlock()
	t.full.Store(&err)
	t.written.wake()
	t.synced.wake()
	t.chunked.wake()
	t.anchored.wake()
}

// keepBuffer is the largest buffer that is kept for the next lines.
const keepBuffer = 4 << 20

// commit makes everything appended so far durable, under a seal.
func (t *Trail) commit() error {
	if t.ahead == nil {
		select {
		case t.ahead = <-t.keys.next:
		case <-t.stop:
			return nil
		}
	}
	now := time.Now()
	t.mu.Lock()
	t.armed = false
	if t.seq > t.sealed {
		t.appendSeal(now, t.ahead)
		t.ahead = nil
	}
	t.mu.Unlock()
	return t.commitSealed()
}

// commitSealed writes and syncs up to the last seal.
func (t *Trail) commitSealed() error {
	t.mu.Lock()
	upTo, head := t.sealed, t.sealHead
	t.mu.Unlock()
	if t.synced.at.Load() >= upTo {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.io.Lock()
	dirty := t.dirty
	t.dirty, t.idle = t.idle[:0], nil
	t.mu.Lock()
	for _, s := range t.placed {
		if !slices.Contains(dirty, s) {
			dirty = append(dirty, s)
		}
		if !slices.Contains(t.opened, s) {
			t.opened = append(t.opened, s)
		}
	}
	clear(t.placed)
	t.placed = t.placed[:0]
	// What was rotated away and is written to its end is complete with this
	// sync, and needs no descriptor any more. Nothing is placed in between.
	var complete []*segment
	for _, s := range dirty {
		if s != t.seg && t.stores[s.store] != s && s.on.Load() == s.end {
			complete = append(complete, s)
		}
	}
	t.mu.Unlock()
	t.io.Unlock()
	for _, s := range dirty {
		to := s.on.Load() / window * window
		if err := s.f.sync(); err != nil {
			return t.fail("fdatasync", s.path, err)
		}
		if s.gone < to {
			s.f.uncache(s.gone, to)
			s.gone = to
		}
	}
	t.mu.Lock()
	t.syncedHead = head
	t.mu.Unlock()
	t.synced.advance(upTo)
	if t.cfg.AnchorFirst {
		kick(t.anchorC)
	}
	for _, s := range complete {
		s.f.Close()
	}
	clear(dirty)
	t.io.Lock()
	t.idle = dirty
	t.io.Unlock()
	return nil
}

func (t *Trail) writer() {
	for {
		select {
		case <-t.writeC:
			// Others who are about to append go first: one write for many
			// costs a fraction.
			runtime.Gosched()
			t.flush()
		case <-t.stop:
			return
		}
	}
}

func (t *Trail) syncer() {
	for {
		select {
		case <-t.syncC:
			t.commit()
		case <-t.stop:
			return
		}
	}
}

// preparer makes the next segment before it is needed.
func (t *Trail) preparer() {
	for {
		select {
		case <-t.prepareC:
		case <-t.stop:
			return
		}
		t.mu.Lock()
		have, n := t.next != nil, t.seg.n+1
		t.mu.Unlock()
		if have {
			continue
		}
		s, err := t.makeSegment(n)
		t.mu.Lock()
		t.next, t.nextErr = s, err
		t.mu.Unlock()
	}
}

// keymaker makes the keys of coming seals.
func (t *Trail) keymaker() {
	for {
		select {
		case t.keys.next <- newSigningKey():
		case <-t.stop:
			return
		}
	}
}

// watchEvery is how often the trail looks whether its files are still there.
const watchEvery = 400 * time.Millisecond

// watcher notices what nobody tells the trail: files that were taken away,
// room on a disk that was full, and silence.
func (t *Trail) watcher() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	quiet, last := time.Now(), uint64(0)
	for {
		select {
		case <-tick.C:
		case <-t.stop:
			return
		}
		t.io.Lock()
		opened := t.opened
		t.io.Unlock()
		for _, s := range opened {
			if err := s.f.intact(s.path, s.on.Load()); err != nil {
				t.fail("look at", s.path, err)
			}
		}
		if err := stillThere(t.lock); err != nil {
			t.fail("look at", t.lock.Name(), err)
		}
		now := time.Now()
		t.mu.Lock()
		if t.nextErr != nil {
			kick(t.prepareC)
		}
		if t.full.Load() != nil {
			kick(t.writeC)
		}
		if t.seq != last {
			quiet, last = now, t.seq
		}
		if now.Sub(quiet) >= t.cfg.Heartbeat {
			t.take(&Record{Kind: KindHeartbeat}, now)
		}
		t.mu.Unlock()
	}
}
