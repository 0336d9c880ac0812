package guard

// A RuleOutcome is what a rule says of one statement, for people to read.
type RuleOutcome struct {
	Rule   string  `json:"rule"`
	Then   Verdict `json:"then"`
	Counts bool    `json:"counts"` // it is one of those that decide
	// Failed is true when the condition could not be evaluated: a claim that the
	// identity lacks, an estimate that is not known.
	Failed bool `json:"failed,omitempty"`
	// Own is true for what comes before any rule; Reason says why then.
	Own    bool   `json:"own,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Explain returns, for each statement of the text, what every rule of the policy
// says of it and what the guard says before any rule. It decides nothing:
// [Plan.Decide] does. It is slow, and safe for concurrent use.
func (p *Plan) Explain(in Input) [][]RuleOutcome {
	if p == nil || p.bound == nil {
		return nil
	}
	d := p.decider(in)
	var all [][]RuleOutcome
	for _, s := range p.statements {
		d.show(s)
		var list []RuleOutcome
		for _, r := range p.bound.engine.rules {
			result := r.when.in(d.situation)
			list = append(list, RuleOutcome{Rule: r.name, Then: r.then,
				Counts: result == yes || result == unclear && r.then != Allow, Failed: result == unclear})
		}
		for _, f := range s.findings {
			if f.cols == nil || !d.clear(f.cols) {
				list = append(list, RuleOutcome{Rule: f.rule, Then: f.verdict, Counts: true, Own: true, Reason: f.reason})
			}
		}
		all = append(all, list)
	}
	return all
}
