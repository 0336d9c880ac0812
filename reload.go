package guardedpg

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
)

// Reload replaces the policy. It counts for statements that begin after Reload
// returns, on every connection; decisions that people made under another policy
// are void then. A policy that is wrong, does not fit the database as it was last
// seen, or cannot be recorded leaves the old one in force; the trail says so, and
// the error is of class [ErrConfig] or [ErrAudit]. It is safe for concurrent use.
//
// The policy of a configuration file is reloaded by itself when the file changes,
// at the latest CatalogRefresh after that, unless the program changed what
// [LoadConfig] gave it or called Reload. The file's other parts count when the
// program starts.
func (c *Connector) Reload(p guard.Policy) error {
	c.file.stop()
	return c.reload(p, "the program")
}

func (c *Connector) reload(p guard.Policy, from string) error {
	c.binding.Lock()
	defer c.binding.Unlock()
	engine, err := guard.Compile(p)
	if err == nil {
		if v := c.shared.Load(); v != nil {
			_, err = engine.Bind(v.snap, v.bound)
		}
	}
	if err != nil {
		return c.notReloaded(from, err)
	}
	if err := c.recordPolicy(engine, from, nil); err != nil {
		return err
	}
	c.engine.Store(engine)
	return nil
}

func (c *Connector) notReloaded(from string, err error) error {
	c.recordPolicy(c.engine.Load(), from, err)
	return configError("the new policy is wrong, and the old one stays in force", "", err)
}

// recordPolicy writes which policy is in force from now on, or stays in force.
func (c *Connector) recordPolicy(engine *guard.Engine, from string, failed error) error {
	detail := map[string]string{"policy": engine.Hash(), "from": from, "result": "in force"}
	if failed != nil {
		detail["result"] = "a new policy was wrong; this one stays in force"
		detail["error"] = failed.Error()
	}
	if _, err := c.cfg.Audit.Append(&audit.Record{Kind: audit.KindPolicy, Detail: detail}); err != nil {
		return notRecorded(nil, err)
	}
	return nil
}

// A policyFile is the file that a policy came from. The zero policyFile is none.
type policyFile struct {
	path    string
	every   time.Duration
	stopped atomic.Bool
	checked atomic.Int64 // when, in nanoseconds since start

	mu    sync.Mutex
	start time.Time
	data  []byte // as it was last seen
}

func (f *policyFile) stop() { f.stopped.Store(true) }

// watch begins to look after the file that cfg was loaded from, if the policy is
// still what the file says.
func (f *policyFile) watch(cfg *Config, engine *guard.Engine) {
	f.stopped.Store(true)
	if cfg.loaded == nil {
		return
	}
	if said, err := guard.Compile(cfg.loaded.policy); err != nil || said.Hash() != engine.Hash() {
		return
	}
	f.path, f.data, f.every, f.start = cfg.loaded.path, cfg.loaded.data, cfg.catalogRefresh(), time.Now()
	f.stopped.Store(false)
}

// changed returns what the file has now, if that is new. It looks once in a
// while; in between, and while another statement looks, it says no.
func (f *policyFile) changed() (data []byte, changed bool, err error) {
	if f.stopped.Load() {
		return nil, false, nil
	}
	now := int64(time.Since(f.start))
	if last := f.checked.Load(); now-last < int64(f.every) || !f.checked.CompareAndSwap(last, now) {
		return nil, false, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err = os.ReadFile(f.path)
	if err != nil {
		// Said once: a file that is gone is one more state of it.
		data = []byte{0}
	}
	if bytes.Equal(data, f.data) {
		return nil, false, nil
	}
	f.data = data
	return data, true, err
}

// follow reloads the policy when its file has changed.
func (c *Connector) follow() {
	data, changed, err := c.file.changed()
	if !changed {
		return
	}
	from := "the file " + c.file.path
	if err != nil {
		c.notReloaded(from, errors.New("the file cannot be read"))
		return
	}
	f, err := parseFile(data, c.file.path)
	if err != nil {
		c.notReloaded(from, err)
		return
	}
	c.reload(f.Policy, from)
}

// A loadedFile is what LoadConfig read.
type loadedFile struct {
	path   string
	data   []byte
	policy guard.Policy
}
