package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

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
	for file, end := range s.used {
		c.used.add(file, end)
	}
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
