package guardedpg

import (
	"github.com/guardedpg/guardedpg/internal/analysis"
)

// movesCatalog are the classes of statements that may change definitions
// without saying so.
const movesCatalog = analysis.Dynamic | analysis.Code | analysis.DDL | analysis.Temporary

// follow brings what the guard knows of the session up to date after a run,
// whether it succeeded or not: a text of several statements may have been run
// in part.
func (c *Conn) follow(r *run, failed bool) {
	s := c.session
	s.tx.wrote = s.tx.wrote || !r.plan.light
	moved, ended := false, false
	for _, st := range r.plan.facts.Statements {
		moved = moved || st.Catalog || st.Classes&movesCatalog != 0
		ended = ended || st.TxControl != analysis.TxNone || st.Kind == "DISCARD ALL"
		s.left = s.left || st.Classes&leavesBehind != 0 || st.Names
		s.set = s.set || st.Classes&changesSettings != 0
		s.listen(st, r.plan.view.bound.Protecting(), failed)
	}
	if moved {
		s.tx.catalog = true
	}
	if (moved || ended) && s.tx.catalog {
		c.catalog.Changed()
		if s.pg.TxStatus() == 'I' {
			c.connector.cache.Invalidate()
		}
	}
	s.after(r.plan, failed)
}

// listen lets notifications through once the policy has let the session listen.
// Their payloads come from other sessions: where anything is protected, nobody
// can say what they derive from.
func (s *session) listen(st *analysis.Statement, protecting, failed bool) {
	switch {
	case st.Kind == "LISTEN" && !failed:
		s.gate.listening, s.gate.payloads = true, !protecting
	case st.Kind == "DISCARD ALL":
		s.gate.listening = false
	}
}
