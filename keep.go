package guardedpg

import (
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
)

// payloadMode is how much of the result is kept: what the policy says of its
// tables, or else the configuration.
func (r *run) payloadMode() audit.PayloadMode {
	switch r.decision.Payload {
	case guard.PayloadNone:
		return audit.PayloadNone
	case guard.PayloadDigest:
		return audit.PayloadDigest
	case guard.PayloadFull:
		return audit.PayloadFull
	}
	return r.conn.connector.cfg.Payload
}

// keep begins to keep what the result delivers and what it masks.
func (r *Rows) keep() {
	c := &r.run.conn.record
	if mode := r.run.payloadMode(); mode != audit.PayloadNone && c.payloads != nil {
		r.payload = c.payloads.Payload(r.run.id, mode, r.Columns())
	}
	if cfg := &r.run.conn.connector.cfg; len(r.masks) > 0 && c.sealer != nil && cfg.Originals >= 0 {
		r.originals = c.sealer.Originals(r.run.id, cfg.Retention)
	}
}

// seal keeps the original of a masked value, unless enough are kept.
func (r *Rows) seal(m *columnMask, original []byte) error {
	if n := r.run.conn.connector.cfg.Originals; n > 0 && r.sealed == n {
		return nil
	}
	r.sealed++
	if r.fields[m.column].Format != pgx.TextFormatCode {
		v, err := m.clear(original)
		if err != nil {
			return r.decodeError(m.column, err)
		}
		text, _, _ := argText(r.types, v)
		original = []byte(text)
	}
	if err := r.originals.Value(r.delivered-1, m.column, original); err != nil {
		return notRecorded(r.run, err)
	}
	return nil
}

// closeKept ends what keep began, and puts it into the outcome in hand: also what
// there is of it when some of it could not be kept.
func (r *Rows) closeKept(c *recorder) error {
	var errs []error
	if r.payload != nil {
		p, err := r.payload.Close()
		errs = append(errs, err)
		c.result.Payload = p
		if p != nil {
			c.result.Bytes = p.Bytes
		}
	}
	if r.originals != nil {
		ref, err := r.originals.Close()
		errs = append(errs, err)
		for i := range c.rec.Masks {
			if !c.rec.Masks[i].Clear {
				c.rec.Masks[i].Sealed = ref
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return notRecorded(r.run, err)
	}
	return nil
}
