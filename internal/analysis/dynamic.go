package analysis

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/guardedpg/guardedpg/internal/catalog"
)

// texts returns the strings that an expression in a PL/pgSQL body may come to.
// Nil: not known. Not nil and empty: none in this run yet.
func (p *part) texts(fr *plFrame, expr string) []string {
	list := p.parsed(fr, "SELECT "+expr).GetSelectStmt()
	if list == nil || len(list.TargetList) != 1 || len(list.FromClause) > 0 || list.WhereClause != nil {
		return nil
	}
	return p.textsOf(fr, list.TargetList[0].GetResTarget().GetVal(), 0)
}

func (p *part) textsOf(fr *plFrame, n *pg.Node, depth int) []string {
	if depth > 100 {
		return nil
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		switch {
		case e.AConst.Isnull:
			return []string{}
		case e.AConst.GetSval() != nil:
			return []string{e.AConst.GetSval().Sval}
		case e.AConst.GetFval() != nil:
			return []string{e.AConst.GetFval().Fval}
		case e.AConst.GetIval() != nil:
			return []string{itoa(int(e.AConst.GetIval().Ival))}
		}
	case *pg.Node_TypeCast:
		if isType(e.TypeCast.TypeName, "text") {
			return p.textsOf(fr, e.TypeCast.Arg, depth+1)
		}
	case *pg.Node_ColumnRef:
		name := strs(e.ColumnRef.Fields)
		if len(name) == 0 || len(name) != len(e.ColumnRef.Fields) {
			return nil
		}
		v, rest := fr.scope.find(name)
		if v == nil || len(rest) > 0 || v.unknownText {
			return nil
		}
		return append([]string{}, v.texts...)
	case *pg.Node_AIndirection: // TG_ARGV[n]
		name, ind := strs(e.AIndirection.Arg.GetColumnRef().GetFields()), e.AIndirection.Indirection
		if len(name) == 0 || len(ind) != 1 || ind[0].GetAIndices().GetUidx().GetAConst() == nil {
			return nil
		}
		v, rest := fr.scope.find(name)
		at := int(ind[0].GetAIndices().Uidx.GetAConst().GetIval().GetIval()) // 0 has no value in the protobuf
		if v == nil || len(rest) > 0 || v.moved || at >= len(v.elements) {
			return nil
		}
		return []string{v.elements[at]}
	case *pg.Node_AExpr:
		if opName(e.AExpr) != "||" || e.AExpr.Lexpr == nil || e.AExpr.Kind != pg.A_Expr_Kind_AEXPR_OP || !p.plainOperator(e.AExpr, textOID) {
			return nil
		}
		return product(p.textsOf(fr, e.AExpr.Lexpr, depth+1), p.textsOf(fr, e.AExpr.Rexpr, depth+1))
	case *pg.Node_FuncCall:
		name := strs(e.FuncCall.Funcname)
		if len(name) == 0 || len(name) > 1 && name[0] != "pg_catalog" {
			return nil
		}
		// The name must mean the built-in function.
		for _, f := range p.names.functions(name) {
			if !p.isBuiltin(f) {
				return nil
			}
		}
		switch name[len(name)-1] {
		case "quote_ident":
			if len(e.FuncCall.Args) == 1 {
				return mapped(p.textsOf(fr, e.FuncCall.Args[0], depth+1), quoteIdent)
			}
		case "quote_literal", "quote_nullable":
			if len(e.FuncCall.Args) == 1 {
				return p.literals(fr, e.FuncCall.Args[0], depth+1)
			}
		case "format":
			return p.formatted(fr, e.FuncCall, depth+1)
		}
	}
	return nil
}

// plainOperator reports whether an operator on two values of a type can only be
// the built-in one. Type 0: whatever they are, none of our own stands in the way.
func (p *part) plainOperator(e *pg.A_Expr, typ catalog.OID) bool {
	for _, o := range p.names.operators(strs(e.Name)) {
		if o.Schema == "pg_catalog" || typ != 0 && (o.Left != typ || o.Right != typ) {
			continue
		}
		if p.ownOperator(o) {
			return false
		}
	}
	return true
}

// formatted returns what format() gives for strings that are known.
func (p *part) formatted(fr *plFrame, call *pg.FuncCall, depth int) []string {
	if len(call.Args) == 0 || call.FuncVariadic {
		return nil
	}
	formats := p.textsOf(fr, call.Args[0], depth)
	switch {
	case formats == nil || len(formats) > 1:
		return nil
	case len(formats) == 0:
		return formats
	}
	out := []string{""}
	rest := formats[0]
	arg := 1
	for {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return product(out, []string{rest})
		}
		if i+1 >= len(rest) {
			return nil
		}
		out = product(out, []string{rest[:i]})
		verb := rest[i+1]
		rest = rest[i+2:]
		if verb == '%' {
			out = product(out, []string{"%"})
			continue
		}
		if arg >= len(call.Args) {
			return nil
		}
		n := call.Args[arg]
		arg++
		switch verb {
		case 's':
			out = product(out, p.textsOf(fr, n, depth))
		case 'I':
			out = product(out, mapped(p.textsOf(fr, n, depth), quoteIdent))
		case 'L':
			out = product(out, p.literals(fr, n, depth))
		default:
			return nil
		}
	}
}

// literals returns what an expression is when it is quoted as a constant. In the
// text of an EXECUTE, one that is not known stands as well as a parameter.
func (p *part) literals(fr *plFrame, n *pg.Node, depth int) []string {
	texts := p.textsOf(fr, n, depth)
	if texts != nil || fr.quoted == nil {
		return mapped(texts, quoteLiteral)
	}
	v := p.in(fr).expr(n, &scope{})
	v.typ, v.fields, v.untyped, v.lits = 0, nil, true, nil
	*fr.quoted = append(*fr.quoted, v)
	return []string{" $" + itoa(len(*fr.quoted)) + " "}
}

// product joins every string of a with every one of b.
func product(a, b []string) []string {
	if a == nil || b == nil || len(a)*len(b) > maxTexts {
		return nil
	}
	out := []string{}
	for _, x := range a {
		for _, y := range b {
			if s := x + y; !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

func mapped(a []string, f func(string) string) []string {
	if a == nil {
		return nil
	}
	out := make([]string, len(a))
	for i, s := range a {
		out[i] = f(s)
	}
	return out
}

func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}
