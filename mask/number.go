package mask

import (
	"database/sql/driver"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// compileNumber gives the nearest multiple of the step (round) or the one below
// (bucket). NaN and the infinities stay: a step cannot blur them.
func (s Spec) compileNumber(sh *shape) *Masker {
	var mask func(driver.Value) driver.Value
	switch sh.fam {
	case famInt:
		mask = func(v driver.Value) driver.Value {
			if n, ok := v.(int64); ok {
				return s.stepInt(n, sh.lo, sh.hi)
			}
			return nil
		}
	case famFloat:
		mask = func(v driver.Value) driver.Value {
			if f, ok := v.(float64); ok {
				return s.stepFloat(f, sh.single)
			}
			return nil
		}
	case famNumeric:
		mask = func(v driver.Value) driver.Value {
			if text, ok := v.(string); ok {
				if text, ok = s.stepDecimal(text); ok {
					return text
				}
			}
			return nil
		}
	default:
		return nil
	}
	return &Masker{mask: mask, owns: func(v driver.Value) Likeness {
		if mask(v) == v {
			return Ambiguous
		}
		return Unlike
	}}
}

// stepInt gives the multiple of the step that lies in the type's range.
func (s Spec) stepInt(n, lo, hi int64) int64 {
	r := n % s.step
	if r < 0 {
		r += s.step
	}
	if r == 0 {
		return n
	}
	hasDown, hasUp := n >= lo+r, n <= hi-(s.step-r)
	up := s.mode == "round" && r >= s.step-r
	switch {
	case hasUp && (up || !hasDown):
		return n + (s.step - r)
	case hasDown:
		return n - r
	}
	return 0
}

func (s Spec) stepFloat(f float64, single bool) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return f
	}
	step := float64(s.step)
	q := math.Floor(f / step)
	if s.mode == "round" {
		q = math.Floor(f/step + 0.5)
	}
	out := q * step
	if single {
		out = float64(float32(out))
	}
	if out == 0 || math.IsInf(out, 0) {
		return 0
	}
	return out
}

func (s Spec) stepDecimal(text string) (string, bool) {
	if strings.HasSuffix(text, "Infinity") || text == "NaN" {
		return text, true
	}
	if out, ok := s.stepSmall(text); ok {
		return out, true
	}
	d, ok := parseDecimal(text)
	if !ok {
		return "", false
	}
	// d.units / d.scale is the value; floor((units*2 + step*scale) / (step*scale*2)) rounds.
	width := new(big.Int).Mul(big.NewInt(s.step), d.scale)
	units := d.units
	if s.mode == "round" {
		units.Lsh(units, 1).Add(units, width)
		width = new(big.Int).Lsh(width, 1)
	}
	q := new(big.Int).Div(units, width) // Euclidean, which for a positive divisor is the floor
	return q.Mul(q, big.NewInt(s.step)).String(), true
}

// stepSmall is stepDecimal for numbers of a size that int64 holds with room to
// spare: those of people and money.
func (s Spec) stepSmall(text string) (string, bool) {
	digits, negative := strings.CutPrefix(text, "-")
	if len(digits) == 0 || len(digits) > 16 || !isDigit(digits[0]) || !isDigit(digits[len(digits)-1]) {
		return "", false
	}
	units, scale := int64(0), int64(0)
	for i := range len(digits) {
		switch c := digits[i]; {
		case isDigit(c):
			units = units*10 + int64(c-'0')
			scale *= 10
		case c == '.' && scale == 0:
			scale = 1
		default:
			return "", false
		}
	}
	scale = max(scale, 1)
	if scale > 1e6 {
		return "", false
	}
	if negative {
		units = -units
	}
	width := s.step * scale // below 2^31 * 10^6
	if s.mode == "round" {
		units, width = units*2+width, width*2
	}
	q := units / width
	if units%width < 0 {
		q--
	}
	return strconv.FormatInt(q*s.step, 10), true
}

// decimal is units / scale, scale being a power of ten.
type decimal struct{ units, scale *big.Int }

// maxDecimal bounds the work on one number. A longer one becomes NULL.
const maxDecimal = 1000

// parseDecimal reads numeric_out's form: no exponent. NaN and the infinities
// are no decimals.
func parseDecimal(text string) (decimal, bool) {
	if len(text) > maxDecimal {
		return decimal{}, false
	}
	whole, fraction, hasPoint := strings.Cut(text, ".")
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || hasPoint && fraction == "" || strings.Trim(digits+fraction, "0123456789") != "" {
		return decimal{}, false
	}
	units, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return decimal{}, false
	}
	return decimal{units, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(fraction))), nil)}, true
}
