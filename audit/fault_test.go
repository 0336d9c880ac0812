package audit

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
)

// faultFiles is the real file system with hooks in front. A nil hook does
// nothing.
type faultFiles struct {
	mkdir0  func(path string)
	create0 func(path string) error
	write   func(path string) error
	sync    func(path string) error
}

func (f *faultFiles) mkdir(path string) error {
	if f.mkdir0 != nil {
		f.mkdir0(path)
	}
	return osFiles{}.mkdir(path)
}
func (f *faultFiles) syncDir(path string) error { return osFiles{}.syncDir(path) }
func (f *faultFiles) create(path string, size int64) (file, error) {
	if f.create0 != nil {
		if err := f.create0(path); err != nil {
			return nil, err
		}
	}
	inner, err := osFiles{}.create(path, size)
	return &faultFile{f, path, inner}, err
}

type faultFile struct {
	fs    *faultFiles
	path  string
	inner file
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	if f.fs.write != nil {
		if err := f.fs.write(f.path); err != nil {
			return 0, err
		}
	}
	return f.inner.WriteAt(b, off)
}

func (f *faultFile) sync() error {
	if f.fs.sync != nil {
		if err := f.fs.sync(f.path); err != nil {
			return err
		}
	}
	return f.inner.sync()
}

func (f *faultFile) mapped() []byte                       { return nil }
func (f *faultFile) forget(from, to int64)                {}
func (f *faultFile) uncache(from, to int64)               {}
func (f *faultFile) truncate(size int64) error            { return f.inner.truncate(size) }
func (f *faultFile) intact(path string, size int64) error { return f.inner.intact(path, size) }
func (f *faultFile) Close() error                         { return f.inner.Close() }

// TestTheDirectoryHasADurableName makes the directories above the trail too.
func TestTheDirectoryHasADurableName(t *testing.T) {
	var made []string
	top := t.TempDir()
	cfg := testConfig(filepath.Join(top, "a", "b"))
	cfg.files = &faultFiles{mkdir0: func(path string) { made = append(made, path) }}
	tr, err := Open(cfg)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(top, "a"), cfg.Dir, tr.Dir()}, made)
	require.NoError(t, tr.Close())
}

func intent(i int) *Record {
	return &Record{Kind: KindIntent, Statement: fmt.Sprint("s", i), SQL: &SQL{Text: "select 1"}}
}

func TestSyncErrorIsFinal(t *testing.T) {
	var bad atomic.Bool
	cfg := testConfig(t.TempDir())
	cfg.files = &faultFiles{sync: func(string) error {
		if bad.Load() {
			return syscall.EIO
		}
		return nil
	}}
	tr, err := Open(cfg)
	require.NoError(t, err)
	safe, err := tr.Append(intent(1))
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), safe, Synced))
	bad.Store(true)
	seq, err := tr.Append(intent(2))
	require.NoError(t, err)
	err = tr.Wait(t.Context(), seq, Synced)
	require.ErrorIs(t, err, ErrFailed)
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorContains(t, err, "fdatasync 00000001.jsonl")
	// The disk is well again, and still: what the kernel dropped is dropped.
	bad.Store(false)
	_, err = tr.Append(intent(3))
	require.ErrorIs(t, err, ErrFailed)
	require.ErrorIs(t, tr.Wait(t.Context(), seq, Synced), ErrFailed)
	require.NoError(t, tr.Wait(t.Context(), safe, Synced), "what was safe stays so")
	require.ErrorIs(t, tr.Close(), ErrFailed)
}

func TestWriteErrorWakesEverybody(t *testing.T) {
	gate := make(chan struct{})
	var armed atomic.Bool
	cfg := testConfig(t.TempDir())
	cfg.files = &faultFiles{write: func(string) error {
		if armed.Load() {
			<-gate
			return syscall.EIO
		}
		return nil
	}}
	tr, err := Open(cfg)
	require.NoError(t, err)
	armed.Store(true)
	var wg sync.WaitGroup
	for i := range 16 {
		seq, err := tr.Append(intent(i))
		require.NoError(t, err)
		wg.Go(func() {
			if err := tr.Wait(context.Background(), seq, Durability(i%2)); !errors.Is(err, ErrFailed) {
				t.Error(err)
			}
		})
	}
	close(gate)
	wg.Wait()
	require.ErrorIs(t, tr.Close(), ErrFailed)
}

func TestHungDisk(t *testing.T) {
	gate := make(chan struct{})
	var armed atomic.Bool
	cfg := testConfig(t.TempDir())
	cfg.Stall, cfg.Backlog = 50*time.Millisecond, 64<<10
	cfg.SegmentBytes = 1 << 20
	cfg.files = &faultFiles{write: func(string) error {
		if armed.Load() {
			<-gate
		}
		return nil
	}}
	tr, err := Open(cfg)
	require.NoError(t, err)
	armed.Store(true)
	seq, err := tr.Append(intent(1))
	require.NoError(t, err)
	require.ErrorIs(t, tr.Wait(t.Context(), seq, Written), ErrBusy)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	require.ErrorIs(t, tr.Wait(ctx, seq, Written), enough)
	// Append never waits; when memory is used up it refuses.
	refused := false
	for i := 0; i < 10_000 && !refused; i++ {
		_, err := tr.Append(intent(i))
		if err != nil {
			require.ErrorIs(t, err, ErrBusy)
			refused = true
		}
	}
	require.True(t, refused)
	close(gate)
	require.NoError(t, tr.Wait(t.Context(), seq, Synced), "it goes on when the disk is back")
	_, err = tr.Append(intent(0))
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
}

func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	var refusals atomic.Int64
	cfg := testConfig(t.TempDir())
	cfg.files = &faultFiles{create0: func(string) error {
		if full.Load() {
			refusals.Add(1)
			return syscall.ENOSPC
		}
		return nil
	}}
	tr, err := Open(cfg)
	require.NoError(t, err)
	full.Store(true)
	taken, last := 0, uint64(0)
	for {
		seq, err := tr.Append(intent(taken))
		if err != nil {
			require.ErrorIs(t, err, ErrBusy)
			require.ErrorIs(t, err, syscall.ENOSPC)
			break
		}
		taken, last = taken+1, seq
		require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	}
	require.Greater(t, taken, 10)
	require.NoError(t, tr.Wait(t.Context(), last, Synced), "what was taken is safe")
	// Room again: the trail finds it by itself.
	full.Store(false)
	require.Eventually(t, func() bool {
		_, err := tr.Append(intent(taken))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, tr.Close())
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	require.Equal(t, 2, rep.Trails[0].Segments)
}

// TestNoRoomAtEveryWrite has the disk full at the nth write or new file, for a few
// of them. Whoever waits is told, nothing that was acknowledged is lost, and it
// goes on when there is room.
func TestNoRoomAtEveryWrite(t *testing.T) {
	for n := range rounds(16, 200) {
		var ops atomic.Int64
		full := func(string) error {
			if k := ops.Add(1) - int64(n) - 2; k >= 0 && k < 3 {
				return syscall.ENOSPC
			}
			return nil
		}
		cfg := testConfig(t.TempDir())
		cfg.SegmentBytes, cfg.SyncEvery = 64<<10, time.Millisecond
		tr, err := Open(cfg)
		require.NoError(t, err)
		tr.io.Lock()
		tr.cfg.files = &faultFiles{create0: full, write: full}
		tr.seg.f = &faultFile{tr.cfg.files.(*faultFiles), tr.seg.path, tr.seg.f}
		tr.io.Unlock()
		acked := map[string]bool{}
		for i := 0; len(acked) < 20; i++ {
			id := fmt.Sprint("s", i)
			p := tr.Payload(id, PayloadFull, []string{"c"})
			err := p.Row([]driver.Value{id})
			require.NoError(t, err)
			out, err := p.Close()
			var seq uint64
			if err == nil {
				seq, err = tr.Append(&Record{Kind: KindOutcome, Statement: id, Outcome: &Outcome{Payload: out}})
			}
			if err == nil {
				err = tr.Wait(t.Context(), seq, Durability(i%2))
			}
			if err == nil {
				acked[id] = true
				continue
			}
			require.ErrorIs(t, err, ErrBusy)
			require.ErrorIs(t, err, syscall.ENOSPC)
			kick(tr.writeC) // as the watcher does in a moment
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, tr.Close())
		require.NoError(t, eachRecord(cfg.Dir, func(_ string, r *Record) { delete(acked, r.Statement) }))
		require.Empty(t, acked, "n %d", n)
		rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
		require.NoError(t, err)
		require.True(t, rep.OK(), "n %d: %v", n, rep.Findings)
	}
}

func TestFilesTakenAwayAreNoticed(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, tr *Trail){
		"segment removed": func(t *testing.T, tr *Trail) { require.NoError(t, os.Remove(tr.seg.path)) },
		"segment replaced": func(t *testing.T, tr *Trail) {
			b, err := os.ReadFile(tr.seg.path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(tr.seg.path+".new", b, 0o600))
			require.NoError(t, os.Rename(tr.seg.path+".new", tr.seg.path))
		},
		"segment cut": func(t *testing.T, tr *Trail) { require.NoError(t, os.Truncate(tr.seg.path, 100)) },
		"segment cut and written behind": func(t *testing.T, tr *Trail) {
			require.NoError(t, os.Truncate(tr.seg.path, 100))
			_, err := tr.seg.f.WriteAt([]byte{0}, tr.cfg.SegmentBytes*3/4)
			require.NoError(t, err)
		},
		"directory moved away": func(t *testing.T, tr *Trail) { require.NoError(t, os.Rename(tr.dir, tr.dir+".old")) },
		"lock removed":         func(t *testing.T, tr *Trail) { require.NoError(t, os.Remove(filepath.Join(tr.dir, lockName))) },
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := Open(testConfig(t.TempDir()))
			require.NoError(t, err)
			seq, err := tr.Append(intent(1))
			require.NoError(t, err)
			require.NoError(t, tr.Wait(t.Context(), seq, Synced))
			harm(t, tr)
			require.Eventually(t, func() bool {
				_, err := tr.Append(intent(2))
				return errors.Is(err, ErrFailed) && errors.Is(err, errReplaced)
			}, 10*time.Second, 10*time.Millisecond)
			require.Error(t, tr.Close())
		})
	}
	require.Less(t, 2*watchEvery, time.Second)
}

// TestNoKeyWithoutARecord has sealing refused: no key is kept that nothing names.
func TestNoKeyWithoutARecord(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	var full atomic.Bool
	cfg := testConfig(t.TempDir())
	cfg.Recipients = []string{key.Recipient().String()}
	cfg.files = &faultFiles{create0: func(string) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}}
	tr, err := Open(cfg)
	require.NoError(t, err)
	full.Store(true)
	_, err = tr.put(payloadStore, []byte("no room for it"))
	require.NoError(t, err)
	require.ErrorIs(t, tr.flush(), syscall.ENOSPC)
	for range 10 {
		_, err = tr.Sealer().Seal("s", "", []byte("x"))
		require.ErrorIs(t, err, ErrBusy)
	}
	full.Store(false)
	require.Eventually(t, func() bool {
		_, err = tr.Sealer().Seal("s", "", []byte("x"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, tr.Close())
	keys, err := filepath.Glob(filepath.Join(tr.dir, "keys", "*"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
}

func TestTwoProcessesOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	tr, err := Open(testConfig(dir))
	require.NoError(t, err)
	write(t, tr, rand.New(rand.NewSource(1)), 20)

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GUARDEDPG_TEST_AGENT="+dir)
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = pipe.Read(make([]byte, 1))
	require.NoError(t, err)
	write(t, tr, rand.New(rand.NewSource(2)), 20)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	require.NoError(t, tr.Close())

	rep, err := Verify(t.Context(), []string{dir}, VerifyOptions{Anchor: restart(t, dir)})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	require.Len(t, rep.Trails, 3)
	require.Equal(t, EndClosed, rep.Trails[0].End, "the other process did not take it for dead")
	require.Equal(t, EndSucceeded, rep.Trails[1].End)
}

func TestOneIncarnationOneWriter(t *testing.T) {
	tr, err := Open(testConfig(t.TempDir()))
	require.NoError(t, err)
	_, held, err := lock(filepath.Join(tr.dir, lockName))
	require.NoError(t, err)
	require.True(t, held)
	require.NoError(t, tr.Close())
	l, held, err := lock(filepath.Join(tr.dir, lockName))
	require.NoError(t, err)
	require.False(t, held)
	l.Close()
}

func TestClockJumps(t *testing.T) {
	cfg := testConfig(t.TempDir())
	tr, err := Open(cfg)
	require.NoError(t, err)
	now := time.Now()
	for i, at := range []time.Time{now, now.Add(24 * time.Hour), now.Add(-24 * time.Hour), now, time.Unix(0, 0), time.Unix(1<<40, 0), time.Unix(-1<<40, 0)} {
		r := intent(i)
		r.Time = at
		seq, err := tr.Append(r)
		require.NoError(t, err)
		require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	}
	require.NoError(t, tr.Close())
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
}

func TestTextsComeBackByteForByte(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(dir)
	tr, err := Open(cfg)
	require.NoError(t, err)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	big := 3 << 20
	if os.Getenv("GUARDEDPG_NIGHTLY") != "" {
		big = 100 << 20
	}
	texts := []string{"", "select 1", "\x00", string(all), "a\xffb", "é\u2028\ufffd\U0001f600", strings.Repeat("select 'x' ", big/11),
		string(bytes.Repeat([]byte{0xff, 0, 'a'}, big/12)), "\xed\xa0\x80", "\"}\n{\"seq\":1}"}
	for i, s := range texts {
		r := intent(i)
		r.SQL.Text = s
		r.SQL.Args = []Arg{{Type: "string", Value: s[:min(len(s), 1000)]}}
		seq, err := tr.Append(r)
		require.NoError(t, err)
		require.NoError(t, tr.Wait(t.Context(), seq, Synced))
	}
	require.NoError(t, tr.Close())
	i := 0
	require.NoError(t, eachRecord(dir, func(_ string, r *Record) {
		if r.Kind == KindIntent {
			require.True(t, r.SQL.Text == texts[i], "text %d", i)
			require.True(t, r.SQL.Args[0].Value == texts[i][:min(len(texts[i]), 1000)], "argument %d", i)
			i++
		}
	}))
	require.Equal(t, len(texts), i)
	rep, err := Verify(t.Context(), []string{dir}, VerifyOptions{})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
}

func TestRecoveredAsksTheServer(t *testing.T) {
	dir := t.TempDir()
	tr, err := Open(testConfig(dir))
	require.NoError(t, err)
	for _, r := range []*Record{
		{Kind: KindIntent, Session: "a", Statement: "1", Database: &Database{Name: "shop"}},
		{Kind: KindIntent, Session: "b", Statement: "2", Detail: map[string]string{"xid": "700"}},
		{Kind: KindBegin, Session: "c", Detail: map[string]string{"xid": "701"}},
		{Kind: KindIntent, Session: "c", Statement: "3"},
		{Kind: KindIntent, Session: "c", Statement: "4"},
		{Kind: KindDenied, Session: "c", Statement: "4"},
		// A transaction that ended, one that may have, and no transaction.
		{Kind: KindCommit, Session: "d", Statement: "5", Detail: map[string]string{"xid": "700"}},
		{Kind: KindOutcome, Session: "d", Statement: "5"},
		{Kind: KindIntent, Session: "d", Statement: "6"},
		{Kind: KindCommit, Session: "e", Statement: "7", Detail: map[string]string{"xid": "700"}},
		{Kind: KindBegin, Session: "f", Statement: "8"},
	} {
		_, err := tr.Append(r)
		require.NoError(t, err)
	}
	require.NoError(t, tr.flush())
	tr.crash()
	cfg := testConfig(dir)
	cfg.TransactionStatus = func(_ context.Context, db *Database, xid string) (string, error) {
		if xid == "700" {
			return "committed", nil
		}
		return "", errors.New("cannot say")
	}
	again, err := Open(cfg)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	got := map[string]string{}
	require.NoError(t, eachRecord(dir, func(_ string, r *Record) {
		if r.Kind == KindRecovered {
			got[r.Statement] = r.Detail["status"] + " " + r.Detail["xid"]
			require.Equal(t, tr.origin, r.Detail["origin"])
		}
	}))
	require.Equal(t, map[string]string{"1": "unknown ", "2": "committed 700", "3": "unknown 701", "6": "unknown ", "7": "committed 700", "8": "unknown "}, got)
}

// TestRecoveredDoesNotWaitForever has a server that does not answer.
func TestRecoveredDoesNotWaitForever(t *testing.T) {
	dir := t.TempDir()
	tr, err := Open(testConfig(dir))
	require.NoError(t, err)
	for i := range 50 {
		_, err := tr.Append(&Record{Kind: KindCommit, Session: fmt.Sprint(i), Statement: fmt.Sprint(i), Detail: map[string]string{"xid": "7"}})
		require.NoError(t, err)
	}
	require.NoError(t, tr.flush())
	tr.crash()
	asked := 0
	cfg := testConfig(dir)
	cfg.TransactionStatus = func(ctx context.Context, _ *Database, _ string) (string, error) {
		asked++
		<-ctx.Done()
		return "", ctx.Err()
	}
	again, err := Open(cfg)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.Equal(t, 1, asked)
}

func TestConfigurationErrors(t *testing.T) {
	for _, cfg := range []TrailConfig{{}, {Dir: "x", Name: "a b"}, {Dir: "x", SegmentBytes: -1}, {Dir: "x", AnchorFirst: true}} {
		_, err := Open(cfg)
		require.ErrorIs(t, err, ErrConfig)
	}
}

func TestRoomOfCrashedTrailsComesBack(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.SegmentBytes = 1 << 20
	tr, err := Open(cfg)
	require.NoError(t, err)
	write(t, tr, rand.New(rand.NewSource(1)), 5)
	require.NoError(t, tr.flush())
	tr.crash()
	info, err := os.Stat(tr.seg.path)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), info.Size())
	anchor := restart(t, cfg.Dir)
	info, err = os.Stat(tr.seg.path)
	require.NoError(t, err)
	require.Equal(t, tr.seg.end, info.Size())
	rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: anchor})
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
}

func TestTheTornEndIsKeptAndHashed(t *testing.T) {
	cfg := testConfig(t.TempDir())
	tr, err := Open(cfg)
	require.NoError(t, err)
	write(t, tr, rand.New(rand.NewSource(1)), 5)
	require.NoError(t, tr.flush())
	end := tr.seg.end
	tr.crash()
	f, err := os.OpenFile(tr.seg.path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	torn := []byte(`{"seq":99,"prev":"torn`)
	_, err = f.WriteAt(torn, end)
	require.NoError(t, err)

	anchor := restart(t, cfg.Dir)
	require.NoError(t, eachRecord(cfg.Dir, func(dir string, r *Record) {
		if r.Kind == KindOpen && dir != tr.Dir() {
			require.Len(t, r.Heads, 1)
			require.Equal(t, &Tail{Segment: 1, Offset: end, Length: int64(len(torn)), SHA256: r.Heads[0].Tail.SHA256}, r.Heads[0].Tail)
		}
	}))
	verify := func() *Report {
		rep, err := Verify(t.Context(), []string{cfg.Dir}, VerifyOptions{Anchor: anchor})
		require.NoError(t, err)
		return rep
	}
	require.True(t, verify().OK(), verify().Findings)
	code, out := python(t, cfg.Dir, *anchor)
	require.Equal(t, 0, code, out)

	_, err = f.WriteAt([]byte("T"), end+3)
	require.NoError(t, err)
	require.Len(t, verify().Findings, 1)
	require.Equal(t, Altered, verify().Findings[0].Kind)
	code, _ = python(t, cfg.Dir, nil)
	require.Equal(t, 1, code)
	require.NoError(t, f.Truncate(end))
	require.NotEmpty(t, verify().Findings)
}
