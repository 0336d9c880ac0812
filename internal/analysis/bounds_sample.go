package analysis

import (
	"maps"
	"math/bits"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// A predicate that lets every row through has as many notations as there are
// ways to write true. Here it is evaluated, on rows made up such that they tell
// its constants apart: what is true for all of them leaves none out.

// all reports whether a predicate is true for every row, or is if something is
// that does not depend on the row.
//
// One within others is met again with each of their rows.
func (t *limits) all(n *pg.Node) bool {
	key := judgement{n: n}
	for _, c := range t.selves {
		key.selves += c.alias + "\x00"
	}
	all, ok := t.judged[key]
	if !ok {
		all = t.truth(n) == always || t.sampled(n)
		t.judged[key] = all
	}
	return all
}

// A judgement is of a predicate where names mean what they do there.
type judgement struct {
	n      *pg.Node
	selves string
}

// with returns t for a predicate in which other readings of the relation stand
// for the same row.
func (t *limits) with(selves []cover) *limits {
	u := *t
	u.selves = slices.Concat(t.selves, selves)
	return &u
}

// A sampler evaluates one predicate again and again. What can have several
// values is a variable; path has the choice made at each, in the order in which
// an evaluation meets them.
type sampler struct {
	t       *limits
	numbers []float64
	texts   []string
	wished  map[string][]sample // values of variables; see hints
	domains map[string][]sample // of columns
	hinted  []hint
	counts  []sample
	hashes  []sample
	lengths []sample // of texts longer than those that are made

	path  []int
	sizes []int
	met   map[string]sample
	conds []*pg.Node // conditions that are not evaluated, each true or false
	nulls bool       // a column is NULL in this evaluation

	// free are conditions that do not depend on the row, each true if its bit is
	// set.
	free     map[*pg.Node]int
	assigned uint

	verdicts map[*pg.Node]verdict
	left     int
	random   uint32 // not 0: choices are drawn
	checking bool
}

const (
	maxSampled = 40_000 // nodes evaluated
	maxRows    = 600    // rows tried in order, and as many more drawn
	maxLike    = 4      // the same for each hint
	maxFree    = 3
	maxConds   = 8

	maxSampleText = 12_000
	maxLength     = 10 << 20 // of texts of which it is compared
)

func (t *limits) sampled(n *pg.Node) bool {
	t.depth++
	defer func() { t.depth-- }()
	if t.depth > maxSampleDepth || !t.mentions(n) {
		return false
	}
	s := &sampler{t: t, free: map[*pg.Node]int{}, verdicts: map[*pg.Node]verdict{}, wished: map[string][]sample{}, domains: map[string][]sample{}, left: maxSampled}
	s.constants(n)
	s.hints(n, false)
	for _, c := range t.rel.Checks {
		if e := t.p.a.expression(c.Expr); e != nil {
			s.hints(e, true)
		}
	}
	s.domains = map[string][]sample{} // what they were before is not all
	for s.assigned = 0; s.assigned < 1<<min(len(s.free), maxFree); s.assigned++ {
		if s.every(n) {
			return true
		}
	}
	return false
}

// maxSampleDepth bounds predicates within predicates.
const maxSampleDepth = 30

// every reports whether n is true for every row that is tried. That a NULL in a
// column makes it NULL is no limit that anybody would mean.
func (s *sampler) every(n *pg.Node) bool {
	found := false
	for _, h := range s.hinted {
		if !s.rowsLike(n, h, maxLike, &found) {
			return false
		}
	}
	return s.rowsLike(n, nil, maxRows, &found) && found
}

// rowsLike tries rows with the values in h, some in order and as many drawn, and
// reports whether n excludes none. It sets found where one is let through.
func (s *sampler) rowsLike(n *pg.Node, h hint, most int, found *bool) bool {
	s.path, s.sizes, s.random = nil, nil, 0
	for rows := range 2 * most {
		if rows == most {
			s.random = 1
		}
		s.met, s.nulls, s.sizes = maps.Clone(h), false, s.sizes[:0]
		if s.met == nil {
			s.met = map[string]sample{}
		}
		switch v := s.cond(n); {
		case s.left <= 0:
			return *found && rows > most/2
		case v.isTrue():
			*found = true
		case v.kind == nullSample && s.nulls:
		case s.possible():
			return false
		}
		if s.random == 0 && !s.next() {
			break
		}
	}
	return true
}

// next goes on to the next row, and reports whether there is one.
func (s *sampler) next() bool {
	s.path = s.path[:len(s.sizes)]
	for i := len(s.path) - 1; i >= 0; i-- {
		if s.path[i]++; s.path[i] < s.sizes[i] {
			s.path = s.path[:i+1]
			return true
		}
	}
	return false
}

// possible reports whether the relation's constraints allow the row.
func (s *sampler) possible() bool {
	t := s.t
	own := *t
	own.selves = nil
	s.checking, s.t = true, &own
	defer func() { s.checking, s.t = false, t }()
	for _, c := range t.rel.Checks {
		if e := t.p.a.expression(c.Expr); e != nil && s.cond(e).isFalse() {
			return false
		}
	}
	return true
}

// choose gives a variable a value.
func (s *sampler) choose(key string, domain func() []sample) sample {
	if v, ok := s.met[key]; ok {
		return v
	}
	values := domain()
	i := len(s.sizes)
	s.sizes = append(s.sizes, len(values))
	if i >= len(s.path) {
		s.path = append(s.path, 0)
	}
	choice := s.path[i]
	if s.random != 0 {
		s.random = s.random*1664525 + 1013904223
		hi, _ := bits.Mul32(s.random, uint32(len(values)))
		choice = int(hi)
	}
	v := values[min(choice, len(values)-1)]
	s.met[key] = v
	return v
}
