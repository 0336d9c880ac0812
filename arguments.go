package guardedpg

import (
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

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
			k.pass = append(k.pass, rest[i].Value)
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
		// pgx does not look for options in what a rewriter returns.
		k.args = slices.Clone(k.args)
		k.pass = append(k.pass, rewritten{k.sql, k.args})
	}
	for i, v := range k.args {
		var err error
		if k.args[i], err = frozen(v); err != nil {
			return call{}, fmt.Errorf("failed to encode args[%d]: %w", i, err)
		}
	}
	if !query && len(k.args) == 0 || query && k.sql == "" {
		k.mode = pgx.QueryExecModeSimpleProtocol
	}
	return k, nil
}

// frozen is an argument in a form that stays what it is: it is read for the
// record, for the approver and for the server, and whoever made it could let it
// be another thing each time. What a type encodes by methods of pgx alone, and
// what it holds behind maps and slices, is not followed.
func frozen(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, int64, int, int32, bool, float64, time.Time:
		return v, nil
	case []byte:
		return slices.Clone(v), nil
	}
	rv := reflect.ValueOf(v)
	nilPointer := rv.Kind() == reflect.Pointer && rv.IsNil()
	if d, ok := v.(driver.Valuer); ok {
		t := rv.Type()
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case nilPointer && t.Implements(reflect.TypeFor[driver.Valuer]()):
			return nil, nil // as in database/sql and pgx: a value's method on no value
		case strings.HasPrefix(t.PkgPath(), "github.com/jackc/pgx/v5/"):
			// pgx encodes its own types by what they hold.
			if rv.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[driver.Valuer]()) {
				return rv.Elem().Interface(), nil
			}
			return v, nil
		}
		plain, err := d.Value()
		if err != nil {
			return nil, err
		}
		if _, again := plain.(driver.Valuer); again {
			return nil, fmt.Errorf("%T.Value gives a driver.Valuer", v)
		}
		return frozen(plain)
	}
	if rv.Kind() != reflect.Pointer || nilPointer {
		return v, nil
	}
	switch e := rv.Elem(); e.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64, reflect.String, reflect.Pointer:
		return frozen(e.Interface())
	case reflect.Struct:
		if t, ok := e.Interface().(time.Time); ok {
			return t, nil
		}
	}
	return v, nil
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
