package guard_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR08NobodyWhoLeftIsInNoBooks: the level and not the edge.
func TestR08NobodyWhoLeftIsInNoBooks(t *testing.T) {
	of := func(w way) identity.Leaver { return one(w, "ou=a", "wiki", "ann") }
	for _, c := range []struct {
		name string
		left identity.Leaver
		on   guard.Booked
		want int
	}{
		{"an active account without a step", of(scope), guard.Booked{Active: true}, 1},
		{"with a step", of(scope), guard.Booked{Active: true, Step: true}, 0},
		{"closed, without a step", of(deleted), guard.Booked{}, 0},
		{"closed, with a step", of(deleted), guard.Booked{Step: true}, 0},
		{"nobody's account", of(orphan), guard.Booked{Active: true}, 0},
	} {
		books := map[guard.Account]guard.Booked{{Target: "wiki", ID: c.left.Account}: c.on}
		if got := guard.Unbooked([]identity.Leaver{c.left}, books); len(got) != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
