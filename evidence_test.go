package guardedpg_test

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
)

// The trail has what was delivered, and what was masked for the auditor alone.
func TestEvidence(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir := t.TempDir()
	trail, err := audit.Open(audit.TrailConfig{Dir: dir, Recipients: []string{key.Recipient().String()}})
	require.NoError(t, err)
	f := newFixture(t, func(c *guardedpg.Config) { c.Audit, c.Payload = trail, audit.PayloadFull })
	rows, err := f.db.Query("SELECT id, email, born FROM customers WHERE email <> $1 AND card <> 'no such card' ORDER BY id", "nobody@canary.test")
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, rows.Close())
	_, err = f.db.Exec("UPDATE customers SET email = $1 WHERE id = 3", "new@canary.test")
	require.NoError(t, err)
	require.NoError(t, trail.Close())

	var intents, outcomes []*audit.Record
	var all strings.Builder
	segments, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	for _, path := range segments {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(data)
		for line := range strings.Lines(strings.TrimRight(string(data), "\x00")) {
			r, err := audit.ParseRecord([]byte(strings.TrimSuffix(line, "\n")))
			require.NoError(t, err)
			switch r.Kind {
			case audit.KindIntent:
				intents = append(intents, r)
			case audit.KindOutcome:
				outcomes = append(outcomes, r)
			}
		}
	}
	for _, secret := range []string{"ann@", "bob@", "nobody@", "new@", "no such card"} {
		require.NotContains(t, all.String(), secret)
	}
	require.Len(t, intents, 2)
	require.NotEmpty(t, intents[0].SQL.Sealed)
	require.True(t, intents[0].SQL.Args[0].Sealed)
	require.Contains(t, intents[0].SQL.Text, "card <> '***'")
	read := outcomes[0]
	require.True(t, read.Outcome.Partial)
	require.EqualValues(t, 1, read.Outcome.Rows)
	require.Equal(t, "full", read.Outcome.Payload.Mode)
	require.EqualValues(t, 1, read.Outcome.Payload.Rows)
	require.Len(t, read.Masks, 1)
	require.NotEmpty(t, read.Masks[0].Sealed)
	require.Equal(t, "public.customers.email", read.Masks[0].Sources[0])
}

// TestNothingInClear sends what meets protected columns in every way that is
// refused or hard to read, and looks for it in what is recorded.
func TestNothingInClear(t *testing.T) {
	f := newFixture(t)
	const secret = "zz-canary"
	for _, c := range []struct {
		sql  string
		args []any
	}{
		{sql: "SELECT id FROM customers WHERE email = '" + secret + "'"},
		{sql: "SELECT id FROM customers WHERE email = $1", args: []any{secret}},
		{sql: "SELECT id FROM customers WHER email = '" + secret + "'"},
		{sql: "SELECT id FROM customers WHER email = $1", args: []any{secret}},
		{sql: "SELECT id FROM customers WHERE email = $$" + secret + "$$ AND"},
		{sql: "SELECT id FROM customers WHERE email = '" + secret},
		{sql: "SELECT id FROM customers /* " + secret + " */ WHER email IS NULL"},
		{sql: "UPDATE customers SET email = '" + secret + "' WHERE id = 'x"},
		{sql: "\x00 '" + secret + "'"},
		{sql: "\xff '" + secret + "'"},
		{sql: "SELECT id FROM customers WHERE email = '" + secret + "' AND nosuchcolumn = 1"},
		{sql: "INSERT INTO customers (id, email) VALUES (77, '" + secret + "')"},
		{sql: "INSERT INTO customers (id, email) VALUES (78, lower('" + secret + "'))"},
		{sql: "UPDATE customers SET email = $1 WHERE id = 3", args: []any{secret}},
		{sql: "WITH x AS (SELECT '" + secret + "' AS e) SELECT id FROM customers, x WHERE email = x.e"},
		{sql: "PREPARE p AS SELECT id FROM customers WHERE email = '" + secret + "'"},
		{sql: "DECLARE c CURSOR FOR SELECT id FROM customers WHERE email = '" + secret + "'"},
		{sql: "EXPLAIN SELECT id FROM customers WHERE email = '" + secret + "'"},
		{sql: "SELECT id FROM customers WHERE email = U&'" + secret + "' AND"},
		{sql: "SELECT id FROM customers WHERE email = U&'" + secret + "\\z'"},
		{sql: "SELECT id FROM nosuchtable WHERE email = '" + secret + "'"},
		{sql: "SELECT id FROM nosuchtable WHERE email = $1", args: []any{secret}},
		{sql: "PREPARE p AS SELECT id FROM nosuchtable WHERE email = '" + secret + "'"},
		{sql: "UPDATE customers SET mail = '" + secret + "' WHERE id = 3"},
		{sql: "CALL nosuchprocedure('" + secret + "')"},
		{sql: "SELECT query_to_xml('SELECT 1 FROM customers WHERE email = ''" + secret + "''', true, true, '')"},
		{sql: "DO $$ BEGIN UPDATE customers SET email = '" + secret + "' WHERE id = 99; END $$"},
		{sql: "DO $$ DECLARE x text := '" + secret + "'; BEGIN UPDATE customers SET email = x WHERE id = 99; END $$"},
		{sql: "DO 'BEGIN EXECUTE $q$UPDATE customers SET email = ''" + secret + "'' WHERE id = 99$q$; END'"},
		{sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT id FROM customers WHERE email = '" + secret + "' $$"},
		{sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN (SELECT id FROM customers WHERE email = '" + secret + "')"},
		{sql: "CREATE POLICY p ON customers USING (email = '" + secret + "')"},
		{sql: "CREATE RULE r AS ON UPDATE TO scratch DO ALSO UPDATE customers SET email = '" + secret + "' WHERE id = 99"},
		{sql: "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW WHEN (NEW.email = '" + secret + "') EXECUTE FUNCTION suppress_redundant_updates_trigger()"},
		{sql: "CREATE STATISTICS s ON (email = '" + secret + "'), id FROM customers"},
		{sql: "CREATE PUBLICATION p FOR TABLE customers WHERE (email = '" + secret + "')"},
		{sql: "CREATE TABLE part PARTITION OF customers FOR VALUES IN ('" + secret + "')"},
		{sql: "ALTER TABLE customers ATTACH PARTITION scratch FOR VALUES IN ('" + secret + "')"},
		{sql: "ALTER ROLE postgres PASSWORD '" + secret + "'"},
		{sql: "SELECT id FROM customers WHERE email = 'x' -- not " + secret},
		{sql: "/* " + secret + " */ SELECT id FROM customers WHERE email = $1", args: []any{"x"}},
	} {
		rows, err := f.db.Query(c.sql, c.args...)
		if err == nil {
			rows.Close()
		}
	}
	for _, r := range f.trail.Records() {
		b, err := json.Marshal(r)
		require.NoError(t, err)
		if r.SQL != nil {
			b = append(b, r.SQL.Text...)
			for _, a := range r.SQL.Args {
				b = append(b, a.Value...)
			}
		}
		require.NotContains(t, string(b), secret)
	}
}

// Of code, the record has all but the constants.
func TestCodeWithoutConstants(t *testing.T) {
	f := newFixture(t)
	_, err := f.db.Exec("DO $$ BEGIN UPDATE customers SET nick = 'x' WHERE email = 'y'; END $$ -- z")
	require.NoError(t, err)
	require.Equal(t, "DO $$ BEGIN UPDATE customers SET nick = '***' WHERE email = '***'; END $$ '***'", f.trail.Records(audit.KindIntent)[0].SQL.Text)
	_, err = f.db.Exec("SELECT id FROM customers WHERE email <> $1 /* y */", "z")
	require.NoError(t, err)
	require.Equal(t, "SELECT id FROM customers WHERE email <> $1 '***'", f.trail.Records(audit.KindIntent)[1].SQL.Text)
	_, err = f.db.Exec("UPDATE scratch SET note = 'x' /* y */ WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, "UPDATE scratch SET note = 'x' /* y */ WHERE id = 1", f.trail.Records(audit.KindIntent)[2].SQL.Text)
}

// TestACommitNobodyHeardOf has a process die between the commit's intent and the
// server's answer.
func TestACommitNobodyHeardOf(t *testing.T) {
	dsn := shop(t)
	f := newFixtureOn(t, dsn, func(c *guardedpg.Config) { c.Durability = guardedpg.DurabilityStrict })
	tx, err := f.db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE customers SET id = id WHERE id = 3")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	tx, err = f.db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("SELECT 1")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	commits := f.trail.Records(audit.KindCommit)
	require.Len(t, commits, 2)
	require.NotEmpty(t, commits[0].Detail["xid"])
	require.Empty(t, commits[1].Detail["xid"], "nothing was written")

	ask, err := guardedpg.TransactionStatus(dsn)
	require.NoError(t, err)
	status, err := ask(t.Context(), commits[0].Database, commits[0].Detail["xid"])
	require.NoError(t, err)
	require.Equal(t, "committed", status)
	_, err = ask(t.Context(), &audit.Database{Name: "another"}, commits[0].Detail["xid"])
	require.Error(t, err)
}

// TestSomeOriginals seals the first of the masked values, under a class.
func TestSomeOriginals(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	for _, c := range []struct {
		file string
		want int
	}{{"all", 3}, {"first 2", 2}, {"none", 0}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "guard.yaml")
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(configFile, "trail: {dir: ./trail}",
			"trail: {dir: ./trail, name: shop, recipients: ["+key.Recipient().String()+"]}\n  retention: pii\n  originals: "+c.file, 1)), 0o600))
		cfg, err := guardedpg.LoadConfig(path)
		require.NoError(t, err)
		cfg.DSN = shop(t)
		db, err := guardedpg.OpenDB(cfg)
		require.NoError(t, err)
		rows, err := db.Query("SELECT email FROM customers ORDER BY id LIMIT 3")
		require.NoError(t, err)
		n := 0
		for rows.Next() {
			n++
		}
		require.NoError(t, rows.Err())
		require.Equal(t, 3, n)
		require.NoError(t, db.Close())
		sealed := 0
		for e, err := range audit.Entries(t.Context(), filepath.Join(dir, "trail")) {
			require.NoError(t, err)
			for _, m := range e.Record.Masks {
				if m.Sealed == "" {
					continue
				}
				require.Contains(t, m.Sealed, ".pii.")
				plain, err := audit.OpenSealed(e.Dir, m.Sealed, e.Record.Statement, key)
				require.NoError(t, err)
				list, err := audit.ParseOriginals(plain)
				require.NoError(t, err)
				sealed += len(list)
			}
		}
		require.Equal(t, c.want, sealed, c.file)
	}
}

// TestASinkThatPanics refuses, as one that fails does.
func TestASinkThatPanics(t *testing.T) {
	f := newFixture(t)
	_, err := f.db.Exec("SELECT 1")
	require.NoError(t, err)
	f.trail.FailWait = func(uint64, audit.Durability) error { panic("wait") }
	_, err = f.db.Exec("SELECT 1")
	require.ErrorIs(t, err, guardedpg.ErrAudit)
	f.trail.FailWait = nil
	f.trail.FailAppend = func(int, *audit.Record) error { panic("append") }
	_, err = f.db.Exec("SELECT 1")
	require.ErrorIs(t, err, guardedpg.ErrAudit)
	f.trail.FailAppend = nil
	_, err = f.db.Exec("SELECT 1")
	require.NoError(t, err)
}

// ended returns the last record of the statement that ran last, or was refused.
func (f *fixture) ended(t *testing.T) *audit.Record {
	t.Helper()
	records := f.trail.Records(audit.KindIntent, audit.KindBegin, audit.KindCommit, audit.KindRollback, audit.KindOutcome, audit.KindDenied)
	require.NotEmpty(t, records)
	last := records[len(records)-1]
	require.Contains(t, []audit.Kind{audit.KindOutcome, audit.KindDenied}, last.Kind)
	return last
}

// TestRowsThatWereNotReleased are none that were delivered.
func TestRowsThatWereNotReleased(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	f := newFixture(t)
	// pgx has no string for this type in this format, in stdlib either.
	_, err = f.db.Exec("SELECT 1")
	require.NoError(t, err)
	rows, err := f.db.Query("SELECT cidr '10.0.0.0/8', email FROM customers", pgx.QueryResultFormatsByOID{650: 1})
	require.NoError(t, err)
	require.False(t, rows.Next())
	require.ErrorContains(t, rows.Err(), "convert field 0 failed")
	require.NoError(t, rows.Close())
	last := f.ended(t)
	require.False(t, last.Outcome.OK)
	require.Zero(t, last.Outcome.Rows)
	require.Zero(t, last.Masks[0].Values)

	// Nor is a result whose intent cannot be made safe.
	trail, err := audit.Open(audit.TrailConfig{Dir: t.TempDir(), Recipients: []string{key.Recipient().String()}})
	require.NoError(t, err)
	sink := &unsynced{Trail: trail}
	f = newFixture(t, func(c *guardedpg.Config) {
		c.Audit, c.Payload, c.Durability = sink, audit.PayloadFull, guardedpg.DurabilityStrict
	})
	_, err = f.db.Exec("SELECT 1")
	require.NoError(t, err)
	sink.fail.Store(true)
	_, err = f.db.Query("SELECT email FROM customers")
	require.ErrorIs(t, err, guardedpg.ErrAudit)
	require.Equal(t, int64(1), sink.begun.Load())
	require.Equal(t, int64(1), sink.closed.Load())
	require.NoError(t, f.db.Close())
	require.NoError(t, trail.Close())
}

// unsynced is a trail that can fail to sync, and counts payloads.
type unsynced struct {
	*audit.Trail
	fail          atomic.Bool
	begun, closed atomic.Int64
}

func (u *unsynced) Wait(ctx context.Context, seq uint64, d audit.Durability) error {
	if d == audit.Synced && u.fail.Load() {
		return errors.New("no sync")
	}
	return u.Trail.Wait(ctx, seq, d)
}

func (u *unsynced) Payload(statement string, mode audit.PayloadMode, columns []string) audit.PayloadWriter {
	u.begun.Add(1)
	return countedPayload{u.Trail.Payload(statement, mode, columns), u}
}

type countedPayload struct {
	audit.PayloadWriter
	of *unsynced
}

func (p countedPayload) Close() (*audit.Payload, error) {
	p.of.closed.Add(1)
	return p.PayloadWriter.Close()
}

// TestWhatKeptItFromRunning is not always the text.
func TestWhatKeptItFromRunning(t *testing.T) {
	f := newFixture(t)
	_, err := f.db.Exec("SELECT 1")
	require.NoError(t, err)
	conn, err := f.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, conn.Raw(func(c any) error {
		_, err := c.(driver.QueryerContext).QueryContext(ctx, "SELECT 1 FROM customer_list", nil)
		require.ErrorIs(t, err, context.Canceled)
		return nil
	}))
	require.Equal(t, "the caller gave up", f.ended(t).Verdict.Reason)
	_, err = f.db.Exec("SELECT 1 FROM nowhere")
	require.Error(t, err)
	require.Equal(t, "the server does not accept the text", f.ended(t).Verdict.Reason)
	f.db.SetMaxOpenConns(1)
	conn, err = f.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, err = f.plain.Exec("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'agent-1'")
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "SELECT 2 FROM customer_list")
	require.Error(t, err)
	require.Equal(t, "the server could not be asked", f.ended(t).Verdict.Reason)
}

// TestACommitThatWasNone says what the server did instead.
func TestACommitThatWasNone(t *testing.T) {
	f := newFixture(t)
	f.db.SetMaxOpenConns(1)
	tx, err := f.db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("SELECT 1/0")
	require.Error(t, err)
	require.ErrorIs(t, tx.Commit(), pgx.ErrTxCommitRollback)
	last := f.ended(t)
	require.False(t, last.Outcome.OK)
	require.Equal(t, "rolled back", last.Outcome.Error)

	conn, err := f.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, text := range []string{"begin", "SELECT 1/0", "commit"} {
		_, err = conn.ExecContext(t.Context(), text)
	}
	require.NoError(t, err, "as with pgx")
	last = f.ended(t)
	require.False(t, last.Outcome.OK)
	require.Equal(t, "rolled back", last.Outcome.Error)
	require.Equal(t, "ROLLBACK", last.Outcome.Tag)
}

type panicking struct{}

func (panicking) Value() (driver.Value, error) { panic("no value") }

// TestArgumentsThatPanic leave no statement without an end.
func TestArgumentsThatPanic(t *testing.T) {
	f := newFixture(t)
	for _, run := range []func(){
		func() { f.db.Exec("SELECT $1::text[]", []panicking{{}}) },
		func() { f.db.Query("SELECT $1::text[]", []panicking{{}}) },
	} {
		require.Panics(t, run)
		last := f.ended(t)
		require.Equal(t, audit.KindOutcome, last.Kind)
		require.False(t, last.Outcome.OK)
	}
	_, err := f.db.Exec("SELECT 1")
	require.NoError(t, err)
}

// TestCommitBesideAnOpenResult leaves the result its own end.
func TestCommitBesideAnOpenResult(t *testing.T) {
	f := newFixture(t)
	conn, err := f.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.Raw(func(c any) error {
		g := c.(*guardedpg.Conn)
		tx, err := g.BeginTx(t.Context(), driver.TxOptions{})
		require.NoError(t, err)
		rows, err := g.QueryContext(t.Context(), "SELECT id FROM customers", nil)
		require.NoError(t, err)
		require.NoError(t, rows.Next(make([]driver.Value, 1)))
		require.Error(t, tx.Commit())
		rows.Close()
		return nil
	}))
	intents := f.trail.Records(audit.KindIntent)
	last := f.ended(t)
	require.Equal(t, intents[len(intents)-1].Statement, last.Statement)
	require.Equal(t, int64(1), last.Outcome.Rows)
	require.Empty(t, f.trail.Records(audit.KindCommit))
}
