package fieldcases

// The directory says when something changes, and nobody waits for the clock.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// everyHour is a clock for which no case has the time.
const everyHour = `schedule { delta = "@every 1h" }`

// pushed starts a daemon that reads by the clock once an hour only. Everybody is in sales, which is below people, and in
// the group staff, which is in wiki-users.
func pushed(t *testing.T) *site {
	t.Helper()
	s := open(t, slapdtest.Options{})
	sales := s.dir.AddUnit(t, "sales", s.dir.PeopleDN())
	for _, uid := range []string{"alice", "bob", "carol"} {
		s.dir.Move(t, s.hire(uid), sales)
	}
	stan := s.hire("stan")
	s.dir.AddGroup(t, "wiki-users", s.dir.AddGroup(t, "staff", "uid=alice,"+sales, "uid=bob,"+sales, "uid=carol,"+sales), stan)
	s.configure(wide, everyHour, s.source("corp", s.dir), s.target("app", s.app, `scope = member_of("wiki-users")`))
	s.settle()
	s.run()
	s.claim(s.within(20*time.Second, func() bool { return s.says("status", "pushed since") }), "status says that changes are pushed")
	return s
}

func TestPushedLeaverWaitsForNoClock(t *testing.T) {
	for name, c := range map[string]struct {
		leave  func(s *site, dir *slapdtest.Server)
		closed []string
	}{
		"deleted":                 {func(s *site, dir *slapdtest.Server) { dir.Delete(s, "uid=bob,ou=sales,"+dir.PeopleDN()) }, []string{"bob"}},
		"locked":                  {func(s *site, dir *slapdtest.Server) { dir.Disable(s, "uid=bob,ou=sales,"+dir.PeopleDN()) }, []string{"bob"}},
		"moved out":               {func(s *site, dir *slapdtest.Server) { dir.Move(s, "uid=bob,ou=sales,"+dir.PeopleDN(), dir.FormerDN()) }, []string{"bob"}},
		"moved out with the unit": {func(s *site, dir *slapdtest.Server) { dir.Move(s, "ou=sales,"+dir.PeopleDN(), dir.FormerDN()) }, []string{"alice", "bob", "carol"}},
		"taken out of the group": {func(s *site, dir *slapdtest.Server) {
			dir.Leave(s, dir.GroupDN("staff"), "uid=bob,ou=sales,"+dir.PeopleDN())
		}, []string{"bob"}},
		"their group is taken out": {func(s *site, dir *slapdtest.Server) {
			dir.Leave(s, dir.GroupDN("wiki-users"), dir.GroupDN("staff"))
		}, []string{"alice", "bob", "carol"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := pushed(t)
			c.leave(s, s.dir)
			s.claim(s.within(20*time.Second, func() bool { return s.app.closed(c.closed...) }), "%v are closed", c.closed)
			s.claim(s.app.active("stan"), "stan is active")
		})
	}
}

// TestPushGoesOnAfterTheDirectoryWasAway: what happened while nobody listened is seen at once, and so is what happens
// then.
func TestPushGoesOnAfterTheDirectoryWasAway(t *testing.T) {
	s := pushed(t)
	s.dir.Stop(t)
	s.claim(s.within(20*time.Second, func() bool { return s.says("status", "read by the clock since") }), "status says that it is not pushed")
	s.dir.Start(t)
	s.dir.Delete(s, "uid=bob,ou=sales,"+s.dir.PeopleDN())
	s.claim(s.within(time.Minute, func() bool { return s.app.closed("bob") }), "bob is closed")
	s.claim(s.within(20*time.Second, func() bool { return s.says("status", "pushed since") }), "it is pushed again")
	s.dir.Delete(s, "uid=carol,ou=sales,"+s.dir.PeopleDN())
	s.claim(s.within(20*time.Second, func() bool { return s.app.closed("carol") }), "carol is closed")
	s.claim(s.app.active("alice", "stan"), "the others are active")
}

// TestPushedFromADomain: a domain controller is asked whether anything has changed, and the leavers of a domain wait for
// no clock either. Joiners and movers come with them.
func TestPushedFromADomain(t *testing.T) {
	s := open(t, slapdtest.Options{})
	domain := sambatest.Start(t, sambatest.Options{People: 12, Groups: 2})
	sales := domain.AddUnit(t, "sales", domain.PeopleDN())
	for _, n := range []int{1, 2, 3} {
		domain.Move(t, domain.PersonDN(sambatest.UID(n)), sales)
	}
	staff := domain.AddGroup(t, "staff", domain.GroupDN("group001"), domain.GroupDN("group002"))
	s.configure(wide, everyHour, domain.Block("corp"), fmt.Sprintf(`target "scim" "app" {
  url          = %q
  bearer_token = file("token")
  scope        = member_of("staff")
  account = {
    userName    = lower(person.sAMAccountName)
    displayName = person.displayName
  }
}`, s.app.URL()))
	s.settle()
	s.run()
	s.claim(s.within(20*time.Second, func() bool { return s.says("status", "pushed since") }), "status says that changes are pushed")
	dn := func(n int) string { return domain.PersonDN(sambatest.UID(n)) }
	for _, c := range []struct {
		what   string
		happen func()
		closed []int
	}{
		{"deleted", func() { domain.Delete(t, dn(4)) }, []int{4}},
		{"disabled", func() { domain.Disable(t, dn(5)) }, []int{5}},
		{"expired", func() { domain.Set(t, dn(6), "accountExpires", "132537600000000000") }, []int{6}},
		{"moved out", func() { domain.Move(t, dn(7), domain.FormerDN()) }, []int{7}},
		{"taken out of the group", func() { domain.Leave(t, domain.GroupDN("group001"), dn(8)) }, []int{8}},
		{"moved out with the unit", func() { domain.Move(t, sales, domain.FormerDN()) }, []int{1, 2, 3}},
		{"their group is taken out", func() { domain.Leave(t, staff, domain.GroupDN("group002")) }, []int{9, 11}},
	} {
		c.happen()
		s.claim(s.within(20*time.Second, func() bool {
			return !slices.ContainsFunc(c.closed, func(n int) bool { return !s.app.closed(sambatest.UID(n)) })
		}), "%s: %v are closed", c.what, c.closed)
	}
	s.claim(s.app.active(sambatest.UID(10), sambatest.UID(12)), "the others are active")
	domain.Join(t, staff, domain.AddPerson(t, "newcomer", nil))
	s.claim(s.within(20*time.Second, func() bool { return s.app.active("newcomer") }), "the newcomer has an account")
	domain.Set(t, dn(10), "displayName", "Somebody Else")
	s.claim(s.within(20*time.Second, func() bool { return s.app.Users(t)[sambatest.UID(10)]["displayName"] == "Somebody Else" }),
		"the new name is there")
	domain.Set(t, dn(6), "accountExpires", "0")
	s.claim(s.within(20*time.Second, func() bool { return s.app.active(sambatest.UID(6)) }), "who expires no more has the account back")
}
