package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An Anchor keeps the heads of trails where those who can change the trails
// cannot change it: in a database under another role, with a third party. It is
// safe for concurrent use.
type Anchor interface {
	// Anchor returns when h is kept for good. The first head of a trail
	// carries the public key that it begins with. An error is no promise that
	// h was not kept.
	Anchor(ctx context.Context, h Head) error
}

// anchorTimeout bounds one call of an Anchor.
const anchorTimeout = 10 * time.Second

// anchorer hands heads to the anchor, as they are synced.
func (t *Trail) anchorer() {
	every := time.NewTicker(t.cfg.AnchorEvery)
	defer every.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t.done.Go(func() {
		<-t.stop
		cancel()
	})
	down := false
	for {
		select {
		case <-every.C:
		case <-t.anchorC:
		case <-t.stop:
			return
		}
		err := t.anchor(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !down:
			// The reason may hold names of servers and users: not here.
			t.note(KindSinkFailed)
		case err == nil && down:
			t.note(KindSinkRecovered)
		}
		down = err != nil
		if down && t.cfg.AnchorFirst {
			// Those who wait were woken by nobody: try again soon.
			time.AfterFunc(min(t.cfg.AnchorEvery, time.Second), func() { kick(t.anchorC) })
		}
	}
}

func (t *Trail) note(k Kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.take(&Record{Kind: k, Detail: map[string]string{"sink": "anchor"}}, time.Now())
}

// anchor hands the last synced head to the anchor, if it has not got it.
func (t *Trail) anchor(ctx context.Context) error {
	t.mu.Lock()
	h := t.syncedHead
	t.mu.Unlock()
	if t.anchored.at.Load() >= h.Seq {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, anchorTimeout)
	defer cancel()
	err := callAnchor(ctx, t.cfg.Anchor, h)
	if err == nil {
		t.anchored.advance(h.Seq)
	}
	return err
}

var errPanicked = errors.New("audit: panicked")

// callAnchor keeps a panic in somebody else's code from ending the process.
func callAnchor(ctx context.Context, a Anchor, h Head) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("anchor: %w", errPanicked)
		}
	}()
	return a.Anchor(ctx, h)
}
