package mask

import (
	"database/sql/driver"
	"maps"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// A Masker is a mask bound to the type of one column. It is immutable and safe
// for concurrent use. The zero Masker and a nil one give NULL for everything.
type Masker struct {
	constant bool // fixed is the answer for every value but NULL
	fixed    driver.Value
	mask     func(driver.Value) driver.Value // never gets nil
	ofText   func(string) string             // what mask does with a string; nil for others
	owns     func(driver.Value) Likeness     // never gets nil; nil means Unlike
	shape    *shape
	parts    []*Masker // of the parts of a compound value or a document
}

// Mask gives what the caller may see in place of v: a value of the same Go
// type that is a valid value of the column's PostgreSQL type, or nil for NULL.
// v must be as pgx's stdlib driver gives it; a value that the mask does not
// understand becomes NULL, and NULL stays NULL. A []byte that comes back may be
// shared with other calls and must not be changed.
func (m *Masker) Mask(v driver.Value) driver.Value {
	switch {
	case m == nil || v == nil:
		return nil
	case m.constant:
		return m.fixed
	case m.mask == nil:
		return nil
	}
	return m.mask(v)
}

// MaskText is Mask for a value that pgx's stdlib driver would give as the string
// in text. It saves a copy of the clear value: text is not kept, and nothing of
// what comes back lies in it.
func (m *Masker) MaskText(text []byte) driver.Value {
	if v, ok := m.Fixed(); ok {
		return v
	}
	if m.ofText == nil || len(text) == 0 {
		return m.Mask(string(text))
	}
	clear := unsafe.String(&text[0], len(text))
	out := m.ofText(clear)
	if within(out, clear) {
		out = strings.Clone(out)
	}
	return out
}

// within reports whether the bytes of part lie in those of whole.
func within(part, whole string) bool {
	at := uintptr(unsafe.Pointer(unsafe.StringData(part)))
	from := uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return len(part) > 0 && at >= from && at < from+uintptr(len(whole))
}

// textMasker is a masker of strings. What f gives may lie in what it got.
func textMasker(f func(string) string, owns func(driver.Value) Likeness) *Masker {
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			text, ok := v.(string)
			if !ok {
				return nil
			}
			return f(text)
		},
		ofText: f,
		owns:   owns,
	}
}

// Fixed gives the one value that Mask has for everything but NULL, if it does
// not depend on its input: the driver then need not decode what it masks.
func (m *Masker) Fixed() (driver.Value, bool) {
	if m == nil {
		return nil, true
	}
	return m.fixed, m.constant || m.mask == nil
}

// text masks a value in its text form; false stands for NULL.
func (m *Masker) text(text string) (string, bool) {
	if m.constant {
		return m.shape.format(m.fixed)
	}
	v, ok := m.shape.parse(text)
	if !ok {
		return "", false
	}
	return m.shape.format(m.Mask(v))
}

// For binds the mask to a column's type. The key is needed where NeedsKey says
// so. The error is an *Error: of class ErrType when the mask cannot make sense
// for the type (Redact, which never fails, is the fallback), of class ErrSpec
// when the key is missing.
func (s Spec) For(t Type, key Key) (*Masker, error) {
	if s.NeedsKey() && !key.set {
		return nil, refuse("hash", "needs a key in the policy's environment")
	}
	sh := shapeOf(&t)
	m := s.compile(sh, key)
	if m == nil {
		return nil, &Error{Class: ErrType, Mask: s.String(), Type: sh.name, Reason: s.fitting(sh)}
	}
	return m, nil
}

// fitting says what to write instead of a mask that does not fit.
func (s Spec) fitting(sh *shape) string {
	switch {
	case s.name == "constant":
		return "the constant is not known to be a value of the type"
	case sh.fam == famJSON:
		return "use jsonpath for parts of a document, hash or redact for all of it"
	case sh.fam == famRange || sh.fam == famMultirange:
		return "only date, number, redact, null and constant keep the bounds of a range in order"
	}
	return "use redact or null"
}

// compile gives nil when the mask does not fit.
func (s Spec) compile(sh *shape, key Key) *Masker {
	m := s.compileAny(sh, key)
	if m == nil {
		return nil
	}
	m.shape = sh
	return m
}

func (s Spec) compileAny(sh *shape, key Key) *Masker {
	switch s.name {
	case "":
		return redactor(sh)
	case "null":
		return &Masker{constant: true, owns: func(driver.Value) Likeness { return Unlike }}
	case "constant":
		return s.compileConstant(sh)
	}
	if s.fn != nil {
		return compileFunc(s.fn, sh)
	}
	switch sh.fam {
	case famArray, famComposite, famHstore:
		return s.compileParts(sh, key)
	case famRange, famMultirange:
		if s.name != "date" && s.name != "number" {
			return nil // the masked bounds could be out of order
		}
		return s.compileParts(sh, key)
	}
	return s.compileScalar(sh, key)
}

func (s Spec) compileScalar(sh *shape, key Key) *Masker {
	switch s.name {
	case "hash":
		return compileHash(sh, key)
	case "jsonpath":
		return s.compileJSON(sh, key)
	case "date":
		return s.compileDate(sh)
	case "number":
		return s.compileNumber(sh)
	case "ip":
		return s.compileIP(sh)
	}
	switch sh.fam {
	case famText:
		return s.compileText(sh)
	case famInt, famNumeric:
		return s.compileDigits(sh)
	case famUUID:
		if s.name == "partial" {
			return s.compileUUID()
		}
	}
	return nil
}

// compileParts masks a compound value part by part. A field of a composite that
// the mask does not fit is redacted, if it fits any of them.
func (s Spec) compileParts(sh *shape, key Key) *Masker {
	parts := make(map[*shape]*Masker)
	fits := false
	add := func(part *shape) {
		m := s.compile(part, key)
		if m == nil {
			m = Redact.compile(part, key)
		} else {
			fits = true
		}
		parts[part] = m
	}
	switch sh.fam {
	case famComposite:
		for _, field := range sh.fields {
			add(field)
		}
	case famHstore:
		add(textShape)
	default:
		add(sh.elem)
	}
	if !fits {
		return nil
	}
	mask := func(part *shape, text string) (string, bool) { return parts[part].text(text) }
	return &Masker{
		parts: slices.Collect(maps.Values(parts)),
		mask: func(v driver.Value) driver.Value {
			text, ok := v.(string)
			if !ok {
				return nil
			}
			if text, ok = sh.mapText(text, mask, true); !ok {
				return nil
			}
			return text
		},
		owns: func(v driver.Value) Likeness {
			text, ok := v.(string)
			if !ok {
				return Unlike
			}
			most := Unlike
			sh.mapText(text, func(part *shape, text string) (string, bool) {
				most = max(most, parts[part].Resembles(text))
				return "", true
			}, true)
			return most
		},
	}
}

// redactor gives the same placeholder for every value.
func redactor(sh *shape) *Masker {
	v := placeholder(sh)
	l := Ambiguous
	switch sh.fam {
	case famText, famBytea, famXML, famHstore:
		l = Certain
	case famArray, famComposite, famFixed:
		if text, ok := v.(string); ok && containsStars(text) {
			l = Certain
		}
	}
	return &Masker{constant: true, fixed: v, owns: sameAs(v, l), shape: sh}
}

// Stars is the placeholder of a masked text.
const Stars = "***"

// placeholder is the value that redact gives: one that scans wherever a value
// of the type does, and looks masked where the type has room for that. The
// package's doc says why each was chosen. nil where no valid literal is known.
func placeholder(sh *shape) driver.Value {
	switch sh.fam {
	case famText:
		return Stars
	case famFixed:
		return sh.fixed
	case famBool:
		return false
	case famInt:
		return int64(0)
	case famFloat:
		return float64(0)
	case famNumeric, famBit:
		return "0"
	case famBytea:
		return []byte(Stars)
	case famDate, famTimestamp, famTimestampTZ:
		return time.Time{}
	case famTime:
		return "00:00:00"
	case famUUID:
		return "00000000-0000-0000-0000-000000000000"
	case famInet:
		return "0.0.0.0"
	case famCIDR:
		return "0.0.0.0/32"
	case famMAC:
		return "00:00:00:00:00:00"
	case famMAC8:
		return "00:00:00:00:00:00:00:00"
	case famJSON:
		return []byte("null")
	case famXML:
		return []byte("<masked/>")
	case famHstore:
		return `"***"=>"***"`
	case famRange:
		return "empty"
	case famMultirange:
		return "{}"
	case famArray, famComposite:
		return compoundPlaceholder(sh)
	}
	return nil
}

// compoundPlaceholder is an array of one placeholder, or a composite of one per
// field. An element without a placeholder gives an empty array, because many Go
// destinations of an array cannot hold a NULL element.
func compoundPlaceholder(sh *shape) driver.Value {
	part := func(s *shape) (string, bool) {
		v := placeholder(s)
		if v == nil {
			return "", false
		}
		return s.format(v)
	}
	if sh.fam == famArray {
		text, ok := part(sh.elem)
		if !ok {
			return "{}"
		}
		out, _ := mapArray("{x}", sh.delim, func(string) (string, partResult) { return text, partText })
		return out
	}
	form := "("
	for i := range sh.fields {
		if i > 0 {
			form += ","
		}
		form += "x"
	}
	out, _ := mapRecord(form+")", len(sh.fields), func(i int, _ string) (string, partResult) {
		if text, ok := part(sh.fields[i]); ok {
			return text, partText
		}
		return "", partNull
	})
	return out
}
