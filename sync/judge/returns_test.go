package judge_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

func id(anchor string) identity.PersonID { return identity.PersonID{Directory: "corp", Anchor: anchor} }

func ids(anchors ...string) (list []identity.PersonID) {
	for _, a := range anchors {
		list = append(list, id(a))
	}
	return list
}

func TestR03Returns(t *testing.T) {
	old, other := judge.Former{Person: id("old"), Key: "E-1"}, judge.Former{Person: id("other"), Key: "E-1"}
	ann, dora := judge.Claimant{Person: id("ann"), Key: "E-1"}, judge.Claimant{Person: id("dora"), Key: "E-1"}
	owner := judge.Claimant{Person: id("owner"), Key: "E-1", Account: true}
	for _, c := range []struct {
		name     string
		left     []judge.Former
		present  []judge.Claimant
		back     map[identity.PersonID]identity.PersonID
		disputes []judge.Dispute
	}{
		{"one to one", []judge.Former{old}, []judge.Claimant{ann}, map[identity.PersonID]identity.PersonID{id("old"): id("ann")}, nil},
		{"nobody is back", []judge.Former{old}, nil, nil, nil},
		{"nobody has left", nil, []judge.Claimant{ann}, nil, nil},
		{"no key", []judge.Former{{Person: id("old")}}, []judge.Claimant{{Person: id("ann")}}, nil, nil},
		{"another key", []judge.Former{old}, []judge.Claimant{{Person: id("ann"), Key: "E-2"}}, nil, nil},
		{"they have an account of their own", []judge.Former{old}, []judge.Claimant{owner}, nil, nil},
		{
			"D8: two claimants",
			[]judge.Former{old},
			[]judge.Claimant{dora, ann},
			nil,
			[]judge.Dispute{{Key: "E-1", Left: ids("old"), Present: ids("ann", "dora")}},
		},
		{
			"D8: two leavers claimed",
			[]judge.Former{other, old},
			[]judge.Claimant{ann},
			nil,
			[]judge.Dispute{{Key: "E-1", Left: ids("old", "other"), Present: ids("ann")}},
		},
		{
			"one of two who are there has an account",
			[]judge.Former{old},
			[]judge.Claimant{ann, owner},
			nil,
			[]judge.Dispute{{Key: "E-1", Left: ids("old"), Present: ids("ann", "owner")}},
		},
	} {
		back, disputes := judge.Returns(c.left, c.present)
		if diff := cmp.Diff(c.back, back, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: who is back (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.disputes, disputes, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: disputes (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestR17ReturnsHaveNoOrder: nobody gets two accounts, no account goes to two, and the order of the facts makes no
// difference.
func TestR17ReturnsHaveNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom([]string{"", "a", "b", "c"})
		var left []judge.Former
		for i := range rapid.IntRange(0, 5).Draw(t, "left") {
			left = append(left, judge.Former{Person: id(fmt.Sprint("left", i)), Key: key.Draw(t, "key")})
		}
		var present []judge.Claimant
		for i := range rapid.IntRange(0, 5).Draw(t, "present") {
			present = append(present, judge.Claimant{Person: id(fmt.Sprint("now", i)), Key: key.Draw(t, "key"), Account: rapid.Bool().Draw(t, "account")})
		}
		back, disputes := judge.Returns(left, present)
		again, same := judge.Returns(rapid.Permutation(left).Draw(t, "left again"), rapid.Permutation(present).Draw(t, "present again"))
		if diff := cmp.Diff(back, again, cmpopts.EquateEmpty()) + cmp.Diff(disputes, same, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
		heirs := map[identity.PersonID]bool{}
		for _, now := range back {
			if heirs[now] {
				t.Fatalf("%s has two accounts back", now)
			}
			heirs[now] = true
		}
	})
}
