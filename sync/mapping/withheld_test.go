package mapping_test

import (
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

// TestR12WhatCannotBeReadIsNeitherWrittenNorCleared: an attribute that is there and is no text is not an absent
// one, whatever default(), try() and comparisons with null would make of that.
func TestR12WhatCannotBeReadIsNeitherWrittenNorCleared(t *testing.T) {
	p := alice()
	delete(p.Attributes, "title")
	p.Unreadable = []string{"title"}
	target := mustCompile(t, `account = {
  userName    = person.uid
  displayName = default(person.title, person.cn)
  title       = person.TITLE
  nickName    = try(values("title")[0], "x")
  userType    = person.title == null ? "none" : "some"
  locale      = person.cn
}
entitlements = [for t in values("title") : t]`)
	a, err := target.Account(p, mapping.Logins{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"displayName", "title", "nickName", "userType", "entitlements"} {
		if !a.Withholds(path) || a.Attributes[path] != "" {
			t.Errorf("%s: %q, withheld %+v", path, a.Attributes[path], a.Withheld)
		}
	}
	if len(a.Withheld) != 5 || a.Entitlements != nil || a.Attributes["locale"] == "" || a.UserName != "Alice" {
		t.Errorf("the rest: %+v", a)
	}
	if w := a.Withheld[0]; !strings.Contains(w.Reason, "config.hcl:3: displayName of") ||
		!strings.Contains(w.Reason, "title holds bytes that are not UTF-8") {
		t.Errorf("%+v", w)
	}
	for _, src := range []string{
		"account = { userName = person.title }", "account = {\n userName = person.uid\n externalId = person.title\n}",
	} {
		if a, err := mustCompile(t, src).Account(p, mapping.Logins{}); err == nil ||
			!strings.Contains(err.Error(), "not UTF-8") {
			t.Errorf("%s: %+v, %v", src, a, err)
		}
	}
	if in, err := mustCompile(t, "account = { userName = person.uid }\nscope = person.title != \"x\"").InScope(p, noon()); err == nil {
		t.Errorf("in scope by a value that cannot be read: %t", in)
	}
	whole := alice()
	if a, err := target.Account(whole, mapping.Logins{}); err != nil || len(a.Withheld) > 0 {
		t.Errorf("%+v, %v", a.Withheld, err)
	}
	if p.Fingerprint() == alice().Fingerprint() {
		t.Error("an unreadable value is not seen")
	}
}

func TestR12ADistinguishedNameIsNoID(t *testing.T) {
	p := alice()
	p.Attributes["manager"] = []string{"uid=boss,ou=people,dc=example,dc=org"}
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:"
	for _, c := range []struct {
		path, expr string
		withheld   bool
	}{
		{"manager", `person.manager`, true},
		{enterprise + "manager", `person.manager`, true},
		{enterprise + "manager", `{ value = person.manager }`, true},
		{enterprise + "manager.value", `person.manager`, true},
		{enterprise + "manager.value", `dn_part(person.manager, "uid")`, false},
		{enterprise + "manager.value", `person.title`, false},
		{"manager", `"a=b"`, false},
		{"custom", `person.manager`, false}, // the config asks for it, and nothing says that it is an id
	} {
		src := "account = {\n userName = person.uid\n \"" + c.path + "\" = " + c.expr + "\n}"
		a, err := mustCompile(t, src).Account(p, mapping.Logins{})
		if err != nil || a.Withholds(c.path) != c.withheld {
			t.Errorf("%s = %s: %+v, %v", c.path, c.expr, a.Withheld, err)
		}
		if c.withheld && a.Attributes[c.path] != "" {
			t.Errorf("%s = %s is written: %s", c.path, c.expr, a.Attributes[c.path])
		}
	}
}
