//go:build unix

package pgtest

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the unprivileged account that runs the server for root.
type account struct{ uid, gid uint32 }

// serverAccount returns nil where the process itself may run the server.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is no account postgres or nobody to run it")
}

// attributes make a child run under the account, in a session of its own: an
// interrupt from the terminal must reach the test binary, whose end then ends
// the server, and not both at once.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// tempDir is where the server's directory goes. The account must be able to
// reach it, and to remove the directory when this process is gone; a root's
// TMPDIR often allows neither.
func (a *account) tempDir() string {
	if a != nil {
		return "/tmp"
	}
	return os.TempDir()
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}
