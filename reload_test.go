package guardedpg_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
)

// results are what the trail says of policies, in order.
func results(trail *audittest.Recorder) (all []string) {
	for _, r := range trail.Records(audit.KindPolicy) {
		all = append(all, r.Detail["from"]+": "+r.Detail["result"])
	}
	return all
}

const (
	inForce = "in force"
	staysOn = "a new policy was wrong; this one stays in force"
)

// A new policy counts on connections that are open, for texts that are known,
// and inside of transactions.
func TestReload(t *testing.T) {
	trail := &audittest.Recorder{}
	c, err := guardedpg.NewConnector(guardedpg.Config{DSN: shop(t), Identify: as(agent), Policy: shopPolicy(),
		Approver: &approvetest.Fake{}, Audit: trail})
	require.NoError(t, err)
	db := sql.OpenDB(c)
	defer db.Close()
	db.SetMaxOpenConns(1)
	const nicks = "SELECT nick FROM customers WHERE id = 1"
	require.Contains(t, spill(db, nicks), "annie")
	tx, err := db.Begin()
	require.NoError(t, err)
	stmt, err := tx.Prepare(nicks)
	require.NoError(t, err)
	var nick string
	require.NoError(t, stmt.QueryRow().Scan(&nick))
	require.Equal(t, "annie", nick)

	stricter := shopPolicy()
	stricter.Protect = append(stricter.Protect, guard.Protect{Column: "public.customers.nick"})
	require.NoError(t, c.Reload(stricter))
	require.NoError(t, stmt.QueryRow().Scan(&nick))
	require.NotEqual(t, "annie", nick)
	require.NoError(t, tx.Commit())
	require.NotContains(t, spill(db, nicks), "annie")

	broken := shopPolicy()
	broken.Rules = []guard.Rule{{Name: "r", When: "statement.is_dll", Then: guard.Allow}}
	err = c.Reload(broken)
	require.ErrorIs(t, err, guardedpg.ErrConfig)
	require.ErrorContains(t, err, `did you mean "is_ddl"`)
	unfit := shopPolicy()
	unfit.Strict, unfit.Critical = true, []string{"public.nosuch"}
	require.ErrorIs(t, c.Reload(unfit), guardedpg.ErrConfig)
	require.NotContains(t, spill(db, nicks), "annie", "the old policy stays")

	trail.FailAppend = audittest.OfKind(audit.KindPolicy, os.ErrPermission)
	require.ErrorIs(t, c.Reload(shopPolicy()), guardedpg.ErrAudit)
	require.NotContains(t, spill(db, nicks), "annie", "what is not recorded does not count")
	trail.FailAppend = nil

	require.NoError(t, c.Reload(guard.Policy{}))
	_, err = db.Exec(nicks)
	require.ErrorIs(t, err, guardedpg.ErrDenied)
	_, err = db.Begin()
	require.ErrorIs(t, err, guardedpg.ErrDenied)
	require.NoError(t, c.Reload(shopPolicy()))
	require.Contains(t, spill(db, nicks), "annie")

	program := "the program: "
	require.Equal(t, []string{"the start: " + inForce, program + inForce, program + staysOn, program + staysOn, program + inForce, program + inForce},
		results(trail))
	require.Contains(t, trail.Records(audit.KindPolicy)[2].Detail["error"], "is_dll")
	last := trail.Records(audit.KindIntent)
	require.Equal(t, trail.Records(audit.KindPolicy)[5].Detail["policy"], last[len(last)-1].Verdict.Policy)
}

func TestReloadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	write := func(policy string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte("version: 1\nidentity: {development: {subject: dev}}\ncatalog: {refresh: 0s}\n"+
			"audit: {trail: {dir: audit}, payload: none}\n"+policy), 0o600))
	}
	const protect = "include: [baseline]\nprotect: [{column: public.customers.nick}]\n"
	dsn := shop(t)
	start := func(change func(*guardedpg.Config)) (*sql.DB, *audittest.Recorder) {
		t.Helper()
		cfg, err := guardedpg.LoadConfig(path)
		require.NoError(t, err)
		trail := &audittest.Recorder{}
		cfg.DSN, cfg.Audit = dsn, trail
		change(&cfg)
		db, err := guardedpg.OpenDB(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db, trail
	}
	const nicks = "SELECT nick FROM customers WHERE id = 1"
	write(protect)
	db, trail := start(func(*guardedpg.Config) {})
	own, _ := start(func(c *guardedpg.Config) { c.Policy.Critical = []string{"public.orders"} })
	require.NotContains(t, spill(db, nicks), "annie")

	write("include: [baseline]\n")
	require.Contains(t, spill(db, nicks), "annie")
	require.NotContains(t, spill(own, nicks), "annie", "what the program added to the file would be lost")

	write(protect)
	require.NotContains(t, spill(db, nicks), "annie")
	write("include: [baseline]\nrules: [{name: x, when: statement.is_dll}]\n")
	require.NotContains(t, spill(db, nicks), "annie")
	require.NotContains(t, spill(db, nicks), "annie")
	require.NoError(t, os.Remove(path))
	require.NotContains(t, spill(db, nicks), "annie")
	require.NotContains(t, spill(db, nicks), "annie")
	write("include: [baseline]\n")
	require.Contains(t, spill(db, nicks), "annie")

	file := "the file " + path + ": "
	require.Equal(t, []string{"the start: " + inForce, file + inForce, file + inForce, file + staysOn, file + staysOn, file + inForce}, results(trail))
	require.Contains(t, trail.Records(audit.KindPolicy)[3].Detail["error"], "guard.yaml:6")
	_, err := db.ExecContext(identity.NewContext(context.Background(), agent), nicks)
	require.NoError(t, err)
}
