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
func (s *Source) Groups() Groups { return groupsOf(s.all()...) }

// Names returns the attributes that say who is active, those that `active` and the dates name, in the source's spelling,
// sorted.
func (s *Source) Names() []string { return namesOf(s.deciding()...) }

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

// ActiveAt returns where the `active` expression stands, "config.hcl:10", or "" where there is none.
func (s *Source) ActiveAt() string {
	if s.active == nil {
		return ""
	}
	return s.active.at
}

// AttributeAt says which expressions name an attribute: "active at config.hcl:10".
func (s *Source) AttributeAt(name string) []string { return attributeAt(name, s.all()...) }

// GroupAt says which expressions depend on a group.
func (s *Source) GroupAt(name string) []string { return groupAt(name, s.all()...) }

// AttributeAt says which expressions name an attribute: "scope at config.hcl:18".
func (t *Target) AttributeAt(name string) []string { return attributeAt(name, t.all()...) }

// GroupAt says which expressions depend on a group.
func (t *Target) GroupAt(name string) []string { return groupAt(name, t.all()...) }

func attributeAt(name string, list ...*expression) []string {
	return places(list, func(e *expression) bool { return slices.Contains(namesOf(e), name) })
}

func groupAt(name string, list ...*expression) []string {
	return places(list, func(e *expression) bool {
		g := groupsOf(e)
		return g.All || slices.Contains(g.Names, name)
	})
}

// places are where those expressions stand of which something is so.
func places(list []*expression, is func(*expression) bool) (at []string) {
	for _, e := range list {
		if e != nil && is(e) {
			at = append(at, e.path+" at "+e.at)
		}
	}
	return at
}

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
