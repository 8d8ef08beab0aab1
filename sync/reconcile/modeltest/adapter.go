package modeltest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// This file is all that knows the contract of targets; the applications are one thing, how the engine calls them
// another.

// A target is an application as the engine sees it, and each of its passes.
type target struct {
	app  *application
	pace func(context.Context) error
}

var (
	_ targets.Target = target{}
	_ targets.Pass   = target{}
)

// session opens a session over an application.
func (w *world) session(app *application, paths []string) *apply.Session {
	s, err := apply.OpenSession(apply.SessionOptions{
		Target: app.name(), Paths: paths, Memory: apply.LedgerMemory{Ledger: w.ledger}, Log: w.log, Now: w.now,
	}, func(pace func(context.Context) error) (targets.Target, error) { return target{app, pace}, nil })
	if err != nil {
		panic(err) // nothing of it can fail
	}
	return s
}

// call is one request.
func (t target) call(ctx context.Context, op identity.Op, id identity.AccountID, effect func() error) error {
	if err := t.pace(ctx); err != nil {
		return err
	}
	return t.app.call(ctx, op, id, effect)
}

// Begin implements targets.Target.
func (t target) Begin(ctx context.Context) (targets.Pass, error) {
	return t, t.call(ctx, "", "", func() error { return nil })
}

// Close has nothing to end.
func (t target) Close() error { return nil }

// Capabilities are everything.
func (t target) Capabilities() identity.Capabilities {
	return identity.Capabilities{Disable: true, Delete: true, Entitlements: t.app.n == chat, Update: true}
}

// Accounts implements targets.Pass.
func (t target) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		var list []identity.Account
		cut := false
		err := t.call(ctx, "", "", func() error {
			list, cut = t.app.list()
			return nil
		})
		for _, a := range list {
			if !yield(a, nil) {
				return
			}
		}
		if cut {
			err = fmt.Errorf("%w: the connection was cut", targets.ErrIncomplete)
		}
		if err != nil {
			yield(identity.Account{}, err)
		}
	}
}

// Account implements targets.Pass.
func (t target) Account(ctx context.Context, id identity.AccountID) (found identity.Account, err error) {
	err = t.call(ctx, "", id, func() (err error) {
		found, err = t.app.get(id)
		found.Entitlements = nil
		return err
	})
	return found, err
}

// Entitlements implements targets.Pass.
func (t target) Entitlements(ctx context.Context, have identity.Account) (identity.Account, error) {
	err := t.call(ctx, "", have.ID, func() error {
		now, err := t.app.get(have.ID)
		have.Entitlements = now.Entitlements
		return err
	})
	return have, err
}

// Find implements targets.Pass.
func (t target) Find(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	err = t.call(ctx, "", "", func() error {
		found = t.app.find(attribute, value)
		return nil
	})
	for i := range found {
		found[i].Entitlements = nil
	}
	return found, err
}

// Resolve knows every group by the name that the config gives it.
func (t target) Resolve(ctx context.Context, want []identity.Entitlement) ([]identity.Entitlement, []targets.Missing, error) {
	return want, nil, t.call(ctx, "", "", func() error { return nil })
}

// Create implements targets.Pass.
func (t target) Create(ctx context.Context, want identity.Account) (made identity.Account, r targets.Receipt, err error) {
	made = want
	made.ID = "0" // of one that is answered well and not made
	err = t.call(ctx, identity.Create, "", func() (err error) {
		made, err = t.app.create(want)
		return err
	})
	if err != nil {
		return identity.Account{}, r, err
	}
	return made, r, nil
}

// Update implements targets.Pass.
func (t target) Update(ctx context.Context, have identity.Account, d identity.Delta) (now identity.Account, r targets.Receipt, err error) {
	now = have
	err = t.call(ctx, identity.Update, have.ID, func() (err error) {
		now, err = t.app.update(have.ID, d)
		return err
	})
	return now, r, err
}

// Enable implements targets.Pass.
func (t target) Enable(ctx context.Context, have identity.Account, kept map[string]string) (r targets.Receipt, err error) {
	return r, t.call(ctx, identity.Enable, have.ID, func() error {
		if held, ok := t.app.accounts[have.ID]; ok {
			t.app.moveBack(held, kept)
		}
		return t.app.activate(have.ID, true)
	})
}

// Disable implements targets.Pass.
func (t target) Disable(ctx context.Context, have identity.Account) (r targets.Receipt, err error) {
	return r, t.call(ctx, identity.Disable, have.ID, func() error { return t.app.activate(have.ID, false) })
}

// Delete implements targets.Pass.
func (t target) Delete(ctx context.Context, have identity.Account) (r targets.Receipt, err error) {
	return r, t.call(ctx, identity.Delete, have.ID, func() error { return t.app.remove(have.ID) })
}

// readHolds are the holds over leavers.
func (w *world) readHolds(r *state.Reader) (list []hold, err error) {
	for h, err := range r.Holds() {
		if err != nil {
			return nil, err
		}
		one := hold{digest: h.Digest, approved: h.Ruling.What == identity.Approved, rejected: h.Ruling.What == identity.Rejected}
		one.closes = h.Kind == identity.HoldCohort || h.Kind == identity.HoldAnomaly
		one.enables = h.Kind == identity.HoldEnable
		one.attribute = h.Kind == identity.HoldAnomaly && strings.HasPrefix(h.Anomaly, "attribute")
		one.group = h.Kind == identity.HoldAnomaly && strings.HasPrefix(h.Anomaly, "group")
		if h.Kind == identity.HoldShrink || h.Kind == identity.HoldRelink {
			one.source = h.Directory
		}
		if w.tell != nil {
			one.text = fmt.Sprintf("%s %s %s %s%s %q %s: %s", h.Digest, h.Kind, h.Cause, h.Anomaly, h.Attribute, h.Closed, h.Ruling.What, h.Reason)
		}
		for _, m := range h.Members {
			n, known := w.model.human(m.Person.Anchor)
			if !known {
				continue
			}
			last := w.model.humans[n].last()
			former := m.Person.Directory != w.directory(last.source) || m.Person.Anchor != last.anchor && m.Person.Anchor != last.number
			at := place{n, slices.Index(targetNames[:], m.Target)}
			p, _, err := r.Person(m.Person)
			if err != nil {
				return nil, err
			}
			one.members = append(one.members, member{at, h.Digest, m.Account, m.Strength, former, m.Person.Anchor, p.Rehire == ""})
		}
		list = append(list, one)
	}
	return list, nil
}
