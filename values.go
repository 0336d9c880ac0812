package guardedpg

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// resultFormats asks for the same formats as pgx's stdlib does: binary for the
// types that have a driver.Value of their own, text for all others.
var resultFormats = pgx.QueryResultFormatsByOID{
	pgtype.BoolOID:        pgx.BinaryFormatCode,
	pgtype.ByteaOID:       pgx.BinaryFormatCode,
	pgtype.CIDOID:         pgx.BinaryFormatCode,
	pgtype.DateOID:        pgx.BinaryFormatCode,
	pgtype.Float4OID:      pgx.BinaryFormatCode,
	pgtype.Float8OID:      pgx.BinaryFormatCode,
	pgtype.Int2OID:        pgx.BinaryFormatCode,
	pgtype.Int4OID:        pgx.BinaryFormatCode,
	pgtype.Int8OID:        pgx.BinaryFormatCode,
	pgtype.OIDOID:         pgx.BinaryFormatCode,
	pgtype.TimestampOID:   pgx.BinaryFormatCode,
	pgtype.TimestamptzOID: pgx.BinaryFormatCode,
	pgtype.XIDOID:         pgx.BinaryFormatCode,
}

// A decoder makes the driver.Value of a column from its bytes, which are never
// nil and are not kept.
type decoder func(src []byte) (driver.Value, error)

// decoderFor returns the decoder of a type in a format. The values are those
// that pgx's stdlib gives.
func decoderFor(m *pgtype.Map, oid uint32, format int16) decoder {
	if isString(oid, format) {
		return decodeString
	}
	if d := direct[wire{oid, format}]; d != nil {
		return d
	}
	switch oid {
	case pgtype.BoolOID:
		return scanned(m, oid, format, func(v *bool) (driver.Value, error) { return *v, nil })
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return scanned(m, oid, format, func(v *int64) (driver.Value, error) { return *v, nil })
	case pgtype.CIDOID, pgtype.OIDOID, pgtype.XIDOID:
		return scanned(m, oid, format, func(v *pgtype.Uint32) (driver.Value, error) { return v.Value() })
	case pgtype.Float4OID:
		return scanned(m, oid, format, func(v *float32) (driver.Value, error) { return float64(*v), nil })
	case pgtype.Float8OID:
		return scanned(m, oid, format, func(v *float64) (driver.Value, error) { return *v, nil })
	case pgtype.DateOID:
		return scanned(m, oid, format, func(v *pgtype.Date) (driver.Value, error) { return v.Value() })
	case pgtype.TimestampOID:
		return scanned(m, oid, format, func(v *pgtype.Timestamp) (driver.Value, error) { return v.Value() })
	case pgtype.TimestamptzOID:
		return scanned(m, oid, format, func(v *pgtype.Timestamptz) (driver.Value, error) { return v.Value() })
	case pgtype.ByteaOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return scanned(m, oid, format, func(v *[]byte) (driver.Value, error) { return *v, nil })
	}
	return scanned(m, oid, format, func(v *string) (driver.Value, error) { return *v, nil })
}

// isString reports whether the value is the string that is sent.
func isString(oid uint32, format int16) bool {
	if format != pgx.TextFormatCode || oid == pgtype.JSONOID || oid == pgtype.JSONBOID || oid == pgtype.XMLOID {
		return false
	}
	_, own := resultFormats[oid]
	return !own
}

// scanned decodes with pgx's type map.
func scanned[T any](m *pgtype.Map, oid uint32, format int16, value func(*T) (driver.Value, error)) decoder {
	dst := new(T)
	plan := m.PlanScan(oid, format, dst)
	return func(src []byte) (driver.Value, error) {
		if err := plan.Scan(src, dst); err != nil {
			return nil, err
		}
		return value(dst)
	}
}

type wire struct {
	oid    uint32
	format int16
}

// direct are the formats that need no type map.
var direct = map[wire]decoder{
	{pgtype.BoolOID, pgx.BinaryFormatCode}: fixed(1, func(b []byte) driver.Value { return b[0] == 1 }),
	{pgtype.Int2OID, pgx.BinaryFormatCode}: fixed(2, func(b []byte) driver.Value { return int64(int16(binary.BigEndian.Uint16(b))) }),
	{pgtype.Int4OID, pgx.BinaryFormatCode}: fixed(4, func(b []byte) driver.Value { return int64(int32(binary.BigEndian.Uint32(b))) }),
	{pgtype.Int8OID, pgx.BinaryFormatCode}: fixed(8, func(b []byte) driver.Value { return int64(binary.BigEndian.Uint64(b)) }),
	{pgtype.OIDOID, pgx.BinaryFormatCode}:  fixed(4, func(b []byte) driver.Value { return int64(binary.BigEndian.Uint32(b)) }),
	{pgtype.XIDOID, pgx.BinaryFormatCode}:  fixed(4, func(b []byte) driver.Value { return int64(binary.BigEndian.Uint32(b)) }),
	{pgtype.CIDOID, pgx.BinaryFormatCode}:  fixed(4, func(b []byte) driver.Value { return int64(binary.BigEndian.Uint32(b)) }),
	{pgtype.Float4OID, pgx.BinaryFormatCode}: fixed(4, func(b []byte) driver.Value {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	}),
	{pgtype.Float8OID, pgx.BinaryFormatCode}: fixed(8, func(b []byte) driver.Value { return math.Float64frombits(binary.BigEndian.Uint64(b)) }),
}

// errWireLength can only come from a server that breaks the protocol.
var errWireLength = errors.New("guardedpg: a value has another length than its type")

func decodeString(src []byte) (driver.Value, error) { return string(src), nil }

func fixed(size int, value func([]byte) driver.Value) decoder {
	return func(src []byte) (driver.Value, error) {
		if len(src) != size {
			return nil, errWireLength
		}
		return value(src), nil
	}
}
