package scim_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A write goes out once. What came of it is in the class of its error, and doing it again ends well (R7).
func TestWritesAreSentOnce(t *testing.T) {
	for name, test := range map[string]struct {
		trouble scimtest.Trouble
		class   error
		wait    time.Duration
		done    bool // the application acted all the same
	}{
		"cut before": {trouble: scimtest.Cut(), class: targets.ErrUnavailable},
		"cut after":  {trouble: scimtest.CutAfter(), class: targets.ErrUnavailable, done: true},
		"cut within": {trouble: scimtest.CutBody(20), class: targets.ErrUnavailable, done: true},
		"busy":       {trouble: scimtest.Answer(429, "{}", "Retry-After", "17"), class: targets.ErrUnavailable, wait: 17 * time.Second},
		"busy, by date": {
			trouble: scimtest.Answer(503, "", "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)),
			class:   targets.ErrUnavailable, wait: time.Hour,
		},
		"down":     {trouble: scimtest.Answer(502, "<html>"), class: targets.ErrUnavailable},
		"rejected": {trouble: scimtest.Answer(400, `{"detail":"no"}`), class: targets.ErrRejected},
		"refused":  {trouble: scimtest.Answer(401, ""), class: targets.ErrUnauthorized},
		"changed":  {trouble: scimtest.Answer(412, ""), class: targets.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
			target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
			a := everyone(t, target)[0]
			s.Inject(scimtest.Fault{Method: http.MethodPatch, Times: 1, Trouble: test.trouble})
			s.Inject(scimtest.Fault{Method: http.MethodPost, Times: 1, Trouble: test.trouble})
			_, err := target.Disable(t.Context(), a)
			if !errors.Is(err, test.class) || !strings.HasPrefix(fmt.Sprint(err), "disable u000001: ") {
				t.Errorf("disable: %v", err)
			}
			var throttled *targets.ThrottledError
			if errors.As(err, &throttled) && (throttled.RetryAfter > test.wait || throttled.RetryAfter < test.wait-5*time.Second) {
				t.Errorf("to wait %v, want %v", throttled.RetryAfter, test.wait)
			}
			_, _, err = target.Create(t.Context(), wanted(1))
			if !errors.Is(err, test.class) {
				t.Errorf("create: %v", err)
			}
			if s.Writes() != 2 {
				t.Errorf("%d writes were sent for two", s.Writes())
			}
			if doc := s.User(t, string(a.ID)); (doc["active"] == false) != test.done {
				t.Errorf("the application holds %v", doc["active"])
			}
			if _, err := target.Disable(t.Context(), a); err != nil {
				t.Errorf("disable again: %v", err)
			}
			_, _, err = target.Create(t.Context(), wanted(1))
			if test.done != errors.Is(err, targets.ErrConflict) || !test.done && err != nil {
				t.Errorf("create again: %v", err)
			}
			if found, err := target.Find(t.Context(), "userName", wanted(1).UserName); err != nil || len(found) != 1 {
				t.Errorf("the account is there %d times, %v", len(found), err)
			}
		})
	}
}

// An empty answer to a filter proves nothing where the filter is not understood.
func TestFindTrustsNoEmptyAnswer(t *testing.T) {
	for name, quirks := range map[string]scimtest.Quirks{
		"filters work":              {},
		"200 and nothing":           {SilentFilters: true},
		"200 and everyone":          {IgnoreFilters: true, PageCap: 10},
		"400":                       {RefuseFilters: true},
		"names letter by letter":    {ExactNames: true},
		"silent, and letter by":     {ExactNames: true, SilentFilters: true},
		"page one again, no filter": {IgnoreFilters: true, FirstPastEnd: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scimtest.StartFast(t, 30, quirks)
			target := open(t, s.Block(), targets.Need{Paths: []string{"displayName", "emails", "externalId", "userName"}})
			for _, want := range []struct {
				attribute, value string
				n                int
			}{
				{"userName", "u000017", 1},
				{"userName", "U000017", 1},
				{"externalId", "e000017", 1},
				{"externalId", "E000017", 0},
				{"emails", "u000017@example.org", 1},
				{"emails", "U000017@Example.org", 1},
				{"displayName", "person 17", 1},
				{"id", "10000017", 1},
				{"id", "99", 0},
				{"userName", "nobody", 0},
				{"externalId", "nobody", 0},
				{"emails", "nobody", 0},
				{"displayName", `Person "17"`, 0},
			} {
				found, err := target.Find(t.Context(), want.attribute, want.value)
				if err != nil || len(found) != want.n {
					t.Errorf("%s %s: %d found, want %d, %v", want.attribute, want.value, len(found), want.n, err)
				}
			}
			if a, _, err := target.Create(t.Context(), wanted(1)); err != nil {
				t.Error(err)
			} else if found, err := target.Find(t.Context(), "externalId", a.ExternalID); err != nil || len(found) != 1 {
				t.Errorf("made just now: %v, %v", found, err)
			}
		})
	}
}

func TestFindWhenFiltersBreakTheList(t *testing.T) {
	for _, answer := range []string{`{}`, `{"id":"1","userName":"x"}`, `{"totalResults":30,"Resources":[]}`, `[]`} {
		s, _ := scimtest.StartFast(t, 30, scimtest.Quirks{})
		s.Inject(scimtest.Fault{
			Match:   func(r *http.Request) bool { return r.URL.Query().Has("filter") },
			Trouble: scimtest.Answer(200, answer, "Content-Type", "application/scim+json"),
		})
		target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
		for value, n := range map[string]int{"u000017": 1, "nobody": 0} {
			if found, err := target.Find(t.Context(), "userName", value); err != nil || len(found) != n {
				t.Errorf("%s: %s: %v, %v", answer, value, found, err)
			}
		}
	}
	s, _ := scimtest.StartFast(t, 30, scimtest.Quirks{})
	s.Inject(scimtest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Has("filter") }, Trouble: scimtest.Answer(403, "")})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
	if _, err := target.Find(t.Context(), "userName", "u000017"); !errors.Is(err, targets.ErrUnauthorized) {
		t.Errorf("a right that is missing: %v", err)
	}
}

// A full scan serves many lookups, so that a thousand joiners do not list the application a thousand times.
func TestFindScansOnce(t *testing.T) {
	s, _ := scimtest.StartFast(t, 50, scimtest.Quirks{SilentFilters: true})
	target := open(t, s.Block()+"page_size = 50\n", targets.Need{Paths: []string{"externalId", "userName"}})
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			if _, err := target.Find(t.Context(), "externalId", fmt.Sprint("nobody", n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	lists := 0
	for _, call := range s.Calls() {
		if strings.HasSuffix(call.Path, "/Users") && !strings.Contains(call.Query, "filter=") {
			lists++
		}
	}
	if lists > 90 { // each of the first few may look for a specimen at the same time
		t.Errorf("%d lists for 40 lookups", lists)
	}
}

func TestGroups(t *testing.T) {
	names := []string{"admins", "editors"}
	for name, test := range map[string]struct {
		quirks  scimtest.Quirks
		profile string
		is      error
	}{
		"as the RFC has it":                {},
		"the old form, understood":         {profile: "entra"},
		"the old form, taking out all":     {profile: "entra", quirks: scimtest.Quirks{RemoveAll: true}, is: targets.ErrRejected},
		"filters by member answer nothing": {quirks: scimtest.Quirks{SilentFilters: true}},
		"filters by member answer all":     {quirks: scimtest.Quirks{IgnoreFilters: true}},
		"filters are refused":              {quirks: scimtest.Quirks{RefuseFilters: true}},
		"PUT alone":                        {quirks: scimtest.Quirks{NoPatch: true, ETag: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scimtest.StartFast(t, 5, test.quirks)
			admins := s.AddGroup(t, "admins", "10000001", "10000002", "10000003")
			editors := s.AddGroup(t, "editors", "10000001")
			block := s.Block()
			if test.profile != "" {
				block += fmt.Sprintf("profile = %q\n", test.profile)
			}
			target := open(t, block, targets.Need{Paths: []string{"userName"}, Entitlements: true})
			want := map[identity.AccountID][]string{"10000001": names, "10000002": names[:1], "10000003": names[:1], "10000004": {}, "10000005": {}}
			for _, a := range everyone(t, target) {
				read, err := target.Entitlements(t.Context(), identity.Account{ID: a.ID})
				if err != nil || !slices.Equal(identity.EntitlementNames(a.Entitlements), want[a.ID]) ||
					!slices.Equal(identity.EntitlementNames(read.Entitlements), want[a.ID]) {
					t.Errorf("%s has %q in the list, %q read alone, want %q, %v", a.ID, a.Entitlements, read.Entitlements, want[a.ID], err)
				}
			}
			after, _, err := target.Update(t.Context(), identity.Account{ID: "10000001", UserName: "u000001"}, identity.Delta{Withdraw: identity.NamedEntitlements(names...)})
			if !errors.Is(err, test.is) || test.is == nil && (err != nil || len(after.Entitlements) > 0) {
				t.Errorf("strip: %v, %v", after, err)
			}
			if got := s.Members(t, admins); !slices.Equal(got, []string{"10000002", "10000003"}) {
				t.Errorf("the others are not left alone: %v", got)
			}
			if got := s.Members(t, editors); len(got) > 0 {
				t.Errorf("still there: %v", got)
			}
		})
	}
}

// A group that was made anew under its old name is found again.
func TestAGroupMadeAnew(t *testing.T) {
	s, _ := scimtest.StartFast(t, 2, scimtest.Quirks{})
	old := s.AddGroup(t, "admins")
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
	grant := func(id identity.AccountID) error {
		_, _, err := target.Update(t.Context(), identity.Account{ID: id}, identity.Delta{Grant: identity.NamedEntitlements("admins")})
		return err
	}
	if err := grant("10000001"); err != nil {
		t.Fatal(err)
	}
	s.Raw(t, http.MethodDelete, "/Groups/"+old, nil)
	anew := s.AddGroup(t, "admins")
	if err := grant("10000002"); err != nil || !slices.Equal(s.Members(t, anew), []string{"10000002"}) {
		t.Errorf("%v, %v", s.Members(t, anew), err)
	}
	s.Raw(t, http.MethodDelete, "/Groups/"+anew, nil)
	if err := grant("10000001"); !errors.Is(err, targets.ErrRejected) || errors.Is(err, targets.ErrNotFound) {
		t.Errorf("a group that is gone: %v", err)
	}
	if _, _, err := target.Update(t.Context(), identity.Account{ID: "10000002"}, identity.Delta{Withdraw: identity.NamedEntitlements("admins")}); err != nil {
		t.Errorf("out of a group that is gone: %v", err)
	}
}

// R8: a 200 is no proof. The application that keeps the text "False" is told apart by reading back.
func TestR08ATextIsNotFalse(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{StoreText: true})
	s.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: func(w http.ResponseWriter, r *http.Request, _ http.Handler) { w.WriteHeader(200) }})
	target := open(t, s.Block(), targets.Need{Paths: []string{"userName"}})
	a := everyone(t, target)[0]
	if _, err := target.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if now, err := target.Account(t.Context(), a.ID); err != nil || !now.Active {
		t.Errorf("nothing was written, and it counts as closed: %v", err)
	}
	s.Clear()
	s.Patch(t, "/Users/"+string(a.ID), "replace", "active", "False")
	if now, err := target.Account(t.Context(), a.ID); err != nil || !now.Active {
		t.Errorf(`the text "False" counts as closed: %v`, err)
	}
}

func TestETags(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{ETag: true})
	target := open(t, s.Block(), targets.Need{Paths: []string{"displayName", "userName"}})
	a := everyone(t, target)[0]
	delta := identity.Delta{Attributes: []identity.AttributeChange{{Path: "displayName", Before: a.Get("displayName"), After: identity.Text("New")}}}
	s.Patch(t, "/Users/"+string(a.ID), "replace", "title", "changed behind our back")
	if _, _, err := target.Update(t.Context(), a, delta); !errors.Is(err, targets.ErrConflict) {
		t.Errorf("an account that changed meanwhile: %v", err)
	}
	if _, err := target.Disable(t.Context(), a); err != nil {
		t.Errorf("a leaver is closed whatever happened meanwhile: %v", err)
	}
	now, err := target.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if after, _, err := target.Update(t.Context(), now, delta); err != nil || after.Version == now.Version || after.Get("displayName") != identity.Text("New") {
		t.Errorf("%+v, %v", after, err)
	}
}

// An application that cannot describe itself today is asked again, and used meanwhile.
func TestDescriptionsThatFail(t *testing.T) {
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{NoPatch: true})
	opened := openTarget(t, s.Block(), targets.Need{Paths: []string{"userName"}})
	for _, answer := range []scimtest.Trouble{
		scimtest.Answer(500, ""),
		scimtest.Answer(404, "<h1>404 Not Found</h1>", "Content-Type", "text/html"), // which something in front of it says
	} {
		s.Clear()
		s.Inject(scimtest.Fault{Path: "/ServiceProviderConfig", Trouble: answer})
		if _, err := opened.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.Clear()
	s.Inject(scimtest.Fault{Path: "/ServiceProviderConfig", Times: 1, Trouble: scimtest.Answer(503, "")})
	if _, err := opened.Begin(t.Context()); !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("an application that is down: %v", err)
	}
	target := begin(t, opened)
	for range 3 {
		if _, err := target.Disable(t.Context(), identity.Account{ID: "10000001"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Count("", "/ServiceProviderConfig"); n != 6 { // 500 and 404, each with the other name, 503, and the good one
		t.Errorf("asked %d times", n)
	}
}

func TestDeleteIsRefusedWhereItDestroysMore(t *testing.T) {
	s, f := scimtest.StartFast(t, 1, scimtest.Quirks{})
	for block, allowed := range map[string]bool{"profile = \"github\"\n": false, "profile = \"salesforce\"\n": false, "profile = \"github\"\nallow_delete = true\n": true} {
		target := open(t, s.Block()+block, targets.Need{Paths: []string{"userName"}})
		if can := target.Capabilities(); can.Delete != allowed || !can.Disable || len(target.Closing()) > 0 {
			t.Errorf("%s: %+v", block, can)
		}
		if !allowed {
			if _, err := target.Delete(t.Context(), identity.Account{ID: "10000001"}); !errors.Is(err, targets.ErrRejected) {
				t.Errorf("%s: %v", block, err)
			}
		}
	}
	if n, _ := f.Len(); n != 1 || s.Count(http.MethodDelete, "") != 0 {
		t.Error("deleted")
	}
}

func TestCheckTellsWhatIsOdd(t *testing.T) {
	for name, test := range map[string]struct {
		quirks scimtest.Quirks
		want   string
	}{
		"sound":       {scimtest.Quirks{}, "finds accounts by userName"},
		"undeclared":  {scimtest.Quirks{Undeclared: true}, "warning: no ServiceProviderConfig"},
		"texts":       {scimtest.Quirks{StoreText: true}, `warning: 3 accounts show the text "False" as active`},
		"filters":     {scimtest.Quirks{SilentFilters: true}, "no proof that a filter for externalId works"},
		"letter case": {scimtest.Quirks{ExactNames: true}, "in the very letter case only"},
		"hidden":      {scimtest.Quirks{HiddenMembers: true}, "warning: none of 1 groups shows a member"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := scimtest.StartFast(t, 3, test.quirks)
			s.AddGroup(t, "admins", "10000001")
			for id := range 3 {
				if test.quirks.StoreText {
					s.Patch(t, fmt.Sprintf("/Users/1000000%d", id+1), "replace", "active", "False")
				}
			}
			target := openTarget(t, s.Block(), targets.Need{Paths: []string{"userName"}, Entitlements: true})
			steps, err := target.(targets.Checker).Check(t.Context()) //nolint:forcetypeassert // it is one
			if all := strings.Join(steps, "\n"); err != nil || !strings.Contains(all, test.want) {
				t.Errorf("%v\n%s", err, all)
			}
			for _, c := range s.Calls() {
				if c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "/Users/dirsweep-check-no-such-account") {
					t.Errorf("check wrote: %s %s", c.Method, c.Path)
				}
			}
		})
	}
	s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
	target := openTarget(t, fmt.Sprintf("url = %q\nbearer_token = \"wrong\"\n", s.URL()), targets.Need{})
	if _, err := target.(targets.Checker).Check(t.Context()); !errors.Is(err, targets.ErrUnauthorized) { //nolint:forcetypeassert // it is one
		t.Errorf("a wrong token: %v", err)
	}
}

// A burst is answered with 429 and X-Retry-After by better-auth: the list waits and is whole.
func TestThrottledByAnApplication(t *testing.T) {
	s := scimtest.StartBetterAuth(t, 8)
	for n := range 3 {
		s.AddUser(t, fmt.Sprint("user", n), nil)
	}
	target := open(t, s.Block()+"page_size = 1\n", targets.Need{Paths: []string{"userName"}})
	if all := everyone(t, target); len(all) != 3 {
		t.Errorf("%d of 3 came", len(all))
	}
}
