package mapping

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Groups are the groups on which expressions depend.
type Groups struct {
	Names []string // those that member_of() names, as they are written, sorted
	All   bool     // every group of a person: they look at person.groups, or compute a name
}

// MemberOf reports whether member_of(group) is true for a person.
func MemberOf(p *identity.Person, group string) bool { return memberOf(p, group) }

// Groups returns the groups on which the expressions depend.
func (s *Source) Groups() Groups { return groupsOf(s.active, s.rehire) }

// Names returns the attributes that the `active` expression names, in the source's spelling, sorted.
func (s *Source) Names() []string { return namesOf(s.active) }

// Judged reports whether the kind's own judgement of who is active counts: there is no `active` expression, or it
// looks at person.active.
func (s *Source) Judged() bool { return s.active == nil || s.active.judged }

// Groups returns the groups on which the expressions depend.
func (t *Target) Groups() Groups { return groupsOf(t.all()...) }

// Names returns the attributes that the expressions name, in the sources' spelling, sorted.
func (t *Target) Names() []string { return namesOf(t.all()...) }

// ScopeNames returns the attributes that the scope names, in the sources' spelling, sorted.
func (t *Target) ScopeNames() []string { return namesOf(t.scope) }

// ScopeGroups returns the groups on which the scope depends.
func (t *Target) ScopeGroups() Groups { return groupsOf(t.scope) }

func namesOf(list ...*expression) (names []string) {
	for _, e := range list {
		if e == nil {
			continue
		}
		for _, r := range e.reads {
			names = append(names, r.names...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func groupsOf(list ...*expression) (g Groups) {
	for _, e := range list {
		if e == nil || !e.groups {
			continue
		}
		for _, traversal := range e.expr.Variables() {
			g.All = g.All || looksAtGroups(traversal)
		}
		node, ok := e.expr.(hclsyntax.Node)
		if !ok {
			g.All = true
			continue
		}
		// The visitor reports nothing: what it finds is in g.
		_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
			if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == "member_of" && len(call.Args) == 1 {
				g.add(call.Args[0])
			}
			return nil
		})
	}
	slices.Sort(g.Names)
	g.Names = slices.Compact(g.Names)
	return g
}

func (g *Groups) add(arg hclsyntax.Expression) {
	v, diags := arg.Value(nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		g.All = true
		return
	}
	g.Names = append(g.Names, v.AsString())
}

// looksAtGroups reports whether a traversal is person.groups.
func looksAtGroups(t hcl.Traversal) bool {
	if t.RootName() != "person" || len(t) < 2 {
		return false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name == "groups"
	case hcl.TraverseIndex:
		return step.Key.Type() == cty.String && step.Key.AsString() == "groups"
	}
	return false
}
