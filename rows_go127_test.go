//go:build go1.27

package guardedpg_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

// database/sql of Go 1.27 reads columns one by one, past Rows.Next.
func TestScanColumnIsMasked(t *testing.T) {
	f := newFixture(t)
	var id int
	var email string
	var raw []byte
	require.NoError(t, f.db.QueryRow("SELECT id, email, email FROM customers WHERE id = 1").Scan(&id, &email, &raw))
	require.Equal(t, 1, id)
	require.Equal(t, "a***@canary.test", email)
	require.Equal(t, "a***@canary.test", string(raw))
	var list []string
	require.NoError(t, f.db.QueryRow("SELECT array_agg(email) FROM customers").Scan(&list))
	for _, s := range list {
		require.NotContains(t, s, canary)
	}
	var array pgtype.Array[string]
	require.NoError(t, f.db.QueryRow("SELECT array[email] FROM customers").Scan(&array))
	for _, s := range array.Elements {
		require.NotContains(t, s, canary)
	}
	var plain []int64
	require.NoError(t, f.db.QueryRow("SELECT array[id, 5] FROM orders ORDER BY id").Scan(&plain))
	require.Equal(t, []int64{1, 5}, plain)
}
