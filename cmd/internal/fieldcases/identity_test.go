package fieldcases

// Who is who: renamed sources and targets, moves, returns and takeovers.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A target is renamed while a leaver is owed there.
func TestRenamedTargetKeepsItsLeavers(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.odd("PATCH", "/Users", scimtest.Answer(503, "later"))
	s.fire("bob")
	s.sync()
	s.app.Clear()
	s.configure(wide, s.source("corp", s.dir), s.target("wiki", s.app))
	code := s.sync()
	s.claim(s.app.closed("bob") || code != 0 && s.told("bob"),
		"bob is closed, or it is said that he is not; exit %d", code)
}

// A target leaves the config while a leaver is owed there.
func TestRemovedTargetIsNoSuccess(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	other := newApplication(t)
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app), s.target("wiki", other))
	s.settle()
	other.odd("PATCH", "/Users", scimtest.Answer(503, "later"))
	s.fire("bob")
	s.sync()
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app))
	code := s.sync()
	s.claim(code != 0 && s.told("bob"), "it is said that bob is open at wiki; exit %d", code)
}

// A source is renamed, and logins are made unique: nobody gets a second account.
func TestRenamedSourceMakesNoSecondAccounts(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora")
	target := strings.Replace(s.target("app", s.app), "lower(person.uid)",
		`unique_login(person.uid, "${person.uid}{n}")`, 1)
	s.configure(wide, s.source("corp", s.dir), target)
	s.settle()
	s.configure(wide, s.source("staff", s.dir), target)
	s.sync()
	s.claim(len(s.app.accounts()) == 4, "there are four accounts, not %d", len(s.app.accounts()))
}

// A source is renamed, and somebody leaves: nobody is lost.
func TestRenamedSourceLosesNobody(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora")
	s.settle()
	s.configure(wide, s.source("staff", s.dir), s.target("app", s.app))
	s.sync()
	s.fire("bob")
	code := s.sync()
	s.claim(s.app.closed("bob") || code != 0, "bob is closed, or the pass does not end as if all were well")
	s.claim(s.app.active("alice", "carol", "dora"), "the others are active")
}

// Somebody moves from the part of the directory that one source reads to that of another.
func TestMoveBetweenSourcesClosesNobody(t *testing.T) {
	s := company(t)
	staff := s.dir.AddUnit(t, "staff", s.dir.PeopleDN())
	external := s.dir.AddUnit(t, "external", s.dir.PeopleDN())
	for _, uid := range []string{"alice", "bob", "carol"} {
		s.hireAt("uid=" + uid + "," + staff)
		s.hireAt("uid=x" + uid + "," + external)
	}
	s.configure(wide, below(s.source("staff", s.dir), staff), below(s.source("external", s.dir), external),
		s.target("app", s.app))
	s.settle()
	s.dir.Move(t, "uid=xbob,"+external, staff)
	s.sync()
	code := s.sync()
	s.claim(s.app.active("xbob") && s.app.requests("PATCH", "active") == 0, "xbob was active all the time")
	s.claim(code == 0, "and is disputed by nobody; exit %d", code)
}

// Two new people bear the rehire key of one who left.
func TestTwoClaimantsOfALeaversAccount(t *testing.T) {
	s := company(t)
	s.hire("alice")
	s.hire("carl", "employeeNumber", "777")
	s.configure(wide, s.source("corp", s.dir, "rehire = person.employeeNumber"), s.target("app", s.app))
	s.settle()
	s.fire("carl")
	s.settle()
	id := s.app.id("carl")
	s.hire("dora", "employeeNumber", "777")
	s.hire("emil", "employeeNumber", "777")
	s.sync()
	s.claim(s.app.closed("carl") && s.app.id("carl") == id, "carl's account is carl's, and closed")
	s.claim(s.says("findings", "dora") || s.says("findings", "emil"), "the claimants are a finding")
}

// Somebody leaves and returns within one interval, under a new anchor and with the declared key.
func TestReturnWithinOneInterval(t *testing.T) {
	s := company(t)
	s.hire("alice")
	s.hire("bob", "employeeNumber", "777")
	s.configure(wide, s.source("corp", s.dir, "rehire = person.employeeNumber"), s.target("app", s.app))
	s.settle()
	id := s.app.id("bob")
	s.fire("bob")
	s.hire("robert", "employeeNumber", "777")
	s.sync()
	s.sync()
	s.claim(len(s.app.accounts()) == 2 && s.app.account("robert")["id"] == id && s.app.active("robert"),
		"the old account is theirs again")
}

// A new person gets the login of a leaver: that is another person, who gets nothing of the leaver's.
func TestLeaversLoginIsReused(t *testing.T) {
	s := company(t, "alice", "bob")
	s.settle()
	s.fire("bob")
	s.settle()
	id := s.app.id("bob")
	s.hire("bob")
	s.sync()
	s.sync()
	for name, doc := range s.app.accounts() {
		s.claim(doc["id"] != id || doc["active"] == false, "the leaver's account, now %s, is closed", name)
	}
}

// Somebody sets their own mail to that of an account that others made by hand.
func TestMailOpensNoOtherAccount(t *testing.T) {
	s := company(t, "alice", "mallory")
	s.app.AddUser(t, "ceo-admin", map[string]any{
		"externalId": "hand-made", "displayName": "The Chief",
		"emails": []any{map[string]any{"value": "ceo@example.org", "primary": true}},
	})
	s.set("mallory", "mail", "ceo@example.org")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `correlate = ["emails"]`))
	s.sync()
	s.claim(s.app.account("ceo-admin")["displayName"] == "The Chief", "the account is as it was")
}

// The same, by somebody who has an account, while the other one carries nobody's externalId.
func TestLinkedPersonAdoptsNoOtherAccount(t *testing.T) {
	s := company(t, "alice", "mallory")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `correlate = ["externalId", "emails"]`))
	s.settle()
	s.app.AddUser(t, "ceo-admin", map[string]any{
		"displayName": "The Chief", "emails": []any{map[string]any{"value": "ceo@example.org", "primary": true}},
	})
	s.set("mallory", "mail", "ceo@example.org")
	s.sync()
	s.sync()
	s.claim(s.app.account("ceo-admin")["displayName"] == "The Chief", "the account is as it was")
}

// The state is lost, and a leaver's login was given to somebody new.
func TestLostStateGivesNobodyALeaversAccount(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	byName := s.target("app", s.app, `correlate = ["userName"]`)
	s.configure(wide, s.source("corp", s.dir), byName)
	s.settle()
	s.fire("bob")
	s.settle()
	leaver := s.app.account("bob")
	s.forget()
	s.hire("bob", "cn", "Bob Number Two")
	s.sync()
	s.sync()
	now := s.app.account("bob")
	same := now["externalId"] == leaver["externalId"] && now["displayName"] == leaver["displayName"]
	s.claim(same && now["active"] == false, "the account is the leaver's still: %v", now)
}

// forget removes all that dirsweep keeps: state, trail and evidence.
func (s *site) forget() {
	s.Helper()
	files, err := os.ReadDir(s.folder)
	if err != nil {
		s.Fatal(err)
	}
	for _, file := range files {
		if file.Name() != "config.hcl" && file.Name() != "token" {
			if err := os.RemoveAll(filepath.Join(s.folder, file.Name())); err != nil {
				s.Fatal(err)
			}
		}
	}
}

// The state is lost, and somebody left meanwhile: their account is there, active, and nobody's. That is not called
// well.
func TestLostStateHidesNoLeaver(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.forget()
	s.fire("bob")
	code := s.sync()
	s.claim(s.app.closed("bob") || code != 0, "bob is closed, or the pass does not end as if all were well")
	s.claim(s.app.active("alice", "carol") && len(s.app.accounts()) == 3, "the others have their one account")
}

// Who an orphan is can be said only when every source was read.
func TestOrphansNeedEverySource(t *testing.T) {
	s := company(t)
	north := s.dir.AddUnit(t, "north", s.dir.PeopleDN())
	south := s.dir.AddUnit(t, "south", s.dir.PeopleDN())
	for _, uid := range []string{"alice", "bob", "carol"} {
		s.hireAt("uid=" + uid + "," + north)
		s.hireAt("uid=south-" + uid + "," + south)
		s.app.AddUser(t, "south-"+uid, nil)
	}
	down := strings.Replace(below(s.source("south", s.dir), south), `env("LDAP_PASSWORD")`, `"wrong"`, 1)
	s.configure(wide, below(s.source("north", s.dir), north), down, s.target("app", s.app, `on_orphan = "disable"`))
	s.sync()
	s.sync()
	s.claim(len(s.app.inactive()) == 0, "nobody is closed, inactive are %v", s.app.inactive())
}

// Somebody who was disabled in the application by hand stays disabled.
func TestDisabledByHandStaysDisabled(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.edit("bob", func(doc map[string]any) { doc["active"] = false })
	s.app.AddUser(t, "dora", map[string]any{"active": false})
	s.hire("dora")
	s.sync()
	s.sync()
	s.claim(s.app.closed("bob"), "bob is disabled")
	s.claim(s.app.closed("dora"), "so is dora, whose account was there before she was")
}

// Two logins are swapped: nobody is closed, and it is said what to do.
func TestSwappedLogins(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.dir.Rename(t, s.dir.PersonDN("alice"), "uid=aside")
	s.dir.Rename(t, s.dir.PersonDN("bob"), "uid=alice")
	s.dir.Rename(t, s.dir.PersonDN("aside"), "uid=bob")
	s.sync()
	code := s.sync()
	s.claim(len(s.app.inactive()) == 0 && len(s.app.accounts()) == 3, "nobody is closed, nobody is made again")
	accounts := s.app.accounts()
	swapped := accounts["bob"]["displayName"] == "Alice Case" && accounts["alice"]["displayName"] == "Bob Case"
	s.claim(swapped || code != 0 && s.says("findings", "alice", "bob"), "the logins are swapped, or both are named")
}

// The account that the source signs in as is never closed, whatever the directory says about it.
func TestOwnIdentityIsNeverClosed(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	robot := s.hire("robot", "objectClass", "simpleSecurityObject", "userPassword", s.dir.Password())
	s.dir.Restrict(t,
		fmt.Sprintf("to * by dn.exact=%q read by dn.exact=%q read by anonymous auth", robot, s.dir.ReaderDN()))
	source := strings.Replace(s.source("corp", s.dir), s.dir.ReaderDN(), robot, 1)
	s.configure(wide, source, s.target("app", s.app))
	s.settle()
	s.set("robot", "nsAccountLock", "TRUE")
	s.sync()
	s.claim(s.app.active("robot"), "robot is active")
}
