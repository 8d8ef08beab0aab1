package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// What happened to the users of other tools must end well here. Each trouble of the directory below ends with no write
// at all, a reason that names it, and an outcome that is not "converged"; once it is over, the next pass goes on as if
// nothing had been.
func TestIncidentsOfTheDirectory(t *testing.T) {
	const people = 1000
	dir := slapdtest.Start(t, slapdtest.Options{People: people})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	l.full()
	base := func(url, password, baseDN, filter string) string {
		return fmt.Sprintf("url = %q\nbind_dn = %q\nbind_password = %q\nbase_dn = %q\nfilter = %q\n", url, dir.ReaderDN(), password, baseDN, filter)
	}
	everyone := "(objectClass=inetOrgPerson)"
	cut := newCutter(t, strings.TrimPrefix(dir.URL(), "ldap://"))
	for _, incident := range []struct {
		name   string
		begin  func()
		end    func()
		reason string
	}{
		{
			name: "1 success with 0 entries: the reader's right was taken away", reason: "nobody",
			begin: func() { dir.HidePeople(t) }, end: func() { dir.Show(t) },
		},
		{
			name: "1 success with 0 entries: another base", reason: "nobody",
			begin: func() { l.source("corp", base(dir.URL(), dir.Password(), dir.GroupsDN(), everyone)) },
		},
		{
			name: "1 the base does not exist", reason: "no such object",
			begin: func() { l.source("corp", base(dir.URL(), dir.Password(), "ou=nowhere,"+dir.BaseDN(), everyone)) },
		},
		{
			name: "2 size limit of 500", reason: "limit",
			begin: func() { dir.SetSizeLimit(t, 500) }, end: func() { dir.SetSizeLimit(t, 0) },
		},
		{
			name: "2 the connection is cut within page 3", reason: "page 3",
			begin: func() {
				cut.limit.Store(90_000)
				l.source("corp", base("ldap://"+cut.addr, dir.Password(), dir.PeopleDN(), everyone)+"page_size = 100\n")
			},
			end: func() { cut.limit.Store(0) },
		},
		{
			name: "3 the directory is down", reason: "incomplete",
			begin: func() { dir.Kill(t) }, end: func() { dir.Start(t) },
		},
		{
			name: "4 the bind password was changed", reason: "invalid credentials",
			begin: func() { l.source("corp", base(dir.URL(), "changed", dir.PeopleDN(), everyone)) },
		},
		{
			name: "5 the filter was edited to match nothing", reason: "nobody",
			begin: func() { l.source("corp", base(dir.URL(), dir.Password(), dir.PeopleDN(), "(uid=nobody)")) },
		},
		{
			name: "5 the filter was edited to match half", reason: "by the config as it is now",
			begin: func() { l.source("corp", base(dir.URL(), dir.Password(), dir.PeopleDN(), "(uid=user0005*)")) },
		},
	} {
		t.Run(incident.name, func(t *testing.T) {
			before := app.Writes()
			incident.begin()
			for range 2 { // it must not be believed the second time either
				report := l.run(reconcile.Pass{})
				if got := app.Writes() - before; got != 0 {
					t.Errorf("%d writes, want none", got)
				}
				if report.Outcome() == reconcile.Converged {
					t.Error("the pass says that it converged")
				}
				if got := fmt.Sprint(report.Sources, report.Held); !strings.Contains(got, incident.reason) {
					t.Errorf("the reason is not named (%q): %s", incident.reason, got)
				}
			}
			if incident.end != nil {
				incident.end()
			}
			l.directory("corp", dir, "")
			l.full()
			if got := app.Writes() - before; got != 0 {
				t.Errorf("%d writes after the trouble was over, want none", got)
			}
		})
	}
	if got := len(active(t, app)); got != people {
		t.Errorf("%d active accounts, want %d", got, people)
	}
}

// Incident 3: trouble with one entry is not its absence.
func TestIncidentOneLookupFails(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 20})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, `
		account = {
			userName    = person.uid
			displayName = upper(person.title)
		}
	`, nil)
	l.full()
	victim := dir.PersonDN(slapdtest.UID(3))
	dir.Set(t, victim, "title")
	report := l.full()
	if got := findings(report, "expression"); len(got) != 1 || !strings.Contains(got[0].Detail, "wiki.hcl:") {
		t.Errorf("no finding names the line: %+v", report.Findings)
	}
	if got := len(active(t, app)); got != 20 {
		t.Errorf("%d active accounts, want 20: a failing expression made a leaver", got)
	}
}

// Incident 5: each of two sources knows only its own people.
func TestIncidentTwoSourcesMakeNoLeaversOfEachOther(t *testing.T) {
	first := slapdtest.Start(t, slapdtest.Options{People: 20})
	second := slapdtest.Start(t, slapdtest.Options{People: 10, Person: func(i int) map[string][]string {
		return map[string][]string{"uid": {slapdtest.UID(i), fmt.Sprintf("b%03d", i)}}
	}})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", first, "")
	l.directory("labs", second, "")
	l.application("wiki", app, `
		account = { userName = "${person.source}-${person.uid}" }
	`, nil)
	l.full()
	if got := len(active(t, app)); got != 30 {
		t.Fatalf("%d active accounts, want 30", got)
	}
	second.Kill(t)
	first.Delete(t, first.PersonDN(slapdtest.UID(1)))
	first.AddPerson(t, "newcomer", nil)
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Failed {
		t.Errorf("a pass without one of its sources ended %q", report.Outcome())
	}
	names := app.Users(t)
	if names["corp-"+slapdtest.UID(1)]["active"] != false {
		t.Error("the leaver of the source that answered is not closed")
	}
	if names["corp-newcomer"]["active"] != true {
		t.Error("the joiner of the source that answered has no account")
	}
	if got := len(active(t, app)); got != 30 { // one left, one joined
		t.Errorf("%d active accounts, want 30: the silent source's people were touched", got)
	}
}

// Incident 6: renames, moves and new names are updates of the same accounts.
func TestIncidentRenamesAndMoves(t *testing.T) {
	const people = 60
	dir := slapdtest.Start(t, slapdtest.Options{People: people})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.source("corp", fmt.Sprintf("url = %q\nbind_dn = %q\nbind_password = %q\nbase_dn = %q\nfilter = \"(objectClass=inetOrgPerson)\"\n",
		dir.URL(), dir.ReaderDN(), dir.Password(), dir.BaseDN()))
	l.application("wiki", app, "", nil)
	l.full()
	ids := map[string]bool{}
	for _, doc := range app.Users(t) {
		ids[doc["id"].(string)] = true
	}
	unit := dir.AddUnit(t, "moved", dir.BaseDN())
	for i := 1; i <= people*3/10; i++ {
		dn := dir.Rename(t, dir.PersonDN(slapdtest.UID(i)), fmt.Sprintf("uid=renamed%d", i))
		dn = dir.Move(t, dn, unit)
		dir.Set(t, dn, "mail", fmt.Sprintf("renamed%d@example.org", i))
		dir.Set(t, dn, "cn", fmt.Sprintf("Renamed %d", i))
	}
	before := app.Writes()
	report := l.full()
	if got, want := app.Writes()-before, people*3/10; got != want {
		t.Errorf("%d writes for %d changed people", got, want)
	}
	for _, c := range report.Plan.Changes {
		if c.Op != identity.Update {
			t.Errorf("a rename planned %s of %s", c.Op, c.UserName)
		}
	}
	for name, doc := range app.Users(t) {
		if !ids[doc["id"].(string)] || doc["active"] != true {
			t.Errorf("%s is not the account that it was", name)
		}
	}
	if got := app.Users(t)["renamed1"]; got == nil || got["displayName"] != "Renamed 1" {
		t.Errorf("the account was not updated: %v", got)
	}
}
