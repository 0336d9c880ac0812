package mask

import "errors"

// The classes of refusal. Both are mistakes of the policy's author: they are
// found when a policy is loaded, never while rows flow.
var (
	// ErrSpec means that a mask is not known or its arguments are wrong.
	ErrSpec = errors.New("mask: wrong mask")
	// ErrType means that a mask cannot make sense for a column's type. The
	// zero Spec (redact) fits every type.
	ErrType = errors.New("mask: mask does not fit the type")
)

// An Error says which mask was refused and why. It holds nothing of any value.
type Error struct {
	Class  error  // ErrSpec or ErrType
	Mask   string // the mask's name as written
	Type   string // the PostgreSQL type, or "" when Class is ErrSpec
	Reason string // what is wrong and what would be right
}

func (e *Error) Error() string {
	s := e.Class.Error() + ": " + e.Mask
	if e.Type != "" {
		s += " on " + e.Type
	}
	return s + ": " + e.Reason
}

func (e *Error) Unwrap() error { return e.Class }
