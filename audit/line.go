package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A hasher computes line hashes as tlog.RecordHash does, without its
// allocation. The zero hasher is ready; it is not safe for concurrent use.
type hasher struct {
	h   hash.Hash
	out [sha256.Size]byte
}

func (s *hasher) line(line []byte) Hash {
	if s.h == nil {
		s.h = sha256.New()
	}
	s.h.Reset()
	s.h.Write(leafPrefix)
	s.h.Write(line)
	s.h.Sum(s.out[:0])
	return s.out
}

var leafPrefix = []byte{0}

// nodeHash is RFC 6962's hash of an inner node, without tlog's allocation.
func nodeHash(left, right tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// A lineHead is the part of a line that stands in fixed order at its beginning.
type lineHead struct {
	seq                uint64
	prev               Hash
	kind               Kind
	time, trail        []byte
	session, statement []byte // as they stand in the line; nil where absent
}

var errLine = errors.New("audit: not a line of a trail")

// parseHead reads the beginning of a line. It accepts what encode writes and
// nothing else: a line has one form only.
func parseHead(line []byte) (lineHead, error) {
	var h lineHead
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	if !ok {
		return h, errLine
	}
	i := 0
	for ; i < len(rest) && i < 20 && '0' <= rest[i] && rest[i] <= '9'; i++ {
		d := uint64(rest[i] - '0')
		if h.seq > (1<<63)/10 {
			return h, errLine
		}
		h.seq = h.seq*10 + d
	}
	if i == 0 || rest[0] == '0' {
		return h, errLine
	}
	rest = rest[i:]
	const b64 = 44
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"prev":"`)); !ok || len(rest) < b64+1 || rest[b64] != '"' {
		return h, errLine
	}
	var hash [33]byte
	if n, err := strict64.Decode(hash[:], rest[:b64]); err != nil || n != len(h.prev) {
		return h, errLine
	}
	copy(h.prev[:], hash[:])
	rest = rest[b64+1:]
	var kind []byte
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{`,"time":"`, &h.time}, {`,"kind":"`, &kind}, {`,"trail":"`, &h.trail}} {
		if rest, ok = bytes.CutPrefix(rest, []byte(f.name)); !ok {
			return h, errLine
		}
		if *f.to, rest, ok = bytes.Cut(rest, []byte{'"'}); !ok {
			return h, errLine
		}
	}
	h.kind = kindOf(kind)
	h.session, rest = optional(rest, `,"session":"`)
	h.statement, rest = optional(rest, `,"statement":"`)
	if len(rest) == 0 || rest[0] != ',' && rest[0] != '}' || line[len(line)-1] != '}' {
		return h, errLine
	}
	return h, nil
}

var strict64 = base64.StdEncoding.Strict()

// optional takes a string member that may be there. The string stays escaped.
func optional(rest []byte, name string) (value, after []byte) {
	s, ok := bytes.CutPrefix(rest, []byte(name))
	if !ok {
		return nil, rest
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[:i], s[i+1:]
		}
	}
	return nil, nil
}

// unescaped returns a string as it stands in a line.
func unescaped(b []byte) (s string) {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	json.Unmarshal(slices.Concat([]byte{'"'}, b, []byte{'"'}), &s) // the line is valid JSON
	return s
}

// kindOf returns the kind without allocating for those that are common.
func kindOf(b []byte) Kind {
	switch string(b) {
	case "intent":
		return KindIntent
	case "outcome":
		return KindOutcome
	case "seal":
		return KindSeal
	case "mask":
		return KindMask
	case "denied":
		return KindDenied
	}
	return Kind(b)
}

// mayRefer reports whether a line may refer to chunks. It saves parsing the others.
func mayRefer(line []byte) bool {
	return bytes.Contains(line, []byte(`"chunks":[`)) || bytes.Contains(line, []byte(`"sealed":"`)) || bytes.Contains(line, []byte(`"kind":"key"`))
}

// chunks returns the references of chunks in r, each once.
func (r *Record) chunks() []string {
	var refs []string
	if r.Outcome != nil && r.Outcome.Payload != nil {
		refs = append(refs, r.Outcome.Payload.Chunks...)
	}
	if r.SQL != nil {
		refs = append(refs, strings.Fields(r.SQL.Sealed)...)
	}
	for _, m := range r.Masks {
		refs = append(refs, strings.Fields(m.Sealed)...)
	}
	if r.Kind == KindKey {
		refs = append(refs, r.Detail["chunk"])
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// ParseRecord reads one line of a trail, without its newline. It says nothing
// about whether the line is genuine: Verify does.
func ParseRecord(line []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, errLine
	}
	return &r, nil
}
