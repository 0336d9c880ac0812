package clienttest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

type bunCustomer struct {
	bun.BaseModel `bun:"table:customers,alias:c"`

	ID       int64 `bun:",pk,autoincrement"`
	Name     string
	Email    string
	Phone    *string
	Born     *time.Time     `bun:"type:date"`
	Tags     []string       `bun:",array,nullzero,default:'{}'"`
	Settings map[string]any `bun:"type:jsonb,nullzero,default:'{}'"`
	Orders   []*bunOrder    `bun:"rel:has-many,join:id=customer_id"`
}

type bunOrder struct {
	bun.BaseModel `bun:"table:orders,alias:o"`

	ID         int64 `bun:",pk,autoincrement"`
	CustomerID int64
	Customer   *bunCustomer `bun:"rel:belongs-to,join:customer_id=id"`
	Total      float64
	Paid       bool
}

var bunClient = client{name: "bun", run: func(t *testing.T, plain *sql.DB, saw *transcript) {
	ctx := t.Context()
	db := bun.NewDB(plain, pgdialect.New())

	var all []bunCustomer
	require.NoError(t, db.NewSelect().Model(&all).Relation("Orders", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("id") }).Order("id").Scan(ctx))
	saw.value("all", all)
	var order bunOrder
	require.NoError(t, db.NewSelect().Model(&order).Relation("Customer").Where("o.id = ?", 3).Scan(ctx))
	saw.value("order", order)
	saw.fails("none", db.NewSelect().Model(&order).Where("o.id = ?", 1000).Scan(ctx))

	made := bunCustomer{Name: "Cleo", Email: "cleo@client.test", Tags: []string{"new"}, Settings: map[string]any{"lang": "fr"}}
	_, err := db.NewInsert().Model(&made).Exec(ctx)
	require.NoError(t, err)
	saw.value("made", made.ID)
	_, err = db.NewInsert().Model(&bunCustomer{Name: "Ann", Email: "ann@client.test"}).Exec(ctx)
	saw.fails("twice", err)
	phone := "+1 555 0106"
	_, err = db.NewInsert().Model(&bunCustomer{Name: "Bob", Email: "bob@client.test", Phone: &phone}).
		On("CONFLICT (email) DO UPDATE").Set("phone = EXCLUDED.phone").Exec(ctx)
	require.NoError(t, err)

	changed := bunCustomer{ID: 1, Phone: &phone}
	_, err = db.NewUpdate().Model(&changed).Column("phone").WherePK().Returning("name, email").Exec(ctx)
	require.NoError(t, err)
	saw.value("changed", changed)

	var totals []struct {
		Email string
		Total float64
	}
	sums := db.NewSelect().Model((*bunOrder)(nil)).ColumnExpr("customer_id, sum(total) AS total").Group("customer_id")
	require.NoError(t, db.NewSelect().With("sums", sums).TableExpr("sums").Join("JOIN customers AS c ON c.id = sums.customer_id").
		ColumnExpr("c.email, sums.total").OrderExpr("c.id").Scan(ctx, &totals))
	saw.value("totals", totals)

	n, err := db.NewSelect().Model((*bunCustomer)(nil)).Where("email LIKE ?", "%@client.test").Count(ctx)
	require.NoError(t, err)
	saw.value("count", n)
	require.NoError(t, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		nested, err := tx.BeginTx(ctx, nil) // a savepoint
		require.NoError(t, err)
		saw.value("deleted", affected(t)(nested.NewDelete().Model((*bunOrder)(nil)).Where("id IN (?)", bun.List([]int{1, 2})).Exec(ctx)))
		require.NoError(t, nested.Rollback())
		saw.value("deleted", affected(t)(tx.NewDelete().Model(&order).Where("id = ?", 3).Exec(ctx)))
		return nil
	}))
}}
