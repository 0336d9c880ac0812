package guardedpg_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
)

// How far a write is limited may depend on its arguments, whatever their Go type.
func TestArgumentsDecideBounds(t *testing.T) {
	f := newFixture(t)
	_, err := f.plain.Exec("CREATE TABLE sessions (id uuid PRIMARY KEY, at timestamptz NOT NULL, day date)")
	require.NoError(t, err)
	long := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		args []any
		held bool
	}{
		{"DELETE FROM notes WHERE id >= $1", []any{0}, true},
		{"DELETE FROM notes WHERE id >= $1", []any{int64(-5)}, true},
		{"DELETE FROM notes WHERE id >= $1", []any{"0"}, true},
		{"DELETE FROM notes WHERE id >= $1", []any{12345}, false},
		{"DELETE FROM notes WHERE id <> ALL ($1)", []any{[]int32{}}, true},
		{"DELETE FROM notes WHERE id = ANY ($1)", []any{[]int32{1, 2}}, false},
		{"UPDATE notes SET body = body WHERE $1 OR id = $2", []any{true, 3}, true},
		{"DELETE FROM notes WHERE id IN (SELECT id FROM notes LIMIT $1)", []any{1 << 40}, true},
		{"DELETE FROM notes WHERE id IN (SELECT id FROM notes ORDER BY id LIMIT $1)", []any{2}, false},
		{"UPDATE notes SET body = $1 WHERE id > $2", []any{strings.Repeat("x", 1<<20), 7}, false},
		{"UPDATE notes SET body = 'x' WHERE body LIKE $1", []any{strings.Repeat("%", 1<<20)}, true},
		{"UPDATE notes SET body = 'x' WHERE body LIKE $1", []any{strings.Repeat("%", 1<<15)}, true},
		{"DELETE FROM sessions WHERE at < $1", []any{time.Now()}, false},
		{"DELETE FROM sessions WHERE at < $1", []any{time.Now().AddDate(300, 0, 0)}, true},
		{"DELETE FROM sessions WHERE at >= $1", []any{long}, true},
		{"DELETE FROM sessions WHERE day < $1", []any{time.Now()}, false},
		{"DELETE FROM sessions WHERE at < $1 AND at >= $2", []any{time.Now(), time.Now().Add(-time.Hour)}, false},
		{"SELECT id FROM notes WHERE id > $1 FOR UPDATE", []any{0}, true},
		{"SELECT id FROM notes WHERE id > $1 FOR UPDATE", []any{12345}, false},
		{"UPDATE notes SET body = body WHERE now() > $1", []any{long}, true},
	} {
		for range 2 {
			_, err := f.db.Exec(c.text, c.args...)
			if c.held {
				require.ErrorIs(t, err, guardedpg.ErrRejected, "%s %v", c.text, c.args)
			} else {
				require.NoError(t, err, "%s %v", c.text, c.args)
			}
		}
		stmt, err := f.db.Prepare(c.text)
		require.NoError(t, err)
		_, err = stmt.Exec(c.args...)
		require.Equal(t, c.held, err != nil, "prepared: %s %v: %v", c.text, c.args, err)
		require.NoError(t, stmt.Close())
	}
}
