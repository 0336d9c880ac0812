package mask

import (
	"encoding/json"
	"strings"
)

// compileConstant gives the policy's own value, or nil when it is not known to
// be a value of the type.
func (s Spec) compileConstant(sh *shape) *Masker {
	v, ok := sh.constant(s.value)
	if !ok {
		return nil
	}
	l := Ambiguous
	if sh.fam == famText {
		l = Certain
	}
	return &Masker{constant: true, fixed: v, owns: sameAs(v, l)}
}

// constant turns a policy's value into one of the type: a document for json, a
// literal in text form or a YAML scalar for everything else.
func (s *shape) constant(v any) (any, bool) {
	if s.fam == famJSON {
		b, err := json.Marshal(v)
		return b, err == nil && validJSON(b)
	}
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case bool, int64, float64:
		if s.fam == famText {
			return nil, false // "yes" or yes? the author must quote it
		}
		text, _ = s.format(v)
	default:
		return nil, false
	}
	if s.fam == famUUID {
		text = strings.ToLower(text)
	}
	out, ok := s.parse(text)
	return out, ok && s.valid(out)
}
