package plan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
)

type attributes = map[string]identity.Value

func TestR12Diff(t *testing.T) {
	paths := []string{"displayName", "emails", "title"}
	for _, c := range []struct {
		name       string
		want, have attributes
		delta      []identity.AttributeChange
	}{
		{"nothing", attributes{"title": `"t"`}, attributes{"title": `"t"`}, nil},
		{"a value is set", attributes{"title": `"t"`}, attributes{}, []identity.AttributeChange{{Path: "title", After: `"t"`}}},
		{"a value is changed", attributes{"title": `"t"`}, attributes{"title": `"s"`}, []identity.AttributeChange{{Path: "title", Before: `"s"`, After: `"t"`}}},
		{"a mapped value that is now empty is cleared", attributes{}, attributes{"title": `"s"`}, []identity.AttributeChange{{Path: "title", Before: `"s"`}}},
		{"what is not mapped is not touched", attributes{}, attributes{"nickName": `"x"`, "title": ``}, nil},
		{"nor written, whoever wants it", attributes{"nickName": `"y"`}, attributes{"nickName": `"x"`}, nil},
		{"the target's own spelling is no difference", attributes{"emails": `["a@x"]`}, attributes{"emails": `[{"primary":true,"type":"work","value":"a@x"}]`}, nil},
		{
			"in the order of paths",
			attributes{"title": `"t"`, "displayName": `"d"`},
			attributes{},
			[]identity.AttributeChange{{Path: "displayName", After: `"d"`}, {Path: "title", After: `"t"`}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			slices.Reverse(paths)
			d := plan.Diff(plan.Intended{Want: identity.Account{Attributes: c.want}, Have: identity.Account{Attributes: c.have}, Paths: paths})
			if diff := cmp.Diff(identity.Delta{Attributes: c.delta}, d); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiffSeesTheAccountsOwnFields(t *testing.T) {
	want := identity.Account{Attributes: attributes{"userName": `"new"`, "externalId": `"x"`}}
	have := identity.Account{ID: "1", UserName: "old", ExternalID: "x"}
	got := plan.Diff(plan.Intended{Want: want, Have: have, Paths: []string{"externalId", "userName"}})
	if diff := cmp.Diff([]identity.AttributeChange{{Path: "userName", Before: `"old"`, After: `"new"`}}, got.Attributes); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// R17: in whatever order the mapping gives entitlements, the delta has them sorted.
func TestR17ADeltaIsSorted(t *testing.T) {
	want := []identity.Entitlement{{Name: "d"}, {Name: "c"}}
	d := plan.Diff(plan.Intended{Want: identity.Account{Entitlements: want}})
	if diff := cmp.Diff(identity.NamedEntitlements("c", "d"), d.Grant); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiffOfEntitlementsIsThreeWay(t *testing.T) {
	list := func(names []string) []identity.Entitlement {
		if names == nil {
			return nil
		}
		return identity.NamedEntitlements(slices.Clone(names)...)
	}
	for _, c := range []struct {
		name                             string
		want, have, granted, give, taken []string
	}{
		{"letter case is no difference (RFC 7643 §8.7.1)", []string{"Wiki"}, []string{"wiki"}, []string{"WIKI"}, nil, nil},
		{"nor keeps it what is taken away", []string{}, []string{"wiki"}, []string{"WIKI"}, nil, []string{"wiki"}},
		{"missing ones are granted", []string{"a", "b"}, []string{"b"}, nil, []string{"a"}, nil},
		{"what we granted and is no longer wanted is withdrawn", []string{"a"}, []string{"a", "b"}, []string{"a", "b"}, nil, []string{"b"}},
		{"what somebody else granted stays", []string{"a"}, []string{"a", "z"}, []string{"a"}, nil, nil},
		{"what we granted and is gone already is left", []string{}, []string{"z"}, []string{"b"}, nil, nil},
		{"what we granted, is wanted and is gone is granted again", []string{"b"}, nil, []string{"b"}, []string{"b"}, nil},
		{"nobody is wanted to have any", []string{}, []string{"a"}, []string{"a"}, nil, []string{"a"}},
		{"not mapped: not our business", nil, []string{"a"}, []string{"a"}, nil, nil},
		{"sorted", []string{"d", "c"}, []string{"b", "a"}, []string{"b", "a"}, []string{"c", "d"}, []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := plan.Diff(plan.Intended{
				Want: identity.Account{Entitlements: list(c.want)}, Have: identity.Account{Entitlements: list(c.have)}, Granted: list(c.granted),
			})
			if diff := cmp.Diff(identity.Delta{Grant: list(c.give), Withdraw: list(c.taken)}, d); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

func drawAccount(t *rapid.T) identity.Account {
	a := identity.Account{Attributes: attributes{}}
	for _, path := range []string{"a", "b", "c", "d"} {
		v := rapid.SampledFrom([]identity.Value{``, `"x"`, `"y"`, `true`, `["x","y"]`, `["y","x"]`, `{"value":"x"}`}).Draw(t, path)
		if v != "" {
			a.Attributes[path] = v
		}
	}
	a.Entitlements = drawNames(t, "entitlements")
	return a
}

func drawNames(t *rapid.T, label string) []identity.Entitlement {
	names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"p", "q", "r", "s"}), rapid.ID[string]).Draw(t, label)
	return identity.NamedEntitlements(names...)
}

// TestAPlanOnceAppliedLeavesNothingToPlan also shows that nothing but mapped attributes and our own entitlements is
// changed (R12).
func TestAPlanOnceAppliedLeavesNothingToPlan(t *testing.T) {
	paths := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		want, have, granted := drawAccount(t), drawAccount(t), drawNames(t, "granted")
		d := plan.Diff(plan.Intended{Want: want, Have: have, Paths: paths, Granted: granted})
		after := have
		after.Attributes = maps.Clone(have.Attributes)
		for _, c := range d.Attributes {
			if c.Before != have.Attributes[c.Path] || c.After != want.Attributes[c.Path] {
				t.Fatalf("%+v of %v and %v", c, have.Attributes, want.Attributes)
			}
			if after.Attributes[c.Path] = c.After; c.After == "" {
				delete(after.Attributes, c.Path)
			}
		}
		after.Entitlements = identity.WithoutEntitlements(have.Entitlements, d.Withdraw)
		after.Entitlements = append(after.Entitlements, d.Grant...)
		if again := plan.Diff(plan.Intended{Want: want, Have: after, Paths: paths, Granted: granted}); !again.IsZero() {
			t.Fatalf("once more: %+v", again)
		}
		if after.Attributes["d"] != have.Attributes["d"] {
			t.Fatal("an attribute that is not mapped was changed")
		}
		for _, name := range have.Entitlements {
			if !identity.HasEntitlement(granted, name) && !identity.HasEntitlement(after.Entitlements, name) {
				t.Fatalf("%s was granted by somebody else and is gone", name)
			}
		}
	})
}

func TestCreationIsEverythingFromNothing(t *testing.T) {
	want := identity.Account{UserName: "a", Attributes: attributes{"userName": `"a"`, "title": `"t"`}, Entitlements: identity.NamedEntitlements("g")}
	got := plan.Creation(want, []string{"manager", "title", "userName"})
	if diff := cmp.Diff(identity.Delta{
		Attributes: []identity.AttributeChange{{Path: "title", After: `"t"`}, {Path: "userName", After: `"a"`}}, Grant: identity.NamedEntitlements("g"),
	}, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// show renders steps as "op (cause) path,path".
func show(steps ...plan.Step) string {
	var out []string
	for _, s := range steps {
		text := fmt.Sprintf("%s (%s)", s.Op, s.Cause)
		for _, a := range s.Delta.Attributes {
			text += " " + a.Path
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func TestSteps(t *testing.T) {
	want := identity.Account{Active: true, Attributes: attributes{"title": `"t"`}}
	as := func(active bool, title identity.Value) identity.Account {
		return identity.Account{ID: "1", Active: active, Attributes: attributes{"title": title}}
	}
	good, off, other, both := as(true, `"t"`), as(false, `"t"`), as(true, `"s"`), as(false, `"s"`)
	for _, c := range []struct {
		name            string
		a               plan.Intended
		steps, reported string
	}{
		{"as it should be", plan.Intended{Have: good, Known: true, Unchanged: true, Repair: true}, "", ""},
		{"the person changed", plan.Intended{Have: other, Known: true, Repair: true}, "update (changed) title", ""},
		{"the person changed where drift is only reported", plan.Intended{Have: other, Known: true}, "update (changed) title", ""},

		{"adopted as it is", plan.Intended{Have: good, Repair: true}, "link (adopted)", ""},
		{"R11: adopted and brought into line, and as disabled as it was", plan.Intended{Have: both, Repair: true}, "link (adopted); update (adopted) title", "enable (adopted)"},
		{"adopted where drift is only reported", plan.Intended{Have: both}, "link (adopted); update (adopted) title", "enable (adopted)"},
		{"R11: adopted where the config is enforced", plan.Intended{Have: both, Repair: true, Enforce: true}, "link (adopted); enable (adopted); update (adopted) title", ""},

		{"R11: changed by somebody else", plan.Intended{Have: other, Known: true, Unchanged: true, Repair: true}, "update (drifted) title", ""},
		{"R11: reported", plan.Intended{Have: other, Known: true, Unchanged: true}, "", "update (drifted) title"},
		{"R11: disabled by somebody else, it stays so", plan.Intended{Have: off, Known: true, Unchanged: true, Repair: true}, "", "enable (drifted)"},
		{"R11: unless the config is enforced", plan.Intended{Have: off, Known: true, Unchanged: true, Repair: true, Enforce: true}, "enable (drifted)", ""},
		{"R11: disabled by somebody else, while the person changed", plan.Intended{Have: both, Known: true, Repair: true}, "update (changed) title", "enable (drifted)"},
		{"R11: adopted as disabled, it stays so", plan.Intended{Have: off, Known: true, Disabled: true, Unchanged: true, Repair: true}, "", "enable (drifted)"},
		{"R11: disabled, reported", plan.Intended{Have: off, Known: true, Unchanged: true}, "", "enable (drifted)"},
		{"R11: both, of which being disabled says more", plan.Intended{Have: both, Known: true, Unchanged: true}, "", "enable (drifted)"},

		{"R3: a rehire gets the account back", plan.Intended{Have: off, Known: true, Disabled: true, Ours: true, Unchanged: true, Repair: true}, "enable (rehired)", ""},
		{"R3: and what changed meanwhile", plan.Intended{Have: both, Known: true, Disabled: true, Ours: true, Unchanged: true, Repair: true}, "enable (rehired); update (rehired) title", ""},
		{"R3: that is no drift, so it is not only reported", plan.Intended{Have: both, Known: true, Disabled: true, Ours: true, Unchanged: true}, "enable (rehired); update (rehired) title", ""},
		{"R3: a rehire whose account somebody enabled before us is remembered as active", plan.Intended{Have: good, Known: true, Disabled: true, Unchanged: true}, "link (rehired)", ""},

		{
			"R11: drift of an account that somebody else closed, and enabled, is drift",
			plan.Intended{Have: other, Known: true, Disabled: true, Unchanged: true},
			"link (rehired)", "update (drifted) title",
		},
		{"the target's own spelling, seen after the last write", plan.Intended{Have: other, Known: true, Unchanged: true, Settled: true, Repair: true}, "", ""},
		{"is no excuse for being disabled", plan.Intended{Have: both, Known: true, Unchanged: true, Settled: true, Repair: true}, "", "enable (drifted)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.a.Want, c.a.Paths = want, []string{"title"}
			steps, reported := plan.Steps(c.a)
			if got := show(steps...); got != c.steps {
				t.Errorf("steps %q, want %q", got, c.steps)
			}
			got := ""
			if reported != nil {
				got = show(*reported)
			}
			if got != c.reported {
				t.Errorf("reported %q, want %q", got, c.reported)
			}
		})
	}
}

func drawChanges(t *rapid.T) []identity.Change {
	ops := []identity.Op{
		identity.Disable, identity.Finish, identity.Strip, identity.Delete, identity.Link, identity.Enable, identity.Create, identity.Update,
	}
	step := rapid.Custom(func(t *rapid.T) identity.Change {
		return identity.Change{
			Op: rapid.SampledFrom(ops).Draw(t, "op"), Target: rapid.SampledFrom([]string{"wiki", "git"}).Draw(t, "target"),
			Person:   identity.PersonID{Directory: "corp", Anchor: rapid.StringMatching(`[a-f]`).Draw(t, "anchor")},
			Account:  identity.AccountID(rapid.StringMatching(`[0-3]`).Draw(t, "account")),
			Cause:    rapid.SampledFrom([]identity.Cause{identity.Changed, identity.Joined, identity.Deleted}).Draw(t, "cause"),
			UserName: rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "userName"),
			Delta:    identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", After: identity.Text(rapid.String().Draw(t, "title"))}}},
		}
	})
	// A plan has one step of an operation for an account of a person.
	return rapid.SliceOfNDistinct(step, 1, 12, func(c identity.Change) string {
		return fmt.Sprint(c.Op, c.Target, c.Person, c.Account)
	}).Draw(t, "changes")
}

func TestR17SameInputsSameDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := drawChanges(t)
		other := slices.Clone(changes)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		a, b := plan.New(changes), plan.New(other)
		ordinary := slices.DeleteFunc(slices.Clone(other), func(c identity.Change) bool { return c.Op.Sweeps() })
		if a.Digest != b.Digest || (len(a.Digest) == 16) != (len(ordinary) > 0) {
			t.Fatalf("%q and %q", a.Digest, b.Digest)
		}
		if plan.New(ordinary).Digest != b.Digest {
			t.Fatal("closing leavers changes the digest")
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("another order, another plan:\n%s", diff)
		}
		if len(ordinary) == 0 {
			return
		}
		other = plan.New(ordinary).Changes
		i := rapid.IntRange(0, len(other)-1).Draw(t, "which")
		for what, edit := range map[string]func(*identity.Change){
			"value": func(c *identity.Change) {
				c.Delta.Attributes = []identity.AttributeChange{{Path: "title", After: c.Delta.Attributes[0].After + "x"}}
			},
			"before": func(c *identity.Change) {
				c.Delta.Attributes = []identity.AttributeChange{{Path: "title", Before: `"was"`, After: c.Delta.Attributes[0].After}}
			},
			"grant":     func(c *identity.Change) { c.Delta.Grant = identity.NamedEntitlements("admins") },
			"cause":     func(c *identity.Change) { c.Cause += "!" },
			"userName":  func(c *identity.Change) { c.UserName += "!" },
			"container": func(c *identity.Change) { c.Container += "ou=x" },
			"rule":      func(c *identity.Change) { c.Rule += ":1" },
		} {
			edited := slices.Clone(other)
			edit(&edited[i])
			if edited[i].Op == identity.Create {
				if edited[i].WantPrint++; what == "value" && plan.Digest(other) == plan.Digest(edited) {
					t.Fatal("another account to create, same digest")
				}
				continue
			}
			if plan.Digest(edited) == b.Digest {
				t.Fatalf("another %s, same digest", what)
			}
		}
		if plan.Digest(other[1:]) == b.Digest {
			t.Fatal("a change less, same digest")
		}
	})
}

// TestDigestIsTheSameOnEveryMachine pins one digest, which an operator may have in a ticket while dirsweep is updated.
func TestDigestIsTheSameOnEveryMachine(t *testing.T) {
	p := plan.New([]identity.Change{
		{Op: identity.Create, Cause: identity.Joined, Target: "wiki", Person: identity.PersonID{Directory: "corp", Anchor: "1"}, UserName: "zoë"},
		{Op: identity.Disable, Cause: identity.Deleted, Target: "wiki", Person: identity.PersonID{Directory: "corp", Anchor: "2"}, Account: "7"},
	})
	if p.Digest != pinnedDigest {
		t.Errorf("digest %s", p.Digest)
	}
	if diff := cmp.Diff(map[string]string{"wiki": pinnedDigest}, plan.Digests(p.Changes)); diff != "" {
		t.Error(diff)
	}
	if empty := plan.New(nil); empty.Digest != "" || len(empty.Counts()) != 0 {
		t.Errorf("the empty plan: %+v", empty)
	}
	if diff := cmp.Diff(map[identity.Op]int{identity.Create: 1, identity.Disable: 1}, p.Counts()); diff != "" {
		t.Error(diff)
	}
}

const pinnedDigest = "dd367f52591ee39f"

func TestR04LeaversFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan.New(drawChanges(t))
		ordinary := false
		for _, c := range p.Changes {
			if ordinary = ordinary || !c.Op.Sweeps(); ordinary && c.Op.Sweeps() {
				t.Fatalf("%s comes after ordinary changes: %+v", c.Op, p.Changes)
			}
		}
	})
}

func TestR12WhatIsWithheldStaysAsItIs(t *testing.T) {
	want := identity.Account{
		Attributes: map[string]identity.Value{"cn": `"new"`},
		Withheld:   []identity.Withheld{{Path: "entitlements"}, {Path: "title"}},
	}
	have := identity.Account{
		Attributes: map[string]identity.Value{"cn": `"old"`, "title": `"head"`}, Entitlements: identity.NamedEntitlements("g"),
	}
	d := plan.Diff(plan.Intended{Want: want, Have: have, Paths: []string{"cn", "title"}, Granted: identity.NamedEntitlements("g")})
	if len(d.Attributes) != 1 || d.Attributes[0].Path != "cn" || len(d.Withdraw) > 0 {
		t.Errorf("%+v", d)
	}
}

// R8: where the application shows nobody's entitlements, those that were granted are taken to be there.
func TestR08EntitlementsThatAreNotShown(t *testing.T) {
	have := identity.Account{EntitlementsUnknown: true}
	want := identity.Account{Entitlements: identity.NamedEntitlements("kept", "new")}
	d := plan.Diff(plan.Intended{Want: want, Have: have, Granted: identity.NamedEntitlements("kept", "old")})
	if diff := cmp.Diff(identity.Delta{Grant: identity.NamedEntitlements("new"), Withdraw: identity.NamedEntitlements("old")}, d); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A creation is named by its fingerprint: a pass that carries a plan out keeps no values of those that it makes.
func TestR17ACreationIsNamedByItsFingerprint(t *testing.T) {
	digest := func(value identity.Value, fingerprint uint64) string {
		return plan.Digest([]identity.Change{{Op: identity.Create, Target: "wiki", UserName: "ann", WantPrint: fingerprint, Delta: identity.Delta{
			Attributes: []identity.AttributeChange{{Path: "title", After: value}},
		}}})
	}
	if digest(`"a"`, 1) != digest("", 1) {
		t.Error("the digest depends on values that are not kept")
	}
	if digest(`"a"`, 1) == digest(`"a"`, 2) {
		t.Error("another account has the same digest")
	}
}

// R17: in whatever order an application shows entitlements, those that are taken away are sorted.
func TestR17WhatIsTakenAwayIsSorted(t *testing.T) {
	have := []identity.Entitlement{{Name: "d"}, {Name: "c"}}
	d := plan.Diff(plan.Intended{
		Want: identity.Account{Entitlements: []identity.Entitlement{}}, Have: identity.Account{Entitlements: have},
		Granted: identity.NamedEntitlements("c", "d"),
	})
	if diff := cmp.Diff(identity.NamedEntitlements("c", "d"), d.Withdraw); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
