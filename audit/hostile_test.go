package audit

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// forge writes a trail of the attacker's own into dir, well formed, sealed with
// keys of his own and closed. It begins with the given heads.
func forge(t *testing.T, dir string, first []Head, records ...*Record) *Trail {
	t.Helper()
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	for _, r := range records {
		_, err := tr.Append(r)
		require.NoError(t, err)
	}
	require.NoError(t, tr.Close())
	d := readDraft(t, tr.Dir())
	r, err := ParseRecord(d.lines[0].text)
	require.NoError(t, err)
	r.Heads = first
	var enc encoder
	d.lines[0].text = enc.line(nil, r, 1, Hash{}, r.Time, r.Trail)
	resign(t, d, 0, newSigningKey())
	d.write(t)
	require.NoError(t, os.CopyFS(filepath.Join(dir, tr.id), os.DirFS(tr.Dir())))
	return tr
}

// flip changes a byte of the nth line of a trail.
func flip(t *testing.T, dir string, n int) {
	t.Helper()
	d := readDraft(t, dir)
	d.lines[n-1].text[30] ^= 1
	d.write(t)
}

func headOf(t *testing.T, dir string) Head {
	t.Helper()
	p, err := examine(dir)
	require.NoError(t, err)
	return p.head
}

// TestForgedTrailsExcuseNothing has an attacker without any key, who may write
// what he wants into the directory.
func TestForgedTrailsExcuseNothing(t *testing.T) {
	for name, attack := range map[string]func(t *testing.T, e evidence){
		"a tombstone of his own for what he altered": func(t *testing.T, e evidence) {
			names, err := incarnations(e.dir)
			require.NoError(t, err)
			dir := filepath.Join(e.dir, names[2])
			h := headOf(t, dir)
			flip(t, dir, 5)
			forge(t, e.dir, nil, &Record{Kind: KindTombstone, Heads: []Head{h}})
		},
		"a tombstone of his own for what he deleted": func(t *testing.T, e evidence) {
			names, err := incarnations(e.dir)
			require.NoError(t, err)
			dir := filepath.Join(e.dir, names[0])
			h := headOf(t, dir)
			require.NoError(t, os.RemoveAll(dir))
			forge(t, e.dir, nil, &Record{Kind: KindTombstone, Heads: []Head{h}})
		},
		"a tombstone in the altered trail, for itself": func(t *testing.T, e evidence) {
			names, err := incarnations(e.dir)
			require.NoError(t, err)
			d := readDraft(t, filepath.Join(e.dir, names[1]))
			var h hasher
			var enc encoder
			last := len(d.lines) - 1
			head, err := parseHead(d.lines[last].text)
			require.NoError(t, err)
			line := enc.line(nil, &Record{Kind: KindTombstone, Heads: []Head{headOf(t, d.dir)}}, head.seq+1, h.line(d.lines[last].text), time.Now(), names[1])
			d.lines = append(d.lines, draftLine{d.lines[last].seg, line})
			d.lines[3].text[30] ^= 1
			d.write(t)
		},
		"a tombstone after the last seal": func(t *testing.T, e evidence) {
			names, err := incarnations(e.dir)
			require.NoError(t, err)
			gone := filepath.Join(e.dir, names[0])
			h := headOf(t, gone)
			require.NoError(t, os.RemoveAll(gone))
			d := readDraft(t, filepath.Join(e.dir, names[2]))
			d.lines = d.lines[:len(d.lines)-2] // close and the last seal
			last := d.lines[len(d.lines)-1]
			head, err := parseHead(last.text)
			require.NoError(t, err)
			var hash hasher
			var enc encoder
			line := enc.line(nil, &Record{Kind: KindTombstone, Heads: []Head{h}}, head.seq+1, hash.line(last.text), time.Now(), names[2])
			d.lines = append(d.lines, draftLine{last.seg, line})
			d.write(t)
		},
		"another trail in place of all": func(t *testing.T, e evidence) {
			names, err := incarnations(e.dir)
			require.NoError(t, err)
			for _, n := range names {
				require.NoError(t, os.RemoveAll(filepath.Join(e.dir, n)))
			}
			tr := forge(t, e.dir, nil)
			d := readDraft(t, filepath.Join(e.dir, tr.id))
			d.lines[0].text = bytes.Replace(d.lines[0].text, []byte("guardedpg/"), []byte("other/"), 1)
			resign(t, d, 0, newSigningKey())
			d.write(t)
		},
		"a successor of his own for what he cut": func(t *testing.T, e evidence) {
			names, err := incarnations(e.dir)
			require.NoError(t, err)
			dir := filepath.Join(e.dir, names[2])
			d := readDraft(t, dir)
			for i := len(d.lines) - 3; ; i-- {
				if h, _ := parseHead(d.lines[i].text); h.kind == KindSeal {
					d.lines = d.lines[:i+1]
					break
				}
			}
			d.write(t)
			forge(t, e.dir, []Head{headOf(t, dir)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := makeEvidence(t, rand.New(rand.NewSource(1)), 30)
			attack(t, e)
			for _, opt := range []VerifyOptions{{Anchor: e.anchor}, {}} {
				rep, err := Verify(t.Context(), []string{e.dir}, opt)
				require.NoError(t, err)
				if opt.Anchor != nil || !strings.Contains(name, "in place of all") {
					require.False(t, rep.OK(), "%v\n%+v", rep.Findings, rep.Trails)
				}
			}
		})
	}
}

// TestChunksUnderTheLastSeal alters what a crashed trail delivered last.
func TestChunksUnderTheLastSeal(t *testing.T) {
	for _, lost := range []bool{false, true} {
		cfg := testConfig(t.TempDir())
		tr, err := Open(cfg)
		require.NoError(t, err)
		p := tr.Payload("s", PayloadFull, []string{"c"})
		require.NoError(t, p.Row([]driver.Value{"delivered"}))
		out, err := p.Close()
		require.NoError(t, err)
		seq, err := tr.Append(&Record{Kind: KindOutcome, Statement: "s", Outcome: &Outcome{Payload: out}})
		require.NoError(t, err)
		require.NoError(t, tr.Wait(t.Context(), seq, Synced))
		tr.crash()
		file := filepath.Join(tr.Dir(), "payload", "00000001.zst")
		alter := func() { require.NoError(t, os.WriteFile(file, []byte("nothing"), 0o600)) }
		if lost { // by the cut itself, before anybody looked
			alter()
		}
		anchor := restart(t, cfg.Dir)
		alter()
		rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: anchor})
		require.NoError(t, err)
		require.Equal(t, lost, rep.OK(), rep.Findings)
		if lost {
			require.Contains(t, strings.Join(rep.Trails[0].Unknown, "\n"), "was not known to be on disk")
		}
	}
}

// TestHostileDirectories has directories that want their reader to crash, to hang
// or to use up its memory. Nothing of them may be OK.
func TestHostileDirectories(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string, tr *Trail){
		"a segment that is a pipe": func(t *testing.T, dir string, _ *Trail) {
			require.NoError(t, os.Remove(segmentPath(dir, 1)))
			require.NoError(t, unix.Mkfifo(segmentPath(dir, 1), 0o600))
		},
		"a segment that is a link to what never ends": func(t *testing.T, dir string, _ *Trail) {
			require.NoError(t, os.Remove(segmentPath(dir, 1)))
			require.NoError(t, os.Symlink("/dev/zero", segmentPath(dir, 1)))
		},
		"a segment that is a directory": func(t *testing.T, dir string, _ *Trail) {
			require.NoError(t, os.Remove(segmentPath(dir, 1)))
			require.NoError(t, os.Mkdir(segmentPath(dir, 1), 0o700))
		},
		"a segment that claims terabytes": func(t *testing.T, dir string, _ *Trail) {
			flip(t, dir, 2)
			require.NoError(t, os.Truncate(segmentPath(dir, 1), 1<<42))
		},
		"a line with a hole": func(t *testing.T, dir string, _ *Trail) {
			f, err := os.OpenFile(segmentPath(dir, 1), os.O_RDWR, 0)
			require.NoError(t, err)
			defer f.Close()
			info, err := f.Stat()
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("}\n"), info.Size()+64<<20)
			require.NoError(t, err)
		},
		"a lock that is a pipe": func(t *testing.T, dir string, _ *Trail) {
			require.NoError(t, os.Remove(filepath.Join(dir, lockName)))
			require.NoError(t, unix.Mkfifo(filepath.Join(dir, lockName), 0o600))
			flip(t, dir, 2)
		},
		"millions of empty lines": func(t *testing.T, dir string, _ *Trail) {
			require.NoError(t, os.WriteFile(segmentPath(dir, 1), bytes.Repeat([]byte{'\n'}, 1<<20), 0o600))
		},
		"deep nesting": func(t *testing.T, dir string, tr *Trail) {
			line := fmt.Sprintf(`{"seq":1,"prev":"%s","time":"2026-01-01T00:00:00Z","kind":"open","trail":"%s","detail":%s1%s}`+"\n",
				Hash{}, tr.id, strings.Repeat(`{"a":`, 1<<20), strings.Repeat("}", 1<<20))
			require.NoError(t, os.WriteFile(segmentPath(dir, 1), []byte(line), 0o600))
		},
		"gaps of thousands, many times": func(t *testing.T, dir string, tr *Trail) {
			d := readDraft(t, dir)
			for i := range 200 {
				line := fmt.Sprintf(`{"seq":%d,"prev":"%s","time":"2026-01-01T00:00:00Z","kind":"x","trail":"%s"}`, (i+2)<<16-1, Hash{}, tr.id)
				d.lines = append(d.lines, draftLine{1, []byte(line)})
			}
			d.write(t)
		},
		"an end before the beginning": func(t *testing.T, dir string, tr *Trail) {
			h := headOf(t, dir)
			h.Tail = &Tail{Segment: 1, Offset: -7, Length: 1}
			forge(t, filepath.Dir(dir), []Head{h})
			h.Tail = &Tail{Segment: -1, Offset: 1 << 62, Length: 1}
			forge(t, filepath.Dir(dir), []Head{h})
		},
		"chunks of claimed size": func(t *testing.T, dir string, tr *Trail) {
			file := filepath.Join(dir, "payload", "00000001.zst")
			require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
			require.NoError(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
			sum := strings.Repeat("0", 64)
			refs := []string{"payload/00000001.zst:0+999999999999999999:" + sum, "payload/00000001.zst:999999999999999999+999999999999999999:" + sum,
				"payload/..:0+1:" + sum, "sealed/x:0+1:" + sum}
			for i := range 1000 { // over and over the same
				refs = append(refs, fmt.Sprintf("payload/00000001.zst:%d+%d:%s", i, 1<<20-i, sum))
			}
			forge2(t, dir, &Record{Kind: KindOutcome, Statement: "s", Outcome: &Outcome{Payload: &Payload{Mode: "full", Stored: 1 << 60, Bytes: 1 << 60, Chunks: refs}}})
		},
		"a key that is none": func(t *testing.T, dir string, _ *Trail) {
			d := readDraft(t, dir)
			d.lines[0].text = bytes.Replace(d.lines[0].text, []byte(`"key":"`), []byte(`"key":"AAAA`), 1)
			d.rechain(t, 1, nil)
			d.write(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			tr, err := Open(cfg)
			require.NoError(t, err)
			write(t, tr, rand.New(rand.NewSource(1)), 5)
			require.NoError(t, tr.Close())
			harm(t, tr.Dir(), tr)
			rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: heads{tr.currentHead()}})
			require.NoError(t, err)
			require.False(t, rep.OK(), "%+v", rep.Trails)
			for e, err := range Entries(t.Context(), cfg.Dir) {
				if err != nil {
					break
				}
				if o := e.Record.Outcome; o != nil && o.Payload != nil {
					_, err := ReadPayload(e.Dir, o.Payload)
					require.Error(t, err)
				}
			}
			for range 2 { // nor does it keep a new process from its work, for long
				next, err := Open(cfg)
				if err == nil {
					require.NoError(t, next.Close())
				}
			}
		})
	}
}

// forge2 adds a record to a trail whose keys the attacker holds.
func forge2(t *testing.T, dir string, r *Record) {
	t.Helper()
	d := readDraft(t, dir)
	var enc encoder
	r.Time, r.Trail = time.Now(), filepath.Base(dir)
	line := enc.line(nil, r, 2, Hash{}, r.Time, r.Trail)
	d.lines = append(d.lines[:1:1], append([]draftLine{{1, line}}, d.lines[1:]...)...)
	resign(t, d, 0, newSigningKey())
	d.write(t)
}

// TestTheSameTrailTwice verifies a copy beside the original.
func TestTheSameTrailTwice(t *testing.T) {
	e := makeEvidence(t, rand.New(rand.NewSource(1)), 10)
	rep, err := Verify(t.Context(), []string{e.dir, e.dir + "/."}, VerifyOptions{Anchor: e.anchor})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	rep, err = Verify(t.Context(), []string{e.dir, e.older}, VerifyOptions{Anchor: e.anchor})
	require.NoError(t, err)
	require.Equal(t, Duplicated, rep.Findings[0].Kind)
}

// TestVerifyWhileTrailsAreDeleted deletes by the rules while somebody looks.
func TestVerifyWhileTrailsAreDeleted(t *testing.T) {
	for seed := range rounds(4, 200) {
		e := makeEvidence(t, rand.New(rand.NewSource(int64(seed))), 20)
		cfg := testConfig(e.dir)
		a := &switchAnchor{kept: e.anchor}
		cfg.Anchor = a
		tr, err := Open(cfg)
		require.NoError(t, err)
		pruned := make(chan error, 1)
		go func() {
			_, err := tr.Prune(context.Background(), time.Now().Add(time.Hour))
			pruned <- err
		}()
		a.mu.Lock()
		kept := append(heads(nil), a.kept...)
		a.mu.Unlock()
		for range 5 {
			rep, err := Verify(t.Context(), []string{e.dir}, VerifyOptions{Anchor: kept})
			require.NoError(t, err)
			require.Empty(t, rep.Findings, "seed %d", seed)
		}
		require.NoError(t, <-pruned)
		require.NoError(t, tr.Close())
	}
}

// TestTheClockGoesBack has a successor whose name is older than its predecessor's.
func TestTheClockGoesBack(t *testing.T) {
	cfg := testConfig(t.TempDir())
	first, err := Open(cfg)
	require.NoError(t, err)
	write(t, first, rand.New(rand.NewSource(1)), 5)
	require.NoError(t, first.flush())
	first.crash()
	f, err := os.OpenFile(first.seg.path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(`{"torn`), first.seg.end)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	newIncarnation = func() string { return "20010101T000000.000000Z-00000000" }
	defer func() { newIncarnation = nameIncarnation }()
	anchor := restart(t, cfg.Dir)
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: anchor})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	code, out := python(t, cfg.Dir, *anchor)
	require.Equal(t, 0, code, out)
}

// TestAnErrorNamesTheFile has a trail that cannot begin because of another's file.
func TestAnErrorNamesTheFile(t *testing.T) {
	cfg := testConfig(t.TempDir())
	tr, err := Open(cfg)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	moved := segmentPath(tr.Dir(), 1)
	require.NoError(t, os.Rename(moved, moved+".x"))
	require.NoError(t, os.Symlink(moved+".x", moved))
	_, err = Open(cfg)
	require.ErrorIs(t, err, errNotPlain)
	require.ErrorContains(t, err, moved)
}
