package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// A namer says what names mean where a piece of SQL stands.
type namer interface {
	// relation returns the relation that the parts name, or nil.
	relation(parts []string) *catalog.Relation
	// functions returns all overloads that the parts may name.
	functions(parts []string) []*catalog.Function
	// operators returns all overloads that the parts may name.
	operators(parts []string) []*catalog.Operator
	// typ returns the type that the parts name, or 0.
	typ(parts []string) catalog.OID
}

// pathNames resolves names in the snapshot along a search path, as the server
// does (manual, section 5.9.3): pg_catalog first unless the path names it,
// functions and operators never in pg_temp.
type pathNames struct {
	snap *catalog.Snapshot
	path []string
}

func newPathNames(snap *catalog.Snapshot, path []string) pathNames {
	if !slices.Contains(path, "pg_catalog") {
		path = append([]string{"pg_catalog"}, path...)
	}
	return pathNames{snap, path}
}

// definitionNames returns what names mean in definitions that the server
// deparsed (see [catalog.Snapshot]).
func definitionNames(snap *catalog.Snapshot) pathNames {
	if snap.TempSchema == "" {
		return newPathNames(snap, nil)
	}
	return newPathNames(snap, []string{"pg_catalog", snap.TempSchema})
}

// pathNames returns what names in code that runs under a search path mean.
func (a *analyzer) pathNames(path []string) namer {
	return codeNames{newPathNames(a.snap, path), a}
}

// codeNames notes the names that may mean something else once search_path is
// set: those without a schema that are not found in pg_catalog alone.
type codeNames struct {
	namer
	a *analyzer
}

func (n codeNames) relation(parts []string) *catalog.Relation {
	r := n.namer.relation(parts)
	n.note(parts, r == nil || r.Schema != "pg_catalog")
	return r
}

func (n codeNames) functions(parts []string) []*catalog.Function {
	fs := n.namer.functions(parts)
	n.note(parts, slices.ContainsFunc(fs, func(f *catalog.Function) bool { return f.Schema != "pg_catalog" }))
	return fs
}

func (n codeNames) operators(parts []string) []*catalog.Operator {
	ops := n.namer.operators(parts)
	n.note(parts, slices.ContainsFunc(ops, func(o *catalog.Operator) bool { return o.Schema != "pg_catalog" }))
	return ops
}

func (n codeNames) note(parts []string, moves bool) {
	n.a.pathUsed = n.a.pathUsed || moves && len(parts) == 1
}

// split takes a qualified name apart; a database name in front must be ours.
func (n pathNames) split(parts []string) (schema, name string, ok bool) {
	switch len(parts) {
	case 1:
		return "", parts[0], true
	case 2:
		schema = parts[0]
	case 3:
		if parts[0] != n.snap.Server.Database {
			return "", "", false
		}
		schema = parts[1]
	default:
		return "", "", false
	}
	if schema == "pg_temp" {
		for _, s := range n.path {
			if strings.HasPrefix(s, "pg_temp_") {
				schema = s
			}
		}
	}
	return schema, parts[len(parts)-1], true
}

func (n pathNames) relation(parts []string) *catalog.Relation {
	schema, name, ok := n.split(parts)
	if !ok {
		return nil
	}
	if schema != "" {
		return n.snap.RelationNamed(schema, name)
	}
	for _, s := range n.path {
		if r := n.snap.RelationNamed(s, name); r != nil {
			return r
		}
	}
	return nil
}

func (n pathNames) functions(parts []string) []*catalog.Function {
	schema, name, ok := n.split(parts)
	if !ok {
		return nil
	}
	var out []*catalog.Function
	for _, f := range n.snap.FunctionsNamed(name) {
		if schema == f.Schema || schema == "" && slices.Contains(n.path, f.Schema) && !strings.HasPrefix(f.Schema, "pg_temp_") {
			out = append(out, f)
		}
	}
	return out
}

func (n pathNames) operators(parts []string) []*catalog.Operator {
	schema, name, ok := n.split(parts)
	if !ok {
		return nil
	}
	var out []*catalog.Operator
	for _, o := range n.snap.OperatorsNamed(name) {
		if schema == o.Schema || schema == "" && slices.Contains(n.path, o.Schema) && !strings.HasPrefix(o.Schema, "pg_temp_") {
			out = append(out, o)
		}
	}
	return out
}

func (n pathNames) typ(parts []string) catalog.OID {
	schema, name, ok := n.split(parts)
	if !ok {
		return 0
	}
	if schema != "" {
		if t := n.snap.TypeNamed(schema, name); t != nil {
			return t.OID
		}
		return 0
	}
	for _, s := range n.path {
		if t := n.snap.TypeNamed(s, name); t != nil {
			return t.OID
		}
	}
	return 0
}

// rangeVarParts returns the name of a RangeVar as parts.
func rangeVarParts(rv *pg.RangeVar) []string {
	var parts []string
	for _, s := range []string{rv.Catalogname, rv.Schemaname, rv.Relname} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return parts
}

// typeOf returns the type that a TypeName means, arrays included, or 0.
func (p *part) typeOf(t *pg.TypeName) catalog.OID {
	if t == nil || t.PctType {
		return 0
	}
	oid := p.names.typ(strs(t.Names))
	if len(t.ArrayBounds) > 0 {
		if typ := p.a.snap.Type(oid); typ != nil {
			return typ.Array
		}
		return 0
	}
	return oid
}
