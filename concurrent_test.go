package guardedpg_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/identity"
)

// Whoever shares a pool with others sees what his identity may see, and leaves
// records in his name.
func TestIdentitiesShareAPool(t *testing.T) {
	f := newFixture(t, func(c *guardedpg.Config) {
		c.Identify = func(ctx context.Context) (identity.Identity, error) { return identity.FromContext(ctx), nil }
		c.Policy.Protect[0].Unless = "'pii' in identity.groups"
	})
	f.db.SetMaxOpenConns(4)
	var group sync.WaitGroup
	errs := make(chan error, 64)
	for n := range 16 {
		who := identity.New(identity.Claims{Issuer: "i", Subject: fmt.Sprintf("agent-%d", n)})
		want := "a***@canary.test"
		if n%2 == 0 {
			who = identity.New(identity.Claims{Issuer: "i", Subject: fmt.Sprintf("clerk-%d", n), Groups: []string{"pii"}})
			want = "ann@canary.test"
		}
		group.Go(func() {
			ctx := identity.NewContext(context.Background(), who)
			for range 50 {
				var email, card, tag string
				err := f.db.QueryRowContext(ctx, "SELECT email, card, current_setting('guardedpg.subject') FROM customers WHERE id = $1", 1).Scan(&email, &card, &tag)
				if err != nil || email != want || card != "***" || tag != who.Subject() {
					errs <- fmt.Errorf("%s saw %s %s %s %w", who.Subject(), email, card, tag, err)
					return
				}
				if rand.IntN(4) == 0 {
					tx, err := f.db.BeginTx(ctx, nil)
					if err != nil {
						errs <- err
						return
					}
					tx.ExecContext(ctx, "SET LOCAL search_path = hr")
					tx.Rollback()
				}
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	names := map[string]string{}
	for _, r := range f.trail.Records(audit.KindIntent, audit.KindOutcome) {
		if other, ok := names[r.Statement]; ok {
			require.Equal(t, other, r.Who.Subject)
		}
		names[r.Statement] = r.Who.Subject
		for _, m := range r.Masks {
			if m.Column == "email" {
				require.Equal(t, r.Who.Subject[:5] == "clerk", m.Clear)
			}
		}
	}
}

// A session that one principal used is clean when another gets it.
func TestHandOver(t *testing.T) {
	f := newFixture(t, func(c *guardedpg.Config) {
		c.Identify = func(ctx context.Context) (identity.Identity, error) { return identity.FromContext(ctx), nil }
		c.Policy = allowAll()
	})
	f.db.SetMaxOpenConns(1)
	one := identity.NewContext(t.Context(), agent)
	two := identity.NewContext(t.Context(), dba)
	for _, text := range []string{"CREATE TEMP TABLE orders (mine text)", "SET search_path = hr", "PREPARE p AS SELECT 1",
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT set_config('my.secret', 'x', false)", "SELECT pg_advisory_lock(5)"} {
		_, err := f.db.ExecContext(one, text)
		require.NoError(t, err)
	}
	var path, secret string
	var orders, cursors, prepared, locks int
	require.NoError(t, f.db.QueryRowContext(two, `SELECT (SELECT count(id) FROM orders), current_setting('search_path'), current_setting('my.secret', true),
		(SELECT count(*) FROM pg_cursors WHERE name = 'c'), (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'),
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')`).Scan(&orders, &path, &secret, &cursors, &prepared, &locks))
	require.Equal(t, 3, orders)
	require.Equal(t, `"$user", public`, path)
	require.Empty(t, secret)
	require.Zero(t, cursors+prepared+locks)
	// One's own session stays as it is.
	_, err := f.db.ExecContext(two, "SET search_path = hr, public")
	require.NoError(t, err)
	require.NoError(t, f.db.QueryRowContext(two, "SELECT current_setting('search_path')").Scan(&path))
	require.Equal(t, "hr, public", path)
}

// Where hooks of the program make settings, those that one principal changed do not
// reach another either.
func TestHandOverWithHooks(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), shop(t)+"&pool_max_conns=1")
	require.NoError(t, err)
	defer pool.Close()
	hook := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET TIME ZONE 'Europe/Oslo'")
		return err
	})
	for name, with := range map[string]func(*guardedpg.Config){
		"options": func(c *guardedpg.Config) { c.DSN, c.StdlibOptions = shop(t), []stdlib.OptionOpenDB{hook} },
		"pool":    func(c *guardedpg.Config) { c.Pool = pool },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := guardedpg.Config{Policy: allowAll(), Identify: func(ctx context.Context) (identity.Identity, error) { return identity.FromContext(ctx), nil }}
			with(&cfg)
			db := open(t, cfg)
			db.SetMaxOpenConns(1)
			one := identity.NewContext(t.Context(), agent)
			two := identity.NewContext(t.Context(), dba)
			const look = "SELECT current_setting('timezone'), current_user::text"
			var before, after, user, login string
			require.NoError(t, db.QueryRowContext(two, look).Scan(&before, &login))
			for _, text := range []string{"SET TIME ZONE 'Asia/Tokyo'", "SET ROLE pg_monitor"} {
				_, err := db.ExecContext(one, text)
				require.NoError(t, err)
			}
			require.NoError(t, db.QueryRowContext(one, look).Scan(&after, &user))
			require.Equal(t, []string{"Asia/Tokyo", "pg_monitor"}, []string{after, user})
			require.NoError(t, db.QueryRowContext(two, look).Scan(&after, &user))
			require.Equal(t, []string{before, login}, []string{after, user})
		})
	}
}
