package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/note"
)

// checkpoint is what a seal signs. As text it is a checkpoint of the C2SP
// tlog-checkpoint form, so that a seal is also a signed note: origin, number of
// lines, root of their tree; then, as extension lines, the head, the time and
// the next key.
type checkpoint struct {
	origin string
	n      uint64
	root   Hash
	head   Hash
	time   []byte // as in the line
	next   []byte
}

func (c *checkpoint) append(b []byte) []byte {
	b = append(b, c.origin...)
	b = append(b, '\n')
	b = strconv.AppendUint(b, c.n, 10)
	b = append(b, '\n')
	b = base64.StdEncoding.AppendEncode(b, c.root[:])
	b = append(b, "\nhead "...)
	b = base64.StdEncoding.AppendEncode(b, c.head[:])
	b = append(b, "\ntime "...)
	b = append(b, c.time...)
	b = append(b, "\nnext "...)
	b = base64.StdEncoding.AppendEncode(b, c.next)
	return append(b, '\n')
}

// Note returns the seal s, found in a line with number seq, previous hash prev
// and the time as it stands there, as a signed note of
// golang.org/x/mod/sumdb/note, together with the verifier key that opens it.
// key is the public key that the seal before s named.
func (s *Seal) Note(origin string, seq uint64, prev Hash, time string, key []byte) (signed []byte, verifier string, err error) {
	verifier, err = note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, "", err
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, "", err
	}
	c := checkpoint{origin, seq - 1, s.Root, prev, []byte(time), s.Next}
	signed = append(c.append(nil), '\n')
	h := v.KeyHash()
	sig := append([]byte{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}, s.Sig...)
	return fmt.Appendf(signed, "— %s %s\n", origin, base64.StdEncoding.EncodeToString(sig)), verifier, nil
}

// sealKey signs seals: each with another key, of which each names the next. The
// private key lives in one array that is overwritten, so that whoever reads
// this process's memory later can sign nothing earlier.
type sealKey struct {
	private [ed25519.PrivateKeySize]byte
	next    chan *[ed25519.PrivateKeySize]byte // made ahead, off the path of a commit
	scratch []byte
	named   []byte // the public key that the last seal named
}

func newPrivateKey() *[ed25519.PrivateKeySize]byte {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // never fails: crypto/rand ends the process instead
	k := ed25519.NewKeyFromSeed(seed[:])
	clear(seed[:])
	to := (*[ed25519.PrivateKeySize]byte)(k)
	return to
}

func (k *sealKey) public() []byte { return k.private[ed25519.SeedSize:] }

// sign signs c, naming the next key unless last, and forgets the key. c.next
// holds until the next call.
func (k *sealKey) sign(c *checkpoint, next *[ed25519.PrivateKeySize]byte) []byte {
	if next != nil {
		k.named = append(k.named[:0], next[ed25519.SeedSize:]...)
		c.next = k.named
	}
	k.scratch = c.append(k.scratch[:0])
	sig := ed25519.Sign(k.private[:], k.scratch)
	// The same array again: crypto/ed25519 keeps the expanded key by the
	// address of the private one, and drops it when the content there changes.
	if next != nil {
		k.private = *next
		clear(next[:])
	} else {
		clear(k.private[:])
	}
	return sig
}
