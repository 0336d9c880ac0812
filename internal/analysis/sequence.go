package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// isNextval reports whether a default takes the next value of a sequence, as
// serial columns do: no effect worth a word.
func (p *part) isNextval(expr string) bool { return sequenceOf(p.a.expression(expr)) != "" }

// sequenceOf returns what nextval is called with in an expression, or "".
func sequenceOf(n *pg.Node) string {
	fc := n.GetFuncCall()
	name := strs(fc.GetFuncname())
	if len(name) == 0 || name[len(name)-1] != "nextval" || len(name) == 2 && name[0] != "pg_catalog" || len(name) > 2 || len(fc.Args) != 1 {
		return ""
	}
	arg := fc.Args[0]
	if cast := arg.GetTypeCast(); cast != nil && lastOf(cast.TypeName.GetNames()) == "regclass" {
		arg = cast.Arg
	}
	return arg.GetAConst().GetSval().GetSval()
}

// numbers notes the calls of nextval in the VALUES of an INSERT that say what
// the default of their column says.
func (p *part) numbers(rel *catalog.Relation, s *pg.InsertStmt) {
	if rel == nil {
		return
	}
	targets := insertTargets(rel, s)
	for _, row := range s.SelectStmt.GetSelectStmt().GetValuesLists() {
		for i, n := range row.GetList().GetItems() {
			if expands(n) {
				break // what stands after row.* is anywhere
			}
			if i >= len(targets) || targets[i].Num == 0 {
				continue
			}
			given := sequenceOf(n)
			if given == "" || !p.onlyBuiltin(n.GetFuncCall()) {
				continue
			}
			if seq := p.names.relation(regclassParts(given)); seq != nil && seq.Kind == 'S' && seq == p.sequenceFor(targets[i]) {
				if p.a.numbers == nil {
					p.a.numbers = map[*pg.FuncCall]struct{}{}
				}
				p.a.numbers[n.GetFuncCall()] = struct{}{}
			}
		}
	}
}

// sequenceFor returns what the default of a column takes its numbers from, or
// nil.
func (p *part) sequenceFor(c catalog.Column) *catalog.Relation {
	if c.Sequence != 0 {
		return p.a.snap.Relation(c.Sequence)
	}
	return p.definitionNames().relation(regclassParts(sequenceOf(p.a.expression(c.Default))))
}

func (p *part) onlyBuiltin(fc *pg.FuncCall) bool {
	fs := p.names.functions(strs(fc.Funcname))
	return len(fs) > 0 && !slices.ContainsFunc(fs, func(f *catalog.Function) bool { return !p.isBuiltin(f) })
}

// insertTargets are the columns that an INSERT names, or all; one that is not
// known has no number.
func insertTargets(rel *catalog.Relation, s *pg.InsertStmt) []catalog.Column {
	var targets []catalog.Column
	for _, n := range s.Cols {
		if c := rel.ColumnNamed(n.GetResTarget().GetName()); c != nil {
			targets = append(targets, *c)
		} else {
			targets = append(targets, catalog.Column{})
		}
	}
	if len(s.Cols) == 0 {
		for _, c := range rel.Columns {
			if !c.Dropped {
				targets = append(targets, c)
			}
		}
	}
	return targets
}

// expands reports whether an item of a row is row.*.
func expands(n *pg.Node) bool {
	fields := n.GetColumnRef().GetFields()
	ind := n.GetAIndirection().GetIndirection()
	return len(fields) > 0 && fields[len(fields)-1].GetAStar() != nil || len(ind) > 0 && ind[len(ind)-1].GetAStar() != nil
}

// regclassParts takes a name apart as regclass reads it, or returns nil.
func regclassParts(s string) []string {
	var parts []string
	for {
		var part string
		if rest, quoted := strings.CutPrefix(s, `"`); quoted {
			end := strings.Index(rest, `"`)
			if end <= 0 {
				return nil
			}
			part, s = rest[:end], rest[end+1:]
		} else {
			end := strings.IndexFunc(s, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
			if end < 0 {
				end = len(s)
			}
			if end == 0 {
				return nil
			}
			part, s = s[:end], s[end:]
		}
		parts = append(parts, part)
		if s == "" {
			return parts
		}
		var more bool
		if s, more = strings.CutPrefix(s, "."); !more {
			return nil
		}
	}
}
