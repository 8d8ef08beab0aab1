package mapping_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// staff is somebody whose values are spelled as tools spell them, not as a config does.
func staff() identity.Person {
	return identity.Person{
		ID: identity.PersonID{Directory: "corp", Anchor: "7"}, Name: "ann", DN: "uid=ann,ou=People,dc=x", Active: true,
		Attributes: identity.Attributes{
			"nsAccountLock": {
				"true",
			}, "employeeType": {"STAFF", " Head  of Sales "}, "homeDirectory": {"/home/Ann"}, "cn": {"Straße ΣΊΣΥΦΟΣ"},
		},
		Groups: []identity.Group{{Name: "Wiki-Users", DN: "cn=Wiki-Users,dc=x"}},
	}
}

// judge compiles a source's active expression.
func judge(t *testing.T, expr string) *mapping.Source {
	t.Helper()
	exprs, files := parse(t, "active = "+expr)
	s, diags := mapping.CompileSource(mapping.SourceExpressions{Active: exprs["active"]}, mapping.Schema{
		Attributes: []string{
			"uid",
			"cn",
			"title",
			"nsAccountLock",
			"employeeType",
			"homeDirectory",
		}, Exact: []string{"homeDirectory"},
	}, mapping.Env{Files: files})
	if diags.HasErrors() {
		t.Fatalf("%s: %v", expr, diags)
	}
	return s
}

func TestTextComparesAsTheSchemaDoes(t *testing.T) {
	for expr, want := range map[string]bool{
		`person.nsAccountLock != "TRUE"`:                                             false, // what config.example.hcl once said
		`person.nsAccountLock == "True"`:                                             true,
		`upper(default(person.nsAccountLock, "")) == "TRUE"`:                         true,
		`is_true(person.nsAccountLock)`:                                              true,
		`!is_true(person.nsAccountLock)`:                                             false,
		`is_true(person.title)`:                                                      false, // nobody's
		`is_true(person.active)`:                                                     true,
		`is_true("FALSE") || is_true("no") || is_true(0) || is_true("")`:             false,
		`is_true(" yes ") && is_true("On") && is_true(1) && is_true(tobool("true"))`: true,
		`person.employeeType == "staff"`:                                             true,
		`person.employeeType != "staff"`:                                             false,
		`values("employeeType")[1] == "head of sales"`:                               true,
		`contains(values("employeeType"), "head of SALES")`:                          true,
		`contains(person.groups, "wiki-users")`:                                      true,
		`contains([for g in person.groups : g], "wiki-admins")`:                      false,
		`length([for g in person.groups : g if g == "wiki-users"]) == 1`:             true,
		`length([for g in person.groups : g if startswith(g, "wiki-")]) == 1`:        true,
		`endswith(person.dn, "OU=people,DC=x")`:                                      true,
		`strcontains(person.dn, "ou=people")`:                                        true,
		`startswith("wiki users", "wiki  ")`:                                         false, // every space counts in a part
		`lookup({ staff = "yes" }, person.employeeType, "no") == "yes"`:              true,
		`lookup({ staff = "a", STAFF = "b" }, person.employeeType) == "b"`:           true,
		`person.cn == "STRASSE σίσυφος"`:                                             true,
		`person.title == null`:                                                       true,
		`person.title == person.uid`:                                                 true,
		`person.title != "x"`:                                                        true,
		// exactly, where the schema says so
		`person.homeDirectory == "/home/ann"`:                                     false,
		`person.homeDirectory == "/home/Ann"`:                                     true,
		`"/home/ann" != person["homedirectory"]`:                                  true,
		`length([for h in values("homeDirectory") : h if h == "/home/ann"]) == 1`: false,
		`length([for h in values("homeDirectory") : h if h == "/home/Ann"]) == 1`: true,
		`length([for h in values("employeeType") : h if h == "staff"]) == 1`:      true,
		`trimprefix(person.homeDirectory, "/home/") == "ann"`:                     false,
		`can(regex("^staff$", person.employeeType))`:                              false,
		`(person.employeeType == "staff") == true`:                                true,
		`[person.employeeType] == ["staff"]`:                                      false, // lists compare as they are
	} {
		if got, err := judge(t, expr).Active(staff()); err != nil || got != want {
			t.Errorf("%s: %t, %v", expr, got, err)
		}
	}
	if got, err := judge(t, `is_true(person.employeeType)`).Active(staff()); err == nil ||
		!strings.Contains(err.Error(), "neither true nor false") {
		t.Errorf("what is neither yes nor no: %t, %v", got, err)
	}
}

func TestAComparisonThatIsNeverTrueNamesIsTrue(t *testing.T) {
	complaint{`person.uid == true ? "a" : "b"`, hcl.DiagError, `is_true(person.x)`}.check(t)
	complaint{`is_true(values("mail"))`, hcl.DiagError, `a text or true or false is required`}.check(t)
	complaint{`contains("a", "b")`, hcl.DiagError, `a list is required`}.check(t)
}

func TestR21AnExpressionThatContradictsTheKindIsTold(t *testing.T) {
	p := staff()
	p.Active, p.Inactive = false, "nsAccountLock is true"
	for _, c := range []struct {
		expr string
		want bool
	}{
		{`person.employeeType == "staff"`, true},
		{`person.employeeType == "staff" && person.active`, false},
		{`person.active || person.employeeType == "staff"`, false}, // it has looked, and means it
	} {
		s := judge(t, c.expr)
		active, err := s.Active(p)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Contradicts(p, active)
		if (got != "") != c.want || c.want && !strings.Contains(got, "nsAccountLock is true") ||
			c.want && !strings.HasPrefix(got, "config.hcl:1: ") {
			t.Errorf("%s: %q", c.expr, got)
		}
		if active, kind := true, (identity.Person{Active: true}); s.Contradicts(kind, active) != "" {
			t.Errorf("%s: contradicts a kind that agrees", c.expr)
		}
	}
	none, _ := mapping.CompileSource(mapping.SourceExpressions{}, mapping.Schema{}, mapping.Env{})
	if none.Contradicts(p, true) != "" {
		t.Error("without an expression there is nothing to contradict")
	}
}
