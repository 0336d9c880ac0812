package guardedpg

import (
	"database/sql/driver"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// The column type methods answer as pgx's stdlib does, also for masked columns:
// a mask keeps the type. pgx has no ColumnTypeNullable.
var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*Rows)(nil)
	_ driver.RowsColumnTypeLength           = (*Rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*Rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*Rows)(nil)
)

// ColumnTypeDatabaseTypeName returns the name of the type, or its OID where pgx
// does not know it.
func (r *Rows) ColumnTypeDatabaseTypeName(index int) string {
	oid := r.fields[index].DataTypeOID
	if t, ok := r.types.TypeForOID(oid); ok {
		return strings.ToUpper(t.Name)
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// varHeader is what PostgreSQL adds to the length in a type modifier.
const varHeader = 4

// ColumnTypeLength returns the length that the column's declaration allows.
func (r *Rows) ColumnTypeLength(index int) (int64, bool) {
	f := &r.fields[index]
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID:
		return int64(f.TypeModifier - varHeader), true
	case pgtype.VarbitOID:
		return int64(f.TypeModifier), true
	}
	return 0, false
}

// ColumnTypePrecisionScale returns the precision and scale of a numeric column.
func (r *Rows) ColumnTypePrecisionScale(index int) (precision, scale int64, ok bool) {
	f := &r.fields[index]
	if f.DataTypeOID != pgtype.NumericOID {
		return 0, 0, false
	}
	mod := f.TypeModifier - varHeader
	return int64((mod >> 16) & 0xffff), int64(mod & 0xffff), true
}

// ColumnTypeScanType returns a Go type that the column can be scanned into.
func (r *Rows) ColumnTypeScanType(index int) reflect.Type {
	if t, ok := scanTypes[r.fields[index].DataTypeOID]; ok {
		return t
	}
	return reflect.TypeFor[string]()
}

var scanTypes = map[uint32]reflect.Type{
	pgtype.Float8OID:      reflect.TypeFor[float64](),
	pgtype.Float4OID:      reflect.TypeFor[float32](),
	pgtype.Int8OID:        reflect.TypeFor[int64](),
	pgtype.Int4OID:        reflect.TypeFor[int32](),
	pgtype.Int2OID:        reflect.TypeFor[int16](),
	pgtype.BoolOID:        reflect.TypeFor[bool](),
	pgtype.NumericOID:     reflect.TypeFor[float64](),
	pgtype.DateOID:        reflect.TypeFor[time.Time](),
	pgtype.TimestampOID:   reflect.TypeFor[time.Time](),
	pgtype.TimestamptzOID: reflect.TypeFor[time.Time](),
	pgtype.ByteaOID:       reflect.TypeFor[[]byte](),
}
