package builtin

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// The three files list what PostgreSQL 14 to 18 have, so that one run checks
// the lists for all of them; the running server is asked too.
var (
	//go:embed testdata/functions.txt
	knownFunctions string
	//go:embed testdata/columns.txt
	knownColumns string
	//go:embed testdata/settings.txt
	knownSettings string
)

// The traits are letters: v an overload is volatile, i every overload has an
// argument or result of type internal or of handlers, t every overload returns
// a trigger, a aggregate, w window function, o converts a type.
const functionsSQL = `select p.proname::text, concat(
	case when bool_or(provolatile = 'v') then 'v' end,
	case when bool_and('internal'::regtype = any(proargtypes::oid[]) or prorettype = 'internal'::regtype
		or prorettype::regtype::text like '%handler') then 'i' end,
	case when bool_and(prorettype = 'trigger'::regtype) then 't' end,
	case when bool_or(prokind = 'a') then 'a' end,
	case when bool_or(prokind = 'w') then 'w' end,
	case when bool_or(exists (select from pg_type t where p.oid in (typinput, typoutput, typreceive, typsend, typmodin, typmodout))) then 'o' end)
	from pg_proc p where pronamespace = 'pg_catalog'::regnamespace group by 1 order by 1`

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), pgtest.Start(t).Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func stringRows(t *testing.T, conn *pgx.Conn, sql string, args ...any) [][2]string {
	t.Helper()
	rows, err := conn.Query(context.Background(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (pair [2]string, err error) {
		return pair, r.Scan(&pair[0], &pair[1])
	})
	require.NoError(t, err)
	require.NotEmpty(t, list)
	return list
}

// lines gives the first two fields of each line of a file in testdata.
func lines(t *testing.T, text string) [][2]string {
	t.Helper()
	var list [][2]string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); f[0] != "#" {
			list = append(list, [2]string{f[0], f[1]})
		}
	}
	require.NotEmpty(t, list)
	return list
}

func checkFunction(t *testing.T, name, traits string) {
	t.Helper()
	c, ok := Function("pg_catalog", name)
	require.True(t, ok, "%s is on no list", name)
	has := func(trait string) bool { return strings.Contains(traits, trait) }
	require.Equal(t, has("a"), c&Aggregate != 0, "%s: aggregate", name)
	require.Equal(t, has("w"), c&Window != 0, "%s: window function", name)
	if has("t") && !has("o") {
		require.NotZero(t, c&Trigger, "%s returns a trigger", name)
	}
	if c&Internal != 0 {
		require.True(t, has("i"), "%s can be called", name)
	}
	if has("v") && c&^(Pure|Aggregate|Window|IO) == 0 {
		t.Errorf("%s is volatile, but listed as %v", name, c)
	}
	if has("o") {
		require.NotZero(t, c&(IO|Internal|Converts), "%s converts a type", name)
	}
	for _, prefix := range []string{"pg_", "lo_", "ts_", "has_", "binary_upgrade_", "query_", "cursor_", "table_", "schema_", "database_"} {
		if _, exact := functions["pg_catalog"].exact[name]; strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "pg_lsn_") {
			require.True(t, exact, "%s is not listed alone", name)
		}
	}
}

func TestEveryFunctionIsListed(t *testing.T) {
	for _, f := range lines(t, knownFunctions) {
		checkFunction(t, f[0], f[1])
	}
}

func TestEveryFunctionOfTheServerIsListed(t *testing.T) {
	conn := connect(t)
	for _, f := range stringRows(t, conn, functionsSQL) {
		checkFunction(t, f[0], f[1])
	}
	for _, f := range stringRows(t, conn, `select proname::text, '' from pg_proc where pronamespace = 'information_schema'::regnamespace`) {
		_, ok := Function("information_schema", f[0])
		require.True(t, ok, f[0])
	}
}

func TestEveryFunctionOfAListedExtensionIsListed(t *testing.T) {
	conn := connect(t)
	created := 0
	for _, e := range stringRows(t, conn, `select name::text, '' from pg_available_extensions where name <> 'plpgsql'`) {
		if functions[e[0]] == nil {
			continue
		}
		_, err := conn.Exec(context.Background(), `create extension `+pgx.Identifier{e[0]}.Sanitize()+` cascade`)
		if err != nil {
			t.Logf("%s: %v", e[0], err) // wants a preloaded library
			continue
		}
		created++
	}
	require.NotZero(t, created)
	const members = `select e.extname::text, p.proname::text from pg_depend d join pg_extension e on e.oid = d.refobjid
		join pg_proc p on p.oid = d.objid where d.refclassid = 'pg_extension'::regclass and d.classid = 'pg_proc'::regclass and d.deptype = 'e'`
	for _, m := range stringRows(t, conn, members) {
		if functions[m[0]] != nil {
			_, ok := Function(m[0], m[1])
			require.True(t, ok, "%s: %s", m[0], m[1])
		}
	}
}

// An entry that names nothing is a slip of the pen, and what it meant is open.
func TestEveryEntryNamesSomething(t *testing.T) {
	var names []string
	for _, f := range lines(t, knownFunctions) {
		names = append(names, f[0])
	}
	l := functions["pg_catalog"]
	for name := range l.exact {
		require.Contains(t, names, name)
	}
	for _, p := range l.patterns {
		require.True(t, slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, p.prefix) }), p.prefix)
	}

	columns := make(map[string]bool)
	var all []string
	for _, c := range lines(t, knownColumns) {
		columns[c[0]], columns[c[0][:strings.LastIndex(c[0], ".")]] = true, true
		all = append(all, c[0])
	}
	for _, schema := range []string{"pg_catalog", "information_schema"} {
		for name := range relations[schema].exact {
			require.True(t, columns[schema+"."+name], name)
		}
		for _, p := range relations[schema].patterns {
			require.True(t, slices.ContainsFunc(all, func(n string) bool { return strings.HasPrefix(n, schema+"."+p.prefix) }), p.prefix)
		}
	}

	known := []string{"role", "session_authorization", "seed", "plpgsql.variable_conflict"}
	for _, s := range lines(t, knownSettings) {
		known = append(known, s[0])
	}
	for name := range settings {
		require.Contains(t, known, name)
	}
}

func checkColumn(t *testing.T, column string) {
	t.Helper()
	parts := strings.Split(column, ".")
	require.Len(t, parts, 3, column)
	require.NotZero(t, RelationColumn(parts[0], parts[1], parts[2]), "%s is on no list", column)
}

func TestEveryColumnIsListed(t *testing.T) {
	for _, c := range lines(t, knownColumns) {
		checkColumn(t, c[0])
	}
	const columns = `select n.nspname || '.' || c.relname || '.' || a.attname, a.atttypid::regtype::text
		from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
		where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v', 'm', 'f', 'p')`
	for _, c := range stringRows(t, connect(t), columns) {
		checkColumn(t, c[0])
		switch c[1] {
		case "pg_node_tree", "anyarray", "bytea":
			parts := strings.Split(c[0], ".")
			require.NotZero(t, RelationColumn(parts[0], parts[1], parts[2])&(Data|Definition), "%s is of type %s", c[0], c[1])
		}
	}
}

func TestClassesOfTheDangerousFew(t *testing.T) {
	for name, want := range map[string]Class{
		"query_to_xml": RunsSQL, "table_to_xml": Table, "database_to_xml": Data, "ts_stat": RunsSQL,
		"pg_read_file": File, "lo_import": LargeObjectWrite | File, "pg_stat_get_activity": SQLText,
		"pg_logical_slot_peek_changes": Data | Replication, "set_config": SettingWrite, "nextval": SequenceWrite,
		"pg_sleep": Sleep, "dblink": 0, "no_such_function": 0, "int4pl": Pure, "sum": Pure | Aggregate,
		"pg_mcv_list_items": Pure, "timeofday": Session, "pg_notify": Notify,
	} {
		got, ok := Function("pg_catalog", name)
		require.Equal(t, want, got, name)
		require.Equal(t, want != 0, ok, name)
	}
	c, ok := Function("dblink", "dblink_exec")
	require.True(t, ok)
	require.Equal(t, Network|RunsSQL, c)
	_, ok = Function("postgis", "st_area")
	require.False(t, ok)
	require.Equal(t, "network runs_sql", strings.Join(sorted(strings.Fields(c.String())), " "))

	for column, want := range map[string]Class{
		"pg_stats.most_common_vals": Data, "pg_statistic.stavalues5": Data, "pg_stats.n_distinct": Data,
		"pg_stat_activity.query": SQLText, "pg_authid.rolpassword": Secret, "pg_largeobject.data": Data,
		"pg_hba_file_rules.address": File | Secret, "pg_class.relname": Catalog, "pg_views.definition": Definition, "no_such.x": 0,
	} {
		relation, name, _ := strings.Cut(column, ".")
		require.Equal(t, want, RelationColumn("pg_catalog", relation, name), column)
	}
	require.Zero(t, RelationColumn("public", "pg_class", "relname"))
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func TestHarmlessSourcesAndEffectsAreAllThereIs(t *testing.T) {
	var all Class
	for _, c := range classNames {
		require.Zero(t, all&c)
		all |= c
	}
	require.Equal(t, all, Harmless|Sources|Effects|Converts)
	require.Zero(t, Harmless&(Sources|Effects|Converts))
}

func listed(setting string) bool {
	_, ok := settings[setting]
	return ok || strings.Contains(setting, ".") // an extension's needs a human
}

func TestEverySettingIsListed(t *testing.T) {
	for _, s := range lines(t, knownSettings) {
		require.True(t, listed(s[0]), s[0])
	}
	for _, s := range stringRows(t, connect(t), `select lower(name), context from pg_settings where context in ('user', 'superuser')`) {
		require.True(t, listed(s[0]), s[0])
	}
}

func TestSettingsDependOnTheValue(t *testing.T) {
	for assignment, want := range map[string]SettingClass{
		"TimeZone=UTC": Agent, "search_path=a": Agent, "application_name=x": Identity, "role=postgres": Human,
		"standard_conforming_strings=on": Agent, "standard_conforming_strings=off": Never, "standard_conforming_strings=of": Never,
		"client_encoding=UTF8": Agent, "client_encoding=SQL_ASCII": Never, "transform_null_equals=on": Never,
		"backslash_quote=on": Never, "plpgsql.variable_conflict=use_column": Never,
		"statement_timeout=0": Human, "statement_timeout=5s": Agent, "statement_timeout= 100 ms": Agent,
		"statement_timeout=0.4": Human, "statement_timeout=100us": Human, "statement_timeout=0x0": Human, "statement_timeout=00": Human,
		"client_min_messages=debug1": Human, "client_min_messages=WARNING": Agent, "client_min_messages=log": Human,
		"default_transaction_read_only=off": Human, "session_replication_role=replica": Human, "my.setting=x": Human,
		"sort_mem=1": Agent, "no_such_setting=1": Never, "enable_seqscan=off": Agent, "work_mem=1GB": Human, "work_mem=64MB": Agent,
		"work_mem=262144": Agent, "work_mem=262145": Human, "work_mem=257MB": Human, "work_mem=0x1000000": Human, "work_mem=0.5GB": Human,
		"row_security=on": Agent, "row_security=off": Human, "data_directory=/": Never,
	} {
		name, value, _ := strings.Cut(assignment, "=")
		require.Equal(t, want, Setting(name, &value), assignment)
	}
	require.Equal(t, Agent, Setting("statement_timeout", nil))
	require.Equal(t, Human, Setting("role", nil))
	require.Equal(t, Never, SettingClass(0))
}

func TestAListWithAMistakeIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"x":                          "header above",
		"[a]":                        "a header is",
		"[a: pure]\n[a: purr]":       "line 2: there is no class",
		"[a: ]":                      "needs a class",
		"[a: pure]\nx y x":           "listed twice",
		"[a: pure]\nx*y":             "star before the end",
		"[a: pure]\nx*\nx*":          "listed twice",
		"[a: pure]\nx\n[a: data]\nx": "line 4",
	} {
		_, err := parse(text)
		require.ErrorContains(t, err, want, text)
	}
	for _, text := range []string{"x", "[agen]", "[agent: often, else human]", "[agent: on]", "[agent]\nx x"} {
		_, err := parseSettings(text)
		require.Error(t, err, text)
	}
}
