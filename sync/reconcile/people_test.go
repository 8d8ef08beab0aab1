package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// troubled is a source that cannot read one person's entry.
type troubled struct {
	sources.Source
	uid string
}

func (s troubled) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for p, err := range s.Source.People(ctx) {
			if err == nil && p.Name == s.uid {
				p, err = identity.Person{}, &sources.PersonError{ID: p.ID, DN: p.DN, Err: errors.New("it cannot be read")}
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

func (s troubled) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	return s.Source.(sources.Finder).Find(ctx, who)
}

// TestR01UnsurePeopleAreNoLeavers: trouble with an entry, or with an expression, is not absence (M15).
func TestR01UnsurePeopleAreNoLeavers(t *testing.T) {
	l, dir, app := company(t, 40, `scope = upper(person.title) != "RETIRED"`, nil)
	dir.Set(t, dir.PersonDN(slapdtest.UID(2)), "title")
	real := l.sources[0].Source
	l.sources[0].Source = troubled{real, slapdtest.UID(1)}
	before := app.Writes()
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
		report := l.run(reconcile.Pass{Mode: mode})
		if app.Writes() != before || len(active(t, app)) != 40 {
			t.Errorf("%s: %d writes, %d active accounts", mode, app.Writes()-before, len(active(t, app)))
		}
		if len(findings(report, "unreadable")) != 1 || len(findings(report, "expression")) != 1 {
			t.Errorf("%s: findings %+v", mode, report.Findings)
		}
	}
	l.sources[0].Source = real
	dir.Set(t, dir.PersonDN(slapdtest.UID(2)), "title", "retired")
	dir.Disable(t, dir.PersonDN(slapdtest.UID(1)))
	l.full()
	if got := len(active(t, app)); got != 38 {
		t.Errorf("%d active accounts, want 38: once they can be told, they leave", got)
	}
}

// everybody may leave at once.
func everybody(target *reconcile.Target) { target.Guard.MaxSweepPercent = 100 }

// kept makes a pass in which people are kept as they are by one anomaly, and one real leaver is closed.
func kept(t *testing.T, l *lab, app *scimtest.Server, what string, accounts int) reconcile.Report {
	t.Helper()
	report := l.run(reconcile.Pass{})
	if got := len(active(t, app)); got != accounts {
		t.Errorf("%d active accounts, want %d", got, accounts)
	}
	if len(report.Held) != 1 || !strings.Contains(report.Held[0].Reason, what) || report.Outcome() != reconcile.Held {
		t.Fatalf("%q, held: %+v", report.Outcome(), report.Held)
	}
	if found := findings(report, "anomaly"); len(found) != 1 || !strings.Contains(found[0].Detail, "dirsweep approve "+report.Held[0].Digest) {
		t.Errorf("findings %+v", report.Findings)
	}
	for _, c := range report.Plan.Changes {
		if c.Op == identity.Enable || c.Op == identity.Update || c.Op == identity.Link {
			t.Errorf("%s of %s", c.Op, c.UserName)
		}
	}
	return report
}

// TestR01AGroupThatHidesItsMembers: case 04.
func TestR01AGroupThatHidesItsMembers(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 40, Groups: 1})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	dir.AddPerson(t, "alice", nil)
	dir.AddPerson(t, "bob", nil)
	admins := dir.AddGroup(t, "admins", dir.PersonDN("alice"), dir.PersonDN("bob"))
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN()))
	l.application("wiki", app, `
		scope        = member_of("group001") || member_of("admins")
		entitlements = [for g in ["group001", "admins"] : g if member_of(g)]
	`, everybody)
	l.full()
	dir.Restrict(t, fmt.Sprintf(`to dn.exact="%s" attrs=member by dn.exact="%s" none by * none`, admins, dir.AdminDN()))
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	report := kept(t, l, app, "group admins", 41)
	again := l.run(reconcile.Pass{Mode: reconcile.Delta})
	if len(again.Held) != 1 || again.Held[0].Digest != report.Held[0].Digest || len(active(t, app)) != 41 {
		t.Errorf("the second pass: %d active, held %+v", len(active(t, app)), again.Held)
	}
	dir.Show(t)
	l.full()
	if got := l.holds(); len(got) != 0 || len(active(t, app)) != 41 {
		t.Errorf("%d active accounts after the group shows its members again, held %+v", len(active(t, app)), got)
	}
	// Whoever takes it as it is closes those who have left by it.
	dir.Set(t, admins, "member", "cn=nobody,"+dir.BaseDN())
	report = kept(t, l, app, "group admins", 41)
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	l.full()
	if got := len(active(t, app)); got != 39 {
		t.Errorf("%d active accounts, want 39: what an operator takes as it is goes", got)
	}
}

// TestR01ALostRight: F4. Nobody is emptied, enabled or closed because an attribute can no longer be read.
func TestR01ALostRight(t *testing.T) {
	l, dir, app := company(t, 40, `scope = person.departmentNumber != "nowhere"`, everybody)
	dir.Disable(t, dir.PersonDN(slapdtest.UID(2)))
	l.full()
	accounts := 39
	for i, attribute := range []string{"mail", "pwdAccountLockedTime"} {
		dir.HideAttribute(t, attribute)
		dir.Delete(t, dir.PersonDN(slapdtest.UID(10+i)))
		accounts--
		kept(t, l, app, map[string]string{"mail": "attribute mail", "pwdAccountLockedTime": "mark of inactive people"}[attribute], accounts)
		for name, doc := range app.Users(t) {
			if doc["emails"] == nil {
				t.Errorf("%s was emptied when %s was hidden", name, attribute)
			}
		}
		dir.Show(t)
		l.full()
	}
	// Who is changed on purpose is.
	dir.Enable(t, dir.PersonDN(slapdtest.UID(2)))
	dir.Set(t, dir.PersonDN(slapdtest.UID(3)), "mail")
	l.full()
	if users := app.Users(t); users[slapdtest.UID(2)]["active"] != true || users[slapdtest.UID(3)]["emails"] != nil {
		t.Errorf("enabled %v, emptied %v", users[slapdtest.UID(2)]["active"], users[slapdtest.UID(3)]["emails"])
	}
}

// TestR21NewcomersThatAreDoubtedAreCounted: who is read for the first time while a group hides its members is neither
// let in nor put out, and whoever reads about the hold is told of all of them.
func TestR21NewcomersThatAreDoubtedAreCounted(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 10, Groups: 1})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	admins := dir.AddGroup(t, "admins", dir.AddPerson(t, "alice", nil), dir.AddPerson(t, "bob", nil))
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN()))
	l.application("wiki", app, `scope = member_of("admins")`, everybody)
	l.full()
	dir.Restrict(t, fmt.Sprintf(`to dn.exact="%s" attrs=member by dn.exact="%s" none by * none`, admins, dir.AdminDN()))
	dir.AddPerson(t, "carol", nil)
	report := kept(t, l, app, "group admins", 2)
	if reason := report.Held[0].Reason; !strings.Contains(reason, "3 people stay as they are") {
		t.Errorf("held: %s", reason)
	}
}

// TestR01AnEmptiedContainer: B9.
func TestR01AnEmptiedContainer(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 40})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	lab := dir.AddUnit(t, "lab", dir.BaseDN())
	for _, uid := range []string{"ann", "bob"} {
		dir.Move(t, dir.AddPerson(t, uid, nil), lab)
	}
	l.source("corp", fmt.Sprintf("url = %q\nbind_dn = %q\nbind_password = %q\nbase_dn = %q\nfilter = \"(objectClass=inetOrgPerson)\"\n",
		dir.URL(), dir.ReaderDN(), dir.Password(), dir.BaseDN()))
	l.application("wiki", app, "", everybody)
	l.full()
	// The branch cannot be seen: nothing is proven.
	dir.Restrict(t, fmt.Sprintf(`to dn.subtree="%s" by dn.exact="%s" none by * none`, lab, dir.ReaderDN()))
	report := l.run(reconcile.Pass{})
	if got := len(active(t, app)); got != 42 || len(findings(report, "unproven")) != 2 {
		t.Errorf("%d active accounts, findings %+v", got, report.Findings)
	}
	// It can be seen and holds nobody any more: that is held, at any size.
	dir.Show(t)
	dir.Delete(t, "uid=ann,"+lab)
	dir.Delete(t, "uid=bob,"+lab)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	report = kept(t, l, app, "container "+lab, 41)
	again := l.run(reconcile.Pass{})
	if len(again.Held) != 1 || again.Held[0].Digest != report.Held[0].Digest || len(active(t, app)) != 41 {
		t.Errorf("the second pass: %d active, held %+v", len(active(t, app)), again.Held)
	}
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	l.full()
	l.full()
	if got := len(active(t, app)); got != 39 {
		t.Errorf("%d active accounts, want 39: what an operator takes as it is goes", got)
	}
}

// TestR03ARenamedMemberStaysInTheGroup: case 17.
func TestR03ARenamedMemberStaysInTheGroup(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 40, Groups: 1})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN()))
	l.application("wiki", app, `scope = member_of("group001")`, nil)
	l.full()
	old := dir.PersonDN(slapdtest.UID(5))
	group := dir.GroupDN("group001")
	members := dir.Values(t, group, "member")
	now := dir.Rename(t, old, "uid=robert")
	dir.Set(t, group, "member", members...) // where nothing in the server follows a rename
	for range 3 {
		report := l.full()
		if got := active(t, app); len(got) != 40 || !slices.Contains(got, "robert") {
			t.Fatalf("%d active accounts: the renamed one is closed, or not renamed", len(got))
		}
		found := findings(report, "dangling")
		if len(found) != 1 || !strings.Contains(found[0].Detail, "group001") || !strings.Contains(found[0].Detail, old) {
			t.Errorf("findings %+v, want one that names the group and %s", report.Findings, old)
		}
	}
	dir.Join(t, group, now)
	dir.Leave(t, group, old)
	if report := l.full(); len(findings(report, "dangling")) != 0 || len(active(t, app)) != 40 {
		t.Errorf("%d active accounts, findings %+v", len(active(t, app)), report.Findings)
	}
	dir.Leave(t, group, now)
	l.full()
	if got := active(t, app); slices.Contains(got, "robert") {
		t.Error("somebody who has left the group keeps the account")
	}
}

// rehiring is a directory with a declared key, and ann in it.
func rehiring(t *testing.T) (*lab, *slapdtest.Server, *scimtest.Server) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: 40})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "rehire = person.employeeNumber")
	l.application("wiki", app, "", nil)
	dir.AddPerson(t, "ann", map[string][]string{"employeeNumber": {"E-1"}})
	l.full()
	return l, dir, app
}

// TestR03LeftAndBackWithinOneInterval: D9 and case 08.
func TestR03LeftAndBackWithinOneInterval(t *testing.T) {
	l, dir, app := rehiring(t)
	id := app.Users(t)["ann"]["id"]
	dir.AddPerson(t, "ann.new", map[string][]string{"employeeNumber": {"E-1"}})
	before := app.Writes()
	report := l.run(reconcile.Pass{})
	if found := findings(report, "one person"); app.Writes() != before || len(found) != 1 || !strings.Contains(found[0].Detail, "ann.new") {
		t.Errorf("while both are there: %d writes, findings %+v", app.Writes()-before, report.Findings)
	}
	dir.Delete(t, dir.PersonDN("ann"))
	report = l.full()
	if got := app.Users(t)["ann.new"]; got["id"] != id || got["active"] != true || len(report.Closed) != 0 {
		t.Errorf("who is back has %v, want account %v; closed %+v", got, id, report.Closed)
	}
	for _, c := range report.Plan.Changes {
		if c.Op != identity.Link && c.Op != identity.Update {
			t.Errorf("%s of %s", c.Op, c.UserName)
		}
	}
	before = app.Writes()
	l.full()
	if app.Writes() != before {
		t.Error("the pass after wrote again")
	}
}

// TestR03TwoClaimantsAreDisputed: D8.
func TestR03TwoClaimantsAreDisputed(t *testing.T) {
	l, dir, app := rehiring(t)
	dir.Delete(t, dir.PersonDN("ann"))
	l.full()
	dir.AddPerson(t, "carl", map[string][]string{"employeeNumber": {"E-1"}})
	dir.AddPerson(t, "dora", map[string][]string{"employeeNumber": {"E-1"}})
	before := app.Writes()
	report := l.run(reconcile.Pass{})
	if users := app.Users(t); app.Writes() != before || users["ann"]["active"] != false || len(findings(report, "disputed")) != 2 {
		t.Errorf("%d writes, ann is %v, findings %+v", app.Writes()-before, users["ann"], report.Findings)
	}
	if report.Outcome() == reconcile.Converged {
		t.Error("with a dispute all is said to be well")
	}
	dir.Delete(t, dir.PersonDN("dora"))
	l.full()
	if users := app.Users(t); users["carl"]["active"] != true || users["ann"] != nil {
		t.Errorf("carl alone claims the account: %v, %v", users["carl"], users["ann"])
	}
}

// TestR03OneDirectoryInTwoSources: B12.
func TestR03OneDirectoryInTwoSources(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 20})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	staff := dir.AddUnit(t, "staff", dir.BaseDN())
	dir.Move(t, dir.AddPerson(t, "boss", nil), staff)
	block := "url = %q\nbind_dn = %q\nbind_password = %q\nbase_dn = %q\nfilter = \"(objectClass=inetOrgPerson)\"\n"
	l.source("ext", fmt.Sprintf(block, dir.URL(), dir.ReaderDN(), dir.Password(), dir.PeopleDN()))
	l.source("staff", fmt.Sprintf(block, dir.URL(), dir.ReaderDN(), dir.Password(), staff))
	l.application("wiki", app, "", nil)
	l.full()
	id := app.Users(t)[slapdtest.UID(1)]["id"]
	dn := dir.Move(t, dir.PersonDN(slapdtest.UID(1)), staff)
	before := app.Writes()
	report := l.full()
	if got := app.Users(t)[slapdtest.UID(1)]; app.Writes() != before || got["id"] != id || got["active"] != true {
		t.Errorf("%d writes for who moved from one source to the other: %v, %+v", app.Writes()-before, got, report.Findings)
	}
	dir.Move(t, dn, dir.FormerDN())
	report = l.full()
	if got := app.Users(t)[slapdtest.UID(1)]; got["active"] != false || len(report.Closed) != 1 {
		t.Errorf("who is in neither: %v", got)
	}
}

// oneDirectory is a directory of 20 people that two sources read, each a part of it, and an application for
// both.
func oneDirectory(t *testing.T) (*lab, *slapdtest.Server, *scimtest.Server) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: 20})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	staff := dir.AddUnit(t, "staff", dir.BaseDN())
	dir.Move(t, dir.AddPerson(t, "boss", map[string][]string{"employeeNumber": {"9000"}}), staff)
	l.source("ext", reading(dir, dir.PeopleDN(), "entryUUID"))
	l.source("staff", reading(dir, staff, "entryUUID"))
	for i := range l.sources {
		l.sources[i].Directory = "corp"
	}
	l.application("wiki", app, "", nil)
	return l, dir, app
}

// reading is the block of a source that reads a part of a directory.
func reading(dir *slapdtest.Server, base, anchor string) string {
	return fmt.Sprintf(`
		url           = %q
		bind_dn       = %q
		bind_password = %q
		base_dn       = %q
		filter        = "(objectClass=inetOrgPerson)"
		anchor        = %q
	`, dir.URL(), dir.ReaderDN(), dir.Password(), base, anchor)
}

// TestR06AHoldEndsInADirectoryOfTwoSources: whoever is held and is back is held no more, whichever source has them.
func TestR06AHoldEndsInADirectoryOfTwoSources(t *testing.T) {
	l, dir, app := oneDirectory(t)
	l.full()
	for i := range 10 {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i+1)))
	}
	if report := l.run(reconcile.Pass{}); len(report.Held) != 1 || len(report.Held[0].Members) != 10 || len(active(t, app)) != 21 {
		t.Fatalf("held %+v", report.Held)
	}
	for i := range 10 {
		dir.Enable(t, dir.PersonDN(slapdtest.UID(i+1)))
	}
	l.full()
	if held := l.holds(); len(held) > 0 {
		t.Errorf("all are back: %+v", held)
	}
}

// TestR03SourcesOfOneDirectoryHaveOneAnchor: whoever moves from one to the other would be somebody else there.
func TestR03SourcesOfOneDirectoryHaveOneAnchor(t *testing.T) {
	l, dir, app := oneDirectory(t)
	l.full()
	l.source("staff", reading(dir, "ou=staff,"+dir.BaseDN(), "employeeNumber"))
	l.sources[1].Directory = "corp"
	dir.Move(t, dir.PersonDN(slapdtest.UID(1)), "ou=staff,"+dir.BaseDN())
	before := app.Writes()
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
		report := l.run(reconcile.Pass{Mode: mode})
		if got := report.Sources[1].Err; !strings.Contains(got, "knows people by employeenumber") || report.Outcome() != reconcile.Failed {
			t.Errorf("%s: %q", mode, got)
		}
	}
	if len(active(t, app)) != 21 || app.Writes() != before {
		t.Errorf("%d writes for who moved from one source to the other", app.Writes()-before)
	}
	l.source("staff", reading(dir, "ou=staff,"+dir.BaseDN(), "entryUUID"))
	l.sources[1].Directory = "corp"
	l.full()
}

// TestR02ClaimsNeedEverySource: case 03, M21.
func TestR02ClaimsNeedEverySource(t *testing.T) {
	north, south := slapdtest.Start(t, slapdtest.Options{People: 3}), slapdtest.Start(t, slapdtest.Options{People: 3})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("north", north, "")
	l.directory("south", south, "")
	l.application("wiki", app, `account = { userName = startswith(person.uid, "user") ? "${person.source}-${person.uid}" : person.uid }`, nil)
	north.Disable(t, north.AddPerson(t, "mia", nil))
	south.AddPerson(t, "mia", nil)
	app.AddUser(t, "mia", map[string]any{"active": true})
	app.AddUser(t, "nobody", map[string]any{"active": true})
	l.run(reconcile.Pass{})
	disputed := func() int {
		n := 0
		for _, f := range l.findings() {
			if f.Kind == "disputed" {
				n++
			}
		}
		return n
	}
	orphans := l.orphans("wiki")
	if users := app.Users(t); users["mia"]["active"] != true || disputed() != 1 || len(orphans) != 1 {
		t.Fatalf("mia is %v, %d disputes, orphans %+v", users["mia"], disputed(), orphans)
	}
	south.Kill(t)
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
		l.run(reconcile.Pass{Mode: mode})
		if users := app.Users(t); users["mia"]["active"] != true || disputed() != 1 || len(l.orphans("wiki")) != 1 {
			t.Errorf("%s without the south: mia is %v, %d disputes, orphans %+v", mode, users["mia"], disputed(), l.orphans("wiki"))
		}
	}
}
