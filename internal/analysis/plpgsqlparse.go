package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// The parser library's PL/pgSQL tree leaves out the defaults of records and the
// operand of RETURN NEXT, and refuses composite variables and OUT parameters.
// So the blocks are parsed here, over the library's lexer, as pl_gram.y of the
// server does: SQL between the keywords is kept as text. What does not fit is
// an error, and then Unknown.

type plKind uint8

const (
	plBlockStmt plKind = iota + 1
	plAssign
	plIf
	plCase
	plLoop
	plWhile
	plForInteger
	plForQuery
	plForDynamic
	plForCursor
	plForeach
	plExit
	plReturn
	plReturnNext
	plReturnQuery
	plReturnDynamic
	plRaise
	plAssert
	plSQL
	plDynamic
	plPerform
	plCall
	plDiagnostics
	plOpen
	plOpenQuery
	plOpenDynamic
	plFetch
	plMove
	plClose
	plNull
	plEndTransaction
)

// A plStmt is a statement; which fields are set depends on its kind.
type plStmt struct {
	kind    plKind
	label   string
	targets []plTarget // INTO, the left side of :=, loop variables
	sql     string     // the SQL statement, or the expression of a dynamic one
	exprs   []string   // conditions, bounds, arguments
	using   []string   // of EXECUTE
	options []plOption // of RAISE and GET DIAGNOSTICS
	cursor  []string   // the name of the cursor variable
	arms    []plArm
	body    []plStmt
	block   *plBlock
}

// A plTarget is something that is assigned to.
type plTarget struct {
	name       []string
	subscripts []string // the expressions in [], as text
}

type plOption struct {
	name   string
	expr   string
	target plTarget
}

// A plArm is a branch of IF or CASE: no condition is ELSE.
type plArm struct {
	conds []string
	body  []plStmt
}

type plBlock struct {
	label    string
	decls    []plDecl
	body     []plStmt
	handlers [][]plStmt
}

type plDecl struct {
	name   string
	alias  []string // of ALIAS FOR
	typ    string
	def    string
	cursor string // of CURSOR FOR
	args   []plDecl
}

// plReserved are the reserved words of PL/pgSQL (pl_reserved_kwlist.h).
var plReserved = map[string]bool{
	"all": true, "begin": true, "by": true, "case": true, "declare": true, "else": true, "end": true, "execute": true,
	"for": true, "foreach": true, "from": true, "if": true, "in": true, "into": true, "loop": true, "not": true,
	"null": true, "or": true, "strict": true, "then": true, "to": true, "using": true, "when": true, "while": true,
}

type plToken struct {
	tok        pg.Token
	start, end int
	word       string // of a name or keyword: as the server folds it
	quoted     bool
}

type plParser struct {
	src  string
	toks []plToken
	pos  int
	// cursors says, per open block, whether a declared name is a bound cursor.
	cursors []map[string]bool
	depth   int
}

// plSyntax is what the parser panics with; parseBlock recovers it.
type plSyntax struct{ at int }

const maxBlockDepth = 200

// parseBlock parses the body of a PL/pgSQL function or DO block.
func parseBlock(src string) (b *plBlock, err error) {
	if err := checkText(src); err != nil {
		return nil, err
	}
	scanned, scanErr := pg.Scan(src)
	if scanErr != nil {
		return nil, parseError(src, scanErr)
	}
	p := &plParser{src: src}
	for _, t := range scanned.Tokens {
		if t.Token == pg.Token_SQL_COMMENT || t.Token == pg.Token_C_COMMENT {
			continue
		}
		k := plToken{tok: t.Token, start: int(t.Start), end: int(t.End)}
		text := src[k.start:k.end]
		if t.Token == pg.Token_IDENT || t.KeywordKind != pg.KeywordKind_NO_KEYWORD {
			if strings.HasPrefix(text, `"`) {
				k.quoted = true
				k.word = strings.ReplaceAll(strings.TrimSuffix(text[1:], `"`), `""`, `"`)
			} else {
				k.word = asciiLower(text)
			}
			k.word = truncateName(k.word)
		}
		p.toks = append(p.toks, k)
	}
	p.toks = append(p.toks, plToken{start: len(src), end: len(src)})
	defer func() {
		switch r := recover().(type) {
		case nil:
		case plSyntax:
			b, err = nil, &ParseError{Reason: "syntax error in PL/pgSQL", Position: r.at}
		default:
			panic(r)
		}
	}()
	for p.is("#") { // compiler options; which variable wins a conflict is not looked at
		p.next()
		p.name()
		p.name()
	}
	label := p.label()
	b = p.block(label)
	p.accept(";")
	if p.cur().tok != 0 {
		p.fail()
	}
	return b, nil
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// truncateName cuts a name as the server does (NAMEDATALEN), at a character.
func truncateName(s string) string {
	if len(s) < 64 {
		return s
	}
	cut := 0
	for i := range s {
		if i > 63 {
			break
		}
		cut = i
	}
	return s[:cut]
}

func (p *plParser) fail() { panic(plSyntax{p.cur().start}) }

func (p *plParser) cur() plToken { return p.toks[p.pos] }

func (p *plParser) peek(n int) plToken {
	if p.pos+n >= len(p.toks) {
		return p.toks[len(p.toks)-1]
	}
	return p.toks[p.pos+n]
}

func (p *plParser) next() plToken {
	t := p.cur()
	if t.tok == 0 {
		p.fail()
	}
	p.pos++
	return t
}

func (p *plParser) text(t plToken) string { return p.src[t.start:t.end] }

// isToken reports whether t is a keyword (in small letters) or symbol.
func (p *plParser) isToken(t plToken, what string) bool {
	if t.tok == 0 {
		return false
	}
	if t.word != "" || t.quoted {
		return !t.quoted && t.word == what
	}
	return p.text(t) == what
}

func (p *plParser) is(what string) bool { return p.isToken(p.cur(), what) }

func (p *plParser) accept(what string) bool {
	if p.is(what) {
		p.pos++
		return true
	}
	return false
}

func (p *plParser) expect(what string) {
	if !p.accept(what) {
		p.fail()
	}
}

// name reads any identifier.
func (p *plParser) name() string {
	t := p.next()
	if t.word == "" && !t.quoted {
		p.pos--
		p.fail()
	}
	return t.word
}

// names reads a name with dots, or a parameter.
func (p *plParser) names() []string {
	if p.cur().tok == pg.Token_PARAM {
		return []string{p.text(p.next())}
	}
	if !p.cur().quoted && plReserved[p.cur().word] {
		p.fail()
	}
	parts := []string{p.name()}
	for p.is(".") {
		p.next()
		parts = append(parts, p.name())
	}
	return parts
}

func (p *plParser) label() string {
	if !p.is("<<") {
		return ""
	}
	p.next()
	l := p.name()
	p.expect(">>")
	return l
}

func (p *plParser) endLabel() {
	if !p.is(";") {
		p.name()
	}
	p.expect(";")
}

// until reads SQL up to one of the terminators outside of parentheses, which is
// left to be read.
func (p *plParser) until(terminators ...string) string {
	start := p.pos
	depth := 0
	for {
		t := p.cur()
		if t.tok == 0 {
			p.fail()
		}
		if depth == 0 && slices.ContainsFunc(terminators, p.is) {
			break
		}
		switch p.text(t) {
		case "(", "[":
			depth++
		case ")", "]":
			depth--
			if depth < 0 {
				p.fail()
			}
		case ";":
			p.fail()
		}
		p.pos++
	}
	if p.pos == start {
		p.fail()
	}
	return p.src[p.toks[start].start:p.toks[p.pos-1].end]
}

func (p *plParser) list(terminators ...string) []string {
	var out []string
	for {
		out = append(out, p.until(append([]string{","}, terminators...)...))
		if !p.accept(",") {
			return out
		}
	}
}

func (p *plParser) enter() {
	p.depth++
	if p.depth > maxBlockDepth {
		p.fail()
	}
}

func (p *plParser) block(label string) *plBlock {
	p.enter()
	defer func() { p.depth-- }()
	b := &plBlock{label: label}
	p.cursors = append(p.cursors, map[string]bool{})
	defer func() { p.cursors = p.cursors[:len(p.cursors)-1] }()
	if p.accept("declare") {
		for !p.is("begin") {
			if p.accept("declare") {
				continue
			}
			b.decls = append(b.decls, p.declaration())
		}
	}
	p.expect("begin")
	b.body = p.statements("exception", "end")
	if p.accept("exception") {
		for p.is("when") {
			p.next()
			p.until("then")
			p.expect("then")
			b.handlers = append(b.handlers, p.statements("when", "end"))
		}
		if len(b.handlers) == 0 {
			p.fail()
		}
	}
	p.expect("end")
	if !p.is(";") && p.cur().tok != 0 {
		p.name()
	}
	return b
}

func (p *plParser) declaration() plDecl {
	d := plDecl{}
	if !p.cur().quoted && plReserved[p.cur().word] {
		p.fail()
	}
	d.name = p.name()
	declared := p.cursors[len(p.cursors)-1]
	declared[d.name] = false
	if p.is("alias") && p.isToken(p.peek(1), "for") {
		p.next()
		p.next()
		d.alias = p.names()
		p.expect(";")
		return d
	}
	no := p.is("no") && p.isToken(p.peek(1), "scroll")
	scroll := p.is("scroll") && p.isToken(p.peek(1), "cursor")
	cursor := p.is("cursor") && (p.isToken(p.peek(1), "(") || p.isToken(p.peek(1), "for") || p.isToken(p.peek(1), "is"))
	if no || scroll || cursor {
		p.accept("no")
		p.accept("scroll")
		p.expect("cursor")
		declared[d.name] = true
		if p.accept("(") {
			for {
				a := plDecl{name: p.name()}
				a.typ = p.until(",", ")")
				d.args = append(d.args, a)
				if !p.accept(",") {
					break
				}
			}
			p.expect(")")
		}
		if !p.accept("for") {
			p.expect("is")
		}
		d.cursor = p.until(";")
		d.typ = "refcursor"
		p.expect(";")
		return d
	}
	p.accept("constant")
	d.typ = p.until(";", ":=", "=", "default", "not", "collate")
	if p.accept("collate") {
		p.names()
	}
	if p.accept("not") {
		p.expect("null")
	}
	if p.accept(":=") || p.accept("=") || p.accept("default") {
		d.def = p.until(";")
	}
	p.expect(";")
	return d
}

// statements reads up to one of the closing keywords, which is left.
func (p *plParser) statements(closing ...string) []plStmt {
	var out []plStmt
	for {
		if p.cur().tok == 0 {
			p.fail()
		}
		if slices.ContainsFunc(closing, p.is) && !p.assigns() {
			return out
		}
		out = append(out, p.statement())
	}
}

// assigns reports whether an assignment stands here: the server looks for a
// variable first where :=, = or [ follows the name.
func (p *plParser) assigns() bool {
	t := p.cur()
	if t.tok == pg.Token_PARAM {
		return true
	}
	if t.word == "" && !t.quoted || !t.quoted && plReserved[t.word] {
		return false
	}
	i := 1
	for p.isToken(p.peek(i), ".") {
		i += 2
	}
	t = p.peek(i)
	return p.isToken(t, ":=") || p.isToken(t, "=") || p.isToken(t, "[")
}

func (p *plParser) statement() plStmt {
	if p.is("<<") {
		label := p.label()
		switch {
		case p.is("declare"), p.is("begin"):
			s := plStmt{kind: plBlockStmt, block: p.block(label)}
			p.expect(";")
			return s
		case p.is("loop"), p.is("while"), p.is("for"), p.is("foreach"):
			s := p.statement()
			s.label = label
			return s
		}
		p.fail()
	}
	if p.assigns() {
		return p.assignment()
	}
	t := p.cur()
	if t.quoted || t.word == "" {
		p.fail()
	}
	switch t.word {
	case "declare", "begin":
		s := plStmt{kind: plBlockStmt, block: p.block("")}
		p.expect(";")
		return s
	case "if":
		return p.ifStatement()
	case "case":
		return p.caseStatement()
	case "loop":
		return p.loopBody(plStmt{kind: plLoop})
	case "while":
		p.next()
		return p.loopBody(plStmt{kind: plWhile, exprs: []string{p.until("loop")}})
	case "for":
		return p.forStatement()
	case "foreach":
		p.next()
		s := plStmt{kind: plForeach, targets: p.targets()}
		if p.accept("slice") {
			p.next()
		}
		p.expect("in")
		p.expect("array")
		s.exprs = []string{p.until("loop")}
		return p.loopBody(s)
	case "exit", "continue":
		p.next()
		s := plStmt{kind: plExit}
		if !p.is("when") && !p.is(";") {
			s.label = p.name()
		}
		if p.accept("when") {
			s.exprs = []string{p.until(";")}
		}
		p.expect(";")
		return s
	case "return":
		return p.returnStatement()
	case "raise":
		return p.raise()
	case "assert":
		p.next()
		s := plStmt{kind: plAssert, exprs: p.list(";")}
		if len(s.exprs) > 2 {
			p.fail()
		}
		p.expect(";")
		return s
	case "execute":
		p.next()
		s := plStmt{kind: plDynamic, sql: p.until("into", "using", ";")}
		p.intoUsing(&s)
		return s
	case "perform":
		p.next()
		s := plStmt{kind: plPerform, sql: "SELECT " + p.until(";")}
		p.expect(";")
		return s
	case "call", "do":
		s := plStmt{kind: plCall, sql: p.until(";")}
		p.expect(";")
		return s
	case "get":
		return p.diagnostics()
	case "open":
		return p.open()
	case "fetch", "move":
		return p.fetch()
	case "close":
		p.next()
		s := plStmt{kind: plClose, cursor: p.names()}
		p.expect(";")
		return s
	case "null":
		p.next()
		p.expect(";")
		return plStmt{kind: plNull}
	case "commit", "rollback":
		p.next()
		if p.accept("and") {
			p.accept("no")
			p.expect("chain")
		}
		p.expect(";")
		return plStmt{kind: plEndTransaction}
	case "insert", "merge", "import":
		return p.sqlStatement()
	}
	if plReserved[t.word] {
		p.fail()
	}
	return p.sqlStatement()
}

func (p *plParser) assignment() plStmt {
	s := plStmt{kind: plAssign, targets: []plTarget{p.target()}}
	if !p.accept(":=") {
		p.expect("=")
	}
	s.exprs = []string{p.until(";")}
	p.expect(";")
	return s
}

// target reads a variable with fields and subscripts.
func (p *plParser) target() plTarget {
	t := plTarget{name: p.names()}
	for p.is("[") || p.is(".") {
		if p.accept(".") {
			t.subscripts = append(t.subscripts, "NULL")
			p.name()
			continue
		}
		p.next()
		t.subscripts = append(t.subscripts, p.until("]"))
		p.expect("]")
	}
	return t
}

func (p *plParser) targets() []plTarget {
	var out []plTarget
	for {
		out = append(out, plTarget{name: p.names()})
		if !p.accept(",") {
			return out
		}
	}
}

func (p *plParser) ifStatement() plStmt {
	p.enter()
	defer func() { p.depth-- }()
	p.next()
	s := plStmt{kind: plIf}
	for {
		cond := p.until("then")
		p.expect("then")
		s.arms = append(s.arms, plArm{[]string{cond}, p.statements("elsif", "elseif", "else", "end")})
		if !p.accept("elsif") && !p.accept("elseif") {
			break
		}
	}
	if p.accept("else") {
		s.arms = append(s.arms, plArm{nil, p.statements("end")})
	}
	p.expect("end")
	p.expect("if")
	p.expect(";")
	return s
}

func (p *plParser) caseStatement() plStmt {
	p.enter()
	defer func() { p.depth-- }()
	p.next()
	s := plStmt{kind: plCase}
	if !p.is("when") {
		s.exprs = []string{p.until("when")}
	}
	for p.accept("when") {
		cond := p.until("then")
		p.expect("then")
		s.arms = append(s.arms, plArm{[]string{cond}, p.statements("when", "else", "end")})
	}
	if p.accept("else") {
		s.arms = append(s.arms, plArm{nil, p.statements("end")})
	}
	p.expect("end")
	p.expect("case")
	p.expect(";")
	return s
}

func (p *plParser) loopBody(s plStmt) plStmt {
	p.enter()
	defer func() { p.depth-- }()
	p.expect("loop")
	s.body = p.statements("end")
	p.expect("end")
	p.expect("loop")
	p.endLabel()
	return s
}

// boundCursor reports whether a name is a cursor that was declared with its
// query.
func (p *plParser) boundCursor(name string) bool {
	for _, m := range slices.Backward(p.cursors) {
		if c, ok := m[name]; ok {
			return c
		}
	}
	return false
}

func (p *plParser) forStatement() plStmt {
	p.next()
	s := plStmt{targets: p.targets()}
	p.expect("in")
	if p.accept("execute") {
		s.kind, s.sql = plForDynamic, p.until("loop", "using")
		if p.accept("using") {
			s.using = p.list("loop")
		}
		return p.loopBody(s)
	}
	if t := p.cur(); p.boundCursor(t.word) && (p.isToken(p.peek(1), "loop") || p.isToken(p.peek(1), "(")) {
		s.kind, s.cursor = plForCursor, p.names()
		s.exprs = p.arguments()
		return p.loopBody(s)
	}
	reverse := p.is("reverse")
	if reverse {
		p.next()
	}
	first := p.until("..", "loop")
	if p.accept("..") {
		s.kind = plForInteger
		s.exprs = []string{first, p.until("loop", "by")}
		if p.accept("by") {
			s.exprs = append(s.exprs, p.until("loop"))
		}
		return p.loopBody(s)
	}
	if reverse {
		p.fail()
	}
	s.kind, s.sql = plForQuery, first
	return p.loopBody(s)
}

// arguments reads the arguments of a cursor, if there are any.
func (p *plParser) arguments() []string {
	if !p.accept("(") {
		return nil
	}
	var out []string
	for !p.is(")") {
		// name := value and name => value
		if p.cur().word != "" && (p.isToken(p.peek(1), ":=") || p.isToken(p.peek(1), "=>")) {
			p.next()
			p.next()
		}
		out = append(out, p.until(",", ")"))
		p.accept(",")
	}
	p.expect(")")
	return out
}

func (p *plParser) returnStatement() plStmt {
	p.next()
	s := plStmt{kind: plReturn}
	switch {
	case p.is("next"):
		p.next()
		s.kind = plReturnNext
		if !p.is(";") {
			s.exprs = []string{p.until(";")}
		}
	case p.is("query"):
		p.next()
		if p.accept("execute") {
			s.kind, s.sql = plReturnDynamic, p.until("using", ";")
			if p.accept("using") {
				s.using = p.list(";")
			}
		} else {
			s.kind, s.sql = plReturnQuery, p.until(";")
		}
	case !p.is(";"):
		s.exprs = []string{p.until(";")}
	}
	p.expect(";")
	return s
}

func (p *plParser) raise() plStmt {
	p.next()
	s := plStmt{kind: plRaise}
	level := false
	switch p.cur().word {
	case "exception", "warning", "notice", "info", "log", "debug":
		p.next()
		level = true
	}
	switch {
	case p.is(";") && !level, p.is("using"):
	case p.cur().tok == pg.Token_SCONST:
		p.next()
		for p.accept(",") {
			s.exprs = append(s.exprs, p.until(",", ";", "using"))
		}
	case p.is("sqlstate"):
		p.next()
		p.next()
	default:
		p.name()
	}
	if p.accept("using") {
		for {
			o := plOption{name: p.name()}
			if !p.accept(":=") {
				p.expect("=")
			}
			o.expr = p.until(",", ";")
			s.options = append(s.options, o)
			if !p.accept(",") {
				break
			}
		}
	}
	p.expect(";")
	return s
}

func (p *plParser) intoUsing(s *plStmt) {
	into, using := false, false
	for !p.is(";") {
		switch {
		case !into && p.accept("into"):
			into = true
			p.accept("strict")
			s.targets = p.targets()
		case !using && p.accept("using"):
			using = true
			s.using = p.list("into", ";")
		default:
			p.fail()
		}
	}
	p.expect(";")
}

func (p *plParser) diagnostics() plStmt {
	p.next()
	s := plStmt{kind: plDiagnostics}
	if !p.accept("stacked") {
		p.accept("current")
	}
	p.expect("diagnostics")
	for {
		o := plOption{target: p.target()}
		if !p.accept(":=") {
			p.expect("=")
		}
		o.name = p.name()
		s.options = append(s.options, o)
		if !p.accept(",") {
			break
		}
	}
	p.expect(";")
	return s
}

func (p *plParser) open() plStmt {
	p.next()
	s := plStmt{kind: plOpen, cursor: p.names()}
	if p.is("(") {
		s.exprs = p.arguments()
	} else if !p.is(";") {
		p.accept("no")
		p.accept("scroll")
		p.expect("for")
		if p.accept("execute") {
			s.kind, s.sql = plOpenDynamic, p.until("using", ";")
			if p.accept("using") {
				s.using = p.list(";")
			}
		} else {
			s.kind, s.sql = plOpenQuery, p.until(";")
		}
	}
	p.expect(";")
	return s
}

// fetch reads FETCH or MOVE: the last name before INTO or the end is the cursor.
func (p *plParser) fetch() plStmt {
	s := plStmt{kind: plFetch}
	end := "into"
	if p.is("move") {
		s.kind, end = plMove, ";"
	}
	p.next()
	direction := p.pos
	for !p.is(end) {
		if p.is(";") {
			p.fail()
		}
		p.next()
	}
	stop := p.pos
	// The direction ends with FROM or IN, unless there is only the cursor's name.
	at := direction
	for i := direction; i < stop; i++ {
		if p.isToken(p.toks[i], "from") || p.isToken(p.toks[i], "in") {
			at = i + 1
		}
	}
	if at == direction && stop-direction > 1 && !p.isToken(p.toks[direction+1], ".") {
		at = stop - 1 // FETCH NEXT c
	}
	if at > direction {
		s.exprs = directionExprs(p, direction, at)
	}
	p.pos = at
	s.cursor = p.names()
	if p.pos != stop {
		p.fail()
	}
	if s.kind == plFetch {
		p.expect("into")
		s.targets = p.targets()
	}
	p.expect(";")
	return s
}

// directionExprs returns the row number expression of ABSOLUTE, RELATIVE,
// FORWARD or BACKWARD n.
func directionExprs(p *plParser, from, to int) []string {
	if p.isToken(p.toks[to-1], "from") || p.isToken(p.toks[to-1], "in") {
		to--
	}
	for from < to && slices.Contains([]string{"next", "prior", "first", "last", "absolute", "relative", "forward", "backward", "all"}, p.toks[from].word) {
		from++
	}
	if from >= to {
		return nil
	}
	return []string{p.src[p.toks[from].start:p.toks[to-1].end]}
}

// sqlStatement reads an SQL statement; INTO anywhere but after INSERT, MERGE or
// in IMPORT names the targets and is no part of it (make_execsql_stmt).
func (p *plParser) sqlStatement() plStmt {
	s := plStmt{kind: plSQL}
	first := p.cur()
	start := p.pos
	parens, begins := 0, 0
	routine := false
	intoFrom, intoTo := -1, -1
	for {
		t := p.cur()
		if t.tok == 0 {
			p.fail()
		}
		if n := p.pos - start; n <= 3 && (p.is("function") || p.is("procedure")) && p.isToken(first, "create") {
			routine = routine || n == 1 || p.isToken(p.toks[start+1], "or")
		}
		switch p.text(t) {
		case "(":
			parens++
		case ")":
			parens = max(parens-1, 0)
		}
		if routine && parens == 0 {
			switch {
			case p.is("begin"), p.is("case"):
				begins++
			case p.is("end") && begins > 0:
				begins--
			}
		}
		if p.is(";") && parens == 0 && begins == 0 {
			break
		}
		if p.is("into") && p.pos > start {
			prev := p.toks[p.pos-1]
			if !p.isToken(prev, "insert") && !p.isToken(prev, "merge") && !p.isToken(first, "import") {
				if intoFrom >= 0 {
					p.fail()
				}
				intoFrom = t.start
				p.next()
				p.accept("strict")
				s.targets = p.targets()
				intoTo = p.cur().start
				continue
			}
		}
		p.pos++
	}
	end := p.toks[p.pos-1].end
	p.expect(";")
	if intoFrom < 0 {
		s.sql = p.src[first.start:end]
		return s
	}
	s.sql = p.src[first.start:intoFrom]
	if intoTo < end {
		s.sql += " " + p.src[intoTo:end]
	}
	return s
}
