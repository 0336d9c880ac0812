package redteam_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/guard"
)

// TestRisky runs every risky statement: the steps that have the effect are held
// or denied, and the database is as it was.
func TestRisky(t *testing.T) {
	l := newLab(t)
	rep := newReport("stopped", "ran", "hung")
	t.Run("case", func(t *testing.T) {
		for i, c := range riskyCases(t) {
			for _, s := range chosen(i, c) {
				t.Run(fmt.Sprintf("%s/%v", c.ID, s), func(t *testing.T) {
					t.Parallel()
					l.with(func(b *bench) {
						list, changed := b.attempt(t, b.guarded(t, s), c, func() {})
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
						if len(changed) > 0 {
							verdict = "ran"
						}
						rep.count(c.Family, verdict)
						if verdict != "stopped" && c.Policy == "" && c.Family != "debatable" {
							t.Errorf("%s %s %s: %s %s %q\n%s", c.ID, c.Family, verdict, c.Why, c.Class, changed, describe(c, list))
						}
					})
				})
			}
		}
	})
	rep.log(t)
}

func riskyCases(t *testing.T) []*attackCase { return readCases(t, "risky.jsonl", "risky_more.jsonl") }

// failed reports whether the last step that ran ended in an error of the server.
func failed(list []*outcome) bool {
	return len(list) > 0 && list[len(list)-1].err != nil
}

// attempt runs a case, closes the client, and returns what was changed besides
// by the steps that somebody else does. It calls watch before and after each.
func (b *bench) attempt(t *testing.T, client *client, c *attackCase, watch func()) (list []*outcome, changed []string) {
	t.Helper()
	defer client.close()
	before := b.definitions(t, c)
	watch()
	for i, step := range c.Steps {
		others := strings.HasPrefix(step, adminStep)
		if others && i > 0 {
			changed = append(changed, before.changed(b.definitions(t, c))...)
		}
		o := client.run(t.Context(), c.Steps[i:i+1], c.Args[min(i, len(c.Args)):], true)[0]
		o.step = i
		if list = append(list, o); others {
			require.NoError(t, o.err, c.ID)
			before = b.definitions(t, c)
		}
		watch()
	}
	client.close()
	b.quiet(t)
	return list, append(changed, before.changed(b.definitions(t, c))...)
}

// A digest says, by what it is of, how something that risky cases change looks.
type digest map[string]string

func (d digest) changed(after digest) []string {
	var list []string
	for part, hash := range after {
		if d[part] != hash {
			list = append(list, part)
		}
	}
	for part := range d {
		if _, ok := after[part]; !ok {
			list = append(list, part)
		}
	}
	slices.Sort(list)
	return list
}

// definitions is a digest of the data and definitions that risky cases change.
func (b *bench) definitions(t *testing.T, c *attackCase) digest {
	t.Helper()
	var beside []uint32
	for _, conn := range b.beside {
		beside = append(beside, conn.PgConn().PID())
	}
	rows, err := b.admin.Query(context.Background(), digestSQL(), c.Want == "data", beside)
	require.NoError(t, err)
	d := digest{}
	var part, hash string
	_, err = pgx.ForEachRow(rows, []any{&part, &hash}, func() error {
		d[part] = hash
		return nil
	})
	require.NoError(t, err)
	return d
}

// catalogs are the system catalogs that definitions stand in, with what of them
// is looked at: the rows that came with the server are many, and stay.
var catalogs = map[string]string{
	"pg_class": "relnamespace::regnamespace::text !~ '^pg_(toast_)?temp'", "pg_attribute": "attrelid > 16383",
	"pg_type": "oid > 16383 AND typnamespace::regnamespace::text !~ '^pg_(toast_)?temp'", "pg_rewrite": "oid > 16383", "pg_description": "objoid > 16383",
	"pg_namespace": "nspname !~ '^pg_(toast_)?temp'", "pg_proc": "pronamespace::regnamespace::text !~ '^pg_temp'",
	"pg_database": "datname = current_database()", "pg_attrdef": "adrelid > 16383", "pg_depend": "refclassid = 'pg_extension'::regclass",
	"pg_constraint": "true", "pg_trigger": "true", "pg_index": "indrelid > 16383", "pg_inherits": "true", "pg_partitioned_table": "true",
	"pg_policy": "true", "pg_enum": "true", "pg_range": "true", "pg_aggregate": "true", "pg_operator": "true", "pg_opclass": "true",
	"pg_opfamily": "true", "pg_amop": "true", "pg_amproc": "true", "pg_am": "true", "pg_cast": "true", "pg_collation": "true",
	"pg_conversion": "true", "pg_language": "true", "pg_transform": "true", "pg_ts_config": "true", "pg_ts_dict": "true",
	"pg_ts_parser": "true", "pg_ts_template": "true", "pg_extension": "true", "pg_event_trigger": "true", "pg_statistic_ext": "true",
	"pg_foreign_data_wrapper": "true", "pg_foreign_server": "true", "pg_foreign_table": "true", "pg_user_mapping": "true",
	"pg_publication": "true", "pg_publication_rel": "true", "pg_publication_namespace": "true", "pg_subscription": "true",
	"pg_sequence": "true", "pg_default_acl": "true", "pg_init_privs": "true", "pg_seclabel": "true", "pg_shseclabel": "true",
	"pg_authid": "true", "pg_auth_members": "true", "pg_db_role_setting": "true", "pg_parameter_acl": "true", "pg_shdescription": "true",
	"pg_tablespace": "true", "pg_replication_origin": "true", "pg_prepared_xacts": "true", "pg_file_settings": "sourcefile ~ 'auto.conf'",
	"pg_largeobject_metadata": "true", "pg_largeobject": "true",
}

// catalogsSince are the versions that brought some of them.
var catalogsSince = map[string]int{"pg_parameter_acl": 150000, "pg_publication_namespace": 150000}

// digestSQL gives the parts of a digest: definitions, the rows of critical
// tables, and those of all where $1 is true. $2 are the sessions of others.
var digestSQL = sync.OnceValue(func() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(catalogs)) {
		if labVersion() < catalogsSince[name] {
			continue
		}
		fmt.Fprintf(&b, "SELECT 'catalog:%s', coalesce(sum(hashtextextended(c::text, 0)), 0)::text FROM %[1]s c WHERE %s\nUNION ALL ", name, catalogs[name])
	}
	b.WriteString(`SELECT 'server:slots', coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), '') FROM pg_replication_slots
UNION ALL SELECT 'server:sessions', count(*)::text FROM pg_stat_activity WHERE pid = ANY ($2)
UNION ALL SELECT 'data:sequences', coalesce(string_agg(concat(schemaname, '.', sequencename, last_value), ' ' ORDER BY schemaname, sequencename), '') FROM pg_sequences WHERE $1
UNION ALL SELECT CASE WHEN critical THEN 'critical:' ELSE 'data:' END || oid::regclass, md5(query_to_xml(format('SELECT sum(hashtextextended(t::text, 0)) FROM ONLY %s t', oid::regclass), true, true, '')::text)
	FROM (SELECT oid, oid::regclass::text ~ '^(accounts|payments|payouts|ledger.*|app_config|hr.employees|hr.contractors|hr.salary_history)$' AS critical
		FROM pg_class WHERE oid > 16383 AND relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^pg_') tables WHERE critical OR $1`)
	return b.String()
})

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
