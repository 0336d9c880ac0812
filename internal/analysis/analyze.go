package analysis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A Session is what the analysis must know of the connection that a text is
// meant for.
type Session struct {
	// Path is current_schemas(true): the effective search path, pg_temp and
	// pg_catalog included where they are searched.
	Path []string
	// User is the role of the session, whose name $user stands for in the
	// search_path of a function. "" where there is none.
	User string
	// Resolve asks the server, in this session, what the names of a text mean.
	// Nil: they are looked up in the snapshot along Path.
	Resolve func(ctx context.Context, n Names) (Resolution, error)
	// Prepared gives the text of an SQL-level prepared statement (PREPARE) of the
	// session. Nil means that there are none.
	Prepared func(name string) (sql string, ok bool)
	// Cursor gives the facts of a cursor that the session declared. Nil means
	// that there are none.
	Cursor func(name string) (*Statement, bool)
	// Argument gives the text of an argument of the statement, by its number from
	// 1, to judge by how far it limits writes. Nil: they are not known.
	Argument func(number int) (text string, null, ok bool)
	// Trusted reports whether a function that cannot be analyzed only computes
	// its result from its arguments. Nil trusts none.
	Trusted func(schema, name string) bool

	coarse bool // members of JSON objects are not told apart, as the server does not
}

// Names are the names that a text uses, each as its list of parts, unquoted and
// as the server would fold them ({"public", "customers"}).
type Names struct {
	Relations [][]string
	Functions [][]string
	Operators [][]string
	Types     [][]string
}

// Empty reports whether there is nothing to ask.
func (n Names) Empty() bool {
	return len(n.Relations)+len(n.Functions)+len(n.Operators)+len(n.Types) == 0
}

// Resolution is what they mean, index for index. 0 and nil: nothing of that name.
type Resolution struct {
	Relations []catalog.OID
	Functions [][]catalog.OID // all overloads that are visible
	Operators [][]catalog.OID
	Types     []catalog.OID
}

// ErrStale says that the server named an object that the snapshot does not
// have: load a new one and analyze again.
var ErrStale = errors.New("analysis: the catalog snapshot is older than the session's view")

// A ParseError says that a text is not SQL that the parser knows.
type ParseError struct {
	Reason   string // one clause without a literal of the text
	Position int    // byte offset, -1 when not known
	// Bound is true for a text that goes beyond a limit: nobody should be asked
	// to read it.
	Bound bool
}

func (e *ParseError) Error() string { return e.Reason }

// Analyze computes the facts of a text: one statement, or several separated by
// semicolons. The error is a *[ParseError], [ErrStale], or what s.Resolve
// returned. It is safe for concurrent use.
func Analyze(ctx context.Context, sql string, snap *catalog.Snapshot, s Session) (*Facts, error) {
	tree, err := parseSQL(sql)
	if err != nil {
		return nil, err
	}
	names, err := resolve(ctx, tree, snap, s)
	if err != nil {
		return nil, err
	}
	f := &Facts{SQL: sql, Snapshot: snap.Version}
	depends, reads := map[catalog.OID]struct{}{}, map[string]struct{}{}
	local := &textSession{Session: s}
	steps := 0
	for _, raw := range tree.Stmts {
		st := &Statement{Text: statementText(sql, raw)}
		a := &analyzer{snap: snap, sess: local.session(), sql: sql, depends: depends, reads: reads, steps: steps}
		p := &part{a: a, rec: newRecorder(st), names: names, text: true, coarse: a.sess.coarse}
		if local.changed && !isTransaction(raw.Stmt) {
			p.rec.later = true
			p.unknown("an earlier statement of the same text may change what names mean; send it by itself", -1)
		}
		cols, returns := p.statement(raw.Stmt)
		if a.tooDeep {
			return nil, &ParseError{Reason: fmt.Sprintf("its WITH queries refer to one another more than %d deep", maxWithDepth), Position: -1, Bound: true}
		}
		if a.pathSet && a.pathUsed {
			p.unknown("it sets search_path while code runs that goes by it", -1)
		}
		if a.steps >= maxSteps {
			p.exhaust(tooLarge)
		}
		if a.exhausted != "" {
			// Said here too: where it was noticed, facts may have been set aside.
			p.unknown(a.exhausted, -1)
		}
		st.Returns = returns
		if returns {
			st.Outputs = results(cols)
		}
		p.rec.finish()
		st.Literals = a.literals()
		local.after(st)
		f.Statements = append(f.Statements, st)
		steps = a.steps
	}
	fillEnds(sql, f)
	for oid := range depends {
		f.Depends = append(f.Depends, oid)
	}
	slices.Sort(f.Depends)
	f.Settings = slices.Sorted(maps.Keys(reads))
	return f, nil
}

// statementText returns the part of the text that a statement stands in.
func statementText(sql string, raw *pg.RawStmt) string {
	start, end := int(raw.StmtLocation), len(sql)
	if raw.StmtLen > 0 {
		end = min(len(sql), start+int(raw.StmtLen))
	}
	return strings.TrimSpace(sql[min(start, len(sql)):end])
}

func isTransaction(n *pg.Node) bool { return n.GetTransactionStmt() != nil }

// textSession is a session as a later statement of one text finds it: with what
// the earlier ones prepared and declared.
type textSession struct {
	Session
	prepared map[string]string
	cursors  map[string]*Statement
	changed  bool
}

func (t *textSession) session() Session {
	s := t.Session
	s.Prepared = func(name string) (string, bool) {
		if sql, ok := t.prepared[name]; ok {
			return sql, true
		}
		if t.Session.Prepared == nil {
			return "", false
		}
		return t.Session.Prepared(name)
	}
	s.Cursor = func(name string) (*Statement, bool) {
		if st, ok := t.cursors[name]; ok {
			return st, true
		}
		if t.Session.Cursor == nil {
			return nil, false
		}
		return t.Session.Cursor(name)
	}
	return s
}

func (t *textSession) after(st *Statement) {
	if st.Names || st.Catalog {
		t.changed = true
	}
	if st.Prepared != "" && st.Kind == "PREPARE" && st.Inner != nil {
		if t.prepared == nil {
			t.prepared = map[string]string{}
		}
		t.prepared[st.Prepared] = st.Inner.Text
	}
	if st.Portal != "" && st.Kind == "DECLARE CURSOR" && st.Inner != nil {
		if t.cursors == nil {
			t.cursors = map[string]*Statement{}
		}
		t.cursors[st.Portal] = st.Inner
	}
}

func results(cols []field) []Output {
	if cols == nil {
		return nil
	}
	out := make([]Output, len(cols))
	for i, c := range cols {
		out[i] = result(c)
	}
	return out
}

func result(c field) Output {
	o := Output{Name: c.name, Sources: c.src, ByRows: c.byRows, How: c.how, Type: c.typ, Origin: c.origin, OriginKnown: c.known}
	if c.untyped && o.Type == 0 {
		o.Type = textOID
	}
	for _, f := range c.fields {
		o.Fields = append(o.Fields, result(f))
	}
	return o
}

// fillEnds finds where the constants end that meet columns.
func fillEnds(sql string, f *Facts) {
	var ends map[int]int
	for _, st := range f.Statements {
		for i := range st.Literals {
			l := &st.Literals[i]
			if l.Param > 0 {
				continue
			}
			if ends == nil {
				if ends = constantEnds(sql); ends == nil {
					return
				}
			}
			l.End = ends[l.Start]
			if l.End == 0 {
				l.Start = 0
			}
		}
	}
}

// serverNames are the names of a text as the server resolved them.
type serverNames struct {
	pathNames
	relations map[string]*catalog.Relation
	funcs     map[string][]*catalog.Function
	ops       map[string][]*catalog.Operator
	types     map[string]catalog.OID
}

func key(parts []string) string { return strings.Join(parts, "\x00") }

func (n serverNames) relation(parts []string) *catalog.Relation {
	if r, ok := n.relations[key(parts)]; ok {
		return r
	}
	return n.pathNames.relation(parts)
}

func (n serverNames) functions(parts []string) []*catalog.Function {
	if f, ok := n.funcs[key(parts)]; ok {
		return f
	}
	return n.pathNames.functions(parts)
}

func (n serverNames) operators(parts []string) []*catalog.Operator {
	if o, ok := n.ops[key(parts)]; ok {
		return o
	}
	return n.pathNames.operators(parts)
}

func (n serverNames) typ(parts []string) catalog.OID {
	if t, ok := n.types[key(parts)]; ok {
		return t
	}
	return n.pathNames.typ(parts)
}

// resolve asks the server for the names of a text.
func resolve(ctx context.Context, tree *pg.ParseResult, snap *catalog.Snapshot, s Session) (namer, error) {
	path := newPathNames(snap, s.Path)
	if s.Resolve == nil {
		return path, nil
	}
	asked := collectNames(tree)
	if asked.Empty() {
		return path, nil
	}
	r, err := s.Resolve(ctx, asked)
	if err != nil {
		return nil, err
	}
	n := serverNames{path, map[string]*catalog.Relation{}, map[string][]*catalog.Function{}, map[string][]*catalog.Operator{}, map[string]catalog.OID{}}
	for i, parts := range asked.Relations {
		oid := r.Relations[i]
		rel := snap.Relation(oid)
		if oid != 0 && rel == nil {
			return nil, ErrStale
		}
		n.relations[key(parts)] = rel
	}
	for i, parts := range asked.Functions {
		fs := []*catalog.Function{}
		for _, oid := range r.Functions[i] {
			f := snap.Function(oid)
			if f == nil {
				return nil, ErrStale
			}
			fs = append(fs, f)
		}
		n.funcs[key(parts)] = fs
	}
	for i, parts := range asked.Operators {
		known := map[catalog.OID]*catalog.Operator{}
		for _, o := range snap.OperatorsNamed(parts[len(parts)-1]) {
			known[o.OID] = o
		}
		ops := []*catalog.Operator{}
		for _, oid := range r.Operators[i] {
			o := known[oid]
			if o == nil {
				return nil, ErrStale
			}
			ops = append(ops, o)
		}
		n.ops[key(parts)] = ops
	}
	for i, parts := range asked.Types {
		if oid := r.Types[i]; oid != 0 {
			if snap.Type(oid) == nil {
				return nil, ErrStale
			}
			n.types[key(parts)] = oid
		}
	}
	return n, nil
}
