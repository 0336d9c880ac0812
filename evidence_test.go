package guardedpg_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
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

// TestACommitNobodyHeardOf has a process die between the commit's intent and the
// server's answer.
func TestACommitNobodyHeardOf(t *testing.T) {
	dsn := shop(t)
	f := newFixtureOn(t, dsn)
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
