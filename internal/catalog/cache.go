package catalog

import (
	"context"
	"sync/atomic"
	"time"
)

// DefaultMaxAge bounds how long other sessions' changes may go unseen.
const DefaultMaxAge = 5 * time.Second

// Config says how a Cache works.
type Config struct {
	// MaxAge bounds how old a snapshot may be without having been compared
	// with the server. Zero compares at each call, one session at a time.
	// Default: zero; callers without a wish of their own use [DefaultMaxAge].
	MaxAge time.Duration

	// Connect opens a connection to the same database that is in no
	// transaction, and returns what closes it. It is called when the session
	// that asks is in a REPEATABLE READ or SERIALIZABLE transaction and so
	// cannot see what others have committed. Default: none; such a session is
	// refused when the snapshot has become too old.
	Connect func(context.Context) (Queryer, func(), error)
}

// A Cache holds the current snapshot of one database, for all connections to
// it. It is safe for concurrent use. It starts no goroutine: a snapshot is
// compared and loaded on the connection, and in the time, of whoever asks.
type Cache struct {
	config Config
	epoch  time.Time // of the monotonic clock readings below

	current atomic.Pointer[checked]
	changes atomic.Uint64 // counts Invalidate

	// turn is held by the one caller who compares or loads, and so may store
	// into current.
	turn chan struct{}
}

// checked is a snapshot of committed definitions and when these were known to
// be the server's.
type checked struct {
	snapshot *Snapshot
	at       int64  // before the comparison was sent
	changes  uint64 // likewise
}

// NewCache returns an empty cache.
func NewCache(c Config) *Cache {
	return &Cache{config: c, epoch: time.Now(), turn: make(chan struct{}, 1)}
}

// Invalidate makes every session compare before it next uses a snapshot. It is
// to be called after a statement that may have changed definitions was
// committed, or run outside a transaction.
func (c *Cache) Invalidate() { c.changes.Add(1) }

// now is the time in nanoseconds since the epoch.
func (c *Cache) now() int64 { return int64(time.Since(c.epoch)) }

func (c *Cache) due(at int64) bool {
	return c.config.MaxAge <= 0 || c.now()-at > int64(c.config.MaxAge)
}

// fresh returns the shared snapshot if no comparison is due, else nil.
func (c *Cache) fresh() *Snapshot {
	cur := c.current.Load()
	if cur == nil || cur.changes != c.changes.Load() || c.due(cur.at) {
		return nil
	}
	return cur.snapshot
}

// shared returns the shared snapshot, however old, or nil.
func (c *Cache) shared() *Snapshot {
	if cur := c.current.Load(); cur != nil {
		return cur.snapshot
	}
	return nil
}

func (c *Cache) store(s *Snapshot, at int64, changes uint64) {
	c.current.Store(&checked{s, at, changes})
}

// A Session is one connection's view of a Cache: what all sessions share, and
// what only this one sees, that is its temporary objects and what its open
// transaction has changed. Like a connection, it is not for concurrent use.
type Session struct {
	cache *Cache
	own   *Snapshot // where it differs from the shared one, or nil
	dirty bool

	// When own was last compared, as in checked.
	at      int64
	changes uint64
}

// Session returns the view of a connection that has just been opened.
func (c *Cache) Session() *Session { return &Session{cache: c} }

// Changed says that the session may see other definitions than before, apart
// from what others do: after DDL of its own, anything that may have run such,
// DISCARD, and the end or partial rollback of a transaction with these. Outside
// a transaction, and at commit, [Cache.Invalidate] is needed as well.
func (s *Session) Changed() { s.dirty = true }

// Snapshot returns the definitions that the connection sees, not older than
// the bound. It is one atomic load as long as nothing is due; else one
// comparison on the connection, and a load if something has changed, which
// other sessions wait for. The connection is left as [Load] leaves it. Errors
// match [ErrLoad].
//
// A REPEATABLE READ or SERIALIZABLE transaction that has itself changed
// definitions, or written anything since others changed some, gets those of
// its beginning with its own changes.
func (s *Session) Snapshot(ctx context.Context, q Queryer) (*Snapshot, error) {
	if snapshot := s.fresh(); snapshot != nil {
		return snapshot, nil
	}
	return s.refresh(ctx, q)
}

// fresh returns the session's snapshot if no comparison is due, else nil.
func (s *Session) fresh() *Snapshot {
	switch {
	case s.dirty:
		return nil
	case s.own == nil:
		return s.cache.fresh()
	case s.changes != s.cache.changes.Load() || s.cache.due(s.at):
		return nil
	}
	return s.own
}

func (s *Session) refresh(ctx context.Context, q Queryer) (*Snapshot, error) {
	c := s.cache
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, &LoadError{Reason: "waiting for another session's load", Err: ctx.Err()}
	}
	// Another session may have done it while this one waited.
	if snapshot := s.fresh(); snapshot != nil {
		return snapshot, nil
	}

	at, changes := c.now(), c.changes.Load()
	seen, err := takeProbe(ctx, q)
	if err != nil {
		return nil, err
	}
	if !seen.present && c.fresh() == nil {
		if err := c.refreshAside(ctx); err != nil {
			return nil, err
		}
	}

	shared := c.shared()
	var snapshot *Snapshot
	switch {
	case shared != nil && seen.print == shared.fingerprint:
		snapshot = shared
	case s.own != nil && seen.print == s.own.fingerprint:
		snapshot = s.own
	default:
		if snapshot, err = load(ctx, q, shared); err != nil {
			return nil, err
		}
	}

	if seen.present && (seen.committed || snapshot == shared) {
		below := snapshot
		if below.fingerprint.temporary != "" {
			below = below.base
		}
		c.store(below, at, changes)
		shared = below
	}
	s.own, s.dirty = nil, false
	if snapshot != shared {
		s.own, s.at, s.changes = snapshot, at, changes
	}
	return snapshot, nil
}

// refreshAside makes the shared snapshot that of the present, on a connection
// of its own.
func (c *Cache) refreshAside(ctx context.Context) error {
	if c.config.Connect == nil {
		return &LoadError{Reason: "a REPEATABLE READ or SERIALIZABLE transaction cannot see whether definitions have changed; end it and begin again"}
	}
	q, closeConn, err := c.config.Connect(ctx)
	if err != nil {
		return &LoadError{Reason: "opening a connection to see present definitions", Err: err}
	}
	defer closeConn()
	at, changes := c.now(), c.changes.Load()
	loaded, err := load(ctx, q, c.shared())
	if err != nil {
		return err
	}
	if loaded.fingerprint.temporary != "" {
		loaded = loaded.base
	}
	c.store(loaded, at, changes)
	return nil
}
