package control

import (
	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// tally gathers facts. What two records tell of, a leaver's step and a finding say, is one fact.
type tally struct {
	facts Facts
	seen  map[string]bool
}

func newTally() *tally {
	return &tally{facts: Facts{Waiting: map[string]int{}}, seen: map[string]bool{}}
}

// waits counts one thing that waits for an operator. Where about is not empty it counts once, whatever kind it is seen
// as first.
func (t *tally) waits(kind, target, about string) {
	if about != "" {
		key := target + "\x00" + about
		if t.seen[key] {
			return
		}
		t.seen[key] = true
	}
	t.facts.Waiting[kind]++
}

func (t *tally) finding(f identity.Finding) {
	if !calm(f.Kind) {
		t.waits(f.Kind, f.Target, string(f.Account))
	}
}

// hold counts each member of a hold; one that names none counts once.
func (t *tally) hold(h identity.Hold) {
	members := h.Members
	if len(members) == 0 && h.Ruling.What != identity.Approved {
		members = []identity.Member{{}}
	}
	for _, m := range members {
		switch h.RulingOf(m).What {
		case identity.Approved:
			t.facts.Open++
		case identity.Rejected:
			t.facts.Waiting["kept"]++
		default:
			t.facts.Waiting["held"]++
		}
	}
}

// step counts one account of a leaver. Held and kept ones are counted by their holds.
func (t *tally) step(s state.Step, modes map[string]string) {
	mode, known := modes[s.Target]
	switch {
	case s.Status == state.StepProven || s.Status == state.StepHeld || s.Status == state.StepKept:
	case !known:
		t.waits("unwatched", s.Target, string(s.Account))
	case mode == "observe":
		t.waits("observed", s.Target, string(s.Account))
	case s.Status == state.StepOpen:
		t.facts.Open++
		t.seen[s.Target+"\x00"+string(s.Account)] = true
	default:
		t.waits(string(s.Status), s.Target, string(s.Account))
	}
}

// readFacts are the facts that the state tells of.
func readFacts(r *state.Reader, outline config.Outline) (Facts, error) {
	t, modes := newTally(), map[string]string{}
	for _, s := range outline.Sources {
		rec, _, err := r.Source(s.Name)
		if err != nil {
			return t.facts, err
		}
		t.absent(rec.Failures)
	}
	for _, target := range outline.Targets {
		modes[target.Name] = target.Mode
		rec, _, err := r.Target(target.Name)
		if err != nil {
			return t.facts, err
		}
		t.absent(rec.Failures)
		t.facts.Failed += rec.Refused
	}
	for c, err := range r.Cases() {
		if err != nil {
			return t.facts, err
		}
		for _, s := range c.Steps {
			t.step(s, modes)
		}
	}
	for h, err := range r.Holds() {
		if err != nil {
			return t.facts, err
		}
		t.hold(h)
	}
	for f, err := range r.Findings() {
		if err != nil {
			return t.facts, err
		}
		t.finding(f.Finding)
	}
	return t.facts, nil
}

func (t *tally) absent(failures int) {
	if failures > 0 {
		t.facts.Absent++
	}
}

// factsOf are the facts that a report of a pass, or of a plan, tells of by itself.
func factsOf(report reconcile.Report) Facts {
	t := newTally()
	for _, part := range append(report.Sources[:len(report.Sources):len(report.Sources)], report.Targets...) {
		if part.Err != "" {
			t.facts.Absent++
		}
	}
	t.facts.Failed = len(report.Failures)
	for _, h := range report.Held {
		t.hold(h)
	}
	for _, f := range report.Findings {
		t.finding(f)
	}
	t.facts.Open += len(report.Open)
	return t.facts
}
