package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// finish writes down what the pass learned and sums it up.
func (r *run) finish(ctx context.Context) error {
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.tellObserved()
	r.report.Held = r.book.Noted()
	slices.SortFunc(r.report.Held, func(a, b identity.Hold) int { return strings.Compare(a.Digest, b.Digest) })
	identity.SortFindings(r.findings)
	r.report.Findings = r.findings
	var all [][]identity.Change
	var unlisted []plan.Mark
	count := 0
	for _, part := range r.people.Parts {
		count += part.Count
		r.report.Sources = append(r.report.Sources, Part{Name: part.Name, Count: part.Count, Err: part.Err})
	}
	counts := r.counts()
	for _, s := range r.sides {
		r.report.Left = r.report.Left || s.left || s.survey != nil && s.survey.Left
		if s.view.Skip {
			continue
		}
		part := Part{Name: s.Name, Observe: s.Observe, Impossible: s.cannot}
		if s.survey != nil {
			part.Count, part.Orphans = s.survey.Count, s.survey.Orphans()
			more := s.survey.Unlisted()
			part.Unlisted, unlisted = len(more), append(unlisted, more...)
		}
		if s.err != nil {
			part.Err = s.err.Error()
		}
		r.report.Targets = append(r.report.Targets, part)
		r.report.Failures = append(r.report.Failures, s.failures...)
		r.report.Closed = append(r.report.Closed, s.closed...)
		if len(s.changes) > 0 {
			all = append(all, s.changes)
		}
		s.changes = nil // a first pass has as many as there are people
		if s.survey != nil {
			if err := s.survey.NoteUnadopted(settling); err != nil {
				return err
			}
			s.survey.Forget()
		}
	}
	slices.SortFunc(r.report.Closed, func(a, b Closing) int { // they were closed side by side
		return cmp.Or(
			cmp.Compare(a.Target, b.Target), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Person.Anchor, b.Person.Anchor),
		)
	})
	if len(all) == 1 {
		r.report.Plan = plan.New(all[0], unlisted...)
	} else {
		r.report.Plan = plan.New(slices.Concat(all...), unlisted...)
	}
	r.report.Run = state.Run{
		ID: r.id, Mode: string(r.pass.Mode), Started: r.now, Ended: r.o.Now(), Digest: r.report.Plan.Digest, People: count, Counts: counts,
		Held: len(r.report.Held), Failed: len(r.report.Failures), Findings: len(r.findings), Problems: r.problems(),
	}
	if !r.write {
		for _, f := range r.findings {
			r.report.Waiting.count(f.Kind)
		}
		return context.Cause(ctx)
	}
	stopped := ctx.Err() != nil
	err := r.o.Ledger.Update(settling, func(w *state.Writer) error { return r.remember(w, stopped) })
	if err == nil {
		err = apply.Told(settling, r.o.Ledger, r.o.Trail, audit.Record{
			At: r.report.Run.Ended, Pass: r.id, Kind: audit.Pass, Outcome: string(r.report.Outcome()),
			Note: fmt.Sprintf("%s pass over %d people: %s", r.pass.Mode, count, listed(counts)),
		})
	}
	return errors.Join(err, context.Cause(ctx))
}

func (r *run) problems() (out []string) {
	for _, part := range append(slices.Clone(r.report.Sources), r.report.Targets...) {
		if part.Err != "" {
			out = append(out, part.Name+": "+part.Err)
		}
	}
	return out
}

// counts are the changes done, by operation.
func (r *run) counts() map[string]int {
	counts := map[string]int{}
	for _, s := range r.sides {
		for op, n := range s.done {
			counts[string(op)] += n
		}
	}
	return counts
}

// listed is how many of each operation there are, as text: "create 2, enable 1".
func listed(counts map[string]int) string {
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		if counts[op] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", op, counts[op]))
		}
	}
	if len(parts) == 0 {
		return "no change"
	}
	return strings.Join(parts, ", ")
}

// tellObserved finds the leavers' accounts that stay open because their target is only observed (R21).
func (r *run) tellObserved() {
	for _, s := range r.sides {
		for _, out := range s.watched {
			r.find(identity.Finding{
				Kind: "observed", Subject: s.Name + ": " + out.UserName, Target: s.Name, Person: out.Person, Account: out.Account,
				Detail: fmt.Sprintf("would be closed (%s), and stays open: mode = \"observe\" leaves it to you", out.Cause),
			})
		}
	}
}

// remember writes the findings, orphans and health of those that took part. A pass that was stopped says nothing about
// anybody's health: a stop is nobody's failure (R20).
func (r *run) remember(w *state.Writer, stopped bool) error {
	if err := w.SetFindingsWhere(r.solved, r.findings, r.now); err != nil {
		return err
	}
	r.report.Waiting = Waiting{}
	for f, err := range w.Findings() {
		if err != nil {
			return err
		}
		r.report.Waiting.count(f.Kind)
	}
	if err := r.countOpen(w); err != nil {
		return err
	}
	if !stopped {
		if err := r.sourcesHealth(w); err != nil {
			return err
		}
	}
	var window time.Duration
	for _, s := range r.sides {
		if s.view.Skip {
			continue
		}
		if s.complete && r.everyone() {
			if err := r.setUnlinked(w, s); err != nil {
				return err
			}
		}
		if !stopped {
			if err := r.health(w, s); err != nil {
				return err
			}
		}
		window = max(window, s.Guard.Window)
	}
	if err := errors.Join(w.PruneSpent(r.now.Add(-2*max(window, r.o.Guard.Window, time.Hour))), w.PruneMembers()); err != nil {
		return err
	}
	return w.AddRun(r.report.Run)
}

// countOpen counts the accounts of people who left that are not proven closed, whichever pass found them (R21).
func (r *run) countOpen(w *state.Writer) error {
	closing := func(target string) bool {
		return slices.ContainsFunc(r.sides, func(s *side) bool { return s.Name == target && !s.Observe })
	}
	for c, err := range w.Cases() {
		if err != nil {
			return err
		}
		open, undecided := sweep.Unclosed(c, closing)
		r.report.Waiting.Open += open
		r.report.Waiting.Undecided += undecided
	}
	return nil
}

// solved reports whether a finding of an earlier pass would have been found again by this one, were it still true:
// everything that it depends on was looked at. What was not looked at stays as it was.
func (r *run) solved(f identity.Finding) bool {
	if f.Source != "" && !r.people.SourceWhole(f.Source) {
		return r.toldAnew(f)
	}
	if f.Target == "" { // every pass reads the sources whole
		return r.pass.Person == "" && (f.Source != "" || r.pass.Mode == Full && len(r.pass.Targets) == 0)
	}
	at := slices.IndexFunc(r.sides, func(s *side) bool { return s.Name == f.Target })
	if at < 0 {
		return r.everyone() // of a target that left the config
	}
	s := r.sides[at]
	if !s.complete || !r.people.Claimable(s.view) {
		return false
	}
	if r.everyone() {
		return true
	}
	i, here := r.people.Roster.Find(s.view.Heir(f.Person))
	return here && r.people.Selected(f.Person) && (s.survey.Seen.Has(i) || r.pass.Person != "")
}

// toldAnew reports whether this pass says the same of a whole source as an earlier one, though of another number of
// people.
func (r *run) toldAnew(f identity.Finding) bool {
	return f.Target == "" && f.Person.IsZero() && slices.ContainsFunc(r.findings, func(g identity.Finding) bool {
		return g.Kind == f.Kind && g.Source == f.Source && g.Subject == f.Subject && g.Target == "" && g.Person.IsZero()
	})
}

// sourcesHealth notes which sources could be read.
func (r *run) sourcesHealth(w *state.Writer) error {
	for _, part := range r.report.Sources {
		rec, _, err := w.Source(part.Name)
		if err != nil {
			return err
		}
		rec.Name = part.Name
		trouble := guard.Trouble{}
		if part.Err != "" {
			trouble = guard.Trouble{Failures: rec.Failures, Since: rec.Since}.Again(part.Err, r.now)
		}
		rec.Failures, rec.Reason, rec.Since = trouble.Failures, trouble.Reason, trouble.Since
		if err := w.PutSource(rec); err != nil {
			return err
		}
	}
	return nil
}

// setUnlinked writes down which accounts of a target are nobody's. Without one of its sources nobody can tell, so what
// was known stands.
func (r *run) setUnlinked(w *state.Writer, s *side) error {
	if !r.people.Claimable(s.view) {
		return nil
	}
	if s.survey.Count == 0 {
		return nil // an empty list says nothing of the accounts that were there (R2)
	}
	return w.SetUnlinked(s.Name, s.survey.Unlinked)
}

// health notes how it stands with a target.
func (r *run) health(w *state.Writer, s *side) error {
	rec, _, err := w.Target(s.Name)
	if err != nil {
		return err
	}
	rec.Name = s.Name
	if errors.Is(s.err, errQuarantined) || errors.Is(s.err, errOtherPlan) || errors.Is(s.err, apply.ErrPaused) {
		return nil // nothing was tried
	}
	if s.complete {
		rec.Refused, rec.RefusedReason = len(s.failures), ""
		if len(s.failures) > 0 {
			rec.RefusedReason = s.failures[0].Err
		}
	}
	trouble := guard.Trouble{}
	if s.err != nil {
		trouble = guard.Trouble{Failures: rec.Failures, Since: rec.Since, Next: rec.Next}.Again(s.err.Error(), r.now)
	}
	rec.Failures, rec.Reason, rec.Since, rec.Next = trouble.Failures, trouble.Reason, trouble.Since, trouble.Next
	return w.PutTarget(rec)
}
