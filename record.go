package guardedpg

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

// A recorder writes the records of one connection. It keeps what does not change
// from one statement to the next: a sink takes nothing of a record with it.
type recorder struct {
	sink     audit.Sink
	session  string
	strict   bool
	payloads audit.PayloadSink // nil when the sink keeps none
	sealer   audit.Sealer      // nil when the sink seals nothing
	database audit.Database
	who      identity.Identity // of principal
	person   audit.Principal

	rec     audit.Record
	sql     audit.SQL
	args    []audit.Arg
	verdict audit.Verdict
	result  audit.Outcome
}

// principal makes the recorded form of an identity.
func principal(i identity.Identity) audit.Principal {
	p := audit.Principal{
		Issuer: i.Issuer(), Subject: i.Subject(), Groups: i.Groups(), Attributes: i.Attributes(), Verified: i.Verified(),
	}
	p.Prepare()
	return p
}

// next begins a record about a run.
func (c *recorder) next(kind audit.Kind, r *run) *audit.Record {
	c.rec = audit.Record{Kind: kind, Session: c.session, Database: &c.database}
	if r != nil {
		c.rec.Statement = r.id
		if !r.who.IsZero() {
			if c.who != r.who {
				c.who, c.person = r.who, principal(r.who)
			}
			c.rec.Who = &c.person
		}
	}
	return &c.rec
}

// write appends the record in hand. Its error is a refusal of class ErrAudit.
func (c *recorder) write(r *run) (seq uint64, err error) {
	defer failedSink(r, &err)
	if seq, err = c.sink.Append(&c.rec); err != nil {
		return 0, notRecorded(r, err)
	}
	return seq, nil
}

// failedSink makes an error of a panic in a sink, which is code of the program's.
func failedSink(r *run, err *error) {
	if recover() != nil {
		*err = notRecorded(r, errSinkPanicked)
	}
}

var errSinkPanicked = errors.New("the sink panicked")

func (c *recorder) wait(ctx context.Context, r *run, seq uint64, d audit.Durability) (err error) {
	defer failedSink(r, &err)
	if err = c.sink.Wait(ctx, seq, d); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return err
		}
		return notRecorded(r, err)
	}
	return nil
}

func notRecorded(r *run, err error) error {
	e := &RefusedError{Class: ErrAudit, Reason: "its record could not be written",
		Hint: "nothing runs until the trail can be written again; tell whoever operates this program", Err: err}
	if r != nil {
		e.Statement = r.id
	}
	return e
}

// meet sets who asks. A program may make the same identity anew for each statement:
// of equal ones the run gets that which this process met first, and which is
// recorded then.
func (r *run) meet(who identity.Identity) error {
	c := &r.conn.record
	if c.who.Equal(who) {
		r.who = c.who
		return nil
	}
	var first bool
	if r.who, first = r.conn.connector.met.meet(who); !first {
		return nil
	}
	c.next(audit.KindIdentity, r)
	_, err := c.write(r)
	return err
}

// recordStranger writes that nobody could be verified. The refusal of the
// statement, which has its text, comes after it.
func (r *run) recordStranger(err error) {
	c := &r.conn.record
	rec := c.next(audit.KindIdentityRefused, r)
	var refusal *RefusedError
	if errors.As(err, &refusal) {
		rec.Detail = map[string]string{"reason": refusal.Reason}
	}
	c.write(r)
}

// acquaintances are the identities that were recorded. The zero value is ready; it
// is safe for concurrent use.
type acquaintances struct {
	mu   sync.Mutex
	seen map[acquaintance][]identity.Identity // mostly one
	n    int                                  // of all of them
}

type acquaintance struct {
	issuer, subject string
	expires         int64
}

// maxAcquaintances bounds what is remembered: each token is an identity of its own.
const maxAcquaintances = 1024

// meet returns who, or the equal one that was met before.
func (a *acquaintances) meet(who identity.Identity) (known identity.Identity, first bool) {
	k := acquaintance{who.Issuer(), who.Subject(), who.Expires().UnixNano()}
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.IndexFunc(a.seen[k], who.Equal); i >= 0 {
		return a.seen[k][i], false
	}
	if a.seen == nil || a.n >= maxAcquaintances {
		a.seen, a.n = map[acquaintance][]identity.Identity{}, 0
	}
	a.seen[k] = append(a.seen[k], who)
	a.n++
	return who, true
}

// sqlRecord is the recorded form of a plan's text, without arguments.
type sqlRecord struct {
	recorded audit.SQL
	// sealedParams are the numbers, from 1, of the parameters that meet a
	// protected column.
	sealedParams []int
	// blind is true when any constant and argument may meet one.
	blind bool
	// redacted is true when recorded.Text is not the whole text.
	redacted bool
}

// describe fills the recorded form of the plan.
func (p *plan) describe() {
	snap, bound := p.view.snap, p.view.bound
	var classes analysis.Class
	facts := &audit.Facts{Effects: p.policy.Effects()}
	var hidden []analysis.Literal
	unread := false
	for _, st := range p.facts.Statements {
		unread = unread || st.Unread || st.Inner != nil && st.Inner.Unread
		classes |= st.Classes
		for _, c := range columnsOf(st) {
			facts.Reads = append(facts.Reads, columnName(snap, c))
		}
		for _, c := range st.Tests {
			if bound.Protects(c) {
				facts.Tests = append(facts.Tests, columnName(snap, c))
			}
		}
		for _, w := range st.Writes {
			facts.Writes = append(facts.Writes, relationName(snap, w.Rel))
		}
		for _, u := range st.Unknown {
			facts.Unknown = append(facts.Unknown, u.What)
		}
		for _, l := range st.Literals {
			if !protectsAny(bound, l.Meets) {
				continue
			}
			if l.Param == 0 {
				hidden = append(hidden, l)
			} else if !slices.Contains(p.sealedParams, l.Param) {
				p.sealedParams = append(p.sealedParams, l.Param)
			}
		}
	}
	p.recorded = audit.SQL{Text: p.sql, Classes: classes.Names(), Facts: facts}
	if len(p.sql) <= maxCachedText {
		// It parses once more. A text this long has no shape that comes again.
		p.recorded.Fingerprint = analysis.Fingerprint(p.sql)
	}
	switch {
	case unread && bound.Protecting():
		// Whatever was not looked at may be a value of a protected column.
		p.blind = true
		text, ok := analysis.BlankCode(p.sql)
		if !ok {
			text = hiddenText
		}
		p.redacted = text != p.sql
		p.recorded.Text = text
	case len(hidden) > 0 || len(p.sealedParams) > 0:
		// A comment can repeat the values that it is about.
		text := without(p.sql, hidden)
		p.redacted = text != p.sql
		p.recorded.Text = text
	}
	if len(p.sql) <= maxCachedText {
		p.recorded.Prepare()
	}
}

func protectsAny(b *guard.Bound, cols analysis.Columns) bool {
	for _, c := range cols {
		if b.Protects(c) {
			return true
		}
	}
	return false
}

// columnsOf are the base columns whose values a statement reads.
func columnsOf(st *analysis.Statement) analysis.Columns {
	var cols analysis.Columns
	for _, o := range st.Outputs {
		cols = cols.Union(o.Sources)
	}
	for _, f := range st.Flows {
		cols = cols.Union(f.From)
	}
	return cols
}

// without returns the text with a placeholder for each literal and each comment. A
// literal whose place is not known hides the whole text.
func without(sql string, literals []analysis.Literal) string {
	spans := analysis.Comments(sql)
	for _, l := range literals {
		if l.End <= l.Start || l.End > len(sql) {
			return hiddenText
		}
		spans = append(spans, analysis.Span{Start: l.Start, End: l.End})
	}
	return analysis.Replace(sql, spans, func(analysis.Span) string { return analysis.Placeholder })
}

const hiddenText = "(the text is sealed: it may have values of protected columns)"

// setSQL puts the text and the arguments into the record in hand.
func (c *recorder) setSQL(r *run) error {
	// Of a text that was not analyzed any literal and argument may be protected.
	blind := r.plan == nil && len(r.policy().Policy().Protect) > 0
	redacted := blind
	switch {
	case r.plan != nil:
		c.sql, redacted = r.plan.recorded, r.plan.redacted
	case blind:
		c.sql = audit.SQL{Text: hiddenText}
		if text, ok := analysis.Blank(r.call.sql); ok {
			c.sql.Text = text
		}
	default:
		c.sql = audit.SQL{Text: r.call.sql}
	}
	c.args = c.args[:0]
	for i, v := range r.call.args {
		c.args = append(c.args, r.recordedArg(v, blind || r.plan != nil && r.plan.seals(i+1)))
	}
	c.sql.Args = c.args
	c.rec.SQL = &c.sql
	if c.sealer != nil && (redacted || r.plan != nil && (len(r.plan.sealedParams) > 0 || r.plan.blind && len(r.call.args) > 0)) {
		return c.sealSQL(r)
	}
	return nil
}

// sealSQL seals the whole text and all arguments for the auditor.
func (c *recorder) sealSQL(r *run) error {
	whole := audit.SQL{Text: r.call.sql}
	for _, v := range r.call.args {
		whole.Args = append(whole.Args, r.recordedArg(v, false))
	}
	data, err := whole.MarshalJSON()
	if err != nil {
		return notRecorded(r, err)
	}
	if c.sql.Sealed, err = c.sealer.Seal(r.id, r.conn.connector.cfg.Retention, data); err != nil {
		return notRecorded(r, err)
	}
	return nil
}

func (p *plan) seals(param int) bool {
	return p.blind || slices.Contains(p.sealedParams, param)
}

func (r *run) recordedArg(v any, sealed bool) audit.Arg {
	text, typ, null := argText(r.conn.pgx.TypeMap(), v)
	a := audit.Arg{Type: typ, Null: null, Sealed: sealed && !null}
	if !a.Sealed {
		a.Value = text
	}
	return a
}

// recordIntent writes what is about to run. What has effects that last is on
// stable storage when it returns, all else with the operating system.
func (r *run) recordIntent(ctx context.Context) error {
	c := &r.conn.record
	c.next(r.plan.kind, r)
	if err := c.setSQL(r); err != nil {
		return err
	}
	c.verdict = audit.Verdict{Verdict: r.decision.Verdict.String(), Rule: r.decision.Rule, Reason: r.decision.Reason,
		Policy: r.policy().Hash()}
	c.rec.Verdict = &c.verdict
	if r.plan.kind == audit.KindCommit && c.strict {
		c.rec.Detail = r.transaction(ctx)
	}
	seq, err := c.write(r)
	if err != nil {
		return err
	}
	d := audit.Synced
	if r.plan.light && !r.granted {
		// A killed process loses nothing that the system has. Stable storage
		// may come while the server works.
		d, r.intent, r.pending = audit.Written, seq, c.strict
	}
	if err := c.wait(ctx, r, seq, d); err != nil {
		return r.refused(err)
	}
	return nil
}

// release returns when the intent is as safe as it must be before a row of the
// result is given to the caller.
func (r *run) release(ctx context.Context) error {
	if !r.pending {
		return nil
	}
	if err := r.conn.record.wait(ctx, r, r.intent, audit.Synced); err != nil {
		return err
	}
	r.pending = false
	return nil
}

// recordRefusal writes that a run was refused. The refusal stands whether or not
// that can be written.
func (r *run) recordRefusal(err error) {
	c := &r.conn.record
	c.next(audit.KindDenied, r)
	c.setSQL(r)
	c.verdict = audit.Verdict{Verdict: guard.Deny.String(), Policy: r.policy().Hash()}
	var refusal *RefusedError
	if errors.As(err, &refusal) {
		c.verdict.Rule, c.verdict.Reason = refusal.Rule, refusal.Reason
	} else {
		c.result = audit.Outcome{}
		describeError(&c.result, err)
		c.rec.Outcome = &c.result
		c.verdict.Reason = whyNotRun(err)
	}
	c.rec.Verdict = &c.verdict
	c.write(r)
}

// whyNotRun says what kept a text from being run that nobody refused.
func whyNotRun(err error) string {
	var e *pgconn.PgError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "the caller gave up"
	case !errors.As(err, &e) || lostConnection[e.Code[:min(2, len(e.Code))]]:
		return "the server could not be asked"
	}
	return "the server does not accept the text"
}

// lostConnection has the classes of SQLSTATE that are not about a text.
var lostConnection = map[string]bool{"08": true, "53": true, "57": true, "58": true, "XX": true}

// describeError puts into the outcome what can be said of an error without a
// value of the database.
func describeError(o *audit.Outcome, err error) {
	var e *pgconn.PgError
	var refusal *RefusedError
	switch {
	case errors.As(err, &e):
		o.SQLState = e.Code
		o.Error = strings.ReplaceAll(sqlstates[e.Code], "_", " ")
	case errors.As(err, &refusal):
		o.Error = refusal.Class.Error()
	case errors.Is(err, pgx.ErrTxCommitRollback):
		o.Error = "rolled back"
	case errors.Is(err, context.Canceled):
		o.Error = "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		o.Error = "deadline exceeded"
	default:
		o.Error = "failed in the client or on the way to the server"
	}
}

// end records how a run ended, follows what it did to the session, and returns
// the error that the caller may see.
func (r *run) end(o outcome) error {
	conn := r.conn
	s := conn.session
	s.gate.open = false
	s.tx.scrub = s.tx.scrub || r.scrub
	conn.follow(r, o.err != nil)

	c := &conn.record
	c.next(audit.KindOutcome, r)
	c.result = audit.Outcome{
		OK: o.err == nil, Tag: o.tag.String(), Rows: o.rows, Partial: o.partial, Duration: time.Since(r.started),
	}
	switch {
	case o.err != nil:
		describeError(&c.result, o.err)
	case r.plan.kind == audit.KindCommit && c.result.Tag == "ROLLBACK":
		// The server's whole answer to the end of a transaction that has failed.
		c.result.OK = false
		describeError(&c.result, pgx.ErrTxCommitRollback)
	}
	c.rec.Outcome = &c.result
	var keepErr error
	if o.result != nil {
		c.rec.Masks = r.maskRecords(o.masks)
		r.conn.connector.showed(r.who, r.outputMasks())
		keepErr = o.result.closeKept(c)
	}
	seq, err := c.write(r)
	if err == nil {
		err = keepErr
	}
	if err == nil && c.strict {
		err = c.wait(context.Background(), r, seq, audit.Synced)
	}
	if o.err != nil {
		s.forgetText(cmp.Or(r.plan.sends, r.call.sql))
		if r.scrub {
			return scrubbed(o.err, r.plan.view.snap)
		}
		return o.err
	}
	return err
}
