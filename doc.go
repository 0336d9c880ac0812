// Package guardedpg is a database/sql driver that puts a guard before pgx's
// stdlib driver: every statement has a verified identity, passes a policy, waits
// for a person where the policy says so, and leaves evidence; protected columns
// come back masked. What the policy allows behaves as it does with pgx.
//
//	import _ "github.com/guardedpg/guardedpg"
//
//	db, err := sql.Open("guardedpg", "postgres://...?guardedpg_config=guardedpg.yaml")
//
// or, with the configuration in Go:
//
//	db, err := guardedpg.OpenDB(guardedpg.Config{DSN: dsn, Identify: ..., Policy: ..., Audit: ...})
//
// # Stages
//
// A statement is identified, planned, decided on, approved where it is held,
// recorded, executed, masked and recorded again, in this order. What refuses it
// is a [*RefusedError], whose class is one of the sentinels of this package;
// what the server refuses is the server's own *pgconn.PgError.
//
// # What differs from pgx
//
// [sql.Conn.Raw] yields a [*Conn], which has no way to the *pgx.Conn. COPY
// from the client is refused; COPY of unprotected columns to the client runs, and
// its data goes nowhere, as with pgx. Query rewriters among the arguments get no
// connection. Errors, notices and notifications of statements that touch
// protected columns keep their SQLSTATE and lose their words. A text that the
// guard cannot read is refused, unless the server refuses it first.
//
// # Limits
//
// The adversary is the author of the SQL, not Go code in the same process.
// Definitions that another session changes are noticed within
// [Config].CatalogRefresh. Behind a pooler that gives each transaction another
// server connection, settings of the session, the identity's tag among them, do
// not stay with it.
package guardedpg
