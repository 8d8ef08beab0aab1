package guard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// An Edit is how much would change at one target: by attribute where its mapping was edited, and by entitlement (R6,
// R14). Numbers alone, so that an edit that concerns a million accounts costs nothing.
type Edit struct {
	Now     time.Time
	Limits  Limits
	Target  string
	Mapping uint64 // fingerprint of the target's expressions, as edited
	Linked  int    // accounts
	Adopted int    // accounts that are to be linked, beside those
	// Attributes is how many linked accounts would get another value of an attribute because the mapping was edited,
	// those included that have got it already; of Entitlements, how many linked and adopted ones would lose some by a
	// mapping that is new to them.
	Attributes map[string]int
	// Withdrawn is who would lose an entitlement, by its name.
	Withdrawn map[string]Withdrawal
	Holds     []identity.Hold
	Spent     []identity.Spent // what went ahead
}

// Entitlements is what an Edit calls all entitlements together: who each of them is few of, many may still lose.
const Entitlements = "entitlements"

// A Withdrawal is which accounts would lose an entitlement now, and how many have it.
type Withdrawal struct {
	Losers  []identity.AccountID
	Holders int
}

// EditDecision says what may not be sent.
type EditDecision struct {
	Attributes map[string]string // those that may not be changed, by the digest of the hold
	Withdrawn  map[string]string // entitlements that may not be taken away
	Holds      []identity.Hold   // new ones
	Spent      []identity.Spent  // what goes ahead and counts: withdrawals that nobody had to approve
	Over       []string          // digests of holds that stand for nothing any more: carried out, or the config is another
}

// Changes judges an Edit: one attribute that would change at more than max_change_percent of the linked accounts, and
// at more than twenty, is held; so are all entitlements where so many would lose some by an edit, and one that more
// than that share of its holders would lose, or have lost within the window. A hold stands until it is decided, or
// nothing would change any more. An approval holds for the mapping for which it was given.
func Changes(e Edit) EditDecision {
	out := EditDecision{Attributes: map[string]string{}, Withdrawn: map[string]string{}}
	standing := map[string][]identity.Hold{}
	for _, h := range e.Holds {
		if h.Kind != identity.HoldChange || h.Target != e.Target {
			continue
		}
		n := e.Attributes[h.Attribute]
		if h.Cause == identity.Withdrawn {
			n = len(e.Withdrawn[h.Attribute].Losers)
		} else if h.Mapping != e.Mapping {
			n = 0
		}
		if n == 0 {
			out.Over = append(out.Over, h.Digest)
			continue
		}
		key := string(h.Cause) + "\x00" + h.Attribute
		standing[key] = append(standing[key], h)
	}
	for _, path := range slices.Sorted(maps.Keys(e.Attributes)) {
		of, what := e.Linked, "linked accounts would change"
		if path == Entitlements {
			of, what = e.Linked+e.Adopted, "accounts would lose some"
		}
		h := e.hold(identity.Changed, path, e.Attributes[path], of, what)
		out.judge(h, standing, e.Limits, e.Attributes[path], of, out.Attributes)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Withdrawn)) {
		w := e.Withdrawn[name]
		before := e.withdrawn(name, w.Losers)
		n, of := len(w.Losers)+before, max(w.Holders, len(w.Losers))+before
		what := "holders would lose it"
		if before > 0 {
			what = fmt.Sprintf("holders would lose it or have lost it (%d) within %s", before, hours(e.Limits.Window))
		}
		h := e.hold(identity.Withdrawn, name, n, of, what)
		if counts := out.judge(h, standing, e.Limits, n, of, out.Withdrawn); counts {
			out.Spent = append(out.Spent, e.spend(name, w.Losers)...)
		}
	}
	slices.Sort(out.Over)
	return out
}

// withdrawn is how many other accounts than losers have lost an entitlement within the window.
func (e Edit) withdrawn(name string, losers []identity.AccountID) (n int) {
	counted := make(map[identity.AccountID]bool, len(losers))
	for _, id := range losers {
		counted[id] = true
	}
	since := e.Now.Add(-e.Limits.Window)
	for _, s := range e.Spent {
		mine := s.Kind == identity.HoldWithdrawal && s.Target == e.Target && s.Entitlement == name
		if mine && s.At.After(since) && !counted[s.Account] {
			counted[s.Account] = true
			n++
		}
	}
	return n
}

func (e Edit) spend(name string, losers []identity.AccountID) []identity.Spent {
	out := make([]identity.Spent, 0, len(losers))
	for _, id := range losers {
		out = append(out, identity.Spent{
			Kind: identity.HoldWithdrawal, Target: e.Target, Account: id, Entitlement: name,
			Cause: identity.Withdrawn, At: e.Now,
		})
	}
	return out
}

// judge notes in held what may not be sent: what a standing hold binds, or what is over the limit now. What goes ahead
// counts for the window unless it was approved.
func (out *EditDecision) judge(
	h identity.Hold, standing map[string][]identity.Hold, l Limits, n, of int, held map[string]string,
) (counts bool) {
	known := standing[string(h.Cause)+"\x00"+h.Attribute]
	slices.SortFunc(known, func(a, b identity.Hold) int { return cmp.Compare(a.Digest, b.Digest) })
	approved := slices.ContainsFunc(known, func(k identity.Hold) bool { return k.Ruling.What == identity.Approved && n <= k.Count })
	rejected := slices.IndexFunc(known, func(k identity.Hold) bool { return k.Ruling.What == identity.Rejected })
	waiting := slices.IndexFunc(known, func(k identity.Hold) bool { return k.Ruling.What == "" })
	switch {
	case n == 0:
	case rejected >= 0:
		held[h.Attribute] = known[rejected].Digest
	case approved:
	case waiting >= 0:
		held[h.Attribute] = known[waiting].Digest
	case n > l.changes(of):
		held[h.Attribute] = h.Digest
		out.Holds = append(out.Holds, h)
	default:
		return true
	}
	return false
}

// changes is how many of base an edit may change. An explicit nothing allows none.
func (l Limits) changes(base int) int {
	if l.MaxChangePercent <= 0 {
		return 0
	}
	return max(fewChanges, int(l.MaxChangePercent*float64(base)/100))
}

func (e Edit) hold(cause identity.Cause, attribute string, n, of int, what string) identity.Hold {
	h := identity.Hold{
		Kind: identity.HoldChange, Target: e.Target, Cause: cause, Attribute: attribute, Count: n, Since: e.Now,
		Reason: fmt.Sprintf("%s of %s: %d of %d %s, max_change_percent = %g allows %d: raise it in guard {} of %s, or approve this",
			attribute, e.Target, n, of, what, e.Limits.MaxChangePercent, e.Limits.changes(of), e.Target),
	}
	if cause == identity.Changed {
		h.Mapping = e.Mapping
	}
	h.Digest = Digest(h)
	return h
}
