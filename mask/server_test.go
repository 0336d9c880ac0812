package mask

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver that gives the values
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// serverTypes are what types.yaml names and a new database lacks.
const serverTypes = `
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION seg;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');
CREATE DOMAIN phone_no AS text CHECK (VALUE <> '');
CREATE DOMAIN percent AS int4;
CREATE DOMAIN moods AS mood[];
CREATE TYPE address AS (street text, zip int4, mood mood, since timestamptz);`

var execModes = []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"}

// TestCellsOnServer takes the values of types.yaml from a server, in every exec
// mode, and checks for every mask that what comes out is the same as in
// cells.txt, is a literal that the server takes for the type, and scans
// wherever the clear value scans.
func TestCellsOnServer(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.Database(t)
	cases := readTypes(t)
	ctx := context.Background()
	setup, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer setup.Close()
	_, err = setup.ExecContext(ctx, serverTypes)
	require.NoError(t, err)
	for _, c := range cases {
		if c.OID != 0 {
			var oid uint32
			require.NoError(t, setup.QueryRowContext(ctx, "SELECT $1::text::regtype::oid", c.Type).Scan(&oid), c.Type)
			require.Equal(t, c.OID, oid, c.Type)
		}
	}
	for _, mode := range execModes {
		t.Run(mode, func(t *testing.T) {
			separator := "?"
			if strings.Contains(dsn, "?") {
				separator = "&"
			}
			db, err := sql.Open("pgx", dsn+separator+"timezone=UTC&default_query_exec_mode="+mode)
			require.NoError(t, err)
			defer db.Close()
			for _, c := range cases {
				for _, value := range c.Values {
					checkOnServer(t, db, c, value)
				}
			}
		})
	}
}

func checkOnServer(t *testing.T, db *sql.DB, c *typeCase, value string) {
	t.Helper()
	sh := shapeOf(&c.resolved)
	var in driver.Value
	literal := func(text string) string {
		return "SELECT '" + strings.ReplaceAll(text, "'", "''") + "'::" + c.Type
	}
	require.NoError(t, db.QueryRow(literal(value)).Scan(&in), "%s %s", c.Type, value)
	if parsed, ok := sh.parse(value); ok {
		require.Equal(t, cell(sh, parsed), cell(sh, in), "the table's value is the server's: %s", c.Type)
	}
	valid := make(map[string]bool)
	for _, text := range masks {
		m, err := decode(t, text, c).For(c.resolved, testKey)
		if err != nil {
			continue
		}
		out := m.Mask(in)
		sameGoType(t, in, out, "%s %s %s", c.Type, text, value)
		if out == nil {
			continue
		}
		parsed, ok := sh.parse(value)
		if ok {
			require.Equal(t, cell(sh, m.Mask(parsed)), cell(sh, out), "%s %s %s", c.Type, text, value)
		}
		masked, ok := sh.format(out)
		require.True(t, ok)
		if !valid[masked] {
			var back driver.Value
			err := db.QueryRow(literal(masked)).Scan(&back)
			require.NoError(t, err, "%s %s %s gave %s", c.Type, text, value, masked)
			require.NotNil(t, back)
			valid[masked] = true
		}
		scansAlike(t, sh, in, out, text == "redact", fmt.Sprintf("%s %s %s", c.Type, text, value))
	}
}

// scansAlike checks every Go destination that takes the clear value: those of
// the value's own kind for every mask, and all others too for redact.
func scansAlike(t *testing.T, sh *shape, in, out driver.Value, redact bool, what string) {
	t.Helper()
	for _, dest := range destinations(sh, redact) {
		clear := dest()
		if scan(t, in, clear) != nil {
			continue
		}
		require.NoError(t, scan(t, out, dest()), "%s into %T", what, clear)
	}
}

func destinations(sh *shape, wide bool) []func() any {
	all := []func() any{
		func() any { return new(any) },
		func() any { return new(sql.RawBytes) },
		func() any { return new([]byte) },
		func() any { return new(string) },
		func() any { return new(sql.NullString) },
		func() any { return new(json.RawMessage) },
	}
	number := []func() any{
		func() any { return new(int64) }, func() any { return new(*int64) }, func() any { return new(int) },
		func() any { return new(sql.NullInt64) }, func() any { return new(float64) }, func() any { return new(pgtype.Numeric) },
	}
	narrow := []func() any{
		func() any { return new(int8) }, func() any { return new(int16) }, func() any { return new(int32) },
		func() any { return new(uint8) }, func() any { return new(uint64) }, func() any { return new(float32) }, func() any { return new(bool) },
	}
	switch sh.fam {
	case famBool:
		all = append(all, func() any { return new(bool) }, func() any { return new(sql.NullBool) })
	case famInt:
		all = append(all, number...)
		if sh.hi == math.MaxInt16 {
			all = append(all, func() any { return new(int16) })
		} else if sh.hi == math.MaxInt32 {
			all = append(all, func() any { return new(int32) })
		}
		if wide {
			all = append(all, narrow...)
		}
	case famFloat:
		all = append(all, func() any { return new(float64) }, func() any { return new(sql.NullFloat64) })
		if sh.single {
			all = append(all, func() any { return new(float32) })
		}
		if wide {
			all = append(append(all, number...), narrow...)
		}
	case famNumeric:
		all = append(all, func() any { return new(float64) }, func() any { return new(pgtype.Numeric) })
		if wide {
			all = append(append(all, number...), narrow...)
		}
	case famDate, famTimestamp, famTimestampTZ:
		all = append(all, func() any { return new(time.Time) }, func() any { return new(sql.NullTime) },
			func() any { return new(pgtype.Date) }, func() any { return new(pgtype.Timestamp) }, func() any { return new(pgtype.Timestamptz) })
	case famUUID:
		all = append(all, func() any { return new(pgtype.UUID) })
	case famHstore:
		all = append(all, func() any { return new(pgtype.Hstore) })
	case famBit:
		all = append(all, func() any { return new(pgtype.Bits) })
	case famTime:
		all = append(all, func() any { return new(pgtype.Time) })
	case famFixed:
		if own := ownDestination[sh.name]; own != nil {
			all = append(all, own)
		}
	case famArray:
		all = append(all, func() any { return scanner(new([]string)) }, func() any { return scanner(new([]*string)) },
			func() any { return scanner(new(pgtype.Array[*string])) })
		if sh.elem.fam == famInt {
			all = append(all, func() any { return scanner(new([]int64)) }, func() any { return scanner(new([]*int64)) })
		}
	case famRange:
		all = append(all, func() any { return scanner(new(pgtype.Range[pgtype.Text])) })
		if sh.elem.fam == famInt {
			all = append(all, func() any { return scanner(new(pgtype.Range[pgtype.Int4])) })
		}
	}
	return all
}

var ownDestination = map[string]func() any{
	"interval": func() any { return new(pgtype.Interval) },
	"point":    func() any { return new(pgtype.Point) },
	"box":      func() any { return new(pgtype.Box) },
	"circle":   func() any { return new(pgtype.Circle) },
	"path":     func() any { return new(pgtype.Path) },
	"lseg":     func() any { return new(pgtype.Lseg) },
	"line":     func() any { return new(pgtype.Line) },
	"polygon":  func() any { return new(pgtype.Polygon) },
	"tsvector": func() any { return new(pgtype.TSVector) },
}

var typeMap = pgtype.NewMap()

func scanner(v any) any { return typeMap.SQLScanner(v) }

// scan sends one value through database/sql, as a driver's row would.
func scan(t *testing.T, v driver.Value, dest any) error {
	t.Helper()
	oneValue.value = v
	rows, err := oneValueDB.Query("")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	return rows.Scan(dest)
}

// oneValue is a driver whose every query has one row of one value.
var (
	oneValue   = &oneValueDriver{}
	oneValueDB = sql.OpenDB(oneValue)
)

type oneValueDriver struct{ value driver.Value }

func (d *oneValueDriver) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d *oneValueDriver) Driver() driver.Driver                        { return nil }
func (d *oneValueDriver) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrBadConn }
func (d *oneValueDriver) Begin() (driver.Tx, error)                    { return nil, driver.ErrBadConn }
func (d *oneValueDriver) Close() error                                 { return nil }
func (d *oneValueDriver) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &oneRow{value: d.value}, nil
}

type oneRow struct {
	value driver.Value
	done  bool
}

func (r *oneRow) Columns() []string { return []string{"value"} }
func (r *oneRow) Close() error      { return nil }
func (r *oneRow) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	dest[0], r.done = r.value, true
	return nil
}
