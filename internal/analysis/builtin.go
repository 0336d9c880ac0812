package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/catalog/builtin"
)

// firstUserOID is FirstNormalObjectId of the server: objects below came with it.
const firstUserOID = 16384

// ResultAtt is the attribute number of a [Column] that stands for what a
// built-in function tells beyond its arguments; Rel is then the function's OID.
const ResultAtt int16 = -100

// reviewed returns the list that a function is on: pg_catalog,
// information_schema or its extension.
func reviewed(f *catalog.Function) string {
	if f.OID < firstUserOID {
		return f.Schema
	}
	return f.Extension
}

// isBuiltin reports whether the reviewed list speaks for the function: it came
// with the server, or with an extension that is on the list.
func (p *part) isBuiltin(f *catalog.Function) bool {
	if f.OID < firstUserOID {
		return true
	}
	if f.Extension == "" {
		return false
	}
	_, ok := builtin.Function(f.Extension, f.Name)
	return ok
}

// effectsOf says what the reviewed classes are called here.
var effectsOf = []struct {
	class  builtin.Class
	effect Class
	what   string
	into   string // what values that are passed end up in
}{
	{builtin.LargeObjectWrite, LargeObject, "writes a large object", "large object"},
	{builtin.SequenceWrite, Sequence, "moves a sequence", "sequence"},
	{builtin.Notify, Notify, "sends a notification", "notification"},
	{builtin.AdvisoryLock, AdvisoryLock, "takes or gives back an advisory lock", "advisory lock"},
	{builtin.Sleep, Sleep, "waits", ""},
	{builtin.Signal, ServerControl, "signals other processes", ""},
	{builtin.Replication, ServerControl, "controls replication, recovery or backup", ""},
	{builtin.SnapshotExport, ServerControl, "exports its snapshot", ""},
	{builtin.CatalogWrite, ServerControl, "writes the system catalogs", ""},
	{builtin.Maintenance, Maintenance, "maintains indexes, caches or counters", ""},
	{builtin.Network, Network, "talks to another server", "another server"},
	{builtin.File, File, "reads or writes files of the server", "a file of the server"},
}

// builtinCall returns the result of a function on the reviewed list.
func (p *part) builtinCall(f *catalog.Function, args []value, loc int) value {
	v := p.result(f, args)
	class, ok := builtin.Function(reviewed(f), f.Name)
	if !ok {
		p.effect(Dynamic, "calls "+funcName(f)+", which is not on the list of known functions")
		p.unknown("the function "+funcName(f)+" is not on the list of known functions", loc)
		v.how, v.known = Opaque, false
		return v
	}
	if strings.Contains(f.Name, "populate") {
		p.domainChecks(v.typ, v) // json_populate_record and its kin make a row of it
	} else {
		p.supported(p.a.ranges(v.typ), v) // range_agg and its kin make ranges
	}
	if f.Name == "setval" {
		p.rec.st.Classes |= SequenceSet
		p.rec.st.Sweeps = true // which one it is is known when it runs
	}
	if f.Name == "num_nulls" || f.Name == "num_nonnulls" {
		for i, a := range args {
			args[i] = p.nullTest(a)
		}
		return p.result(f, args)
	}
	passed := p.combine(0, args...)
	for _, a := range args { // array_position and its kin compare
		p.compared(a)
	}
	if !total[f.Name] {
		p.probe(passed.src)
	}
	if class&builtin.Converts != 0 {
		for _, t := range p.a.checkedDomains() { // the type is known to the server only
			p.domainChecks(t, passed)
		}
	}
	if class&^builtin.Harmless == 0 || f.Name == "ts_rewrite" && len(args) == 3 {
		return v
	}
	for _, e := range effectsOf {
		if class&e.class == 0 {
			continue
		}
		p.effect(e.effect, e.what+" by "+funcName(f))
		if e.into != "" {
			p.flow(Column{}, e.into, passed)
		}
	}
	if class&builtin.SettingWrite != 0 {
		p.flow(Column{}, "setting", passed)
	}
	if class&^builtin.Harmless == builtin.RunsSQL {
		if r, ok := p.runPassed(f, args, v); ok {
			return r
		}
	}
	if class&(builtin.RunsSQL|builtin.Network) != 0 {
		p.effect(Dynamic, "runs the SQL that is passed to "+funcName(f))
		p.unknown("the SQL that is passed to "+funcName(f)+" is not known", loc)
		v.how, v.known = Opaque, false
	}
	if class&(builtin.Table|builtin.Data) != 0 {
		p.rec.st.Classes |= ProtectedMeta
		p.unknown(funcName(f)+" reads tables that the statement does not name", loc)
		v.how, v.known = Opaque, false
	}
	if class&(builtin.SQLText|builtin.Definition|builtin.Secret|builtin.File|builtin.Activity|builtin.LargeObjectRead) != 0 {
		c := Columns{{f.OID, ResultAtt}}
		p.rec.st.Classes |= classesOf(class)
		p.rec.touched[c[0]] = struct{}{}
		src, how := passed.src.Union(c), Plain
		if p.userColumns(passed.src) || slices.ContainsFunc(args, func(a value) bool { return a.how != Plain && slices.ContainsFunc(a.src, p.tells) }) {
			how = Expression
		}
		// Else its arguments only choose what it tells, which comes out unchanged.
		v.src, v.how = src, how
		for i := range v.fields {
			v.fields[i].src, v.fields[i].how = src, how
		}
	}
	return v
}

// total are functions that never fail, and are NULL for NULL alone, at least
// where no more than one argument varies.
var total = setOfNames(`lower upper initcap reverse length char_length character_length octet_length bit_length
	concat btrim ltrim rtrim left right ascii md5 quote_literal quote_nullable to_json to_jsonb row_to_json array_to_json
	json_build_array jsonb_build_array text varchar bpchar name abs round ceil ceiling floor sign cardinality pg_typeof
	count min max sum avg array_agg string_agg json_agg jsonb_agg any_value bool_and bool_or every
	row_number rank dense_rank percent_rank cume_dist`)

func setOfNames(names string) map[string]bool {
	all := map[string]bool{}
	for _, n := range strings.Fields(names) {
		all[n] = true
	}
	return all
}

// userColumns reports whether any of the columns holds data of users.
func (p *part) userColumns(cols Columns) bool {
	for _, c := range cols {
		if rel := p.a.snap.Relation(c.Rel); c.Att != ResultAtt && (rel == nil || systemRelation(rel) == "") {
			return true
		}
	}
	return false
}

// tells reports whether a column of a system catalog, or a function's result,
// tells more than names, numbers and privileges.
func (p *part) tells(c Column) bool {
	rel := p.a.snap.Relation(c.Rel)
	if c.Att == ResultAtt || rel == nil || rel.Column(c.Att) == nil {
		return true
	}
	class := builtin.RelationColumn(systemRelation(rel), rel.Name, rel.Column(c.Att).Name)
	return class == 0 || class&^builtin.Harmless != 0
}

// classesOf translates what a source of data is.
func classesOf(c builtin.Class) Class {
	var out Class
	if c&(builtin.Data|builtin.SQLText) != 0 {
		out |= ProtectedMeta
	}
	if c&builtin.Secret != 0 {
		out |= Secret
	}
	if c&builtin.Definition != 0 {
		out |= TextMeta
	}
	if c&builtin.File != 0 {
		out |= File
	}
	return out
}

// systemRelation returns the list that speaks for the columns of a relation, or
// "": those that came with the server, and views of extensions.
func systemRelation(rel *catalog.Relation) string {
	switch {
	case isSystemSchema(rel.Schema):
		return rel.Schema
	case rel.Extension != "" && rel.Kind == 'v':
		return rel.Extension
	}
	return ""
}

// meta records what a column of a system catalog tells.
func (p *part) meta(c Column) {
	rel := p.a.snap.Relation(c.Rel)
	if rel == nil || c.Att < 1 {
		return
	}
	list := systemRelation(rel)
	if list == "" || list == "pg_toast" {
		return
	}
	col := rel.Column(c.Att)
	if col == nil {
		return
	}
	class := builtin.RelationColumn(list, rel.Name, col.Name)
	if class == 0 {
		p.unknown("the relation "+relName(rel)+" is not on the list of known system relations", -1)
	}
	p.rec.st.Classes |= classesOf(class)
	if class&builtin.File != 0 {
		p.effect(File, "reads "+relName(rel)+", which reads files of the server")
	}
}

// setting records what set_config does to the setting that its arguments name.
func (p *part) setting(name []string, args []*pg.Node) {
	if name[len(name)-1] == "current_setting" && len(args) > 0 {
		if setting, ok := constantText(args[0]); ok {
			if p.a.reads == nil {
				p.a.reads = map[string]struct{}{}
			}
			p.a.reads[strings.ToLower(setting)] = struct{}{}
		}
		return
	}
	if name[len(name)-1] != "set_config" || len(args) < 2 {
		return
	}
	setting, ok := constantText(args[0])
	if !ok {
		p.rec.st.Names, p.rec.st.Tag, p.a.pathSet = true, true, true
		p.effect(SessionForbidden, "sets a setting whose name is not known")
		return
	}
	text, known := constantText(args[1])
	p.changeSetting(strings.ToLower(setting), text, known)
}

// constantText returns the text of a string constant.
func constantText(n *pg.Node) (string, bool) {
	if a := n.GetNamedArgExpr(); a != nil {
		return "", false
	}
	if t := n.GetTypeCast(); t != nil {
		n = t.Arg
	}
	s := n.GetAConst().GetSval()
	return s.GetSval(), s != nil
}

// A SystemData says what kind of data a column of a system catalog, or the
// result of a built-in function, holds besides definitions.
type SystemData uint8

// The kinds of system data.
const (
	SystemValues  SystemData = iota + 1 // values of tables, other sessions' statements, secrets
	SystemCode                          // bodies and defaults of functions, expressions of statistics and publications: nobody has reviewed their literals
	SystemIndex                         // definitions of indexes
	SystemCheck                         // definitions of constraints
	SystemPolicy                        // conditions of row security
	SystemTrigger                       // definitions of triggers
	SystemDefault                       // defaults of columns
	SystemBound                         // bounds of partitions
	SystemView                          // queries of views and actions of rules
	SystemComment                       // comments, which may give a value as an example
)

type systemKey struct{}

// System returns the columns of system catalogs and the built-in functions
// (as [ResultAtt]) that tell what no name of a policy covers, and the columns of
// materialized views and foreign tables that are made of them. The map must not
// be changed.
func System(snap *catalog.Snapshot) map[Column]SystemData {
	return snap.Memo(systemKey{}, func() any {
		all := map[Column]SystemData{}
		for rel := range snap.Relations() {
			list := systemRelation(rel)
			if list == "" || list == "pg_toast" {
				continue
			}
			for _, c := range rel.Columns {
				if c.Dropped {
					continue
				}
				class := builtin.RelationColumn(list, rel.Name, c.Name)
				switch {
				case class == 0 || class&(builtin.Data|builtin.SQLText|builtin.Secret) != 0:
					all[Column{rel.OID, c.Num}] = SystemValues
				case systemCode[rel.Name+"."+c.Name] != 0:
					all[Column{rel.OID, c.Num}] = systemCode[rel.Name+"."+c.Name]
				}
			}
		}
		for f := range snap.Functions() {
			list := reviewed(f)
			if list == "" {
				continue
			}
			class, ok := builtin.Function(list, f.Name)
			switch {
			case ok && class&(builtin.Data|builtin.SQLText|builtin.Secret) != 0:
				all[Column{f.OID, ResultAtt}] = SystemValues
			case ok && systemCode[f.Name] != 0:
				all[Column{f.OID, ResultAtt}] = systemCode[f.Name]
			}
		}
		edges := (&deriver{snap: snap}).edges()
		for changed := true; changed; {
			changed = false
			for _, e := range edges {
				if rel := snap.Relation(e.to.Rel); all[e.to] != 0 || rel == nil || rel.Kind != 'm' && rel.Foreign == nil {
					continue
				}
				for _, c := range e.from {
					if kind := all[c]; kind != 0 {
						all[e.to], changed = kind, true
					}
				}
			}
		}
		return all
	}).(map[Column]SystemData)
}

// systemCode are the columns and functions that give out definitions with
// literals in them.
var systemCode = map[string]SystemData{
	"pg_proc.prosrc": SystemCode, "pg_proc.prosqlbody": SystemCode, "routines.routine_definition": SystemCode,
	"pg_get_functiondef": SystemCode, "pg_get_function_sqlbody": SystemCode,
	"pg_index.indpred": SystemIndex, "pg_index.indexprs": SystemIndex, "pg_indexes.indexdef": SystemIndex, "pg_get_indexdef": SystemIndex,
	"pg_description.description": SystemComment, "obj_description": SystemComment, "col_description": SystemComment,
	"pg_constraint.conbin": SystemCheck, "check_constraints.check_clause": SystemCheck, "pg_get_constraintdef": SystemCheck,
	"pg_policy.polqual": SystemPolicy, "pg_policy.polwithcheck": SystemPolicy,
	"pg_policies.qual": SystemPolicy, "pg_policies.with_check": SystemPolicy,
	"pg_trigger.tgqual": SystemTrigger, "pg_trigger.tgargs": SystemTrigger, "pg_get_triggerdef": SystemTrigger,
	"triggers.action_condition": SystemTrigger, "triggers.action_statement": SystemTrigger,
	"pg_attrdef.adbin": SystemDefault, "columns.column_default": SystemDefault,
	"columns.generation_expression": SystemDefault,
	"pg_type.typdefault":            SystemDefault, "pg_type.typdefaultbin": SystemDefault, "domains.domain_default": SystemDefault,
	"pg_class.relpartbound": SystemBound, "pg_get_partition_constraintdef": SystemBound,
	"pg_partitioned_table.partexprs": SystemBound, "pg_get_partkeydef": SystemBound,
	"pg_rewrite.ev_action": SystemView, "pg_rewrite.ev_qual": SystemView, "pg_get_viewdef": SystemView, "pg_get_ruledef": SystemView,
	"pg_views.definition": SystemView, "pg_matviews.definition": SystemView, "pg_rules.definition": SystemView, "views.view_definition": SystemView,
	"pg_proc.proargdefaults": SystemCode, "pg_get_function_arguments": SystemCode, "pg_get_function_arg_default": SystemCode,
	"parameters.parameter_default": SystemCode,
	"pg_statistic_ext.stxexprs":    SystemCode, "pg_get_statisticsobjdef": SystemCode, "pg_get_statisticsobjdef_expressions": SystemCode,
	"pg_stats_ext.exprs": SystemCode, "pg_stats_ext_exprs.expr": SystemCode,
	"pg_publication_rel.prqual": SystemCode, "pg_publication_tables.rowfilter": SystemCode, "pg_get_publication_tables": SystemCode,
}

type comparedKindsKey struct{}

// Compared returns the columns that definitions compare with constants, or that
// get one by default, by what shows the definitions: those of views and rules,
// of generated columns and of domains. The map must not be changed.
func Compared(snap *catalog.Snapshot) map[SystemData]Columns {
	return snap.Memo(comparedKindsKey{}, func() any {
		all := map[SystemData]Columns{}
		look := func(kind SystemData, analyze func(p *part)) {
			a := &analyzer{snap: snap, sess: Session{Path: []string{"pg_catalog", "public"}}, depends: map[catalog.OID]struct{}{}}
			p := &part{a: a, rec: newRecorder(&Statement{}), names: definitionNames(snap), defined: true}
			analyze(p)
			all[kind] = all[kind].Union(setOf(p.rec.compared))
		}
		for rel := range snap.Relations() {
			if systemRelation(rel) != "" || isSystemSchema(rel.Schema) {
				continue
			}
			if strings.ContainsAny(rel.Definition, "'0123456789") {
				look(SystemView, func(p *part) { p.query(p.a.definition(rel), nil) })
			}
			if len(rel.Rules) > 0 {
				look(SystemView, func(p *part) {
					for _, act := range []Action{Insert, Update, Delete} {
						p.rules(rel, act, nil)
					}
				})
			}
			for _, c := range rel.Columns {
				switch t := snap.Type(c.Type); {
				case c.Dropped:
				case c.Generated != 0:
					look(SystemDefault, func(p *part) { p.check("", rel.OID, c.Default, rowScope(p, rel, nil), nil) })
				case c.Default == "" && t != nil && t.Default != "":
					look(SystemDefault, func(p *part) { p.defaultValue(rel, c, false) })
				}
			}
		}
		return all
	}).(map[SystemData]Columns)
}
