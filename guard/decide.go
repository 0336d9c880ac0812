package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/guardedpg/guardedpg/identity"
	"github.com/guardedpg/guardedpg/mask"
)

// Input is what a decision depends on besides the plan.
type Input struct {
	// Identity is who runs the statement. Zero denies.
	Identity identity.Identity
	// InTransaction is true inside an open transaction.
	InTransaction bool
	// Database and User are those of the connection.
	Database, User string
	// Now is the time of the decision. Zero denies.
	Now time.Time
	// Rows is how many rows the planner expects, where RowsKnown.
	Rows      int64
	RowsKnown bool
}

// Code is the class of a reason, for errors.
type Code uint8

// The classes of reasons.
const (
	CodeNone       Code = iota // the zero Decision: nobody decided
	CodeRule                   // a rule matched
	CodeDefault                // no rule matched
	CodeIdentity               // nobody, or somebody whose proof has expired
	CodeUnknown                // not wholly understood
	CodeDeclassify             // protected values would be copied to where they are not protected
	CodeDefinition             // it defines what runs later
	CodePredicate              // protected columns decide what comes
	CodeCatalog                // it reads table data or secrets in the system catalogs
	CodeCopy                   // COPY of protected columns
	CodeSession                // a setting that nobody may change
	CodeApproval               // it would be held where waiting is not possible
	CodeOwn                    // it touches what the guard itself keeps in the database
)

// Decision is what happens to a text. The zero Decision denies. What its slices
// hold is shared and must not be changed.
type Decision struct {
	Verdict Verdict
	Code    Code
	// Rule names what decided: a rule, "default", or one of the guard's own.
	Rule string
	// Reason is one clause that says why; Hint one that says what to do instead.
	// Neither holds a literal of the text or a value. Empty on Allow.
	Reason, Hint string
	// Approvers may decide what is held. Quorum is at least 1 then.
	Approvers Approvers
	// Ticket is true when a held statement gets a ticket at once; else it waits
	// as long as Wait.
	Ticket bool
	Wait   time.Duration
	// Masks are the result columns' masks, per statement of the text.
	Masks [][]OutputMask
	// Scrub is true when errors and notices may show protected values.
	Scrub bool
	// Tests are the protected columns that decide what comes, for the record.
	Tests []string
	// Payload is how much of what is delivered is kept.
	Payload Payload
}

// OutputMask is what happens to one column of a result. The zero OutputMask
// redacts.
type OutputMask struct {
	// Pass is true when the column does not derive from a protected one.
	Pass bool
	// Clear is true when it does, and the caller may see it: Rule says why.
	Clear bool
	// Spec is the mask where neither Pass nor Clear.
	Spec mask.Spec
	// Sources are the protected columns that it derives from.
	Sources []string
	// Rule is the pattern that protects it or the condition that clears it.
	Rule string
}

// Masked reports whether values must not pass as they are.
func (m OutputMask) Masked() bool { return !m.Pass && !m.Clear }

type decisionKey struct {
	identity       identity.Identity
	inTransaction  bool
	database, user string
	moving         uint64 // what the moving conditions say, two bits each
}

const maxMoving = 32

// outcomes evaluates the moving conditions: where they say the same, the same is
// decided.
func (p *Plan) outcomes(in Input) (bits uint64) {
	if len(p.moving) == 0 {
		return 0
	}
	d := p.decider(in)
	for _, m := range p.moving {
		if m.statement != nil {
			d.show(m.statement)
		}
		bits = bits<<2 | uint64(m.when.in(d.situation))
	}
	return bits
}

// maxDecisions bounds what a plan remembers; beyond it forgets all.
const maxDecisions = 256

// Decide decides. It is safe for concurrent use, does no I/O, and allocates
// nothing when it has decided for the same identity in the same kind of session
// before. Rules that could matter and ask for the time or an estimate are
// evaluated each time.
func (p *Plan) Decide(in Input) Decision {
	switch expires := in.Identity.Expires(); {
	case p == nil || p.bound == nil:
		return Decision{Reason: "the statement has no plan", Rule: "guard.plan"}
	case in.Identity.IsZero():
		return Decision{Code: CodeIdentity, Rule: "guard.identity", Reason: "nobody stands behind the statement",
			Hint: "run it with an identity"}
	case in.Now.IsZero(), !expires.IsZero() && !in.Now.Before(expires):
		return Decision{Code: CodeIdentity, Rule: "guard.identity", Reason: "the identity has expired",
			Hint: "get a new token"}
	}
	if len(p.moving) > maxMoving {
		return *p.decide(in)
	}
	key := decisionKey{inTransaction: in.InTransaction, moving: p.outcomes(in)}
	if p.usesIdentity {
		key.identity = in.Identity
	}
	if p.usesSession {
		key.database, key.user = in.Database, in.User
	}
	p.mu.RLock()
	d := p.known[key]
	p.mu.RUnlock()
	if d == nil {
		d = p.decide(in)
		p.mu.Lock()
		if p.known == nil || len(p.known) >= maxDecisions {
			p.known = map[decisionKey]*Decision{}
		}
		p.known[key] = d
		p.mu.Unlock()
	}
	return *d
}

// A decider decides one text for one input.
type decider struct {
	plan      *Plan
	in        Input
	vars      map[string]any
	situation situation    // of vars
	cleared   map[int]bool // by clearance
}

func (p *Plan) decider(in Input) decider {
	d := decider{plan: p, in: in}
	d.vars = map[string]any{
		"session": &sessionVars{in.InTransaction, in.Database, in.User},
		"time":    in.Now,
	}
	var unknown []*cel.AttributePatternType
	if !in.RowsKnown {
		unknown = estimateUnknown
	}
	d.situation = newSituation(d.vars, identityOf(in.Identity), unknown...)
	return d
}

var estimateUnknown = []*cel.AttributePatternType{cel.AttributePattern("statement").QualString("estimate")}

// show makes s the statement that conditions speak of.
func (d *decider) show(s *statementPlan) {
	d.vars["statement"] = s.vars
	if d.in.RowsKnown && d.plan.usesEstimate {
		vars := *s.vars
		vars.Estimate = d.in.Rows
		d.vars["statement"] = &vars
	}
}

func (p *Plan) decide(in Input) *Decision {
	d := p.decider(in)
	if len(p.statements) == 0 { // a comment, or nothing: it reaches nothing
		return &Decision{Verdict: Allow, Code: CodeRule, Rule: "guard.empty"}
	}
	out := &Decision{Verdict: Allow, Code: CodeRule}
	var holds []Approvers
	for i, s := range p.statements {
		one, approvers := d.statement(s)
		if len(p.statements) > 1 && one.Verdict != Allow {
			one.Reason = fmt.Sprintf("statement %d of %d: %s", i+1, len(p.statements), one.Reason)
		}
		if one.Verdict < out.Verdict || out.Rule == "" {
			out.Verdict, out.Code, out.Rule, out.Reason, out.Hint = one.Verdict, one.Code, one.Rule, one.Reason, one.Hint
		}
		if one.Verdict == Hold {
			holds = append(holds, approvers...)
		}
		out.Masks = append(out.Masks, d.masks(s))
		out.Scrub = out.Scrub || d.scrubs(s)
		if p.bound.engine.policy.Predicates != AllowTests {
			out.Tests = append(out.Tests, s.testNames...)
		}
		if i == 0 || s.payload == PayloadDefault {
			out.Payload = s.payload
		} else if out.Payload != PayloadDefault {
			out.Payload = max(out.Payload, s.payload)
		}
	}
	slices.Sort(out.Tests)
	out.Tests = slices.Compact(out.Tests)
	if out.Verdict == Hold {
		d.hold(out, holds)
	}
	return out
}

// statement judges one statement; a held one comes with who may decide.
func (d *decider) statement(s *statementPlan) (Decision, []Approvers) {
	engine := d.plan.bound.engine
	d.show(s)
	matched := slices.Clone(s.matched)
	for _, i := range s.open {
		r := engine.rules[i]
		if result := r.when.in(d.situation); result == yes || result == unclear && r.then != Allow {
			matched = append(matched, i)
		}
	}
	slices.Sort(matched)
	best := Decision{Verdict: engine.policy.Default, Code: CodeDefault, Rule: "default"}
	if len(matched) > 0 {
		best = Decision{Verdict: Allow, Code: CodeRule, Rule: engine.rules[matched[0]].name}
	}
	var approvers []Approvers
	for _, i := range matched {
		r := engine.rules[i]
		if r.then < best.Verdict {
			best.Verdict, best.Rule = r.then, r.name
		}
		if r.then == Hold && !r.approvers.isZero() {
			approvers = append(approvers, r.approvers)
		}
	}
	if best.Verdict != Allow {
		best.Reason, best.Hint = d.sentence(s, best)
	}
	for _, f := range s.findings {
		if f.cols != nil && d.clear(f.cols) {
			continue
		}
		// Where both say the same, the policy's author has the word: a rule may
		// name approvers and say what to do.
		if f.verdict < best.Verdict || f.verdict == best.Verdict && best.Code == CodeDefault {
			best = Decision{Verdict: f.verdict, Code: f.code, Rule: f.rule, Reason: f.reason, Hint: f.hint}
		}
	}
	return best, approvers
}

// sentence says what a rule or the default decided.
func (d *decider) sentence(s *statementPlan, best Decision) (reason, hint string) {
	if best.Code == CodeDefault {
		reason, hint = "no rule of the policy allows it", "ask the owner of the policy for a rule that allows it"
	} else {
		i := slices.IndexFunc(d.plan.bound.engine.rules, func(r rule) bool { return r.name == best.Rule })
		reason = fmt.Sprintf("the policy's rule %q matches", best.Rule)
		if why := d.plan.bound.engine.rules[i].reason; why != "" {
			reason = strings.TrimRight(why, ". \n")
		}
		hint = "write a statement with less effect, or ask the owner of the policy"
	}
	if best.Verdict == Hold {
		hint = "it needs the approval of a person; or write a statement with less effect"
	}
	if s.detail != "" {
		reason += " (" + s.detail + ")"
	}
	return reason, hint
}

// hold says who decides and how the caller waits.
func (d *decider) hold(out *Decision, rules []Approvers) {
	approval := d.plan.bound.engine.policy.Approval
	if len(rules) == 0 {
		rules = []Approvers{approval.Approvers}
	}
	// Several rules hold: whoever satisfies all of them may decide.
	for i, a := range rules {
		if i == 0 {
			out.Approvers.BreakGlass = slices.Clone(a.BreakGlass)
		} else {
			out.Approvers.BreakGlass = common(out.Approvers.BreakGlass, a.BreakGlass)
		}
		out.Approvers.Quorum = max(out.Approvers.Quorum, a.Quorum, 1)
		for _, list := range []struct {
			what  string
			all   *[]string
			names []string
		}{{"group", &out.Approvers.Groups, a.Groups}, {"issuer", &out.Approvers.Issuers, a.Issuers}} {
			switch {
			case len(list.names) == 0:
			case *list.all == nil:
				*list.all = slices.Clone(list.names)
			default:
				*list.all = common(*list.all, list.names)
				if len(*list.all) == 0 {
					out.Verdict, out.Code = Deny, CodeApproval
					out.Reason += "; rules that hold it name approvers who have no " + list.what + " in common"
					out.Hint = "ask the owner of the policy"
					out.Approvers = Approvers{}
					return
				}
			}
		}
	}
	for _, a := range rules {
		for name, value := range a.Claims {
			if out.Approvers.Claims == nil {
				out.Approvers.Claims = map[string]string{}
			}
			if other, ok := out.Approvers.Claims[name]; ok && other != value {
				out.Verdict, out.Code = Deny, CodeApproval
				out.Reason += "; rules that hold it want another " + name + " of approvers"
				out.Hint = "ask the owner of the policy"
				out.Approvers = Approvers{}
				return
			}
			out.Approvers.Claims[name] = value
		}
	}
	if out.Approvers.Issuers == nil {
		out.Approvers.Issuers = slices.Clone(approval.Approvers.Issuers)
	}
	out.Ticket, out.Wait = approval.Wait <= 0, approval.Wait
	if !d.in.InTransaction {
		return
	}
	switch approval.InTransaction {
	case WaitInTransaction:
	case DenyInTransaction:
		out.Verdict, out.Code = Deny, CodeApproval
		out.Reason += "; it would wait for approval, which the policy does not do inside a transaction"
		out.Hint = "run it outside of a transaction"
	default:
		out.Ticket, out.Wait = true, 0
	}
}

func common(a, b []string) []string {
	return slices.DeleteFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// clear reports whether the identity may see all of some columns.
func (d *decider) clear(list []*protection) bool {
	for _, p := range list {
		if !d.clearOne(p) {
			return false
		}
	}
	return true
}

func (d *decider) clearOne(p *protection) bool {
	if p.never {
		return false
	}
	for _, c := range p.unless {
		ok, known := d.cleared[c.index]
		if !known {
			ok = c.when.in(d.situation) == yes
			if d.cleared == nil {
				d.cleared = map[int]bool{}
			}
			d.cleared[c.index] = ok
		}
		if !ok {
			return false
		}
	}
	return len(p.unless) > 0
}

// masks returns the masks of a statement's result.
func (d *decider) masks(s *statementPlan) []OutputMask {
	masks := make([]OutputMask, len(s.outputs))
	for i, o := range s.outputs {
		m := &masks[i]
		m.Sources = o.names
		switch {
		case o.redact:
			m.Rule = "guard.unknown"
			continue
		case len(o.sources) == 0:
			m.Pass = true
			continue
		case o.released != "":
			m.Clear, m.Rule = true, o.released
			continue
		}
		masked := false
		var why, clears []string
		for j, p := range o.sources {
			if d.clearOne(p) {
				for _, c := range p.unless {
					clears = append(clears, c.text)
				}
				continue
			}
			why = append(why, p.rule)
			if !masked {
				m.Spec, masked = o.masks[j], true
			} else {
				m.Spec = mask.Strictest(m.Spec, o.masks[j])
			}
		}
		if m.Clear = !masked; m.Clear {
			why = clears
		}
		slices.Sort(why)
		m.Rule = strings.Join(slices.Compact(why), "; ")
	}
	return masks
}

// scrubs reports whether errors and notices may show what the identity may not
// see.
func (d *decider) scrubs(s *statementPlan) bool {
	return s.opaque || !d.clear(s.touched)
}
