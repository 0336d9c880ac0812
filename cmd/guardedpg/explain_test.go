package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

const explainSchema = `
	CREATE TABLE customers (id int PRIMARY KEY, email text);
	CREATE TABLE invoices (id int, customer_id int REFERENCES customers ON DELETE CASCADE);
	CREATE VIEW contacts AS SELECT id, email AS reach FROM customers`

func explained(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"explain"}, args...), env{strings.NewReader(stdin), &out, &errs})
	return code, out.String(), errs.String()
}

func TestExplain(t *testing.T) {
	dsn := pgtest.Start(t).Database(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), explainSchema)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	code, out, errs := explained(t, "", "-dsn", dsn, "-sql", "SELECT upper(reach) AS r, 1 AS one FROM contacts WHERE id > 3")
	require.Zero(t, code, errs)
	require.Equal(t, `SELECT  (read)
  returns    1 r    computed from public.customers.email
             2 one  from no column
  decides   public.customers.id
  reads     public.contacts
            public.customers (id, email)  via view public.contacts
`, out)

	code, out, _ = explained(t, "DELETE FROM customers WHERE id = 1", "-dsn", dsn)
	require.Zero(t, code)
	require.Contains(t, out, "DELETE public.customers\n")
	require.Contains(t, out, "DELETE public.invoices  via foreign key invoices_customer_id_fkey cascades from public.customers")
	require.Contains(t, out, "DELETE public.customers is limited to one row")

	code, out, _ = explained(t, "", "-dsn", dsn, "-json", "-sql", "SELECT nothing FROM customers")
	require.Equal(t, exitFound, code)
	var r analysis.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, 8, r.Statements[0].Unknown[0].Column)
	require.Equal(t, "unknown", r.Statements[0].Outputs[0].How)

	code, _, errs = explained(t, "", "-dsn", dsn, "-sql", "SELEC 'a secret'")
	require.Equal(t, exitUsage, code)
	require.NotContains(t, errs, "secret")
}
