package redteam_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// sampled is how many cases there are to one that TestUnguarded runs where it
// does not run all.
const sampled = 10

// TestUnguarded sees that every attack shows a canary, or tells a guess from a
// wrong one, where there is no guard: as the roles and by the protocols that it
// claims. Unless everything is run, it is a sample of the cases.
func TestUnguarded(t *testing.T) {
	l, d := newLab(t), newDetector(t)
	for i, c := range leakCases(t) {
		if !full && i%sampled != 0 {
			continue
		}
		for _, s := range bareSetups(c) {
			t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
				t.Parallel()
				if c.Family == inference {
					guess := l.bare(t, s, c, c.Steps, c.Args)
					wrong := l.bare(t, s, c, c.Control, c.ControlArgs)
					require.True(t, seen(guess) != seen(wrong) || slept(guess), "the guess looks like a wrong one:\n%s", seen(guess))
					return
				}
				list := l.bare(t, s, c, c.Steps, c.Args)
				require.NotEmpty(t, d.findings(c, list), describe(c, list))
			})
		}
	}
}

// TestOlderServers sees that the cases which are left out on this server are
// refused by it: without the guard, some step fails.
func TestOlderServers(t *testing.T) {
	l, since := newLab(t), readVersions(t)
	all := readAllCases(t, "leaks.jsonl", "leaks_more.jsonl", "risky.jsonl", "risky_more.jsonl", "benign.jsonl", "benign_more.jsonl", "robustness.jsonl")
	for _, c := range all {
		major, ok := since[c.ID]
		delete(since, c.ID)
		if !ok || major <= labVersion() {
			continue
		}
		for _, s := range bareSetups(c) {
			t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
				t.Parallel()
				list := l.bare(t, s, c, c.Steps, c.Args)
				require.True(t, slices.ContainsFunc(list, func(o *outcome) bool { return o.err != nil }), describe(c, list))
			})
		}
	}
	require.Empty(t, since, "no case is called so")
}

// slept reports whether a step took as long as the sleep that a right guess
// leads to: it takes no shorter, however slow the machine is.
func slept(list []*outcome) bool {
	for _, o := range list {
		if o.refused == nil && o.took > 600*time.Millisecond {
			return true
		}
	}
	return false
}

// bareSetups lists the roles and protocols that a case claims, or the first of
// them where not all are run.
func bareSetups(c *attackCase) []setup {
	var list []setup
	for _, user := range users {
		if !c.worksAs(roleInCases(user)) {
			continue
		}
		if c.Mode != "" {
			list = append(list, setup{user: user, mode: defaultMode, masks: "redact"})
		}
		if !c.simpleOnly() && c.Mode == "" {
			list = append(list, setup{user: user, mode: "exec", masks: "redact"})
		}
		if slices.Contains(c.Protocols, "simple") {
			list = append(list, setup{user: user, mode: "simple_protocol", masks: "redact"})
		}
	}
	if !full && len(list) > 1 {
		list = list[:1]
	}
	return list
}

// bare runs steps over a connection of their own, or the program of the case
// over pgx itself.
func (l *lab) bare(t *testing.T, s setup, c *attackCase, steps []string, args [][]string) (list []*outcome) {
	t.Helper()
	l.with(func(b *bench) {
		if c.Mode != "" {
			client := b.unguarded(t, s)
			defer client.close()
			list = attack(t.Context(), client, c)
			return
		}
		w := &bareClient{bench: b, user: s.user, simple: s.mode == "simple_protocol", inbox: &inbox{}}
		defer w.disconnect()
		for i, step := range steps {
			o := &outcome{step: i}
			list = append(list, o)
			begun := time.Now()
			w.step(t, o, step, arg(args, i))
			o.took = time.Since(begun)
			o.texts = append(o.texts, w.inbox.take()...)
		}
	})
	return list
}

// A bareClient shows all that comes over the wire: database/sql would leave out
// the results of all statements of a text but one, and what COPY gives.
type bareClient struct {
	bench  *bench
	user   string
	simple bool
	conn   *pgx.Conn
	inbox  *inbox
}

func (w *bareClient) disconnect() {
	if w.conn != nil {
		w.conn.Close(context.Background())
		w.conn = nil
	}
}

// reported are the settings whose values the server sends.
var reported = []string{"application_name", "client_encoding", "DateStyle", "IntervalStyle", "search_path", "session_authorization", "TimeZone"}

var copyToStdout = regexp.MustCompile(`(?is)^\s*copy\b.*\bto\b.*\bstdout\b`)

func (w *bareClient) step(t *testing.T, o *outcome, step string, args []any) {
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	defer cancel()
	switch {
	case step == reconnectStep:
		w.disconnect()
		return
	case strings.HasPrefix(step, adminStep):
		o.fail(w.bench.administer(ctx, strings.TrimPrefix(step, adminStep)))
		return
	}
	if w.conn == nil {
		cfg, err := pgx.ParseConfig(w.bench.server.DSN(w.user, database))
		require.NoError(t, err)
		w.inbox.listen(&cfg.Config)
		w.conn, err = pgx.ConnectConfig(ctx, cfg)
		require.NoError(t, err)
	}
	pg := w.conn.PgConn()
	if statement, data, ok := copyData(step); ok {
		_, err := pg.CopyFrom(ctx, strings.NewReader(data), statement)
		o.fail(err)
	} else if copyToStdout.MatchString(step) {
		var out bytes.Buffer
		tag, err := pg.CopyTo(ctx, &out, step)
		o.fail(err)
		o.tag = tag.String()
		o.see("%s", out.String())
	} else if w.simple && len(args) == 0 {
		all := pg.Exec(ctx, step)
		for all.NextResult() {
			o.result(all.ResultReader())
		}
		o.fail(all.Close())
	} else if w.simple {
		rows, err := w.conn.Query(ctx, step, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
		o.fail(err)
		for rows.Next() {
			o.row(rows.FieldDescriptions(), rows.RawValues())
		}
		o.fail(rows.Err())
	} else {
		values := make([][]byte, len(args))
		for i, a := range args {
			values[i] = []byte(a.(string))
		}
		o.result(pg.ExecParams(ctx, step, values, nil, nil, nil))
	}
	for _, name := range reported {
		o.see("%s", pg.ParameterStatus(name))
	}
}

// result reads a result in text.
func (o *outcome) result(r *pgconn.ResultReader) {
	for r.NextRow() {
		o.row(r.FieldDescriptions(), r.Values())
	}
	tag, err := r.Close()
	o.fail(err)
	o.tag += tag.String()
}

func (o *outcome) row(fields []pgconn.FieldDescription, values [][]byte) {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	row := make([]string, len(values))
	for i, v := range values {
		if v == nil {
			row[i] = null
			continue
		}
		row[i] = string(v)
	}
	o.texts = append(append(o.texts, names...), row...)
	// Results of other statements of the text may have other columns.
	if o.columns == nil || len(o.columns) == len(names) {
		o.columns, o.rows = names, append(o.rows, row)
	}
}
