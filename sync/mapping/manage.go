package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Managed are the entitlements that the mapping gives and takes, by the config's `manage`; nil without one.
func (t *Target) Managed() identity.Managed { return t.managed }

// Manages says which entitlements those are, and the line: "config.hcl:32: wiki-*"; "" without `manage`.
func (t *Target) Manages() string {
	if t.manage == nil {
		return ""
	}
	return t.manage.at + ": " + strings.Join(t.managed, ", ")
}

// compileManage reads the patterns of `manage`, which name no person, and holds what the mapping is sure to give against
// them.
func (t *Target) compileManage(expr hcl.Expression, diags *hcl.Diagnostics) {
	if expr == nil {
		return
	}
	if t.entitlements == nil {
		*diags = append(*diags, problem(expr.Range(), "Nothing to manage",
			"manage says which entitlements the mapping gives and takes, and there is no mapping of any. "+
				"Write entitlements = [ … ] beside it; entitlements = [] takes all that manage names from everybody."))
		return
	}
	list, found := patterns(expr)
	if found != nil {
		*diags = append(*diags, found)
		return
	}
	t.manage = &expression{path: "manage", expr: expr, at: place(expr.Range()), print: tokensPrint(t.unit.files, expr.Range())}
	t.managed = list
	node, ok := t.entitlements.expr.(hclsyntax.Expression)
	if !ok {
		return
	}
	for _, given := range literalResults(node) {
		if !list.Has(identity.Entitlement{Name: given.text}) {
			*diags = append(*diags, problem(given.at, "Not managed", fmt.Sprintf(
				"%q fits no pattern of manage (%s), so nobody would be given it: add one that it fits, or take it out of entitlements.",
				given.text, t.manage.at)))
		}
	}
}

// patterns are those that `manage` lists.
func patterns(expr hcl.Expression) (list identity.Managed, wrong *hcl.Diagnostic) {
	v, diags := expr.Value(nil)
	var err error
	if !diags.HasErrors() {
		v, err = convert.Convert(v, cty.List(cty.String))
	}
	switch {
	case diags.HasErrors(), err != nil, v.IsNull():
		return nil, problem(expr.Range(), "Not a list of patterns",
			`manage is a list of quoted patterns over the application's names of entitlements: ["wiki-*", "role:editor-*"].`)
	case v.LengthInt() == 0:
		return nil, problem(expr.Range(), "Nothing to manage",
			"An empty manage gives nobody anything, and takes nothing. Leave it out for what dirsweep itself has granted.")
	}
	for _, item := range v.AsValueSlice() {
		if item.IsNull() || item.AsString() == "" || identity.GlobError(item.AsString()) != nil {
			return nil, problem(expr.Range(), "Not a pattern",
				`A pattern is a name, or part of one with *, ? or [a-z] in it: "wiki-*", or of one kind "role:editor-*".`)
		}
		list = append(list, item.AsString())
	}
	return list, nil
}

// quoted is a text of the config.
type quoted struct {
	text string
	at   hcl.Range
}

// literalResults are the quoted texts that a list, or one of its elements, may turn out to be: those of lists, tables and
// both sides of a condition, and not those that an expression only asks about. What is put together of parts is none.
func literalResults(expr hclsyntax.Expression) (found []quoted) {
	if text, ok := literalText(expr); ok {
		if text != "" {
			found = append(found, quoted{text, expr.Range()})
		}
		return found
	}
	for _, part := range resultParts(expr) {
		found = append(found, literalResults(part)...)
	}
	return found
}

// resultParts are the parts of an expression that its result is taken from, as far as that can be told.
func resultParts(expr hclsyntax.Expression) (parts []hclsyntax.Expression) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return []hclsyntax.Expression{e.Expression}
	case *hclsyntax.TupleConsExpr:
		return e.Exprs
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			parts = append(parts, item.ValueExpr)
		}
		return parts
	case *hclsyntax.ConditionalExpr:
		return []hclsyntax.Expression{e.TrueResult, e.FalseResult}
	case *hclsyntax.IndexExpr:
		return []hclsyntax.Expression{e.Collection}
	case *hclsyntax.ForExpr:
		name, ok := e.ValExpr.(*hclsyntax.ScopeTraversalExpr)
		if ok && len(name.Traversal) == 1 && name.Traversal.RootName() == e.ValVar {
			return []hclsyntax.Expression{e.CollExpr} // its elements, chosen from
		}
		return []hclsyntax.Expression{e.ValExpr}
	case *hclsyntax.FunctionCallExpr:
		switch {
		case e.Name == "lookup" && len(e.Args) > 0:
			return slices.Concat(e.Args[:1], e.Args[min(2, len(e.Args)):])
		case handsOn(e.Name):
			return e.Args
		}
	}
	return nil
}

// handsOn reports whether a function's result is made of its arguments as they are.
func handsOn(name string) bool {
	return slices.Contains(strings.Fields(
		"coalesce coalescelist compact concat default distinct flatten reverse setunion sort tolist toset try",
	), name)
}
