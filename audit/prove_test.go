package audit

import (
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProofsOfSingleRecords(t *testing.T) {
	e := makeEvidence(t, rand.New(rand.NewSource(9)), 20)
	trails, err := Trails(e.dir)
	require.NoError(t, err)
	d := readDraft(t, trails[0])
	last := uint64(len(d.lines))
	var proofs []*Proof
	for seq := uint64(1); seq < last; seq++ {
		p, err := Prove(trails[0], seq)
		require.NoError(t, err)
		require.Equal(t, d.lines[seq-1].text, p.Line)
		b, err := json.Marshal(p)
		require.NoError(t, err)
		var q Proof
		require.NoError(t, json.Unmarshal(b, &q))
		require.NoError(t, q.Check(p.Verifier), "record %d", seq)
		proofs = append(proofs, p)
	}
	_, err = Prove(trails[0], last)
	require.Error(t, err, "nothing covers the last seal")
	_, err = Prove(trails[0], 0)
	require.Error(t, err)

	p := proofs[4]
	for name, spoil := range map[string]func(q *Proof){
		"another record":     func(q *Proof) { q.Line = proofs[5].Line },
		"another number":     func(q *Proof) { q.Seq++ },
		"number nought":      func(q *Proof) { q.Seq = 0 },
		"another checkpoint": func(q *Proof) { q.Checkpoint = proofs[len(proofs)-1].Checkpoint },
		"no path":            func(q *Proof) { q.Path = nil },
		"a changed note":     func(q *Proof) { q.Checkpoint = q.Checkpoint[:20] + "x" + q.Checkpoint[21:] },
	} {
		q := *p
		spoil(&q)
		require.ErrorIs(t, q.Check(p.Verifier), ErrProof, name)
	}
	require.ErrorIs(t, p.Check(proofs[len(proofs)-1].Verifier), ErrProof)
}
