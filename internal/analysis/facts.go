// Package analysis says what a statement does: what it reads, writes and
// triggers, and which base columns each of its output columns derives from. It
// works from the SQL text and a catalog snapshot, executes nothing, and knows
// no policy.
package analysis

import (
	"slices"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A Column is a base column: a relation that stores rows (table, partition,
// foreign table, materialized view) or a system catalog, and an attribute
// number. Att 0 stands for all columns of the relation.
type Column struct {
	Rel catalog.OID
	Att int16
}

// Columns is a set of base columns, sorted, without duplicates. Nil is empty.
// It is immutable: operations return a new set or one of their operands.
type Columns []Column

func compareColumn(a, b Column) int {
	if a.Rel != b.Rel {
		if a.Rel < b.Rel {
			return -1
		}
		return 1
	}
	return int(a.Att) - int(b.Att)
}

// Union returns the set of what is in c or d.
func (c Columns) Union(d Columns) Columns {
	if len(d) == 0 {
		return c
	}
	if len(c) == 0 {
		return d
	}
	if c.ContainsAll(d) {
		return c
	}
	if d.ContainsAll(c) {
		return d
	}
	u := append(slices.Clone(c), d...)
	slices.SortFunc(u, compareColumn)
	return slices.Compact(u)
}

// Contains reports whether x is in c.
func (c Columns) Contains(x Column) bool {
	_, ok := slices.BinarySearchFunc(c, x, compareColumn)
	return ok
}

// ContainsAll reports whether every element of d is in c.
func (c Columns) ContainsAll(d Columns) bool {
	if len(d) > len(c) {
		return false
	}
	for _, x := range d {
		if !c.Contains(x) {
			return false
		}
	}
	return true
}

// Derivation says how a value comes from its sources.
type Derivation uint8

const (
	Opaque     Derivation = iota // not known; the zero value
	Constant                     // from nothing but the statement's text, arguments and the session
	Plain                        // the base column unchanged
	Expression                   // computed from its sources
	Aggregate                    // computed from the sources' values in many rows
	Count                        // only how many rows or non-null values there are
)

// An Output is one column of a result.
type Output struct {
	Name    string
	Sources Columns // base columns whose values flow in
	// ByRows are those of Sources that flow in only by way of which rows there
	// are, or how many: what LIMIT and a set-returning function are given, where
	// rows are counted or picked. The server's own tree does not show them.
	ByRows Columns
	How    Derivation
	Type   catalog.OID // 0 when not known
	// Origin is what the server's RowDescription names as the column's table
	// and attribute, or the zero Column when it names none, or when that is not
	// known (OriginKnown false).
	Origin      Column
	OriginKnown bool
	// Fields are the parts of a composite value where they are known, else nil.
	Fields []Output
}

// Action is what a statement does to a relation.
type Action uint8

const (
	Select Action = iota + 1
	Insert
	Update
	Delete
	Truncate
)

var actionNames = [...]string{"", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"}

func (a Action) String() string { return actionNames[a] }

// A Use is a relation that is read or written, with the way that leads there.
type Use struct {
	Rel    catalog.OID
	Action Action
	// Columns are the attributes read (Select) or assigned (Insert, Update);
	// nil means all.
	Columns []int16
	// Path says how the statement gets there, outermost first: "view
	// public.v", "trigger audit_trg on public.t", "foreign key fk cascades from
	// public.customers", "function public.f". Empty means that the statement
	// names the relation itself.
	Path []string
}

// A Bound says how far an UPDATE or DELETE that the statement itself contains
// (at its top, in a CTE, or under EXPLAIN ANALYZE) is limited.
type Bound struct {
	Rel     catalog.OID
	Action  Action
	Limited bool   // a predicate that can exclude rows
	OneRow  bool   // equality on a unique key
	Why     string // why it is not limited: "no WHERE", "WHERE is always true"
}

// A Flow is values written from base columns into a column.
type Flow struct {
	To   Column // Att 0: unknown or all columns of To.Rel; Rel 0: something that is no column, named in Into
	Into string // "new table x", "setting my.x", "notification", "large object", "advisory lock", "sequence"
	From Columns
	// Same is true when To receives From[0] unchanged.
	Same bool
	Path []string
}

// An Unknown is what the analysis could not understand.
type Unknown struct {
	What     string // one sentence without a full stop, no literal in it
	Position int    // byte offset in the text, -1 when not known
	// Later is true where an earlier statement of the same text may have made
	// what is missing: a person who reads the whole text can judge it.
	Later bool
}

// An Effect is what a statement does besides returning rows.
type Effect struct {
	Class Class
	What  string   // "drops table public.customers", no literal in it
	Path  []string // as in Use
}

// Class is a set of what statements are and do. Policies name classes by
// [Class.Names].
type Class uint64

const (
	Read             Class = 1 << iota // SELECT, VALUES, TABLE, SHOW, EXPLAIN without ANALYZE
	Write                              // INSERT, UPDATE, DELETE, MERGE, COPY FROM; also nested
	DDL                                // CREATE, ALTER, DROP, COMMENT, SECURITY LABEL, IMPORT, REFRESH, ...
	DCL                                // GRANT, REVOKE, ownership, roles, default privileges
	TruncateData                       // TRUNCATE
	Unbounded                          // an UPDATE or DELETE that no predicate limits
	Transaction                        // BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET TRANSACTION
	TwoPhase                           // PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
	SessionHarmless                    // SET of a setting that agents may set, SHOW-like changes
	SessionRisky                       // SET of any other setting, RESET ALL, DISCARD ALL
	SessionForbidden                   // a setting that would make the analysis wrong
	Role                               // SET ROLE, SET SESSION AUTHORIZATION
	Lock                               // LOCK TABLE
	AdvisoryLock                       //
	Code                               // creates functions, triggers, rules, operators, casts, views, ...: what runs later
	Dynamic                            // DO blocks, EXECUTE of text, opaque functions: what cannot be analyzed
	File                               // reads or writes the server's files
	Program                            // runs programs on the server, LOAD
	Network                            // dblink, foreign servers' definitions, subscriptions
	ServerControl                      // ALTER SYSTEM, CHECKPOINT, signals, replication, reload
	Maintenance                        // VACUUM, ANALYZE, REINDEX, CLUSTER
	LargeObject                        // writes large objects
	Notify                             // NOTIFY, LISTEN
	Sequence                           // nextval, setval
	Sleep                              //
	CopyIn                             // COPY FROM STDIN
	CopyOut                            // COPY TO STDOUT
	Cursor                             // DECLARE, FETCH, MOVE, CLOSE
	PreparedSQL                        // PREPARE, EXECUTE, DEALLOCATE
	Temporary                          // creates or drops a temporary object only
	ProtectedMeta                      // reads statistics, other sessions' SQL, or other catalog columns that carry table data
	RowLock                            // SELECT ... FOR UPDATE and its kin
	TextMeta                           // reads definition texts (function bodies, index predicates), which may carry literals
	Secret                             // reads passwords or connection strings of the server
	SequenceSet                        // setval, also where a function calls it: numbers may come twice
)

var classNames = []string{"read", "write", "ddl", "dcl", "truncate", "unbounded", "transaction", "two_phase",
	"session", "session_risky", "session_forbidden", "role", "lock", "advisory_lock", "code", "dynamic", "file",
	"program", "network", "server_control", "maintenance", "large_object", "notify", "sequence", "sleep",
	"copy_in", "copy_out", "cursor", "prepared", "temporary", "protected_meta", "row_lock", "text_meta", "secret", "sequence_set"}

// Names returns the names of the classes in c, in a fixed order.
func (c Class) Names() []string {
	var names []string
	for i, n := range classNames {
		if c&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// ClassNamed returns the class with that name, or 0.
func ClassNamed(name string) Class {
	if i := slices.Index(classNames, name); i >= 0 {
		return 1 << i
	}
	return 0
}

// A Literal is a constant in the text or a parameter, and the columns that it
// meets: those it is compared with, assigned to, or combined with.
type Literal struct {
	Param      int // parameter number from 1, or 0 for a constant in the text
	Start, End int // byte offsets in the text of a constant; 0, 0 when the place is not known
	Meets      Columns
}

// Facts is what one SQL string does. It does not depend on who runs it.
type Facts struct {
	SQL        string
	Statements []*Statement // in order; empty for a comment or an empty string
	// Depends are the catalog objects that the facts rest on, for binding a
	// decision to their versions.
	Depends []catalog.OID
	// Settings are those that it, or a definition that it leads to, reads by a
	// name that is a constant, as with current_setting in a policy of row security.
	Settings []string
	// Snapshot is the catalog version the facts were computed with.
	Snapshot uint64
}

// Statement is the facts of one statement of the string.
type Statement struct {
	Text    string // its part of the SQL
	Kind    string // as in the command tag: "SELECT", "DROP TABLE", "SET", ...
	Classes Class
	// Outputs are the columns of the result, in the server's order. Nil when
	// the statement returns no rows.
	Outputs []Output
	Returns bool // returns rows

	Tests Columns // base columns that decide which rows or values come, without flowing into them
	// DefinedTests are those that the definitions of views make, not the text
	// itself or a function that it calls.
	DefinedTests Columns
	// Probes are the columns whose values decide whether what the text computes
	// is NULL or an error, which no mask hides.
	Probes   Columns
	made     Columns // those of Tests that make rows, see scope.rows
	compared Columns // see recorder.compared
	Reads    []Use
	Writes   []Use
	Bounds   []Bound
	// Locks is the relation whose rows a cursor locks as it comes to them, with
	// nothing that limits which; "" for none.
	Locks string
	// ByArguments is true where some arguments may lift a limit: analyze the
	// statement with those that there are, see [Session.Argument].
	ByArguments bool
	Flows       []Flow
	Effects     []Effect
	Unknown     []Unknown
	Literals    []Literal
	// Unread is true when constants of the text stand where nobody looked at what
	// they meet: in code, in conditions of definitions, or beside what is unknown.
	Unread bool

	// Touched are all base columns that the statement's execution may evaluate,
	// the whole rows of relations that it writes included: what an error message
	// or notice could show.
	Touched Columns

	// What it does to the state of the session that later statements depend on.
	Names     bool // may change how names resolve: search_path, role, temporary objects
	Catalog   bool // may change definitions
	Sweeps    bool // which ones it changes depends on all that there are, as with DROP ... CASCADE
	Tag       bool // may change application_name or the identity settings
	TxControl TxControl
	// Prepared and Portal name the SQL-level prepared statement or cursor that
	// the statement defines or uses ("" none).
	Prepared, Portal string
	Inner            *Statement // of PREPARE, DECLARE, EXPLAIN, COPY (query) TO, CREATE TABLE AS: the facts of what is inside
}

// TxControl is what a statement does to the transaction.
type TxControl uint8

const (
	TxNone TxControl = iota
	TxBegin
	TxCommit
	TxRollback
	TxSavepoint
	TxRelease
	TxRollbackTo
	TxSet
)
