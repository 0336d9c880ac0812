package guardedpg

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

// planFor returns the plan of a text in the session as it is now. A text that
// is known costs a lookup; one that rests on views or functions, a round trip
// that sees whether they are as the plan knew them.
func (c *Conn) planFor(ctx context.Context, who identity.Identity, sql string) (*plan, error) {
	for attempt := 0; ; attempt++ {
		p, err := c.knownPlan(ctx, who, sql)
		if err != nil {
			return nil, err
		}
		ok, err := c.session.fresh(ctx, p)
		switch {
		case err != nil:
			return nil, err
		case ok:
			return p, nil
		case attempt == 3:
			return nil, &RefusedError{Class: ErrUnknown, Reason: "the definitions that it rests on keep changing", Hint: "try again when the migration is over"}
		}
		c.catalog.Changed()
		c.connector.cache.Invalidate()
	}
}

func (c *Conn) knownPlan(ctx context.Context, who identity.Identity, sql string) (*plan, error) {
	s := c.session
	if s.pg.TxStatus() == 'T' && controlsTransaction(sql) {
		// Asking the server anything first would take the transaction's
		// snapshot, after which SET TRANSACTION is too late.
		if p, err := c.planOffline(ctx, sql); err == nil && p.onlyControl {
			return p, nil
		}
	}
	if err := c.handOver(ctx, who); err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		v, err := c.view(ctx)
		if err != nil {
			return nil, err
		}
		if v != s.seen {
			// A schema's privileges are part of the effective path.
			s.seen, s.path = v, nil
			c.record.database.SystemID = v.snap.Server.SystemID
			c.record.database.Prepare()
		}
		if err := s.ready(ctx, who); err != nil {
			return nil, err
		}
		if p := s.plans[sql]; p != nil && p.validFor(v, s.path) {
			return p, nil
		}
		if p := c.connector.plans.get(sql, s.path, v); p != nil {
			s.plans.put(p)
			return p, nil
		}
		p, err := c.newPlan(ctx, sql, v, nil, nil)
		if errors.Is(err, analysis.ErrStale) && attempt < 3 {
			c.catalog.Changed()
			continue
		}
		if err != nil {
			return nil, err
		}
		if p.shared {
			// What a cursor or a prepared statement stands for may change
			// without the text that uses it.
			s.plans.put(p)
			if s.private == nil {
				c.connector.plans.put(p)
			}
		}
		return p, nil
	}
}

// newPlan plans a text. resolved is what its names mean, nil where that is not
// known yet; args are the arguments to judge its bounds by, nil for any.
func (c *Conn) newPlan(ctx context.Context, sql string, v *view, resolved *resolution, args []any) (*plan, error) {
	s := c.session
	var behind []string
	var declared []catalog.OID // what cursors rest on that the text names
	session := analysis.Session{
		Path: s.path.schemas,
		User: s.path.user,
		Resolve: func(ctx context.Context, n analysis.Names) (analysis.Resolution, error) {
			if resolved != nil && reflect.DeepEqual(n, resolved.names) {
				return resolved.Resolution, nil
			}
			r, err := s.resolve(ctx, n)
			if resolved == nil && err == nil {
				resolved = &resolution{n, r}
			}
			return r, err
		},
		Prepared: func(name string) (string, bool) {
			text, ok := s.prepared[name]
			behind = append(behind, "prepared statement "+name+": "+text)
			return text, ok
		},
		Cursor: func(name string) (*analysis.Statement, bool) {
			c, ok := s.cursor(ctx, name)
			behind = append(behind, "cursor "+name+": "+c.text)
			declared = append(declared, c.depends...)
			return c.query, ok && c.basis == v.basis(c.depends)
		},
		Trusted: v.bound.Engine().Trusts,
	}
	if len(args) > 0 {
		session.Argument = func(number int) (text string, null, ok bool) {
			if number < 1 || number > len(args) {
				return "", false, false
			}
			text, _, null = argText(c.pgx.TypeMap(), args[number-1])
			return text, null, null || text != notShown && len(text) <= maxCachedText
		}
	}
	p, err := makePlan(ctx, sql, v, s.path, session)
	if err != nil {
		return nil, err
	}
	p.resolved = resolved
	p.behind, p.shared = behind, p.shared && len(behind) == 0
	if len(declared) > 0 {
		p.basis = v.basis(slices.Concat(p.facts.Depends, declared))
	}
	p.overwrites = c.connector.overwrites(p)
	return p, nil
}

// planWith returns p as its arguments make it: how far it limits what it writes
// may depend on them. That plan is not kept.
func (c *Conn) planWith(ctx context.Context, p *plan, args []any) (*plan, error) {
	if !p.byArguments || len(args) == 0 {
		return p, nil
	}
	return c.newPlan(ctx, p.sql, p.view, p.resolved, args)
}

// planOffline plans a text without asking the server, with the catalog as it
// was last seen. That is right for texts that name nothing.
func (c *Conn) planOffline(ctx context.Context, sql string) (*plan, error) {
	s := c.session
	if s.seen == nil {
		return nil, errNotSeen
	}
	if !c.connector.current(s.seen, s.seen.snap) {
		v, err := c.connector.bind(s.seen.snap, s.seen)
		if err != nil {
			return nil, err
		}
		s.seen, s.path = v, nil
	}
	if p := s.control[sql]; p != nil && p.view == s.seen {
		return p, nil
	}
	p, err := makePlan(ctx, sql, s.seen, nil, analysis.Session{})
	if err == nil && p.onlyControl {
		s.control.put(p)
	}
	return p, err
}

var errNotSeen = errors.New("guardedpg: the catalog is not known yet")

// view returns the catalog as the session sees it, with the policy bound to it.
func (c *Conn) view(ctx context.Context) (*view, error) {
	s := c.session
	c.connector.follow()
	snap, err := c.catalog.Snapshot(ctx, c.pgx)
	if err != nil {
		return nil, err
	}
	if snap.TempSchema == "" && !s.tx.catalog {
		s.private = nil
		return c.connector.sharedView(snap)
	}
	if s.private == nil || !c.connector.current(s.private, snap) {
		prev := s.private
		if prev == nil {
			prev = c.connector.shared.Load()
		}
		if s.private, err = c.connector.bind(snap, prev); err != nil {
			return nil, err
		}
	}
	return s.private, nil
}

const (
	readClasses  = analysis.Read | analysis.TextMeta | analysis.ProtectedMeta | analysis.Secret
	lightClasses = readClasses | analysis.Transaction | analysis.SessionHarmless | analysis.PreparedSQL | analysis.Cursor
)

// makePlan analyzes a text. Should the analysis panic, it was not understood: one
// statement must not end the program.
func makePlan(ctx context.Context, sql string, v *view, at *path, session analysis.Session) (p *plan, err error) {
	defer func() {
		if recover() != nil {
			p, err = nil, &RefusedError{Class: ErrUnknown, Reason: "the guard failed at it, which is a defect of the guard",
				Hint: "write it more plainly, and report it"}
		}
	}()
	facts, err := analyze(ctx, sql, v.snap, session)
	if err != nil {
		return nil, err
	}
	p = &plan{sql: sql, facts: facts, view: v, path: at, shared: true, reads: true, light: true, onlyControl: true, kind: audit.KindIntent}
	for _, st := range facts.Statements {
		p.shared = p.shared && st.Prepared == "" && st.Portal == ""
		p.byArguments = p.byArguments || st.ByArguments
		p.unknown = p.unknown || len(st.Unknown) > 0
		quiet := len(st.Writes)+len(st.Effects) == 0
		again := readClasses
		if st.Kind == "EXECUTE" {
			again |= analysis.PreparedSQL
		}
		p.reads = p.reads && quiet && st.Classes&^again == 0
		p.light = p.light && len(st.Writes) == 0 && st.Classes&^lightClasses == 0
		p.onlyControl = p.onlyControl && st.TxControl != analysis.TxNone
		p.anyControl = p.anyControl || st.TxControl != analysis.TxNone
	}
	if len(facts.Statements) == 1 {
		switch facts.Statements[0].TxControl {
		case analysis.TxBegin:
			p.kind = audit.KindBegin
		case analysis.TxCommit:
			p.kind = audit.KindCommit
		case analysis.TxRollback:
			p.kind = audit.KindRollback
		}
	}
	p.onlyControl = p.onlyControl && len(facts.Statements) > 0
	p.policy = v.bound.Plan(facts)
	p.basis = v.basis(facts.Depends)
	p.describe()
	return p, p.release(ctx, session)
}

// controlsTransaction reports whether a text begins like one that controls a
// transaction. It only saves work: the analysis decides.
func controlsTransaction(sql string) bool {
	word := strings.TrimLeft(sql, " \t\r\n\f\v")
	end := strings.IndexFunc(word, func(r rune) bool { return (r|' ' < 'a' || r|' ' > 'z') })
	if end >= 0 {
		word = word[:end]
	}
	if len(word) > len("savepoint") {
		return false
	}
	switch strings.ToLower(word) {
	case "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "set":
		return true
	}
	return false
}

// analyze is the analysis of a text. It is one function call, for the tests of
// what happens when it fails.
var analyze = analysis.Analyze

// relationName names a relation for a person, or its OID where it is gone.
func relationName(snap *catalog.Snapshot, oid catalog.OID) string {
	if r := snap.Relation(oid); r != nil {
		return r.Schema + "." + r.Name
	}
	return "a relation that is gone"
}

// columnName names a base column for a person.
func columnName(snap *catalog.Snapshot, c analysis.Column) string {
	name := relationName(snap, c.Rel)
	if r := snap.Relation(c.Rel); r != nil && c.Att != 0 {
		if a := r.Column(c.Att); a != nil {
			return name + "." + a.Name
		}
	}
	return name
}
