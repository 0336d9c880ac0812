// Package guard decides what happens to a statement: it runs, it waits for a
// person, or it is refused, and which of its outputs are masked. It knows
// facts, identities and a policy; it reads no database and asks nobody.
//
// A [Policy] is compiled once to an [Engine]. [Engine.Bind] finds the columns
// and tables that the policy names in a catalog snapshot. [Bound.Plan] computes
// what does not depend on who runs a statement, and [Plan.Decide] the rest.
//
// # How a verdict comes about
//
// Every statement of a text is judged, and the strictest verdict counts for the
// text. Rules are judged without order: deny over hold over allow, and the
// policy's default where none matches. A rule whose condition fails (a claim
// that the identity lacks) counts as matching, unless it allows. Some verdicts
// come before any rule and cannot be relaxed by one; they are named
// "guard.something" in a [Decision].
//
// # What is protected
//
// A column that a pattern under protect names, or whose comment has a tag
// @mask(name), and every column that carries its values: in partitions, in
// parents and children, along foreign keys, in generated columns, materialized
// views and what triggers fill. A pattern in the policy counts for more than a
// tag, and the pattern with more literal parts for more than one with fewer.
// Once protected, a column stays so through renames, for as long as the process
// lives and its pattern stands in the policy.
//
// While anything is protected, the columns of system catalogs that hold
// statistics, other sessions' statements or the server's secrets are redacted,
// bodies of functions come without their constants, and statements that read
// TOAST tables are refused.
package guard

import (
	"errors"
	"fmt"
	"time"

	"github.com/guardedpg/guardedpg/internal/strictyaml"
	"github.com/guardedpg/guardedpg/mask"
)

// Policy is the part of the configuration that decides. The zero Policy denies
// everything. It is plain data; [Compile] says whether it makes sense.
type Policy struct {
	// Protect names protected columns. Default: none.
	Protect []Protect `yaml:"protect" json:"protect,omitempty"`
	// Critical names tables, as "public.orders" or "billing.*", a write to which
	// by any path sets statement.critical. Partitions, inheritance children and
	// parents follow. Default: none.
	Critical []string `yaml:"critical" json:"critical,omitempty"`
	// Rules judge statements. Default: none.
	Rules []Rule `yaml:"rules" json:"rules,omitempty"`
	// Include names built-in packs of rules, "baseline" and "read-only". A rule
	// of the policy replaces one of a pack that has its name. Default: none.
	Include []string `yaml:"include" json:"include,omitempty"`
	// Default is the verdict where no rule matches. Default: deny.
	Default Verdict `yaml:"default" json:"default"`
	// Predicates says what happens when a protected column decides which rows
	// or values come. Default: record.
	Predicates Predicates `yaml:"predicates" json:"predicates"`
	// Declassify is the verdict on a write of protected values to where they
	// are not protected: deny or hold. Default: deny.
	Declassify Verdict `yaml:"declassify" json:"declassify"`
	// Unknown is the verdict on what the analysis could not understand while
	// any column is protected or any table critical: deny or hold. Default: deny.
	Unknown Verdict `yaml:"unknown" json:"unknown"`
	// TrustedFunctions names functions, as "public.f" or "ext.*", whose effects
	// the analysis cannot see and may take for none. Their results derive from
	// their arguments. Default: none.
	TrustedFunctions []string `yaml:"trusted_functions" json:"trusted_functions,omitempty"`
	// Strict makes every warning of [Engine.Bind] an error. Default: false.
	Strict bool `yaml:"strict" json:"strict"`
	// Approval says how held statements wait.
	Approval Approval `yaml:"approval" json:"approval"`
	// Payloads says for single tables how much of what was delivered is kept.
	// Default: none, the trail's own setting counts.
	Payloads []TablePayload `yaml:"payloads" json:"payloads,omitempty"`

	// Places says where the keys stand in a file; nothing for a policy made in Go.
	Places strictyaml.Places `yaml:"-" json:"-"`
}

// Protect names columns and says how they are masked.
type Protect struct {
	// Column is a pattern "schema.table.column". A name is folded to lower case
	// as in SQL unless it stands in double quotes; * outside of quotes stands
	// for any characters. Required.
	Column string `yaml:"column" json:"column"`
	// Mask is a name, or one name with its arguments. Default: redact.
	Mask Mask `yaml:"mask" json:"mask"`
	// Unless is a condition on identity, session and time under which the
	// clear value is given and the record says so. Default: never.
	Unless string `yaml:"unless" json:"unless,omitempty"`
	// Aggregates lets results over many rows through. Default: none.
	Aggregates Aggregates `yaml:"aggregates" json:"aggregates,omitzero"`

	Places strictyaml.Places `yaml:"-" json:"-"`
}

// Aggregates names aggregate functions whose result over a protected column is
// given in the clear, where the query reads the column's table alone and so many
// of the rows that it aggregates have a value. Over fewer rows the result is
// NULL. Every other use of the column stays masked. Who asks twice, with one
// person more in the second question, learns that person's value.
type Aggregates struct {
	// Functions are names of the server's own aggregate functions of one
	// argument: avg, sum, min, max, stddev, stddev_pop, stddev_samp, variance,
	// var_pop, var_samp. min and max give one row's value. Default: none.
	Functions []string `yaml:"functions" json:"functions,omitempty"`
	// Rows is how many rows it takes, at least 2. Required.
	Rows int `yaml:"rows" json:"rows,omitempty"`
}

// aggregateFunctions are those that a policy can name.
var aggregateFunctions = []string{"avg", "sum", "min", "max", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp"}

// Mask is a mask in a policy.
type Mask struct{ Spec mask.Spec }

// MarshalText returns the mask as a policy writes it.
func (m Mask) MarshalText() ([]byte, error) { return []byte(m.Spec.String()), nil }

// UnmarshalNode reads "email" or {partial: {last: 4}}.
func (m *Mask) UnmarshalNode(n strictyaml.Node) {
	var value any
	if s, ok := n.Scalar(); ok && s != "" {
		value = s // also the word null
	} else {
		value = n.Plain()
	}
	spec, err := mask.Decode(value)
	if err != nil {
		if e, ok := errors.AsType[*mask.Error](err); ok {
			err = fmt.Errorf("%s: %s", e.Mask, e.Reason)
		}
		n.Errorf("%v", err)
		return
	}
	m.Spec = spec
}

// Rule is one condition and its verdict.
type Rule struct {
	// Name stands in errors and records. Unique, required.
	Name string `yaml:"name" json:"name"`
	// When is a CEL expression over statement, identity, session and time. Required.
	When string `yaml:"when" json:"when"`
	// Then is the verdict where When is true. Default: deny.
	Then Verdict `yaml:"then" json:"then"`
	// Approvers may decide what the rule holds. Default: those of [Approval].
	Approvers Approvers `yaml:"approvers" json:"approvers"`
	// Reason is what the caller reads: why, and what to do instead. Default: none.
	Reason string `yaml:"reason" json:"reason,omitempty"`

	Places strictyaml.Places `yaml:"-" json:"-"`
}

// Approvers says who may decide.
type Approvers struct {
	// Groups may decide. Default: anybody who is not the asker.
	Groups []string `yaml:"groups" json:"groups,omitempty"`
	// Quorum is how many people must agree, all of one issuer: people of two
	// cannot be told apart. Default: 1.
	Quorum int `yaml:"quorum" json:"quorum,omitempty"`
	// BreakGlass are groups of which one person alone may let the statement run
	// in an emergency, by giving a reason. Default: nobody may.
	BreakGlass []string `yaml:"break_glass" json:"break_glass,omitempty"`
	// Claims are what an identity must have to decide, all of them, whatever its
	// groups; also to break the glass. Default: none.
	Claims map[string]string `yaml:"claims" json:"claims,omitempty"`
	// Issuers are those who vouch for approvers. Without them it is the side of
	// the approvers that chooses whom to believe: name them. Default: those of
	// [Approval], else any.
	Issuers []string `yaml:"issuers" json:"issuers,omitempty"`
}

func (a Approvers) isZero() bool {
	return len(a.Groups) == 0 && a.Quorum == 0 && len(a.BreakGlass) == 0 && len(a.Claims) == 0 && len(a.Issuers) == 0
}

// Approval says how held statements wait.
type Approval struct {
	// Wait is how long a statement blocks for its decision. Default: 0, the
	// caller gets a ticket at once.
	Wait time.Duration `yaml:"wait" json:"wait"`
	// InTransaction says what happens inside an open transaction, where waiting
	// holds locks. Default: ticket.
	InTransaction Waiting `yaml:"in_transaction" json:"in_transaction"`
	// Approvers decide where a rule names none. Default: anybody who is not the asker.
	Approvers Approvers `yaml:"approvers" json:"approvers"`
	// ShowProtected shows approvers arguments that meet protected columns.
	// Default: false.
	ShowProtected bool `yaml:"show_protected" json:"show_protected"`
	// Preview is what approvers are told of how many rows an UPDATE or DELETE
	// would touch. Default: estimate.
	Preview Preview `yaml:"preview" json:"preview"`
}

// TablePayload is how much of what was delivered from a table is kept.
type TablePayload struct {
	// Table is a pattern "schema.table". Required.
	Table string `yaml:"table" json:"table"`
	// Keep is none, digest or full. Required.
	Keep Payload `yaml:"keep" json:"keep"`

	Places strictyaml.Places `yaml:"-" json:"-"`
}

// Verdict is what happens to a statement. The zero Verdict denies.
type Verdict uint8

// The verdicts, the strictest first.
const (
	Deny Verdict = iota
	Hold
	Allow
)

var verdicts = []string{"deny", "hold", "allow"}

// String returns the verdict's name in a policy.
func (v Verdict) String() string { return word(verdicts, int(v)) }

// MarshalText returns the verdict's name in a policy.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the verdict's name in a policy.
func (v *Verdict) UnmarshalText(b []byte) error { return choose(v, verdicts, b) }

// Predicates is what happens to a statement in which a protected column
// decides which rows or values come. The zero value records.
type Predicates uint8

// What can happen.
const (
	RecordTests Predicates = iota // it runs, and the record names the columns
	AllowTests                    // it runs
	HoldTests
	DenyTests
)

var predicateNames = []string{"record", "allow", "hold", "deny"}

// String returns the name in a policy.
func (p Predicates) String() string { return word(predicateNames, int(p)) }

// MarshalText returns the name in a policy.
func (p Predicates) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name in a policy.
func (p *Predicates) UnmarshalText(b []byte) error { return choose(p, predicateNames, b) }

// Waiting is how a held statement waits inside an open transaction. The zero
// value gives a ticket.
type Waiting uint8

// How it waits.
const (
	TicketInTransaction Waiting = iota
	WaitInTransaction
	DenyInTransaction
)

var waitingNames = []string{"ticket", "wait", "deny"}

// String returns the name in a policy.
func (w Waiting) String() string { return word(waitingNames, int(w)) }

// MarshalText returns the name in a policy.
func (w Waiting) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads the name in a policy.
func (w *Waiting) UnmarshalText(b []byte) error { return choose(w, waitingNames, b) }

// Preview is what approvers are told of how many rows a statement would touch.
// Neither runs the statement.
type Preview uint8

// What they are told.
const (
	PreviewEstimate Preview = iota // the planner's estimate
	PreviewExact                   // and, where a read-only query can tell it, the exact number
	PreviewNone                    // nothing is asked of the server
)

var previewNames = []string{"estimate", "exact", "none"}

// String returns the name in a policy.
func (p Preview) String() string { return word(previewNames, int(p)) }

// MarshalText returns the name in a policy.
func (p Preview) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name in a policy.
func (p *Preview) UnmarshalText(b []byte) error { return choose(p, previewNames, b) }

// Payload is how much of what was delivered is kept. The zero value is the
// trail's own setting.
type Payload uint8

// How much is kept.
const (
	PayloadDefault Payload = iota
	PayloadNone
	PayloadDigest
	PayloadFull
)

var payloadNames = []string{"", "none", "digest", "full"}

// String returns the name in a policy, "" for the trail's own setting.
func (p Payload) String() string { return word(payloadNames, int(p)) }

// MarshalText returns the name in a policy.
func (p Payload) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name in a policy.
func (p *Payload) UnmarshalText(b []byte) error { return choose(p, payloadNames, b) }

func word(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "invalid"
}

func choose[T ~uint8](into *T, names []string, b []byte) error {
	var known []string
	for i, n := range names {
		if n == "" {
			continue
		}
		if n == string(b) {
			*into = T(i)
			return nil
		}
		known = append(known, n)
	}
	return errors.New("is not a known value" + strictyaml.DidYouMean(string(b), known))
}
