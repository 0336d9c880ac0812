package clienttest

import (
	"context"
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// The code of queries is what sqlc generates for database/sql with
// emit_prepared_queries: constants, a DBTX, and methods that scan.

type dbtx interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

const createCustomer = `-- name: CreateCustomer :one
INSERT INTO customers (name, email, tags, settings) VALUES ($1, $2, $3, $4)
RETURNING id, name, email, phone, tags, settings
`

const listCustomers = `-- name: ListCustomers :many
SELECT id, name, email, phone, tags, settings FROM customers
WHERE $1::text IS NULL OR name = $1
ORDER BY id
`

const pay = `-- name: Pay :execrows
UPDATE orders SET paid = true WHERE customer_id = $1 AND NOT paid
`

type sqlcCustomer struct {
	ID       int64
	Name     string
	Email    string
	Phone    sql.NullString
	Tags     []string
	Settings json.RawMessage
}

type queries struct {
	db                                 dbtx
	tx                                 *sql.Tx
	createCustomer, listCustomers, pay *sql.Stmt
}

func prepareQueries(ctx context.Context, db dbtx) (*queries, error) {
	q := &queries{db: db}
	for text, stmt := range map[string]**sql.Stmt{createCustomer: &q.createCustomer, listCustomers: &q.listCustomers, pay: &q.pay} {
		var err error
		if *stmt, err = db.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *queries) close() error {
	for _, stmt := range []*sql.Stmt{q.createCustomer, q.listCustomers, q.pay} {
		if err := stmt.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (q *queries) withTx(tx *sql.Tx) *queries {
	return &queries{db: tx, tx: tx, createCustomer: q.createCustomer, listCustomers: q.listCustomers, pay: q.pay}
}

func (q *queries) stmt(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	if q.tx != nil {
		return q.tx.StmtContext(ctx, stmt)
	}
	return stmt
}

func (q *queries) CreateCustomer(ctx context.Context, name, email string, tags []string, settings json.RawMessage) (sqlcCustomer, error) {
	var i sqlcCustomer
	err := q.stmt(ctx, q.createCustomer).QueryRowContext(ctx, name, email, pq.Array(tags), settings).
		Scan(&i.ID, &i.Name, &i.Email, &i.Phone, pq.Array(&i.Tags), &i.Settings)
	return i, err
}

func (q *queries) ListCustomers(ctx context.Context, name sql.NullString) ([]sqlcCustomer, error) {
	rows, err := q.stmt(ctx, q.listCustomers).QueryContext(ctx, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []sqlcCustomer
	for rows.Next() {
		var i sqlcCustomer
		if err := rows.Scan(&i.ID, &i.Name, &i.Email, &i.Phone, pq.Array(&i.Tags), &i.Settings); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, rows.Err()
}

func (q *queries) Pay(ctx context.Context, customer int64) (int64, error) {
	res, err := q.stmt(ctx, q.pay).ExecContext(ctx, customer)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

var sqlcClient = client{name: "sqlc", run: func(t *testing.T, db *sql.DB, saw *transcript) {
	ctx := t.Context()
	q, err := prepareQueries(ctx, db)
	require.NoError(t, err)
	defer func() { require.NoError(t, q.close()) }()

	made, err := q.CreateCustomer(ctx, "Cleo", "cleo@client.test", []string{"new", `quo"ted`}, json.RawMessage(`{"lang": "fr"}`))
	require.NoError(t, err)
	saw.value("made", made)
	_, err = q.CreateCustomer(ctx, "Cleo", "cleo@client.test", nil, json.RawMessage(`{}`))
	saw.fails("twice", err)

	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	require.NoError(t, err)
	n, err := q.withTx(tx).Pay(ctx, 1)
	require.NoError(t, err)
	saw.value("paid", n)
	all, err := q.withTx(tx).ListCustomers(ctx, sql.NullString{})
	require.NoError(t, err)
	saw.value("all", all)
	require.NoError(t, tx.Commit())

	some, err := q.ListCustomers(ctx, sql.NullString{String: "Ann", Valid: true})
	require.NoError(t, err)
	saw.value("some", some)
}}
