package analysis

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the parser takes for SQL/JSON is a call of somebody's function where the
// server has no SQL/JSON.
func TestSQLJSONBefore16(t *testing.T) {
	snap := corpusSnapshot(t, "effects", "testdata/effects/schema.sql")
	for _, sql := range []string{"SELECT json_array(1)", "SELECT json_object()", "SELECT json_arrayagg(1)", "SELECT * FROM json_array(1)"} {
		f, err := Analyze(t.Context(), sql, snap, Session{Path: []string{"public"}})
		require.NoError(t, err, sql)
		require.Equal(t, snap.Server.VersionNum < 160000, len(f.Statements[0].Unknown) > 0, sql)
	}
}
