package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An Entry is a record with the place where it was read.
type Entry struct {
	Record *Record
	Line   []byte // as it stands in the trail; valid until the next entry
	Dir    string // of the incarnation
}

// A Reader reads one incarnation from its beginning, as far as the chain goes,
// also while it is being written. It checks the chain and not the seals: Verify
// does. It is not safe for concurrent use.
type Reader struct {
	dir  string
	w    walker
	n    int // of the segment that is open
	f    *os.File
	buf  []byte // read and not yet given out
	from int    // where in buf the next line begins
	at   int64  // where in f the bytes after buf begin
}

// NewReader reads the trail in dir, one incarnation's. Close it.
func NewReader(dir string) *Reader {
	return &Reader{dir: dir, w: walker{id: filepath.Base(dir)}}
}

// Broken reports whether the reader has met what is no record of the chain: a
// write that a crash tore, or an alteration. It reads no further.
func (r *Reader) Broken() bool { return r.w.broken }

// Next returns the next record, or io.EOF when there is none yet: it may be
// called again. After what is no record of the chain it always returns io.EOF.
func (r *Reader) Next() (Entry, error) {
	for !r.w.broken {
		if r.f == nil {
			f, _, err := openPlain(segmentPath(r.dir, r.n+1))
			if errors.Is(err, fs.ErrNotExist) {
				return Entry{}, io.EOF
			}
			if err != nil {
				return Entry{}, err
			}
			r.f, r.n, r.buf, r.from, r.at = f, r.n+1, r.buf[:0], 0, 0
		}
		if end := bytes.IndexByte(r.buf[r.from:], '\n'); end >= 0 {
			line := r.buf[r.from : r.from+end]
			if _, ok := r.w.take(line); !ok {
				r.w.broken = true
				break
			}
			r.from += end + 1
			rec, err := ParseRecord(line)
			if err != nil {
				return Entry{}, fmt.Errorf("record %d of %s: %w", r.w.seq, r.dir, err)
			}
			return Entry{rec, line, r.dir}, nil
		}
		more, err := r.fill()
		if err != nil {
			return Entry{}, err
		}
		if more {
			continue
		}
		// Nothing more here. If the next segment is there, this one is done:
		// it was rotated away after its last line was written.
		if !begun(segmentPath(r.dir, r.n+1)) {
			return Entry{}, io.EOF
		}
		if more, err := r.fill(); more || err != nil { // written between the two looks
			continue
		}
		r.f.Close()
		r.f = nil
	}
	return Entry{}, io.EOF
}

// begun reports whether a segment holds anything: the next one is made ahead.
func begun(path string) bool {
	f, _, err := openPlain(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [1]byte
	n, _ := f.Read(b[:])
	return n == 1 && b[0] != 0
}

// fill reads on, and reports whether there was something besides zeros.
func (r *Reader) fill() (bool, error) {
	r.buf = append(r.buf[:0], r.buf[r.from:]...)
	r.from = 0
	have := len(r.buf)
	if have > maxLine {
		r.w.broken = true
		return false, nil
	}
	r.buf = slices.Grow(r.buf, max(256<<10, have))
	n, err := r.f.ReadAt(r.buf[have:cap(r.buf)], r.at)
	if err != nil && err != io.EOF {
		return false, err
	}
	read := r.buf[have : have+n]
	if i := bytes.IndexByte(read, 0); i >= 0 {
		read = read[:i]
	}
	r.buf = r.buf[:have+len(read)]
	r.at += int64(len(read))
	return len(read) > 0, nil
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.f == nil {
		return nil
	}
	return r.f.Close()
}

// Entries yields the records of the trails in dirs, each a directory of trails or
// of one, a trail after the other from the oldest.
func Entries(ctx context.Context, dirs ...string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, dir := range dirs {
			trails, err := Trails(dir)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, trail := range trails {
				if !entries(ctx, trail, yield) {
					return
				}
			}
		}
	}
}

func entries(ctx context.Context, trail string, yield func(Entry, error) bool) bool {
	r := NewReader(trail)
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return true
		}
		if err == nil {
			err = ctx.Err()
		}
		if !yield(e, err) || err != nil {
			return false
		}
	}
}

// Trails returns the directories of the incarnations in dir, oldest first. When
// dir is itself one, that.
func Trails(dir string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if incarnationName.MatchString(filepath.Base(abs)) {
		return []string{strings.TrimSuffix(dir, string(filepath.Separator))}, nil
	}
	names, err := incarnations(dir)
	if err != nil {
		return nil, err
	}
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names, nil
}
