package guardedpg

import (
	"database/sql/driver"

	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/mask"
)

// An overwrite is a value that the text writes to a protected column. If it is
// one that the guard itself gave out in place of the clear one, writing it back
// would destroy data.
type overwrite struct {
	guard.Overwrite
	masker  *mask.Masker
	literal driver.Value // of a constant
}

// overwrites are made once for each plan.
func (c *Connector) overwrites(p *plan) []overwrite {
	var all []overwrite
	for _, o := range p.policy.Overwrites() {
		w := overwrite{Overwrite: o, masker: c.masker(o.Spec, p.view.snap, o.Type)}
		if o.Param == 0 {
			if o.End <= o.Start || o.End > len(p.sql) {
				continue
			}
			w.literal = literalValue(p.sql[o.Start:o.End])
		}
		all = append(all, w)
	}
	return all
}

// literalValue is the value of a constant, given as it stands in the text.
func literalValue(text string) driver.Value {
	if s, ok := analysis.StringConstant(text); ok {
		return s
	}
	return text
}

// checkOverwrites refuses to write a masked value over a clear one.
func (r *run) checkOverwrites() error {
	for _, w := range r.plan.overwrites {
		v := w.literal
		if w.Param > 0 {
			if w.Param > len(r.call.args) {
				continue
			}
			v = r.plainArg(r.call.args[w.Param-1])
		}
		if v == nil {
			continue
		}
		l := w.masker.Resembles(v)
		if l == mask.Certain || l == mask.Ambiguous && r.conn.connector.wasShown(r.who, w.Column) {
			return &RefusedError{Class: ErrDenied, Rule: "guard.overwrite",
				Reason: "it would write a masked value over the clear one in " + w.Column,
				Hint:   "leave that column out of the statement"}
		}
	}
	return nil
}

// plainArg is an argument in a form that a masker knows.
func (r *run) plainArg(v any) driver.Value {
	if s, ok := v.(*settled); ok {
		v = s.value
	}
	if driver.IsValue(v) {
		return v
	}
	text, _, null := argText(r.conn.pgx.TypeMap(), v)
	if null {
		return nil
	}
	return text
}

// A shownKey is a protected column that somebody was given masked. A pool reads
// and writes on different connections, so the connector remembers it.
type shownKey struct{ issuer, subject, column string }

// showed remembers which protected columns who was given masked.
func (c *Connector) showed(who identity.Identity, masks []guard.OutputMask) {
	for _, m := range masks {
		if !m.Masked() {
			continue
		}
		for _, column := range m.Sources {
			key := shownKey{who.Issuer(), who.Subject(), column}
			if _, ok := c.shown.Load(key); !ok {
				c.shown.Store(key, struct{}{})
			}
		}
	}
}

func (c *Connector) wasShown(who identity.Identity, column string) bool {
	_, ok := c.shown.Load(shownKey{who.Issuer(), who.Subject(), column})
	return ok
}
