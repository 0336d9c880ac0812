package catalog

import (
	"iter"
	"maps"
	"slices"
)

// layers yields the snapshot's layers, the topmost first: the session's
// temporary objects, what the sessions of the database share, the built-ins.
func (s *Snapshot) layers() iter.Seq[*Snapshot] {
	return func(yield func(*Snapshot) bool) {
		for l := s; l != nil; l = l.base {
			if !yield(l) {
				return
			}
		}
	}
}

// pg_temp is the name of every session's own temporary schema.
func (s *Snapshot) schema(name string) string {
	if name == "pg_temp" && s.TempSchema != "" {
		return s.TempSchema
	}
	return name
}

// Relation returns the relation with the OID, or nil.
func (s *Snapshot) Relation(oid OID) *Relation {
	for l := s; l != nil; l = l.base {
		if r := l.relations[oid]; r != nil {
			return r
		}
	}
	return nil
}

// RelationNamed returns the relation, or nil. The schema is a name, not empty;
// pg_temp is the session's own temporary schema.
func (s *Snapshot) RelationNamed(schema, name string) *Relation {
	key := qname{s.schema(schema), name}
	for l := s; l != nil; l = l.base {
		if r := l.byName[key]; r != nil {
			return r
		}
	}
	return nil
}

// RelationOfType returns the relation whose row type it is, or nil.
func (s *Snapshot) RelationOfType(typ OID) *Relation {
	if typ == 0 {
		return nil
	}
	for l := s; l != nil; l = l.base {
		if r := l.byType[typ]; r != nil {
			return r
		}
	}
	return nil
}

// Relations yields every relation, built-in ones too, in no particular order.
func (s *Snapshot) Relations() iter.Seq[*Relation] {
	return func(yield func(*Relation) bool) {
		for l := range s.layers() {
			for oid, r := range l.relations {
				if s.Relation(oid) == r && !yield(r) {
					return
				}
			}
		}
	}
}

// Function returns the function, procedure, aggregate or window function with
// the OID, or nil.
func (s *Snapshot) Function(oid OID) *Function {
	for l := s; l != nil; l = l.base {
		if f := l.functions[oid]; f != nil {
			return f
		}
	}
	return nil
}

// FunctionsNamed returns the functions of the name in all schemas.
func (s *Snapshot) FunctionsNamed(name string) []*Function {
	var list []*Function
	for l := s; l != nil; l = l.base {
		list = append(list, l.funcNames[name]...)
	}
	return list
}

// FunctionsIn returns the functions of the name in the schema, which is as for
// RelationNamed.
func (s *Snapshot) FunctionsIn(schema, name string) []*Function {
	schema = s.schema(schema)
	var list []*Function
	for l := s; l != nil; l = l.base {
		for _, f := range l.funcNames[name] {
			if f.Schema == schema {
				list = append(list, f)
			}
		}
	}
	return list
}

// Functions yields every function, built-in ones too, in no particular order.
func (s *Snapshot) Functions() iter.Seq[*Function] {
	return func(yield func(*Function) bool) {
		for l := range s.layers() {
			for _, f := range l.functions {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// Type returns the type with the OID, or nil.
func (s *Snapshot) Type(oid OID) *Type {
	for l := s; l != nil; l = l.base {
		if t := l.types[oid]; t != nil {
			return t
		}
	}
	return nil
}

// Types yields every type, built-in ones too, in no particular order.
func (s *Snapshot) Types() iter.Seq[*Type] {
	return func(yield func(*Type) bool) {
		for l := range s.layers() {
			for oid, t := range l.types {
				if s.Type(oid) == t && !yield(t) {
					return
				}
			}
		}
	}
}

// TypeNamed returns the type, or nil. The schema is as for RelationNamed.
func (s *Snapshot) TypeNamed(schema, name string) *Type {
	key := qname{s.schema(schema), name}
	for l := s; l != nil; l = l.base {
		if t := l.typeNames[key]; t != nil {
			return t
		}
	}
	return nil
}

// OperatorsNamed returns the operators of the name in all schemas.
func (s *Snapshot) OperatorsNamed(name string) []*Operator {
	var list []*Operator
	for l := s; l != nil; l = l.base {
		list = append(list, l.operators[name]...)
	}
	return list
}

// Casts yields every cast, in no particular order.
func (s *Snapshot) Casts() iter.Seq[*Cast] {
	return func(yield func(*Cast) bool) {
		for l := range s.layers() {
			for _, c := range l.casts {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Cast returns the cast from one type to another, or nil.
func (s *Snapshot) Cast(source, target OID) *Cast {
	for l := s; l != nil; l = l.base {
		if c := l.casts[castPair{source, target}]; c != nil {
			return c
		}
	}
	return nil
}

// SchemaExists tells whether there is such a schema. pg_temp exists once the
// session has created a temporary object.
func (s *Snapshot) SchemaExists(name string) bool {
	name = s.schema(name)
	for l := s; l != nil; l = l.base {
		if _, ok := l.schemas[name]; ok {
			return true
		}
	}
	return false
}

// Descendants returns the relations that inherit from the relation, or are
// partitions of it, at any depth, without the relation itself.
func (s *Snapshot) Descendants(oid OID) []*Relation {
	return s.closure(oid, func(r *Relation) []OID { return r.Children })
}

// Ancestors returns the relations that the relation inherits from, or is a
// partition of, at any depth, without the relation itself.
func (s *Snapshot) Ancestors(oid OID) []*Relation {
	return s.closure(oid, func(r *Relation) []OID { return r.Parents })
}

func (s *Snapshot) closure(oid OID, next func(*Relation) []OID) []*Relation {
	var list []*Relation
	seen := map[OID]bool{oid: true}
	for queue := []OID{oid}; len(queue) > 0; queue = queue[1:] {
		r := s.Relation(queue[0])
		if r == nil {
			continue
		}
		if r.OID != oid {
			list = append(list, r)
		}
		for _, o := range next(r) {
			if !seen[o] {
				seen[o] = true
				queue = append(queue, o)
			}
		}
	}
	return list
}

// Column returns the column with the attribute number, or nil: none, a system
// column, or a dropped one.
func (r *Relation) Column(num int16) *Column {
	if num < 1 || int(num) > len(r.Columns) || r.Columns[num-1].Dropped {
		return nil
	}
	return &r.Columns[num-1]
}

// ColumnNamed returns the column, or nil. System columns and dropped ones are
// not found.
func (r *Relation) ColumnNamed(name string) *Column {
	for i := range r.Columns {
		if c := &r.Columns[i]; c.Name == name && !c.Dropped {
			return c
		}
	}
	return nil
}

// Support returns what the server calls by itself to compare and hash values of
// a type, to evaluate an operator by other means than its function, or to keep
// the indexes and partitions of a relation, without what came with the server.
func (s *Snapshot) Support(object OID) []OID { return s.support[object] }

// HasSupport reports whether there is any such function.
func (s *Snapshot) HasSupport() bool { return len(s.support) > 0 }

// AllSupport returns the functions of all objects, once each.
func (s *Snapshot) AllSupport() []OID {
	return distinct(slices.Concat(slices.Collect(maps.Values(s.support))...))
}
