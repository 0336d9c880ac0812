package mask

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

func masker(tb testing.TB, mask string, t Type) *Masker {
	tb.Helper()
	m, err := decode(tb, mask, &typeCase{}).For(t, testKey)
	require.NoError(tb, err)
	return m
}

var textType = Type{OID: 25, Name: "text", Kind: 'b'}

// sameFromBytes sees that MaskText gives what Mask does, and that it lives on
// when its input does not.
func sameFromBytes(t *testing.T, m *Masker, text string) {
	t.Helper()
	want := m.Mask(text)
	buf := []byte(text)
	got := m.MaskText(buf)
	require.Equal(t, text, string(buf))
	clear(buf)
	require.Equal(t, want, got, "%q", text)
}

func TestMaskTextKeepsNothingOfItsInput(t *testing.T) {
	for name, f := range map[string]func(string) string{
		"all":    func(s string) string { return s },
		"middle": func(s string) string { return s[1:3] },
		"end":    func(s string) string { return s[len(s)-1:] },
		"none":   func(s string) string { return s[len(s):] },
		"other":  func(string) string { return Stars },
	} {
		t.Run(name, func(t *testing.T) {
			m := textMasker(f, nil)
			sameFromBytes(t, m, "jane@x.test")
			sameFromBytes(t, m, "wxyz")
		})
	}
}

// The masks that promise to show nothing give one value per type, even for
// input that is no value of it.
func TestFixedMasksIgnoreTheirInput(t *testing.T) {
	for _, c := range readTypes(t) {
		sh := shapeOf(&c.resolved)
		for _, text := range []string{"redact", "null", "constant"} {
			m, err := decode(t, text, c).For(c.resolved, testKey)
			if err != nil {
				require.Equal(t, "constant", text)
				continue
			}
			want, fixed := m.Fixed()
			require.True(t, fixed)
			inputs := []driver.Value{"", "x", int64(7), 1.5, true, []byte("x"), time.Now(), []byte{}}
			for _, value := range c.Values {
				if v, ok := sh.parse(value); ok {
					inputs = append(inputs, v)
				}
			}
			for _, in := range inputs {
				require.Equal(t, want, m.Mask(in), "%s %s", c.Type, text)
			}
		}
	}
}

func TestZeroMaskerDenies(t *testing.T) {
	var none *Masker
	for _, m := range []*Masker{none, {}} {
		require.Nil(t, m.Mask("jane@x.test"))
		v, fixed := m.Fixed()
		require.Nil(t, v)
		require.True(t, fixed)
		require.Equal(t, Unlike, m.Resembles("***"))
	}
	m, err := Spec{}.For(Type{}, Key{})
	require.NoError(t, err)
	require.Nil(t, m.Mask("of a type nobody knows"))
	m, err = Spec{}.For(textType, Key{})
	require.NoError(t, err)
	require.Equal(t, Stars, m.Mask("jane@x.test"))
}

// A value of another Go type than the column's gives NULL.
func TestForeignGoTypeIsNull(t *testing.T) {
	for _, c := range readTypes(t) {
		sh := shapeOf(&c.resolved)
		own, ok := sh.parse(c.Values[0])
		if !ok {
			continue
		}
		for _, text := range masks {
			m, err := decode(t, text, c).For(c.resolved, testKey)
			if err != nil {
				continue
			}
			if _, fixed := m.Fixed(); fixed {
				continue
			}
			for _, in := range []driver.Value{"not \x00 a value", int64(7), 1.5, true, []byte("{"), time.Now(), struct{}{}} {
				if fmt.Sprintf("%T", in) != fmt.Sprintf("%T", own) {
					if _, date := own.(time.Time); !date || fmt.Sprintf("%T", in) != "string" {
						require.Nil(t, m.Mask(in), "%s %s %T", c.Type, text, in)
					}
				}
			}
		}
	}
}

type parseCase struct {
	Mask  any    `yaml:"mask"`
	Want  string `yaml:"want"`
	Error string `yaml:"error"`
}

func TestDecode(t *testing.T) {
	var cases []parseCase
	readYAML(t, "testdata/specs.yaml", &cases)
	for _, c := range cases {
		s, err := Decode(c.Mask)
		if c.Error != "" {
			require.ErrorIs(t, err, ErrSpec, "%v", c.Mask)
			require.ErrorContains(t, err, c.Error)
			continue
		}
		require.NoError(t, err, "%v", c.Mask)
		require.Equal(t, c.Want, s.String())
		var again any
		require.NoError(t, yaml.Unmarshal([]byte(s.String()), &again))
		if again == nil {
			again = "null"
		}
		back, err := Decode(again)
		require.NoError(t, err)
		require.Equal(t, s.String(), back.String(), "String is what a policy would write")
	}
}

func readYAML(tb testing.TB, path string, v any) {
	tb.Helper()
	b, err := os.ReadFile(path)
	require.NoError(tb, err)
	require.NoError(tb, yaml.Unmarshal(b, v))
}

func TestStrictest(t *testing.T) {
	var specs []Spec
	for _, text := range masks {
		specs = append(specs, decode(t, text, &typeCase{Constant: "x"}))
	}
	for _, a := range specs {
		require.Equal(t, a.String(), Strictest(a, a).String())
		require.Equal(t, a.rank() == 0, Strictest(a, Redact).rank() == 0)
		for _, b := range specs {
			ab := Strictest(a, b)
			require.Equal(t, ab.String(), Strictest(b, a).String())
			require.LessOrEqual(t, ab.rank(), min(a.rank(), b.rank()))
			if a.String() != b.String() {
				require.Less(t, ab.rank(), 2, "two masks that show different parts show none")
			}
			for _, c := range specs {
				require.Equal(t, Strictest(ab, c).String(), Strictest(a, Strictest(b, c)).String())
			}
		}
	}
}

// Whatever an agent computes from a column, the mask of the result is fixed.
func TestDerivedShowsNothing(t *testing.T) {
	for _, text := range masks {
		m, err := decode(t, text, &typeCase{Constant: "x"}).Derived().For(textType, Key{})
		require.NoError(t, err)
		_, fixed := m.Fixed()
		require.True(t, fixed, text)
	}
}

func TestForErrors(t *testing.T) {
	email := decode(t, "email", nil)
	_, err := email.For(Type{OID: 20, Name: "int8"}, Key{})
	require.ErrorIs(t, err, ErrType)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "int8", e.Type)
	require.Equal(t, "mask: mask does not fit the type: email on int8: use redact or null", err.Error())

	for _, text := range []string{"hash", "{jsonpath: {paths: {$.a: hash}}}"} {
		s := decode(t, text, nil)
		require.True(t, s.NeedsKey())
		_, err = s.For(textType, Key{})
		require.ErrorIs(t, err, ErrSpec)
	}
}

func TestKey(t *testing.T) {
	_, err := NewKey(make([]byte, MinSecret-1))
	require.ErrorIs(t, err, ErrSpec)
	secret := "a secret of some length"
	key, err := NewKey([]byte(secret))
	require.NoError(t, err)
	printed := fmt.Sprintf("%v %+v %#v %s %x %d %q", key, key, &key, key, key, key, []Key{key})
	j, err := json.Marshal(map[string]any{"k": key})
	require.NoError(t, err)
	printed += string(j)
	require.NotContains(t, printed, fmt.Sprintf("%x", key.bytes[:4]))
	require.NotContains(t, printed, fmt.Sprint(key.bytes[0], key.bytes[1]))
	require.NotContains(t, printed, secret)
	require.Equal(t, 8, strings.Count(printed, "mask.Key(hidden)"))
}

// Values that PostgreSQL holds equal have one token; others, and other keys, do not.
func TestHashEquality(t *testing.T) {
	tokens := func(mask *Masker, v driver.Value) string {
		out := mask.Mask(v)
		text, ok := mask.shape.format(out)
		require.True(t, ok)
		return text
	}
	hash := func(oid uint32, name string) *Masker { return masker(t, "hash", Type{OID: oid, Name: name}) }
	numeric, int8s, float8 := hash(1700, ""), hash(20, ""), hash(701, "")
	require.Equal(t, tokens(numeric, "1.50"), tokens(numeric, "1.5"))
	require.Equal(t, tokens(numeric, "42.00"), tokens(int8s, int64(42)))
	require.Equal(t, float8.Mask(42.0), float64(int8s.Mask(int64(42)).(int64)))
	require.Equal(t, float8.Mask(1.5), float8.Mask(1.5))
	negativeZero := float8.Mask(func() float64 { z := 0.0; return -z }())
	require.Equal(t, float8.Mask(0.0), negativeZero)
	require.Equal(t, tokens(numeric, "-0.0"), tokens(numeric, "0"))
	require.NotEqual(t, tokens(numeric, "1.5"), tokens(numeric, "15"))
	require.NotEqual(t, tokens(numeric, "100"), tokens(numeric, "1"))
	require.Equal(t, tokens(hash(25, ""), "ab"), tokens(hash(1042, ""), "ab   "))
	require.Equal(t, tokens(hash(99999, "citext"), "AB"), tokens(hash(99999, "citext"), "ab"))
	require.NotEqual(t, tokens(hash(25, ""), "AB"), tokens(hash(25, ""), "ab"))
	require.Equal(t, tokens(hash(869, ""), "10.0.0.1")+"/128", tokens(hash(650, ""), "10.0.0.1/32"))

	berlin := time.FixedZone("", 3600)
	stamp := hash(1184, "")
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	require.True(t, stamp.Mask(at).(time.Time).Equal(stamp.Mask(at.In(berlin)).(time.Time)))
	require.Equal(t, berlin, stamp.Mask(at.In(berlin)).(time.Time).Location(), "the time zone is kept")

	day := hash(1082, "").Mask(at).(time.Time)
	require.Zero(t, day.Unix()%secondsPerDay, "a date has no time of day")

	long := strings.Repeat("x", 1000)
	require.NotEqual(t, tokens(hash(25, ""), long), tokens(hash(25, ""), long+"x"))

	other, err := NewKey([]byte("another secret of 16"))
	require.NoError(t, err)
	m, err := decode(t, "hash", nil).For(textType, other)
	require.NoError(t, err)
	require.NotEqual(t, tokens(m, "ab"), tokens(hash(25, ""), "ab"))
}

// One masker serves many goroutines; each gets its own value's token.
func TestHashConcurrently(t *testing.T) {
	m := masker(t, "hash", textType)
	want := make([]driver.Value, 64)
	for i := range want {
		want[i] = m.Mask(fmt.Sprint("value ", i))
	}
	done := make(chan bool)
	for i := range want {
		go func() {
			same := true
			for range 200 {
				same = same && m.Mask(fmt.Sprint("value ", i)) == want[i]
			}
			done <- same
		}()
	}
	for range want {
		require.True(t, <-done)
	}
}

func TestPartialOfUUIDIsTooLong(t *testing.T) {
	uuid := "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	for mask, want := range map[string]string{
		"{partial: {first: 10, last: 6}}": "6ba7b810-9d00-0000-0000-000000d430c8",
		"{partial: {first: 10, last: 7}}": "00000000-0000-0000-0000-000000000000",
	} {
		require.Equal(t, want, masker(t, mask, Type{OID: 2950}).Mask(uuid))
	}
}

func TestDateKeepsTheZone(t *testing.T) {
	zone := time.FixedZone("", -5*3600)
	m := masker(t, "date", Type{OID: 1184, Name: "timestamptz"})
	got := m.Mask(time.Date(1971, 8, 21, 1, 2, 3, 4, zone))
	require.Equal(t, time.Date(1971, 1, 1, 0, 0, 0, 0, zone), got)
}

func init() {
	Register("test-panic", func(driver.Value) driver.Value { panic("jane@x.test") })
	Register("test-text", func(driver.Value) driver.Value { return "text" })
	Register("test-nul", func(driver.Value) driver.Value { return "a\x00b" })
	Register("test-latin1", func(driver.Value) driver.Value { return "\xe4" })
	Register("test-large", func(driver.Value) driver.Value { return int64(70000) })
	Register("test-nil", func(driver.Value) driver.Value { return nil })
	Register("test-struct", func(driver.Value) driver.Value { return struct{}{} })
}

func TestRegistered(t *testing.T) {
	for _, c := range []struct {
		mask string
		t    Type
		in   driver.Value
		want driver.Value
	}{
		{"test-text", textType, "jane", "text"},
		{"test-text", Type{OID: 20}, int64(1), nil},
		{"test-text", Type{OID: 2950}, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", nil},
		{"test-text", Type{OID: 1700}, "1", nil},
		{"test-nul", textType, "jane", nil},
		{"test-latin1", textType, "jane", nil},
		{"test-large", Type{OID: 21}, int64(1), nil},
		{"test-large", Type{OID: 23}, int64(1), int64(70000)},
		{"test-panic", textType, "jane", nil},
		{"test-nil", textType, "jane", nil},
		{"test-struct", textType, "jane", nil},
		{"test-same", textType, nil, nil},
	} {
		require.Equal(t, c.want, masker(t, c.mask, c.t).Mask(c.in), c.mask)
	}
	same := func(v driver.Value) driver.Value { return v }
	require.Panics(t, func() { Register("email", same) })
	require.Panics(t, func() { Register("test-same", same) })
	require.Panics(t, func() { Register("", same) })
	require.Panics(t, func() { Register("test-none", nil) })
}

type jsonCase struct {
	Mask any    `yaml:"mask"`
	In   string `yaml:"in"`
	Out  string `yaml:"out"`
}

func TestJSONPath(t *testing.T) {
	var cases []jsonCase
	readYAML(t, "testdata/jsonpath.yaml", &cases)
	for _, c := range cases {
		s, err := Decode(map[string]any{"jsonpath": c.Mask})
		require.NoError(t, err)
		m, err := s.For(Type{OID: 3802, Name: "jsonb"}, testKey)
		require.NoError(t, err)
		out := m.Mask([]byte(c.In))
		if c.Out == "" {
			require.Nil(t, out, c.In)
			continue
		}
		require.Equal(t, c.Out, string(out.([]byte)), "%v on %s", c.Mask, c.In)
	}
}

type entityCase struct {
	In  string `yaml:"in"`
	Out string `yaml:"out"`
}

func TestEntities(t *testing.T) {
	var cases []entityCase
	readYAML(t, "testdata/entities.yaml", &cases)
	for _, c := range cases {
		require.Equal(t, c.Out, maskEntities(c.In))
	}
}

type likenessCase struct {
	Mask      string `yaml:"mask"`
	Type      string `yaml:"type"`
	Certain   []any  `yaml:"certain"`
	Ambiguous []any  `yaml:"ambiguous"`
	Unlike    []any  `yaml:"unlike"`
}

func TestLikeness(t *testing.T) {
	types := make(map[string]Type)
	for _, c := range readTypes(t) {
		types[c.Type] = c.resolved
	}
	var cases []likenessCase
	readYAML(t, "testdata/likeness.yaml", &cases)
	for _, c := range cases {
		require.Contains(t, types, c.Type)
		m := masker(t, c.Mask, types[c.Type])
		for want, values := range map[Likeness][]any{Certain: c.Certain, Ambiguous: c.Ambiguous, Unlike: c.Unlike} {
			for _, v := range values {
				if n, ok := v.(int); ok {
					v = int64(n)
				}
				require.Equal(t, want, m.Resembles(v), "%s on %s: %v", c.Mask, c.Type, v)
			}
		}
	}
}

// What a mask gives out it knows again, unless it says that it cannot.
func TestMasksKnowTheirOutput(t *testing.T) {
	for _, c := range readTypes(t) {
		sh := shapeOf(&c.resolved)
		for _, text := range masks {
			s := decode(t, text, c)
			m, err := s.For(c.resolved, testKey)
			if err != nil || s.fn != nil || text == "null" {
				continue
			}
			for _, value := range c.Values {
				in, ok := sh.parse(value)
				out := m.Mask(in)
				if !ok || out == nil {
					continue
				}
				outText, _ := sh.format(out)
				inText, _ := sh.format(in)
				switch {
				case inText == outText, blind(text, sh, outText):
					continue
				}
				require.NotEqual(t, Unlike, m.Resembles(out), "%s %s %s", c.Type, text, outText)
				require.NotEqual(t, Unlike, m.Resembles(outText), "%s %s %s as text", c.Type, text, outText)
			}
		}
	}
}

// blind lists what Resembles documents or cannot know: nothing of a mask's own
// is in the value.
func blind(mask string, sh *shape, out string) bool {
	switch {
	case strings.Trim(out, "{}[]():=,01 empty") == "": // no part is left, or only bounds
		return true
	case mask == "hash" && (sh.fam == famMAC || sh.fam == famMAC8):
		return true
	case strings.Contains(mask, "jsonpath"):
		return !strings.Contains(out, "***")
	case mask == "code":
		return !strings.Contains(out, "'***'")
	case mask == "text":
		return !strings.Contains(out, "[")
	}
	return false
}

// No part of an array, record or range in another DateStyle passes unread.
func TestOtherDateStyle(t *testing.T) {
	date := Type{OID: 1082, Name: "date"}
	m := masker(t, "date", Type{OID: 1182, Element: &date})
	require.Equal(t, "{NULL,1971-01-01}", m.Mask("{08/21/1971,1971-08-21}"))
	m = masker(t, "date", Type{OID: 3912, Kind: 'r', Subtype: &date})
	require.Nil(t, m.Mask("[08/21/1971,08/22/1971)"))
	// A field that is redacted need not be read.
	m = masker(t, "email", Type{Kind: 'c', Fields: []Field{{Type: textType}, {Type: date}}})
	require.Equal(t, "(***,0001-01-01)", m.Mask("(jane,08/21/1971)"))
}

// What the server would not write is not guessed at: it becomes NULL.
func TestMalformedIsNull(t *testing.T) {
	types := make(map[string]Type)
	for _, c := range readTypes(t) {
		types[c.Type] = c.resolved
	}
	var cases []struct {
		Type   string   `yaml:"type"`
		Mask   string   `yaml:"mask"`
		Values []string `yaml:"values"`
	}
	readYAML(t, "testdata/malformed.yaml", &cases)
	for _, c := range cases {
		m := masker(t, c.Mask, types[c.Type])
		for _, v := range c.Values {
			require.Nil(t, m.Mask(v), "%s: %s", c.Type, v)
		}
	}
}
