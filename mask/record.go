package mask

import "strings"

// mapRecord rewrites each field of a composite value in the text form that
// record_out gives (PostgreSQL manual, 8.16.6). An empty field is NULL, which f
// never sees. False means that the text is malformed, that it has not n fields,
// or that f refused one.
func mapRecord(text string, n int, f func(int, string) (string, partResult)) (string, bool) {
	if len(text) < 2 || text[0] != '(' || n == 0 {
		return "", false
	}
	var out strings.Builder
	out.Grow(len(text))
	out.WriteByte('(')
	i := 1
	for field := range n {
		item, null, end, ok := recordItem(text, i)
		if !ok {
			return "", false
		}
		if !null {
			switch masked, result := f(field, item); result {
			case partText:
				quoteRecordItem(&out, masked)
			case partNull:
			default:
				return "", false
			}
		}
		last := field == n-1
		if last != (text[end] == ')') {
			return "", false
		}
		out.WriteByte(text[end])
		i = end + 1
	}
	return out.String(), i == len(text)
}

// recordItem reads the field at i and gives the index of the comma or
// parenthesis that ends it. record_in lets quoted and bare parts mix.
func recordItem(text string, i int) (item string, null bool, end int, ok bool) {
	if i < len(text) && (text[i] == ',' || text[i] == ')') {
		return "", true, i, true
	}
	var b strings.Builder
	for i < len(text) {
		switch c := text[i]; c {
		case ',', ')':
			return b.String(), false, i, true
		case '"':
			part, end, ok := quotedItem(text, i, true)
			if !ok {
				return "", false, 0, false
			}
			b.WriteString(part)
			i = end
		case '(', '\\': // record_out quotes these
			return "", false, 0, false
		default:
			b.WriteByte(c)
			i++
		}
	}
	return "", false, 0, false
}

func quoteRecordItem(out *strings.Builder, s string) {
	if s != "" && !strings.ContainsAny(s, "(),\"\\ \t\n\r\v\f") {
		out.WriteString(s)
		return
	}
	quote(out, s, '"')
}
