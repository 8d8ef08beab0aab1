package mapping

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A closure is a compiled expression. It says false where the interpreter must answer instead: for an error, so
// that there is one place that words errors, and for what it does not cover. What it answers, the interpreter
// answers too.
type closure func(*frame) (val, bool)

// compiled is a closure and the kind of its results.
type compiled struct {
	run  closure
	kind kind
}

// closure compiles the expression, or returns nil where only the interpreter can run it.
func (u *unit) closure(expr hclsyntax.Expression) closure {
	c := &compiler{unit: u}
	out, ok := c.compile(expr)
	if !ok || out.kind == null || out.kind == number {
		return nil
	}
	return out.run
}

// compiler translates one expression.
type compiler struct {
	unit   *unit
	locals []string // variables of the for expressions around, innermost last
}

func (c *compiler) compile(expr hclsyntax.Expression) (compiled, bool) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.compile(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return c.compile(e.Wrapped)
	case *hclsyntax.LiteralValueExpr:
		return literal(e.Val)
	case *hclsyntax.TemplateExpr:
		return c.template(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.traversal(e.Traversal)
	case *hclsyntax.RelativeTraversalExpr:
		return c.relative(e)
	case *hclsyntax.IndexExpr:
		return c.index(e)
	case *hclsyntax.ConditionalExpr:
		return c.conditional(e)
	case *hclsyntax.UnaryOpExpr:
		return c.unary(e)
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.TupleConsExpr:
		return c.tuple(e)
	case *hclsyntax.ForExpr:
		return c.loop(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	}
	return compiled{}, false
}

func constant(v val) (compiled, bool) {
	return compiled{func(*frame) (val, bool) { return v, true }, v.kind}, true
}

func literal(v cty.Value) (compiled, bool) {
	switch {
	case v.IsNull():
		return constant(val{})
	case v.Type() == cty.String:
		return constant(mkText(v.AsString()))
	case v.Type() == cty.Bool:
		return constant(mkFlag(v.True()))
	case v.Type() == cty.Number:
		if n, accuracy := v.AsBigFloat().Int64(); accuracy == 0 && n >= 0 && n < 1<<30 {
			return constant(val{kind: number, n: int(n)})
		}
	}
	return compiled{}, false
}

func (c *compiler) template(e *hclsyntax.TemplateExpr) (compiled, bool) {
	parts := make([]closure, len(e.Parts))
	for i, p := range e.Parts {
		part, ok := c.compile(p)
		if !ok || part.kind != text {
			return compiled{}, false
		}
		parts[i] = part.run
	}
	if len(parts) == 1 {
		return compiled{parts[0], text}, e.IsStringLiteral()
	}
	return compiled{func(f *frame) (val, bool) {
		var b strings.Builder
		for _, part := range parts {
			v, ok := part(f)
			if !ok || v.kind != text {
				return val{}, false
			}
			b.WriteString(v.s)
		}
		return mkText(b.String()), true
	}, text}, true
}

// traversal compiles person.x and a for expression's variable.
func (c *compiler) traversal(t hcl.Traversal) (compiled, bool) {
	if i := slices.Index(c.locals, t.RootName()); i >= 0 {
		if slices.Contains(c.locals[i+1:], t.RootName()) || len(t) != 1 {
			return compiled{}, false
		}
		return compiled{func(f *frame) (val, bool) { return f.locals[i], true }, text}, true
	}
	if len(t) != 2 || t.RootName() != "person" {
		return compiled{}, false
	}
	name := ""
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		name = step.Name
	case hcl.TraverseIndex:
		name = step.Key.AsString()
	}
	switch name {
	case "active":
		return compiled{func(f *frame) (val, bool) { return mkFlag(f.person.Active), true }, flag}, true
	case "dn":
		return compiled{func(f *frame) (val, bool) { return mkText(f.person.DN), true }, text}, true
	case "anchor":
		return compiled{func(f *frame) (val, bool) { return mkText(f.person.ID.Anchor), true }, text}, true
	case "source":
		return compiled{func(f *frame) (val, bool) { return mkText(f.person.Source), true }, text}, true
	case "groups":
		return compiled{func(f *frame) (val, bool) { return mkTexts(f.groups()), true }, texts}, true
	}
	names := c.unit.names[name]
	return compiled{func(f *frame) (val, bool) {
		if list := f.attribute(names); len(list) > 0 {
			return mkText(list[0]), true
		}
		return val{}, true
	}, text}, true
}

// relative compiles values("mail")[0].
func (c *compiler) relative(e *hclsyntax.RelativeTraversalExpr) (compiled, bool) {
	if len(e.Traversal) != 1 {
		return compiled{}, false
	}
	step, ok := e.Traversal[0].(hcl.TraverseIndex)
	if !ok {
		return compiled{}, false
	}
	at, ok := literal(step.Key)
	if !ok || at.kind != number {
		return compiled{}, false
	}
	return c.element(e.Source, at.run)
}

func (c *compiler) index(e *hclsyntax.IndexExpr) (compiled, bool) {
	at, ok := c.compile(e.Key)
	if !ok || at.kind != number {
		return compiled{}, false
	}
	return c.element(e.Collection, at.run)
}

func (c *compiler) element(collection hclsyntax.Expression, at closure) (compiled, bool) {
	list, ok := c.compile(collection)
	if !ok || list.kind != texts {
		return compiled{}, false
	}
	return compiled{func(f *frame) (val, bool) {
		l, ok := list.run(f)
		n, _ := at(f)
		if !ok || l.kind != texts || n.n >= len(l.l) {
			return val{}, false
		}
		return mkText(l.l[n.n]), true
	}, text}, true
}

func (c *compiler) conditional(e *hclsyntax.ConditionalExpr) (compiled, bool) {
	cond, condOK := c.compile(e.Condition)
	yes, yesOK := c.compile(e.TrueResult)
	no, noOK := c.compile(e.FalseResult)
	if !condOK || !yesOK || !noOK || cond.kind != flag {
		return compiled{}, false
	}
	kind := yes.kind
	if kind == null {
		kind = no.kind
	}
	if kind != text && kind != flag || yes.kind != kind && yes.kind != null || no.kind != kind && no.kind != null {
		return compiled{}, false
	}
	return compiled{func(f *frame) (val, bool) {
		v, ok := cond.run(f)
		switch {
		case !ok || v.kind != flag:
			return val{}, false
		case v.b:
			return yes.run(f)
		}
		return no.run(f)
	}, kind}, true
}

func (c *compiler) unary(e *hclsyntax.UnaryOpExpr) (compiled, bool) {
	inner, ok := c.compile(e.Val)
	if !ok || inner.kind != flag || e.Op != hclsyntax.OpLogicalNot {
		return compiled{}, false
	}
	return compiled{func(f *frame) (val, bool) {
		v, ok := inner.run(f)
		return mkFlag(!v.b), ok && v.kind == flag
	}, flag}, true
}

func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) (compiled, bool) {
	left, leftOK := c.compile(e.LHS)
	right, rightOK := c.compile(e.RHS)
	if !leftOK || !rightOK {
		return compiled{}, false
	}
	var combine func(a, b val) (bool, bool)
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		and := e.Op == hclsyntax.OpLogicalAnd
		if left.kind != flag || right.kind != flag {
			return compiled{}, false
		}
		combine = func(a, b val) (bool, bool) {
			return and && a.b && b.b || !and && (a.b || b.b), a.kind == flag && b.kind == flag
		}
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual, c.unit.folding.equal, c.unit.folding.notEqual:
		equal := e.Op == hclsyntax.OpEqual || e.Op == c.unit.folding.equal
		same := sameText
		if e.Op == hclsyntax.OpEqual || e.Op == hclsyntax.OpNotEqual {
			same = func(a, b string) bool { return a == b }
		}
		comparable := func(k kind) bool { return k == text || k == flag || k == null }
		if !comparable(left.kind) || !comparable(right.kind) ||
			left.kind != right.kind && left.kind != null && right.kind != null {
			return compiled{}, false
		}
		combine = func(a, b val) (bool, bool) {
			return (a.kind == b.kind && same(a.s, b.s) && a.b == b.b) == equal, true
		}
	default:
		return compiled{}, false
	}
	return compiled{func(f *frame) (val, bool) {
		a, aOK := left.run(f)
		b, bOK := right.run(f)
		if !aOK || !bOK {
			return val{}, false
		}
		result, ok := combine(a, b)
		return mkFlag(result), ok
	}, flag}, true
}

func (c *compiler) tuple(e *hclsyntax.TupleConsExpr) (compiled, bool) {
	items := make([]closure, len(e.Exprs))
	for i, x := range e.Exprs {
		item, ok := c.compile(x)
		if !ok || item.kind != text {
			return compiled{}, false
		}
		items[i] = item.run
	}
	return compiled{func(f *frame) (val, bool) {
		out := make([]string, 0, len(items))
		for _, item := range items {
			v, ok := item(f)
			if !ok || v.kind != text {
				return val{}, false
			}
			out = append(out, v.s)
		}
		return mkTexts(out), true
	}, texts}, true
}

// loop compiles [for x in list : text if condition].
func (c *compiler) loop(e *hclsyntax.ForExpr) (compiled, bool) {
	if e.KeyVar != "" || e.KeyExpr != nil || e.Group || e.ValVar == "person" {
		return compiled{}, false
	}
	list, ok := c.compile(e.CollExpr)
	if !ok || list.kind != texts {
		return compiled{}, false
	}
	depth := len(c.locals)
	c.locals = append(c.locals, e.ValVar)
	defer func() { c.locals = c.locals[:depth] }()
	item, ok := c.compile(e.ValExpr)
	if !ok || item.kind != text {
		return compiled{}, false
	}
	cond, _ := constant(mkFlag(true))
	if e.CondExpr != nil {
		if cond, ok = c.compile(e.CondExpr); !ok || cond.kind != flag {
			return compiled{}, false
		}
	}
	return compiled{func(f *frame) (val, bool) {
		l, ok := list.run(f)
		if !ok || l.kind != texts {
			return val{}, false
		}
		out := make([]string, 0, len(l.l))
		if len(l.l) == 0 { // the interpreter tries the condition once even then
			f.locals = append(f.locals[:depth], mkText(""))
			if keep, ok := cond.run(f); !ok || keep.kind != flag {
				return val{}, false
			}
		}
		for _, s := range l.l {
			f.locals = append(f.locals[:depth], mkText(s))
			keep, ok := cond.run(f)
			if !ok || keep.kind != flag {
				return val{}, false
			}
			if !keep.b {
				continue
			}
			v, ok := item.run(f)
			if !ok || v.kind != text {
				return val{}, false
			}
			out = append(out, v.s)
		}
		f.locals = f.locals[:depth]
		return mkTexts(out), true
	}, texts}, true
}
