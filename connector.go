package guardedpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A Connector makes guarded connections to one database, for [sql.OpenDB]. It
// is safe for concurrent use.
type Connector struct {
	cfg     Config
	inner   driver.Connector
	hooked  bool                         // the program may run code of its own on connections
	engine  atomic.Pointer[guard.Engine] // the policy in force
	file    policyFile
	cache   *catalog.Cache
	plans   sharedPlans
	carried carry
	shown   sync.Map // shownKey, of what was given out masked
	met     acquaintances

	binding sync.Mutex
	shared  atomic.Pointer[view]

	pathMu sync.Mutex
	paths  []*path

	closing sync.Once
	closed  error
}

var (
	_ driver.Connector = (*Connector)(nil)
	_ io.Closer        = (*Connector)(nil)
)

// NewConnector checks cfg and returns a connector. It connects to nothing. The
// error is of class [ErrConfig].
func NewConnector(cfg Config) (*Connector, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	engine, err := guard.Compile(cfg.Policy)
	if err != nil {
		return nil, configError("the policy is wrong", "", err)
	}
	c := &Connector{cfg: cfg}
	c.engine.Store(engine)
	if c.inner, err = cfg.connector(); err != nil {
		return nil, err
	}
	_, known := cfg.Connector.(*registeredConnector)
	c.hooked = cfg.Connector != nil && !known || cfg.Pool != nil || len(cfg.StdlibOptions) > 0
	c.cache = catalog.NewCache(catalog.Config{MaxAge: cfg.catalogRefresh(), Connect: c.connectAside})
	if c.cfg.open != nil {
		if err := c.cfg.open(&c.cfg); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.recordPolicy(engine, "the start", nil); err != nil {
		c.Close()
		return nil, err
	}
	c.file.watch(&c.cfg, engine)
	return c, nil
}

// OpenDB returns a database whose every statement passes the guard.
func OpenDB(cfg Config) (*sql.DB, error) {
	c, err := NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	if cfg.Pool != nil {
		// pgxpool keeps the idle connections, as with stdlib.OpenDBFromPool.
		db.SetMaxIdleConns(0)
	}
	return db, nil
}

// Format keeps passwords and the mask's key out of what prints a connector.
func (c *Connector) Format(f fmt.State, _ rune) { io.WriteString(f, "guardedpg.Connector") }

// Driver returns the guarded driver.
func (c *Connector) Driver() driver.Driver { return &Driver{} }

// Connect makes a connection. It needs no identity: database/sql connects ahead
// of need, and every statement brings its own.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := c.guard(ctx, inner)
	if err != nil {
		inner.Close()
		return nil, err
	}
	return conn, nil
}

func (c *Connector) connect(ctx context.Context) (*stdlib.Conn, error) {
	conn, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(*stdlib.Conn)
	if !ok {
		conn.Close()
		return nil, configError(fmt.Sprintf("the Connector makes a %T", conn), "pass one made by stdlib.GetConnector", nil)
	}
	return inner, nil
}

func (c *Connector) guard(ctx context.Context, inner *stdlib.Conn) (*Conn, error) {
	conn := inner.Conn()
	cfg := conn.Config()
	if handler := ungated(cfg); handler != "" {
		return nil, configError("the connection's configuration has "+handler+", which would see protected values",
			"call guardedpg.Gate on the ConnConfig before the connector or pool is made of it, or pass that to the guard instead", nil)
	}
	g := &Conn{inner: inner, pgx: conn, pg: conn.PgConn(), connector: c, mode: cfg.DefaultQueryExecMode}
	g.session = sessionOf(g.pg, cfg.Database)
	g.session.intern = func(schemas []string) *path { return c.intern(schemas, cfg.User) }
	g.catalog = c.cache.Session()
	g.record = recorder{sink: c.cfg.Audit, session: g.session.id, strict: c.cfg.Durability == DurabilityStrict,
		database: audit.Database{Name: cfg.Database, User: cfg.User, BackendPID: g.pg.PID()}}
	g.record.payloads, _ = c.cfg.Audit.(audit.PayloadSink)
	if s, ok := c.cfg.Audit.(audit.SealingSink); ok {
		g.record.sealer = s.Sealer()
	}
	g.record.next(audit.KindSession, nil)
	if _, err := g.record.write(nil); err != nil {
		return nil, err
	}
	return g, nil
}

// connectAside makes a connection of the guard's own.
func (c *Connector) connectAside(ctx context.Context) (catalog.Queryer, func(), error) {
	inner, err := c.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	return inner.Conn(), func() { inner.Close() }, nil
}

// Close ends what the connector itself opened. [sql.DB.Close] calls it.
func (c *Connector) Close() error {
	c.closing.Do(func() {
		var errs []error
		if closer, ok := c.inner.(io.Closer); ok {
			errs = append(errs, closer.Close())
		}
		for _, closer := range slices.Backward(c.cfg.opened) {
			errs = append(errs, closer.Close())
		}
		c.closed = errors.Join(errs...)
	})
	return c.closed
}

func (c *Connector) identify(ctx context.Context) (identity.Identity, error) {
	if c.cfg.Identify == nil {
		return identity.Identity{}, nil
	}
	return c.cfg.Identify(ctx)
}

// sharedView returns the view of a snapshot that every session sees.
func (c *Connector) sharedView(snap *catalog.Snapshot) (*view, error) {
	if v := c.shared.Load(); v != nil && c.current(v, snap) {
		return v, nil
	}
	c.binding.Lock()
	defer c.binding.Unlock()
	prev := c.shared.Load()
	if prev != nil && c.current(prev, snap) {
		return prev, nil
	}
	v, err := c.bind(snap, prev)
	if err != nil {
		return nil, err
	}
	if prev == nil || snap.Version > prev.snap.Version {
		rec := &audit.Record{Kind: audit.KindCatalog, Detail: map[string]string{
			"database": snap.Server.Database, "system_id": snap.Server.SystemID, "warnings": strings.Join(v.bound.Warnings(), "\n"),
		}}
		if _, err := c.cfg.Audit.Append(rec); err != nil {
			return nil, notRecorded(nil, err)
		}
		c.shared.Store(v)
	} else if snap == prev.snap {
		c.shared.Store(v) // under another policy
	}
	return v, nil
}

// current reports whether v shows snap under the policy in force.
func (c *Connector) current(v *view, snap *catalog.Snapshot) bool {
	return v.snap == snap && v.bound.Engine() == c.engine.Load()
}

// bind binds the policy to a snapshot. What was protected in prev stays so.
func (c *Connector) bind(snap *catalog.Snapshot, prev *view) (*view, error) {
	var before *guard.Bound
	if prev != nil {
		before = prev.bound
	}
	bound, err := c.engine.Load().Bind(snap, before)
	if err != nil {
		return nil, configError("the policy does not fit the database", "", err)
	}
	return &view{snap: snap, bound: bound}, nil
}

// maxPaths bounds the search paths that are shared.
const maxPaths = 64

// intern returns the one path with these schemas for a user.
func (c *Connector) intern(schemas []string, user string) *path {
	p := &path{schemas: schemas, user: user, shared: true}
	for _, s := range schemas {
		if len(s) > len("pg_temp_") && s[:len("pg_temp_")] == "pg_temp_" {
			p.shared = false
			return p
		}
	}
	c.pathMu.Lock()
	defer c.pathMu.Unlock()
	for _, known := range c.paths {
		if known.user == user && slices.Equal(known.schemas, schemas) {
			return known
		}
	}
	if len(c.paths) < maxPaths {
		c.paths = append(c.paths, p)
	} else {
		p.shared = false
	}
	return p
}

// connector returns what makes the connections that are guarded.
func (cfg *Config) connector() (driver.Connector, error) {
	switch {
	case cfg.Connector != nil:
		return cfg.Connector, nil
	case cfg.Pool != nil:
		return stdlib.GetPoolConnector(cfg.Pool, cfg.StdlibOptions...), nil
	}
	var conn *pgx.ConnConfig
	if cfg.ConnConfig != nil {
		conn = cfg.ConnConfig.Copy()
	} else {
		var err error
		if conn, err = pgx.ParseConfig(cfg.DSN); err != nil {
			return nil, err
		}
		if _, err := takeParameters(conn); err != nil {
			return nil, err
		}
	}
	Gate(conn)
	return stdlib.GetConnector(*conn, cfg.StdlibOptions...), nil
}
