package clienttest

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/guard"
)

type greeting struct {
	Customer int64 `json:"customer"`
}

func (greeting) Kind() string { return "greeting" }

// A greeter reads the customer's address and writes that it was used, in one
// transaction with the job's completion.
type greeter struct {
	river.WorkerDefaults[greeting]
	db     *sql.DB
	emails chan<- string
}

func (w *greeter) Work(ctx context.Context, job *river.Job[greeting]) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var email string
	if err := tx.QueryRowContext(ctx, "SELECT email FROM customers WHERE id = $1", job.Args.Customer).Scan(&email); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE customers SET tags = array_append(tags, 'greeted') WHERE id = $1", job.Args.Customer); err != nil {
		return err
	}
	if _, err := river.JobCompleteTx[*riverdatabasesql.Driver](ctx, tx, job); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	w.emails <- email
	return nil
}

// riverTables are the operator's work, done without a guard.
func riverTables(t *testing.T) string {
	m, err := rivermigrate.New(riverdatabasesql.New(nil), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	var b strings.Builder
	for _, v := range m.AllVersions() {
		// A new label of an enumeration can be used once it is committed.
		b.WriteString(v.SQLUp + ";\nCOMMIT;\n")
	}
	return strings.ReplaceAll(b.String(), "/* TEMPLATE: schema */", "")
}

// River takes numbers of a sequence by itself, notifies its clients, and ends its
// leadership with a DELETE of all leaders.
var riverRules = []guard.Rule{
	{Name: "baseline.sequence", Then: guard.Hold,
		When: "statement.effects.exists(e, e.class == 'sequence' && size(e.path) == 0) && !('public.river_job' in statement.writes)"},
	{Name: "baseline.notify", Then: guard.Allow,
		When: "'notify' in statement.classes && statement.classes.all(c, c in ['read', 'write', 'unbounded', 'row_lock', 'notify'])"},
	{Name: "baseline.unbounded", Then: guard.Hold,
		When: "(!statement.bounded || 'unbounded' in statement.classes) && !statement.writes.exists(w, w.startsWith('public.river_'))"},
}

var riverClient = client{name: "river", more: riverTables, rules: riverRules, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	emails := make(chan string, 2)
	workers := river.NewWorkers()
	river.AddWorker(workers, &greeter{db: db, emails: emails})
	c, err := river.NewClient(riverdatabasesql.New(db), &river.Config{
		Logger:            slog.New(slog.DiscardHandler),
		FetchPollInterval: 20 * time.Millisecond, FetchCooldown: 20 * time.Millisecond,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		Workers: workers,
	})
	require.NoError(t, err)

	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = c.InsertTx(ctx, tx, greeting{Customer: 1000}, nil)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	made, err := c.Insert(ctx, greeting{Customer: 1}, &river.InsertOpts{Tags: []string{"hello"}, UniqueOpts: river.UniqueOpts{ByArgs: true}})
	require.NoError(t, err)
	saw.value("made", []any{made.Job.State, made.Job.Tags, made.UniqueSkippedAsDuplicate})
	again, err := c.Insert(ctx, greeting{Customer: 1}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
	require.NoError(t, err)
	saw.value("again", []any{again.Job.ID == made.Job.ID, again.UniqueSkippedAsDuplicate})
	_, err = c.InsertMany(ctx, []river.InsertManyParams{{Args: greeting{Customer: 2}}})
	require.NoError(t, err)

	require.NoError(t, c.Start(ctx))
	for range 2 {
		select {
		case email := <-emails:
			saw.value("greeted", email)
		case <-ctx.Done():
			t.Error("no job was worked")
		}
	}
	require.NoError(t, c.Stop(ctx))
	jobs, err := c.JobList(ctx, river.NewJobListParams())
	require.NoError(t, err)
	for _, j := range jobs.Jobs {
		saw.value("job", []any{j.Kind, j.State, string(j.EncodedArgs), len(j.Errors)})
	}
}}
