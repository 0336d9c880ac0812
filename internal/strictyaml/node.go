package strictyaml

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// A Node is a value in a document, for an [Unmarshaler].
type Node struct {
	d    *decoder
	n    *yaml.Node
	path string
	deep int
}

// A Pair is a key of a mapping and its value.
type Pair struct {
	Key   string
	Value Node
	place Node // of the key
}

// Place says where the value stands.
func (n Node) Place() Place { return Place{n.d.file, max(n.n.Line, 1)} }

// Errorf records what is wrong with the value.
func (n Node) Errorf(format string, args ...any) {
	n.d.fail(n.n.Line, n.path, fmt.Sprintf(format, args...))
}

// Decode sets what into points to from the value.
func (n Node) Decode(into any) { n.set(target(into)) }

// Unknown records that the key is none of known.
func (p Pair) Unknown(known []string) { p.unknownKey(known) }

func (p Pair) unknownKey(known []string) {
	p.place.Errorf("unknown key%s", DidYouMean(p.Key, known))
}

// Scalar returns the text of a value that is neither a list nor a mapping, as
// it is written: null and true are the words. It records nothing.
func (n Node) Scalar() (string, bool) {
	if n.n.Kind != yaml.ScalarNode {
		return "", false
	}
	return n.n.Value, true
}

// IsMapping reports whether the value has keys.
func (n Node) IsMapping() bool { return n.n.Kind == yaml.MappingNode }

// IsList reports whether the value is a list.
func (n Node) IsList() bool { return n.n.Kind == yaml.SequenceNode }

// Pairs returns the keys and values of a mapping, each key once. It records a
// mistake and returns false when the value is no mapping.
func (n Node) Pairs() ([]Pair, bool) {
	if n.n.Kind != yaml.MappingNode {
		n.Errorf("must be a mapping with keys")
		return nil, false
	}
	seen := make(map[string]int, len(n.n.Content)/2)
	var pairs []Pair
	for i := 0; i+1 < len(n.n.Content); i += 2 {
		k := n.n.Content[i]
		key := Node{d: n.d, n: k, path: n.path, deep: n.deep}
		if !key.plain() {
			continue
		}
		if k.Kind != yaml.ScalarNode {
			key.Errorf("a key must be a word")
			continue
		}
		key.path = join(n.path, k.Value)
		if line, twice := seen[k.Value]; twice {
			key.Errorf("stands twice, first in line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		value := Node{d: n.d, n: n.n.Content[i+1], path: key.path, deep: n.deep + 1}
		pairs = append(pairs, Pair{k.Value, value, key})
	}
	return pairs, true
}

// Items returns the elements of a list. It records a mistake and returns false
// when the value is no list.
func (n Node) Items() ([]Node, bool) {
	if n.n.Kind != yaml.SequenceNode {
		n.Errorf("must be a list")
		return nil, false
	}
	items := make([]Node, len(n.n.Content))
	for i, c := range n.n.Content {
		items[i] = Node{d: n.d, n: c, path: n.path + "[" + strconv.Itoa(i) + "]", deep: n.deep + 1}
	}
	return items, true
}

// Plain returns the value as nil, bool, int64, float64, string, []any or
// map[string]any.
func (n Node) Plain() any {
	if !n.plain() {
		return nil
	}
	switch n.n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		pairs, _ := n.Pairs()
		for _, p := range pairs {
			m[p.Key] = p.Value.Plain()
		}
		return m
	case yaml.SequenceNode:
		l := []any{}
		items, _ := n.Items()
		for _, item := range items {
			l = append(l, item.Plain())
		}
		return l
	}
	switch n.n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return n.n.Value == "true" || n.n.Value == "True" || n.n.Value == "TRUE"
	case "!!int":
		i, ok := n.integer()
		if !ok {
			n.Errorf("must be a decimal whole number of at most 64 bits, or a text in quotes")
		}
		return i
	case "!!float":
		var f float64
		if n.n.Decode(&f) != nil {
			n.Errorf("must be a number")
		}
		return f
	}
	return n.n.Value
}

// text returns a string, which other words than those that mean a number, a
// truth value or a time may stand for without quotes.
func (n Node) text() (string, bool) {
	if n.n.Kind == yaml.ScalarNode && n.n.ShortTag() == "!!str" {
		return n.n.Value, true
	}
	if n.n.Kind == yaml.ScalarNode {
		n.Errorf("must be a text: put it in quotes")
	} else {
		n.Errorf("must be a text")
	}
	return "", false
}

func (n Node) isNull() bool { return n.n.Kind == yaml.ScalarNode && n.n.ShortTag() == "!!null" }

// plain records what of YAML is not taken.
func (n Node) plain() bool {
	switch {
	case n.deep > maxDepth:
		n.Errorf("is nested too deeply")
	case n.n.Kind == yaml.AliasNode:
		n.Errorf("aliases are not supported: write the value out")
	case n.n.Anchor != "":
		n.Errorf("anchors are not supported: write the value out")
	case n.n.Style&yaml.TaggedStyle != 0:
		n.Errorf("tags are not supported: remove the one with !")
	case n.n.ShortTag() == "!!merge":
		n.Errorf("merge keys are not supported: write the keys out")
	case n.n.ShortTag() == "!!binary":
		n.Errorf("must be a text")
	default:
		return true
	}
	return false
}

func join(path, key string) string {
	// A key that is not plainly a word is quoted, so that an error is one line.
	if strings.ContainsFunc(key, func(r rune) bool { return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
