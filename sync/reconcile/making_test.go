package reconcile_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// R17: a first pass keeps the changes of a thousand accounts to be made, and does exactly the plan of everybody that was
// shown before, with the same digest.
func TestR17AFirstPassListsAThousand(t *testing.T) {
	const people = 1300
	dir := slapdtest.Start(t, slapdtest.Options{People: people})
	app, fast := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	planned, err := l.engine().Plan(t.Context(), reconcile.Pass{})
	l.must(err)
	if got := len(planned.Plan.Changes); got != people {
		t.Fatalf("%d planned", got)
	}
	report := l.run(reconcile.Pass{})
	if listed, more := len(report.Plan.Changes), report.Targets[0].Unlisted; listed != 1000 || more != people-1000 {
		t.Errorf("%d listed, %d more", listed, more)
	}
	if report.Plan.Digest != planned.Plan.Digest {
		t.Errorf("the plan had digest %s, what was done has %s", planned.Plan.Digest, report.Plan.Digest)
	}
	if all, active := fast.Len(); all != people || active != people {
		t.Errorf("%d accounts, %d active", all, active)
	}
	before := app.Writes()
	if l.full(); app.Writes() != before {
		t.Errorf("%d writes once everybody has an account", app.Writes()-before)
	}
}

// R2: an application that lists nobody at all, and whose search finds the account of somebody who is to get one, does
// not list what it has: nobody gets an account there.
func TestR02AnEmptyListIsNotBelieved(t *testing.T) {
	for _, shown := range []bool{true, false} {
		dir := slapdtest.Start(t, slapdtest.Options{People: 5})
		app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
		l := newLab(t)
		l.directory("corp", dir, "")
		l.application("wiki", app, "", nil)
		if shown {
			app.AddUser(t, slapdtest.UID(3), nil)
		}
		app.Inject(scimtest.Fault{
			Method: http.MethodGet, Path: "/Users",
			Match: func(r *http.Request) bool {
				return !strings.Contains(r.URL.RawQuery, "filter") && strings.HasSuffix(r.URL.Path, "/Users")
			},
			Trouble: scimtest.Answer(http.StatusOK, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"Resources":[]}`),
		})
		report, err := l.engine().Run(t.Context(), reconcile.Pass{})
		l.must(err)
		app.Clear()
		accounts := len(app.Users(t))
		switch {
		case shown && (accounts != 1 || !strings.Contains(report.Targets[0].Err, "lists no account at all")):
			t.Errorf("%d accounts, and the target says %q", accounts, report.Targets[0].Err)
		case !shown && (accounts != 5 || report.Targets[0].Err != ""):
			t.Errorf("an application without accounts: %d made, and the target says %q", accounts, report.Targets[0].Err)
		}
	}
}
