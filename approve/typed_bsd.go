//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package approve

import (
	"os"

	"golang.org/x/sys/unix"
)

// discardTyped drops what was typed at the terminal f and is not read yet. It
// does nothing where f is no terminal.
func discardTyped(f *os.File) {
	const read = 1 // FREAD of sys/fcntl.h: the input queue
	onDescriptor(f, func(fd int) { _ = unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, read) })
}
