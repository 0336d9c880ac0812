package analysis

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A sample is a value of an expression for one row.
type sample struct {
	kind sampleKind
	b    bool
	n    float64
	s    string // a text; of a symbol, the column
	list []sample
}

type sampleKind byte

const (
	unknownSample sampleKind = iota
	nullSample
	boolSample
	numberSample
	textSample
	symbolSample  // the n-th of a column's values, of whose type nothing else is known
	literalSample // what a constant is in such a type
	tidSample
	listSample // an array or a row
)

var sampleNull = sample{kind: nullSample}

func sampleBool(b bool) sample      { return sample{kind: boolSample, b: b} }
func sampleNumber(n float64) sample { return sample{kind: numberSample, n: n} }
func sampleText(s string) sample    { return sample{kind: textSample, s: s} }

func (v sample) isTrue() bool  { return v.kind == boolSample && v.b }
func (v sample) isFalse() bool { return v.kind == boolSample && !v.b }
func (v sample) known() bool   { return v.kind != unknownSample }

func sampleOf(c folded, ok bool) sample {
	switch {
	case !ok:
	case c.null:
		return sampleNull
	case c.b != nil:
		return sampleBool(*c.b)
	case c.num != nil:
		n, _ := c.num.Float64()
		return sampleNumber(n)
	case c.text != nil:
		return sampleText(*c.text)
	}
	return sample{}
}

func asText(v sample) sample {
	switch v.kind {
	case textSample, nullSample:
		return v
	case boolSample:
		return sampleText(strconv.FormatBool(v.b))
	case numberSample:
		return sampleText(strconv.FormatFloat(v.n, 'f', -1, 64))
	}
	return sample{}
}

// order compares two values that are not NULL.
func order(a, b sample) (int, bool) {
	if a.kind == textSample && b.kind != textSample {
		c, ok := order(b, a)
		return -c, ok
	}
	if b.kind == textSample && a.kind != textSample { // a literal is of the other's type
		switch a.kind {
		case numberSample:
			f, err := strconv.ParseFloat(strings.TrimSpace(b.s), 64)
			if err != nil || math.IsNaN(f) {
				return 0, false
			}
			b = sampleNumber(f)
		case boolSample:
			t := boolText(b.s)
			if t == "" {
				return 0, false
			}
			b = sampleBool(t == "t")
		case tidSample:
			n, ok := tid(b.s)
			if !ok {
				return 0, false
			}
			b = sample{kind: tidSample, n: n}
		default:
			return 0, false
		}
	}
	if a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case numberSample, tidSample:
		return cmp.Compare(a.n, b.n), true
	case textSample:
		return strings.Compare(a.s, b.s), true
	case symbolSample:
		return cmp.Compare(a.n, b.n), a.s == b.s
	case literalSample:
		return 0, a.s == b.s
	case boolSample:
		number := func(b bool) int {
			if b {
				return 1
			}
			return 0
		}
		return number(a.b) - number(b.b), true
	}
	return 0, false
}

// compared evaluates a comparison.
func compared(op string, a, b sample) sample {
	switch {
	case !a.known() || !b.known():
		return sample{}
	case a.kind == nullSample || b.kind == nullSample:
		return sampleNull
	case a.kind == listSample && b.kind == listSample:
		return comparedLists(op, a.list, b.list)
	}
	c, ok := order(a, b)
	if !ok && (op == "=" || op == "<>") {
		return sameLiteral(op, a, b)
	}
	if !ok {
		return sample{}
	}
	return holds(op, c)
}

// sameLiteral compares a value of a type that is not known with a constant.
func sameLiteral(op string, a, b sample) sample {
	if b.kind == literalSample || b.kind == symbolSample {
		a, b = b, a
	}
	switch {
	case b.kind != textSample:
	case a.kind == literalSample:
		return sampleBool((a.s == b.s) == (op == "="))
	case a.kind == symbolSample: // which no constant is
		return sampleBool(op == "<>")
	}
	return sample{}
}

func holds(op string, c int) sample {
	switch op {
	case "=":
		return sampleBool(c == 0)
	case "<>":
		return sampleBool(c != 0)
	case "<":
		return sampleBool(c < 0)
	case "<=":
		return sampleBool(c <= 0)
	case ">":
		return sampleBool(c > 0)
	case ">=":
		return sampleBool(c >= 0)
	}
	return sample{}
}

func comparedLists(op string, a, b []sample) sample {
	if len(a) != len(b) {
		return sample{}
	}
	if op == "=" || op == "<>" { // what differs decides, whatever is NULL
		differs := sampleBool(false)
		for i := range a {
			switch v := compared("<>", a[i], b[i]); {
			case v.isTrue():
				return sampleBool(op == "<>")
			case !v.isFalse() && differs.known():
				differs = v
			}
		}
		if op == "=" {
			return inverse(differs)
		}
		return differs
	}
	for i := range a {
		if !a[i].known() || !b[i].known() {
			return sample{}
		}
		if a[i].kind == nullSample || b[i].kind == nullSample {
			return sampleNull
		}
		c, ok := order(a[i], b[i])
		if !ok {
			return sample{}
		}
		if c != 0 {
			return holds(op, c)
		}
	}
	return holds(op, 0)
}

// anyOf evaluates l op ANY or ALL of a list.
func anyOf(l sample, op string, list []sample, every bool) sample {
	result := sampleBool(every)
	for _, r := range list {
		switch v := applied(op, l, r); {
		case v.kind == boolSample && v.b != every:
			return v
		case v.kind == nullSample && result.kind == boolSample:
			result = v
		case !v.known():
			result = v
		}
	}
	return result
}

func distinct(a, b sample) sample {
	if !a.known() || !b.known() {
		return sample{}
	}
	if a.kind == nullSample || b.kind == nullSample {
		return sampleBool(a.kind != b.kind)
	}
	if a.kind == listSample && b.kind == listSample && len(a.list) == len(b.list) {
		result := sampleBool(false)
		for i := range a.list {
			switch v := distinct(a.list[i], b.list[i]); {
			case v.isTrue():
				return v
			case !v.known():
				result = v
			}
		}
		return result
	}
	return compared("<>", a, b)
}

func inverse(v sample) sample {
	if v.kind == boolSample {
		v.b = !v.b
	}
	return v
}

func between3(x, a, b sample) sample {
	l, r := compared(">=", x, a), compared("<=", x, b)
	switch {
	case l.isFalse() || r.isFalse():
		return sampleBool(false)
	case !l.known() || !r.known():
		return sample{}
	case l.kind == nullSample:
		return l
	}
	return r
}

func unary(op string, v sample) sample {
	if v.kind == nullSample {
		return v
	}
	if v.kind != numberSample {
		return sample{}
	}
	switch op {
	case "-":
		return sampleNumber(-v.n)
	case "+":
		return v
	case "@":
		return sampleNumber(math.Abs(v.n))
	case "~":
		return sampleNumber(-v.n - 1)
	case "|/":
		if v.n >= 0 {
			return sampleNumber(math.Sqrt(v.n))
		}
	}
	return sample{}
}

// applied evaluates l op r. Patterns over long texts cost more.
func (s *sampler) applied(op string, l, r sample) sample {
	if l.kind == textSample && r.kind == textSample {
		s.left -= len(l.s) * len(r.s) / 1000
	}
	return applied(op, l, r)
}

// tidy takes away what a float is off.
func tidy(f float64) float64 {
	if f == math.Trunc(f) || math.Abs(f) > 1e12 {
		return f
	}
	return math.Round(f*1e9) / 1e9
}

// applied evaluates l op r.
func applied(op string, l, r sample) sample {
	if !l.known() || !r.known() {
		return sample{}
	}
	if l.kind == nullSample || r.kind == nullSample {
		return sampleNull
	}
	if mirrored[op] != "" {
		return compared(op, l, r)
	}
	if l.kind == listSample && r.kind == listSample {
		has := func(list []sample, v sample) sample { return anyOf(v, "=", list, false) }
		within := func(a, b []sample) sample { // all of b are in a
			result := sampleBool(true)
			for _, v := range b {
				if in := has(a, v); !in.isTrue() {
					result = in
				}
			}
			return result
		}
		switch op {
		case "@>":
			return within(l.list, r.list)
		case "<@":
			return within(r.list, l.list)
		case "&&":
			for _, v := range r.list {
				if in := has(l.list, v); !in.isFalse() {
					return in
				}
			}
			return sampleBool(false)
		}
		return sample{}
	}
	if l.kind == textSample || r.kind == textSample {
		if op == "||" {
			if a, b := asText(l), asText(r); a.kind == textSample && b.kind == textSample {
				return sampleText(a.s + b.s)
			}
			return sample{}
		}
	}
	if l.kind == textSample && r.kind == textSample {
		switch op {
		case "~~", "!~~":
			return matched("(?s)^"+likeRegexp(r.s)+"$", l.s, op == "!~~", true)
		case "~~*", "!~~*":
			return matched("(?is)^"+likeRegexp(r.s)+"$", l.s, op == "!~~*", true)
		case "~", "!~":
			return matched("(?s)"+r.s, l.s, op == "!~", false)
		case "~*", "!~*":
			return matched("(?is)"+r.s, l.s, op == "!~*", false)
		case "^@":
			return sampleBool(strings.HasPrefix(l.s, r.s))
		}
	}
	number := func(v sample) (float64, bool) {
		if v.kind == textSample {
			f, err := strconv.ParseFloat(strings.TrimSpace(v.s), 64)
			return f, err == nil && !math.IsNaN(f)
		}
		return v.n, v.kind == numberSample
	}
	a, ok := number(l)
	b, ok2 := number(r)
	if !ok || !ok2 {
		return sample{}
	}
	whole := a == math.Trunc(a) && b == math.Trunc(b)
	bitwise := func(f func(x, y int64) int64) sample {
		if !whole || math.Abs(a) > 1<<53 || math.Abs(b) > 1<<53 {
			return sample{}
		}
		return sampleNumber(float64(f(int64(a), int64(b))))
	}
	switch op {
	case "+":
		return sampleNumber(tidy(a + b))
	case "-":
		return sampleNumber(tidy(a - b))
	case "*":
		return sampleNumber(tidy(a * b))
	case "/":
		switch {
		case b == 0:
		case whole:
			return sampleNumber(math.Trunc(a / b))
		default:
			return sampleNumber(tidy(a / b))
		}
	case "%":
		if b != 0 {
			return sampleNumber(tidy(math.Mod(a, b)))
		}
	case "^":
		if f := math.Pow(a, b); !math.IsNaN(f) {
			return sampleNumber(f)
		}
	case "&":
		return bitwise(func(x, y int64) int64 { return x & y })
	case "|":
		return bitwise(func(x, y int64) int64 { return x | y })
	case "#":
		return bitwise(func(x, y int64) int64 { return x ^ y })
	case "<<", ">>":
		if b < 0 || b > 31 {
			return sample{}
		}
		return bitwise(func(x, y int64) int64 {
			if op == "<<" {
				return x << y
			}
			return x >> y
		})
	}
	return sample{}
}

func likeRegexp(pattern string) string {
	var b strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '%':
			b.WriteString(".*")
		case !escaped && r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
		escaped = false
	}
	return b.String()
}

// matched tells what a match tells. That no sample matches an expression says
// nothing, unless samples are made for its pattern.
func matched(expr, s string, not, made bool) sample {
	if len(expr) > 200 {
		return sample{}
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return sample{}
	}
	switch m := re.MatchString(s); {
	case m:
		return sampleBool(!not)
	case made:
		return sampleBool(not)
	}
	return sample{}
}
