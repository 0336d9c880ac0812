package audit

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
)

func email(i int) []byte { return fmt.Appendf(nil, "jane.doe%07d@example.com", i) }

// dictionary looks in every file below dir for a word, or a common hash of one,
// raw, in hex or in base64. It returns how many it finds.
func dictionary(t *testing.T, dir string, words int) (found int) {
	// The first sixteen bytes of each form: fewer occur by chance, to look any position up at once.
	forms := map[[16]byte]bool{}
	add := func(b []byte) {
		forms[[16]byte(b)] = true
	}
	var h [64]byte
	for i := range words {
		w := email(i)
		// Words share their beginning: take the end.
		add(w[len(w)-20 : len(w)-4])
		m, s, l, x := md5.Sum(w), sha1.Sum(w), sha256.Sum256(w), sha512.Sum512(w)
		for _, sum := range [][]byte{m[:], s[:], l[:], x[:]} {
			add(sum)
			add(hex.AppendEncode(h[:0], sum))
			add(base64.StdEncoding.AppendEncode(nil, sum))
		}
	}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		b = bytes.TrimRight(b, "\x00")
		for i := 0; i+16 <= len(b); i++ {
			if forms[[16]byte(b[i:])] {
				found++
			}
		}
		return err
	}))
	return found
}

func TestNothingIsGuessedAfterShredding(t *testing.T) {
	words := rounds(5_000, 1_000_000)
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	cfg := testConfig(t.TempDir())
	cfg.Recipients = []string{id.Recipient().String()}
	tr, err := Open(cfg)
	require.NoError(t, err)
	o := tr.Sealer().Originals("s", "pii")
	for i := range 500 {
		require.NoError(t, o.Value(int64(i), 0, email(i*7)))
	}
	ref, err := o.Close()
	require.NoError(t, err)
	seq, err := tr.Append(&Record{Kind: KindOutcome, Statement: "s", Outcome: &Outcome{OK: true}, Masks: []Mask{{Column: "email", Values: 500, Sealed: ref}}})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	_, err = tr.Shred(t.Context(), "pii", time.Now().Add(48*time.Hour))
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	require.Zero(t, dictionary(t, cfg.Dir, words))
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)

	// The search finds what is there to be found.
	sum := sha256.Sum256(email(4711))
	for name, leak := range map[string][]byte{"word": email(4711), "hash": sum[:], "hex": []byte(hex.EncodeToString(sum[:])), "base64": []byte(base64.StdEncoding.EncodeToString(sum[:]))} {
		file := filepath.Join(cfg.Dir, "leak")
		require.NoError(t, os.WriteFile(file, append([]byte("xx"), leak...), 0o600))
		require.NotZero(t, dictionary(t, cfg.Dir, words), name)
	}
}
