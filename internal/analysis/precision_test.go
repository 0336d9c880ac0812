package analysis

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

var updatePrecision = flag.Bool("update-precision", false, "make the queries of testdata/precision.yaml anew")

// precisionFile has generated queries and what the server says of them. The
// root package's tests run them under policies of one column each.
const precisionFile = "testdata/precision.yaml"

type precisionQuery struct {
	SQL string `yaml:"sql"`
	// From has the base columns of each output, as "public.person.mail".
	From [][]string `yaml:"from,flow"`
}

// TestPrecisionFile sees that the file says what the server says.
func TestPrecisionFile(t *testing.T) {
	ctx := context.Background()
	snap, conn := connect(t, "oracle", "testdata/oracle.sql")
	o := &oracle{conn: conn, snap: snap, views: map[catalog.OID]*tree{}}
	if *updatePrecision {
		writePrecision(t, o)
	}
	b, err := os.ReadFile(precisionFile)
	require.NoError(t, err)
	var list []precisionQuery
	require.NoError(t, yaml.Unmarshal(b, &list))
	require.GreaterOrEqual(t, len(list), 300)
	for _, q := range list {
		truth, _, err := o.lineage(ctx, q.SQL)
		require.NoError(t, err, q.SQL)
		require.Equal(t, q.From, namesOf(snap, truth), q.SQL)
	}
}

func namesOf(snap *catalog.Snapshot, outputs []Columns) [][]string {
	all := make([][]string, len(outputs))
	for i, cols := range outputs {
		all[i] = []string{}
		for _, c := range cols {
			rel := snap.Relation(c.Rel)
			if c.Att < 0 || rel.Column(c.Att) == nil {
				continue // where a row lies is no base column
			}
			all[i] = append(all[i], rel.Schema+"."+rel.Name+"."+rel.Column(c.Att).Name)
		}
	}
	return all
}

// writePrecision takes queries that run, quickly and twice with the same result.
func writePrecision(t *testing.T, o *oracle) {
	ctx := context.Background()
	_, err := o.conn.Exec(ctx, "SET statement_timeout = '50ms'")
	require.NoError(t, err)
	var list []precisionQuery
	for seed := uint64(900_000); len(list) < 400; seed++ {
		sql := newGenerator(seed).statement()
		if strings.Contains(sql, "now()") || len(sql) > 2000 {
			continue
		}
		rows, err := run(ctx, o.conn, sql)
		if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
			continue // an empty result shows nothing
		}
		truth, _, err := o.lineage(ctx, sql)
		if errors.As(err, new(errInvalid)) {
			continue
		}
		require.NoError(t, err, sql)
		list = append(list, precisionQuery{sql, namesOf(o.snap, truth)})
	}
	b, err := yaml.Marshal(list)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(precisionFile, b, 0o644))
	_, err = o.conn.Exec(ctx, "SET statement_timeout = 0")
	require.NoError(t, err)
}
