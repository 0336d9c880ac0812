package clienttest

import (
	"database/sql"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
)

var sqlxClient = client{name: "sqlx", run: func(t *testing.T, plain *sql.DB, saw *transcript) {
	type customer struct {
		ID    int64          `db:"id"`
		Name  string         `db:"name"`
		Email string         `db:"email"`
		Phone sql.NullString `db:"phone"`
		Born  *time.Time     `db:"born"`
	}
	const columns = "id, name, email, phone, born"
	db := sqlx.NewDb(plain, "pgx")

	var all []customer
	require.NoError(t, db.Select(&all, "SELECT "+columns+" FROM customers ORDER BY id"))
	saw.value("all", all)

	var one customer
	require.NoError(t, db.Get(&one, "SELECT "+columns+" FROM customers WHERE name = $1", "Bob"))
	saw.value("one", one)
	saw.fails("none", db.Get(&one, "SELECT "+columns+" FROM customers WHERE id = $1", 1000))

	_, err := db.NamedExec("INSERT INTO customers (name, email, phone, born) VALUES (:name, :email, :phone, :born)", []customer{
		{Name: "Cleo", Email: "cleo@client.test", Phone: sql.NullString{String: "+1 555 0101", Valid: true}},
		{Name: "Dan", Email: "dan@client.test"},
	})
	require.NoError(t, err)
	_, err = db.NamedExec("INSERT INTO customers (name, email) VALUES (:name, :email)", map[string]any{"name": "Ann", "email": "ann@client.test"})
	saw.fails("twice", err)

	query, args, err := sqlx.In("SELECT "+columns+" FROM customers WHERE id IN (?) ORDER BY id", []int64{1, 3})
	require.NoError(t, err)
	var some []customer
	require.NoError(t, db.Select(&some, db.Rebind(query), args...))
	saw.value("in", some)

	named, err := db.PrepareNamed("SELECT " + columns + " FROM customers WHERE name = :name")
	require.NoError(t, err)
	require.NoError(t, named.Get(&one, map[string]any{"name": "Ann"}))
	saw.value("named", one)
	require.NoError(t, named.Close())

	rows, err := db.Queryx("SELECT c.*, o.total FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.id")
	require.NoError(t, err)
	for rows.Next() {
		m := map[string]any{}
		require.NoError(t, rows.MapScan(m))
		saw.value("map", m)
	}
	require.NoError(t, rows.Err())

	tx := db.MustBegin()
	tx.MustExec("UPDATE orders SET total = total + 1 WHERE id = $1", 1)
	require.NoError(t, tx.Rollback())
	tx = db.MustBegin()
	saw.value("updated", affected(t)(tx.Exec("UPDATE customers SET phone = $1 WHERE id = $2", "+1 555 0102", 2)))
	saw.value("deleted", affected(t)(tx.Exec("DELETE FROM orders WHERE id = $1", 3)))
	require.NoError(t, tx.Commit())
}}

// affected returns how many rows a statement changed.
func affected(t *testing.T) func(sql.Result, error) int64 {
	return func(res sql.Result, err error) int64 {
		t.Helper()
		require.NoError(t, err)
		n, err := res.RowsAffected()
		require.NoError(t, err)
		return n
	}
}
