package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Forgive takes back what people still owe who are where they should be again before it was closed; what was closed is
// not watched any more, nor deleted. back tells who that is; it is asked once for each step of each case. Of whom an
// operator has ordered closed nothing is taken back, though whoever calls may not know of the order yet.
func (b *Books) Forgive(ctx context.Context, back func(person identity.PersonID, target string) bool, now time.Time) error {
	var ended []*state.Case
	err := b.Ledger.Update(ctx, func(w *state.Writer) error {
		ended = nil
		type owed struct {
			person identity.PersonID
			step   state.Step
		}
		var list []owed
		for c, err := range w.Cases() {
			if err != nil {
				return err
			}
			if _, ordered, err := w.Closure(c.Person); err != nil {
				return err
			} else if ordered {
				continue
			}
			for _, s := range c.Steps {
				over := s.Status == state.StepProven && s.Delete.IsZero() && s.Next.IsZero()
				if !over && back(c.Person, s.Target) {
					list = append(list, owed{c.Person, s})
				}
			}
		}
		for _, o := range list {
			var err error
			if o.step.Status == state.StepProven {
				err = Unwatch(w, o.person, o.step, now)
			} else {
				var c *state.Case
				c, err = Return(w, o.person, o.step.Target, inScopeAgain(o.step.Target), now)
				ended = append(ended, c)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	b.End(ctx, ended...)
	return nil
}

func inScopeAgain(target string) string { return "in scope of " + target + " again" }

// Returned takes people's steps at a target off their cases once their account, whose link that is, is open again.
func (b *Books) Returned(ctx context.Context, link state.Link, now time.Time, people ...identity.PersonID) error {
	if link.State != identity.LinkActive {
		return nil
	}
	for _, person := range people {
		if err := b.returned(ctx, link.Target, person, now); err != nil {
			return err
		}
	}
	return nil
}

// takenBack reports whether an account that was closed, and is active again, is so because its person is back, or
// because it is somebody else's by now who should have it: enabling it may have been cut short before the books were
// told. The step is taken off the case then.
func (b *Books) takenBack(ctx context.Context, t task, now time.Time) (back bool, err error) {
	return b.takeOff(ctx, t, inScopeAgain(t.step.Target), now, func(r *state.Reader) (bool, error) {
		return belongs(r, t.step.Target, t.kase.Person, t.step.Account)
	})
}

// takeOff takes the step of a task, and no other, off its case where over says so of the state in that moment.
func (b *Books) takeOff(
	ctx context.Context, t task, why string, now time.Time, over func(*state.Reader) (bool, error),
) (off bool, err error) {
	var ended *state.Case
	err = b.write(ctx, func(w *state.Writer) (err error) {
		if off, err = over(&w.Reader); err != nil || !off {
			return err
		}
		ended, err = ReturnOne(w, t.kase.Person, t.step, why, now)
		return err
	})
	if err == nil {
		b.End(ctx, ended)
	}
	return off, err
}

// belongs reports whether an account that is active is no matter of a person's case any more: it is somebody else's by
// now, or dirsweep has enabled it since for somebody who is still there; or the person is in the target's scope. Where
// an operator has ordered them closed it is one.
func belongs(r *state.Reader, target string, person identity.PersonID, account identity.AccountID) (bool, error) {
	holder, linked, err := r.LinkByAccount(target, account)
	if err != nil {
		return false, err
	}
	if _, ordered, err := r.Closure(person); err != nil || ordered {
		return false, err
	}
	if linked && holder.Person != person {
		return true, nil
	}
	p, known, err := r.Person(person)
	if err != nil {
		return false, err
	}
	if known && !p.Active {
		if p, known, err = r.Heir(p); err != nil || !known {
			return false, err // who has left again is closed again
		}
	}
	if linked && (holder.State == identity.LinkActive || holder.Returned) {
		return true, nil
	}
	for intent, err := range r.Intents() {
		if err != nil {
			return false, err
		}
		if c := intent.Change; c.Op == identity.Enable && c.Target == target && c.Account == account {
			return true, nil // cut short, and done as is seen
		}
	}
	return known && p.InScope(target), nil
}

func (b *Books) returned(ctx context.Context, target string, person identity.PersonID, now time.Time) error {
	if person.IsZero() {
		return nil
	}
	known := false
	if err := b.Ledger.View(ctx, func(v *state.Reader) (err error) {
		_, known, err = v.Case(person)
		return err
	}); err != nil || !known {
		return err
	}
	var ended *state.Case
	err := b.Ledger.Update(ctx, func(w *state.Writer) (err error) {
		if _, ordered, err := w.Closure(person); err != nil || ordered {
			return err
		}
		ended, err = Return(w, person, target, inScopeAgain(target), now)
		return err
	})
	if err == nil {
		b.End(ctx, ended)
	}
	return err
}
