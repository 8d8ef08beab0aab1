package judge

import (
	"cmp"
	"slices"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Former is somebody with an account whom the source no longer has under that anchor.
type Former struct {
	Person identity.PersonID
	Key    string // what they are known by under any anchor; "" for none
}

// A Claimant is somebody who is there, active and in scope.
type Claimant struct {
	Person  identity.PersonID
	Key     string
	Account bool // they have an account of their own
}

// A Dispute is a key that names more people than one on either side: nobody takes an account over by it.
type Dispute struct {
	Key     string
	Left    []identity.PersonID // sorted
	Present []identity.PersonID // sorted
}

// Returns says who of those that left is back under another anchor, by the declared key (R3): from who they were to who
// they are. More than one claimant, or more than one leaver claimed, is a dispute. Somebody with an account of their
// own claims none, and yet makes the key's other claimants doubtful. The order of the facts makes no difference (R17).
func Returns(left []Former, present []Claimant) (map[identity.PersonID]identity.PersonID, []Dispute) {
	type side struct{ left, present, claim []identity.PersonID }
	keys := map[string]*side{}
	for _, f := range left {
		if f.Key == "" {
			continue
		}
		if keys[f.Key] == nil {
			keys[f.Key] = &side{}
		}
		keys[f.Key].left = append(keys[f.Key].left, f.Person)
	}
	for _, c := range present {
		k := keys[c.Key]
		if k == nil || c.Key == "" {
			continue
		}
		k.present = append(k.present, c.Person)
		if !c.Account {
			k.claim = append(k.claim, c.Person)
		}
	}
	back := map[identity.PersonID]identity.PersonID{}
	var disputes []Dispute
	for key, k := range keys {
		k.left, k.present, k.claim = sorted(k.left), sorted(k.present), sorted(k.claim)
		switch {
		case len(k.claim) == 0:
		case len(k.left) == 1 && len(k.present) == 1:
			back[k.left[0]] = k.present[0]
		default:
			disputes = append(disputes, Dispute{Key: key, Left: k.left, Present: k.present})
		}
	}
	slices.SortFunc(disputes, func(a, b Dispute) int { return cmp.Compare(a.Key, b.Key) })
	return back, disputes
}

func sorted(ids []identity.PersonID) []identity.PersonID {
	slices.SortFunc(ids, func(a, b identity.PersonID) int {
		return cmp.Or(cmp.Compare(a.Directory, b.Directory), cmp.Compare(a.Anchor, b.Anchor))
	})
	return slices.Compact(ids)
}
