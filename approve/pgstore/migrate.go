package pgstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var files embed.FS

// migrationLock is the key of the advisory lock under which one process
// migrates: "guardpg" in ASCII.
const migrationLock = 0x67756172647067

func migrations() ([]string, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(names))
	for i, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		texts[i] = string(b)
	}
	return texts, nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// version returns how many migrations the database has.
func version(ctx context.Context, q querier) (int, error) {
	var there bool
	// Not to_regclass: within a transaction it may answer from a cache what was
	// true before the lock was had.
	if err := q.QueryRow(ctx, `select exists (
		select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'guardedpg_approve' and c.relname = 'migrations')`).Scan(&there); err != nil || !there {
		return 0, err
	}
	var v int
	err := q.QueryRow(ctx, "select coalesce(max(version), 0) from guardedpg_approve.migrations").Scan(&v)
	return v, err
}

// migrate brings the schema to the version of this package.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	texts, err := migrations()
	if err != nil {
		return err
	}
	v, err := version(ctx, pool)
	if err != nil {
		return fmt.Errorf("approve/pgstore: reading the schema's version: %w", err)
	}
	if v == len(texts) {
		return nil
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", migrationLock); err != nil {
			return err
		}
		v, err = version(ctx, tx) // again: another process may have been first
		if err != nil {
			return err
		}
		if v > len(texts) {
			return fmt.Errorf("it is at version %d, of a newer guardedpg, and this one knows %d", v, len(texts))
		}
		if v == 0 {
			_, err := tx.Exec(ctx, `
				create schema if not exists guardedpg_approve;
				create table guardedpg_approve.migrations (
					version integer primary key,
					at      timestamptz not null default now()
				)`)
			if err != nil {
				return err
			}
		}
		for ; v < len(texts); v++ {
			if _, err := tx.Exec(ctx, texts[v]); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "insert into guardedpg_approve.migrations (version) values ($1)", v+1); err != nil {
				return err
			}
		}
		return nil
	})
	const insufficientPrivilege = "42501"
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == insufficientPrivilege {
		return fmt.Errorf("approve/pgstore: the schema guardedpg_approve is not at version %d and this role may not change it: run \"guardedpg approve setup\" as its owner: %w", len(texts), err)
	}
	if err != nil {
		return fmt.Errorf("approve/pgstore: making the schema guardedpg_approve: %w", err)
	}
	return nil
}
