package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// Blank returns sql with a placeholder for each constant and each comment in it:
// what may be shown of a text of which nobody knows what it is about. ok is false
// where the lexer cannot read it.
func Blank(sql string) (text string, ok bool) { return blank(sql, false) }

// BlankCode is Blank for a text that was parsed. What a function or a DO block
// has between dollar signs is code, of which the constants are hidden and not the
// rest.
func BlankCode(sql string) (text string, ok bool) { return blank(sql, true) }

func blank(sql string, code bool) (string, bool) {
	if checkText(sql) != nil {
		return "", false
	}
	ends := constantEnds(sql)
	if ends == nil {
		return "", false
	}
	var spans []Span
	bodies := map[int]bool{} // where the constants start that are code
	body := false            // the token before says that a body follows
	err := scan(sql, func(t token) {
		if isComment(t.kind) {
			spans = append(spans, Span{t.start, t.end})
			return
		}
		if end := ends[t.start]; end > 0 {
			spans = append(spans, Span{t.start, end})
			bodies[t.start] = body && sql[t.start] == '$'
		}
		body = code && (t.kind == pg.Token_AS || t.kind == pg.Token_DO)
	})
	if err != nil {
		return "", false
	}
	return Replace(sql, spans, func(s Span) string {
		if bodies[s.Start] {
			quote := sql[s.Start : s.Start+strings.IndexByte(sql[s.Start+1:], '$')+2]
			if inner, ok := blank(sql[s.Start+len(quote):s.End-len(quote)], false); ok {
				return quote + inner + quote
			}
		}
		return Placeholder
	}), true
}

// Placeholder stands for what is not shown of a text.
const Placeholder = "'***'"

// A Span is a part of a text: byte offsets.
type Span struct{ Start, End int }

// Replace returns sql with something else in place of each span.
func Replace(sql string, spans []Span, with func(Span) string) string {
	slices.SortFunc(spans, func(a, b Span) int { return a.Start - b.Start })
	var b strings.Builder
	at := 0
	for _, s := range spans {
		if s.Start < at {
			continue // within another
		}
		b.WriteString(sql[at:s.Start])
		b.WriteString(with(s))
		at = s.End
	}
	b.WriteString(sql[at:])
	return b.String()
}

// Comments returns the comments of a text that Analyze accepted.
func Comments(sql string) []Span {
	if !strings.Contains(sql, "--") && !strings.Contains(sql, "/*") {
		return nil
	}
	var spans []Span
	// It was read before: an error cannot be.
	_ = scan(sql, func(t token) {
		if isComment(t.kind) {
			spans = append(spans, Span{t.start, t.end})
		}
	})
	return spans
}

func isComment(k pg.Token) bool { return k == pg.Token_SQL_COMMENT || k == pg.Token_C_COMMENT }

// Shape returns a text that is the same for statements that differ in nothing but
// the values of their constants and parameters, white space, comments, and the
// case of names without quotes, and different for all others. It is "" where the lexer cannot read sql. pg_query's
// fingerprint is coarser: it does not tell f(a, b) from f(b, a), nor INSERT INTO
// t (a, b) from (b, a).
func Shape(sql string) string {
	if checkText(sql) != nil {
		return ""
	}
	ends := constantEnds(sql)
	var b strings.Builder
	until := 0 // the end of a constant of several tokens
	err := scan(sql, func(t token) {
		if isComment(t.kind) || t.start < until {
			return
		}
		end, constant := ends[t.start]
		switch {
		case constant:
			until = end
			// The kind decides which function or operator a name stands for.
			switch t.kind {
			case pg.Token_ICONST, pg.Token_FCONST:
				b.WriteString("0")
			case pg.Token_BCONST, pg.Token_XCONST:
				b.WriteString("B''")
			default:
				b.WriteString("''")
			}
		case t.kind == pg.Token_PARAM:
			b.WriteString("$")
		case t.kind == pg.Token_UIDENT || sql[t.start] == '"':
			b.WriteString(sql[t.start:t.end])
		default:
			b.WriteString(strings.Map(lower, sql[t.start:t.end]))
		}
		b.WriteByte('\n')
	})
	if err != nil || ends == nil {
		return ""
	}
	return b.String()
}

// lower folds what the lexer folds.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}
