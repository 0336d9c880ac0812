package mask

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Inside an array, a composite or a range a value has its text form; as a
// column of its own it has its Go form. parse and format go between them.

// parse reads the server's text form of a value. Only the ISO DateStyle and the
// hex form of bytea are read: what is not understood is masked whole.
func (s *shape) parse(text string) (driver.Value, bool) {
	switch s.fam {
	case famBool:
		switch text {
		case "t", "true":
			return true, true
		case "f", "false":
			return false, true
		}
		return nil, false
	case famInt:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	case famFloat:
		bits := 64
		if s.single {
			bits = 32
		}
		f, err := strconv.ParseFloat(text, bits)
		return f, err == nil
	case famBytea:
		digits, ok := strings.CutPrefix(text, `\x`)
		if !ok {
			return nil, false
		}
		b, err := hex.DecodeString(digits)
		return b, err == nil
	case famJSON, famXML:
		return []byte(text), true
	case famDate, famTimestamp, famTimestampTZ:
		if isInfinite(text) {
			return text, true
		}
		for _, layout := range timeLayouts(s.fam) {
			if t, err := time.Parse(layout, text); err == nil {
				return t.UTC(), true
			}
		}
		return nil, false
	case famOther:
		return nil, false
	}
	return text, true
}

// format writes a value of the family's Go type as text.
func (s *shape) format(v driver.Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		if s.fam == famBytea {
			return `\x` + hex.EncodeToString(v), true
		}
		return string(v), true
	case bool:
		return strconv.FormatBool(v)[:1], true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return formatFloat(v), true
	case time.Time:
		v = v.UTC()
		if v.Year() < 1 || v.Year() > 9999 {
			return "", false
		}
		return v.Format(timeLayouts(s.fam)[0]), true
	}
	return "", false
}

func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

var (
	dateLayouts        = []string{"2006-01-02"}
	timestampLayouts   = []string{"2006-01-02 15:04:05.999999"}
	timestampTZLayouts = []string{
		"2006-01-02 15:04:05.999999-07",
		"2006-01-02 15:04:05.999999-07:00",
		"2006-01-02 15:04:05.999999-07:00:00",
	}
)

func timeLayouts(f family) []string {
	switch f {
	case famDate:
		return dateLayouts
	case famTimestamp:
		return timestampLayouts
	}
	return timestampTZLayouts
}

func isInfinite(s string) bool { return s == "infinity" || s == "-infinity" }

// valid reports whether v has the Go type that pgx gives for the family and is
// a value of it. Of a family about which it knows too little it says no.
func (s *shape) valid(v driver.Value) bool {
	switch v := v.(type) {
	case bool:
		return s.fam == famBool
	case int64:
		return s.fam == famInt && v >= s.lo && v <= s.hi
	case float64:
		return s.fam == famFloat && (!s.single || v == float64(float32(v)) || math.IsNaN(v))
	case time.Time:
		return s.fam == famDate || s.fam == famTimestamp || s.fam == famTimestampTZ
	case []byte:
		return s.fam == famBytea || s.fam == famJSON && validJSON(v)
	case string:
		return s.validString(v)
	}
	return false
}

// validJSON also refuses \u0000, which jsonb cannot hold.
func validJSON(b []byte) bool {
	return utf8.Valid(b) && json.Valid(b) && !strings.Contains(string(b), `\u0000`)
}

func (s *shape) validString(v string) bool {
	if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
		return false
	}
	switch s.fam {
	case famText:
		return true
	case famNumeric:
		_, ok := parseDecimal(v)
		return ok || v == "NaN" || v == "Infinity" || v == "-Infinity"
	case famDate, famTimestamp, famTimestampTZ:
		return isInfinite(v)
	case famTime:
		_, err := time.Parse("15:04:05", v)
		return err == nil
	case famUUID:
		return validUUID(v)
	case famInet, famCIDR:
		p, ok := parseIP(v)
		return ok && (s.fam == famInet || p == p.Masked())
	case famMAC, famMAC8:
		m, err := net.ParseMAC(v)
		return err == nil && len(m) == map[family]int{famMAC: 6, famMAC8: 8}[s.fam]
	case famBit:
		return strings.Trim(v, "01") == ""
	case famEnum:
		return slices.Contains(s.labels, v)
	case famArray, famRange, famMultirange, famComposite, famHstore:
		_, ok := s.mapText(v, func(part *shape, text string) (string, bool) {
			if !part.validText(text) {
				return "", false
			}
			return text, true
		}, false)
		return ok
	}
	return false
}

// validText is valid for a value in its text form.
func (s *shape) validText(text string) bool {
	v, ok := s.parse(text)
	return ok && s.valid(v)
}

// mapText rewrites every part of a compound value. A part that f refuses
// becomes NULL where nulls is set, and refuses the whole otherwise.
func (s *shape) mapText(text string, f partFunc, nulls bool) (string, bool) {
	switch s.fam {
	case famArray:
		return mapArray(text, s.delim, func(t string) (string, partResult) { return f.part(s.elem, t, nulls) })
	case famComposite:
		return mapRecord(text, len(s.fields), func(i int, t string) (string, partResult) { return f.part(s.fields[i], t, nulls) })
	case famRange:
		return mapRange(text, func(t string) (string, bool) { return f(s.elem, t) })
	case famMultirange:
		return mapMultirange(text, func(t string) (string, bool) { return f(s.elem, t) })
	case famHstore:
		return mapHstore(text, func(t string) (string, partResult) { return f.part(textShape, t, nulls) })
	}
	return "", false
}

// The types of an hstore's values and of a document's leaves.
var (
	textShape    = &shape{fam: famText, name: "text"}
	numericShape = &shape{fam: famNumeric, name: "numeric"}
)

// A partFunc rewrites one part of a compound value: an element, a field, a
// bound or an hstore's value. False means that it has no text to give.
type partFunc func(part *shape, text string) (string, bool)

// partResult says what becomes of a part.
type partResult uint8

const (
	partRefused partResult = iota // the whole value cannot be rewritten
	partNull
	partText
)

func (f partFunc) part(s *shape, text string, nulls bool) (string, partResult) {
	if out, ok := f(s, text); ok {
		return out, partText
	}
	if nulls {
		return "", partNull
	}
	return "", partRefused
}

func validUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHex(c) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseIP reads an inet or cidr text: an address with an optional prefix.
func parseIP(s string) (netip.Prefix, bool) {
	if strings.IndexByte(s, '/') >= 0 {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}
