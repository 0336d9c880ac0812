package clienttest

import (
	"database/sql"
	"testing"

	jet "github.com/go-jet/jet/v2/postgres"
	"github.com/stretchr/testify/require"
)

var jetClient = client{name: "jet", run: func(t *testing.T, db *sql.DB, saw *transcript) {
	id, name, email := jet.IntegerColumn("id"), jet.StringColumn("name"), jet.StringColumn("email")
	customers := jet.NewTable("public", "customers", "", id, name, email)
	order, customer, total := jet.IntegerColumn("id"), jet.IntegerColumn("customer_id"), jet.FloatColumn("total")
	orders := jet.NewTable("public", "orders", "", order, customer, total)

	var sums []struct {
		ID    int64  `alias:"customers.id"`
		Name  string `alias:"customers.name"`
		Email string `alias:"customers.email"`
		Sum   float64
		First float64
	}
	require.NoError(t, jet.SELECT(id, name, email, jet.SUMf(total).AS("sum"),
		jet.FIRST_VALUE(jet.MAXf(total)).OVER(jet.PARTITION_BY(customer)).AS("first")).
		FROM(customers.LEFT_JOIN(orders, customer.EQ(id))).
		WHERE(name.IN(jet.String("Ann"), jet.String("Bob")).AND(total.GT(jet.Float(1)))).
		GROUP_BY(id, name, email, customer).ORDER_BY(id.ASC()).LIMIT(10).Query(db, &sums))
	saw.value("sums", sums)

	var inserted struct {
		ID    int64  `alias:"customers.id"`
		Email string `alias:"customers.email"`
	}
	require.NoError(t, customers.INSERT(name, email).VALUES("Cleo", "cleo@client.test").RETURNING(id, email).Query(db, &inserted))
	saw.value("inserted", inserted)
	saw.value("updated", affected(t)(customers.UPDATE(name).SET("Cloe").WHERE(id.EQ(jet.Int(inserted.ID))).Exec(db)))
	saw.value("upserted", affected(t)(customers.INSERT(name, email).VALUES("Ann", "ann@client.test").
		ON_CONFLICT(email).DO_UPDATE(jet.SET(name.SET(jet.String("Anna")))).Exec(db)))
	saw.value("deleted", affected(t)(orders.DELETE().WHERE(order.EQ(jet.Int(1))).Exec(db)))
}}
