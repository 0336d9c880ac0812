package guardedpg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/mask"
)

func init() { mask.Register("test-same", func(v driver.Value) driver.Value { return v }) }

// maskedTable is a table with a column of one type for every mask.
type maskedTable struct {
	Type     string   `yaml:"type"`
	Values   []string `yaml:"values"`
	Constant any      `yaml:"constant"`

	name  string
	cells []map[string]string // by mask, of each value
}

// maskTables reads package mask's table of types, and what each mask makes of
// their values.
func maskTables(t *testing.T) (tables []*maskedTable, masks []string) {
	t.Helper()
	b, err := os.ReadFile("mask/testdata/types.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(b, &tables))
	byType := map[string]*maskedTable{}
	for i, c := range tables {
		c.name, c.cells = fmt.Sprintf("t%d", i), make([]map[string]string, len(c.Values))
		for j := range c.cells {
			c.cells[j] = map[string]string{}
		}
		byType[c.Type] = c
	}
	b, err = os.ReadFile("mask/testdata/cells.txt")
	require.NoError(t, err)
	var c *maskedTable
	for line := range strings.Lines(string(b)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case len(fields) == 1:
			c = byType[fields[0]]
			require.NotNil(t, c)
			continue
		case !slices.Contains(masks, fields[1]):
			masks = append(masks, fields[1])
		}
		for j, value := range c.Values {
			if fields[2] == "error" { // the mask does not fit the type
				c.cells[j][fields[1]] = c.cells[j]["redact"]
				continue
			}
			if quoted, err := strconv.Unquote(fields[2]); err == nil && quoted == value {
				c.cells[j][fields[1]], err = strconv.Unquote(fields[3])
				require.NoError(t, err)
			}
		}
	}
	return tables, masks
}

// maskedDatabase makes the tables and the policy that masks them.
func maskedDatabase(t *testing.T, tables []*maskedTable, masks []string) (dsn string, policy guard.Policy) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION seg;
		CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy'); CREATE DOMAIN phone_no AS text CHECK (VALUE <> ''); CREATE DOMAIN percent AS int4;
		CREATE DOMAIN moods AS mood[]; CREATE TYPE address AS (street text, zip int4, mood mood, since timestamptz); SET timezone = UTC;`)
	policy.Default = guard.Allow
	for _, c := range tables {
		fmt.Fprintf(&b, "CREATE TABLE %s (id int, plain %s", c.name, c.Type)
		for i := range masks {
			fmt.Fprintf(&b, ", m%d %s", i, c.Type)
		}
		b.WriteString(");")
		for j := -1; j < len(c.Values); j++ {
			value := "NULL"
			if j >= 0 {
				value = "'" + strings.ReplaceAll(c.Values[j], "'", "''") + "'"
			}
			fmt.Fprintf(&b, "INSERT INTO %s VALUES (%d%s);", c.name, j, strings.Repeat(", "+value, len(masks)+1))
		}
		policy.Protect = append(policy.Protect, guard.Protect{Column: "public." + c.name + ".m" + strconv.Itoa(slices.Index(masks, "constant")),
			Mask: maskOf(map[string]any{"constant": map[string]any{"value": c.Constant}})})
	}
	for i, text := range masks {
		if text == "constant" {
			continue
		}
		var v any
		require.NoError(t, yaml.Unmarshal([]byte(text), &v))
		if v == nil { // YAML's own null
			v = "null"
		}
		policy.Protect = append(policy.Protect, guard.Protect{Column: fmt.Sprintf("public.*.m%d", i), Mask: maskOf(v)})
	}
	return database(t, "masks", b.String()) + "&timezone=UTC", policy
}

// notYet are the masks that the driver binds to less than they could have. It
// takes int2vector and oidvector for arrays, and does not know the labels of
// enums: then nothing but NULL is known to be valid.
func notYet(typ, mask string) bool {
	switch typ {
	case "int2vector", "oidvector":
		return mask != "null"
	case "mood", "mood[]", "address":
		return mask == "constant" || mask == "test-same"
	case "moods", "address[]":
		return mask == "test-same"
	}
	return false
}

// cellOf is a value as package mask's table shows it.
func cellOf(v any, typ string) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return "string " + v
	case int64:
		return fmt.Sprintf("int64 %d", v)
	case bool:
		return fmt.Sprintf("bool %.1s", strconv.FormatBool(v))
	case float64:
		bits := 64
		if typ == "float4" {
			bits = 32
		}
		return "float64 " + strings.NewReplacer("+Inf", "Infinity", "-Inf", "-Infinity").Replace(strconv.FormatFloat(v, 'g', -1, bits))
	case []byte:
		if typ == "bytea" {
			return "[]uint8 \\x" + hex.EncodeToString(v)
		}
		return "[]uint8 " + string(v)
	case time.Time:
		layout := map[string]string{"date": "2006-01-02", "timestamp": "2006-01-02 15:04:05.999999"}[typ]
		if layout == "" {
			layout = "2006-01-02 15:04:05.999999-07"
		}
		return "time.Time " + v.UTC().Format(layout)
	}
	return fmt.Sprintf("%T", v)
}

// shown is a value and its Go type, in a form in which NaN is equal to itself.
func shown(v any) string { return fmt.Sprintf("%T %v", v, v) }

// TestMasksInModes reads every masked type through the driver, in every exec
// mode, into every natural Go destination.
func TestMasksInModes(t *testing.T) {
	tables, masks := maskTables(t)
	key, err := mask.NewKey([]byte("0123456789abcdef"))
	require.NoError(t, err)
	dsn, policy := maskedDatabase(t, tables, masks)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			db := open(t, guardedpg.Config{DSN: inMode(dsn, mode), Identify: as(agent), Policy: policy, MaskKey: key})
			plain, err := sql.Open("pgx", inMode(dsn, mode))
			require.NoError(t, err)
			defer plain.Close()
			differ := map[string]string{}
			for _, c := range tables {
				query := "SELECT * FROM " + c.name + " ORDER BY id"
				want, _ := table(t, plain, query)
				got, types := table(t, db, query)
				require.Len(t, got, len(c.Values)+1)
				for j := range got {
					require.Equal(t, shown(want[j][1]), shown(got[j][1]), "%s: what is not protected", c.Type)
					for i, text := range masks {
						if j == 0 {
							require.Nil(t, got[j][i+2], "NULL stays NULL")
							continue
						}
						cell, ok := c.cells[j-1][text]
						require.True(t, ok)
						if shown := cellOf(got[j][i+2], c.Type); shown != cell {
							differ[c.Type+" "+text] = fmt.Sprintf("%s: %s instead of %s", c.Values[j-1], shown, cell)
						}
					}
				}
				_, wantTypes := table(t, plain, query)
				require.Equal(t, wantTypes, types, c.Type)
				scanBoth(t, plain, db, query, want, got)
				withOptions(t, plain, db, c, got)
			}
			for _, c := range tables {
				for _, text := range masks {
					if notYet(c.Type, text) {
						require.NotEmpty(t, differ[c.Type+" "+text], "%s %s is right now: take it out of notYet", c.Type, text)
						delete(differ, c.Type+" "+text)
					}
				}
			}
			require.Empty(t, differ)
		})
	}
}

// table reads a whole result and the descriptions of its columns.
func table(t *testing.T, db *sql.DB, query string, args ...any) (values [][]any, types []string) {
	t.Helper()
	rows, err := db.Query(query, args...)
	require.NoError(t, err, query)
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	require.NoError(t, err)
	for _, c := range columns {
		length, hasLength := c.Length()
		precision, scale, hasSize := c.DecimalSize()
		nullable, hasNullable := c.Nullable()
		types = append(types, fmt.Sprint(c.Name(), c.DatabaseTypeName(), c.ScanType(), length, hasLength, precision, scale, hasSize, nullable, hasNullable))
	}
	values = readRows(t, rows)
	require.False(t, rows.NextResultSet())
	return values, types
}

// readRows reads a result to its end, and closes it.
func readRows(t *testing.T, rows *sql.Rows) (values [][]any) {
	t.Helper()
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		require.NoError(t, rows.Scan(into...))
		values = append(values, row)
	}
	require.NoError(t, rows.Err())
	return values
}

// destinations are where a program would scan a value of a Go type.
func destinations(v any) []any {
	all := []any{new(any), new([]byte), new(sql.RawBytes), new(*string), new(sql.NullString), new(string)}
	switch v.(type) {
	case int64:
		all = append(all, new(sql.NullInt64), new(*int64), new(int64), new(float64))
	case float64:
		all = append(all, new(sql.NullFloat64), new(*float64), new(float64))
	case bool:
		all = append(all, new(sql.NullBool), new(*bool), new(bool))
	case time.Time:
		return []any{new(any), new(sql.NullTime), new(*time.Time), new(time.Time), new(string)}
	}
	return all
}

// scanBoth scans every cell into each destination that takes the clear value.
func scanBoth(t *testing.T, plain, db *sql.DB, query string, want, got [][]any) {
	t.Helper()
	most := 0
	for _, row := range want {
		most = max(most, len(destinations(row[1])))
	}
	for k := range most {
		clear := make([]bool, len(want)) // the clear value of this row scans
		scanColumns(t, plain, query, k, want, func(row, column int, err error) {
			if column == 1 {
				clear[row] = err == nil
			}
		})
		scanColumns(t, db, query, k, want, func(row, column int, err error) {
			if !clear[row] || column == 0 {
				return
			}
			if got[row][column] == nil && !nullable(destinations(want[row][1])[k]) {
				require.Error(t, err)
				return
			}
			require.NoError(t, err, "%s: column %d, %v into %T", query, column, got[row][column], destinations(want[row][1])[k])
		})
	}
}

func nullable(dest any) bool {
	switch dest.(type) {
	case *string, *int64, *float64, *bool, *time.Time:
		return false
	}
	return true
}

// scanColumns scans every column of every row by itself.
func scanColumns(t *testing.T, db *sql.DB, query string, k int, want [][]any, check func(row, column int, err error)) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	for row := 0; rows.Next(); row++ {
		if k >= len(destinations(want[row][1])) {
			continue
		}
		for column := range names {
			into := make([]any, len(names))
			for i := range into {
				into[i] = new(any)
			}
			into[column] = destinations(want[row][1])[k]
			check(row, column, rows.Scan(into...))
		}
	}
	require.NoError(t, rows.Err())
}

// asIs rewrites a query to itself.
type asIs struct{}

func (asIs) RewriteQuery(_ context.Context, _ *pgx.Conn, sql string, args []any) (string, []any, error) {
	return sql, args, nil
}

// withOptions repeats a query with the arguments that pgx takes for options. A
// value comes back masked as without them, or as NULL where the format asked for
// cannot be read, or not at all.
func withOptions(t *testing.T, plain, db *sql.DB, c *maskedTable, want [][]any) {
	t.Helper()
	query := "SELECT * FROM " + c.name + " WHERE id >= $1 ORDER BY id"
	named := "SELECT * FROM " + c.name + " WHERE id >= @from ORDER BY id"
	for _, option := range []struct {
		query string
		args  []any
	}{
		{query, []any{pgx.QueryResultFormats{0}, -1}},
		{query, []any{pgx.QueryResultFormats{1}, -1}},
		{query, []any{pgx.QueryResultFormatsByOID{}, -1}},
		{query, []any{pgx.QueryExecModeSimpleProtocol, -1}},
		{query, []any{pgx.QueryExecModeExec, pgx.QueryResultFormats{1}, -1}},
		{query, []any{pgx.QueryExecModeDescribeExec, -1}},
		{query, []any{asIs{}, -1}},
		{named, []any{pgx.NamedArgs{"from": -1}}},
		{named, []any{pgx.QueryResultFormats{1}, pgx.StrictNamedArgs{"from": -1}}},
	} {
		rows, err := db.Query(option.query, option.args...)
		if err != nil {
			other, plainErr := plain.Query(option.query, option.args...)
			if plainErr == nil {
				for other.Next() {
				}
				plainErr = other.Err()
				other.Close()
			}
			require.Error(t, plainErr, "%s %v: %v", c.Type, option.args, err)
			continue
		}
		n := 0
		for rows.Next() {
			row, into := make([]any, len(want[n])), make([]any, len(want[n]))
			for i := range row {
				into[i] = &row[i]
			}
			if rows.Scan(into...) != nil {
				continue
			}
			for i := 2; i < len(row); i++ {
				if row[i] != nil {
					require.Equal(t, shown(want[n][i]), shown(row[i]), "%s %v", c.Type, option.args)
				}
			}
			n++
		}
		rows.Close()
	}
}

// Many rows, large rows, and rows that are not read to the end.
func TestMasksOfManyRows(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		many := 100_000
		if !full && !strings.HasSuffix(t.Name(), "cache_statement") {
			many = 10_000
		}
		_, err := f.plain.Exec(`INSERT INTO customers SELECT g, 'n', 'clear' || g || '@canary.test', NULL, 'clear', NULL
			FROM generate_series(1000, 999 + $1::int) g`, many)
		require.NoError(t, err)
		rows, err := f.db.Query("SELECT id, email, card, email || card FROM customers WHERE id >= 1000 ORDER BY id")
		require.NoError(t, err)
		n := 0
		for rows.Next() {
			var id int
			var email, card, both string
			require.NoError(t, rows.Scan(&id, &email, &card, &both))
			if id != 1000+n || email != "c***@canary.test" || card != mask.Stars || both != mask.Stars {
				t.Fatalf("row %d: %d %s %s %s", n, id, email, card, both)
			}
			n++
		}
		require.NoError(t, rows.Err())
		require.Equal(t, many, n)

		rows, err = f.db.Query("SELECT email FROM customers")
		require.NoError(t, err)
		require.True(t, rows.Next())
		require.NoError(t, rows.Close())
		var card string
		require.NoError(t, f.db.QueryRow("SELECT card FROM customers WHERE id >= 1000").Scan(&card), "one of many")
		require.Equal(t, mask.Stars, card)

		_, err = f.plain.Exec("UPDATE customers SET card = repeat('clear', 3 << 20) WHERE id = 1")
		require.NoError(t, err)
		require.NoError(t, f.db.QueryRow("SELECT card FROM customers WHERE id = 1").Scan(&card))
		require.Equal(t, mask.Stars, card)
		require.NotContains(t, spill(f.db, "SELECT array[card], row(card), to_json(card) FROM customers WHERE id = 1"), "clear")
	})
}

// A driver's rows give one result and nothing beside their values.
func TestRowsHaveOneResult(t *testing.T) {
	inModes(t, func(t *testing.T, f fixture) {
		c, err := f.db.Conn(t.Context())
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.Raw(func(dc any) error {
			rows, err := dc.(driver.QueryerContext).QueryContext(t.Context(), "SELECT email FROM customers", nil)
			require.NoError(t, err)
			defer rows.Close()
			_, ok := rows.(driver.RowsNextResultSet)
			require.False(t, ok)
			return nil
		}))
		rows, err := f.db.Query("SELECT id FROM orders; SELECT email FROM customers", pgx.QueryExecModeSimpleProtocol)
		if err == nil {
			require.False(t, rows.NextResultSet())
			rows.Close()
		}
	})
}

// A prepared statement is decided on each time it runs: by who runs it, and by
// what is protected then.
func TestPreparedOutlivesDecisions(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			f := newFixtureOn(t, inMode(shop(t), mode), func(c *guardedpg.Config) {
				c.Identify = func(ctx context.Context) (identity.Identity, error) { return identity.FromContext(ctx), nil }
				c.Policy = guard.Policy{Default: guard.Allow, Protect: []guard.Protect{
					{Column: "public.customers.email", Mask: maskNamed("email"), Unless: "'dba' in identity.groups"}}}
				c.CatalogRefresh = -1
			})
			f.db.SetMaxOpenConns(1)
			ctx := func(who identity.Identity) context.Context { return identity.NewContext(t.Context(), who) }
			s, err := f.db.PrepareContext(ctx(dba), "SELECT email, nick FROM customers WHERE id = $1")
			require.NoError(t, err)
			defer s.Close()
			read := func(who identity.Identity) (email, nick string) {
				t.Helper()
				require.NoError(t, s.QueryRowContext(ctx(who), 1).Scan(&email, &nick))
				return email, nick
			}
			for range 3 {
				email, nick := read(dba)
				require.Equal(t, "ann@canary.test annie", email+" "+nick)
				email, nick = read(agent)
				require.Equal(t, "a***@canary.test annie", email+" "+nick)
			}
			_, err = f.plain.Exec("COMMENT ON COLUMN customers.nick IS '@mask(redact)'")
			require.NoError(t, err)
			email, nick := read(dba)
			require.Equal(t, "ann@canary.test ***", email+" "+nick)
			require.ErrorIs(t, s.QueryRowContext(t.Context(), 1).Scan(&email, &nick), guardedpg.ErrNoIdentity)
		})
	}
}
