package audit

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestShred(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	cfg := testConfig(t.TempDir())
	cfg.Recipients = []string{id.Recipient().String()}
	old, err := Open(cfg)
	require.NoError(t, err)
	tr, err := Open(cfg)
	require.NoError(t, err)
	refs := map[string]*Trail{}
	for _, x := range []*Trail{old, tr} {
		for _, class := range []string{"", "pii"} {
			ref, err := x.Sealer().Seal("s", class, []byte("jane@x.test"))
			require.NoError(t, err)
			refs[ref] = x
			seq, err := x.Append(&Record{Kind: KindMask, Statement: "s", SQL: &SQL{Sealed: ref}})
			require.NoError(t, err)
			require.NoError(t, x.Wait(t.Context(), seq, Synced))
		}
	}
	n, err := tr.Shred(t.Context(), "pii", time.Now())
	require.NoError(t, err)
	require.Zero(t, n, "today is not before today")
	// What another process seals with would be gone, and it would not know.
	n, err = tr.Shred(t.Context(), "pii", time.Now().Add(48*time.Hour))
	require.ErrorIs(t, err, ErrKeyInUse)
	require.ErrorContains(t, err, old.id)
	require.Zero(t, n)
	for ref, x := range refs {
		_, err := OpenSealed(x.Dir(), ref, "s", id)
		require.NoError(t, err)
	}
	require.NoError(t, old.Close())
	n, err = tr.Shred(t.Context(), "pii", time.Now().Add(48*time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	shredded := 0
	for ref, x := range refs {
		_, err := OpenSealed(x.Dir(), ref, "s", id)
		if err != nil {
			require.ErrorIs(t, err, ErrShredded)
			shredded++
		}
	}
	require.Equal(t, 2, shredded)
	// Sealing goes on, under another key.
	ref, err := tr.Sealer().Seal("s2", "pii", []byte("x"))
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	_, err = OpenSealed(tr.Dir(), ref, "s2", id)
	require.NoError(t, err)
	last, err := Open(cfg)
	require.NoError(t, err)
	require.NoError(t, last.Close())
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
}

// TestShredWhateverTheNames has a directory whose name is a pattern, and a pipe in
// the place of a key.
func TestShredWhateverTheNames(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	cfg := testConfig(filepath.Join(t.TempDir(), "[shop]"))
	cfg.Recipients = []string{id.Recipient().String()}
	tr, err := Open(cfg)
	require.NoError(t, err)
	ref, err := tr.Sealer().Seal("s", "", []byte("jane@x.test"))
	require.NoError(t, err)
	seq, err := tr.Append(&Record{Kind: KindMask, Statement: "s", SQL: &SQL{Sealed: ref}})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	n, err := tr.Shred(t.Context(), "", time.Now().Add(48*time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, unix.Mkfifo(filepath.Join(tr.Dir(), "keys", time.Now().UTC().Format("20060102")+".default.age"), 0o600))
	_, err = OpenSealed(tr.Dir(), ref, "s", id)
	require.ErrorIs(t, err, errNotPlain)
	_, err = tr.Shred(t.Context(), "", time.Now().Add(48*time.Hour))
	require.ErrorIs(t, err, errNotPlain)
	require.NoError(t, tr.Close())
}

func TestPrune(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	e := makeEvidence(t, r, 20)
	cfg := testConfig(e.dir)
	cfg.Anchor = &e.anchor
	tr, err := Open(cfg)
	require.NoError(t, err)
	gone, err := tr.Prune(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Empty(t, gone)
	gone, err = tr.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, gone, 3, "not the one that runs")
	require.NoError(t, tr.Close())
	names, err := incarnations(e.dir)
	require.NoError(t, err)
	require.Equal(t, []string{tr.id}, names)
	for _, opt := range []VerifyOptions{{}, {Anchor: e.anchor}} {
		rep, err := Verify(t.Context(), []string{e.dir}, opt)
		require.NoError(t, err)
		require.True(t, rep.OK(), "%v %+v", rep.Findings, rep.Trails)
		require.Len(t, rep.Deleted, 3)
	}

	// What the tombstone says outlives the trail that it is in.
	tr, err = Open(cfg)
	require.NoError(t, err)
	gone, err = tr.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, gone, 1)
	require.NoError(t, tr.Close())
	rep, err := Verify(t.Context(), []string{e.dir}, VerifyOptions{Anchor: e.anchor})
	require.NoError(t, err)
	require.True(t, rep.OK(), "%v %+v", rep.Findings, rep.Trails)
	require.Len(t, rep.Deleted, 4)

	// Without the tombstone it is removal.
	f := makeEvidence(t, r, 20)
	tr, err = Open(testConfig(f.dir))
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	names, err = incarnations(f.dir)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(f.dir, names[2])))
	rep, err = Verify(t.Context(), []string{f.dir}, VerifyOptions{})
	require.NoError(t, err)
	require.Len(t, rep.Findings, 1)
	require.Equal(t, Removed, rep.Findings[0].Kind)
}

// TestKeysAreMissed removes and replaces wrapped keys, by right and otherwise.
func TestKeysAreMissed(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	cfg := testConfig(t.TempDir())
	cfg.Recipients = []string{id.Recipient().String()}
	tr, err := Open(cfg)
	require.NoError(t, err)
	for _, class := range []string{"", "pii"} {
		_, err = tr.Sealer().Seal("s", class, []byte("jane@x.test"))
		require.NoError(t, err)
	}
	findings := func() []Finding {
		rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
		require.NoError(t, err)
		return rep.Findings
	}
	seq, err := tr.Append(&Record{Kind: KindSession})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	require.Empty(t, findings())
	require.NoError(t, tr.Close())

	// By right, from another trail, which is deleted by right too.
	other, err := Open(cfg)
	require.NoError(t, err)
	n, err := other.Shred(t.Context(), "pii", time.Now().Add(48*time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, other.Close())
	require.Empty(t, findings())
	held, _, err := lock(filepath.Join(tr.Dir(), lockName)) // it stays
	require.NoError(t, err)
	last, err := Open(cfg)
	require.NoError(t, err)
	pruned, err := last.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{other.Origin()}, pruned)
	require.NoError(t, last.Close())
	require.NoError(t, held.Close())
	require.Empty(t, findings())

	keys, err := filepath.Glob(filepath.Join(tr.Dir(), "keys", "*.default.age"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	key, err := os.ReadFile(keys[0])
	require.NoError(t, err)
	require.NoError(t, os.Remove(keys[0]))
	require.Len(t, findings(), 1)
	require.Equal(t, Removed, findings()[0].Kind)
	key[len(key)-1] ^= 1
	require.NoError(t, os.WriteFile(keys[0], key, 0o600))
	require.Len(t, findings(), 1)
	require.Equal(t, Altered, findings()[0].Kind)
}
