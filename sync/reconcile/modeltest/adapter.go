package modeltest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// This file is all that knows the contract of targets; the applications are one thing, how the engine calls them another.

// A target is an application as the engine sees it.
type target struct{ app *application }

var _ targets.Target = target{}

func forbidden() error { return fmt.Errorf("%w: 403", targets.ErrRejected) }

// Capabilities are everything.
func (t target) Capabilities(ctx context.Context) (identity.Capabilities, error) {
	all := identity.Capabilities{Disable: true, Delete: true, Revoke: true, Entitlements: t.app.n == chat, Update: true}
	return all, t.app.call(ctx, "", "", func() error { return nil })
}

// Accounts implements targets.Target.
func (t target) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		list, cut, err := t.app.list(ctx)
		for i, a := range list {
			if cut && i == len(list)/2 {
				break
			}
			if !yield(a, nil) {
				return
			}
		}
		if cut {
			err = fmt.Errorf("%w: %w: the connection was cut", targets.ErrIncomplete, targets.ErrUnavailable)
		}
		if err != nil {
			yield(identity.Account{}, err)
		}
	}
}

// Account implements targets.Target.
func (t target) Account(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	return t.app.get(ctx, id)
}

// Find implements targets.Target.
func (t target) Find(ctx context.Context, attribute, value string) ([]identity.Account, error) {
	return t.app.find(ctx, attribute, value)
}

// Create implements targets.Target.
func (t target) Create(ctx context.Context, want identity.Account) (identity.Account, error) {
	return t.app.create(ctx, want)
}

// Update implements targets.Target.
func (t target) Update(ctx context.Context, have identity.Account, d identity.Delta) (identity.Account, error) {
	return t.app.update(ctx, identity.Update, have.ID, d)
}

// Enable implements targets.Target.
func (t target) Enable(ctx context.Context, have identity.Account) error {
	return t.app.activate(ctx, have.ID, true)
}

// Disable implements targets.Target.
func (t target) Disable(ctx context.Context, have identity.Account) error {
	return unlessGone(t.app.activate(ctx, have.ID, false))
}

// Revoke implements targets.Target.
func (t target) Revoke(ctx context.Context, have identity.Account) error {
	return unlessGone(t.app.revoke(ctx, have.ID))
}

// Delete implements targets.Target.
func (t target) Delete(ctx context.Context, have identity.Account) error {
	return unlessGone(t.app.remove(ctx, have.ID))
}

// Close has nothing to end.
func (t target) Close() error { return nil }

func unlessGone(err error) error {
	if errors.Is(err, targets.ErrNotFound) {
		return nil
	}
	return err
}

// readHolds are the holds over leavers.
func (w *world) readHolds(r *state.Reader) (list []hold, err error) {
	for h, err := range r.Holds() {
		if err != nil {
			return nil, err
		}
		one := hold{digest: h.Digest, approved: !h.Approved.IsZero(), rejected: !h.Rejected.IsZero()}
		for _, p := range h.People {
			if n, known := w.model.human(p.Person.Anchor); known && h.Target != "" {
				one.members = append(one.members, place{n, slices.Index(targetNames[:], h.Target)})
			}
		}
		list = append(list, one)
	}
	return list, nil
}
