package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// TeeConfig says which sinks get every record.
type TeeConfig struct {
	// First numbers the records, keeps payloads and seals originals where it
	// can, and records what happens to the others. Usually a Trail. Required.
	First Sink
	// Required must all have a record before it counts as safe: one that fails
	// refuses the statement. Default none.
	Required []NamedSink
	// Optional get records as long as they keep up. They never delay anything;
	// what they miss is recorded as a gap. Default none.
	Optional []NamedSink
	// Buffer is how many records may wait for a sink of Required or Optional.
	// Default 1024.
	Buffer int
	// Patience is how long a record waits for a required sink before it is
	// refused with ErrBusy. Default 1 second.
	Patience time.Duration
}

// A NamedSink is a sink with the name under which its failures are recorded.
type NamedSink struct {
	Name string
	Sink Sink
}

// Tee returns a sink that hands every record to several. Each sink has a
// goroutine of its own, so that one that hangs or panics harms no other. Close
// closes them all, waiting for each no longer than Patience.
//
// It is a [PayloadSink] and a [SealingSink] where cfg.First is.
func Tee(cfg TeeConfig) (Sink, error) {
	if cfg.First == nil {
		return nil, fmt.Errorf("%w: First is not set: a tee needs a sink that numbers the records", ErrConfig)
	}
	if cfg.Buffer < 0 || cfg.Patience < 0 {
		return nil, fmt.Errorf("%w: Buffer and Patience cannot be negative", ErrConfig)
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = 1024
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Second
	}
	t := &tee{cfg: cfg}
	for i, n := range slices.Concat(cfg.Required, cfg.Optional) {
		if n.Sink == nil || n.Name == "" {
			return nil, fmt.Errorf("%w: a sink of the tee has no name or is nil", ErrConfig)
		}
		b := &branch{
			tee:      t,
			name:     n.Name,
			sink:     n.Sink,
			required: i < len(cfg.Required),
			queue:    make(chan *Record, cfg.Buffer),
			ended:    make(chan struct{}),
		}
		t.branches = append(t.branches, b)
	}
	t.stop, t.cancel = context.WithCancel(context.Background())
	for _, b := range t.branches {
		go b.run()
	}
	p, keeps := cfg.First.(PayloadSink)
	s, seals := cfg.First.(SealingSink)
	switch {
	case keeps && seals:
		return struct {
			*tee
			PayloadSink
			SealingSink
		}{t, p, s}, nil
	case keeps:
		return struct {
			*tee
			PayloadSink
		}{t, p}, nil
	case seals:
		return struct {
			*tee
			SealingSink
		}{t, s}, nil
	}
	return t, nil
}

type tee struct {
	cfg      TeeConfig
	branches []*branch
	stop     context.Context
	cancel   context.CancelFunc

	mu     sync.Mutex // keeps the order the same everywhere
	closed bool
}

// A branch feeds one further sink.
type branch struct {
	tee      *tee
	name     string
	sink     Sink
	required bool
	queue    chan *Record
	ended    chan struct{}
	done     watermark // seq, of First, of the last record that the sink took

	overdue atomic.Int32 // calls of the sink's Wait that outlast Patience

	mu      sync.Mutex
	last    uint64 // seq, of the sink, of the last record it took
	failing error  // why it takes none at present
	dropped int
}

// Append implements [Sink].
func (t *tee) Append(r *Record) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, ErrClosed
	}
	for _, b := range t.branches {
		if b.required && len(b.queue) == cap(b.queue) {
			return 0, b.refusal(errors.New("it does not keep up"))
		}
	}
	seq, err := t.cfg.First.Append(r)
	if err != nil {
		return 0, err
	}
	t.feed(r, seq)
	return seq, nil
}

// feed queues a copy for each branch. t.mu is held, so the queues have room for
// what Append has seen room for.
func (t *tee) feed(r *Record, seq uint64) {
	if len(t.branches) == 0 {
		return
	}
	c := r.Clone()
	c.Seq = seq
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	for _, b := range t.branches {
		select {
		case b.queue <- c:
			continue
		default:
		}
		b.mu.Lock()
		troubled := b.failing != nil || b.dropped > 0
		b.dropped++
		b.mu.Unlock()
		if !troubled {
			t.note(KindSinkFailed, b.name, 0)
		}
	}
}

// note records in First what became of a branch. If First fails too, statements
// fail by that.
func (t *tee) note(k Kind, name string, dropped int) {
	d := map[string]string{"sink": name}
	if dropped > 0 {
		d["missed"] = strconv.Itoa(dropped)
	}
	t.cfg.First.Append(&Record{Kind: k, Detail: d})
}

func (b *branch) refusal(err error) error {
	return fmt.Errorf("%w: sink %s: %w", ErrBusy, b.name, err)
}

// run hands records over, in order. A required sink gets each until it takes it.
func (b *branch) run() {
	defer close(b.ended)
	for r := range b.queue {
		for try := 0; ; try++ {
			seq, err := b.append(r)
			b.mu.Lock()
			troubled, missed := b.failing != nil || b.dropped > 0, b.dropped
			b.failing = err
			switch {
			case err == nil:
				b.last, b.dropped = seq, 0
			case !b.required:
				b.dropped++
			}
			b.mu.Unlock()
			switch {
			case err != nil && !troubled:
				b.tee.note(KindSinkFailed, b.name, 0)
			case err == nil && troubled:
				b.tee.note(KindSinkRecovered, b.name, missed)
				if missed > 0 {
					b.append(&Record{Kind: KindSinkRecovered, Detail: map[string]string{"sink": b.name, "missed": strconv.Itoa(missed)}})
				}
			}
			if err == nil {
				b.done.advance(r.Seq)
				break
			}
			b.done.wake() // those who wait shall see the failure
			if !b.required {
				break
			}
			select {
			case <-b.tee.stop.Done():
				return
			case <-time.After(min(time.Second, 10*time.Millisecond<<min(try, 7))):
			}
		}
	}
}

// append calls the sink, whose panic is an error.
func (b *branch) append(r *Record) (seq uint64, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return b.sink.Append(r)
}

// Wait implements [Sink]: it returns nil once First and all required sinks are as
// safe as d.
func (t *tee) Wait(ctx context.Context, seq uint64, d Durability) error {
	if err := t.cfg.First.Wait(ctx, seq, d); err != nil {
		return err
	}
	for _, b := range t.branches {
		if b.required {
			if err := b.wait(ctx, seq, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *branch) wait(ctx context.Context, seq uint64, d Durability) error {
	patience, cancel := context.WithTimeoutCause(ctx, b.tee.cfg.Patience, b.refusal(errors.New("it does not answer")))
	defer cancel()
	for {
		w := b.done.wait(seq)
		if w == nil {
			break
		}
		b.mu.Lock()
		failing := b.failing
		b.mu.Unlock()
		if failing != nil {
			b.done.forget(w)
			return b.refusal(failing)
		}
		select {
		case <-w.c:
			w.free()
		case <-patience.Done():
			b.done.forget(w)
			return context.Cause(patience)
		}
	}
	b.mu.Lock()
	last := b.last
	b.mu.Unlock()
	if b.overdue.Load() >= maxOverdue {
		return b.refusal(errors.New("it does not answer"))
	}
	// In a goroutine, since a sink that hangs may not look at its context.
	result := make(chan error, 1)
	go func() {
		defer func() {
			if recover() != nil {
				result <- errPanicked
			}
		}()
		result <- b.sink.Wait(patience, last, d)
	}()
	select {
	case err := <-result:
		if err != nil {
			return b.refusal(err)
		}
		return nil
	case <-patience.Done():
		b.overdue.Add(1)
		go func() {
			<-result
			b.overdue.Add(-1)
		}()
		return context.Cause(patience)
	}
}

// maxOverdue bounds the goroutines that a sink can keep by hanging.
const maxOverdue = 16

// Close implements [Sink].
func (t *tee) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	for _, b := range t.branches {
		close(b.queue)
	}
	t.mu.Unlock()
	var errs []error
	for _, b := range t.branches {
		errs = append(errs, b.close())
	}
	t.cancel()
	// Last, so that it can record what the others did.
	errs = append(errs, t.cfg.First.Close())
	return errors.Join(errs...)
}

func (b *branch) close() error {
	result := make(chan error, 1)
	go func() {
		defer func() {
			if recover() != nil {
				result <- errPanicked
			}
		}()
		<-b.ended
		result <- b.sink.Close()
	}()
	select {
	case err := <-result:
		if err != nil && b.required {
			return b.refusal(err)
		}
		return nil
	case <-time.After(b.tee.cfg.Patience):
		if b.required {
			return b.refusal(errors.New("it does not close"))
		}
		return nil
	}
}
