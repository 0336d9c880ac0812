package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newIncarnation names a process's directory: when it began, and chance.
func newIncarnation() string {
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
func vouched(dir string) ([]Head, error) {
	f, err := os.Open(filepath.Join(dir, segmentName(1)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var heads []Head
	for buf, size := []byte(nil), 64<<10; ; size *= 4 {
		buf = slices.Grow(buf[:0], size)[:size]
		n, _ := f.ReadAt(buf, 0)
		buf = buf[:n]
		w := walker{id: filepath.Base(dir)}
		sealed := false
		w.segment(1, buf, func(l *lineHead, line []byte) bool {
			switch l.kind {
			case KindOpen:
				if r, err := ParseRecord(line); err == nil {
					heads = r.Heads
				}
			case KindSeal:
				sealed = true
			}
			return !sealed
		})
		if sealed {
			return heads, nil
		}
		if n < size || w.broken {
			return nil, nil
		}
	}
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

// segment walks the segment n with the content data, until visit says stop.
func (w *walker) segment(n int, data []byte, visit func(*lineHead, []byte) bool) {
	rest, off := data, int64(0)
	for len(rest) > 0 && rest[0] != 0 {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		line := rest[:end]
		h, ok := w.take(line)
		if !ok {
			break
		}
		rest, off = rest[end+1:], off+int64(end)+1
		if !visit(&h, line) {
			return
		}
	}
	rest = bytes.TrimRight(rest, "\x00")
	if len(rest) > 0 {
		w.broken = true
		w.tail = &Tail{Segment: n, Offset: off}
	}
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
	intents := map[string][]byte{}
	var last []byte
	sum := sha256.New()
	for _, n := range numbers {
		path := filepath.Join(dir, segmentName(n))
		data, err := os.ReadFile(path)
		if err != nil {
			return p, err
		}
		if used := len(bytes.TrimRight(data, "\x00")); used < len(data) {
			p.used[path] = int64(used)
		}
		if w.tail != nil {
			data = bytes.TrimRight(data, "\x00")
			w.tail.Length += int64(len(data))
			sum.Write(data)
			continue
		}
		w.segment(n, data, func(l *lineHead, line []byte) bool {
			last = append(last[:0], l.time...)
			switch l.kind {
			case KindOpen:
				if r, err := ParseRecord(line); err == nil {
					p.head.Origin = r.Detail["origin"]
					p.head.Key, _ = base64.StdEncoding.DecodeString(r.Detail["key"])
				}
			case KindIntent:
				intents[string(l.statement)] = line
			case KindOutcome, KindDenied:
				delete(intents, string(l.statement))
			}
			if bytes.Contains(line, []byte(`"xid":"`)) {
				if r, err := ParseRecord(line); err == nil && r.Detail["xid"] != "" {
					p.xid[r.Session] = r.Detail["xid"]
				}
			}
			return true
		})
		for id, line := range intents {
			intents[id] = bytes.Clone(line) // data goes away
		}
		if w.tail != nil {
			torn := bytes.TrimRight(data[w.tail.Offset:], "\x00")
			w.tail.Length = int64(len(torn))
			sum.Write(torn)
		}
	}
	p.head.Seq, p.head.Hash = w.seq, w.head
	p.last, _ = time.Parse(time.RFC3339Nano, string(last))
	if w.tail != nil {
		w.tail.SHA256 = hex.EncodeToString(sum.Sum(nil))
		p.head.Tail = w.tail
	}
	for _, line := range intents {
		r, err := ParseRecord(line)
		if err != nil {
			return p, fmt.Errorf("an intent of %s: %w", dir, err)
		}
		p.orphans = append(p.orphans, r)
	}
	slices.SortFunc(p.orphans, func(a, b *Record) int { return int(a.Seq) - int(b.Seq) })
	return p, nil
}

// recovered makes the record for an intent whose outcome a crash took.
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
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			// An error leaves it unknown: that is what the record then says.
			if s, err := ask(ctx, intent.Database, xid); err == nil && s != "" {
				status = strings.ToLower(s)
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
