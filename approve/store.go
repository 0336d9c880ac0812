package approve

import (
	"context"
	"time"
)

// A Store keeps events, in streams. It only appends, and knows nothing of what
// they say: a [Queue] does. One stream holds everything about one digest, and
// whoever adds to it names the place that the event takes, so that of two who
// decide from the same state one is refused. Nothing else is needed for a
// decision to be used once, by any number of processes that may die anywhere.
//
// Implementations are safe for concurrent use, also by several processes, and
// prove themselves with approvetest.TestStore.
type Store interface {
	// Add stores e as the event number e.Seq of its stream, durably, and
	// returns when that was. It ignores e.At. It returns ErrConflict, and stores
	// nothing, unless the stream has exactly e.Seq-1 events. After any other
	// error e may be stored or not.
	Add(ctx context.Context, e Event) (time.Time, error)
	// Load returns all events of the streams that f selects, each stream's
	// together and in order, and the store's time, which is not before any of
	// theirs. It sees every Add that returned before it was called.
	Load(ctx context.Context, f Filter) ([]Event, time.Time, error)
	// Watch returns a channel that receives when something may have been added
	// after Watch returned, by any process: soon where the store can tell, and
	// within seconds always. Several additions may be one receipt. It ends with
	// ctx.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// An Event is one thing that happened to a request. A Store keeps every field
// exactly.
type Event struct {
	// Stream is the digest of the request.
	Stream string
	// Seq is its place in the stream, from 1.
	Seq int
	// Kind says what happened.
	Kind Kind
	// Request is the ID of the request.
	Request string
	// Shape is the shape that this event grants, or "".
	Shape string
	// At is when the store added it, by the store's clock.
	At time.Time
	// Body is the rest, as JSON.
	Body []byte
}

// Kind says what an Event is about. Agents store KindAsked and KindUsed,
// approvers KindDecided and KindRevoked: a Store can hold each to theirs.
type Kind string

// The kinds of event.
const (
	KindAsked   Kind = "asked"
	KindDecided Kind = "decided"
	KindUsed    Kind = "used"
	KindRevoked Kind = "revoked"
)

// A Filter selects the streams that meet at least one of its conditions. The
// zero Filter selects none.
type Filter struct {
	Stream  string    // this stream
	Request string    // streams with an event of this request
	Shape   string    // streams with an event of this shape
	Since   time.Time // streams with an event at or after this time
}

// Match reports whether e alone makes f select its stream.
func (f Filter) Match(e Event) bool {
	return f.Stream != "" && e.Stream == f.Stream ||
		f.Request != "" && e.Request == f.Request ||
		f.Shape != "" && e.Shape == f.Shape ||
		!f.Since.IsZero() && !e.At.Before(f.Since)
}
