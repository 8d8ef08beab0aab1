package mapping

import (
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Directories compare nearly all text without letter case (caseIgnoreMatch, RFC 4517 §4.2.11), and tools spell one
// value in several ways: TRUE and true, Staff and staff. Expressions therefore compare in the same way, but for
// attributes that the schema compares exactly.

// sameText reports whether a directory would call a and b one value: letter case, compatibility forms and the
// number of spaces do not count (RFC 4518 §2).
func sameText(a, b string) bool {
	return a == b || oneSpaced(folded(a)) == oneSpaced(folded(b))
}

// folded is s without letter case and compatibility forms.
func folded(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
		}
	}
	return strings.ToLower(s)
}

func oneSpaced(s string) string {
	if !strings.Contains(s, " ") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}

// startsWith, endsWith and holds are strings.HasPrefix, HasSuffix and Contains without letter case; every space
// counts.
func startsWith(s, part string) bool { return strings.HasPrefix(folded(s), folded(part)) }

func endsWith(s, part string) bool { return strings.HasSuffix(folded(s), folded(part)) }

func holds(s, part string) bool { return strings.Contains(folded(s), folded(part)) }

// operators are what == and != do where texts compare without letter case.
type operators struct{ equal, notEqual *hclsyntax.Operation }

func foldingOperators() operators {
	return operators{comparison(func(same cty.Value) cty.Value { return same }), comparison(cty.Value.Not)}
}

func comparison(result func(same cty.Value) cty.Value) *hclsyntax.Operation {
	operand := function.Parameter{
		Name: "operand", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowNull: true,
	}
	return &hclsyntax.Operation{Type: cty.Bool, Impl: function.New(&function.Spec{
		Params:       []function.Parameter{operand, operand},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: func(b *cty.RefinementBuilder) *cty.RefinementBuilder { return b.NotNull() },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return result(sameValue(args[0], args[1])), nil
		},
	})}
}

// sameValue compares two values: texts as sameText does, everything else exactly.
func sameValue(a, b cty.Value) cty.Value {
	if isText(a) && isText(b) {
		return cty.BoolVal(sameText(a.AsString(), b.AsString()))
	}
	return a.Equals(b)
}

func isText(v cty.Value) bool { return v.IsKnown() && !v.IsNull() && v.Type() == cty.String }

// compare gives each == and != of an expression the operation that fits what it compares.
func (c *checker) compare(root hclsyntax.Node) {
	_ = hclsyntax.VisitAll(root, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr: // comes before what is in it
			if c.readsExact(n.CollExpr) {
				c.exactLocals[n.KeyVar], c.exactLocals[n.ValVar] = true, true
			}
		case *hclsyntax.BinaryOpExpr:
			ops := operators{hclsyntax.OpEqual, hclsyntax.OpNotEqual}
			if !c.readsExact(n.LHS) && !c.readsExact(n.RHS) {
				ops = c.unit.folding
			}
			switch n.Op {
			case hclsyntax.OpEqual, c.unit.folding.equal:
				n.Op = ops.equal
			case hclsyntax.OpNotEqual, c.unit.folding.notEqual:
				n.Op = ops.notEqual
			}
		}
		return nil
	})
}

// readsExact reports whether part is made of an attribute that the schema compares exactly.
func (c *checker) readsExact(part hclsyntax.Node) bool {
	exact := false
	_ = hclsyntax.VisitAll(part, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ScopeTraversalExpr:
			name, _ := attributeName(n.Traversal)
			exact = exact || c.exactLocals[n.Traversal.RootName()] || n.Traversal.RootName() == "person" && c.unit.exact(name)
		case *hclsyntax.FunctionCallExpr:
			if n.Name == "values" && len(n.Args) == 1 {
				name, _ := literalText(n.Args[0])
				exact = exact || c.unit.exact(name)
			}
		}
		return nil
	})
	return exact
}

// exact reports whether a source compares the values of an attribute letter for letter.
func (u *unit) exact(name string) bool {
	for _, s := range u.schemas {
		if s.exact[s.key(name)] {
			return true
		}
	}
	return false
}

// truth reads what directories write for yes and no; ok is false for anything else.
func truth(s string) (yes, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "yes", "1", "on":
		return true, true
	case "", "false", "no", "0", "off":
		return false, true
	}
	return false, false
}

// isTrueFunc is is_true(value): whether a directory's boolean says yes, however it is spelled. Null and "" say no;
// what is neither yes nor no is an error, so that nobody is active, or closed, by a guess.
func isTrueFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{anyParam("value")},
		Type: func(args []cty.Value) (cty.Type, error) {
			if t := args[0].Type(); !t.IsPrimitiveType() && t != cty.DynamicPseudoType {
				return cty.Bool, function.NewArgError(0, plain("a text or true or false is required"))
			}
			return cty.Bool, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := args[0]
			switch {
			case v.IsNull():
				return cty.False, nil
			case v.Type() == cty.Bool:
				return v, nil
			case v.Type() == cty.String:
				if yes, ok := truth(v.AsString()); ok {
					return cty.BoolVal(yes), nil
				}
			case v.Type() == cty.Number && (v.RawEquals(cty.Zero) || v.RawEquals(cty.NumberIntVal(1))):
				return cty.BoolVal(!v.RawEquals(cty.Zero)), nil
			}
			return cty.False, plain("the value is neither true nor false")
		},
	})
}

// containsFunc is contains(list, value).
func containsFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, anyParam("value")},
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			if !t.IsListType() && !t.IsTupleType() && !t.IsSetType() && t != cty.DynamicPseudoType {
				return cty.Bool, function.NewArgError(0, plain("a list is required"))
			}
			return cty.Bool, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			result := cty.False
			for _, item := range args[0].AsValueSlice() {
				same := sameValue(args[1], item)
				switch {
				case !same.IsKnown():
					result = cty.UnknownVal(cty.Bool)
				case same.True():
					return cty.True, nil
				}
			}
			return result, nil
		},
	})
}
