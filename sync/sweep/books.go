package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// Books are the leavers' cases. Nothing else writes them.
type Books struct {
	Ledger *state.Ledger
	Trail  *audit.Trail
	// Ended is told of each case that was closed or withdrawn, and again when a closed case's account is seen otherwise
	// (deleted after its grace); nil for nobody. It is called by whoever closed the account, which waits for it; an
	// error is its own to report: the case stays closed.
	Ended func(ctx context.Context, c state.Case)
}

// settling bounds writing down what was done, also while everything is being stopped.
const settling = 5 * time.Second

// write puts down what was done, even while ctx is being stopped.
func (b *Books) write(ctx context.Context, fn func(*state.Writer) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer cancel()
	if err := b.Ledger.Update(ctx, fn); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// NextDue is when a target's next step is due; the zero time for never.
func (b *Books) NextDue(ctx context.Context, target string) (at time.Time, err error) {
	err = b.Ledger.View(ctx, func(r *state.Reader) error {
		for d, err := range r.Due(target) {
			if at = d.At; at.IsZero() {
				at = time.Unix(0, 1)
			}
			return err
		}
		return nil
	})
	return at, err
}

// mostAtOnce bounds one round, so that it holds no more than so many cases; what is left is due in the next.
const mostAtOnce = 1000

// due lists what a target's leavers have due now, the longest waiting first, but for what is under way. With which.all
// it looks beyond what the order of stamps says, for those that a clock made which has gone back since: no try and no
// look is put off for longer than latest.
func (b *Books) due(
	ctx context.Context, target string, now time.Time, window time.Duration, which Selection, underWay func(task) bool,
) (tasks []task, err error) {
	err = b.Ledger.View(ctx, func(r *state.Reader) error {
		restored, err := r.Restored()
		if err != nil {
			return err
		}
		unread := restored.Read.IsZero() && restored.Why(now, window) != "" // nobody knows who is back by now
		for d, err := range r.Due(target) {
			switch {
			case err != nil:
				return err
			case d.At.After(now) && !which.Now && !which.all || len(tasks) == mostAtOnce:
				return nil
			case which.Person != nil && d.Person != *which.Person:
				continue
			}
			t := task{}
			if t.kase, _, err = r.Case(d.Person); err != nil {
				return err
			}
			step := StepOf(t.kase, target, d.Account)
			early := d.At.After(now) && step != nil && (step.Next.IsZero() || !guard.Due(step.Next, now, latest))
			if step == nil || early && !(which.Now && step.Status == state.StepOpen) || which.Person != nil && d.Account == "" {
				continue
			}
			t.step = *step
			if underWay(t) || unread && t.step.Status == state.StepProven && t.kase.Cause != identity.Emergency {
				continue
			}
			link, ok, err := r.Link(target, d.Person)
			if err != nil {
				return err
			}
			if ok && link.Account == d.Account {
				t.link = link
			}
			tasks = append(tasks, t)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return tasks, nil
}

// stands reports whether a task's step is still as it was when it was read, and brings its link up to date: what was
// done about another account of the person may have linked this one.
func (b *Books) stands(ctx context.Context, t *task) (stands bool, err error) {
	err = b.Ledger.View(ctx, func(r *state.Reader) error {
		link, linked, err := r.Link(t.step.Target, t.kase.Person)
		if err != nil {
			return err
		}
		if t.link = (state.Link{}); linked && link.Account == t.step.Account {
			t.link = link
		}
		c, _, err := r.Case(t.kase.Person)
		s := StepOf(c, t.step.Target, t.step.Account)
		stands = s != nil && s.Status == t.step.Status && s.Attempts == t.step.Attempts && s.Delete.Equal(t.step.Delete) &&
			s.Next.Equal(t.step.Next)
		return err
	})
	return stands, err
}

// set gives a step another status without an attempt.
func (b *Books) set(ctx context.Context, t task, status state.StepStatus, why string, now time.Time) error {
	return b.step(ctx, t, now, func(s *state.Step) { s.Status, s.Error, s.Next, s.At = status, why, time.Time{}, now })
}

// step changes one step, and closes or opens its case accordingly; also is done in the same transaction. Where the
// account stands otherwise than before, the trail is told, and whoever waits for cases to be closed.
func (b *Books) step(ctx context.Context, t task, now time.Time, change func(*state.Step), also ...func(*state.Writer) error) error {
	var was, is state.Case
	err := b.write(ctx, func(w *state.Writer) (err error) {
		for _, do := range also {
			if err := do(w); err != nil {
				return err
			}
		}
		if was, _, err = w.Case(t.kase.Person); err != nil {
			return err
		}
		if err := Note(w, t.kase.Person, t.step.Target, t.step.Account, change, now); err != nil {
			return err
		}
		is, _, err = w.Case(t.kase.Person)
		return err
	})
	if err != nil {
		return err
	}
	before, after := StepOf(was, t.step.Target, t.step.Account), StepOf(is, t.step.Target, t.step.Account)
	if after == nil || before != nil && before.Status == after.Status && before.Seen == after.Seen {
		return nil
	}
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer cancel()
	if err := apply.Told(telling, b.Ledger, b.Trail, evidence.Record(is, *after)); err != nil {
		return err
	}
	if !is.Closed.IsZero() {
		b.End(ctx, &is)
	}
	return nil
}

// End tells whoever waits for it of cases that have ended; nil ones are none.
func (b *Books) End(ctx context.Context, cases ...*state.Case) {
	for _, c := range cases {
		if c != nil && b.Ended != nil {
			b.Ended(context.WithoutCancel(ctx), *c)
		}
	}
}

func (b *Books) forgetGrace(ctx context.Context, t task, now time.Time) error {
	return b.step(ctx, t, now, func(s *state.Step) {
		s.Delete = time.Time{}
		s.Next = NextLook(*s, now)
	})
}

func (b *Books) postpone(ctx context.Context, t task, until, now time.Time) error {
	return b.step(ctx, t, now, func(s *state.Step) {
		s.Delete = until
		s.Next = NextLook(*s, now)
	})
}

func (b *Books) watch(ctx context.Context, t task, now time.Time) error {
	return b.step(ctx, t, now, func(s *state.Step) { s.Next = NextLook(*s, now) })
}

// reopen begins a step anew, because the account is active again; its clock is that of the discovery.
func (b *Books) reopen(ctx context.Context, t *task, now time.Time) error {
	err := b.step(ctx, *t, now, func(s *state.Step) {
		s.Status, s.Attempts, s.Error, s.Seen, s.Finishes = state.StepOpen, 0, "", "", nil
		s.Left, s.Noticed, s.At, s.Next, s.Delete = now, now, now, time.Time{}, time.Time{}
		s.Rule = reactivated
		t.step = *s
	}, func(w *state.Writer) error {
		step := t.step
		step.Rule = reactivated
		return openAgain(w, t.kase.Person, step)
	})
	if err != nil {
		return err
	}
	if t.link.Account == t.step.Account {
		t.link.Enabled()
	}
	return apply.Told(ctx, b.Ledger, b.Trail, audit.Record{
		At: now, Kind: audit.Sweep, Cause: string(t.kase.Cause), Rule: "R11", Target: t.step.Target, Person: t.kase.Person.String(),
		Name: t.kase.Name, Account: string(t.step.Account), UserName: t.step.UserName, Outcome: "reopened", Seen: "active",
		Note: "the account was enabled again outside dirsweep; it is closed again",
	})
}

// note records how far closing came, and returns how long a proof took: from leaving where the directory dates it, else
// from when it was noticed.
func (b *Books) note(ctx context.Context, t task, closed Closed, now time.Time) (took time.Duration, err error) {
	before := t.step.Status == state.StepProven // this is the end of its grace
	err = b.step(ctx, t, now, func(s *state.Step) { took = record(s, closed, before, now) }, func(w *state.Writer) error {
		if closed.Proven && closed.Seen == "gone" {
			return leaveTombstoneOf(w, t, closed.At)
		}
		return nil
	})
	return took, err
}

// record writes an attempt's result into its step.
func record(s *state.Step, closed Closed, before bool, now time.Time) (took time.Duration) {
	s.Attempts++
	if closed.Finishes != nil {
		s.Finishes = closed.Finishes
	}
	s.Taken = identity.SortedEntitlements(append(s.Taken, identity.WithoutEntitlements(closed.Taken, s.Taken)...))
	switch {
	case closed.Err != nil:
		if !before {
			s.Status = state.StepOpen
		}
		s.Error, s.Next = closed.Err.Error(), Retry(s.Attempts, now)
		return 0
	case !closed.Proven:
		s.Status, s.Error, s.Seen, s.Next, s.At = state.StepUnprovable, closed.Why, closed.Seen, time.Time{}, now
		return 0
	}
	if !before {
		s.At = closed.At
	}
	s.Status, s.Error, s.Seen, s.Delete = state.StepProven, "", closed.Seen, closed.Delete
	s.Next = NextLook(*s, now)
	return closed.At.Sub(s.Left)
}

// leaveTombstoneOf is LeaveTombstone of a task's account.
func leaveTombstoneOf(w *state.Writer, t task, at time.Time) error {
	return LeaveTombstone(w, state.Link{
		Target: t.step.Target, Person: t.kase.Person, Name: t.kase.Name, Account: t.step.Account, UserName: t.step.UserName,
		ExternalID: t.step.ExternalID,
	}, at)
}

// LeaveTombstone takes the link of an account that is gone, and keeps what it takes to know it again (R11).
func LeaveTombstone(w *state.Writer, gone state.Link, at time.Time) error {
	link, ok, err := w.Link(gone.Target, gone.Person)
	if err != nil {
		return err
	}
	if ok && link.Account == gone.Account {
		gone.AskedName = link.AskedName // it may have been given that name
		if err := w.DeleteLink(gone.Target, gone.Person); err != nil {
			return err
		}
	}
	return w.PutTombstone(gone.Tombstone(at))
}

// Unclosed counts the accounts of a case that are not proven closed: those that dirsweep is closing, and those that wait for
// somebody else. What is held or kept has a hold, and counts there. closing tells at which targets dirsweep closes
// accounts.
func Unclosed(c state.Case, closing func(target string) bool) (open, undecided int) {
	for _, s := range c.Steps {
		switch {
		case s.Status == state.StepOpen && closing(s.Target):
			open++
		case s.Status.Open() && s.Status != state.StepHeld && s.Status != state.StepKept:
			undecided++
		}
	}
	return open, undecided
}

// StepOf is the step of one account, nil where the case has none.
func StepOf(c state.Case, target string, account identity.AccountID) *state.Step {
	if i := find(c.Steps, target, account); i >= 0 {
		return &c.Steps[i]
	}
	return nil
}
