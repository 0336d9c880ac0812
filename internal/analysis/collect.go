package analysis

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v5"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// collectNames gathers the names that a text uses, wherever they stand. It only
// serves to ask the server in one go: a name that it misses is looked up in the
// snapshot instead. Operators and types that only the built-in schema has need
// no question.
func collectNames(tree *pg.ParseResult) Names {
	c := collector{seen: map[string]struct{}{}}
	c.message(tree.ProtoReflect())
	return c.names
}

type collector struct {
	names Names
	seen  map[string]struct{}
}

// maxNames bounds what one question asks for.
const maxNames = 5000

func (c *collector) add(to *[][]string, kind string, parts []string) {
	k := kind + key(parts)
	if _, ok := c.seen[k]; ok || len(parts) == 0 || len(c.seen) >= maxNames {
		return
	}
	c.seen[k] = struct{}{}
	*to = append(*to, slices.Clone(parts))
}

func (c *collector) message(m protoreflect.Message) {
	switch n := m.Interface().(type) {
	case *pg.RangeVar:
		c.add(&c.names.Relations, "r", rangeVarParts(n))
		return
	case *pg.FuncCall:
		c.add(&c.names.Functions, "f", strs(n.Funcname))
	case *pg.A_Expr:
		if n.Kind != pg.A_Expr_Kind_AEXPR_BETWEEN && n.Kind != pg.A_Expr_Kind_AEXPR_NOT_BETWEEN &&
			n.Kind != pg.A_Expr_Kind_AEXPR_BETWEEN_SYM && n.Kind != pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM {
			c.add(&c.names.Operators, "o", strs(n.Name))
		}
	case *pg.SubLink:
		c.add(&c.names.Operators, "o", strs(n.OperName))
	case *pg.SortBy:
		c.add(&c.names.Operators, "o", strs(n.UseOp))
	case *pg.TypeName:
		c.add(&c.names.Types, "t", strs(n.Names))
	case *pg.A_Const:
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind {
			return true
		}
		if fd.IsList() {
			l := v.List()
			for i := range l.Len() {
				c.message(l.Get(i).Message())
			}
			return true
		}
		c.message(v.Message())
		return true
	})
}
