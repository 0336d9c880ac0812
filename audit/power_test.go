package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"database/sql/driver"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// powerFiles is a file system that loses its power: at the given operation it
// dies, and what was not synced survives in part, torn at sectors and in any
// order.
type powerFiles struct {
	mu     sync.Mutex
	left   int // operations until the power goes
	r      *rand.Rand
	files  map[string]*powerFile
	lie    func(op, path string) bool // a sync that only says so: the negative control
	mapped bool                       // segments are written in memory too
}

type powerFile struct {
	fs      *powerFiles
	path    string
	named   bool // its name is durable
	durable []byte
	pending []func([]byte) []byte // since the last sync, in order
	now     []byte
	mem     []byte // of a mapped file: now lies in it
	seen    []byte // of a mapped file: now, with what is in pending
}

var errPower = errors.New("no power")

// op counts an operation; false means that the power is gone.
func (p *powerFiles) op() bool {
	p.left--
	for _, f := range p.files {
		// The system writes what is stored in memory when it likes, and not any
		// more once the power is gone.
		if p.left == -1 || p.left >= 0 && p.r.Intn(4) == 0 {
			f.writeBack()
		}
	}
	return p.left >= 0
}

// writeBack has what was stored in memory since the last time under way.
func (f *powerFile) writeBack() {
	for at := 0; at < min(len(f.mem), len(f.now)); at += sector {
		end := min(at+sector, len(f.now))
		if bytes.Equal(f.now[at:end], f.seen[at:end]) {
			continue
		}
		part := bytes.Clone(f.now[at:end])
		copy(f.seen[at:], part)
		f.pending = append(f.pending, func(c []byte) []byte { return overwrite(c, part, int64(at)) })
	}
}

const sector = 512

func (p *powerFiles) mkdir(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.op() {
		return errPower
	}
	return os.Mkdir(path, 0o700) // for the lock file
}

func (p *powerFiles) create(path string, size int64) (file, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.op() {
		return nil, errPower
	}
	if p.files[path] != nil {
		return nil, fs.ErrExist
	}
	f := &powerFile{fs: p, path: path, now: make([]byte, size)}
	if p.mapped && size > 0 {
		// Of the system, with room to grow: what stores there does not wait for
		// what reads it, which is as with a file.
		mem, err := unix.Mmap(-1, 0, int(8*size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return nil, err
		}
		f.now, f.mem, f.seen = mem[:size], mem[:size], make([]byte, size)
	}
	f.pending = append(f.pending, func([]byte) []byte { return make([]byte, size) })
	p.files[path] = f
	return f, nil
}

func (p *powerFiles) syncDir(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.op() {
		return errPower
	}
	if p.lie != nil && p.lie("dir", path) {
		return nil
	}
	for name, f := range p.files {
		if filepath.Dir(name) == path {
			f.named = true
		}
	}
	return nil
}

func (f *powerFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	alive := f.fs.op()
	if !alive && f.fs.left < -1 {
		return 0, errPower // long dead
	}
	// The write during which the power goes is under way like the others.
	b = append([]byte(nil), b...)
	f.writeBack()
	for i := 0; i < len(b); {
		n := min(sector-int(off+int64(i))%sector, len(b)-i)
		part, at := b[i:i+n], off+int64(i)
		f.pending = append(f.pending, func(c []byte) []byte { return overwrite(c, part, at) })
		i += n
	}
	f.now = overwrite(f.now, b, off)
	if f.mem != nil && int(off) < len(f.seen) {
		copy(f.seen[off:], b)
	}
	if !alive {
		return 0, errPower
	}
	return len(b), nil
}

func overwrite(c, b []byte, off int64) []byte {
	if need := int(off) + len(b); need > len(c) {
		c = append(c, make([]byte, need-len(c))...)
	}
	copy(c[off:], b)
	return c
}

func (f *powerFile) sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.fs.op() {
		return errPower
	}
	if f.fs.lie != nil && f.fs.lie("file", f.path) {
		return nil
	}
	f.durable, f.pending = bytes.Clone(f.now), nil
	copy(f.seen, f.durable)
	return nil
}

func (f *powerFile) mapped() []byte         { return f.mem }
func (f *powerFile) forget(from, to int64)  {}
func (f *powerFile) uncache(from, to int64) {}
func (f *powerFile) truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.fs.op() {
		return errPower
	}
	f.now = f.now[:min(size, int64(len(f.now)))]
	n := len(f.now)
	f.pending = append(f.pending, func(c []byte) []byte { return c[:min(n, len(c))] })
	return nil
}

func (f *powerFile) intact(string, int64) error { return nil }
func (f *powerFile) Close() error               { return nil }

// survive writes to dir what a disk may hold after the cut.
func (p *powerFiles) survive(t *testing.T, from, dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	names, err := incarnations(from)
	require.NoError(t, err)
	for _, n := range names {
		require.NoError(t, os.Mkdir(filepath.Join(dir, n), 0o700))
	}
	for path, f := range p.files {
		if !f.named && p.r.Intn(2) == 0 {
			continue
		}
		content := append([]byte(nil), f.durable...)
		keep := p.r.Float64() // each cut with a mood of its own
		for _, w := range f.pending {
			if p.r.Float64() < keep {
				content = w(content)
			}
		}
		rel, err := filepath.Rel(from, path)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, rel)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, rel), content, 0o600))
	}
}

// powerCut runs writers until the power goes, starts again, and returns what is
// wrong then.
func powerCut(t *testing.T, seed int64, mapped bool, lie func(op, path string) bool) (problems []string) {
	r := rand.New(rand.NewSource(seed))
	p := &powerFiles{left: 3 + r.Intn(120), r: r, files: map[string]*powerFile{}, lie: lie, mapped: mapped}
	defer func() {
		for _, f := range p.files {
			if f.mem != nil {
				require.NoError(t, unix.Munmap(f.mem[:cap(f.mem)]))
			}
		}
	}()
	cfg := testConfig(t.TempDir())
	cfg.SyncEvery = time.Millisecond
	cfg.files = p
	acked := map[string]bool{}
	var ackedHeads heads
	var mu sync.Mutex
	if tr, err := Open(cfg); err == nil {
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("w%d-%d", w, i)
					// Long enough for lines to cross sectors and segments to fill.
					seq, err := tr.Append(&Record{Kind: KindIntent, Statement: id, SQL: &SQL{Text: strings.Repeat("select 1 ", 50)}})
					if err != nil || tr.Wait(context.Background(), seq, Synced) != nil {
						return
					}
					mu.Lock()
					acked["intent "+id] = true
					mu.Unlock()
					pay := tr.Payload(id, PayloadFull, []string{"c"})
					if pay.Row([]driver.Value{id}) != nil {
						return
					}
					out, err := pay.Close()
					if err != nil {
						return
					}
					seq, err = tr.Append(&Record{Kind: KindOutcome, Statement: id, Outcome: &Outcome{OK: true, Payload: out}})
					if err != nil {
						return
					}
					if i%2 == 0 {
						if tr.Wait(context.Background(), seq, Synced) != nil {
							return
						}
						mu.Lock()
						acked["outcome "+id] = true
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		tr.Close()
		tr.mu.Lock()
		if tr.syncedHead.Seq > 0 {
			ackedHeads = heads{tr.syncedHead}
		}
		tr.mu.Unlock()
	}
	after := t.TempDir()
	p.survive(t, cfg.Dir, after)

	ackedHeads = append(ackedHeads, *restart(t, after)...)
	found, recovered := map[string]bool{}, map[string]int{}
	require.NoError(t, eachRecord(after, func(dir string, rec *Record) {
		switch rec.Kind {
		case KindIntent, KindOutcome:
			found[string(rec.Kind)+" "+rec.Statement] = true
		case KindRecovered:
			recovered[rec.Statement]++
		}
	}))
	for a := range acked {
		if !found[a] {
			problems = append(problems, "acknowledged and lost: "+a)
		}
	}
	for f := range found {
		if id, ok := strings.CutPrefix(f, "intent "); ok && !found["outcome "+id] && recovered[id] != 1 {
			problems = append(problems, fmt.Sprintf("orphan %s marked %d times", id, recovered[id]))
		}
	}
	rep, err := Verify(t.Context(), []string{after}, VerifyOptions{Anchor: ackedHeads})
	require.NoError(t, err)
	for _, f := range rep.Findings {
		problems = append(problems, "false alarm: "+f.String())
	}
	if !rep.OK() {
		problems = append(problems, fmt.Sprintf("not OK: %+v", rep.Trails))
	}
	return problems
}

func TestPowerLoss(t *testing.T) {
	for seed := range rounds(30, 3000) {
		require.Empty(t, powerCut(t, int64(seed), seed%2 == 0, nil), "seed %d", seed)
	}
}

func TestPowerLossIsFoundWithoutASync(t *testing.T) {
	for name, lie := range map[string]func(op, path string) bool{
		"fdatasync of segments": func(op, path string) bool { return op == "file" && strings.HasSuffix(path, ".jsonl") },
		"fdatasync of chunks":   func(op, path string) bool { return op == "file" && strings.HasSuffix(path, ".zst") },
		"names of segments":     func(op, path string) bool { return op == "dir" && !strings.HasSuffix(path, "payload") },
		"names of chunks":       func(op, path string) bool { return op == "dir" && strings.HasSuffix(path, "payload") },
	} {
		for _, mapped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, mapped %t", name, mapped), func(t *testing.T) {
				for seed := range 200 {
					if len(powerCut(t, int64(seed), mapped, lie)) > 0 {
						return
					}
				}
				t.Fatal("200 power cuts without this sync, and nothing was found")
			})
		}
	}
}
