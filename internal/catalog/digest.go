package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A source is a catalog whose rows define objects.
//
// What stands for a row is its place and the transaction that wrote it: the
// two change together with every INSERT or UPDATE, also of a row that the same
// transaction changes twice, and a system column keeps xmin as written when
// the row is frozen. Each row is hashed to 64 bits, with the catalog as salt,
// and the hashes are combined by exclusive or, so that a row that disappears
// counts and the order does not. Rows are not compared by the greatest xmin,
// because transactions commit in another order than they begin.
//
// Changes that leave no trace in any of these rows, and need a superuser, are
// not seen: renaming a language or a database, and changing built-in objects
// (the next load of the user's definitions sees the latter). Neither is the
// renaming of a role.
type source struct {
	salt    int
	catalog string
	key     string // the object that the row belongs to
	where   string
}

// relationSources have rows that belong to a relation.
var relationSources = []source{
	{1, "pg_class", "oid", "relkind OPERATOR(pg_catalog.<>) 't'"},
	{2, "pg_attribute", "attrelid", "attnum OPERATOR(pg_catalog.>) 0"},
	{3, "pg_attrdef", "adrelid", "true"},
	{4, "pg_rewrite", "ev_class", "true"},
	{5, "pg_trigger", "tgrelid", "true"}, // also for foreign keys that refer to the relation
	{6, "pg_inherits", "inhrelid", "true"},
	{7, "pg_index", "indrelid", "true"},
	{8, "pg_policy", "polrelid", "true"},
	{9, "pg_foreign_table", "ftrelid", "true"},
	{70, "pg_statistic_ext", "stxrelid", "true"},
	{10, "pg_description", "objoid", "classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"},
}

// stampOnlySources belong to a relation too; the fingerprint counts their rows
// elsewhere.
var stampOnlySources = []source{
	{11, "pg_inherits", "inhparent", "true"},
	{12, "pg_constraint", "conrelid", "true"},
}

var functionSource = source{13, "pg_proc", "oid", "true"}

// schemaSources have rows that belong to a schema, or to none (key 0).
var schemaSources = []source{
	{20, "pg_namespace", "oid", "true"},
	{21, "pg_constraint", "connamespace", "oid >= 16384"},
	{22, "pg_proc", "pronamespace", "oid >= 16384"},
	{23, "pg_type", "typnamespace", "oid >= 16384"},
	{24, "pg_operator", "oprnamespace", "oid >= 16384"},
	{25, "pg_cast", "0::oid", "oid >= 16384"},
	{26, "pg_foreign_server", "0::oid", "true"},
	{27, "pg_foreign_data_wrapper", "0::oid", "true"},
	{28, "pg_depend", "0::oid", "refclassid = 'pg_extension'::regclass and deptype = 'e' and objid >= 16384"},
	{29, "pg_opclass", "0::oid", "oid >= 16384"},
	{68, "pg_amop", "0::oid", "oid >= 16384"},
	{69, "pg_amproc", "0::oid", "oid >= 16384"},
}

// surroundingSources are what names, constants and operators mean, and what acts
// on definitions, apart from relations and functions. Row types and arrays come
// with each table, and are left out.
var surroundingSources = []source{
	{40, "pg_namespace", "", "not pg_catalog.starts_with(nspname::pg_catalog.text, 'pg_temp_') and not pg_catalog.starts_with(nspname::pg_catalog.text, 'pg_toast_temp_')"},
	{41, "pg_type", "", "oid OPERATOR(pg_catalog.>=) 16384 and typtype OPERATOR(pg_catalog.<>) 'c' and typcategory OPERATOR(pg_catalog.<>) 'A'"},
	{42, "pg_class", "", "relkind OPERATOR(pg_catalog.=) 'c'"},
	{43, "pg_attribute", "", "attrelid OPERATOR(pg_catalog.=) any (select oid from pg_catalog.pg_class where relkind OPERATOR(pg_catalog.=) 'c')"},
	{44, "pg_enum", "", "true"},
	{45, "pg_constraint", "", "contypid OPERATOR(pg_catalog.<>) 0"},
	{46, "pg_operator", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{47, "pg_opclass", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{48, "pg_amop", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{49, "pg_amproc", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{50, "pg_cast", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{51, "pg_collation", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{52, "pg_conversion", "", "oid OPERATOR(pg_catalog.>=) 16384"},
	{53, "pg_transform", "", "true"},
	{54, "pg_language", "", "true"},
	{55, "pg_ts_config", "", "true"},
	{56, "pg_ts_config_map", "", "true"},
	{57, "pg_ts_dict", "", "true"},
	{58, "pg_ts_parser", "", "true"},
	{59, "pg_ts_template", "", "true"},
	{60, "pg_foreign_data_wrapper", "", "true"},
	{61, "pg_foreign_server", "", "true"},
	{62, "pg_extension", "", "true"},
	{63, "pg_event_trigger", "", "true"},
	{64, "pg_default_acl", "", "true"},
	{65, "pg_statistic_ext", "", "true"},
	{66, "pg_publication", "", "true"},
}

// SurroundingsSQL is a query of one row and one column, a bigint: the digest of
// what a statement rests on besides relations and functions. These change
// seldom, so which of them it rests on is not asked. It means the same under
// every search_path.
func SurroundingsSQL() string {
	parts := make([]string, len(surroundingSources))
	for i, s := range surroundingSources {
		s.key = "0"
		parts[i] = s.rows("")
	}
	// Of user mappings a view alone can be read, and of their options what the
	// role may see.
	parts = append(parts, "select 0, pg_catalog.hash_record_extended(row(umid, srvid, umuser, umoptions), 67) from pg_catalog.pg_user_mappings")
	return "select coalesce(pg_catalog.bit_xor(h), 0::pg_catalog.int8) from (" + strings.Join(parts, "\nunion all ") + ") v"
}

// builtinSources decide whether two databases of one server have the same
// built-in definitions.
var builtinSources = []source{
	{30, "pg_class", "oid", "oid < 16384"},
	{31, "pg_attribute", "attrelid", "attrelid < 16384"},
	{32, "pg_rewrite", "ev_class", "ev_class < 16384"},
	{33, "pg_proc", "oid", "oid < 16384"},
	{34, "pg_type", "oid", "oid < 16384"},
	{35, "pg_operator", "oid", "oid < 16384"},
	{36, "pg_cast", "oid", "oid < 16384"},
	{37, "pg_opclass", "oid", "oid < 16384"},
}

// rows selects key and hash of each row.
func (s source) rows(filter string) string {
	return fmt.Sprintf("select %s as k, pg_catalog.hash_record_extended(row(ctid, xmin), %d) as h from pg_catalog.%s where %s%s",
		s.key, s.salt, s.catalog, s.where, filter)
}

func unionRows(sources []source, filter func(s source) string) string {
	parts := make([]string, len(sources))
	for i, s := range sources {
		parts[i] = s.rows(filter(s))
	}
	return strings.Join(parts, "\nunion all ")
}

// fingerprintSQL gives one row: the digest of what the sessions of the
// database share, and that of the session's own temporary objects (NULL if
// there are none). Other sessions' temporary objects do not count.
//
// It reads about 30 rows per table. See BenchmarkFingerprint for its cost.
var fingerprintSQL = `with
tn as materialized (select oid, oid = pg_my_temp_schema() as own from pg_namespace
	where starts_with(nspname, 'pg_temp_') or starts_with(nspname, 'pg_toast_temp_')),
tr as materialized (select c.oid, tn.own from pg_class c join tn on c.relnamespace = tn.oid),
r as (` + unionRows(relationSources, func(s source) string { return " and " + s.key + " >= 16384" }) + `),
n as (` + unionRows(schemaSources, func(source) string { return "" }) + `),
rd as (select bit_xor(h) filter (where tr.oid is null) as shared, bit_xor(h) filter (where tr.own) as own from r left join tr on tr.oid = k),
nd as (select bit_xor(h) filter (where tn.oid is null) as shared, bit_xor(h) filter (where tn.own and n.k <> 0) as own from n left join tn on tn.oid = k)
select coalesce(rd.shared, 0), nd.shared, rd.own, nd.own,
	pg_current_xact_id_if_assigned() is null,
	current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
from rd, nd`

// stampsSQL gives relation and stamp, for the relations c that scope selects.
func stampsSQL(scope string) string {
	return `select v.k, bit_xor(v.h) from (` +
		unionRows(slices.Concat(relationSources, stampOnlySources), func(source) string { return "" }) +
		`) v join pg_class c on c.oid = v.k join pg_namespace n on n.oid = c.relnamespace where ` + scope + ` group by v.k`
}

// DigestSQL is a query of one row and one column, a bigint: the digest of the
// current definitions of the objects. It equals what [Snapshot.Digest] gives
// for them as long as none of them has changed. It can be sent in the same
// round trip as the statement that depends on them: it means the same under
// every search_path, and finds the rows by index, about 12 for each relation
// besides one for each of its columns.
//
// In a REPEATABLE READ or SERIALIZABLE transaction the server answers for the
// transaction's beginning.
func DigestSQL(relations, functions []OID) string {
	var parts []string
	add := func(sources []source, oids []OID) {
		oids = distinct(oids)
		if len(oids) == 0 {
			return
		}
		list := make([]string, len(oids))
		for i, oid := range oids {
			list[i] = strconv.FormatUint(uint64(oid), 10)
		}
		array := "'{" + strings.Join(list, ",") + "}'::pg_catalog.oid[]"
		parts = append(parts, unionRows(sources, func(s source) string {
			return " and " + s.key + " OPERATOR(pg_catalog.=) any (" + array + ")"
		}))
	}
	add(slices.Concat(relationSources, stampOnlySources), relations)
	add([]source{functionSource}, functions)
	if len(parts) == 0 {
		return "select 0::pg_catalog.int8"
	}
	return "select coalesce(pg_catalog.bit_xor(h), 0::pg_catalog.int8) from (" + strings.Join(parts, "\nunion all ") + ") v"
}

// Digest is the digest of the objects' definitions in the snapshot. It is false
// when one of them is not in the snapshot. [DigestSQL] asks the server for the
// current one.
func (s *Snapshot) Digest(relations, functions []OID) (int64, bool) {
	var digest int64
	add := func(stamp string) bool {
		n, err := strconv.ParseInt(stamp, 10, 64)
		digest ^= n
		return err == nil
	}
	for _, oid := range distinct(relations) {
		r := s.Relation(oid)
		if r == nil || !add(r.Stamp) {
			return 0, false
		}
	}
	for _, oid := range distinct(functions) {
		f := s.Function(oid)
		if f == nil || !add(f.Stamp) {
			return 0, false
		}
	}
	return digest, true
}

// distinct sorts and removes duplicates, which would cancel each other out.
func distinct(oids []OID) []OID {
	oids = slices.Clone(oids)
	slices.Sort(oids)
	return slices.Compact(oids)
}
