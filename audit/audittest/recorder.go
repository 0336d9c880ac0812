// Package audittest has an in-memory sink for tests of what writes records,
// and a conformance test for sinks.
package audittest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/guardedpg/guardedpg/audit"
)

// Recorder is a sink that keeps records in memory. Its zero value works. It is
// safe for concurrent use; set its fields before.
type Recorder struct {
	// FailAppend, when not nil, is asked before each record is taken; n counts
	// from 1 what was offered. An error refuses the record.
	FailAppend func(n int, r *audit.Record) error
	// FailWait, when not nil, is asked for each Wait.
	FailWait func(seq uint64, d audit.Durability) error

	mu      sync.Mutex
	offered int
	records []*audit.Record
	waits   []Wait
	closed  bool
}

var _ audit.Sink = (*Recorder)(nil)

// Wait is one call of Recorder.Wait.
type Wait struct {
	Seq        uint64
	Durability audit.Durability
	// After is how many records had been appended by then.
	After int
}

// From returns a FailAppend that refuses the nth record, counted from 1, and
// all after it, with err.
func From(n int, err error) func(int, *audit.Record) error {
	return func(i int, _ *audit.Record) error {
		if i >= n {
			return err
		}
		return nil
	}
}

// OfKind returns a FailAppend that refuses records of one kind with err.
func OfKind(k audit.Kind, err error) func(int, *audit.Record) error {
	return func(_ int, r *audit.Record) error {
		if r.Kind == k {
			return err
		}
		return nil
	}
}

// Append implements audit.Sink. It keeps a copy of r.
func (s *Recorder) Append(r *audit.Record) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, audit.ErrClosed
	}
	s.offered++
	if s.FailAppend != nil {
		if err := s.FailAppend(s.offered, r); err != nil {
			return 0, err
		}
	}
	c := r.Clone()
	c.Seq = uint64(len(s.records) + 1)
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	s.records = append(s.records, c)
	return c.Seq, nil
}

// Wait implements audit.Sink.
func (s *Recorder) Wait(ctx context.Context, seq uint64, d audit.Durability) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq > uint64(len(s.records)) {
		return fmt.Errorf("audittest: there is no record %d to wait for", seq)
	}
	s.waits = append(s.waits, Wait{seq, d, len(s.records)})
	if s.FailWait != nil {
		return s.FailWait(seq, d)
	}
	return nil
}

// Close implements audit.Sink.
func (s *Recorder) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Records returns what was recorded, in order: all of it, or that of the kinds
// given. The caller must not change the records.
func (s *Recorder) Records(kinds ...audit.Kind) []*audit.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*audit.Record
	for _, r := range s.records {
		if len(kinds) == 0 {
			list = append(list, r)
		}
		for _, k := range kinds {
			if r.Kind == k {
				list = append(list, r)
			}
		}
	}
	return list
}

// Waits returns the calls of Wait, in order.
func (s *Recorder) Waits() []Wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Wait(nil), s.waits...)
}
