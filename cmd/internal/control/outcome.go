package control

import (
	"maps"
	"slices"
)

// An Outcome sums up how things stand, for exit codes and monitoring.
type Outcome string

// The outcomes, worst first.
const (
	Failed     Outcome = "failed"     // a source or a target could not be read
	Incomplete Outcome = "incomplete" // a change failed, or an account of somebody who left is still being closed
	Waiting    Outcome = "waiting"    // something waits for an operator
	AsWanted   Outcome = "as wanted"
)

// Facts are what an outcome is made of.
type Facts struct {
	Absent int `json:"absent"` // sources and targets that could not be read
	Failed int `json:"failed"` // changes that were tried and not done
	Open   int `json:"open"`   // accounts of people who left that are still being closed
	// Waiting counts what an operator has to decide or to mend, by kind: "held", "disputed", "protected", "observed",
	// "unproven", …
	Waiting map[string]int `json:"waiting"`
}

// Outcome is the worst that the facts say (R21): nothing but the absence of all of them is as wanted.
func (f Facts) Outcome() Outcome {
	switch {
	case f.Absent > 0:
		return Failed
	case f.Failed > 0 || f.Open > 0:
		return Incomplete
	case len(f.Kinds()) > 0:
		return Waiting
	}
	return AsWanted
}

// Kinds are the kinds of what waits, sorted.
func (f Facts) Kinds() (kinds []string) {
	for _, kind := range slices.Sorted(maps.Keys(f.Waiting)) {
		if f.Waiting[kind] > 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// calm are the findings that tell of something that dirsweep dealt with, that the config says to leave, or that is the
// directory's own affair. Any other kind, one that is not known here included, waits for an operator.
func calm(kind string) bool {
	return slices.Contains([]string{
		"dangling", "disabled", "drift", "left alone", "missing", "one person", "orphan", "relinked", "server away",
	}, kind)
}
