//go:build go1.27

package guardedpg

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// With driver.RowsColumnScanner database/sql no longer calls Next: what reads
// values here must mask them too.
var _ driver.RowsColumnScanner = (*Rows)(nil)

// NextRow goes to the next row, for ScanColumn.
func (r *Rows) NextRow() error {
	return r.advance()
}

// ScanColumn reads one column of the row that NextRow went to. As in pgx, what
// database/sql can convert is converted by it, and all other destinations by
// pgx's type map. A masked column never shows its own bytes to either.
func (r *Rows) ScanColumn(scan driver.ScanContext, index int, dest any) error {
	if dest == nil {
		return errors.New("destination not a pointer")
	}
	rv := reflect.ValueOf(dest)
	if rv.Kind() == reflect.Pointer && rv.IsNil() {
		return errors.New("destination pointer is nil")
	}
	if len(r.scanned) == 0 {
		if err := r.scanRow(); err != nil {
			return err
		}
	}
	if convertible(rv.Type()) {
		return sql.ConvertAssign(scan, dest, r.scanned[index])
	}
	f := &r.fields[index]
	if !slices.ContainsFunc(r.masks, func(m columnMask) bool { return m.column == index }) {
		return r.types.Scan(f.DataTypeOID, f.Format, r.rows.RawValues()[index], dest)
	}
	var text []byte
	if v := r.scanned[index]; v != nil {
		s, ok := maskedText(v)
		if !ok {
			return errors.New("guardedpg: a masked value of this type can only be scanned into what database/sql converts")
		}
		text = s
	}
	return r.types.Scan(f.DataTypeOID, pgx.TextFormatCode, text, dest)
}

// scanRow decodes and masks the whole row: the evidence is of rows, whatever
// part of one is looked at.
func (r *Rows) scanRow() error {
	row := slices.Grow(r.scanned, len(r.fields))[:len(r.fields)]
	if err := r.read(row); err != nil {
		return err
	}
	r.scanned = row
	return nil
}

// maskedText is the text form of a masked value that pgx scans into something
// else than a scalar: arrays, ranges and composites are strings already.
func maskedText(v driver.Value) ([]byte, bool) {
	switch v := v.(type) {
	case string:
		return []byte(v), true
	case []byte:
		return v, true
	}
	return nil, false
}

var convertibleTypes sync.Map // reflect.Type to bool

// convertible reports whether database/sql converts to a destination, by pgx's
// rule (stdlib/sql_go1.27.go).
func convertible(t reflect.Type) bool {
	if known, ok := convertibleTypes.Load(t); ok {
		return known.(bool)
	}
	result := isConvertible(t)
	convertibleTypes.Store(t, result)
	return result
}

func isConvertible(t reflect.Type) bool {
	seen := map[reflect.Type]bool{} // only defined pointer types can form a cycle
	for {
		if t.Implements(reflect.TypeFor[sql.Scanner]()) {
			return true
		}
		if t.Implements(reflect.TypeFor[pgtype.ArraySetter]()) || t.Implements(reflect.TypeFor[pgtype.BytesScanner]()) {
			return false
		}
		if t.Kind() != reflect.Pointer {
			break
		}
		if seen[t] {
			return false
		}
		seen[t] = true
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.String, reflect.Interface:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	case reflect.Struct:
		return t.ConvertibleTo(reflect.TypeFor[time.Time]())
	}
	return false
}
