package mask

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// compileHash gives a token: HMAC-SHA256 of the value under the key, in a form
// that the type can hold. Values that are equal in PostgreSQL have equal tokens
// within a kind (text; numbers; uuid; networks; date; timestamps; bytea), also
// across columns, tables and processes. Types that hold too few values for a
// token (bool, enum) or whose equality text does not tell (json, interval) are
// not supported, save jsonb and json documents, which are taken as text.
func compileHash(sh *shape, key Key) *Masker {
	h := newHasher(key)
	switch sh.fam {
	case famText:
		return h.text(sh)
	case famInt, famFloat, famNumeric:
		return h.number(sh)
	case famUUID:
		return h.uuid()
	case famInet, famCIDR:
		return h.ip(sh)
	case famMAC, famMAC8:
		return h.mac(sh)
	case famDate, famTimestamp, famTimestampTZ:
		return h.time(sh)
	case famBytea:
		return h.bytea()
	case famJSON:
		return h.json()
	}
	return nil
}

// The tags keep the kinds apart: text 42 and number 42 have unrelated tokens.
const (
	tagText byte = 1 + iota
	tagNumber
	tagUUID
	tagIP
	tagMAC
	tagDate
	tagTimestamp
	tagBytea
	tagJSON
)

// A hasher computes keyed digests. HMAC states are pooled: the key's two blocks
// are hashed once per state, not once per value.
type hasher struct{ states sync.Pool }

type hashState struct {
	mac hash.Hash
	buf [256]byte // what is hashed, a piece at a time; cleared after use
	sum [sha256.Size]byte
}

func newHasher(key Key) *hasher {
	h := &hasher{}
	h.states.New = func() any { return &hashState{mac: hmac.New(sha256.New, key.bytes[:])} }
	return h
}

func digest[T string | []byte](h *hasher, tag byte, v T) [sha256.Size]byte {
	st := h.states.Get().(*hashState)
	st.mac.Reset()
	st.buf[0] = tag
	n := 1 + copy(st.buf[1:], v)
	used := n
	st.mac.Write(st.buf[:n])
	for v = v[n-1:]; len(v) > 0; v = v[n:] {
		n = copy(st.buf[:], v)
		used = max(used, n)
		st.mac.Write(st.buf[:n])
	}
	st.mac.Sum(st.sum[:0])
	sum := st.sum
	clear(st.buf[:used])
	h.states.Put(st)
	return sum
}

// A text token is "tok_" and 128 bits in 26 characters of base32hex (RFC 4648,
// section 7) in lower case.
const (
	tokenPrefix = "tok_"
	tokenDigits = "0123456789abcdefghijklmnopqrstuv"
	tokenLen    = len(tokenPrefix) + 26
)

func token(sum *[sha256.Size]byte) string {
	var b [tokenLen]byte
	copy(b[:], tokenPrefix)
	hi, lo := binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])
	// 128 bits are 25 characters and 3 bits, which the last one holds.
	for i := range 25 {
		b[len(tokenPrefix)+i] = tokenDigits[hi>>59]
		hi = hi<<5 | lo>>59
		lo <<= 5
	}
	b[tokenLen-1] = tokenDigits[hi>>59]
	return string(b[:])
}

func isToken(text string) bool {
	digits, ok := strings.CutPrefix(text, tokenPrefix)
	return ok && len(text) == tokenLen && strings.Trim(digits, tokenDigits) == ""
}

func likeIf(certain bool, l Likeness) Likeness {
	if certain {
		return l
	}
	return Unlike
}

func (h *hasher) text(sh *shape) *Masker {
	mask := func(text string) string {
		if sh.trim {
			text = strings.TrimRight(text, " ")
		}
		if sh.fold {
			text = strings.ToLower(text)
		}
		sum := digest(h, tagText, text)
		return token(&sum)
	}
	return textMasker(mask, func(v driver.Value) Likeness {
		text, ok := v.(string)
		return likeIf(ok && isToken(text), Certain)
	})
}

// number gives the upper half of a range that the type holds exactly: fewer
// ordinary numbers are there, and no token is a small count. int8, float8 and
// numeric share 2^52..2^53, which JSON readers also hold exactly; int4 and oid
// have 30 bits, float4 23 and int2 14: many values there share a token.
func (h *hasher) number(sh *shape) *Masker {
	bits := 52
	switch {
	case sh.fam == famInt && sh.hi == math.MaxInt16:
		bits = 14
	case sh.fam == famInt && sh.hi <= math.MaxUint32:
		bits = 30
	case sh.fam == famFloat && sh.single:
		bits = 23
	}
	low := int64(1) << bits
	of := func(canonical []byte) int64 {
		sum := digest(h, tagNumber, canonical)
		return low + int64(binary.BigEndian.Uint64(sum[:8])>>(64-bits))
	}
	m := &Masker{owns: func(v driver.Value) Likeness {
		switch n := v.(type) {
		case int64:
			return likeIf(n >= low && n < 2*low, Ambiguous)
		case float64:
			return likeIf(n >= float64(low) && n < float64(2*low) && n == math.Trunc(n), Ambiguous)
		case string:
			i, err := strconv.ParseInt(n, 10, 64)
			return likeIf(err == nil && i >= low && i < 2*low, Ambiguous)
		}
		return Unlike
	}}
	switch sh.fam {
	case famInt:
		m.mask = func(v driver.Value) driver.Value {
			n, ok := v.(int64)
			if !ok {
				return nil
			}
			var b [20]byte
			return of(strconv.AppendInt(b[:0], n, 10))
		}
	case famFloat:
		m.mask = func(v driver.Value) driver.Value {
			f, ok := v.(float64)
			if !ok {
				return nil
			}
			var b [64]byte
			width := 64
			if sh.single {
				width = 32
			}
			return float64(of(strconv.AppendFloat(b[:0], f+0, 'f', -1, width))) // + 0 makes -0 equal 0
		}
	default:
		m.mask = func(v driver.Value) driver.Value {
			text, ok := v.(string)
			if !ok {
				return nil
			}
			var b [20]byte
			return string(strconv.AppendInt(b[:0], of([]byte(canonicalDecimal(text))), 10))
		}
	}
	return m
}

// canonicalDecimal makes 1.50 and 1.5 one text, as they are one number.
func canonicalDecimal(text string) string {
	switch text {
	case "Infinity":
		return "+Inf" // as strconv writes a float
	case "-Infinity":
		return "-Inf"
	}
	if strings.IndexByte(text, '.') >= 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// uuid gives a version 8 UUID (RFC 9562, section 5.8) whose last four bytes are
// a checksum of the others, by which a token is told from a real UUID.
func (h *hasher) uuid() *Masker {
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			text, ok := v.(string)
			if !ok || !validUUID(text) {
				return nil
			}
			sum := digest(h, tagUUID, strings.ToLower(text))
			b := sum[:16]
			b[6] = b[6]&0x0f | 0x80
			b[8] = b[8]&0x3f | 0x80
			binary.BigEndian.PutUint32(b[12:], checksum(b[:12]))
			return formatUUID(b)
		},
		owns: func(v driver.Value) Likeness {
			text, ok := v.(string)
			if !ok || !validUUID(text) {
				return Unlike
			}
			b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
			return likeIf(err == nil && b[6]>>4 == 8 && binary.BigEndian.Uint32(b[12:]) == checksum(b[:12]), Certain)
		},
	}
}

// checksum is FNV-1a. It tells our tokens from chance, not from forgery: who
// forges one only has a write of their own refused.
func checksum(b []byte) uint32 {
	sum := uint32(2166136261)
	for _, c := range b {
		sum = (sum ^ uint32(c)) * 16777619
	}
	return sum
}

func formatUUID(b []byte) string {
	var out [36]byte
	hex.Encode(out[:8], b[:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// ip gives an address of fd00::/8, which networks use among themselves (RFC
// 4193), with a checksum as its last four bytes.
func (h *hasher) ip(sh *shape) *Masker {
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			text, ok := v.(string)
			if !ok {
				return nil
			}
			p, ok := parseIP(text)
			if !ok {
				return nil
			}
			sum := digest(h, tagIP, p.String())
			sum[0] = 0xfd
			binary.BigEndian.PutUint32(sum[12:], checksum(sum[:12]))
			a := netip.AddrFrom16([16]byte(sum[:16])).String()
			if sh.fam == famCIDR {
				a += "/128"
			}
			return a
		},
		owns: func(v driver.Value) Likeness {
			text, _ := v.(string)
			p, ok := parseIP(text)
			if !ok || p.Bits() != 128 {
				return Unlike
			}
			b := p.Addr().As16()
			return likeIf(b[0] == 0xfd && binary.BigEndian.Uint32(b[12:]) == checksum(b[:12]), Certain)
		},
	}
}

// mac gives a locally administered address.
func (h *hasher) mac(sh *shape) *Masker {
	n := 6
	if sh.fam == famMAC8 {
		n = 8
	}
	return &Masker{mask: func(v driver.Value) driver.Value {
		text, ok := v.(string)
		if !ok || len(text) != n*3-1 {
			return nil
		}
		sum := digest(h, tagMAC, text)
		sum[0] = sum[0]&^0x01 | 0x02
		out := make([]byte, 0, n*3)
		for _, b := range sum[:n] {
			out = append(hex.AppendEncode(out, []byte{b}), ':')
		}
		return string(out[:n*3-1])
	}}
}

// Tokens of dates and timestamps lie in the years 5000 to 8999: no real ones
// do, and every Go and JSON form holds them.
var (
	tokenEpoch   = time.Date(5000, 1, 1, 0, 0, 0, 0, time.UTC)
	tokenSeconds = uint64(time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - tokenEpoch.Unix())
)

const secondsPerDay = 24 * 60 * 60

func (h *hasher) time(sh *shape) *Masker {
	tag := tagTimestamp
	if sh.fam == famDate {
		tag = tagDate
	}
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			var b [12]byte
			location := time.UTC
			n := len(b)
			switch v := v.(type) {
			case time.Time:
				binary.BigEndian.PutUint64(b[:8], uint64(v.Unix()))
				binary.BigEndian.PutUint32(b[8:], uint32(v.Nanosecond()))
				location = v.Location()
			case string:
				if !isInfinite(v) {
					return nil
				}
				n = copy(b[:], v)
			default:
				return nil
			}
			sum := digest(h, tag, b[:n])
			at := binary.BigEndian.Uint64(sum[:8]) % tokenSeconds
			if sh.fam == famDate {
				at -= at % secondsPerDay
			}
			return time.Unix(tokenEpoch.Unix()+int64(at), 0).In(location)
		},
		owns: func(v driver.Value) Likeness {
			t, ok := v.(time.Time)
			return likeIf(ok && t.UTC().Year() >= 5000 && t.UTC().Year() < 9000, Certain)
		},
	}
}

func (h *hasher) bytea() *Masker {
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			b, ok := v.([]byte)
			if !ok {
				return nil
			}
			sum := digest(h, tagBytea, b)
			return []byte(token(&sum))
		},
		owns: func(v driver.Value) Likeness {
			b, ok := v.([]byte)
			return likeIf(ok && isToken(string(b)), Certain)
		},
	}
}

func (h *hasher) json() *Masker {
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			b, ok := v.([]byte)
			if !ok {
				return nil
			}
			sum := digest(h, tagJSON, b)
			return []byte(`"` + token(&sum) + `"`)
		},
		owns: func(v driver.Value) Likeness {
			b, ok := v.([]byte)
			return likeIf(ok && len(b) > 2 && isToken(string(b[1:len(b)-1])), Certain)
		},
	}
}
