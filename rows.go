package guardedpg

import (
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/guardedpg/guardedpg/audit"
)

// Rows is the result of a statement. The values of protected columns are masked
// in it, whatever way they are read. It is not safe for concurrent use.
type Rows struct {
	run       *run
	payload   audit.PayloadWriter  // nil: what is delivered is not kept
	originals audit.OriginalWriter // nil: what is masked is not sealed
	sealed    int                  // originals
	rows      pgx.Rows
	types     *pgtype.Map
	fields    []pgconn.FieldDescription
	names     []string
	decoders  []decoder
	masks     []columnMask
	// The first row is read before database/sql asks for the columns, as pgx's
	// stdlib does: an error of the statement then comes from Query.
	preloaded, more bool
	delivered       int64
	done            bool
	limited         bool  // there are more rows than were allowed
	failed          error // why a row that was there could not be released
	err             error // of the end; nil for a result that was read well

	scanned []driver.Value // the row for ScanColumn; empty when it was not read yet
}

var _ driver.Rows = (*Rows)(nil)

// Columns returns the names of the columns.
func (r *Rows) Columns() []string {
	if r.names == nil {
		r.names = make([]string, len(r.fields))
		for i := range r.fields {
			r.names[i] = r.fields[i].Name
		}
	}
	return r.names
}

// Next reads the next row into dest.
func (r *Rows) Next(dest []driver.Value) error {
	if err := r.advance(); err != nil {
		return err
	}
	return r.read(dest)
}

// read decodes the row, masks it and records what is delivered of it. A row for
// which that fails is not released, and no other after it.
func (r *Rows) read(dest []driver.Value) error {
	if r.failed == nil {
		if r.failed = r.take(dest); r.failed != nil {
			r.delivered--
		}
	}
	return r.failed
}

func (r *Rows) take(dest []driver.Value) error {
	if r.decoders == nil {
		r.decoders = make([]decoder, len(r.fields))
		for i := range r.fields {
			r.decoders[i] = decoderFor(r.types, r.fields[i].DataTypeOID, r.fields[i].Format)
		}
		for i := range r.masks {
			m := &r.masks[i]
			m.clear = r.decoders[m.column]
			r.decoders[m.column] = m.decoder(&r.fields[m.column])
		}
	}
	raws := r.rows.RawValues()
	for i, raw := range raws {
		if raw == nil {
			dest[i] = nil
			continue
		}
		v, err := r.decoders[i](raw)
		if err != nil {
			return r.decodeError(i, err)
		}
		dest[i] = v
	}
	if r.originals != nil {
		for i := range r.masks {
			if m := &r.masks[i]; raws[m.column] != nil {
				if err := r.seal(m, raws[m.column]); err != nil {
					return err
				}
			}
		}
	}
	if r.payload != nil {
		if err := r.payload.Row(dest); err != nil {
			return notRecorded(r.run, err)
		}
	}
	for i := range r.masks {
		if m := &r.masks[i]; raws[m.column] != nil {
			m.values++
		}
	}
	return nil
}

// decodeError keeps pgx's words, unless they could show a protected value.
func (r *Rows) decodeError(column int, err error) error {
	if r.run.scrub {
		return fmt.Errorf("convert field %d failed", column)
	}
	return fmt.Errorf("convert field %d failed: %w", column, err)
}

// advance goes to the next row. At the end of the result it records the outcome
// and returns io.EOF.
func (r *Rows) advance() error {
	r.scanned = r.scanned[:0]
	if r.failed != nil {
		return r.failed
	}
	if !r.done {
		more := r.more
		if r.preloaded {
			r.preloaded = false
		} else {
			more = r.rows.Next()
		}
		if more && r.run.maxRows > 0 && r.delivered == r.run.maxRows {
			r.limited, more = true, false
		}
		if more {
			r.delivered++
			return nil
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	return io.EOF
}

// Close ends the statement, and records what was delivered of its result. A
// second call returns what the first did.
func (r *Rows) Close() error {
	if !r.done {
		r.done = true
		r.rows.Close()
		tag, err := r.rows.CommandTag(), r.rows.Err()
		if r.limited && err == nil {
			err = r.run.held("it has more rows than were allowed", "limit it further, or ask for more rows", nil)
		}
		if err == nil {
			err = r.failed
		}
		r.err = r.run.end(outcome{
			tag:     tag,
			rows:    r.delivered,
			partial: tag.Select() && tag.RowsAffected() > r.delivered,
			masks:   r.masks,
			result:  r,
			err:     err,
		})
	}
	return r.err
}
