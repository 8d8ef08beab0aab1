package scim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
	"github.com/dirsweep/dirsweep/targets/targettest"
)

const department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"

var paths = []string{"displayName", "emails", "externalId", "name.familyName", "name.givenName", "title", department, "userName"}

func TestElimity(t *testing.T) {
	suite(t, "", func(t *testing.T) *scimtest.Server { return scimtest.StartElimity(t) })
}

func TestSCIMMY(t *testing.T) {
	suite(t, "", func(t *testing.T) *scimtest.Server { return scimtest.StartSCIMMY(t) }, proxied()...)
}

func TestBetterAuth(t *testing.T) {
	suite(t, "", func(t *testing.T) *scimtest.Server { return scimtest.StartBetterAuth(t, 0) }, proxied()...)
}

func TestDialects(t *testing.T) {
	for name, quirks := range map[string]scimtest.Quirks{
		"okta":     {},
		"okta-put": {NoPatch: true},
		"entra":    {TextBooleans: true},
		"slack":    {PageCap: 3},
		"":         {ETag: true, NoBody: true, PageCap: 7, SilentFilters: true},
	} {
		t.Run("profile "+name, func(t *testing.T) {
			suite(t, name, func(t *testing.T) *scimtest.Server {
				s, _ := scimtest.StartFast(t, 0, quirks)
				return s
			})
		})
	}
	t.Run("cursor", func(t *testing.T) {
		suite(t, "", func(t *testing.T) *scimtest.Server {
			s, _ := scimtest.StartFast(t, 0, scimtest.Quirks{Cursor: true, PageCap: 4, RefuseFilters: true, NoPatch: true, ETag: true})
			return s
		})
	})
}

func suite(t *testing.T, profile string, start func(t *testing.T) *scimtest.Server, leaky ...goleak.Option) {
	targettest.Run(t, func(t *testing.T) *targettest.Harness { return harness(t, profile, start(t), leaky...) })
}

// proxied are the goroutines by which the test's own proxy keeps connections to a server on Node.
func proxied() []goleak.Option {
	return []goleak.Option{goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")}
}

func harness(t *testing.T, profile string, s *scimtest.Server, leaky ...goleak.Option) *targettest.Harness {
	groups := map[string]string{}
	for _, name := range []string{"wiki-admins", `wiki "editors"`} {
		groups[name] = s.AddGroup(t, name)
	}
	need := targets.Need{Paths: paths, Entitlements: true}
	block := s.Block()
	if profile != "" {
		block += fmt.Sprintf("profile = %q\n", profile)
	}
	return &targettest.Harness{
		Open: func(t *testing.T) targets.Target { return openTarget(t, block, need) },
		Intruder: func(t *testing.T) targets.Target {
			return openTarget(t, fmt.Sprintf("url = %q\nbearer_token = %q\n", s.URL(), "not-the-token"), need)
		},
		Want: wanted,
		Text: "displayName", Clearable: "title", FindBy: []string{"externalId", "emails"},
		Look: func(t *testing.T, id identity.AccountID) (identity.Account, bool) { return look(t, s, groups, id) },
		Meddle: func(t *testing.T, id identity.AccountID) func() bool {
			s.Change(t, string(id), func(doc map[string]any) { doc["locale"] = "de-DE" })
			return func() bool {
				doc := s.User(t, string(id))
				return doc["locale"] == "de-DE" && len(doc["emails"].([]any)) == 2
			}
		},
		Lists: func() (n int) {
			for _, call := range s.Calls() {
				if call.Method == "GET" && (strings.HasSuffix(call.Path, "/Users") || strings.HasSuffix(call.Path, "/Groups")) {
					n++
				}
			}
			return n
		},
		Groups: []string{"wiki-admins", `wiki "editors"`}, Conflicts: true,
		Leaky: append(leaky, goleak.IgnoreAnyFunction("net/http.(*Server).Serve"), goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
			goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead")),
	}
}

func wanted(n int) identity.Account {
	name := fmt.Sprintf("user%03d", n)
	return identity.Account{
		UserName: name, ExternalID: "anchor-" + name, Active: true,
		Attributes: map[string]identity.Value{
			"displayName": identity.Text("Person " + name), "name.givenName": identity.Text("Ann"), "name.familyName": identity.Text("Lee"),
			"emails": identity.Texts(name+"@example.org", name+".second@example.org"), "title": identity.Text("Engineer"),
			department: identity.Text("R&D"),
		},
	}
}

func look(t *testing.T, s *scimtest.Server, groups map[string]string, id identity.AccountID) (identity.Account, bool) {
	t.Helper()
	doc := s.User(t, string(id))
	if doc == nil {
		return identity.Account{}, false
	}
	a := identity.Account{ID: id, Active: doc["active"] == true || doc["active"] == "True", Attributes: map[string]identity.Value{}, Entitlements: []identity.Entitlement{}}
	a.UserName, _ = doc["userName"].(string)
	for _, path := range []string{"displayName", "title"} {
		if text, _ := doc[path].(string); text != "" {
			a.Attributes[path] = identity.Text(text)
		}
	}
	for name, group := range groups {
		if slices.Contains(s.Members(t, group), string(id)) {
			a.Entitlements = append(a.Entitlements, identity.Entitlement{Name: name})
		}
	}
	a.Entitlements = identity.SortedEntitlements(a.Entitlements)
	return a, true
}
