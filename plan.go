package guardedpg

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A view is a catalog snapshot and the policy bound to it.
type view struct {
	snap  *catalog.Snapshot
	bound *guard.Bound
}

// A plan is everything about a text that does not depend on who runs it. It is
// safe for concurrent use.
type plan struct {
	sql    string
	facts  *analysis.Facts
	policy *guard.Plan

	// What it holds for.
	view *view
	path *path

	// byArguments is true where how far it limits its writes depends on the
	// arguments, see planWith; resolved is what its names mean.
	byArguments bool
	resolved    *resolution

	// shared is false for a text whose facts depend on the session's prepared
	// statements or cursors: behind are those that it names.
	shared bool
	behind []string
	// reads is true when the text does nothing but read: it may run again.
	reads bool
	// light is true when nothing that it does outlives the session: its intent
	// need not be durable before it runs.
	light       bool
	onlyControl bool // it does nothing but begin, end and divide transactions
	anyControl  bool // it begins, ends or divides a transaction
	unknown     bool // the analysis did not understand all of it

	kind audit.Kind // of the record before it runs
	sqlRecord
	basis      basis
	overwrites []overwrite
	masks      atomic.Pointer[boundMasks] // those of the last decision
	described  atomic.Int64               // when a run began that the server described; see describeEvery

	// released is the plan under which results over many rows are given, or nil.
	released *plan
	// sends is the text that such a plan runs in place of sql, base the plan
	// that it is the released one of.
	sends string
	base  *plan
}

// A resolution is what names mean.
type resolution struct {
	names analysis.Names
	analysis.Resolution
}

func (p *plan) validFor(v *view, at *path) bool { return p.view == v && p.path == at }

func (p *plan) size() int { return 512 + 8*len(p.sql) }

// Bounds on what is kept. A text above maxCachedText is made by a program that
// will not send it again.
const (
	maxCachedText = 64 << 10
	sessionPlans  = 512
	sharedBytes   = 64 << 20
)

// A planCache keeps the plans of one session. The zero value is empty.
type planCache map[string]*plan

func (c *planCache) put(p *plan) {
	if len(p.sql) > maxCachedText {
		return
	}
	if *c == nil {
		*c = planCache{}
	}
	if len(*c) >= sessionPlans {
		// What is in use comes back from the shared cache without an analysis.
		clear(*c)
	}
	(*c)[p.sql] = p
}

// sharedPlans keeps the plans that all sessions of a connector can use, the
// least recently used going first. The zero value is empty; it is safe for
// concurrent use.
type sharedPlans struct {
	mu    sync.Mutex
	byKey map[planKey]*list.Element
	order list.List // of *plan, the last used in front
	bytes int
}

type planKey struct {
	sql  string
	path *path
}

func (c *sharedPlans) get(sql string, at *path, v *view) *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[planKey{sql, at}]
	if e == nil {
		return nil
	}
	p := e.Value.(*plan)
	if p.view != v {
		// A view that was replaced does not come back.
		if v.snap.Version > p.view.snap.Version {
			c.remove(e)
		}
		return nil
	}
	c.order.MoveToFront(e)
	return p
}

func (c *sharedPlans) put(p *plan) {
	if !p.shared || p.path == nil || !p.path.shared || len(p.sql) > maxCachedText {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := planKey{p.sql, p.path}
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
	if c.byKey == nil {
		c.byKey = map[planKey]*list.Element{}
	}
	c.byKey[key] = c.order.PushFront(p)
	c.bytes += p.size()
	for c.bytes > sharedBytes {
		c.remove(c.order.Back())
	}
}

func (c *sharedPlans) drop(p *plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[planKey{p.sql, p.path}]; e != nil && e.Value == p {
		c.remove(e)
	}
}

func (c *sharedPlans) remove(e *list.Element) {
	p := c.order.Remove(e).(*plan)
	delete(c.byKey, planKey{p.sql, p.path})
	c.bytes -= p.size()
}
