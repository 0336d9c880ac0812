package guardedpg_test

import (
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
