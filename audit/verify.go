package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	used      chunkEnds // what records refer to
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
			intents: map[string]bool{}, used: chunkEnds{},
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
