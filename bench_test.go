package guardedpg_test

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// nowhere is a sink that costs nothing: what is measured is the guard.
type nowhere struct{}

func (nowhere) Append(*audit.Record) (uint64, error)                 { return 1, nil }
func (nowhere) Wait(context.Context, uint64, audit.Durability) error { return nil }
func (nowhere) Close() error                                         { return nil }

// BenchmarkPointSelect compares a known read of one row, by time and
// allocations.
func BenchmarkPointSelect(b *testing.B) {
	schema, err := os.ReadFile("testdata/shop/schema.sql")
	require.NoError(b, err)
	s := pgtest.Start(b)
	s.Template(b, "shop", string(schema))
	dsn := s.DSN(pgtest.Superuser, s.Clone(b, "shop"))
	plain, err := sql.Open("pgx", dsn)
	require.NoError(b, err)
	defer plain.Close()
	guarded, err := guardedpg.OpenDB(guardedpg.Config{DSN: dsn, Identify: as(agent), Policy: shopPolicy(), Audit: nowhere{}})
	require.NoError(b, err)
	defer guarded.Close()
	for _, c := range []struct {
		name, query string
		db          *sql.DB
	}{
		{"pgx", "SELECT name, nick FROM customers WHERE id = $1", plain},
		{"guardedpg", "SELECT name, nick FROM customers WHERE id = $1", guarded},
		{"masked", "SELECT name, email FROM customers WHERE id = $1", guarded},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var name, other string
			for b.Loop() {
				if err := c.db.QueryRow(c.query, 1).Scan(&name, &other); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
