// Package guard decides what waits for an operator: leavers, returns, changes and deletes, against limits, what does
// not look right, and the holds that stand. It is pure: everything that it knows is given to it as values, and what it
// says is carried out by others.
package guard

import (
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Limits bound what may happen without an operator (R2, R6, R10, R14).
type Limits struct {
	MaxSweepPercent  float64       // of the linked active accounts of a target, or people of a source, per Window
	MaxSweepCount    int           // per Window; whichever limit is reached first counts
	Window           time.Duration //
	MaxShrinkPercent float64       // of a source's last accepted read, or of a target's linked active accounts
	MaxChangePercent float64       // of a target's linked accounts that one edited mapping may change, or of an entitlement's holders
	MaxDeleteCount   int           // accounts deleted after grace, per target and Window
	Protect          []string      // userName globs, letter case ignored; such accounts are never written
}

// Default are the limits of a config that sets none.
func Default() Limits {
	return Limits{
		MaxSweepPercent: 5, MaxSweepCount: 50, Window: 24 * time.Hour, MaxShrinkPercent: 10, MaxChangePercent: 30, MaxDeleteCount: 50,
	}
}

const (
	// floor is how many leavers, proven one by one, go within a window whatever their percentage: a small company never
	// waits for one.
	floor = 3
	// floorWindow is the shortest window over which floor counts.
	floorWindow = time.Hour
	// fewChanges is how many accounts an edited mapping may always change, and how many holders may always lose an
	// entitlement.
	fewChanges = 20
)

// allowed is how many of base may go within the window, and which setting says so. A percentage of few allows at least
// one; a setting of nothing allows nobody.
func (l Limits) allowed(base int) (n int, setting string) {
	byPercent := int(l.MaxSweepPercent * float64(base) / 100)
	if l.MaxSweepPercent > 0 {
		byPercent = max(1, byPercent)
	}
	if byPercent < l.MaxSweepCount {
		return byPercent, fmt.Sprintf("max_sweep_percent = %g", l.MaxSweepPercent)
	}
	return l.MaxSweepCount, fmt.Sprintf("max_sweep_count = %d", l.MaxSweepCount)
}

// floor is how many proven leavers go whatever the percentage; a count that the config sets lower holds.
func (l Limits) floor() int {
	if l.MaxSweepPercent <= 0 {
		return 0
	}
	return max(0, min(floor, l.MaxSweepCount))
}

// Protected reports whether one of an account's names (when it was first seen, now, as it is wanted) fits one of the
// globs that name accounts never written (R5), and which one.
func (l Limits) Protected(names ...string) (glob string, ok bool) {
	for _, glob := range l.Protect {
		if slices.ContainsFunc(names, func(name string) bool { return identity.FitsGlob(glob, name) }) {
			return glob, true
		}
	}
	return "", false
}
