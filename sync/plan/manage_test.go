package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
)

// Of what an account has, what `manage` names and nobody wants is taken, whoever granted it, and nothing else.
func TestManagedEntitlements(t *testing.T) {
	list := func(names ...string) []identity.Entitlement { return identity.NamedEntitlements(names...) }
	for _, c := range []struct {
		name                      string
		managed                   identity.Managed
		want, have, granted, wait []identity.Entitlement
		give, taken               []identity.Entitlement
	}{
		{
			name: "a mover", managed: identity.Managed{"wiki-*"}, want: list("wiki-dev"), have: list("wiki-sales"), granted: list("wiki-sales"),
			give: list("wiki-dev"), taken: list("wiki-sales"),
		},
		{name: "whoever granted it", managed: identity.Managed{"wiki-*"}, want: list(), have: list("wiki-sales"), taken: list("wiki-sales")},
		{name: "what is not managed stays", managed: identity.Managed{"wiki-*"}, want: list(), have: list("admins")},
		{name: "though dirsweep granted it once", managed: identity.Managed{"wiki-*"}, want: list(), have: list("admins"), granted: list("admins")},
		{name: "what is wanted stays", managed: identity.Managed{"wiki-*"}, want: list("wiki-dev"), have: list("WIKI-Dev")},
		{
			name: "what is wanted and cannot be had now is not taken either", managed: identity.Managed{"wiki-*"}, want: list(),
			have: list("wiki-dev", "wiki-old"), wait: list("Wiki-Dev"), taken: list("wiki-old"),
		},
		{
			name: "nor is it where nothing is managed", want: list(),
			have: list("wiki-dev", "wiki-old"), granted: list("wiki-dev", "wiki-old"), wait: list("wiki-dev"), taken: list("wiki-old"),
		},
		{name: "without manage what others granted stays", want: list(), have: list("wiki-sales")},
		{name: "entitlements that are not mapped are nobody's business", managed: identity.Managed{"*"}, have: list("wiki-sales")},
		{
			name: "of its kind alone", managed: identity.Managed{"role:*"}, want: list(),
			have:  []identity.Entitlement{{Kind: "group", Name: "editor"}, {Kind: "role", Name: "editor"}},
			taken: []identity.Entitlement{{Kind: "role", Name: "editor"}},
		},
		{
			name: "what is shown without its name is known by what was granted", managed: identity.Managed{"wiki-*"}, want: list(),
			have:    []identity.Entitlement{{Kind: "group", ID: "1"}, {Kind: "group", ID: "2"}, {Kind: "group", ID: "3"}},
			granted: []identity.Entitlement{{Kind: "group", ID: "1", Name: "wiki-dev"}, {Kind: "group", ID: "2", Name: "admins"}},
			taken:   []identity.Entitlement{{Kind: "group", ID: "1"}},
		},
		{
			name: "renamed in the application, it is what it is called now", managed: identity.Managed{"wiki-*"}, want: list(),
			have:    []identity.Entitlement{{Kind: "group", ID: "1", Name: "staff"}},
			granted: []identity.Entitlement{{Kind: "group", ID: "1", Name: "wiki-dev"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := plan.Diff(plan.Intended{
				Want: identity.Account{Entitlements: c.want}, Have: identity.Account{Entitlements: c.have}, Granted: c.granted, Managed: c.managed,
				Waiting: c.wait,
			})
			if diff := cmp.Diff(identity.Delta{Grant: c.give, Withdraw: c.taken}, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What an application does not show is taken back where dirsweep granted it, as far as it is managed.
func TestManagedEntitlementsThatAreNotShown(t *testing.T) {
	got := plan.Diff(plan.Intended{
		Want: identity.Account{Entitlements: identity.NamedEntitlements("wiki-dev")}, Have: identity.Account{EntitlementsUnknown: true},
		Granted: identity.NamedEntitlements("admins", "wiki-sales"), Managed: identity.Managed{"wiki-*"},
	})
	want := identity.Delta{Grant: identity.NamedEntitlements("wiki-dev"), Withdraw: identity.NamedEntitlements("wiki-sales")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A managed entitlement that somebody granted in the application is drift: put back, or reported. One that is not managed is
// nobody's finding.
func TestManagedDrift(t *testing.T) {
	as := func(have ...string) plan.Intended {
		return plan.Intended{
			Want: identity.Account{Active: true, Entitlements: identity.NamedEntitlements("wiki-dev")},
			Have: identity.Account{ID: "1", Active: true, Entitlements: identity.NamedEntitlements(have...)}, Granted: identity.NamedEntitlements("wiki-dev"),
			Managed: identity.Managed{"wiki-*"}, Known: true, Unchanged: true,
		}
	}
	for _, repair := range []bool{true, false} {
		a, other := as("wiki-dev", "wiki-owner"), as("wiki-dev", "owner")
		a.Repair, other.Repair = repair, repair
		steps, reported := plan.Steps(a)
		if repair != (len(steps) == 1) || repair != (reported == nil) {
			t.Errorf("repair %v: steps %+v, reported %+v", repair, steps, reported)
		}
		if steps, reported := plan.Steps(other); len(steps) > 0 || reported != nil {
			t.Errorf("repair %v, not managed: steps %+v, reported %+v", repair, steps, reported)
		}
	}
}

// Whatever somebody has, wants and was granted: after the change they have all that is wanted, nothing managed beside it, and
// all that is not managed as before; and there is nothing left to plan.
func TestManagedIsAsWantedAndTheRestAsItWas(t *testing.T) {
	managed := identity.Managed{"p", "q*"}
	names := []string{"p", "q", "q1", "r", "s"}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string, from []string) []identity.Entitlement {
			return identity.NamedEntitlements(rapid.SliceOfDistinct(rapid.SampledFrom(from), rapid.ID[string]).Draw(t, label)...)
		}
		a := plan.Intended{
			Want: identity.Account{Entitlements: draw("want", names[:3])}, Have: identity.Account{Entitlements: draw("have", names)},
			Granted: draw("granted", names), Managed: managed,
		}
		d := plan.Diff(a)
		after := identity.SortedEntitlements(append(identity.WithoutEntitlements(a.Have.Entitlements, d.Withdraw), d.Grant...))
		others := func(list []identity.Entitlement) []identity.Entitlement {
			return slices.DeleteFunc(slices.Clone(list), managed.Has)
		}
		if diff := cmp.Diff(a.Want.Entitlements, identity.WithoutEntitlements(after, others(after))); diff != "" && len(a.Want.Entitlements) > 0 {
			t.Fatalf("managed (-want +got):\n%s", diff)
		}
		if before, now := others(a.Have.Entitlements), others(after); !slices.Equal(before, now) {
			t.Fatalf("not managed: had %v, has %v", before, now)
		}
		if a.Have.Entitlements = after; !plan.Diff(a).IsZero() {
			t.Fatalf("once more: %+v", plan.Diff(a))
		}
	})
}
