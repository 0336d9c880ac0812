package audit

import (
	"os"

	"golang.org/x/sys/unix"
)

func preallocate(f *os.File, size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), 0, 0, size); err {
		case unix.EINTR:
		case unix.EOPNOTSUPP:
			return f.Truncate(size)
		default:
			return err
		}
	}
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
