package main

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/audit"
)

// writeEvidence writes one held, approved and masked statement and a denied one.
func writeEvidence(t *testing.T) (dir, keyFile string) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	keyFile = filepath.Join(t.TempDir(), "auditor.key")
	require.NoError(t, os.WriteFile(keyFile, []byte(id.String()+"\n"), 0o600))
	dir = t.TempDir()
	tr, err := audit.Open(audit.TrailConfig{Dir: dir, SegmentBytes: 1 << 20, Recipients: []string{id.Recipient().String()}})
	require.NoError(t, err)
	who := &audit.Principal{Issuer: "https://idp.example.com", Subject: "agent-7", Groups: []string{"agents"}, Verified: true}
	p := tr.Payload("c1-1", audit.PayloadFull, []string{"id", "email"})
	require.NoError(t, p.Row([]driver.Value{int64(1), "j***@x.test"}))
	require.NoError(t, p.Row([]driver.Value{int64(2), nil}))
	payload, err := p.Close()
	require.NoError(t, err)
	o := tr.Sealer().Originals("c1-1", "")
	require.NoError(t, o.Value(0, 1, []byte("jane@x.test")))
	ref, err := o.Close()
	require.NoError(t, err)
	for _, r := range []*audit.Record{
		{Kind: audit.KindHold, Statement: "c1-1", Session: "c1", Who: who, SQL: &audit.SQL{Text: "select id, email\nfrom customers", Facts: &audit.Facts{Reads: []string{"public.customers.email"}}}, Verdict: &audit.Verdict{Verdict: "hold", Rule: "pii"}},
		{Kind: audit.KindDecision, Statement: "c1-1", Who: who, Decision: &audit.Decision{ID: "r1", Approved: true, By: []audit.Principal{{Issuer: "https://idp.example.com", Subject: "dana", Verified: true}}, Reason: "ticket 12"}},
		{Kind: audit.KindIntent, Statement: "c1-1", Who: who, SQL: &audit.SQL{Text: "select id, email\nfrom customers", Facts: &audit.Facts{Reads: []string{"public.customers.email"}}}},
		{Kind: audit.KindOutcome, Statement: "c1-1", Who: who, Outcome: &audit.Outcome{OK: true, Tag: "SELECT 2", Rows: 2, Payload: payload}, Masks: []audit.Mask{{Column: "email", Index: 1, Sources: []string{"public.customers.email"}, Masker: "email", Values: 1, Sealed: ref}}},
		{Kind: audit.KindDenied, Statement: "c1-2", Who: &audit.Principal{Issuer: "i", Subject: "=evil\x1b[2J"}, SQL: &audit.SQL{Text: "DROP TABLE \x1b[31morders"}, Verdict: &audit.Verdict{Verdict: "deny", Rule: "ddl"}},
	} {
		_, err := tr.Append(r)
		require.NoError(t, err)
	}
	require.NoError(t, tr.Close())
	return dir, keyFile
}

func TestQuery(t *testing.T) {
	dir, _ := writeEvidence(t)
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 8}, // open, key and close are records too
		{[]string{"--kind", "intent,outcome"}, 2},
		{[]string{"--kind", "seal"}, 2},
		{[]string{"--verdict", "deny"}, 1},
		{[]string{"--who", "agent-7"}, 4},
		{[]string{"--who", "agents"}, 4},
		{[]string{"--table", "customers"}, 3},
		{[]string{"--table", "public.customers"}, 3},
		{[]string{"--table", "public.customer"}, 0},
		{[]string{"--column", "customers.email"}, 3},
		{[]string{"--column", "mail"}, 0},
		{[]string{"--approver", "dana"}, 1},
		{[]string{"--text", "drop table"}, 1},
		{[]string{"--statement", "c1-1"}, 4},
		{[]string{"--since", "1h"}, 8},
		{[]string{"--until", "2020-01-01"}, 0},
		{[]string{"--limit", "2"}, 2},
	} {
		code, out, errs := guardedpg(t, append([]string{"query", "--format", "json", dir}, c.args...)...)
		require.Equal(t, exitOK, code, errs)
		require.Equal(t, c.want, strings.Count(out, "\n"), "%v:\n%s", c.args, out)
		for line := range strings.Lines(out) {
			require.True(t, json.Valid([]byte(line)))
		}
	}
	code, out, _ := guardedpg(t, "query", dir)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "approved by dana")
	require.NotContains(t, out, "\x1b", "no statement moves the cursor")
	require.Contains(t, out, `DROP TABLE \u001b[31morders`)
	code, out, _ = guardedpg(t, "query", "--format", "csv", "--verdict", "deny", dir)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "'=evil", "no subject becomes a formula")
	require.NotContains(t, out, "\x1b")
	code, _, _ = guardedpg(t, "query", "--format", "xml", dir)
	require.Equal(t, exitUsage, code)
	code, _, errs := guardedpg(t, "query", "--since", "yesterday", dir)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "how long ago as 24h")
	for arg, want := range map[string]string{"--kind=intents": "identity_refused", "--verdict=refused": "allow, hold, deny", "--limit=-1": "0 for all"} {
		code, _, errs := guardedpg(t, "query", arg, dir)
		require.Equal(t, exitUsage, code, arg)
		require.Contains(t, errs, want)
	}
	code, _, errs = guardedpg(t, "query")
	require.Equal(t, exitUsage, code)
	require.Equal(t, "guardedpg query: which trails? Name their directory; \"guardedpg query -h\" says more\n", errs)
	code, _, _ = guardedpg(t, "query", filepath.Join(dir, "nowhere"))
	require.Equal(t, exitUsage, code)
}

func TestShow(t *testing.T) {
	dir, key := writeEvidence(t)
	code, out, errs := guardedpg(t, "show", "c1-1", dir)
	require.Equal(t, exitOK, code, errs)
	for _, want := range []string{"agent-7 of https://idp.example.com", "hold by rule pii", "approved, request r1", "by           dana", "ticket 12", "j***@x.test", "NULL", "masked by email", "--identity opens them"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "jane@x.test")
	code, out, errs = guardedpg(t, "show", "--identity", key, "c1-1", dir)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "row 0, column 1: jane@x.test")

	keys, err := filepath.Glob(filepath.Join(dir, "*", "keys", "*.age"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NoError(t, os.Remove(keys[0]))
	_, out, _ = guardedpg(t, "show", "--identity", key, "c1-1", dir)
	require.Contains(t, out, "shredded")

	code, _, _ = guardedpg(t, "show", "c9-9", dir)
	require.Equal(t, exitFound, code)
	code, _, _ = guardedpg(t, "show", "c1-1")
	require.Equal(t, exitUsage, code)
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	open := func() *audit.Trail {
		tr, err := audit.Open(audit.TrailConfig{Dir: dir, SegmentBytes: 16 << 10})
		require.NoError(t, err)
		return tr
	}
	first := open()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		var errs bytes.Buffer
		code <- run(ctx, []string{"tail", "--all", "--format", "json", "--kind", "intent", dir}, env{bytes.NewReader(nil), w, &errs})
		w.Close()
	}()
	lines := json.NewDecoder(r)
	next := func() string {
		var rec audit.Record
		require.NoError(t, lines.Decode(&rec))
		return rec.Statement
	}
	// More than a segment, and a process that begins later.
	for i := range 40 {
		id := strings.Repeat("x", 500+i)
		seq, err := first.Append(&audit.Record{Kind: audit.KindIntent, Statement: id})
		require.NoError(t, err)
		require.NoError(t, first.Wait(t.Context(), seq, audit.Written))
		require.Equal(t, id, next())
		if i == 10 {
			second := open()
			_, err = second.Append(&audit.Record{Kind: audit.KindIntent, Statement: "later"})
			require.NoError(t, err)
			require.NoError(t, second.Close())
			require.Equal(t, "later", next())
		}
	}
	cancel()
	require.Equal(t, exitOK, <-code)
	require.NoError(t, first.Close())
}

func TestVerifyWithAnAnchorFile(t *testing.T) {
	dir, _ := writeEvidence(t)
	rep, err := audit.Verify(t.Context(), []string{dir}, audit.VerifyOptions{})
	require.NoError(t, err)
	head, err := json.Marshal(rep.Trails[0].Head)
	require.NoError(t, err)
	anchor := filepath.Join(t.TempDir(), "heads")
	require.NoError(t, os.WriteFile(anchor, append(head, '\n'), 0o600))
	code, out, errs := guardedpg(t, "verify", "--anchor", anchor, dir)
	require.Equal(t, exitOK, code, out+errs)
	require.Contains(t, out, "anchored to")

	h := rep.Trails[0].Head
	h.Seq++
	head, err = json.Marshal(h)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(anchor, head, 0o600))
	code, out, _ = guardedpg(t, "verify", "--anchor", anchor, dir)
	require.Equal(t, exitFound, code)
	require.Contains(t, out, "truncated")

	require.NoError(t, os.WriteFile(anchor, []byte("nonsense"), 0o600))
	code, _, errs = guardedpg(t, "verify", "--anchor", anchor, dir)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "not a head")
}
