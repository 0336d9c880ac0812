package guardedpg

import (
	"errors"
	"strings"
)

// The classes of refusal. Every refusal is a [*RefusedError] for which
// [errors.Is] holds with exactly one of them. What the server itself refuses is
// the server's own *pgconn.PgError.
var (
	// ErrNoIdentity means that the statement's context carries no verified,
	// unexpired identity.
	ErrNoIdentity = errors.New("no identity")
	// ErrDenied means that the policy, or the driver itself, does not let the
	// statement run.
	ErrDenied = errors.New("denied")
	// ErrHeld means that the statement needs a person's decision and got none.
	ErrHeld = errors.New("held")
	// ErrRejected means that a person said no. [errors.As] finds the
	// *approve.RejectedError.
	ErrRejected = errors.New("rejected")
	// ErrPending means that a person decides later. [errors.As] finds the
	// *approve.PendingError with the ticket.
	ErrPending = errors.New("pending")
	// ErrUnparsable means that the text is not SQL that the guard can read.
	ErrUnparsable = errors.New("unparsable")
	// ErrUnknown means that the guard could not find out what the statement does.
	ErrUnknown = errors.New("unknown")
	// ErrDeclassified means that the statement would copy protected values to
	// where they are not protected.
	ErrDeclassified = errors.New("declassifying")
	// ErrContradiction means that the server described another result than the
	// guard had computed.
	ErrContradiction = errors.New("contradiction")
	// ErrAudit means that the trail could not be written.
	ErrAudit = errors.New("trail not written")
	// ErrConfig means that the configuration is wrong or missing.
	ErrConfig = errors.New("configuration")
)

// RefusedError says why a statement was not run, or why its result was not
// released. Its text is made for the author of the statement: what was refused,
// by which rule, and what can be done. It holds no value from the statement or
// the database.
type RefusedError struct {
	// Class is one of the sentinels of this package.
	Class error
	// Rule is the policy's rule, or "" when none is concerned.
	Rule string
	// Reason says why, as a clause without a full stop.
	Reason string
	// Hint says what to do, as a clause without a full stop; may be empty.
	Hint string
	// Statement is the statement's ID in the trail; empty when it has none.
	Statement string
	// Err is the cause; may be nil.
	Err error
}

// Error returns one sentence.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString("guardedpg: ")
	b.WriteString(outcomes[e.Class])
	if e.Rule != "" {
		b.WriteString(" by rule ")
		b.WriteString(e.Rule)
	}
	if e.Reason != "" {
		b.WriteString(", because ")
		b.WriteString(e.Reason)
	}
	if e.Class == ErrConfig && e.Err != nil {
		// The operator's own words, which no statement had a part in.
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	if e.Statement != "" {
		b.WriteString(" (statement ")
		b.WriteString(e.Statement)
		b.WriteString(")")
	}
	return b.String()
}

var outcomes = map[error]string{
	ErrNoIdentity:    "the statement was not run",
	ErrDenied:        "the statement was refused",
	ErrHeld:          "the statement was held for a person's approval and not run",
	ErrRejected:      "the statement was rejected",
	ErrPending:       "the statement waits for a person's approval",
	ErrUnparsable:    "the statement was refused",
	ErrUnknown:       "the statement was refused",
	ErrDeclassified:  "the statement was refused",
	ErrContradiction: "the result was withheld",
	ErrAudit:         "the statement was stopped",
	ErrConfig:        "the configuration is wrong",
}

// Unwrap returns the class and the cause.
func (e *RefusedError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

// configError is a RefusedError of class ErrConfig.
func configError(reason, hint string, cause error) error {
	return &RefusedError{Class: ErrConfig, Reason: reason, Hint: hint, Err: cause}
}
