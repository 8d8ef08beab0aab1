package fieldcases

// What a directory does not show is not what is not there.

import (
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// The anchors of four people of sixty cannot be read.
func TestHiddenAnchorsAreNoProof(t *testing.T) {
	s := crowd(t, 60, wide)
	s.dir.Restrict(t,
		`to filter=(|(uid=user000001)(uid=user000002)(uid=user000003)(uid=user000004)) attrs=entryUUID by * none`)
	s.sync()
	s.claim(len(s.app.inactive()) == 0, "nobody is closed, inactive are %v", s.app.inactive())
	s.dir.Show(t)
	s.sync()
	s.claim(len(s.app.inactive()) == 0 && len(s.app.accounts()) == 60,
		"nor are they when the anchors can be read again")
}

// The primary stops, and a replica that lacks the last joiners answers.
func TestReplicaThatLagsIsNoProof(t *testing.T) {
	s := open(t, slapdtest.Options{People: 40})
	replica := slapdtest.Start(t, slapdtest.Options{Copy: s.dir, Schema: slapdtest.LockSchema})
	both := strings.Replace(s.source("corp", s.dir), `"`+s.dir.URL()+`"`, `["`+s.dir.URL()+`", "`+replica.URL()+`"]`, 1)
	s.configure(wide, both, s.target("app", s.app))
	s.settle()
	joiners := []string{"ann", "ben", "cat", "dan", "eve"}
	for _, uid := range joiners {
		s.hire(uid)
	}
	s.settle()
	before := s.app.Writes()
	s.dir.Kill(t)
	s.sync()
	s.claim(s.app.active(joiners...), "the joiners are active, inactive are %v", s.app.inactive())
	s.dir.Start(t)
	s.sync()
	s.claim(s.app.Writes() == before, "nothing was written")
}

// A right is lost on the attribute by which somebody is locked.
func TestHiddenLockEnablesNobody(t *testing.T) {
	s := crowd(t, 40, wide)
	s.lock(1, 8, "TRUE")
	s.sync()
	s.claim(len(s.app.inactive()) == 8, "eight are closed")
	s.dir.HideAttribute(t, "nsAccountLock")
	s.sync()
	s.claim(len(s.app.inactive()) == 8, "eight are closed still, inactive are %v", s.app.inactive())
}

// So it is where an expression of the config asks for it, and only one person has it.
func TestHiddenLeaveDateEnablesNobody(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora", "emil", "finn")
	for _, uid := range []string{"alice", "carol", "dora", "emil", "finn"} {
		s.set(uid, "leaveDate", "2999-12-31")
	}
	s.set("bob", "leaveDate", "2001-12-31")
	s.app.AddUser(t, "bob", map[string]any{"active": true})
	source := s.source("corp", s.dir, `active = !date_after(now(), person.leaveDate)`, `attributes = ["leaveDate"]`)
	s.configure(wide, source, s.target("app", s.app))
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed")
	s.dir.HideAttribute(t, "leaveDate")
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed still")
}

// Active Directory's flags are there for everybody, or the reader may not see them.
func TestHiddenAccountControlEnablesNobody(t *testing.T) {
	s := accountControl(t)
	s.dir.HideAttribute(t, "userAccountControl")
	s.sync()
	s.claim(len(s.app.inactive()) == 1, "the disabled one is closed still")
}

// The same, while the entry of the disabled one is changed in another way.
func TestHiddenAccountControlAndAChange(t *testing.T) {
	s := accountControl(t)
	s.dir.HideAttribute(t, "userAccountControl")
	s.set(slapdtest.UID(1), "title", "Former Engineer")
	s.sync()
	s.claim(len(s.app.inactive()) == 1, "the disabled one is closed still")
}

// accountControl is a company of forty with Active Directory's flags, one of whom is disabled and closed.
func accountControl(t *testing.T) *site {
	t.Helper()
	s := open(t, slapdtest.Options{People: 40, Person: func(n int) map[string][]string {
		return map[string][]string{"objectClass": {"lockPerson"}, "userAccountControl": {"512"}}
	}})
	s.settle()
	s.set(slapdtest.UID(1), "userAccountControl", "514")
	s.sync()
	s.claim(len(s.app.inactive()) == 1, "the disabled one is closed")
	s.age()
	s.sync()
	return s
}

// An expression that fails for somebody says nothing about them.
func TestFailingExpressionClosesNobody(t *testing.T) {
	s := crowd(t, 40, wide)
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `scope = person.departmentNumber * 1 >= 0`))
	s.settle()
	s.set(slapdtest.UID(1), "departmentNumber", "abroad")
	s.sync()
	s.claim(s.app.active(slapdtest.UID(1)), "the one of whom it fails is active")
}

// A right is lost on mapped attributes.
func TestHiddenAttributeEmptiesNobody(t *testing.T) {
	s := crowd(t, 40, wide)
	s.dir.HideAttribute(t, "mail")
	before := s.app.Writes()
	s.sync()
	s.claim(s.app.Writes() == before, "no account is changed, %d writes", s.app.Writes()-before)
}

// One person's mail is taken away: that is cleared, whatever is said of many.
func TestOneMailTakenAwayIsCleared(t *testing.T) {
	s := crowd(t, 40, wide)
	s.set(slapdtest.UID(1), "mail")
	s.sync()
	mails, _ := s.app.account(slapdtest.UID(1))["emails"].([]any)
	s.claim(len(mails) == 0, "the account has no mail, not %v", mails)
}

// A right is lost on the members of the groups that grant entitlements.
func TestHiddenMembersStripNobody(t *testing.T) {
	s := open(t, slapdtest.Options{People: 30, Groups: 3})
	var there []string
	for g := 1; g <= 3; g++ {
		there = append(there, s.app.AddGroup(t, slapdtest.GroupName(g)))
	}
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `entitlements = person.groups`))
	s.settle()
	s.dir.HideAttribute(t, "member")
	s.sync()
	for _, group := range there {
		s.claim(len(s.app.members(group)) == 10, "the group has its ten members, not %v", s.app.members(group))
	}
}

// A group is deleted and made again under another name by a reorganisation; nobody is closed for it unasked.
func TestRenamedGroupClosesNobody(t *testing.T) {
	s := staffAndAdmins(t)
	s.dir.Rename(t, s.dir.GroupDN("admins"), "cn=administrators")
	s.sync()
	s.claim(s.app.active("alice", "bob"), "alice and bob are active")
}

// Absence cannot be proven, here since the place to ask in does not exist: that is no success.
func TestUnprovenIsNoSuccess(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora")
	s.configure(wide, s.source("corp", s.dir, `find_base = ["dc=elsewhere,dc=org"]`), s.target("app", s.app))
	s.settle()
	s.fire("bob")
	code := s.sync()
	s.claim(code != 0 || s.app.closed("bob"), "the pass does not end with 0 while bob is open")
	s.claim(s.app.closed("bob") || s.says("leavers", "bob"), "leavers names bob")
}

// Two people of one login.
func TestDisputeIsNoSuccess(t *testing.T) {
	s := company(t, "alice")
	s.hireAt("uid=bob," + s.dir.AddUnit(t, "north", s.dir.PeopleDN()))
	s.hireAt("uid=bob," + s.dir.AddUnit(t, "south", s.dir.PeopleDN()))
	s.claim(s.sync() == 3, "the pass says that something waits for an operator")
}

// A group names somebody who was renamed, and nothing in the server follows (ApacheDS; OpenLDAP without refint).
func TestDanglingMemberIsAFinding(t *testing.T) {
	s := open(t, slapdtest.Options{People: 20, Loose: true})
	members := []string{"bob"}
	for n := range 20 {
		members = append(members, slapdtest.UID(n+1))
	}
	s.hire("bob")
	s.group("wiki-users", members...)
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `scope = member_of("wiki-users")`))
	s.settle()
	s.dir.Rename(t, s.dir.PersonDN("bob"), "uid=robert")
	s.sync()
	s.claim(len(s.app.inactive()) == 0, "nobody is closed, inactive are %v", s.app.inactive())
	s.claim(s.says("findings", "wiki-users", "uid=bob"), "the member that names nobody is a finding")
}
