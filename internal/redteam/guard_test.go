package redteam_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/pgtest"
	"github.com/guardedpg/guardedpg/mask"
)

var execModes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

// defaultMode is pgx's own.
const defaultMode = "cache_statement"

// A setup is one way to run a case through the guard.
type setup struct {
	user       string
	mode       string
	way        way
	masks      string // redact, null or named
	predicates guard.Predicates
	refresh    time.Duration
}

func (s setup) String() string {
	name := fmt.Sprintf("%s/%s", s.user, s.mode)
	if s.way == byPrepare {
		name += "/prepared"
	}
	if s.way == byExec {
		name += "/exec"
	}
	if s.masks != "redact" {
		name += "/" + s.masks
	}
	if s.predicates == guard.DenyTests {
		name += "/predicates"
	}
	return name
}

// operatorPolicy is what an operator writes: policy.json, the baseline, and
// nothing else allowed.
func operatorPolicy(t *testing.T, masks string) guard.Policy {
	t.Helper()
	text, err := os.ReadFile("testdata/policy.json")
	require.NoError(t, err)
	var file struct {
		Protected []struct{ Schema, Table, Column, Kind string } `json:"protected_columns"`
		Critical  []struct{ Schema, Table string }               `json:"critical_tables"`
	}
	require.NoError(t, json.Unmarshal(text, &file))
	p := guard.Policy{Include: []string{"baseline"}, Strict: true}
	for _, c := range file.Protected {
		spec, err := mask.Parse(maskName(masks, c.Kind), nil)
		require.NoError(t, err)
		p.Protect = append(p.Protect, guard.Protect{
			Column: strings.Join([]string{quoted(c.Schema), quoted(c.Table), quoted(c.Column)}, "."),
			Mask:   guard.Mask{Spec: spec},
		})
	}
	for _, c := range file.Critical {
		p.Critical = append(p.Critical, quoted(c.Schema)+"."+quoted(c.Table))
	}
	return p
}

// maskName chooses masks that show a part, for kinds whose canaries are not in
// that part.
func maskName(masks, kind string) string {
	if masks != "named" {
		return masks
	}
	switch kind {
	case "email", "emp_email", "arch_email":
		return "email"
	case "ssn", "iban", "token", "password", "salary", "rate", "card":
		return "hash"
	case "phone":
		return "redact"
	}
	return "redact"
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

var who = identity.New(identity.Claims{Issuer: "https://idp.test", Subject: "agent-7", Groups: []string{"agents"}})

// guarded opens the shop through the guard. Nobody approves anything.
func (b *bench) guarded(t *testing.T, s setup) *client {
	t.Helper()
	cfg := b.config(t, s)
	box := &inbox{}
	box.listen(&cfg.Config)
	policy := operatorPolicy(t, s.masks)
	policy.Predicates = s.predicates
	key, err := mask.NewKey([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	db, err := guardedpg.OpenDB(guardedpg.Config{
		ConnConfig:     cfg,
		Identify:       func(context.Context) (identity.Identity, error) { return who, nil },
		Policy:         policy,
		MaskKey:        key,
		Audit:          &audittest.Recorder{},
		CatalogRefresh: s.refresh,
	})
	require.NoError(t, err)
	return b.client(db, box, s)
}

// unguarded opens it through pgx itself.
func (b *bench) unguarded(t *testing.T, s setup) *client {
	t.Helper()
	cfg := b.config(t, s)
	box := &inbox{}
	box.listen(&cfg.Config)
	return b.client(stdlib.OpenDB(*cfg), box, s)
}

func (b *bench) config(t *testing.T, s setup) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(b.server.DSN(s.user, database))
	require.NoError(t, err)
	cfg.DefaultQueryExecMode = execModes[s.mode]
	return cfg
}

func (b *bench) client(db *sql.DB, box *inbox, s setup) *client {
	db.SetMaxOpenConns(1)
	return &client{bench: b, db: db, inbox: box, way: s.way}
}

// chosen is setups where all are run. Else it is one of them, each case another:
// there are many cases.
func chosen(i int, c *attackCase) []setup {
	list := setups(c)
	if everyMode || len(list) == 0 {
		return list
	}
	return list[i%len(list):][:1]
}

// setups lists how a case is run through the guard.
func setups(c *attackCase) []setup {
	one := setup{user: agentUser, mode: defaultMode, masks: "redact"}
	var list []setup
	add := func(s setup) {
		if c.worksAs(roleInCases(s.user)) && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	add(one)
	simple := one
	simple.mode = "simple_protocol"
	if slices.Contains(c.Protocols, "simple") {
		add(simple)
	}
	super := one
	super.user = pgtest.Superuser
	add(super)
	for _, user := range users {
		for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			if everyMode {
				add(setup{user: user, mode: mode, masks: "redact"})
			}
			if full {
				add(setup{user: user, mode: mode, masks: "redact", way: byPrepare})
			}
		}
		if full {
			add(setup{user: user, mode: defaultMode, masks: "null"})
			add(setup{user: user, mode: defaultMode, masks: "named"})
		}
	}
	return list
}
