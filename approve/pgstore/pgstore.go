// Package pgstore keeps approval requests and decisions in PostgreSQL, for many
// agents and many approvers in processes of their own.
//
// Everything is in the schema guardedpg_approve, which [Open] makes. An event
// is one INSERT: a process that dies at any point has added it or not, and
// whether a place in a stream is taken is decided by a primary key.
//
// Whoever can add events of approvers can approve. So keep the store where the
// statements of agents do not run: in a database of its own, or at least under
// a role of its own; and give agents' processes and approvers different roles,
// held apart by [Store.Separate].
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/guardedpg/guardedpg/approve"
)

// Config says where the store is.
type Config struct {
	// DSN names the database, as pgxpool.ParseConfig reads it. Required.
	DSN string
	// Poll is how often watchers are woken whether or not the server told of
	// something new: it cannot behind a pooler that shares connections, or
	// while the connection for it is being made anew. Default: 1 second.
	Poll time.Duration
	// Timeout bounds each look and each event: a server that does not answer
	// must not hold up an agent and its transaction for as long as TCP does.
	// Default: 10 seconds.
	Timeout time.Duration
}

// Store implements approve.Store. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	poll    time.Duration
	timeout time.Duration

	mu       sync.Mutex
	closed   bool
	watchers map[chan struct{}]struct{}
	end      context.CancelFunc // ends the listener; nil while there is none
	running  sync.WaitGroup
}

// Open connects, and makes or updates the schema if need be, for which it needs
// the right to. Call Close when the store is no longer needed.
func Open(ctx context.Context, c Config) (*Store, error) {
	config, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	params := config.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "guardedpg approve"
	}
	// A decision that the server forgets in a crash would be lost.
	params["synchronous_commit"] = "on"
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithTimeout(ctx, 3*c.Timeout) // others may migrate first
	defer end()
	if err := migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return &Store{pool: pool, poll: c.Poll, timeout: c.Timeout, watchers: make(map[chan struct{}]struct{})}, nil
}

// Close ends all watching and closes the connections.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	s.stopListening()
	s.mu.Unlock()
	s.running.Wait()
	s.pool.Close()
}

// Separate gives role agents the right to ask and to use, and role approvers
// the right to decide and to revoke, and neither the other's, nor to change
// what is there. It needs the owner's rights and can be repeated. Approvers who
// share their role must still each prove who they are to whatever decides for
// them: `guardedpg approve` asks for a token.
func (s *Store) Separate(ctx context.Context, agents, approvers string) error {
	if agents == "" || approvers == "" || agents == approvers {
		return errors.New("approve/pgstore: agents and approvers need two different roles")
	}
	a, b := pgx.Identifier{agents}.Sanitize(), pgx.Identifier{approvers}.Sanitize()
	_, err := s.pool.Exec(ctx, fmt.Sprintf(`
		begin;
		revoke all on schema guardedpg_approve from public;
		revoke all on all tables in schema guardedpg_approve from public, %[1]s, %[2]s;
		grant usage on schema guardedpg_approve to %[1]s, %[2]s;
		grant select on guardedpg_approve.migrations to %[1]s, %[2]s;
		grant select, insert on guardedpg_approve.events to %[1]s, %[2]s;
		drop policy if exists read on guardedpg_approve.events;
		drop policy if exists ask on guardedpg_approve.events;
		drop policy if exists decide on guardedpg_approve.events;
		create policy read on guardedpg_approve.events for select to %[1]s, %[2]s using (true);
		create policy ask on guardedpg_approve.events for insert to %[1]s with check (kind in ('asked', 'used'));
		create policy decide on guardedpg_approve.events for insert to %[2]s with check (kind in ('decided', 'revoked'));
		commit`, a, b), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return fmt.Errorf("approve/pgstore: separating agents and approvers: %w", err)
	}
	return nil
}

// Add implements approve.Store.
func (s *Store) Add(ctx context.Context, e approve.Event) (time.Time, error) {
	if e.Seq < 1 {
		return time.Time{}, approve.ErrConflict
	}
	ctx, end := context.WithTimeout(ctx, s.timeout)
	defer end()
	var at time.Time
	err := s.pool.QueryRow(ctx, `
		insert into guardedpg_approve.events (stream, seq, kind, request, shape, body)
		values ($1, $2, $3, $4, $5, $6)
		on conflict (stream, seq) do nothing
		returning at`,
		e.Stream, e.Seq, string(e.Kind), e.Request, e.Shape, string(e.Body)).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, approve.ErrConflict
	}
	return at, wrap("adding an event", err)
}

// Load implements approve.Store.
func (s *Store) Load(ctx context.Context, f approve.Filter) ([]approve.Event, time.Time, error) {
	var since *time.Time
	if !f.Since.IsZero() {
		since = &f.Since
	}
	ctx, end := context.WithTimeout(ctx, s.timeout)
	defer end()
	rows, err := s.pool.Query(ctx, `
		select stream, seq, kind, request, shape, at, body::text
		from guardedpg_approve.events
		where stream in (
			select $1 where $1 <> ''
			union all select stream from guardedpg_approve.events where request = $2 and $2 <> ''
			union all select stream from guardedpg_approve.events where shape = $3 and shape <> ''
			union all select stream from guardedpg_approve.events where at >= $4)
		union all
		select null, 0, '', '', '', clock_timestamp(), ''
		order by 1 nulls last, 2`,
		f.Stream, f.Request, f.Shape, since)
	if err != nil {
		return nil, time.Time{}, wrap("loading events", err)
	}
	var events []approve.Event
	var now time.Time
	var e approve.Event
	var stream *string
	var body string
	_, err = pgx.ForEachRow(rows, []any{&stream, &e.Seq, (*string)(&e.Kind), &e.Request, &e.Shape, &e.At, &body}, func() error {
		if now.Before(e.At) {
			now = e.At
		}
		if stream != nil { // the last row has the time alone
			e.Stream, e.Body = *stream, []byte(body)
			events = append(events, e)
		}
		return nil
	})
	if err != nil {
		return nil, time.Time{}, wrap("loading events", err)
	}
	return events, now, nil
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("approve/pgstore: %s: %w", doing, err)
}

// Watch implements approve.Store.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("approve/pgstore: the store is closed")
	}
	s.watchers[w] = struct{}{}
	if s.end == nil {
		var listening context.Context
		listening, s.end = context.WithCancel(context.Background())
		s.running.Go(func() { s.listen(listening) })
	}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
		if len(s.watchers) == 0 {
			s.stopListening()
		}
	})
	return w, nil
}

func (s *Store) stopListening() {
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		select {
		case w <- struct{}{}:
		default: // it has one to receive already
		}
	}
}

// listen wakes watchers when the server tells of something new, after each
// (re)connection, since something may have been missed, and every Poll.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		s.listenOnce(ctx)
		s.wake()
		select {
		case <-time.After(s.poll):
		case <-ctx.Done():
		}
	}
}

// listenOnce returns when its connection fails, or ctx ends.
func (s *Store) listenOnce(ctx context.Context) {
	// Not one of the pool's: a pool of one would have none left to work with.
	connecting, connected := context.WithTimeout(ctx, s.timeout)
	conn, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig.Copy())
	connected()
	if err != nil {
		return
	}
	defer func() {
		closing, end := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer end()
		_ = conn.Close(closing)
	}()
	asking, asked := context.WithTimeout(ctx, s.timeout)
	_, err = conn.Exec(asking, "listen guardedpg_approve")
	asked()
	if err != nil {
		return
	}
	for {
		s.wake()
		waiting, end := context.WithTimeout(ctx, s.poll)
		_, err := conn.WaitForNotification(waiting)
		timeout := waiting.Err() != nil
		end()
		if ctx.Err() != nil || err != nil && (!timeout || !pgconn.Timeout(err)) {
			return
		}
	}
}

var _ approve.Store = (*Store)(nil)
