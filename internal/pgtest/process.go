//go:build unix

package pgtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// supervise runs the server and outlives this process. Its standard input is a
// pipe whose only writer is this process: when that ends, in whatever way, the
// read returns and the server goes, and its directory with it. The word keep
// asks for the directory to stay.
//
// Descriptor 3 is inherited by every process of the server, and only by them;
// its other end reads end of file when the last of them is gone.
//
// SIGQUIT is the server's immediate shutdown. SIGCONT follows, since a stopped
// server would not act on it.
const supervise = `
dir=$1
shift
"$@" &
server=$!
exec 3>&-
read -r word
kill -QUIT "$server" 2>/dev/null
kill -CONT "$server" 2>/dev/null
wait "$server"
[ "$word" = keep ] || rm -rf "$dir"
`

// process is a server with its supervisor.
type process struct {
	supervisor *exec.Cmd
	life       *os.File // write end of the supervisor's standard input
	gone       *os.File // reads end of file when every server process is gone
	data       string
}

// startProcess runs the command line in dir, its output going to dir/log.
func startProcess(dir, data string, account *account, command []string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	stdin, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	gone, held, err := os.Pipe()
	if err != nil {
		life.Close()
		return nil, err
	}
	defer held.Close()

	args := append([]string{"-c", supervise, "pgtest", dir}, command...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = dir
	cmd.Env = serverEnv()
	cmd.Stdin = stdin
	// Files and not buffers: a server that held go test's output open would
	// make it wait.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{held}
	cmd.SysProcAttr = account.attributes()
	if err := cmd.Start(); err != nil {
		life.Close()
		gone.Close()
		return nil, err
	}
	return &process{supervisor: cmd, life: life, gone: gone, data: data}, nil
}

// serverEnv leaves out PG* variables, which would change what runs, and
// anything else that makes one machine differ from the next.
func serverEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_MESSAGES=C", "TZ=UTC"}
}

// ended waits up to d and reports whether every process of the server is gone.
func (p *process) ended(d time.Duration) bool {
	p.gone.SetReadDeadline(time.Now().Add(d))
	_, err := p.gone.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// end stops the server and returns when it is gone, and with remove also its
// directory.
func (p *process) end(remove bool) {
	if !remove {
		io.WriteString(p.life, "keep\n") // fails when the supervisor is gone, and then it is moot
	}
	p.life.Close()
	p.supervisor.Wait() // its status is the status of rm or of a test; neither says anything
	p.gone.SetReadDeadline(time.Time{})
	io.Copy(io.Discard, p.gone)
	p.gone.Close()
}

// kill sends SIGKILL to the postmaster and then to its children, which
// otherwise would finish what they are doing, and waits for their end.
func (p *process) kill(children []int) error {
	postmaster, err := p.postmaster()
	if err != nil {
		return err
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range children {
		// One that ended in between is what is wanted.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	p.end(false)
	return nil
}

// postmaster returns the process id in the first line of postmaster.pid.
func (p *process) postmaster() (int, error) {
	b, err := os.ReadFile(filepath.Join(p.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(first)
}
