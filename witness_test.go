package guardedpg

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// The server's own description of a result is a second witness. Here the
// analysis errs, in each way that the witness can see.
func TestWitness(t *testing.T) {
	s := pgtest.Start(t)
	s.Template(t, "witness", `CREATE TABLE customers (id int PRIMARY KEY, email text, nick text);
		INSERT INTO customers VALUES (1, 'ann@canary.test', 'annie')`)
	for name, lie := range map[string]func(*analysis.Statement){
		"too few outputs":  func(st *analysis.Statement) { st.Outputs = st.Outputs[:1] },
		"too many outputs": func(st *analysis.Statement) { st.Outputs = append(st.Outputs, st.Outputs...) },
		"another origin":   func(st *analysis.Statement) { st.Outputs[1].Origin.Att, st.Outputs[1].Sources[0].Att = 3, 3 },
		"no origin known": func(st *analysis.Statement) {
			st.Outputs[1].OriginKnown, st.Outputs[1].Sources, st.Outputs[1].How = false, nil, analysis.Constant
		},
	} {
		t.Run(name, func(t *testing.T) {
			lies := 1
			right := analyze
			defer func() { analyze = right }()
			analyze = func(ctx context.Context, sql string, snap *catalog.Snapshot, session analysis.Session) (*analysis.Facts, error) {
				f, err := right(ctx, sql, snap, session)
				if err == nil && lies > 0 && len(f.Statements) > 0 && len(f.Statements[0].Outputs) == 2 {
					lies--
					lie(f.Statements[0])
				}
				return f, err
			}
			trail := &audittest.Recorder{}
			db, err := OpenDB(Config{
				DSN: s.DSN(pgtest.Superuser, s.Clone(t, "witness")), Audit: trail,
				Identify: func(context.Context) (identity.Identity, error) {
					return identity.New(identity.Claims{Issuer: "i", Subject: "s"}), nil
				},
				Policy: guard.Policy{Default: guard.Allow, Protect: []guard.Protect{{Column: "public.customers.email"}}},
			})
			require.NoError(t, err)
			defer db.Close()
			// A read is planned and run again, once.
			var id int
			var email string
			require.NoError(t, db.QueryRow("SELECT id, email FROM customers").Scan(&id, &email))
			require.Equal(t, "***", email)
			require.Zero(t, lies)
			// When that does not help, nothing is released.
			lies = 100
			require.ErrorIs(t, db.QueryRow("SELECT id, email AS e FROM customers").Scan(&id, &email), ErrContradiction)
			// What has effects is not run again.
			require.ErrorIs(t, db.QueryRow("UPDATE customers SET nick = nick RETURNING id, email").Scan(&id, &email), ErrContradiction)
			require.Equal(t, 99-2, lies)
			outcomes := trail.Records(audit.KindOutcome)
			require.Equal(t, "contradiction", outcomes[len(outcomes)-1].Outcome.Error)
			lies = 0
			_, err = db.Exec("SELECT 1")
			require.NoError(t, err)
		})
	}
}

// A statement that the analysis fails at is refused and recorded; the next one
// runs.
func TestAnalysisPanics(t *testing.T) {
	s := pgtest.Start(t)
	right := analyze
	defer func() { analyze = right }()
	analyze = func(ctx context.Context, sql string, snap *catalog.Snapshot, session analysis.Session) (*analysis.Facts, error) {
		if strings.Contains(sql, "odd") {
			panic("canary")
		}
		return right(ctx, sql, snap, session)
	}
	trail := &audittest.Recorder{}
	db, err := OpenDB(Config{
		DSN: s.DSN(pgtest.Superuser, "postgres"), Audit: trail,
		Identify: func(context.Context) (identity.Identity, error) {
			return identity.New(identity.Claims{Issuer: "i", Subject: "s"}), nil
		},
		Policy: guard.Policy{Default: guard.Allow},
	})
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	var n int
	err = db.QueryRow("SELECT 1 AS odd").Scan(&n)
	require.ErrorIs(t, err, ErrUnknown)
	require.NotContains(t, err.Error(), "canary")
	require.Len(t, trail.Records(audit.KindDenied), 1)
	require.NoError(t, db.QueryRow("SELECT 1").Scan(&n))
}
