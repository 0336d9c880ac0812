package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

func open(t testing.TB, dsn string) *pgstore.Store {
	s, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func run(t testing.TB, dsn, sql string) {
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func TestStore(t *testing.T) {
	server := pgtest.Start(t)
	approvetest.TestStore(t, func(t *testing.T) (one, two approve.Store) {
		dsn := server.Database(t)
		return open(t, dsn), open(t, dsn)
	})
}

func TestManyOpenAtOnce(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			s, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	open(t, dsn)
	run(t, dsn, "insert into guardedpg_approve.migrations (version) values (999)")
	_, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn})
	require.ErrorContains(t, err, "version 999")
}

func TestSeparate(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.Database(t)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	database := u.Path[1:]
	for _, role := range []string{"approve_agents", "approve_approvers", "approve_strangers"} {
		run(t, dsn, fmt.Sprintf(`create role %s login password '%[1]s'`, role))
		t.Cleanup(func() {
			conn, err := pgx.Connect(context.Background(), dsn)
			require.NoError(t, err)
			_, err = conn.Exec(context.Background(), fmt.Sprintf("drop owned by %s; drop role %[1]s", role), pgx.QueryExecModeSimpleProtocol)
			require.NoError(t, err)
			require.NoError(t, conn.Close(context.Background()))
		})
	}
	as := func(role string) string { return server.DSN(role, database) }

	_, err = pgstore.Open(t.Context(), pgstore.Config{DSN: as("approve_agents")})
	require.ErrorContains(t, err, "guardedpg approve setup", "who may not make the schema is told who may")

	owner := open(t, dsn)
	require.Error(t, owner.Separate(t.Context(), "approve_agents", "approve_agents"))
	for range 2 {
		require.NoError(t, owner.Separate(t.Context(), "approve_agents", "approve_approvers"))
	}
	agents, approvers := open(t, as("approve_agents")), open(t, as("approve_approvers"))
	_, err = pgstore.Open(t.Context(), pgstore.Config{DSN: as("approve_strangers")})
	require.Error(t, err)

	agentSide, err := approve.NewQueue(approve.QueueConfig{Store: agents})
	require.NoError(t, err)
	approverSide, err := approve.NewQueue(approve.QueueConfig{Store: approvers})
	require.NoError(t, err)
	r := approvetest.NewRequest("1")
	r.Ticket = true
	_, err = approverSide.Approve(t.Context(), r)
	require.Error(t, err)
	require.NotErrorIs(t, err, approve.ErrPending, "an approver's role cannot ask")
	_, err = agentSide.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrPending)
	alice := approve.Decision{By: approvetest.Person("alice", "dba"), Verdict: approve.Yes}
	_, err = agentSide.Decide(t.Context(), r.ID, alice)
	require.Error(t, err, "an agent's role cannot decide")
	_, err = approverSide.Decide(t.Context(), r.ID, alice)
	require.NoError(t, err)
	g, err := agentSide.Approve(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, g.Redeem(t.Context()))

	for _, sql := range []string{
		"update guardedpg_approve.events set kind = 'asked'",
		"delete from guardedpg_approve.events",
		"truncate guardedpg_approve.events",
		"insert into guardedpg_approve.events (stream, seq, kind, request, shape, body) values ('digest-1', 4, 'decided', 'request-1', '', '{}')",
		"alter table guardedpg_approve.events disable row level security",
	} {
		conn, err := pgx.Connect(t.Context(), as("approve_agents"))
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), sql)
		require.Error(t, err, sql)
		require.NoError(t, conn.Close(t.Context()))
	}
}

func TestTimeIsTheServers(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	s := open(t, dsn)
	run(t, dsn, `insert into guardedpg_approve.events (stream, seq, kind, request, shape, body, at)
		values ('a', 1, 'asked', 'r', '', '{}', '2001-01-01')`)
	got, now, err := s.Load(t.Context(), approve.Filter{Stream: "a"})
	require.NoError(t, err)
	require.WithinDuration(t, now, got[0].At, time.Minute)
}

// Whoever waits is woken although the connection that listens was killed.
func TestWatchSurvivesItsConnection(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	s := open(t, dsn)
	wake, err := s.Watch(t.Context())
	require.NoError(t, err)
	<-wake // it listens
	run(t, dsn, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %' and datname = current_database()")
	for range 3 { // again and again
		<-wake
	}
}

func TestWatchersEnd(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	s := open(t, dsn)
	for n := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		wake, err := s.Watch(ctx)
		require.NoError(t, err)
		_, err = s.Add(t.Context(), approve.Event{Stream: "a", Seq: n + 1, Kind: approve.KindUsed, Body: []byte("{}")})
		require.NoError(t, err)
		<-wake
		cancel()
	}
	s.Close() // returns when every goroutine has ended
}

func TestClosedStoreWatchesNothing(t *testing.T) {
	s := open(t, pgtest.Start(t).Database(t))
	s.Close()
	_, err := s.Watch(t.Context())
	require.Error(t, err)
}

// A server that takes everything and answers nothing holds nobody up.
func TestSilentServer(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var silent atomic.Bool
	var mu sync.Mutex
	var passing []net.Conn
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial(network, address)
			if err != nil {
				near.Close()
				return
			}
			mu.Lock()
			passing = append(passing, near, far)
			mu.Unlock()
			pass := func(to, from net.Conn) {
				b := make([]byte, 32<<10)
				for {
					n, err := from.Read(b)
					if err != nil {
						near.Close()
						far.Close()
						return
					}
					if !silent.Load() {
						to.Write(b[:n])
					}
				}
			}
			go pass(near, far)
			go pass(far, near)
		}
	}()
	u.Host = listener.Addr().String()
	query := u.Query()
	query.Del("host")
	query.Del("port")
	u.RawQuery = query.Encode()
	open(t, dsn) // which makes the schema
	// However slow this machine is, at some time the server answers in time.
	var s *pgstore.Store
	for s == nil {
		s, _ = pgstore.Open(t.Context(), pgstore.Config{DSN: u.String(), Timeout: 500 * time.Millisecond})
	}
	defer s.Close()
	q := queue(t, s)
	r := approvetest.NewRequest("1")
	r.Ticket = true
	for !errors.Is(err, approve.ErrPending) {
		_, err = q.Approve(t.Context(), r)
	}
	silent.Store(true)
	_, err = q.Approve(t.Context(), r)
	require.Error(t, err)
	require.NotErrorIs(t, err, approve.ErrPending)
	_, err = s.Add(t.Context(), approve.Event{Stream: "a", Seq: 1, Kind: approve.KindUsed, Body: []byte("{}")})
	require.Error(t, err)
	// pgx waits for such a server before it gives a connection up.
	listener.Close()
	mu.Lock()
	defer mu.Unlock()
	for _, c := range passing {
		c.Close()
	}
}

func TestBadDSN(t *testing.T) {
	_, err := pgstore.Open(t.Context(), pgstore.Config{DSN: "postgres://u:hunter2@127.0.0.1:1/x"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}
