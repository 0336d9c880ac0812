package analysis

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Planning of writes, the parse included.
func BenchmarkEffects(b *testing.B) {
	snap := corpusSnapshot(b, "effects", "testdata/effects/schema.sql")
	for name, sql := range map[string]string{
		"delete":   "DELETE FROM plain WHERE id = 5 AND a LIKE 'x%'",
		"trigger":  "INSERT INTO enriched (id) VALUES (1)",
		"cascade":  "DELETE FROM k1 WHERE id = 1",
		"view":     "UPDATE person_vv SET contact = 'x' WHERE num = 1",
		"plpgsql":  "SELECT x, y FROM tabled()",
		"loop":     "SELECT looped()",
		"do block": "DO $$ DECLARE x int; BEGIN SELECT 1 INTO x; UPDATE plain SET n = x WHERE id = 3; END $$",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := Analyze(context.Background(), sql, snap, Session{Path: []string{"pg_catalog", "public"}})
				require.NoError(b, err)
			}
		})
	}
}
