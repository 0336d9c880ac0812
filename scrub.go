package guardedpg

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/internal/catalog"
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
func scrubbed(err error, snap *catalog.Snapshot) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	if strings.HasPrefix(e.Code, "42") && e.Position > 0 && e.InternalQuery == "" && e.Where == "" {
		return err
	}
	out := reduced(e)
	nameConstraint(out, e, snap)
	return out
}

// reporters are the functions of the server that report a broken constraint, by
// SQLSTATE. Nobody but the server's own code can be one of them: what RAISE
// makes says so.
var reporters = map[string][]string{
	"23502": {"ExecConstraints", "ReportNotNullViolationError"},
	"23503": {"ri_ReportViolation"},
	"23505": {"_bt_check_unique", "check_exclusion_or_unique_constraint"},
	"23514": {"ExecConstraints"},
	"23P01": {"check_exclusion_or_unique_constraint"},
}

// nameConstraint puts the name of the broken constraint into out, which is what
// programs tell their users by. It is in the catalog for everybody to see. That
// of a partition is not told: it would say where a row is.
func nameConstraint(out, e *pgconn.PgError, snap *catalog.Snapshot) {
	if !slices.Contains(reporters[e.Code], e.Routine) {
		return
	}
	whole := func(r *catalog.Relation) bool { return r != nil && len(r.Parents) == 0 }
	rel := snap.RelationNamed(e.SchemaName, e.TableName)
	if !whole(rel) {
		return
	}
	switch e.Code {
	case "23502":
		out.Message = fmt.Sprintf("null value in column %q of relation %q violates not-null constraint", e.ColumnName, e.TableName)
	case "23503":
		if !slices.ContainsFunc(rel.ForeignKeys, func(fk catalog.ForeignKey) bool {
			return fk.Name == e.ConstraintName && whole(snap.Relation(fk.To))
		}) {
			return
		}
		out.Message = fmt.Sprintf("a row of table %q violates foreign key constraint %q", e.TableName, e.ConstraintName)
	case "23505":
		out.Message = fmt.Sprintf("duplicate key value violates unique constraint %q", e.ConstraintName)
	case "23514":
		out.Message = fmt.Sprintf("new row for relation %q violates check constraint %q", e.TableName, e.ConstraintName)
	case "23P01":
		out.Message = fmt.Sprintf("conflicting key value violates exclusion constraint %q", e.ConstraintName)
	}
	out.Message += "; the values are withheld because the statement touches protected columns"
	out.SchemaName, out.TableName, out.ColumnName, out.ConstraintName = e.SchemaName, e.TableName, e.ColumnName, e.ConstraintName
}
