package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newIncarnation is nameIncarnation, save in tests of what the clock can do.
var newIncarnation = nameIncarnation

// nameIncarnation names a process's directory: when it began, and chance.
func nameIncarnation() string {
	var b [4]byte
	rand.Read(b[:])
	return time.Now().UTC().Format("20060102T150405.000000Z-") + hex.EncodeToString(b[:])
}

var (
	incarnationName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}$`)
	segmentPattern  = regexp.MustCompile(`^(\d{8})\.jsonl$`)
)

// incarnations returns the names of the trails in dir, oldest first.
func incarnations(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && incarnationName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// segmentNumbers returns the numbers of the segments in an incarnation's
// directory, in order.
func segmentNumbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if m := segmentPattern.FindStringSubmatch(e.Name()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil || n == 0 {
				continue
			}
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// lockWithin is lock, tried again for a while: whoever holds it is about to let
// it go.
func lockWithin(path string, d time.Duration) (*os.File, error) {
	for end := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		f, held, err := lock(path)
		if err != nil {
			return nil, err
		}
		if !held {
			return f, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s is locked by another process that does not finish opening", path)
		}
	}
}

// A predecessor is a trail that ended and that no other vouches for yet.
type predecessor struct {
	head    Head
	last    time.Time         // of the last record
	orphans []*Record         // intents without an outcome
	used    map[string]int64  // bytes up to the last that is not zero, by segment file
	xid     map[string]string // by session, the last one recorded
	tombs   []Head            // in its tombstones
	shreds  []*Record         // of keys that were deleted
	// References to chunks, in the lines under the last seal and after it.
	fresh, newest []string
}

// predecessors finds the trails in dir that have ended without being named in
// another's beginning. The caller holds dir's lock.
func predecessors(dir string) ([]predecessor, error) {
	names, err := incarnations(dir)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	var ended []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		l, held, err := lock(filepath.Join(path, lockName))
		if err != nil {
			return nil, err
		}
		if !held {
			l.Close()
			ended = append(ended, name)
		}
		heads, err := vouched(path)
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			named[filepath.Base(h.Origin)] = true
		}
	}
	var list []predecessor
	for _, name := range ended {
		if named[name] {
			continue
		}
		p, err := examine(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// vouched returns the heads that the beginning of the trail in dir names. A
// beginning that never reached its first seal names none: what follows the open
// record may be missing.
func vouched(dir string) (heads []Head, err error) {
	l, err := openSegment(dir, 1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer l.close()
	w := walker{id: filepath.Base(dir)}
	sealed := false
	err = w.segment(1, l, func(h *lineHead, line []byte) bool {
		switch h.kind {
		case KindOpen:
			if r, err := ParseRecord(line); err == nil {
				heads = r.Heads
			}
		case KindSeal:
			sealed = true
		}
		return !sealed
	})
	if !sealed {
		heads = nil
	}
	return heads, err
}

// A walker goes over the lines of a trail, as far as they follow each other.
type walker struct {
	id     string // of the incarnation
	seq    uint64
	head   Hash
	hash   hasher
	broken bool
	tail   *Tail // where it breaks; its length is the caller's to find
}

// take takes the next line, if it is that.
func (w *walker) take(line []byte) (h lineHead, ok bool) {
	h, err := parseHead(line)
	// A power cut can leave a hole of zeros in a line whose ends are there.
	if err != nil || h.seq != w.seq+1 || h.prev != w.head || string(h.trail) != w.id || !json.Valid(line) {
		return h, false
	}
	w.seq, w.head = h.seq, w.hash.line(line)
	return h, true
}

// segment walks the segment n, until visit says stop. Where it breaks, the tail
// has its place.
func (w *walker) segment(n int, l *lineReader, visit func(*lineHead, []byte) bool) error {
	for {
		line, off, ok, err := l.next()
		if err != nil {
			return err
		}
		if ok {
			if h, ok := w.take(line); ok {
				if !visit(&h, line) {
					return nil
				}
				continue
			}
		}
		if off < l.end {
			w.broken = true
			w.tail = &Tail{Segment: n, Offset: off}
		}
		return nil
	}
}

// unfinished holds the records of one trail that have no outcome yet.
type unfinished map[string]begunLine

type begunLine struct {
	kind Kind
	line []byte
}

// see takes the next line. It returns the kind of what the line ends.
func (u unfinished) see(h *lineHead, line []byte) (ended Kind) {
	switch id := string(h.statement); h.kind {
	case KindIntent, KindBegin, KindCommit, KindRollback:
		if id != "" {
			u[id] = begunLine{h.kind, bytes.Clone(line)}
		}
	case KindOutcome, KindDenied:
		ended = u[id].kind
		delete(u, id)
	}
	return ended
}

// examine reads the trail in dir to its end.
func examine(dir string) (predecessor, error) {
	p := predecessor{xid: map[string]string{}, used: map[string]int64{}}
	p.head.Origin = filepath.Base(dir)
	numbers, err := segmentNumbers(dir)
	if err != nil {
		return p, err
	}
	w := walker{id: filepath.Base(dir)}
	open := unfinished{}
	var last []byte
	sum := sha256.New()
	for _, n := range numbers {
		l, err := openSegment(dir, n)
		if err != nil {
			return p, err
		}
		err = p.segment(&w, n, l, open, &last, sum)
		l.close()
		if err != nil {
			return p, err
		}
	}
	p.head.Seq, p.head.Hash = w.seq, w.head
	p.last, _ = time.Parse(time.RFC3339Nano, string(last))
	if w.tail != nil {
		w.tail.SHA256 = hex.EncodeToString(sum.Sum(nil))
		p.head.Tail = w.tail
	}
	p.head.Lost = p.lost(dir)
	for _, begun := range open {
		r, err := ParseRecord(begun.line)
		if err != nil {
			return p, fmt.Errorf("an intent of %s: %w", dir, err)
		}
		p.orphans = append(p.orphans, r)
	}
	slices.SortFunc(p.orphans, func(a, b *Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return p, nil
}

// segment reads one segment of p.
func (p *predecessor) segment(w *walker, n int, l *lineReader, open unfinished, last *[]byte, sum hash.Hash) error {
	p.used[l.f.Name()] = l.end
	if w.tail == nil {
		err := w.segment(n, l, func(h *lineHead, line []byte) bool {
			*last = append((*last)[:0], h.time...)
			p.see(h, line, open.see(h, line))
			return true
		})
		if err != nil || w.tail == nil {
			return err
		}
	}
	from := int64(0)
	if w.tail.Segment == n {
		from = w.tail.Offset
	}
	length, err := l.rest(sum, from)
	w.tail.Length += length
	return err
}

// see takes what p needs of a line, which ended a record of the given kind.
func (p *predecessor) see(h *lineHead, line []byte, ended Kind) {
	if len(p.xid) > 0 && (h.kind == KindBegin || ended == KindCommit || ended == KindRollback) {
		delete(p.xid, unescaped(h.session)) // what comes is in another transaction
	}
	switch h.kind {
	case KindSeal:
		// What came before the seal before this one was synced for sure: the
		// key of a seal is used only after that.
		p.fresh = append(p.fresh[:0], p.newest...)
		p.newest = p.newest[:0]
	case KindOpen, KindTombstone:
		if r, err := ParseRecord(line); err == nil {
			if h.kind == KindTombstone {
				p.tombs = append(p.tombs, r.Heads...)
				return
			}
			p.head.Origin = r.Detail["origin"]
			p.head.Key = c64(r.Detail["key"])
		}
		return
	case KindShredded:
		if r, err := ParseRecord(line); err == nil {
			p.shreds = append(p.shreds, r)
		}
		return
	}
	xid := bytes.Contains(line, []byte(`"xid":"`))
	if !xid && !mayRefer(line) {
		return
	}
	r, err := ParseRecord(line)
	if err != nil {
		return
	}
	if id := r.Detail["xid"]; id != "" {
		p.xid[r.Session] = id
	}
	p.newest = append(p.newest, r.chunks()...)
}

// lost returns the references in the last lines whose chunks are not there:
// a power cut can take a chunk and leave the line that refers to it.
func (p *predecessor) lost(dir string) (lost []string) {
	for _, text := range slices.Concat(p.fresh, p.newest) {
		r, err := parseChunkRef(text)
		if err != nil {
			continue // another sink's
		}
		f, err := r.open(dir)
		if err == nil {
			err = r.compare(f)
			f.Close()
		}
		if err != nil {
			lost = append(lost, text)
		}
	}
	return lost
}

// recovered makes the record for an intent, or a begin, commit or rollback, whose
// outcome a crash took.
func (t *Trail) recovered(p *predecessor, intent *Record) *Record {
	status := "unknown"
	xid := p.xid[intent.Session]
	if own := intent.Detail["xid"]; own != "" {
		xid = own
	}
	d := map[string]string{"origin": p.head.Origin, "intent": strconv.FormatUint(intent.Seq, 10)}
	if xid != "" {
		d["xid"] = xid
		if ask := t.cfg.TransactionStatus; ask != nil {
			// The directory is locked meanwhile, and others want to begin too.
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			// An error leaves it unknown: that is what the record then says.
			if s, err := ask(ctx, intent.Database, xid); err == nil && s != "" {
				status = strings.ToLower(s)
			}
			if ctx.Err() != nil {
				t.cfg.TransactionStatus = nil // it will not answer the next one either
			}
			cancel()
		}
	}
	d["status"] = status
	return &Record{
		Kind:      KindRecovered,
		Session:   intent.Session,
		Statement: intent.Statement,
		Who:       intent.Who,
		Database:  intent.Database,
		Detail:    d,
	}
}

// reclaim gives back the room that a crash left allocated in p's segments. The
// zeros there are not part of the trail. What cannot be had stays.
func (p *predecessor) reclaim() {
	for path, used := range p.used {
		os.Truncate(path, used)
	}
}
