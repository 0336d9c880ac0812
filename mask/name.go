package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords is how many initials a name may have; more is a text.
const maxWords = 5

// maskName keeps the initials: "Jane van Doe" gives "J. v. D.". A word of one
// letter, or one that begins with none, gives "*.".
func maskName(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > maxWords {
		return Stars
	}
	var out strings.Builder
	for i, word := range words {
		if i > 0 {
			out.WriteByte(' ')
		}
		r, size := utf8.DecodeRuneInString(word)
		if unicode.IsLetter(r) && size < len(word) && r != utf8.RuneError && longLetters(word) {
			out.WriteRune(r)
		} else {
			out.WriteByte('*')
		}
		out.WriteByte('.')
	}
	return out.String()
}

// longLetters wants a word of two letters at least, so that an initial with its
// full stop is not shown whole.
func longLetters(word string) bool {
	n := 0
	for _, r := range word {
		if unicode.IsLetter(r) {
			if n++; n == 2 {
				return true
			}
		}
	}
	return false
}

// ownsName is Certain only of a name with a star in it: people do write initials.
func ownsName(text string) Likeness {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > maxWords || strings.Join(words, " ") != text {
		return Unlike
	}
	l := Ambiguous
	for _, word := range words {
		head, ok := strings.CutSuffix(word, ".")
		r, size := utf8.DecodeRuneInString(head)
		switch {
		case !ok || size != len(head):
			return Unlike
		case head == "*":
			l = Certain
		case !unicode.IsLetter(r):
			return Unlike
		}
	}
	return l
}
