package clienttest

import (
	"database/sql"
	"database/sql/driver"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/dialect/sql/sqlgraph"
	"entgo.io/ent/schema/field"
	"github.com/stretchr/testify/require"
)

// entTables is the schema of what would be ent's generated code. They are made
// for each run, since a migration writes to them.
func entTables() (customers, orders *schema.Table) {
	customerColumns := []*schema.Column{
		{Name: "id", Type: field.TypeInt, Increment: true},
		{Name: "name", Type: field.TypeString},
		{Name: "email", Type: field.TypeString, Unique: true},
		{Name: "plan", Type: field.TypeEnum, Enums: []string{"free", "paid"}, Default: "free"},
		{Name: "settings", Type: field.TypeJSON, Nullable: true},
	}
	customers = &schema.Table{Name: "customers", Columns: customerColumns, PrimaryKey: customerColumns[:1]}
	orderColumns := []*schema.Column{
		{Name: "id", Type: field.TypeInt, Increment: true},
		{Name: "total", Type: field.TypeFloat64, SchemaType: map[string]string{dialect.Postgres: "numeric(10,2)"}},
		{Name: "customer_orders", Type: field.TypeInt, Nullable: true},
	}
	orders = &schema.Table{
		Name: "orders", Columns: orderColumns, PrimaryKey: orderColumns[:1],
		Indexes: []*schema.Index{{Name: "order_total", Columns: orderColumns[1:2]}},
		ForeignKeys: []*schema.ForeignKey{{
			Symbol: "orders_customers_orders", Columns: orderColumns[2:], RefTable: customers,
			RefColumns: customerColumns[:1], OnDelete: schema.SetNull,
		}},
	}
	return customers, orders
}

// A entCustomer is scanned as generated code does it.
type entCustomer struct {
	ID          int64
	Name, Email string
	Plan        string
	Settings    string
}

var entClient = client{name: "ent", empty: true, held: map[string]int{"baseline.ddl": 4}, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	ctx := t.Context()
	drv := entsql.OpenDB(dialect.Postgres, db)
	customers, orders := entTables()
	for range 2 { // the second time nothing is left to do
		migrate, err := schema.NewMigrate(drv)
		require.NoError(t, err)
		require.NoError(t, migrate.Create(ctx, customers, orders))
	}

	id := func() *sqlgraph.FieldSpec { return sqlgraph.NewFieldSpec("id", field.TypeInt) }
	create := func(name, email string, edges ...*sqlgraph.EdgeSpec) *sqlgraph.CreateSpec {
		c := sqlgraph.NewCreateSpec("customers", id())
		c.SetField("name", field.TypeString, name)
		c.SetField("email", field.TypeString, email)
		c.SetField("plan", field.TypeEnum, "paid")
		c.SetField("settings", field.TypeJSON, []byte(`{"lang": "en"}`))
		c.Edges = edges
		return c
	}
	order := sqlgraph.NewCreateSpec("orders", id())
	order.SetField("total", field.TypeFloat64, 10.5)
	require.NoError(t, sqlgraph.CreateNode(ctx, drv, order))
	ann := create("Ann", "ann@client.test", &sqlgraph.EdgeSpec{
		Rel: sqlgraph.O2M, Table: "orders", Columns: []string{"customer_orders"},
		Target: &sqlgraph.EdgeTarget{IDSpec: id(), Nodes: []driver.Value{order.ID.Value}},
	})
	require.NoError(t, sqlgraph.CreateNode(ctx, drv, ann))
	saw.value("made", ann.ID.Value)
	require.NoError(t, sqlgraph.BatchCreate(ctx, drv, &sqlgraph.BatchCreateSpec{Nodes: []*sqlgraph.CreateSpec{
		create("Bob", "bob@client.test"), create("Cleo", "cleo@client.test"),
	}}))
	err := sqlgraph.CreateNode(ctx, drv, create("Ann", "ann@client.test"))
	saw.value("twice", sqlgraph.IsUniqueConstraintError(err))
	upsert := create("Bob", "bob@client.test")
	upsert.OnConflict = []entsql.ConflictOption{entsql.ConflictColumns("email"), entsql.ResolveWith(func(u *entsql.UpdateSet) { u.SetExcluded("name") })}
	require.NoError(t, sqlgraph.CreateNode(ctx, drv, upsert))

	var all []entCustomer
	find := sqlgraph.NewQuerySpec("customers", []string{"id", "name", "email", "plan", "settings"}, id())
	find.Order = func(s *entsql.Selector) { s.OrderBy(s.C("id")) }
	find.Predicate = func(s *entsql.Selector) {
		s.Where(entsql.Like(s.C("name"), "%n%"))
		sqlgraph.HasNeighbors(s, sqlgraph.NewStep(sqlgraph.From("customers", "id"), sqlgraph.To("orders", "id"),
			sqlgraph.Edge(sqlgraph.O2M, false, "orders", "customer_orders")))
	}
	find.ScanValues = func([]string) ([]any, error) {
		return []any{new(sql.NullInt64), new(sql.NullString), new(sql.NullString), new(sql.NullString), new([]byte)}, nil
	}
	find.Assign = func(_ []string, v []any) error {
		all = append(all, entCustomer{v[0].(*sql.NullInt64).Int64, v[1].(*sql.NullString).String, v[2].(*sql.NullString).String,
			v[3].(*sql.NullString).String, string(*v[4].(*[]byte))})
		return nil
	}
	require.NoError(t, sqlgraph.QueryNodes(ctx, drv, find))
	saw.value("with orders", all)
	find.Predicate = nil
	require.NoError(t, sqlgraph.QueryNodes(ctx, drv, find))
	saw.value("all", all)
	n, err := sqlgraph.CountNodes(ctx, drv, sqlgraph.NewQuerySpec("customers", []string{"id"}, id()))
	require.NoError(t, err)
	saw.value("count", n)

	update := sqlgraph.NewUpdateSpec("customers", []string{"id", "name", "email"}, id())
	update.Node.ID.Value = 1
	update.SetField("name", field.TypeString, "Anna")
	update.ScanValues = func([]string) ([]any, error) {
		return []any{new(sql.NullInt64), new(sql.NullString), new(sql.NullString)}, nil
	}
	update.Assign = func(_ []string, v []any) error {
		saw.value("updated", []string{v[1].(*sql.NullString).String, v[2].(*sql.NullString).String})
		return nil
	}
	require.NoError(t, sqlgraph.UpdateNode(ctx, drv, update))
	var rows entsql.Rows
	build := entsql.Dialect(dialect.Postgres)
	c, o := build.Table("customers").As("c"), build.Table("orders").As("o")
	query, args := build.Select(c.C("email"), entsql.As(entsql.Sum(o.C("total")), "total")).
		From(c).LeftJoin(o).On(c.C("id"), o.C("customer_orders")).GroupBy(c.C("email")).OrderBy(c.C("email")).Query()
	require.NoError(t, drv.Query(ctx, query, args, &rows))
	var sums []struct {
		Email string
		Total sql.NullFloat64
	}
	require.NoError(t, entsql.ScanSlice(rows, &sums))
	saw.value("sums", sums)

	tx, err := drv.Tx(ctx)
	require.NoError(t, err)
	var gone entsql.Result
	query, args = build.Delete("orders").Where(entsql.EQ("id", 1)).Query()
	require.NoError(t, tx.Exec(ctx, query, args, &gone))
	saw.value("deleted", affected(t)(gone, nil))
	require.NoError(t, tx.Rollback())
}}
