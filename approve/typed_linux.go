package approve

import (
	"os"

	"golang.org/x/sys/unix"
)

// discardTyped drops what was typed at the terminal f and is not read yet. It
// does nothing where f is no terminal.
func discardTyped(f *os.File) {
	onDescriptor(f, func(fd int) { _ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) })
}
