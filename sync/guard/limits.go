// Package guard decides which leavers wait for an operator: limits, cohorts, protected accounts. It is pure.
package guard

import "time"

// Limits bound what one pass may take away without an operator (R2, R6).
type Limits struct {
	MaxSweepPercent  float64       // of a target's linked active accounts, per Window
	MaxSweepCount    int           // per target and Window; whichever limit is reached first counts
	Window           time.Duration //
	MaxShrinkPercent float64       // of a source's last accepted snapshot
	Protect          []string      // userName globs, letter case ignored; such accounts are never written
}

// Default are the limits of a config that sets none.
func Default() Limits {
	return Limits{MaxSweepPercent: 5, MaxSweepCount: 50, Window: 24 * time.Hour, MaxShrinkPercent: 10}
}
