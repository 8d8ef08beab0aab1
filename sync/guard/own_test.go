package guard_test

import (
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR05OwnIdentityIsNeverClosed: as whom a source or a target is signed in, by an order neither. Enabling it does no
// harm.
func TestR05OwnIdentityIsNeverClosed(t *testing.T) {
	robot, admin, order := one(deleted, "ou=a", "wiki", "robot"), one(orphan, "", "wiki", "admin"), one(ordered, "ou=a", "chat", "boss")
	facts := company(100).facts([]identity.Leaver{robot, admin, order, one(deleted, "ou=a", "wiki", "alice")})
	facts.Own = []identity.Own{
		{Source: "corp", Person: robot.Person}, {Target: "wiki", ID: admin.Account}, {Target: "chat", ID: order.Account},
	}
	d := guard.Decide(facts)
	if got := said(d); got != "1 go; protected 3" {
		t.Fatal(got)
	}
	for _, p := range d.Protected {
		if !strings.Contains(p.Why(), "signs in to") || p.Own.IsZero() {
			t.Errorf("%s: %s", p.Name, p.Why())
		}
	}
	if got := said(guard.Enables(facts)); strings.Contains(got, "protected") {
		t.Errorf("enables: %s", got)
	}
}
