package guardedpg_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
)

// Programs tell their users by the constraint's name, which is no secret. The
// values of the row are.
func TestConstraintNames(t *testing.T) {
	dsn := database(t, "constraints", `
		CREATE TABLE customers (
			id int PRIMARY KEY, email text CONSTRAINT one_each UNIQUE, card text NOT NULL,
			seat int4range, CONSTRAINT seats EXCLUDE USING gist (seat WITH &&), CONSTRAINT long_enough CHECK (length(card) > 3));
		CREATE TABLE friends (customer int CONSTRAINT of_customer REFERENCES customers, email text CONSTRAINT to_mail REFERENCES customers (email));
		INSERT INTO customers VALUES (1, 'ann@canary.test', '4111', '[1,5)');
		CREATE TABLE parted (id int, email text, card text NOT NULL, PRIMARY KEY (id, email)) PARTITION BY LIST (email);
		CREATE TABLE parted_ann PARTITION OF parted FOR VALUES IN ('ann@canary.test');
		CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
		INSERT INTO parted VALUES (1, 'ann@canary.test', '4111');
		CREATE TABLE beside (id int, email text, card text, CONSTRAINT of_parted FOREIGN KEY (id, email) REFERENCES parted);
		INSERT INTO beside VALUES (1, 'ann@canary.test', NULL);
		CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE unique_violation USING CONSTRAINT = old.card, TABLE = 'customers', SCHEMA = 'public', MESSAGE = old.card; END $$;
		CREATE TABLE chatty (id int, email text, card text);
		INSERT INTO chatty VALUES (1, 'ann@canary.test', 'ann@canary.test');
		CREATE TRIGGER told BEFORE UPDATE ON chatty FOR EACH ROW EXECUTE FUNCTION told();`)
	f := newFixtureOn(t, dsn, func(c *guardedpg.Config) {
		c.Policy = guard.Policy{Default: guard.Allow, Declassify: guard.Hold, Protect: []guard.Protect{{Column: "*.*.email"}, {Column: "*.*.card"}}}
	})
	f.approver.Yes(dba)
	for text, want := range map[string]pgconn.PgError{
		"INSERT INTO customers VALUES (2, 'ann@canary.test', '4222')":                 {Code: "23505", TableName: "customers", ConstraintName: "one_each"},
		"INSERT INTO customers VALUES (2, 'bob@canary.test', NULL)":                   {Code: "23502", TableName: "customers", ColumnName: "card"},
		"INSERT INTO customers VALUES (2, 'bob@canary.test', '42')":                   {Code: "23514", TableName: "customers", ConstraintName: "long_enough"},
		"INSERT INTO customers VALUES (2, 'bob@canary.test', '4222', '[2,3)')":        {Code: "23P01", TableName: "customers", ConstraintName: "seats"},
		"INSERT INTO friends VALUES (7, NULL)":                                        {Code: "23503", TableName: "friends", ConstraintName: "of_customer"},
		"INSERT INTO friends VALUES (1, 'bob@canary.test')":                           {Code: "23503", TableName: "friends", ConstraintName: "to_mail"},
		"INSERT INTO parted VALUES (1, 'ann@canary.test', '4222')":                    {Code: "23505"},
		"UPDATE parted SET card = NULL WHERE id = 1":                                  {Code: "23502"},
		"DELETE FROM parted WHERE id = 1":                                             {Code: "23503"},
		"UPDATE chatty SET id = 2 WHERE id = 1":                                       {Code: "P0001"},
		"INSERT INTO customers SELECT 3, 'ann@canary.test', '4222' FROM customers c":  {Code: "23505", TableName: "customers", ConstraintName: "one_each"},
		"INSERT INTO customers SELECT id, email, card FROM customers WHERE id = 1":    {Code: "23505", TableName: "customers", ConstraintName: "customers_pkey"},
		"UPDATE customers SET email = 'a', card = left('4111', 1) WHERE id = 1":       {Code: "23514", TableName: "customers", ConstraintName: "long_enough"},
		"UPDATE customers SET id = 1, email = 'b', card = NULL WHERE email LIKE 'a%'": {Code: "23502", TableName: "customers", ColumnName: "card"},
	} {
		_, err := f.db.Exec(text)
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, want.Code, e.Code, text)
		require.Equal(t, want.TableName, e.TableName, text)
		require.Equal(t, want.ColumnName, e.ColumnName, text)
		require.Equal(t, want.ConstraintName, e.ConstraintName, text)
		require.Contains(t, e.Message, want.ConstraintName, text)
		require.NotContains(t, fmt.Sprintf("%+v", *e), "canary", text)
		require.NotContains(t, fmt.Sprintf("%+v", *e), "4111", text)
	}
}
