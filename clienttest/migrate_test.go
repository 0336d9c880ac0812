package clienttest

import (
	"database/sql"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/stretchr/testify/require"
)

// Each file is one text to the driver.
var migrations = fstest.MapFS{
	"1_customers.up.sql": file(`CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL);
CREATE UNIQUE INDEX customers_email ON customers (email);
INSERT INTO customers VALUES (1, 'ann@client.test');`),
	"1_customers.down.sql": file("DROP TABLE customers"),
	"2_phone.up.sql":       file("ALTER TABLE customers ADD COLUMN phone text;\nUPDATE customers SET phone = '+1 555 0107';"),
	"2_phone.down.sql":     file("ALTER TABLE customers DROP COLUMN phone"),
	"3_wrong.up.sql":       file("ALTER TABLE customers\n  ADD COLUMN\n  nothing nowhere"),
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

var migrateClient = client{name: "golang-migrate", empty: true, held: map[string]int{"baseline.ddl": 7, "baseline.lock": 14, "baseline.truncate": 10}, run: func(t *testing.T, db *sql.DB, saw *transcript) {
	source, err := iofs.New(migrations, ".")
	require.NoError(t, err)
	target, err := pgx.WithInstance(db, &pgx.Config{})
	require.NoError(t, err)
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", target)
	require.NoError(t, err)
	version := func() {
		version, dirty, err := m.Version()
		require.NoError(t, err)
		saw.value("version", []any{version, dirty})
	}

	require.NoError(t, m.Steps(2))
	version()
	var email, phone string
	require.NoError(t, db.QueryRow("SELECT email, phone FROM customers").Scan(&email, &phone))
	saw.value("row", []string{email, phone})
	err = m.Steps(1)
	require.Error(t, err)
	saw.value("wrong", err.Error())
	var failed database.Error
	require.True(t, errors.As(err, &failed))
	saw.value("line", failed.Line) // it is known where the driver returns a *pgconn.PgError itself
	version()
	require.NoError(t, m.Force(2))
	require.NoError(t, m.Steps(-1))
	version()
	require.ErrorIs(t, m.Migrate(1), migrate.ErrNoChange)
	require.NoError(t, m.Down())
	require.NoError(t, target.Drop())
	// Close would close db, too; its connection goes with db.
}}
