package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// want is what an expression must give.
type want uint8

const (
	wantValue want = iota
	wantText
	wantFlag
	wantTexts
)

// schema is a Schema made for look-ups.
type schema struct {
	spelled map[string]string // the spelling by the name as a config may write it: folded unless letter case counts
	exact   map[string]bool   // by the same: attributes whose values compare letter for letter
	fold    bool
	open    bool
	listed  []string
}

func newSchema(in Schema) schema {
	s := schema{
		spelled: make(map[string]string, len(in.Attributes)), exact: make(map[string]bool, len(in.Exact)),
		fold: !in.CaseSensitive, open: in.Open, listed: in.Attributes,
	}
	for _, name := range in.Attributes {
		s.spelled[s.key(name)] = name
	}
	for _, name := range in.Exact {
		s.exact[s.key(name)] = true
	}
	return s
}

func (s schema) key(name string) string {
	if s.fold {
		return strings.ToLower(name)
	}
	return name
}

func (s schema) resolve(name string) (string, bool) {
	if spelled, ok := s.spelled[s.key(name)]; ok {
		return spelled, true
	}
	return name, s.open
}

// Suggest returns the one of among that given was probably meant to be, "" where none is near.
func Suggest(given string, among []string) string {
	best, least := "", 3
	for _, name := range slices.Sorted(slices.Values(among)) {
		if d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(name), nil); d < least && d < max(len(name), 2) {
			best, least = name, d
		}
	}
	return best
}

func didYouMean(given, quote string, among []string) string {
	if name := Suggest(given, among); name != "" {
		return " Did you mean " + fmt.Sprintf(quote, name) + "?"
	}
	return ""
}

// compile checks one expression and makes its closure. It returns an expression in any case; diags tell whether it
// is usable.
func (u *unit) compile(path string, expr hcl.Expression, want want, diags *hcl.Diagnostics) *expression {
	e := &expression{unit: u, path: path, expr: expr, at: place(expr.Range()), print: tokensPrint(u.files, expr.Range())}
	c := &checker{
		unit: u, e: e, person: make(map[string]cty.Value), ctx: u.check.NewChild(), exactLocals: make(map[string]bool),
	}
	c.ctx.Functions = maps.Clone(u.check.Functions) // in the inner context, else HCL finds no function to suggest
	c.ctx.Variables = make(map[string]cty.Value)
	for name, t := range reserved() {
		c.person[name] = cty.UnknownVal(t)
	}
	for _, t := range expr.Variables() {
		c.variable(t)
	}
	if node, ok := expr.(hclsyntax.Expression); ok {
		c.walk(node)
		c.compare(node)
	}
	c.ctx.Variables["person"] = cty.ObjectVal(c.person)
	v, found := expr.Value(c.ctx)
	c.diags = append(c.diags, found...)
	if !c.diags.HasErrors() {
		c.result(v, want)
		if node, ok := expr.(hclsyntax.Expression); ok {
			c.advise(node)
		}
	}
	if node, ok := expr.(hclsyntax.Expression); ok && !c.diags.HasErrors() {
		e.fast = u.closure(node)
		if e.timed {
			flips, all := u.flips(node)
			e.flips, e.untold = flips, !all
		}
	}
	for _, d := range c.diags {
		d.EvalContext, d.Expression = nil, nil // the text writer prints the values it finds there
	}
	*diags = append(*diags, c.diags...)
	return e
}

// reserved are the names of person that win over attributes of the same name.
func reserved() map[string]cty.Type {
	return map[string]cty.Type{
		"active": cty.Bool, "dn": cty.String, "anchor": cty.String, "source": cty.String, "groups": cty.List(cty.String),
	}
}

// checker looks through one expression.
type checker struct {
	unit   *unit
	e      *expression
	ctx    *hcl.EvalContext
	person map[string]cty.Value // what the load-time evaluation sees: unknown values of the right types
	diags  hcl.Diagnostics

	exactLocals map[string]bool // variables of for expressions that range over values which compare exactly
}

// variable checks one name that the expression reads.
func (c *checker) variable(t hcl.Traversal) {
	at := t.SourceRange()
	if root := t.RootName(); root != "person" {
		c.ctx.Variables[root] = cty.DynamicVal
		hint := didYouMean(root, "%s", []string{"person"})
		if hint == "" {
			hint = " Attributes are written person.mail."
		}
		c.diags = append(
			c.diags,
			problem(at, "Unknown variable", fmt.Sprintf("There is no variable named %q.%s", root, hint)),
		)
		return
	}
	name, ok := attributeName(t)
	if !ok {
		c.ctx.Variables["person"] = cty.DynamicVal
		c.diags = append(c.diags, problem(
			at,
			"An attribute must be named",
			"Write person.mail, or person[\"user;binary\"] with the name in quotes: only named attributes are read from the source.",
		))
		return
	}
	c.e.groups = c.e.groups || name == "groups"
	c.e.judged = c.e.judged || name == "active"
	if _, own := reserved()[name]; own {
		return
	}
	c.person[name] = cty.UnknownVal(cty.String)
	if !c.attribute(name, at, "person.%s") {
		c.person[name] = cty.DynamicVal
	}
}

// attributeName returns x of person.x and person["x"].
func attributeName(t hcl.Traversal) (name string, ok bool) {
	if len(t) < 2 {
		return "", false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// attribute notes that the expression reads name, or that no source has it.
func (c *checker) attribute(name string, at hcl.Range, quote string) bool {
	r := read{spelled: name}
	known := false
	for _, s := range c.unit.schemas {
		if spelled, ok := s.resolve(name); ok {
			known = true
			if !slices.Contains(r.names, spelled) {
				r.names = append(r.names, spelled)
			}
		}
	}
	if !known {
		var all []string
		for _, s := range c.unit.schemas {
			all = append(all, s.listed...)
		}
		if quote == "person.%s" {
			all = append(all, slices.Collect(maps.Keys(reserved()))...)
		}
		c.diags = append(c.diags, problem(at, "Unknown attribute",
			fmt.Sprintf("The source has no attribute named %q.%s", name, didYouMean(name, quote, all))))
		return false
	}
	c.unit.names[name] = r.names
	if !slices.ContainsFunc(c.e.reads, func(have read) bool { return have.spelled == name }) {
		c.e.reads = append(c.e.reads, r)
	}
	return true
}

// walk checks the function calls, those inside try() too, whose mistakes would otherwise be silent.
func (c *checker) walk(root hclsyntax.Expression) {
	_ = hclsyntax.VisitAll(root, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if _, exists := c.ctx.Functions[call.Name]; !exists {
			names := slices.Collect(maps.Keys(c.unit.check.Functions))
			c.diags = append(c.diags, problem(call.NameRange, "Call to unknown function",
				fmt.Sprintf("There is no function named %q.%s", call.Name, functionHint(call.Name, names))))
			c.ctx.Functions[call.Name] = anything()
			return nil
		}
		switch call.Name {
		case "now":
			c.e.timed = true
		case "unique_login":
			c.e.unique = true
		case "member_of":
			c.e.groups = true
		case "values":
			if len(call.Args) != 1 {
				return nil // the evaluation says so
			}
			name, literal := literalText(call.Args[0])
			if !literal {
				c.diags = append(c.diags, problem(call.Args[0].Range(), "An attribute must be named",
					`Write the name in quotes: values("mail"). Only named attributes are read from the source.`))
				return nil
			}
			c.attribute(name, call.Args[0].Range(), "%q")
		}
		return nil
	})
}

func functionHint(name string, names []string) string {
	switch name {
	case "env", "file", "credential":
		return " Expressions over people reach neither the environment nor files."
	}
	return didYouMean(name, "%q", names)
}

// anything stands in for an unknown function, so that the rest of the expression is still checked.
func anything() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{
			Name:             "args",
			Type:             cty.DynamicPseudoType,
			AllowNull:        true,
			AllowDynamicType: true,
			AllowUnknown:     true,
		},
		Type: function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) { return cty.DynamicVal, nil },
	})
}

// result checks the type of what the expression gives.
func (c *checker) result(v cty.Value, want want) {
	at, t := c.e.expr.Range(), v.Type()
	if want != wantValue && v.IsKnown() && v.IsNull() {
		c.diags = append(c.diags, problem(at, "Always null", c.e.path+" is null for every person."))
		return
	}
	if t == cty.DynamicPseudoType {
		return
	}
	switch want {
	case wantFlag:
		if t != cty.Bool {
			c.diags = append(c.diags, problem(at, "A condition is required",
				fmt.Sprintf("%s must be true or false, but this is a %s: compare it with a value.", c.e.path, t.FriendlyName())))
		}
	case wantText:
		if t != cty.String && t != cty.Number {
			c.diags = append(
				c.diags,
				problem(at, "A text is required", fmt.Sprintf("%s must be a text, but this is a %s.", c.e.path, t.FriendlyName())),
			)
		}
	case wantTexts:
		if !isTexts(t) {
			c.diags = append(c.diags, problem(at, "A list of texts is required",
				fmt.Sprintf("%s must be a list of texts, but this is a %s.", c.e.path, t.FriendlyName())))
		}
	case wantValue:
		if t.IsCapsuleType() {
			c.diags = append(c.diags, problem(at, "Not a value", fmt.Sprintf("%s cannot be a %s.", c.e.path, t.FriendlyName())))
		}
	}
}

func isTexts(t cty.Type) bool {
	fine := func(t cty.Type) bool { return t == cty.String || t == cty.DynamicPseudoType }
	switch {
	case t.IsListType() || t.IsSetType():
		return fine(t.ElementType())
	case t.IsTupleType():
		return !slices.ContainsFunc(t.TupleElementTypes(), func(t cty.Type) bool { return !fine(t) })
	}
	return false
}

// advise finds what HCL accepts and nobody means: a comparison that can only say no, arithmetic on text, a dead
// branch of try().
func (c *checker) advise(root hclsyntax.Expression) {
	_ = hclsyntax.VisitAll(root, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.BinaryOpExpr:
			c.adviseOperator(n)
		case *hclsyntax.FunctionCallExpr:
			if n.Name != "try" && n.Name != "can" {
				return nil
			}
			for _, arg := range n.Args {
				if _, failed := c.typeOf(arg); failed != nil {
					c.diags = append(c.diags, warning(arg.Range(), "This can never work",
						fmt.Sprintf("%s() hides that this fails for every person: %s", n.Name, failed.Detail)))
				}
			}
		}
		return nil
	})
}

func (c *checker) adviseOperator(n *hclsyntax.BinaryOpExpr) {
	left, leftFailed := c.typeOf(n.LHS)
	right, rightFailed := c.typeOf(n.RHS)
	if leftFailed != nil || rightFailed != nil {
		return
	}
	switch n.Op {
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual, c.unit.folding.equal, c.unit.folding.notEqual:
		if left.IsPrimitiveType() && right.IsPrimitiveType() && left != right {
			c.diags = append(c.diags, problem(
				n.SrcRange,
				"These are never equal",
				fmt.Sprintf(
					"A %s never equals a %s, whatever their text: %s",
					left.FriendlyName(),
					right.FriendlyName(),
					sameTypeHint(left, right),
				),
			))
		}
	case hclsyntax.OpAdd, hclsyntax.OpSubtract, hclsyntax.OpMultiply, hclsyntax.OpDivide, hclsyntax.OpModulo:
		if left == cty.String || right == cty.String {
			c.diags = append(c.diags, warning(
				n.SrcRange,
				"Arithmetic on a text",
				`The text is read as a number, so that "007" becomes 7. Write "${a}${b}" to put texts together, tonumber() where a number is meant.`,
			))
		}
	}
}

func sameTypeHint(left, right cty.Type) string {
	if left == cty.Bool || right == cty.Bool {
		return `write is_true(person.x), or !is_true(person.x).`
	}
	return `quote the number ("7").`
}

// typeOf returns the type of part of the expression, dynamic where it depends on a for expression's variables.
func (c *checker) typeOf(part hclsyntax.Expression) (cty.Type, *hcl.Diagnostic) {
	for _, t := range part.Variables() {
		if t.RootName() != "person" {
			return cty.DynamicPseudoType, nil
		}
	}
	v, diags := part.Value(c.ctx)
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return cty.DynamicPseudoType, d
		}
	}
	return v.Type(), nil
}

// literalText returns a quoted text without interpolation.
func literalText(expr hclsyntax.Expression) (string, bool) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return literalText(e.Expression)
	case *hclsyntax.TemplateExpr:
		if !e.IsStringLiteral() {
			return "", false
		}
		v, diags := e.Value(nil)
		return v.AsString(), !diags.HasErrors()
	}
	return "", false
}

func needs(in Schema, list ...*expression) []string {
	s := newSchema(in)
	var out []string
	for _, e := range list {
		if e == nil {
			continue
		}
		for _, r := range e.reads {
			if name, ok := s.resolve(r.spelled); ok {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func needsGroups(list ...*expression) bool {
	return slices.ContainsFunc(list, func(e *expression) bool { return e != nil && e.groups })
}

func timed(list ...*expression) bool {
	return slices.ContainsFunc(list, func(e *expression) bool { return e != nil && e.timed })
}
