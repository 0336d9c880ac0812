package guardedpg

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// A call is a text and its arguments as pgx will run them: what leading
// arguments ask for is resolved, because pgx would otherwise run another text
// than the one that was planned.
type call struct {
	sql  string
	args []any // the statement's arguments alone
	pass []any // what goes to pgx: options, then the arguments
	mode pgx.QueryExecMode
}

// newCall resolves the options among the leading arguments as pgx's Query and
// Exec do. Names of arguments mean nothing to pgx.
func (c *Conn) newCall(ctx context.Context, sql string, named []driver.NamedValue, query bool) (call, error) {
	k := call{sql: sql, mode: c.mode}
	if query {
		// The first option is ours; one of the caller's own takes its place, as
		// in pgx. Masks work on decoded values and do not care.
		k.pass = make([]any, 1, 1+len(named))
		k.pass[0] = resultFormats
	} else if len(named) > 0 {
		k.pass = make([]any, 0, len(named))
	}
	var rewriter pgx.QueryRewriter
	rest := named
options:
	for ; len(rest) > 0; rest = rest[1:] {
		switch v := rest[0].Value.(type) {
		case pgx.QueryExecMode:
			k.mode = v
		case pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			if !query {
				break options // an argument like any other, to pgx's Exec
			}
		case pgx.QueryRewriter:
			rewriter = v
			continue // pgx must not see it
		default:
			break options
		}
		k.pass = append(k.pass, rest[0].Value)
	}
	if rewriter == nil {
		options := len(k.pass)
		for i := range rest {
			k.pass = append(k.pass, settle(rest[i].Value))
		}
		k.args = k.pass[options:]
	} else {
		args := make([]any, len(rest))
		for i := range rest {
			args[i] = rest[i].Value
		}
		var err error
		if k.sql, k.args, err = rewrite(ctx, rewriter, sql, args); err != nil {
			return call{}, fmt.Errorf("rewrite query failed: %w", err)
		}
		k.args = slices.Clone(k.args) // the rewriter may keep its own
		for i, v := range k.args {
			k.args[i] = settle(v)
		}
		// pgx does not look for options in what a rewriter returns.
		k.pass = append(k.pass, rewritten{k.sql, k.args})
	}
	if !query && len(k.args) == 0 || query && k.sql == "" {
		k.mode = pgx.QueryExecModeSimpleProtocol
	}
	return k, nil
}

// rewrite runs the rewriter without a connection: it belongs to the author of
// the statement, and the connection is behind the guard.
func rewrite(ctx context.Context, r pgx.QueryRewriter, sql string, args []any) (_ string, _ []any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("guardedpg: the rewriter %T panicked; it gets no connection here", r)
		}
	}()
	return r.RewriteQuery(ctx, nil, sql, args)
}

// rewritten hands pgx a text and arguments that must be taken as they are.
type rewritten struct {
	sql  string
	args []any
}

// RewriteQuery returns what was planned.
func (r rewritten) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	return r.sql, r.args, nil
}
