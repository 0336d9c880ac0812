package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strconv"

	"filippo.io/edwards25519"
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

// A signingKey is an Ed25519 key (RFC 8032) that signs once. Every seal has a key
// of its own, and only that makes it sound to choose the nonce and to compute
// its commitment with the key, before there is a message: two signatures with
// one nonce give the key away. What is left to do when a statement waits for its
// seal is a hash and a multiplication.
type signingKey struct {
	public     [ed25519.PublicKeySize]byte
	commitment [32]byte // nonce times the base point: the first half of the signature
	secret     edwards25519.Scalar
	nonce      edwards25519.Scalar
}

func newSigningKey() *signingKey {
	k := new(signingKey)
	randomScalar(&k.secret)
	randomScalar(&k.nonce)
	var p edwards25519.Point
	copy(k.public[:], p.ScalarBaseMult(&k.secret).Bytes())
	copy(k.commitment[:], p.ScalarBaseMult(&k.nonce).Bytes())
	return k
}

func randomScalar(s *edwards25519.Scalar) {
	var b [64]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	setUniform(s, b[:])
	clear(b[:])
}

func setUniform(s *edwards25519.Scalar, wide []byte) {
	if _, err := s.SetUniformBytes(wide); err != nil {
		panic(err) // only for another length than 64
	}
}

// sign signs message and forgets the key: it can sign nothing else.
func (k *signingKey) sign(message []byte) []byte {
	h := sha512.New()
	h.Write(k.commitment[:])
	h.Write(k.public[:])
	h.Write(message)
	var wide [sha512.Size]byte
	var challenge edwards25519.Scalar
	setUniform(&challenge, h.Sum(wide[:0]))
	sig := make([]byte, 0, ed25519.SignatureSize)
	sig = append(sig, k.commitment[:]...)
	sig = append(sig, challenge.MultiplyAdd(&challenge, &k.secret, &k.nonce).Bytes()...)
	*k = signingKey{}
	return sig
}

// sealKeys are the keys of seals: each seal names the next one. Whoever reads
// this process's memory can sign nothing earlier.
type sealKeys struct {
	current *signingKey
	next    chan *signingKey // made ahead, off the path of a commit
	scratch []byte
}

// sign signs c, naming the next key unless that is nil, and moves on to it.
// c.next holds until the next key has signed.
func (k *sealKeys) sign(c *checkpoint, next *signingKey) []byte {
	if next != nil {
		c.next = next.public[:]
	}
	k.scratch = c.append(k.scratch[:0])
	sig := k.current.sign(k.scratch)
	k.current = next
	return sig
}
