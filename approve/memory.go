package approve

import (
	"context"
	"slices"
	"sync"
	"time"
)

// MemoryStore is a Store within this process. The zero value is ready. What it
// holds is gone with the process: statements that wait must then be asked anew.
type MemoryStore struct {
	// Now tells the time. Default: time.Now.
	Now func() time.Time

	mu       sync.Mutex
	streams  map[string][]Event
	watchers map[chan struct{}]struct{}
}

func (s *MemoryStore) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Add implements Store.
func (s *MemoryStore) Add(ctx context.Context, e Event) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Seq != len(s.streams[e.Stream])+1 {
		return time.Time{}, ErrConflict
	}
	if s.streams == nil {
		s.streams = make(map[string][]Event)
	}
	e.At, e.Body = s.now(), slices.Clone(e.Body)
	s.streams[e.Stream] = append(s.streams[e.Stream], e)
	for w := range s.watchers {
		select {
		case w <- struct{}{}:
		default: // it has one to receive already
		}
	}
	return e.At, nil
}

// Load implements Store.
func (s *MemoryStore) Load(ctx context.Context, f Filter) ([]Event, time.Time, error) {
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []Event
	for _, stream := range s.streams {
		if slices.ContainsFunc(stream, f.Match) {
			for _, e := range stream {
				e.Body = slices.Clone(e.Body)
				events = append(events, e)
			}
		}
	}
	return events, s.now(), nil
}

// Watch implements Store.
func (s *MemoryStore) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = make(map[chan struct{}]struct{})
	}
	s.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	})
	return w, nil
}
