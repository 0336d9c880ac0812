package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// files is what a trail needs of a file system. The tests stand in for it with
// one that loses what was not synced.
type files interface {
	// mkdir makes a directory that must not exist, and its name durable.
	mkdir(path string) error
	// create makes a file of size bytes of zeros, which must not exist.
	// Neither content nor name is durable yet.
	create(path string, size int64) (file, error)
	// syncDir makes the names in a directory durable.
	syncDir(path string) error
}

// file is an open file that is written once, from the front.
type file interface {
	WriteAt(b []byte, off int64) (int, error)
	// mapped is the file in memory, as the system has it: what is stored there
	// outlives the process. Nil where the file is written by WriteAt alone.
	mapped() []byte
	// forget drops the part from..to of mapped from the page tables of the process,
	// not from the file. A sync interrupts every processor of the process once for
	// each page that it writes and that is still in them.
	forget(from, to int64)
	// uncache takes what is on the disk from the cache of the system: nobody reads
	// it soon, and the next lines get the memory that it leaves.
	uncache(from, to int64)
	// sync makes the content durable (fdatasync).
	sync() error
	truncate(size int64) error
	// intact returns an error when path no longer names this file, or when it
	// has become shorter than size or than it was made.
	intact(path string, size int64) error
	Close() error
}

// makeAll makes a directory and those above it, where they are missing, and their
// names durable: what is synced in a directory without a name is lost with it.
func makeAll(fsys files, path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if up := filepath.Dir(path); up != path {
		if err := makeAll(fsys, up); err != nil {
			return err
		}
	}
	if err := fsys.mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

type osFiles struct{}

func (osFiles) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	if err := (osFiles{}).syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	return nil
}

// errSync marks the error of a sync, which is final whatever it is.
var errSync = errors.New("fsync")

func (osFiles) create(path string, size int64) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	reserved := false
	if size > 0 {
		reserved, err = preallocate(f, size)
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		return nil, &fs.PathError{Op: "preallocate", Path: path, Err: err}
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	o := osFile{f: f, info: info}
	if reserved {
		// Without a mapping it works too.
		o.mem, _ = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	return o, nil
}

func (osFiles) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

type osFile struct {
	f    *os.File
	info fs.FileInfo // as it was made: says which file it is
	mem  []byte      // the file, where its room on the disk is reserved
}

func (o osFile) WriteAt(b []byte, off int64) (int, error) { return o.f.WriteAt(b, off) }
func (o osFile) truncate(size int64) error                { return o.f.Truncate(size) }
func (o osFile) mapped() []byte                           { return o.mem }

// The error is left alone: it costs time, and nothing else.
func (o osFile) forget(from, to int64) { unix.Madvise(o.mem[from:to], unix.MADV_DONTNEED) }

func (o osFile) Close() error {
	if o.mem != nil {
		unix.Munmap(o.mem)
	}
	return o.f.Close()
}

// A file is never shorter than it was made: a write behind the end of one that was
// cut would make it long enough again.
func (o osFile) intact(path string, size int64) error {
	return sameFile(path, o.info, max(size, o.info.Size()))
}

var errReplaced = errors.New("the file was removed, replaced or cut by somebody else")

func sameFile(path string, info fs.FileInfo, size int64) error {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!os.SameFile(now, info) || now.Size() < size) {
		return errReplaced
	}
	return err
}

// stillThere says whether the open file f is what its name leads to.
func stillThere(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return sameFile(f.Name(), info, 0)
}

// lock takes an exclusive lock on path, making the file when there is none. It
// does not wait: held reports that somebody else has it. The lock ends with the
// process, however that ends.
func lock(path string) (f *os.File, held bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, false, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, true, nil
		}
		return nil, false, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, false, nil
}

// locked reports whether somebody holds the lock on path.
func locked(path string) bool {
	f, _, err := openPlain(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}
