package audit

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// An encoder writes records as lines. It is encoding/json's form of the structs
// in record.go, written by hand because reflection costs more than the whole
// statement may; a test holds the two together. Not safe for concurrent use.
type encoder struct {
	second int64
	stamp  []byte   // second as 2006-01-02T15:04:05
	keys   []string // scratch, for maps in order
}

// line appends r as a line, without newline.
func (e *encoder) line(b []byte, r *Record, seq uint64, prev Hash, now time.Time, trail string) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"prev":"`...)
	b = base64.StdEncoding.AppendEncode(b, prev[:])
	b = append(b, `","time":`...)
	b = e.time(b, now)
	b = append(b, `,"kind":`...)
	b = appendString(b, string(r.Kind))
	b = append(b, `,"trail":`...)
	b = appendString(b, trail)
	b = optString(b, `,"session":`, r.Session)
	b = optString(b, `,"statement":`, r.Statement)
	if r.Who != nil {
		b = e.principal(append(b, `,"who":`...), r.Who)
	}
	if r.Database != nil {
		b = appendDatabase(append(b, `,"database":`...), r.Database)
	}
	if r.SQL != nil {
		b = appendSQL(b, r.SQL)
	}
	if v := r.Verdict; v != nil {
		b = append(b, `,"verdict":{"verdict":`...)
		b = appendString(b, v.Verdict)
		b = append(b, `,"rule":`...)
		b = appendString(b, v.Rule)
		b = optString(b, `,"reason":`, v.Reason)
		b = append(b, `,"policy":`...)
		b = appendString(b, v.Policy)
		b = append(b, '}')
	}
	if r.Decision != nil {
		b = e.decision(b, r.Decision)
	}
	if r.Outcome != nil {
		b = appendOutcome(b, r.Outcome)
	}
	if len(r.Masks) > 0 {
		b = appendMasks(b, r.Masks)
	}
	if len(r.Detail) > 0 {
		b = e.stringMap(append(b, `,"detail":`...), r.Detail)
	}
	if len(r.Heads) > 0 {
		b = appendHeads(b, r.Heads)
	}
	if s := r.Seal; s != nil {
		b = append(b, `,"seal":{"root":"`...)
		b = base64.StdEncoding.AppendEncode(b, s.Root[:])
		b = append(b, `","next":"`...)
		b = base64.StdEncoding.AppendEncode(b, s.Next)
		b = append(b, `","sig":"`...)
		b = base64.StdEncoding.AppendEncode(b, s.Sig)
		b = append(b, `"}`...)
	}
	return append(b, '}')
}

// time appends t in RFC 3339 with nanoseconds, in UTC. The part down to the
// second is kept, since formatting it costs more than the rest of the head.
func (e *encoder) time(b []byte, t time.Time) []byte {
	// RFC 3339 has years of four digits.
	switch s := t.Unix(); {
	case s < firstSecond:
		t = time.Unix(firstSecond, 0)
	case s > lastSecond:
		t = time.Unix(lastSecond, 0)
	}
	if s := t.Unix(); s != e.second || e.stamp == nil {
		e.second = s
		e.stamp = t.UTC().AppendFormat(e.stamp[:0], "2006-01-02T15:04:05")
	}
	b = append(b, '"')
	b = append(b, e.stamp...)
	if ns := t.Nanosecond(); ns != 0 {
		var frac [10]byte
		frac[0] = '.'
		for i := 9; i > 0; i-- {
			frac[i] = byte('0' + ns%10)
			ns /= 10
		}
		n := 10
		for frac[n-1] == '0' {
			n--
		}
		b = append(b, frac[:n]...)
	}
	return append(b, `Z"`...)
}

const (
	firstSecond = -62135596800 // of the year 1
	lastSecond  = 253402300799 // of the year 9999
)

func (e *encoder) principal(b []byte, p *Principal) []byte {
	if p.form != nil {
		return append(b, p.form...)
	}
	b = append(b, `{"issuer":`...)
	b = appendString(b, p.Issuer)
	b = append(b, `,"subject":`...)
	b = appendString(b, p.Subject)
	b = optStrings(b, `,"groups":`, p.Groups)
	if len(p.Attributes) > 0 {
		b = e.stringMap(append(b, `,"attributes":`...), p.Attributes)
	}
	b = append(b, `,"verified":`...)
	b = strconv.AppendBool(b, p.Verified)
	return append(b, '}')
}

func (e *encoder) decision(b []byte, d *Decision) []byte {
	b = append(b, `,"decision":{"id":`...)
	b = appendString(b, d.ID)
	b = append(b, `,"digest":`...)
	b = appendString(b, d.Digest)
	b = append(b, `,"approved":`...)
	b = strconv.AppendBool(b, d.Approved)
	if len(d.By) > 0 {
		b = append(b, `,"by":[`...)
		for i := range d.By {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.principal(b, &d.By[i])
		}
		b = append(b, ']')
	}
	b = optString(b, `,"reason":`, d.Reason)
	b = append(b, `,"at":`...)
	b = e.time(b, d.At)
	if !d.Expires.IsZero() {
		b = append(b, `,"expires":`...)
		b = e.time(b, d.Expires)
	}
	return append(b, '}')
}

// stringMap appends m with its keys in order, so that a record has one form.
func (e *encoder) stringMap(b []byte, m map[string]string) []byte {
	e.keys = e.keys[:0]
	for k := range m {
		e.keys = append(e.keys, k)
	}
	if len(e.keys) > 1 {
		slices.Sort(e.keys)
	}
	b = append(b, '{')
	for i, k := range e.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		b = appendString(b, m[k])
	}
	clear(e.keys)
	return append(b, '}')
}

func appendDatabase(b []byte, d *Database) []byte {
	if d.form != nil {
		return append(b, d.form...)
	}
	b = append(b, `{"system_id":`...)
	b = appendString(b, d.SystemID)
	b = append(b, `,"name":`...)
	b = appendString(b, d.Name)
	b = append(b, `,"user":`...)
	b = appendString(b, d.User)
	b = append(b, `,"backend_pid":`...)
	b = strconv.AppendUint(b, uint64(d.BackendPID), 10)
	return append(b, '}')
}

func appendSQL(b []byte, s *SQL) []byte {
	b = append(b, `,"sql":{`...)
	if s.head != nil {
		b = append(b, s.head...)
	} else {
		b = s.appendHead(b)
	}
	if len(s.Args) > 0 {
		b = append(b, `,"args":[`...)
		for i := range s.Args {
			if i > 0 {
				b = append(b, ',')
			}
			a := &s.Args[i]
			b = append(b, `{"type":`...)
			b = appendString(b, a.Type)
			if a.Value != "" {
				b = appendExact(b, `,"value`, a.Value)
			}
			b = optTrue(b, `,"null":true`, a.Null)
			b = optTrue(b, `,"sealed":true`, a.Sealed)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = optString(b, `,"sealed":`, s.Sealed)
	if s.head != nil {
		b = append(b, s.tail...)
	} else {
		b = s.appendTail(b)
	}
	return append(b, '}')
}

// appendHead appends the members before those that differ from one run to the next.
func (s *SQL) appendHead(b []byte) []byte {
	b = appendExact(b, `"text`, s.Text)
	return optString(b, `,"fingerprint":`, s.Fingerprint)
}

// appendTail appends the members after them.
func (s *SQL) appendTail(b []byte) []byte {
	if f := s.Facts; f != nil {
		// The first member has no comma before it: write all, then drop it.
		b = append(b, `,"facts":`...)
		open := len(b)
		b = optStrings(b, `,"reads":`, f.Reads)
		b = optStrings(b, `,"tests":`, f.Tests)
		b = optStrings(b, `,"writes":`, f.Writes)
		b = optStrings(b, `,"effects":`, f.Effects)
		b = optStrings(b, `,"unknown":`, f.Unknown)
		if len(b) == open {
			b = append(b, '{')
		}
		b[open] = '{'
		b = append(b, '}')
	}
	return optStrings(b, `,"classes":`, s.Classes)
}

func appendOutcome(b []byte, o *Outcome) []byte {
	b = append(b, `,"outcome":{"ok":`...)
	b = strconv.AppendBool(b, o.OK)
	b = optString(b, `,"sqlstate":`, o.SQLState)
	b = optString(b, `,"error":`, o.Error)
	b = optString(b, `,"tag":`, o.Tag)
	b = append(b, `,"rows":`...)
	b = strconv.AppendInt(b, o.Rows, 10)
	b = optInt(b, `,"bytes":`, o.Bytes)
	b = append(b, `,"duration_ns":`...)
	b = strconv.AppendInt(b, int64(o.Duration), 10)
	b = optTrue(b, `,"partial":true`, o.Partial)
	if p := o.Payload; p != nil {
		b = append(b, `,"payload":{"mode":`...)
		b = appendString(b, p.Mode)
		b = append(b, `,"digest":`...)
		b = appendString(b, p.Digest)
		b = append(b, `,"rows":`...)
		b = strconv.AppendInt(b, p.Rows, 10)
		b = append(b, `,"bytes":`...)
		b = strconv.AppendInt(b, p.Bytes, 10)
		b = optInt(b, `,"stored":`, p.Stored)
		b = optStrings(b, `,"chunks":`, p.Chunks)
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendMasks(b []byte, masks []Mask) []byte {
	b = append(b, `,"masks":[`...)
	for i := range masks {
		if i > 0 {
			b = append(b, ',')
		}
		m := &masks[i]
		b = append(b, `{"column":`...)
		b = appendString(b, m.Column)
		b = append(b, `,"index":`...)
		b = strconv.AppendInt(b, int64(m.Index), 10)
		b = optStrings(b, `,"sources":`, m.Sources)
		b = append(b, `,"masker":`...)
		b = appendString(b, m.Masker)
		b = optString(b, `,"rule":`, m.Rule)
		b = append(b, `,"values":`...)
		b = strconv.AppendInt(b, m.Values, 10)
		b = optString(b, `,"sealed":`, m.Sealed)
		b = optTrue(b, `,"clear":true`, m.Clear)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendHeads(b []byte, heads []Head) []byte {
	b = append(b, `,"heads":[`...)
	for i := range heads {
		if i > 0 {
			b = append(b, ',')
		}
		h := &heads[i]
		b = append(b, `{"origin":`...)
		b = appendString(b, h.Origin)
		b = append(b, `,"seq":`...)
		b = strconv.AppendUint(b, h.Seq, 10)
		b = append(b, `,"hash":"`...)
		b = base64.StdEncoding.AppendEncode(b, h.Hash[:])
		b = append(b, '"')
		if len(h.Key) > 0 {
			b = append(b, `,"key":"`...)
			b = base64.StdEncoding.AppendEncode(b, h.Key)
			b = append(b, '"')
		}
		if t := h.Tail; t != nil {
			b = append(b, `,"tail":{"segment":`...)
			b = strconv.AppendInt(b, int64(t.Segment), 10)
			b = append(b, `,"offset":`...)
			b = strconv.AppendInt(b, t.Offset, 10)
			b = append(b, `,"length":`...)
			b = strconv.AppendInt(b, t.Length, 10)
			b = append(b, `,"sha256":`...)
			b = appendString(b, t.SHA256)
			b = append(b, '}')
		}
		b = optStrings(b, `,"lost":`, h.Lost)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendExact appends a member whose bytes must come back: as a string where it
// is UTF-8, else as base64 under the name with "_base64". name lacks its closing
// quote.
func appendExact(b []byte, name, s string) []byte {
	b = append(b, name...)
	if utf8.ValidString(s) {
		return appendString(append(b, `":`...), s)
	}
	b = append(b, `_base64":"`...)
	b = slices.Grow(b, base64.StdEncoding.EncodedLen(len(s)))
	// In pieces, so that a large text is not copied to convert it.
	var piece [3 * 1024]byte
	for s != "" {
		k := copy(piece[:], s)
		b = base64.StdEncoding.AppendEncode(b, piece[:k])
		s = s[k:]
	}
	return append(b, '"')
}

func optString(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, name...), s)
}

func optStrings(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, name...)
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

func optInt(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), n, 10)
}

func optTrue(b []byte, member string, v bool) []byte {
	if !v {
		return b
	}
	return append(b, member...)
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, as in encoding/json: what must be exact goes through appendExact.
func appendString(b []byte, s string) []byte {
	if isPlain(s) { // most are
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	if utf8.ValidString(s) {
		return appendValid(b, s)
	}
	return appendValid(b, string([]rune(s)))
}

// isPlain reports whether s is of bytes of plainASCII alone. It looks at eight at
// once: the top bit of a byte of odd is set for the first that is not plain, and
// perhaps for some after it.
func isPlain(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, slash := x^ones*'"', x^ones*'\\'
		odd := x | (x - ones*0x20) | (quote - ones) | (slash - ones)
		if odd&tops != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if !plainASCII[s[i]] {
			return false
		}
	}
	return true
}

// plainASCII holds those of them that are a character alone.
var plainASCII = func() (t [256]bool) {
	for i := range t {
		t[i] = plain[i] && i < utf8.RuneSelf
	}
	return t
}()

// plain holds the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for i := range t {
		t[i] = i >= 0x20 && i != '"' && i != '\\'
	}
	return t
}()

func appendValid(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plain[c] {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
