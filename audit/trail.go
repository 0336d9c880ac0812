package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// TrailConfig says where a trail is and how it behaves. Only Dir is required.
type TrailConfig struct {
	// Dir holds one directory per process that ever wrote here. It is made
	// when missing. Several processes may share it. Required.
	Dir string
	// Name begins the origin of every trail in Dir, as a program or host name
	// does; no spaces, plus signs or control characters. Directories that share
	// an anchor need names of their own: verification of one would miss the
	// trails of another. Default "guardedpg".
	Name string
	// SegmentBytes is the size of a segment file, allocated ahead. A record
	// that is larger makes its segment larger. Default 64 MiB.
	SegmentBytes int64
	// SyncEvery is how long a written record may be unsynced when nobody waits
	// for it. Default 25 ms, which keeps it under 50 on a disk that syncs in as
	// much again.
	SyncEvery time.Duration
	// Heartbeat is how long the trail is silent before it records that it is
	// alive. Default one minute.
	Heartbeat time.Duration
	// Backlog is how many bytes may wait for the disk; beyond it Append
	// refuses with ErrBusy. Default 64 MiB.
	Backlog int64
	// Stall is how long Wait waits for the disk before it gives up with
	// ErrBusy. Default 10 seconds.
	Stall time.Duration
	// Recipients may read sealed originals: age public keys ("age1..."), as
	// age-keygen prints them. Default none: nothing can be sealed.
	Recipients []string
	// PayloadLimit is how many bytes of one statement's payload are kept in
	// full; beyond it, the digest of all. Default 16 MiB.
	PayloadLimit int64
	// Anchor is told how far the trail has come, so that cutting or replacing
	// it is found out. Default nil: none, and verification says so.
	Anchor Anchor
	// AnchorEvery is how often. Default 10 seconds.
	AnchorEvery time.Duration
	// AnchorFirst makes a record count as Synced only once the anchor has it:
	// what needs to be durable before it runs then waits for the anchor too.
	// Default false.
	AnchorFirst bool
	// TransactionStatus asks the server what became of a transaction whose
	// outcome a crash took: the result of pg_xact_status. It is asked during
	// Open, for 2 seconds at most; who does not answer is not asked again. Default
	// nil: the status is recorded as "unknown".
	TransactionStatus func(ctx context.Context, db *Database, xid string) (string, error)

	files files // default osFiles
}

func (c TrailConfig) withDefaults() (TrailConfig, error) {
	if c.Dir == "" {
		return c, fmt.Errorf("%w: Dir is empty: name a directory for the trail", ErrConfig)
	}
	abs, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("%w: Dir %q: %w", ErrConfig, c.Dir, err)
	}
	c.Dir = abs // the process may change its directory later
	if c.Name == "" {
		c.Name = "guardedpg"
	}
	if strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r == '+' || r == 0x7f || r > 0x7e }) {
		return c, fmt.Errorf("%w: Name %q: only printable ASCII without spaces and plus signs", ErrConfig, c.Name)
	}
	for _, d := range []struct {
		name string
		v    *int64
		def  int64
	}{
		{"SegmentBytes", &c.SegmentBytes, 64 << 20},
		{"SyncEvery", (*int64)(&c.SyncEvery), int64(25 * time.Millisecond)},
		{"Heartbeat", (*int64)(&c.Heartbeat), int64(time.Minute)},
		{"Backlog", &c.Backlog, 64 << 20},
		{"PayloadLimit", &c.PayloadLimit, 16 << 20},
		{"AnchorEvery", (*int64)(&c.AnchorEvery), int64(10 * time.Second)},
		{"Stall", (*int64)(&c.Stall), int64(10 * time.Second)},
	} {
		if *d.v < 0 {
			return c, fmt.Errorf("%w: %s is negative", ErrConfig, d.name)
		}
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.SegmentBytes > maxLine {
		return c, fmt.Errorf("%w: SegmentBytes is more than 1 GiB", ErrConfig)
	}
	if c.PayloadLimit > maxDelivery {
		return c, fmt.Errorf("%w: PayloadLimit is more than 1 GiB", ErrConfig)
	}
	if c.AnchorFirst && c.Anchor == nil {
		return c, fmt.Errorf("%w: AnchorFirst without an Anchor", ErrConfig)
	}
	if c.files == nil {
		c.files = osFiles{}
	}
	return c, nil
}

// A Trail is a [Sink] in a directory, in the format that the package
// documentation specifies. It is safe for concurrent use. Its errors are
// [ErrClosed] and [*TrailError].
type Trail struct {
	cfg     TrailConfig
	id      string // of this incarnation
	genesis []byte // the public key that signs the first seal
	origin  string
	dir     string
	lock    *os.File

	mu                   sync.Mutex // guards what follows, up to the next mutex; never held during I/O
	enc                  encoder
	hash                 hasher
	seq                  uint64 // of the last line
	sealed               uint64 // of the last seal
	sealHead, syncedHead Head   // at the last seal, and at the last that is synced
	head                 Hash   // of the last line
	tree                 tree
	keys                 sealKeys
	ahead                *signingKey // the key for the next seal; the syncer's
	closed               bool
	armed                bool // the timer will bring a commit
	timer                *time.Timer
	seg                  *segment
	next                 *segment // made ahead
	nextErr              error    // why there is none
	stamp                []byte   // room for the time of a seal
	queue                []batch  // complete batches, of earlier segments
	chunks               []batch  // of other files; what lines refer to, so written before them
	chunkBytes           uint64   // in all chunks so far
	stores               map[string]*segment
	seals                *sealing
	buf                  []byte     // lines not yet taken by flush, all for seg
	bufOff               int64      // where in seg they begin
	placed               []*segment // with lines that were stored in the mapped file, and not synced
	spare                []byte
	backlog              int64 // bytes in queue and buf, and in flush's hands

	io     sync.Mutex // held by flush; guards what follows; taken before mu
	dirty  []*segment // written and not synced
	idle   []*segment // room for the next dirty
	taken  []batch    // room for what a flush takes
	opened []*segment // all segments, for watch

	written, synced watermark // seq
	chunked         watermark // bytes of chunks written
	failure         atomic.Pointer[TrailError]
	full            atomic.Pointer[error] // why nothing can be written at present
	anchored        watermark             // seq
	writeC, syncC   chan struct{}
	anchorC         chan struct{}
	prepareC        chan struct{}
	stop            chan struct{} // closed by Close, before anything else
	done            sync.WaitGroup
	closeOnce       sync.Once
	closeErr        error
}

var _ Sink = (*Trail)(nil)

type segment struct {
	n     int
	store string // "" for lines, else what t.stores knows it by
	path  string
	f     file         // nil until flush makes it, when it is no segment of lines
	end   int64        // bytes appended; guarded by Trail.mu
	on    atomic.Int64 // bytes written; for watch
	gone  int64        // bytes from the first that were taken from the system's cache; the syncer's
}

// A batch is lines that stand together in one segment.
type batch struct {
	seg   *segment
	off   int64
	data  []byte
	last  uint64 // seq of the last line; 0 for a chunk
	total uint64 // of a chunk: bytes in all chunks up to and with it
}

func segmentName(n int) string { return fmt.Sprintf("%08d.jsonl", n) }

func segmentPath(dir string, n int) string { return filepath.Join(dir, segmentName(n)) }

// lockName is the file whose lock says that an incarnation lives.
const lockName = "lock"

// Open begins a trail in a new directory below cfg.Dir. It records the ends of
// the trails there that have ended since, and each statement that a crash left
// without an outcome. The new trail's beginning is synced when Open returns.
func Open(cfg TrailConfig) (*Trail, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	seals, err := newSealing(cfg.Recipients)
	if err != nil {
		return nil, err
	}
	t := &Trail{
		cfg:      cfg,
		seals:    seals,
		stores:   map[string]*segment{},
		writeC:   make(chan struct{}, 1),
		syncC:    make(chan struct{}, 1),
		anchorC:  make(chan struct{}, 1),
		prepareC: make(chan struct{}, 1),
		stop:     make(chan struct{}),
	}
	if err := t.begin(); err != nil {
		if t.lock != nil {
			t.lock.Close()
		}
		if t.seg != nil {
			t.seg.f.Close()
		}
		return nil, fmt.Errorf("audit: open trail in %s: %w", cfg.Dir, err)
	}
	t.timer = time.AfterFunc(time.Hour, func() { kick(t.syncC) })
	t.timer.Stop()
	t.done.Go(t.writer)
	t.done.Go(t.syncer)
	t.done.Go(t.preparer)
	t.done.Go(t.watcher)
	t.done.Go(t.keymaker)
	if t.cfg.Anchor != nil {
		t.done.Go(t.anchorer)
	}
	return t, nil
}

// begin makes the incarnation's directory and its first lines. It runs before
// the goroutines.
func (t *Trail) begin() error {
	if err := makeAll(t.cfg.files, t.cfg.Dir); err != nil {
		return err
	}
	// One process at a time looks for predecessors, so that each of them is
	// named by one successor.
	front, err := lockWithin(filepath.Join(t.cfg.Dir, lockName), 10*time.Second)
	if err != nil {
		return err
	}
	defer front.Close()
	ended, err := predecessors(t.cfg.Dir)
	if err != nil {
		return err
	}

	if err := t.makeDir(); err != nil {
		return err
	}
	t.keys.current = newSigningKey()
	t.genesis = bytes.Clone(t.keys.current.public[:])
	t.keys.next = make(chan *signingKey, 2)

	open := &Record{Kind: KindOpen, Detail: map[string]string{
		"format": formatVersion,
		"origin": t.origin,
		"key":    base64.StdEncoding.EncodeToString(t.genesis),
		"pid":    strconv.Itoa(os.Getpid()),
	}}
	if host, err := os.Hostname(); err == nil {
		open.Detail["host"] = host
	}
	for i := range ended {
		open.Heads = append(open.Heads, ended[i].head)
	}
	now := time.Now()
	t.append(open, now)
	for i := range ended {
		for _, o := range ended[i].orphans {
			t.append(t.recovered(&ended[i], o), now)
		}
	}
	t.appendSeal(now, newSigningKey())
	if err := t.commitSealed(); err != nil {
		return err
	}
	for i := range ended {
		ended[i].reclaim()
	}
	if t.cfg.Anchor != nil {
		if err := t.anchor(context.Background()); err != nil {
			return fmt.Errorf("anchor: %w", err)
		}
	}
	return nil
}

// formatVersion stands in every open record.
const formatVersion = "1"

func (t *Trail) makeDir() error {
	for try := 0; ; try++ {
		t.id = newIncarnation()
		t.origin = t.cfg.Name + "/" + t.id
		t.dir = filepath.Join(t.cfg.Dir, t.id)
		err := t.cfg.files.mkdir(t.dir)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) || try == 10 {
			return err
		}
	}
	l, held, err := lock(filepath.Join(t.dir, lockName))
	if err != nil {
		return err
	}
	if held {
		return errors.New("somebody else locked the new directory")
	}
	t.lock = l
	t.seg, err = t.makeSegment(1)
	return err
}

func (t *Trail) makeSegment(n int) (*segment, error) {
	s := &segment{n: n, path: filepath.Join(t.dir, segmentName(n))}
	var err error
	if s.f, err = t.cfg.files.create(s.path, t.cfg.SegmentBytes); err != nil {
		return nil, err
	}
	if err := t.cfg.files.syncDir(t.dir); err != nil {
		s.f.Close()
		os.Remove(s.path)
		return nil, err
	}
	return s, nil
}

// Origin names this trail: the configured name, a slash, and the incarnation.
func (t *Trail) Origin() string { return t.origin }

// Dir returns the directory of this incarnation.
func (t *Trail) Dir() string { return t.dir }

// Append implements [Sink]. Records of the kinds open, close, heartbeat and seal
// are the trail's own: it refuses them.
func (t *Trail) Append(r *Record) (uint64, error) {
	switch r.Kind {
	case "", KindOpen, KindClose, KindHeartbeat, KindSeal:
		return 0, fmt.Errorf("audit: a record of kind %q cannot be appended", r.Kind)
	}
	for _, c := range []byte(r.Kind) {
		if (c < 'a' || c > 'z') && c != '_' {
			return 0, fmt.Errorf("audit: %q is no kind of record", r.Kind)
		}
	}
	if r.Seal != nil {
		return 0, errors.New("audit: only the trail itself seals")
	}
	now := r.Time
	if now.IsZero() {
		now = time.Now()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(r, now)
}

// refuses returns why the trail takes nothing now. t.mu is held.
func (t *Trail) refuses() error {
	if err := t.failure.Load(); err != nil {
		return err
	}
	if t.closed {
		return ErrClosed
	}
	if err := t.full.Load(); err != nil {
		return t.busy("write", *err)
	}
	if t.backlog > t.cfg.Backlog {
		return t.busy("append", errors.New("the disk does not keep up"))
	}
	if t.seg.end > t.cfg.SegmentBytes-reserve && t.seg.end > 0 && t.next == nil {
		// Without a next segment this one may grow, so that a burst does not
		// wait for a file to be made; but not when making it failed.
		if t.nextErr != nil {
			return t.busy("make segment", t.nextErr)
		}
	}
	return nil
}

// take appends unless the trail refuses. t.mu is held.
func (t *Trail) take(r *Record, now time.Time) (uint64, error) {
	if err := t.refuses(); err != nil {
		return 0, err
	}
	if err := t.add(r, now); err != nil {
		return 0, err
	}
	return t.seq, nil
}

// add appends and sees to it that a commit comes. t.mu is held.
func (t *Trail) add(r *Record, now time.Time) error {
	if err := t.append(r, now); err != nil {
		return err
	}
	if !t.armed {
		t.armed = true
		t.timer.Reset(t.cfg.SyncEvery)
	}
	return nil
}

// window is how much of a mapped file is kept in the tables of the process: what is
// behind is complete. See [file.forget].
const window = 1 << 20

// reserve is room at the end of a segment for what must not be refused: a close
// record and two seals.
const reserve = 4096

func (t *Trail) busy(op string, err error) error {
	return &TrailError{Class: ErrBusy, Dir: t.dir, Op: op, Err: err}
}

// append encodes r as the next line, unless it is longer than a reader takes. t.mu
// is held.
func (t *Trail) append(r *Record, now time.Time) error {
	start := len(t.buf)
	t.buf = t.enc.line(t.buf, r, t.seq+1, t.head, now, t.id)
	if len(t.buf)-start > maxLine {
		t.buf = t.buf[:start]
		return fmt.Errorf("audit: a record of more than %d bytes is not taken", maxLine)
	}
	t.head = t.hash.line(t.buf[start:])
	t.buf = append(t.buf, '\n')
	n := int64(len(t.buf) - start)
	if t.next != nil && t.seg.end > 0 && t.seg.end+n > t.cfg.SegmentBytes-reserve {
		line := t.buf[start:]
		if start > 0 {
			t.queue = append(t.queue, batch{seg: t.seg, off: t.bufOff, data: t.buf[:start:start], last: t.seq})
			t.buf = append(make([]byte, 0, max(64<<10, len(line))), line...)
		}
		t.seg, t.next = t.next, nil
		t.bufOff = 0
		start = len(t.buf) - int(n)
	}
	// Where everything before it is with the system, so is this as soon as it
	// stands in the mapped file: no call is needed, and nobody has to be woken.
	placed := t.backlog == 0 && start == 0 && t.seg.end+n <= int64(len(t.seg.f.mapped()))
	if placed {
		if err := place(t.seg.f.mapped()[t.seg.end:], t.buf); err != nil {
			return t.fail("write", t.seg.path, err)
		}
		if !slices.Contains(t.placed, t.seg) {
			t.placed = append(t.placed, t.seg)
		}
	}
	half := t.cfg.SegmentBytes / 2
	if t.seg.end+n > half && t.next == nil && t.nextErr == nil {
		kick(t.prepareC)
	}
	t.seg.end += n
	t.seq++
	t.tree.add(t.head)
	if !placed {
		t.backlog += n
		return nil
	}
	if from, to := (t.seg.end-n)/window*window, t.seg.end/window*window; from < to {
		t.seg.f.forget(from, to)
	}
	t.seg.on.Store(t.seg.end)
	t.buf, t.bufOff = t.buf[:0], t.seg.end
	t.written.advance(t.seq)
	return nil
}

// place stores a line in a mapped file. Its newline comes last: a reader takes
// what has none for a line that is being written. Memory that is not there any
// more, because somebody cut the file, is an error here and not the end of the
// process.
func place(mem, line []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errReplaced
		}
	}()
	last := len(line) - 1
	copy(mem, line[:last])
	placing.Add(1) // no store goes past it
	mem[last] = line[last]
	return nil
}

var placing atomic.Uint32

// appendSeal seals everything so far; next is nil in the last seal. t.mu is held.
func (t *Trail) appendSeal(now time.Time, next *signingKey) {
	t.stamp = t.enc.time(t.stamp[:0], now)
	c := checkpoint{
		origin: t.origin,
		n:      t.seq,
		root:   t.tree.root(),
		head:   t.head,
		time:   t.stamp[1 : len(t.stamp)-1],
	}
	s := Seal{Root: c.root, Sig: t.keys.sign(&c, next)}
	s.Next = c.next
	t.append(&Record{Kind: KindSeal, Seal: &s}, now)
	t.sealed = t.seq
	t.sealHead = Head{Origin: t.origin, Seq: t.seq, Hash: t.head, Key: t.genesis}
}

// Wait implements [Sink].
func (t *Trail) Wait(ctx context.Context, seq uint64, d Durability) error {
	mark, c := &t.written, t.writeC
	if d != Written {
		mark, c = &t.synced, t.syncC
		if t.cfg.AnchorFirst {
			mark = &t.anchored
		}
	}
	if mark.at.Load() >= seq {
		return nil
	}
	kick(c)
	if d == Written {
		// The writer is ready now and needs less than it takes to go to sleep.
		if runtime.Gosched(); mark.at.Load() >= seq {
			return nil
		}
	}
	w := mark.wait(seq)
	if w == nil {
		return nil
	}
	// The failure is looked at after the waiter is registered: fail sets it
	// before it wakes those who are.
	if t.failure.Load() != nil || t.full.Load() != nil {
		mark.forget(w)
		return t.unsafe(mark, seq)
	}
	t.mu.Lock()
	known := seq <= t.seq
	t.mu.Unlock()
	if !known {
		mark.forget(w)
		return fmt.Errorf("audit: there is no record %d to wait for", seq)
	}
	w.stall.Reset(t.cfg.Stall)
	select {
	case <-w.c:
		w.free()
		return t.unsafe(mark, seq)
	case <-ctx.Done():
		mark.forget(w)
		return context.Cause(ctx)
	case <-w.stall.C:
		mark.forget(w)
		return t.busy("wait", fmt.Errorf("the disk did not answer within %v", t.cfg.Stall))
	}
}

// unsafe returns why seq did not reach mark, or nil if it did.
func (t *Trail) unsafe(mark *watermark, seq uint64) error {
	if mark.at.Load() >= seq {
		return nil
	}
	if err := t.failure.Load(); err != nil {
		return err
	}
	if err := t.full.Load(); err != nil {
		return t.busy("write", *err)
	}
	select {
	case <-t.stop:
		return ErrClosed
	default: // there was no room for a moment
		return t.busy("write", syscall.ENOSPC)
	}
}

// Close implements [Sink]: it records that the trail ends in good order, seals
// it for the last time and waits for the disk. Later calls return the same.
func (t *Trail) Close() error {
	t.closeOnce.Do(func() {
		t.mu.Lock()
		t.closed = true
		t.mu.Unlock()
		close(t.stop)
		t.done.Wait()
		t.closeErr = t.end()
		t.written.wake()
		t.synced.wake()
		t.chunked.wake()
		t.anchored.wake()
	})
	return t.closeErr
}

// roomWait is how long a trail that ends waits for room on a full disk.
const roomWait = time.Second

// end writes the last lines. The goroutines have ended.
func (t *Trail) end() error {
	defer t.lock.Close()
	defer func() {
		t.seg.f.Close()
		for _, s := range t.stores {
			if s.f != nil {
				s.f.Close()
			}
		}
		if t.next != nil {
			t.next.f.Close()
		}
	}()
	if err := t.failure.Load(); err != nil {
		return err
	}
	now := time.Now()
	t.mu.Lock()
	t.append(&Record{Kind: KindClose}, now)
	t.appendSeal(now, nil)
	t.mu.Unlock()
	err := t.commitSealed()
	for until := now.Add(roomWait); errors.Is(err, ErrBusy) && time.Now().Before(until); err = t.commitSealed() {
		time.Sleep(10 * time.Millisecond) // a full disk may have room again
	}
	if err != nil {
		return err
	}
	if err := t.seg.f.truncate(t.seg.end); err != nil {
		return t.fail("truncate", t.seg.path, err)
	}
	for _, s := range t.stores {
		if s.f == nil {
			continue
		}
		if err := s.f.truncate(s.end); err != nil {
			return t.fail("truncate", s.path, err)
		}
	}
	if t.next != nil {
		if err := t.next.f.truncate(0); err != nil {
			return t.fail("truncate", t.next.path, err)
		}
	}
	if t.cfg.Anchor != nil {
		if err := t.anchor(context.Background()); err != nil {
			return fmt.Errorf("audit: the trail is closed, but its end is not anchored: %w", err)
		}
	}
	return nil
}

func (t *Trail) fail(op, path string, err error) error {
	e := &TrailError{Class: ErrFailed, Dir: t.dir, Op: op + " " + filepath.Base(path), Err: err}
	if t.failure.CompareAndSwap(nil, e) {
		t.written.wake()
		t.synced.wake()
		t.chunked.wake()
		t.anchored.wake()
	}
	return t.failure.Load()
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
