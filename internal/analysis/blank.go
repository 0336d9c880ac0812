package analysis

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// Blank returns sql with a placeholder for each constant and each comment in it:
// what may be shown of a text of which nobody knows what it is about. ok is false
// where the lexer cannot read it.
func Blank(sql string) (text string, ok bool) {
	if checkText(sql) != nil {
		return "", false
	}
	var b strings.Builder
	at := 0
	err := scan(sql, func(t token) {
		switch t.kind {
		case pg.Token_SCONST, pg.Token_USCONST, pg.Token_BCONST, pg.Token_XCONST, pg.Token_FCONST, pg.Token_ICONST,
			pg.Token_SQL_COMMENT, pg.Token_C_COMMENT:
			b.WriteString(sql[at:t.start])
			b.WriteString("'***'")
			at = t.end
		}
	})
	b.WriteString(sql[at:])
	return b.String(), err == nil
}
