package strictyaml

import "strings"

// Nearest returns the one of known that word is most likely a misspelling of,
// or "".
func Nearest(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		w, lower := strings.ToLower(word), strings.ToLower(k)
		d := distance(w, lower)
		if len(w) > 2 && strings.HasPrefix(lower, w) {
			d = min(d, 2) // cut short
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

// DidYouMean returns `; did you mean "x"`, or when nothing is near `; known are
// ...`, to append to an error.
func DidYouMean(word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return `; did you mean "` + n + `"`
	}
	if len(known) == 0 {
		return ""
	}
	return "; known are " + strings.Join(known, ", ")
}

// distance is the number of letters to insert, delete, change, or swap with the
// next (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	// A word longer than any key is near to none.
	if len(s) > 100 || len(t) > 100 {
		return max(len(s), len(t))
	}
	before, prev, cur := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(s); i++ {
		cur[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(t)]
}
