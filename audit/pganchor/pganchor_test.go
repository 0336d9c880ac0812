package pganchor_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/pganchor"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

func setup(t *testing.T) (server *pgtest.Server, owner, writer, auditor string) {
	server = pgtest.Start(t)
	owner = server.Database(t)
	conn, err := pgx.Connect(t.Context(), owner)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	for _, role := range []string{"anchor_writer", "anchor_auditor"} {
		_, err := conn.Exec(t.Context(), "do $$ begin create role "+role+" login password '"+role+"'; exception when duplicate_object then null; end $$")
		require.NoError(t, err)
	}
	require.NoError(t, pganchor.Setup(t.Context(), owner, "anchor_writer", "anchor_auditor"))
	require.NoError(t, pganchor.Setup(t.Context(), owner, "anchor_writer", "anchor_auditor"), "it can be run again")
	c := conn.Config()
	return server, owner, server.DSN("anchor_writer", c.Database), server.DSN("anchor_auditor", c.Database)
}

func TestATrailIsAnchored(t *testing.T) {
	_, _, writer, auditor := setup(t)
	anchor, err := pganchor.Open(t.Context(), writer)
	require.NoError(t, err)
	defer anchor.Close()
	reader, err := pganchor.Open(t.Context(), auditor)
	require.NoError(t, err)
	defer reader.Close()

	dir := t.TempDir()
	tr, err := audit.Open(audit.TrailConfig{Dir: dir, SegmentBytes: 1 << 20, Anchor: anchor, AnchorFirst: true})
	require.NoError(t, err)
	seq, err := tr.Append(&audit.Record{Kind: audit.KindIntent, Statement: "s"})
	require.NoError(t, err)
	require.NoError(t, tr.Wait(t.Context(), seq, audit.Synced))
	older := t.TempDir()
	require.NoError(t, os.CopyFS(older, os.DirFS(dir)))
	require.NoError(t, tr.Close())

	opt := audit.VerifyOptions{Anchor: reader}
	rep, err := audit.Verify(t.Context(), []string{dir}, opt)
	require.NoError(t, err)
	require.True(t, rep.OK(), rep.Findings)
	require.Equal(t, rep.Trails[0].Records, rep.Trails[0].Anchored)

	// An older copy in its place.
	rep, err = audit.Verify(t.Context(), []string{older}, opt)
	require.NoError(t, err)
	require.NotEmpty(t, rep.Findings)
	require.Equal(t, audit.Truncated, rep.Findings[0].Kind)

	// Another trail of the same name in its place.
	require.NoError(t, os.RemoveAll(tr.Dir()))
	other, err := audit.Open(audit.TrailConfig{Dir: dir, SegmentBytes: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.NoError(t, os.Rename(other.Dir(), filepath.Join(dir, filepath.Base(tr.Dir()))))
	rep, err = audit.Verify(t.Context(), []string{dir}, opt)
	require.NoError(t, err)
	require.NotEmpty(t, rep.Findings)
}

func TestRoles(t *testing.T) {
	_, owner, writer, auditor := setup(t)
	for who, c := range map[string]struct {
		dsn  string
		may  []string
		code string
		not  []string
	}{
		"writer": {writer, []string{"insert into guardedpg_anchor.heads (origin, seq, hash, key) values ('o', 1, sha256('a'), sha256('b'))"}, "42501",
			[]string{"select * from guardedpg_anchor.heads", "update guardedpg_anchor.heads set seq = 2", "delete from guardedpg_anchor.heads",
				"truncate guardedpg_anchor.heads", "insert into guardedpg_anchor.heads (at, origin, seq, hash, key) values (now(), 'o', 1, sha256('a'), sha256('b'))",
				"drop trigger no_change on guardedpg_anchor.heads", "alter table guardedpg_anchor.heads disable trigger all"}},
		"auditor": {auditor, []string{"select * from guardedpg_anchor.heads"}, "42501",
			[]string{"insert into guardedpg_anchor.heads (origin, seq, hash, key) values ('o', 1, sha256('a'), sha256('b'))", "delete from guardedpg_anchor.heads"}},
		"owner": {owner, nil, "P0001", []string{"update guardedpg_anchor.heads set seq = 2", "delete from guardedpg_anchor.heads", "truncate guardedpg_anchor.heads"}},
	} {
		conn, err := pgx.Connect(t.Context(), c.dsn)
		require.NoError(t, err)
		for _, sql := range c.may {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err, "%s: %s", who, sql)
		}
		for _, sql := range c.not {
			_, err := conn.Exec(t.Context(), sql)
			var pe *pgconn.PgError
			require.ErrorAs(t, err, &pe, "%s: %s", who, sql)
			require.Equal(t, c.code, pe.Code, "%s: %s", who, sql)
		}
		require.NoError(t, conn.Close(t.Context()))
	}
}
