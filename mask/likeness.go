package mask

import (
	"bytes"
	"database/sql/driver"
	"strings"
	"time"
)

// Likeness says whether a value could be what a mask gave out. A driver asks it
// before a protected column is written, so that an agent that read j***@x.test
// does not store it over the address.
type Likeness uint8

const (
	// Unlike: the mask never gives such a value, or cannot tell its own.
	Unlike Likeness = iota
	// Ambiguous: the mask gives such values, and so do ordinary data (0, the
	// first of January, a multiple of 1000). Refuse only if the session was
	// given masked values of the column before.
	Ambiguous
	// Certain: ordinary data do not look like this. Refuse.
	Certain
)

// Resembles reports whether v could be the mask's own output. v is an argument
// or a literal that is about to be written to the column: in the Go form that
// Mask gives or in text form: a whole value, a part of one (an element of an
// array, a leaf of a document), or an array of values for many rows, of which
// one that is Certain is enough. A masked value inside a longer text, or
// computed by the server, is not found. The null mask and registered functions
// cannot tell their output and always say Unlike.
func (m *Masker) Resembles(v driver.Value) Likeness {
	if m == nil || v == nil {
		return Unlike
	}
	l := m.whole(v)
	if l == Certain {
		return l
	}
	for _, part := range m.parts {
		if part.Resembles(v) == Certain {
			return Certain
		}
	}
	if list, ok := v.(string); ok && len(list) > 1 && list[0] == '{' && (m.shape == nil || m.shape.fam != famArray) {
		mapArray(list, ',', func(text string) (string, partResult) {
			if m.whole(text) == Certain {
				l = Certain
			}
			return "", partNull
		})
	}
	return l
}

// whole is Resembles for a whole value.
func (m *Masker) whole(v driver.Value) Likeness {
	if m.owns == nil {
		return Unlike
	}
	if v = m.shape.adopt(v); v == nil {
		return Unlike
	}
	return m.owns(v)
}

// adopt brings an argument into the Go form of the family, or gives nil.
func (s *shape) adopt(v driver.Value) driver.Value {
	switch v := v.(type) {
	case string:
		if s.fam == famFixed || s.fam == famOther {
			return v
		}
		if t, ok := s.parse(strings.TrimRight(v, " ")); ok {
			return t
		}
		return nil
	case []byte:
		if s.fam == famBytea || s.fam == famJSON || s.fam == famXML {
			return v
		}
		return s.adopt(string(v))
	case time.Time:
		if s.fam == famDate || s.fam == famTimestamp || s.fam == famTimestampTZ {
			return v
		}
	case int64, float64, bool:
		if s.fam == famBytea || s.fam == famJSON || s.fam == famXML {
			return nil
		}
		text, _ := s.format(v)
		w, ok := s.parse(text)
		if ok {
			return w
		}
	}
	return nil
}

// sameAs finds one value.
func sameAs(want driver.Value, l Likeness) func(driver.Value) Likeness {
	return func(v driver.Value) Likeness {
		same := false
		switch w := want.(type) {
		case nil:
		case []byte:
			b, ok := v.([]byte)
			same = ok && bytes.Equal(b, w)
		case time.Time:
			t, ok := v.(time.Time)
			same = ok && t.Equal(w)
		default:
			same = v == want
		}
		if same {
			return l
		}
		return Unlike
	}
}

// isMaskedText finds a text that was masked whole, or whatever shape finds.
func isMaskedText(shape func(string) Likeness) func(driver.Value) Likeness {
	return func(v driver.Value) Likeness {
		s, ok := v.(string)
		switch {
		case !ok:
			return Unlike
		case s == Stars:
			return Certain
		}
		return shape(s)
	}
}

func containsStars(s string) bool { return strings.Contains(s, Stars) }
