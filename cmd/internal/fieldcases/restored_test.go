package fieldcases

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// keepState copies the state file, and returns what puts the copy back in its place.
func (s *site) keepState() (putBack func()) {
	s.Helper()
	path := filepath.Join(s.folder, "state.db")
	copied, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return func() {
		s.Helper()
		if err := os.WriteFile(path, copied, 0o600); err != nil {
			s.Fatal(err)
		}
	}
}

// inScope is a target of those who are staff.
func (s *site) inScope() string {
	return s.target("app", s.app, `scope = person.employeeType == "staff"`)
}

// An older state is put in the place of the newest: what was ordered since stands, who came back is not closed again,
// who was closed is not opened, and who leaves now waits for an operator.
func TestRestoredState(t *testing.T) {
	people := []string{"alice", "bob", "carol", "dora", "erin", "frank"}
	s := company(t, people...)
	for _, uid := range people {
		s.set(uid, "employeeType", "staff")
	}
	s.configure(wide, s.source("corp", s.dir), s.inScope())
	s.settle()
	s.set("erin", "employeeType", "left")
	s.settle()
	s.dirsweep("sweep", "carol", "--reason", "field case")
	s.claim(s.app.closed("erin", "carol"), "erin and carol are closed")

	putBack := s.keepState()
	s.dirsweep("release", "carol")
	s.dirsweep("sweep", "dora", "--reason", "field case")
	s.set("erin", "employeeType", "staff")
	s.fire("bob")
	s.sync()
	s.claim(s.app.active("alice", "carol", "erin", "frank") && s.app.closed("bob", "dora"), "so it is before the state is put back")

	putBack()
	d := s.run()
	still := func() bool { return s.app.active("alice", "carol", "erin", "frank") && s.app.closed("bob", "dora") }
	changed := s.within(5*time.Second, func() bool { return !still() })
	s.claim(!changed, "the daemon leaves everybody as they are")
	d.stop()
	code := s.sync()
	s.claim(still() && code == 3, "a pass does so too, and waits for an operator: %d", code)
	s.claim(s.says("findings", "put back to an older one"), "that is told")

	s.fire("frank")
	s.sync()
	s.claim(s.app.active("frank") && s.told("frank"), "who leaves now waits")
	for _, digest := range s.holds() {
		s.dirsweep("approve", digest)
	}
	s.sync()
	s.claim(s.app.closed("frank", "bob", "dora") && s.app.active("alice", "carol", "erin"), "and is closed by an operator's word")
}

// The state is lost, and the trail is not: whoever was swept by an operator stays so.
func TestLostStateKeepsOrders(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.dirsweep("sweep", "bob", "--reason", "field case")
	s.dirsweep("sweep", "carol", "--reason", "field case")
	s.dirsweep("release", "carol")
	s.settle()
	if err := os.Remove(filepath.Join(s.folder, "state.db")); err != nil {
		t.Fatal(err)
	}
	s.sync()
	s.sync()
	s.claim(s.app.closed("bob") && s.app.active("alice", "carol"), "bob is closed, inactive are %v", slices.Sorted(slices.Values(s.app.inactive())))
}

// A crash is no older state: what it left in the trail alone holds nobody.
func TestStoppedProcessIsNoRestoredState(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	d := s.run()
	s.claim(s.within(10*time.Second, func() bool { return len(s.app.accounts()) == 3 && s.app.active("alice", "bob", "carol") }), "everybody is there")
	_ = d.cmd.Process.Kill()
	<-d.died
	s.fire("bob")
	code := s.sync()
	s.claim(s.app.closed("bob") && code == 0, "bob is closed at once: exit %d", code)
}
