package mask

import "strings"

// mapHstore rewrites the values of an hstore in the text form that hstore_out
// gives: every key and value in double quotes, or NULL without. Keys stay. f
// never sees NULL. False means that the text is malformed or f refused a value.
func mapHstore(text string, f func(string) (string, partResult)) (string, bool) {
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); {
		if i > 0 {
			if !strings.HasPrefix(text[i:], ", ") {
				return "", false
			}
			out.WriteString(", ")
			i += 2
		}
		if i >= len(text) || text[i] != '"' {
			return "", false
		}
		key, end, ok := quotedItem(text, i, false)
		if !ok || !strings.HasPrefix(text[end:], "=>") {
			return "", false
		}
		quote(&out, key, '\\')
		out.WriteString("=>")
		i = end + 2
		if strings.HasPrefix(text[i:], "NULL") {
			out.WriteString("NULL")
			i += len("NULL")
			continue
		}
		if i >= len(text) || text[i] != '"' {
			return "", false
		}
		value, end, ok := quotedItem(text, i, false)
		if !ok {
			return "", false
		}
		switch masked, result := f(value); result {
		case partText:
			quote(&out, masked, '\\')
		case partNull:
			out.WriteString("NULL")
		default:
			return "", false
		}
		i = end
	}
	return out.String(), true
}
