package guard

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/guardedpg/guardedpg/internal/analysis"
	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

// A condition is a compiled CEL expression.
type condition struct {
	program   cel.Program
	mentions  map[string]bool // variables
	estimates bool            // names statement.estimate
	// groups are those of which an identity must be in all, or else the condition
	// is false whatever the rest of it says: the commonest reason of all why a
	// rule does not match, and seen without evaluating it.
	groups []string
}

// outcome is what a condition says.
type outcome uint8

const (
	no outcome = iota
	yes
	unclear // not known yet, or it failed
)

// maxCost bounds the work of one evaluation of a condition with loops
// (cel.CostLimit's units, roughly nodes visited): a rule over a statement with
// 1600 columns stays below. Without one the work is linear in the condition and
// in what it looks at, and is not counted: counting costs more than it.
const maxCost = 1_000_000

// A compiler compiles conditions over some of the variables.
type compiler struct {
	env   *cel.Env
	names []string
}

// The two vocabularies. Making one takes longer than compiling a policy.
var (
	ruleCompiler   = sync.OnceValues(func() (*compiler, error) { return newCompiler("statement", "identity", "session", "time") })
	unlessCompiler = sync.OnceValues(func() (*compiler, error) { return newCompiler("identity", "session", "time") })
)

func newCompiler(names ...string) (*compiler, error) {
	options := []cel.EnvOption{
		cel.Types(cel.NativeTypeFor[statementVars](types.ParseStructTags(true), cel.NativeTypeAlias("guard.Statement")),
			cel.NativeTypeFor[effectVars](types.ParseStructTags(true), cel.NativeTypeAlias("guard.Effect")),
			cel.NativeTypeFor[identityVars](types.ParseStructTags(true), cel.NativeTypeAlias("guard.Identity")),
			cel.NativeTypeFor[sessionVars](types.ParseStructTags(true), cel.NativeTypeAlias("guard.Session"))),
	}
	celTypes := map[string]*cel.Type{"statement": cel.ObjectType("guard.Statement"), "identity": cel.ObjectType("guard.Identity"),
		"session": cel.ObjectType("guard.Session"), "time": cel.TimestampType}
	for _, n := range names {
		options = append(options, cel.Variable(n, celTypes[n]))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, err
	}
	return &compiler{env, names}, nil
}

// compile returns the condition, or what is wrong with text. The mistakes' keys
// and places are those given; lines within text are counted on.
func (c *compiler) compile(text, key string, at strictyaml.Place) (*condition, strictyaml.Errors) {
	fail := func(line int, what string) strictyaml.Errors {
		place := at
		if strings.Contains(strings.TrimSpace(text), "\n") && place.Line > 0 {
			place.Line += line // a block scalar begins on the next line
		}
		return strictyaml.Errors{{Place: place, Key: key, What: what}}
	}
	if strings.TrimSpace(text) == "" {
		return nil, fail(0, "needs a condition")
	}
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fail(first.Location.Line(), "is not CEL: "+firstLine(first.Message))
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		var all strictyaml.Errors
		for _, e := range issues.Errors() {
			all = append(all, fail(e.Location.Line(), c.explain(e.Message, parsed.NativeRep()))...)
		}
		return nil, all
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fail(0, fmt.Sprintf("must be true or false, but is a %s", checked.OutputType()))
	}
	var all strictyaml.Errors
	cond := &condition{mentions: map[string]bool{}, groups: needed(checked.NativeRep().Expr())}
	ranges := map[string]ast.Expr{}
	walk(checked.NativeRep().Expr(), func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			ranges[e.AsComprehension().IterVar()] = e.AsComprehension().IterRange()
		}
	})
	walk(checked.NativeRep().Expr(), func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && variables[e.AsIdent()] != nil {
			cond.mentions[e.AsIdent()] = true
		}
		if isField(e, "statement", "estimate") {
			cond.estimates = true
		}
		for _, what := range impossible(e, ranges) {
			all = append(all, fail(0, what)...)
		}
	})
	if len(all) > 0 {
		return nil, all
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize, cel.OptPartialEval)}
	if len(ranges) > 0 {
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := c.env.Program(checked, options...)
	if err != nil {
		return nil, fail(0, "is not usable: "+firstLine(err.Error()))
	}
	cond.program = program
	switch result, err := cond.constant(); {
	case err != nil:
		return nil, fail(0, "always fails: "+firstLine(err.Error()))
	case result == no:
		return nil, fail(0, "can never be true")
	case !satisfiable(checked.NativeRep()):
		return nil, fail(0, "can never be true: it contradicts itself")
	}
	return cond, nil
}

// constant evaluates the condition with nothing known.
func (c *condition) constant() (outcome, error) {
	unknown := make([]*cel.AttributePatternType, 0, len(variables))
	for name := range variables {
		unknown = append(unknown, cel.AttributePattern(name))
	}
	vars, err := cel.PartialVars(map[string]any{}, unknown...)
	if err != nil {
		return unclear, err
	}
	value, _, err := c.program.Eval(vars)
	return outcomeOf(value, nil), err
}

// needed returns the groups that a conjunction asks for.
func needed(e ast.Expr) []string {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case "_&&_":
		var all []string
		for _, part := range call.Args() {
			all = append(all, needed(part)...)
		}
		return all
	case "@in":
		if isField(call.Args()[1], "identity", "groups") && call.Args()[0].Kind() == ast.LiteralKind {
			return stringsIn(call.Args()[0], nil)
		}
	}
	return nil
}

// A situation is what conditions speak of.
type situation struct {
	vars any
	who  *identityVars // nil while nobody is known
}

// newSituation gives conditions vars, whose values may change later, and the
// identity who; unknown are variables and fields whose values are not known.
func newSituation(vars map[string]any, who *identityVars, unknown ...*cel.AttributePatternType) situation {
	if who != nil {
		vars["identity"] = who
	}
	partial, err := cel.PartialVars(vars, unknown...)
	if err != nil {
		panic(err) // only for what is no map
	}
	return situation{partial, who}
}

// in evaluates the condition.
func (c *condition) in(s situation) outcome {
	if s.who != nil {
		for _, g := range c.groups {
			if !slices.Contains(s.who.Groups, g) {
				return no
			}
		}
	}
	value, _, err := c.program.Eval(s.vars)
	return outcomeOf(value, err)
}

func outcomeOf(value ref.Val, err error) outcome {
	switch {
	case err != nil:
		return unclear
	case value == types.True:
		return yes
	case value == types.False:
		return no
	}
	return unclear
}

var quoted = regexp.MustCompile(`'([^']*)'`)

// explain turns CEL's message into one that names what would be right.
func (c *compiler) explain(message string, parsed *ast.AST) string {
	message = firstLine(message)
	m := quoted.FindStringSubmatch(message)
	switch {
	case m == nil:
		return message
	case strings.HasPrefix(message, "undefined field"):
		owner := reflect.TypeFor[effectVars]()
		name := "effect"
		walk(parsed.Expr(), func(e ast.Expr) {
			if e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == m[1] && e.AsSelect().Operand().Kind() == ast.IdentKind {
				if t, ok := variables[e.AsSelect().Operand().AsIdent()]; ok {
					owner, name = t, e.AsSelect().Operand().AsIdent()
				}
			}
		})
		return fmt.Sprintf("%s has no field %q%s", name, m[1], strictyaml.DidYouMean(m[1], fieldNames(owner)))
	case strings.HasPrefix(message, "undeclared reference"):
		if variables[m[1]] != nil {
			return fmt.Sprintf("%q cannot be used here; known are %s", m[1], strings.Join(c.names, ", "))
		}
		return fmt.Sprintf("%q is not known%s", m[1], strictyaml.DidYouMean(m[1], c.names))
	}
	return message
}

// impossible says which literals in a comparison the compared field never has:
// a rule with one would never match, and look as if it did. ranges are what the
// variables of exists, all and the like run over.
func impossible(e ast.Expr, ranges map[string]ast.Expr) []string {
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return nil
	}
	left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
	literals := stringsIn(left, ranges)
	field := right
	if literals == nil {
		field, literals = left, stringsIn(right, ranges)
	}
	listed := ast.Expr(nil) // what the compared value is an element of
	switch e.AsCall().FunctionName() {
	case "_==_", "_!=_":
	case "@in":
		if field == right {
			listed = field
		}
	default:
		return nil
	}
	if field.Kind() == ast.IdentKind {
		listed = ranges[field.AsIdent()]
	}
	in := func(names ...string) bool {
		return listed != nil && slices.ContainsFunc(names, func(n string) bool { return isField(listed, "statement", n) })
	}
	var wrong []string
	switch {
	case isField(field, "statement", "kind"):
		wrong = unknown(literals, kinds, "kind of statement")
	case isField(field, "", "class") || in("classes"):
		wrong = unknown(literals, analysis.Class(^uint64(0)).Names(), "class of statement")
	case in("tables", "reads", "writes", "critical_tables"):
		wrong = unqualified(literals, 2, `table: they are named as in "public.orders"`)
	case in("columns", "protected_columns"):
		wrong = unqualified(literals, 3, `column: they are named as in "public.orders.id"`)
	}
	return wrong
}

func unknown(literals, known []string, what string) (wrong []string) {
	for _, l := range literals {
		if !slices.Contains(known, l) {
			wrong = append(wrong, fmt.Sprintf("%q is no %s%s", l, what, strictyaml.DidYouMean(l, known)))
		}
	}
	return wrong
}

// unqualified names the literals that have fewer parts than a name has.
func unqualified(literals []string, parts int, what string) (wrong []string) {
	for _, l := range literals {
		if strings.Count(l, ".") < parts-1 {
			wrong = append(wrong, fmt.Sprintf("%q is no %s", l, what))
		}
	}
	return wrong
}

// isField reports whether e is variable.field; any variable when it is "".
func isField(e ast.Expr, variable, field string) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().FieldName() != field || e.AsSelect().Operand().Kind() != ast.IdentKind {
		return false
	}
	return variable == "" || e.AsSelect().Operand().AsIdent() == variable
}

// stringsIn returns the strings that a literal is, or that a list of literals
// or a variable that runs over one holds.
func stringsIn(e ast.Expr, ranges map[string]ast.Expr) []string {
	switch e.Kind() {
	case ast.LiteralKind:
		if s, ok := e.AsLiteral().Value().(string); ok {
			return []string{s}
		}
	case ast.ListKind:
		var all []string
		for _, item := range e.AsList().Elements() {
			all = append(all, stringsIn(item, nil)...)
		}
		return all
	case ast.IdentKind:
		if over, ok := ranges[e.AsIdent()]; ok {
			return stringsIn(over, nil)
		}
	}
	return nil
}

func walk(e ast.Expr, visit func(ast.Expr)) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(visit))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
