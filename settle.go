package guardedpg

import (
	"bytes"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// An argument is looked at more than once: for its record, for the person who
// decides, for what binds their decision, and when pgx sends it. All must see
// the same.

// settled is an argument whose driver.Valuer was asked, once.
type settled struct {
	typ   string
	value driver.Value
	err   error
}

// Value returns what the argument's own Value returned. pgx treats it as it
// would treat that argument: it looks for a driver.Valuer before all else that
// such a type may be.
func (s *settled) Value() (driver.Value, error) { return s.value, s.err }

var valuerType = reflect.TypeFor[driver.Valuer]()

const pgtypePath = "github.com/jackc/pgx/v5/pgtype"

// settle asks a Valuer of the caller's own for its value. Those of pgx are data.
func settle(v any) any {
	switch v.(type) {
	case nil, string, []byte, bool, int, int32, int64, float32, float64, time.Time:
		return v
	}
	valuer, ok := v.(driver.Valuer)
	if !ok {
		return v
	}
	t := reflect.TypeOf(v)
	path := t.PkgPath()
	if t.Kind() == reflect.Pointer {
		path = t.Elem().PkgPath()
		if reflect.ValueOf(v).IsNil() && t.Elem().Implements(valuerType) {
			return v // NULL, as in database/sql
		}
	}
	if path == pgtypePath {
		return v
	}
	s := &settled{typ: t.String()}
	s.value, s.err = valuer.Value()
	if b, ok := s.value.([]byte); ok {
		s.value = bytes.Clone(b)
	}
	return s
}

// detach copies what an argument shares with the caller, who goes on while the
// statement waits.
func (k *call) detach() {
	for i, v := range k.args {
		if v != nil {
			k.args[i] = detached(reflect.ValueOf(v), 0).Interface()
		}
	}
}

// maxDepth ends what points to itself.
const maxDepth = 64

func detached(v reflect.Value, depth int) reflect.Value {
	if depth > maxDepth {
		return v // writeState refuses it
	}
	switch v.Kind() {
	case reflect.Pointer:
		switch p := v.Interface().(type) {
		case *time.Location:
			return v
		case *big.Int:
			if p != nil {
				return reflect.ValueOf(new(big.Int).Set(p))
			}
		}
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(detached(v.Elem(), depth+1))
		return c.Convert(v.Type())
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		return detached(v.Elem(), depth+1)
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		if !flat(v.Type().Elem().Kind()) {
			for i := range c.Len() {
				c.Index(i).Set(detached(c.Index(i), depth+1))
			}
		}
		return c
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			c.SetMapIndex(it.Key(), detached(it.Value(), depth+1))
		}
		return c
	case reflect.Array, reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		if v.Kind() == reflect.Array {
			for i := 0; i < c.Len() && !flat(v.Type().Elem().Kind()); i++ {
				c.Index(i).Set(detached(c.Index(i), depth+1))
			}
			return c
		}
		for i := range c.NumField() {
			if f := c.Field(i); f.CanSet() && !flat(f.Kind()) {
				f.Set(detached(f, depth+1))
			}
		}
		return c
	}
	return v
}

func flat(k reflect.Kind) bool { return k <= reflect.Complex128 || k == reflect.String }

var errOpaque = errors.New("guardedpg: a value that has no state to bind")

// writeState writes all that a value is made of. Two values for which pgx could
// send different things are never written alike: a String method and the like,
// which show less, have no part in it.
func writeState(h hash.Hash, v reflect.Value, depth int) error {
	if depth > maxDepth {
		return errOpaque
	}
	if !v.IsValid() {
		writeField(h, "nil")
		return nil
	}
	t := v.Type()
	writeField(h, t.PkgPath()+" "+t.String())
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	switch v.Kind() {
	case reflect.Bool:
		writeField(h, strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		number(v.Uint())
	case reflect.Float32, reflect.Float64:
		number(math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		number(math.Float64bits(real(v.Complex())))
		number(math.Float64bits(imag(v.Complex())))
	case reflect.String:
		writeField(h, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			writeField(h, "nil")
			return nil
		}
		if t == reflect.TypeFor[*time.Location]() {
			// The rest of it is a cache.
			writeField(h, v.Elem().FieldByName("name").String())
			return nil
		}
		return writeState(h, v.Elem(), depth+1)
	case reflect.Slice:
		if v.IsNil() {
			writeField(h, "nil")
			return nil
		}
		fallthrough
	case reflect.Array:
		number(uint64(v.Len()))
		if v.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			h.Write(v.Bytes())
			return nil
		}
		for i := range v.Len() {
			if err := writeState(h, v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := writeState(h, v.Field(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.IsNil() {
			writeField(h, "nil")
			return nil
		}
		var entries []string
		for it := v.MapRange(); it.Next(); {
			entry := sha256.New()
			if err := writeState(entry, it.Key(), depth+1); err != nil {
				return err
			}
			if err := writeState(entry, it.Value(), depth+1); err != nil {
				return err
			}
			entries = append(entries, string(entry.Sum(nil)))
		}
		slices.Sort(entries)
		number(uint64(len(entries)))
		writeField(h, strings.Join(entries, ""))
	default: // functions, channels
		if !v.IsNil() {
			return errOpaque
		}
	}
	return nil
}

// writeArg writes an argument such that no other argument is written alike.
func writeArg(h hash.Hash, v any) error {
	switch v := v.(type) {
	case *settled:
		writeField(h, "valuer "+v.typ)
		if v.err != nil {
			return errOpaque
		}
		return writeArg(h, v.value)
	case time.Time:
		// Without its monotonic clock, and with what a timestamp without time
		// zone takes from it.
		writeField(h, "time.Time")
		writeField(h, v.Format("2006-01-02T15:04:05.999999999 -07:00:00"))
		return nil
	}
	return writeState(h, reflect.ValueOf(v), 0)
}

// argText is an argument for a person to read, as pgx would write it for the
// server where it can.
func argText(m *pgtype.Map, v any) (text, typ string, null bool) {
	switch v := v.(type) {
	case nil:
		return "", "nil", true
	case string:
		return v, "string", false
	case int64:
		return strconv.FormatInt(v, 10), "int64", false
	case int:
		return strconv.Itoa(v), "int", false
	case bool:
		return strconv.FormatBool(v), "bool", false
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), "float64", false
	case []byte:
		return string(v), "[]byte", v == nil
	case time.Time:
		return v.Format(time.RFC3339Nano), "time.Time", false
	case *settled:
		if v.err != nil {
			return notShown, v.typ, false
		}
		text, _, null = argText(m, v.value)
		return text, v.typ, null
	}
	text, null = encoded(m, v)
	return text, reflect.TypeOf(v).String(), null
}

const notShown = "(cannot be shown)"

// encoded writes a value as pgx would for a parameter of unknown type, or else
// as JSON. Methods of the value that this calls are the caller's code.
func encoded(m *pgtype.Map, v any) (text string, null bool) {
	defer func() {
		if recover() != nil {
			text, null = notShown, false
		}
	}()
	b, err := m.Encode(0, pgtype.TextFormatCode, v, make([]byte, 0, 64)) // nil would be NULL
	if err != nil {
		b, err = json.Marshal(v)
	}
	if err != nil {
		return notShown, false
	}
	return string(b), b == nil
}
