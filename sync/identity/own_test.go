package identity_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// R5: which accounts dirsweep itself signs in as.
func TestOwn(t *testing.T) {
	robot := identity.PersonID{Directory: "corp", Anchor: "robot"}
	source := identity.Own{Source: "corp", Person: robot}
	byID := identity.Own{Target: "wiki", ID: "7"}
	byName := identity.Own{Target: "wiki", Name: "Robot"}
	for name, c := range map[string]struct {
		own      identity.Own
		person   identity.PersonID
		target   string
		account  identity.AccountID
		userName string
		want     bool
	}{
		"the source's person, at any target":        {source, robot, "wiki", "1", "robot", true},
		"somebody else":                             {source, identity.PersonID{Directory: "corp", Anchor: "alice"}, "wiki", "1", "robot", false},
		"the same anchor in another directory":      {source, identity.PersonID{Directory: "lab", Anchor: "robot"}, "wiki", "1", "robot", false},
		"nobody's account is no person's":           {identity.Own{Source: "corp"}, identity.PersonID{}, "wiki", "1", "robot", false},
		"the target's account":                      {byID, robot, "wiki", "7", "whatever", true},
		"an orphan account that the target is":      {byID, identity.PersonID{}, "wiki", "7", "", true},
		"another account of it":                     {byID, robot, "wiki", "8", "robot", false},
		"that identifier at another target":         {byID, robot, "crm", "7", "robot", false},
		"by the name it signs in with, in any case": {byName, robot, "wiki", "9", "robot", true},
		"an identifier counts before a name":        {identity.Own{Target: "wiki", ID: "7", Name: "robot"}, robot, "wiki", "8", "robot", false},
		"nothing is known":                          {identity.Own{}, robot, "wiki", "", "", false},
		"no name is no name":                        {identity.Own{Target: "wiki"}, robot, "wiki", "1", "", false},
	} {
		if got := c.own.Is(c.person, c.target, c.account, c.userName); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
