package analysis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A generator makes random queries over testdata/oracle.sql: mostly valid ones,
// with everything that a lineage can pass through.
type generator struct {
	*rand.Rand
	n      int // for fresh names
	ctes   []genTable
	tables []genTable
}

type genCol struct{ name, typ string }

type genTable struct {
	name string
	cols []genCol
	row  bool // has a named row type
}

// An alias in scope.
type genAlias struct {
	name string
	t    genTable
}

var genTables = []genTable{
	{"person", []genCol{{"id", "int"}, {"name", "text"}, {"mail", "text"}, {"born", "date"}, {"pay", "numeric"}, {"tags", "text[]"},
		{"nums", "int[]"}, {"doc", "jsonb"}, {"home", "addr"}, {"rank", "int"}, {"ok", "bool"}, {"mail_lower", "text"}}, true},
	{"child", []genCol{{"id", "int"}, {"toy", "text"}, {"parent_id", "int"}, {"at", "ts"}}, true},
	{"grand", []genCol{{"id", "int"}, {"toy", "text"}, {"parent_id", "int"}, {"at", "ts"}, {"extra", "text"}}, true},
	{"bill", []genCol{{"id", "int"}, {"person_id", "int"}, {"total", "numeric"}, {"day", "date"}, {"memo", "text"}}, true},
	{"bill_a", []genCol{{"id", "int"}, {"person_id", "int"}, {"total", "numeric"}, {"day", "date"}, {"memo", "text"}}, true},
	{`"Mixed Case"`, []genCol{{`"Id"`, "int"}, {`"select"`, "text"}, {`"a""b"`, "text"}}, true},
	{"v_person", []genCol{{"id", "int"}, {"name", "text"}, {"contact", "text"}, {"born", "date"}}, true},
	{"v_label", []genCol{{"id", "int"}, {"label", "text"}, {"shout", "text"}}, true},
	{"v_sum", []genCol{{"person_id", "int"}, {"total", "numeric"}, {"n", "int"}, {"memo", "text"}}, true},
	{"v_union", []genCol{{"id", "int"}, {"word", "text"}}, true},
	{"v_renamed", []genCol{{"k", "int"}, {"toy", "text"}}, true},
	{"v_join", []genCol{{"id", "int"}, {"name", "text"}, {"toy", "text"}, {"tags", "text[]"}}, true},
	{"m_person", []genCol{{"id", "int"}, {"mail", "text"}, {"n", "int"}}, true},
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 7)), tables: genTables}
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) fresh(prefix string) string {
	g.n++
	return fmt.Sprintf("%s%d", prefix, g.n)
}

// statement makes one query.
func (g *generator) statement() string {
	g.ctes = nil
	sql, _ := g.query(3, nil)
	return sql
}

// view makes a view over what is there, and what it can be used as.
func (g *generator) view(name string) (string, genTable) {
	g.ctes = nil
	sql, cols := g.query(2, nil)
	var names []string
	for i := range cols {
		cols[i].name = g.fresh("c")
		names = append(names, cols[i].name)
	}
	return fmt.Sprintf("CREATE VIEW %s (%s) AS %s", name, strings.Join(names, ", "), sql), genTable{name, cols, true}
}

func (g *generator) query(depth int, outer []genAlias) (string, []genCol) {
	saved := g.ctes
	defer func() { g.ctes = saved }()
	with := ""
	if depth > 1 && g.IntN(4) == 0 {
		with = g.with(depth)
	}
	var sql string
	var cols []genCol
	switch {
	case depth > 0 && g.IntN(6) == 0:
		sql, cols = g.setOp(depth, outer)
	case g.IntN(20) == 0:
		sql = fmt.Sprintf("VALUES (%s, %s), (%s, %s)", g.expr("int", 1, outer), g.expr("text", 1, outer), g.expr("int", 1, outer), g.expr("text", 1, outer))
		cols = []genCol{{"column1", "int"}, {"column2", "text"}}
	default:
		sql, cols = g.selectQuery(depth, outer)
	}
	return with + sql, cols
}

func (g *generator) with(depth int) string {
	var parts []string
	recursive := ""
	for range 1 + g.IntN(2) {
		if len(parts) > 0 && g.IntN(3) == 0 {
			break
		}
		name := g.fresh("w")
		if g.IntN(8) == 0 {
			// The name of a table, or of a WITH query further out.
			name = pick(g, "bill_a", "v_label", "grand", "w1")
		}
		if slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+" ") }) {
			continue
		}
		if g.IntN(10) == 0 {
			recursive = "RECURSIVE "
			walk := fmt.Sprintf("%s (a, b) AS (SELECT id, toy FROM child UNION ALL SELECT c.id, c.toy || r.b FROM %s r JOIN child c ON c.parent_id = r.a)", name, name)
			switch g.IntN(3) {
			case 0:
				walk += " SEARCH " + pick(g, "DEPTH", "BREADTH") + " FIRST BY b SET o"
			case 1:
				walk += " CYCLE a SET c USING p"
			default:
				walk += " SEARCH DEPTH FIRST BY a SET o CYCLE b SET c TO 1 DEFAULT 0 USING p"
			}
			parts = append(parts, walk)
			g.ctes = append(g.ctes, genTable{name: name, cols: []genCol{{"a", "int"}, {"b", "text"}}})
			continue
		}
		if g.IntN(3) == 0 {
			recursive = "RECURSIVE "
			base := pick(g, "SELECT id, name, mail::text FROM person", "SELECT id, toy, toy FROM child", "SELECT id, mail::text, name FROM person")
			step := pick(g,
				"SELECT a + 1, c, b FROM %[1]s WHERE a < 3",
				"SELECT r.a + 1, c.toy, r.b FROM %[1]s r JOIN child c ON c.parent_id = r.a WHERE r.a < 4",
				"SELECT a + 1, b || c, b FROM %[1]s WHERE a < 3")
			parts = append(parts, strings.ReplaceAll(fmt.Sprintf("%s (a, b, c) AS (%s UNION ALL %s)", name, base, step), "%[1]s", name))
			g.ctes = append(g.ctes, genTable{name: name, cols: []genCol{{"a", "int"}, {"b", "text"}, {"c", "text"}}})
			continue
		}
		q, cols := g.query(depth-1, nil)
		var names []string
		for i := range cols {
			cols[i].name = g.fresh("x")
			names = append(names, cols[i].name)
		}
		mat := pick(g, "", "", " MATERIALIZED", " NOT MATERIALIZED")
		parts = append(parts, fmt.Sprintf("%s (%s) AS%s (%s)", name, strings.Join(names, ", "), mat, q))
		g.ctes = append(g.ctes, genTable{name: name, cols: cols})
	}
	return "WITH " + recursive + strings.Join(parts, ", ") + " "
}

func (g *generator) setOp(depth int, outer []genAlias) (string, []genCol) {
	n := 1 + g.IntN(3)
	var types []string
	for range n {
		types = append(types, pick(g, "int", "text", "text", "date", "bool"))
	}
	arm := func() string {
		aliases, from := g.from(depth-1, outer)
		scope := append(aliases[:len(aliases):len(aliases)], outer...)
		var t []string
		for _, typ := range types {
			if g.IntN(10) == 0 && (typ == "text" || g.IntN(2) == 0) {
				t = append(t, pick(g, "NULL", "NULL", map[bool]string{true: "'lit'", false: "NULL"}[typ == "text"]))
				continue
			}
			t = append(t, g.expr(typ, depth-1, scope))
		}
		return "SELECT " + strings.Join(t, ", ") + " FROM " + from
	}
	sql := arm()
	for range 1 + g.IntN(2) {
		sql += " " + pick(g, "UNION", "UNION ALL", "INTERSECT", "EXCEPT") + " " + arm()
	}
	cols := make([]genCol, n)
	for i, t := range types {
		cols[i] = genCol{fmt.Sprintf("?%d", i), t}
	}
	if g.IntN(3) == 0 {
		sql += " ORDER BY 1"
	}
	return sql, cols
}

func (g *generator) selectQuery(depth int, outer []genAlias) (string, []genCol) {
	aliases, from := g.from(depth, outer)
	scope := append(aliases[:len(aliases):len(aliases)], outer...)
	var targets []string
	var cols []genCol
	grouped := g.IntN(5) == 0
	groupBy, tail := "", ""
	if grouped {
		key := g.column("", aliases)
		targets = append(targets, key.name+" AS k")
		cols = append(cols, genCol{"k", key.typ})
		for range 1 + g.IntN(3) {
			e, typ := g.aggregate(aliases)
			name := g.fresh("a")
			targets = append(targets, e+" AS "+name)
			cols = append(cols, genCol{name, typ})
		}
		groupBy = " GROUP BY " + pick(g, key.name, "1", "k", "GROUPING SETS (("+key.name+"), ())", "ROLLUP ("+key.name+")", "CUBE ("+key.name+")")
		if strings.Contains(groupBy, "("+key.name) {
			targets = append(targets, pick(g, "grouping("+key.name+") AS gr", "CASE WHEN grouping("+key.name+") = 1 THEN 7 END AS gr"))
			cols = append(cols, genCol{"gr", "int"})
		}
		if g.IntN(3) == 0 {
			groupBy += " HAVING count(*) > 0"
		}
	} else {
		for range 1 + g.IntN(4) {
			if row, ok := g.row(scope); ok && g.IntN(10) == 0 {
				name := g.fresh("r")
				targets = append(targets, row+" AS "+name)
				cols = append(cols, genCol{name, "person"})
				continue
			}
			if g.IntN(12) == 0 && depth == 3 {
				targets = append(targets, pick(g, "*", aliases[0].name+".*"))
				continue
			}
			typ := pick(g, "int", "text", "text", "text", "bool", "date", "numeric", "jsonb", "text[]", "any")
			e := ""
			if typ == "any" {
				c := g.column("", scope)
				e, typ = c.name, c.typ
			} else {
				e = g.expr(typ, depth, scope)
			}
			name := g.fresh("e")
			targets = append(targets, e+" AS "+name)
			cols = append(cols, genCol{name, typ})
		}
	}
	if len(cols) == 0 {
		cols = append(cols, genCol{"z", "int"})
		targets = append(targets, "1 AS z")
	}
	where := ""
	if g.IntN(2) == 0 {
		where = " WHERE " + g.expr("bool", depth-1, scope)
	}
	distinct := ""
	if !grouped && g.IntN(12) == 0 {
		distinct = pick(g, "DISTINCT ", "DISTINCT ON (1) ")
	}
	if g.IntN(5) == 0 {
		tail += " ORDER BY 1"
	}
	if g.IntN(6) == 0 {
		tail += " LIMIT 3"
	}
	return "SELECT " + distinct + strings.Join(targets, ", ") + " FROM " + from + where + groupBy + tail, cols
}

// from makes a FROM list and what it brings into scope.
func (g *generator) from(depth int, outer []genAlias) ([]genAlias, string) {
	var aliases []genAlias
	var items []string
	n := 1
	if g.IntN(3) == 0 {
		n = 2
	}
	for i := range n {
		a, sql := g.item(depth, outer, aliases)
		if i > 0 && g.IntN(2) == 0 {
			kind := pick(g, "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
			last := aliases[len(aliases)-1]
			on := " ON " + g.joinOn(last, a)
			items[len(items)-1] += " " + kind + " " + sql + on
		} else {
			items = append(items, sql)
		}
		aliases = append(aliases, a)
	}
	if g.IntN(8) == 0 {
		l, r, k := g.fresh("l"), g.fresh("r"), pick(g, "JOIN", "LEFT JOIN", "FULL JOIN", "NATURAL JOIN")
		using := " USING (id)"
		if k == "NATURAL JOIN" {
			using = ""
		}
		ju := g.fresh("j")
		if using != "" && g.IntN(3) == 0 {
			items = append(items, fmt.Sprintf("v_person %s %s v_union %s%s AS %s", l, k, r, using, ju))
			aliases = append(aliases, genAlias{ju, genTable{cols: []genCol{{"id", "int"}}}}, genAlias{l, genTable{cols: []genCol{{"contact", "text"}}}}, genAlias{r, genTable{cols: []genCol{{"word", "text"}}}})
			return aliases, strings.Join(items, ", ")
		}
		items = append(items, fmt.Sprintf("(v_person %s %s v_union %s%s) AS %s", l, k, r, using, ju))
		aliases = append(aliases, genAlias{ju, genTable{cols: []genCol{{"id", "int"}, {"name", "text"}, {"contact", "text"}, {"word", "text"}}}})
	}
	return aliases, strings.Join(items, ", ")
}

func (g *generator) joinOn(a, b genAlias) string {
	x, y := g.columnOf("int", a), g.columnOf("int", b)
	if x == "" || y == "" {
		return "true"
	}
	return x + " = " + y
}

func (g *generator) columnOf(typ string, a genAlias) string {
	for _, c := range a.t.cols {
		if c.typ == typ && !strings.HasPrefix(c.name, "?") {
			return a.name + "." + c.name
		}
	}
	return ""
}

func (g *generator) item(depth int, outer, left []genAlias) (genAlias, string) {
	alias := g.fresh("t")
	switch {
	case depth > 0 && g.IntN(5) == 0:
		lateral := ""
		scope := outer
		if g.IntN(2) == 0 {
			lateral, scope = "LATERAL ", append(left[:len(left):len(left)], outer...)
		}
		q, cols := g.query(depth-1, scope)
		var names []string
		for i := range cols {
			cols[i].name = g.fresh("s")
			names = append(names, cols[i].name)
		}
		return genAlias{alias, genTable{cols: cols}}, fmt.Sprintf("%s(%s) AS %s (%s)", lateral, q, alias, strings.Join(names, ", "))
	case len(g.ctes) > 0 && g.IntN(3) == 0:
		c := pick(g, g.ctes...)
		return genAlias{alias, c}, c.name + " AS " + alias
	case g.IntN(10) == 0:
		scope := append(left[:len(left):len(left)], outer...)
		switch g.IntN(10) {
		case 6:
			return genAlias{alias, genTable{cols: []genCol{{"value", "jsonb"}}}}, fmt.Sprintf("jsonb_array_elements(%s -> 'l') AS %s", g.expr("jsonb", 0, scope), alias)
		case 7:
			return genAlias{alias, genTable{cols: []genCol{{"a", "text"}, {"b", "int"}}}},
				fmt.Sprintf("jsonb_to_recordset(jsonb_build_array(%s)) AS %s (a text, b int)", g.expr("jsonb", 1, scope), alias)
		case 8:
			return genAlias{alias, genTable{cols: []genCol{{"street", "text"}, {"zip", "int"}}}},
				fmt.Sprintf("unnest(ARRAY[%s, %s]) AS %s", g.expr("addr", 0, scope), g.expr("addr", 0, scope), alias)
		case 9:
			return genAlias{alias, genTable{cols: []genCol{{"a", "text"}, {"n", "int"}}}},
				fmt.Sprintf("XMLTABLE('/a' PASSING xmlelement(name a, %s) COLUMNS a text PATH 'x' DEFAULT %s, n FOR ORDINALITY) AS %s", g.expr("text", 0, scope), g.expr("text", 0, scope), alias)
		case 0:
			return genAlias{alias, genTable{cols: []genCol{{"v", "int"}}}}, fmt.Sprintf("generate_series(1, %s) AS %s (v)", g.expr("int", 0, scope), alias)
		case 1:
			return genAlias{alias, genTable{cols: []genCol{{"v", "text"}, {"o", "int"}}}}, fmt.Sprintf("unnest(%s) WITH ORDINALITY AS %s (v, o)", g.expr("text[]", 1, scope), alias)
		case 2:
			return genAlias{alias, genTable{cols: []genCol{{"key", "text"}, {"value", "jsonb"}}}}, fmt.Sprintf("jsonb_each(%s) AS %s", g.expr("jsonb", 0, scope), alias)
		case 3:
			return genAlias{alias, genTable{cols: []genCol{{"a", "text"}, {"b", "int"}}}},
				fmt.Sprintf("ROWS FROM (unnest(%s), generate_series(1, 2)) AS %s (a, b)", g.expr("text[]", 1, scope), alias)
		case 4:
			return genAlias{alias, genTable{cols: []genCol{{"k", "text"}, {"n", "int"}}}},
				fmt.Sprintf("jsonb_to_record(%s) AS %s (k text, n int)", g.expr("jsonb", 0, scope), alias)
		default:
			return genAlias{alias, genTable{cols: []genCol{{"a", "text"}, {"b", "int"}}}},
				fmt.Sprintf("unnest(%s, %s) AS %s (a, b)", g.expr("text[]", 1, scope), g.expr("int[]", 1, scope), alias)
		}
	case g.IntN(12) == 0:
		return genAlias{alias, genTable{cols: []genCol{{"a", "int"}, {"b", "text"}}}},
			fmt.Sprintf("(VALUES (%s, %s), (2, %s)) AS %s (a, b)", g.expr("int", 0, outer), g.expr("text", 0, outer), g.expr("text", 0, outer), alias)
	}
	t := pick(g, g.tables...)
	only := ""
	if g.IntN(10) == 0 {
		only = "ONLY "
	}
	if strings.HasPrefix(t.name, "v_") || t.name == "m_person" {
		only = ""
	}
	return genAlias{alias, t}, only + t.name + " AS " + alias
}

// column returns some column in scope, of typ or of any type.
func (g *generator) column(typ string, scope []genAlias) genCol {
	var all []genCol
	for _, a := range scope {
		for _, c := range a.t.cols {
			if (typ == "" || c.typ == typ) && !strings.HasPrefix(c.name, "?") {
				all = append(all, genCol{a.name + "." + c.name, c.typ})
			}
		}
	}
	if len(all) == 0 {
		if typ == "" {
			typ = "int"
		}
		return genCol{g.literal(typ), typ}
	}
	return pick(g, all...)
}

func (g *generator) literal(typ string) string {
	switch typ {
	case "int":
		return fmt.Sprint(g.IntN(5))
	case "text":
		return pick(g, "'x'", "'y'::text", "U&'\\0061'", "E'\\t'")
	case "bool":
		return pick(g, "true", "false")
	case "date":
		return "date '2020-01-01'"
	case "ts":
		return "now()"
	case "numeric":
		return "1.5"
	case "jsonb":
		return `'{"k": "v"}'::jsonb`
	case "int[]":
		return "ARRAY[1, 2]"
	case "text[]":
		return "ARRAY['p', 'q']"
	case "addr":
		return "ROW('s', 1)::addr"
	}
	return "NULL"
}

func (g *generator) aggregate(scope []genAlias) (string, string) {
	e := func(t string) string { return g.expr(t, 1, scope) }
	filter := ""
	if g.IntN(4) == 0 {
		filter = " FILTER (WHERE " + e("bool") + ")"
	}
	if g.IntN(8) == 0 {
		q, _ := g.scalar("int", 1, scope)
		filter = " FILTER (WHERE (" + q + ") > 1)"
	}
	switch g.IntN(17) {
	case 10:
		return "percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY " + e("text") + ")" + filter, "text[]"
	case 11:
		return "rank(3) WITHIN GROUP (ORDER BY " + e("int") + ")::int", "int"
	case 12:
		return "xmlagg(xmlelement(name x, " + e("text") + ") ORDER BY " + e("int") + ")::text", "text"
	case 13:
		return "json_object_agg(" + e("int") + ", " + e("text") + ")::jsonb", "jsonb"
	case 14:
		return "((array_agg(" + e("addr") + "))[1]).street", "text"
	case 15:
		return "(sum(sum(" + e("int") + ")) OVER ())::int", "int"
	case 0:
		return "count(*)" + filter, "int"
	case 1:
		return "count(" + e("text") + ")" + filter, "int"
	case 2:
		return "sum(" + e("int") + ")" + filter, "int"
	case 3:
		return "string_agg(" + e("text") + ", ',' ORDER BY " + e("int") + ")" + filter, "text"
	case 4:
		return "array_agg(" + e("text") + " ORDER BY " + e("int") + ")" + filter, "text[]"
	case 5:
		return "jsonb_object_agg(" + e("int") + ", " + e("text") + ")" + filter, "jsonb"
	case 6:
		return "max(" + e("text") + ")" + filter, "text"
	case 7:
		return "mode() WITHIN GROUP (ORDER BY " + e("text") + ")" + filter, "text"
	case 8:
		return "percentile_cont(0.5) WITHIN GROUP (ORDER BY " + e("numeric") + ")::int", "int"
	case 9:
		return "bool_or(" + e("bool") + ")" + filter, "bool"
	default:
		return "jsonb_agg(" + scope[g.IntN(len(scope))].name + ")" + filter, "jsonb"
	}
}

// expr makes an expression of a type.
func (g *generator) expr(typ string, depth int, scope []genAlias) string {
	if depth <= 0 || g.IntN(3) == 0 {
		if g.IntN(6) == 0 {
			return g.literal(typ)
		}
		return g.column(typ, scope).name
	}
	e := func(t string) string { return g.expr(t, depth-1, scope) }
	if g.IntN(8) == 0 {
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", e("bool"), e(typ), e(typ))
	}
	if g.IntN(10) == 0 {
		return fmt.Sprintf("COALESCE(%s, %s)", e(typ), e(typ))
	}
	if g.IntN(10) == 0 && depth > 1 {
		q, _ := g.scalar(typ, depth-1, scope)
		return "(" + q + ")"
	}
	switch typ {
	case "int":
		switch g.IntN(13) {
		case 8:
			if row, ok := g.row(scope); ok {
				return pick(g, "("+row+").id", "("+row+").rank", "("+row+").home.zip")
			}
			return e("int")
		case 9:
			return "(" + e("int") + ")::positive::int"
		case 10:
			if a := g.table(scope); a != "" {
				return pick(g, a+".tableoid::int", "length("+a+".ctid::text)", a+".xmin::text::int")
			}
			return e("int")
		case 11:
			return "(rank() OVER (PARTITION BY " + e("text") + " ORDER BY " + e("int") + "))::int"
		case 0:
			return "length(" + e("text") + ")"
		case 1:
			return "(" + e("int[]") + ")[1]"
		case 2:
			return "row_number() OVER (ORDER BY " + e("text") + ")::int"
		case 3:
			return "extract(year FROM " + e("date") + ")::int"
		case 4:
			return "(" + e("addr") + ").zip"
		case 5:
			return "nullif(" + e("int") + ", 3)"
		case 6:
			return "-(" + e("int") + ")"
		case 7:
			return "greatest(" + e("int") + ", " + e("int") + ")"
		default:
			return "(" + e("int") + " " + pick(g, "+", "-", "*") + " " + e("int") + ")"
		}
	case "text":
		switch g.IntN(27) {
		case 17:
			if row, ok := g.row(scope); ok {
				return "((" + row + ").name || (" + row + ").mail)"
			}
			return e("text")
		case 18:
			if row, ok := g.row(scope); ok {
				return pick(g, "("+row+").home.street", "(("+row+").tags)[1]", "("+row+").feel::text")
			}
			return e("text")
		case 19:
			return "xmlelement(name a, xmlattributes(" + e("int") + " AS i), " + e("text") + ")::text"
		case 20:
			return "xmlserialize(content xmlforest(" + e("text") + " AS a, " + e("date") + " AS b) AS text)"
		case 21:
			return "(" + e("text") + ")::mood::text"
		case 22:
			q, _ := g.scalar("text", depth-1, scope)
			return "(ARRAY(" + q + "))[1]"
		case 23:
			// More than one level out.
			q, _ := g.scalar("text", depth-2, scope)
			return "(SELECT x FROM (" + strings.Replace(q, " FROM ", " AS x FROM ", 1) + ") AS deep)"
		case 24:
			if len(scope) > 0 {
				a := pick(g, scope...)
				if a.t.row && a.t.name != "bill" {
					return pick(g, "(SELECT whole FROM (SELECT "+a.name+" AS whole) AS w)::text", "(SELECT w.whole FROM (VALUES ("+a.name+")) AS w (whole))::text")
				}
			}
			return e("text")
		case 25:
			return "(CASE " + e("int") + " WHEN 1 THEN " + e("text") + " WHEN " + e("int") + " THEN " + e("text") + " END)"
		case 0:
			return "upper(" + e("text") + ")"
		case 1:
			return "(" + e("text") + " || " + e("text") + ")"
		case 2:
			return "(" + e("int") + ")::text"
		case 3:
			return "substring(" + e("text") + " from 2 for 3)"
		case 4:
			return "(" + e("jsonb") + " ->> 'k')"
		case 5:
			return "(" + e("text[]") + ")[1]"
		case 6:
			return "(" + e("addr") + ").street"
		case 7:
			return "format('%s-%s', " + e("int") + ", " + e("text") + ")"
		case 8:
			return "concat(" + e("text") + ", " + e("date") + ", " + e("numeric") + ")"
		case 9:
			return "lag(" + e("text") + ") OVER (PARTITION BY " + e("int") + " ORDER BY " + e("date") + ")"
		case 10:
			return "cast(" + e("numeric") + " AS varchar(9))"
		case 11:
			return "(" + e("text") + ` COLLATE "C")`
		case 12:
			return "to_char(" + e("date") + ", 'YYYY')"
		case 13:
			return "array_to_string(" + e("text[]") + ", ',')"
		case 14:
			if len(scope) > 0 {
				return "(" + pick(g, scope...).name + ")::text"
			}
			return e("text")
		case 15:
			return "first_value(" + e("text") + ") OVER (ORDER BY " + e("int") + " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
		case 16:
			return "coalesce(nullif(" + e("text") + ", 'x'), " + e("text") + ")"
		default:
			return "replace(" + e("text") + ", 'a', " + e("text") + ")"
		}
	case "bool":
		switch g.IntN(18) {
		case 11:
			q, _ := g.scalar("int", depth-1, scope)
			return "(" + e("int") + pick(g, " > ", " = ", " <> ") + pick(g, "ALL", "ANY", "SOME") + " (" + q + "))"
		case 12:
			q, _ := g.scalar("int", depth-1, scope)
			return "((" + e("int") + ", " + e("text") + ") IN (SELECT x.a, " + e("text") + " FROM (" + strings.Replace(q, " FROM ", " AS a FROM ", 1) + ") AS x))"
		case 13:
			return "((" + e("int") + ", " + e("text") + ") IN ((1, " + e("text") + "), (" + e("int") + ", 'b')))"
		case 14:
			return "((" + e("int") + ", " + e("int") + ") = (SELECT " + e("int") + ", " + e("int") + " LIMIT 1))"
		case 15:
			return "(" + e("bool") + " IS NOT TRUE)"
		case 16:
			if row, ok := g.row(scope); ok {
				return pick(g, "(("+row+") IS NULL)", "(("+row+") = ("+row+"))", "(("+row+").ok)")
			}
			return e("bool")
		case 0:
			return "(" + e("int") + " > " + e("int") + ")"
		case 1:
			return "(" + e("text") + " LIKE 'm%')"
		case 2:
			return "(" + e("text") + " IS NULL)"
		case 3:
			return "(" + e("bool") + " AND NOT " + e("bool") + ")"
		case 4:
			return "(" + e("int") + " IN (1, " + e("int") + "))"
		case 5:
			return "(" + e("int") + " BETWEEN 0 AND " + e("int") + ")"
		case 6:
			return "(" + e("int") + " = ANY (" + e("int[]") + "))"
		case 7:
			q, _ := g.scalar("int", depth-1, scope)
			return "(" + e("int") + " IN (" + q + "))"
		case 8:
			q, _ := g.query(depth-1, scope)
			return "EXISTS (" + q + ")"
		case 9:
			return "(" + e("text") + " IS DISTINCT FROM " + e("text") + ")"
		case 10:
			return "(ROW(" + e("int") + ", " + e("text") + ") < ROW(1, 'x'))"
		default:
			return "(" + e("date") + " <= " + e("date") + ")"
		}
	case "date":
		return pick(g, "("+e("date")+" + "+e("int")+")", "("+e("date")+" + interval '1 day')::date", "date_trunc('month', "+e("date")+")::date", "("+e("ts")+")::date")
	case "ts":
		return pick(g, "now()", "("+e("date")+")::timestamptz")
	case "numeric":
		return pick(g, "("+e("numeric")+" * 2)", "round("+e("numeric")+", 1)", "("+e("int")+")::numeric", "abs("+e("numeric")+")")
	case "jsonb":
		row := g.literal("jsonb")
		if len(scope) > 0 {
			row = "to_jsonb(" + pick(g, scope...).name + ")"
		}
		return pick(g, row, "jsonb_build_object('a', "+e("text")+", 'b', "+e("int")+")", "("+e("jsonb")+" || "+e("jsonb")+")", "("+e("jsonb")+" -> 'k')",
			"to_jsonb("+e("text")+")", "jsonb_set("+e("jsonb")+", '{x}', to_jsonb("+e("int")+"))", "("+e("jsonb")+")['k']")
	case "text[]":
		q, _ := g.scalar("text", depth-1, scope)
		return pick(g, "ARRAY["+e("text")+", "+e("text")+"]", "string_to_array("+e("text")+", ',')", "("+e("text[]")+" || "+e("text")+")", "ARRAY("+q+")", "regexp_split_to_array("+e("text")+", 'a')")
	case "int[]":
		return pick(g, "ARRAY["+e("int")+", 2]", "("+e("int[]")+")[1:2]", "("+e("int[]")+" || "+e("int")+")")
	case "addr":
		return pick(g, "ROW("+e("text")+", "+e("int")+")::addr", g.column("addr", scope).name)
	}
	return g.column(typ, scope).name
}

// scalar makes a query of one column, limited to one row.
// row returns an expression of type person in scope, function notation aside.
func (g *generator) row(scope []genAlias) (string, bool) {
	for _, a := range scope {
		for _, c := range a.t.cols {
			if c.typ == "person" && g.IntN(2) == 0 {
				return a.name + "." + c.name, true
			}
		}
		if a.t.name != "person" {
			continue
		}
		switch g.IntN(4) {
		case 0:
			return "(SELECT p FROM person AS p LIMIT 1)", true
		case 1:
			return "coalesce(" + a.name + ", " + a.name + ")", true
		case 2:
			return "CASE WHEN " + a.name + ".ok THEN " + a.name + " END", true
		}
		return a.name, true
	}
	return "", false
}

// table returns an alias of a table in scope, or "".
func (g *generator) table(scope []genAlias) string {
	for _, a := range scope {
		if a.t.row && !strings.HasPrefix(a.t.name, "v_") {
			return a.name
		}
	}
	return ""
}

func (g *generator) scalar(typ string, depth int, outer []genAlias) (string, string) {
	aliases, from := g.from(depth-1, outer)
	scope := append(aliases[:len(aliases):len(aliases)], outer...)
	return "SELECT " + g.expr(typ, depth, scope) + " FROM " + from + pick(g, "", " WHERE "+g.expr("bool", 0, scope)) + " LIMIT 1", typ
}
