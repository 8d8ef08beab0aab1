package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// R21: each account of somebody who left that is not proven closed is a fact, whatever its target is and whatever it
// waits for.
func TestR21EveryOpenAccountIsAFact(t *testing.T) {
	t.Parallel()
	modes := map[string]string{"wiki": "enforce", "lab": "observe"}
	for _, c := range []struct {
		name   string
		target string
		status state.StepStatus
		open   int
		waits  map[string]int
	}{
		{"proven", "wiki", state.StepProven, 0, map[string]int{}},
		{"open", "wiki", state.StepOpen, 1, map[string]int{}},
		{"disputed", "wiki", state.StepDisputed, 0, map[string]int{"disputed": 1}},
		{"protected", "wiki", state.StepProtected, 0, map[string]int{"protected": 1}},
		{"reported", "wiki", state.StepReported, 0, map[string]int{"reported": 1}},
		{"unprovable", "wiki", state.StepUnprovable, 0, map[string]int{"unprovable": 1}},
		{"open where nothing is written", "lab", state.StepOpen, 0, map[string]int{"observed": 1}},
		{"open at a target that left the config", "gone", state.StepOpen, 0, map[string]int{"unwatched": 1}},
		{"reported there", "gone", state.StepReported, 0, map[string]int{"unwatched": 1}},
		{"held: its hold counts", "wiki", state.StepHeld, 0, map[string]int{}},
		{"kept: its hold counts", "wiki", state.StepKept, 0, map[string]int{}},
	} {
		tally := newTally()
		tally.step(state.Step{Target: c.target, Account: "1", Status: c.status}, modes)
		if tally.facts.Open != c.open || !cmp.Equal(tally.facts.Waiting, c.waits) {
			t.Errorf("%s: %+v, want %d open and %v", c.name, tally.facts, c.open, c.waits)
		}
	}
}

// R21: every member of a hold is a fact until it is closed: one that was rejected is kept, and open.
func TestR21EveryMemberOfAHoldIsAFact(t *testing.T) {
	t.Parallel()
	member := func(what identity.Verdict) identity.Member {
		return identity.Member{Ruling: identity.Ruling{What: what}}
	}
	for _, c := range []struct {
		name  string
		hold  identity.Hold
		open  int
		waits map[string]int
	}{
		{"undecided", identity.Hold{Members: []identity.Member{member(""), member("")}}, 0, map[string]int{"held": 2}},
		{"rejected", identity.Hold{Members: []identity.Member{member(identity.Rejected)}}, 0, map[string]int{"kept": 1}},
		{"rejected as a whole", identity.Hold{Ruling: identity.Ruling{What: identity.Rejected}, Members: []identity.Member{member("")}}, 0, map[string]int{"kept": 1}},
		{"approved and not closed yet", identity.Hold{Members: []identity.Member{member(identity.Approved)}}, 1, map[string]int{}},
		{"over numbers alone", identity.Hold{Kind: identity.HoldShrink}, 0, map[string]int{"held": 1}},
		{"over numbers alone, approved", identity.Hold{Ruling: identity.Ruling{What: identity.Approved}}, 0, map[string]int{}},
	} {
		tally := newTally()
		tally.hold(c.hold)
		if tally.facts.Open != c.open || !cmp.Equal(tally.facts.Waiting, c.waits) {
			t.Errorf("%s: %+v, want %d open and %v", c.name, tally.facts, c.open, c.waits)
		}
	}
}
