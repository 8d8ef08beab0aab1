package scim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// refuses answers writes whose body holds word as the application would that does not take it.
func refuses(word string, answer scimtest.Trouble) scimtest.Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), word) {
			answer(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func scimError(kind, detail string) scimtest.Trouble {
	return scimtest.Answer(400, fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":%q,"detail":%q}`, kind, detail),
		"Content-Type", "application/scim+json", "X-Request-Id", "r-9")
}

// R9: one attribute's trouble stays at that attribute.
func TestR09ARefusedAttributeHoldsNoOtherBack(t *testing.T) {
	for name, test := range map[string]struct {
		quirks  scimtest.Quirks
		answer  scimtest.Trouble
		refused []string
		err     error
		others  bool // what can be changed is changed
	}{
		"mutability that names it":                {answer: scimError("mutability", "userName is immutable"), refused: []string{"userName"}, others: true},
		"mutability that names nothing":           {answer: scimError("mutability", "this cannot be changed"), refused: []string{"userName"}, others: true},
		"a refusal that names one":                {answer: scimError("invalidValue", "the attribute 'USERNAME' has to be short"), refused: []string{"userName"}, others: true},
		"a refusal that names several":            {answer: scimError("invalidValue", "userName and displayName differ"), err: targets.ErrRejected},
		"a refusal that names none":               {answer: scimError("invalidValue", "no"), err: targets.ErrRejected},
		"a name within another word is no name":   {answer: scimError("invalidValue", "myuserName2 is unknown"), err: targets.ErrRejected},
		"by PUT":                                  {quirks: scimtest.Quirks{NoPatch: true}, answer: scimError("mutability", "userName is immutable"), refused: []string{"userName"}, others: true},
		"a login that another has is no refusal":  {answer: scimError("uniqueness", "userName is taken"), err: targets.ErrConflict},
		"nor is a record that may not be written": {answer: scimtest.Answer(403, `{"detail":"userName: not yours"}`), err: targets.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scimtest.StartFast(t, 1, test.quirks)
			for _, method := range []string{http.MethodPatch, http.MethodPut} {
				s.Inject(scimtest.Fault{Method: method, Trouble: refuses("robert", test.answer)})
			}
			target := open(t, s.Block(), targets.Need{Paths: []string{"displayName", "name.familyName", "userName"}})
			have, err := target.Account(t.Context(), "10000001")
			if err != nil {
				t.Fatal(err)
			}
			delta := identity.Delta{Attributes: []identity.AttributeChange{
				{Path: "displayName", Before: have.Get("displayName"), After: identity.Text("Robert")},
				{Path: "name.familyName", Before: have.Get("name.familyName"), After: identity.Text("Barker")},
				{Path: "userName", Before: have.Get("userName"), After: identity.Text("robert")},
			}}
			after, receipt, err := target.Update(t.Context(), have, delta)
			if !errors.Is(err, test.err) || test.err == nil && err != nil {
				t.Fatalf("%v, want %v", err, test.err)
			}
			var refused []string
			for _, r := range receipt.Refused {
				refused = append(refused, r.Path)
				if r.Why == "" {
					t.Errorf("%s is refused, and nothing says why", r.Path)
				}
			}
			if diff := cmp.Diff(test.refused, refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			doc := s.User(t, "10000001")
			changed := doc["displayName"] == "Robert" && doc["name"].(map[string]any)["familyName"] == "Barker" //nolint:forcetypeassert // it was filled so
			if changed != test.others || doc["userName"] != "u000001" {
				t.Errorf("the application holds %v", doc)
			}
			if err == nil && (after.UserName != "u000001" || after.Get("displayName") != identity.Text("Robert")) {
				t.Errorf("returned as %+v", after)
			}
		})
	}
}

// Alone, a refused attribute is told and nothing is written; active has to be taken.
func TestARefusalOfOneThing(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	s.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: scimError("mutability", "it is immutable")})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
	have := identity.Account{ID: "10000001", UserName: "u000001"}
	after, receipt, err := target.Update(t.Context(), have, identity.Delta{Attributes: []identity.AttributeChange{
		{Path: "userName", Before: identity.Text("u000001"), After: identity.Text("x")},
	}})
	if err != nil || len(receipt.Refused) != 1 || receipt.RequestID != "r-9" || after.UserName != "u000001" {
		t.Errorf("%+v, %+v, %v", after, receipt, err)
	}
	receipt, err = target.Disable(t.Context(), have)
	var rejected *targets.RejectedError
	if !errors.Is(err, targets.ErrRejected) || !errors.As(err, &rejected) || rejected.Path != "active" || receipt.RequestID != "r-9" {
		t.Errorf("%+v, %v", receipt, err)
	}
}

func TestR09AJoinerIsMadeWithoutWhatIsRefused(t *testing.T) {
	s, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	s.Inject(scimtest.Fault{Method: http.MethodPost, Trouble: refuses("Engineer", scimError("invalidValue", "title is not in the list"))})
	target := open(t, s.Block(), targets.Need{Paths: paths})
	a, receipt, err := target.Create(t.Context(), wanted(1))
	if err != nil || len(receipt.Refused) != 1 || receipt.Refused[0].Path != "title" || a.UserName != "user001" {
		t.Fatalf("%+v, %+v, %v", a, receipt, err)
	}
	if doc := s.User(t, string(a.ID)); doc["displayName"] != "Person user001" || doc["title"] != nil {
		t.Errorf("the application holds %v", doc)
	}
	s.Clear()
	s.Inject(scimtest.Fault{Method: http.MethodPost, Trouble: refuses("user002", scimError("invalidValue", "userName is too short"))})
	second := wanted(2)
	second.Attributes["userName"] = identity.Text(second.UserName)
	if _, _, err := target.Create(t.Context(), second); !errors.Is(err, targets.ErrRejected) {
		t.Errorf("without a login there is no account: %v", err)
	}
}

func TestRequestsAreNamed(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	group := s.AddGroup(t, "admins")
	n := 0
	s.Inject(scimtest.Fault{Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		n++
		w.Header().Set("X-Request-Id", fmt.Sprintf("r-%d", n))
		next.ServeHTTP(w, r)
	}})
	target := open(t, s.Block(), targets.Need{Paths: []string{"displayName", "userName"}, Entitlements: true})
	have := identity.Account{ID: "10000001"}
	delta := identity.Delta{Attributes: []identity.AttributeChange{{Path: "displayName", After: identity.Text("X")}}}
	for name, do := range map[string]func() (targets.Receipt, error){
		"disable": func() (targets.Receipt, error) { return target.Disable(t.Context(), have) },
		"enable":  func() (targets.Receipt, error) { return target.Enable(t.Context(), have, nil) },
		"update": func() (targets.Receipt, error) {
			_, r, err := target.Update(t.Context(), have, delta)
			return r, err
		},
		"grant": func() (targets.Receipt, error) {
			_, r, err := target.Update(t.Context(), have, identity.Delta{Grant: []identity.Entitlement{{ID: group, Name: "admins"}}})
			return r, err
		},
		"create": func() (targets.Receipt, error) {
			_, r, err := target.Create(t.Context(), wanted(1))
			return r, err
		},
	} {
		if r, err := do(); err != nil || r.RequestID == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if r, err := target.Delete(t.Context(), have); err != nil || r.RequestID == "" {
		t.Errorf("delete: %+v, %v", r, err)
	}
	if r, err := target.Delete(t.Context(), have); !errors.Is(err, targets.ErrNotFound) || r.RequestID == "" {
		t.Errorf("delete, refused: %+v, %v", r, err)
	}
}

func TestR08ANumberIsABoolean(t *testing.T) {
	s, _ := scimtest.StartFast(t, 2, scimtest.Quirks{NumericActive: true})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
	if _, err := target.Disable(t.Context(), identity.Account{ID: "10000001"}); err != nil {
		t.Fatal(err)
	}
	for _, a := range everyone(t, target) {
		read, err := target.Account(t.Context(), a.ID)
		if want := a.ID != "10000001"; err != nil || a.Active != want || read.Active != want || read.ActiveShown != "" {
			t.Errorf("%s: listed %v, read %v, %q, %v", a.ID, a.Active, read.Active, read.ActiveShown, err)
		}
	}
}

// R8: what a list leaves out is not empty. Each group is asked, and where that shows nothing either, nothing is known.
func TestR08MembersThatAListLeavesOut(t *testing.T) {
	for name, test := range map[string]struct {
		quirks  scimtest.Quirks
		unknown bool
	}{
		"lists leave members out":    {quirks: scimtest.Quirks{BareGroupLists: true, RefuseFilters: true}},
		"groups show none":           {quirks: scimtest.Quirks{HiddenMembers: true, RefuseFilters: true}, unknown: true},
		"groups show an empty list":  {quirks: scimtest.Quirks{EmptyMembers: true, SilentFilters: true}, unknown: true},
		"and filters show everybody": {quirks: scimtest.Quirks{EmptyMembers: true, IgnoreFilters: true}, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scimtest.StartFast(t, 3, test.quirks)
			admins := s.AddGroup(t, "admins", "10000001", "10000002")
			s.AddGroup(t, "nobody")
			opened := openTarget(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
			target := begin(t, opened)
			for _, a := range everyone(t, target) {
				read, err := target.Entitlements(t.Context(), identity.Account{ID: a.ID})
				if err != nil || a.EntitlementsUnknown != test.unknown || read.EntitlementsUnknown != test.unknown {
					t.Errorf("%s: listed %+v, read %+v, %v", a.ID, a, read, err)
				}
				want := 0
				if a.ID != "10000003" && !test.unknown {
					want = 1
				}
				if len(a.Entitlements) != want || !slices.Equal(a.Entitlements, read.Entitlements) {
					t.Errorf("%s is listed in %v, read in %v, want %d", a.ID, a.Entitlements, read.Entitlements, want)
				}
			}
			// What was granted once can be taken back all the same, and is read back where it can be.
			granted := []identity.Entitlement{{Kind: "group", ID: admins, Name: "admins"}}
			after, _, err := target.Update(t.Context(), identity.Account{ID: "10000001"}, identity.Delta{Withdraw: granted})
			if err != nil || len(after.Entitlements) > 0 || after.EntitlementsUnknown != test.unknown {
				t.Errorf("%+v, %v", after, err)
			}
			removed := slices.ContainsFunc(s.Calls(), func(c scimtest.Call) bool {
				return c.Method == http.MethodPatch && strings.Contains(c.Path, admins) && strings.Contains(c.Body, `members[value eq \"10000001\"]`)
			})
			if !removed {
				t.Error("nothing was sent")
			}
		})
	}
}

// An application that has shown a member shows them: the last one to go is proven gone, and a new pass knows it too.
func TestTheLastMemberOfAll(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	admins := s.AddGroup(t, "admins", "10000001")
	opened := openTarget(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
	if a := everyone(t, begin(t, opened))[0]; len(a.Entitlements) != 1 || a.EntitlementsUnknown {
		t.Fatalf("%+v", a)
	}
	after, _, err := begin(t, opened).Update(t.Context(), identity.Account{ID: "10000001"}, identity.Delta{Withdraw: []identity.Entitlement{{ID: admins, Name: "admins"}}})
	if err != nil || len(after.Entitlements) > 0 || after.EntitlementsUnknown {
		t.Errorf("%+v, %v", after, err)
	}
	if a := everyone(t, begin(t, opened))[0]; len(a.Entitlements) > 0 || a.EntitlementsUnknown {
		t.Errorf("%+v", a)
	}
}

// RFC 7643 §8.7.1: the name of a group is not case-exact.
func TestGroupsAreNamedWithoutLetterCase(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{ExactNames: true})
	for _, name := range []string{"Wiki-Editors", "ops", "OPS", "Team", "TEAM"} {
		s.AddGroup(t, name)
	}
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
	for want, is := range map[string]string{"wiki-editors": "Wiki-Editors", "Wiki-Editors": "Wiki-Editors", "ops": "ops", "OPS": "OPS", "team": "", "none": ""} {
		known, missing, err := target.Resolve(t.Context(), identity.NamedEntitlements(want))
		switch {
		case err != nil || len(known)+len(missing) != 1:
			t.Errorf("%s: %v, %v, %v", want, known, missing, err)
		case is != "" && (len(known) != 1 || known[0].Name != is):
			t.Errorf("%s is %v, %v; want %s", want, known, missing, is)
		case is == "" && len(missing) != 1:
			t.Errorf("%s is %v", want, known)
		}
	}
	if _, missing, err := target.Resolve(t.Context(), []identity.Entitlement{{Kind: "licence", Name: "ops"}}); err != nil || len(missing) != 1 {
		t.Errorf("a licence: %v, %v", missing, err)
	}
}

// A trailing slash that is answered with 307 (frameworks do so): whole collections live one redirect away.
func TestCollectionsBehindARedirect(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	s.Inject(scimtest.Fault{
		Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Users") },
		Trouble: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			to := *r.URL
			to.Path += "/"
			http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
		},
	})
	target := open(t, s.Block(), targets.Need{Paths: paths})
	if _, _, err := target.Create(t.Context(), wanted(1)); err != nil {
		t.Error(err)
	}
	if all := everyone(t, target); len(all) != 2 {
		t.Errorf("%d accounts", len(all))
	}
}

// S11: taking sign-in away and reading that back works while the list of groups hangs.
func TestS11DisableNeedsNoGroups(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	s.Inject(scimtest.Fault{Path: "/Groups", Trouble: scimtest.Cut()})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
	if _, err := target.Disable(t.Context(), identity.Account{ID: "10000001"}); err != nil {
		t.Error(err)
	}
	if a, err := target.Account(t.Context(), "10000001"); err != nil || a.Active {
		t.Errorf("%+v, %v", a, err)
	}
	if found, err := target.Find(t.Context(), "userName", "u000001"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := target.Entitlements(t.Context(), identity.Account{ID: "10000001"}); !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("groups: %v", err)
	}
}

// Where a list shows the members of some groups, those that it shows none of are read by themselves until it is plain
// that they are empty; those that dirsweep has to do with are read in any case.
func TestR08MembersThatAListLeavesOutOfLargeGroups(t *testing.T) {
	s, _ := scimtest.StartFast(t, 4, scimtest.Quirks{GroupListCap: 2, RefuseFilters: true})
	for n := range 5 {
		group := map[string]any{"displayName": fmt.Sprint("empty", n)}
		if status, doc := s.Raw(t, http.MethodPost, "/Groups", group); status != http.StatusCreated {
			t.Fatal(status, doc)
		}
	}
	s.AddGroup(t, "small", "10000004")
	s.AddGroup(t, "large", "10000001", "10000002", "10000003")
	opened := openTarget(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
	large := func() (n int) {
		for _, a := range everyone(t, begin(t, opened)) {
			if identity.HasEntitlement(a.Entitlements, identity.Entitlement{Name: "large"}) {
				n++
			}
		}
		return n
	}
	large()
	s.Reset()
	large()
	if n := s.Count(http.MethodGet, "/Groups/"); n > 0 {
		t.Errorf("%d empty groups are read again in each pass", n)
	}
	if _, _, err := begin(t, opened).Resolve(t.Context(), identity.NamedEntitlements("large")); err != nil {
		t.Fatal(err)
	}
	if n := large(); n != 3 {
		t.Errorf("%d of 3 members are seen of a group that dirsweep grants", n)
	}
}

// That there are no groups is believed from the application alone.
func TestR02NoGroupsBecauseSomethingInFrontSaysSo(t *testing.T) {
	s, _ := scimtest.StartFast(t, 2, scimtest.Quirks{})
	s.AddGroup(t, "admins", "10000001")
	for _, c := range []struct {
		answer scimtest.Trouble
		ok     bool
	}{
		{scimtest.Answer(404, "<h1>404</h1>", "Content-Type", "text/html"), false},
		{scimtest.Answer(404, "", "Content-Type", "application/scim+json"), true},
	} {
		s.Clear()
		s.Inject(scimtest.Fault{Path: "/Groups", Trouble: c.answer})
		target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
		var last error
		for _, err := range target.Accounts(t.Context()) {
			last = err
		}
		if (last == nil) != c.ok {
			t.Errorf("accounts: %v", last)
		}
		if _, _, err := target.Resolve(t.Context(), identity.NamedEntitlements("admins")); (err == nil) != c.ok {
			t.Errorf("resolve: %v", err)
		}
	}
}

// A group that is gone is no account that is gone.
func TestAGroupThatIsGone(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
	gone := []identity.Entitlement{{Kind: "group", ID: "nope"}}
	if _, _, err := target.Update(t.Context(), identity.Account{ID: "10000001"}, identity.Delta{Grant: gone}); !errors.Is(err, targets.ErrRejected) || errors.Is(err, targets.ErrNotFound) {
		t.Errorf("into it: %v", err)
	}
	if _, _, err := target.Update(t.Context(), identity.Account{ID: "10000001"}, identity.Delta{Withdraw: gone}); err != nil {
		t.Errorf("out of it: %v", err)
	}
}

// A look-up is asked for once: repeating it is the session's, and a page's only where a long list would have to begin
// anew.
func TestALookUpIsAskedOnce(t *testing.T) {
	s, _ := scimtest.StartFast(t, 3, scimtest.Quirks{})
	s.Inject(scimtest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Has("filter") }, Trouble: scimtest.Answer(503, "")})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
	s.Reset()
	if _, err := target.Find(t.Context(), "userName", "u000001"); !errors.Is(err, targets.ErrUnavailable) || len(s.Calls()) != 1 {
		t.Errorf("%v after %d requests", err, len(s.Calls()))
	}
}
