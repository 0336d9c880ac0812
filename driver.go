package guardedpg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

// Name is the name under which the driver is registered with database/sql.
const Name = "guardedpg"

// parameterPrefix begins the connection string parameters that are ours. They
// never reach the server.
const parameterPrefix = "guardedpg_"

// configParameter names the configuration, in a connection string.
const configParameter = parameterPrefix + "config"

// configVariable names it in the environment.
const configVariable = "GUARDEDPG_CONFIG"

func init() { sql.Register(Name, &Driver{}) }

// Driver is the driver that is registered as "guardedpg". It is safe for
// concurrent use.
type Driver struct{}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.DriverContext = (*Driver)(nil)
)

// Open makes a connection; [sql.Open] uses OpenConnector instead.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	// The same bound as pgx's Driver.Open has: there is no context to take one from.
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return c.Connect(ctx)
}

// OpenConnector reads dsn, a connection string as pgx takes it with one
// parameter more: guardedpg_config names the configuration. A name that
// [stdlib.RegisterConnConfig] gave is taken too; the environment names the
// configuration then. Its errors are of class [ErrConfig], or pgx's own where
// the rest of dsn is wrong.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	cfg, err := configFor(dsn)
	if err != nil {
		return nil, err
	}
	return NewConnector(cfg)
}

var registered struct {
	sync.Mutex
	configs map[string]Config
}

// RegisterConfig makes cfg known under a name that a connection string gives as
// guardedpg_config=NAME. A later registration of the name replaces an earlier
// one for connectors that are made after it. It is safe for concurrent use.
func RegisterConfig(name string, cfg Config) {
	registered.Lock()
	defer registered.Unlock()
	if registered.configs == nil {
		registered.configs = map[string]Config{}
	}
	registered.configs[name] = cfg
}

// registeredName is what stdlib.RegisterConnConfig returns. What it stands for,
// pgx's driver finds when it connects.
var registeredName = regexp.MustCompile(`^registeredConnConfig[0-9]+$`)

// A registeredConnector connects as a registered ConnConfig says, with the gate
// before its handlers and tracer. pgx shows such a configuration only on a
// connection, so one is made to learn it.
type registeredConnector struct {
	inner driver.Connector
	cfg   atomic.Pointer[pgx.ConnConfig] // nil until it is learnt
}

func (r *registeredConnector) Driver() driver.Driver { return r.inner.Driver() }

func (r *registeredConnector) Connect(ctx context.Context) (driver.Conn, error) {
	cfg := r.cfg.Load()
	if cfg == nil {
		conn, err := r.inner.Connect(ctx)
		if err != nil {
			return nil, err
		}
		cfg = conn.(*stdlib.Conn).Conn().Config()
		if err := conn.Close(); err != nil {
			return nil, err
		}
		if isPgxNotifications(cfg.OnNotification) {
			cfg.OnNotification = nil // it is a method of the connection that is closed
		}
		Gate(cfg)
		r.cfg.Store(cfg)
	}
	return stdlib.GetConnector(*cfg).Connect(ctx)
}

// configFor finds the configuration that dsn or the environment names, and puts
// the connection's parameters into it.
func configFor(dsn string) (Config, error) {
	var from Config
	var ours map[string]string
	var err error
	if registeredName.MatchString(dsn) {
		inner, err := stdlib.GetDefaultDriver().(driver.DriverContext).OpenConnector(dsn)
		if err != nil {
			return Config{}, err
		}
		from.Connector = &registeredConnector{inner: inner}
	} else {
		// pgx keeps parameters that it does not know as settings for the server,
		// in either form of connection string and in service files.
		if from.ConnConfig, err = pgx.ParseConfig(dsn); err != nil {
			return Config{}, err
		}
		if ours, err = takeParameters(from.ConnConfig); err != nil {
			return Config{}, err
		}
	}
	name := ours[configParameter]
	if name == "" {
		name = os.Getenv(configVariable)
	}
	if name == "" {
		return Config{}, configError("no configuration is named", "add guardedpg_config=NAME to the connection string, "+
			"where NAME is a YAML file or a name given to guardedpg.RegisterConfig, or set "+configVariable+
			" to such a name, or use guardedpg.OpenDB with a Config", nil)
	}
	registered.Lock()
	cfg, ok := registered.configs[name]
	registered.Unlock()
	if !ok {
		if cfg, err = LoadConfig(name); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return Config{}, configError("there is no configuration of the given name",
					"name a YAML file that exists, or call guardedpg.RegisterConfig before", err)
			}
			return Config{}, err
		}
	}
	if cfg.Connector == nil && cfg.Pool == nil && cfg.ConnConfig == nil && cfg.DSN == "" {
		cfg.ConnConfig, cfg.Connector = from.ConnConfig, from.Connector
		return cfg, nil
	}
	if !onlyOurs(dsn) {
		return Config{}, configError("both the connection string and the configuration say where the database is",
			"leave it out of one of them", nil)
	}
	return cfg, nil
}

// onlyOurs reports whether dsn has no parameter beside ours.
func onlyOurs(dsn string) bool {
	rest := strings.TrimSpace(dsn)
	return rest == "" || strings.HasPrefix(rest, parameterPrefix) && strings.Count(rest, "=") == 1
}

// takeParameters removes our parameters from conn and returns them.
func takeParameters(conn *pgx.ConnConfig) (map[string]string, error) {
	known := []string{configParameter}
	ours := map[string]string{}
	for key, value := range conn.RuntimeParams {
		if !strings.HasPrefix(key, parameterPrefix) {
			continue
		}
		if !slices.Contains(known, key) {
			return nil, configError("the connection string's parameter "+key+" is not known",
				"did you mean "+strictyaml.Nearest(key, known)+"?", nil)
		}
		ours[key] = value
		delete(conn.RuntimeParams, key)
	}
	return ours, nil
}
