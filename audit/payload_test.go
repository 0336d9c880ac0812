package audit

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
)

func randomRow(r *rand.Rand) []driver.Value {
	b := make([]byte, r.Intn(40))
	r.Read(b)
	return []driver.Value{r.Int63(), r.NormFloat64(), r.Intn(2) == 0, fmt.Sprintf("name-%x", b), b, nil,
		time.Unix(r.Int63n(1e10), r.Int63n(1e9)).In(time.FixedZone("", 3600*(r.Intn(24)-12))), ""}
}

var payloadColumns = []string{"i", "d", "b", "s", "bytes", "null", "at", "empty"}

func TestPayloadRoundTrip(t *testing.T) {
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	r := rand.New(rand.NewSource(1))
	for _, n := range []int{0, 1, 3, 20_000} {
		p := tr.Payload("s", PayloadFull, payloadColumns)
		q := tr.Payload("s", PayloadDigest, payloadColumns)
		var rows [][]driver.Value
		for range n {
			row := randomRow(r)
			rows = append(rows, row)
			require.NoError(t, p.Row(row))
			require.NoError(t, q.Row(row))
		}
		full, err := p.Close()
		require.NoError(t, err)
		digest, err := q.Close()
		require.NoError(t, err)
		require.Equal(t, full.Digest, digest.Digest)
		require.Equal(t, int64(n), full.Rows)
		require.Equal(t, full.Bytes, full.Stored)
		require.Empty(t, digest.Chunks)
		seq, err := tr.Append(&Record{Kind: KindOutcome, Outcome: &Outcome{OK: true, Payload: full}})
		require.NoError(t, err)
		require.NoError(t, tr.Wait(t.Context(), seq, Written))
		d, err := ReadPayload(tr.Dir(), full)
		require.NoError(t, err)
		require.Equal(t, payloadColumns, d.Columns)
		require.Len(t, d.Rows, n)
		for i := range rows {
			for k := range rows[i] {
				if at, ok := rows[i][k].(time.Time); ok {
					require.True(t, at.Equal(d.Rows[i][k].(time.Time)))
				} else if b, ok := rows[i][k].([]byte); ok {
					require.True(t, bytes.Equal(b, d.Rows[i][k].([]byte)))
				} else {
					require.Equal(t, rows[i][k], d.Rows[i][k])
				}
			}
		}
	}
	require.NoError(t, tr.Close())
	rep, err := Verify(t.Context(), []string{tr.Dir()}, VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, rep.Findings)

	// One flipped bit in a chunk.
	file := filepath.Join(tr.Dir(), "payload", "00000001.zst")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	b[len(b)/2] ^= 4
	require.NoError(t, os.WriteFile(file, b, 0o600))
	rep, err = Verify(t.Context(), []string{tr.Dir()}, VerifyOptions{})
	require.NoError(t, err)
	require.Len(t, rep.Findings, 1)
	require.Equal(t, Altered, rep.Findings[0].Kind)
	require.NoError(t, os.Remove(file))
	rep, err = Verify(t.Context(), []string{tr.Dir()}, VerifyOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, rep.Findings)
	require.Equal(t, Removed, rep.Findings[0].Kind)
}

// TestAddedToChunks adds to the files that records refer to, and adds files.
func TestAddedToChunks(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	write := func() (crashed, closed string) {
		cfg := testConfig(t.TempDir())
		cfg.Recipients = []string{id.Recipient().String()}
		tr, err := Open(cfg)
		require.NoError(t, err)
		p := tr.Payload("s", PayloadFull, []string{"x"})
		require.NoError(t, p.Row([]driver.Value{"delivered"}))
		kept, err := p.Close()
		require.NoError(t, err)
		sealed, err := tr.Sealer().Seal("s", "", []byte("jane@x.test"))
		require.NoError(t, err)
		seq, err := tr.Append(&Record{Kind: KindOutcome, Statement: "s", Outcome: &Outcome{OK: true, Payload: kept}, SQL: &SQL{Sealed: sealed}})
		require.NoError(t, err)
		require.NoError(t, tr.Wait(t.Context(), seq, Synced))
		rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
		require.NoError(t, err)
		require.Empty(t, rep.Findings, "while it runs")
		crashed = filepath.Join(t.TempDir(), tr.id)
		require.NoError(t, os.CopyFS(crashed, os.DirFS(tr.Dir())))
		require.NoError(t, tr.Close())
		return crashed, tr.Dir()
	}
	crashed, closed := write()
	for _, dir := range []string{crashed, closed} {
		verify := func() (unknown, extended []string) {
			rep, err := Verify(t.Context(), []string{dir}, VerifyOptions{})
			require.NoError(t, err)
			for _, f := range rep.Findings {
				require.Equal(t, Extended, f.Kind)
				extended = append(extended, f.Text)
			}
			return rep.Trails[0].Unknown, extended
		}
		unknown, extended := verify()
		clean := len(unknown)
		require.Empty(t, extended)
		files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		require.NoError(t, err)
		require.Len(t, files, 3)
		for _, file := range append(files, filepath.Join(dir, "payload", "00000002.zst"), filepath.Join(dir, "keys", "another.age")) {
			before, err := os.ReadFile(file)
			there := err == nil
			require.NoError(t, os.WriteFile(file, append(bytes.Clone(before), compress().EncodeAll([]byte("never delivered"), nil)...), 0o600))
			rel, err := filepath.Rel(dir, file)
			require.NoError(t, err)
			unknown, extended := verify()
			if there && filepath.Dir(rel) == "keys" {
				require.Len(t, extended, 1, rel)
				require.Contains(t, extended[0], rel)
			} else {
				require.Empty(t, extended, rel)
				require.Len(t, unknown, clean+1, rel)
				require.Contains(t, strings.Join(unknown, "\n"), rel)
			}
			if there {
				require.NoError(t, os.WriteFile(file, before, 0o600))
			} else {
				require.NoError(t, os.Remove(file))
			}
		}
	}
}

func TestPayloadBeyondItsLimit(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.PayloadLimit = 1 << 20
	tr, err := Open(cfg)
	require.NoError(t, err)
	defer tr.Close()
	p := tr.Payload("s", PayloadFull, []string{"x"})
	q := tr.Payload("s", PayloadDigest, []string{"x"})
	row := []driver.Value{string(bytes.Repeat([]byte("x"), 1000))}
	for range 3000 {
		require.NoError(t, p.Row(row))
		require.NoError(t, q.Row(row))
	}
	full, err := p.Close()
	require.NoError(t, err)
	digest, err := q.Close()
	require.NoError(t, err)
	require.Equal(t, digest.Digest, full.Digest)
	require.Less(t, full.Stored, int64(1<<20)+1)
	require.Greater(t, full.Stored, int64(1<<20)-2*payloadChunk)
	require.Greater(t, full.Bytes, int64(3_000_000))
	require.NoError(t, tr.flush())
	d, err := ReadPayload(tr.Dir(), full)
	require.NoError(t, err)
	require.Greater(t, len(d.Rows), 500)
	require.Less(t, len(d.Rows), 1100)
}

// Where there is no room for the rest, the record tells of what is kept, and has
// the digest of all.
func TestPayloadWithoutRoom(t *testing.T) {
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	defer tr.Close()
	row := []driver.Value{strings.Repeat("x", payloadChunk)}
	full, digest := tr.Payload("s", PayloadFull, []string{"c"}), tr.Payload("s", PayloadDigest, []string{"c"})
	for range 2 {
		require.NoError(t, full.Row(row))
		require.NoError(t, digest.Row(row))
	}
	full.(*payload).back <- <-full.(*payload).back // the worker is done with the first
	noRoom := errors.New("no room")
	tr.full.Store(&noRoom)
	require.NoError(t, full.Row(row))
	require.NoError(t, digest.Row(row))
	got, err := full.Close()
	require.ErrorIs(t, err, noRoom)
	want, err := digest.Close()
	require.NoError(t, err)
	require.Equal(t, want.Digest, got.Digest)
	require.Equal(t, int64(3), got.Rows)
	require.NotEmpty(t, got.Chunks)
	require.Less(t, got.Stored, got.Bytes)
	tr.full.Store(nil)
}

func TestPayloadRefusesAnUnknownType(t *testing.T) {
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	defer tr.Close()
	p := tr.Payload("s", PayloadDigest, []string{"x"})
	require.Error(t, p.Row([]driver.Value{struct{}{}}))
	_, err = p.Close()
	require.Error(t, err)
}

func TestSealedOriginals(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	cfg := testConfig(t.TempDir())
	cfg.Recipients = []string{id.Recipient().String()}
	tr, err := Open(cfg)
	require.NoError(t, err)
	s := tr.Sealer()
	w := s.Originals("st1", "")
	const n = 40_000
	for i := range n {
		require.NoError(t, w.Value(int64(i), i%8, fmt.Appendf(nil, "jane%d@x.test", i)))
	}
	ref, err := w.Close()
	require.NoError(t, err)
	text, err := s.Seal("st1", "pii", []byte("select 'secret'"))
	require.NoError(t, err)
	seq, err := tr.Append(&Record{Kind: KindMask, Statement: "st1", SQL: &SQL{Sealed: text}, Masks: []Mask{{Column: "email", Sealed: ref}}})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, Synced))

	plain, err := OpenSealed(tr.Dir(), ref, "st1", id)
	require.NoError(t, err)
	list, err := ParseOriginals(plain)
	require.NoError(t, err)
	require.Len(t, list, n)
	require.Equal(t, Original{4711, 4711 % 8, []byte("jane4711@x.test")}, list[4711])
	plain, err = OpenSealed(tr.Dir(), text, "st1", id)
	require.NoError(t, err)
	require.Equal(t, "select 'secret'", string(plain))

	_, err = OpenSealed(tr.Dir(), text, "st1", other)
	require.ErrorAs(t, err, new(*age.NoIdentityMatchError))
	_, err = OpenSealed(tr.Dir(), text, "st2", id)
	require.Error(t, err, "a chunk belongs to its statement")

	// Nothing of it in clear, anywhere.
	require.NoError(t, filepath.WalkDir(tr.Dir(), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(b), "secret'")
			require.NotContains(t, string(b), "@x.test")
		}
		return err
	}))

	require.NoError(t, tr.Close())
	shredded, err := filepath.Glob(filepath.Join(tr.Dir(), "keys", "*.pii.age"))
	require.NoError(t, err)
	require.Len(t, shredded, 1)
	require.NoError(t, os.Remove(shredded[0]))
	_, err = OpenSealed(tr.Dir(), text, "st1", id)
	require.ErrorIs(t, err, ErrShredded)
	_, err = OpenSealed(tr.Dir(), ref, "st1", id)
	require.NoError(t, err)
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.Len(t, rep.Findings, 1, "nobody recorded that it was shredded")
	require.Equal(t, Removed, rep.Findings[0].Kind)
}

func TestSealerNeedsRecipients(t *testing.T) {
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	defer tr.Close()
	require.Nil(t, tr.Sealer())
	cfg := testConfig(t.TempDir())
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	cfg.Recipients = []string{id.String()}
	_, err = Open(cfg)
	require.ErrorIs(t, err, ErrConfig)
	require.NotContains(t, err.Error(), id.String())
}

func FuzzParsePayload(f *testing.F) {
	f.Add([]byte(payloadHead + "\x00\x00\x00\x01\x00\x00\x00\x01aRi12345678Rn"))
	f.Add([]byte(payloadHead + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) { parsePayload(b) })
}

func FuzzParseOriginals(f *testing.F) {
	f.Add([]byte{0, 1, 2, 'a', 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseOriginals(b)
		if err == nil {
			for _, o := range list {
				require.GreaterOrEqual(t, o.Row, int64(0))
				require.GreaterOrEqual(t, o.Column, 0)
			}
		}
	})
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte(`{"seq":1,"prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","time":"2026-11-23T02:47:13Z","kind":"intent","trail":"x","session":"a\"b","statement":"s","sql":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHead(b)
		if err == nil {
			require.NotZero(t, h.seq)
		}
		parseChunkRef(string(b))
		ParseRecord(b)
	})
}
