package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

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
	used        chunkEnds
}

// A chunkFinding is about a chunk that a record refers to.
type chunkFinding struct {
	Finding
	ref string
}

// chunkEnds says of each file of chunks where the last of them ends.
type chunkEnds map[string]int64

func (e chunkEnds) add(file string, end int64) { e[file] = max(e[file], end) }

// beyond looks for what stands in c's files of chunks after all that records refer
// to. Beyond a key there is nothing honest. Beyond payloads and originals there may
// be: not every chunk came to a record, when something failed or a crash came
// between. Those of a trail that runs are ahead of its lines.
func (v *verifier) beyond(c *checked) error {
	if c.running {
		return nil
	}
	for _, store := range []string{payloadStore, "sealed", "keys"} {
		entries, err := os.ReadDir(filepath.Join(c.Dir, store))
		if errors.Is(err, fs.ErrNotExist) {
			continue // what should be there is missed
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			file := store + "/" + e.Name()
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // a key that was shredded a moment ago
			}
			if err != nil {
				return err
			}
			end, used := c.used[file]
			more := info.Size() - end
			switch {
			case more <= 0:
			case store == "keys" && used:
				v.report(c, Extended, 0, 0, 0, 0, "%d bytes were added at the end of %s", more, file)
			default:
				c.Unknown = append(c.Unknown, fmt.Sprintf("%d bytes at the end of %s are in no record: something failed before it was written, or somebody added them", more, file))
			}
		}
	}
	return nil
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
	if !ch.whole {
		return nil // a record that is missed may have referred to it
	}
	return vanished(v.beyond(c))
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
	s := &scan{n: n, rest: -1, used: chunkEnds{}}
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
		s.used.add(ref.file, ref.off+ref.length)
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
