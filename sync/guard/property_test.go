package guard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// drawBooks draws a company with limits, anomalies and protected names.
func drawBooks(t *rapid.T) *books {
	b := company(rapid.IntRange(1, 60).Draw(t, "base"))
	b.limits.MaxSweepPercent = rapid.SampledFrom([]float64{0, 5, 10, 50, 100}).Draw(t, "percent")
	b.limits.MaxSweepCount = rapid.SampledFrom([]int{0, 1, 4, 50}).Draw(t, "count")
	b.limits.Window = rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "window")
	if rapid.Bool().Draw(t, "protect") {
		b.limits.Protect = []string{"p1*"}
	}
	if rapid.Bool().Draw(t, "own limits") {
		own := b.limits
		own.MaxSweepCount = rapid.IntRange(0, 3).Draw(t, "own count")
		b.targets = map[string]guard.Limits{"chat": own}
	}
	if rapid.IntRange(0, 3).Draw(t, "anomaly") == 0 {
		a := guard.Anomaly{What: "group g", Detail: "is empty", Directory: "corp", Strength: rapid.SampledFrom(strengths()).Draw(t, "feigns")}
		for i := range 20 {
			if rapid.Bool().Draw(t, "suspect") {
				a.People = append(a.People, person(fmt.Sprint("p", i)))
			}
		}
		b.anomalies = append(b.anomalies, a)
	}
	return b
}

func strengths() []identity.Strength {
	return []identity.Strength{identity.Unproven, identity.ByScope, identity.ByState, identity.ByAbsence}
}

// drawLeavers draws who leaves: nobody twice from one target.
func drawLeavers(t *rapid.T) (out []identity.Leaver) {
	ways := []way{deleted, inactive, moved, scope, edited, left("g"), left("h"), orphan, again, ordered, before}
	for i := range 20 {
		if rapid.IntRange(0, 2).Draw(t, "leaves") > 0 {
			continue
		}
		w := rapid.SampledFrom(ways).Draw(t, "way")
		container := rapid.SampledFrom([]string{"ou=a", "OU=A", "ou=b"}).Draw(t, "container")
		for _, target := range []string{"wiki", "chat"} {
			if rapid.Bool().Draw(t, target) {
				out = append(out, one(w, container, target, fmt.Sprint("p", i)))
			}
		}
	}
	return out
}

func keyOf(l identity.Leaver) string { return l.Target + "/" + string(l.Account) }

// outputs are the leavers of a decision, by where they are.
func outputs(d guard.Decision) map[string][]string {
	out := map[string][]string{}
	add := func(l identity.Leaver, where string) { out[keyOf(l)] = append(out[keyOf(l)], where) }
	for _, l := range d.Go {
		add(l.Leaver, "go")
	}
	for _, l := range d.Held {
		add(l.Leaver, "held")
	}
	for _, l := range d.Kept {
		add(l.Leaver, "kept")
	}
	for _, l := range d.Protected {
		add(l.Leaver, "protected")
	}
	for _, l := range d.Reported {
		add(l, "reported")
	}
	return out
}

// step plays one pass of a history: time goes on, an operator may rule, somebody may be back.
func step(t *rapid.T, b *books, leave []identity.Leaver) guard.Decision {
	b.now = b.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "hours")) * time.Hour)
	if len(b.holds) > 0 && rapid.IntRange(0, 3).Draw(t, "rule") == 0 {
		h := rapid.SampledFrom(b.holds).Draw(t, "hold")
		b.rule(h.Digest, rapid.SampledFrom([]identity.Verdict{identity.Approved, identity.Rejected}).Draw(t, "verdict"))
	}
	if rapid.Bool().Draw(t, "back") {
		b.returned(guard.Returned, drawLeavers(t)...)
	}
	return b.pass(leave)
}

// has reports whether a standing hold has a member.
func (b *books) has(digest string, want identity.Member) bool {
	return slices.ContainsFunc(b.holds, func(h identity.Hold) bool {
		return h.Digest == digest && slices.ContainsFunc(h.Members, func(m identity.Member) bool { return m.Compare(want) == 0 })
	})
}

// TestR06EveryLeaverIsInExactlyOneOutput, and whoever is held or kept is bound by a member of the hold that is named.
func TestR06EveryLeaverIsInExactlyOneOutput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBooks(t)
		for range rapid.IntRange(1, 6).Draw(t, "passes") {
			leave := drawLeavers(t)
			d := step(t, b, leave)
			out := outputs(d)
			if len(out) != len(leave) {
				t.Fatalf("%d leavers, %d judged", len(leave), len(out))
			}
			for key, where := range out {
				if len(where) != 1 {
					t.Fatalf("%s is in %v", key, where)
				}
			}
			for _, w := range d.Held {
				if !b.has(w.Digest, w.Member) || w.Member.Person != w.Person || w.Member.Target != w.Target {
					t.Fatalf("%s waits in %s, where it is no member", keyOf(w.Leaver), w.Digest)
				}
			}
			for _, k := range d.Kept {
				if !b.has(k.Digest, k.Member) || k.Member.Person != k.Person {
					t.Fatalf("%s is kept by %s, which has not the member that it names: %+v", keyOf(k.Leaver), k.Digest, k.Member)
				}
			}
		}
	})
}

// TestR17AnotherOrderSameVerdict: of leavers, holds, anomalies and what was spent.
func TestR17AnotherOrderSameVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBooks(t)
		for range rapid.IntRange(0, 4).Draw(t, "passes") {
			step(t, b, drawLeavers(t))
		}
		f := b.facts(drawLeavers(t))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		other := f
		other.Leavers, other.Holds = slices.Clone(f.Leavers), slices.Clone(f.Holds)
		other.Spent, other.Anomalies = slices.Clone(f.Spent), slices.Clone(f.Anomalies)
		r.Shuffle(len(other.Leavers), func(i, j int) { other.Leavers[i], other.Leavers[j] = other.Leavers[j], other.Leavers[i] })
		r.Shuffle(len(other.Holds), func(i, j int) { other.Holds[i], other.Holds[j] = other.Holds[j], other.Holds[i] })
		r.Shuffle(len(other.Spent), func(i, j int) { other.Spent[i], other.Spent[j] = other.Spent[j], other.Spent[i] })
		if diff := cmp.Diff(guard.Decide(f), guard.Decide(other)); diff != "" {
			t.Fatalf("another order, another verdict:\n%s", diff)
		}
	})
}

// TestR06NothingDrains: the same leavers, pass after pass, whatever the time: whoever does not go in the first never
// does, orders excepted.
func TestR06NothingDrains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBooks(t)
		for range rapid.IntRange(0, 3).Draw(t, "passes") {
			step(t, b, drawLeavers(t))
		}
		leave := drawLeavers(t)
		waiting := map[string]bool{}
		for key, where := range outputs(b.pass(leave)) {
			if where[0] != "go" {
				waiting[key] = true
			}
		}
		for key := range waiting {
			for i, h := range b.holds { // what was approved before this pass is used up by it; what is left of it is for others
				if slices.ContainsFunc(h.Members, func(m identity.Member) bool { return m.Target+"/"+string(m.Account) == key }) {
					b.rule(b.holds[i].Digest, "")
				}
			}
		}
		leave = slices.DeleteFunc(leave, func(l identity.Leaver) bool { return !waiting[keyOf(l)] })
		for range 8 {
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "hours")) * time.Hour)
			some := slices.DeleteFunc(slices.Clone(leave), func(identity.Leaver) bool { return rapid.IntRange(0, 3).Draw(t, "unseen") == 0 })
			if d := b.pass(some); len(d.Go) > 0 {
				t.Fatalf("%d of those who waited go: %+v", len(d.Go), d.Go[0])
			}
		}
	})
}

// TestR06NeverMoreThanAllowed: what counts within any window is within the target's limits, or within the floor.
func TestR06NeverMoreThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBooks(t)
		for range rapid.IntRange(1, 8).Draw(t, "passes") {
			d := step(t, b, drawLeavers(t))
			for _, target := range []string{"wiki", "chat"} {
				limits := b.limits
				if own, ok := b.targets[target]; ok {
					limits = own
				}
				allowed := min(limits.MaxSweepCount, max(1, int(limits.MaxSweepPercent*float64(b.base)/100)))
				floor := min(3, limits.MaxSweepCount)
				if limits.MaxSweepPercent == 0 {
					allowed, floor = 0, 0
				}
				all, proven := 0, 0
				once := map[identity.AccountID]bool{} // who leaves twice is one
				for _, s := range b.spent {
					if s.Target == target && !once[s.Account] && !s.At.Before(b.now.Add(-limits.Window)) {
						once[s.Account] = true
						if all++; s.Cause == identity.Deleted || s.Cause == identity.Inactive {
							proven++
						}
					}
				}
				if all > allowed && all-proven+max(0, proven-floor) > allowed {
					t.Fatalf("%s: %d went, %d of them proven; %d are allowed", target, all, proven, allowed)
				}
			}
			for _, l := range d.Go {
				switch {
				case l.Cause == identity.ConfigEdited && l.Approved == "", l.Cause == identity.BeforeUs && l.Approved == "":
					t.Fatalf("%s goes though it is held at any size", keyOf(l.Leaver))
				case len(b.limits.Protect) > 0 && l.UserName[:2] == "p1":
					t.Fatalf("%s goes though it is protected", keyOf(l.Leaver))
				case l.Counts && (l.Cause == identity.Emergency || l.Cause == identity.Reactivated || l.Approved != ""):
					t.Fatalf("%s counts", keyOf(l.Leaver))
				}
			}
		}
	})
}

// TestR06RejectedNeverGoes without having returned, whatever else happens, but for a stronger proof or an order.
func TestR06RejectedNeverGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBooks(t)
		w := rapid.SampledFrom([]way{moved, inactive, deleted, left("g")}).Draw(t, "way")
		leave := crowd(w, "ou=a", 15)
		for i := range leave {
			leave[i].Target = rapid.SampledFrom([]string{"wiki", "chat"}).Draw(t, "target")
		}
		b.limits.MaxSweepCount = min(b.limits.MaxSweepCount, 4)
		d := b.pass(leave)
		refused := map[string]bool{}
		for _, h := range d.Holds {
			b.rule(h.Digest, identity.Rejected)
			for _, m := range h.Members {
				refused[m.Target+"/"+string(m.Account)] = true
			}
		}
		for range 6 {
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "hours")) * time.Hour)
			for _, l := range b.pass(leave, drawLeavers(t)).Go {
				if refused[keyOf(l.Leaver)] {
					t.Fatalf("%s goes", keyOf(l.Leaver))
				}
			}
		}
	})
}
