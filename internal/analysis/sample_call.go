package analysis

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

var comparing = regexp.MustCompile(`^(?:int[248]{1,2}|float[48]{1,2}|numeric_|text_?|bool)(eq|ne|lt|le|gt|ge)$`)

var comparisons = map[string]string{"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

var matching = map[string]string{"like": "~~", "notlike": "!~~", "textlike": "~~", "textnlike": "!~~", "texticlike": "~~*",
	"texticnlike": "!~~*", "textregexeq": "~", "texticregexeq": "~*", "regexp_like": "~", "starts_with": "^@", "mod": "%", "power": "^", "pow": "^"}

// call evaluates built-in functions, some.
func (s *sampler) call(f *pg.FuncCall) sample {
	name := lastOf(f.Funcname)
	if f.AggFilter != nil || f.Over != nil || len(f.AggOrder) > 0 || len(f.Args) > 8 {
		return sample{}
	}
	if name == "random" && len(f.Args) == 0 {
		return s.choose("random", func() []sample { return []sample{sampleNumber(0.5), sampleNumber(0), sampleNumber(0.999)} })
	}
	if fs := s.t.p.names.functions(strs(f.Funcname)); slices.ContainsFunc(fs, func(f *catalog.Function) bool { return !s.t.p.isBuiltin(f) }) {
		return sample{}
	}
	args := make([]sample, len(f.Args))
	nulls := 0
	for i, a := range f.Args {
		args[i] = s.value(a)
		if args[i].kind == nullSample {
			nulls++
		}
	}
	known := !slices.ContainsFunc(args, func(v sample) bool { return !v.known() })
	if !known {
		return sample{}
	}
	switch name {
	case "num_nulls":
		return sampleNumber(float64(nulls))
	case "num_nonnulls":
		return sampleNumber(float64(len(args) - nulls))
	case "concat":
		var b strings.Builder
		for _, a := range args {
			if a.kind == nullSample {
				continue
			}
			v := asText(a)
			if v.kind != textSample || a.kind == boolSample {
				return sample{}
			}
			b.WriteString(v.s)
		}
		return sampleText(b.String())
	case "concat_ws":
		if sep := asText(args[0]); sep.kind == textSample {
			var parts []string
			for _, a := range args[1:] {
				if a.kind == nullSample {
					continue
				}
				v := asText(a)
				if v.kind != textSample || a.kind == boolSample {
					return sample{}
				}
				parts = append(parts, v.s)
			}
			return sampleText(strings.Join(parts, sep.s))
		}
	case "array_position":
		if len(args) == 2 && args[0].kind == listSample {
			for i, v := range args[0].list {
				if in := distinct(v, args[1]); in.isFalse() {
					return sampleNumber(float64(i + 1))
				} else if !in.known() {
					return in
				}
			}
			return sampleNull
		}
	}
	if nulls > 0 || len(args) == 0 {
		return map[bool]sample{true: sampleNull}[nulls > 0 && strictBuiltin[name]]
	}
	first := args[0]
	if m := comparing.FindStringSubmatch(name); m != nil && len(args) == 2 {
		return compared(comparisons[m[1]], args[0], args[1])
	}
	if op := matching[name]; op != "" && len(args) == 2 {
		return s.applied(op, args[0], args[1])
	}
	switch name {
	case "cardinality", "array_length":
		if first.kind == listSample && len(first.list) > 0 {
			return sampleNumber(float64(len(first.list)))
		}
	case "round", "trunc", "floor", "ceil", "ceiling":
		if f := rounding[name]; first.kind == numberSample && len(args) == 1 {
			return sampleNumber(f(first.n))
		}
	case "abs":
		return unary("@", first)
	case "sign":
		if first.kind == numberSample {
			return sampleNumber(float64(cmp.Compare(first.n, 0)))
		}
	case "like_escape", "similar_to_escape":
		if len(args) == 2 && first.kind == textSample && strings.Contains(first.s, args[1].s) {
			return sample{}
		}
		if name == "like_escape" {
			return first
		}
		if first.kind == textSample {
			return sampleText("^(?:" + strings.NewReplacer("%", ".*", "_", ".").Replace(first.s) + ")$")
		}
	}
	if name == "chr" && first.kind == numberSample && len(args) == 1 && first.n >= 1 && first.n < 0xd800 {
		return sampleText(string(rune(first.n)))
	}
	if first.kind != textSample {
		return sample{}
	}
	runes := []rune(first.s)
	count := func(i int) (int, bool) {
		if i >= len(args) {
			return 0, false
		}
		n := args[i].n
		switch args[i].kind {
		case numberSample:
		case textSample: // a number in quotes
			var err error
			if n, err = strconv.ParseFloat(args[i].s, 64); err != nil || math.IsNaN(n) {
				return 0, false
			}
		default:
			return 0, false
		}
		return int(n), math.Abs(n) <= 10_000
	}
	switch name {
	case "format":
		if first.s == "%s" && len(args) == 2 && args[1].kind == textSample {
			return args[1]
		}
	case "lower":
		return sampleText(strings.ToLower(first.s))
	case "upper":
		return sampleText(strings.ToUpper(first.s))
	case "length", "char_length", "character_length":
		return s.length(first.s, len(runes))
	case "octet_length":
		return s.length(first.s, len(first.s))
	case "md5":
		return s.choose("md5 "+first.s, func() []sample {
			sum := md5.Sum([]byte(first.s))
			return append([]sample{sampleText(hex.EncodeToString(sum[:]))}, s.hashes...)
		})
	case "reverse":
		slices.Reverse(runes)
		return sampleText(string(runes))
	case "btrim", "ltrim", "rtrim":
		if len(args) == 1 {
			switch name {
			case "ltrim":
				return sampleText(strings.TrimLeft(first.s, " "))
			case "rtrim":
				return sampleText(strings.TrimRight(first.s, " "))
			}
			return sampleText(strings.Trim(first.s, " "))
		}
	case "left":
		if n, ok := count(1); ok && n >= 0 {
			return sampleText(string(runes[:min(n, len(runes))]))
		}
	case "right":
		if n, ok := count(1); ok && n >= 0 {
			return sampleText(string(runes[max(len(runes)-n, 0):]))
		}
	case "repeat":
		if n, ok := count(1); ok && max(n, 0)*len(first.s) <= maxSampleText {
			return sampleText(strings.Repeat(first.s, max(n, 0)))
		}
	case "substr", "substring":
		from, ok := count(1)
		size, sized := count(2)
		if ok && from >= 1 && (len(args) == 2 || sized && size >= 0) {
			rest := runes[min(from-1, len(runes)):]
			if sized {
				rest = rest[:min(size, len(rest))]
			}
			return sampleText(string(rest))
		}
	case "replace":
		if len(args) == 3 && args[1].kind == textSample && args[2].kind == textSample && args[1].s != "" && len(first.s)+strings.Count(first.s, args[1].s)*len(args[2].s) <= maxSampleText {
			return sampleText(strings.ReplaceAll(first.s, args[1].s, args[2].s))
		}
	case "translate":
		if len(args) == 3 && args[1].kind == textSample && args[1].s == "" {
			return first
		}
	case "overlay":
		from, ok := count(2)
		size, sized := count(3)
		if ok && sized && len(args) == 4 && args[1].kind == textSample && from >= 1 && size >= 0 {
			head := runes[:min(from-1, len(runes))]
			return sampleText(string(head) + args[1].s + string(runes[min(from-1+size, len(runes)):]))
		}
	case "split_part":
		if n, ok := count(2); ok && n >= 1 && args[1].kind == textSample {
			if args[1].s == "" {
				return sampleText(map[bool]string{true: first.s}[n == 1])
			}
			parts := strings.Split(first.s, args[1].s)
			return sampleText(append(parts, slices.Repeat([]string{""}, max(n-len(parts), 0))...)[n-1])
		}
	case "lpad", "rpad":
		if n, ok := count(1); ok && n <= len(runes) {
			return sampleText(string(runes[:max(n, 0)]))
		}
	case "strpos", "position":
		if len(args) == 2 && args[1].kind == textSample {
			at := strings.Index(first.s, args[1].s)
			if at >= 0 {
				at = len([]rune(first.s[:at]))
			}
			return sampleNumber(float64(at + 1))
		}
	}
	return sample{}
}

func (s *sampler) length(text string, n int) sample {
	if len(s.lengths) == 0 {
		return sampleNumber(float64(n))
	}
	return s.choose("length of "+text, func() []sample { return append([]sample{sampleNumber(float64(n))}, s.lengths...) })
}

var rounding = map[string]func(float64) float64{"round": math.Round, "trunc": math.Trunc, "floor": math.Floor, "ceil": math.Ceil, "ceiling": math.Ceil}

// strictBuiltin are functions that are NULL where an argument is.
var strictBuiltin = map[string]bool{"lower": true, "upper": true, "length": true, "char_length": true, "md5": true, "reverse": true, "btrim": true,
	"left": true, "right": true, "substr": true, "substring": true, "replace": true, "strpos": true, "position": true, "abs": true, "sign": true, "starts_with": true,
	"octet_length": true, "character_length": true, "ltrim": true, "rtrim": true, "round": true, "trunc": true, "floor": true, "ceil": true, "ceiling": true}
