// Package apply carries changes out: intent, call, retry, throttle, read back, settle.
package apply

// A Rate is a target's `rate` block.
type Rate struct {
	PerSecond float64 // requests
	Parallel  int     // changes under way at once
}

// DefaultRate is the rate of a target that sets none.
func DefaultRate() Rate { return Rate{PerSecond: 20, Parallel: 8} }
