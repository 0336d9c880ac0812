package redteam_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// database is the name of every clone: some cases name it.
const database = "shop"

// stepLimit bounds a step. What takes as long hangs.
const stepLimit = 10 * time.Second

// bystanderText is what a session of the same role ran before, and what
// pg_stat_activity shows of it.
const bystanderText = "SELECT 'canary-email-0003@leak.test' AS last_lookup"

// A bench is a server with one clone of the shop. One case at a time uses it.
type bench struct {
	server *pgtest.Server
	clean  bool // the clone is as the template
	admin  *pgx.Conn
	xid    string // the next transaction's, when the clone was made
	beside map[string]*pgx.Conn
}

var benches struct {
	sync.Once
	all []*bench
	err error
}

// A lab hands out the benches of the test binary to the cases of one test.
type lab struct {
	t    *testing.T
	free chan *bench
}

func newLab(t *testing.T) *lab {
	t.Helper()
	benches.Do(func() {
		for range max(1, min(4, runtime.GOMAXPROCS(0))) {
			// Autovacuum would write, and its writes look like the case's.
			s, err := pgtest.Options{Settings: map[string]string{"autovacuum": "off"}}.Run(context.Background())
			if err != nil {
				benches.err = err
				return
			}
			benches.all = append(benches.all, &bench{server: s, beside: map[string]*pgx.Conn{}})
		}
	})
	require.NoError(t, benches.err)
	schema, err := os.ReadFile("testdata/schema.sql")
	require.NoError(t, err)
	l := &lab{t: t, free: make(chan *bench, len(benches.all))}
	for _, b := range benches.all {
		b.server.Template(t, "shop", string(schema))
		l.free <- b
	}
	// The clones go with the test that made them.
	t.Cleanup(func() {
		for _, b := range benches.all {
			b.close()
		}
	})
	return l
}

// with runs f on a bench whose clone is as the template.
func (l *lab) with(f func(*bench)) {
	b := <-l.free
	defer func() { l.free <- b }()
	defer b.settle(l.t)
	b.fresh(l.t)
	f(b)
}

func (b *bench) close() {
	ctx := context.Background()
	for user, conn := range b.beside {
		conn.Close(ctx)
		delete(b.beside, user)
	}
	if b.admin != nil {
		b.admin.Close(ctx)
		b.admin = nil
	}
	b.clean = false
}

// fresh makes the clone anew, unless it is as the template.
func (b *bench) fresh(t *testing.T) {
	if b.clean {
		return
	}
	ctx := context.Background()
	b.close()
	b.server.CloneAs(t, "shop", database)
	b.admin = b.connect(t, pgtest.Superuser)
	for _, user := range users {
		conn := b.connect(t, user)
		_, err := conn.Exec(ctx, bystanderText)
		require.NoError(t, err)
		b.beside[user] = conn
	}
	b.xid = b.nextXID(t)
	b.clean = true
}

// settle sees whether the case changed anything in the clone.
func (b *bench) settle(t *testing.T) {
	if !b.clean {
		return
	}
	b.quiet(t)
	b.clean = b.nextXID(t) == b.xid
}

// quiet returns when the case's sessions are gone from the server.
func (b *bench) quiet(t *testing.T) {
	keep := []uint32{b.admin.PgConn().PID()}
	for _, conn := range b.beside {
		keep = append(keep, conn.PgConn().PID())
	}
	require.Eventually(t, func() bool {
		// A session that ends by itself meanwhile is no error.
		var left int
		err := b.admin.QueryRow(context.Background(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> ALL($1)`, keep).Scan(&left)
		return err == nil && left == 0
	}, stepLimit, time.Millisecond, "a session does not end")
}

// nextXID returns what every transaction that writes anything moves on.
func (b *bench) nextXID(t *testing.T) string {
	var xid string
	require.NoError(t, b.admin.QueryRow(context.Background(),
		`SELECT pg_snapshot_xmax(pg_current_snapshot())::text || (SELECT json_agg(s ORDER BY s.seqrelid)::text FROM pg_sequence s)
			|| (SELECT string_agg(last_value::text, ',' ORDER BY schemaname, sequencename) FROM pg_sequences WHERE last_value IS NOT NULL)`).Scan(&xid))
	return xid
}

// connect opens an unguarded connection.
func (b *bench) connect(t *testing.T, user string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), b.server.DSN(user, database))
	require.NoError(t, err)
	return conn
}

// administer runs what somebody else does meanwhile.
func (b *bench) administer(ctx context.Context, sql string) error {
	_, err := b.admin.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// The roles that cases run as.
const agentUser = "agent"

var users = []string{agentUser, pgtest.Superuser}

// named maps the roles of the data files.
func roleInCases(user string) string {
	if user == pgtest.Superuser {
		return "super"
	}
	return user
}
