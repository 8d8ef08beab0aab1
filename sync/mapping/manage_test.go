package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// mover is a mapping of entitlements by who somebody is.
func mover(entitlements, manage string) string {
	src := "account = { userName = person.uid }\nentitlements = " + entitlements + "\n"
	if manage != "" {
		src += "manage = " + manage + "\n"
	}
	return src
}

// Entitlements follow department, title and groups, by whatever expression.
func TestManagedEntitlementsOfMovers(t *testing.T) {
	as := func(department, title string, groups ...string) identity.Person {
		p := alice()
		p.Attributes = identity.Attributes{"uid": {"alice"}}
		if department != "" {
			p.Attributes["department"] = []string{department}
		}
		if title != "" {
			p.Attributes["title"] = []string{title}
		}
		p.Groups = nil
		for _, g := range groups {
			p.Groups = append(p.Groups, identity.Group{Name: g, DN: "cn=" + g})
		}
		return p
	}
	sales, dev, nowhere := as("Sales", "", "wiki-news"), as("dev", "Head"), as("", "", "staff")
	for _, c := range []struct {
		entitlements        string
		sales, dev, nowhere string
	}{
		{`lookup({ sales = ["crm-users", "wiki-sales"], dev = ["wiki-dev"] }, person.department, [])`, "crm-users wiki-sales", "wiki-dev", ""},
		{`lookup({ sales = ["wiki-sales"], dev = ["wiki-dev"] }, default(person.department, ""), ["wiki-rest"])`, "wiki-sales", "wiki-dev", "wiki-rest"},
		{`person.department == "sales" ? ["crm-users"] : []`, "crm-users", "", ""},
		{`person.title == "head" ? ["wiki-heads", "wiki-staff"] : ["wiki-staff"]`, "wiki-staff", "wiki-heads wiki-staff", "wiki-staff"},
		{`[for g in person.groups : g if startswith(g, "wiki-")]`, "wiki-news", "", ""},
		{
			`concat(["wiki-staff"], [for g in person.groups : g if startswith(g, "wiki-")], person.department == "dev" ? ["wiki-dev"] : [])`,
			"wiki-news wiki-staff", "wiki-dev wiki-staff", "wiki-staff",
		},
		{`compact(["wiki-${lower(default(person.department, "none"))}"])`, "wiki-sales", "wiki-dev", "wiki-none"},
		{`[for g in ["wiki-a", "wiki-b"] : g if person.department == "sales"]`, "wiki-a wiki-b", "", ""},
	} {
		target, diags := compile(t, mover(c.entitlements, `["wiki-*", "crm-*"]`))
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.entitlements, diags)
			continue
		}
		for want, p := range map[*string]identity.Person{&c.sales: sales, &c.dev: dev, &c.nowhere: nowhere} {
			a, err := target.Account(p, mapping.Logins{})
			if got := strings.Join(identity.EntitlementNames(a.Entitlements), " "); err != nil || got != *want || a.Entitlements == nil {
				t.Errorf("%s of %v: %q, %v, want %q", c.entitlements, p.Attributes, got, err, *want)
			}
		}
	}
}

// What the mapping is sure to give some day, and may not, is a mistake at its own line; what it only asks about is none.
func TestManagedLiterals(t *testing.T) {
	for entitlements, wrong := range map[string][]string{
		`["wiki-users", "admins"]`: {"admins"},
		`["Wiki-Users"]`:           nil,
		`["editor-de"]`:            nil, // of which kind it is, the application says
		`(["admins"])`:             {"admins"},
		`person.department == "sales" ? ["crm"] : ["wiki-x", "ops"]`:                       {"crm", "ops"},
		`lookup({ sales = ["crm"], dev = ["wiki-dev"] }, person.department, ["rest"])`:     {"crm", "rest"},
		`lookup({ sales = ["wiki-crm"] }, default(person.department, "sales"), [])`:        nil,
		`{ sales = ["crm"], dev = ["wiki-dev"] }[person.department]`:                       {"crm"},
		`[for g in person.groups : g if startswith(g, "crm-") && g != "crm"]`:              nil,
		`[for g in person.groups : "crm" if g == "staff"]`:                                 {"crm"},
		`[for g in ["wiki-a", "crm"] : g if member_of(g)]`:                                 {"crm"},
		`[for g in ["a", "b"] : "wiki-${g}" if member_of(g)]`:                              nil,
		`concat(["crm"], compact(distinct([person.title, "ops"])))`:                        {"crm", "ops"},
		`setunion(["crm"], ["wiki-x"])`:                                                    {"crm"},
		`try([person.title], ["crm"])`:                                                     {"crm"},
		`coalescelist(values("mail"), ["crm"])`:                                            {"crm"},
		`[replace(person.title, "crm", "ops")]`:                                            nil,
		`split(",", "crm,ops")`:                                                            nil,
		`person.title == "crm" || contains(values("mail"), "ops") ? ["wiki-users"] : [""]`: nil,
	} {
		_, diags := compile(t, mover(entitlements, `["wiki-*", "role:editor-*"]`))
		var found []string
		for _, d := range diags {
			if d.Summary != "Not managed" {
				t.Errorf("%s: %v", entitlements, d)
				continue
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(d.Detail, `"`), `"`)
			found = append(found, name)
			if d.Subject.Start.Line != 2 || !strings.Contains(d.Detail, "(config.hcl:3)") {
				t.Errorf("%s: at line %d: %s", entitlements, d.Subject.Start.Line, d.Detail)
			}
		}
		if slices.Sort(found); !slices.Equal(found, wrong) {
			t.Errorf("%s: found %q, want %q", entitlements, found, wrong)
		}
	}
}

func TestManageThatIsWrong(t *testing.T) {
	for manage, summary := range map[string]string{
		`[]`:                          "Nothing to manage",
		`["wiki-[a"]`:                 "Not a pattern",
		`["wiki-*", ""]`:              "Not a pattern",
		`["wiki-*", null]`:            "Not a pattern",
		`"wiki-*"`:                    "Not a list of patterns",
		`null`:                        "Not a list of patterns",
		`[person.department]`:         "Not a list of patterns",
		`[for g in ["wiki-*"] : [g]]`: "Not a list of patterns",
	} {
		_, diags := compile(t, mover(`["wiki-users"]`, manage))
		if len(diags) != 1 || diags[0].Summary != summary || diags[0].Subject.Start.Line != 3 {
			t.Errorf("%s: %v, want %s", manage, diags, summary)
		}
	}
	_, diags := compile(t, "account = { userName = person.uid }\nmanage = [\"wiki-*\"]\n")
	if len(diags) != 1 || diags[0].Summary != "Nothing to manage" || !strings.Contains(diags[0].Detail, "entitlements = []") {
		t.Errorf("without entitlements: %v", diags)
	}
	if target, diags := compile(t, mover(`[]`, `["wiki-*"]`)); diags.HasErrors() || !target.Managed().Has(identity.Entitlement{Name: "wiki-x"}) {
		t.Errorf("nobody is to have any: %v", diags)
	}
}

// R14: other patterns are another mapping; the scope is as it was, and so is a config that has none.
func TestR14ManageIsPartOfTheMapping(t *testing.T) {
	without, one := mustCompile(t, mover(`["wiki-users"]`, "")), mustCompile(t, mover(`["wiki-users"]`, `["wiki-*"]`))
	spaced, more := mustCompile(t, mover(`["wiki-users"]`, `[ "wiki-*" ] # ours`)), mustCompile(t, mover(`["wiki-users"]`, `["wiki-*", "crm-*"]`))
	if one.Print() == without.Print() || one.Print() != spaced.Print() || one.Print() == more.Print() || one.ScopePrint() != more.ScopePrint() {
		t.Errorf("without %x, one %x, spaced %x, more %x", without.Print(), one.Print(), spaced.Print(), more.Print())
	}
	if without.Managed() != nil || without.At("manage") != "" || one.At("manage") != "config.hcl:3" || one.Range("manage").Start.Line != 3 {
		t.Errorf("without %v at %q, one at %q", without.Managed(), without.At("manage"), one.At("manage"))
	}
}
