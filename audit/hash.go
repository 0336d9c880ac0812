package audit

import (
	"encoding/base64"
	"errors"

	"golang.org/x/mod/sumdb/tlog"
)

// A Hash is the hash of a line: SHA-256 over a zero byte and the line's bytes
// without its newline, which is the leaf hash of RFC 6962, section 2.1. Its text
// form is base64.
type Hash [tlog.HashSize]byte

// String returns h in base64.
func (h Hash) String() string { return base64.StdEncoding.EncodeToString(h[:]) }

// MarshalText returns h in base64.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b) != len(h) {
		return errors.New("audit: malformed hash")
	}
	copy(h[:], b)
	return nil
}

// A tree is the right edge of an RFC 6962 tree that only grows: enough to know
// its root. The zero tree is empty.
type tree struct {
	n     uint64
	edges []tlog.Hash // roots of the complete subtrees, largest first; one for each bit of n
}

// add appends a leaf.
func (t *tree) add(leaf Hash) {
	h := tlog.Hash(leaf)
	for n := t.n; n&1 == 1; n >>= 1 {
		h = nodeHash(t.edges[len(t.edges)-1], h)
		t.edges = t.edges[:len(t.edges)-1]
	}
	t.edges = append(t.edges, h)
	t.n++
}

// root returns the tree's hash, without changing it. That of an empty tree is
// zero, as tlog has it.
func (t *tree) root() Hash {
	if len(t.edges) == 0 {
		return Hash{}
	}
	h := t.edges[len(t.edges)-1]
	for i := len(t.edges) - 2; i >= 0; i-- {
		h = nodeHash(t.edges[i], h)
	}
	return Hash(h)
}
