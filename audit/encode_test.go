package audit

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// fill sets every field of v at random, so that a field that the encoder or
// Clone forgets is seen.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(r.Int63n(4e9), r.Int63n(1e9)).UTC()))
		return
	case reflect.TypeFor[Hash]():
		r.Read(v.Addr().Interface().(*Hash)[:])
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), r)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && r.Intn(8) > 0 {
				fill(v.Field(i), r)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.Intn(3), 3))
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 1 + r.Intn(3) {
			v.SetMapIndex(reflect.ValueOf(text(r, true)), reflect.ValueOf(text(r, true)))
		}
	case reflect.String:
		v.SetString(text(r, true))
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(r.Uint32()) & (1<<v.Type().Bits() - 1))
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int63())
	default:
		panic(v.Type())
	}
}

func text(r *rand.Rand, valid bool) string {
	all := []string{"a", "select", "\"", "\\", "\n", "\x00", "\x1f", "\x7f", "é", "\u2028", "<&>", "\U0001f600", "\t\r\b"}
	if !valid {
		all = append(all, "\xff", "\xc3", "\xed\xa0\x80")
	}
	var b strings.Builder
	for range 1 + r.Intn(6) {
		b.WriteString(all[r.Intn(len(all))])
	}
	return b.String()
}

func TestEncoderWritesEveryField(t *testing.T) {
	var e encoder
	for seed := range int64(500) {
		r := rand.New(rand.NewSource(seed))
		var rec Record
		fill(reflect.ValueOf(&rec).Elem(), r)
		if rec.SQL != nil {
			rec.SQL.Text = text(r, false)
			for i := range rec.SQL.Args {
				rec.SQL.Args[i].Value = text(r, false)
			}
		}
		if rec.Decision != nil && rec.Decision.At.IsZero() {
			rec.Decision.At = time.Unix(1, 0).UTC()
		}
		before, err := json.Marshal(&rec)
		require.NoError(t, err)
		line := e.line(nil, &rec, rec.Seq, Hash{}, rec.Time, rec.Trail)
		require.True(t, json.Valid(line), "%s", line)
		got, err := ParseRecord(line)
		require.NoError(t, err)
		require.Equal(t, &rec, normal(got), "seed %d: %s", seed, line)
		require.Equal(t, &rec, rec.Clone(), "Clone, seed %d", seed)
		if rec.Who != nil {
			rec.Who.Prepare()
		}
		if rec.Database != nil {
			rec.Database.Prepare()
		}
		if rec.SQL != nil {
			rec.SQL.Prepare()
		}
		require.Equal(t, string(line), string(e.line(nil, rec.Clone(), rec.Seq, Hash{}, rec.Time, rec.Trail)), "seed %d", seed)
		after, err := json.Marshal(got)
		require.NoError(t, err)
		require.JSONEq(t, string(before), string(after))
	}
}

// normal undoes what JSON cannot tell apart.
func normal(r *Record) *Record {
	if r.Seal != nil && len(r.Seal.Next) == 0 {
		r.Seal.Next = nil
	}
	if r.Seal != nil && len(r.Seal.Sig) == 0 {
		r.Seal.Sig = nil
	}
	return r
}

func TestStringsThatAreNotUTF8(t *testing.T) {
	b := appendString(nil, "a\xffb")
	require.True(t, utf8.Valid(b))
	require.Equal(t, `"a�b"`, string(b))
}

// isPlain looks at eight bytes at once and says what the table says of each.
func TestIsPlain(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				s := bytes.Repeat([]byte("a"), length)
				s[at] = byte(c)
				require.Equal(t, plainASCII[c], isPlain(string(s)), "%q", s)
				s[(at+1)%length] = 0x7f // a borrow would come from beside it
				require.Equal(t, length == 1 || plainASCII[c], isPlain(string(s)), "%q", s)
			}
		}
	}
}
