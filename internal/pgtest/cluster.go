//go:build unix

package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// hba lets the superuser in over the unix socket without a password, and
// everybody else, everywhere else, with one.
const hba = `local all         postgres                trust
local replication postgres                trust
local all         all                     scram-sha-256
host  all         all       127.0.0.1/32  scram-sha-256
host  replication all       127.0.0.1/32  scram-sha-256
`

// newServer makes a cluster and starts it.
func newServer(ctx context.Context, bin string, opt Options) (_ *Server, err error) {
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	parent := account.tempDir()
	if !opt.Durable && hasRoom(memory) {
		parent = memory
	}
	dir, err := os.MkdirTemp(parent, "guardedpg-")
	if err != nil {
		return nil, err
	}
	s := &Server{opt: opt, bin: bin, dir: dir, account: account, templates: map[string]*template{}}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if err := account.own(dir); err != nil {
		return nil, err
	}
	if err := s.initdb(ctx); err != nil {
		return nil, err
	}
	// The port is free when it is chosen and may be taken when the server binds
	// it; another server in this moment gets another port.
	for attempt := 1; ; attempt++ {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		err = s.start(ctx)
		if err == nil || attempt == 3 || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// memory is a file system in memory, on Linux. A new database is more than 300
// files, and ext4 takes the longer for each the more were removed just before.
const memory = "/dev/shm"

// hasRoom says whether several servers fit into dir.
func hasRoom(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= 4<<30
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initdb(ctx context.Context) error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(Superuser), 0o600); err != nil {
		return err
	}
	if err := s.account.own(password); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"),
		"--pgdata="+s.data(), "--username="+Superuser, "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale="+locale(), "--no-sync")
	cmd.Dir = s.dir
	cmd.Env = serverEnv()
	cmd.SysProcAttr = s.account.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Path, err, bytes.TrimSpace(out))
	}
	return os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba), 0o600)
}

// locale is one that knows the case of letters beyond ASCII, as the servers
// that the library meets do, and that every system has.
func locale() string {
	if runtime.GOOS == "linux" {
		return "C.UTF-8"
	}
	return "en_US.UTF-8"
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) settings() map[string]string {
	m := map[string]string{
		"listen_addresses":          "127.0.0.1",
		"port":                      strconv.Itoa(s.port),
		"unix_socket_directories":   s.dir,
		"max_connections":           "200",
		"max_prepared_transactions": "10",
		"wal_level":                 "logical",
		"timezone":                  "UTC",
		"log_timezone":              "UTC",
		"lc_messages":               "C",
	}
	if hasLibrary(s.bin, "pg_stat_statements") {
		m["shared_preload_libraries"] = "pg_stat_statements"
	}
	if !s.opt.Durable {
		m["fsync"] = "off"
		m["synchronous_commit"] = "off"
		m["full_page_writes"] = "off"
		m["max_wal_size"] = "256MB" // it may be memory that it takes
	}
	for k, v := range s.opt.Settings {
		m[k] = v
	}
	return m
}

// start runs the server and returns when it accepts connections.
func (s *Server) start(ctx context.Context) error {
	command := []string{filepath.Join(s.bin, "postgres"), "-D", s.data()}
	for k, v := range s.settings() {
		command = append(command, "-c", k+"="+v)
	}
	p, err := startProcess(s.dir, s.data(), s.account, command)
	if err != nil {
		return err
	}
	for {
		// Over the socket in our own directory: what listens on the port may be
		// another server for as long as ours has not bound it.
		err := s.readVersion(ctx)
		if err == nil {
			s.process = p
			return nil
		}
		if p.ended(10 * time.Millisecond) {
			p.end(false)
			return fmt.Errorf("the server ended while starting:\n%s", s.logTail())
		}
		if ctx.Err() != nil {
			p.end(false)
			return fmt.Errorf("the server does not accept connections (%w):\n%s", err, s.logTail())
		}
	}
}

func (s *Server) readVersion(ctx context.Context) error {
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&s.version)
}

// connect returns a superuser's connection over the unix socket.
func (s *Server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	// Set here and not in the string: PG* variables of the environment fill in
	// what the string leaves out.
	config.Host, config.Port = s.dir, uint16(s.port)
	config.User, config.Password, config.Database = Superuser, "", database
	config.Fallbacks = nil
	config.RuntimeParams = map[string]string{"application_name": "pgtest"}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	return pgx.ConnectConfig(ctx, config)
}

// backends returns the process ids of the server's children.
func (s *Server) backends() ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "select pid from pg_stat_activity")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

func (s *Server) logTail() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
