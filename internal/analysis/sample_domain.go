package analysis

import (
	"math"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

const maxConstants = 12

// constants collects what the predicate compares with.
func (s *sampler) constants(n *pg.Node) {
	number := func(f float64) {
		if len(s.numbers) < maxConstants && !slices.Contains(s.numbers, f) {
			s.numbers = append(s.numbers, f)
		}
	}
	walk(n, func(m *pg.Node) {
		c := m.GetAConst()
		if c == nil {
			return
		}
		f, ok := foldConst(c)
		switch {
		case !ok:
		case f.num != nil:
			v, _ := f.num.Float64()
			number(v)
		case f.text != nil:
			if x, err := strconv.ParseFloat(strings.TrimSpace(*f.text), 64); err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) {
				number(x)
			}
			if items, ok := s.t.elements(m); ok && len(items) <= maxConstants {
				for _, i := range items {
					if x, err := strconv.ParseFloat(i.GetAConst().GetSval().GetSval(), 64); err == nil {
						number(x)
					}
				}
			}
			if len(s.texts) < maxConstants && len(*f.text) <= 100 && !slices.Contains(s.texts, *f.text) {
				s.texts = append(s.texts, *f.text)
			}
		}
	})
}

// column gives a column of the row a value.
func (s *sampler) column(name string) sample {
	v := s.choose("column "+name, func() []sample {
		if s.domains[name] == nil {
			s.domains[name] = s.domain(name)
		}
		return s.domains[name]
	})
	s.nulls = s.nulls || v.kind == nullSample
	return v
}

func (s *sampler) domain(name string) []sample {
	t := s.t
	c := t.rel.ColumnNamed(name)
	if c == nil { // of the system
		switch name {
		case "ctid":
			var list []sample
			for _, n := range []float64{1, 2, 65536 + 1, 70000 * 65536, (1<<32 - 2) * 65536} {
				list = append(list, sample{kind: tidSample, n: n})
			}
			for _, c := range s.texts {
				if n, ok := tid(c); ok && n > 0 && n < (1<<32-1)*65536 { // the last block is none
					list = append(list, sample{kind: tidSample, n: n}, sample{kind: tidSample, n: n + 1})
				}
			}
			return list
		case "xmax", "cmin", "cmax":
			return []sample{sampleNumber(0)}
		case "xmin":
			return s.numeric(3, 1<<32-1, true, 3, 1000003)
		}
		return []sample{{kind: symbolSample, s: name, n: 1}, {kind: symbolSample, s: name, n: 2}}
	}
	var list []sample
	low, high, whole, ok := t.numbers(c)
	switch typ := t.p.baseType(c.Type); {
	case ok && low == 1:
		list = s.numeric(low, high, whole, 1000003, 1)
	case ok && whole:
		list = s.numeric(low, high, whole, min(high, 1000003), max(low, -1000003), low, high, 103, -103)
	case ok:
		list = s.numeric(low, high, whole, 1000003, -1000003, 0.5)
		if slices.ContainsFunc(s.texts, func(c string) bool { return strings.Contains(strings.ToLower(c), "inf") }) {
			list = append(list, sampleNumber(math.Inf(1)), sampleNumber(math.Inf(-1)))
		}
	case typ == boolOID:
		list = []sample{sampleBool(true), sampleBool(false)}
	case t.isString(typ):
		list = s.textual()
	default:
		list = []sample{{kind: symbolSample, s: name, n: 1}, {kind: symbolSample, s: name, n: 2}}
	}
	for _, v := range s.wished["column "+name] {
		if !slices.ContainsFunc(list, func(w sample) bool { return alike(v, w) }) {
			list = append(list, v)
		}
	}
	if !c.NotNull {
		list = append(list, sampleNull)
	}
	return list
}

// numbers returns the least and greatest number that a column has, and whether
// they are whole. Keys are from 1 up, as generated keys are.
func (t *limits) numbers(c *catalog.Column) (low, high float64, whole, ok bool) {
	switch t.p.baseType(c.Type) {
	case int2OID:
		low, high, whole, ok = math.MinInt16, math.MaxInt16, true, true
	case int4OID:
		low, high, whole, ok = math.MinInt32, math.MaxInt32, true, true
	case int8OID:
		low, high, whole, ok = math.MinInt64, math.MaxInt64, true, true
	case numericOID, float8OID, float4OID:
		return -1e12, 1e12, false, true
	}
	if whole && t.isKey(c.Num) {
		low = 1
	}
	return low, high, whole, ok
}

// numeric are numbers around the constants and what they come to in pairs.
func (s *sampler) numeric(low, high float64, whole bool, first ...float64) []sample {
	list := slices.Concat(first, []float64{0, 1, 2, 3})
	around := func(c float64) {
		list = append(list, c, c-1, c+1, math.Floor(c), math.Ceil(c))
		if !whole {
			list = append(list, c-0.25, c+0.25)
		}
	}
	for i, a := range s.numbers {
		around(a)
		around(-a)
		for _, b := range s.numbers[:min(i, 4)] {
			around(a * b)
			around(a + b)
			around(a - b)
			around(b - a)
			if a != 0 && b != 0 {
				around(math.Trunc(a / b))
				around(math.Trunc(b / a))
			}
		}
	}
	var values []sample
	seen := map[float64]bool{}
	for _, n := range list {
		if n >= low && n <= high && (!whole || n == math.Trunc(n)) && !seen[n] {
			seen[n] = true
			values = append(values, sampleNumber(n))
		}
	}
	return values
}

func (s *sampler) textual() []sample {
	list := []string{"Zz 9", "", "a", " a ", "é~", "~~~~"}
	for _, c := range s.texts {
		bare := strings.NewReplacer("%", "", "_", "a").Replace(c)
		list = append(list, c, bare, bare+"x", "x"+bare, strings.ToUpper(bare))
		if bare != "" {
			list = append(list, bare[:len(bare)-1])
		}
	}
	for _, n := range s.numbers {
		if n == math.Trunc(n) {
			list = append(list, strconv.FormatFloat(n, 'f', 0, 64))
			if n > 0 && n < maxSampleText {
				list = append(list, strings.Repeat("q", int(n)), strings.Repeat("q", int(n)+1), strings.Repeat("q", int(n)-1))
			}
		}
	}
	for _, c := range s.texts {
		if len(c) > 0 && len(c) <= 2 {
			list = append(list, strings.Repeat(c, 6), strings.Repeat(c, 40)) // many of a separator
			for _, n := range s.numbers {
				if n > 0 && n <= 20 {
					list = append(list, strings.Repeat(c, int(n)))
				}
			}
		}
	}
	var values []sample
	seen := map[string]bool{}
	for _, c := range list {
		if !seen[c] {
			seen[c] = true
			values = append(values, sampleText(c))
		}
	}
	return values
}

func tid(s string) (float64, bool) {
	a, b, ok := strings.Cut(strings.Trim(strings.ReplaceAll(s, " ", ""), "()"), ",")
	block, err := strconv.ParseUint(a, 10, 32)
	off, err2 := strconv.ParseUint(b, 10, 16)
	return float64(block)*65536 + float64(off), ok && err == nil && err2 == nil
}
