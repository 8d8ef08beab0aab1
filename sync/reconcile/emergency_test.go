package reconcile_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// An order closes what a person really has, whether or not dirsweep knows of it, and says what it did not see closed
// (R21).
func TestAnOrderReadsLive(t *testing.T) {
	who := slapdtest.UID(1)
	for name, c := range map[string]struct {
		before  func(*testing.T, *lab, *scimtest.Server)
		outcome reconcile.Outcome
		closed  []string
		open    int // told as not closed
	}{
		"before the first pass": {
			func(t *testing.T, _ *lab, app *scimtest.Server) { app.AddUser(t, who, nil) },
			reconcile.Converged,
			[]string{who},
			0,
		},
		"nobody has an account": {
			func(*testing.T, *lab, *scimtest.Server) {}, reconcile.Converged, nil, 0,
		},
		"a second account with the same mark": {
			func(t *testing.T, l *lab, app *scimtest.Server) {
				l.full()
				mark := app.Users(t)[who]["externalId"]
				app.AddUser(t, "other", map[string]any{"externalId": mark})
			},
			reconcile.Converged,
			[]string{who, "other"},
			0,
		},
		"protected": {
			func(t *testing.T, l *lab, app *scimtest.Server) {
				l.full()
				l.targets[0].Guard.Protect = []string{who}
			},
			reconcile.Partial, nil, 1,
		},
		"the application cannot be searched": {
			func(t *testing.T, l *lab, app *scimtest.Server) {
				app.AddUser(t, who, nil)
				app.Inject(scimtest.Fault{Trouble: scimtest.Answer(http.StatusInternalServerError, "")})
			},
			reconcile.Partial, nil, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			dir, app := slapdtest.Start(t, slapdtest.Options{People: 5}), scimtest.StartElimity(t)
			l.directory("corp", dir, "")
			l.application("wiki", app, "", nil)
			c.before(t, l, app)
			report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "stolen laptop"})
			l.must(err)
			if report.Outcome() != c.outcome || len(report.Open) != c.open {
				t.Errorf("outcome %s, open %+v; want %s and %d open", report.Outcome(), report.Open, c.outcome, c.open)
			}
			app.Clear()
			users := app.Users(t)
			for _, userName := range c.closed {
				if users[userName]["active"] != false {
					t.Errorf("%s is open", userName)
				}
			}
			for userName, user := range users {
				if userName != who && userName != "other" && user["active"] != true {
					t.Errorf("%s, somebody else, is closed", userName)
				}
			}
		})
	}
}

func TestAnOrderAboutNobody(t *testing.T) {
	l, _, app := company(t, 5, "", nil)
	before := app.Writes()
	if _, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: "nobody", Reason: "x"}); err == nil || app.Writes() != before {
		t.Errorf("%v, %d writes", err, app.Writes()-before)
	}
}

// A leaver's account that somebody enables by hand is closed again within minutes, by the sweeper alone.
func TestR11AClosedAccountIsWatched(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	who := slapdtest.UID(1)
	dir.Delete(t, dir.PersonDN(who))
	l.full()
	id := app.Users(t)[who]["id"].(string)
	for range 3 {
		app.Patch(t, "/Users/"+id, "replace", "active", true)
		clock = clock.Add(time.Minute + time.Second)
		report, err := l.engine().Retry(t.Context())
		l.must(err)
		if app.Users(t)[who]["active"] != false || len(report.Closed) != 1 {
			t.Fatalf("open again and not closed: %+v", report)
		}
	}
	before := app.Writes()
	clock = clock.Add(time.Hour)
	if _, err := l.engine().Retry(t.Context()); err != nil || app.Writes() != before {
		t.Errorf("%d writes to an account that stayed closed, %v", app.Writes()-before, err)
	}
}

// Whoever an order closed and no longer closes may have the account that somebody opens for them, before any pass too.
// Who has left all the same may not.
func TestR11WhoeverIsReleasedIsNotClosedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		leaves bool
		open   bool
	}{
		"in scope": {false, true},
		"left":     {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir, app := company(t, 20, "", nil)
			clock := time.Now()
			l.now = func() time.Time { return clock }
			who := slapdtest.UID(1)
			if _, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "stolen laptop"}); err != nil {
				t.Fatal(err)
			}
			if app.Users(t)[who]["active"] != false {
				t.Fatal("the order closes nobody")
			}
			if c.leaves {
				dir.Delete(t, dir.PersonDN(who))
				l.full()
			}
			l.must(l.engine().Release(t.Context(), reconcile.Order{Person: who, Actor: "olga"}))
			app.Patch(t, "/Users/"+app.Users(t)[who]["id"].(string), "replace", "active", true)
			clock = clock.Add(time.Minute + time.Second)
			if _, err := l.engine().Retry(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := app.Users(t)[who]["active"] == true; got != c.open {
				t.Errorf("open: %t, want %t", got, c.open)
			}
			if c.open {
				l.full()
				still(t, "after a pass", app, 20)
			}
		})
	}
}

// Of whom nobody has ever read, the anchor on their accounts is all that is known, and their directory is guessed: an
// order goes with them to the one that shows them, and so does its end (R3, R11).
func TestR11AnOrderFindsItsPersonInAnotherDirectory(t *testing.T) {
	corp := slapdtest.Start(t, slapdtest.Options{People: 20})
	labs := slapdtest.Start(t, slapdtest.Options{People: 3, Person: func(i int) map[string][]string {
		return map[string][]string{"uid": {slapdtest.UID(i), fmt.Sprintf("labs%d", i)}}
	}})
	wiki, crm := scimtest.StartElimity(t), scimtest.StartElimity(t)
	anchor := labs.Anchor(t, labs.PersonDN(slapdtest.UID(1)))
	for _, app := range []*scimtest.Server{wiki, crm} {
		app.AddUser(t, "before", map[string]any{"externalId": anchor})
	}
	l := newLab(t)
	l.directory("corp", corp, "")
	l.directory("labs", labs, "")
	mapped := `account = { userName = "${person.source}-${person.uid}" }`
	l.application("wiki", wiki, mapped, nil)
	l.application("crm", crm, mapped, func(target *reconcile.Target) { target.Sources = []string{"corp"} })
	labs.Stop(t)
	l.run(reconcile.Pass{})
	l.rule(identity.Approved) // as corp's, in crm
	_, err := l.engine().Retry(t.Context())
	if l.must(err); crm.Users(t)["before"]["active"] != false {
		t.Fatal("who left before our time is not closed")
	}
	if _, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: anchor, Reason: "stolen laptop"}); err != nil {
		t.Fatal(err)
	}
	labs.Start(t)
	accounts := func(open bool) {
		t.Helper()
		users := wiki.Users(t)
		had, has := users["before"], users["labs-"+slapdtest.UID(1)]
		if n := len(users); n != 23 || (had["active"] == true || has["active"] == true) != open {
			t.Errorf("%d accounts; theirs: %v, %v", n, had, has)
		}
	}
	for range 2 {
		l.run(reconcile.Pass{})
		accounts(false)
	}
	l.must(l.engine().Release(t.Context(), reconcile.Order{Person: anchor, Actor: "olga"}))
	l.run(reconcile.Pass{})
	accounts(true)
}
