package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rounds returns how often a random test repeats: few times in the ordinary
// run, and as often as the promise says under GUARDEDPG_NIGHTLY=1.
func rounds(ordinary, nightly int) int {
	if os.Getenv("GUARDEDPG_NIGHTLY") != "" {
		return nightly
	}
	return ordinary
}

// testConfig is a small, fast trail.
func testConfig(dir string) TrailConfig {
	return TrailConfig{Dir: dir, SegmentBytes: 16 << 10, SyncEvery: time.Hour, Heartbeat: time.Hour}
}

// crash ends t as a kill would: nothing is written any more, the lock is free.
func (t *Trail) crash() {
	t.failure.CompareAndSwap(nil, &TrailError{Class: ErrFailed, Op: "crash", Err: context.Canceled})
	t.Close()
}

// write appends n statements to t, syncing now and then.
func write(tb testing.TB, t *Trail, r *rand.Rand, n int) {
	tb.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", t.id, i)
		_, err := t.Append(&Record{Kind: KindIntent, Session: "c1", Statement: id, SQL: &SQL{Text: fmt.Sprintf("select %d, '%x'", i, r.Int63())}})
		require.NoError(tb, err)
		seq, err := t.Append(&Record{Kind: KindOutcome, Session: "c1", Statement: id, Outcome: &Outcome{OK: true, Rows: r.Int63n(9)}})
		require.NoError(tb, err)
		if r.Intn(5) == 0 {
			require.NoError(tb, t.Wait(context.Background(), seq, Synced))
		}
	}
}

// heads is an anchor in memory.
type heads []Head

func (h *heads) Anchor(_ context.Context, x Head) error {
	*h = append(*h, x)
	return nil
}

func (h heads) Heads(context.Context) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		for _, x := range h {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// restart opens a trail in dir and closes it, as a process does that starts after
// a crash and ends. It returns what an anchor saw of that.
func restart(tb testing.TB, dir string) *heads {
	tb.Helper()
	anchor := &heads{}
	cfg := testConfig(dir)
	cfg.Anchor = anchor
	t, err := Open(cfg)
	require.NoError(tb, err)
	require.NoError(tb, t.Close())
	return anchor
}

func (t *Trail) currentHead() Head {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Head{Origin: t.origin, Seq: t.seq, Hash: t.head, Key: t.genesis}
}

// evidence is a directory of trails as an auditor would meet it, with what an
// anchor saw of it, an older copy, and the keys at the time of that copy.
type evidence struct {
	dir, older string
	anchor     heads
	stolen     signingKey // the last trail's key, when the older copy was made
	last       string     // its incarnation
}

// makeEvidence writes three trails of some n statements each: one closed, one
// crashed, one closed.
func makeEvidence(tb testing.TB, r *rand.Rand, n int) evidence {
	e := evidence{dir: tb.TempDir(), older: tb.TempDir()}
	for i := range 3 {
		t, err := Open(testConfig(e.dir))
		require.NoError(tb, err)
		write(tb, t, r, n/2+r.Intn(n))
		require.NoError(tb, t.commit())
		e.anchor = append(e.anchor, t.currentHead())
		if i == 2 {
			require.NoError(tb, os.CopyFS(e.older, os.DirFS(e.dir)))
			e.stolen, e.last = *t.keys.current, t.id
			write(tb, t, r, n/2)
		}
		if i == 1 {
			require.NoError(tb, t.flush())
			t.crash()
		} else {
			require.NoError(tb, t.Close())
		}
		if i != 1 {
			e.anchor = append(e.anchor, t.currentHead())
		}
	}
	return e
}

// A draft is the lines of one trail, to be tampered with.
type draft struct {
	dir   string
	lines []draftLine
	tail  map[int][]byte // what stands after a segment's last line, zeros left out
}

type draftLine struct {
	seg  int
	text []byte
}

func readDraft(tb testing.TB, dir string) *draft {
	d := &draft{dir: dir, tail: map[int][]byte{}}
	numbers, err := segmentNumbers(dir)
	require.NoError(tb, err)
	for _, n := range numbers {
		data, err := os.ReadFile(filepath.Join(dir, segmentName(n)))
		require.NoError(tb, err)
		data = bytes.TrimRight(data, "\x00")
		for len(data) > 0 {
			i := bytes.IndexByte(data, '\n')
			require.GreaterOrEqual(tb, i, 0)
			d.lines = append(d.lines, draftLine{n, bytes.Clone(data[:i])})
			data = data[i+1:]
		}
	}
	return d
}

func (d *draft) write(tb testing.TB) {
	content := map[int][]byte{}
	for _, l := range d.lines {
		content[l.seg] = append(append(content[l.seg], l.text...), '\n')
	}
	for n, data := range content {
		require.NoError(tb, os.WriteFile(filepath.Join(d.dir, segmentName(n)), data, 0o600))
	}
	numbers, err := segmentNumbers(d.dir)
	require.NoError(tb, err)
	for _, n := range numbers {
		if content[n] == nil {
			require.NoError(tb, os.WriteFile(filepath.Join(d.dir, segmentName(n)), nil, 0o600))
		}
	}
}

// rechain gives every line from i on the number and the previous hash that make
// the chain close, and seals the roots that fit. sign, when not nil, signs.
func (d *draft) rechain(tb testing.TB, i int, sign func(c *checkpoint, s *Seal)) {
	var h hasher
	var enc encoder
	var tr tree
	for k := range d.lines {
		if k >= i {
			r, err := ParseRecord(d.lines[k].text)
			require.NoError(tb, err)
			head, err := parseHead(d.lines[k].text)
			require.NoError(tb, err)
			var prev Hash
			if k > 0 {
				prev = h.line(d.lines[k-1].text)
			}
			if r.Kind == KindSeal {
				r.Seal.Root = tr.root()
				if sign != nil {
					c := &checkpoint{string(originOf(d)), uint64(k), r.Seal.Root, prev, head.time, r.Seal.Next}
					sign(c, r.Seal)
				}
			}
			d.lines[k].text = enc.line(nil, r, uint64(k+1), prev, r.Time, r.Trail)
		}
		tr.add(h.line(d.lines[k].text))
	}
}

func originOf(d *draft) string {
	r, _ := ParseRecord(d.lines[0].text)
	return r.Detail["origin"]
}

// tampers are the ways to alter evidence. Each changes a copy in dir, and
// returns the seqs of which a finding must name one, or nil where none exists.
var tampers = map[string]func(tb testing.TB, r *rand.Rand, e evidence, dir string) (trail string, seqs []uint64){
	"bit flip": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		k := r.Intn(len(d.lines))
		l := d.lines[k].text
		l = append(l, '\n')
		l[r.Intn(len(l))] ^= 1 << r.Intn(8)
		// Written by hand: the flipped newline must not come back.
		var content []byte
		for i, x := range d.lines {
			if x.seg != d.lines[k].seg {
				continue
			}
			if i == k {
				content = append(content, l...)
			} else {
				content = append(append(content, x.text...), '\n')
			}
		}
		require.NoError(tb, os.WriteFile(filepath.Join(d.dir, segmentName(d.lines[k].seg)), content, 0o600))
		return d.dir, []uint64{uint64(k + 1)}
	},
	"deletion": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		k := r.Intn(len(d.lines))
		d.lines = slices.Delete(d.lines, k, k+1)
		d.write(tb)
		return d.dir, []uint64{uint64(k + 1)}
	},
	"swap": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		i := r.Intn(len(d.lines) - 1)
		k := i + 1 + r.Intn(min(5, len(d.lines)-i-1))
		d.lines[i].text, d.lines[k].text = d.lines[k].text, d.lines[i].text
		d.write(tb)
		return d.dir, []uint64{uint64(i + 1), uint64(k + 1)}
	},
	"duplication": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		i := r.Intn(len(d.lines))
		k := i + 1 + r.Intn(len(d.lines)-i)
		d.lines = slices.Insert(d.lines, k, draftLine{d.lines[k-1].seg, bytes.Clone(d.lines[i].text)})
		d.write(tb)
		return d.dir, []uint64{uint64(i + 1)}
	},
	"truncation at a byte": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		k := r.Intn(len(d.lines))
		seg := d.lines[k].seg
		off := int64(r.Intn(len(d.lines[k].text) + 1))
		for i := range k {
			if d.lines[i].seg == seg {
				off += int64(len(d.lines[i].text) + 1)
			}
		}
		require.NoError(tb, os.Truncate(filepath.Join(d.dir, segmentName(seg)), off))
		numbers, err := segmentNumbers(d.dir)
		require.NoError(tb, err)
		for _, n := range numbers {
			if n > seg {
				require.NoError(tb, os.Remove(filepath.Join(d.dir, segmentName(n))))
			}
		}
		return d.dir, []uint64{uint64(k + 1)}
	},
	"truncation at a seal": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		var seals []int
		for i, l := range d.lines[:len(d.lines)-1] {
			if h, _ := parseHead(l.text); h.kind == KindSeal {
				seals = append(seals, i)
			}
		}
		k := seals[r.Intn(len(seals))]
		d.lines = d.lines[:k+1]
		d.write(tb)
		return d.dir, []uint64{uint64(k + 2)}
	},
	"segment removal": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		seg := d.lines[r.Intn(len(d.lines))].seg
		require.NoError(tb, os.Remove(filepath.Join(d.dir, segmentName(seg))))
		for i, l := range d.lines {
			if l.seg == seg {
				return d.dir, []uint64{uint64(i + 1)}
			}
		}
		panic("unreachable")
	},
	"trail removal": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		names, err := incarnations(dir)
		require.NoError(tb, err)
		require.NoError(tb, os.RemoveAll(filepath.Join(dir, names[r.Intn(len(names))])))
		return "", nil
	},
	"replay of an older copy": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		require.NoError(tb, os.RemoveAll(dir))
		require.NoError(tb, os.CopyFS(dir, os.DirFS(e.older)))
		return "", nil
	},
	"key swap": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		// The whole trail again, with keys of the attacker's own.
		d := pick(tb, r, dir)
		k := r.Intn(len(d.lines))
		edit(tb, r, d, k)
		resign(tb, d, 0, newSigningKey())
		d.write(tb)
		return d.dir, []uint64{1}
	},
	"edit and re-chain": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		d := pick(tb, r, dir)
		k := r.Intn(len(d.lines))
		edit(tb, r, d, k)
		d.rechain(tb, k, nil)
		d.write(tb)
		return d.dir, []uint64{uint64(k + 1)}
	},
	"re-seal with the stolen current key": func(tb testing.TB, r *rand.Rand, e evidence, dir string) (string, []uint64) {
		// Whoever took the process over when the older copy was made edits
		// what was sealed by then, and signs all seals from there.
		require.NoError(tb, os.RemoveAll(dir))
		require.NoError(tb, os.CopyFS(dir, os.DirFS(e.older)))
		d := readDraft(tb, filepath.Join(dir, e.last))
		sealed := 0
		for i, l := range d.lines {
			if h, _ := parseHead(l.text); h.kind == KindSeal {
				sealed = i
			}
		}
		k := r.Intn(sealed)
		edit(tb, r, d, k)
		stolen := e.stolen
		resign(tb, d, k, &stolen)
		d.write(tb)
		return d.dir, []uint64{uint64(k + 1)}
	},
}

// edit changes something that a record says.
func edit(tb testing.TB, r *rand.Rand, d *draft, k int) {
	rec, err := ParseRecord(d.lines[k].text)
	require.NoError(tb, err)
	h, err := parseHead(d.lines[k].text)
	require.NoError(tb, err)
	rec.Time = rec.Time.Add(time.Duration(1 + r.Intn(1000)))
	if rec.SQL != nil {
		rec.SQL.Text = "select 'nothing to see here'"
	}
	var enc encoder
	d.lines[k].text = enc.line(nil, rec, rec.Seq, h.prev, rec.Time, rec.Trail)
}

// resign re-chains from line k on and signs every seal there with a chain of
// keys that begins with key.
func resign(tb testing.TB, d *draft, k int, key *signingKey) {
	if k == 0 {
		rec, err := ParseRecord(d.lines[0].text)
		require.NoError(tb, err)
		rec.Detail = maps.Clone(rec.Detail)
		rec.Detail["key"] = base64.StdEncoding.EncodeToString(key.public[:])
		var enc encoder
		d.lines[0].text = enc.line(nil, rec, 1, Hash{}, rec.Time, rec.Trail)
	}
	d.rechain(tb, k, func(c *checkpoint, s *Seal) {
		next := newSigningKey()
		if len(c.next) > 0 {
			c.next, s.Next = next.public[:], next.public[:]
		}
		s.Sig = key.sign(c.append(nil))
		key = next
	})
}

func pick(tb testing.TB, r *rand.Rand, dir string) *draft {
	names, err := incarnations(dir)
	require.NoError(tb, err)
	return readDraft(tb, filepath.Join(dir, names[r.Intn(len(names))]))
}

func TestTampering(t *testing.T) {
	n := rounds(3, 1000)
	e := makeEvidence(t, rand.New(rand.NewSource(1)), 60)
	for name, tamper := range tampers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range n {
				r := rand.New(rand.NewSource(int64(seed)))
				dir := filepath.Join(t.TempDir(), "d"+strconv.Itoa(seed))
				require.NoError(t, os.CopyFS(dir, os.DirFS(e.dir)))
				trail, seqs := tamper(t, r, e, dir)
				rep, err := Verify(t.Context(), []string{dir}, VerifyOptions{Anchor: e.anchor})
				require.NoError(t, err, "seed %d", seed)
				require.NotEmpty(t, rep.Findings, "seed %d: %s %v", seed, trail, seqs)
				require.False(t, rep.OK())
				if len(seqs) > 0 {
					require.True(t, names(rep, filepath.Base(trail), seqs), "seed %d: no finding names any of %v in %s: %v", seed, seqs, trail, rep.Findings)
				}
				// Without an anchor there may be nothing wrong to see, but
				// then the report must not say that all is well.
				rep, err = Verify(t.Context(), []string{dir}, VerifyOptions{})
				require.NoError(t, err)
				if name != "trail removal" && name != "replay of an older copy" && name != "key swap" {
					require.False(t, rep.OK(), "without anchor, seed %d: %v", seed, rep.Findings)
				}
				os.RemoveAll(dir)
			}
		})
	}
}

func names(rep *Report, trail string, seqs []uint64) bool {
	for _, f := range rep.Findings {
		for _, q := range seqs {
			if incarnationOf(f.Trail) == trail && f.First <= q && (q <= f.Last || f.Last == 0) {
				return true
			}
		}
	}
	return false
}

func TestCleanTrailsAreOK(t *testing.T) {
	for seed := range rounds(4, 1000/3+1) {
		e := makeEvidence(t, rand.New(rand.NewSource(int64(seed))), 60)
		for _, opt := range []VerifyOptions{{Anchor: e.anchor}, {}} {
			rep, err := Verify(t.Context(), []string{e.dir}, opt)
			require.NoError(t, err)
			require.Empty(t, rep.Findings, "seed %d", seed)
			require.Equal(t, opt.Anchor != nil, rep.OK(), "a crash, and nobody who saw its end: %+v", rep.Trails)
			require.Len(t, rep.Trails, 3)
			require.Equal(t, []End{EndClosed, EndSucceeded, EndClosed}, []End{rep.Trails[0].End, rep.Trails[1].End, rep.Trails[2].End})
		}
	}
}

// eachRecord calls visit for each record of the trails in dir.
func eachRecord(dir string, visit func(trail string, r *Record)) error {
	for e, err := range Entries(context.Background(), dir) {
		if err != nil {
			return err
		}
		visit(e.Dir, e.Record)
	}
	return nil
}
