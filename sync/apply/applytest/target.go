// Package applytest is an application in memory whose trouble a test scripts: for what apply and sweep do about each class of error.
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

// A Target is a targets.Target. Its methods may be called from several goroutines.
type Target struct {
	mu       sync.Mutex
	caps     identity.Capabilities
	accounts map[identity.AccountID]identity.Account
	script   map[string][]Answer
	always   map[string]Answer
	calls    []string
	next     int
}

var _ targets.Target = (*Target)(nil)

// New returns a target that can do everything and holds accounts.
func New(accounts ...identity.Account) *Target {
	t := &Target{
		caps:     identity.Capabilities{Disable: true, Delete: true, Revoke: true, Entitlements: true, Update: true},
		accounts: map[identity.AccountID]identity.Account{}, script: map[string][]Answer{}, always: map[string]Answer{}, next: 100,
	}
	for _, a := range accounts {
		t.accounts[a.ID] = a
	}
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
func (t *Target) call(method, subject string, effect func() error) error {
	t.mu.Lock()
	t.calls = append(t.calls, strings.TrimSpace(method+" "+subject))
	answer, scripted := t.always[method], false
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

// Capabilities are what Can set.
func (t *Target) Capabilities(context.Context) (caps identity.Capabilities, err error) {
	return t.caps, t.call("capabilities", "", func() error { return nil })
}

// Accounts lists by identifier.
func (t *Target) Accounts(context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		var list []identity.Account
		err := t.call("accounts", "", func() error {
			for _, id := range slices.Sorted(maps.Keys(t.accounts)) {
				list = append(list, t.accounts[id])
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
func (t *Target) Account(_ context.Context, id identity.AccountID) (a identity.Account, err error) {
	err = t.call("account", string(id), func() (err error) {
		a, err = t.held(id)
		return err
	})
	return a, err
}

// Find compares exactly.
func (t *Target) Find(_ context.Context, attribute, value string) (found []identity.Account, err error) {
	err = t.call("find", attribute+" "+value, func() error {
		for _, id := range slices.Sorted(maps.Keys(t.accounts)) {
			if t.accounts[id].Get(attribute).Text() == value {
				found = append(found, t.accounts[id])
			}
		}
		return nil
	})
	return found, err
}

// Create takes each userName once.
func (t *Target) Create(_ context.Context, want identity.Account) (made identity.Account, err error) {
	err = t.call("create", want.UserName, func() error {
		for _, a := range t.accounts {
			if strings.EqualFold(a.UserName, want.UserName) {
				return fmt.Errorf("create %s: %w", want.UserName, targets.ErrConflict)
			}
		}
		t.next++
		made = want
		made.ID, made.Entitlements = identity.AccountID(strconv.Itoa(t.next)), nil
		t.accounts[made.ID] = made
		return nil
	})
	if err != nil {
		return identity.Account{}, err // an answer that is lost names nobody
	}
	return made, nil
}

// Update writes delta.
func (t *Target) Update(_ context.Context, have identity.Account, d identity.Delta) (now identity.Account, err error) {
	err = t.call("update", string(have.ID), func() error {
		now, err = t.held(have.ID)
		if err != nil {
			return err
		}
		now.Attributes = maps.Clone(now.Attributes)
		if now.Attributes == nil {
			now.Attributes = map[string]identity.Value{}
		}
		for _, a := range d.Attributes {
			if now.Attributes[a.Path] = a.After; a.After == "" {
				delete(now.Attributes, a.Path)
			}
		}
		kept := identity.WithoutEntitlements(now.Entitlements, d.Withdraw)
		now.Entitlements = identity.SortedEntitlements(append(kept, d.Grant...))
		t.accounts[have.ID] = now
		return nil
	})
	return now, err
}

// Enable makes an account active.
func (t *Target) Enable(_ context.Context, have identity.Account) error {
	return t.call("enable", string(have.ID), func() error { return t.activate(have.ID, true) })
}

// Disable makes an account inactive.
func (t *Target) Disable(_ context.Context, have identity.Account) error {
	return t.call("disable", string(have.ID), func() error {
		if _, ok := t.accounts[have.ID]; !ok {
			return nil
		}
		return t.activate(have.ID, false)
	})
}

// Revoke has nothing to end.
func (t *Target) Revoke(_ context.Context, have identity.Account) error {
	return t.call("revoke", string(have.ID), func() error { return nil })
}

// Delete removes an account.
func (t *Target) Delete(_ context.Context, have identity.Account) error {
	return t.call("delete", string(have.ID), func() error {
		delete(t.accounts, have.ID)
		return nil
	})
}

// Close does nothing.
func (t *Target) Close() error { return nil }

func (t *Target) held(id identity.AccountID) (identity.Account, error) {
	a, ok := t.accounts[id]
	if !ok {
		return a, fmt.Errorf("account %s: %w", id, targets.ErrNotFound)
	}
	return a, nil
}

func (t *Target) activate(id identity.AccountID, active bool) error {
	a, err := t.held(id)
	if err != nil {
		return err
	}
	a.Active = active
	t.accounts[id] = a
	return nil
}
