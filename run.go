package guardedpg

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
)

// A run is one text on its way through the stages: identify, plan, decide,
// approve, record the intent, execute, mask, record the outcome. A connection
// runs one at a time.
type run struct {
	conn     *Conn
	id       string // the statement's ID in the trail
	who      identity.Identity
	call     call
	query    bool // its result goes to the caller
	plan     *plan
	decision guard.Decision
	scrub    bool  // what the server says could show a protected value
	granted  bool  // a person's decision was used up for it
	maxRows  int64 // how many rows that decision lets it touch; 0 is any number
	started  time.Time
	// describes is true when the server describes the result again.
	describes bool
	intent    uint64 // its place in the trail
	pending   bool   // the intent has to be synced before a row is released
}

// An outcome is how a run ended.
type outcome struct {
	tag     pgconn.CommandTag
	rows    int64
	partial bool
	masks   []columnMask
	result  *Rows // nil for what has none
	err     error
}

var errBusy = errors.New("conn busy") // pgx's words

// start takes a text through the stages up to its execution. When it returns no
// error the caller executes the text and calls end.
func (c *Conn) start(ctx context.Context, sql string, named []driver.NamedValue, query bool) (*run, error) {
	r, err := c.begin(ctx, sql)
	if err != nil {
		return nil, err
	}
	r.query = query
	if r.call, err = c.newCall(ctx, sql, named, query); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, r.refused(err)
	}
	r.decide(ctx)
	if err := r.obey(ctx); err != nil {
		return nil, r.refused(err)
	}
	if err := r.recordIntent(ctx); err != nil {
		return nil, err
	}
	c.session.gate.open = !r.scrub
	return r, nil
}

// begin identifies who asks.
func (c *Conn) begin(ctx context.Context, sql string) (*run, error) {
	if c.pgx.IsClosed() {
		return nil, driver.ErrBadConn
	}
	if c.pg.IsBusy() {
		return nil, errBusy
	}
	c.current = run{conn: c, id: c.session.nextStatement(), started: time.Now()}
	r := &c.current
	r.call.sql = sql
	who, err := c.connector.identify(ctx)
	switch {
	case err != nil:
		err = &RefusedError{Class: ErrNoIdentity, Reason: "the identity could not be verified", Hint: "present a valid token", Err: err}
	case who.IsZero():
		err = &RefusedError{Class: ErrNoIdentity, Reason: "it carries no identity", Hint: "run it under a context that has one, or configure a token"}
	case !who.Expires().IsZero() && r.started.After(who.Expires()):
		err = &RefusedError{Class: ErrNoIdentity, Reason: "the identity has expired", Hint: "present a new token"}
	}
	if err != nil {
		r.recordStranger(err)
		return nil, r.refused(err)
	}
	if err := r.meet(who); err != nil {
		return nil, r.refused(err)
	}
	if err := c.readsAlike(); err != nil {
		return nil, r.refused(err)
	}
	return r, nil
}

// readsAlike refuses a session in which the server reads text in another way
// than the guard: a backslash or a byte of another encoding could end a string
// for one of them alone. The server reports both settings whenever they change.
func (c *Conn) readsAlike() error {
	for _, want := range &asParsed {
		if !slices.Contains(want[1:], c.pg.ParameterStatus(want[0])) {
			return &RefusedError{Class: ErrDenied, Rule: "guard.setting", Reason: "the session's " + want[0] + " is not " + want[1],
				Hint: "set it back, or connect with it"}
		}
	}
	return nil
}

// asParsed has settings and the values with which the server reads text as the
// guard does. UNICODE is UTF8: the server says so to clients that did.
var asParsed = [...][]string{{"standard_conforming_strings", "on"}, {"client_encoding", "UTF8", "UNICODE"}}

// prepare brings the session to the statement and plans it.
func (r *run) prepare(ctx context.Context) error {
	c := r.conn
	if c.pg.TxStatus() == 'E' {
		return r.prepareAborted(ctx)
	}
	p, err := c.planFor(ctx, r.who, r.call.sql)
	if err != nil {
		return r.unplanned(ctx, err)
	}
	if r.plan, err = c.planWith(ctx, p, r.call.args); err != nil {
		return r.unplanned(ctx, err)
	}
	return r.checkText()
}

// pgxName is what pgx calls statements on the server: it has them run by that
// name alone, whoever prepared what is there.
var pgxName = regexp.MustCompile(`^stmt(cache)?_[0-9a-f]{16,}$`)

// checkText refuses what no policy can allow, because database/sql and pgx have
// no way to run it well.
func (r *run) checkText() error {
	for _, st := range r.plan.facts.Statements {
		if st.Classes&analysis.CopyIn != 0 {
			return &RefusedError{Class: ErrDenied, Reason: "COPY from the client does not work through database/sql, which has no way to send the data",
				Hint: "use INSERT"}
		}
		if st.Kind == "PREPARE" && pgxName.MatchString(st.Prepared) {
			// pgx would run this under a text that was judged as another.
			return &RefusedError{Class: ErrDenied, Rule: "guard.name", Reason: "pgx gives such names to the statements that it prepares itself",
				Hint: "give the prepared statement another name"}
		}
	}
	if r.call.mode == pgx.QueryExecModeSimpleProtocol && len(r.call.args) > 0 && !samePlaceholders(r.call.sql) {
		// pgx puts the arguments into the text. Where it sees a placeholder that
		// the server would not see, an argument would become SQL.
		return &RefusedError{Class: ErrDenied, Reason: "pgx and the server read its placeholders differently in the simple protocol",
			Hint: "write the strings in it without backslashes and the placeholders apart from names, or use another query exec mode"}
	}
	return nil
}

// prepareAborted lets an aborted transaction be ended. All else gets the
// server's own answer: nothing can be asked of the server that planning needs,
// and nothing would be run.
func (r *run) prepareAborted(ctx context.Context) error {
	if controlsTransaction(r.call.sql) {
		if p, err := r.conn.planOffline(ctx, r.call.sql); err == nil && p.onlyControl {
			r.plan = p
			return nil
		}
	}
	if p := r.conn.session.plans[r.call.sql]; p != nil && !p.anyControl {
		r.plan = p // pgx knows whether the server has to read the text again
		return nil
	}
	if err := r.parseOnly(ctx); err != nil {
		return err
	}
	return &RefusedError{Class: ErrDenied, Reason: "the transaction has failed", Hint: "roll it back first"}
}

// unplanned decides what the author of a text that cannot be planned is told.
// The server is asked to read the text and run nothing: its own error, with its
// position, is the best answer there is.
func (r *run) unplanned(ctx context.Context, err error) error {
	var parse *analysis.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	if parse.Bound {
		return &RefusedError{Class: ErrUnparsable, Reason: parse.Reason, Hint: "split it into smaller statements", Err: err}
	}
	if serverErr := r.parseOnly(ctx); serverErr != nil {
		return serverErr
	}
	return &RefusedError{Class: ErrUnparsable, Reason: parse.Reason,
		Hint: "write it in SQL that PostgreSQL 16 knows, and send statements one by one", Err: err}
}

// parseOnly has the server read the text without running it. It returns what
// pgx would if that is an error about the text, or a lost connection's, and nil
// where the server has nothing against the text.
func (r *run) parseOnly(ctx context.Context) error {
	pg := r.conn.pg
	aborted := pg.TxStatus() == 'E'
	if !aborted && r.plan != nil && len(r.plan.facts.Statements) > 1 {
		// The server does not read several at once, and its error would end a
		// transaction that goes on.
		return nil
	}
	_, err := pg.Prepare(ctx, "", r.call.sql, nil)
	var e *pgconn.PgError
	if errors.As(err, &e) && aborted && e.Code == "42601" && e.Position == 0 {
		// Several statements cannot be read at once; any one will do.
		_, err = pg.Prepare(ctx, "", "select", nil)
	}
	switch {
	case !errors.As(err, &e):
		return err
	case e.Position == 0 && !aborted:
		return nil
	case r.call.mode == pgx.QueryExecModeExec || r.call.mode == pgx.QueryExecModeSimpleProtocol:
		return e // pgx sends no Parse of its own
	}
	return err
}

// policy is what the run is judged by.
func (r *run) policy() *guard.Engine {
	if r.plan == nil {
		return r.conn.connector.engine.Load()
	}
	return r.plan.view.bound.Engine()
}

// decide asks the policy.
func (r *run) decide(ctx context.Context) {
	in := guard.Input{
		Identity:      r.who,
		InTransaction: r.conn.pg.TxStatus() != 'I',
		Database:      r.conn.record.database.Name,
		User:          r.conn.record.database.User,
		Now:           r.started,
	}
	if r.plan.policy.NeedsEstimate() {
		in.Rows, in.RowsKnown = r.estimate(ctx)
	}
	r.decision = r.plan.policy.Decide(in)
	r.decideReleased(in)
	// What fails when a transaction ends is about statements that ran before.
	r.scrub = r.decision.Scrub || r.plan.kind == audit.KindCommit && r.conn.session.tx.scrub
}

// obey carries out the decision: it returns nil when the statement may run.
func (r *run) obey(ctx context.Context) error {
	d := &r.decision
	if d.Verdict == guard.Hold {
		r.call.detach()
	}
	if d.Verdict != guard.Deny {
		if err := r.checkOverwrites(); err != nil {
			return err
		}
	}
	if d.Verdict == guard.Allow {
		return nil
	}
	// A text that the server would not accept gets the server's own error,
	// and no person's time.
	if r.plan.unknown || r.conn.pg.TxStatus() == 'E' {
		if err := r.parseOnly(ctx); err != nil {
			return err
		}
	}
	if d.Verdict == guard.Hold {
		return r.approve(ctx)
	}
	return r.denied()
}

func (r *run) denied() error {
	class := ErrDenied
	switch r.decision.Code {
	case guard.CodeUnknown:
		class = ErrUnknown
	case guard.CodeDeclassify:
		class = ErrDeclassified
	case guard.CodeIdentity:
		class = ErrNoIdentity
	}
	return &RefusedError{Class: class, Rule: r.decision.Rule, Reason: r.decision.Reason, Hint: r.decision.Hint}
}

// refused records that the run ends before anything was executed, and completes
// the error.
func (r *run) refused(err error) error {
	var refusal *RefusedError
	if errors.As(err, &refusal) {
		refusal.Statement = r.id
	}
	r.recordRefusal(err)
	return err
}

// retryable reports whether database/sql may run the statement again on another
// connection: nothing was sent, and no decision was used up.
func (r *run) retryable(err error) bool {
	return err != nil && !r.granted && pgconn.SafeToRetry(err)
}

// panicked ends a run in which code of the caller's, which pgx asks for the form
// of an argument, panicked. The panic goes on.
func (r *run) panicked(returned *bool) {
	if !*returned {
		r.end(outcome{err: errPanicked})
	}
}

var errPanicked = errors.New("guardedpg: an argument panicked")

// witness compares the server's description of the result with the plan. The
// first statement of a text is the one whose result pgx returns.
func (r *run) witness(fields []pgconn.FieldDescription) error {
	if !r.plan.view.bound.Protecting() {
		return nil
	}
	var outputs []analysis.Output
	if len(r.plan.facts.Statements) > 0 {
		outputs = r.plan.facts.Statements[0].Outputs
	}
	if len(fields) != len(outputs) || len(fields) != len(r.outputMasks()) {
		return r.contradiction()
	}
	for i := range fields {
		f, o := &fields[i], &outputs[i]
		origin := analysis.Column{Rel: f.TableOID, Att: int16(f.TableAttributeNumber)}
		if f.TableOID == 0 {
			origin = analysis.Column{}
		}
		if o.OriginKnown && o.Origin != origin {
			return r.contradiction()
		}
		if origin.Rel != 0 && r.outputMasks()[i].Pass && r.plan.view.bound.Protects(origin) {
			return r.contradiction()
		}
	}
	if r.describes {
		r.plan.described.Store(int64(r.sinceEpoch()))
	}
	return nil
}

func (r *run) contradiction() error {
	return &RefusedError{Class: ErrContradiction, Statement: r.id,
		Reason: "the server describes another result than the guard computed",
		Hint:   "run it again; if it stays so, a definition changes all the time or the guard does not understand the statement"}
}

// refuted ends a run whose result contradicts its plan. A read is planned and
// run again, once.
func (r *run) refuted(ctx context.Context, rows pgx.Rows, err error) error {
	if len(rows.FieldDescriptions()) == 0 {
		rows.Close()
		if serverErr := rows.Err(); serverErr != nil {
			return r.end(outcome{err: serverErr})
		}
	}
	// pgx describes texts that it knows from memory. It forgets one whose rows
	// fail, and Scan without a row fails; what was prepared by name goes too.
	rows.Scan()
	c := r.conn
	c.connector.plans.drop(cmp.Or(r.plan.base, r.plan))
	delete(c.session.plans, r.plan.sql)
	c.catalog.Changed()
	c.session.path = nil
	r.end(outcome{err: err})
	if r.plan.reads && !r.granted && c.pg.TxStatus() != 'E' && c.pgx.Deallocate(ctx, cmp.Or(r.plan.sends, r.plan.sql)) == nil {
		return errReplan
	}
	return err
}
