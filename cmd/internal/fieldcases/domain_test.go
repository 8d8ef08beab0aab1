//go:build unix

package fieldcases

// A domain of Active Directory, whose controller is Samba.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

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
	s.untilPushed()
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

// TestPushedFromAnotherController: the controller that is followed hangs, and another one of the domain answers in its place,
// which has not heard of everything yet. Whoever left by the word of the first is not back, whoever leaves by the word of
// the second is closed, and within a minute changes are pushed again (B1, B2).
func TestPushedFromAnotherController(t *testing.T) {
	s := open(t, slapdtest.Options{})
	first := sambatest.Start(t, sambatest.Options{People: 6})
	second := first.Twin(t)
	s.configure(wide, `schedule { delta = "@every 5s" }`, fmt.Sprintf(`source "active_directory" "corp" {
  url           = [%q, %q]
  tls_insecure  = true
  bind_dn       = %q
  bind_password = %q
  base_dn       = %q
  timeout       = "3s"
}
target "scim" "app" {
  url          = %q
  bearer_token = file("token")
  account      = { userName = lower(person.sAMAccountName) }
}`, first.URL(), second.URL(), first.Reader(), first.Password(), first.PeopleDN(), s.app.URL()))
	s.settle()
	s.run()
	s.untilPushed()
	uid, dn := sambatest.UID, func(n int) string { return first.PersonDN(sambatest.UID(n)) }
	closed := func(n int) func() bool { return func() bool { return s.app.closed(uid(n)) } }
	first.Delete(t, dn(1))
	s.claim(s.within(20*time.Second, closed(1)), "the first leaver is closed")
	first.Freeze(t)
	defer first.Thaw(t)
	second.Delete(t, dn(2))
	second.Disable(t, dn(3))
	s.claim(s.within(time.Minute, func() bool { return closed(2)() && closed(3)() }), "who leaves at the second is closed")
	s.claim(closed(1)(), "who left at the first is not back")
	s.claim(s.says("findings", "older entry", uid(1)) && s.says("status", first.URL()), "it is said why")
	s.untilPushed()
	second.Delete(t, dn(4))
	s.claim(s.within(20*time.Second, closed(4)), "a leaver of the second is pushed")
	s.claim(closed(1)() && s.app.active(uid(5), uid(6)), "the others are active")
}
