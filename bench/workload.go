package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// protection is what guardedpg is asked to do in a workload. The other
// contestants know nothing of it.
type protection struct {
	masked  []string // columns of customer
	sealed  bool     // their originals are kept for the auditor
	payload string   // none, digest or full
	noRows  bool     // nothing is delivered, and so no payload is to be expected
}

// workload is one row of the tables.
type workload struct {
	name       string
	atOnce     int    // goroutines, each with a connection
	unit       string // what figures are given per: an operation, or a row
	units      int    // units in one operation
	durable    bool   // runs on the server that syncs its log
	protection protection
	guardOnly  bool // the same as another workload to all but guardedpg
	fresh      int  // operations per sample, each sample on a new pool; 0: as many as fill a round
	budget     budget

	// start returns the operation. It is called with serial numbers that do not
	// repeat in a process. Whatever it opens belongs to the context.
	start func(ctx context.Context, db *sql.DB) (operation, error)
}

type operation func(ctx context.Context, serial int64) error

// budget is where guardedpg is to end, from the design; 0 is no budget.
type budget struct {
	wall, cpu float64 // ratios to pgx
	allocs    float64 // added per unit
}

const schema = `
create table customer (
	id bigint primary key, name text not null, email text not null, card text not null,
	city text not null, score int not null, balance float8 not null, created timestamptz not null);
insert into customer
	select n, 'Customer ' || n, 'customer' || n || '@example.com', lpad((n * 7919)::text, 16, '4'),
		'City ' || n %% 500, n %% 100, n * 0.25, timestamptz '2024-01-01' + n * interval '1 minute'
	from generate_series(1, %d) n;
create table payment (id bigint primary key, iban text not null);
create table event (
	id bigint generated always as identity primary key, customer bigint not null, kind text not null, note text not null)`

// loadSchema returns the statements that make the tables, with so many
// customers.
func loadSchema(customers int) string { return fmt.Sprintf(schema, customers) }

// masked are the columns that the masking workloads protect.
var masked = []string{"name", "email", "card"}

func workloads(customers int) []workload {
	var all []workload
	for _, prepared := range []bool{false, true} {
		name, start := "point select", pointSelect(customers)
		if prepared {
			name, start = "point select, prepared", preparedSelect(customers)
		}
		for _, n := range []int{1, 8, 64} {
			wall := 1.10
			if n == 1 {
				wall = 1.08
			}
			all = append(all, workload{
				name: name, atOnce: n, unit: "operation", units: 1, start: start,
				protection: protection{payload: "digest", masked: masked, sealed: true},
				budget:     budget{wall: wall, cpu: 1.15, allocs: 4},
			})
		}
	}
	for _, w := range []workload{
		{name: "insert", start: insert},
		{name: "transaction of one insert", start: transaction},
	} {
		w.atOnce, w.unit, w.units, w.durable = 1, "operation", 1, true
		w.protection = protection{payload: "digest", masked: masked, sealed: true, noRows: true}
		w.budget = budget{cpu: 1.20, allocs: 6}
		all = append(all, w)
	}
	for i, w := range []workload{
		{name: "nothing masked, no payload", protection: protection{payload: "none"}, budget: budget{1.02, 1.03, 0}},
		{name: "3 columns masked, no payload", protection: protection{payload: "none", masked: masked}, budget: budget{1.10, 1.15, 3}},
		{name: "nothing masked, payload digest", protection: protection{payload: "digest"}, budget: budget{1.12, 1.20, 0}},
		{name: "3 columns masked and sealed, payload full", protection: protection{payload: "full", masked: masked, sealed: true}, budget: budget{1.35, 1.80, 6}},
	} {
		w.name = fmt.Sprintf("%s rows of 8 columns, %s", thousands(customers), w.name)
		w.atOnce, w.unit, w.units, w.start = 1, "row", customers, scan(customers)
		w.guardOnly = i > 0
		all = append(all, w)
	}
	return append(all, workload{
		name: newTexts, atOnce: 1, unit: "operation", units: 1, fresh: 200, start: newText,
		protection: protection{payload: "digest", masked: masked, sealed: true},
	})
}

// newTexts names the workload whose round trips are counted too.
const newTexts = "texts never seen before"

const byID = "select id, city, score, created from customer where id = $1"

func pointSelect(customers int) func(context.Context, *sql.DB) (operation, error) {
	return func(_ context.Context, db *sql.DB) (operation, error) {
		return func(ctx context.Context, serial int64) error {
			return scanCustomer(db.QueryRowContext(ctx, byID, serial%int64(customers)+1))
		}, nil
	}
}

func preparedSelect(customers int) func(context.Context, *sql.DB) (operation, error) {
	return func(ctx context.Context, db *sql.DB) (operation, error) {
		stmt, err := db.PrepareContext(ctx, byID)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, serial int64) error {
			return scanCustomer(stmt.QueryRowContext(ctx, serial%int64(customers)+1))
		}, nil
	}
}

func scanCustomer(row *sql.Row) error {
	var id, score int64
	var city string
	var created time.Time
	return row.Scan(&id, &city, &score, &created)
}

const insertEvent = "insert into event (customer, kind, note) values ($1, $2, $3)"

func insert(_ context.Context, db *sql.DB) (operation, error) {
	return func(ctx context.Context, serial int64) error {
		_, err := db.ExecContext(ctx, insertEvent, serial, "visit", "came by and looked around")
		return err
	}, nil
}

func transaction(_ context.Context, db *sql.DB) (operation, error) {
	return func(ctx context.Context, serial int64) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, insertEvent, serial, "visit", "came by and looked around"); err != nil {
			tx.Rollback()
			return err
		}
		return tx.Commit()
	}, nil
}

func scan(customers int) func(context.Context, *sql.DB) (operation, error) {
	return func(_ context.Context, db *sql.DB) (operation, error) {
		return func(ctx context.Context, _ int64) error {
			rows, err := db.QueryContext(ctx, "select id, name, email, card, city, score, balance, created from customer")
			if err != nil {
				return err
			}
			defer rows.Close()
			n := 0
			for rows.Next() {
				var id, score int64
				var name, email, card, city string
				var balance float64
				var created time.Time
				if err := rows.Scan(&id, &name, &email, &card, &city, &score, &balance, &created); err != nil {
					return err
				}
				n++
			}
			if err := rows.Err(); err != nil {
				return err
			}
			if n != customers {
				return fmt.Errorf("%d rows came, not %d", n, customers)
			}
			return nil
		}, nil
	}
}

// text makes each text of newText another one, in this process and the next
// pool alike.
var text atomic.Int64

func newText(_ context.Context, db *sql.DB) (operation, error) {
	return func(ctx context.Context, serial int64) error {
		sql := fmt.Sprintf("select c.id, c.city as city_%d, c.score, c.created from customer c where c.id = $1", text.Add(1))
		return scanCustomer(db.QueryRowContext(ctx, sql, serial%100+1))
	}, nil
}

// thousands writes 200000 as 200k.
func thousands(n int) string {
	s := fmt.Sprint(n)
	if short, ok := strings.CutSuffix(s, "000"); ok {
		return short + "k"
	}
	return s
}
