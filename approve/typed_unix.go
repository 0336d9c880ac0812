//go:build unix

package approve

import "os"

// onDescriptor calls do with f's descriptor, and leaves f able to have
// deadlines, which File.Fd does not.
func onDescriptor(f *os.File, do func(fd int)) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // fails when f is closed, and reading will too
	}
}
