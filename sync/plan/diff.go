package plan

import (
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Diff says what leads from have to want: the attributes at paths that have does not hold as wanted (R12: no others),
// and, where want maps entitlements, those to grant and those to withdraw. What want withholds stays as it is. Only
// entitlements that dirsweep granted are withdrawn.
func Diff(want, have identity.Account, paths []string, granted []identity.Entitlement) identity.Delta {
	var d identity.Delta
	for _, path := range paths {
		if want.Withholds(path) {
			continue
		}
		w, h := want.Attributes[path], have.Get(path)
		if !w.Covers(h) {
			d.Attributes = append(d.Attributes, identity.AttributeChange{Path: path, Before: h, After: w})
		}
	}
	slices.SortFunc(d.Attributes, func(a, b identity.AttributeChange) int {
		return strings.Compare(a.Path, b.Path)
	})
	if want.Entitlements == nil {
		return d
	}
	holds := have.Entitlements
	if have.EntitlementsUnknown {
		holds = granted // the application shows nobody's: what was granted is taken to be there
	}
	d.Grant = identity.WithoutEntitlements(want.Entitlements, holds)
	for _, held := range holds {
		if identity.HasEntitlement(granted, held) && !identity.HasEntitlement(want.Entitlements, held) {
			d.Withdraw = append(d.Withdraw, held)
		}
	}
	slices.SortFunc(d.Grant, identity.CompareEntitlements)
	slices.SortFunc(d.Withdraw, identity.CompareEntitlements)
	return d
}

// Creation is the delta of a Create: every wanted attribute, from nothing.
func Creation(want identity.Account, paths []string) identity.Delta {
	return Diff(want, identity.Account{}, paths, nil)
}

// An Intended account is one person's account on one target as a pass sees it: desired, recorded and observed.
type Intended struct {
	Want     identity.Account       // as mapped
	Have     identity.Account       // as observed
	Paths    []string               // mapped, sorted
	Granted  []identity.Entitlement // recorded as granted
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
	if d := Diff(a.Want, a.Have, a.Paths, a.Granted); !d.IsZero() {
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
