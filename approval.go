package guardedpg

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/guard"
	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/catalog"
)

type purposeKey struct{}

type ticketKey struct{}

// WithPurpose returns a context whose held statements tell the approver what
// they are for. Nothing is decided by it.
func WithPurpose(ctx context.Context, purpose string) context.Context {
	return context.WithValue(ctx, purposeKey{}, purpose)
}

// WithTicket returns a context under which a held statement redeems the decision
// on an earlier request, by the ticket of its *approve.PendingError, and no
// other. Without one, the statement itself finds a decision that fits.
func WithTicket(ctx context.Context, ticket string) context.Context {
	return context.WithValue(ctx, ticketKey{}, ticket)
}

func stringIn(ctx context.Context, key any) string {
	s, _ := ctx.Value(key).(string)
	return s
}

// approve asks people, and returns nil when the statement may run now. What it
// was granted is used up then.
func (r *run) approve(ctx context.Context) error {
	c := r.conn
	if c.connector.cfg.Approver == nil {
		return r.held("no approver is configured", "leave it out, or ask whoever operates this program", nil)
	}
	// What people see, and what their decision is bound to, is what is defined now.
	if err := r.again(ctx); err != nil || r.decision.Verdict == guard.Allow {
		return err
	}
	req, err := r.request(ctx)
	if err != nil {
		return err
	}
	if req.Digest == "" {
		return r.held("an argument has no value that a decision could be bound to", "pass plain values", nil)
	}
	key := carryKey{ctx: ctx, digest: req.Digest}
	granted, ok := c.connector.carried.take(key)
	if ok {
		req = granted.request
	} else {
		if err := r.recordHold(ctx, &req); err != nil {
			return err
		}
		r.preview(ctx, &req)
		if granted.grant, err = c.connector.cfg.Approver.Approve(ctx, req); err != nil {
			return r.notGranted(ctx, &req, err)
		}
		if err := ctx.Err(); err != nil {
			return r.held("the caller gave up while it waited", "", err)
		}
		granted.request = req
	}
	inTx := c.pg.TxStatus() != 'I'
	if err := c.pg.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return r.held("the caller gave up while it waited", "", ctx.Err())
		}
		if !inTx {
			// database/sql runs the statement again on another connection, and
			// must find the decision there.
			c.connector.carried.put(key, granted)
		}
		return driver.ErrBadConn
	}
	// While people thought about it, anything may have changed, also what
	// another session did a moment ago.
	if err := r.again(ctx); err != nil {
		return err
	}
	now, err := r.request(ctx)
	if err != nil {
		return err
	}
	now.ID, now.Created = req.ID, req.Created
	err = granted.grant.Check(now, r.started)
	if err == nil && granted.grant.Digest != now.Digest && analysis.Shape(granted.grant.Statement) != analysis.Shape(r.call.sql) {
		// Who can write to a store could have shown people another statement
		// under this one's shape.
		err = &approve.Error{Class: approve.ErrVoid, Request: granted.grant.Request, Detail: "people saw a statement of another shape"}
	}
	if err != nil {
		return r.held("the decision does not fit", "run it again to ask again", err)
	}
	if err := r.limitable(granted.grant.MaxRows); err != nil {
		return err
	}
	return r.redeem(ctx, &now, granted.grant)
}

// again plans and decides with the definitions as they are now. Its error is a
// refusal.
func (r *run) again(ctx context.Context) error {
	r.conn.catalog.Changed()
	r.conn.connector.cache.Invalidate()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.started = time.Now()
	r.decide(ctx)
	if r.decision.Verdict == guard.Deny {
		return r.denied()
	}
	return nil
}

// redeem uses the grant up.
func (r *run) redeem(ctx context.Context, req *approve.Request, g approve.Grant) error {
	if err := r.recordDecision(ctx, req, g); err != nil {
		return err
	}
	r.granted, r.maxRows = true, g.MaxRows
	if err := g.Redeem(ctx); err != nil {
		return r.held("the decision cannot be used", "run it again to ask again", err)
	}
	return r.recordRedeem(req)
}

func (r *run) held(reason, hint string, cause error) error {
	return &RefusedError{Class: ErrHeld, Rule: r.decision.Rule, Reason: reason, Hint: hint, Err: cause}
}

// notGranted is the refusal for what an approver returned, and its record.
func (r *run) notGranted(ctx context.Context, req *approve.Request, err error) error {
	var pending *approve.PendingError
	var rejected *approve.RejectedError
	var wrong *approve.Error
	switch {
	case errors.As(err, &pending):
		return &RefusedError{Class: ErrPending, Rule: r.decision.Rule, Reason: "a person decides it later",
			Hint: "go on with other work and run the same statement again, ticket " + pending.Ticket, Err: pending}
	case errors.As(err, &rejected):
		r.recordRejection(ctx, req, rejected)
		reason, hint := "a person said no", "do not try it again unchanged"
		if rejected.By.IsZero() {
			reason, hint = "nobody approved it", "ask whoever may approve, and run it again"
		}
		if rejected.Reason != "" {
			reason += ": " + approve.Printable(rejected.Reason)
		}
		return &RefusedError{Class: ErrRejected, Rule: r.decision.Rule, Reason: reason, Hint: hint, Err: rejected}
	case ctx.Err() != nil:
		return r.held("the caller gave up while it waited", "", ctx.Err())
	case errors.Is(err, approve.ErrTooMany):
		return r.held("too many statements wait for a person already", "wait until some are decided", err)
	case errors.Is(err, approve.ErrInvalid):
		return r.held("it cannot be put before a person: "+wrongDetail(err), "make it shorter", err)
	case errors.As(err, &wrong):
		reason := "the ticket cannot be used"
		if detail := wrongDetail(err); detail != "" {
			reason += ": " + detail
		}
		return r.held(reason, "run it again without the ticket to ask again", err)
	case errors.Is(err, context.DeadlineExceeded):
		return r.held("nobody decided in time", "ask whoever may approve, and run it again", err)
	}
	return r.held("the approver could not be asked", "run it again later", err)
}

func wrongDetail(err error) string {
	var wrong *approve.Error
	if errors.As(err, &wrong) {
		return wrong.Detail
	}
	return ""
}

// meaningSQL asks for the settings that decide what constants mean, how values
// become text, and as whom and on which rows a statement acts. The server reports
// some when they change (reported); these it does not. With them come the roles
// that the session's is a member of, and what is defined besides relations and
// functions, which the plan knows.
var meaningSQL = func() string {
	var list []string
	for _, name := range []string{"role", "row_security", "session_replication_role", "lo_compat_privileges",
		"array_nulls", "bytea_output", "default_text_search_config", "extra_float_digits", "lc_monetary", "lc_numeric", "lc_time",
		"quote_all_identifiers", "timezone_abbreviations", "xmlbinary", "xmloption"} {
		list = append(list, "pg_catalog.current_setting('"+name+"', true)")
	}
	return "select " + strings.Join(list, ", ") + ", (" + membershipsSQL + "), (" + catalog.SurroundingsSQL() + ")"
}()

// membershipsSQL asks for what decides which policies of row security apply. A
// superuser's role is of no member, and exempt.
const membershipsSQL = `select pg_catalog.string_agg(pg_catalog.concat_ws(' ', oid, rolname, rolsuper, rolinherit, rolbypassrls), ',' order by oid)
	from pg_catalog.pg_roles where rolname OPERATOR(pg_catalog.=) any (array[current_user, session_user])
	or pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'off' and pg_catalog.pg_has_role(oid, 'member')`

// rolesSQL asks for all roles and memberships: what a statement about privileges
// means.
const rolesSQL = `select pg_catalog.bit_xor(pg_catalog.hash_record_extended(r, 1)) OPERATOR(pg_catalog.#) (select coalesce(pg_catalog.bit_xor(pg_catalog.hash_record_extended(row(m.ctid, m.xmin), 2)), 0)
	from pg_catalog.pg_auth_members m) from (select oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconfig
	from pg_catalog.pg_roles) r`

var reported = []string{"DateStyle", "IntervalStyle", "TimeZone", "is_superuser", "session_authorization"}

// meaning returns the values of the settings that are part of a statement.
func (r *run) meaning(ctx context.Context) ([]string, error) {
	rows, err := r.conn.session.ask(ctx, meaningSQL)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, errors.New("guardedpg: the session's settings could not be read")
	}
	values := rows[0]
	for _, name := range reported {
		values = append(values, r.conn.pg.ParameterStatus(name))
	}
	more := make([]string, 0, len(r.plan.facts.Settings)+1)
	for i := range r.plan.facts.Settings {
		more = append(more, "pg_catalog.current_setting($"+strconv.Itoa(i+1)+", true)")
	}
	if slices.ContainsFunc(r.plan.facts.Statements, func(st *analysis.Statement) bool { return st.Classes&analysis.DCL != 0 }) {
		more = append(more, "("+rolesSQL+")")
	}
	if len(more) == 0 {
		return values, nil
	}
	if rows, err = r.conn.session.ask(ctx, "select "+strings.Join(more, ", "), r.plan.facts.Settings...); err != nil {
		return nil, err
	}
	return slices.Concat(values, rows[0]), nil
}

// request describes the statement to an approver.
func (r *run) request(ctx context.Context) (approve.Request, error) {
	c, d := r.conn, &r.decision
	settings, err := r.meaning(ctx)
	if err != nil {
		return approve.Request{}, err
	}
	req := approve.Request{
		ID:            r.id,
		Statement:     r.call.sql,
		Identity:      r.who,
		Purpose:       stringIn(ctx, purposeKey{}),
		TicketID:      stringIn(ctx, ticketKey{}),
		Database:      c.databaseText(r.plan),
		Policy:        r.policy().Hash(),
		Rule:          d.Rule,
		Reason:        d.Reason,
		Effects:       r.plan.recorded.Facts.Effects,
		Rows:          -1,
		Exact:         -1,
		Groups:        d.Approvers.Groups,
		BreakGlass:    d.Approvers.BreakGlass,
		Claims:        d.Approvers.Claims,
		Issuers:       d.Approvers.Issuers,
		Quorum:        d.Approvers.Quorum,
		Ticket:        d.Ticket,
		InTransaction: c.pg.TxStatus() != 'I',
		Created:       r.started,
	}
	if d.Wait > 0 {
		req.Deadline = r.started.Add(d.Wait)
	}
	if limit, ok := ctx.Deadline(); ok && (req.Deadline.IsZero() || limit.Before(req.Deadline)) {
		req.Deadline = limit
	}
	for i, v := range r.call.args {
		text, _, null := argText(c.pgx.TypeMap(), v)
		switch {
		case r.plan.seals(i+1) && !r.policy().Policy().Approval.ShowProtected:
			text = "(protected)"
		case null:
			text = "NULL"
		}
		req.Args = append(req.Args, text)
	}
	req.Behind = c.session.behind(r.plan)
	req.Digest = r.digest(req, settings, true)
	if r.plan.hasShape() && len(req.Behind) == 0 {
		req.Shape = r.digest(req, settings, false)
	}
	return req, nil
}

// hasShape reports whether a decision may cover a statement with other constants
// and arguments. Only where those are values: in other statements a constant may
// be code, a role or a file.
func (p *plan) hasShape() bool {
	if len(p.facts.Statements) != 1 || len(p.sql) > maxCachedText {
		return false
	}
	st := p.facts.Statements[0]
	return slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"}, st.Kind) && st.Classes&^countable == 0 && len(st.Unknown) == 0 && st.Inner == nil && st.Prepared == "" && st.Portal == ""
}

// digest binds a decision: to the exact statement and arguments, or to its
// shape alone. It is empty where an argument cannot be bound.
func (r *run) digest(req approve.Request, settings []string, exact bool) string {
	h := sha256.New()
	if exact {
		writeField(h, "guardedpg statement 1")
		writeField(h, r.call.sql)
		for _, b := range req.Behind {
			writeField(h, b)
		}
		if len(r.call.args) > 0 {
			// It decides which types the server takes parameters for.
			writeField(h, r.call.mode.String())
		}
		for _, v := range r.call.args {
			if writeArg(h, v) != nil {
				return ""
			}
		}
	} else {
		writeField(h, "guardedpg shape 2")
		writeField(h, analysis.Shape(r.call.sql))
		// Another constant may let every row through.
		for _, st := range r.plan.facts.Statements {
			for _, b := range st.Bounds {
				writeField(h, b.Why)
			}
		}
	}
	writeField(h, "asked by")
	writeField(h, fmt.Sprint(r.who.Verified()))
	writeField(h, r.who.Issuer())
	writeField(h, r.who.Subject())
	// Row security may read the groups. What else is known of an identity counts by
	// what it changes: another run of the same agent has other attributes.
	writeField(h, fmt.Sprint(len(r.who.Groups())))
	for _, group := range slices.Sorted(slices.Values(r.who.Groups())) {
		writeField(h, group)
	}
	writeField(h, fmt.Sprint(len(r.decision.Masks)))
	for _, outputs := range r.decision.Masks {
		writeField(h, fmt.Sprint(len(outputs)))
		for i := range outputs {
			writeField(h, fmt.Sprint(outputs[i].Masked()))
		}
	}
	writeField(h, req.Database)
	writeField(h, req.Policy)
	// What its names and its constants mean, and whose rights it has, is part of
	// a statement.
	for _, schema := range r.plan.schemas() {
		writeField(h, schema)
	}
	writeField(h, "settings")
	for _, value := range settings {
		writeField(h, value)
	}
	for _, oid := range r.plan.facts.Depends {
		writeField(h, r.plan.stamp(oid))
	}
	if slices.ContainsFunc(r.plan.facts.Statements, func(st *analysis.Statement) bool { return st.Sweeps }) {
		writeField(h, fmt.Sprint(r.plan.view.snap.Fingerprint()))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeField writes a length and the bytes, so that no two lists of fields give
// the same hash.
func writeField(h hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}

func (p *plan) schemas() []string {
	if p.path == nil {
		return nil
	}
	return p.path.schemas
}

// stamp is the version of a catalog object.
func (p *plan) stamp(oid uint32) string {
	if rel := p.view.snap.Relation(oid); rel != nil {
		return fmt.Sprintf("relation %d %s", oid, rel.Stamp)
	}
	if f := p.view.snap.Function(oid); f != nil {
		return fmt.Sprintf("function %d %s", oid, f.Stamp)
	}
	return fmt.Sprintf("object %d", oid)
}

func (c *Conn) databaseText(p *plan) string {
	s := p.view.snap.Server
	return fmt.Sprintf("%s on %s as %s", s.Database, s.SystemID, c.record.database.User)
}

func (r *run) recordHold(ctx context.Context, req *approve.Request) error {
	c := &r.conn.record
	c.next(audit.KindHold, r)
	if err := c.setSQL(r); err != nil {
		return err
	}
	c.holds(req)
	c.rec.Decision = &audit.Decision{ID: req.ID, Digest: req.Digest}
	seq, err := c.write(r)
	if err != nil {
		return err
	}
	// Nobody is asked about what is not recorded.
	return c.wait(ctx, r, seq, audit.Synced)
}

// holds puts into the record in hand which rule of which policy asked people.
func (c *recorder) holds(req *approve.Request) {
	c.verdict = audit.Verdict{Verdict: guard.Hold.String(), Rule: req.Rule, Reason: req.Reason, Policy: req.Policy}
	c.rec.Verdict = &c.verdict
}

func decisionRecord(req *approve.Request, by []identity.Identity, reason string) *audit.Decision {
	d := &audit.Decision{ID: req.ID, Digest: req.Digest, Reason: reason, At: time.Now()}
	for _, i := range by {
		d.By = append(d.By, principal(i))
	}
	return d
}

func (r *run) recordDecision(ctx context.Context, req *approve.Request, g approve.Grant) error {
	c := &r.conn.record
	rec := c.next(audit.KindDecision, r)
	c.holds(req)
	rec.Decision = decisionRecord(req, g.By, g.Reason)
	rec.Decision.Approved, rec.Decision.Expires = true, g.Expires
	rec.Decision.ID = g.Request
	if !g.At.IsZero() {
		rec.Decision.At = g.At
	}
	if g.BreakGlass {
		// Twice: nobody who looks for one, or at either, can miss it.
		rec.Detail = map[string]string{"break_glass": "true"}
		rec.Kind = audit.KindBreakGlass
		if _, err := c.write(r); err != nil {
			return err
		}
		rec.Kind = audit.KindDecision
	}
	seq, err := c.write(r)
	if err != nil {
		return err
	}
	return c.wait(ctx, r, seq, audit.Synced)
}

func (r *run) recordRedeem(req *approve.Request) error {
	c := &r.conn.record
	rec := c.next(audit.KindRedeem, r)
	c.holds(req)
	rec.Decision = &audit.Decision{ID: req.ID, Digest: req.Digest, Approved: true, At: time.Now()}
	// The intent, which is waited for, comes after it.
	_, err := c.write(r)
	return err
}

func (r *run) recordRejection(ctx context.Context, req *approve.Request, e *approve.RejectedError) {
	c := &r.conn.record
	rec := c.next(audit.KindDecision, r)
	c.holds(req)
	var by []identity.Identity
	if !e.By.IsZero() {
		by = append(by, e.By)
	}
	rec.Decision = decisionRecord(req, by, e.Reason)
	c.write(r)
}

// A carry keeps decisions from a connection that died to the one on which
// database/sql runs the statement again, with the same context.
type carry struct {
	mu      sync.Mutex
	granted map[carryKey]carriedGrant
}

type carryKey struct {
	ctx    context.Context
	digest string
}

type carriedGrant struct {
	request approve.Request
	grant   approve.Grant
	until   time.Time
}

// maxCarry is how long database/sql may take to run a statement again. A context
// can belong to many calls, and a decision that it does not fetch would be found
// by a later one.
const maxCarry = 10 * time.Second

// maxCarried bounds what is never fetched, because database/sql gave up.
const maxCarried = 256

func (c *carry) put(k carryKey, g carriedGrant) {
	if !reflect.TypeOf(k.ctx).Comparable() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.granted == nil || len(c.granted) >= maxCarried {
		c.granted = map[carryKey]carriedGrant{}
	}
	g.until = time.Now().Add(maxCarry)
	c.granted[k] = g
}

func (c *carry) take(k carryKey) (carriedGrant, bool) {
	if !reflect.TypeOf(k.ctx).Comparable() {
		return carriedGrant{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := c.granted[k]
	delete(c.granted, k)
	return g, ok && time.Now().Before(g.until)
}
