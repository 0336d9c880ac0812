package clienttest

import (
	"database/sql"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
)

var gooseFiles = fstest.MapFS{
	"1_customers.sql": file(`-- +goose Up
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL);
CREATE UNIQUE INDEX customers_email ON customers (email);
INSERT INTO customers VALUES (1, 'ann@client.test');
-- +goose Down
DROP TABLE customers;
`),
	"2_phone.sql": file(`-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE customers ADD COLUMN phone text;
UPDATE customers SET phone = '+1 555 0107' WHERE id = 1;
-- +goose Down
ALTER TABLE customers DROP COLUMN phone;
`),
}

var gooseClient = client{name: "goose", empty: true, held: map[string]int{"baseline.ddl": 5}, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	ctx := t.Context()
	p, err := goose.NewProvider(goose.DialectPostgres, db, gooseFiles)
	require.NoError(t, err)
	up, err := p.Up(ctx)
	require.NoError(t, err)
	for _, r := range up {
		saw.value("up", []any{r.Source.Version, r.Error})
	}
	var email, phone string
	require.NoError(t, db.QueryRow("SELECT email, phone FROM customers").Scan(&email, &phone))
	saw.value("row", []string{email, phone})
	down, err := p.Down(ctx)
	require.NoError(t, err)
	saw.value("down", down.Source.Version)
	status, err := p.Status(ctx)
	require.NoError(t, err)
	for _, s := range status {
		saw.value("status", []any{s.Source.Version, s.State})
	}
	version, err := p.GetDBVersion(ctx)
	require.NoError(t, err)
	saw.value("version", version)
}}
