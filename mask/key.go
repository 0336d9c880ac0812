package mask

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// A Key makes the tokens of the hash mask. Whoever holds it can confirm a guess
// of a masked value, so it belongs to the policy's environment and never to the
// agent's. The zero Key is none: a hash mask cannot be compiled with it.
// Printing a Key, in any format, shows no part of it.
type Key struct {
	bytes [32]byte
	set   bool
}

// MinSecret is the least length of the secret that a Key is made from, in bytes.
const MinSecret = 16

// NewKey derives a Key from a secret of at least MinSecret bytes, which should
// be random: the same secret gives the same tokens in every process. The error
// is an *Error of class ErrSpec.
func NewKey(secret []byte) (Key, error) {
	if len(secret) < MinSecret {
		return Key{}, refuse("hash", fmt.Sprintf("its key needs at least %d bytes", MinSecret))
	}
	b, err := hkdf.Key(sha256.New, secret, nil, "guardedpg mask hash v1", 32)
	if err != nil {
		return Key{}, refuse("hash", "its key could not be derived")
	}
	return Key{bytes: [32]byte(b), set: true}, nil
}

// Format keeps the key out of every verb of package fmt.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, "mask.Key(hidden)") }

// MarshalText keeps the key out of encoders.
func (Key) MarshalText() ([]byte, error) { return []byte("mask.Key(hidden)"), nil }
