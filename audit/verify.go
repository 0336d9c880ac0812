package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tampering is a kind of alteration that Verify finds.
type Tampering string

// The kinds of alteration.
const (
	Altered    Tampering = "altered"    // the bytes of a record changed
	Missing    Tampering = "missing"    // records were taken out
	Reordered  Tampering = "reordered"  // a record stands elsewhere
	Duplicated Tampering = "duplicated" // a record stands twice
	Truncated  Tampering = "truncated"  // the end was cut off
	Forged     Tampering = "forged"     // a seal's signature is not that of the key that had to sign
	Replaced   Tampering = "replaced"   // the trail is not the one that others have seen
	Extended   Tampering = "extended"   // something was added after the end
	Removed    Tampering = "removed"    // a segment or a whole trail is gone
)

// A Finding is one alteration.
type Finding struct {
	Trail   string    `json:"trail"`             // origin, or the incarnation where that is not known
	Kind    Tampering `json:"kind"`              //
	First   uint64    `json:"first,omitempty"`   // seq of the first record concerned; 0 when none can be named
	Last    uint64    `json:"last,omitempty"`    // seq of the last
	Segment int       `json:"segment,omitempty"` // where it was noticed
	Offset  int64     `json:"offset,omitempty"`  // in that segment, in bytes
	Text    string    `json:"text"`              // for a person
}

func (f Finding) String() string {
	where := ""
	switch {
	case f.First != 0 && f.Last > f.First:
		where = fmt.Sprintf(" records %d to %d", f.First, f.Last)
	case f.First != 0:
		where = fmt.Sprintf(" record %d", f.First)
	}
	if f.Segment != 0 {
		where += fmt.Sprintf(" (%s, byte %d)", segmentName(f.Segment), f.Offset)
	}
	return fmt.Sprintf("%s: %s%s: %s", f.Trail, f.Kind, where, f.Text)
}

// End says how a trail ends.
type End string

// The ends.
const (
	EndClosed    End = "closed"     // in good order, with its last seal
	EndSucceeded End = "succeeded"  // without; a later trail vouches for its end
	EndRunning   End = "running"    // its process lives
	EndNotClosed End = "not closed" // without, and nobody vouches: what followed cannot be known
)

// A TrailReport is what Verify says of one incarnation.
type TrailReport struct {
	Dir      string    `json:"dir"`
	Origin   string    `json:"origin"`
	Key      []byte    `json:"key,omitempty"` // the public key that it began with
	Records  uint64    `json:"records"`       // lines, seals included
	Seals    int       `json:"seals"`
	Bytes    int64     `json:"bytes"`
	Segments int       `json:"segments"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Head     Head      `json:"head"`
	End      End       `json:"end"`
	Anchored uint64    `json:"anchored,omitempty"` // seq of the last head that the anchor has
	// Covered says that the anchor has seen it, or has seen a trail that names
	// its end.
	Covered bool `json:"covered"`
	// Orphans are intents without an outcome, and without a recovered record.
	Orphans []string `json:"orphans,omitempty"`
	// Unknown says in sentences what cannot be known.
	Unknown []string `json:"unknown,omitempty"`
}

// A Report is the result of Verify.
type Report struct {
	Trails   []TrailReport `json:"trails"`
	Findings []Finding     `json:"findings"`
	Anchor   bool          `json:"anchor"` // one was given
	// Deleted are the trails that a tombstone says were deleted by the rules
	// of retention.
	Deleted []Deletion `json:"deleted,omitempty"`
}

// A Deletion is a trail that was deleted by the rules of retention, and the
// tombstone that says so.
type Deletion struct {
	Head Head      `json:"head"` // how it ended
	By   string    `json:"by"`   // origin of the trail with the tombstone
	Seq  uint64    `json:"seq"`  // the tombstone's
	Time time.Time `json:"time"` // the tombstone's
}

// OK reports whether everything was found as it was written, and nothing about
// the end of a trail remains unknown. Without an anchor only a trail that was
// closed is: where a crash ended it, the trail that followed names the end that
// it found, which need not be the end that there was.
func (r *Report) OK() bool {
	if len(r.Findings) > 0 {
		return false
	}
	for _, t := range r.Trails {
		if t.End == EndNotClosed || !t.Covered && (r.Anchor || t.End != EndClosed) {
			return false
		}
	}
	return true
}

// An AnchorReader yields the heads that an anchor has seen, in the order in which
// it saw them.
type AnchorReader interface {
	Heads(ctx context.Context) iter.Seq2[Head, error]
}

// VerifyOptions say how to verify.
type VerifyOptions struct {
	// Anchor knows heads from elsewhere. Default nil: none, and the report says
	// what therefore cannot be known.
	Anchor AnchorReader
	// Workers is how many segments are read at once. Default: one for each CPU.
	Workers int
}

// Verify checks the trails in dirs, each a directory of trails or of one. An
// error means that it could not look; what it found wrong is in the report.
func Verify(ctx context.Context, dirs []string, opt VerifyOptions) (*Report, error) {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	gone := map[string]bool{}
	for {
		r, err := verify(ctx, dirs, opt)
		// A trail that is deleted by the rules of retention goes away while it
		// is read. The tombstone was written before. What is listed again does
		// not go away: it was never there.
		var path *fs.PathError
		if !errors.Is(err, errVanished) || !errors.As(err, &path) || gone[path.Path] {
			return r, err
		}
		gone[path.Path] = true
	}
}

var errVanished = errors.New("audit: a trail was deleted while it was read")

func verify(ctx context.Context, dirs []string, opt VerifyOptions) (*Report, error) {
	v := verifier{opt: opt, byID: map[string]*checked{}, tombs: map[string]Deletion{}, shredded: map[string]string{}}
	for _, dir := range dirs {
		if err := v.find(dir); err != nil {
			return nil, err
		}
	}
	if len(v.trails) == 0 {
		return nil, fmt.Errorf("audit: there is no trail in %s", strings.Join(dirs, ", "))
	}
	if err := v.anchor(ctx); err != nil {
		return nil, err
	}
	// Beginnings first: they say how others ended.
	for _, c := range v.trails {
		v.beginning(c)
	}
	for _, c := range v.trails {
		if err := v.check(ctx, c); err != nil {
			return nil, err
		}
	}
	report := &Report{Anchor: opt.Anchor != nil}
	v.vouchers()
	v.cover()
	v.shreddings()
	v.tombstones(report)
	if err := v.missing(); err != nil {
		return nil, err
	}
	recovered := map[string]bool{}
	for _, c := range v.trails {
		for _, id := range c.recovered {
			recovered[id] = true
		}
	}
	for _, c := range v.trails {
		v.ending(c, recovered)
		report.Trails = append(report.Trails, c.TrailReport)
	}
	report.Findings = v.findings
	return report, nil
}

type verifier struct {
	opt      VerifyOptions
	trails   []*checked
	byID     map[string]*checked
	tombs    map[string]Deletion // by incarnation: those that count
	findings []Finding
	heads    map[string][]Head // by incarnation: what the anchor has
	shredded map[string]string // SHA-256 of keys that were deleted by right, by path
}

// checked is one incarnation under examination.
type checked struct {
	TrailReport
	id        string
	segments  []int
	running   bool
	ends      map[int]int64 // of the segments that are read, where it is running
	vouched   []voucher     // heads of this trail in others
	heads     []voucher     // heads of others in this trail
	hashes    map[uint64]Hash
	want      map[uint64]bool // seqs whose hash somebody asks for
	cut       *Tail           // a torn tail that a successor declared
	closed    bool
	torn      int64 // bytes after the last line that are none
	lastSeal  uint64
	intents   map[string]bool
	recovered []string // incarnation and statement
	chunks    []chunkFinding
	tombs     []*Record
	shreds    []*Record
	keys      map[string]bool // the files of keys, as it was before anything was read
	reading   reading
	safe      uint64 // seq up to which everything was synced for sure: that of the seal before the last
}

type voucher struct {
	by   *checked
	head Head
}

func (v *verifier) report(c *checked, kind Tampering, first, last uint64, seg int, off int64, format string, args ...any) {
	name := c.Origin
	if name == "" {
		name = c.id
	}
	v.findings = append(v.findings, Finding{name, kind, first, last, seg, off, fmt.Sprintf(format, args...)})
}

func (v *verifier) find(dir string) error {
	trails, err := Trails(dir)
	if err != nil {
		return err
	}
	for _, trail := range trails {
		name := filepath.Base(trail)
		if first := v.byID[name]; first != nil {
			if !sameDir(first.Dir, trail) {
				v.report(first, Duplicated, 0, 0, 0, 0, "it stands in %s and in %s: only the first was checked", first.Dir, trail)
			}
			continue
		}
		c := &checked{
			id: name, hashes: map[uint64]Hash{}, want: map[uint64]bool{},
			intents: map[string]bool{},
		}
		c.Dir = trail
		c.running = locked(filepath.Join(c.Dir, lockName))
		c.keys = keyFiles(c.Dir)
		v.byID[name] = c
		v.trails = append(v.trails, c)
	}
	return nil
}

// keyFiles lists the wrapped keys of the trail in dir.
func keyFiles(dir string) map[string]bool {
	entries, err := os.ReadDir(filepath.Join(dir, "keys"))
	if err != nil {
		return nil // where there should be some, they will be missed
	}
	files := map[string]bool{}
	for _, e := range entries {
		files["keys/"+e.Name()] = true
	}
	return files
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// anchor reads what the anchor has seen.
func (v *verifier) anchor(ctx context.Context) error {
	if v.opt.Anchor == nil {
		return nil
	}
	v.heads = map[string][]Head{}
	for h, err := range v.opt.Anchor.Heads(ctx) {
		if err != nil {
			return fmt.Errorf("audit: read anchor: %w", err)
		}
		id := incarnationOf(h.Origin)
		v.heads[id] = append(v.heads[id], h)
		if c := v.byID[id]; c != nil {
			c.want[h.Seq] = true
		}
	}
	return nil
}

func incarnationOf(origin string) string { return origin[strings.LastIndexByte(origin, '/')+1:] }

// beginning reads the first lines of c, for the ends of others that it names.
func (v *verifier) beginning(c *checked) {
	c.Origin = c.id
	if r := firstRecord(c.Dir); r != nil && incarnationOf(r.Detail["origin"]) == c.id {
		c.Origin, c.Key = r.Detail["origin"], c64(r.Detail["key"])
	}
	heads, err := vouched(c.Dir)
	if err != nil {
		return // check will stumble over it again, and say so
	}
	for _, h := range heads {
		v.vouch(c, h)
	}
}

// firstRecord returns the open record of the trail in dir, or nil.
func firstRecord(dir string) *Record {
	l, err := openSegment(dir, 1)
	if err != nil {
		return nil
	}
	defer l.close()
	line, _, ok, err := l.next()
	if err != nil || !ok {
		return nil
	}
	r, err := ParseRecord(line)
	if err != nil || r.Kind != KindOpen {
		return nil
	}
	return r
}

func (v *verifier) vouch(by *checked, h Head) {
	if t := h.Tail; t != nil && (t.Segment < 1 || t.Offset < 0 || t.Length < 1) {
		v.report(by, Forged, 1, 1, 1, 0, "it names an end of %s that cannot be", h.Origin)
		return
	}
	by.heads = append(by.heads, voucher{by, h})
	if of := v.byID[incarnationOf(h.Origin)]; of != nil && of != by {
		of.want[h.Seq] = true
		of.vouched = append(of.vouched, voucher{by, h})
		if of.cut == nil {
			of.cut = h.Tail
		}
	}
}

// A scanned line, as small as the second pass can do with.
type lineInfo struct {
	seq        uint64
	prev, hash Hash
	off        int64
	ok         bool // it is a line of this trail
	seal       *sealInfo
}

type sealInfo struct {
	Seal
	time    string
	keyUsed []byte // the key of the seal before it in this segment
	valid   bool   // under keyUsed
	exact   bool   // the line has the form that a seal has
}

// scan is the first pass over a segment.
type scan struct {
	n           int
	err         error
	size        int64
	lines       []lineInfo
	rest        int64 // offset of bytes at the end that are no complete line; -1 when none
	first, last string
	tombs       []*Record
	shreds      []*Record
	intents     []string
	outcomes    []string
	recovered   []string
	findings    []chunkFinding
}

// A chunkFinding is about a chunk that a record refers to.
type chunkFinding struct {
	Finding
	ref string
}

// reading bounds how much is read of files that records refer to. References do
// not overlap, save those of forged records.
type reading struct {
	mu   sync.Mutex
	read map[string]int64 // by file
}

// take reports whether another n bytes of a file that has size bytes may be read.
func (r *reading) take(file string, n, size int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read == nil {
		r.read = map[string]int64{}
	}
	r.read[file] += n
	return r.read[file] <= 4*size
}

// check reads c's segments side by side and follows the chain through them.
func (v *verifier) check(ctx context.Context, c *checked) (err error) {
	// Only now: a running trail grows, and the anchor has been read.
	if c.segments, err = segmentNumbers(c.Dir); err != nil {
		return vanished(err)
	}
	if n := len(c.segments); c.running && n > 0 && c.segments[n-1] != n {
		// A directory that grows while it is listed can show a later file and not
		// an earlier one, which then is there when it is listed again.
		last := c.segments[n-1]
		if c.segments, err = segmentNumbers(c.Dir); err != nil {
			return vanished(err)
		}
		c.segments = slices.DeleteFunc(c.segments, func(n int) bool { return n > last })
	}
	c.Segments = len(c.segments)
	if len(c.segments) == 0 {
		return nil
	}
	if c.running {
		if err := c.freeze(); err != nil {
			return vanished(err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan chan *scan, v.opt.Workers)
	go func() {
		defer close(results)
		for _, n := range c.segments {
			r := make(chan *scan, 1)
			select {
			case results <- r:
			case <-ctx.Done():
				return
			}
			go func() { r <- scanSegment(c, n) }()
		}
	}()
	ch := chain{v: v, c: c}
	for r := range results {
		s := <-r
		if s.err != nil {
			cancel()
			for r := range results {
				<-r
			}
			return vanished(s.err)
		}
		ch.segment(s)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ch.finish()
	return nil
}

// freeze takes the ends of the segments of a trail that grows, the last first: what
// stands in a segment was written after all that stands in those before it.
func (c *checked) freeze() error {
	c.ends = map[int]int64{}
	for _, n := range slices.Backward(c.segments) {
		l, err := openSegment(c.Dir, n)
		if errors.Is(err, errNotPlain) {
			continue
		}
		if err != nil {
			return err
		}
		c.ends[n] = l.end
		l.close()
	}
	return nil
}

func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errVanished, err)
	}
	return err
}

func scanSegment(c *checked, n int) *scan {
	s := &scan{n: n, rest: -1}
	if c.cut != nil && n > c.cut.Segment {
		return s
	}
	l, err := openSegment(c.Dir, n)
	if errors.Is(err, errNotPlain) {
		// Nothing of it can be a record.
		s.lines, s.size = []lineInfo{{}}, 1
		return s
	}
	if err != nil {
		s.err = err
		return s
	}
	defer l.close()
	if c.cut != nil && n == c.cut.Segment {
		l.end = min(l.end, c.cut.Offset)
	}
	if end, ok := c.ends[n]; ok {
		l.end = min(l.end, end)
	}
	s.size = l.end
	var h hasher
	var enc encoder
	var key []byte
	for {
		line, off, ok, err := l.next()
		if err != nil {
			s.err = err
			return s
		}
		if !ok {
			if off < l.end {
				s.rest = off
			}
			return s
		}
		key = s.line(c, &h, &enc, key, line, off)
		if s.err != nil {
			return s
		}
	}
}

// line takes one line, and returns the key that must sign the next seal in the
// segment where that is known.
func (s *scan) line(c *checked, h *hasher, enc *encoder, key, line []byte, off int64) []byte {
	info := lineInfo{off: off}
	head, err := parseHead(line)
	if err != nil || string(head.trail) != c.id || !json.Valid(line) {
		// One stands for all that follow each other, as many as they are.
		if n := len(s.lines); n == 0 || s.lines[n-1].ok {
			s.lines = append(s.lines, info)
		}
		return key
	}
	info.ok, info.seq, info.prev, info.hash = true, head.seq, head.prev, h.line(line)
	if s.first == "" {
		s.first = string(head.time)
	}
	s.last = string(head.time)
	switch head.kind {
	case KindSeal:
		if info.seal = scanSeal(c, enc, &head, line, key); info.seal != nil {
			key = info.seal.Next
		} else {
			info.ok = false
		}
	case KindIntent, KindBegin, KindCommit, KindRollback:
		if len(head.statement) > 0 {
			s.intents = append(s.intents, string(head.statement))
		}
	case KindOutcome, KindDenied:
		s.outcomes = append(s.outcomes, string(head.statement))
	case KindRecovered:
		if r, err := ParseRecord(line); err == nil {
			s.recovered = append(s.recovered, incarnationOf(r.Detail["origin"])+" "+string(head.statement))
		}
	case KindTombstone:
		if r, err := ParseRecord(line); err == nil {
			s.tombs = append(s.tombs, r)
		}
	case KindShredded:
		if r, err := ParseRecord(line); err == nil {
			s.shreds = append(s.shreds, r)
		}
	}
	s.lines = append(s.lines, info)
	if mayRefer(line) {
		if r, err := ParseRecord(line); err == nil {
			s.chunks(c, r, info.off)
		}
	}
	return key
}

// chunks checks what the record r refers to. It needs no key: the hashes are
// over what is stored.
func (s *scan) chunks(c *checked, r *Record, off int64) {
	for _, text := range r.chunks() {
		ref, err := parseChunkRef(text)
		if err != nil {
			continue // another sink's reference
		}
		f := chunkFinding{Finding{Trail: c.Origin, First: r.Seq, Last: r.Seq, Segment: s.n, Offset: off}, text}
		switch err := c.compareChunk(ref); {
		case err == nil:
			continue
		case errors.Is(err, fs.ErrNotExist) && c.keys[ref.file]:
			continue // shredded a moment ago: the record of it may not have been read
		case errors.Is(err, fs.ErrNotExist):
			f.Kind, f.Text = Removed, ref.file+", which it refers to, is gone"
		case errors.Is(err, errChunkChanged):
			f.Kind, f.Text = Altered, fmt.Sprintf("what it refers to in %s at byte %d is not what was recorded", ref.file, ref.off)
		default:
			s.err = err
			return
		}
		s.findings = append(s.findings, f)
	}
}

func (c *checked) compareChunk(ref chunkRef) error {
	f, err := ref.open(c.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !c.reading.take(ref.file, ref.length, info.Size()) {
		return errChunkChanged
	}
	return ref.compare(f)
}

// scanSeal reads a seal and checks its signature under key, when there is one.
func scanSeal(c *checked, enc *encoder, head *lineHead, line, key []byte) *sealInfo {
	r, err := ParseRecord(line)
	if err != nil || r.Seal == nil {
		return nil
	}
	s := &sealInfo{Seal: *r.Seal, time: string(head.time)}
	// Everything in the line must be what is signed: nothing else fits in.
	again := enc.line(nil, &Record{Kind: KindSeal, Seal: r.Seal}, head.seq, head.prev, r.Time, string(head.trail))
	s.exact = bytes.Equal(again, line) && (len(s.Next) == 0 || len(s.Next) == ed25519.PublicKeySize)
	if key != nil {
		s.keyUsed, s.valid = key, s.verify(c, head.seq, head.prev, key)
	}
	return s
}

func (s *sealInfo) verify(c *checked, seq uint64, prev Hash, key []byte) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	text := checkpoint{c.Origin, seq - 1, s.Root, prev, []byte(s.time), s.Next}
	return ed25519.Verify(key, text.append(nil), s.Sig)
}

// A chain is the second pass: over all lines in order.
type chain struct {
	v     *verifier
	c     *checked
	hash  Hash
	seq   uint64
	known bool // hash is that of line seq, and prev can be compared
	tree  tree
	whole bool // the tree has all lines, unaltered as far as known
	begun bool

	key      []byte    // that must sign the next seal
	sealed   uint64    // seq of the last good seal
	final    bool      // the last seal names no next key
	held     *lineInfo // the last line, until the next is known
	heldSeg  int
	gaps     map[uint64]gap
	bad      *badRun
	lastSeg  int
	restSeg  int
	restOff  int64
	restSize int64
}

// maxGaps bounds the missing records that are looked for further on.
const maxGaps = 1 << 16

type gap struct {
	seg int
	off int64
}

// badRun is a run of lines that are none.
type badRun struct {
	first uint64
	seg   int
	off   int64
}

func (ch *chain) segment(s *scan) {
	c, v := ch.c, ch.v
	if !ch.begun {
		ch.begun, ch.known, ch.whole = true, true, true
		ch.gaps = map[uint64]gap{}
		ch.start(s)
	}
	if ch.lastSeg != 0 && s.n != ch.lastSeg+1 {
		ch.release(nil)
	}
	if ch.lastSeg != 0 && s.n != ch.lastSeg+1 {
		v.report(c, Removed, ch.seq+1, 0, s.n, 0, "segments %s to %s are gone", segmentName(ch.lastSeg+1), segmentName(s.n-1))
	}
	ch.lastSeg = s.n
	c.Bytes += s.size
	if ch.restSize > 0 && s.size > 0 {
		ch.release(nil)
		v.report(c, Altered, ch.seq+1, ch.seq+1, ch.restSeg, ch.restOff, "the segment ends in the middle of a record, and another follows it")
		ch.restSize, ch.known, ch.whole = 0, false, false
	}
	for i := range s.lines {
		l := &s.lines[i]
		if !l.ok {
			ch.release(nil)
			if ch.bad == nil {
				ch.bad = &badRun{ch.seq + 1, s.n, l.off}
			}
			continue
		}
		ch.release(l)
		ch.held, ch.heldSeg = l, s.n
	}
	if s.rest >= 0 {
		ch.restSeg, ch.restOff, ch.restSize = s.n, s.rest, s.size-s.rest
	}
	if s.first != "" {
		if t, err := time.Parse(time.RFC3339Nano, s.first); err == nil && c.First.IsZero() {
			c.First = t
		}
		if t, err := time.Parse(time.RFC3339Nano, s.last); err == nil {
			c.Last = t
		}
	}
	for _, id := range s.intents {
		c.intents[id] = true
	}
	for _, id := range s.outcomes {
		delete(c.intents, id)
	}
	c.recovered = append(c.recovered, s.recovered...)
	c.chunks = append(c.chunks, s.findings...)
	c.tombs = append(c.tombs, s.tombs...)
	c.shreds = append(c.shreds, s.shreds...)
}

// start looks at the first line.
func (ch *chain) start(s *scan) {
	ch.key = ch.c.Key
	if s.n != 1 {
		ch.v.report(ch.c, Removed, 1, 0, s.n, 0, "the segments before %s are gone", segmentName(s.n))
		ch.known, ch.whole = false, false
	}
}

func c64(s string) []byte {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// release takes the line that was held back until the next was known.
func (ch *chain) release(next *lineInfo) {
	if l := ch.held; l != nil {
		ch.held = nil
		ch.line(ch.heldSeg, l, next)
	}
}

// line takes one line that is one. next is the one after it, or nil where there
// is none or it cannot help.
func (ch *chain) line(seg int, l, next *lineInfo) {
	c, v := ch.c, ch.v
	expected := ch.seq + 1
	if ch.bad != nil {
		last := max(ch.bad.first, l.seq-1)
		v.report(c, Altered, ch.bad.first, last, ch.bad.seg, ch.bad.off, "what stands here is no record")
		ch.known, ch.whole = false, false
		if l.seq > expected {
			expected = l.seq
		}
		ch.bad = nil
	}
	switch {
	case l.seq != expected && next != nil && next.seq == expected+1:
		v.report(c, Altered, expected, expected, seg, l.off, "its number was changed to %d", l.seq)
		ch.seq, ch.hash, ch.known, ch.whole = expected, next.prev, true, false
		ch.tree.add(l.hash)
		return
	case l.seq > expected:
		if l.seq-expected < maxGaps-uint64(len(ch.gaps)) {
			for q := expected; q < l.seq; q++ {
				ch.gaps[q] = gap{seg, l.off}
			}
		} else {
			v.report(c, Missing, expected, l.seq-1, seg, l.off, "these records are not there")
		}
		ch.known, ch.whole = false, false
	case l.seq < expected:
		if g, ok := ch.gaps[l.seq]; ok {
			delete(ch.gaps, l.seq)
			v.report(c, Reordered, l.seq, l.seq, g.seg, l.off, "it stands after record %d", ch.seq)
		} else if l.seq == ch.seq && l.hash == ch.hash {
			v.report(c, Duplicated, l.seq, l.seq, seg, l.off, "it stands here a second time")
		} else {
			v.report(c, Duplicated, l.seq, l.seq, seg, l.off, "a record of this number stands here again")
		}
		ch.whole = false
		return
	case ch.known && l.prev != ch.hash:
		// One of two neighbours was changed. The line after tells which: it
		// names the true hash of this one.
		culprit := ch.seq
		if next != nil && next.seq == l.seq+1 && next.prev != l.hash {
			culprit = l.seq
		}
		if culprit == 0 {
			culprit = 1
		}
		v.report(c, Altered, culprit, culprit, seg, l.off, "its bytes are not those that the next record names")
		ch.whole = false
	}
	// An altered line breaks the link after it too; once is enough.
	if ch.known && l.prev != ch.hash && next != nil && next.seq == l.seq+1 && next.prev != l.hash {
		ch.hash, ch.known = next.prev, true
	} else {
		ch.hash, ch.known = l.hash, true
	}
	ch.seq = l.seq
	if c.want[l.seq] {
		c.hashes[l.seq] = l.hash
	}
	if l.seal != nil {
		ch.seal(seg, l)
	}
	ch.tree.add(l.hash)
	if ch.final && l.seal == nil {
		v.report(c, Extended, l.seq, l.seq, seg, l.off, "it stands after the last seal")
	}
}

func (ch *chain) seal(seg int, l *lineInfo) {
	c, v, s := ch.c, ch.v, l.seal
	c.Seals++
	from := ch.sealed + 1
	good := false
	switch {
	case ch.final:
		v.report(c, Extended, l.seq, l.seq, seg, l.off, "a seal stands after the last seal")
	case ch.key == nil:
		v.report(c, Forged, l.seq, l.seq, seg, l.off, "no seal before it names the key that had to sign")
	case !s.exact:
		v.report(c, Altered, l.seq, l.seq, seg, l.off, "the seal has not the form of a seal")
	case !bytes.Equal(s.keyUsed, ch.key) && !s.verify(c, l.seq, l.prev, ch.key), bytes.Equal(s.keyUsed, ch.key) && !s.valid:
		v.report(c, Forged, from, l.seq, seg, l.off, "the seal is not signed by the key that had to sign: the seal, or a record since the seal before, was changed")
	case ch.whole && ch.tree.root() != s.Root:
		v.report(c, Altered, from, l.seq-1, seg, l.off, "the seal was made over other records")
		ch.whole = false
	default:
		good = true
	}
	if good {
		c.safe = ch.sealed
		ch.sealed = l.seq
		ch.final = len(s.Next) == 0
	}
	ch.key = s.Next
	if len(s.Next) == 0 {
		ch.key = nil
	}
}

// finish looks at what stands after the last line.
func (ch *chain) finish() {
	c, v := ch.c, ch.v
	ch.release(nil)
	// Gaps that nothing filled, joined to runs.
	missing := make([]uint64, 0, len(ch.gaps))
	for q := range ch.gaps {
		missing = append(missing, q)
	}
	slices.Sort(missing)
	for i := 0; i < len(missing); {
		j := i
		for j+1 < len(missing) && missing[j+1] == missing[j]+1 {
			j++
		}
		g := ch.gaps[missing[i]]
		v.report(c, Missing, missing[i], missing[j], g.seg, g.off, "these records are not there")
		i = j + 1
	}
	c.Records, c.lastSeal = ch.seq, ch.sealed
	c.Head = Head{Origin: c.Origin, Seq: ch.seq, Hash: ch.hash, Key: c.Key}
	c.hashes[ch.seq] = ch.hash
	c.closed = ch.final
	torn := ch.restSize
	seg, off := ch.restSeg, ch.restOff
	if ch.bad != nil {
		seg, off, torn = ch.bad.seg, ch.bad.off, max(torn, 1)
	}
	c.torn = torn
	if torn > 0 && !c.running {
		if ch.final {
			v.report(c, Extended, 0, 0, seg, off, "bytes that are no record stand after the last seal")
		} else {
			c.Unknown = append(c.Unknown, fmt.Sprintf("what stands at the end from byte %d of %s is no record: a crash tore it, or somebody changed it", off, segmentName(seg)))
		}
	}
}

// vouchers compares what trails say of each other, and the anchor of them.
func (v *verifier) vouchers() {
	for _, c := range v.trails {
		for _, w := range c.vouched {
			v.compare(c, w.head, "the trail "+w.by.Origin, true)
		}
		for _, h := range v.heads[c.id] {
			if !v.compare(c, h, "the anchor", false) {
				break
			}
			c.Anchored = max(c.Anchored, h.Seq)
		}
	}
}

// cover finds out which trails the anchor vouches for: those that it has seen,
// and, since it has seen their beginnings, those that these name.
func (v *verifier) cover() {
	var list []*checked
	for _, c := range v.trails {
		if c.Anchored > 0 {
			list = append(list, c)
		}
	}
	for len(list) > 0 {
		c := list[len(list)-1]
		list = list[:len(list)-1]
		if c.Covered {
			continue
		}
		c.Covered = true
		for _, w := range c.heads {
			if of := v.byID[incarnationOf(w.head.Origin)]; of != nil {
				list = append(list, of)
			}
		}
	}
}

// honest yields the trails whose word counts: those that nobody altered, and of
// which the anchor knows.
func (v *verifier) honest(yield func(*checked) bool) {
	altered := map[string]bool{}
	for _, f := range v.findings {
		altered[incarnationOf(f.Trail)] = true
	}
	for _, c := range v.trails {
		if altered[c.id] || v.opt.Anchor != nil && !c.Covered {
			continue
		}
		if !yield(c) {
			return
		}
	}
}

// shreddings finds out which keys were deleted by right.
func (v *verifier) shreddings() {
	for by := range v.honest {
		for _, r := range by.shreds {
			if r.Seq <= by.lastSeal {
				v.shredded[r.Detail["key"]] = r.Detail["sha256"]
			}
		}
	}
}

// tombstones takes out what was deleted by right, also where that was not
// finished. A tombstone counts where nobody else could have written it: under a
// good seal of another trail, of which the anchor knows.
func (v *verifier) tombstones(report *Report) {
	for by := range v.honest {
		for _, r := range by.tombs {
			if r.Seq > by.lastSeal {
				continue
			}
			for _, h := range r.Heads {
				if id := incarnationOf(h.Origin); id != by.id && v.agrees(h) {
					v.tombs[id] = Deletion{h, by.Origin, r.Seq, r.Time}
				}
			}
		}
	}
	for id, d := range v.tombs {
		report.Deleted = append(report.Deleted, d)
		c := v.byID[id]
		if c == nil {
			continue
		}
		delete(v.byID, id)
		v.trails = slices.DeleteFunc(v.trails, func(x *checked) bool { return x == c })
		v.findings = slices.DeleteFunc(v.findings, func(f Finding) bool { return incarnationOf(f.Trail) == id })
	}
	slices.SortFunc(report.Deleted, func(a, b Deletion) int { return strings.Compare(a.Head.Origin, b.Head.Origin) })
}

// agrees reports whether the anchor has seen nothing that contradicts the end
// which a tombstone names.
func (v *verifier) agrees(tomb Head) bool {
	for _, h := range v.heads[incarnationOf(tomb.Origin)] {
		if h.Seq > tomb.Seq || h.Seq == tomb.Seq && h.Hash != tomb.Hash || len(h.Key) > 0 && !bytes.Equal(h.Key, tomb.Key) {
			return false
		}
	}
	return true
}

// missing finds the trails that are gone without a tombstone.
func (v *verifier) missing() error {
	names, gone := map[string]bool{}, map[string]bool{}
	report := func(origin, format string, args ...any) {
		id := incarnationOf(origin)
		if _, deleted := v.tombs[id]; v.byID[id] == nil && !deleted && !gone[id] {
			gone[id] = true
			v.findings = append(v.findings, Finding{Trail: origin, Kind: Removed, Text: fmt.Sprintf(format, args...)})
		}
	}
	for _, c := range v.trails {
		names[strings.TrimSuffix(c.Origin, "/"+c.id)] = true
		for _, w := range c.heads {
			if w.head.Seq > 0 {
				report(w.head.Origin, "the whole trail of %d records is gone; %s names it", w.head.Seq, c.Origin)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.heads)) {
		last := v.heads[id][len(v.heads[id])-1]
		// The anchor may serve directories of other names.
		if names[strings.TrimSuffix(last.Origin, "/"+id)] {
			report(last.Origin, "the whole trail is gone; the anchor saw %d records (if trails of this name stand in another directory too, name that as well)", last.Seq)
		}
	}
	// What was there at first was deleted after its tombstone, if by right.
	for _, c := range v.trails {
		if _, err := os.Stat(c.Dir); err != nil {
			return vanished(err)
		}
	}
	return nil
}

// compare checks c against a head that somebody else kept. end means that c ended
// there.
func (v *verifier) compare(c *checked, h Head, who string, end bool) bool {
	if len(h.Key) > 0 && !bytes.Equal(h.Key, c.Key) {
		v.report(c, Replaced, 1, 1, 0, 0, "%s knows it with another first key", who)
		return false
	}
	if h.Seq > c.Records {
		v.report(c, Truncated, c.Records+1, h.Seq, 0, 0, "%s has seen record %d; here the last is %d", who, h.Seq, c.Records)
		return false
	}
	if hash, ok := c.hashes[h.Seq]; h.Seq > 0 && (!ok || hash != h.Hash) {
		v.report(c, Replaced, h.Seq, h.Seq, 0, 0, "%s has seen another record of this number", who)
		return false
	}
	if end && h.Seq < c.Records {
		v.report(c, Extended, h.Seq+1, c.Records, 0, 0, "%s names record %d as the last", who, h.Seq)
		return false
	}
	if end && h.Tail == nil && c.torn > 0 {
		v.report(c, Extended, 0, 0, 0, 0, "bytes that are no record stand after its end, where %s saw none", who)
		return false
	}
	if end && h.Tail != nil {
		if err := checkTail(c, h.Tail); err != nil {
			v.report(c, Altered, 0, 0, h.Tail.Segment, h.Tail.Offset, "the torn end is not as %s found it: %v", who, err)
			return false
		}
	}
	return true
}

// checkTail compares what stands after the last line with what was found there.
func checkTail(c *checked, t *Tail) error {
	sum := sha256.New()
	var length int64
	for _, n := range c.segments {
		if n < t.Segment {
			continue
		}
		l, err := openSegment(c.Dir, n)
		if err != nil {
			return err
		}
		from := int64(0)
		if n == t.Segment {
			from = t.Offset
		}
		k, err := l.rest(sum, from)
		l.close()
		if err != nil {
			return err
		}
		length += k
	}
	if length != t.Length || hex.EncodeToString(sum.Sum(nil)) != t.SHA256 {
		return errors.New("other bytes")
	}
	return nil
}

// excused says why a chunk that is not there is no finding: the last commit before
// a crash may have lost it and kept the line, and nobody was told otherwise. The
// trail that follows says which were lost.
func (c *checked) excused(f *chunkFinding) bool {
	if c.closed || f.First <= max(c.safe, c.Anchored) {
		return false
	}
	return len(c.vouched) == 0 || slices.ContainsFunc(c.vouched, func(w voucher) bool { return slices.Contains(w.head.Lost, f.ref) })
}

// ending says how c ends, after everything else is known.
func (v *verifier) ending(c *checked, recovered map[string]bool) {
	switch {
	case c.closed:
		c.End = EndClosed
	case len(c.vouched) > 0:
		c.End = EndSucceeded
	case c.running:
		c.End = EndRunning
	default:
		c.End = EndNotClosed
	}
	for i := range c.chunks {
		f := &c.chunks[i]
		if ref, err := parseChunkRef(f.ref); err == nil && f.Kind == Removed && v.shredded[c.id+"/"+ref.file] == ref.sum {
			continue
		}
		if c.excused(f) {
			c.Unknown = append(c.Unknown, fmt.Sprintf("record %d: %s; it was not known to be on disk when the trail ended", f.First, f.Text))
		} else {
			v.findings = append(v.findings, f.Finding)
		}
	}
	if c.Records > c.lastSeal {
		s := fmt.Sprintf("records %d to %d came after the last seal", c.lastSeal+1, c.Records)
		if c.End == EndSucceeded {
			s += ": only the trail that followed vouches for them"
		} else {
			s += ": nothing protects them yet"
		}
		c.Unknown = append(c.Unknown, s)
	}
	if s := v.unknown(c); s != "" {
		c.Unknown = append(c.Unknown, s)
	}
	if c.End == EndRunning {
		return
	}
	for id := range c.intents {
		if !recovered[c.id+" "+id] {
			c.Orphans = append(c.Orphans, id)
		}
	}
	slices.Sort(c.Orphans)
}

// unknown says in a sentence what cannot be known of the end of c, or of all of
// it.
func (v *verifier) unknown(c *checked) string {
	switch {
	case c.End == EndNotClosed && c.Anchored > 0:
		return fmt.Sprintf("the trail was not closed; the anchor vouches for it up to record %d, and what came after record %d cannot be known", c.Anchored, c.Records)
	case v.opt.Anchor != nil && !c.Covered:
		return "the anchor knows nothing of this trail: whether it belongs here cannot be known"
	case v.opt.Anchor != nil:
		return ""
	}
	switch c.End {
	case EndNotClosed:
		return "the trail was not closed and no anchor is given: whether records are missing at its end cannot be known"
	case EndRunning:
		return "the trail is being written and no anchor is given: whether its end was cut cannot be known"
	case EndSucceeded:
		return "the trail was not closed and no anchor is given: whether records were cut from its end before the next trail began cannot be known"
	}
	return "no anchor is given: whether the whole trail was replaced by another cannot be known"
}
