package scim

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

func bare(t testing.TB, p profile, url string, paths ...string) *target {
	t.Helper()
	opened, err := (&spec{url: url, profile: p}).Open(targets.Need{Paths: paths, Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	return opened.(*target) //nolint:forcetypeassert // Open makes no other
}

func profileNamed(t testing.TB, name string) profile {
	t.Helper()
	for _, p := range profiles() {
		if p.name == name {
			return p
		}
	}
	if name != "" {
		t.Fatalf("no profile %q", name)
	}
	return profile{}
}

// What one change looks like on the wire.
func TestOperations(t *testing.T) {
	text, list := identity.Text, identity.Texts
	for _, test := range []struct {
		profile       string
		path          string
		before, after identity.Value
		want          string
	}{
		{"", "active", "true", "false", `{"op":"replace","path":"active","value":false}`},
		{"okta", "active", "true", "false", `{"op":"replace","value":{"active":false}}`},
		{"entra", "active", "true", "false", `{"op":"Replace","path":"active","value":"False"}`},
		{"gitlab", "active", "false", "true", `{"op":"Replace","path":"active","value":true}`},
		{"", "displayName", text("A"), text("B"), `{"op":"replace","path":"displayName","value":"B"}`},
		{"", "displayName", text("A"), "", `{"op":"remove","path":"displayName"}`},
		{"okta", "displayName", text("A"), "", `{"op":"remove","path":"displayName"}`},
		{"entra", "displayName", text("A"), "", `{"op":"Remove","path":"displayName"}`},
		{"", "name.givenName", "", text("B"), `{"op":"replace","path":"name.givenName","value":"B"}`},
		{"okta", "name.givenName", "", text("B"), `{"op":"replace","value":{"name.givenName":"B"}}`},
		{"", "emails", "", list("a@x", "b@x"), `{"op":"replace","path":"emails","value":[{"primary":true,"value":"a@x"},{"value":"b@x"}]}`},
		{"aws", "emails", "", list("a@x", "b@x"), `{"op":"replace","path":"emails","value":[{"primary":true,"value":"a@x"}]}`},
		{"", "phoneNumbers", "", text("+1"), `{"op":"replace","path":"phoneNumbers","value":[{"primary":true,"value":"+1"}]}`},
		{"", `emails[type eq "work"].value`, "", text("a@x"), `{"op":"add","path":"emails","value":[{"type":"work","value":"a@x"}]}`},
		{"", `emails[type eq "work"].value`, text("b@x"), text("a@x"), `{"op":"replace","path":"emails[type eq \"work\"].value","value":"a@x"}`},
		{"", `emails[type eq "work"].value`, text("b@x"), "", `{"op":"remove","path":"emails[type eq \"work\"]"}`},
		{"", "department", text("R&D"), text("Sales"), `{"op":"replace","path":"` + enterpriseSchema + `:department","value":"Sales"}`},
		{"okta", "department", text("R&D"), text("Sales"), `{"op":"replace","value":{"` + enterpriseSchema + `:department":"Sales"}}`},
		{"", "manager", "", text("42"), `{"op":"replace","path":"` + enterpriseSchema + `:manager","value":{"value":"42"}}`},
		{"entra", "manager", "", text("42"), `{"op":"Replace","path":"` + enterpriseSchema + `:manager","value":"42"}`},
	} {
		target := bare(t, profileNamed(t, test.profile), "http://127.0.0.1:1")
		ops, err := target.operations([]identity.AttributeChange{{Path: test.path, Before: test.before, After: test.after}})
		if err != nil || len(ops) != 1 {
			t.Fatalf("%s: %v, %v", test.path, ops, err)
		}
		got, _ := identity.ParseValue(mustJSON(t, ops[0]))
		want, _ := identity.ParseValue([]byte(test.want))
		if got != want {
			t.Errorf("%s %s %s -> %s:\n got %s\nwant %s", test.profile, test.path, test.before, test.after, got, want)
		}
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is mapped, in the shapes that applications return, is what the plan compares with.
func TestValuesAreReadAsReturned(t *testing.T) {
	doc := `{"id":"1","userName":"Ann","externalId":"a-1","active":true,"name.formatted":"Ann Lee","NAME":{"GivenName":"Ann","familyName":""},
		"emails":[{"value":"ann@x","type":"work","primary":true},{"value":"a@home","type":"home"}],"title":null,"roles":[],
		"` + enterpriseSchema + `":{"department":"R&D","manager":{"value":"42","displayName":"Boss"}},"urn:corp:User:badge":"7"}`
	for name, want := range map[string]identity.Value{
		"userName":                          identity.Text("Ann"),
		"externalId":                        identity.Text("a-1"),
		"name.givenName":                    identity.Text("Ann"),
		"name.familyName":                   "",
		"name.formatted":                    identity.Text("Ann Lee"),
		"title":                             "",
		"roles":                             "",
		"nickName":                          "",
		"emails":                            identity.Texts("a@home", "ann@x"),
		"emails.value":                      identity.Texts("ann@x", "a@home"),
		`emails[type eq "WORK"].value`:      identity.Text("ann@x"),
		"emails[primary eq true].value":     identity.Text("ann@x"),
		"emails[primary eq false].value":    identity.Text("a@home"),
		`emails[type eq "other"].value`:     "",
		"department":                        identity.Text("R&D"),
		"manager":                           identity.Text("42"),
		enterpriseSchema + ":division":      "",
		"urn:corp:User:badge":               identity.Text("7"),
		"urn:corp:User:other":               "",
		enterpriseSchema + ":costCenter":    "",
		enterpriseSchema + ":manager.value": identity.Text("42"),
	} {
		target := bare(t, profile{}, "http://127.0.0.1:1", name)
		var r resource
		if err := json.Unmarshal([]byte(doc), &r); err != nil {
			t.Fatal(err)
		}
		a, err := target.account(r)
		if err != nil || !want.Covers(a.Get(name)) {
			t.Errorf("%s is %s, want %s, %v", name, a.Get(name), want, err)
		}
	}
}

// R8: an account counts as closed where the application holds false, not where it holds a text that says so.
func TestR08ActiveIsReadTyped(t *testing.T) {
	shown := map[string]string{
		`{"id":"1","active":"False"}`: `the text "False"`, `{"id":"1","active":"off"}`: `the text "off"`, `{"id":"1","active":2}`: "the number 2",
		`{"id":"1","active":{}}`: "an object",
	}
	for doc, want := range map[string]map[string]bool{
		`{"id":"1","active":true}`:    {"": true, "entra": true},
		`{"id":"1","active":false}`:   {"": false, "entra": false},
		`{"id":"1","active":"true"}`:  {"": true, "entra": true},
		`{"id":"1","active":"True"}`:  {"": true, "entra": true},
		`{"id":"1","active":"False"}`: {"": true, "entra": false},
		`{"id":"1","active":"off"}`:   {"": true, "entra": true},
		`{"id":"1","active":1}`:       {"": true, "entra": true},
		`{"id":"1","active":0}`:       {"": false, "entra": false},
		`{"id":"1","active":2}`:       {"": true},
		`{"id":"1","active":{}}`:      {"": true},
		`{"id":"1"}`:                  {"": true, "entra": true},
	} {
		for name, active := range want {
			var r resource
			dec := json.NewDecoder(strings.NewReader(doc))
			dec.UseNumber()
			if err := dec.Decode(&r); err != nil {
				t.Fatal(err)
			}
			a, err := bare(t, profileNamed(t, name), "http://127.0.0.1:1").account(r)
			if err != nil || a.Active != active {
				t.Errorf("%s with profile %q: active is %v, %v", doc, name, a.Active, err)
			}
			if name == "" && a.ActiveShown != shown[doc] {
				t.Errorf("%s: said to be %q, want %q", doc, a.ActiveShown, shown[doc])
			}
		}
	}
}

func TestNewResource(t *testing.T) {
	target := bare(t, profile{}, "http://127.0.0.1:1")
	target.spec.userType = "Employee"
	r, err := target.newResource(identity.Account{
		UserName: "ann", ExternalID: "a-1",
		Attributes: map[string]identity.Value{
			"name.givenName": identity.Text("Ann"), "emails": identity.Texts("ann@x"), `phoneNumbers[type eq "mobile"].value`: identity.Text("+1"),
			"department": identity.Text("R&D"), "urn:corp:User:badges": identity.Texts("1", "2"), "title": "",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schemas":["` + userSchema + `","` + enterpriseSchema + `","urn:corp:User"],"active":true,"userName":"ann","externalId":"a-1",
		"userType":"Employee","name":{"givenName":"Ann"},"emails":[{"value":"ann@x","primary":true}],"phoneNumbers":[{"type":"mobile","value":"+1"}],
		"` + enterpriseSchema + `":{"department":"R&D"},"urn:corp:User":{"badges":["1","2"]}}`
	var have, expect any
	if json.Unmarshal(mustJSON(t, r), &have) != nil || json.Unmarshal([]byte(want), &expect) != nil {
		t.Fatal("not JSON")
	}
	if diff := cmp.Diff(expect, have); diff != "" {
		t.Error(diff)
	}
}

// Whatever bytes a list is made of: no panic, and what is yielded has an id, once.
func FuzzList(f *testing.F) {
	for _, doc := range []string{
		`{"totalResults":2,"Resources":[{"id":"1","userName":"a"},{"id":2}]}`, `{"Resources":null,"totalResults":"0"}`, `{"resources":[{"id":""}]}`,
		`{"totalResults":1e3}`, `[`, `{"Resources":{}}`, `{"totalResults":1,"Resources":[{"id":"1","emails":[[[{}]]],"active":{"a":1}}],"nextCursor":7}`,
	} {
		f.Add([]byte(doc))
	}
	target := bare(f, profile{}, "http://127.0.0.1:1", "emails", "name.givenName", "department", `emails[type eq "work"].value`)
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := map[identity.AccountID]bool{}
		l := &listing{t: target, seen: map[key]uint32{}, request: 1, yield: func(r resource) error {
			if r.id() == "" || seen[r.id()] {
				t.Errorf("id %q came twice, or is none", r.id())
			}
			seen[r.id()] = true
			a, err := target.account(r)
			if err == nil && a.ID != r.id() {
				t.Errorf("%+v", a)
			}
			return nil
		}}
		w, p := &walk{first: 1, total: -1}, page{total: -1}
		err := p.read(whole{bytes.NewReader(text)}, func(r resource) error { return l.entry(w, &p, 1, r) })
		if err == nil && (w.distinct != len(seen) || p.total < 0 && !p.hasResources) {
			t.Errorf("%+v, %+v, %d yielded", w, p, len(seen))
		}
	})
}

type whole struct{ *bytes.Reader }

func (whole) Renew() {}
