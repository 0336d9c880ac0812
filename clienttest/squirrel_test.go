package clienttest

import (
	"database/sql"
	"testing"

	sq "github.com/Masterminds/squirrel"
	"github.com/stretchr/testify/require"
)

var squirrelClient = client{name: "squirrel", run: func(t *testing.T, db *sql.DB, saw *transcript) {
	prepared := sq.NewStmtCache(db)
	defer func() { require.NoError(t, prepared.Clear()) }()
	build := sq.StatementBuilder.PlaceholderFormat(sq.Dollar).RunWith(prepared)

	var id int64
	var email string
	require.NoError(t, build.Insert("customers").Columns("name", "email").Values("Cleo", "cleo@client.test").
		Suffix("RETURNING id, email").QueryRow().Scan(&id, &email))
	saw.value("inserted", []any{id, email})

	// The same text twice: the second time it is prepared already.
	for _, name := range []string{"Ann", "Bob"} {
		var phone sql.NullString
		var orders int
		require.NoError(t, build.Select("c.email", "c.phone", "count(o.id)").From("customers c").
			LeftJoin("orders o ON o.customer_id = c.id").Where(sq.Eq{"c.name": name}).GroupBy("c.id").
			QueryRow().Scan(&email, &phone, &orders))
		saw.value(name, []any{email, phone, orders})
	}

	rows, err := build.Select("name", "email").FromSelect(
		build.Select("*").From("customers").Where(sq.Or{sq.Eq{"id": []int64{1, 3}}, sq.Expr("name LIKE ?", "B%")}), "c").
		OrderBy("name DESC").Limit(2).Query()
	require.NoError(t, err)
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name, &email))
		saw.value("row", []any{name, email})
	}
	require.NoError(t, rows.Err())

	saw.value("updated", affected(t)(build.Update("customers").Set("phone", "+1 555 0103").Set("tags", sq.Expr("tags || ?::text", "vip")).Where(sq.Eq{"id": id}).Exec()))
	saw.value("case", affected(t)(build.Update("orders").Set("paid", sq.Case().When("total > 25", "true").Else("false")).Where(sq.Lt{"id": 3}).Exec()))
	saw.value("deleted", affected(t)(build.Delete("orders").Where(sq.Eq{"id": 1}).Exec()))
	_, err = build.Delete("customers").Where(sq.Eq{"id": 2}).Exec()
	saw.fails("referenced", err)
}}
