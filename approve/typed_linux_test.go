package approve_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
)

// pseudoTerminal returns a terminal and the side of it where a person types.
func pseudoTerminal(t *testing.T) (person, terminal *os.File) {
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { person.Close() })
	raw, err := person.SyscallConn()
	require.NoError(t, err)
	var number int
	require.NoError(t, raw.Control(func(fd uintptr) {
		require.NoError(t, unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0))
		number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}))
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { terminal.Close() })
	return person, terminal
}

// A yes that was typed ahead approves nothing.
func TestTypedAhead(t *testing.T) {
	human, tty := pseudoTerminal(t)
	terminal, err := approve.NewTerminal(approve.TerminalConfig{As: person("alice", "dba"), In: tty, Out: tty})
	require.NoError(t, err)
	_, err = human.WriteString("yes\n")
	require.NoError(t, err)
	var seen strings.Builder
	var reading sync.WaitGroup
	reading.Go(func() {
		for b := make([]byte, 4096); !strings.Contains(seen.String(), prompt); {
			n, err := human.Read(b)
			if err != nil {
				t.Error(err)
				return
			}
			seen.Write(b[:n])
		}
		if _, err := human.WriteString("no not that\n"); err != nil {
			t.Error(err)
		}
	})
	_, err = terminal.Approve(t.Context(), approvetest.NewRequest("1"))
	reading.Wait()
	require.ErrorContains(t, err, "rejected by alice: not that")
}
