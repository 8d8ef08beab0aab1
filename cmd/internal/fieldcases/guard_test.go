package fieldcases

// What holds people, and what holds nobody.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// count is a guard that lets so many people go in a window of a day.
func count(n int) string {
	return strings.Replace(wide, "max_sweep_count    = 1000", fmt.Sprintf("max_sweep_count    = %d", n), 1)
}

// lock marks people of a crowd as locked, first to last, as somebody's mistake would.
func (s *site) lock(first, last int, value ...string) {
	s.Helper()
	for n := first; n <= last; n++ {
		s.set(slapdtest.UID(n), "nsAccountLock", value...)
	}
}

// crowd is a company of n people with accounts, under a guard.
func crowd(t *testing.T, n int, guard string, target ...string) *site {
	t.Helper()
	s := open(t, slapdtest.Options{People: n, Person: func(int) map[string][]string {
		return map[string][]string{"objectClass": {"lockPerson"}}
	}})
	s.configure(guard, s.source("corp", s.dir), s.target("app", s.app, target...))
	s.settle()
	return s
}

// allActive reports whether the people of a crowd from first to last are.
func (s *site) allActive(first, last int) bool {
	s.Helper()
	var names []string
	for n := first; n <= last; n++ {
		names = append(names, slapdtest.UID(n))
	}
	return s.app.active(names...)
}

const day = 24 * time.Hour

// An operator rejects a hold, and the window passes.
func TestRejectedHoldStands(t *testing.T) {
	s := crowd(t, 40, count(5))
	s.lock(1, 3, "TRUE")
	s.sync()
	s.lock(4, 7, "TRUE")
	s.claim(s.sync() == 3 && s.allActive(4, 7), "four more are held")
	for _, digest := range s.holds() {
		s.dirsweep("reject", digest)
	}
	for range 3 {
		s.ahead += day + time.Hour
		s.sync()
	}
	s.claim(s.allActive(4, 7), "the rejected are active days later, inactive are %v", s.app.inactive())
}

// Nobody decides, for a week, on cohorts each of which the limit would let go.
func TestUndecidedHoldStands(t *testing.T) {
	s := departments(t, count(5))
	for d := range 4 {
		for p := range 4 {
			s.dir.Set(t, fmt.Sprintf("uid=p%02d%d,ou=dep%02d,%s", d, p, d, s.dir.PeopleDN()), "nsAccountLock", "TRUE")
		}
	}
	s.claim(s.sync() == 3, "the pass says that something is held")
	closed := len(s.app.inactive())
	for range 7 {
		s.ahead += day
		s.claim(s.sync() == 3, "each pass says that something is held")
	}
	s.claim(len(s.app.inactive()) == closed, "inactive are %v, and were %d on the first day", s.app.inactive(), closed)
}

// One of the rejected is in order again: the others stay rejected.
func TestRejectedHoldOutlivesAMember(t *testing.T) {
	s := crowd(t, 40, count(5))
	s.lock(1, 6, "TRUE")
	s.claim(s.sync() == 3 && s.allActive(1, 6), "six are held")
	for _, digest := range s.holds() {
		s.dirsweep("reject", digest)
	}
	s.lock(6, 6)
	s.sync()
	s.claim(s.allActive(1, 6), "all six are active, inactive are %v", s.app.inactive())
}

// An approval releases what it names, once.
func TestApprovedHoldGoes(t *testing.T) {
	s := crowd(t, 40, count(5))
	s.lock(1, 6, "TRUE")
	s.sync()
	for _, digest := range s.holds() {
		s.dirsweep("approve", digest)
	}
	s.sync()
	s.claim(len(s.app.inactive()) == 6, "six are closed, inactive are %v", s.app.inactive())
	s.lock(7, 12, "TRUE")
	s.sync()
	s.claim(s.allActive(7, 12), "the next six are held, inactive are %v", s.app.inactive())
}

// Who is held by a mistake and then really deleted has left.
func TestHeldAndThenDeleted(t *testing.T) {
	s := crowd(t, 40, count(5))
	s.lock(1, 6, "TRUE")
	s.claim(s.sync() == 3 && s.allActive(1, 6), "six are held")
	s.fire(slapdtest.UID(2))
	s.sync()
	s.claim(s.app.closed(slapdtest.UID(2)), "who was deleted is closed")
	s.claim(s.allActive(3, 6), "the other held are active, inactive are %v", s.app.inactive())
}

// Many return at once: that is judged as many who leave.
func TestManyReturnsAreHeld(t *testing.T) {
	s := crowd(t, 40, count(5))
	s.lock(1, 12, "TRUE")
	s.sync()
	for _, digest := range s.holds() {
		s.dirsweep("approve", digest)
	}
	s.sync()
	s.claim(len(s.app.inactive()) == 12, "twelve are closed, once it is approved")
	s.age()
	s.lock(1, 12)
	s.claim(s.sync() == 3 && len(s.app.inactive()) >= 7,
		"their return waits for an operator, inactive are %v", s.app.inactive())
	for _, digest := range s.holds() {
		s.dirsweep("approve", digest)
	}
	s.sync()
	s.claim(len(s.app.inactive()) == 0, "they are enabled once it is approved, inactive are %v", s.app.inactive())
}

// A line of the mapping is edited, and every account would change.
func TestEditedMappingIsHeld(t *testing.T) {
	s := crowd(t, 100, wide)
	target := strings.Replace(s.target("app", s.app), "= person.cn", `= "${person.sn}, ${person.givenName}"`, 1)
	s.configure(wide, s.source("corp", s.dir), target)
	before := s.app.Writes()
	code := s.sync()
	s.claim(code == 3 && s.app.Writes() == before,
		"the change waits for an operator; exit %d, %d writes", code, s.app.Writes()-before)
	for _, digest := range s.holds() {
		s.dirsweep("approve", digest)
	}
	s.sync()
	s.claim(s.app.account(slapdtest.UID(1))["displayName"] == "Last1, First1", "it is made once it is approved")
}

// Who is protected is never written, not even updated, and never called closed.
func TestProtectedIsNeverWritten(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "svc-mail")
	s.settle()
	s.configure(strings.Replace(wide, "guard {", "guard {\n  protect = [\"svc-*\"]", 1), s.source("corp", s.dir),
		s.target("app", s.app))
	s.set("svc-mail", "cn", "Another Name")
	s.sync()
	s.fire("svc-mail")
	code := s.sync()
	s.claim(s.app.active("svc-mail") && s.app.account("svc-mail")["displayName"] == "Svc-mail Case",
		"the account is as it was")
	s.claim(code == 3, "who left and is protected waits for an operator; exit %d", code)
}

// Six people, one of whom leaves, under the default guard.
func TestSmallCompanyLetsOneGo(t *testing.T) {
	s := company(t, "alice", "bob", "carol", "dora", "emil", "finn")
	s.configure(s.source("corp", s.dir), s.target("app", s.app))
	s.settle()
	s.fire("bob")
	s.claim(s.sync() == 0 && s.app.closed("bob"), "bob is closed without an operator")
}

// Two of twenty leave on one day, under the default guard.
func TestSmallApplicationLetsTwoGo(t *testing.T) {
	s := crowd(t, 20, "")
	s.fire(slapdtest.UID(1), slapdtest.UID(2))
	s.claim(s.sync() == 0 && s.app.closed(slapdtest.UID(1), slapdtest.UID(2)), "both are closed without an operator")
}

// departments is a company of 60 in fifteen units, where an edited config must not close anybody bit by bit.
func departments(t *testing.T, guard string) *site {
	t.Helper()
	s := company(t)
	for d := range 15 {
		unit := s.dir.AddUnit(t, fmt.Sprintf("dep%02d", d), s.dir.PeopleDN())
		for p := range 4 {
			s.hireAt(fmt.Sprintf("uid=p%02d%d,%s", d, p, unit))
		}
	}
	s.configure(guard, s.source("corp", s.dir), s.target("app", s.app))
	s.settle()
	return s
}

// edited is what an edit of the config must do while one person leaves: nobody else is closed, not even the next day.
// Where anchor and base are as before the leaver's absence can be proven, and the edit is no reason to wait.
func edited(t *testing.T, s *site, provable bool, blocks ...string) {
	t.Helper()
	before := len(s.app.accounts())
	s.dir.Delete(t, "uid=p073,ou=dep07,"+s.dir.PeopleDN())
	s.configure(blocks...)
	s.sync()
	s.claim(!provable || s.app.closed("p073"), "the leaver is closed in the first pass")
	s.ahead = day + time.Hour
	s.sync()
	others := slices.DeleteFunc(s.app.inactive(), func(name string) bool { return name == "p073" })
	s.claim(len(others) == 0, "nobody but the leaver is closed, inactive are %v", others)
	s.claim(len(s.app.accounts()) == before, "nobody is made again")
}

func TestEditedAnchorClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	edited(t, s, false, count(20), s.source("corp", s.dir, `anchor = "employeeNumber"`), s.target("app", s.app))
}

func TestEditedFilterClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	source := strings.Replace(s.source("corp", s.dir), "(objectClass=inetOrgPerson)", "(|(uid=*0)(uid=*1))", 1)
	edited(t, s, true, count(20), source, s.target("app", s.app))
}

func TestEditedBaseClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	edited(t, s, false, count(20), below(s.source("corp", s.dir), "ou=dep03,"+s.dir.PeopleDN()), s.target("app", s.app))
}

func TestEditedDepthClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	for n := range 20 {
		s.hire(fmt.Sprintf("top%02d", n))
	}
	s.settle()
	edited(t, s, true, count(20), s.source("corp", s.dir, `scope_depth = "one"`), s.target("app", s.app))
}

func TestEditedActiveClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	edited(t, s, true, count(20), s.source("corp", s.dir, `active = startswith(person.uid, "p0")`),
		s.target("app", s.app))
}

func TestEditedScopeClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	edited(t, s, true, count(20), s.source("corp", s.dir),
		s.target("app", s.app, `scope = startswith(person.uid, "p0")`))
}

// A few people fewer by an edit are as little their own doing as many.
func TestEditedFilterClosesNotEvenOne(t *testing.T) {
	s := departments(t, count(20))
	source := strings.Replace(s.source("corp", s.dir), "(objectClass=inetOrgPerson)",
		"(&(objectClass=inetOrgPerson)(!(uid=p010)))", 1)
	edited(t, s, true, count(20), source, s.target("app", s.app))
}

// Teams of eight; the reader loses the right to see who is in any group.
func TestHiddenMembersOfAllGroupsCloseNobody(t *testing.T) {
	s := company(t)
	for g := range 10 {
		var team []string
		unit := s.dir.AddUnit(t, fmt.Sprintf("team%d", g), s.dir.PeopleDN())
		for p := range 6 {
			team = append(team, s.hireAt(fmt.Sprintf("uid=p%d%d,%s", g, p, unit)))
		}
		s.dir.AddGroup(t, fmt.Sprintf("wiki-%d", g), team...)
	}
	inWiki := `scope = length([for g in person.groups : g if startswith(g, "wiki-")]) > 0`
	s.configure(count(20), s.source("corp", s.dir), s.target("app", s.app, inWiki))
	s.settle()
	s.dir.HideAttribute(t, "member")
	for range 3 {
		s.sync()
		s.ahead += day + time.Hour
	}
	s.claim(len(s.app.inactive()) == 0, "nobody is closed, inactive are %v", s.app.inactive())
}

// A branch of four of 64 cannot be seen any more.
func TestHiddenBranchClosesNobody(t *testing.T) {
	s := departments(t, count(20))
	unit := "ou=dep03," + s.dir.PeopleDN()
	s.dir.Restrict(t, `to dn.subtree="`+unit+`" by * none`)
	s.sync()
	s.claim(len(s.app.inactive()) == 0, "nobody is closed, inactive are %v", s.app.inactive())
}
