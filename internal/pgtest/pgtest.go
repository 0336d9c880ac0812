//go:build unix

// Package pgtest runs a throwaway PostgreSQL server.
//
// A test binary has one server, started by the first call of [Start] and gone
// when the binary ends, however it ends: returning, panicking, os.Exit or
// SIGKILL. Nothing has to be called for that.
//
// The binaries come from, in this order, the directory named by
// GUARDEDPG_PGBIN, PATH, the places where Debian, Red Hat and Homebrew install
// PostgreSQL (the newest of them), or a download. Where the process is root,
// the server runs under an unprivileged account, because postgres refuses to
// run as root.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Superuser is the name of the superuser of every server, and its password
// over TCP. Over the unix socket it needs none.
const Superuser = "postgres"

// startTimeout bounds initdb and the server's start together. On an idle
// machine they take about a second.
const startTimeout = 2 * time.Minute

// Server is a running PostgreSQL server. Its methods are safe for concurrent
// use, except Kill, Restart and Stop, which need all others to be quiet.
type Server struct {
	opt     Options
	bin     string // directory of the server binaries
	dir     string // holds the data directory, the socket and the log
	account *account
	port    int
	version int
	process *process // nil while the server is down

	mu        sync.Mutex
	serial    int
	templates map[string]*template
}

// Options choose how a server runs. The zero value is fast and not durable.
type Options struct {
	// Durable leaves fsync, synchronous_commit and full_page_writes at the
	// server's defaults, on. Default: false, all three are off.
	Durable bool

	// Settings are further server settings by name, as in postgresql.conf.
	// They win over the package's own. Default: none.
	Settings map[string]string
}

// Run starts a server with the default options, for a program that is not a
// test. The context bounds the start alone. The server runs until Stop or until
// the process ends; it also ends when the Server becomes unreachable.
func Run(ctx context.Context) (*Server, error) { return Options{}.Run(ctx) }

// Run is like the function Run, with options.
func (o Options) Run(ctx context.Context) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	return newServer(ctx, bin, o)
}

// Start returns the server that this test binary shares, starting it at the
// first call.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := shared()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return s
}

var shared = sync.OnceValues(func() (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return Run(ctx)
})

// Start returns a server that belongs to this test alone, for tests that kill
// it or need settings of their own. It stops when the test ends.
func (o Options) Start(tb testing.TB) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, err := o.Run(ctx)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// DSN returns a URL for a connection over loopback TCP. Every role's password
// is expected to be its name.
func (s *Server) DSN(user, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, user),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// VersionNum returns the server's server_version_num, such as 150014.
func (s *Server) VersionNum() int { return s.version }

// Stop ends the server at once, as if the machine lost power, and removes its
// files. It returns when they are gone. Stop of a stopped server does nothing.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.end(true)
		s.process = nil
	}
	os.RemoveAll(s.dir)
}

// Kill ends every process of the server with SIGKILL, as a crash of the
// machine would. It returns when they are gone.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if s.process == nil {
		tb.Fatal("pgtest: Kill of a server that is down")
	}
	pids, err := s.backends()
	if err != nil {
		tb.Fatalf("pgtest: list the server's processes: %v", err)
	}
	if err := s.process.kill(pids); err != nil {
		tb.Fatalf("pgtest: kill the server: %v", err)
	}
	s.process = nil
}

// Restart starts a killed server again, on the same port and data. A server
// that is running is killed first.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if s.process != nil {
		s.Kill(tb)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.start(ctx); err != nil {
		tb.Fatalf("pgtest: restart: %v", err)
	}
}

// installHint ends the message of a test that finds no server to run.
func installHint() string {
	return fmt.Sprintf("install PostgreSQL with: %s (or set GUARDEDPG_PGBIN to a directory that holds initdb and postgres)", installCommand())
}
