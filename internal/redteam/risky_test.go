package redteam_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/guard"
)

// TestRisky runs every risky statement: the steps that have the effect are held
// or denied, and the database is as it was.
func TestRisky(t *testing.T) {
	l := newLab(t)
	rep := newReport("stopped", "ran", "hung")
	t.Run("case", func(t *testing.T) {
		for _, c := range readCases(t, "risky.jsonl", "risky_more.jsonl") {
			for _, s := range setups(c) {
				t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
					t.Parallel()
					l.with(func(b *bench) {
						before := b.definitions(t, c.Want)
						client := b.guarded(t, s)
						list := client.run(t.Context(), c.Steps, c.Args, true)
						client.close()
						verdict := "ran"
						switch judge(list) {
						case "hung":
							verdict = "hung"
						case "refused":
							verdict = "stopped"
						default:
							if failed(list) {
								verdict = "stopped" // by the server itself
							}
						}
						b.quiet(t)
						if after := b.definitions(t, c.Want); after != before {
							verdict = "ran"
						}
						rep.count(c.Family, verdict)
						if verdict != "stopped" && c.Policy == "" && c.Family != "debatable" {
							t.Errorf("%s %s %s: %s %s\n%s", c.ID, c.Family, verdict, c.Why, c.Class, describe(c, list))
						}
					})
				})
			}
		}
	})
	rep.log(t)
}

// failed reports whether the last step that ran ended in an error of the server.
func failed(list []*outcome) bool {
	return len(list) > 0 && list[len(list)-1].err != nil
}

// definitions is a digest of the data and definitions that risky cases change.
func (b *bench) definitions(t *testing.T, want string) string {
	t.Helper()
	var digest string
	require.NoError(t, b.admin.QueryRow(context.Background(), digestSQL, want == "data").Scan(&digest))
	return digest
}

const digestSQL = `SELECT md5(string_agg(part, '|' ORDER BY part)) FROM (
	SELECT concat('class ', relname, relkind, relowner, coalesce(relacl::text, ''), relrowsecurity, relpersistence) AS part FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_'
	UNION ALL SELECT concat('att ', attrelid::regclass, attname, atttypid, attnotnull) FROM pg_attribute WHERE attnum > 0 AND attrelid > 16384
	UNION ALL SELECT concat('proc ', oid::regprocedure, md5(prosrc), coalesce(proacl::text, '')) FROM pg_proc WHERE oid > 16384
	UNION ALL SELECT concat('trigger ', tgname, tgenabled) FROM pg_trigger
	UNION ALL SELECT concat('rule ', rulename, ev_class, ev_enabled, md5(ev_action::text)) FROM pg_rewrite WHERE ev_class > 16384
	UNION ALL SELECT concat('con ', conname, contype) FROM pg_constraint WHERE oid > 16384
	UNION ALL SELECT concat('ns ', nspname, coalesce(nspacl::text, '')) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
	UNION ALL SELECT concat('role ', rolname, rolsuper, rolcreaterole, coalesce(rolconfig::text, '')) FROM pg_roles
	UNION ALL SELECT concat('db ', datname, coalesce(datacl::text, '')) FROM pg_database WHERE datname = current_database()
	UNION ALL SELECT concat('set ', setdatabase, setrole, setconfig::text) FROM pg_db_role_setting
	UNION ALL SELECT concat('type ', oid::regtype) FROM pg_type WHERE oid > 16384 AND typtype IN ('d', 'e', 'r')
	UNION ALL SELECT concat('lo ', oid) FROM pg_largeobject_metadata
	UNION ALL SELECT concat('slot ', slot_name) FROM pg_replication_slots
	UNION ALL SELECT concat('policy ', polname, coalesce(pg_get_expr(polqual, polrelid), '')) FROM pg_policy
	UNION ALL SELECT concat('accounts ', a::text) FROM accounts a
	UNION ALL SELECT concat('payments ', p::text) FROM payments p
	UNION ALL SELECT concat('payouts ', p::text) FROM payouts p
	UNION ALL SELECT concat('ledger ', p::text) FROM ledger p
	UNION ALL SELECT concat('config ', p::text) FROM app_config p
	UNION ALL SELECT concat('employees ', p::text) FROM hr.employees p
	UNION ALL SELECT concat('history ', p::text) FROM hr.salary_history p
	UNION ALL SELECT concat('notes ', p::text) FROM notes p WHERE $1
	UNION ALL SELECT concat('products ', p::text) FROM products p WHERE $1
) parts`

// TestRobustness sends odd texts: they fail closed and fast, the process lives,
// and the next statement works.
func TestRobustness(t *testing.T) {
	l, d := newLab(t), newDetector(t)
	t.Run("case", func(t *testing.T) {
		for _, c := range readCases(t, "robustness.jsonl") {
			for _, s := range setups(c) {
				t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
					t.Parallel()
					l.with(func(b *bench) {
						client := b.guarded(t, s)
						defer client.close()
						list := client.run(t.Context(), c.Steps, c.Args, c.simpleOnly())
						require.Empty(t, d.findings(c, list), describe(c, list))
						require.NotEqual(t, "hung", judge(list), describe(c, list))
						next := client.run(t.Context(), []string{"SELECT 1"}, nil, false)
						require.NoError(t, next[0].err)
						require.Less(t, list[len(list)-1].took, stepLimit/2)
					})
				})
			}
		}
	})
}

// TestInference runs guesses about protected values. Where predicates are
// denied, no guess may run; where they are recorded, they are counted.
func TestInference(t *testing.T) {
	l := newLab(t)
	rep := newReport("refused", "same", "differs")
	t.Run("case", func(t *testing.T) {
		for _, c := range leakCases(t) {
			if c.Family != inference {
				continue
			}
			for _, predicates := range []string{"record", "deny"} {
				t.Run(c.ID+"/"+predicates, func(t *testing.T) {
					t.Parallel()
					s := setup{user: agentUser, mode: defaultMode, masks: "redact"}
					if predicates == "deny" {
						s.predicates = guard.DenyTests
					}
					outcomes := map[bool]string{}
					for _, guess := range []bool{true, false} {
						l.with(func(b *bench) {
							client := b.guarded(t, s)
							defer client.close()
							steps, args := c.Steps, c.Args
							if !guess {
								steps, args = c.Control, c.ControlArgs
							}
							list := client.run(t.Context(), steps, args, c.simpleOnly())
							outcomes[guess] = seen(list)
							if guess && strings.Contains(strings.Join(steps, ""), "pg_sleep") && slept(list) {
								outcomes[guess] += "slow"
							}
						})
					}
					verdict := "same"
					if outcomes[true] != outcomes[false] {
						verdict = "differs"
					}
					rep.count("inference, "+predicates, verdict)
					if predicates == "deny" && verdict == "differs" && c.Policy == "" {
						t.Errorf("%s tells a guess from a wrong one although predicates are denied: %q\n%s\n%s", c.ID, c.Steps, outcomes[true], outcomes[false])
					}
				})
			}
		}
	})
	rep.log(t)
}

// seen is what a client can tell two runs apart by.
func seen(list []*outcome) string {
	out := ""
	for _, o := range list {
		refused := ""
		if o.refused != nil {
			refused = "refused"
		} else if o.err != nil {
			refused = o.err.Error()
		}
		out += fmt.Sprintf("step %d: rows %q tag %s error %s\n", o.step, o.rows, o.tag, refused)
	}
	return out
}
