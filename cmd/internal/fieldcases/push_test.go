package fieldcases

// The directory says when something changes, and nobody waits for the clock.

import (
	"encoding/json"
	"testing"
	"time"

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
	staff := s.dir.AddGroup(t, "staff", "uid=alice,"+sales, "uid=bob,"+sales, "uid=carol,"+sales)
	s.dir.AddGroup(t, "wiki-users", staff, stan)
	s.configure(wide, everyHour, s.source("corp", s.dir), s.target("app", s.app, `scope = member_of("wiki-users")`))
	s.settle()
	s.run()
	s.untilPushed()
	return s
}

// untilPushed waits until status says so.
func (s *site) untilPushed() {
	s.Helper()
	s.claim(s.within(20*time.Second, func() bool { return s.says("status", "pushed since") }), "changes are pushed")
}

func TestPushedLeaverWaitsForNoClock(t *testing.T) {
	type leave func(s *site, dir *slapdtest.Server, bob, sales string)
	all := []string{"alice", "bob", "carol"}
	for name, c := range map[string]struct {
		leave  leave
		closed []string
	}{
		"deleted": {func(s *site, dir *slapdtest.Server, bob, _ string) { dir.Delete(s, bob) }, []string{"bob"}},
		"locked":  {func(s *site, dir *slapdtest.Server, bob, _ string) { dir.Disable(s, bob) }, []string{"bob"}},
		"moved out": {
			func(s *site, dir *slapdtest.Server, bob, _ string) { dir.Move(s, bob, dir.FormerDN()) }, []string{"bob"},
		},
		"moved out with the unit": {
			func(s *site, dir *slapdtest.Server, _, sales string) { dir.Move(s, sales, dir.FormerDN()) }, all,
		},
		"taken out of the group": {
			func(s *site, dir *slapdtest.Server, bob, _ string) { dir.Leave(s, dir.GroupDN("staff"), bob) }, []string{"bob"},
		},
		"their group is taken out": {func(s *site, dir *slapdtest.Server, _, _ string) {
			dir.Leave(s, dir.GroupDN("wiki-users"), dir.GroupDN("staff"))
		}, all},
	} {
		t.Run(name, func(t *testing.T) {
			s := pushed(t)
			c.leave(s, s.dir, "uid=bob,ou=sales,"+s.dir.PeopleDN(), "ou=sales,"+s.dir.PeopleDN())
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
	byTheClock := func() bool { return s.says("status", "read by the clock since") }
	s.claim(s.within(20*time.Second, byTheClock), "status says that it is not pushed")
	s.dir.Start(t)
	s.dir.Delete(s, "uid=bob,ou=sales,"+s.dir.PeopleDN())
	s.claim(s.within(time.Minute, func() bool { return s.app.closed("bob") }), "bob is closed")
	s.untilPushed()
	s.dir.Delete(s, "uid=carol,ou=sales,"+s.dir.PeopleDN())
	s.claim(s.within(20*time.Second, func() bool { return s.app.closed("carol") }), "carol is closed")
	s.claim(s.app.active("alice", "stan"), "the others are active")
}

// TestPushedLeaversStopAtTheLimit: people who leave one after the other, each pushed by itself, are counted together: as
// many go as the guard lets go without a word of the config, and the others are held.
func TestPushedLeaversStopAtTheLimit(t *testing.T) {
	const people, leave, limit = 200, 25, 10 // max_sweep_percent = 5
	s := crowd(t, people, "")
	s.configure(everyHour, s.source("corp", s.dir), s.target("app", s.app))
	s.run()
	s.untilPushed()
	held := func() int {
		var hold struct {
			Held int `json:"heldLeavers"`
		}
		_, out := s.dirsweep("status", "--json")
		_ = json.Unmarshal([]byte(out), &hold)
		return hold.Held
	}
	for n := 1; n <= leave; n++ { // two who are noticed together go together, or not at all
		s.dir.Delete(s, s.dir.PersonDN(slapdtest.UID(n)))
		if !s.within(20*time.Second, func() bool { return len(s.app.inactive())+held() == n }) {
			s.Fatalf("of %d, %d are closed and %d are held", n, len(s.app.inactive()), held())
		}
	}
	s.claim(held() == leave-limit, "%d are held, not %d", leave-limit, held())
	s.claim(len(s.app.inactive()) == limit && s.allActive(leave+1, people), "%d are closed, and nobody else", limit)
}
