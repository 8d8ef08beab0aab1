package reconcile_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// pliant is a company whose application can be changed behind everybody's back.
func pliant(t *testing.T, people int, quirks scimtest.Quirks, extra string) (*lab, *slapdtest.Server, *scimtest.Server, *scimtest.Fast) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: people, Groups: 4})
	app, fast := scimtest.StartFast(t, 0, quirks)
	l := newLab(t)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN()))
	l.application("wiki", app, extra, nil)
	l.run(reconcile.Pass{})
	return l, dir, app, fast
}

// R2: an application that lists far fewer accounts than are linked there is held. Nothing is made again there, and
// nothing counts as gone.
func TestR02AnEmptyTenantIsHeld(t *testing.T) {
	l, dir, app, fast := pliant(t, 30, scimtest.Quirks{}, "")
	fast.Empty()
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	before := app.Writes()
	for range 2 {
		report := l.run(reconcile.Pass{})
		if len(report.Held) != 1 || report.Held[0].Kind != "shrink" || report.Held[0].Target != "wiki" || !strings.Contains(report.Held[0].Reason, "none of the 30") {
			t.Fatalf("held: %+v", report.Held)
		}
		if len(report.Closed) > 0 {
			t.Errorf("proven closed in a tenant that knows nobody: %+v", report.Closed)
		}
		for _, c := range report.Plan.Changes {
			if !c.Op.Sweeps() {
				t.Errorf("%s of %s goes ahead", c.Op, c.UserName)
			}
		}
	}
	if app.Writes() != before || len(app.Users(t)) != 0 {
		t.Errorf("%d writes", app.Writes()-before)
	}
	holds := l.holds()
	if len(holds) != 1 {
		t.Fatalf("holds: %+v", holds)
	}
	if _, err := l.engine().Approve(t.Context(), holds[0].Digest, "ops"); err != nil {
		t.Fatal(err)
	}
	l.run(reconcile.Pass{})
	if got := len(active(t, app)); got != 29 {
		t.Errorf("released, and %d accounts were made, want 29", got)
	}
	if l.full(); len(l.holds()) != 0 {
		t.Errorf("what is over is still held: %+v", l.holds())
	}
}

// R2: three that are missing are no sign of another tenant, in a small application.
func TestR02AFewThatAreMissingAreMadeAgain(t *testing.T) {
	l, _, app, fast := pliant(t, 8, scimtest.Quirks{}, "")
	for n := 1; n <= 3; n++ {
		fast.Remove(app.Users(t)[slapdtest.UID(n)]["id"].(string)) //nolint:forcetypeassert // every account has one
	}
	if report := l.full(); len(findings(report, "missing")) != 3 || len(active(t, app)) != 8 {
		t.Errorf("%d active, %+v", len(active(t, app)), report.Findings)
	}
}

// renumber gives every account another identifier, as a restore does.
func renumber(t *testing.T, app *scimtest.Server, fast *scimtest.Fast) {
	t.Helper()
	users := app.Users(t)
	fast.Empty()
	for name, doc := range users {
		delete(doc, "id")
		fast.Put("restored-"+name, doc)
	}
}

// R3, R5: accounts that come back under other identifiers are their people's, by the mark that they carry.
func TestR03ARestoredApplication(t *testing.T) {
	for name, mode := range map[string]reconcile.Mode{"a full pass sees it": reconcile.Full, "a leaver comes first": ""} {
		t.Run(name, func(t *testing.T) {
			l, dir, app, fast := pliant(t, 10, scimtest.Quirks{}, "")
			renumber(t, app, fast)
			before := app.Writes()
			if mode == reconcile.Full {
				report := l.full()
				if told := findings(report, "relinked"); len(told) != 1 || !strings.Contains(told[0].Detail, "10 accounts") {
					t.Errorf("told: %+v", report.Findings)
				}
				if report := l.full(); len(report.Findings) > 0 || app.Writes() != before {
					t.Errorf("the next pass wrote %d times: %+v", app.Writes()-before, report.Findings)
				}
			}
			dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
			l.full()
			if left := active(t, app); len(left) != 9 || slices.Contains(left, slapdtest.UID(1)) {
				t.Errorf("active: %v", left)
			}
			if c := l.theCase(slapdtest.UID(1)); c.Closed.IsZero() || len(c.Steps) != 1 || !strings.HasPrefix(string(c.Steps[0].Account), "restored-") {
				t.Errorf("the case: %+v", c)
			}
		})
	}
}

const groupsOfTheirs = plainAccount + `entitlements = [for g in person.groups : g]
`

// R9: a wish that cannot be met is told, with how many people wait, and met as soon as it can be.
func TestR09AGroupThatIsMissingIsTold(t *testing.T) {
	l, dir, app, _ := pliant(t, 6, scimtest.Quirks{}, groupsOfTheirs)
	dir.AddGroup(t, "wiki-editors", dir.PersonDN(slapdtest.UID(1)), dir.PersonDN(slapdtest.UID(2)))
	waiting := func(report reconcile.Report) string {
		for _, f := range findings(report, "entitlement") {
			if strings.Contains(f.Subject, "wiki-editors") {
				return f.Detail
			}
		}
		return ""
	}
	for range 2 {
		before := app.Writes()
		report := l.run(reconcile.Pass{})
		if got := waiting(report); !strings.HasPrefix(got, "2 should have") || len(report.Failures) > 0 || app.Writes() != before {
			t.Errorf("%q, %d writes, failures %+v", got, app.Writes()-before, report.Failures)
		}
	}
	group := app.AddGroup(t, "Wiki-Editors") // the same name: letter case does not count
	if report := l.run(reconcile.Pass{}); waiting(report) != "" || len(app.Members(t, group)) != 2 {
		t.Errorf("%d members, %q", len(app.Members(t, group)), waiting(report))
	}
	before := app.Writes()
	if l.run(reconcile.Pass{}); app.Writes() != before {
		t.Error("the next pass wrote again")
	}
}

// R8, R11: what hides its members is granted once, and taken back by name.
func TestR08HiddenMembers(t *testing.T) {
	for name, quirks := range map[string]scimtest.Quirks{
		"lists leave them out": {BareGroupLists: true, RefuseFilters: true},
		"they are never shown": {EmptyMembers: true, SilentFilters: true},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir, app, _ := pliant(t, 6, quirks, groupsOfTheirs)
			app.AddGroup(t, "editors")
			var members []string
			for n := 1; n <= 5; n++ {
				members = append(members, dir.PersonDN(slapdtest.UID(n)))
			}
			dir.AddGroup(t, "editors", members...)
			l.run(reconcile.Pass{})
			granted := app.Count(http.MethodPatch, "/Groups/")
			l.run(reconcile.Pass{})
			if again := app.Count(http.MethodPatch, "/Groups/") - granted; granted != 5 || again != 0 {
				t.Errorf("granted by %d requests, and by %d more in the next pass", granted, again)
			}
			dir.Leave(t, dir.GroupDN("editors"), dir.PersonDN(slapdtest.UID(2)))
			dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
			l.run(reconcile.Pass{})
			if sent := app.Count(http.MethodPatch, "/Groups/") - granted; sent != 2 {
				t.Errorf("%d requests to take back two memberships", sent)
			}
			step := l.theCase(slapdtest.UID(1)).Steps[0]
			if provable := quirks.BareGroupLists; provable != (step.Status == "proven") || provable == strings.Contains(step.Error, "sent, not provable") {
				t.Errorf("the step: %+v", step)
			}
		})
	}
}

// R9: what the application refuses is told in each full pass, and tried again only when something changes.
func TestR09ARefusedAttributeIsToldAndNotRepeated(t *testing.T) {
	l, dir, app, _ := pliant(t, 3, scimtest.Quirks{}, "")
	who := dir.PersonDN(slapdtest.UID(1))
	refusal := scimtest.Answer(400, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"scimType":"mutability","detail":"displayName is fixed"}`,
		"Content-Type", "application/scim+json")
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: refuses("displayName", refusal)})
	dir.Set(t, who, "cn", "Other Name")
	dir.Set(t, who, "sn", "Barker")
	l.run(reconcile.Pass{})
	if doc := app.Users(t)[slapdtest.UID(1)]; doc["name"].(map[string]any)["familyName"] != "Barker" { //nolint:forcetypeassert // it was made so
		t.Errorf("the rest was held back: %v", doc)
	}
	told := func(report reconcile.Report) bool {
		list := findings(report, "refused")
		return len(list) == 1 && strings.Contains(list[0].Detail, "Other Name") && strings.Contains(list[0].Detail, "displayName")
	}
	for range 2 {
		before := app.Writes()
		report := l.run(reconcile.Pass{})
		if !told(report) || app.Writes() != before || len(report.Failures) > 0 {
			t.Errorf("%d writes, findings %+v, failures %+v", app.Writes()-before, report.Findings, report.Failures)
		}
	}
	dir.Set(t, who, "sn", "Miller")
	if report := l.run(reconcile.Pass{Mode: reconcile.Delta}); len(findings(report, "refused")) != 1 {
		t.Errorf("tried again with a change: %+v", report.Findings)
	}
	app.Clear()
	dir.Set(t, who, "sn", "Smith")
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if report := l.full(); len(report.Findings) > 0 || app.Users(t)[slapdtest.UID(1)]["displayName"] != "Other Name" {
		t.Errorf("taken at last: %+v, %v", report.Findings, app.Users(t)[slapdtest.UID(1)])
	}
}

// refuses answers writes whose body holds word as the application would that does not take it.
func refuses(word string, answer scimtest.Trouble) scimtest.Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if scimtest.BodyHolds(r, word) {
			answer(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// R9: swapped logins are named, with what to do; everything else about the accounts is written.
func TestR09SwappedLogins(t *testing.T) {
	l, dir, app, _ := pliant(t, 4, scimtest.Quirks{}, "")
	one, two := slapdtest.UID(1), slapdtest.UID(2)
	aside := dir.Rename(t, dir.PersonDN(one), "uid=aside")
	dir.Rename(t, dir.PersonDN(two), "uid="+one)
	dir.Rename(t, aside, "uid="+two)
	dir.Set(t, dir.PersonDN(two), "sn", "Married")
	report := l.run(reconcile.Pass{})
	cycles := findings(report, "cycle")
	if len(cycles) != 1 || !strings.Contains(cycles[0].Detail, one+" should become "+two) || len(report.Failures) > 0 {
		t.Fatalf("%+v, failures %+v", report.Findings, report.Failures)
	}
	doc := app.Users(t)[one]
	if doc["name"].(map[string]any)["familyName"] != "Married" { //nolint:forcetypeassert // it was made so
		t.Errorf("the rest was held back: %v", doc)
	}
	app.Patch(t, "/Users/"+doc["id"].(string), "replace", "userName", "aside") //nolint:forcetypeassert // every account has one
	for range 2 {
		report = l.run(reconcile.Pass{})
	}
	if got := app.Users(t)[two]; got == nil || got["id"] != doc["id"] || len(report.Findings) > 0 {
		t.Errorf("freed by hand: %v, %+v", got, report.Findings)
	}
}

// R9: a target that is paused is left alone without counting as one that fails.
func TestR09APauseIsNoFailure(t *testing.T) {
	l, dir, app, _ := pliant(t, 3, scimtest.Quirks{}, "")
	clock := time.Now()
	l.now = func() time.Time { return clock }
	app.Inject(scimtest.Fault{Method: http.MethodPost, Times: 1, Trouble: scimtest.Answer(429, "{}", "Retry-After", "3600")})
	dir.AddPerson(t, "newcomer", nil)
	l.run(reconcile.Pass{})
	asked := len(app.Calls())
	for range 4 {
		clock = clock.Add(time.Minute)
		report := l.run(reconcile.Pass{Mode: reconcile.Delta})
		if got := report.Targets[0].Err; !strings.Contains(got, "pause") || strings.Contains(got, "quarantined") {
			t.Errorf("said: %s", got)
		}
	}
	if got := len(app.Calls()) - asked; got != 0 {
		t.Errorf("%d requests during the pause", got)
	}
	clock = clock.Add(time.Hour)
	if report := l.run(reconcile.Pass{Mode: reconcile.Delta}); report.Targets[0].Err != "" || app.Users(t)["newcomer"] == nil {
		t.Errorf("after the pause: %+v", report.Targets)
	}
}

// R5: identifiers that were traded, or handed round: every link follows its own account, and who leaves then is closed.
func TestR05TradedIdentifiers(t *testing.T) {
	l, dir, app, fast := pliant(t, 6, scimtest.Quirks{}, "")
	users := app.Users(t)
	names := []string{slapdtest.UID(1), slapdtest.UID(2), slapdtest.UID(3), slapdtest.UID(4)}
	ids := []string{}
	for _, name := range names {
		ids = append(ids, users[name]["id"].(string)) //nolint:forcetypeassert // every account has one
		fast.Remove(ids[len(ids)-1])
	}
	for i, name := range names {
		to := []int{1, 2, 0, 3}[i] // three are handed round, one stays
		delete(users[name], "id")
		fast.Put(ids[to], users[name])
	}
	before := app.Writes()
	l.run(reconcile.Pass{})
	if report := l.full(); len(report.Findings) > 0 || app.Writes() != before {
		t.Errorf("%d writes, %+v", app.Writes()-before, report.Findings)
	}
	dir.Delete(t, dir.PersonDN(names[0]))
	l.full()
	if left := active(t, app); len(left) != 5 || slices.Contains(left, names[0]) {
		t.Errorf("active: %v", left)
	}
}

// R4, S12: a leaver is closed before the target is listed, and so also where it cannot be.
func TestR04AListThatFailsDelaysNoLeaver(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	l.full()
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	app.Inject(scimtest.Fault{
		Match:   func(r *http.Request) bool { return r.URL.Query().Has("startIndex") && !r.URL.Query().Has("filter") },
		Trouble: scimtest.Answer(http.StatusNotImplemented, `{"detail":"no lists today"}`),
	})
	report := l.run(reconcile.Pass{})
	if report.Targets[0].Err == "" {
		t.Fatal("the list was read, and should have failed")
	}
	if app.Users(t)[slapdtest.UID(1)]["active"] != false {
		t.Errorf("the leaver waits for a list: %s", report.Targets[0].Err)
	}
}
