package mapping

import (
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A flip is a comparison of the clock with a date: date_before(now(), person.leaveDate). The date alone tells when its
// answer changes.
type flip struct {
	date  part
	after bool   // it changes with the second after the date, not with the date: the clock has to be later
	add   []part // the durations that are added to the clock before
}

// A part of an expression that gives a text.
type part struct {
	expr hclsyntax.Expression
	fast closure // nil where only the interpreter can run it
}

// flips are the comparisons of the clock with dates in an expression, and whether it looks at the clock in no other
// way: else nobody can tell when its value changes.
func (u *unit) flips(root hclsyntax.Expression) (list []flip, all bool) {
	seen := 0
	_ = hclsyntax.VisitAll(root, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || len(call.Args) != 2 || call.Name != "date_before" && call.Name != "date_after" {
			return nil
		}
		for i, arg := range call.Args {
			add, clock := u.clockPlus(arg)
			date := call.Args[1-i]
			if clock && u.timeless(date) {
				later := (call.Name == "date_after") == (i == 0) // true once the clock is later than the date
				list, seen = append(list, flip{u.part(date), later, add}), seen+1
			}
		}
		return nil
	})
	return list, seen == calls(root, "now")
}

// clockPlus reports whether an expression is the clock, and what is added to it.
func (u *unit) clockPlus(expr hclsyntax.Expression) (add []part, clock bool) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return u.clockPlus(e.Expression)
	case *hclsyntax.FunctionCallExpr:
		switch {
		case e.Name == "now" && len(e.Args) == 0:
			return nil, true
		case e.Name == "date_parse" && len(e.Args) == 1:
			return u.clockPlus(e.Args[0])
		case e.Name == "date_add" && len(e.Args) == 2 && u.timeless(e.Args[1]):
			add, clock = u.clockPlus(e.Args[0])
			return append(add, u.part(e.Args[1])), clock
		}
	}
	return nil, false
}

// timeless reports whether an expression is about the person alone: neither about the clock, nor about what is taken in
// an application, nor about a variable of a for expression around it.
func (u *unit) timeless(expr hclsyntax.Expression) bool {
	own := !slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return t.RootName() != "person" })
	return own && calls(expr, "now") == 0 && calls(expr, "unique_login") == 0
}

func (u *unit) part(expr hclsyntax.Expression) part { return part{expr, u.closure(expr)} }

// calls counts the calls of a function in an expression.
func calls(root hclsyntax.Expression, name string) (n int) {
	_ = hclsyntax.VisitAll(root, func(node hclsyntax.Node) hcl.Diagnostics {
		if call, ok := node.(*hclsyntax.FunctionCallExpr); ok && call.Name == name {
			n++
		}
		return nil
	})
	return n
}

// text evaluates a part of e; false where it gives none.
func (p part) text(e *expression, f *frame) (string, bool) {
	if p.fast != nil {
		f.locals = f.locals[:0]
		if v, ok := p.fast(f); ok {
			return v.s, v.kind == text
		}
	}
	v, diags := p.expr.Value(e.context(f))
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	return v.AsString(), true
}

// at is when the comparison changes its answer; zero for never. The clock shows whole seconds.
func (l flip) at(e *expression, f *frame) time.Time {
	text, ok := l.date.text(e, f)
	if !ok {
		return time.Time{}
	}
	at, err := parseDate(text)
	if err != nil || at.IsZero() {
		return time.Time{}
	}
	for _, p := range l.add {
		text, ok := p.text(e, f)
		length, err := ParseDuration(text)
		if !ok || err != nil {
			return time.Time{}
		}
		whole := length.Truncate(time.Second)
		if whole > length {
			whole -= time.Second // the sum is cut to whole seconds as well
		}
		at = at.Add(-whole)
	}
	whole := at.Truncate(time.Second)
	if l.after || whole.Before(at) {
		whole = whole.Add(time.Second)
	}
	return whole
}

// changes are the instants at which the value of e may change by the clock.
func (e *expression) changes(f *frame) (list []time.Time) {
	if e == nil {
		return nil
	}
	for _, l := range e.flips {
		if at := l.at(e, f); !at.IsZero() {
			list = append(list, at)
		}
	}
	return list
}
