// Package applytest is an application in memory whose trouble a test scripts: for what apply and sweep do about each
// class of error.
package applytest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// An Answer is what one call meets instead of plain success.
type Answer struct {
	Err    error
	Lost   bool   // the call has its effect all the same: only its answer is lost
	Hollow bool   // the call has no effect, though it is answered well
	During func() // runs while the call is under way
}

// A Target is a targets.Target that is its only pass. Its methods may be called from several goroutines.
type Target struct {
	mu       sync.Mutex
	caps     identity.Capabilities
	accounts map[identity.AccountID]identity.Account
	script   map[string][]Answer
	always   map[string]Answer
	about    map[string]Answer // by "method subject"
	calls    []string
	next     int
	hides    bool
	secret   bool
	shy      bool
	groups   []identity.Entitlement
	refuses  map[string]string
	ignores  map[string]bool
	steps    []targets.Step
	undone   []map[string]string
	pace     func(context.Context) error
}

var (
	_ targets.Target = (*Target)(nil)
	_ targets.Pass   = (*Target)(nil)
)

// New returns a target that can do everything and holds accounts.
func New(accounts ...identity.Account) *Target {
	t := &Target{
		caps:     identity.Capabilities{Disable: true, Delete: true, Entitlements: true, Update: true},
		accounts: map[identity.AccountID]identity.Account{}, script: map[string][]Answer{}, always: map[string]Answer{}, next: 100,
	}
	for _, a := range accounts {
		t.accounts[a.ID] = a
	}
	t.steps = []targets.Step{t.Sessions()}
	return t
}

// Script makes the next calls of a method ("disable", "account", …) meet answers, one each.
func (t *Target) Script(method string, answers ...Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.script[method] = append(t.script[method], answers...)
}

// Always makes every call of a method that has no other script meet answer.
func (t *Target) Always(method string, answer Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.always[method] = answer
}

// About makes every call of a method about one subject, an account say, meet answer.
func (t *Target) About(method, subject string, answer Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.about == nil {
		t.about = map[string]Answer{}
	}
	t.about[method+" "+subject] = answer
}

// Put replaces an account, as somebody else would.
func (t *Target) Put(a identity.Account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accounts[a.ID] = a
}

// Get returns an account as the target holds it.
func (t *Target) Get(id identity.AccountID) (identity.Account, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.accounts[id]
	return a, ok
}

// Len is the number of accounts.
func (t *Target) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.accounts)
}

// Calls are the calls so far, as "disable 1", and forgets them.
func (t *Target) Calls() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := t.calls
	t.calls = nil
	return calls
}

// call notes a call, and does what it is scripted to do; effect is what it does else.
func (t *Target) call(ctx context.Context, method, subject string, effect func() error) error {
	if t.pace != nil {
		if err := t.pace(ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	t.calls = append(t.calls, strings.TrimSpace(method+" "+subject))
	answer, scripted := t.always[method], false
	if one, ok := t.about[method+" "+subject]; ok {
		answer = one
	}
	if queue := t.script[method]; len(queue) > 0 {
		answer, t.script[method] = queue[0], queue[1:]
	}
	scripted = answer.Err != nil && !answer.Lost || answer.Hollow
	t.mu.Unlock()
	if answer.During != nil {
		answer.During()
	}
	if scripted {
		return answer.Err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := effect(); err != nil {
		return err
	}
	return answer.Err
}

// Can sets what the target can do.
func (t *Target) Can(caps identity.Capabilities) { t.caps = caps }

// HideInactive makes accounts that are disabled invisible.
func (t *Target) HideInactive() { t.hides = true }

// HideEntitlements makes the target show nobody's entitlements.
func (t *Target) HideEntitlements() { t.secret = true }

// ShowRemembered makes the target show of an account only those entitlements that it is remembered to have.
func (t *Target) ShowRemembered() { t.shy = true }

// Groups are the entitlements that Resolve knows; without them it knows all.
func (t *Target) Groups(groups ...identity.Entitlement) { t.groups = groups }

// Refuse makes the target refuse an attribute, in these words, and take the rest.
func (t *Target) Refuse(path, why string) {
	if t.refuses == nil {
		t.refuses = map[string]string{}
	}
	t.refuses[path] = why
}

// Ignore makes the target answer well about an attribute, and leave it as it is.
func (t *Target) Ignore(path string) {
	if t.ignores == nil {
		t.ignores = map[string]bool{}
	}
	t.ignores[path] = true
}

// Accept ends what Refuse began.
func (t *Target) Accept(path string) { delete(t.refuses, path) }

// PacedBy makes the target call pace before each call, and returns it; it is what a session is opened with.
func (t *Target) PacedBy(pace func(context.Context) error) (targets.Target, error) {
	t.pace = pace
	return t, nil
}

// Remove takes an account away, as somebody else would.
func (t *Target) Remove(id identity.AccountID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.accounts, id)
}

// Begin begins the only pass.
func (t *Target) Begin(ctx context.Context) (targets.Pass, error) {
	return t, t.call(ctx, "begin", "", func() error { return nil })
}

// Capabilities are what Can set.
func (t *Target) Capabilities() identity.Capabilities { return t.caps }

// Accounts lists by identifier.
func (t *Target) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		var list []identity.Account
		err := t.call(ctx, "accounts", "", func() error {
			for _, id := range slices.Sorted(maps.Keys(t.accounts)) {
				if a, err := t.held(id); err == nil {
					list = append(list, a)
				}
			}
			return nil
		})
		for _, a := range list {
			if !yield(a, nil) {
				return
			}
		}
		if err != nil {
			yield(identity.Account{}, err)
		}
	}
}

// Account reads one account.
func (t *Target) Account(ctx context.Context, id identity.AccountID) (a identity.Account, err error) {
	err = t.call(ctx, "account", string(id), func() (err error) {
		a, err = t.held(id)
		a.Entitlements = nil
		return err
	})
	return a, err
}

// Entitlements reads those of one account.
func (t *Target) Entitlements(ctx context.Context, have identity.Account) (a identity.Account, err error) {
	a = have
	err = t.call(ctx, "entitlements", string(have.ID), func() error {
		now, err := t.held(have.ID)
		a.Entitlements, a.EntitlementsUnknown = now.Entitlements, t.secret
		if t.secret {
			a.Entitlements = nil // nothing is promised of what it was remembered to have
		}
		if t.shy {
			a.Entitlements = slices.DeleteFunc(slices.Clone(now.Entitlements), func(e identity.Entitlement) bool {
				return !identity.HasEntitlement(have.Entitlements, e)
			})
		}
		return err
	})
	return a, err
}

// Resolve gives each name an identifier.
func (t *Target) Resolve(ctx context.Context, want []identity.Entitlement) (known []identity.Entitlement, missing []targets.Missing, err error) {
	return known, missing, t.call(ctx, "resolve", "", func() error {
		for _, e := range want {
			i := slices.IndexFunc(t.groups, e.Same)
			switch {
			case t.groups == nil:
				known = append(known, e)
			case i < 0:
				missing = append(missing, targets.Missing{Entitlement: e, Why: "there is no such group"})
			default:
				known = append(known, t.groups[i])
			}
		}
		return nil
	})
}

// Find compares exactly.
func (t *Target) Find(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	err = t.call(ctx, "find", attribute+" "+value, func() error {
		for _, id := range slices.Sorted(maps.Keys(t.accounts)) {
			if a, err := t.held(id); err == nil && a.Get(attribute).Text() == value {
				a.Entitlements = nil
				found = append(found, a)
			}
		}
		return nil
	})
	return found, err
}

// Create takes each userName once.
func (t *Target) Create(ctx context.Context, want identity.Account) (made identity.Account, r targets.Receipt, err error) {
	err = t.call(ctx, "create", want.UserName, func() error {
		for _, a := range t.accounts {
			if strings.EqualFold(a.UserName, want.UserName) {
				return fmt.Errorf("create %s: %w", want.UserName, targets.ErrConflict)
			}
		}
		t.next++
		made = want
		made.ID, made.Entitlements, made.Attributes = identity.AccountID(strconv.Itoa(t.next)), nil, maps.Clone(want.Attributes)
		for path, why := range t.refuses {
			if _, wanted := made.Attributes[path]; wanted {
				delete(made.Attributes, path)
				r.Refused = append(r.Refused, targets.Refusal{Path: path, Why: why})
			}
		}
		t.accounts[made.ID] = made
		return nil
	})
	if err != nil {
		return identity.Account{}, r, err // an answer that is lost names nobody
	}
	return made, t.receipt(r), nil
}

func (t *Target) receipt(r targets.Receipt) targets.Receipt {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.RequestID = fmt.Sprintf("request %d", len(t.calls))
	return r
}

// Update writes delta. A hollow one is answered as if it had been.
func (t *Target) Update(ctx context.Context, have identity.Account, d identity.Delta) (now identity.Account, r targets.Receipt, err error) {
	stored := false
	err = t.call(ctx, "update", string(have.ID), func() error {
		if now, r, err = t.changed(have.ID, d); err == nil {
			t.accounts[have.ID], stored = now, true
		}
		return err
	})
	if err == nil && !stored {
		t.mu.Lock()
		now, r, err = t.changed(have.ID, d)
		t.mu.Unlock()
	}
	if now.EntitlementsUnknown = t.secret; t.secret {
		now.Entitlements = nil
	}
	return now, t.receipt(r), err
}

// changed is what an account is after a change.
func (t *Target) changed(id identity.AccountID, d identity.Delta) (now identity.Account, r targets.Receipt, err error) {
	if now, err = t.held(id); err != nil {
		return now, r, err
	}
	if now.Attributes = maps.Clone(now.Attributes); now.Attributes == nil {
		now.Attributes = map[string]identity.Value{}
	}
	for _, a := range d.Attributes {
		if t.ignores[a.Path] {
			continue
		}
		if why, refused := t.refuses[a.Path]; refused {
			r.Refused = append(r.Refused, targets.Refusal{Path: a.Path, Why: why})
			continue
		}
		if a.Path == "userName" {
			now.UserName = a.After.Text()
		}
		if now.Attributes[a.Path] = a.After; a.After == "" {
			delete(now.Attributes, a.Path)
		}
	}
	kept := identity.WithoutEntitlements(now.Entitlements, d.Withdraw)
	now.Entitlements = identity.SortedEntitlements(append(kept, d.Grant...))
	return now, r, nil
}

// Enable makes an account active. What it was given to undo, Undone tells.
func (t *Target) Enable(ctx context.Context, have identity.Account, kept map[string]string) (targets.Receipt, error) {
	return t.one(ctx, "enable", have, func() error {
		t.undone = append(t.undone, maps.Clone(kept))
		return t.activate(have.ID, true)
	})
}

// Undone is what each Enable was given to undo.
func (t *Target) Undone() []map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.undone
}

// Disable makes an account inactive.
func (t *Target) Disable(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	return t.one(ctx, "disable", have, func() error { return t.activate(have.ID, false) })
}

// Steps sets the closing steps; without it there is one that ends sessions, which nobody sees: Sessions.
func (t *Target) Steps(steps ...targets.Step) { t.steps = steps }

// Closing are what Steps set.
func (t *Target) Closing() []targets.Step { return t.steps }

// Sessions is a closing step whose call is scripted as its name: nothing shows whether it is done.
func (t *Target) Sessions() targets.Step {
	return targets.Step{Name: "sessions", Revokes: true, Do: func(ctx context.Context, have identity.Account) (string, targets.Receipt, error) {
		r, err := t.one(ctx, "sessions", have, func() error {
			_, err := t.kept(have.ID)
			return err
		})
		return "", r, err
	}}
}

// Shown is a closing step that sets an attribute of the name to done, shows that, and keeps what it was before. Its
// calls are scripted as "do NAME" and "left NAME".
func (t *Target) Shown(name string) targets.Step {
	return targets.Step{
		Name: name,
		Left: func(ctx context.Context, have identity.Account) (left string, err error) {
			err = t.call(ctx, "left "+name, string(have.ID), func() error {
				now, err := t.held(have.ID)
				if now.Get(name) != done {
					left = name + " is not done"
				}
				return err
			})
			return left, err
		},
		Do: func(ctx context.Context, have identity.Account) (before string, r targets.Receipt, err error) {
			r, err = t.one(ctx, "do "+name, have, func() error {
				now, err := t.kept(have.ID)
				if err != nil || now.Get(name) == done {
					return err
				}
				before = now.Get(name).Text()
				now.Attributes = maps.Clone(now.Attributes)
				if now.Attributes == nil {
					now.Attributes = map[string]identity.Value{}
				}
				now.Attributes[name] = done
				t.accounts[have.ID] = now
				return nil
			})
			return before, r, err
		},
	}
}

// done is the value of the attribute that a closing step has set.
const done identity.Value = `"done"`

// Delete removes an account.
func (t *Target) Delete(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	return t.one(ctx, "delete", have, func() error {
		_, err := t.kept(have.ID)
		delete(t.accounts, have.ID)
		return err
	})
}

func (t *Target) one(ctx context.Context, method string, have identity.Account, effect func() error) (targets.Receipt, error) {
	err := t.call(ctx, method, string(have.ID), effect)
	return t.receipt(targets.Receipt{}), err
}

// Close does nothing.
func (t *Target) Close() error { return nil }

// held is an account as it can be seen.
func (t *Target) held(id identity.AccountID) (identity.Account, error) {
	a, err := t.kept(id)
	if err == nil && t.hides && !a.Active {
		return identity.Account{}, fmt.Errorf("account %s: %w", id, targets.ErrNotFound)
	}
	return a, err
}

// kept is an account whether it can be seen or not.
func (t *Target) kept(id identity.AccountID) (identity.Account, error) {
	a, ok := t.accounts[id]
	if !ok {
		return a, fmt.Errorf("account %s: %w", id, targets.ErrNotFound)
	}
	return a, nil
}

func (t *Target) activate(id identity.AccountID, active bool) error {
	a, err := t.kept(id)
	if err != nil {
		return err
	}
	a.Active = active
	t.accounts[id] = a
	return nil
}
