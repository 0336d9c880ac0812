package analysis

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v5"
	"github.com/pganalyze/pg_query_go/v5/parser"
	"google.golang.org/protobuf/encoding/protowire"
)

// The C parser recurses once per level of nesting and per link of a left-deep
// chain (1+1+1...), at up to 512 bytes of stack each (measured). Nesting ends in
// a clean error at 10,000 symbols, chains do not: 50,000 links overflow the
// stack of 8 MB, which kills the process. So a text is measured first, save a
// short one: a link takes at least two bytes.
const (
	shortText = 8 << 10 // bytes that need no measuring
	maxDepth  = 5000    // links and levels together; the tree's decoder takes no more either
	maxWords  = 4 << 20 // tokens at most: each takes some 300 bytes of memory
	maxSigns  = 200     // + and - in a row of operator characters: the lexer takes quadratic time over them
	// The encoder of the tree moves what a level holds once per level.
	maxMoved = 4 << 30 // levels times bytes
)

// parseSQL parses a text, having made sure that it cannot exhaust the C
// parser's stack. The error is a *ParseError.
func parseSQL(sql string) (*pg.ParseResult, error) {
	if err := checkText(sql); err != nil {
		return nil, err
	}
	tree, err := pg.Parse(sql)
	if err != nil {
		return nil, parseError(sql, err)
	}
	return tree, nil
}

func checkText(sql string) error {
	if i := strings.IndexByte(sql, 0); i >= 0 {
		// The C parser would stop here and never see the rest.
		return &ParseError{Reason: "the text contains a NUL byte", Position: i}
	}
	if !utf8.ValidString(sql) {
		return &ParseError{Reason: "the text is not valid UTF-8", Position: -1}
	}
	if err := checkSize(sql); err != nil {
		return err
	}
	if len(sql) <= shortText {
		return nil
	}
	depth, err := textDepth(sql)
	if err != nil {
		return err
	}
	if depth > maxDepth || int64(depth)*int64(len(sql)) > maxMoved {
		return errDeep
	}
	return nil
}

var errDeep = &ParseError{Reason: "the text nests or chains too many levels deep", Position: -1, Bound: true}

// checkSize bounds what the lexer does, from above and without lexing.
func checkSize(sql string) error {
	words, signs := 0, 0
	var last byte
	for i := range len(sql) {
		c := sql[i]
		k := byteKinds[c]
		if k == 0 || k != last {
			words++
		}
		last = k
		// In a row of operator characters the lexer starts again behind each of
		// + and - and of the beginnings of comments.
		switch {
		case strings.IndexByte("~!@#^&|`?*%<>=", c) >= 0:
		case c == '+', c == '-' && (i == 0 || sql[i-1] != '-'), c == '/' && i+1 < len(sql) && sql[i+1] == '*':
			if signs++; signs > maxSigns {
				return &ParseError{Reason: "the text has too many operator characters in a row", Position: i, Bound: true}
			}
		case c != '-' && c != '/':
			signs = 0
		}
	}
	if words > maxWords {
		return &ParseError{Reason: "the text has more than " + strconv.Itoa(maxWords) + " words", Position: -1, Bound: true}
	}
	return nil
}

// byteKinds tells the bytes that go on a token from those that may begin one:
// 1 space, 2 names and numbers, 0 what may be a token by itself.
var byteKinds = func() (k [256]byte) {
	for c := range k {
		switch {
		case c == ' ', c >= '\t' && c <= '\r':
			k[c] = 1
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
			k[c] = 2
		}
	}
	return k
}()

// parseError turns the parser's error into ours. Its message quotes the text,
// literals included, so only what is known to be free of it is kept.
func parseError(sql string, err error) *ParseError {
	e := &ParseError{Reason: "syntax error", Position: -1}
	var pe *parser.Error
	if !errors.As(err, &pe) || strings.Contains(pe.Message, "memory exhausted") {
		return errDeep // from the decoder of the tree, or the parser's own stack
	}
	if pe.Cursorpos > 0 {
		e.Position = byteOffset(sql, pe.Cursorpos-1)
	}
	for _, known := range []string{"syntax error at end of input", "unterminated quoted string", "unterminated quoted identifier",
		"unterminated /* comment", "unterminated dollar-quoted string"} {
		if strings.Contains(pe.Message, known) {
			e.Reason = known
		}
	}
	return e
}

// byteOffset turns an offset in characters into one in bytes.
func byteOffset(s string, chars int) int {
	for i := range s {
		if chars == 0 {
			return i
		}
		chars--
	}
	return len(s)
}

// The chains that the grammar makes left-deep without brackets, each of them
// within the next: operators of an expression, joins of a FROM entry, set
// operations of a query.
const (
	operators = iota
	joins
	sets
	chains
)

// An enclosure is a text within brackets, or CASE to END.
type enclosure struct {
	open  pg.Token
	links [chains]int     // of the chains under way
	deep  [chains + 1]int // the deepest within the chain under way
	// between are those BETWEEN whose AND is to come: that AND ends no chain.
	between int
}

// end ends the chains up to c.
func (e *enclosure) end(c int) {
	for i := range c + 1 {
		e.deep[i+1] = max(e.deep[i+1], e.links[i]+e.deep[i])
		e.links[i], e.deep[i] = 0, 0
	}
}

// textDepth bounds from above how deep the parser can nest on sql. Every token
// that can make a level counts, and a chain ends only where the grammar lets
// none go on: a list's comma ends expressions and joins but not the set
// operation that the list is a part of.
func textDepth(sql string) (int, error) {
	stack := []enclosure{{}}
	top := func() *enclosure { return &stack[len(stack)-1] }
	leave := func() {
		e := top()
		e.end(sets)
		d := e.deep[chains] + 1
		stack = stack[:len(stack)-1]
		top().deep[operators] = max(top().deep[operators], d)
		top().links[operators]++
	}
	label := false // what follows is a name, whatever it says: a.and, AS case
	err := scan(sql, func(t token) {
		e := top()
		if t.kind == pg.Token_SQL_COMMENT || t.kind == pg.Token_C_COMMENT {
			return
		}
		if label {
			label = false
			if t.keyword {
				return
			}
		}
		switch t.kind {
		case pg.Token_ASCII_44: // ,
			e.end(joins)
		case pg.Token_ASCII_59: // ;
			e.end(sets)
		case pg.Token_OR:
			e.end(operators)
		case pg.Token_AND:
			if e.between > 0 {
				e.between--
				break
			}
			e.end(operators)
		case pg.Token_BETWEEN:
			e.between++
			e.links[operators]++
		case pg.Token_WHEN, pg.Token_THEN, pg.Token_ELSE:
			if e.open == pg.Token_CASE {
				e.end(operators)
			}
		case pg.Token_JOIN:
			e.end(operators)
			e.links[joins]++
		case pg.Token_UNION, pg.Token_INTERSECT, pg.Token_EXCEPT:
			e.end(joins)
			e.links[sets]++
		case pg.Token_ASCII_40, pg.Token_ASCII_91, pg.Token_CASE: // ( [
			stack = append(stack, enclosure{open: t.kind})
		case pg.Token_ASCII_41, pg.Token_ASCII_93: // ) ]
			open := pg.Token_ASCII_40
			if t.kind == pg.Token_ASCII_93 {
				open = pg.Token_ASCII_91
			}
			for len(stack) > 1 && top().open != open {
				leave()
			}
			if len(stack) > 1 {
				leave()
			}
		case pg.Token_END_P:
			if e.open == pg.Token_CASE {
				leave()
			}
		case pg.Token_ASCII_46, pg.Token_AS:
			label = true
		case pg.Token_IDENT, pg.Token_UIDENT, pg.Token_SCONST, pg.Token_FCONST, pg.Token_USCONST, pg.Token_BCONST, pg.Token_XCONST,
			pg.Token_ICONST, pg.Token_PARAM, pg.Token_SELECT, pg.Token_FROM, pg.Token_WHERE,
			pg.Token_ALL, pg.Token_ON, pg.Token_VALUES, pg.Token_NULL_P, pg.Token_DEFAULT, pg.Token_TRUE_P, pg.Token_FALSE_P:
		default:
			e.links[operators]++
		}
	})
	if err != nil {
		return 0, err
	}
	for len(stack) > 1 {
		leave()
	}
	top().end(sets)
	return top().deep[chains], nil
}

// A token is one of the lexer's; keyword is true for a keyword of any kind.
type token struct {
	start, end int
	kind       pg.Token
	keyword    bool
}

// scan calls visit for each token of sql. It reads the lexer's message itself:
// a long text has too many tokens to make an object of each.
func scan(sql string, visit func(token)) error {
	msg, err := parser.ScanToProtobuf(sql)
	if err != nil {
		return parseError(sql, err)
	}
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errTokens
		}
		msg = msg[n:]
		if num != 2 || typ != protowire.BytesType { // ScanResult.tokens
			if n = protowire.ConsumeFieldValue(num, typ, msg); n < 0 {
				return errTokens
			}
			msg = msg[n:]
			continue
		}
		sub, n := protowire.ConsumeBytes(msg)
		if n < 0 {
			return errTokens
		}
		msg = msg[n:]
		var t token
		for len(sub) > 0 {
			num, typ, n := protowire.ConsumeTag(sub)
			if n < 0 || typ != protowire.VarintType {
				return errTokens
			}
			v, m := protowire.ConsumeVarint(sub[n:])
			if m < 0 {
				return errTokens
			}
			sub = sub[n+m:]
			switch num {
			case 1:
				t.start = int(v)
			case 2:
				t.end = int(v)
			case 4:
				t.kind = pg.Token(v)
			case 5:
				t.keyword = pg.KeywordKind(v) != pg.KeywordKind_NO_KEYWORD
			}
		}
		visit(t)
	}
	return nil
}

var errTokens = &ParseError{Reason: "the lexer's tokens cannot be read", Position: -1}

// constantEnds maps the byte offset where each constant of sql starts to where
// it ends.
func constantEnds(sql string) map[int]int {
	ends := map[int]int{}
	unicode, escaped := -1, false // where a U&'...' starts whose end is not known: the scanner does not tell it
	err := scan(sql, func(t token) {
		switch {
		case isComment(t.kind):
			return
		case unicode < 0:
		case t.kind == pg.Token_UESCAPE:
			escaped = true
			return
		case escaped:
			ends[unicode], unicode, escaped = t.end, -1, false
			return
		default:
			ends[unicode], unicode = len(strings.TrimRight(sql[:t.start], " \t\r\n\f\v")), -1
		}
		switch t.kind {
		case pg.Token_USCONST:
			unicode = t.start
		case pg.Token_SCONST, pg.Token_BCONST, pg.Token_XCONST, pg.Token_ICONST, pg.Token_FCONST:
			ends[t.start] = t.end
		}
	})
	if err != nil {
		return nil
	}
	if unicode >= 0 {
		ends[unicode] = len(sql)
	}
	return ends
}

// Fingerprint returns pg_query's fingerprint of a text that Analyze accepted:
// the same for statements that differ in their constants only. It is "" for
// one that does not parse.
func Fingerprint(sql string) string {
	if checkText(sql) != nil {
		return ""
	}
	f, err := pg.Fingerprint(sql)
	if err != nil {
		return ""
	}
	return f
}

// StringConstant returns the value of a string constant of any notation that
// the grammar knows (manual, 4.1.2), and false where text is anything else.
func StringConstant(text string) (string, bool) {
	tree, err := parseSQL("SELECT " + text)
	if err != nil || len(tree.Stmts) != 1 {
		return "", false
	}
	sel := tree.Stmts[0].Stmt.GetSelectStmt()
	if sel == nil || len(sel.TargetList) != 1 {
		return "", false
	}
	s := sel.TargetList[0].GetResTarget().GetVal().GetAConst().GetSval()
	return s.GetSval(), s != nil
}
