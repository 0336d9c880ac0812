package guardedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/pganchor"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/identity/oidc"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
	"github.com/guardedpg/guardedpg/mask"
)

// file is the configuration file.
type file struct {
	Version  int          `yaml:"version"`
	Identity fileIdentity `yaml:"identity"`
	Policy   guard.Policy `yaml:",inline"`
	MaskKey  fileSecret   `yaml:"mask_key"`
	Audit    fileAudit    `yaml:"audit"`
	Catalog  fileCatalog  `yaml:"catalog"`

	Places strictyaml.Places `yaml:"-"`
}

// fileIdentity says who may ask.
type fileIdentity struct {
	Issuers     []fileIssuer     `yaml:"issuers"`
	Token       *fileToken       `yaml:"token"`
	Development *fileDevelopment `yaml:"development"`

	Places strictyaml.Places `yaml:"-"`
}

type fileIssuer struct {
	Issuer     string            `yaml:"issuer"`
	Audience   string            `yaml:"audience"`
	Groups     string            `yaml:"groups"`
	Name       string            `yaml:"name"`
	Require    map[string]string `yaml:"require"`
	Attributes []string          `yaml:"attributes"`
}

// fileToken says where the process's own token comes from: one of them.
type fileToken struct {
	Env     string   `yaml:"env"`
	File    string   `yaml:"file"`
	Command []string `yaml:"command"`
}

type fileDevelopment struct {
	Subject string   `yaml:"subject"`
	Groups  []string `yaml:"groups"`
}

// fileSecret is a secret that stands somewhere else: in one of them.
type fileSecret struct {
	Env  string `yaml:"env"`
	File string `yaml:"file"`
}

type fileAudit struct {
	Trail      fileTrail     `yaml:"trail"`
	Payload    guard.Payload `yaml:"payload"`
	Originals  fileOriginals `yaml:"originals"`
	Retention  string        `yaml:"retention"`
	Durability Durability    `yaml:"durability"`

	Places strictyaml.Places `yaml:"-"`
}

type fileTrail struct {
	Dir        string     `yaml:"dir"`
	Name       string     `yaml:"name"`
	Recipients []string   `yaml:"recipients"`
	Anchor     fileAnchor `yaml:"anchor"`
}

// fileAnchor says which database anchors the trail: its DSN is a secret, since a
// password may stand in it.
type fileAnchor struct {
	Env   string        `yaml:"env"`
	File  string        `yaml:"file"`
	Every time.Duration `yaml:"every"`
	First bool          `yaml:"first"`
}

// fileOriginals is "all", "none" or "first n".
type fileOriginals int

// UnmarshalText reads the value in a configuration file.
func (o *fileOriginals) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "all":
		*o = 0
	case "none":
		*o = -1
	default:
		number, ok := strings.CutPrefix(s, "first ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 1 {
			return errors.New("must be all, none, or first and a number from 1")
		}
		*o = fileOriginals(n)
	}
	return nil
}

type fileCatalog struct {
	Refresh time.Duration `yaml:"refresh"`

	Places strictyaml.Places `yaml:"-"`
}

// LoadConfig reads a configuration file. Relative paths in it are relative to
// its directory. The error names file, line and key of every mistake, is of class
// [ErrConfig], and matches [os.ErrNotExist] where there is no such file.
//
// Nothing is opened: [NewConnector] opens the trail that the file names, and
// [Connector.Close] closes it. The caller may set what a file cannot say, such
// as the Approver, or another Audit.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, configError("the file cannot be read", "", err)
	}
	f, err := parseFile(data, path)
	if err != nil {
		return Config{}, &fileError{err}
	}
	cfg := Config{Policy: f.Policy, Durability: f.Audit.Durability, Originals: int(f.Audit.Originals), Retention: f.Audit.Retention,
		CatalogRefresh: f.Catalog.Refresh}
	if f.Catalog.Places.Has("refresh") && f.Catalog.Refresh == 0 {
		cfg.CatalogRefresh = -1 // "0s" in a file means what it says
	}
	switch f.Audit.Payload {
	case guard.PayloadDigest:
		cfg.Payload = audit.PayloadDigest
	case guard.PayloadDefault, guard.PayloadFull:
		cfg.Payload = audit.PayloadFull
	}
	if path, err = filepath.Abs(path); err != nil {
		return Config{}, configError("the file's directory is not known", "", err)
	}
	cfg.loaded = &loadedFile{path: path, data: data, policy: f.Policy}
	dir := filepath.Dir(path)
	cfg.open = func(cfg *Config) error { return f.open(cfg, dir) }
	return cfg, nil
}

// parseFile decodes and checks a configuration file.
func parseFile(data []byte, path string) (*file, error) {
	var f file
	if err := strictyaml.Decode(data, path, &f); err != nil {
		return nil, err
	}
	if errs := f.check(); len(errs) > 0 {
		return nil, errs
	}
	if _, err := guard.Compile(f.Policy); err != nil {
		return nil, err
	}
	return &f, nil
}

// fileError is what is wrong in a file: the text names the places.
type fileError struct{ err error }

func (e *fileError) Error() string { return "guardedpg: " + e.err.Error() }

func (e *fileError) Unwrap() []error { return []error{ErrConfig, e.err} }

// check finds what the structure allows and makes no sense.
func (f *file) check() strictyaml.Errors {
	var errs strictyaml.Errors
	add := func(p strictyaml.Places, key, path, what string) {
		errs = append(errs, &strictyaml.Error{Place: p.Key(key), Key: path, What: what})
	}
	if f.Version != 1 {
		add(f.Places, "version", "version", "must be 1")
	}
	id := &f.Identity
	switch {
	case id.Development != nil && (len(id.Issuers) > 0 || id.Token != nil):
		add(id.Places, "development", "identity.development", "stands beside issuers or a token: leave one of them out")
	case id.Development != nil && id.Development.Subject == "":
		add(id.Places, "development", "identity.development.subject", "is missing")
	case id.Development == nil && len(id.Issuers) == 0:
		add(f.Places, "identity", "identity", "names neither issuers nor a development identity, and nobody could run anything")
	}
	if t := id.Token; t != nil && one(t.Env != "", t.File != "", len(t.Command) > 0) != 1 {
		add(id.Places, "token", "identity.token", "needs one of env, file and command")
	}
	if one(f.MaskKey.Env != "", f.MaskKey.File != "") > 1 {
		add(f.Places, "mask_key", "mask_key", "needs one of env and file")
	}
	if f.Audit.Trail.Dir == "" {
		add(f.Places, "audit", "audit.trail.dir", "is missing: name a directory for the trail")
	}
	if c := f.Audit.Retention; c != "" && !audit.ValidClass(c) {
		add(f.Audit.Places, "retention", "audit.retention", "is no class: use lower case, digits, _ and -, at most 64")
	}
	if a := f.Audit.Trail.Anchor; one(a.Env != "", a.File != "") > 1 || a.Every < 0 || a.Env == "" && a.File == "" && a != (fileAnchor{}) {
		add(f.Audit.Places, "trail", "audit.trail.anchor", "needs one of env and file, which have the DSN, and an interval above 0")
	}
	if f.Catalog.Refresh < 0 {
		add(f.Catalog.Places, "refresh", "catalog.refresh", "is negative: 0s compares before every statement")
	}
	return errs
}

// closer is a function as an io.Closer.
type closer func()

func (c closer) Close() error {
	c()
	return nil
}

func one(set ...bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

// open makes what the file describes.
func (f *file) open(cfg *Config, dir string) error {
	in := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	if cfg.Identify == nil {
		identify, err := f.Identity.identify(in)
		if err != nil {
			return configError("the identity's configuration is wrong", "", err)
		}
		cfg.Identify = identify
	}
	if secret, err := f.MaskKey.read(in); err != nil {
		return configError("the key of the hash mask cannot be read", "", err)
	} else if secret != nil {
		if cfg.MaskKey, err = mask.NewKey(secret); err != nil {
			return configError("the key of the hash mask is wrong", "", err)
		}
	}
	if cfg.Audit == nil {
		t := f.Audit.Trail
		tc := audit.TrailConfig{Dir: in(t.Dir), Name: t.Name, Recipients: t.Recipients, AnchorEvery: t.Anchor.Every, AnchorFirst: t.Anchor.First}
		if dsn, err := (fileSecret{t.Anchor.Env, t.Anchor.File}).read(in); err != nil {
			return configError("the DSN of the trail's anchor cannot be read", "", err)
		} else if dsn != nil {
			table, err := pganchor.Open(context.Background(), strings.TrimSpace(string(dsn)))
			if err != nil {
				return configError("the DSN of the trail's anchor is wrong", "", err)
			}
			tc.Anchor = table
			cfg.opened = append(cfg.opened, closer(table.Close))
		}
		switch {
		case cfg.ConnConfig != nil:
			tc.TransactionStatus = transactionStatus(cfg.ConnConfig)
		case cfg.DSN != "":
			status, err := TransactionStatus(cfg.DSN)
			if err != nil {
				return err
			}
			tc.TransactionStatus = status
		}
		trail, err := audit.Open(tc)
		if err != nil {
			return configError("the trail cannot be opened", "", err)
		}
		cfg.Audit = trail
		cfg.opened = append(cfg.opened, trail)
	}
	return nil
}

func (f *fileIdentity) identify(in func(string) string) (func(context.Context) (identity.Identity, error), error) {
	if d := f.Development; d != nil {
		who := identity.Development(d.Subject, d.Groups...)
		return func(ctx context.Context) (identity.Identity, error) {
			if given := identity.FromContext(ctx); !given.IsZero() {
				return given, nil
			}
			return who, nil
		}, nil
	}
	// Discovery waits for the first token: opening a database connects to nothing.
	c := oidc.Config{Lazy: true}
	for _, i := range f.Issuers {
		c.Issuers = append(c.Issuers, oidc.Issuer(i))
	}
	v, err := oidc.New(context.Background(), c)
	if err != nil {
		return nil, err
	}
	var source oidc.TokenSource
	switch t := f.Token; {
	case t == nil:
	case t.Env != "":
		source = oidc.Env(t.Env)
	case t.File != "":
		source = oidc.File(in(t.File))
	default:
		source = oidc.Command(oidc.CommandConfig{Args: t.Command})
	}
	return oidc.Identify(source, v), nil
}

func (s fileSecret) read(in func(string) string) ([]byte, error) {
	switch {
	case s.Env != "":
		v := os.Getenv(s.Env)
		if v == "" {
			return nil, errors.New("environment variable " + s.Env + " is not set")
		}
		return []byte(v), nil
	case s.File != "":
		return os.ReadFile(in(s.File))
	}
	return nil, nil
}

var durabilities = []string{"default", "strict"}

// String returns the name in a configuration file.
func (d Durability) String() string {
	if d >= 0 && int(d) < len(durabilities) {
		return durabilities[d]
	}
	return fmt.Sprintf("Durability(%d)", int(d))
}

// MarshalText returns the name in a configuration file.
func (d Durability) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the name in a configuration file.
func (d *Durability) UnmarshalText(text []byte) error {
	for i, name := range durabilities {
		if name == string(text) {
			*d = Durability(i)
			return nil
		}
	}
	return errors.New("is not a known value" + strictyaml.DidYouMean(string(text), durabilities))
}
