package sweep

import (
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Traits are what tells a person's accounts in one target from others': what is remembered, and what the source and the
// mapping say now.
type Traits struct {
	Person      identity.PersonID
	ExternalIDs []string            // the anchor, and what the mapping makes externalId
	UserNames   []string            // last known, and as mapped now
	Others      map[string][]string // further attributes by which accounts are correlated, with their values
}

// A Hit is an account that one of the traits found.
type Hit struct {
	Account identity.Account
	By      string            // the attribute
	Holder  identity.PersonID // whom it is linked to; zero for nobody
	// Fitted is whom it fitted when it was listed before, without a link, or whose books it is on, or whose account under
	// another identifier it may be: zero for nobody; nil where nothing is known of it.
	Fitted *identity.PersonID
}

// Owned says which of the hits are the person's accounts, and which may be: those are disputed, and an operator has to
// say. An account that is linked to somebody else is neither. A mark that says nothing makes an account the person's
// only where nothing else fits: neither another such account, nor one that is theirs for certain. One that carries
// another externalId, or was there before they fitted it, and that nobody is linked to, is never theirs by what else
// fits, and is not passed over either.
func Owned(t Traits, hits []Hit) (own, disputed []Hit) {
	var unmarked, foreign []Hit
	seen := map[identity.AccountID]bool{}
	for _, h := range hits {
		if seen[h.Account.ID] {
			continue
		}
		seen[h.Account.ID] = true
		switch {
		case h.Holder == t.Person:
			own = append(own, h)
		case !h.Holder.IsZero():
		case slices.Contains(t.ExternalIDs, h.Account.ExternalID):
			own = append(own, h)
		case h.Account.ExternalID == "" && (h.Fitted == nil || *h.Fitted == t.Person):
			unmarked = append(unmarked, h)
		default:
			foreign = append(foreign, h)
		}
	}
	if len(own) == 0 && len(unmarked) == 1 {
		own, unmarked = unmarked, nil
	}
	for _, h := range slices.Concat(unmarked, foreign) {
		if h.Account.Active {
			disputed = append(disputed, h)
		}
	}
	return own, disputed
}

// Keys are what to look for, attribute by attribute, the surest first, without duplicates.
func (t Traits) Keys() (keys [][2]string) {
	add := func(attribute string, values []string) {
		for _, v := range values {
			if key := [2]string{attribute, v}; strings.TrimSpace(v) != "" && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	add("externalId", t.ExternalIDs)
	add("userName", t.UserNames)
	for _, attribute := range slices.Sorted(maps.Keys(t.Others)) {
		if attribute != "externalId" && attribute != "userName" {
			add(attribute, t.Others[attribute])
		}
	}
	return keys
}
