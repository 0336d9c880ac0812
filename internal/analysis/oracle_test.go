package analysis

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// The oracle asks the server: it makes a temporary view of a query, and reads
// the analyzed tree in pg_rewrite.ev_action. Only the walk over that tree is
// ours; names, types, overloads and casts are the server's.
type oracle struct {
	conn  *pgx.Conn
	snap  *catalog.Snapshot
	views map[catalog.OID]*tree
}

// lineage returns, for each output column of a SELECT, its base columns.
func (o *oracle) lineage(ctx context.Context, sql string) (out []Columns, names []string, err error) {
	undo, err := attempt(ctx, o.conn)
	if err != nil {
		return nil, nil, err
	}
	defer undo()
	// A view cannot have two columns of a name: give them names by place.
	var desc []string
	sd, err := o.conn.PgConn().Prepare(ctx, "", sql, nil)
	if err != nil {
		return nil, nil, errInvalid{err}
	}
	for i := range sd.Fields {
		desc = append(desc, fmt.Sprintf("c%d", i))
		names = append(names, sd.Fields[i].Name)
	}
	if _, err := o.conn.Exec(ctx, "CREATE TEMP VIEW oracle_view ("+strings.Join(desc, ",")+") AS "+sql); err != nil {
		return nil, nil, errInvalid{err}
	}
	q, err := o.load(ctx, "'oracle_view'::regclass")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("oracle: %v", r)
		}
	}()
	w := &walker{o: o, ctx: ctx, within: map[*tree]bool{}}
	out = append(out, w.query(q, nil)...)
	return out, names, nil
}

// attempt opens a transaction, or a part of the one that is open, and returns
// what takes back all that happened in it.
func attempt(ctx context.Context, conn *pgx.Conn) (undo func() error, err error) {
	begin, end := "BEGIN", "ROLLBACK"
	if conn.PgConn().TxStatus() != 'I' {
		begin, end = "SAVEPOINT attempt", "ROLLBACK TO attempt; RELEASE attempt"
	}
	_, err = conn.Exec(ctx, begin)
	return func() error {
		_, err := conn.PgConn().Exec(ctx, end).ReadAll()
		return err
	}, err
}

// errInvalid wraps what the server said of a query that is not valid.
type errInvalid struct{ error }

func (o *oracle) load(ctx context.Context, where string) (*tree, error) {
	var text string
	if err := o.conn.QueryRow(ctx, "SELECT ev_action::text FROM pg_rewrite WHERE rulename = '_RETURN' AND ev_class = "+where).Scan(&text); err != nil {
		return nil, err
	}
	v, err := readTree(text)
	if err != nil {
		return nil, err
	}
	return v.([]any)[0].(*tree), nil
}

func (o *oracle) view(ctx context.Context, oid catalog.OID) *tree {
	if t := o.views[oid]; t != nil {
		return t
	}
	t, err := o.load(ctx, fmt.Sprint(oid))
	if err != nil {
		panic(err)
	}
	o.views[oid] = t
	return t
}

type walker struct {
	o      *oracle
	ctx    context.Context
	within map[*tree]bool // WITH queries that part looks into
}

// level is a query with those around it.
type level struct {
	q      *tree
	outer  *level
	ctes   map[string][]Columns // done or under way
	rtable []*tree
}

func (w *walker) query(q *tree, outer *level) []Columns {
	l := &level{q: q, outer: outer, ctes: map[string][]Columns{}}
	for _, r := range q.list("rtable") {
		l.rtable = append(l.rtable, r.(*tree))
	}
	if so := q.node("setOperations"); so != nil {
		return w.setOp(so, l)
	}
	var out []Columns
	for _, n := range q.list("targetList") {
		te := n.(*tree)
		if te.str("resjunk") == "true" {
			continue
		}
		out = append(out, w.expr(te.fields["expr"], l))
	}
	return out
}

func (w *walker) setOp(n *tree, l *level) []Columns {
	if n.name == "RANGETBLREF" {
		return w.rte(n.num("rtindex"), l)
	}
	left, right := w.setOp(n.node("larg"), l), w.setOp(n.node("rarg"), l)
	for i := range left {
		left[i] = left[i].Union(right[i])
	}
	return left
}

// rte returns the columns of a range table entry.
func (w *walker) rte(index int, l *level) []Columns {
	r := l.rtable[index-1]
	switch r.num("rtekind") {
	case 0: // relation
		oid := catalog.OID(r.num("relid"))
		rel := w.o.snap.Relation(oid)
		if rel == nil {
			panic(fmt.Sprintf("relation %d", oid))
		}
		if rel.Kind == 'v' && !isSystemSchema(rel.Schema) {
			return w.query(w.o.view(w.ctx, oid), nil)
		}
		out := make([]Columns, len(rel.Columns))
		for i, c := range rel.Columns {
			if !c.Dropped {
				out[i] = Columns{{oid, c.Num}}
			}
		}
		return out
	case 1: // subquery
		return w.query(r.node("subquery"), l)
	case 2: // join
		var out []Columns
		for _, v := range r.list("joinaliasvars") {
			out = append(out, w.expr(v, l))
		}
		return out
	case 3: // function
		var out []Columns
		for _, f := range r.list("functions") {
			fn := f.(*tree)
			c := w.expr(fn.fields["funcexpr"], l)
			for range fn.num("funccolcount") {
				out = append(out, c)
			}
		}
		if r.str("funcordinality") == "true" {
			out = append(out, nil)
		}
		return out
	case 4: // XMLTABLE
		f := r.node("tablefunc")
		base := w.expr([]any{f.fields["docexpr"], f.fields["rowexpr"], f.fields["ns_uris"]}, l)
		paths, defaults := f.list("colexprs"), f.list("coldefexprs")
		out := make([]Columns, len(paths))
		for i := range out {
			if i != f.num("ordinalitycol") {
				out[i] = base.Union(w.expr(paths[i], l)).Union(w.expr(defaults[i], l))
			}
		}
		return out
	case 5: // values
		var out []Columns
		for _, row := range r.list("values_lists") {
			for i, v := range row.([]any) {
				if i == len(out) {
					out = append(out, nil)
				}
				out[i] = out[i].Union(w.expr(v, l))
			}
		}
		return out
	case 6: // WITH query
		at := l
		for range r.num("ctelevelsup") {
			at = at.outer
		}
		return w.cte(unescape(r.str("ctename")), at)
	case 9: // GROUP step (PostgreSQL 18)
		var out []Columns
		for _, v := range r.list("groupexprs") {
			out = append(out, w.expr(v, l))
		}
		return out
	}
	panic(fmt.Sprintf("range table entry of kind %s", r.str("rtekind")))
}

func unescape(s string) string { return strings.ReplaceAll(s, `\`, "") }

func (w *walker) cte(name string, l *level) []Columns {
	if c, ok := l.ctes[name]; ok {
		return c
	}
	for _, n := range l.q.list("cteList") {
		c := n.(*tree)
		if unescape(c.str("ctename")) != name {
			continue
		}
		q := c.node("ctequery")
		n := len(q.list("targetList"))
		l.ctes[name] = make([]Columns, n)
		for {
			cols := w.query(q, l)
			same := true
			for i := range cols {
				u := l.ctes[name][i].Union(cols[i])
				same = same && len(u) == len(l.ctes[name][i])
				cols[i] = u
			}
			l.ctes[name] = cols
			if same {
				return cols
			}
		}
	}
	panic("WITH query " + name)
}

// expr returns the columns that flow into an expression: conditions of CASE
// count, FILTER and ORDER BY of aggregates and window clauses do not, and of a
// subquery only its output.
func (w *walker) expr(v any, l *level) Columns {
	switch n := v.(type) {
	case []any:
		var out Columns
		for _, e := range n {
			out = out.Union(w.expr(e, l))
		}
		return out
	case *tree:
		switch n.name {
		case "VAR":
			at := l
			for range n.num("varlevelsup") {
				at = at.outer
			}
			att := n.num("varattno")
			if att < 0 {
				return Columns{{catalog.OID(at.rtable[n.num("varno")-1].num("relid")), int16(att)}}
			}
			cols := w.rte(n.num("varno"), at)
			if att == 0 {
				var out Columns
				for _, c := range cols {
					out = out.Union(c)
				}
				return out
			}
			return cols[att-1]
		case "CONST", "PARAM", "CASETESTEXPR", "GROUPINGFUNC", "SQLVALUEFUNCTION", "COERCETODOMAINVALUE":
			return nil
		case "FIELDSELECT":
			return w.field(n, l)
		case "SUBLINK":
			var out Columns
			kind := n.num("subLinkType")
			if kind == 0 { // EXISTS
				return nil
			}
			out = w.expr(n.fields["testexpr"], l)
			for _, c := range w.query(n.node("subselect"), l) {
				out = out.Union(c)
			}
			return out
		case "AGGREF":
			out := w.expr(n.fields["aggdirectargs"], l)
			for _, a := range n.list("args") {
				te := a.(*tree)
				if te.str("resjunk") == "true" {
					continue
				}
				out = out.Union(w.expr(te.fields["expr"], l))
			}
			return out
		case "WINDOWFUNC":
			return w.expr(n.fields["args"], l)
		}
		var out Columns
		for _, f := range n.fields {
			switch f.(type) {
			case []any, *tree:
				out = out.Union(w.expr(f, l))
			}
		}
		return out
	}
	return nil
}

// field returns the columns behind one part of a row, where it can be told.
func (w *walker) field(n *tree, l *level) Columns {
	return w.part(n.node("arg"), n.num("fieldnum")-1, l)
}

// part returns the columns behind part i of a row expression.
func (w *walker) part(arg *tree, i int, l *level) Columns {
	if arg == nil {
		return nil
	}
	all := func(list []any) (out Columns) {
		for _, a := range list {
			out = out.Union(w.part(a.(*tree), i, l))
		}
		return out
	}
	switch arg.name {
	case "RELABELTYPE", "CONVERTROWTYPEEXPR", "COERCETODOMAIN":
		return w.part(arg.node("arg"), i, l)
	case "ROW", "ROWEXPR":
		if args := arg.list("args"); i < len(args) {
			return w.expr(args[i], l)
		}
	case "COALESCE", "COALESCEEXPR":
		return all(arg.list("args"))
	case "CASE", "CASEEXPR":
		out := w.expr(arg.fields["arg"], l).Union(w.part(arg.node("defresult"), i, l))
		for _, a := range arg.list("args") {
			when := a.(*tree)
			out = out.Union(w.expr(when.fields["expr"], l)).Union(w.part(when.node("result"), i, l))
		}
		return out
	case "SUBLINK":
		if arg.num("subLinkType") == 4 {
			return w.target(arg.node("subselect"), 0, i, l)
		}
	case "VAR":
		at := l
		for range arg.num("varlevelsup") {
			at = at.outer
		}
		att := arg.num("varattno")
		if att == 0 {
			if cols := w.rte(arg.num("varno"), at); i < len(cols) {
				return cols[i]
			}
			break
		}
		r := at.rtable[arg.num("varno")-1]
		switch r.num("rtekind") {
		case 1:
			return w.target(r.node("subquery"), att-1, i, at)
		case 2:
			return w.part(r.list("joinaliasvars")[att-1].(*tree), i, at)
		case 6:
			from := at
			for range r.num("ctelevelsup") {
				from = from.outer
			}
			for _, n := range from.q.list("cteList") {
				c := n.(*tree)
				if unescape(c.str("ctename")) != unescape(r.str("ctename")) {
					continue
				}
				if w.within[c] {
					return nil // what it adds comes from elsewhere
				}
				w.within[c] = true
				defer delete(w.within, c)
				return w.target(c.node("ctequery"), att-1, i, from)
			}
		}
	}
	return w.expr(arg, l)
}

// arms returns the columns behind part i of output n of a set operation.
func (w *walker) arms(so *tree, n, i int, l *level) Columns {
	if so.name == "RANGETBLREF" {
		return w.target(l.rtable[so.num("rtindex")-1].node("subquery"), n, i, l)
	}
	return w.arms(so.node("larg"), n, i, l).Union(w.arms(so.node("rarg"), n, i, l))
}

// target returns the columns behind part i of output n of a subquery.
func (w *walker) target(q *tree, n, i int, outer *level) Columns {
	l := &level{q: q, outer: outer, ctes: map[string][]Columns{}}
	for _, r := range q.list("rtable") {
		l.rtable = append(l.rtable, r.(*tree))
	}
	if so := q.node("setOperations"); so != nil {
		return w.arms(so, n, i, l)
	}
	return w.part(q.list("targetList")[n].(*tree).node("expr"), i, l)
}
