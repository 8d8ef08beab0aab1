package plan

import (
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Diff says what leads from what somebody has to what they should have: the attributes at the mapped paths that are not as
// wanted (R12: no others), and, where entitlements are mapped, those to grant and those to withdraw. What is withheld
// stays as it is. Only entitlements that are owned are withdrawn.
func Diff(a Intended) identity.Delta {
	var d identity.Delta
	for _, path := range a.Paths {
		if a.Want.Withholds(path) {
			continue
		}
		w, h := a.Want.Attributes[path], a.Have.Get(path)
		if !w.Covers(h) {
			d.Attributes = append(d.Attributes, identity.AttributeChange{Path: path, Before: h, After: w})
		}
	}
	slices.SortFunc(d.Attributes, func(a, b identity.AttributeChange) int {
		return strings.Compare(a.Path, b.Path)
	})
	if a.Want.Entitlements == nil {
		return d
	}
	holds := a.Have.Entitlements
	if a.Have.EntitlementsUnknown {
		holds = a.Granted // the application shows nobody's: what was granted is taken to be there
	}
	d.Grant = identity.WithoutEntitlements(a.Want.Entitlements, holds)
	for _, held := range holds {
		if a.owns(held) && !identity.HasEntitlement(a.Want.Entitlements, held) && !identity.HasEntitlement(a.Waiting, held) {
			d.Withdraw = append(d.Withdraw, held)
		}
	}
	slices.SortFunc(d.Grant, identity.CompareEntitlements)
	slices.SortFunc(d.Withdraw, identity.CompareEntitlements)
	return d
}

// owns reports whether an entitlement that the account has may be withdrawn: it is managed or, where nothing is, dirsweep
// granted it.
func (a Intended) owns(held identity.Entitlement) bool {
	granted := slices.IndexFunc(a.Granted, held.Same)
	if a.Managed == nil {
		return granted >= 0
	}
	if held.Name == "" && granted >= 0 {
		held = a.Granted[granted] // the application shows its identifier alone
	}
	return a.Managed.Has(held)
}

// Creation is the delta of a Create: every wanted attribute, from nothing.
func Creation(want identity.Account, paths []string) identity.Delta {
	return Diff(Intended{Want: want, Paths: paths})
}

// An Intended account is one person's account on one target as a pass sees it: desired, recorded and observed.
type Intended struct {
	Want     identity.Account       // as mapped
	Have     identity.Account       // as observed
	Paths    []string               // mapped, sorted
	Granted  []identity.Entitlement // recorded as granted
	Managed  identity.Managed       // entitlements that are given and taken whoever granted them; nil for those of Granted
	Waiting  []identity.Entitlement // wanted, and not to be had now: neither granted nor withdrawn
	Disabled bool                   // recorded as closed
	Ours     bool                   // and dirsweep itself closed it
	Known    bool                   // recorded as linked
	// Unchanged: the person and the mapping are as they were when the account was last written, so a difference is
	// drift.
	Unchanged bool
	// Settled: Unchanged, and the target holds what it held after the last write, so a difference is the target's own
	// spelling.
	Settled bool
	// Repair: drift is put back (on_drift = "repair" and "enforce").
	Repair bool
	// Enforce: an account that somebody else disabled is enabled too (on_drift = "enforce"); otherwise it stays
	// disabled (R11).
	Enforce bool
}

// Steps returns the operations that bring one account of an active person in scope to what is wanted, with their cause
// and delta; and the drift that is only reported.
func Steps(a Intended) (steps []Step, reported *Step) {
	cause := identity.Changed
	switch {
	case !a.Known:
		cause = identity.Adopted
		steps = append(steps, Step{Op: identity.Link, Cause: cause})
	case a.Unchanged:
		cause = identity.Drifted
	}
	switch {
	case a.Have.Active && a.Disabled:
		// Somebody was faster than we at enabling it; what is remembered of it must not stay "disabled", or leaving
		// again would go unseen.
		steps = append(steps, Step{Op: identity.Link, Cause: identity.Rehired})
	case !a.Have.Active:
		enable := Step{Op: identity.Enable, Cause: cause}
		switch {
		case a.Disabled && a.Ours:
			enable.Cause = identity.Rehired
		case a.Known:
			enable.Cause = identity.Drifted
		}
		if a.Disabled && a.Ours || a.Enforce {
			steps = append(steps, enable)
		} else {
			reported = &enable
		}
	}
	if a.Settled {
		return steps, reported
	}
	if d := Diff(a); !d.IsZero() {
		update := Step{Op: identity.Update, Cause: cause, Delta: d}
		if cause == identity.Drifted && a.Disabled && a.Ours {
			update.Cause = identity.Rehired
		}
		switch {
		case update.Cause != identity.Drifted || a.Repair:
			steps = append(steps, update)
		case reported == nil: // an account that is disabled says more than its attributes
			reported = &update
		}
	}
	return steps, reported
}

// A Step is one operation of a plan before it is addressed to a target and a person.
type Step struct {
	Op    identity.Op
	Cause identity.Cause
	Delta identity.Delta
}
