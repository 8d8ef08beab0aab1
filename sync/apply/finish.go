package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A Step is one of a target's closing steps (targets.Step) without the means to take it: that is the Executor's.
type Step struct {
	Name       string
	Revokes    bool   // it ends what somebody who is signed in has
	Impossible string // why nothing can be done about it; "" where something can
	Shown      bool   // the application shows what is left to do of it
}

// Closing are the closing steps of the target, in the order in which they run.
func (p *Pass) Closing() (steps []Step) {
	for _, s := range p.in.Closing() {
		steps = append(steps, Step{Name: s.Name, Revokes: s.Revokes, Impossible: s.Impossible, Shown: s.Left != nil})
	}
	return steps
}

// step is one of the target's closing steps; one that was edited out of the config since takes nothing, and is refused.
func (p *Pass) step(name string) targets.Step {
	steps := p.in.Closing()
	if i := slices.IndexFunc(steps, func(s targets.Step) bool { return s.Name == name && s.Do != nil }); i >= 0 {
		return steps[i]
	}
	return targets.Step{Name: name, Do: func(context.Context, identity.Account) (string, targets.Receipt, error) {
		return "", targets.Receipt{}, fmt.Errorf("%w: the target has no such step any more", targets.ErrRejected)
	}}
}

// Left reads what is left to do of a closing step of an account, "" where it is done. It is asked only of one that is
// Shown.
func (p *Pass) Left(ctx context.Context, name string, have identity.Account) (left string, err error) {
	step := p.step(name)
	err = p.call(ctx, have.ID, func(ctx context.Context) error {
		left, err = step.Left(ctx, have)
		return err
	})
	return left, err
}

// finished reports whether the application shows that a closing step is done.
func (p *Pass) finished(ctx context.Context, name string, have identity.Account) (bool, error) {
	if p.step(name).Left == nil {
		return false, nil
	}
	left, err := p.Left(ctx, name, have)
	if errors.Is(err, targets.ErrNotFound) {
		return false, nil
	}
	return err == nil && left == "", err
}

// finish takes a closing step of an account and sees that nothing is left of it, and that the account is inactive
// whatever the step did (R8).
func (x *Executor) finish(ctx context.Context, p *Pass, job Job, r *Result) {
	step := p.step(job.Change.Step)
	r.Err = p.call(ctx, job.Have.ID, func(ctx context.Context) (err error) {
		var kept string
		kept, r.Receipt, err = step.Do(ctx, job.Have)
		r.Kept = cmp.Or(r.Kept, kept) // repeated, it finds what it did itself
		return err
	})
	x.readBack(ctx, p, job, r, func(a identity.Account) error {
		if err := disabled(a); err != nil || step.Left == nil {
			return err
		}
		left, err := p.Left(ctx, step.Name, job.Have)
		switch {
		case err != nil:
			return fmt.Errorf("read back: %w", err)
		case left != "":
			return fmt.Errorf("%w: read back, %s", targets.ErrConflict, left)
		}
		return nil
	})
}

// toUndo is what enabling an account has to undo: what dirsweep did when it closed it, and of what somebody else
// disabled nothing.
func toUndo(link state.Link) map[string]string {
	if !link.OwnDisable() {
		return nil
	}
	return link.Kept
}

// keeping is what is kept once a closing step has kept something too. One that was taken before, by a call that was cut
// short, keeps nothing more.
func keeping(kept map[string]string, step, more string) map[string]string {
	if more == "" {
		return kept
	}
	kept = maps.Clone(kept)
	if kept == nil {
		kept = map[string]string{}
	}
	kept[step] = more
	return kept
}

// kept is what the closing of a link's account has kept by now.
func kept(r *state.Reader, link state.Link) (map[string]string, error) {
	now, linked, err := r.LinkByAccount(link.Target, link.Account)
	if err != nil || !linked {
		return link.Kept, err
	}
	return now.Kept, nil
}
