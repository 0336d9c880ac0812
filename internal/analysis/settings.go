package analysis

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
	"github.com/guardedpg/guardedpg/internal/catalog/builtin"
)

func (p *part) set(s *pg.VariableSetStmt) {
	name := strings.ToLower(s.Name)
	switch s.Kind {
	case pg.VariableSetKind_VAR_SET_MULTI:
		p.kind("SET")
		switch name {
		case "transaction":
			p.rec.st.Classes |= Transaction
			if p.text {
				p.rec.st.TxControl = TxSet
			}
		case "session characteristics":
			p.rec.st.Classes |= Transaction
			for _, n := range s.Args {
				d := n.GetDefElem()
				value, known := settingValue([]*pg.Node{d.GetArg()})
				if d.GetDefname() != "transaction_isolation" && known { // a Boolean as 0 or 1
					value = map[string]string{"0": "off", "1": "on"}[value]
				}
				p.changeSetting("default_"+d.GetDefname(), value, known)
			}
		case "transaction snapshot":
			p.effect(Transaction|SessionRisky, "reads with another transaction's snapshot")
		default:
			p.effect(SessionForbidden, "sets something that is not known")
		}
		return
	case pg.VariableSetKind_VAR_RESET_ALL:
		p.kind("RESET")
		p.rec.st.Names, p.rec.st.Tag, p.a.pathSet = true, true, true
		p.effect(SessionRisky, "resets all settings")
		return
	case pg.VariableSetKind_VAR_RESET:
		p.kind("RESET")
	case pg.VariableSetKind_VAR_SET_DEFAULT, pg.VariableSetKind_VAR_SET_VALUE:
		p.kind("SET")
	default:
		p.kind("SET")
		p.unknown("a SET of a kind that is not known", -1)
	}
	if s.Kind != pg.VariableSetKind_VAR_SET_VALUE {
		p.setSetting(name, nil)
		return
	}
	value, known := settingValue(s.Args)
	p.changeSetting(name, value, known)
}

// settingValue returns the value of a SET as one text, as SHOW would list it.
func settingValue(args []*pg.Node) (string, bool) {
	var parts []string
	for _, n := range args {
		if t := n.GetTypeCast(); t != nil { // SET TIME ZONE INTERVAL '...'
			n = t.Arg
		}
		c := n.GetAConst()
		switch {
		case c == nil:
			return "", false
		case c.GetSval() != nil:
			parts = append(parts, c.GetSval().Sval)
		case c.GetFval() != nil:
			parts = append(parts, c.GetFval().Fval)
		case c.GetBoolval() != nil:
			parts = append(parts, map[bool]string{true: "on", false: "off"}[c.GetBoolval().Boolval])
		default:
			parts = append(parts, itoa(int(c.GetIval().GetIval())))
		}
	}
	return strings.Join(parts, ", "), true
}

// guarding are settings that decide who acts, and which rows, checks and triggers
// apply.
var guarding = map[string]bool{"role": true, "session_authorization": true, "session_replication_role": true, "row_security": true, "event_triggers": true}

// underSettings records which of those a function that is asked for runs with.
func (p *part) underSettings(f *catalog.Function) {
	for _, s := range f.Settings {
		name, value, _ := strings.Cut(s, "=")
		if p.asked() && guarding[name] && builtin.Setting(name, &value) != builtin.Agent {
			p.effect(SessionRisky, "sets "+name)
		}
	}
}

func (p *part) show(s *pg.VariableShowStmt) []field {
	p.kind("SHOW")
	p.rec.st.Classes |= Read
	if strings.EqualFold(s.Name, "all") {
		return []field{{"name", constant(textOID)}, {"setting", constant(textOID)}, {"description", constant(textOID)}}
	}
	return []field{{s.Name, constant(textOID)}}
}

// changeSetting records that a setting gets a value. known is false for a value
// that is not known before execution.
func (p *part) changeSetting(name, value string, known bool) {
	if !known {
		value = "?" // meets no condition
	}
	p.setSetting(name, &value)
}

// setSetting is changeSetting where nil is the default.
func (p *part) setSetting(name string, value *string) {
	st := p.rec.st
	var class Class
	switch builtin.Setting(name, value) {
	case builtin.Agent:
		class = SessionHarmless
	case builtin.Identity:
		class = SessionRisky
		st.Tag = true
	case builtin.Human:
		class = SessionRisky
	default:
		class = SessionForbidden
	}
	switch name {
	case "role", "session_authorization":
		class |= Role
		st.Names, p.a.pathSet = true, true
	case "search_path":
		st.Names, p.a.pathSet = true, true
	case "session_replication_role":
		class = SessionForbidden // it decides which triggers and rules fire
	case "application_name":
		st.Tag = true
	}
	if strings.HasPrefix(name, "guardedpg.") {
		st.Tag = true
		class = SessionForbidden
	}
	p.effect(class, "sets "+name)
}
