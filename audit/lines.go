package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A directory of trails may come from somebody who wants its reader to hang or to
// run out of memory. What follows reads no more than is there.

// maxLine bounds a line, so that a reader knows when to give up. A trail refuses
// a record that would be longer.
const maxLine = 1 << 30

// maxSegmentFile is larger than any segment becomes.
const maxSegmentFile = 1 << 36

var errNotPlain = errors.New("it is no regular file, or larger than any that a trail makes")

func notPlain(path string) error { return &fs.PathError{Op: "read", Path: path, Err: errNotPlain} }

// openPlain opens a regular file. It follows no link in the last place, and does
// not wait for the other end of a pipe.
func openPlain(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EMLINK) {
		return nil, nil, notPlain(path)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notPlain(path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// A lineReader reads a segment up to the last byte that is not zero, as it stands
// when it is opened.
type lineReader struct {
	f    *os.File
	end  int64
	buf  []byte // read and not yet given out
	from int    // where in buf the next line begins
	at   int64  // where in f the bytes after buf begin
}

func openSegment(dir string, n int) (*lineReader, error) {
	f, info, err := openPlain(segmentPath(dir, n))
	if err != nil {
		return nil, err
	}
	l := &lineReader{f: f}
	if info.Size() > maxSegmentFile {
		err = notPlain(f.Name())
	} else {
		l.end, err = dataEnd(f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *lineReader) close() { l.f.Close() }

// dataEnd returns where the last byte of f that is not zero ends.
func dataEnd(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := lastData(f, size); end > 0; {
		b := buf[:min(end, int64(len(buf)))]
		n, err := f.ReadAt(b, end-int64(len(b)))
		if err != nil && err != io.EOF { // it may have been cut meanwhile
			return 0, err
		}
		end -= int64(len(b))
		if k := len(bytes.TrimRight(b[:n], "\x00")); k > 0 {
			return end + int64(k), nil
		}
	}
	return 0, nil
}

// next returns the next line without its newline, and where it begins. The line
// is valid until the next call, and nil when it is longer than a line can be. When ok is false no line follows, and off is where what is no line begins.
func (l *lineReader) next() (line []byte, off int64, ok bool, err error) {
	off = l.at - int64(len(l.buf)-l.from)
	skipping := false
	for seen := l.from; ; {
		if i := bytes.IndexByte(l.buf[seen:], '\n'); i >= 0 {
			line, l.from = l.buf[l.from:seen+i], seen+i+1
			if skipping {
				line = nil
			}
			return line, off, true, nil
		}
		if l.at >= l.end {
			return nil, off, false, nil
		}
		rest := l.buf[l.from:]
		if skipping = skipping || len(rest) > maxLine || bytes.IndexByte(rest, 0) >= 0; skipping {
			rest = nil
		}
		l.buf, l.from = append(l.buf[:0], rest...), 0
		seen = len(l.buf)
		l.buf = slices.Grow(l.buf, max(256<<10, seen))
		n, err := l.f.ReadAt(l.buf[seen:min(int64(cap(l.buf)), int64(seen)+l.end-l.at)], l.at)
		if err != nil && (err != io.EOF || n == 0) {
			return nil, off, false, err
		}
		l.buf, l.at = l.buf[:seen+n], l.at+int64(n)
	}
}

// rest writes to w what stands from off on, and returns how much that is.
func (l *lineReader) rest(w io.Writer, off int64) (int64, error) {
	if off >= l.end {
		return 0, nil
	}
	return io.Copy(w, io.NewSectionReader(l.f, off, l.end-off))
}
