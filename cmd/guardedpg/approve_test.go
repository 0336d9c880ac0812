package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/approve/pgstore"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/identity/oidc/oidctest"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// TestApproveScripts runs testdata/approve. Each script has an empty store, an
// issuer, and files with tokens: alice and bob are in dba, olga is in oncall,
// eve is in dev, and agent is who asks. The command "ask NAME [QUORUM
// [TEAM]]" does what the guard does for an agent that does not wait.
func TestApproveScripts(t *testing.T) {
	server := pgtest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/approve",
		Setup: func(e *testscript.Env) error {
			issuer := oidctest.Start()
			e.Defer(issuer.Close)
			for subject, group := range map[string]string{"alice": "dba", "bob": "dba", "olga": "oncall", "eve": "dev", "agent": "dba"} {
				token := issuer.Sign(map[string]any{"sub": subject, "aud": "guardedpg", "groups": []string{group}, "team": group + "-team"})
				if err := os.WriteFile(filepath.Join(e.WorkDir, subject), []byte(token+"\n"), 0o600); err != nil {
					return err
				}
			}
			old := issuer.Sign(map[string]any{"sub": "alice", "aud": "guardedpg", "groups": []string{"dba"}, "exp": time.Now().Add(-time.Hour).Unix()})
			if err := os.WriteFile(filepath.Join(e.WorkDir, "expired"), []byte(old), 0o600); err != nil {
				return err
			}
			e.Setenv("GUARDEDPG_APPROVE_DSN", server.Database(t))
			e.Setenv("GUARDEDPG_ISSUER", issuer.URL)
			e.Setenv("GUARDEDPG_TOKEN", "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ask": ask},
	})
}

func ask(ts *testscript.TestScript, refused bool, args []string) {
	ctx := context.Background()
	s, err := pgstore.Open(ctx, pgstore.Config{DSN: ts.Getenv("GUARDEDPG_APPROVE_DSN")})
	ts.Check(err)
	defer s.Close()
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	ts.Check(err)
	r := approvetest.NewRequest(args[0])
	r.Identity = identity.New(identity.Claims{Issuer: ts.Getenv("GUARDEDPG_ISSUER"), Subject: "agent", Name: "Agent"})
	r.Ticket, r.BreakGlass, r.Shape = true, []string{"oncall"}, "delete from orders"
	r.Statement = "delete from orders\n  where id = " + args[0] + " -- \x1b[2J\u202e"
	if len(args) > 1 {
		r.Quorum = int(args[1][0] - '0')
	}
	if len(args) > 2 {
		r.Claims = map[string]string{"team": args[2]}
	}
	g, err := q.Approve(ctx, r)
	if err == nil {
		err = g.Check(r, time.Now())
	}
	if err == nil {
		err = g.Redeem(ctx)
	}
	switch {
	case err == nil && refused:
		ts.Fatalf("it would have run")
	case err != nil && !refused:
		ts.Fatalf("%v", err)
	}
}

// A person who has no token here signs in elsewhere.
func TestApproveSignsIn(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	issuer := oidctest.Start()
	defer issuer.Close()
	t.Setenv("GUARDEDPG_TOKEN", "")
	s, err := pgstore.Open(t.Context(), pgstore.Config{DSN: dsn})
	require.NoError(t, err)
	defer s.Close()
	q, err := approve.NewQueue(approve.QueueConfig{Store: s})
	require.NoError(t, err)
	r := approvetest.NewRequest("1")
	r.Ticket = true
	_, err = q.Approve(t.Context(), r)
	require.ErrorIs(t, err, approve.ErrPending)

	// What is printed is read as a person would: the code is the last word.
	read, write := io.Pipe()
	go func() {
		var text strings.Builder
		b := make([]byte, 1024)
		for {
			n, err := read.Read(b)
			if err != nil {
				return
			}
			text.Write(b[:n])
			if words := strings.Fields(text.String()); strings.HasSuffix(text.String(), "\n\n") && len(words) > 0 {
				_ = issuer.ApproveDevice(words[len(words)-1], map[string]any{"sub": "alice", "groups": []string{"dba"}})
			}
		}
	}()
	var out strings.Builder
	code := run(t.Context(), []string{"approve", "yes", "request-1", "--store", dsn, "--issuer", issuer.URL},
		env{strings.NewReader(""), &out, write})
	require.NoError(t, write.Close())
	require.Equal(t, exitOK, code)
	require.Contains(t, out.String(), "request-1 is approved")
}
