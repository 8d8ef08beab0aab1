package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A work is one thing that closing takes: a change or, where nothing can be done about it, why that is.
type work struct {
	change     identity.Change
	impossible string
	shown      bool // of a closing step: the application shows what is left to do of it
}

// Changes are what closing takes on a target, in order.
func (a Account) Changes(p *apply.Pass) (changes []identity.Change) {
	for _, w := range a.works(p) {
		if w.impossible == "" {
			changes = append(changes, w.change)
		}
	}
	return changes
}

// Impossible says which closing steps of a target nothing can be done about, and why.
func (a Account) Impossible(p *apply.Pass) (list []string) {
	for _, w := range a.works(p) {
		if w.impossible != "" {
			list = append(list, w.change.Step+": "+w.impossible)
		}
	}
	return list
}

// works is what closing takes on a target, in order. Where accounts cannot be disabled, nothing but the delete can be
// proven. With an account that is nobody's, nobody has left: it is neither moved nor marked.
func (a Account) works(p *apply.Pass) (list []work) {
	caps := p.Capabilities()
	if caps.Disable {
		list = append(list, work{change: a.change(identity.Disable)})
		for _, s := range p.Closing() {
			if s.Revokes && !a.Policy.Revoke || !s.Revokes && a.Change.Person.IsZero() {
				continue
			}
			c := a.change(identity.Finish)
			c.Step = s.Name
			list = append(list, work{c, s.Impossible, s.Shown})
		}
		if a.Policy.Strip && caps.Entitlements {
			list = append(list, work{change: a.change(identity.Strip)})
		}
	}
	if a.Policy.Action == ActionDelete && caps.Delete {
		list = append(list, work{change: a.change(identity.Delete)})
	}
	return list
}

// unfinished reports whether a closing step is to be taken, and notes of one that is not how it stands.
func (a *Account) unfinished(
	ctx context.Context, p *apply.Pass, w work, have identity.Account, now time.Time,
) (bool, error) {
	known := finishOf(a.Finishes, w.change.Step)
	switch {
	case w.impossible != "":
		if known.Status != state.FinishImpossible || known.Why != w.impossible {
			a.note(state.Finish{Name: w.change.Step, Status: state.FinishImpossible, Why: w.impossible, At: now})
		}
		return false, nil
	case known.Status.Done():
		return false, nil
	case !w.shown:
		return true, nil
	}
	left, err := p.Left(ctx, w.change.Step, have)
	if errors.Is(err, targets.ErrNotFound) {
		return true, nil // whether it is gone is proven with the step
	}
	if err == nil && left == "" {
		a.note(w.finished(now))
	}
	return left != "", err
}

// finished is how a closing step stands that was taken.
func (w work) finished(at time.Time) state.Finish {
	f := state.Finish{Name: w.change.Step, Status: state.FinishSent, At: at}
	if w.shown {
		f.Status = state.FinishProven
	}
	return f
}

// note notes how a closing step stands.
func (a *Account) note(f state.Finish) { a.Finishes = noted(a.Finishes, f) }

func noted(list []state.Finish, f state.Finish) []state.Finish {
	i := slices.IndexFunc(list, func(known state.Finish) bool { return known.Name == f.Name })
	if i < 0 {
		return append(list, f)
	}
	list[i] = f
	return list
}

// finishOf is a closing step as it stands; the zero Finish for one that was not looked at.
func finishOf(list []state.Finish, step string) state.Finish {
	if i := slices.IndexFunc(list, func(f state.Finish) bool { return f.Name == step }); i >= 0 {
		return list[i]
	}
	return state.Finish{}
}

func failed(f state.Finish) bool { return f.Status == state.FinishFailed }

// failed notes that a closing step failed, and returns why with its name; the error of anything else is as it is.
func (a *Account) failed(w work, err error, now time.Time) error {
	if w.change.Op != identity.Finish {
		return err
	}
	a.note(state.Finish{Name: w.change.Step, Status: state.FinishFailed, Why: err.Error(), At: now})
	return fmt.Errorf("%s: %w", w.change.Step, err)
}

// remember writes down that a closing step is done in the transaction that settles it, nil for other changes: whoever
// is stopped behind it does not do it once more.
func (a *Account) remember(w work, now func() time.Time) func(*state.Writer) error {
	if w.change.Op != identity.Finish {
		return nil
	}
	c := w.change
	return func(to *state.Writer) error {
		at := now()
		note := func(s *state.Step) { s.Finishes = noted(s.Finishes, w.finished(at)) }
		return Note(to, c.Person, c.Target, c.Account, note, at)
	}
}

// forgetFinishes forgets, before anything is done, what closing steps did before the account was enabled again.
func (a *Account) forgetFinishes(ctx context.Context, x *apply.Executor) error {
	if len(a.Finishes) == 0 {
		return nil
	}
	c := a.Change
	a.Finishes = nil
	err := x.Ledger.Update(ctx, func(w *state.Writer) error {
		return Note(w, c.Person, c.Target, c.Account, func(s *state.Step) { s.Finishes = nil }, x.Now())
	})
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}
