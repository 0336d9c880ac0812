package audit

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Proof shows that one record is in a trail, without the rest of the trail.
type Proof struct {
	Line []byte `json:"line"` // of the record, without its newline
	Seq  uint64 `json:"seq"`
	// Checkpoint is a seal after the record, as a signed note. It is worth as
	// much as the Verifier key: that of the seal before, which the holder of
	// the whole trail can verify back to the first key.
	Checkpoint string           `json:"checkpoint"`
	Verifier   string           `json:"verifier"`
	Path       tlog.RecordProof `json:"path"`
}

// Prove proves that record seq is in the trail in dir, one incarnation's, under
// the first seal after it. It does not verify the trail.
func Prove(dir string, seq uint64) (*Proof, error) {
	r := NewReader(dir)
	defer r.Close()
	p := &Proof{Seq: seq}
	var stored []tlog.Hash
	hashes := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			if x < 0 || x >= int64(len(stored)) {
				return nil, errors.New("audit: the tree is shorter")
			}
			list[i] = stored[x]
		}
		return list, nil
	})
	origin, key := "", []byte(nil)
	for {
		x, err := r.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("audit: no seal in %s covers record %d", dir, seq)
		}
		if err != nil {
			return nil, err
		}
		if x.Record.Kind == KindOpen {
			origin, key = x.Record.Detail["origin"], c64(x.Record.Detail["key"])
		}
		n := x.Record.Seq
		if x.Record.Seal != nil {
			if n > seq && seq > 0 {
				head, err := parseHead(x.Line)
				if err != nil {
					return nil, err
				}
				signed, verifier, err := x.Record.Seal.Note(origin, n, head.prev, string(head.time), key)
				if err != nil {
					return nil, err
				}
				p.Checkpoint, p.Verifier = string(signed), verifier
				p.Path, err = tlog.ProveRecord(int64(n-1), int64(seq-1), hashes)
				return p, err
			}
			key = x.Record.Seal.Next
		}
		if n == seq {
			p.Line = append([]byte(nil), x.Line...)
		}
		more, err := tlog.StoredHashes(int64(n-1), x.Line, hashes)
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
}

// ErrProof says that a proof proves nothing.
var ErrProof = errors.New("audit: the proof does not hold")

// Check checks p against a verifier key that the caller trusts, as p.Verifier of
// a trail that was verified. The error matches ErrProof.
func (p *Proof) Check(verifier string) error {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return fmt.Errorf("%w: malformed verifier key", ErrProof)
	}
	n, err := note.Open([]byte(p.Checkpoint), note.VerifierList(v))
	if err != nil {
		return fmt.Errorf("%w: the checkpoint is not signed by this key", ErrProof)
	}
	// tlog reads the same lines under another first line.
	origin, rest, ok := strings.Cut(n.Text, "\n")
	if !ok || origin != v.Name() {
		return fmt.Errorf("%w: the checkpoint is of another trail", ErrProof)
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		return fmt.Errorf("%w: malformed checkpoint", ErrProof)
	}
	if p.Seq == 0 || p.Seq > uint64(tree.N) {
		return fmt.Errorf("%w: the checkpoint does not reach the record", ErrProof)
	}
	if err := tlog.CheckRecord(p.Path, tree.N, tree.Hash, int64(p.Seq-1), tlog.RecordHash(p.Line)); err != nil {
		return fmt.Errorf("%w: the record is not under the checkpoint", ErrProof)
	}
	return nil
}
