package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/internal/strictyaml"
	"github.com/guardedpg/guardedpg/mask"
)

// An Engine is a compiled policy. It is immutable and safe for concurrent use.
// The zero Engine denies everything.
type Engine struct {
	policy   Policy
	rules    []rule
	protect  []protect
	critical []pattern
	trusted  []pattern
	payloads []payload
	hash     string
}

type rule struct {
	name      string
	when      *condition
	then      Verdict
	approvers Approvers
	reason    string
}

type protect struct {
	pattern pattern
	key     string // "protect[2]", for warnings
	at      strictyaml.Place
	spec    mask.Spec
	unless  *clearance
	allowed Aggregates
}

// A clearance is a condition under which a value is not masked.
type clearance struct {
	index int // among the engine's clearances
	text  string
	when  *condition
}

type payload struct {
	table pattern
	keep  Payload
}

// Compile checks and compiles a policy. The error names every mistake with its
// key, and file and line where the policy came from a file.
func Compile(p Policy) (*Engine, error) {
	c := compilation{policy: p, engine: &Engine{policy: p}}
	if err := c.compile(); err != nil {
		return nil, err
	}
	if len(c.errors) > 0 {
		slices.SortStableFunc(c.errors, func(a, b *strictyaml.Error) int { return a.Place.Line - b.Place.Line })
		return nil, c.errors
	}
	return c.engine, nil
}

// Hash returns the SHA-256 of the policy with its packs, in hex. Equal policies
// have equal hashes, whatever file they came from.
func (e *Engine) Hash() string { return e.hash }

// Policy returns what the engine was compiled from. The caller must not change it.
func (e *Engine) Policy() Policy { return e.policy }

// Trusts reports whether the policy trusts a function by name.
func (e *Engine) Trusts(schema, name string) bool {
	for _, p := range e.trusted {
		if p.match(schema, name) {
			return true
		}
	}
	return false
}

type compilation struct {
	policy Policy
	engine *Engine
	errors strictyaml.Errors
}

func (c *compilation) fail(at strictyaml.Place, key, format string, args ...any) {
	c.errors = append(c.errors, &strictyaml.Error{Place: at, Key: key, What: fmt.Sprintf(format, args...)})
}

func (c *compilation) compile() error {
	p := c.policy
	for _, k := range []struct {
		key string
		v   Verdict
	}{{"declassify", p.Declassify}, {"unknown", p.Unknown}} {
		if k.v > Hold {
			c.fail(p.Places.Key(k.key), k.key, "must be deny or hold")
		}
	}
	if p.Default > Allow {
		c.fail(p.Places.Key("default"), "default", "must be allow, hold or deny")
	}
	if p.Predicates > DenyTests {
		c.fail(p.Places.Key("predicates"), "predicates", "must be allow, record, hold or deny")
	}
	if p.Approval.Wait < 0 {
		c.fail(p.Places.Key("approval"), "approval.wait", "must not be negative")
	}
	if p.Approval.InTransaction > DenyInTransaction {
		c.fail(p.Places.Key("approval"), "approval.in_transaction", "must be ticket, wait or deny")
	}
	if p.Approval.Preview > PreviewNone {
		c.fail(p.Places.Key("approval"), "approval.preview", "must be estimate, exact or none")
	}
	c.approvers(p.Places.Key("approval"), "approval.approvers", p.Approval.Approvers)
	c.engine.critical = c.patterns("critical", p.Critical, `schema.table, as public.orders or "billing.*"`)
	c.engine.trusted = c.patterns("trusted_functions", p.TrustedFunctions, `schema.function, as public.f or "ext.*"`)
	for i, t := range p.Payloads {
		key := fmt.Sprintf("payloads[%d]", i)
		pat, err := parsePattern(t.Table, 2, "schema.table")
		if err != nil {
			c.fail(t.Places.Key("table"), key+".table", "%v", err)
		}
		if t.Keep == PayloadDefault || t.Keep > PayloadFull {
			c.fail(t.Places.Key("keep"), key+".keep", "must be none, digest or full")
		}
		c.engine.payloads = append(c.engine.payloads, payload{pat, t.Keep})
	}
	if err := c.protect(); err != nil {
		return err
	}
	packs, err := c.rules()
	if err != nil {
		return err
	}
	// What decides, in a form that does not depend on the file.
	h := sha256.New()
	err = json.NewEncoder(h).Encode(struct {
		Policy Policy
		Packs  []Rule
	}{p, packs})
	c.engine.hash = hex.EncodeToString(h.Sum(nil))
	return err
}

func (c *compilation) patterns(key string, texts []string, shape string) []pattern {
	var all []pattern
	for i, text := range texts {
		p, err := parsePattern(text, 2, shape)
		if err != nil {
			c.fail(c.policy.Places.Key(key), fmt.Sprintf("%s[%d]", key, i), "%v", err)
		}
		all = append(all, p)
	}
	return all
}

func (c *compilation) approvers(at strictyaml.Place, key string, a Approvers) {
	if a.Quorum < 0 {
		c.fail(at, key+".quorum", "must not be negative")
	}
	for _, list := range []struct {
		key, what string
		names     []string
	}{{".groups", "a group", a.Groups}, {".break_glass", "a group", a.BreakGlass}, {".issuers", "an issuer", a.Issuers}} {
		if slices.Contains(list.names, "") {
			c.fail(at, key+list.key, "%s has no name", list.what)
		}
	}
	for name, value := range a.Claims {
		if name == "" || value == "" {
			c.fail(at, key+".claims", "a claim needs a name and a value")
		}
	}
}

func (c *compilation) aggregates(p Protect, key string) {
	key += ".aggregates"
	at := p.Places.Key("aggregates")
	for _, f := range p.Aggregates.Functions {
		if !slices.Contains(aggregateFunctions, f) {
			c.fail(at, key+".functions", "%s is no function that can be named here%s", f, strictyaml.DidYouMean(f, aggregateFunctions))
		}
	}
	switch n := p.Aggregates.Rows; {
	case n == 0 && len(p.Aggregates.Functions) == 0:
	case len(p.Aggregates.Functions) == 0:
		c.fail(at, key, "names no functions")
	case n < 2 || n > maxAggregateRows:
		c.fail(at, key+".rows", "must be from 2 to %d", maxAggregateRows)
	}
}

// maxAggregateRows is what the server's integer holds.
const maxAggregateRows = 1 << 30

func (c *compilation) protect() error {
	env, err := unlessCompiler()
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for i, p := range c.policy.Protect {
		key := fmt.Sprintf("protect[%d]", i)
		pat, err := parsePattern(p.Column, 3, `schema.table.column, as public.customers.email or "*.*.ssn"`)
		if err != nil {
			c.fail(p.Places.Key("column"), key+".column", "%v", err)
		}
		id := fmt.Sprintf("%q", pat.parts)
		if first, twice := seen[id]; twice && err == nil {
			c.fail(p.Places.Key("column"), key+".column", "names the same columns as protect[%d]", first)
		}
		seen[id] = i
		compiled := protect{pattern: pat, key: key, at: p.Places.Key("column"), spec: p.Mask.Spec}
		if p.Unless != "" {
			when, errs := env.compile(p.Unless, key+".unless", p.Places.Key("unless"))
			c.errors = append(c.errors, errs...)
			compiled.unless = &clearance{index: i, text: p.Unless, when: when}
		}
		c.aggregates(p, key)
		compiled.allowed = p.Aggregates
		c.engine.protect = append(c.engine.protect, compiled)
	}
	// The most specific first: the first that matches counts.
	slices.SortStableFunc(c.engine.protect, func(a, b protect) int {
		switch {
		case a.pattern.moreSpecific(b.pattern):
			return -1
		case b.pattern.moreSpecific(a.pattern):
			return 1
		}
		return 0
	})
	return nil
}

// rules compiles the policy's own rules and those of its packs, and returns the
// latter.
func (c *compilation) rules() ([]Rule, error) {
	env, err := ruleCompiler()
	if err != nil {
		return nil, err
	}
	own := map[string]int{}
	usesCritical := false
	add := func(r Rule, key string) {
		when, errs := env.compile(r.When, key+".when", r.Places.Key("when"))
		c.errors = append(c.errors, errs...)
		if r.Then > Allow {
			c.fail(r.Places.Key("then"), key+".then", "must be allow, hold or deny")
		}
		if !r.Approvers.isZero() && r.Then != Hold {
			c.fail(r.Places.Key("approvers"), key+".approvers", "only a rule that holds has approvers")
		}
		c.approvers(r.Places.Key("approvers"), key+".approvers", r.Approvers)
		usesCritical = usesCritical || strings.Contains(r.When, "statement.critical")
		c.engine.rules = append(c.engine.rules, rule{r.Name, when, r.Then, r.Approvers, r.Reason})
	}
	for i, r := range c.policy.Rules {
		key := fmt.Sprintf("rules[%d]", i)
		first, twice := own[r.Name]
		switch {
		case r.Name == "":
			c.fail(r.Places.Key("name"), key+".name", "a rule needs a name: it stands in errors and records")
		case strings.HasPrefix(r.Name, "guard."):
			c.fail(r.Places.Key("name"), key+".name", `names that begin with "guard." are the guard's own`)
		case twice:
			c.fail(r.Places.Key("name"), key+".name", "is the name of rules[%d] too", first)
		}
		own[r.Name] = i
		add(r, key)
	}
	var packs []Rule
	packNames := map[string]bool{}
	for i, name := range c.policy.Include {
		key := fmt.Sprintf("include[%d]", i)
		if !slices.Contains(Packs(), name) {
			c.fail(c.policy.Places.Key("include"), key, "%q is no built-in pack%s", name, strictyaml.DidYouMean(name, Packs()))
			continue
		}
		if slices.Contains(c.policy.Include[:i], name) {
			c.fail(c.policy.Places.Key("include"), key, "stands twice")
			continue
		}
		list, err := loadPack(name)
		if err != nil {
			return nil, err
		}
		for j, r := range list {
			packNames[r.Name] = true
			packs = append(packs, r)
			if _, replaced := own[r.Name]; !replaced {
				add(r, fmt.Sprintf("rules[%d]", j))
			}
		}
	}
	for i, r := range c.policy.Rules {
		pack, _, dotted := strings.Cut(r.Name, ".")
		if dotted && slices.Contains(Packs(), pack) && !packNames[r.Name] {
			var known []string
			for n := range packNames {
				known = append(known, n)
			}
			slices.Sort(known)
			c.fail(r.Places.Key("name"), fmt.Sprintf("rules[%d].name", i), "replaces no rule of an included pack%s",
				strictyaml.DidYouMean(r.Name, known))
		}
	}
	if len(c.policy.Critical) > 0 && !usesCritical {
		c.fail(c.policy.Places.Key("critical"), "critical", "no rule uses statement.critical: include baseline, or add a rule")
	}
	return packs, nil
}
