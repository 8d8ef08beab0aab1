package reconcile

import (
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// A Report is what a pass found and did.
type Report struct {
	Run      state.Run
	Plan     plan.Plan // what goes ahead, or went ahead
	Held     []identity.Hold
	Findings []identity.Finding
	Sources  []Part
	Targets  []Part
	Failures []Failure
	Closed   []Closing // accounts of leavers proven closed by this pass
	Waiting  Waiting   // what is on record and is not over, whichever pass found it
	Open     []Open    // of an emergency: accounts that are not, and targets that could not be asked
	// Left: something was left to the next pass. Another pass was at work on a target, or people were judged anew since.
	Left bool
}

// Waiting counts what somebody has to look at before all can be said to be well (R21).
type Waiting struct {
	Unproven  int // people whom the reads lack and who are not proven to have left
	Disputed  int // accounts that more than one may claim, and people who may claim more than one
	Unwatched int // targets with accounts whose people nobody sees leave
	Open      int // accounts of people who left that are still being closed
	Undecided int // accounts of people who left that wait for an operator
}

// count adds one finding.
func (w *Waiting) count(kind string) {
	switch kind {
	case "unproven", "missed":
		w.Unproven++
	case "disputed":
		w.Disputed++
	case "unwatched":
		w.Unwatched++
	}
}

// A Part is one source's or target's share of a pass.
type Part struct {
	Name    string
	Count   int    // people or accounts read
	Err     string // why it took no part, "" where it did
	Orphans int    // of a target: accounts that are nobody's
	// Unlisted is how many accounts a pass that wrote made, or would have made, that its plan does not list.
	Unlisted int
	Observe  bool // of a target: nothing is written there
	// Impossible are the closing steps of a target with leavers about which nothing can be done, with the reason.
	Impossible []string
}

// A Failure is a change that did not succeed.
type Failure struct {
	Change identity.Change
	Err    string
}

// A Closing is one account of a leaver, proven closed.
type Closing struct {
	Person identity.PersonID
	Name   string
	Target string
	Took   time.Duration // from leaving to proven closed (R19)
}

// An Outcome sums a report up.
type Outcome string

// The outcomes, worst first.
const (
	Failed    Outcome = "failed"    // a source or target took no part
	Partial   Outcome = "partial"   // some changes failed, or an account of somebody who left is still being closed
	Held      Outcome = "held"      // something waits for an operator
	Converged Outcome = "converged" // everything is as it should be
)

// Outcome sums the report up: the worst that applies.
func (r Report) Outcome() Outcome {
	for _, part := range append(r.Sources[:len(r.Sources):len(r.Sources)], r.Targets...) {
		if part.Err != "" {
			return Failed
		}
	}
	switch {
	case len(r.Failures) > 0 || len(r.Open) > 0 || r.Waiting.Open > 0:
		return Partial
	case len(r.Held) > 0 || r.Waiting != Waiting{}: // rejected ones too: nobody stays active unseen
		return Held
	}
	return Converged
}

// add takes in what a sweeper did.
func (r *Report) add(round sweep.Round) {
	for _, op := range round.Ops {
		if r.Run.Counts == nil {
			r.Run.Counts = map[string]int{}
		}
		r.Run.Counts[string(op)]++
	}
	for _, f := range round.Failed {
		r.Failures = append(r.Failures, Failure{Change: f.Change, Err: f.Err.Error()})
	}
	for _, c := range round.Closed {
		r.Closed = append(r.Closed, Closing{Person: c.Leaver.Person, Name: c.Leaver.Name, Target: c.Leaver.Target, Took: c.Took})
	}
}
