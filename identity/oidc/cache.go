package oidc

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// verified is a token that was believed.
type verified struct {
	id    identity.Identity
	until time.Time // when it must be verified anew
}

type tokenKey [sha256.Size]byte

// cacheSize bounds each of the two generations.
const cacheSize = 1024

// cache keeps the tokens used last, in two generations: a full young one
// becomes the old one, and what is not asked for again goes with it. The keys
// are hashes, so that a dump of the cache holds no token.
type cache struct {
	mu         sync.RWMutex
	young, old map[tokenKey]*verified
}

func (c *cache) get(k tokenKey) *verified {
	c.mu.RLock()
	v, young := c.young[k]
	if !young {
		v = c.old[k]
	}
	c.mu.RUnlock()
	if v != nil && !young {
		c.put(k, v)
	}
	return v
}

func (c *cache) put(k tokenKey, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheSize {
		c.young, c.old = make(map[tokenKey]*verified), c.young
	}
	c.young[k] = v
}
