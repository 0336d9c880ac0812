package mask

import "strings"

// mapRange rewrites the bounds of a range in the text form that range_out
// gives (PostgreSQL manual, 8.17.5). An infinite bound and "empty" stay. False
// means that the text is malformed or that f refused a bound.
func mapRange(text string, f func(string) (string, bool)) (string, bool) {
	if text == "empty" {
		return text, true
	}
	var out strings.Builder
	end, ok := oneRange(&out, text, 0, f)
	return out.String(), ok && end == len(text)
}

// mapMultirange is mapRange for every range of a multirange.
func mapMultirange(text string, f func(string) (string, bool)) (string, bool) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return "", false
	}
	if text == "{}" {
		return text, true
	}
	var out strings.Builder
	out.Grow(len(text))
	out.WriteByte('{')
	for i := 1; ; {
		end, ok := oneRange(&out, text, i, f)
		if !ok || end >= len(text) {
			return "", false
		}
		out.WriteByte(text[end])
		switch text[end] {
		case ',':
			i = end + 1
		case '}':
			return out.String(), end == len(text)-1
		default:
			return "", false
		}
	}
}

// oneRange writes the range that begins at i and gives the index after it.
func oneRange(out *strings.Builder, text string, i int, f func(string) (string, bool)) (int, bool) {
	if i >= len(text) || text[i] != '[' && text[i] != '(' {
		return 0, false
	}
	out.WriteByte(text[i])
	i++
	for _, last := range [2]bool{false, true} {
		item, null, end, ok := boundItem(text, i)
		if !ok || last == (text[end] == ',') {
			return 0, false
		}
		if !null {
			masked, ok := f(item)
			if !ok {
				return 0, false
			}
			quoteBound(out, masked)
		}
		out.WriteByte(text[end])
		i = end + 1
	}
	return i, true
}

// boundItem reads the bound at i and gives the index of what ends it.
func boundItem(text string, i int) (item string, infinite bool, end int, ok bool) {
	if i >= len(text) {
		return "", false, 0, false
	}
	switch text[i] {
	case ',', ')', ']':
		return "", true, i, true
	case '"':
		item, end, ok = quotedItem(text, i, true)
		return item, false, end, ok && end < len(text) && strings.IndexByte(",)]", text[end]) >= 0
	}
	start := i
	for ; i < len(text); i++ {
		switch text[i] {
		case ',', ')', ']':
			return text[start:i], false, i, true
		case '(', '[', '"', '\\': // range_out quotes these
			return "", false, 0, false
		}
	}
	return "", false, 0, false
}

func quoteBound(out *strings.Builder, s string) {
	if s != "" && !strings.ContainsAny(s, "()[],\"\\ \t\n\r\v\f") {
		out.WriteString(s)
		return
	}
	quote(out, s, '"')
}
