package guardedpg

import (
	"database/sql/driver"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/mask"
)

// A columnMask masks one column of a result.
type columnMask struct {
	column int
	masker *mask.Masker
	clear  decoder // of what is masked
	values int64   // how many were masked
}

// decoder returns the decoder of the masked column: the clear value is not kept,
// and not made where the mask can do without.
func (m *columnMask) decoder(f *pgconn.FieldDescription) decoder {
	masker, clear := m.masker, m.clear
	if v, ok := masker.Fixed(); ok {
		return func([]byte) (driver.Value, error) { return v, nil }
	}
	if isString(f.DataTypeOID, f.Format) {
		return func(src []byte) (driver.Value, error) { return masker.MaskText(src), nil }
	}
	return func(src []byte) (driver.Value, error) {
		v, err := clear(src)
		if err != nil {
			return nil, err
		}
		return masker.Mask(v), nil
	}
}

// boundMasks are masks bound to the types of a result. They are shared by all
// runs of a plan with the same decision.
type boundMasks struct {
	decided *guard.OutputMask // the first of them
	types   []catalog.OID
	masks   []columnMask
}

// outputMasks are those of the result that the caller gets: pgx returns that of
// the text's first statement.
func (r *run) outputMasks() []guard.OutputMask {
	if len(r.decision.Masks) == 0 {
		return nil
	}
	return r.decision.Masks[0]
}

// masks binds the masks of the decision to the result's columns. The witness
// has seen that there are as many.
func (r *run) masks(fields []pgconn.FieldDescription) []columnMask {
	decided := r.outputMasks()
	if !slices.ContainsFunc(decided, guard.OutputMask.Masked) {
		return nil
	}
	b := r.plan.masks.Load()
	if b == nil || b.decided != &decided[0] || !b.fit(fields) {
		b = &boundMasks{decided: &decided[0]}
		for i := range decided {
			if decided[i].Masked() {
				b.types = append(b.types, fields[i].DataTypeOID)
				b.masks = append(b.masks, columnMask{column: i,
					masker: r.conn.connector.masker(decided[i].Spec, r.plan.view.snap, fields[i].DataTypeOID)})
			}
		}
		r.plan.masks.Store(b)
	}
	return slices.Clone(b.masks)
}

func (b *boundMasks) fit(fields []pgconn.FieldDescription) bool {
	for i, m := range b.masks {
		if fields[m.column].DataTypeOID != b.types[i] {
			return false
		}
	}
	return true
}

// masker binds a mask to a type. One that does not fit the type gives way to
// redact, which fits all.
func (c *Connector) masker(spec mask.Spec, snap *catalog.Snapshot, oid catalog.OID) *mask.Masker {
	t := maskType(snap, oid, 0)
	if m, err := spec.For(t, c.cfg.MaskKey); err == nil {
		return m
	}
	m, err := mask.Redact.For(t, mask.Key{})
	if err != nil {
		return nil // gives NULL
	}
	return m
}

// maskType describes a type to package mask. The nesting of types is bounded,
// also where a catalog would be at fault.
func maskType(snap *catalog.Snapshot, oid catalog.OID, depth int) mask.Type {
	t := snap.Type(oid)
	if t == nil || depth > 16 {
		return mask.Type{OID: oid}
	}
	out := mask.Type{OID: oid, Name: t.Name, Kind: t.Kind}
	part := func(oid catalog.OID) *mask.Type {
		if oid == 0 {
			return nil
		}
		p := maskType(snap, oid, depth+1)
		return &p
	}
	out.Element, out.Base, out.Subtype = part(t.Element), part(t.Base), part(t.Subtype)
	if rel := snap.Relation(t.Relation); rel != nil {
		for _, c := range rel.Columns {
			if !c.Dropped {
				out.Fields = append(out.Fields, mask.Field{Name: c.Name, Type: maskType(snap, c.Type, depth+1)})
			}
		}
	}
	return out
}

// maskRecords are the records of the protected columns in a result.
func (r *run) maskRecords(masks []columnMask) []audit.Mask {
	var out []audit.Mask
	for i, d := range r.outputMasks() {
		if d.Pass {
			continue
		}
		rec := audit.Mask{Index: i, Column: r.plan.facts.Statements[0].Outputs[i].Name, Sources: d.Sources, Rule: d.Rule, Clear: d.Clear}
		if !d.Clear {
			rec.Masker = d.Spec.String()
		}
		for _, m := range masks {
			if m.column == i {
				rec.Values = m.values
			}
		}
		out = append(out, rec)
	}
	return out
}
