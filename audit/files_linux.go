package audit

import (
	"os"

	"golang.org/x/sys/unix"
)

// preallocate makes f as long as size. Where reserved, there is room for all of it.
func preallocate(f *os.File, size int64) (reserved bool, err error) {
	for {
		switch err := unix.Fallocate(int(f.Fd()), 0, 0, size); err {
		case unix.EINTR:
		case unix.EOPNOTSUPP:
			return false, f.Truncate(size)
		default:
			return err == nil, err
		}
	}
}

// lastData returns where the data of f ends, without what is known to be zeros
// because it was never written.
func lastData(f *os.File, size int64) int64 {
	end := int64(0)
	for at := int64(0); at < size; at = end {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return end
		}
		if err != nil {
			return size // the file system cannot say
		}
		if end, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE); err != nil || end <= at {
			return size
		}
	}
	return min(end, size)
}

// sync is fdatasync: it also writes the metadata that reading the data back
// needs, and not the rest.
func (o osFile) sync() error {
	for {
		if err := unix.Fdatasync(int(o.f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// The error is left alone: it costs memory, and nothing else.
func (o osFile) uncache(from, to int64) {
	unix.Fadvise(int(o.f.Fd()), from, to-from, unix.FADV_DONTNEED)
}
