// Package conformance tries a program of the kind exec against the protocol, by the same target that a pass uses: what
// `dirsweep exec-test` does. It makes accounts whose names begin with Prefix, and takes them away where the program can.
package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/exec"
)

// Prefix begins the userName of every account that is made.
const Prefix = "dirsweep-test-"

// A Result is what came of one check.
type Result struct {
	Check   string `json:"check"`
	Outcome string `json:"outcome"` // one of those below
	Detail  string `json:"detail,omitempty"`
}

// The outcomes.
const (
	Passed  = "passed"
	Failed  = "failed"
	LeftOut = "left out" // the program's hello does not promise it
)

// A trial is one run of the checks.
type trial struct {
	ctx   context.Context
	pass  targets.Pass
	hello exec.Hello
	run   string // in the names of accounts: no two trials have the same
	made  []identity.Account
	mu    sync.Mutex
}

// notPromised is the error of a check that does not concern the program.
var errNotPromised = errors.New("its hello does not name it")

// checks are tried in this order; what is made by one is used by the next.
func checks() []check {
	return []check{
		{"it shows that an account is not there", (*trial).nobody},
		{"two lists are the same", (*trial).lists},
		{"an account is made, read, listed and found", (*trial).creates},
		{"a second account of one name is refused as a conflict", (*trial).conflicts},
		{"an attribute is set and cleared, and the others stay", (*trial).updates},
		{"values stay values, whatever a shell would make of them", (*trial).awkward},
		{"groups are given and taken, twice", (*trial).groups},
		{"an account is disabled, twice, and shown so", (*trial).disables},
		{"closing steps can be repeated, and what is left is told", (*trial).steps},
		{"an account is enabled, twice, and shown so", (*trial).enables},
		{"two requests at once are both answered", (*trial).together},
		{"an account is deleted, and no other", (*trial).deletes},
	}
}

type check struct {
	name string
	try  func(*trial) error
}

// Run tries the program and tells of each check. It reports whether all that the program promises was kept.
func Run(ctx context.Context, p exec.Program, log hclog.Logger, tell func(Result)) (bool, error) {
	hello, err := introduce(ctx, p, log)
	if err != nil {
		tell(Result{"it says hello, and can show accounts", Failed, err.Error()})
		return false, nil
	}
	tell(Result{Check: "it says hello, and can show accounts", Outcome: Passed, Detail: hello.Name})
	paths := append([]string{"userName"}, hello.Attributes...)
	slices.Sort(paths)
	target, err := exec.Open(p, targets.Need{Paths: slices.Compact(paths), Entitlements: true, Log: log})
	if err != nil {
		return false, err
	}
	pass, err := target.Begin(ctx)
	if err != nil {
		return false, errors.Join(err, target.Close())
	}
	t := &trial{ctx: ctx, pass: pass, hello: hello, run: strings.ToLower(rand.Text()[:6])}
	before, listed := t.names()
	good := true
	say := func(name string, err error) {
		r := Result{Check: name, Outcome: Passed}
		switch {
		case errors.Is(err, errNotPromised):
			r.Outcome, r.Detail = LeftOut, err.Error()
		case err != nil:
			r.Outcome, r.Detail, good = Failed, err.Error(), false
		}
		tell(r)
	}
	for _, c := range checks() {
		if err := ctx.Err(); err != nil {
			say(c.name, err)
			break
		}
		say(c.name, c.try(t))
	}
	t.ctx = context.WithoutCancel(ctx) // what was made goes, whatever ends the trial
	say("what was made is gone, and what was there before is there", errors.Join(listed, t.cleanUp(before)))
	return good, target.Close()
}

// introduce asks the program what it is.
func introduce(ctx context.Context, p exec.Program, log hclog.Logger) (exec.Hello, error) {
	target, err := exec.Open(p, targets.Need{Paths: []string{"userName"}, Log: log})
	if err != nil {
		return exec.Hello{}, err
	}
	pass, err := target.Begin(ctx)
	if err != nil {
		return exec.Hello{}, errors.Join(err, target.Close())
	}
	hello, _ := exec.HelloOf(pass)
	return hello, target.Close()
}

func (t *trial) has(op string) error {
	if slices.Contains(t.hello.Operations, op) {
		return nil
	}
	return fmt.Errorf("%w: %s", errNotPromised, op)
}

// names are the accounts that there are, by their identifiers.
func (t *trial) names() (map[identity.AccountID]string, error) {
	all := map[identity.AccountID]string{}
	for a, err := range t.pass.Accounts(t.ctx) {
		if err != nil {
			return nil, err
		}
		if a.ActiveShown != "" {
			return nil, fmt.Errorf("%s shows %s as active, which is neither true nor false", a.UserName, a.ActiveShown)
		}
		all[a.ID] = a.UserName
	}
	return all, nil
}

func (t *trial) want(name string) identity.Account {
	want := identity.Account{
		UserName: Prefix + t.run + name, ExternalID: Prefix + t.run + name + "-anchor", Active: true,
		Attributes: map[string]identity.Value{},
	}
	for _, path := range t.hello.Attributes {
		if path != "externalId" {
			want.Attributes[path] = identity.Text("Dirsweep " + name)
		}
	}
	return want
}

func (t *trial) create(want identity.Account) (identity.Account, error) {
	a, receipt, err := t.pass.Create(t.ctx, want)
	if a.ID != "" {
		t.mu.Lock()
		t.made = append(t.made, a)
		t.mu.Unlock()
	}
	for _, r := range receipt.Refused {
		err = errors.Join(err, fmt.Errorf("%s is in its hello, and refused: %s", r.Path, r.Why))
	}
	return a, err
}

// first is the account that checks are tried with.
func (t *trial) first() (identity.Account, error) {
	if len(t.made) == 0 {
		return identity.Account{}, fmt.Errorf("%w: create, so that there is no account to try it with", errNotPromised)
	}
	return t.pass.Account(t.ctx, t.made[0].ID)
}

func (t *trial) nobody() error {
	const id = "dirsweep-no-such-account"
	if _, err := t.pass.Account(t.ctx, id); !errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("reading an account that is not there: want not_found, got %v", err) //nolint:errorlint // it is told
	}
	if t.has("disable") != nil {
		return nil
	}
	if _, err := t.pass.Disable(t.ctx, identity.Account{ID: id, UserName: id}); !errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("disabling an account that is not there: want not_found, got %v", err) //nolint:errorlint // it is told
	}
	return nil
}

func (t *trial) lists() error {
	one, err := t.names()
	if err != nil {
		return err
	}
	two, err := t.names()
	if err != nil {
		return err
	}
	for id, name := range one {
		if two[id] != name {
			return fmt.Errorf("%s (%s) is in the first list alone", name, id)
		}
	}
	return nil
}

func (t *trial) creates() error {
	if err := t.has("create"); err != nil {
		return err
	}
	want := t.want("one")
	a, err := t.create(want)
	if err != nil {
		return err
	}
	if err := same(want, a); err != nil {
		return err
	}
	all, err := t.names()
	if err != nil {
		return err
	}
	if all[a.ID] != want.UserName {
		return fmt.Errorf("made as %s, and not in the list", a.ID)
	}
	for attribute, value := range map[string]string{"userName": strings.ToUpper(want.UserName), "externalId": a.ExternalID} {
		found, err := t.pass.Find(t.ctx, attribute, value)
		if value != "" && (err != nil || len(found) != 1 || found[0].ID != a.ID) {
			return but(err, "%s %q finds %d accounts, want one", attribute, value, len(found))
		}
	}
	found, err := t.pass.Find(t.ctx, "userName", want.UserName+"-nobody")
	if err != nil || len(found) > 0 {
		return but(err, "a userName that nobody has finds %d accounts", len(found))
	}
	return nil
}

// but is an error of its own words, and of err where that is one.
func but(err error, format string, args ...any) error {
	words := fmt.Errorf(format, args...)
	if err == nil {
		return words
	}
	return fmt.Errorf("%w: %w", words, err)
}

// same says how an account differs from what it should be.
func same(want, have identity.Account) error {
	if have.UserName != want.UserName || !have.Active {
		return fmt.Errorf("it is %q, active %t, want %q, active true", have.UserName, have.Active, want.UserName)
	}
	for path, v := range want.Attributes {
		if !v.Covers(have.Get(path)) {
			return fmt.Errorf("%s is %s, want %s", path, have.Get(path), v)
		}
	}
	return nil
}

func (t *trial) conflicts() error {
	if _, err := t.first(); err != nil {
		return err
	}
	if _, err := t.create(t.want("one")); !errors.Is(err, targets.ErrConflict) {
		return fmt.Errorf("want conflict, got %v", err) //nolint:errorlint // it is told
	}
	return nil
}

// free is an attribute that can be written.
func (t *trial) free() (string, error) {
	for _, path := range t.hello.Attributes {
		if path != "externalId" {
			return path, t.has("update")
		}
	}
	return "", fmt.Errorf("%w: an attribute", errNotPromised)
}

func (t *trial) updates() error {
	a, err := t.first()
	if err != nil {
		return err
	}
	path, err := t.free()
	if err != nil {
		return err
	}
	for _, v := range []identity.Value{identity.Text("Other"), "", identity.Text("Dirsweep one")} {
		if err := t.set(&a, path, v); err != nil {
			return err
		}
	}
	return same(t.want("one"), a)
}

// set writes one attribute, and reads it back.
func (t *trial) set(a *identity.Account, path string, v identity.Value) error {
	after, receipt, err := t.pass.Update(t.ctx, *a, identity.Delta{
		Attributes: []identity.AttributeChange{{Path: path, Before: a.Get(path), After: v}},
	})
	switch {
	case err != nil:
		return err
	case len(receipt.Refused) > 0:
		return fmt.Errorf("%s is refused: %s", path, receipt.Refused[0].Why)
	case after.Get(path) != v && !v.Covers(after.Get(path)):
		return fmt.Errorf("%s is %q after it was set to %q", path, after.Get(path), v)
	}
	*a = after
	return nil
}

// awkward: a value may be refused, but never altered.
func (t *trial) awkward() error {
	a, err := t.first()
	if err != nil {
		return err
	}
	path, err := t.free()
	if err != nil {
		return err
	}
	for _, text := range []string{"-rf", "$(touch x)", "`id`", "a\nb", `"'\`, "Zoë 漢字", "%s%n", "; exit 1"} {
		before, err := t.pass.Account(t.ctx, a.ID)
		if err != nil {
			return err
		}
		after, receipt, err := t.pass.Update(t.ctx, before, identity.Delta{
			Attributes: []identity.AttributeChange{{Path: path, Before: before.Get(path), After: identity.Text(text)}},
		})
		refused := errors.Is(err, targets.ErrRejected) || len(receipt.Refused) > 0
		switch {
		case refused:
			if now, err := t.pass.Account(t.ctx, a.ID); err != nil || now.Get(path) != before.Get(path) {
				return but(err, "%q was refused, and %s changed to %s", text, path, now.Get(path))
			}
		case err != nil:
			return err
		case after.Get(path) != identity.Text(text):
			return fmt.Errorf("%s was set to %q and is %s", path, text, after.Get(path))
		}
	}
	return nil
}

func (t *trial) groups() error {
	if err := errors.Join(t.has("groups"), t.has("grant"), t.has("withdraw")); err != nil {
		return err
	}
	a, err := t.first()
	if err != nil {
		return err
	}
	some, err := t.pass.Entitlements(t.ctx, a)
	if err != nil || some.EntitlementsUnknown {
		return but(err, "the groups of an account are not shown")
	}
	group, err := exec.SomeGroup(t.ctx, t.pass)
	if err != nil || group == (identity.Entitlement{}) {
		return errors.Join(err, fmt.Errorf("%w: there is no group to try it with", errNotPromised))
	}
	for _, delta := range []identity.Delta{
		{Grant: []identity.Entitlement{group}},
		{Grant: []identity.Entitlement{group}},
		{Withdraw: []identity.Entitlement{group}},
		{Withdraw: []identity.Entitlement{group}},
	} {
		after, _, err := t.pass.Update(t.ctx, a, delta)
		if err != nil {
			return err
		}
		if has := identity.HasEntitlement(after.Entitlements, group); has != (len(delta.Grant) > 0) {
			return fmt.Errorf("after %d grants and %d withdrawals of %s the account has it: %t",
				len(delta.Grant), len(delta.Withdraw), group, has)
		}
	}
	return nil
}

func (t *trial) disables() error { return t.switches("disable", t.pass.Disable, false) }

func (t *trial) enables() error {
	return t.switches("enable", func(ctx context.Context, a identity.Account) (targets.Receipt, error) {
		return t.pass.Enable(ctx, a, nil)
	}, true)
}

func (t *trial) switches(
	op string, do func(context.Context, identity.Account) (targets.Receipt, error), active bool,
) error {
	if err := t.has(op); err != nil {
		return err
	}
	a, err := t.first()
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := do(t.ctx, a); err != nil {
			return err
		}
		now, err := t.pass.Account(t.ctx, a.ID)
		if err != nil || now.Active != active {
			return but(err, "read back, it is active: %t", now.Active)
		}
	}
	return nil
}

func (t *trial) steps() error {
	steps := t.pass.Closing()
	a, err := t.first()
	switch {
	case len(steps) == 0:
		return fmt.Errorf("%w: closing steps", errNotPromised)
	case err != nil:
		return err
	}
	var unprovable []string
	for _, step := range steps {
		for range 2 {
			if _, _, err := step.Do(t.ctx, a); err != nil {
				return fmt.Errorf("%s: %w", step.Name, err)
			}
		}
		if step.Left == nil {
			unprovable = append(unprovable, step.Name)
			continue
		}
		if left, err := step.Left(t.ctx, a); err != nil || left != "" {
			return but(err, "%s was done, and left is %q", step.Name, left)
		}
	}
	if now, err := t.pass.Account(t.ctx, a.ID); err != nil || now.Active && t.has("disable") == nil {
		return but(err, "after its closing steps the account is active: %t", now.Active)
	}
	if len(unprovable) > 0 {
		return fmt.Errorf("%w: what is left of %s, so that it is told as sent, not provable",
			errNotPromised, strings.Join(unprovable, ", "))
	}
	return nil
}

func (t *trial) together() error {
	if err := t.has("create"); err != nil {
		return err
	}
	var all sync.WaitGroup
	wrong := make([]error, 2)
	for n, name := range []string{"two", "three"} {
		all.Go(func() { _, wrong[n] = t.create(t.want(name)) })
	}
	all.Wait()
	return errors.Join(wrong...)
}

func (t *trial) deletes() error {
	if err := t.has("delete"); err != nil {
		return err
	}
	a, err := t.first()
	if err != nil {
		return err
	}
	if _, err := t.pass.Delete(t.ctx, a); err != nil {
		return err
	}
	if _, err := t.pass.Delete(t.ctx, a); !errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("deleted once more: want not_found, got %v", err) //nolint:errorlint // it is told
	}
	if _, err := t.pass.Account(t.ctx, a.ID); !errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("deleted, and read: want not_found, got %v", err) //nolint:errorlint // it is told
	}
	return nil
}

// cleanUp deletes what was made, and compares the rest with what was there before.
func (t *trial) cleanUp(before map[identity.AccountID]string) error {
	var failed []error
	if t.has("delete") == nil {
		for _, a := range t.made {
			if _, err := t.pass.Delete(t.ctx, a); err != nil && !errors.Is(err, targets.ErrNotFound) {
				failed = append(failed, err)
			}
		}
	}
	now, err := t.names()
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	for id, name := range before {
		if now[id] != name {
			failed = append(failed, fmt.Errorf("%s (%s) was there before, and is not", name, id))
		}
	}
	var stay []string
	for _, a := range t.made {
		if _, there := now[a.ID]; there {
			stay = append(stay, a.UserName)
		}
	}
	if len(stay) > 0 && len(failed) == 0 {
		return fmt.Errorf("%w: delete; take away by hand: %s", errNotPromised, strings.Join(stay, ", "))
	}
	return errors.Join(failed...)
}
