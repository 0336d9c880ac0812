//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package approve

import "os"

// discardTyped does nothing: there is no way to here.
func discardTyped(*os.File) {}
