package mask

import (
	"database/sql/driver"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// partial keeps the first and last runes and puts Stars between, whatever the
// length of what is hidden. A text that is not at least twice as long as what
// would be shown is masked whole.
func (s Spec) partial(text string) string {
	if !longEnough(text, 2*(s.first+s.last)) {
		return Stars
	}
	return text[:headLen(text, s.first)] + Stars + text[len(text)-tailLen(text, s.last):]
}

func (s Spec) ownsPartial(text string) Likeness {
	if utf8.RuneCountInString(text) == s.first+len(Stars)+s.last &&
		strings.HasPrefix(text[headLen(text, s.first):], Stars) {
		return Certain
	}
	return Unlike
}

// longEnough reports whether text has at least n runes, reading no more of it.
func longEnough(text string, n int) bool {
	return len(text) >= n && headRunes(text, n) == n
}

func headRunes(text string, n int) int {
	runes := 0
	for range text {
		if runes++; runes == n {
			break
		}
	}
	return runes
}

// headLen is the length in bytes of the first n runes.
func headLen(text string, n int) int {
	i := 0
	for ; n > 0 && i < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
	}
	return i
}

// tailLen is the length in bytes of the last n runes.
func tailLen(text string, n int) int {
	i := len(text)
	for ; n > 0 && i > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(text[:i])
		i -= size
	}
	return len(text) - i
}

// compileDigits keeps some digits of a whole number and sets the rest to zero,
// which is the only sign for "hidden" that a number has. The sign goes.
func (s Spec) compileDigits(sh *shape) *Masker {
	first, last, least, most := 0, 0, 0, 0
	switch s.name {
	case "partial":
		first, last, least, most = s.first, s.last, 2*(s.first+s.last), 1<<20
	case "card":
		last, least, most = 4, minCard, maxCard
	case "phone":
		last, least, most = 2, minPhone, maxPhone
	default:
		return nil
	}
	zeros := func(digits string) (string, bool) {
		if len(digits) < least || len(digits) > most {
			return "0", true
		}
		for i := range len(digits) {
			if !isDigit(digits[i]) {
				return "0", false
			}
		}
		return digits[:first] + strings.Repeat("0", len(digits)-first-last) + digits[len(digits)-last:], true
	}
	owns := func(v driver.Value) Likeness {
		text, _ := sh.format(v)
		digits := strings.TrimPrefix(text, "-")
		masked, ok := zeros(digits)
		if ok && (masked == digits || first == 0 && len(digits) <= last) {
			return Ambiguous // a number has no zeros in front
		}
		return Unlike
	}
	if sh.fam == famInt {
		return &Masker{owns: owns, mask: func(v driver.Value) driver.Value {
			n, ok := v.(int64)
			if !ok {
				return nil
			}
			digits, _ := zeros(strings.TrimPrefix(strconv.FormatInt(n, 10), "-"))
			// Half the digits are zero, so that even the least int64, whose digits
			// alone are out of range, gives a number within it.
			out, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				return nil
			}
			return out
		}}
	}
	return &Masker{owns: owns, mask: func(v driver.Value) driver.Value {
		text, ok := v.(string)
		if !ok {
			return nil
		}
		digits, ok := zeros(strings.TrimPrefix(text, "-"))
		if !ok {
			return "0" // a fraction, NaN or an infinity
		}
		n, ok := new(big.Int).SetString(digits, 10)
		if !ok {
			return nil
		}
		return n.String()
	}}
}

// compileUUID keeps the first and last hexadecimal digits of a uuid.
func (s Spec) compileUUID() *Masker {
	zero := func(text string) string {
		b := []byte(text)
		left, right := s.first, 32-s.last
		n := 0
		for i, c := range b {
			if c == '-' {
				continue
			}
			if n >= left && n < right {
				b[i] = '0'
			}
			n++
		}
		return string(b)
	}
	whole := 2*(s.first+s.last) > 32
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			text, ok := v.(string)
			switch {
			case !ok || !validUUID(text):
				return nil
			case whole:
				return placeholder(&shape{fam: famUUID})
			}
			return zero(text)
		},
		owns: func(v driver.Value) Likeness {
			text, ok := v.(string)
			if ok && validUUID(text) && zero(text) == text {
				return Ambiguous
			}
			return Unlike
		},
	}
}
