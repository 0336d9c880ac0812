// Package pganchor keeps the heads of audit trails in an append-only PostgreSQL
// table, where the processes that write the trails can add but not change.
//
// Three roles are held apart: the owner, who runs [Setup] and whom agents never
// connect as; the writer, which an agent's process connects as and which can
// only insert; and the auditor, who reads. Keep the table in another database
// server than the one that the agents work on, or at least under these roles.
package pganchor

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/guardedpg/guardedpg/audit"
)

//go:embed schema.sql
var schema string

// Setup makes the schema guardedpg_anchor, and lets writer insert and auditor
// read. Both roles must exist; it grants them nothing else. Run it as the role
// that shall own the table. It can be run again.
func Setup(ctx context.Context, dsn, writer, auditor string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err // pgx leaves the password out
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, schema, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("pganchor: make schema: %w", err)
	}
	w, a := pgx.Identifier{writer}.Sanitize(), pgx.Identifier{auditor}.Sanitize()
	for _, grant := range []string{
		"grant usage on schema guardedpg_anchor to " + w + ", " + a,
		"grant insert (origin, seq, hash, key) on guardedpg_anchor.heads to " + w,
		"grant select on guardedpg_anchor.heads to " + a,
	} {
		if _, err := tx.Exec(ctx, grant); err != nil {
			return fmt.Errorf("pganchor: grant: %w", err)
		}
	}
	return tx.Commit(ctx)
}

// Table is the table of heads. It is an audit.Anchor for a writer and an
// audit.AnchorReader for an auditor, and safe for concurrent use.
type Table struct{ pool *pgxpool.Pool }

var (
	_ audit.Anchor       = (*Table)(nil)
	_ audit.AnchorReader = (*Table)(nil)
)

// Open makes a Table for the database that dsn names, as pgxpool.ParseConfig
// reads it. It does not connect yet. Call Close when it is no longer needed.
func Open(ctx context.Context, dsn string) (*Table, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	params := config.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "guardedpg anchor"
	}
	// What the server forgets in a crash was not anchored.
	params["synchronous_commit"] = "on"
	config.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Table{pool}, nil
}

// Close closes the connections.
func (t *Table) Close() { t.pool.Close() }

// Anchor implements audit.Anchor.
func (t *Table) Anchor(ctx context.Context, h audit.Head) error {
	_, err := t.pool.Exec(ctx, "insert into guardedpg_anchor.heads (origin, seq, hash, key) values ($1, $2, $3, $4)",
		h.Origin, int64(h.Seq), h.Hash[:], h.Key)
	return err
}

// Heads implements audit.AnchorReader.
func (t *Table) Heads(ctx context.Context) iter.Seq2[audit.Head, error] {
	return func(yield func(audit.Head, error) bool) {
		rows, err := t.pool.Query(ctx, "select origin, seq, hash, key from guardedpg_anchor.heads order by id")
		if err != nil {
			yield(audit.Head{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var h audit.Head
			var seq int64
			var hash []byte
			if err := rows.Scan(&h.Origin, &seq, &hash, &h.Key); err != nil {
				yield(audit.Head{}, err)
				return
			}
			if len(hash) != len(h.Hash) || seq < 0 {
				yield(audit.Head{}, errors.New("pganchor: malformed head"))
				return
			}
			h.Seq, h.Hash = uint64(seq), audit.Hash(hash)
			if !yield(h, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(audit.Head{}, err)
		}
	}
}
