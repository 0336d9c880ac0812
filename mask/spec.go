package mask

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A Spec is a mask as a policy names it, not yet bound to a column. The zero
// value is redact. A Spec is immutable and safe for concurrent use; two that
// mean the same have the same String.
type Spec struct {
	name  string
	first int      // partial
	last  int      // partial
	v4    int      // ip: bits kept
	v6    int      // ip: bits kept
	keep  string   // date: year or month
	mode  string   // number: round or bucket
	step  int64    // number
	value any      // constant
	paths []pathed // jsonpath, sorted by path
	rest  bool     // jsonpath: what no path names passes
	fn    Func     // a registered function
}

// pathed is one path of a jsonpath mask.
type pathed struct {
	text  string
	steps []step
	clear bool // the part passes as it is
	spec  Spec
}

// Redact is the mask for a protected column whose policy names none, and the
// fallback wherever another does not fit. It is the zero Spec.
var Redact Spec

// Parse reads a mask's name and arguments as they stand in a policy. A name
// alone has nil args. The error is an *Error of class ErrSpec and names the
// nearest spelling that would be right.
func Parse(name string, args map[string]any) (Spec, error) {
	s := Spec{name: name}
	read, known := arguments[name]
	if !known {
		if s.fn = registered(name); s.fn == nil {
			names := slices.Concat(slices.Sorted(maps.Keys(arguments)), registeredNames())
			return Spec{}, refuse(name, "not a known mask"+suggest(name, names))
		}
		read = noArguments
	}
	a := argReader{mask: name, args: args}
	read(&s, &a)
	if err := a.finish(); err != nil {
		return Spec{}, err
	}
	if name == "redact" {
		return Redact, nil
	}
	return s, nil
}

// Decode reads a mask in the two forms that a policy's YAML has: a name
// ("email"), or a map of one name to its arguments ({partial: {last: 4}}).
func Decode(v any) (Spec, error) {
	switch v := v.(type) {
	case string:
		return Parse(v, nil)
	case map[string]any:
		if len(v) != 1 {
			return Spec{}, refuse("mask", "write one name, as email or {partial: {last: 4}}")
		}
		for name, args := range v {
			if args == nil {
				return Parse(name, nil)
			}
			if m, ok := args.(map[string]any); ok {
				return Parse(name, m)
			}
			return Spec{}, refuse(name, "its arguments must be a map, as {partial: {last: 4}}")
		}
	}
	return Spec{}, refuse("mask", "write a name, as email, or a map of one name, as {partial: {last: 4}}")
}

// String is the mask as a policy would write it, in YAML's flow form.
func (s Spec) String() string {
	switch s.name {
	case "":
		return "redact"
	case "constant":
		b, err := json.Marshal(s.value)
		if err != nil {
			b = []byte("null")
		}
		return "{constant: {value: " + string(b) + "}}"
	case "partial":
		return fmt.Sprintf("{partial: {first: %d, last: %d}}", s.first, s.last)
	case "ip":
		return fmt.Sprintf("{ip: {v4: %d, v6: %d}}", s.v4, s.v6)
	case "date":
		return "{date: {keep: " + s.keep + "}}"
	case "number":
		return fmt.Sprintf("{number: {%s: %d}}", s.mode, s.step)
	case "jsonpath":
		var b strings.Builder
		b.WriteString("{jsonpath: {paths: {")
		for i, p := range s.paths {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.Quote(p.text) + ": " + p.maskName())
		}
		b.WriteString("}, rest: " + map[bool]string{false: "drop", true: "keep"}[s.rest] + "}}")
		return b.String()
	}
	return s.name
}

func (p pathed) maskName() string {
	if p.clear {
		return "clear"
	}
	return p.spec.String()
}

// Strictest is the mask for an output that derives from two columns, or that
// two rules mask differently. From strict to lax the order is
//
//	null, redact, then every other mask.
//
// Two different masks of the last rank meet in redact: what each lets through
// it lets through of its own column only (the email mask shows a domain, and
// partial would show the end of an address). So Strictest is commutative,
// associative and idempotent, and a chain of calls needs no particular order.
func Strictest(a, b Spec) Spec {
	switch {
	case a.rank() != b.rank():
		return slices.MinFunc([]Spec{a, b}, func(x, y Spec) int { return cmp.Compare(x.rank(), y.rank()) })
	case a.String() == b.String():
		return a
	}
	return Redact
}

func (s Spec) rank() int {
	switch s.name {
	case "null":
		return 0
	case "":
		return 1
	}
	return 2
}

// Derived is the mask for an output that is computed from the column rather
// than read from it. Every mask that shows a part of its input becomes redact:
// an agent chooses the expression, so it could shift any part of the value into
// the place that is shown ('xxxx' || left(ssn, 4) under partial, salary * 1000
// under number), or feed hash with values of its own to learn their tokens.
func (s Spec) Derived() Spec {
	if s.name == "null" || s.name == "constant" {
		return s
	}
	return Redact
}

// NeedsKey reports whether For needs a Key.
func (s Spec) NeedsKey() bool {
	return s.name == "hash" || slices.ContainsFunc(s.paths, func(p pathed) bool { return p.spec.NeedsKey() })
}

// arguments holds how each mask reads what the policy gives it.
var arguments map[string]func(*Spec, *argReader)

func init() {
	// Set here because jsonpath's arguments are masks: a literal would refer to itself.
	arguments = map[string]func(*Spec, *argReader){
		"redact": noArguments, "null": noArguments, "email": noArguments, "card": noArguments,
		"phone": noArguments, "iban": noArguments, "name": noArguments, "hash": noArguments,
		"text": noArguments, "code": noArguments, "constant": constantArguments, "partial": partialArguments,
		"ip": ipArguments, "date": dateArguments, "number": numberArguments,
		"jsonpath": jsonpathArguments,
	}
}

func noArguments(*Spec, *argReader) {}

func constantArguments(s *Spec, a *argReader) {
	v, ok := a.take("value")
	switch v := v.(type) {
	case string, bool, float64:
		s.value = v
	case map[string]any, []any:
		s.value = v // for json
	default:
		n, isInt := integer(v)
		if !ok || !isInt {
			a.fail("needs a value, as {constant: {value: \"n/a\"}}; for NULL use null")
			return
		}
		s.value = n
	}
}

func partialArguments(s *Spec, a *argReader) {
	s.first, s.last = int(a.number("first", 0, 0, 64)), int(a.number("last", 0, 0, 64))
	if s.first+s.last == 0 {
		a.fail("needs first or last, as {partial: {last: 4}}; to show nothing use redact")
	}
}

func ipArguments(s *Spec, a *argReader) {
	s.v4, s.v6 = int(a.number("v4", 24, 0, 31)), int(a.number("v6", 48, 0, 127))
}

func dateArguments(s *Spec, a *argReader) {
	s.keep = a.word("keep", "year", "year", "month")
}

func numberArguments(s *Spec, a *argReader) {
	for _, mode := range []string{"round", "bucket"} {
		if _, ok := a.args[mode]; ok {
			if s.mode != "" {
				a.fail("takes round or bucket, not both")
			}
			s.mode, s.step = mode, a.number(mode, 0, 2, math.MaxInt32)
		}
	}
	if s.mode == "" {
		a.fail("needs round or bucket, as {number: {round: 1000}}")
	}
}

func jsonpathArguments(s *Spec, a *argReader) {
	s.rest = a.word("rest", "drop", "drop", "keep") == "keep"
	v, _ := a.take("paths")
	paths, _ := v.(map[string]any)
	if len(paths) == 0 {
		a.fail("needs paths, as {jsonpath: {paths: {$.email: email}}}")
	}
	for _, text := range slices.Sorted(maps.Keys(paths)) {
		p := pathed{text: text}
		var err error
		if p.steps, err = parsePath(text); err != nil {
			a.fail("path " + strconv.Quote(text) + ": " + err.Error())
			return
		}
		if paths[text] == "clear" {
			p.clear = true
		} else if p.spec, err = Decode(paths[text]); err != nil {
			a.fail("path " + strconv.Quote(text) + ": " + err.Error())
			return
		} else if p.spec.name == "jsonpath" {
			a.fail("path " + strconv.Quote(text) + ": a jsonpath inside a jsonpath; write one longer path")
			return
		}
		s.paths = append(s.paths, p)
	}
}

// An argReader takes a mask's arguments and keeps the first fault.
type argReader struct {
	mask  string
	args  map[string]any
	known []string
	err   error
}

func (a *argReader) fail(reason string) {
	if a.err == nil {
		a.err = refuse(a.mask, reason)
	}
}

func (a *argReader) take(key string) (any, bool) {
	a.known = append(a.known, key)
	v, ok := a.args[key]
	return v, ok
}

// number takes an integer from lo to hi.
func (a *argReader) number(key string, missing, lo, hi int64) int64 {
	v, ok := a.take(key)
	if !ok {
		return missing
	}
	n, ok := integer(v)
	if !ok || n < lo || n > hi {
		a.fail(fmt.Sprintf("%s must be a whole number from %d to %d", key, lo, hi))
	}
	return n
}

func (a *argReader) word(key, missing string, words ...string) string {
	v, ok := a.take(key)
	if !ok {
		return missing
	}
	w, ok := v.(string)
	if !ok || !slices.Contains(words, w) {
		a.fail(key + " must be one of " + strings.Join(words, ", ") + suggest(w, words))
	}
	return w
}

func (a *argReader) finish() error {
	if a.err != nil {
		return a.err
	}
	for _, key := range slices.Sorted(maps.Keys(a.args)) {
		switch {
		case slices.Contains(a.known, key):
		case len(a.known) == 0:
			return refuse(a.mask, "takes no arguments")
		default:
			return refuse(a.mask, "has no argument "+strconv.Quote(key)+suggest(key, a.known))
		}
	}
	return nil
}

// integer accepts every form in which a YAML or JSON decoder gives a whole number.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case *big.Int:
		return v.Int64(), v.IsInt64()
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

func refuse(name, reason string) error {
	return &Error{Class: ErrSpec, Mask: name, Reason: reason}
}

// suggest names the nearest of some words, or all of them when none is near.
func suggest(word string, words []string) string {
	best, distance := "", len(word)/2+1
	for _, w := range words {
		if d := editDistance(strings.ToLower(word), w); d < distance {
			best, distance = w, d
		}
	}
	if best == "" {
		return "; there are " + strings.Join(words, ", ")
	}
	return "; did you mean " + best + "?"
}

// editDistance counts the insertions, deletions and replacements from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
