package sweep

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// heldDelete is when an account whose deletion is held is judged again.
const heldDelete = time.Hour

// deletable reports whether a task is an account whose grace is over.
func (t task) deletable(policy Policy, now time.Time) bool {
	return t.step.Status == state.StepProven && !t.step.Delete.IsZero() && !t.step.Delete.After(now) && policy.DeleteAfter > 0 &&
		!t.link.OwnSince().IsZero() && !t.link.OwnSince().Add(policy.DeleteAfter).After(now)
}

// judgeDeletes takes those out of the tasks whose deletion has to wait (R10): for an operator, where they are more than
// the limit, or for a clock that can be believed.
func (s *Sweeper) judgeDeletes(ctx context.Context, rules Rules, tasks []task, now time.Time) ([]task, error) {
	facts := guard.Facts{
		Now: now, Limits: rules.Limits, Targets: map[string]guard.Limits{s.Target: rules.Limits}, FirstNames: map[guard.Account]string{},
	}
	at := map[identity.AccountID]task{}
	for _, t := range tasks {
		if !t.deletable(rules.Policy, now) {
			continue
		}
		l := t.leaver()
		l.Cause, l.Strength, l.Left = identity.GraceOver, identity.ByAbsence, t.link.Disabled
		facts.Leavers = append(facts.Leavers, l)
		facts.FirstNames[guard.Account{Target: s.Target, ID: l.Account}] = t.link.FirstName
		at[l.Account] = t
	}
	if len(facts.Leavers) == 0 {
		return tasks, nil
	}
	clock, err := s.Books.deleteFacts(ctx, &facts)
	if err != nil {
		return nil, err
	}
	clock.Second = s.Closer.Clock()
	d := guard.Deletes(facts, clock)
	goes := map[identity.AccountID]bool{}
	for _, l := range d.Go {
		goes[l.Account] = true
	}
	if d.Why != "" && s.atMost(&s.doubted, heldDelete, now, false) {
		s.Log.Warn("no account is deleted until the next pass", "target", s.Target, "accounts", len(facts.Leavers), "reason", d.Why)
	}
	if err := s.Books.keepDeletes(ctx, d.Decision, now); err != nil {
		return nil, err
	}
	for _, l := range d.Held {
		s.failed("", s.Books.postpone(ctx, at[l.Account], now.Add(heldDelete), now))
	}
	if d.Why != "" && clock.Second.IsZero() {
		s.askClock(tasks, at, now)
	}
	return slices.DeleteFunc(tasks, func(t task) bool {
		_, judged := at[t.step.Account]
		protected := func(p guard.Protection) bool { return p.Account == t.step.Account }
		return judged && !t.looked && !goes[t.step.Account] && !slices.ContainsFunc(d.Protected, protected)
	}), nil
}

// askClock has one of the accounts that wait for a clock looked at, a minute apart: the target's answer tells its time.
func (s *Sweeper) askClock(tasks []task, waiting map[identity.AccountID]task, now time.Time) {
	if !s.atMost(&s.clockAsked, probeEvery, now, false) {
		return
	}
	i := slices.IndexFunc(tasks, func(t task) bool { _, waits := waiting[t.step.Account]; return waits })
	tasks[i].looked = true
}

// deleteFacts adds what the state knows: the holds over deletes, those that were made within the window, and when the
// last pass ended.
func (b *Books) deleteFacts(ctx context.Context, f *guard.Facts) (clock guard.Clock, err error) {
	err = b.Ledger.View(ctx, func(r *state.Reader) (err error) {
		if f.Holds, err = state.Collect(r.Holds()); err != nil {
			return err
		}
		if f.Spent, err = state.Collect(r.Spent()); err != nil {
			return err
		}
		restored, err := r.Restored()
		if err != nil {
			return err
		}
		f.Restored = restored.Why(f.Now, f.Limits.Window)
		for run, err := range r.Runs(2) {
			if err != nil {
				return err
			}
			if clock.Last.IsZero() {
				clock.Last = run.Ended
			} else {
				clock.Before = run.Ended
			}
		}
		return nil
	})
	if err != nil {
		return clock, fmt.Errorf("read the state: %w", err)
	}
	return clock, nil
}

// keepDeletes writes down what was decided about deletes, before any is made.
func (b *Books) keepDeletes(ctx context.Context, d guard.Decision, now time.Time) error {
	err := b.write(ctx, func(w *state.Writer) error {
		for _, h := range d.Holds {
			if err := w.PutMembers(h.Digest, h.Members...); err != nil {
				return err
			}
			if err := w.PutHold(h); err != nil {
				return err
			}
		}
		for _, p := range slices.Concat(d.Dropped, d.Consumed) {
			if err := w.DeleteMember(p.Digest, p.Member); err != nil {
				return err
			}
		}
		for _, l := range d.Go {
			if !l.Counts {
				continue
			}
			if err := w.PutSpent(identity.Spent{
				Kind: identity.HoldDelete, Target: l.Target, Account: l.Account, Person: l.Person, Name: l.Name, Cause: l.Cause, Strength: l.Strength, At: now,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return apply.Told(ctx, b.Ledger, b.Trail, apply.HoldsTold(d.Holds, now, "")...)
}
