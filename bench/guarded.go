package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/identity/oidc/oidctest"
)

// rules is how many rules of its own the policy has, beside those of the
// baseline pack. None of them matches: all have to be judged.
const rules = 50

// guarded opens pools with everything on: an identity from a token that was
// verified, a policy with the baseline and 50 rules, lineage, a trail on disk
// with the default durability.
type guarded struct {
	dir       string // holds a directory for each pool
	issuer    *oidctest.Issuer
	recipient string
}

func newGuarded() (*guarded, error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "guardedpg-bench-")
	if err != nil {
		return nil, err
	}
	return &guarded{dir: dir, issuer: oidctest.Start(), recipient: key.Recipient().String()}, nil
}

func (g *guarded) close() {
	g.issuer.Close()
	os.RemoveAll(g.dir)
}

func (g *guarded) open(dsn string, p protection) (_ *sql.DB, done func() error, err error) {
	dir, err := os.MkdirTemp(g.dir, "")
	if err != nil {
		return nil, nil, err
	}
	// Trails fill the disk: a scan with its payload is some 20 MB a time.
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	token := g.issuer.Sign(map[string]any{
		"sub": "agent-1", "aud": "bench", "groups": []string{"agents", "reporting"},
		"exp": time.Now().Add(24 * time.Hour).Unix(),
	})
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600); err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "guardedpg.yaml")
	if err := os.WriteFile(file, []byte(g.config(p)), 0o600); err != nil {
		return nil, nil, err
	}
	cfg, err := guardedpg.LoadConfig(file)
	if err != nil {
		return nil, nil, err
	}
	trail := audit.TrailConfig{
		Dir: filepath.Join(dir, "trail"),
		// Beyond the default limit a payload is kept as its digest, which
		// would make the largest scan cheaper than its name says.
		PayloadLimit: 1 << 30,
	}
	if p.sealed {
		trail.Recipients = []string{g.recipient}
	}
	sink, err := audit.Open(trail)
	if err != nil {
		return nil, nil, err
	}
	cfg.Audit = sink
	cfg.DSN = dsn
	db, err := guardedpg.OpenDB(cfg)
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	return db, func() error {
		return errors.Join(sink.Close(), recorded(trail.Dir, p), os.RemoveAll(dir))
	}, nil
}

// errUnrecorded is a trail that lacks what it was to hold: the figures are of
// less work than the workload's name says.
var errUnrecorded = errors.New("the trail lacks what the configuration asks for")

// recorded looks into the trail for what the protection asks for.
func recorded(dir string, p protection) error {
	segments, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	if err != nil {
		return err
	}
	var outcome, payload, sealed bool
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		outcome = outcome || bytes.Contains(b, []byte(`"outcome"`))
		payload = payload || bytes.Contains(b, []byte(`"payload":{`))
		sealed = sealed || bytes.Contains(b, []byte(`"sealed":"`))
	}
	switch {
	case !outcome:
		return fmt.Errorf("%w: no outcome", errUnrecorded)
	case p.payload != "none" && !p.noRows && !payload:
		return fmt.Errorf("%w: no payload", errUnrecorded)
	case p.payload == "full" && p.sealed && !sealed:
		return fmt.Errorf("%w: no sealed original", errUnrecorded)
	}
	return nil
}

// maskOf says how a column of customer is masked.
var maskOf = map[string]string{"name": "redact", "email": "email", "card": "{partial: {last: 4}}"}

func (g *guarded) config(p protection) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
identity:
  issuers:
    - {issuer: %q, audience: bench}
  token: {file: token}
protect:
  - {column: public.payment.iban}
`, g.issuer.URL)
	for _, column := range slices.Sorted(slices.Values(p.masked)) {
		fmt.Fprintf(&b, "  - {column: public.customer.%s, mask: %s}\n", column, maskOf[column])
	}
	fmt.Fprintf(&b, `critical: [public.payment]
include: [baseline]
default: deny
audit:
  trail: {dir: unused}
  payload: %s
rules:
`, p.payload)
	for i := range rules {
		fmt.Fprintf(&b, "  - {name: team-%d, when: \"'team-%d' in identity.groups && statement.is_write\", then: hold}\n", i, i)
	}
	return b.String()
}
