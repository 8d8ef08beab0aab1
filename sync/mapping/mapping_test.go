package mapping_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

func ldapSchema() mapping.Schema {
	return mapping.Schema{Attributes: []string{
		"uid", "cn", "sn", "givenName", "mail", "title", "telephoneNumber", "employeeNumber", "accountExpires", "objectGUID", "objectSid",
		"manager", "nsAccountLock", "department", "userCertificate;binary", "msDS-x1",
	}}
}

func alice() identity.Person {
	return identity.Person{
		ID: identity.PersonID{
			Directory: "corp",
			Anchor:    "8f14e45f",
		}, Source: "corp", Name: "alice", DN: "uid=alice,ou=Staff,ou=people,dc=example,dc=org", Active: true,
		Attributes: identity.Attributes{
			"uid": {
				"Alice",
			}, "cn": {"Alice Żółw"}, "givenName": {"Alice"}, "sn": {"Żółw"}, "mail": {"a@example.org", "alice@example.org"},
			"telephoneNumber": {"030 / 90 18 20"}, "employeeNumber": {"007"}, "accountExpires": {"133801632000000000"},
		},
		Groups: []identity.Group{
			{Name: "wiki-admins", DN: "cn=wiki-admins,ou=groups,dc=example,dc=org"},
			{Name: "wiki-users", DN: "cn=wiki-users,ou=groups,dc=example,dc=org"},
			{Name: "staff", DN: "cn=staff,ou=groups,dc=example,dc=org"},
		},
	}
}

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// parse reads a block's body and returns its attributes as expressions.
func parse(t testing.TB, src string) (map[string]hcl.Expression, map[string]*hcl.File) {
	t.Helper()
	p := hclparse.NewParser()
	f, diags := p.ParseHCL([]byte(src), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	attrs, diags := f.Body.JustAttributes()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	out := make(map[string]hcl.Expression)
	for name, a := range attrs {
		out[name] = a.Expr
	}
	return out, p.Files()
}

func compile(t testing.TB, src string) (*mapping.Target, hcl.Diagnostics) {
	t.Helper()
	exprs, files := parse(t, src)
	return mapping.CompileTarget(
		mapping.TargetExpressions{
			Scope: exprs["scope"], Account: exprs["account"], Entitlements: exprs["entitlements"], Manage: exprs["manage"],
		},
		[]mapping.Schema{ldapSchema()},
		mapping.Env{Files: files, Clock: noon},
	)
}

func mustCompile(t testing.TB, src string) *mapping.Target {
	t.Helper()
	target, diags := compile(t, src)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return target
}

const wiki = `
scope = member_of("wiki-users")
account = {
  userName          = lower(person.uid)
  displayName       = person.cn
  "name.givenName"  = person.givenname # the directory does not tell letter case apart
  "name.familyName" = person.sn
  title             = person.title
  emails            = values("mail")
  "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department" = default(person.department, "none")
}
entitlements = [for g in person.groups : g if startswith(g, "wiki-")]
`

func TestTheDesignsOwnMapping(t *testing.T) {
	target := mustCompile(t, wiki)
	in, err := target.InScope(alice(), noon())
	if err != nil || !in {
		t.Fatal(in, err)
	}
	got, err := target.Account(alice(), mapping.Logins{})
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Account{
		UserName: "alice", ExternalID: "8f14e45f", Active: true,
		Attributes: map[string]identity.Value{
			"userName": identity.Text(
				"alice",
			), "displayName": identity.Text("Alice Żółw"), "name.givenName": identity.Text("Alice"),
			"name.familyName": identity.Text("Żółw"), "emails": identity.Texts("a@example.org", "alice@example.org"),
			"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": identity.Text("none"),
		},
		Entitlements: identity.NamedEntitlements("wiki-admins", "wiki-users"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := target.Needs(ldapSchema()), []string{"cn", "department", "givenName", "mail", "sn", "title", "uid"}; !slices.Equal(
		got,
		want,
	) {
		t.Errorf("needs %q, want %q", got, want)
	}
	if !target.NeedsGroups() || target.UsesUnique() || target.Timed() || !target.MapsEntitlements() {
		t.Error("what it depends on is wrong")
	}
	if target.ScopeAt() != "config.hcl:2" || target.At("name.givenName") != "config.hcl:6" || target.At("nickName") != "" {
		t.Error(target.ScopeAt(), target.At("name.givenName"))
	}
}

// values evaluates one expression as the attribute x.
func value(t testing.TB, expr string, p identity.Person, login mapping.Logins) (identity.Value, error) {
	t.Helper()
	a, err := mustCompile(t, "account = { x = "+expr+" }").Account(p, login)
	return a.Attributes["x"], err
}

func TestExpressions(t *testing.T) {
	for expr, want := range map[string]string{
		`person.mail`:                               `"a@example.org"`,
		`values("MAIL")[1]`:                         `"alice@example.org"`,
		`person.title`:                              ``,
		`person.dn`:                                 `"uid=alice,ou=Staff,ou=people,dc=example,dc=org"`,
		`"${person.source}/${person.anchor}"`:       `"corp/8f14e45f"`,
		`person.active`:                             `true`,
		`person.employeeNumber`:                     `"007"`,
		`length(person.groups)`:                     `3`,
		`{ value = person.uid, primary = true }`:    `{"primary":true,"value":"Alice"}`,
		`[for m in values("mail") : { value = m }]`: `[{"value":"a@example.org"},{"value":"alice@example.org"}]`,
		`member_of("CN=Wiki-Users, OU=Groups,DC=example,DC=org")`:                  `true`,
		`member_of("WIKI-users")`:                                                  `true`,
		`member_of("wiki")`:                                                        `false`,
		`normalize("Åsa Strauß-Ørsted Æbeløe Łódź")`:                               `"Asa Strauss-Orsted AEbeloe Lodz"`,
		`lower(normalize(person.sn))`:                                              `"zolw"`,
		`concat_ws(" ", person.givenName, person.title, person.sn)`:                `"Alice Żółw"`,
		`concat_ws(",", person.title)`:                                             ``,
		`concat_ws(", ", "x", values("mail"))`:                                     `"x, a@example.org, alice@example.org"`,
		`first(values("mail"))`:                                                    `"a@example.org"`,
		`first(values("title"))`:                                                   ``,
		`default(person.title, "none")`:                                            `"none"`,
		`default(values("title"), ["none"])`:                                       `["none"]`,
		`coalesce(person.title, person.uid)`:                                       `"Alice"`,
		`try(tonumber(person.uid), "no number")`:                                   `"no number"`,
		`can(tonumber(person.uid))`:                                                `false`,
		`lookup({ a = "x", Alice = "y" }, person.uid, "z")`:                        `"y"`,
		`lookup({ a = "x" }, person.title, "z")`:                                   `"z"`,
		`lookup({ a = "x" }, person.uid)`:                                          ``,
		`phone(person.telephoneNumber, "DE")`:                                      `"+4930901820"`,
		`phone(person.title, "DE")`:                                                ``,
		`now()`:                                                                    `"2026-03-01T12:00:00Z"`,
		`date_parse(person.accountExpires)`:                                        `"2025-01-01T00:00:00Z"`,
		`date_after(now(), person.accountExpires)`:                                 `true`,
		`date_before(now(), person.accountExpires)`:                                `false`,
		`date_after(now(), person.title)`:                                          `false`,
		`date_add(now(), "30d")`:                                                   `"2026-03-31T12:00:00Z"`,
		`date_format("20260301120000Z", "YYYY-MM-DD")`:                             `"2026-03-01"`,
		`dn_part(person.dn, "OU")`:                                                 `"Staff"`,
		`dn_part(person.dn, "ou", 1)`:                                              `"people"`,
		`dn_part(person.dn, "ou", -1)`:                                             `"people"`,
		`dn_part(person.dn, "ou", 2)`:                                              ``,
		`dn_part(person.manager, "cn")`:                                            ``,
		`guid("M0RVZneImaq7zN3u/wARIg==")`:                                         `"66554433-8877-aa99-bbcc-ddeeff001122"`,
		`sid("AQUAAAAAAAUVAAAAFcdbB6QH2rIGvrRfUAQAAA==")`:                          `"S-1-5-21-123455253-3000633252-1605680646-1104"`,
		`regex("^[^@]+", person.mail)`:                                             `"a"`,
		`join("-", sort(values("mail")))`:                                          `"a@example.org-alice@example.org"`,
		`jsondecode("{\"a\":[1,2]}")`:                                              `{"a":[1,2]}`,
		`title(lower("ALICE"))`:                                                    `"Alice"`,
		`format("%s.%03d", lower(person.uid), 7)`:                                  `"alice.007"`,
		`startswith(person.uid, "A") && !endswith(person.uid, "x") ? "yes" : "no"`: `"yes"`,
		`person["userCertificate;binary"]`:                                         ``,
		`person.msDS-x1`:                                                           ``,
		`""`:                                                                       ``,
	} {
		got, err := value(t, expr, alice(), mapping.Logins{})
		if err != nil || string(got) != want {
			t.Errorf("%s = %s %v, want %s", expr, got, err, want)
		}
	}
}

func TestUniqueLogin(t *testing.T) {
	const account = `unique_login(person.title, lower(person.givenName), "${lower(person.givenName)}{n}")`
	taken := func(logins ...string) func(string) (bool, error) {
		return func(login string) (bool, error) { return slices.Contains(logins, login), nil }
	}
	for _, c := range []struct {
		name  string
		login mapping.Logins
		want  string
	}{
		{"nobody has it", mapping.Logins{Taken: taken()}, "alice"},
		{"nobody can say", mapping.Logins{}, "alice"},
		{"two have it", mapping.Logins{Taken: taken("alice", "alice2")}, "alice3"},
		{"the person has one", mapping.Logins{Current: "Ally", Taken: taken("Ally")}, "Ally"},
	} {
		got, err := value(t, account, alice(), c.login)
		if err != nil || got.Text() != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, got, err, c.want)
		}
	}
	cause := errors.New("no answer")
	_, err := value(t, account, alice(), mapping.Logins{Taken: func(string) (bool, error) { return false, cause }})
	if !errors.Is(err, cause) {
		t.Errorf("the cause is lost: %v", err)
	}
	if _, err = value(t, `unique_login(person.uid)`, alice(), mapping.Logins{Taken: taken("Alice")}); err == nil ||
		!strings.Contains(err.Error(), "{n}") {
		t.Errorf("all taken: %v", err)
	}
	if !mustCompile(t, "account = { userName = "+account+" }").UsesUnique() {
		t.Error("UsesUnique is false")
	}
}

func TestErrorsOfOurOwnFunctionsSayWhy(t *testing.T) {
	for expr, want := range map[string]string{
		`phone("030 1", person.cn)`:             "phone(): the default region is not a country's two letters in use with phone()",
		`date_add(now(), person.uid)`:           "date_add(): the second argument is no duration",
		`date_parse(person.cn)`:                 "date_parse(): this is no date",
		`dn_part(person.uid, "cn")`:             "dn_part(): this is no distinguished name",
		`startswith(person.title, "x")`:         "startswith(): a value is null",
		`date_before(person.uid, "2026-01-01")`: "date_before(): this is no date",
	} {
		if _, err := value(t, expr, alice(), mapping.Logins{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", expr, err, want)
		}
	}
}
