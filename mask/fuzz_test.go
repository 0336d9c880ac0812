package mask

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Each compound parser must give back what it read, and nothing of the parts
// when they are replaced.
func fuzzParts(f *testing.F, parse func(string, func(string) (string, partResult)) (string, bool)) {
	f.Fuzz(func(t *testing.T, text string) {
		var parts []string
		same, ok := parse(text, func(s string) (string, partResult) {
			parts = append(parts, s)
			return s, partText
		})
		if !ok {
			return
		}
		var again []string
		same2, ok := parse(same, func(s string) (string, partResult) {
			again = append(again, s)
			return s, partText
		})
		require.True(t, ok, "what was written is well-formed: %q gave %q", text, same)
		require.Equal(t, same, same2)
		require.Equal(t, parts, again)

		const odd = "x\"\\,{}()[]; =>'NULL"
		masked, ok := parse(text, func(string) (string, partResult) { return odd, partText })
		require.True(t, ok)
		count := 0
		_, ok = parse(masked, func(s string) (string, partResult) {
			require.Equal(t, odd, s)
			count++
			return s, partText
		})
		require.True(t, ok, masked)
		require.Len(t, parts, count, "no part appears and none goes")

		if len(parts) > 0 {
			_, ok = parse(text, func(string) (string, partResult) { return "", partRefused })
			require.False(t, ok)
		}
	})
}

func addCells(f *testing.F, families ...family) {
	for _, c := range readTypes(f) {
		if slices.Contains(families, shapeOf(&c.resolved).fam) {
			for _, v := range c.Values {
				f.Add(v)
			}
		}
	}
}

func FuzzArray(f *testing.F) {
	addCells(f, famArray)
	fuzzParts(f, func(s string, g func(string) (string, partResult)) (string, bool) { return mapArray(s, ',', g) })
}

func FuzzRecord(f *testing.F) {
	addCells(f, famComposite)
	fuzzParts(f, func(s string, g func(string) (string, partResult)) (string, bool) {
		return mapRecord(s, 4, func(_ int, t string) (string, partResult) { return g(t) })
	})
}

func boundFunc(g func(string) (string, partResult)) func(string) (string, bool) {
	return func(t string) (string, bool) {
		out, r := g(t)
		return out, r == partText
	}
}

func FuzzRange(f *testing.F) {
	addCells(f, famRange)
	fuzzParts(f, func(s string, g func(string) (string, partResult)) (string, bool) { return mapRange(s, boundFunc(g)) })
}

func FuzzMultirange(f *testing.F) {
	addCells(f, famMultirange)
	fuzzParts(f, func(s string, g func(string) (string, partResult)) (string, bool) {
		return mapMultirange(s, boundFunc(g))
	})
}

func FuzzHstore(f *testing.F) {
	addCells(f, famHstore)
	fuzzParts(f, mapHstore)
}

func FuzzJSONPath(f *testing.F) {
	var cases []jsonCase
	readYAML(f, "testdata/jsonpath.yaml", &cases)
	var maskers []*Masker
	for i, c := range cases {
		f.Add(uint8(i), c.In)
		s, err := Decode(map[string]any{"jsonpath": c.Mask})
		require.NoError(f, err)
		m, err := s.For(Type{OID: 3802}, testKey)
		require.NoError(f, err)
		maskers = append(maskers, m)
	}
	const secret = "canary"
	f.Fuzz(func(t *testing.T, n uint8, doc string) {
		m := maskers[int(n)%len(maskers)]
		m.Resembles([]byte(doc))
		out, ok := m.Mask([]byte(doc)).([]byte)
		require.Equal(t, json.Valid([]byte(doc)), ok)
		require.True(t, !ok || json.Valid(out), "%s", out)
		if !ok {
			return
		}
		// What a path hides is nowhere in the result, wherever the path leads.
		hide := maskers[2] // $..email: email, rest: keep
		hidden, err := json.Marshal(map[string]any{"x": json.RawMessage(doc), "y": []any{map[string]any{"email": []string{secret, "x@" + secret}}}})
		require.NoError(t, err)
		if !strings.Contains(doc, secret) {
			require.NotContains(t, string(hide.Mask(hidden).([]byte)), secret)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, p := range []string{"$", "$.a.b", "$..email", "$.a[*]['odd.key'].*", "$[*]"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		steps, err := parsePath(path)
		if err != nil {
			return
		}
		form := "$"
		for _, s := range steps {
			switch {
			case s.kind == stepElements:
				form += "[*]"
			case s.kind == stepAnyMember:
				form += ".*"
			case s.kind == stepDescend:
				form += ".." + s.name
			default:
				form += "['" + s.name + "']"
			}
		}
		again, err := parsePath(form)
		require.NoError(t, err, form)
		require.Equal(t, steps, again)
	})
}

func FuzzPartial(f *testing.F) {
	f.Add("900-11-0001", uint8(0), uint8(4))
	f.Add("日本語のテキスト", uint8(2), uint8(2))
	f.Add("\xff\xfe\xfd\xfc", uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, text string, first, last uint8) {
		s := Spec{name: "partial", first: int(first % 65), last: int(last % 65)}
		if s.first+s.last == 0 {
			return
		}
		out := s.partial(text)
		if out == Stars {
			return
		}
		runes := []rune(text)
		require.GreaterOrEqual(t, utf8.RuneCountInString(text), 2*(s.first+s.last))
		if utf8.ValidString(text) {
			require.Equal(t, string(runes[:s.first])+Stars+string(runes[len(runes)-s.last:]), out)
			require.Equal(t, Certain, s.ownsPartial(out))
		}
		require.LessOrEqual(t, utf8.RuneCountInString(out), s.first+s.last+len(Stars))
	})
}

func FuzzEmail(f *testing.F) {
	for _, s := range []string{"jane@x.test", "j@x.test", "a@b@c.test", "@x.test", "jane@x", "ж@größe.test", "a b@x.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := maskEmail(text)
		if out == Stars {
			return
		}
		head, domain, ok := strings.Cut(out, Stars+"@")
		require.True(t, ok)
		require.True(t, validDomain(domain))
		require.LessOrEqual(t, utf8.RuneCountInString(head), 1)
		local, found := strings.CutSuffix(text, "@"+domain)
		require.True(t, found)
		require.True(t, strings.HasPrefix(local, head))
		require.True(t, head == "" || utf8.RuneCountInString(local) >= 3)
		require.Equal(t, Certain, ownsEmail(out))
	})
}

// FuzzDigits holds for card, phone and iban: the places of what is hidden hold
// stars, and no more is shown than was promised.
func FuzzDigits(f *testing.F) {
	for _, s := range []string{"4111-1111-1111-1111", "+1 (999) 555-0001", "DE89 3704 0044 0532 0130 00", "12", "1111111 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range []struct {
			mask  func(string) string
			owns  func(string) Likeness
			shown int
		}{{maskCard, ownsCard, 4}, {maskPhone, ownsPhone, 2}, {maskIBAN, ownsIBAN, 6}} {
			out := m.mask(text)
			if out == Stars {
				continue
			}
			require.Len(t, out, len(text))
			shown := 0
			for i := range len(out) {
				if out[i] != '*' {
					require.Equal(t, text[i], out[i])
					if isDigit(out[i]) || asciiLetter(out[i]) {
						shown++
					}
				}
			}
			require.LessOrEqual(t, shown, m.shown)
			require.GreaterOrEqual(t, strings.Count(out, "*"), 5)
			require.Equal(t, Certain, m.owns(out), out)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"Jane van Doe", "J. Doe", "ж", "\xff\xff a1 bb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := maskName(text)
		if out == Stars {
			return
		}
		words := strings.Fields(text)
		require.Equal(t, 2*len(words)+len(words)-1, utf8.RuneCountInString(out))
		require.NotEqual(t, Unlike, ownsName(out), out)
	})
}

func FuzzEntities(f *testing.F) {
	var cases []entityCase
	readYAML(f, "testdata/entities.yaml", &cases)
	for _, c := range cases {
		f.Add(c.In)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for _, e := range Entities(text) {
			require.LessOrEqual(t, at, e.Start)
			require.Less(t, e.Start, e.End)
			require.LessOrEqual(t, e.End, len(text))
			at = e.End
		}
		maskEntities(text)
		// Whatever stands before it, an entity is found.
		for _, s := range []string{"jane@x.test", "4111111111111111", "DE89370400440532013000"} {
			require.NotContains(t, maskEntities(text+"\n"+s+"\n"), "\n"+s+"\n")
		}
	})
}

// FuzzNumber compares the two ways of rounding a decimal with a third.
func FuzzNumber(f *testing.F) {
	f.Add("777001.25", uint16(1000), true)
	f.Add("-0.5", uint16(2), false)
	f.Add("-1", uint16(998), false)
	f.Add("99999999999999999999999.5", uint16(7), true)
	f.Fuzz(func(t *testing.T, text string, step uint16, round bool) {
		s := Spec{name: "number", mode: "bucket", step: int64(step) + 2}
		if round {
			s.mode = "round"
		}
		out, ok := s.stepDecimal(text)
		if !ok || strings.HasSuffix(text, "Infinity") || text == "NaN" {
			return
		}
		v, valid := new(big.Rat).SetString(text)
		require.True(t, valid, text)
		width := new(big.Rat).SetInt64(s.step)
		if round {
			v.Add(v, new(big.Rat).Quo(width, big.NewRat(2, 1)))
		}
		v.Quo(v, width)
		q := new(big.Int).Div(v.Num(), v.Denom())
		require.Equal(t, q.Mul(q, big.NewInt(s.step)).String(), out, "%s %v", text, s)
	})
}

// FuzzMask sends any value through any mask on any type: no panic, the same Go
// type or NULL, and a string that is sound as a text.
func FuzzMask(f *testing.F) {
	types := readTypes(f)
	var maskers []*Masker
	var shapes []*shape
	for _, c := range types {
		for _, text := range masks {
			s := decode(f, text, c)
			m, err := s.For(c.resolved, testKey)
			if err == nil && s.fn == nil {
				maskers = append(maskers, m)
				shapes = append(shapes, shapeOf(&c.resolved))
				f.Add(uint16(len(maskers)-1), c.Values[0])
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint16, text string) {
		m, sh := maskers[int(n)%len(maskers)], shapes[int(n)%len(maskers)]
		for _, in := range []driver.Value{text, []byte(text)} {
			if out := m.Mask(in); out != nil {
				if _, fixed := m.Fixed(); !fixed {
					require.IsType(t, in, out)
				}
			}
			m.Resembles(in)
		}
		sameFromBytes(t, m, text)
		if in, ok := sh.parse(text); ok {
			out := m.Mask(in)
			if _, fixed := m.Fixed(); !fixed {
				sameGoType(t, in, out, "%s", text)
			}
			if s, isString := out.(string); isString && utf8.ValidString(text) && !strings.Contains(text, "\x00") {
				require.True(t, textShape.validString(s), fmt.Sprintf("%q", s))
			}
			if m.Resembles(out) == Unlike && out != nil {
				m.Resembles(in)
			}
		}
	})
}
