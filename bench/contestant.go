package main

import (
	"database/sql"

	"github.com/XSAM/otelsql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// contestant is a way to a pool. The first of a run is what the others are
// compared with.
type contestant struct {
	name  string
	guard bool // takes part in the workloads that differ to guardedpg alone
	// open returns a pool and, unless it is nil, what to do once the pool is
	// closed.
	open func(dsn string, p protection) (db *sql.DB, done func() error, err error)
}

// control is pgx once more.
const control = "A/A"

func contestants(g *guarded) []contestant {
	pgx := func(dsn string, _ protection) (*sql.DB, func() error, error) {
		db, err := sql.Open("pgx", dsn)
		return db, nil, err
	}
	return []contestant{
		{name: "pgx", guard: true, open: pgx},
		// The same again. How far its ratio is from 1 is how far to trust the
		// others.
		{name: control, guard: true, open: pgx},
		// Without an OpenTelemetry SDK: what the wrapper itself costs.
		{name: "otelsql", open: func(dsn string, _ protection) (*sql.DB, func() error, error) {
			db, err := otelsql.Open("pgx", dsn)
			return db, nil, err
		}},
		{name: "guardedpg", guard: true, open: g.open},
	}
}
