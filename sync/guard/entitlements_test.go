package guard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// R14: an edit that takes one entitlement of few holders from each of many is held, though nobody of them is many of one
// entitlement's holders. Accounts that are adopted count as those that are linked.
func TestR14ManyLoseOneOfFewHoldersEach(t *testing.T) {
	for _, c := range []struct {
		name                    string
		linked, adopted, losing int
		held                    bool
	}{
		{"twenty of few", 25, 0, 20, false},
		{"twenty-one of few", 25, 0, 21, true},
		{"exactly the percentage", 100, 0, 30, false},
		{"one more", 100, 0, 31, true},
		{"of those that are adopted", 0, 100, 30, false},
		{"one more of those that are adopted", 0, 100, 31, true},
		{"of both", 60, 40, 30, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := guard.Edit{
				Now: morning, Limits: guard.Default(), Target: "wiki", Mapping: 7, Linked: c.linked, Adopted: c.adopted,
				Attributes: map[string]int{guard.Entitlements: c.losing}, Withdrawn: map[string]guard.Withdrawal{},
			}
			for i := range c.losing {
				e.Withdrawn[fmt.Sprintf("team-%d", i)] = guard.Withdrawal{Losers: []identity.AccountID{identity.AccountID(fmt.Sprint(i))}, Holders: 5}
			}
			d := guard.Changes(e)
			if held := d.Attributes[guard.Entitlements] != ""; held != c.held || len(d.Withdrawn) > 0 {
				t.Errorf("held %v, %v", d.Attributes, d.Withdrawn)
			}
			if want := fmt.Sprintf("entitlements of wiki: %d of %d accounts would lose some", c.losing, c.linked+c.adopted); c.held &&
				(len(d.Holds) != 1 || !strings.HasPrefix(d.Holds[0].Reason, want)) {
				t.Errorf("%+v", d.Holds)
			}
		})
	}
}
