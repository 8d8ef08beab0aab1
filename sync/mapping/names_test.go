package mapping_test

import (
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

func parsed(t *testing.T, text string) hcl.Expression {
	t.Helper()
	if text == "" {
		return nil
	}
	e, diags := hclsyntax.ParseExpression([]byte(text), "config.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return e
}

// TestWhatExpressionsDependOn: what nobody may lose unseen.
func TestWhatExpressionsDependOn(t *testing.T) {
	schema := mapping.Schema{Attributes: []string{"employeeType", "mail", "uid"}}
	for _, c := range []struct {
		scope, entitlements string
		groups              []string
		all                 bool
		names, scopeNames   []string
	}{
		{"", "", nil, false, []string{"uid"}, nil},
		{`member_of("staff") || member_of("admins")`, "", []string{"admins", "staff"}, false, []string{"uid"}, nil},
		{`!member_of("staff") && person.EMPLOYEETYPE == "x"`, "", []string{"staff"}, false, []string{"employeeType", "uid"}, []string{"employeeType"}},
		{`member_of("${person.uid}-team")`, "", nil, true, []string{"uid"}, []string{"uid"}},
		{`length([for g in ["a", "b"] : g if member_of(g)]) > 0`, "", nil, true, []string{"uid"}, nil},
		{`contains(person.groups, "staff")`, "", nil, true, []string{"uid"}, nil},
		{`contains(person["groups"], "staff")`, "", nil, true, []string{"uid"}, nil},
		{`member_of("staff")`, `[for g in person.groups : g if startswith(g, "wiki-")]`, []string{"staff"}, true, []string{"uid"}, nil},
	} {
		target, diags := mapping.CompileTarget(mapping.TargetExpressions{
			Scope: parsed(t, c.scope), Account: parsed(t, "{ userName = person.uid }"), Entitlements: parsed(t, c.entitlements),
		}, []mapping.Schema{schema}, mapping.Env{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		g := target.Groups()
		if !slices.Equal(g.Names, c.groups) || g.All != c.all {
			t.Errorf(
				"scope %s, entitlements %s: groups %q, all %t, want %q and %t",
				c.scope,
				c.entitlements,
				g.Names,
				g.All,
				c.groups,
				c.all,
			)
		}
		if names, scope := target.Names(), target.ScopeNames(); !slices.Equal(names, c.names) ||
			!slices.Equal(scope, c.scopeNames) {
			t.Errorf("scope %s: names %q, in the scope %q, want %q and %q", c.scope, names, scope, c.names, c.scopeNames)
		}
	}
}

func TestWhoJudges(t *testing.T) {
	schema := mapping.Schema{Attributes: []string{"employeeType"}}
	for _, c := range []struct {
		active string
		judged bool
		names  []string
	}{
		{"", true, nil},
		{`person.employeeType == "x"`, false, []string{"employeeType"}},
		{`person.active && person.employeeType == "x"`, true, []string{"employeeType"}},
	} {
		s, diags := mapping.CompileSource(mapping.SourceExpressions{Active: parsed(t, c.active)}, schema, mapping.Env{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if s.Judged() != c.judged || !slices.Equal(s.Names(), c.names) {
			t.Errorf("active = %s: judged %t, names %q, want %t and %q", c.active, s.Judged(), s.Names(), c.judged, c.names)
		}
	}
	p := identity.Person{Groups: []identity.Group{{Name: "Staff", DN: "cn=staff,ou=groups"}}}
	if !mapping.MemberOf(&p, "staff") || mapping.MemberOf(&p, "admins") {
		t.Error("who is in staff is in staff, and not in admins")
	}
}
