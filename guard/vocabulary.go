package guard

import (
	"reflect"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// What a condition can name. The cel tags are the policy author's vocabulary:
// they keep their meaning.

// statementVars is the variable "statement".
type statementVars struct {
	Kind    string   `cel:"kind"`    // as in the command tag: "SELECT", "DROP TABLE"
	Classes []string `cel:"classes"` // the names of analysis.Class
	IsRead  bool     `cel:"is_read"` // reads, and has no other effect
	IsWrite bool     `cel:"is_write"`
	IsDDL   bool     `cel:"is_ddl"`
	IsDCL   bool     `cel:"is_dcl"`
	// Tables are all relations that it reads or writes by any path, Reads and
	// Writes those of either kind, Columns the columns that it reads, all as
	// "public.orders" and "public.orders.id", sorted.
	Tables  []string     `cel:"tables"`
	Reads   []string     `cel:"reads"`
	Writes  []string     `cel:"writes"`
	Columns []string     `cel:"columns"`
	Effects []effectVars `cel:"effects"`
	// Bounded is false when an UPDATE or DELETE has no predicate that can
	// exclude rows; OneRow is true when each names a unique key.
	Bounded bool `cel:"bounded"`
	OneRow  bool `cel:"one_row"`
	// Critical is true when it writes a critical table by any path.
	Critical       bool     `cel:"critical"`
	CriticalTables []string `cel:"critical_tables"`
	Unknown        bool     `cel:"unknown"` // not wholly understood
	// Protected is true when protected columns flow into its result,
	// TestsProtected when they decide what comes.
	Protected        bool     `cel:"protected"`
	ProtectedColumns []string `cel:"protected_columns"`
	TestsProtected   bool     `cel:"tests_protected"`
	// Estimate is how many rows the planner expects.
	Estimate int64 `cel:"estimate"`
}

// effectVars is an element of statement.effects.
type effectVars struct {
	Class string   `cel:"class"`
	What  string   `cel:"what"`
	Path  []string `cel:"path"` // empty when the statement itself does it
}

// identityVars is the variable "identity".
type identityVars struct {
	Issuer     string            `cel:"issuer"`
	Subject    string            `cel:"subject"`
	Groups     []string          `cel:"groups"`
	Attributes map[string]string `cel:"attributes"`
	Verified   bool              `cel:"verified"`
}

// sessionVars is the variable "session".
type sessionVars struct {
	InTransaction bool   `cel:"in_transaction"`
	Database      string `cel:"database"`
	User          string `cel:"user"`
}

// variables of a condition, by name. Time is a timestamp.
var variables = map[string]reflect.Type{
	"statement": reflect.TypeFor[statementVars](),
	"identity":  reflect.TypeFor[identityVars](),
	"session":   reflect.TypeFor[sessionVars](),
	"time":      reflect.TypeFor[time.Time](),
}

// fieldNames returns what follows the dot after a variable or an element of
// statement.effects.
func fieldNames(t reflect.Type) []string {
	var names []string
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if n := t.Field(i).Tag.Get("cel"); n != "" {
				names = append(names, n)
			}
		}
	}
	return names
}

func identityOf(i identity.Identity) *identityVars {
	return &identityVars{
		Issuer: i.Issuer(), Subject: i.Subject(), Groups: i.Groups(),
		Attributes: i.Attributes(), Verified: i.Verified(),
	}
}
