package survey

import (
	"fmt"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Standing is how a person stands to a target: which account is theirs, and why.
type Standing struct {
	Account   identity.AccountID // "" for none
	UserName  string
	Situation identity.Situation
	Why       string
}

// StandingOf says which account is a person's, by their link, nil for none, by the changes that are planned for them,
// and by what was found.
func (t Target) StandingOf(id identity.PersonID, link *state.Link, changes []identity.Change, found []identity.Finding) (x Standing) {
	switch {
	case link != nil:
		x = Standing{link.Account, link.UserName, identity.Linked, "linked since dirsweep adopted it"}
		if link.Created {
			x.Why = "linked since dirsweep created it"
		}
		if link.State != identity.LinkActive {
			x.Why += ", now " + link.State.String()
		}
	case len(changes) > 0 && changes[0].Account != "":
		x = Standing{
			changes[0].Account, changes[0].UserName, identity.Unlinked, "the only account that fits by " + fmt.Sprint(t.Correlate),
		}
	}
	for _, f := range found {
		// A dispute over one account is about everybody whom it fits; it names them.
		if f.Target == t.Name && (f.Person == id || f.Kind == "disputed" && strings.Contains(f.Detail, id.String())) {
			x.Why = f.Detail
			if f.Kind == "disputed" {
				x.Situation = identity.Disputed
			}
		}
	}
	return x
}
