package mask

import "strings"

// mapArray rewrites each element of an array in the text form that array_out
// gives (PostgreSQL manual, 8.15.6): optional bounds, nested braces, elements
// bare or quoted, NULL. The shape stays. f never sees NULL. False means that
// the text is malformed or that f refused an element.
func mapArray(text string, delim byte, f func(string) (string, partResult)) (string, bool) {
	var out strings.Builder
	out.Grow(len(text))
	i, ok := arrayBounds(text)
	if !ok {
		return "", false
	}
	out.WriteString(text[:i])

	depth := 0
	afterItem := false // an element or a closed brace stands before i
	wantItem := false  // a delimiter does
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '{':
			if afterItem {
				return "", false
			}
			depth++
			wantItem = false
			out.WriteByte(c)
		case c == '}':
			if depth == 0 || wantItem {
				return "", false
			}
			depth--
			afterItem = true
			out.WriteByte(c)
			if depth == 0 {
				return out.String(), i == len(text)-1
			}
		case c == delim:
			if !afterItem || depth == 0 {
				return "", false
			}
			afterItem, wantItem = false, true
			out.WriteByte(c)
		default:
			if afterItem || depth == 0 {
				return "", false
			}
			item, quoted, end, ok := arrayItem(text, i, delim)
			if !ok {
				return "", false
			}
			if !quoted && strings.EqualFold(item, "NULL") {
				out.WriteString("NULL")
			} else {
				switch masked, result := f(item); result {
				case partText:
					quoteArrayItem(&out, masked, delim)
				case partNull:
					out.WriteString("NULL")
				default:
					return "", false
				}
			}
			i = end - 1
			afterItem, wantItem = true, false
		}
	}
	return "", false
}

// arrayBounds gives the length of a bounds prefix such as "[0:1][-3:2]=".
func arrayBounds(text string) (int, bool) {
	if text == "" || text[0] != '[' {
		return 0, true
	}
	end := strings.IndexByte(text, '=')
	if end < 0 || strings.Trim(text[:end], "[]:-+0123456789") != "" {
		return 0, false
	}
	return end + 1, true
}

// arrayItem reads the element at i and gives the index after it.
func arrayItem(text string, i int, delim byte) (item string, quoted bool, end int, ok bool) {
	if text[i] == '"' {
		item, end, ok = quotedItem(text, i, false)
		return item, true, end, ok
	}
	start := i
	for ; i < len(text); i++ {
		switch c := text[i]; c {
		case delim, '}':
			return text[start:i], false, i, true
		case '{', '"', '\\': // array_out quotes these
			return "", false, 0, false
		}
	}
	return "", false, 0, false
}

// quotedItem reads a double-quoted string at i: a backslash escapes, and where
// doubled is set so does a doubled quote.
func quotedItem(text string, i int, doubled bool) (item string, end int, ok bool) {
	i++
	start := i
	for i < len(text) && text[i] != '"' && text[i] != '\\' {
		i++
	}
	if i < len(text) && text[i] == '"' && !(doubled && i+1 < len(text) && text[i+1] == '"') {
		return text[start:i], i + 1, true
	}
	b := append(make([]byte, 0, len(text)-start), text[start:i]...)
	for ; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			if !doubled || i+1 >= len(text) || text[i+1] != '"' {
				return string(b), i + 1, true
			}
			i++
			b = append(b, '"')
		case '\\':
			if i++; i >= len(text) {
				return "", 0, false
			}
			b = append(b, text[i])
		default:
			b = append(b, c)
		}
	}
	return "", 0, false
}

// quoteArrayItem writes an element, quoted where array_in needs it.
func quoteArrayItem(out *strings.Builder, s string, delim byte) {
	if s != "" && !strings.EqualFold(s, "NULL") && strings.IndexByte(s, delim) < 0 && !strings.ContainsAny(s, "{}\"\\ \t\n\r\v\f") {
		out.WriteString(s)
		return
	}
	quote(out, s, '\\')
}

// quote writes s in double quotes. The escape stands before a quote: a
// backslash in arrays and hstore, another quote in composites and ranges.
func quote(out *strings.Builder, s string, escape byte) {
	out.WriteByte('"')
	for i := range len(s) {
		switch s[i] {
		case '"':
			out.WriteByte(escape)
		case '\\':
			out.WriteByte('\\')
		}
		out.WriteByte(s[i])
	}
	out.WriteByte('"')
}
