package analysis

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// An analyzer computes the facts of one SQL string.
type analyzer struct {
	snap    *catalog.Snapshot
	sess    Session
	sql     string
	depends map[catalog.OID]struct{}
	reads   map[string]struct{} // Facts.Settings
	steps   int                 // nodes visited, against exponential expansion
	lits    []*litNode
	firing  []firing // writes whose consequences are being analyzed
	depth   int      // levels of recursion
	// subqueries are the names of the columns of scalar subqueries.
	subqueries map[*pg.SubLink]string
	given      map[*pg.CommonTableExpr]*pg.CommonTableExpr // see part.withQueryArguments
	numbers    map[*pg.FuncCall]struct{}                   // see part.numbers
	called     []*catalog.Function                         // what the last call by name may mean
	passed     []string                                    // see passedQueries
	rows       Columns                                     // what decides how many rows the last query gives, see scope
	exhausted  string                                      // which limit was reached, or ""
	with       *cte                                        // the WITH query that is being analyzed
	tooDeep    bool                                        // they go through too many others
	links      []link                                      // see link
	met        []*source                                   // those with made-up rows that the condition under way names
	computed   bool                                        // it names columns of a subquery or function that are computed
	// Whether the statement sets search_path while it runs, and whether a name in
	// the code that it runs goes by it.
	pathSet, pathUsed bool
}

// The limits of one analysis. A statement beyond them is Unknown.
const (
	maxSteps   = 4_000_000 // nodes visited, views and functions expanded
	maxNesting = 40        // views and functions within each other
	maxColumns = 1664      // MaxTupleAttributeNumber of the server
	// Expressions and queries within each other, definitions expanded: Go ends
	// the process at 1 GB of stack, of which a level takes up to some 4 KB.
	maxRecursion = 40_000
)

// A part is one piece of SQL under analysis: a statement of the text, or what
// it leads to: a view's definition, a function's body, a trigger, a default
// expression. Parts of one statement share its recorder.
type part struct {
	a     *analyzer
	rec   *recorder
	names namer
	path  []string      // how the statement gets here; nil at the statement itself
	stack []catalog.OID // functions, views and relations being expanded
	vars  variables     // parameters and PL/pgSQL variables in scope; nil for none
	// search is the search path of the functions that are called from here; nil
	// is the session's.
	search []string
	user   string // as whom the function that is being analyzed runs; "" is the session's
	// text is where positions point: true for the SQL string itself.
	text bool
	// loops are those of a DO block around p.
	loops  []loop
	passed passing // the call that is being analyzed, see perRow
	// cursor is the query of the cursor that is declared.
	cursor *pg.SelectStmt
	// defined is true within the definitions of views and rules, whose
	// predicates are not the text's own.
	defined bool
	// coarse is true where members of JSON objects are not told apart: within
	// PL/pgSQL, whose variables hold one object after another.
	coarse bool
	// branches are the columns that decide that the statement of a PL/pgSQL body
	// runs at all: what it writes tells of them.
	branches Columns
	given    []*pg.Node // the parameters of the prepared statement that EXECUTE runs
}

// variables are the named values that a function body can use besides columns.
type variables interface {
	// named returns the variable of that (possibly qualified) name.
	named(parts []string) (value, bool)
	// numbered returns parameter $n.
	numbered(n int) (value, bool)
}

// within returns a part for a definition that p leads to by step (one entry of
// Use.Path), whose unqualified names mean what names says, and whose variables
// are vars.
func (p *part) within(step string, object catalog.OID, names namer, vars variables) *part {
	q := *p
	q.path = append(slices.Clip(p.path), step)
	q.stack = append(slices.Clip(p.stack), object)
	q.names, q.vars, q.text = names, vars, false
	q.given, q.loops, q.cursor, q.passed = nil, nil, nil, passing{}
	p.a.depends[object] = struct{}{}
	return &q
}

// expanding reports whether object is being expanded already, or the nesting
// is too deep to go on.
func (p *part) expanding(object catalog.OID) bool {
	return len(p.stack) >= maxNesting || slices.Contains(p.stack, object)
}

// step counts one visited node and reports whether the analysis may go on.
func (p *part) step() bool { return p.spend(1) }

// charge counts the parsing of a text that is not kept, which may happen again
// and again.
func (p *part) charge(text string) bool { return p.spend(500 + len(text)/2) }

// spend counts the work of n nodes.
func (p *part) spend(n int) bool {
	p.a.steps += n
	if p.a.steps >= maxSteps {
		p.exhaust(tooLarge)
	}
	return p.a.steps < maxSteps
}

// enter counts one level of recursion, which leave takes back, and reports
// whether the analysis may go on.
func (p *part) enter() bool {
	p.a.depth++
	if p.a.depth > maxRecursion {
		p.exhaust(tooDeep)
		return false
	}
	return p.step()
}

func (p *part) leave() { p.a.depth-- }

// exhaust records that a limit was reached, and ends the analysis.
func (p *part) exhaust(why string) {
	if p.a.exhausted == "" {
		p.a.exhausted = why
		p.unknown(why, -1)
	}
	p.a.steps = maxSteps
}

const (
	tooLarge = "the statement is too large to analyze"
	tooDeep  = "the statement nests too deep to analyze"
)

// A recorder collects the facts of one statement.
type recorder struct {
	st      *Statement
	uses    map[useKey]*useColumns
	tests   map[Column]struct{}
	defined map[Column]struct{}
	probes  map[Column]struct{}
	made    map[Column]struct{}
	// compared are the columns that definitions compare with constants, or that
	// get one by default.
	compared map[Column]struct{}
	touched  map[Column]struct{}
	effects  map[string]struct{}
	unknown  map[string]struct{}
	later    bool // after a statement of the same text that may change what names mean
}

type useKey struct {
	rel    catalog.OID
	action Action
	path   string
}

type useColumns struct {
	path []string
	all  bool
	cols map[int16]struct{}
}

func newRecorder(st *Statement) *recorder {
	return &recorder{
		st:       st,
		uses:     map[useKey]*useColumns{},
		tests:    map[Column]struct{}{},
		defined:  map[Column]struct{}{},
		probes:   map[Column]struct{}{},
		made:     map[Column]struct{}{},
		compared: map[Column]struct{}{},
		touched:  map[Column]struct{}{},
		effects:  map[string]struct{}{},
		unknown:  map[string]struct{}{},
	}
}

// use records that rel is read or written; cols nil means all its columns.
func (p *part) use(rel catalog.OID, action Action, cols []int16) {
	key := useKey{rel, action, strings.Join(p.path, "\x00")}
	u := p.rec.uses[key]
	if u == nil {
		u = &useColumns{path: p.path, cols: map[int16]struct{}{}}
		p.rec.uses[key] = u
	}
	p.a.depends[rel] = struct{}{}
	if cols == nil {
		u.all = true
	}
	for _, c := range cols {
		u.cols[c] = struct{}{}
	}
}

// touchRow records that the whole row of rel may be evaluated or shown in an
// error message.
func (p *part) touchRow(rel *catalog.Relation) {
	for _, c := range rel.Columns {
		if !c.Dropped {
			p.rec.touched[Column{rel.OID, c.Num}] = struct{}{}
		}
	}
}

// test records columns that decide which rows or values come.
func (p *part) test(cols Columns) {
	into := p.rec.tests
	if p.defined {
		into = p.rec.defined
	}
	for _, c := range cols {
		into[c] = struct{}{}
	}
}

// makes records columns whose values make rows.
func (p *part) makes(rows Columns) {
	p.test(rows)
	for _, c := range rows {
		p.rec.made[c] = struct{}{}
	}
}

// compare records columns whose values a definition compares with constants.
func (p *part) compare(cols Columns) {
	for _, c := range cols {
		p.rec.compared[c] = struct{}{}
	}
}

// probe records columns whose values decide whether an expression of the text
// is NULL or fails.
func (p *part) probe(cols Columns) {
	if p.defined {
		return
	}
	for _, c := range cols {
		p.rec.probes[c] = struct{}{}
	}
}

// effect records what the statement does. what holds no literal.
func (p *part) effect(class Class, what string) {
	p.rec.st.Classes |= class
	key := what + "\x00" + strings.Join(p.path, "\x00")
	if _, ok := p.rec.effects[key]; ok {
		return
	}
	p.rec.effects[key] = struct{}{}
	p.rec.st.Effects = append(p.rec.st.Effects, Effect{class, what, p.path})
}

// unknown records what could not be understood: a clause without a literal.
// location is a byte offset in the text, or -1.
func (p *part) unknown(what string, location int) {
	if !p.text {
		location = -1
	}
	if len(p.path) > 0 {
		what += " (" + strings.Join(p.path, ", ") + ")"
	}
	key := what + "\x00" + strconv.Itoa(location)
	if _, ok := p.rec.unknown[key]; ok {
		return
	}
	p.rec.unknown[key] = struct{}{}
	p.rec.st.Unknown = append(p.rec.st.Unknown, Unknown{what, location, p.rec.later})
}

// flow records values that a write puts into to (or into, when to is no column).
func (p *part) flow(to Column, into string, v value) {
	p.meet(v.lits, Columns{to})
	from := v.src.Union(p.branches)
	if len(from) == 0 {
		return
	}
	p.rec.st.Flows = append(p.rec.st.Flows, Flow{To: to, Into: into, From: from, Same: v.how == Plain && len(from) == 1, Path: p.path})
}

// finish moves what was recorded into the statement.
func (r *recorder) finish() {
	st := r.st
	for key, u := range r.uses {
		use := Use{Rel: key.rel, Action: key.action, Path: u.path}
		if !u.all {
			use.Columns = make([]int16, 0, len(u.cols))
			if key.action == Select {
				// Which columns of it are used was not told apart by ways.
				for c := range r.touched {
					if c.Rel == key.rel && c.Att > 0 {
						u.cols[c.Att] = struct{}{}
					}
				}
			}
			for c := range u.cols {
				use.Columns = append(use.Columns, c)
			}
			slices.Sort(use.Columns)
		}
		if key.action == Select {
			st.Reads = append(st.Reads, use)
		} else {
			st.Writes = append(st.Writes, use)
		}
	}
	for _, uses := range [][]Use{st.Reads, st.Writes} {
		slices.SortFunc(uses, func(a, b Use) int {
			if c := len(a.Path) - len(b.Path); c != 0 {
				return c
			}
			if c := compareColumn(Column{Rel: a.Rel}, Column{Rel: b.Rel}); c != 0 {
				return c
			}
			if c := int(a.Action) - int(b.Action); c != 0 {
				return c
			}
			return slices.Compare(a.Path, b.Path)
		})
	}
	st.Tests = setOf(r.tests)
	st.DefinedTests = setOf(r.defined)
	st.Probes = setOf(r.probes)
	st.made = setOf(r.made)
	st.compared = setOf(r.compared)
	st.Touched = setOf(r.touched)
	st.Unread = st.Unread || len(st.Unknown) > 0
	if len(st.Writes) > 0 {
		st.Classes |= Write
	}
}

func setOf(m map[Column]struct{}) Columns {
	if len(m) == 0 {
		return nil
	}
	s := make(Columns, 0, len(m))
	for c := range m {
		s = append(s, c)
	}
	slices.SortFunc(s, compareColumn)
	return s
}

// A litNode stands for the constants and parameters that flow into a value.
// Joining two is one allocation; what they meet is handed down to the leaves at
// the end, so that long chains stay linear.
type litNode struct {
	a, b  *litNode // of an inner node
	leaf  *Literal
	meets Columns
}

func (p *part) literal(l Literal) *litNode {
	if !p.text {
		return nil
	}
	n := &litNode{leaf: &l}
	p.a.lits = append(p.a.lits, n)
	return n
}

func (p *part) joinLits(a, b *litNode) *litNode {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	n := &litNode{a: a, b: b}
	p.a.lits = append(p.a.lits, n)
	return n
}

// meet records that the literals of n meet cols.
func (p *part) meet(n *litNode, cols Columns) {
	if n != nil && len(cols) > 0 {
		n.meets = n.meets.Union(cols)
	}
}

// literals hands what was met down to the leaves, which were made before the
// nodes above them.
func (a *analyzer) literals() []Literal {
	var out []Literal
	for i := len(a.lits) - 1; i >= 0; i-- {
		n := a.lits[i]
		if n.leaf != nil {
			n.leaf.Meets = n.leaf.Meets.Union(n.meets)
			if len(n.leaf.Meets) > 0 || n.leaf.Param > 0 {
				out = append(out, *n.leaf)
			}
			continue
		}
		if len(n.meets) > 0 {
			n.a.meets = n.a.meets.Union(n.meets)
			n.b.meets = n.b.meets.Union(n.meets)
		}
	}
	slices.Reverse(out)
	return out
}

// strs returns the strings of a list of String nodes.
func strs(nodes []*pg.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if s := n.GetString_(); s != nil {
			out = append(out, s.Sval)
		}
	}
	return out
}
