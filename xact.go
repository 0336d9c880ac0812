package guardedpg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg/audit"
)

// TransactionStatus returns what a trail asks after a crash: whether a
// transaction, whose end nobody heard of, was committed. It is for
// [audit.TrailConfig.TransactionStatus]; a trail that a configuration file names
// has it already. dsn is what sql.Open takes. Each question makes a connection.
func TransactionStatus(dsn string) (func(ctx context.Context, db *audit.Database, xid string) (string, error), error) {
	conn, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, configError("the DSN is wrong", "", err)
	}
	if _, err := takeParameters(conn); err != nil {
		return nil, err
	}
	return transactionStatus(conn), nil
}

func transactionStatus(to *pgx.ConnConfig) func(context.Context, *audit.Database, string) (string, error) {
	return func(ctx context.Context, db *audit.Database, xid string) (string, error) {
		if db == nil || db.Name != to.Database {
			return "", errors.New("guardedpg: the transaction was in another database")
		}
		conn, err := pgx.ConnectConfig(ctx, to.Copy())
		if err != nil {
			return "", fmt.Errorf("guardedpg: ask for a transaction's status: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		var status *string // null when it was too long ago
		err = conn.QueryRow(ctx, "select pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8)", xid).Scan(&status)
		if err != nil || status == nil {
			return "", err
		}
		return *status, nil
	}
}

const xactSQL = `select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text`

// transaction is what a commit's record says of its transaction, so that a crash
// between it and the server's answer can be resolved. It costs a round trip, which
// is why only strict durability asks, and nothing where no statement of the
// transaction had effects.
func (r *run) transaction(ctx context.Context) map[string]string {
	s := r.conn.session
	if !s.tx.wrote || s.pg.TxStatus() != 'T' {
		return nil
	}
	// A failure is the commit's to report: it meets the same connection.
	rows, err := s.ask(ctx, xactSQL)
	if err != nil || len(rows) != 1 || rows[0][0] == "" {
		return nil
	}
	return map[string]string{"xid": rows[0][0]}
}
