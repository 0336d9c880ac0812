package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// loadAttempts bounds how often a load starts again because definitions
// changed while it read them.
const loadAttempts = 4

var versions atomic.Uint64

// Load reads the definitions that the connection's session sees: what is
// committed, what its own open transaction has changed, and its own temporary
// objects. Any role may load. In a REPEATABLE READ or SERIALIZABLE transaction,
// catalog rows are those of the transaction's beginning.
//
// The session is left as it was, also after an error; a connection whose
// context ends during the load is closed by pgx. Load must not be called in an
// aborted transaction or while rows are being read. It takes two round trips.
// Errors match [ErrLoad].
func Load(ctx context.Context, q Queryer) (*Snapshot, error) {
	return load(ctx, q, nil)
}

// load is Load with a shared layer that is not read again when it is still the
// server's, or when it is of the present and the session sees the past.
func load(ctx context.Context, q Queryer, known *Snapshot) (*Snapshot, error) {
	var err error
	for range loadAttempts {
		var s *Snapshot
		s, err = loadOnce(ctx, q, known)
		if err == nil {
			return s, nil
		}
		if !changedMeanwhile(err) {
			break
		}
	}
	return nil, loadError("reading the system catalogs failed", err)
}

var errChanged = errors.New("definitions changed while they were read")

// changedMeanwhile tells whether an attempt failed because an object was
// dropped under it: the deparsing functions then fail in several ways.
func changedMeanwhile(err error) bool {
	if errors.Is(err, errChanged) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "XX000", // internal_error: cache lookup failed
		"42P01", "42703", "42704", "42883", "3F000": // undefined relation, column, object, function, schema
		return true
	}
	return false
}

func loadOnce(ctx context.Context, q Queryer, known *Snapshot) (*Snapshot, error) {
	head, err := readHead(ctx, q)
	if err != nil {
		return nil, err
	}

	builtins, err := sharedBuiltins(head)
	if err != nil {
		return nil, err
	}
	var queries []query
	var layers []*builder
	newLayer := func(sc scope) *Snapshot {
		b := newBuilder(head.server.VersionNum, sc)
		layers = append(layers, b)
		queries = append(queries, b.queries()...)
		return b.s
	}

	base := builtins
	if base == nil {
		base = newLayer(builtinScope)
		base.Server = head.server
	}
	builtin := base

	// A session that sees the past has its statements run by the present
	// definitions all the same.
	top := known
	if known == nil || known.base != builtin || !head.past() && known.fingerprint.shared != head.print.shared {
		top = newLayer(sharedScope)
		top.Server, top.base = head.server, builtin
		top.fingerprint.shared = head.print.shared
	}
	if head.print.temporary != "" {
		shared := top
		top = newLayer(temporaryScope)
		top.Server, top.base = head.server, shared
		top.fingerprint = Fingerprint{shared.fingerprint.shared, head.print.temporary}
	}
	if top == known {
		return known, nil
	}

	var schemas []namedOID
	opclasses := make(map[OID]bool)
	support := make(map[OID][]OID)
	var after probe
	queries = append(queries,
		query{schemasSQL, decode(func(r row) { schemas = append(schemas, namedOID{r.str(1), r.oid(0)}) })},
		query{supportSQL, decode(func(r row) { support[r.oid(0)] = r.oids(1) })},
		query{opclassesSQL, decode(func(r row) { opclasses[r.oid(0)] = true })},
		query{fingerprintSQL, decode(func(r row) { after = readProbe(r) })})
	if err := run(ctx, q, queries); err != nil {
		return nil, err
	}
	if after.print != head.print {
		return nil, errChanged
	}

	for _, b := range layers {
		b.finish(opclasses)
	}
	if top.base != builtin {
		adoptChildren(top)
	}
	if top != known {
		top.schemas = make(map[string]OID, len(schemas))
		for _, n := range schemas {
			top.schemas[n.name] = n.oid
			if n.oid == head.temporarySchema {
				top.TempSchema = n.name
			}
		}
	}
	// The shared layer below a temporary one is a snapshot of its own for
	// the sessions that have no temporary objects.
	for l := top; l != builtin && l != known; l = l.base {
		l.support = support
		if l.schemas == nil {
			l.schemas = make(map[string]OID, len(schemas))
			for _, n := range schemas {
				if n.oid != head.temporarySchema {
					l.schemas[n.name] = n.oid
				}
			}
		}
		l.Version = versions.Add(1)
	}
	if builtins == nil {
		shareBuiltins(head, builtin)
	}
	return top, nil
}

type namedOID struct {
	name string
	oid  OID
}

// A head is what decides which layers have to be read.
type head struct {
	probe
	server          Server
	temporarySchema OID
	builtins        builtinKey
}

func readHead(ctx context.Context, q Queryer) (head, error) {
	var h head
	queries := []query{
		{fingerprintSQL, decode(func(r row) { h.probe = readProbe(r) })},
		{builtinDigestSQL, decode(func(r row) { h.builtins.digest = r.str(0) })},
		{serverSQL, decode(func(r row) {
			h.server.VersionNum, h.server.Database, h.temporarySchema = r.int(0), r.str(1), r.oid(2)
		})},
	}
	withSystem := append(slices.Clone(queries),
		query{systemSQL, decode(func(r row) { h.server.SystemID = r.str(0) })})
	err := run(ctx, q, withSystem)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" { // insufficient_privilege
		err = run(ctx, q, queries)
	}
	if err != nil {
		return head{}, err
	}
	if h.server.VersionNum < 140000 {
		return head{}, &LoadError{Reason: fmt.Sprintf("the server's version is %d; 14 and later are supported", h.server.VersionNum)}
	}
	h.builtins.version = h.server.VersionNum
	h.builtins.system = h.server.SystemID
	if h.builtins.system == "" {
		// Without an identifier, the address stands for the server.
		h.builtins.system = "at " + q.PgConn().Conn().RemoteAddr().String()
	}
	return h, nil
}

// Built-in definitions are some 3 MB and take longer to deparse than those of
// most databases. They are shared by the snapshots of a process.
var builtinLayers struct {
	sync.Mutex
	m map[builtinKey]*Snapshot
}

type builtinKey struct {
	system  string
	version int
	digest  string
}

// builtinLayersKept bounds the memory of a process that sees many servers.
const builtinLayersKept = 16

var builtinDigestSQL = `select bit_xor(h) from (` + unionRows(builtinSources, func(source) string { return "" }) + `) v`

func sharedBuiltins(h head) (*Snapshot, error) {
	if h.builtins.digest == "" {
		return nil, &LoadError{Reason: "the built-in catalogs are empty"}
	}
	builtinLayers.Lock()
	defer builtinLayers.Unlock()
	return builtinLayers.m[h.builtins], nil
}

func shareBuiltins(h head, s *Snapshot) {
	builtinLayers.Lock()
	defer builtinLayers.Unlock()
	if builtinLayers.m == nil || len(builtinLayers.m) >= builtinLayersKept {
		builtinLayers.m = make(map[builtinKey]*Snapshot)
	}
	builtinLayers.m[h.builtins] = s
}

// adoptChildren puts copies of permanent relations that temporary ones inherit
// from into the temporary layer, with these children.
func adoptChildren(s *Snapshot) {
	for _, child := range slices.Collect(maps.Values(s.relations)) {
		for _, oid := range child.Parents {
			parent := s.relations[oid]
			if parent == nil {
				below := s.base.Relation(oid)
				if below == nil {
					continue
				}
				parent = new(*below)
				parent.Children = slices.Clone(below.Children)
				s.add(parent)
			}
			if !slices.Contains(parent.Children, child.OID) {
				parent.Children = append(parent.Children, child.OID)
			}
		}
	}
}

func (s *Snapshot) add(r *Relation) {
	s.relations[r.OID] = r
	s.byName[qname{r.Schema, r.Name}] = r
	if r.RowType != 0 {
		s.byType[r.RowType] = r
	}
}

// A builder fills one layer.
type builder struct {
	s       *Snapshot
	version int
	scope   scope
	names   map[string]string
	uniques []unique
	last    *Relation
}

// unique is a unique index of plain columns that may be a key.
type unique struct {
	relation   *Relation
	cols       []int16
	classes    []OID
	collations []OID
}

func newBuilder(version int, sc scope) *builder {
	return &builder{
		version: version,
		scope:   sc,
		names:   make(map[string]string),
		s: &Snapshot{
			relations: make(map[OID]*Relation),
			byName:    make(map[qname]*Relation),
			byType:    make(map[OID]*Relation),
			functions: make(map[OID]*Function),
			funcNames: make(map[string][]*Function),
			types:     make(map[OID]*Type),
			typeNames: make(map[qname]*Type),
			operators: make(map[string][]*Operator),
			casts:     make(map[castPair]*Cast),
		},
	}
}

// name is a string of which there are few different ones.
func (b *builder) name(r row, i int) string {
	if s, ok := b.names[string(r.fields[i])]; ok {
		return s
	}
	s := r.str(i)
	b.names[s] = s
	return s
}

// relation is the layer's relation with the OID in field i. Rows mostly come
// grouped by relation.
func (b *builder) relation(r row, i int) *Relation {
	oid := r.oid(i)
	if b.last == nil || b.last.OID != oid {
		b.last = b.s.relations[oid]
	}
	if b.last == nil {
		panic(malformed{errChanged})
	}
	return b.last
}

func (b *builder) queries() []query {
	deleteCols := "null"
	if b.version >= 150000 {
		deleteCols = "x.confdelsetcols"
	}
	of := func(sql, key string, f func(r row)) query {
		return query{strings.NewReplacer("%[1]s", b.scope.relation, "%[2]s", key, "%[3]s", deleteCols).Replace(sql), decode(f)}
	}
	object := func(sql string, f func(r row)) query {
		return query{strings.ReplaceAll(sql, "%[1]s", b.scope.object), decode(f)}
	}
	list := []query{
		of(relationsSQL, "", b.readRelation),
		of(columnsSQL, "attrelid", b.readColumn),
		of(defaultsSQL, "adrelid", func(r row) {
			if c := b.relation(r, 0).Column(int16(r.int(1))); c != nil {
				c.Default = r.str(2)
			}
		}),
		of(commentsSQL, "objoid", func(r row) {
			rel := b.relation(r, 0)
			if num := int16(r.int(1)); num == 0 {
				rel.Comment = r.str(2)
			} else if c := rel.Column(num); c != nil {
				c.Comment = r.str(2)
			}
		}),
		of(rulesSQL, "ev_class", func(r row) {
			rel := b.relation(r, 0)
			rel.Rules = append(rel.Rules, Rule{
				Name: r.str(1), Event: r.char(2), Instead: r.bool(3), Enabled: r.char(4), Definition: r.str(5),
			})
		}),
		of(triggersSQL, "tgrelid", func(r row) {
			rel := b.relation(r, 0)
			t := Trigger{
				Name: r.str(1), Function: r.oid(2), Type: int16(r.int(3)), Enabled: r.char(4), Columns: r.attrs(5), Definition: r.str(7),
			}
			if r.bool(6) {
				if t.When = triggerCondition(t.Definition); t.When == "" {
					panic(malformed{errors.New("a trigger's condition was not found in its definition")})
				}
			}
			rel.Triggers = append(rel.Triggers, t)
		}),
		of(inheritsSQL, "inhrelid", func(r row) {
			child, parent := b.relation(r, 0), r.oid(1)
			child.Parents = append(child.Parents, parent)
			if p := b.s.relations[parent]; p != nil {
				p.Children = append(p.Children, child.OID)
			}
		}),
		of(indexesSQL, "indrelid", b.readIndex),
		of(constraintsSQL, "conrelid", b.readConstraint),
		of(statisticsSQL, "stxrelid", func(r row) {
			rel := b.relation(r, 0)
			rel.Statistics = append(rel.Statistics, r.texts(1)...)
		}),
		of(policiesSQL, "polrelid", func(r row) {
			rel := b.relation(r, 0)
			rel.Policies = append(rel.Policies, Policy{Name: r.str(1), Using: r.str(2), Check: r.str(3)})
		}),
		of(foreignSQL, "ftrelid", func(r row) {
			b.relation(r, 0).Foreign = &Foreign{Wrapper: b.name(r, 1), Server: b.name(r, 2), Options: r.options(3)}
		}),
		{stampsSQL(b.scope.relation), decode(func(r row) { b.relation(r, 0).Stamp = r.str(1) })},
		object(functionsSQL, b.readFunction),
		object(aggregatesSQL, func(r row) {
			f := b.s.functions[r.oid(0)]
			if f == nil {
				panic(malformed{errChanged})
			}
			f.Aggregate = &Aggregate{
				Transition: r.oid(1), Final: r.oid(2), Combine: r.oid(3), Serial: r.oid(4), Deserial: r.oid(5),
				MovingTransition: r.oid(6), MovingInverse: r.oid(7), MovingFinal: r.oid(8), DirectArgs: r.int(9),
			}
		}),
		object(typesSQL, b.readType),
		object(domainChecksSQL, func(r row) {
			t := b.s.types[r.oid(0)]
			if t == nil {
				panic(malformed{errChanged})
			}
			t.Checks = append(t.Checks, Check{Name: r.str(1), Expr: r.str(2)})
		}),
		object(operatorsSQL, func(r row) {
			o := &Operator{
				OID: r.oid(0), Schema: b.name(r, 1), Name: b.name(r, 2), Left: r.oid(3), Right: r.oid(4), Result: r.oid(5), Function: r.oid(6),
			}
			b.s.operators[o.Name] = append(b.s.operators[o.Name], o)
		}),
		{strings.ReplaceAll(membersSQL, "%[1]s", b.scope.member), decode(b.readMember)},
	}
	if b.scope != temporaryScope {
		list = append(list, object(castsSQL, func(r row) {
			c := &Cast{Source: r.oid(0), Target: r.oid(1), Function: r.oid(2), Context: r.char(3), Method: r.char(4)}
			b.s.casts[castPair{c.Source, c.Target}] = c
		}))
	}
	return list
}

func (b *builder) readRelation(r row) {
	b.s.add(&Relation{
		OID:          r.oid(0),
		Schema:       b.name(r, 1),
		Name:         r.str(2),
		Kind:         r.char(3),
		Persistence:  r.char(4),
		Owner:        b.name(r, 5),
		RowType:      r.oid(6),
		IsPartition:  r.bool(7),
		RowSecurity:  r.bool(8),
		Definition:   strings.TrimSuffix(strings.TrimSpace(r.str(9)), ";"),
		PartitionKey: r.str(10),
	})
	if kind := r.char(3); (kind == 'v' || kind == 'm') && len(r.fields[9]) == 0 {
		panic(malformed{errChanged})
	}
}

func (b *builder) readColumn(r row) {
	rel := b.relation(r, 0)
	c := Column{
		Num:       int16(r.int(1)),
		Name:      b.name(r, 2),
		Type:      r.oid(3),
		TypeMod:   int32(r.int(4)),
		NotNull:   r.bool(5),
		Dropped:   r.bool(6),
		Generated: r.char(7),
		Identity:  r.char(8),
		Collation: r.oid(9),
		Foreign:   r.options(10),
		Sequence:  r.oid(11),
	}
	if int(c.Num) != len(rel.Columns)+1 {
		panic(malformed{errors.New("a relation's attribute numbers have a gap")})
	}
	rel.Columns = append(rel.Columns, c)
}

func (b *builder) readIndex(r row) {
	rel := b.relation(r, 0)
	n := r.int(4)
	keys := r.attrs(5)[:n]
	i := Index{Name: r.str(1), Exclusive: r.bool(2) || r.bool(10), Expressions: r.texts(8), Predicate: r.str(9)}
	for _, k := range keys {
		if k != 0 {
			i.Columns = append(i.Columns, k)
		}
	}
	rel.Indexes = append(rel.Indexes, i)
	if len(i.Expressions) == 0 && i.Predicate == "" && r.bool(2) && r.bool(3) {
		b.uniques = append(b.uniques, unique{rel, keys, r.oids(6)[:n], r.oids(7)[:n]})
	}
}

func (b *builder) readConstraint(r row) {
	rel := b.relation(r, 0)
	if r.char(2) == 'c' {
		rel.Checks = append(rel.Checks, Check{Name: r.str(1), Expr: r.str(8)})
		return
	}
	fk := ForeignKey{
		Name: r.str(1), From: rel.OID, FromCols: r.attrs(3), To: r.oid(4), ToCols: r.attrs(5),
		OnUpdate: r.char(6), OnDelete: r.char(7), OnDeleteCols: r.attrs(9),
	}
	rel.ForeignKeys = append(rel.ForeignKeys, fk)
	if to := b.s.relations[fk.To]; to != nil {
		to.ReferredBy = append(to.ReferredBy, fk)
	}
}

func (b *builder) readFunction(r row) {
	f := &Function{
		OID:             r.oid(0),
		Schema:          b.name(r, 1),
		Name:            b.name(r, 2),
		Kind:            r.char(3),
		Language:        b.name(r, 4),
		Args:            r.oids(5),
		Defaults:        r.int(9),
		DefaultExprs:    r.str(10),
		Variadic:        r.oid(11),
		Result:          r.oid(12),
		ReturnsSet:      r.bool(13),
		Volatility:      r.char(14),
		SecurityDefiner: r.bool(15),
		Strict:          r.bool(16),
		Source:          r.str(17),
		Body:            r.str(18),
		Definition:      r.str(19),
		Settings:        r.texts(20),
		Stamp:           r.str(21),
		Owner:           b.name(r, 22),
	}
	all, modes, names := r.oids(6), r.texts(7), r.texts(8)
	if modes == nil {
		f.ArgNames = names
	}
	for i, mode := range modes {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		switch mode {
		case "i", "b", "v":
			if names != nil {
				f.ArgNames = append(f.ArgNames, name)
			}
		}
		if mode == "o" && f.Kind == 'p' {
			f.OutOnly = append(f.OutOnly, i)
		}
		switch mode {
		case "o", "b", "t":
			if i >= len(all) {
				panic(malformed{errors.New("a function's argument modes and types differ in number")})
			}
			f.OutTypes = append(f.OutTypes, all[i])
			f.OutNames = append(f.OutNames, name)
		}
	}
	b.s.functions[f.OID] = f
	b.s.funcNames[f.Name] = append(b.s.funcNames[f.Name], f)
}

func (b *builder) readType(r row) {
	t := &Type{
		OID: r.oid(0), Schema: b.name(r, 1), Name: b.name(r, 2), Kind: r.char(3), Category: r.char(4), Element: r.oid(5), Array: r.oid(6),
		Base: r.oid(7), Relation: r.oid(8), Subtype: r.oid(9), Default: r.str(10), Input: r.oid(11), Output: r.oid(12),
	}
	b.s.types[t.OID] = t
	b.s.typeNames[qname{t.Schema, t.Name}] = t
}

func (b *builder) readMember(r row) {
	oid, extension := r.oid(1), b.name(r, 2)
	switch r.str(0) {
	case "pg_class":
		if rel := b.s.relations[oid]; rel != nil { // indexes are members too
			rel.Extension = extension
		}
	case "pg_proc":
		if f := b.s.functions[oid]; f != nil {
			f.Extension = extension
		}
	case "pg_type":
		if t := b.s.types[oid]; t != nil {
			t.Extension = extension
		}
	}
}

// finish decides which unique indexes are keys: an equality of the statement
// is that of the index only with the column's own collation and the default
// operator class.
func (b *builder) finish(defaultClasses map[OID]bool) {
	for _, u := range b.uniques {
		key := true
		for i, num := range u.cols {
			c := u.relation.Column(num)
			key = key && c != nil && c.Collation == u.collations[i] && defaultClasses[u.classes[i]]
		}
		if key {
			u.relation.Keys = append(u.relation.Keys, u.cols)
		}
	}
	b.uniques, b.names, b.last = nil, nil, nil
}
