// Package targettest is the suite that every kind of target passes, run against a real application of that kind. What
// an account really looks like is read by other means than the target under test.
package targettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A Harness is one application, empty but for its groups, and ways to see and change it that do not go through the
// target.
type Harness struct {
	// Open opens the target with the harness's paths and, where there are groups, with entitlements. It is closed with
	// the test.
	Open func(t *testing.T) targets.Target
	// Intruder opens it with credentials that are wrong; nil to leave that out.
	Intruder func(t *testing.T) targets.Target
	// Want is a wanted account that differs from those of other numbers in all that has to be unique. It maps Text and
	// Clearable.
	Want func(n int) identity.Account
	// Text is a path whose value is free text; Clearable one that may be empty. Both are "" where accounts have nothing but
	// a name, which is never written.
	Text, Clearable string
	// FindBy are the attributes by which accounts are found besides userName.
	FindBy []string
	// Look reads an account; false where it is gone. Its Attributes hold Text and Clearable where they have a value.
	Look func(t *testing.T, id identity.AccountID) (identity.Account, bool)
	// Meddle sets something that dirsweep does not manage, and returns a function that tells whether it is still there.
	Meddle func(t *testing.T, id identity.AccountID) func() bool
	// Lists counts the requests so far that list something; nil where that cannot be told.
	Lists func() int
	// Groups are at least two entitlements that exist, without members; none where the kind has none.
	Groups []string
	// Conflicts says that the application refuses a second account of the same userName.
	Conflicts bool
	// Leaky names functions of goroutines that are the application's, not the target's.
	Leaky []goleak.Option
}

// Run runs the suite. setup is called for each test.
func Run(t *testing.T, setup func(t *testing.T) *Harness) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, h *Harness)
	}{
		{"R2 a list is whole", listWhole},
		{"R2 a list cut short is an error", listCancelled},
		{"what is created is there", createReadBack},
		{"a duplicate is a conflict", duplicate},
		{"an update sets and clears", updateSetsAndClears},
		{"R12 what is not managed stays", unmanagedStays},
		{"R8 disable and enable can be repeated and read back", disableEnable},
		{"R8 closing steps can be repeated, read back and undone", closingSteps},
		{"delete can be repeated", deleteRepeats},
		{"what is gone is gone", gone},
		{"find by name, whatever its letters", find},
		{"find is not led astray", findNothing},
		{"entitlements come and go", entitlements},
		{"entitlements are named as the application names them", resolve},
		{"S11 beginning and sign-in need no list", beginLists},
		{"wrong credentials are named so", unauthorized},
		{"many at once", concurrently},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, setup(t)) })
	}
	t.Run("no goroutine is left behind", func(t *testing.T) {
		h := setup(t)
		before := goleak.IgnoreCurrent()
		t.Run("use", func(t *testing.T) { disableEnable(t, h) })
		goleak.VerifyNone(t, append(h.Leaky, before)...)
	})
}

func begin(t *testing.T, target targets.Target) targets.Pass {
	t.Helper()
	pass, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

func create(t *testing.T, target targets.Pass, want identity.Account) identity.Account {
	t.Helper()
	a, _, err := target.Create(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == "" {
		t.Fatal("created without an id")
	}
	return a
}

func list(t *testing.T, target targets.Pass) []identity.Account {
	t.Helper()
	var all []identity.Account
	for a, err := range target.Accounts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func read(t *testing.T, target targets.Pass, id identity.AccountID) identity.Account {
	t.Helper()
	a, err := target.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func covered(t *testing.T, want, have identity.Account) {
	t.Helper()
	for path, v := range want.Attributes {
		if !v.Covers(have.Get(path)) {
			t.Errorf("%s is %s, want %s", path, have.Get(path), v)
		}
	}
	if want.UserName != have.UserName || want.ExternalID != have.ExternalID {
		t.Errorf("the account is %q, %q, want %q, %q", have.UserName, have.ExternalID, want.UserName, want.ExternalID)
	}
}

func listWhole(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	before := len(list(t, target))
	made := map[identity.AccountID]identity.Account{}
	for n := range 25 {
		want := h.Want(n)
		made[create(t, target, want).ID] = want
	}
	for _, a := range list(t, target) {
		if want, ok := made[a.ID]; ok {
			covered(t, want, a)
			delete(made, a.ID)
		} else {
			before--
		}
	}
	if len(made) > 0 || before != 0 {
		t.Errorf("%d accounts are missing from the list, %d that were there before", len(made), before)
	}
}

func listCancelled(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	for n := range 5 {
		create(t, target, h.Want(n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range target.Accounts(ctx) {
		last = err
	}
	if last == nil || !errors.Is(last, context.Canceled) || errors.Is(last, targets.ErrUnavailable) {
		t.Errorf("a list whose context is done ended with %v", last)
	}
	// A reader that stops is no error, and stops the target too.
	for range target.Accounts(t.Context()) {
		break
	}
}

func createReadBack(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	want := h.Want(1)
	a := create(t, target, want)
	covered(t, want, a)
	covered(t, want, read(t, target, a.ID))
	seen, ok := h.Look(t, a.ID)
	if !ok || !seen.Active || seen.UserName != want.UserName {
		t.Errorf("the application holds %+v, %v", seen, ok)
	}
	if !a.Active {
		t.Error("created, but said to be inactive")
	}
}

func duplicate(t *testing.T, h *Harness) {
	if !h.Conflicts {
		return
	}
	target := begin(t, h.Open(t))
	create(t, target, h.Want(1))
	if _, _, err := target.Create(t.Context(), h.Want(1)); !errors.Is(err, targets.ErrConflict) {
		t.Errorf("a second account of one name: %v", err)
	}
}

func change(path string, before, after identity.Value) identity.AttributeChange {
	return identity.AttributeChange{Path: path, Before: before, After: after}
}

func updateSetsAndClears(t *testing.T, h *Harness) {
	if h.Text == "" {
		return
	}
	target := begin(t, h.Open(t))
	a := create(t, target, h.Want(1))
	after, _, err := target.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
		change(h.Text, a.Get(h.Text), identity.Text(`Zoë "Q" \ O’Neil`)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Get(h.Text).Text(); got != `Zoë "Q" \ O’Neil` {
		t.Errorf("set, and returned as %q", got)
	}
	after, _, err = target.Update(t.Context(), after, identity.Delta{Attributes: []identity.AttributeChange{change(h.Clearable, after.Get(h.Clearable), "")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Get(h.Clearable); got != "" {
		t.Errorf("cleared, and returned as %s", got)
	}
	seen, _ := h.Look(t, a.ID)
	if seen.Attributes[h.Text].Text() != `Zoë "Q" \ O’Neil` || seen.Attributes[h.Clearable] != "" || !seen.Active {
		t.Errorf("the application holds %+v", seen)
	}
	again, _, err := target.Update(t.Context(), after, identity.Delta{Attributes: []identity.AttributeChange{
		change(h.Clearable, "", h.Want(1).Attributes[h.Clearable]),
	}})
	if err != nil || !h.Want(1).Attributes[h.Clearable].Covers(again.Get(h.Clearable)) {
		t.Errorf("set again: %v, %s", err, again.Get(h.Clearable))
	}
}

func unmanagedStays(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	a := create(t, target, h.Want(1))
	stays := h.Meddle(t, a.ID)
	a = read(t, target, a.ID)
	if h.Text != "" {
		_, _, err := target.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{change(h.Text, a.Get(h.Text), identity.Text("Other"))}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !stays() {
		t.Error("the update lost what it does not manage")
	}
	if _, err := target.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if !stays() {
		t.Error("disabling lost what is not managed")
	}
}

func disableEnable(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	a := create(t, target, h.Want(1))
	for range 2 {
		if _, err := target.Disable(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		seen, ok := h.Look(t, a.ID)
		if !ok || seen.Active || read(t, target, a.ID).Active {
			t.Fatalf("disabled, and seen %+v, %v", seen, ok)
		}
	}
	if whole, err := target.Entitlements(t.Context(), read(t, target, a.ID)); err != nil || len(whole.Entitlements) > 0 || whole.ID != a.ID {
		t.Errorf("the entitlements of a new account: %+v, %v", whole, err)
	}
	listed := list(t, target)
	i := slices.IndexFunc(listed, func(have identity.Account) bool { return have.ID == a.ID })
	if i < 0 || listed[i].Active {
		t.Error("the list does not show the disabled account as such")
	}
	for range 2 {
		if _, err := target.Enable(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
		if seen, _ := h.Look(t, a.ID); !seen.Active || !read(t, target, a.ID).Active {
			t.Fatal("enabled, and not seen active")
		}
	}
}

// closingSteps: each does what it says, however often; none opens the account, changes whose it is or undoes another; what
// they kept makes it what it was.
func closingSteps(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	want := h.Want(1)
	a := create(t, target, want)
	for range 2 { // whoever returned may leave again
		kept := finish(t, h, target, a)
		for range 2 {
			if _, err := target.Enable(t.Context(), read(t, target, a.ID), kept); err != nil {
				t.Fatal(err)
			}
		}
		if seen, ok := h.Look(t, a.ID); !ok || !seen.Active {
			t.Fatalf("enabled, and seen %+v, %v", seen, ok)
		}
		covered(t, want, read(t, target, a.ID))
		for _, step := range possible(t, target) {
			if step.Left != nil && kept[step.Name] != "" && left(t, step, a) == "" {
				t.Errorf("%s kept %q, and enabling the account did not undo it", step.Name, kept[step.Name])
			}
		}
	}
	if finish(t, h, target, a); len(possible(t, target)) > 0 {
		if _, err := target.Enable(t.Context(), read(t, target, a.ID), nil); err != nil || !read(t, target, a.ID).Active {
			t.Errorf("enabled without what was kept: %v", err)
		}
	}
}

// finish disables an account and takes every closing step, and returns what they kept.
func finish(t *testing.T, h *Harness, target targets.Pass, a identity.Account) map[string]string {
	t.Helper()
	if _, err := target.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{}
	for _, step := range possible(t, target) {
		for range 2 {
			more, _, err := step.Do(t.Context(), read(t, target, a.ID))
			if err != nil {
				t.Fatalf("%s: %v", step.Name, err)
			}
			if had := kept[step.Name]; more != "" && had != "" && more != had {
				t.Errorf("%s kept %q and, repeated, %q", step.Name, had, more)
			} else if more != "" {
				kept[step.Name] = more
			}
		}
		now := read(t, target, a.ID)
		if seen, ok := h.Look(t, a.ID); !ok || seen.Active || now.Active {
			t.Fatalf("after %s it is seen %+v, %v", step.Name, seen, ok)
		}
		if now.UserName != a.UserName || now.ExternalID != a.ExternalID {
			t.Errorf("after %s it is %q, %q, want %q, %q", step.Name, now.UserName, now.ExternalID, a.UserName, a.ExternalID)
		}
	}
	for _, step := range possible(t, target) {
		if step.Left == nil {
			continue
		}
		if text := left(t, step, read(t, target, a.ID)); text != "" {
			t.Errorf("%s is done, and left is %s", step.Name, text)
		}
	}
	return kept
}

func left(t *testing.T, step targets.Step, a identity.Account) string {
	t.Helper()
	text, err := step.Left(t.Context(), a)
	if err != nil {
		t.Fatalf("what is left of %s: %v", step.Name, err)
	}
	return text
}

// possible are the closing steps that can be taken. Each has a name of its own; those that are impossible say why.
func possible(t *testing.T, target targets.Pass) (steps []targets.Step) {
	t.Helper()
	named := map[string]bool{}
	for _, step := range target.Closing() {
		switch {
		case step.Name == "" || named[step.Name]:
			t.Fatalf("a closing step is named %q", step.Name)
		case step.Impossible != "" && (step.Do != nil || step.Left != nil):
			t.Errorf("%s is impossible, and can be done", step.Name)
		case step.Impossible == "" && step.Do == nil:
			t.Errorf("%s cannot be done, and does not say why", step.Name)
		case step.Impossible == "":
			steps = append(steps, step)
		}
		named[step.Name] = true
	}
	return steps
}

func deleteRepeats(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	if !target.Capabilities().Delete {
		return
	}
	a, other := create(t, target, h.Want(1)), create(t, target, h.Want(2))
	if _, err := target.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Delete(t.Context(), a); !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("deleted once more: %v, want ErrNotFound", err)
	}
	if _, ok := h.Look(t, a.ID); ok {
		t.Error("deleted, and still there")
	}
	if _, ok := h.Look(t, other.ID); !ok {
		t.Error("another account went too")
	}
}

func gone(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	a := create(t, target, h.Want(1))
	if !target.Capabilities().Delete {
		return
	}
	if _, err := target.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Account(t.Context(), a.ID); !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("reading it: %v", err)
	}
	if _, err := target.Disable(t.Context(), a); !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("disabling it: %v", err)
	}
	for _, step := range possible(t, target) {
		if _, _, err := step.Do(t.Context(), a); !errors.Is(err, targets.ErrNotFound) {
			t.Errorf("%s of it: %v", step.Name, err)
		}
		if step.Left == nil {
			continue
		}
		if left, err := step.Left(t.Context(), a); !errors.Is(err, targets.ErrNotFound) {
			t.Errorf("what is left of %s: %q, %v", step.Name, left, err)
		}
	}
	_, _, err := target.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{change(h.Text, a.Get(h.Text), identity.Text("x"))}})
	if !errors.Is(err, targets.ErrNotFound) {
		t.Errorf("updating it: %v", err)
	}
}

func find(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	wants := []identity.Account{h.Want(1), h.Want(2), h.Want(3)}
	wants[1].UserName = `O'Br"ien\ ` + wants[1].UserName
	wants[2].UserName = "zoë." + wants[2].UserName
	for _, want := range wants {
		if _, ok := want.Attributes["userName"]; ok {
			want.Attributes["userName"] = identity.Text(want.UserName)
		}
		a, _, err := target.Create(t.Context(), want)
		if errors.Is(err, targets.ErrRejected) {
			continue // The application does not take such a name.
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, spelled := range []string{want.UserName, strings.ToUpper(want.UserName)} {
			found, err := target.Find(t.Context(), "userName", spelled)
			if err != nil || len(found) != 1 || found[0].ID != a.ID {
				t.Errorf("userName %q: %v, %v", spelled, found, err)
			}
		}
		for _, attribute := range h.FindBy {
			value := want.Get(attribute).Text()
			if list, ok := want.Get(attribute).Any().([]any); ok {
				value = fmt.Sprint(list[0])
			}
			found, err := target.Find(t.Context(), attribute, value)
			if err != nil || len(found) != 1 || found[0].ID != a.ID {
				t.Errorf("%s %q: %v, %v", attribute, value, found, err)
			}
		}
	}
}

func findNothing(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	for n := range 3 {
		create(t, target, h.Want(n))
	}
	for _, attribute := range append([]string{"userName"}, h.FindBy...) {
		for _, value := range []string{"nobody", `x" or userName pr or userName eq "y`, "*", "%", ""} {
			if found, err := target.Find(t.Context(), attribute, value); err != nil || len(found) > 0 {
				t.Errorf("%s %q: %v, %v", attribute, value, found, err)
			}
		}
	}
}

func entitlements(t *testing.T, h *Harness) {
	if len(h.Groups) == 0 {
		return
	}
	target := begin(t, h.Open(t))
	a, other := create(t, target, h.Want(1)), create(t, target, h.Want(2))
	groups := slices.Sorted(slices.Values(h.Groups))
	step := func(who identity.Account, grant, withdraw, want []string) identity.Account {
		t.Helper()
		after, _, err := target.Update(t.Context(), who, identity.Delta{Grant: identity.NamedEntitlements(grant...), Withdraw: identity.NamedEntitlements(withdraw...)})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(identity.EntitlementNames(after.Entitlements), want) {
			t.Errorf("has %q after the update, want %q", after.Entitlements, want)
		}
		if seen, _ := h.Look(t, who.ID); !slices.Equal(identity.EntitlementNames(seen.Entitlements), want) {
			t.Errorf("the application says %q, want %q", seen.Entitlements, want)
		}
		return after
	}
	a = step(a, groups, nil, groups)
	other = step(other, groups[:1], nil, groups[:1])
	a = step(a, groups, nil, groups) // again: as after a crash
	for _, listed := range list(t, target) {
		if listed.ID == a.ID && !slices.Equal(identity.EntitlementNames(listed.Entitlements), groups) || listed.ID == other.ID && !slices.Equal(identity.EntitlementNames(listed.Entitlements), groups[:1]) {
			t.Errorf("the list says %s has %q", listed.UserName, listed.Entitlements)
		}
	}
	a = step(a, nil, groups[:1], groups[1:])
	step(a, nil, groups, []string{}) // one of them is gone already
	step(other, nil, nil, groups[:1])
	_, _, err := target.Update(t.Context(), a, identity.Delta{Grant: identity.NamedEntitlements("no such group")})
	if !errors.Is(err, targets.ErrRejected) || !strings.Contains(fmt.Sprint(err), "no such group") {
		t.Errorf("a group that does not exist: %v", err)
	}
}

func resolve(t *testing.T, h *Harness) {
	if len(h.Groups) == 0 {
		return
	}
	target := begin(t, h.Open(t))
	name := h.Groups[0]
	for n, spelled := range []string{name, strings.ToUpper(name)} {
		known, missing, err := target.Resolve(t.Context(), identity.NamedEntitlements(spelled, "no such group"))
		if err != nil || len(known) != 1 || known[0].Name != name || known[0].ID == "" || known[0].Kind == "" {
			t.Errorf("%q is %+v, %v", spelled, known, err)
		}
		if len(missing) != 1 || missing[0].Entitlement.Name != "no such group" || missing[0].Why == "" {
			t.Errorf("missing: %+v", missing)
		}
		a := create(t, target, h.Want(n))
		after, _, err := target.Update(t.Context(), a, identity.Delta{Grant: known})
		if err != nil || !slices.Equal(after.Entitlements, known) {
			t.Errorf("granted %+v, has %+v, %v", known, after.Entitlements, err)
		}
		whole, err := target.Entitlements(t.Context(), read(t, target, a.ID))
		if err != nil || !slices.Equal(whole.Entitlements, known) || whole.EntitlementsUnknown {
			t.Errorf("granted %+v, read alone %+v, %v", known, whole.Entitlements, err)
		}
	}
	if known, missing, err := target.Resolve(t.Context(), nil); err != nil || len(known)+len(missing) > 0 {
		t.Errorf("of nothing: %v, %v, %v", known, missing, err)
	}
}

// beginLists: what takes sign-in away must not wait for a list.
func beginLists(t *testing.T, h *Harness) {
	if h.Lists == nil {
		return
	}
	open := h.Open(t)
	a := create(t, begin(t, open), h.Want(1))
	before := h.Lists()
	target := begin(t, open)
	if _, err := target.Disable(t.Context(), read(t, target, a.ID)); err != nil || read(t, target, a.ID).Active {
		t.Errorf("disabled: %v", err)
	}
	for _, step := range possible(t, target) {
		if _, _, err := step.Do(t.Context(), a); err != nil {
			t.Errorf("%s: %v", step.Name, err)
		}
	}
	if n := h.Lists() - before; n > 0 {
		t.Errorf("beginning and closing listed something %d times", n)
	}
}

func unauthorized(t *testing.T, h *Harness) {
	if h.Intruder == nil {
		return
	}
	intruder := h.Intruder(t)
	target, err := intruder.Begin(t.Context())
	if errors.Is(err, targets.ErrUnauthorized) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err = target.Account(t.Context(), "x"); !errors.Is(err, targets.ErrUnauthorized) {
		t.Errorf("reading: %v", err)
	}
	var last error
	for _, err := range target.Accounts(t.Context()) {
		last = err
	}
	if !errors.Is(last, targets.ErrUnauthorized) {
		t.Errorf("listing: %v", last)
	}
}

func concurrently(t *testing.T, h *Harness) {
	target := begin(t, h.Open(t))
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			a, _, err := target.Create(t.Context(), h.Want(n))
			if err != nil {
				t.Error(err)
				return
			}
			if len(h.Groups) > 0 {
				delta := identity.Delta{Grant: identity.NamedEntitlements(h.Groups[:1]...)}
				if _, _, err := target.Update(t.Context(), a, delta); err != nil {
					t.Error(err)
				}
			}
			if _, err := target.Disable(t.Context(), a); err != nil {
				t.Error(err)
			}
			if now, err := target.Account(t.Context(), a.ID); err != nil || now.Active {
				t.Errorf("%s: %v, %v", a.UserName, now.Active, err)
			}
		})
	}
	wg.Wait()
	for _, a := range list(t, target) {
		if len(h.Groups) > 0 && !slices.Equal(identity.EntitlementNames(a.Entitlements), h.Groups[:1]) {
			t.Errorf("%s has %q", a.UserName, a.Entitlements)
		}
	}
}
