// Package reconcile runs one pass, end to end: read the sources, judge the people, sweep the leavers, read the targets, plan, guard, apply.
// It owns order and isolation, nothing else; each step has a package of its own.
package reconcile

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// A Source is one source block, opened.
type Source struct {
	Name      string
	Source    sources.Source
	Mapping   *mapping.Source
	Directory string // declared: that it reads, by which people are known whatever source read them (R3); "" for what the source says
}

// A Target is one target block, opened.
type Target struct {
	Name      string
	Session   *apply.Session // over its application; the caller closes it
	Mapping   *mapping.Target
	Parallel  int      // changes under way at once
	Sources   []string // names of the sources it reads; never empty
	Observe   bool     // plan and report, write nothing
	Correlate []string // attributes tried, in this order, for accounts not linked yet
	Leaver    sweep.Policy
	LeaverAt  string // where the config says so, for `explain`
	OnOrphan  string // "report" or "disable"
	OnDrift   string // "repair", "report" or "enforce"
	Guard     guard.Limits
}

// Options are what an Engine is made of. The caller opens and closes the sources, targets, ledger and trail.
type Options struct {
	Sources []Source
	Targets []Target
	Guard   guard.Limits // the general ones: for what arises in a source
	Ledger  *state.Ledger
	Trail   *audit.Trail
	// Evidence keeps a file of each closed case; nil where nothing is ever closed.
	Evidence *evidence.Folder
	Scratch  string // a folder for the pass's temporary files; "" for the system's
	Log      hclog.Logger
	Now      func() time.Time // nil for time.Now
}

// A Mode says how much a pass reads.
type Mode string

// The modes.
const (
	Full  Mode = "full"  // every source and every target whole
	Delta Mode = "delta" // every source, but of the targets only the accounts of people who changed
)

// A Pass says what one pass is to do. The zero value is a full pass over everything.
type Pass struct {
	Mode     Mode
	Targets  []string // only these; nil for all
	Person   string   // only this one: a login, DN, anchor or source/anchor; "" for everyone
	Progress Progress // nil for none
	// Beside leaves out targets that another pass is at work on, rather than wait for them: leavers are closed there all the same.
	Beside bool
	// Judged is called when the source side has ended: everybody's leavers are on the books, and another pass may begin. nil for nobody.
	Judged func()
	// Expect, where it is not nil, are the digests by target of the only plan that may be carried out (plan.Digests); a target whose plan is
	// another one by now is left as it is. Leavers are closed all the same.
	Expect map[string]string
}

// Progress is told how a pass gets on. Its methods are called from several goroutines, often, and must return at once.
type Progress interface {
	// Reading counts people of a source or accounts of a target; total is 0 where it is not known.
	Reading(name string, done, total int)
	// Applying counts changes of a target.
	Applying(target string, done, total int)
}

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
}

// Waiting counts what somebody has to look at before all can be said to be well (R21).
type Waiting struct {
	Unproven  int // people whom the reads lack and who are not proven to have left
	Disputed  int // accounts that more than one may claim, and people who may claim more than one
	Unwatched int // targets with accounts whose people nobody sees leave
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

// An Open is one account of somebody swept that was not seen closed, or a target that did not say which accounts they have.
type Open struct {
	Target   string
	Account  identity.AccountID // "" where the target did not answer
	UserName string
	Why      string // and what to do about it
}

// A Part is one source's or target's share of a pass.
type Part struct {
	Name    string
	Count   int    // people or accounts read
	Err     string // why it took no part, "" where it did
	Orphans int    // of a target: accounts that are nobody's
	Observe bool   // of a target: nothing is written there
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
	Partial   Outcome = "partial"   // some changes failed
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
	case len(r.Failures) > 0 || len(r.Open) > 0:
		return Partial
	case len(r.Held) > 0 || r.Waiting != Waiting{}: // rejected ones too: nobody stays active unseen
		return Held
	}
	return Converged
}

// An Explanation says how one target stands to one person, for `explain`.
type Explanation struct {
	Person    identity.PersonID
	Name      string
	DN        string
	Where     string // what the source says: "in scope", "elsewhere", "gone", …
	Target    string
	InScope   bool
	Because   string             // the config line or the source's word that decides
	Account   identity.AccountID // "" for none
	UserName  string
	Situation identity.Situation
	Why       string // why that account
	Changes   []identity.Change
	Held      string // why a change would wait, "" where none would
	History   []audit.Record
}
