package guard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func nobody(guard.Leaver) bool { return false }

// crowd is n leavers of one cause and container.
func crowd(cause identity.Cause, container string, n int) (out []guard.Leaver) {
	for i := range n {
		name := fmt.Sprintf("%s-%s-%04d", cause, container, i)
		out = append(out, guard.Leaver{
			Person: identity.PersonID{Directory: "corp", Anchor: name}, Account: identity.AccountID(name), UserName: name, Cause: cause, Container: container,
		})
	}
	return out
}

func join(lists ...[]guard.Leaver) []guard.Leaver { return slices.Concat(lists...) }

// held renders the held cohorts.
func held(v guard.Verdict) (out []string) {
	for _, c := range v.Held {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d %s %s", len(c.Leavers), c.Cause, c.Container)))
	}
	return out
}

func TestR06Judge(t *testing.T) {
	limits := guard.Default()
	for _, c := range []struct {
		name          string
		limits        guard.Limits
		active, swept int
		leavers       []guard.Leaver
		goes          int
		held          []string
	}{
		{"nobody leaves", limits, 100, 0, nil, 0, nil},
		{"exactly at the limit", limits, 100, 0, crowd(identity.Deleted, "ou=a", 5), 5, nil},
		{"one over it", limits, 100, 0, crowd(identity.Deleted, "ou=a", 6), 0, []string{"6 deleted ou=a"}},
		{"the count is reached before the percentage", limits, 10000, 0, crowd(identity.Deleted, "ou=a", 50), 50, nil},
		{"and one over it", limits, 10000, 0, crowd(identity.Deleted, "ou=a", 51), 0, []string{"51 deleted ou=a"}},
		{"a small company's leaver does not wait", limits, 9, 0, crowd(identity.Deleted, "ou=a", 1), 1, nil},
		{"but three of nine do", limits, 9, 0, crowd(identity.Deleted, "ou=a", 3), 0, []string{"3 deleted ou=a"}},
		{
			"the suspicious cohort waits, the rest goes", limits, 200, 0,
			join(crowd(identity.Deleted, "ou=a", 2), crowd(identity.Inactive, "ou=a", 1), crowd(identity.Deleted, "ou=sales", 90)), 3,
			[]string{"90 deleted ou=sales"},
		},
		{
			"the largest first, and no more than needed", limits, 100, 0,
			join(crowd(identity.Deleted, "ou=a", 3), crowd(identity.Deleted, "ou=b", 4), crowd(identity.Deleted, "ou=c", 2)), 5,
			[]string{"4 deleted ou=b"},
		},
		{"of equal ones the first by name", limits, 100, 0, join(crowd(identity.Deleted, "ou=b", 3), crowd(identity.Deleted, "ou=a", 3)), 3, []string{"3 deleted ou=a"}},
		{"what was closed within the window counts", limits, 100, 3, crowd(identity.Deleted, "ou=a", 3), 0, []string{"3 deleted ou=a"}},
		{"and leaves the rest", limits, 100, 3, crowd(identity.Deleted, "ou=a", 2), 2, nil},
		{"more closed than allowed is nothing left, not less", limits, 100, 60, crowd(identity.Deleted, "ou=a", 1), 0, []string{"1 deleted ou=a"}},
		{"an emergency goes, and does not count", limits, 100, 5, crowd(identity.Emergency, "ou=a", 7), 7, nil},
		{"letter case makes no other container", limits, 100, 0, join(crowd(identity.Deleted, "OU=A", 3), crowd(identity.Deleted, "ou=a", 3)), 0, []string{"6 deleted OU=A"}},
		{
			"R14: an edited scope is one cohort, wherever its people are", limits, 100, 0,
			join(crowd(identity.Rescoped, "ou=a", 3), crowd(identity.Rescoped, "ou=b", 3), crowd(identity.Deleted, "ou=a", 4)), 4,
			[]string{"6 scope edited"},
		},
		{"no percentage allows none", guard.Limits{MaxSweepCount: 50}, 100, 0, crowd(identity.Deleted, "ou=a", 1), 0, []string{"1 deleted ou=a"}},
		{"no count allows none", guard.Limits{MaxSweepPercent: 5}, 100, 0, crowd(identity.Deleted, "ou=a", 1), 0, []string{"1 deleted ou=a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := guard.Judge(c.limits, "wiki", c.active, c.swept, c.leavers, nobody)
			if len(v.Go) != c.goes {
				t.Errorf("%d go, want %d", len(v.Go), c.goes)
			}
			if diff := cmp.Diff(c.held, held(v)); diff != "" {
				t.Errorf("held (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAHoldSaysWhichLimitAndTheNumbers(t *testing.T) {
	v := guard.Judge(guard.Default(), "wiki", 100, 2, crowd(identity.Deleted, "ou=a", 6), nobody)
	want := "6 would be closed, now allowed: 3; max_sweep_percent = 5 is 5 of 100 active accounts, 2 closed within the last 24 h"
	if got := v.Held[0].Reason; got != want {
		t.Errorf("reason %q", got)
	}
	v = guard.Judge(guard.Default(), "wiki", 10000, 0, crowd(identity.Deleted, "ou=a", 60), nobody)
	if got := v.Held[0].Reason; !strings.Contains(got, "max_sweep_count = 50 is 50 of 10000") {
		t.Errorf("reason %q", got)
	}
}

func TestAHoldsDigestNamesItsPeople(t *testing.T) {
	digest := func(target string, cause identity.Cause, n int) string {
		return guard.Judge(guard.Default(), target, 10, 0, crowd(cause, "ou=a", n), nobody).Held[0].Digest
	}
	same := digest("wiki", identity.Deleted, 5)
	if again := digest("wiki", identity.Deleted, 5); again != same || len(same) != 12 {
		t.Errorf("%q, then %q", same, again)
	}
	for what, other := range map[string]string{
		"another person":  digest("wiki", identity.Deleted, 6),
		"another target":  digest("git", identity.Deleted, 5),
		"another because": digest("wiki", identity.Inactive, 5),
	} {
		if other == same {
			t.Errorf("%s, same digest", what)
		}
	}
}

func TestR06NeverMoreThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := guard.Limits{
			MaxSweepPercent: float64(rapid.IntRange(0, 100).Draw(t, "percent")), MaxSweepCount: rapid.IntRange(0, 20).Draw(t, "count"), Window: time.Hour,
		}
		n := rapid.IntRange(0, 40).Draw(t, "leavers")
		active, swept := n+rapid.IntRange(0, 200).Draw(t, "staying"), rapid.IntRange(0, 10).Draw(t, "swept")
		released := map[identity.AccountID]bool{}
		var leavers []guard.Leaver
		for i := range n {
			l := guard.Leaver{
				Person: identity.PersonID{Directory: "corp", Anchor: fmt.Sprint(i)}, Account: identity.AccountID(fmt.Sprint("a", i)),
				Cause: rapid.SampledFrom([]identity.Cause{
					identity.Deleted, identity.Inactive, identity.OutOfScope, identity.Rescoped, identity.Emergency,
				}).Draw(t, "cause"),
				Container: rapid.SampledFrom([]string{"", "ou=a", "OU=A", "ou=b"}).Draw(t, "container"),
			}
			released[l.Account] = rapid.IntRange(0, 9).Draw(t, "released") == 0
			leavers = append(leavers, l)
		}
		free := func(l guard.Leaver) bool { return released[l.Account] || l.Cause == identity.Emergency }
		v := guard.Judge(limits, "wiki", active, swept, leavers, func(l guard.Leaver) bool { return released[l.Account] })

		allowed := min(limits.MaxSweepCount, max(1, int(limits.MaxSweepPercent*float64(active)/100)))
		if limits.MaxSweepPercent == 0 {
			allowed = 0
		}
		seen := map[identity.AccountID]int{}
		counted, least := 0, n+1
		for _, l := range v.Go {
			seen[l.Account]++
			if !free(l) {
				counted++
			}
		}
		for i, c := range v.Held {
			for _, l := range c.Leavers {
				seen[l.Account]++
				if free(l) {
					t.Fatalf("%+v is free to go and is held", l)
				}
				if l.Cause != c.Cause || c.Cause != identity.Rescoped && !strings.EqualFold(l.Container, c.Container) {
					t.Fatalf("%+v is held with %s of %q", l, c.Cause, c.Container)
				}
			}
			if len(c.Leavers) > least {
				t.Fatalf("held %v: not the largest first", held(v))
			}
			least = len(v.Held[i].Leavers)
		}
		if counted > max(0, allowed-swept) {
			t.Fatalf("%d go, %d are allowed and %d were closed", counted, allowed, swept)
		}
		if k := len(v.Held); k > 0 && counted+len(v.Held[k-1].Leavers) <= max(0, allowed-swept) {
			t.Fatalf("held %v, though the last of it had room beside %d", held(v), counted)
		}
		if len(seen) != n {
			t.Fatalf("%d of %d leavers are judged", len(seen), n)
		}
		for id, times := range seen {
			if times != 1 {
				t.Fatalf("%s is judged %d times", id, times)
			}
		}
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(n, func(i, j int) { leavers[i], leavers[j] = leavers[j], leavers[i] })
		other := guard.Judge(limits, "wiki", active, swept, leavers, func(l guard.Leaver) bool { return released[l.Account] })
		if diff := cmp.Diff(v, other); diff != "" {
			t.Fatalf("another order, another verdict:\n%s", diff)
		}
	})
}

func TestR05Protected(t *testing.T) {
	l := guard.Limits{Protect: []string{"administrator", "svc-*", "?ot", "host/*", `CORP\adm*`, "[0-9]*"}}
	for userName, want := range map[string]string{
		"administrator":  "administrator",
		"Administrator":  "administrator",
		"administrator2": "",
		"svc-backup":     "svc-*",
		"SVC-Backup":     "svc-*",
		"svc-":           "svc-*",
		"svc-a/b":        "svc-*",
		`svc-a\b`:        "svc-*",
		"mysvc-a":        "",
		"rot":            "?ot",
		"root":           "",
		"host/db-1":      "host/*",
		`corp\adm7`:      `CORP\adm*`,
		"corpadm7":       "",
		"7up":            "[0-9]*",
		"":               "",
	} {
		if glob, ok := l.Protected(userName); glob != want || ok != (want != "") {
			t.Errorf("Protected(%q) = %q, %t; want %q", userName, glob, ok, want)
		}
	}
}

func TestR02Shrunk(t *testing.T) {
	for _, c := range []struct {
		name            string
		percent         float64
		accepted, count int
		held            bool
	}{
		{"grown", 10, 100, 150, false},
		{"as before", 10, 100, 100, false},
		{"exactly the percentage", 10, 100, 90, false},
		{"one more", 10, 100, 89, true},
		{"exactly, of a number that does not divide", 10, 15, 14, false},
		{"more, of one", 10, 15, 13, true},
		{"nobody", 10, 100, 0, true},
		{"nobody, and never anybody", 10, 0, 0, true},
		{"the first", 10, 0, 5, false},
		{"nothing may be lost", 0, 100, 99, true},
		{"everything may be lost, but not to the last", 100, 100, 1, false},
		{"even then nobody is not believed", 100, 100, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := guard.Shrunk(c.percent, "corp", c.accepted, c.count, 7)
			if (s != nil) != c.held {
				t.Fatalf("held: %+v, want %t", s, c.held)
			}
			if s == nil {
				return
			}
			if again := guard.Shrunk(c.percent, "corp", c.accepted, c.count, 7); *again != *s || s.Digest == "" || !strings.Contains(s.Reason, "corp") {
				t.Errorf("%+v, then %+v", s, again)
			}
			if other := guard.Shrunk(c.percent, "corp", c.accepted, c.count, 8); c.count > 0 && other.Digest == s.Digest {
				t.Error("other people, same digest")
			}
			if other := guard.Shrunk(c.percent, "hr", c.accepted, c.count, 7); other.Digest == s.Digest {
				t.Error("another source, same digest")
			}
		})
	}
}
