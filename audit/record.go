package audit

import "time"

// Kinds returns the kinds of record.
func Kinds() []Kind {
	return []Kind{KindOpen, KindClose, KindHeartbeat, KindSession, KindIntent, KindOutcome, KindMask, KindHold, KindDecision,
		KindBreakGlass, KindRedeem, KindDenied, KindBegin, KindCommit, KindRollback, KindPolicy, KindCatalog, KindIdentity,
		KindIdentityRefused, KindSinkFailed, KindSinkRecovered, KindKey, KindShredded, KindRecovered, KindTombstone, KindSeal}
}

// Kind says what a record is about.
type Kind string

// The kinds of record.
const (
	KindOpen            Kind = "open"             // a trail begins
	KindClose           Kind = "close"            // a trail ends in good order
	KindHeartbeat       Kind = "heartbeat"        // nothing happened, and we are alive
	KindSession         Kind = "session"          // a connection to the database was made
	KindIntent          Kind = "intent"           // a statement is about to run
	KindOutcome         Kind = "outcome"          // how it ended
	KindMask            Kind = "mask"             // what was masked in its result
	KindHold            Kind = "hold"             // it waits for a human
	KindDecision        Kind = "decision"         // what the human said
	KindBreakGlass      Kind = "break_glass"      // a person overrode the ordinary rules, beside the decision
	KindRedeem          Kind = "redeem"           // a decision is used up
	KindDenied          Kind = "denied"           // it was refused
	KindBegin           Kind = "begin"            // a transaction
	KindCommit          Kind = "commit"           //
	KindRollback        Kind = "rollback"         //
	KindPolicy          Kind = "policy"           // a policy was loaded, or could not be
	KindCatalog         Kind = "catalog"          // the database's definitions changed
	KindIdentity        Kind = "identity"         // a credential was verified
	KindIdentityRefused Kind = "identity_refused" // or was not
	KindSinkFailed      Kind = "sink_failed"      //
	KindSinkRecovered   Kind = "sink_recovered"   //
	KindKey             Kind = "key"              // a data key was made, and stands wrapped in a file
	KindShredded        Kind = "shredded"         // a wrapped data key was deleted
	KindRecovered       Kind = "recovered"        // an intent whose outcome a crash took
	KindTombstone       Kind = "tombstone"        // older trails were deleted, by the rules of retention
	KindSeal            Kind = "seal"             // a signature over everything before it; only a Trail writes it
)

// A Record is one thing that happened. Fields that do not apply are zero and
// are left out of the stored form. The sink fills Seq and Trail, and Time when
// it is zero. What a Record points to may be shared between records: sinks read
// it during Append only, and never change it.
type Record struct {
	Seq       uint64     `json:"seq"`
	Time      time.Time  `json:"time"`
	Kind      Kind       `json:"kind"`
	Trail     string     `json:"trail,omitempty"`     // the process incarnation that wrote it
	Session   string     `json:"session,omitempty"`   // the connection, unique in the trail
	Statement string     `json:"statement,omitempty"` // the statement, unique in the trail; joins intent, hold, decision, redeem, mask and outcome
	Who       *Principal `json:"who,omitempty"`
	Database  *Database  `json:"database,omitempty"`
	SQL       *SQL       `json:"sql,omitempty"`
	Verdict   *Verdict   `json:"verdict,omitempty"`
	Decision  *Decision  `json:"decision,omitempty"`
	Outcome   *Outcome   `json:"outcome,omitempty"`
	Masks     []Mask     `json:"masks,omitempty"`
	// Detail holds what only some kinds have: a policy's hash, a changed
	// relation's name. Never a value from the database. The key "xid" is the
	// transaction's id where it is known (see TrailConfig.TransactionStatus).
	Detail map[string]string `json:"detail,omitempty"`
	// Heads are the ends of other trails that this record vouches for: those
	// of its predecessors in an open record, those deleted in a tombstone.
	Heads []Head `json:"heads,omitempty"`
	Seal  *Seal  `json:"seal,omitempty"`
}

// A Head names the end of a trail, or how far it had come.
type Head struct {
	Origin string `json:"origin"`
	Seq    uint64 `json:"seq"`           // of its last line; 0 when it has none
	Hash   Hash   `json:"hash"`          // of that line
	Key    []byte `json:"key,omitempty"` // the Ed25519 public key that the trail began with
	Tail   *Tail  `json:"tail,omitempty"`
	// Lost are the references in its last lines whose chunks were not there.
	Lost []string `json:"lost,omitempty"`
}

// A Tail is what stands after the last line of a trail and is not a line: a
// write that a crash tore. It is kept, and this says what it was.
type Tail struct {
	Segment int    `json:"segment"` // number of the segment where it begins
	Offset  int64  `json:"offset"`  // in that segment
	Length  int64  `json:"length"`  // up to the last byte that is not zero, over all following segments
	SHA256  string `json:"sha256"`  // in hex, over these bytes
}

// A Seal signs everything before it. See the package documentation.
type Seal struct {
	Root Hash   `json:"root"` // RFC 6962 tree hash over the lines before this one
	Next []byte `json:"next"` // the public key that must sign the next seal; empty in the last
	Sig  []byte `json:"sig"`
}

// Principal is an identity as recorded.
type Principal struct {
	Issuer     string            `json:"issuer"`
	Subject    string            `json:"subject"`
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Verified   bool              `json:"verified"`

	form []byte // what Prepare made
}

// Prepare makes the stored form of p once, for all records that share p. Whoever
// changes p after that must call it again.
func (p *Principal) Prepare() {
	p.form = nil
	var e encoder
	p.form = e.principal(nil, p)
}

// Database says which server a statement went to, and as whom.
type Database struct {
	SystemID   string `json:"system_id"` // pg_control_system().system_identifier, or "" where that may not be read
	Name       string `json:"name"`
	User       string `json:"user"`
	BackendPID uint32 `json:"backend_pid"`

	form []byte // what Prepare made
}

// Prepare makes the stored form of d once, for all records that share d. Whoever
// changes d after that must call it again.
func (d *Database) Prepare() {
	d.form = nil
	d.form = appendDatabase(nil, d)
}

// SQL is a statement and its arguments. Text is byte-exact: the sink stores it
// as base64 where it is not valid UTF-8. Where a literal or an argument meets a
// protected column, Text carries a placeholder in its place and Sealed holds
// the whole original.
type SQL struct {
	Text        string   `json:"text"`
	Fingerprint string   `json:"fingerprint,omitempty"` // pg_query's, of the shape without literals
	Args        []Arg    `json:"args,omitempty"`
	Sealed      string   `json:"sealed,omitempty"` // reference of the sealed original, see Sealer
	Facts       *Facts   `json:"facts,omitempty"`
	Classes     []string `json:"classes,omitempty"`

	head, tail []byte // what Prepare made
}

// Prepare makes the stored form of Text, Fingerprint, Facts and Classes once, for
// all copies of s. Whoever changes one of these after that must call it again;
// Args and Sealed are free.
func (s *SQL) Prepare() {
	s.head, s.tail = s.appendHead(nil), s.appendTail(nil)
}

// Arg is one argument: its text, or a mark that it was sealed with the statement.
type Arg struct {
	Type   string `json:"type"` // the Go type
	Value  string `json:"value,omitempty"`
	Null   bool   `json:"null,omitempty"`
	Sealed bool   `json:"sealed,omitempty"`
}

// Facts are the analysis of a statement, in names that a person can read.
type Facts struct {
	Reads   []string `json:"reads,omitempty"`   // schema.table.column
	Tests   []string `json:"tests,omitempty"`   // protected columns that only decided which rows came
	Writes  []string `json:"writes,omitempty"`  // schema.table
	Effects []string `json:"effects,omitempty"` // each with its path
	Unknown []string `json:"unknown,omitempty"`
}

// Verdict is what the policy said.
type Verdict struct {
	Verdict string `json:"verdict"` // allow, hold or deny
	Rule    string `json:"rule"`
	Reason  string `json:"reason,omitempty"`
	Policy  string `json:"policy"` // hash of the policy
}

// Decision is what a person said about a held statement.
type Decision struct {
	ID       string      `json:"id"` // the request's
	Digest   string      `json:"digest"`
	Approved bool        `json:"approved"`
	By       []Principal `json:"by,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	At       time.Time   `json:"at"`
	Expires  time.Time   `json:"expires,omitzero"`
}

// Outcome is how a statement ended.
type Outcome struct {
	OK       bool          `json:"ok"`
	SQLState string        `json:"sqlstate,omitempty"`
	Error    string        `json:"error,omitempty"` // never a value from the database
	Tag      string        `json:"tag,omitempty"`   // the server's command tag
	Rows     int64         `json:"rows"`            // delivered, or affected
	Bytes    int64         `json:"bytes,omitempty"` // delivered
	Duration time.Duration `json:"duration_ns"`
	Partial  bool          `json:"partial,omitempty"` // closed before the last row
	Payload  *Payload      `json:"payload,omitempty"`
}

// Payload says what was delivered.
type Payload struct {
	Mode   string `json:"mode"`             // digest or full
	Digest string `json:"digest"`           // sha256 over what was delivered
	Rows   int64  `json:"rows"`             // delivered
	Bytes  int64  `json:"bytes"`            // of what Digest covers
	Stored int64  `json:"stored,omitempty"` // of them kept in full, from the first; beyond it only the digest
	// Chunks are the places of what is kept, in order, for mode full.
	Chunks []string `json:"chunks,omitempty"`
}

// Mask is one column of a result that was masked.
type Mask struct {
	Column  string   `json:"column"` // the output's name
	Index   int      `json:"index"`  // its place, from 0
	Sources []string `json:"sources,omitempty"`
	Masker  string   `json:"masker"`
	Rule    string   `json:"rule,omitempty"`
	Values  int64    `json:"values"`           // how many
	Sealed  string   `json:"sealed,omitempty"` // reference of the sealed originals
	Clear   bool     `json:"clear,omitempty"`  // not masked: an unless let this identity see it
}
