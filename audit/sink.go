package audit

import "context"

// Durability is how safe a record is.
type Durability int

const (
	// Written is in the operating system's hands: it survives the death of
	// this process. The zero value.
	Written Durability = iota
	// Synced is on stable storage (fdatasync returned): it survives a power cut.
	Synced
)

// A Sink stores records in order. Implementations are safe for concurrent use
// and prove themselves with audittest.TestSink.
type Sink interface {
	// Append hands r over and returns its place in the order. It does not keep
	// r. It does not wait for the record to be safe: Wait does.
	Append(r *Record) (seq uint64, err error)
	// Wait returns nil once the record seq, and all before it, are at least as
	// safe as d, or the error that makes this impossible. When ctx ends first
	// it returns ctx's error; the record may still become safe.
	Wait(ctx context.Context, seq uint64, d Durability) error
	// Close makes what was appended safe and ends the sink.
	Close() error
}
