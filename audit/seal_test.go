package audit

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a key signs is Ed25519 to everybody else, and it signs once.
func TestSigningKey(t *testing.T) {
	commitments := map[[32]byte]bool{}
	for n := range 300 {
		message := make([]byte, n)
		for i := range message {
			message[i] = byte(i * n)
		}
		key := newSigningKey()
		public := key.public
		require.False(t, commitments[key.commitment], "a nonce is not used again")
		commitments[key.commitment] = true
		sig := key.sign(message)
		require.True(t, ed25519.Verify(public[:], message, sig))
		require.False(t, ed25519.Verify(public[:], append(message, 0), sig))
		require.Equal(t, signingKey{}, *key, "nothing of the key is left")
		require.False(t, ed25519.Verify(public[:], message, key.sign(message)))
	}
}

func BenchmarkSign(b *testing.B) {
	message := make([]byte, 300)
	key := newSigningKey()
	b.ReportAllocs()
	for b.Loop() {
		one := *key // or it could sign once only
		one.sign(message)
	}
}
