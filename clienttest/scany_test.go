package clienttest

import (
	"database/sql"
	"testing"
	"time"

	"github.com/georgysavva/scany/v2/sqlscan"
	"github.com/stretchr/testify/require"
)

var scanyClient = client{name: "scany", run: func(t *testing.T, db *sql.DB, saw *transcript) {
	type order struct {
		ID       int64
		Total    string
		PlacedAt time.Time
	}
	type customer struct {
		ID    int64
		Name  string
		Email string
		Phone *string
		Order order `db:"order"`
	}
	const joined = `SELECT c.id, c.name, c.email, c.phone, o.id AS "order.id", o.total AS "order.total", o.placed_at AS "order.placed_at"
		FROM customers c JOIN orders o ON o.customer_id = c.id`
	var all []customer
	require.NoError(t, sqlscan.Select(t.Context(), db, &all, joined+" ORDER BY o.id"))
	for i := range all {
		all[i].Order.PlacedAt = all[i].Order.PlacedAt.UTC()
	}
	saw.value("joined", all)

	var emails []string
	require.NoError(t, sqlscan.Select(t.Context(), db, &emails, "SELECT email FROM customers WHERE born IS NULL"))
	saw.value("emails", emails)

	var one map[string]any
	require.NoError(t, sqlscan.Get(t.Context(), db, &one, "SELECT name, email, phone FROM customers WHERE id = $1", 2))
	saw.value("map", one)

	var c customer
	err := sqlscan.Get(t.Context(), db, &c, joined+" WHERE c.id = $1", 1000)
	saw.value("not found", sqlscan.NotFound(err))

	rows, err := db.QueryContext(t.Context(), "UPDATE customers SET phone = $1 WHERE id = $2 RETURNING *", "+1 555 0104", 1)
	require.NoError(t, err)
	defer rows.Close()
	changed := struct {
		customer
		Born     time.Time
		Tags     string
		Settings []byte
	}{}
	require.NoError(t, sqlscan.ScanOne(&changed, rows))
	saw.value("changed", changed)
}}
