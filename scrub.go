package guardedpg

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sqlstates.txt
var sqlstatesText string

// sqlstates maps each SQLSTATE that the server itself uses to its condition.
var sqlstates = func() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(sqlstatesText) {
		code, condition, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(code) == 5 && code[0] != '#' {
			m[code] = condition
		}
	}
	return m
}()

// States that stand for one that the author of the statement chose.
const (
	raiseException = "P0001"
	internalError  = "XX000"
)

// reduced is e with nothing in it that a value of the database could have
// shaped: the state, the severity, and words of our own.
func reduced(e *pgconn.PgError) *pgconn.PgError {
	code := e.Code
	if condition, ok := sqlstates[code]; !ok || condition == "" {
		code = internalError
	}
	// RAISE takes any state from the SQL, also one of the server's own, and so
	// a state computed from a value.
	if e.Routine == "exec_stmt_raise" {
		code = raiseException
	}
	return &pgconn.PgError{
		Severity:            e.Severity,
		SeverityUnlocalized: e.SeverityUnlocalized,
		Code:                code,
		Message: strings.ReplaceAll(sqlstates[code], "_", " ") +
			"; the server's words are withheld because the statement touches protected columns",
	}
}

// scrubbed is err as the caller may see it, of a statement that touches
// protected columns. An error of parse analysis tells what is in the text and
// in the catalog, and no more: it was raised before any row was read.
func scrubbed(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	if strings.HasPrefix(e.Code, "42") && e.Position > 0 && e.InternalQuery == "" && e.Where == "" {
		return err
	}
	return reduced(e)
}
