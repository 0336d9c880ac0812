package catalog_test

import (
	"context"
	_ "embed"
	"net/url"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

//go:embed testdata/features.sql
var features string

const agentRole = `do $$ begin
	create role catalog_agent login password 'catalog_agent';
exception when duplicate_object then null;
end $$;`

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	require.NoError(t, err)
}

func as(t testing.TB, dsn, role string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.User = url.UserPassword(role, role)
	return u.String()
}

// database makes a database with the features and returns the superuser's
// connection and an unprivileged role's.
func database(t testing.TB) (super, agent *pgx.Conn) {
	t.Helper()
	dsn := pgtest.Start(t).Database(t)
	super = connect(t, dsn)
	exec(t, super, agentRole)
	exec(t, super, features)
	return super, connect(t, as(t, dsn, "catalog_agent"))
}

func load(t testing.TB, conn *pgx.Conn) *catalog.Snapshot {
	t.Helper()
	s, err := catalog.Load(context.Background(), conn)
	require.NoError(t, err)
	return s
}

func TestLoadReadsEveryDefinition(t *testing.T) {
	super, agent := database(t)
	for name, conn := range map[string]*pgx.Conn{"superuser": super, "unprivileged role": agent} {
		t.Run(name, func(t *testing.T) { checkFeatures(t, load(t, conn)) })
	}
}

func checkFeatures(t *testing.T, s *catalog.Snapshot) {
	rel := func(name string) *catalog.Relation {
		t.Helper()
		r := s.RelationNamed("app", name)
		require.NotNil(t, r, name)
		require.NotEmpty(t, r.Stamp, name)
		require.Same(t, r, s.Relation(r.OID))
		return r
	}
	function := func(name string) *catalog.Function {
		t.Helper()
		list := s.FunctionsIn("app", name)
		require.Len(t, list, 1, name)
		require.NotEmpty(t, list[0].Stamp)
		return list[0]
	}
	typeName := func(oid catalog.OID) string {
		t.Helper()
		require.NotNil(t, s.Type(oid), oid)
		return s.Type(oid).Schema + "." + s.Type(oid).Name
	}
	require.NotEmpty(t, s.Server.SystemID)
	require.NotEmpty(t, s.Server.Database)
	require.NotZero(t, s.Version)
	require.Empty(t, s.TempSchema)
	for _, schema := range []string{"app", `Odd "Schema`, "pg_catalog", "information_schema", "public"} {
		require.True(t, s.SchemaExists(schema), schema)
	}
	require.False(t, s.SchemaExists("pg_temp"))

	c := rel("customers")
	require.Equal(t, byte('r'), c.Kind)
	require.Equal(t, byte('p'), c.Persistence)
	require.Equal(t, "postgres", c.Owner)
	require.Equal(t, "people", c.Comment)
	require.Same(t, c, s.RelationOfType(c.RowType))
	require.Len(t, c.Columns, 6)
	require.Equal(t, byte('a'), c.ColumnNamed("id").Identity)
	require.Equal(t, rel("customers_id_seq").OID, c.ColumnNamed("id").Sequence)
	require.Zero(t, c.ColumnNamed("email").Sequence)
	require.True(t, c.Columns[1].Dropped)
	require.Nil(t, c.Column(2))
	email := c.ColumnNamed("email")
	require.Equal(t, int16(3), email.Num)
	require.Equal(t, "@mask(email)", email.Comment)
	require.True(t, email.NotNull)
	require.Equal(t, "app.email", typeName(email.Type))
	require.Equal(t, "lower('X'::text)", c.ColumnNamed("name").Default)
	require.Equal(t, byte('s'), c.ColumnNamed("full_name").Generated)
	require.Equal(t, "(name || '!'::text)", c.ColumnNamed("full_name").Default)
	require.Equal(t, [][]int16{{1}, {3}}, c.Keys, "neither the partial index nor that of another operator class")
	require.Contains(t, c.Indexes, catalog.Index{Name: "customers_lower", Exclusive: true, Expressions: []string{"lower(name)"}, Predicate: "(id > 10)"})
	require.Contains(t, c.Indexes, catalog.Index{Name: "customers_pkey", Exclusive: true, Columns: []int16{1}})

	o := rel("orders")
	require.Equal(t, [][]int16{{1}}, o.Keys, "not the deferrable one")
	require.Equal(t, []catalog.Check{{Name: "orders_amount_check", Expr: "(amount > (0)::numeric)"}}, o.Checks)
	fk := catalog.ForeignKey{
		Name: "orders_customer", From: o.OID, FromCols: []int16{2}, To: c.OID, ToCols: []int16{1}, OnUpdate: 'c', OnDelete: 'n',
	}
	require.Equal(t, []catalog.ForeignKey{fk}, o.ForeignKeys)
	require.Equal(t, []catalog.ForeignKey{fk}, c.ReferredBy)
	require.True(t, o.RowSecurity)
	require.Len(t, o.Policies, 1)
	require.Equal(t, "(note = CURRENT_USER)", o.Policies[0].Using)
	require.Contains(t, o.Policies[0].Check, "FROM app.customers c")
	require.Len(t, o.Triggers, 1)
	trigger := o.Triggers[0]
	require.Equal(t, function("touch").OID, trigger.Function)
	require.Equal(t, int16(1|2|4|16), trigger.Type)
	require.Equal(t, []int16{3}, trigger.Columns)
	require.Equal(t, `((new.note IS DISTINCT FROM 'a) when (b'::text) AND (new.amount > (1)::numeric))`, trigger.When)
	require.Contains(t, trigger.Definition, "EXECUTE FUNCTION app.touch")

	require.Equal(t, "RANGE (at)", rel("parts").PartitionKey)
	require.Equal(t, []catalog.OID{rel("parts_2020").OID}, rel("parts").Children)
	require.True(t, rel("parts_2020").IsPartition)
	require.Equal(t, []catalog.OID{rel("parts").OID}, rel("parts_2020").Parents)
	require.Len(t, rel("parts_2020").Triggers, 1, "a row trigger is copied to the partition")
	require.Contains(t, rel("events").PartitionKey, "lower(kind)")
	require.Equal(t, []*catalog.Relation{rel("child"), rel("grandchild")}, s.Descendants(rel("base").OID))
	require.Equal(t, []*catalog.Relation{rel("child"), rel("base")}, s.Ancestors(rel("grandchild").OID))

	v := rel("contacts")
	require.Contains(t, v.Definition, "JOIN app.orders o")
	require.NotContains(t, v.Definition, ";")
	require.Len(t, v.Rules, 1)
	require.Equal(t, byte('3'), v.Rules[0].Event)
	require.True(t, v.Rules[0].Instead)
	require.Contains(t, v.Rules[0].Definition, "INSERT INTO app.base")
	require.Contains(t, rel("totals").Definition, "FROM app.orders")
	require.Equal(t, byte('S'), rel("seq").Kind)
	require.Equal(t, byte('c'), rel("pair").Kind)
	require.Equal(t, byte('u'), rel("secret").Persistence)

	f := rel("remote")
	require.Equal(t, &catalog.Foreign{Wrapper: "nowhere", Server: "far", Options: map[string]string{"table_name": `t,{}\ "`}}, f.Foreign)
	require.Equal(t, map[string]string{"column_name": `A "x"`}, f.Columns[0].Foreign)
	require.NotNil(t, s.RelationNamed(`Odd "Schema`, `Odd "Table`).ColumnNamed("Odd Column"))

	add := function("add")
	require.Equal(t, []string{"x", "y", "z"}, add.ArgNames)
	require.Len(t, add.Args, 3)
	require.Equal(t, 2, add.Defaults)
	require.Contains(t, add.DefaultExprs, "(1 + 1)")
	require.Equal(t, []string{"total"}, add.OutNames)
	require.Equal(t, "pg_catalog.int4", typeName(add.OutTypes[0]))
	require.Equal(t, "pg_catalog.int4", typeName(add.Variadic))
	require.Equal(t, byte('i'), add.Volatility)
	require.True(t, add.Strict)
	require.Equal(t, "select x + y", add.Source)
	require.Contains(t, function("body").Body, "FROM app.customers")
	require.Empty(t, function("body").Definition)
	many := function("many")
	require.True(t, many.ReturnsSet && many.SecurityDefiner)
	require.Equal(t, []string{"work_mem=4MB"}, many.Settings)
	require.Equal(t, []string{"id", "mail"}, many.OutNames)
	require.Equal(t, byte('p'), function("proc").Kind)
	require.Contains(t, function("proc").Definition, "CREATE OR REPLACE PROCEDURE app.proc")
	require.Equal(t, "int4pl", s.Function(function("total").Aggregate.Transition).Name)

	require.Len(t, s.OperatorsNamed("###"), 1)
	require.NotEmpty(t, s.OperatorsNamed("+"))
	pair := s.TypeNamed("app", "pair")
	text := s.TypeNamed("pg_catalog", "text")
	require.Equal(t, function("to_pair").OID, s.Cast(text.OID, pair.OID).Function)
	require.Equal(t, byte('a'), s.Cast(text.OID, pair.OID).Context)
	require.Len(t, slices.DeleteFunc(slices.Collect(s.Casts()), func(c *catalog.Cast) bool { return c.Target != pair.OID }), 1)
	require.Equal(t, rel("pair").OID, pair.Relation)
	domain := s.TypeNamed("app", "email")
	require.Equal(t, byte('d'), domain.Kind)
	require.Equal(t, text.OID, domain.Base)
	require.Equal(t, "'x@y'::text", domain.Default)
	require.Len(t, domain.Checks, 2)
	require.Equal(t, "(VALUE ~ '@'::text)", domain.Checks[0].Expr)
	span := s.TypeNamed("app", "span")
	require.Equal(t, "pg_catalog.float8", typeName(span.Subtype))
	require.Equal(t, "pg_catalog.float8", typeName(s.TypeNamed("app", "span_multirange").Subtype))
	require.Equal(t, text.OID, s.Type(text.Array).Element)

	plpgsql := s.FunctionsIn("pg_catalog", "plpgsql_call_handler")
	require.Len(t, plpgsql, 1)
	require.Equal(t, "plpgsql", plpgsql[0].Extension)
	require.Contains(t, s.RelationNamed("information_schema", "columns").Definition, "pg_attribute")
	require.Contains(t, s.RelationNamed("pg_catalog", "pg_stats").Definition, "pg_statistic")
	require.NotNil(t, s.RelationNamed("pg_catalog", "pg_authid").ColumnNamed("rolpassword"))
	for r := range s.Relations() {
		require.NotEqual(t, byte('t'), r.Kind)
		require.NotEmpty(t, r.Stamp, r.Name)
	}
}

// The settings that a session may have made, in each of the three ways.
func TestLoadLeavesTheSessionAsItWas(t *testing.T) {
	_, agent := database(t)
	ctx := context.Background()
	state := func() (path, jit, read string) {
		require.NoError(t, agent.QueryRow(ctx, `select pg_catalog.current_setting('search_path'), pg_catalog.current_setting('jit'),
			pg_catalog.current_setting('transaction_read_only')`, pgx.QueryExecModeSimpleProtocol).Scan(&path, &jit, &read))
		return
	}
	check := func(name, path string) {
		t.Helper()
		load(t, agent)
		got, jit, read := state()
		require.Equal(t, path, got, name)
		require.Equal(t, "on", jit, name)
		require.Equal(t, "off", read, name)
	}
	exec(t, agent, `set jit = on; set search_path = app, "Odd ""Schema", public`)
	session := `app, "Odd ""Schema", public`
	check("autocommit", session)
	require.Equal(t, byte('I'), agent.PgConn().TxStatus())

	exec(t, agent, `begin; set local search_path = app`)
	check("local", "app")
	require.Equal(t, byte('T'), agent.PgConn().TxStatus())
	exec(t, agent, `rollback`)
	check("after rollback", session)

	exec(t, agent, `begin; set search_path = public; savepoint guardedpg_catalog`)
	check("set in the transaction", "public")
	exec(t, agent, `rollback to savepoint guardedpg_catalog; commit`)
	check("after commit", "public")

	exec(t, agent, `begin isolation level serializable read only`)
	load(t, agent)
	exec(t, agent, `rollback`)

	exec(t, agent, `begin`)
	_, err := agent.Exec(ctx, `select 1 / 0`)
	require.Error(t, err)
	_, err = catalog.Load(ctx, agent)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.Equal(t, byte('E'), agent.PgConn().TxStatus())
	exec(t, agent, `rollback`)
}

func TestAFailedLoadDoesNotAbortTheTransaction(t *testing.T) {
	super, agent := database(t)
	exec(t, super, `create role catalog_weak login password 'catalog_weak'; revoke execute on function pg_get_viewdef(oid) from public`)
	t.Cleanup(func() { exec(t, super, `drop role catalog_weak`) })
	exec(t, agent, `begin; set local search_path = app`)
	_, err := catalog.Load(context.Background(), agent)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.ErrorContains(t, err, "42501")
	require.Equal(t, byte('T'), agent.PgConn().TxStatus())
	var path string
	require.NoError(t, agent.QueryRow(context.Background(), `show search_path`).Scan(&path))
	require.Equal(t, "app", path)
	exec(t, agent, `commit`)

	_, err = catalog.Load(context.Background(), agent)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.Equal(t, byte('I'), agent.PgConn().TxStatus())
}

func TestLoadWithoutTheSystemIdentifier(t *testing.T) {
	super, agent := database(t)
	exec(t, super, `revoke execute on function pg_control_system() from public`)
	exec(t, agent, `begin`)
	s := load(t, agent)
	require.Empty(t, s.Server.SystemID)
	require.NotNil(t, s.RelationNamed("pg_catalog", "pg_class"))
	exec(t, agent, `commit`)
}

// What an open transaction has changed, and temporary objects, are seen by
// their own session alone. The names that would resolve to other objects under
// the session's search_path do not mislead the load.
func TestLoadSeesItsOwnSession(t *testing.T) {
	super, agent := database(t)
	exec(t, super, `begin;
		create table app.fresh (a int);
		create temp table pg_class (a int);
		create temp table leaf (x int) inherits (app.base);
		create temp view peek as select f.a, l.x from app.fresh f, leaf l;
		create function pg_temp.helper() returns int language sql as 'select 1';
		create domain pg_temp.text as int;
		create function app.lower(text) returns text language sql as 'select null::text';
		create operator app.= (leftarg = oid, rightarg = oid, function = oidne);
		set local search_path = pg_temp, app, pg_catalog`)
	s := load(t, super)
	require.NotNil(t, s.RelationNamed("app", "fresh"))
	leaf := s.RelationNamed("pg_temp", "leaf")
	require.NotNil(t, leaf)
	require.Equal(t, s.TempSchema, leaf.Schema)
	require.True(t, s.SchemaExists("pg_temp"))
	require.Contains(t, s.RelationNamed("app", "base").Children, leaf.OID)
	require.Contains(t, s.Relation(leaf.Parents[0]).Children, leaf.OID)
	require.Contains(t, s.RelationNamed("pg_temp", "peek").Definition, "app.fresh f")
	require.Len(t, s.FunctionsIn("pg_temp", "helper"), 1)
	require.NotNil(t, s.RelationNamed("pg_temp", "pg_class"))
	require.Greater(t, len(s.RelationNamed("pg_catalog", "pg_class").Columns), 20)
	require.Equal(t, "lower('X'::text)", s.RelationNamed("app", "customers").ColumnNamed("name").Default)
	seen := 0
	for r := range s.Relations() {
		if r.OID == leaf.Parents[0] {
			seen++
		}
	}
	require.Equal(t, 1, seen)

	other := load(t, agent)
	require.Nil(t, other.RelationNamed("app", "fresh"))
	require.Nil(t, other.Relation(leaf.OID))
	require.NotContains(t, other.RelationNamed("app", "base").Children, leaf.OID)
	exec(t, super, `rollback`)
}

func TestLoadInEveryExecMode(t *testing.T) {
	_, agent := database(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		config := agent.Config().Copy()
		config.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(context.Background(), config)
		require.NoError(t, err)
		require.NotNil(t, load(t, conn).RelationNamed("app", "orders"))
		require.NoError(t, conn.Close(context.Background()))
	}
}

// meddling does something before each message of a load.
type meddling struct {
	conn   *pgx.Conn
	before func(message int)
	sent   int
}

func (m *meddling) PgConn() *pgconn.PgConn {
	m.sent++
	m.before(m.sent)
	return m.conn.PgConn()
}

func TestLoadStartsAgainWhenDefinitionsChange(t *testing.T) {
	super, agent := database(t)
	ctx := context.Background()
	once := &meddling{conn: agent, before: func(message int) {
		if message == 2 {
			exec(t, super, `create table app.between (a int)`)
		}
	}}
	s, err := catalog.Load(ctx, once)
	require.NoError(t, err)
	require.NotNil(t, s.RelationNamed("app", "between"))
	require.Equal(t, fingerprint(t, agent), s.Fingerprint())

	always := &meddling{conn: agent, before: func(int) { exec(t, super, `alter table app.between add c int; alter table app.between drop c`) }}
	_, err = catalog.Load(ctx, always)
	require.ErrorIs(t, err, catalog.ErrLoad)
	require.Equal(t, byte('I'), agent.PgConn().TxStatus())
}
