package guardedpg

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/mask"
)

// Config is everything that a guarded database needs. Audit is required. What
// is left out refuses: no Identify, no identity; no Policy, no statement; no
// Approver, no approval.
type Config struct {
	// DSN is a connection string as pgx takes it. Only one of DSN, ConnConfig,
	// Connector and Pool may be set. Default: "", with the connection's
	// parameters from the environment, as in pgx.
	DSN string
	// ConnConfig is the connection's configuration. The guard puts itself before
	// its OnNotice, OnNotification and OnPgError, and before its Tracer. Default: nil.
	ConnConfig *pgx.ConnConfig
	// StdlibOptions go with DSN, ConnConfig and Pool. They are code of the
	// program's own that gets the unguarded connection. Default: none.
	StdlibOptions []stdlib.OptionOpenDB
	// Connector is one made by stdlib.GetConnector, with its options. Handlers of
	// notices, notifications and errors of its connections, and their tracer, must
	// stand behind [Gate]. Its hooks may change a session, so
	// each time that one is taken from the pool its settings are made anew, which
	// is a round trip before its first statement: where there are no hooks, prefer
	// DSN or ConnConfig. Default: nil.
	Connector driver.Connector
	// Pool is a pgxpool; what Connector says of handlers and hooks holds. The guard
	// does not close it. Default: nil.
	Pool *pgxpool.Pool

	// Identify says who stands behind a statement, from its context. It is called
	// once for each statement and must be fast; it may be called concurrently.
	// Default: nil, nobody, and every statement is refused with ErrNoIdentity.
	Identify func(context.Context) (identity.Identity, error)
	// Policy decides. Default: deny everything.
	Policy guard.Policy
	// MaskKey is the key of the hash mask. Default: none; what the policy would
	// hash is redacted.
	MaskKey mask.Key
	// Approver asks people about held statements. Default: nil, and they are
	// refused with ErrHeld.
	Approver approve.Approver

	// Audit takes the records. The caller closes it, after the database.
	// Required.
	Audit audit.Sink
	// Payload says how much of what is delivered is recorded, where the policy
	// says nothing else about a table. It needs a sink that can keep payloads.
	// Default: audit.PayloadNone.
	Payload audit.PayloadMode
	// Originals is how many masked values of a statement are sealed for the
	// auditor, in a sink that can: 0 all, n > 0 the first n, negative none.
	// Default: 0, all.
	Originals int
	// Retention is the class of the key that seals originals, SQL and arguments:
	// its keys can be shredded apart from those of other classes. Lower case,
	// digits, _ and -. Default: "", which is the class "default".
	Retention string
	// Durability says how safe records must be before results are released.
	// Default: DurabilityDefault.
	Durability Durability

	// CatalogRefresh bounds how long definitions that other sessions change, and
	// a policy that changes in its file, may go unnoticed. Negative: they are compared before every statement. Default:
	// 0, which means 5 s.
	CatalogRefresh time.Duration

	loaded *loadedFile         // what LoadConfig read
	open   func(*Config) error // opens what a file describes
	opened []io.Closer
}

// Format keeps the passwords in connection strings out of what prints a Config.
func (cfg Config) Format(f fmt.State, _ rune) { io.WriteString(f, "guardedpg.Config") }

// Durability says how safe records must be.
type Durability int

const (
	// DurabilityDefault has the records of statements with lasting effects on
	// stable storage before they are sent, and those of reads in the operating
	// system's hands before they are sent.
	DurabilityDefault Durability = iota
	// DurabilityStrict has every record on stable storage before anything is
	// released. The record of a commit has its transaction's id, so that a crash
	// before the server's answer can be resolved; that costs a round trip.
	DurabilityStrict
)

func (cfg *Config) validate() error {
	ways := 0
	for _, set := range []bool{cfg.DSN != "", cfg.ConnConfig != nil, cfg.Connector != nil, cfg.Pool != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return configError("more than one of DSN, ConnConfig, Connector and Pool is set", "set one of them", nil)
	case cfg.Connector != nil && len(cfg.StdlibOptions) > 0:
		return configError("StdlibOptions are set beside a Connector", "give them to stdlib.GetConnector", nil)
	case cfg.Audit == nil && cfg.open == nil:
		return configError("Audit is not set", "set it to an audit.Trail, opened with audit.Open", nil)
	case cfg.Durability != DurabilityDefault && cfg.Durability != DurabilityStrict:
		return configError("Durability has no such value", "use DurabilityDefault or DurabilityStrict", nil)
	case cfg.Retention != "" && !audit.ValidClass(cfg.Retention):
		return configError("Retention is no class", "use lower case, digits, _ and -, at most 64", nil)
	case cfg.Payload < audit.PayloadNone || cfg.Payload > audit.PayloadFull:
		return configError("Payload has no such value", "use audit.PayloadNone, PayloadDigest or PayloadFull", nil)
	}
	if cfg.Payload != audit.PayloadNone && cfg.Audit != nil {
		if _, ok := cfg.Audit.(audit.PayloadSink); !ok {
			return configError("Payload is set and Audit cannot keep payloads", "use an audit.Trail, or leave Payload out", nil)
		}
	}
	return nil
}

func (cfg *Config) catalogRefresh() time.Duration {
	switch {
	case cfg.CatalogRefresh < 0:
		return 0
	case cfg.CatalogRefresh == 0:
		return catalog.DefaultMaxAge
	}
	return cfg.CatalogRefresh
}
