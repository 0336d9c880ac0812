package guardedpg_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jackc/pgx/v5/tracelog"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/mask"
)

// guards checks that a database is guarded.
func guards(t *testing.T, db *sql.DB) {
	t.Helper()
	require.Contains(t, spill(db, "SELECT email FROM customers WHERE id = 1"), "a***@canary.test")
	_, err := db.Exec("DROP TABLE scratch")
	require.ErrorIs(t, err, guardedpg.ErrHeld)
}

func TestConnectorWithOptions(t *testing.T) {
	conn, err := pgx.ParseConfig(shop(t))
	require.NoError(t, err)
	connected, reset := 0, 0
	inner := stdlib.GetConnector(*conn,
		stdlib.OptionAfterConnect(func(context.Context, *pgx.Conn) error { connected++; return nil }),
		stdlib.OptionResetSession(func(ctx context.Context, c *pgx.Conn) error {
			reset++
			_, err := c.Exec(ctx, "discard all")
			return err
		}))
	db := open(t, guardedpg.Config{Connector: inner, Identify: as(agent), Policy: shopPolicy()})
	db.SetMaxOpenConns(1)
	guards(t, db)
	_, err = db.Exec("SET search_path = hr")
	require.NoError(t, err)
	// The program's hook took the setting back, and the tag with it.
	require.Contains(t, spill(db, "SELECT body FROM notes"), "public note")
	require.Contains(t, spill(db, "SELECT current_setting('guardedpg.subject')"), "agent-1")
	require.Positive(t, connected)
	require.Positive(t, reset)
}

// A name that pgx's RegisterConnConfig gave works as with pgx's driver.
func TestRegisteredConnConfig(t *testing.T) {
	conn, err := pgx.ParseConfig(shop(t))
	require.NoError(t, err)
	var traced []string
	conn.Tracer = tracing(func(err error) {
		if err != nil {
			traced = append(traced, err.Error())
		}
	})
	conn.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool {
		traced = append(traced, e.Error())
		return true
	}
	name := stdlib.RegisterConnConfig(conn)
	defer stdlib.UnregisterConnConfig(name)
	t.Setenv("GUARDEDPG_CONFIG", "")
	_, err = sql.Open("guardedpg", name)
	require.ErrorIs(t, err, guardedpg.ErrConfig)

	t.Setenv("GUARDEDPG_CONFIG", "of a registered ConnConfig")
	guardedpg.RegisterConfig("of a registered ConnConfig", guardedpg.Config{Identify: as(agent), Policy: shopPolicy(), Audit: &audittest.Recorder{}})
	db, err := sql.Open("guardedpg", name)
	require.NoError(t, err)
	defer db.Close()
	guards(t, db)
	_, err = db.Exec("SELECT email::int FROM customers")
	require.Error(t, err)
	require.Contains(t, strings.Join(traced, "\n"), "withheld")
	require.NotContains(t, strings.Join(traced, "\n"), canary)
}

func TestPool(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), shop(t))
	require.NoError(t, err)
	defer pool.Close()
	db := open(t, guardedpg.Config{Pool: pool, Identify: as(agent), Policy: shopPolicy()})
	guards(t, db)
	// Somebody else uses the same connections.
	for range 8 {
		_, err = pool.Exec(t.Context(), "SET search_path = hr")
		require.NoError(t, err)
	}
	require.NotContains(t, spill(db, "SELECT body FROM notes"), canary)
	require.Contains(t, spill(db, "SELECT current_setting('guardedpg.subject')"), "agent-1")
}

// The guard cannot stand before handlers of connections that others configured.
func TestHandlersOfOthers(t *testing.T) {
	for name, set := range map[string]func(*pgx.ConnConfig){
		"Tracer":         func(c *pgx.ConnConfig) { c.Tracer = tracing(func(error) {}) },
		"OnNotice":       func(c *pgx.ConnConfig) { c.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {} },
		"OnNotification": func(c *pgx.ConnConfig) { c.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {} },
		"OnPgError":      func(c *pgx.ConnConfig) { c.OnPgError = func(*pgconn.PgConn, *pgconn.PgError) bool { return true } },
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := pgx.ParseConfig(shop(t))
			require.NoError(t, err)
			set(conn)
			db := open(t, guardedpg.Config{Connector: stdlib.GetConnector(*conn), Identify: as(agent), Policy: shopPolicy()})
			_, err = db.Exec("SELECT 1")
			require.ErrorIs(t, err, guardedpg.ErrConfig)
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, "guardedpg.Gate")
			db = open(t, guardedpg.Config{ConnConfig: conn, Identify: as(agent), Policy: shopPolicy()})
			guards(t, db)
			before := stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
				set(c)
				return nil
			})
			db = open(t, guardedpg.Config{DSN: shop(t), StdlibOptions: []stdlib.OptionOpenDB{before}, Identify: as(agent), Policy: shopPolicy()})
			_, err = db.Exec("SELECT 1")
			require.ErrorIs(t, err, guardedpg.ErrConfig)
		})
	}
}

// A program whose pool has handlers and a tracer puts the gate before them.
func TestGate(t *testing.T) {
	cfg, err := pgxpool.ParseConfig(shop(t))
	require.NoError(t, err)
	var mu sync.Mutex
	var heard []string
	hear := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, s)
	}
	cfg.ConnConfig.Tracer = &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: tracelog.LoggerFunc(
		func(_ context.Context, _ tracelog.LogLevel, msg string, data map[string]any) {
			hear(fmt.Sprint(msg, data))
		})}
	cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { hear("notice " + n.Message) }
	cfg.ConnConfig.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { hear("notification " + n.Payload) }
	cfg.ConnConfig.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool {
		hear("error " + e.Message)
		return true
	}
	guardedpg.Gate(cfg.ConnConfig)
	guardedpg.Gate(cfg.ConnConfig)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	policy := shopPolicy()
	policy.Declassify = guard.Hold
	approver := &approvetest.Fake{}
	db := open(t, guardedpg.Config{Pool: pool, Identify: as(agent), Policy: policy, Approver: approver})
	require.Contains(t, spill(db, "SELECT email FROM customers WHERE id = 1"), "a***@canary.test")
	approver.Yes(dba)
	for _, text := range []string{
		"SELECT email::int FROM customers", "DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM customers LIMIT 1); END $$",
	} {
		db.Exec(text)
		pool.Exec(t.Context(), text)
	}
	batch := &pgx.Batch{}
	batch.Queue("SELECT email::int FROM customers")
	require.Error(t, pool.SendBatch(t.Context(), batch).Close())
	_, err = pool.CopyFrom(t.Context(), pgx.Identifier{"customers"}, []string{"id", "email"}, pgx.CopyFromRows([][]any{{1, "x"}}))
	require.Error(t, err)
	_, err = pool.Exec(t.Context(), "SELECT 'zzz'::int + $1", 1)
	require.Error(t, err)
	all := strings.Join(heard, "\n")
	for _, word := range []string{canary, "null value", `"zzz"`} {
		require.NotContains(t, all, word)
	}
	for _, kind := range []string{"Acquire", "Connect", "Prepare", "Query", "BatchQuery", "CopyFrom", "Release", "notice ", "error "} {
		require.Contains(t, all, kind)
	}
	require.Contains(t, spill(db, "SELECT 'abc'::text::int"), `"abc"`)
	all = strings.Join(heard, "\n")
	require.Contains(t, all, `err:ERROR: invalid input syntax for type integer: "abc"`)
	require.Contains(t, all, `error invalid input syntax for type integer: "abc"`)
}

// Who logs a connector or its configuration logs no secret.
func TestNothingSecretPrints(t *testing.T) {
	key, err := mask.NewKey([]byte("KKKKKKKKKKKKKKKKKKKKKKKK"))
	require.NoError(t, err)
	cfg := guardedpg.Config{DSN: "postgres://u:secret-word@127.0.0.1:1/d", MaskKey: key, Audit: &audittest.Recorder{}}
	c, err := guardedpg.NewConnector(cfg)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{cfg, &cfg, c, struct{ Config guardedpg.Config }{cfg}} {
			text := fmt.Sprintf(verb, v)
			require.NotContains(t, text, "secret-word", verb)
			require.Less(t, len(text), 60, "%s prints more than a name", verb)
		}
	}
}

func TestNotifications(t *testing.T) {
	dsn := shop(t)
	conn, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	var heard []string
	conn.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { heard = append(heard, n.Channel+" "+n.Payload) }
	policy := shopPolicy()
	policy.Rules = append(policy.Rules, allowRule("listen", "statement.kind in ['LISTEN', 'UNLISTEN']"))
	policy.Include, policy.Critical = nil, nil
	policy.Rules = append(policy.Rules, allowRule("read", "statement.classes.all(c, c == 'read')"))
	db := open(t, guardedpg.Config{ConnConfig: conn, Identify: as(agent), Policy: policy})
	db.SetMaxOpenConns(1)
	_, err = db.Exec("SELECT 1")
	require.NoError(t, err)
	_, err = db.Exec("LISTEN news")
	require.NoError(t, err)
	other, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer other.Close()
	_, err = other.Exec("NOTIFY news, 'from ann@canary.test'")
	require.NoError(t, err)
	_, err = db.Exec("SELECT 1")
	require.NoError(t, err)
	require.NotEmpty(t, heard)
	require.NotContains(t, strings.Join(heard, " "), canary, "what others send may be protected")
}

func TestApplicationName(t *testing.T) {
	dsn := shop(t) + "&application_name=billing-bot"
	db := open(t, guardedpg.Config{DSN: dsn, Identify: as(agent), Policy: shopPolicy()})
	require.Contains(t, spill(db, "SELECT current_setting('application_name')"), "billing-bot agent-1")
	long := identity.New(identity.Claims{Issuer: "i", Subject: strings.Repeat("s", 70)})
	db = open(t, guardedpg.Config{DSN: dsn, Identify: as(long), Policy: shopPolicy()})
	require.Contains(t, spill(db, "SELECT current_setting('application_name')"), strings.Repeat("s", 63))
	odd := identity.New(identity.Claims{Issuer: "i\x00", Subject: "ann'\\\x00\n\u00e9", Groups: []string{`a"b\`, "{c,d}"}})
	db = open(t, guardedpg.Config{DSN: dsn, Identify: as(odd), Policy: shopPolicy()})
	require.Contains(t, spill(db, "SELECT current_setting('guardedpg.subject')"), "ann'\\\uFFFD\n\u00e9")
	require.Contains(t, spill(db, "SELECT current_setting('application_name')"), `ann'\???`)
	require.Contains(t, spill(db, "SELECT current_setting('guardedpg.groups')::text[] = array[E'a\"b\\\\', '{c,d}']"), "true")
}

// TestNamesStayApart has people whose names are not written in ASCII: to a row
// security policy they are two.
func TestNamesStayApart(t *testing.T) {
	dsn := shop(t)
	for _, name := range []string{"\u674e\u96f7", "\u97e9\u6885"} {
		who := identity.New(identity.Claims{Issuer: "https://idp.test/" + name, Subject: name, Groups: []string{name, "?"}})
		db := open(t, guardedpg.Config{DSN: dsn, Identify: as(who), Policy: allowAll()})
		var subject, issuer string
		var in bool
		require.NoError(t, db.QueryRow("SELECT current_setting('guardedpg.subject'), current_setting('guardedpg.issuer'), $1 = ANY(current_setting('guardedpg.groups')::text[])", name).
			Scan(&subject, &issuer, &in))
		require.Equal(t, []any{name, "https://idp.test/" + name, true}, []any{subject, issuer, in})
	}
}

func TestOpenSaysTheWays(t *testing.T) {
	t.Setenv("GUARDEDPG_CONFIG", "")
	_, err := sql.Open("guardedpg", "postgres://localhost/x")
	require.ErrorIs(t, err, guardedpg.ErrConfig)
	for _, way := range []string{"guardedpg_config=NAME", "RegisterConfig", "GUARDEDPG_CONFIG", "OpenDB"} {
		require.ErrorContains(t, err, way)
	}
	for _, dsn := range []string{"postgres://localhost/x?guardedpg_confg=a", "host=localhost guardedpg_confg=a"} {
		_, err = sql.Open("guardedpg", dsn)
		require.ErrorIs(t, err, guardedpg.ErrConfig)
		require.ErrorContains(t, err, "guardedpg_confg")
		require.ErrorContains(t, err, "did you mean guardedpg_config")
	}
	_, err = sql.Open("guardedpg", "host=localhost guardedpg_config=/no/such/file.yaml")
	require.ErrorIs(t, err, guardedpg.ErrConfig)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = sql.Open("guardedpg", "host=")
	require.Error(t, err)
}

func TestConfigIsChecked(t *testing.T) {
	sink := &audittest.Recorder{}
	for name, cfg := range map[string]guardedpg.Config{
		"no Audit":             {},
		"two ways in":          {DSN: "host=a", ConnConfig: &pgx.ConnConfig{}, Audit: sink},
		"payloads of no use":   {Payload: 1, Audit: sink},
		"no such payload":      {Payload: 7, Audit: sink},
		"no such durability":   {Durability: 7, Audit: sink},
		"options of no use":    {Connector: stdlib.GetConnector(pgx.ConnConfig{}), StdlibOptions: []stdlib.OptionOpenDB{nil}, Audit: sink},
		"parameter in the DSN": {DSN: "host=a guardedpg_what=1", Audit: sink},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := guardedpg.NewConnector(cfg)
			require.ErrorIs(t, err, guardedpg.ErrConfig)
			require.NotContains(t, err.Error(), ", ;")
		})
	}
}

const configFile = `
version: 1
identity:
  development: {subject: dev, groups: [dev]}
protect:
  - {column: public.customers.email, mask: email}
include: [baseline]
audit:
  trail: {dir: ./trail}
  durability: strict
catalog: {refresh: 0s}
`

func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "guard.yaml")
	require.NoError(t, os.WriteFile(path, []byte(configFile), 0o600))
	dsn := shop(t)
	db, err := sql.Open("guardedpg", dsn+"&guardedpg_config="+path)
	require.NoError(t, err)
	guards(t, db)
	require.Contains(t, spill(db, "SELECT current_setting('application_name')"), "dev (unverified)")
	require.NoError(t, db.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "trail", "*", "*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, segments, "the trail stands beside the file that names it")

	t.Setenv("GUARDEDPG_CONFIG", path)
	db, err = sql.Open("guardedpg", dsn)
	require.NoError(t, err)
	guards(t, db)
	require.NoError(t, db.Close())
}

func TestConfigFileMistakes(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":   {"include:", "includes:", "guard.yaml:7: includes"},
		"unknown inner": {"dir: ./trail", "directory: ./trail", "directory"},
		"two sources":   {"development: {subject: dev, groups: [dev]}", "token: {env: A, file: b}\n  issuers: [{issuer: \"https://i\", audience: a}]", "needs one of env, file and command"},
		"nobody":        {"development: {subject: dev, groups: [dev]}", "issuers: []", "names neither issuers"},
		"version":       {"version: 1", "version: 2", "guard.yaml:2: version: must be 1"},
		"durability":    {"strict", "stric", `did you mean "strict"`},
		"rule":          {"include: [baseline]", "rules: [{name: a, when: \"statement.is_dll\"}]", "is_ddl"},
		"originals":     {"strict", "strict\n  originals: some", "all, none, or first"},
		"retention":     {"strict", "strict\n  retention: P.II", "audit.retention"},
		"anchor":        {"dir: ./trail", "dir: ./trail, anchor: {first: true}", "audit.trail.anchor"},
		"no trail":      {"  trail: {dir: ./trail}\n", "", "audit.trail.dir"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, configFile, c.old)
			path := filepath.Join(t.TempDir(), "guard.yaml")
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(configFile, c.old, c.new, 1)), 0o600))
			_, err := guardedpg.LoadConfig(path)
			require.ErrorIs(t, err, guardedpg.ErrConfig)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// What file says nothing of can be set in Go.
func TestConfigFileCompleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	require.NoError(t, os.WriteFile(path, []byte(configFile), 0o600))
	cfg, err := guardedpg.LoadConfig(path)
	require.NoError(t, err)
	require.Equal(t, guardedpg.DurabilityStrict, cfg.Durability)
	require.Equal(t, time.Duration(-1), cfg.CatalogRefresh)
	cfg.DSN, cfg.Audit, cfg.Identify = shop(t), &audittest.Recorder{}, as(agent)
	cfg.Payload = 0
	db, err := guardedpg.OpenDB(cfg)
	require.NoError(t, err)
	defer db.Close()
	guards(t, db)
}
