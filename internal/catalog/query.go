package catalog

// A scope selects the objects of one layer of a snapshot. Object OIDs below
// 16384 are assigned by initdb alone (PostgreSQL manual, 73.2.2).
type scope struct {
	relation string // over pg_class c, pg_namespace n
	object   string // over a catalog x with an oid, pg_namespace n
	member   string // over pg_depend d
}

const relkinds = ` and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')`

var (
	builtinScope = scope{
		relation: `c.oid < 16384` + relkinds,
		object:   `x.oid < 16384`,
		member:   `d.objid < 16384`,
	}
	sharedScope = scope{
		relation: `c.oid >= 16384 and not starts_with(n.nspname, 'pg_temp_')` + relkinds,
		object:   `x.oid >= 16384 and not starts_with(n.nspname, 'pg_temp_')`,
		member:   `d.objid >= 16384`,
	}
	temporaryScope = scope{
		relation: `n.oid = pg_my_temp_schema()` + relkinds,
		object:   `n.oid = pg_my_temp_schema()`,
		member:   `false`,
	}
)

const fromRelation = ` join pg_class c on c.oid = x.%[2]s join pg_namespace n on n.oid = c.relnamespace where %[1]s`

const (
	serverSQL = `select current_setting('server_version_num'), current_database(), pg_my_temp_schema()`

	systemSQL = `select system_identifier from pg_control_system()`

	schemasSQL = `select oid, nspname from pg_namespace
		where not starts_with(nspname, 'pg_temp_') and not starts_with(nspname, 'pg_toast_temp_') or oid = pg_my_temp_schema()`

	opclassesSQL = `select oid from pg_opclass where opcdefault`

	// What the server calls to compare and hash values and to make ranges of
	// them: for a type its default operator classes, and for a range that of its
	// bounds; for an operator those that it belongs to, and those that the planner
	// may put in its place, negated or with the operands exchanged; for a relation
	// those of its indexes, constraints and partition key. Functions in C are taken
	// for what they have to be: only a superuser makes them.
	supportSQL = `with f as (select p.oid from pg_proc p join pg_language l on l.oid = p.prolang where p.oid >= 16384 and l.lanname <> 'c'),
		s as (select p.amprocfamily as family, f.oid as function from pg_amproc p join f on f.oid = p.amproc),
		c as (select o.oid, o.opcintype, o.opcdefault, s.function from pg_opclass o join s on s.family = o.opcfamily),
		r as (select x.rngtypid, x.rngmultitypid, c.function from pg_range x join c on c.oid = x.rngsubopc
			union all select x.rngtypid, x.rngmultitypid, f.oid from pg_range x join f on f.oid in (x.rngcanonical, x.rngsubdiff)),
		o as (select x.oid, y.other from pg_operator x, unnest(array[x.oid, x.oprcom, x.oprnegate]) y(other) where x.oid >= 16384),
		e as (select a.oid, b.other from o a join o b on b.oid = a.other)
		select v.object, array_agg(distinct v.function) from (
			select opcintype, function from c where opcdefault
			union all select rngtypid, function from r
			union all select rngmultitypid, function from r
			union all select a.amopopr, s.function from pg_amop a join s on s.family = a.amopfamily
			union all select e.oid, s.function from e join pg_amop a on a.amopopr = e.other join s on s.family = a.amopfamily
			union all select e.oid, f.oid from e join pg_operator x on x.oid = e.other and x.oid <> e.oid join f on f.oid = x.oprcode
			union all select y.rel, f.oid from pg_constraint x, unnest(array[x.conrelid, x.confrelid]) y(rel),
				unnest(x.conpfeqop || x.conppeqop || x.conffeqop || x.conexclop) z(operator)
				join pg_operator w on w.oid = z.operator join f on f.oid = w.oprcode where y.rel <> 0
			union all select x.indrelid, c.function from pg_index x join c on c.oid = any (x.indclass)
			union all select x.partrelid, c.function from pg_partitioned_table x join c on c.oid = any (x.partclass)) v(object, function)
		group by v.object`

	relationsSQL = `select c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), c.reltype,
		c.relispartition, c.relrowsecurity,
		case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
		case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where %[1]s order by c.oid`

	columnsSQL = `select x.attrelid, x.attnum, x.attname, x.atttypid, x.atttypmod, x.attnotnull, x.attisdropped,
		x.attgenerated, x.attidentity, x.attcollation, x.attfdwoptions,
		case when x.attidentity <> '' then (select d.objid from pg_depend d where d.deptype = 'i' and d.classid = 'pg_class'::regclass
			and d.refclassid = 'pg_class'::regclass and d.refobjid = x.attrelid and d.refobjsubid = x.attnum limit 1) end
		from pg_attribute x` + fromRelation + ` and x.attnum > 0 order by x.attrelid, x.attnum`

	defaultsSQL = `select x.adrelid, x.adnum, pg_get_expr(x.adbin, x.adrelid) from pg_attrdef x` + fromRelation

	commentsSQL = `select x.objoid, x.objsubid, x.description from pg_description x` + fromRelation + ` and x.classoid = 'pg_class'::regclass`

	membersSQL = `select d.classid::regclass::text, d.objid, e.extname from pg_depend d join pg_extension e on e.oid = d.refobjid
		where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
		and d.classid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass) and %[1]s`

	rulesSQL = `select x.ev_class, x.rulename, x.ev_type, x.is_instead, x.ev_enabled, pg_get_ruledef(x.oid)
		from pg_rewrite x` + fromRelation + ` and x.rulename <> '_RETURN' order by x.ev_class, x.rulename`

	// A row trigger of a partitioned table is copied to its partitions, in
	// PostgreSQL 14 as an internal one. Those of foreign keys and deferred
	// unique constraints stay out.
	triggersSQL = `select x.tgrelid, x.tgname, x.tgfoid, x.tgtype, x.tgenabled, x.tgattr, x.tgqual is not null, pg_get_triggerdef(x.oid)
		from pg_trigger x` + fromRelation + ` and (not x.tgisinternal or x.tgfoid >= 16384 or x.tgparentid <> 0 and x.tgconstraint = 0)
		order by x.tgrelid, x.tgname`

	inheritsSQL = `select x.inhrelid, x.inhparent from pg_inherits x` + fromRelation + ` order by x.inhrelid, x.inhseqno`

	indexesSQL = `select x.indrelid, ic.relname, x.indisunique, x.indisvalid and x.indimmediate, x.indnkeyatts, x.indkey, x.indclass, x.indcollation,
		case when x.indexprs is not null then array(select pg_get_indexdef(x.indexrelid, k, false)
			from generate_series(1, x.indnkeyatts) k where x.indkey[k - 1] = 0) end,
		pg_get_expr(x.indpred, x.indrelid), x.indisexclusion
		from pg_index x join pg_class ic on ic.oid = x.indexrelid` + fromRelation + `
		and (x.indisunique or x.indisexclusion or x.indexprs is not null or x.indpred is not null) order by x.indrelid, x.indexrelid`

	constraintsSQL = `select x.conrelid, x.conname, x.contype, x.conkey, x.confrelid, x.confkey, x.confupdtype, x.confdeltype,
		pg_get_expr(x.conbin, x.conrelid), %[3]s
		from pg_constraint x` + fromRelation + ` and x.contype in ('c', 'f') order by x.conrelid, x.conname`

	domainChecksSQL = `select y.contypid, y.conname, pg_get_expr(y.conbin, 0)
		from pg_constraint y join pg_type x on x.oid = y.contypid join pg_namespace n on n.oid = x.typnamespace
		where %[1]s and y.contype = 'c' order by y.contypid, y.conname`

	statisticsSQL = `select x.stxrelid, pg_get_statisticsobjdef_expressions(x.oid)
		from pg_statistic_ext x` + fromRelation + ` and x.stxexprs is not null order by x.stxrelid, x.oid`

	policiesSQL = `select x.polrelid, x.polname, pg_get_expr(x.polqual, x.polrelid), pg_get_expr(x.polwithcheck, x.polrelid)
		from pg_policy x` + fromRelation + ` order by x.polrelid, x.polname`

	foreignSQL = `select x.ftrelid, w.fdwname, s.srvname, x.ftoptions from pg_foreign_table x
		join pg_foreign_server s on s.oid = x.ftserver join pg_foreign_data_wrapper w on w.oid = s.srvfdw` + fromRelation

	functionsSQL = `select x.oid, n.nspname, x.proname, x.prokind, l.lanname, x.proargtypes, x.proallargtypes, x.proargmodes, x.proargnames,
		x.pronargdefaults, pg_get_expr(x.proargdefaults, 0), x.provariadic, x.prorettype, x.proretset, x.provolatile, x.prosecdef, x.proisstrict,
		case when l.lanname in ('sql', 'plpgsql') and n.nspname <> 'pg_catalog' then x.prosrc end,
		case when x.prosqlbody is not null and n.nspname <> 'pg_catalog' then pg_get_function_sqlbody(x.oid) end,
		case when l.lanname = 'plpgsql' then pg_get_functiondef(x.oid) end,
		x.proconfig, hash_record_extended(row(x.ctid, x.xmin), 13), pg_get_userbyid(x.proowner)
		from pg_proc x join pg_namespace n on n.oid = x.pronamespace join pg_language l on l.oid = x.prolang where %[1]s order by x.oid`

	aggregatesSQL = `select x.oid, a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid, a.aggdeserialfn::oid,
		a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid, a.aggnumdirectargs
		from pg_aggregate a join pg_proc x on x.oid = a.aggfnoid join pg_namespace n on n.oid = x.pronamespace where %[1]s`

	typesSQL = `select x.oid, n.nspname, x.typname, x.typtype, x.typcategory,
		case when x.typsubscript = 'array_subscript_handler'::regproc then x.typelem else 0 end, x.typarray, x.typbasetype, x.typrelid,
		coalesce(r.rngsubtype, m.rngsubtype), case when x.typtype = 'd' then coalesce(pg_get_expr(x.typdefaultbin, 0), x.typdefault) end,
		x.typinput::oid, x.typoutput::oid
		from pg_type x join pg_namespace n on n.oid = x.typnamespace
		left join pg_range r on r.rngtypid = x.oid left join pg_range m on m.rngmultitypid = x.oid where %[1]s order by x.oid`

	operatorsSQL = `select x.oid, n.nspname, x.oprname, x.oprleft, x.oprright, x.oprresult, x.oprcode::oid
		from pg_operator x join pg_namespace n on n.oid = x.oprnamespace where %[1]s order by x.oid`

	// A cast has no schema: those of temporary types are in the shared layer.
	castsSQL = `select x.castsource, x.casttarget, x.castfunc, x.castcontext, x.castmethod
		from pg_cast x join pg_namespace n on n.nspname = 'pg_catalog' where %[1]s order by x.oid`
)
