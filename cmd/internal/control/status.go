package control

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/state"
)

// Status is what dirsweep knows of itself at one moment.
type Status struct {
	Daemon  *Process       `json:"daemon"`  // null where no daemon runs
	Outcome Outcome        `json:"outcome"` // of Facts
	Facts   Facts          `json:"facts"`
	Config  string         `json:"config"`
	State   string         `json:"state"`
	Sources []SourceStatus `json:"sources"`
	Targets []TargetStatus `json:"targets"`
	Runs    []Run          `json:"runs"` // the newest of each mode, newest first
	Open    int            `json:"openLeavers"`
	Waits   int            `json:"heldLeavers"`               // of those: who are held, and wait for nothing else
	Oldest  time.Time      `json:"oldestOpenLeaver,omitzero"` // since when the open leaver who waits longest does
	Held    int            `json:"holds"`                     // that wait for an operator
	Waiting []Hold         `json:"waiting"`                   // those, with the first few of their people
	Found   int            `json:"findings"`
	Orphans int            `json:"orphans"`
	Next    *Turn          `json:"next,omitempty"` // what the clock alone changes next; null for nothing
}

// A Turn is what the clock alone changes of somebody (R13).
type Turn struct {
	Person string    `json:"person"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	What   string    `json:"what"` // "leaves 2026-12-31 18:00 CET by leave_date (config.hcl:12)"
}

// A Process is a running daemon.
type Process struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	Config  string    `json:"config"` // where the config in use was read
	Digest  string    `json:"configDigest"`
	Loaded  time.Time `json:"configLoaded"`
	// Refused is why the config on disk was not taken over, "" where it is the one in use.
	Refused string `json:"configRefused,omitempty"`
	Pass    string `json:"pass,omitempty"` // the mode of the pass that is under way
	// Push says of each source that may, whether its directory says when something changes.
	Push map[string]Push `json:"push,omitempty"`
}

// A Push is whether a directory says when something changes, so that nothing waits for the next delta.
type Push struct {
	On bool `json:"on"`
	// CatchingUp: it does so again, and a pass has yet to see what happened before.
	CatchingUp bool `json:"catchingUp,omitempty"`

	Since time.Time `json:"since"`
	Why   string    `json:"why,omitempty"` // it does not
}

// A SourceStatus is what dirsweep remembers of a source.
type SourceStatus struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	People int       `json:"people"` // in the last accepted snapshot
	At     time.Time `json:"at,omitzero"`
	Health Health    `json:"health"`
	// Notes are what the last pass found of the source itself: servers that are away, parts that cannot be seen.
	Notes []string `json:"notes,omitempty"`
}

// A TargetStatus is what dirsweep remembers of a target.
type TargetStatus struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	Mode    string    `json:"mode"`
	Active  int       `json:"activeAccounts"` // linked ones
	Orphans int       `json:"orphans"`
	Open    int       `json:"open"` // leavers' accounts not yet proven closed
	Health  Health    `json:"health"`
	Next    time.Time `json:"nextAttempt,omitzero"`  // quarantined until then
	Closing *Clock    `json:"timeToClose,omitempty"` // null where none was measured
}

// A Health is how the last passes went at one source or target.
type Health struct {
	Good     bool      `json:"good"`
	Failures int       `json:"failures"`         // passes in a row in which it could not be read
	Since    time.Time `json:"since,omitzero"`   // of the first of them
	Refused  int       `json:"refused"`          // changes that failed in the last pass
	Reason   string    `json:"reason,omitempty"` // of the last failure
}

func healthOf(failures, refused int, since time.Time, reason, refusal string) Health {
	h := Health{Good: failures == 0 && refused == 0, Failures: failures, Since: since, Refused: refused, Reason: reason}
	if failures == 0 {
		h.Reason = refusal
	}
	return h
}

// A Clock sums up how long leavers' accounts took from leaving to proven closed, in seconds (R19).
type Clock struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	Worst float64 `json:"worst"`
}

// A Run is the summary of one pass.
type Run struct {
	ID       string         `json:"id"`
	Mode     string         `json:"mode"`
	Started  time.Time      `json:"started"`
	Ended    time.Time      `json:"ended,omitzero"`
	People   int            `json:"people"`
	Counts   map[string]int `json:"counts"`
	Held     int            `json:"held"`
	Failed   int            `json:"failed"`
	Findings int            `json:"findings"`
	Problems []string       `json:"problems,omitempty"`
}

// recentRuns is how many runs are looked through for the newest of each mode.
const recentRuns = 500

func readStatus(ctx context.Context, i *Instance) (Status, error) {
	s := Status{
		Config: i.Outline.Path, State: i.Storage.Path,
		Sources: []SourceStatus{}, Targets: []TargetStatus{}, Runs: []Run{}, Waiting: []Hold{},
	}
	err := i.Storage.Ledger.View(ctx, func(r *state.Reader) (err error) {
		if s.Facts, err = readFacts(r, i.Outline); err != nil {
			return err
		}
		s.Outcome = s.Facts.Outcome()
		for _, read := range []func(*state.Reader) error{
			func(r *state.Reader) error { return s.readSources(r, i) },
			func(r *state.Reader) error { return s.readTargets(r, i) },
			s.readCases, s.readHolds, s.readFindings, s.readRuns, s.readTurns,
		} {
			if err := read(r); err != nil {
				return err
			}
		}
		return nil
	})
	return s, err
}

func (s *Status) readSources(r *state.Reader, i *Instance) error {
	for _, c := range i.Outline.Sources {
		rec, _, err := r.Source(c.Name)
		if err != nil {
			return err
		}
		s.Sources = append(s.Sources, SourceStatus{
			Name: c.Name, Kind: c.Kind, People: rec.Accepted, At: rec.At, Health: healthOf(rec.Failures, 0, rec.Since, rec.Reason, ""),
		})
	}
	return nil
}

func (s *Status) readTargets(r *state.Reader, i *Instance) error {
	for _, c := range i.Outline.Targets {
		rec, _, err := r.Target(c.Name)
		if err != nil {
			return err
		}
		active, err := r.CountActive(c.Name)
		if err != nil {
			return err
		}
		orphans := 0
		for _, err := range r.Orphans(c.Name) {
			if err != nil {
				return err
			}
			orphans++
		}
		s.Orphans += orphans
		s.Targets = append(s.Targets, TargetStatus{
			Name: c.Name, Kind: c.Kind, Mode: c.Mode, Active: active, Orphans: orphans,
			Health: healthOf(rec.Failures, rec.Refused, rec.Since, rec.Reason, rec.RefusedReason), Next: rec.Next,
		})
	}
	return nil
}

func (s *Status) readCases(r *state.Reader) error {
	took := map[string][]time.Duration{}
	open, trouble := map[string]int{}, map[string]string{}
	for c, err := range r.Cases() {
		if err != nil {
			return err
		}
		if c.Open() {
			s.Open++
			if held(c) {
				s.Waits++
			}
			if s.Oldest.IsZero() || c.Left.Before(s.Oldest) {
				s.Oldest = c.Left
			}
		}
		for _, step := range c.Steps {
			switch {
			case step.Status == state.StepProven:
				took[step.Target] = append(took[step.Target], step.Took())
			case step.Status.Open():
				open[step.Target]++
				if step.Error != "" && step.Status != state.StepHeld && step.Status != state.StepKept {
					trouble[step.Target] = step.Error
				}
			}
		}
	}
	for i, t := range s.Targets {
		s.Targets[i].Open = open[t.Name]
		if why := trouble[t.Name]; why != "" && t.Health.Good {
			s.Targets[i].Health.Good, s.Targets[i].Health.Reason = false, why
		}
		s.Targets[i].Closing = clock(took[t.Name])
	}
	return nil
}

// held reports whether an operator's word is all that a case waits for.
func held(c state.Case) bool {
	return !slices.ContainsFunc(c.Steps, func(step state.Step) bool {
		return step.Status.Open() && step.Status != state.StepHeld && step.Status != state.StepKept
	})
}

func (s *Status) readHolds(r *state.Reader) error {
	for h, err := range r.Holds() {
		if err != nil {
			return err
		}
		if h.Ruling.What == "" {
			s.Held++
			s.Waiting = append(s.Waiting, viewHold(h).short())
		}
	}
	sortHolds(s.Waiting)
	return nil
}

// ofSources are the kinds of findings that status shows with their source.
func ofSources(kind string) bool {
	return slices.Contains([]string{"missed by push", "not seen", "server away", "stale"}, kind)
}

func (s *Status) readFindings(r *state.Reader) error {
	for f, err := range r.Findings() {
		if err != nil {
			return err
		}
		s.Found++
		for i := range s.Sources {
			if src := &s.Sources[i]; src.Name == f.Source && ofSources(f.Kind) {
				src.Notes = append(src.Notes, strings.TrimPrefix(f.Subject, f.Source+": ")+": "+f.Detail)
			}
		}
	}
	for _, src := range s.Sources {
		slices.Sort(src.Notes) // findings come in no order
	}
	return nil
}

func (s *Status) readRuns(r *state.Reader) error {
	for run, err := range r.Runs(recentRuns) {
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Runs, func(have Run) bool { return have.Mode == run.Mode }) {
			s.Runs = append(s.Runs, viewRun(run))
		}
	}
	return nil
}

// readTurns reads whom the clock alone changes next.
func (s *Status) readTurns(r *state.Reader) error {
	for t, err := range r.Turns() {
		if err != nil {
			return err
		}
		p, _, err := r.Person(t.Person)
		if err != nil {
			return err
		}
		s.Next = &Turn{Person: viewPerson(t.Person), Name: p.Name, At: t.At, What: p.Turn}
		return nil
	}
	return nil
}

// LastFull returns when the newest full pass began, zero where there was none.
func LastFull(ctx context.Context, ledger *state.Ledger) (began time.Time, err error) {
	err = ledger.View(ctx, func(r *state.Reader) error {
		began = time.Time{}
		for run, err := range r.Runs(recentRuns) {
			if err != nil {
				return err
			}
			if strings.EqualFold(run.Mode, "full") {
				began = run.Started
				return nil
			}
		}
		return nil
	})
	return began, err
}

// NextTurn returns the first instant after one at which the clock alone changes what somebody is or is to have, zero for
// none, and whether somebody's before it is still to be judged.
func NextTurn(ctx context.Context, ledger *state.Ledger, after time.Time) (next time.Time, overdue bool, err error) {
	err = ledger.View(ctx, func(r *state.Reader) error {
		next, overdue = time.Time{}, false
		for t, err := range r.Turns() {
			if err != nil {
				return err
			}
			if t.At.After(after) {
				next = t.At
				return nil
			}
			overdue = true
		}
		return nil
	})
	return next, overdue, err
}

func clock(took []time.Duration) *Clock {
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	return &Clock{
		Count: len(took),
		P50:   quantile(took, 0.50).Seconds(),
		P95:   quantile(took, 0.95).Seconds(),
		Worst: took[len(took)-1].Seconds(),
	}
}

// quantile returns the smallest of sorted that at least the share q does not exceed (nearest rank).
func quantile(sorted []time.Duration, q float64) time.Duration {
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
