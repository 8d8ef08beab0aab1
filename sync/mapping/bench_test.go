package mapping

import (
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// BenchmarkAccount compares the interpreter with the closures on ten attributes, a scope and a list of entitlements.
func BenchmarkAccount(b *testing.B) {
	parser := hclparse.NewParser()
	file, diags := parser.ParseHCL([]byte(`
scope = member_of("app-admins") || person.departmentNumber != "x"
account = {
  userName = lower(person.uid)
  displayName = person.cn
  "name.givenName" = person.givenName
  "name.familyName" = upper(person.sn)
  title = coalesce(person.title, "n/a")
  role = contains(values("memberOf"), "cn=app-admins") ? "admin" : "member"
  emails = values("mail")
  nickName = "${person.givenName} ${person.sn}"
  department = default(person.departmentNumber, "none")
  active2 = person.nsAccountLock != "TRUE"
}
entitlements = [for g in person.groups : g if startswith(g, "app-")]
`), "bench.hcl")
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	attrs, _ := file.Body.JustAttributes()
	target, diags := CompileTarget(
		TargetExpressions{
			Scope:        attrs["scope"].Expr,
			Account:      attrs["account"].Expr,
			Entitlements: attrs["entitlements"].Expr,
		},
		[]Schema{{Open: true}},
		Env{Files: parser.Files()},
	)
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	people := make([]identity.Person, 1000)
	for i := range people {
		n := strconv.Itoa(i)
		people[i] = identity.Person{
			ID:     identity.PersonID{Directory: "corp", Anchor: n},
			Active: true,
			Attributes: identity.Attributes{
				"uid": {
					"User" + n,
				}, "cn": {"Ann Doe " + n}, "givenName": {"Ann"}, "sn": {"Doe"}, "mail": {"u" + n + "@example.org", "ann" + n + "@example.org"},
				"memberOf": {"cn=staff", "cn=all", "cn=app-users", "cn=x", "cn=app-admins"},
			},
			Groups: []identity.Group{{Name: "app-users", DN: "cn=app-users"}, {Name: "staff", DN: "cn=staff"}},
		}
	}
	run := func(b *testing.B, t *Target) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p := people[i%len(people)]
			if _, err := t.InScope(p, time.Now()); err != nil {
				b.Fatal(err)
			}
			if _, err := t.Account(p, Logins{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("compiled", func(b *testing.B) {
		for _, e := range target.all() {
			if e.fast == nil {
				b.Fatalf("%s is not compiled", e.path)
			}
		}
		run(b, target)
	})
	b.Run("interpreter", func(b *testing.B) { run(b, interpreted(target)) })
}

// interpreted returns the target without its closures.
func interpreted(t *Target) *Target {
	strip := func(e *expression) *expression {
		out := *e
		out.fast = nil
		return &out
	}
	out := &Target{unit: t.unit, scope: strip(t.scope), entitlements: strip(t.entitlements)}
	for _, e := range t.attributes {
		out.attributes = append(out.attributes, strip(e))
	}
	return out
}
