package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Queryer is what a load needs of a connection. *pgx.Conn is one.
//
// The queries go through the simple protocol, several in one message. That
// works in every query exec mode, costs one round trip, and leaves nothing in
// the caller's statement caches that a later change of search_path could make
// wrong.
type Queryer interface {
	PgConn() *pgconn.PgConn
}

// ErrLoad is matched by every error of this package that says that the
// definitions could not be read. No statement can be planned then.
var ErrLoad = errors.New("catalog: the database's definitions could not be read")

// LoadError says why. It matches ErrLoad and its cause.
type LoadError struct {
	Reason string
	Err    error // may be nil
}

func (e *LoadError) Error() string {
	var pg *pgconn.PgError
	switch {
	case errors.As(e.Err, &pg):
		// The server's message may quote a value, its code cannot.
		return fmt.Sprintf("%v: %s (SQLSTATE %s)", ErrLoad, e.Reason, pg.Code)
	case e.Err != nil:
		return fmt.Sprintf("%v: %s: %v", ErrLoad, e.Reason, e.Err)
	}
	return fmt.Sprintf("%v: %s", ErrLoad, e.Reason)
}

func (e *LoadError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrLoad}
	}
	return []error{ErrLoad, e.Err}
}

func loadError(reason string, err error) error {
	if typed, ok := errors.AsType[*LoadError](err); ok {
		return typed
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55P03" { // lock_not_available
		reason = "another session holds a lock on a relation whose definition is needed"
	}
	return &LoadError{Reason: reason, Err: err}
}

// Names come out of the deparsing functions unqualified only when they are in
// pg_catalog or, not found there, in the session's own temporary schema.
// pg_temp is named last because it is searched first when it is not named.
//
// Deparsing a view locks the relations that it reads, for the time of the load.
// The lock timeout ends the deadlock, which the server cannot see, between a
// session that loads and one that holds such a lock and waits for the load.
const settings = `
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;
set local jit = off;
set local max_parallel_workers_per_gather = 0;
set local quote_all_identifiers = off;
`

const (
	beginFrame  = `begin isolation level read committed read only;` + settings
	commitFrame = `commit`

	// Rolling back to the savepoint restores each setting exactly, whether it
	// was set for the session, for the transaction or not at all.
	saveFrame    = `savepoint guardedpg_catalog;` + settings
	restoreFrame = `rollback to savepoint guardedpg_catalog; release savepoint guardedpg_catalog`
)

// A query is one SELECT and what to do with each of its rows. The row is valid
// only during the call.
type query struct {
	sql string
	row func(r row) error
}

// run executes the queries in order, in one round trip, and leaves the session
// as it was: in no transaction, or in the same one, not aborted, with the same
// settings.
func run(ctx context.Context, q Queryer, queries []query) error {
	pg := q.PgConn()
	inTx := false
	switch pg.TxStatus() {
	case 'I':
	case 'T':
		inTx = true
	default:
		return &LoadError{Reason: "the transaction is aborted; roll it back first"}
	}

	opening, closing := beginFrame, commitFrame
	if inTx {
		opening, closing = saveFrame, restoreFrame
	}
	var text strings.Builder
	text.WriteString(opening)
	for _, q := range queries {
		text.WriteString(q.sql)
		text.WriteString(";\n")
	}
	text.WriteString(closing)

	err := readAll(pg.Exec(ctx, text.String()), queries)
	if err == nil {
		return nil
	}
	if pg.IsClosed() {
		return err
	}
	if inTx && pg.TxStatus() == 'E' {
		_, undoErr := pg.Exec(ctx, restoreFrame).ReadAll()
		return errors.Join(err, undoErr)
	}
	if !inTx && pg.TxStatus() != 'I' {
		_, undoErr := pg.Exec(ctx, "rollback").ReadAll()
		return errors.Join(err, undoErr)
	}
	return err
}

func readAll(results *pgconn.MultiResultReader, queries []query) error {
	next := 0
	var rowErr error
	for results.NextResult() {
		reader := results.ResultReader()
		if len(reader.FieldDescriptions()) == 0 {
			continue // begin, set, savepoint
		}
		for reader.NextRow() {
			if rowErr == nil {
				r := row{fields: reader.Values()}
				rowErr = queries[next].row(r)
			}
		}
		next++
	}
	if err := results.Close(); err != nil {
		return err
	}
	if rowErr == nil && next != len(queries) {
		rowErr = fmt.Errorf("%d of %d results arrived", next, len(queries))
	}
	return rowErr
}
