package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sample is what one round of one contestant cost, per unit of the workload.
type sample struct {
	Wall   float64 `json:"wall_ns"`
	CPU    float64 `json:"cpu_ns"` // of this process, user and system: the client's
	Allocs float64 `json:"allocs"`
	Bytes  float64 `json:"bytes"`
}

// result is a workload's samples by contestant, one per round, in order.
type result struct {
	workload workload
	Samples  map[string][]sample
	lacking  []string // what was not done, by whom
}

// runner measures workloads.
type runner struct {
	contestants []contestant
	rounds      int
	round       time.Duration // how long a sample should take
	fast        string        // DSN of the server for reads
	durable     string        // DSN of the server for writes
	progress    io.Writer
	serial      atomic.Int64
}

// entrant is a contestant with its pool for a workload.
type entrant struct {
	contestant
	dsn  string
	p    protection
	db   *sql.DB
	done func() error
	op   operation
}

func (e *entrant) start(ctx context.Context, w workload) error {
	db, done, err := e.open(e.dsn, e.p)
	if err != nil {
		return err
	}
	e.db, e.done = db, done
	db.SetMaxOpenConns(w.atOnce)
	db.SetMaxIdleConns(w.atOnce)
	e.op, err = w.start(ctx, db)
	return err
}

func (e *entrant) stop() error {
	if e.db == nil {
		return nil
	}
	err := e.db.Close()
	e.db = nil
	if e.done != nil {
		err = errors.Join(err, e.done())
	}
	return err
}

// run measures one workload in alternating rounds.
func (r *runner) run(ctx context.Context, w workload) (_ *result, err error) {
	dsn := r.fast
	if w.durable {
		dsn = r.durable
	}
	var entrants []*entrant
	res := &result{workload: w, Samples: map[string][]sample{}}
	defer func() {
		for _, e := range entrants {
			stopped := e.stop()
			if errors.Is(stopped, errUnrecorded) && err == nil {
				res.lacking = append(res.lacking, fmt.Sprintf("%s, %s: %v", e.name, w.name, stopped))
				stopped = nil
			}
			err = errors.Join(err, stopped)
		}
	}()
	for _, c := range r.contestants {
		if w.guardOnly && !c.guard {
			continue
		}
		e := &entrant{contestant: c, dsn: dsn, p: w.protection}
		entrants = append(entrants, e)
		if err := e.start(ctx, w); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}

	// Warm: connections are open, statements prepared, caches filled.
	for _, e := range entrants {
		if _, err := r.sample(ctx, w, e, 4*w.atOnce); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	ops, err := r.fill(ctx, w, entrants[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", entrants[0].name, err)
	}

	for round := range r.rounds {
		fmt.Fprintf(r.progress, "\r%s, %d at once: round %d of %d ", w.name, w.atOnce, round+1, r.rounds)
		for i := range entrants {
			// Each goes first, second ... equally often.
			e := entrants[(i+round)%len(entrants)]
			if w.fresh > 0 {
				if err := e.stop(); err != nil && !errors.Is(err, errUnrecorded) {
					return nil, fmt.Errorf("%s: %w", e.name, err)
				}
				if err := e.start(ctx, w); err != nil {
					return nil, fmt.Errorf("%s: %w", e.name, err)
				}
				if err := e.op(ctx, r.serial.Add(1)); err != nil { // connects
					return nil, fmt.Errorf("%s: %w", e.name, err)
				}
			}
			s, err := r.sample(ctx, w, e, ops)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
			res.Samples[e.name] = append(res.Samples[e.name], s)
		}
	}
	fmt.Fprintln(r.progress)
	return res, nil
}

// fill returns how many operations of the first contestant take about a round.
// All contestants then do that many.
func (r *runner) fill(ctx context.Context, w workload, e *entrant) (int, error) {
	if w.fresh > 0 {
		return w.fresh, nil
	}
	for ops := w.atOnce; ; ops *= 4 {
		s, err := r.sample(ctx, w, e, ops)
		if err != nil {
			return 0, err
		}
		took := time.Duration(s.Wall * float64(ops*w.units))
		if took > r.round/8 {
			return max(w.atOnce, int(float64(ops)*float64(r.round)/float64(took))), nil
		}
	}
}

// sample does so many operations and returns what a unit cost.
func (r *runner) sample(ctx context.Context, w workload, e *entrant, ops int) (sample, error) {
	ctx, cancel := context.WithCancelCause(pprof.WithLabels(ctx, pprof.Labels("contestant", e.name)))
	defer cancel(nil)
	pprof.SetGoroutineLabels(ctx) // those that it starts inherit them
	var left atomic.Int64
	left.Store(int64(ops))
	work := func() {
		for left.Add(-1) >= 0 {
			if err := e.op(ctx, r.serial.Add(1)); err != nil {
				cancel(err)
				return
			}
		}
	}

	// The garbage of whoever was before is not on this one's bill.
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := clientCPU()
	begun := time.Now()
	if w.atOnce == 1 {
		work()
	} else {
		var wg sync.WaitGroup
		for range w.atOnce {
			wg.Go(work)
		}
		wg.Wait()
	}
	wall := time.Since(begun)
	cpu = clientCPU() - cpu
	runtime.ReadMemStats(&after)
	if err := context.Cause(ctx); err != nil {
		return sample{}, err
	}
	n := float64(ops * w.units)
	return sample{
		Wall:   float64(wall) / n,
		CPU:    float64(cpu) / n,
		Allocs: float64(after.Mallocs-before.Mallocs) / n,
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, nil
}

// clientCPU is the processor time of this process so far. The server is another
// process and not in it.
func clientCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // only for a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
