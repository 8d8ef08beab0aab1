package guard

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Read is the size of one whole read of a source or listing of a target (R2).
type Read struct {
	Now    time.Time
	Limits Limits
	Source string // one of the two is set
	Target string
	Before int // people of the last accepted read; linked active accounts
	Count  int // people read; those of the linked active accounts that were listed
	// Missing is how many of Before nothing explains: people who are neither elsewhere, gone nor inactive; linked
	// active accounts not listed.
	Missing int
	Words   string // more about them, for the reason; "" for nothing
	Holds   []identity.Hold
}

// A Belief is whether a Read is believed, and what became of the holds over it.
type Belief struct {
	Believed bool
	Digest   string         // of the hold that keeps it from being believed, new or not
	Hold     *identity.Hold // a new one
	Consumed string         // the digest of the approval that lets it be believed, once
	Over     []string       // digests of holds that stand for nothing any more
}

// Believe judges a Read: more than max_shrink_percent missing, and more than three, is not believed until it is
// approved; nor is a source that returns nobody, however few they were. An approval is for so many missing and no more,
// and so is a hold.
func Believe(r Read) (b Belief) {
	allowed := int(r.Limits.MaxShrinkPercent * float64(r.Before) / 100)
	if r.Limits.MaxShrinkPercent > 0 {
		allowed = max(floor, allowed)
	}
	nobody := r.Count == 0 && r.Source != ""
	standing := r.standing()
	if !nobody && r.Missing <= allowed {
		b.Believed = true
		for _, h := range standing {
			b.Over = append(b.Over, h.Digest)
		}
		return b
	}
	for _, h := range standing {
		switch covers := r.Missing <= h.Count; {
		case b.Digest != "" || b.Believed || !covers:
			b.Over = append(b.Over, h.Digest)
		case h.Ruling.What == identity.Approved:
			b.Believed, b.Consumed = true, h.Digest
		default:
			b.Digest = h.Digest
		}
	}
	if !b.Believed && b.Digest == "" {
		h := r.hold(nobody)
		b.Hold, b.Digest = &h, h.Digest
	}
	return b
}

// standing are the holds over reads of the same, those that an operator decided first.
func (r Read) standing() (list []identity.Hold) {
	for _, h := range r.Holds {
		if h.Kind == identity.HoldShrink && h.Directory == r.Source && h.Target == r.Target && h.Anomaly == "" {
			list = append(list, h)
		}
	}
	rank := func(h identity.Hold) int {
		return slices.Index([]identity.Verdict{identity.Approved, identity.Rejected, ""}, h.Ruling.What)
	}
	slices.SortFunc(list, func(a, b identity.Hold) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Digest, b.Digest))
	})
	return list
}

func (r Read) hold(nobody bool) identity.Hold {
	h := identity.Hold{Kind: identity.HoldShrink, Directory: r.Source, Target: r.Target, Count: r.Missing, Since: r.Now}
	where := "guard {}"
	if r.Target != "" {
		where = "guard {} of " + r.Target
	}
	switch {
	case r.Count == 0 && r.Target != "":
		h.Reason = fmt.Sprintf("%s lists none of the %d active accounts that are linked there: check its url and token before you approve; "+
			"nothing is made again until then", r.Target, r.Before)
	case nobody:
		h.Reason = fmt.Sprintf("%s returned nobody, %d last time: check what it reads (base_dn and filter, or files) and its rights to see it before you approve",
			r.Source, r.Before)
	case r.Target != "":
		h.Reason = fmt.Sprintf("%s lacks %d of %d linked active accounts, more than max_shrink_percent = %g in %s allows: check its url and "+
			"token before you approve; nothing is made again until then", r.Target, r.Missing, r.Before, r.Limits.MaxShrinkPercent, where)
	default:
		h.Reason = fmt.Sprintf("%s lacks %d of %d people, and nothing says where they are: more than max_shrink_percent = %g in %s allows; "+
			"check what it reads (base_dn and filter, or files) and its rights to see it before you approve", r.Source, r.Missing, r.Before, r.Limits.MaxShrinkPercent, where)
	}
	if r.Words != "" {
		h.Reason += "; " + r.Words
	}
	h.Digest = Digest(h)
	return h
}
