package guardedpg_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/approve/approvetest"
	"github.com/guardedpg/guardedpg/audit/audittest"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// exampleDatabase starts a server with one table.
func exampleDatabase(ctx context.Context) (dsn string, stop func()) {
	server, err := pgtest.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	dsn = server.DSN(pgtest.Superuser, "postgres")
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE TABLE customers (id int, email text); INSERT INTO customers VALUES (1, 'jane@example.com')"); err != nil {
		log.Fatal(err)
	}
	return dsn, server.Stop
}

func Example() {
	ctx := context.Background()
	dsn, stop := exampleDatabase(ctx)
	defer stop()

	approver := &approvetest.Fake{} // says no until it is told otherwise
	guardedpg.RegisterConfig("example", guardedpg.Config{
		Identify: func(context.Context) (identity.Identity, error) { return identity.Development("an-agent"), nil },
		Policy: guard.Policy{
			Protect: []guard.Protect{{Column: "public.customers.email", Mask: maskNamed("email")}},
			Include: []string{"baseline"},
		},
		Approver: approver,
		Audit:    &audittest.Recorder{}, // a program opens a trail: audit.Open
	})
	db, err := sql.Open("guardedpg", dsn+"&guardedpg_config=example")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	var email string
	if err := db.QueryRowContext(ctx, "SELECT email FROM customers WHERE id = $1", 1).Scan(&email); err != nil {
		log.Fatal(err)
	}
	fmt.Println(email)

	_, err = db.ExecContext(guardedpg.WithPurpose(ctx, "clean up"), "DROP TABLE customers")
	var rejected *approve.RejectedError
	fmt.Println(errors.Is(err, guardedpg.ErrRejected), errors.As(err, &rejected))

	approver.Yes()
	_, err = db.ExecContext(ctx, "DROP TABLE customers")
	fmt.Println(err)

	// Output:
	// j***@example.com
	// true true
	// <nil>
}

func ExampleWithTicket() {
	ctx := context.Background()
	dsn, stop := exampleDatabase(ctx)
	defer stop()

	approver := &approvetest.Fake{}
	db, err := guardedpg.OpenDB(guardedpg.Config{
		DSN:      dsn,
		Identify: func(context.Context) (identity.Identity, error) { return identity.Development("an-agent"), nil },
		Policy:   guard.Policy{Include: []string{"baseline"}},
		Approver: approver,
		Audit:    &audittest.Recorder{},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	approver.Wait() // nobody has decided yet
	_, err = db.ExecContext(ctx, "TRUNCATE customers")
	var pending *approve.PendingError
	fmt.Println(errors.As(err, &pending))

	approver.Answer(func(r approve.Request) (approve.Grant, error) { // later
		return approve.Grant{Request: r.TicketID, Digest: r.Digest, By: []identity.Identity{approvetest.Person("jo")},
			Use: func(context.Context) error { return nil }}, nil
	})
	_, err = db.ExecContext(guardedpg.WithTicket(ctx, pending.Ticket), "TRUNCATE customers")
	fmt.Println(err)

	// Output:
	// true
	// <nil>
}
