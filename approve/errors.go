package approve

import (
	"errors"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// The classes of refusal.
var (
	ErrRejected = errors.New("approve: rejected")                     // a *RejectedError
	ErrPending  = errors.New("approve: waiting for a decision")       // a *PendingError
	ErrVoid     = errors.New("approve: the decision does not apply")  // an *Error
	ErrUnknown  = errors.New("approve: there is no such request")     // an *Error
	ErrClosed   = errors.New("approve: the request is closed")        // an *Error
	ErrMayNot   = errors.New("approve: this person may not decide")   // an *Error
	ErrInvalid  = errors.New("approve: the decision is not valid")    // an *Error
	ErrTooMany  = errors.New("approve: too many requests wait")       // an *Error
	ErrConflict = errors.New("approve: another event came before it") // from a Store
)

// RejectedError says that a person said no, or that nobody said yes in time.
type RejectedError struct {
	Request string            // its ID
	By      identity.Identity // who; zero when no person did
	Reason  string            // what they said; may be empty
}

// Error says who rejected and why.
func (e *RejectedError) Error() string {
	s := "rejected"
	if !e.By.IsZero() {
		s += " by " + Printable(e.By.Subject())
	}
	if e.Reason != "" {
		s += ": " + Printable(e.Reason)
	}
	return s
}

// Unwrap returns ErrRejected.
func (e *RejectedError) Unwrap() error { return ErrRejected }

// PendingError says that the decision comes later: run the same statement
// again then.
type PendingError struct {
	Ticket  string    // the request's ID
	Expires time.Time // when the request ends; zero means unknown
}

// Error says what to do.
func (e *PendingError) Error() string {
	return "waiting for approval, ticket " + e.Ticket + ": run the same statement again when it is approved"
}

// Unwrap returns ErrPending.
func (e *PendingError) Unwrap() error { return ErrPending }

// Error says why a decision was not accepted, or does not let a statement run.
type Error struct {
	// Class is ErrVoid, ErrUnknown, ErrClosed, ErrMayNot, ErrInvalid or
	// ErrTooMany.
	Class error
	// Request is the request's ID; may be empty.
	Request string
	// Detail says why; may be empty.
	Detail string
}

// Error gives class, request and detail.
func (e *Error) Error() string {
	s := e.Class.Error()
	if e.Request != "" {
		s += ", request " + Printable(e.Request)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Class }
