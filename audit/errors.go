package audit

import (
	"errors"
	"fmt"
)

var (
	// ErrFailed is the class of every error that ends a trail for good: a write
	// or fdatasync that failed, a segment that was removed under it.
	ErrFailed = errors.New("audit: the trail has failed and takes no more records")
	// ErrClosed says that the sink was closed.
	ErrClosed = errors.New("audit: the sink is closed")
	// ErrBusy is the class of refusals that may pass: the disk is full, or does
	// not keep up. The record was not taken.
	ErrBusy = errors.New("audit: the trail cannot take a record now")
	// ErrKeyInUse says that a key cannot be shredded yet: another process may be
	// sealing with it.
	ErrKeyInUse = errors.New("audit: the key is in use")
	// ErrConfig is the class of a TrailConfig that cannot work.
	ErrConfig = errors.New("audit: trail configuration")
)

// A TrailError says why a trail refuses. Is matches its Class.
type TrailError struct {
	Class error // ErrFailed or ErrBusy
	Dir   string
	Op    string // what was tried, as "fdatasync 00000001.jsonl"
	Err   error
}

func (e *TrailError) Error() string {
	return fmt.Sprintf("%v: %s in %s: %v", e.Class, e.Op, e.Dir, e.Err)
}

// Unwrap returns the class and the cause.
func (e *TrailError) Unwrap() []error { return []error{e.Class, e.Err} }
