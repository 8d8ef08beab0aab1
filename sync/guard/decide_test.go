package guard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR06OneBatch: one batch against limits, causes and cohorts.
func TestR06OneBatch(t *testing.T) {
	no := guard.Default()
	no.MaxSweepPercent = 0
	none := guard.Default()
	none.MaxSweepCount = 0
	two := guard.Default()
	two.MaxSweepCount = 2
	for _, c := range []struct {
		name   string
		base   int
		limits guard.Limits
		leave  []identity.Leaver
		want   string
	}{
		{"nobody leaves", 100, guard.Default(), nil, "0 go"},
		{"exactly at the percentage", 100, guard.Default(), crowd(moved, "ou=a", 5), "5 go"},
		{"one over it: the whole cause", 100, guard.Default(), crowd(moved, "ou=a", 6), "0 go; held 6 moved"},
		{"exactly at the count", 10000, guard.Default(), crowd(deleted, "ou=a", 50), "50 go"},
		{"one over it", 10000, guard.Default(), crowd(deleted, "ou=a", 51), "0 go; held 51 deleted"},
		// F7: the floor, for those who are proven one by one.
		{"a small company's three deleted do not wait", 6, guard.Default(), crowd(deleted, "ou=a", 3), "3 go"},
		{"nor do three inactive", 6, guard.Default(), crowd(inactive, "ou=a", 3), "3 go"},
		{"nor three of both", 6, guard.Default(), join(crowd(inactive, "ou=a", 1), crowd(deleted, "ou=a", 2)), "3 go"},
		{"four do", 6, guard.Default(), crowd(deleted, "ou=a", 4), "0 go; held 4 deleted"},
		{"four of two causes: the larger cohort does", 6, guard.Default(), join(crowd(inactive, "ou=a", 1), crowd(deleted, "ou=a", 3)), "1 go; held 3 deleted ou=a"},
		{"there is no floor for those who moved", 6, guard.Default(), crowd(moved, "ou=a", 2), "0 go; held 2 moved"},
		{"nor for lost memberships", 6, guard.Default(), crowd(left("wiki-users"), "ou=a", 2), "0 go; held 2 out of scope wiki-users"},
		{"nor for those out of scope", 6, guard.Default(), crowd(scope, "ou=a", 2), "0 go; held 2 out of scope"},
		{"nor for orphans", 6, guard.Default(), crowd(orphan, "", 2), "0 go; held 2 orphan"},
		{"one alone is within any percentage", 6, guard.Default(), crowd(moved, "ou=a", 1), "1 go"},
		{"the floor is beside the percentage, not on top of it", 100, guard.Default(), join(crowd(moved, "ou=a", 4), crowd(deleted, "ou=a", 3)), "3 go; held 4 moved ou=a"},
		{"a percentage of nothing holds all", 1000, no, crowd(deleted, "ou=a", 1), "0 go; held 1 deleted"},
		{"a count of nothing holds all", 1000, none, crowd(deleted, "ou=a", 1), "0 go; held 1 deleted"},
		{"a count below the floor holds", 1000, two, crowd(deleted, "ou=a", 3), "0 go; held 3 deleted"},
		// D4: the cause first.
		{
			"a cause over the limit is held whole, wherever its people are", 200, guard.Default(),
			join(crowd(moved, "ou=a", 4), crowd(moved, "ou=b", 4), crowd(moved, "ou=c", 4)), "0 go; held 12 moved",
		},
		{
			"a group is a cause", 200, guard.Default(),
			join(crowd(left("wiki-users"), "ou=a", 8), crowd(left("wiki-users"), "ou=b", 8), crowd(left("chat-users"), "ou=a", 2)),
			"2 go; held 16 out of scope wiki-users",
		},
		{
			"other causes go on", 200, guard.Default(),
			join(crowd(moved, "ou=a", 40), crowd(deleted, "ou=a", 1), crowd(inactive, "ou=b", 1)), "2 go; held 40 moved",
		},
		{
			"a group's letter case makes no other cause", 100, guard.Default(),
			join(crowd(left("wiki-users"), "ou=a", 3), crowd(left("Wiki-Users"), "ou=b", 3)), "0 go; held 6 out of scope Wiki-Users",
		},
		// Then cohorts.
		{
			"the largest first, and no more than needed", 100, guard.Default(),
			join(crowd(moved, "ou=a", 3), crowd(left("g"), "ou=b", 4), crowd(left("g"), "ou=c", 1)), "4 go; held 4 out of scope g ou=b",
		},
		{"of equal ones the first by name", 100, guard.Default(), join(crowd(moved, "ou=b", 3), crowd(left("g"), "ou=a", 3)), "3 go; held 3 moved ou=b"},
		{
			"letter case makes no other container", 100, guard.Default(),
			join(crowd(moved, "OU=A", 2), crowd(moved, "ou=a", 1), crowd(left("g"), "ou=a", 3)), "3 go; held 3 moved OU=A",
		},
		{
			"who is proven has room first", 100, guard.Default(),
			join(crowd(moved, "ou=a", 3), crowd(deleted, "ou=a", 2), crowd(deleted, "ou=b", 2)), "4 go; held 3 moved ou=a",
		},
		// What is held at any size.
		{
			"R14: an edited config is held at any size", 10000, guard.Default(),
			join(crowd(edited, "ou=a", 1), crowd(edited, "ou=b", 2)), "0 go; held 3 config edited",
		},
		{"and keeps nobody else", 100, guard.Default(), join(crowd(edited, "ou=a", 40), crowd(deleted, "ou=a", 2)), "2 go; held 40 config edited"},
		{"R21: who left before our time is held at any size", 10000, guard.Default(), crowd(before, "", 1), "0 go; held 1 before our time"},
		// What goes.
		{"an order goes, and does not count", 100, guard.Default(), join(crowd(ordered, "ou=a", 9), crowd(moved, "ou=a", 5)), "14 go"},
		{"what was closed and is enabled again goes, and does not count", 100, guard.Default(), join(crowd(again, "ou=a", 9), crowd(moved, "ou=a", 5)), "14 go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := company(c.base)
			b.limits = c.limits
			if got := said(b.pass(c.leave)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestR06TheSourceOnceTheTargetItsShare: what arises in a source is judged in its people, a target's limits hold its
// share alone.
func TestR06TheSourceOnceTheTargetItsShare(t *testing.T) {
	leave := crowd(deleted, "ou=a", 10)
	t.Run("ten people at three targets are ten", func(t *testing.T) {
		b := company(200)
		if got := said(b.pass(leave, at("chat", leave), at("crm", leave))); got != "30 go" {
			t.Error(got)
		}
	})
	t.Run("eleven are held at all of them, by one hold", func(t *testing.T) {
		b := company(200)
		leave := crowd(deleted, "ou=a", 11)
		d := b.pass(leave, at("chat", leave), at("crm", leave))
		if got := said(d); got != "0 go; held 33 deleted" {
			t.Error(got)
		}
		if h := d.Holds[0]; h.Directory != "corp" || h.Target != "" || h.Count != 33 {
			t.Errorf("%+v", h)
		}
	})
	t.Run("a small target holds its share", func(t *testing.T) {
		b := company(200)
		b.bases = map[string]int{"chat": 20}
		d := b.pass(leave, at("chat", leave))
		if got := said(d); got != "10 go; held 10 deleted" {
			t.Error(got)
		}
		if h := d.Holds[0]; h.Directory != "" || h.Target != "chat" || !strings.Contains(h.Reason, "guard {} of chat") {
			t.Errorf("%+v", h)
		}
	})
	t.Run("a target's own limits are its own", func(t *testing.T) {
		b := company(200)
		own := guard.Default()
		own.MaxSweepCount = 4
		b.targets = map[string]guard.Limits{"chat": own}
		if got := said(b.pass(leave, at("chat", leave))); got != "10 go; held 10 deleted" {
			t.Error(got)
		}
	})
	t.Run("sources are judged apart", func(t *testing.T) {
		b := company(100)
		other := crowd(deleted, "ou=a", 5)
		for i := range other {
			other[i].Person.Directory = "partners"
			other[i].Account += "p"
		}
		f := b.facts(join(crowd(deleted, "ou=a", 6), other))
		f.People["partners"] = guard.Population{Now: 100}
		f.Accounts["wiki"] = guard.Population{Now: 1000}
		if got := said(guard.Decide(f)); got != "5 go; held 6 deleted" {
			t.Error(got)
		}
	})
	t.Run("the base is the larger of the window's start and now", func(t *testing.T) {
		b := company(60)
		f := b.facts(crowd(moved, "ou=a", 5))
		f.People["corp"], f.Accounts["wiki"] = guard.Population{Start: 100, Now: 60}, guard.Population{Start: 100, Now: 60}
		if got := said(guard.Decide(f)); got != "5 go" {
			t.Error(got)
		}
	})
}

// TestR06TheWindow: what went within the window counts, and a cause past the limit is held until the window is over.
func TestR06TheWindow(t *testing.T) {
	b := company(100)
	first := crowd(moved, "ou=a", 4)
	if got := said(b.pass(first)); got != "4 go" {
		t.Fatal(got)
	}
	b.now = b.now.Add(time.Hour)
	d := b.pass(crowd(moved, "ou=b", 2))
	if got := said(d); got != "0 go; held 2 moved" {
		t.Fatal(got)
	}
	h := d.Holds[0]
	if len(h.Closed) != 4 || h.Closed[0] != first[0].Name {
		t.Errorf("the hold names %q as closed already", h.Closed)
	}
	want := "2 people of corp would be closed (moved), 4 were closed already, max_sweep_percent = 5 allows 5 of 100 people with an active " +
		"account within 24 h: raise it in guard {}, or approve this"
	if h.Reason != want {
		t.Errorf("got  %s\nwant %s", h.Reason, want)
	}
	b.now = b.now.Add(time.Hour)
	if got := said(b.pass(crowd(moved, "ou=b", 2), crowd(moved, "ou=c", 1))); got != "0 go; held 1 moved; standing 2" {
		t.Errorf("one more of the same cause, where two of it wait: %s", got)
	}
	if got := said(b.pass(crowd(left("g"), "ou=a", 1))); got != "1 go" {
		t.Errorf("another cause has the room that is left: %s", got)
	}
	if got := said(b.pass(crowd(deleted, "ou=a", 3))); got != "3 go" {
		t.Errorf("and the floor is the proven ones' own: %s", got)
	}
	b.now = b.now.Add(25 * time.Hour)
	if got := said(b.pass(crowd(moved, "ou=b", 2), crowd(moved, "ou=c", 1), crowd(moved, "ou=d", 5))); got != "5 go; standing 3" {
		t.Errorf("a new window: %s", got)
	}
}

// TestR06WhoHasGoneNeedsNoRoomAgain: what a listing shows later of somebody whom a batch closed is the same departure.
func TestR06WhoHasGoneNeedsNoRoomAgain(t *testing.T) {
	b := company(100)
	leave := crowd(moved, "ou=a", 5) // as many as may
	if got := said(b.pass(leave)); got != "5 go" {
		t.Fatal(got)
	}
	if got := said(b.pass(at("chat", leave))); got != "5 go" {
		t.Errorf("at a second target: %s", got)
	}
	if got := said(b.pass(at("crm", join(leave, crowd(left("g"), "ou=b", 1))))); got != "5 go; held 1 out of scope g ou=b" {
		t.Errorf("with somebody else: %s", got)
	}
}

// TestR06TheFloorHasAWindowOfAnHour: a window of a minute is no way to close three each minute.
func TestR06TheFloorHasAWindowOfAnHour(t *testing.T) {
	b := company(20)
	b.limits.Window = time.Minute
	if got := said(b.pass(crowd(deleted, "ou=a", 3))); got != "3 go" {
		t.Fatal(got)
	}
	b.now = b.now.Add(2 * time.Minute)
	if got := said(b.pass(crowd(deleted, "ou=b", 3))); got != "0 go; held 3 deleted" {
		t.Errorf("two minutes later: %s", got)
	}
	b.now = b.now.Add(time.Hour)
	if got := said(b.pass(crowd(inactive, "ou=c", 3))); got != "3 go" {
		t.Errorf("an hour later: %s", got)
	}
}

// TestR06HeldStaysHeld: D2, B3. Nothing drains, whatever the time.
func TestR06HeldStaysHeld(t *testing.T) {
	b := company(320)
	teams := crowd(left("staff"), "ou=a", 160)
	if got := said(b.pass(teams)); got != "0 go; held 160 out of scope staff" {
		t.Fatal(got)
	}
	for range 30 {
		b.now = b.now.Add(25 * time.Hour)
		if got := said(b.pass(teams)); got != "0 go; standing 160" {
			t.Fatalf("on %s: %s", b.now.Format(time.DateOnly), got)
		}
	}
	b.returned(guard.Returned, teams[8:]...)
	if got := said(b.pass(teams[:8])); got != "0 go; standing 8" {
		t.Errorf("some are back, the others would be within the limit: %s", got)
	}
	if len(b.holds) != 1 || len(b.holds[0].Members) != 8 || b.holds[0].Count != 160 {
		t.Errorf("%d holds, %d members of %d", len(b.holds), len(b.holds[0].Members), b.holds[0].Count)
	}
	b.returned(guard.Returned, teams...)
	b.pass(nil)
	if len(b.holds) != 0 {
		t.Errorf("everybody is back: %+v", b.holds)
	}
}

// TestR06WhoIsUnknownStays: a pass that did not see somebody takes nobody out of a hold.
func TestR06WhoIsUnknownStays(t *testing.T) {
	b := company(100)
	leave := crowd(moved, "ou=a", 20)
	b.pass(leave)
	if d := b.pass(leave[:1]); len(d.Dropped) != 0 || said(d) != "0 go; standing 1" {
		t.Errorf("%s, dropped %+v", said(d), d.Dropped)
	}
}

// TestR06RejectedStaysRejected: D3, B3. Until they returned and left again.
func TestR06RejectedStaysRejected(t *testing.T) {
	b := company(100)
	leave := crowd(inactive, "ou=a", 6)
	d := b.pass(leave)
	b.rule(d.Holds[0].Digest, identity.Rejected)
	for range 5 {
		b.now = b.now.Add(25 * time.Hour)
		d = b.pass(leave)
		if got := said(d); got != "0 go; kept 6" {
			t.Fatal(got)
		}
		if k := d.Kept[0]; k.By != "olga" || !k.At.Equal(morning) {
			t.Errorf("kept by %q at %s", k.By, k.At)
		}
	}
	b.returned(guard.Returned, leave[0])
	if got := said(b.pass(leave[1:])); got != "0 go; kept 5" {
		t.Fatalf("one is back: %s", got)
	}
	if got := said(b.pass(leave)); got != "1 go; kept 5" {
		t.Fatalf("and has left again: %s", got)
	}
	b.returned(guard.NoAccount, leave[1:]...)
	b.pass(nil)
	if got := said(b.pass(leave[1:])); got != "0 go; kept 5" {
		t.Errorf("their accounts were gone for a while: %s", got)
	}
}

// TestR06AnApprovalIsForItsMembersOnce: by digest, those who still leave, once.
func TestR06AnApprovalIsForItsMembersOnce(t *testing.T) {
	b := company(100)
	leave := crowd(moved, "ou=a", 20)
	digest := b.pass(leave).Holds[0].Digest
	late := crowd(moved, "ou=b", 4)
	b.pass(leave, late)
	b.rule(digest, identity.Approved, leave[0].Name)
	b.returned(guard.Returned, leave[1])
	d := b.pass(leave[:1], leave[2:], late)
	if got := said(d); got != "18 go; standing 4; kept 1" {
		t.Fatal(got)
	}
	if len(d.Consumed) != 18 || len(d.Dropped) != 1 || d.Go[0].Counts || d.Go[0].Approved != digest {
		t.Errorf("consumed %d, dropped %d, first %+v", len(d.Consumed), len(d.Dropped), d.Go[0])
	}
	if got := said(b.pass(leave[2:], leave[:1], late)); got != "0 go; held 18 moved; standing 4; kept 1" {
		t.Errorf("they are enabled, and leave again: %s", got)
	}
}

// TestR06AStrongerProofIsAnotherDeparture: moved < inactive < deleted; the other way round binds.
func TestR06AStrongerProofIsAnotherDeparture(t *testing.T) {
	for _, c := range []struct {
		name      string
		held, now way
		verdict   identity.Verdict
		want      string
	}{
		{"held as moved, deleted now", moved, deleted, "", "1 go"},
		{"held as moved, inactive now", moved, inactive, "", "1 go"},
		{"held as inactive, deleted now", inactive, deleted, "", "1 go"},
		{"held by an edited config, deleted now", edited, deleted, "", "1 go"},
		{"rejected as moved, deleted now", moved, deleted, identity.Rejected, "1 go"},
		{"held as deleted, inactive now", deleted, inactive, "", "0 go; standing 1"},
		{"held as inactive, moved now", inactive, moved, "", "0 go; standing 1"},
		{"held as moved, out of a group now", moved, left("g"), "", "0 go; standing 1"},
		{"held by an edited config, and now out of scope by the accepted one", edited, scope, "", "0 go; standing 1"},
		{"rejected as inactive, moved now", inactive, moved, identity.Rejected, "0 go; kept 1"},
		{"ordered", moved, ordered, "", "1 go"},
		{"rejected, and ordered", moved, ordered, identity.Rejected, "1 go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := company(100)
			leave := crowd(c.held, "ou=a", 20)
			d := b.pass(leave)
			if len(d.Holds) != 1 {
				t.Fatal(said(d))
			}
			if c.verdict != "" {
				b.rule(d.Holds[0].Digest, c.verdict)
			}
			now := by(c.now, leave[:1])
			d = b.pass(now)
			if got := said(d); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if again := c.now != ordered && strings.HasPrefix(c.want, "1 go"); again != (len(d.Dropped) == 1) {
				t.Errorf("dropped %+v", d.Dropped)
			}
		})
	}
	t.Run("and is judged afresh", func(t *testing.T) {
		b := company(100)
		leave := crowd(moved, "ou=a", 20)
		b.pass(leave)
		if got := said(b.pass(by(deleted, leave))); got != "0 go; held 20 deleted" {
			t.Error(got)
		}
		if len(b.holds) != 1 || b.holds[0].Cause != identity.Deleted {
			t.Errorf("%+v", b.holds)
		}
	})
	t.Run("an order leaves the hold as it is, for the day that it is taken back", func(t *testing.T) {
		b := company(100)
		leave := crowd(moved, "ou=a", 20)
		b.pass(leave)
		b.pass(by(ordered, leave[:1]))
		if got := said(b.pass(leave)); got != "0 go; standing 20" {
			t.Error(got)
		}
	})
}

// TestR06AHoldBindsThePersonEverywhere: what arises in the source is one departure, also at a target that shows it
// later.
func TestR06AHoldBindsThePersonEverywhere(t *testing.T) {
	leave := crowd(deleted, "ou=a", 20)
	b := company(100)
	d := b.pass(leave)
	first := d.Holds[0].Digest
	d = b.pass(leave, at("chat", leave[:3]))
	if got := said(d); got != "0 go; held 3 deleted; standing 20" {
		t.Fatal(got)
	}
	if reason := d.Holds[0].Reason; !strings.HasPrefix(reason, "waits with hold "+first) {
		t.Errorf("reason %q", reason)
	}
	b = company(100)
	d = b.pass(leave)
	b.rule(d.Holds[0].Digest, identity.Rejected)
	if got := said(b.pass(at("chat", leave[:3]))); got != "0 go; kept 3" {
		t.Error(got)
	}
	b = company(200)
	b.bases = map[string]int{"wiki": 20}
	if got := said(b.pass(crowd(deleted, "ou=a", 10))); got != "0 go; held 10 deleted" {
		t.Fatal(got)
	}
	if got := said(b.pass(at("chat", crowd(deleted, "ou=a", 10)))); got != "10 go" {
		t.Errorf("a target's own limit holds at that target alone: %s", got)
	}
}

// TestR01AnAnomalyHoldsAtAnySize: B9, case 04, F4. Whoever leaves by it, in whatever pass, also one by one.
func TestR01AnAnomalyHoldsAtAnySize(t *testing.T) {
	staff := crowd(left("admins"), "ou=a", 40)
	emptied := guard.Anomaly{
		What: "group admins", Detail: "it lost all its 40 members at once", Directory: "corp", Remedy: "check that dirsweep may read member of it",
		Strength: identity.ByScope,
	}
	for _, l := range staff {
		emptied.People = append(emptied.People, l.Person)
	}
	b := company(1000)
	b.anomalies = []guard.Anomaly{emptied}
	d := b.pass(staff[:2])
	if got := said(d); got != "0 go; held 2 out of scope group admins" {
		t.Fatal(got)
	}
	want := "group admins: it lost all its 40 members at once; check that dirsweep may read member of it"
	if got := d.Holds[0].Reason; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, l := range staff[2:6] {
		b.now = b.now.Add(30 * time.Hour)
		if got := said(b.pass([]identity.Leaver{l})); got != "0 go; held 1 out of scope group admins" {
			t.Fatalf("one more: %s", got)
		}
	}
	if got := said(b.pass(crowd(left("admins"), "ou=else", 1))); got != "1 go" {
		t.Errorf("somebody else of that group: %s", got)
	}
	if got := said(b.pass(by(deleted, staff[:2]), by(inactive, staff[10:11]))); got != "3 go" {
		t.Errorf("who is deleted or inactive does not leave by the group: %s", got)
	}
	if got := said(b.pass(by(scope, at("chat", staff[20:21])))); got != "0 go; held 1 out of scope group admins" {
		t.Errorf("at any target: %s", got)
	}
	b.anomalies = nil
	if got := said(b.pass(staff[2:6])); got != "0 go; standing 4" {
		t.Errorf("what it held stays held when it is over: %s", got)
	}
	branch := guard.Anomaly{What: "container ou=lab", Detail: "is empty", Directory: "corp", Strength: identity.ByAbsence}
	lab := crowd(deleted, "ou=lab", 2)
	branch.People = []identity.PersonID{lab[0].Person, lab[1].Person}
	b = company(1000)
	b.anomalies = []guard.Anomaly{branch}
	if got := said(b.pass(lab, crowd(deleted, "ou=a", 2))); got != "2 go; held 2 deleted container ou=lab" {
		t.Errorf("an emptied container: %s", got)
	}
	if got := said(b.pass(lab, crowd(deleted, "ou=b", 48))); got != "48 go; standing 2" {
		t.Errorf("what it holds is no measure of others: %s", got)
	}
}

// TestR14AnEditedConfigStands: B7. Held at any size, in any number of passes, also when the edit has been accepted and
// the cause looks plain.
func TestR14AnEditedConfigStands(t *testing.T) {
	edit := way{identity.ConfigEdited, identity.ByState, ""} // `active` was edited
	b := company(60)
	leave := join(crowd(edit, "ou=a", 2), crowd(edit, "ou=b", 2))
	both := join(leave, at("chat", leave))
	d := b.pass(both)
	if got := said(d); got != "0 go; held 8 config edited" {
		t.Fatal(got)
	}
	for range 10 {
		b.now = b.now.Add(25 * time.Hour)
		if got := said(b.pass(by(inactive, both))); got != "0 go; standing 8" {
			t.Fatal(got)
		}
	}
	if got := said(b.pass(by(deleted, leave[:1]))); got != "1 go" {
		t.Errorf("deleted since: %s", got)
	}
}

// TestR05ProtectedIsNeverClosed: by the name that it has, and by the one that it had when it was first seen; an order
// does not change that.
func TestR05ProtectedIsNeverClosed(t *testing.T) {
	limits := guard.Default()
	limits.Protect = []string{"svc-*"}
	renamed := one(deleted, "ou=a", "wiki", "was")
	list := []identity.Leaver{one(deleted, "ou=a", "wiki", "svc-a"), one(ordered, "ou=a", "wiki", "svc-b"), renamed, one(orphan, "", "wiki", "svc-c")}
	for i := range list[:2] {
		list[i].UserName = list[i].Name
	}
	b := company(100)
	b.limits = limits
	b.first = map[guard.Account]string{{Target: "wiki", ID: renamed.Account}: "SVC-was"}
	d := b.pass(list, crowd(deleted, "ou=a", 1))
	if got := said(d); got != "1 go; protected 4" {
		t.Fatal(got)
	}
	if d.Protected[0].Glob != "svc-*" {
		t.Errorf("%+v", d.Protected[0])
	}
	b.targets = map[string]guard.Limits{"wiki": guard.Default()}
	if got := said(b.pass(list[:1])); got != "1 go" {
		t.Errorf("a target's own list counts there: %s", got)
	}
}

// TestR05ALeaverProtectedLaterStaysOpen: one that waits on hold is not closed by an approval once it is protected.
func TestR05ALeaverProtectedLaterStaysOpen(t *testing.T) {
	b := company(100)
	leave := crowd(moved, "ou=a", 6)
	d := b.pass(leave)
	b.rule(d.Holds[0].Digest, identity.Approved)
	b.limits.Protect = []string{leave[0].UserName}
	if got := said(b.pass(leave)); got != "5 go; protected 1" {
		t.Error(got)
	}
}

// TestR06WhatIsOnlyReported: leaver { action = "report" } leaves people to others, an order and an orphan excepted.
func TestR06WhatIsOnlyReported(t *testing.T) {
	b := company(100)
	b.reports = map[string]bool{"wiki": true}
	if got := said(b.pass(crowd(deleted, "ou=a", 40), crowd(ordered, "ou=a", 1), crowd(orphan, "", 1))); got != "2 go; reported 40" {
		t.Error(got)
	}
}

// TestR06EnablesAreJudgedLikeClosings: F4. In all linked accounts, with their own holds.
func TestR06EnablesAreJudgedLikeClosings(t *testing.T) {
	back := way{identity.Changed, identity.ByState, ""}
	b := company(100)
	b.holds = []identity.Hold{{Digest: "x", Kind: identity.HoldCohort, Directory: "corp", Since: morning}}
	for _, l := range crowd(back, "ou=a", 6) {
		b.holds[0].Members = append(b.holds[0].Members, identity.Member{Person: l.Person, Target: l.Target, Account: l.Account, Strength: identity.ByAbsence})
	}
	d := guard.Enables(b.facts(crowd(back, "ou=a", 6)))
	if got := said(d); got != "0 go; held 6 changed" {
		t.Fatal(got)
	}
	want := "6 people of corp would be enabled (changed), max_sweep_percent = 5 allows 5 of 100 people with an account within 24 h: raise it in " +
		"guard {}, or approve this"
	if got := d.Holds[0].Reason; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b.holds = d.Holds
	if got := said(guard.Enables(b.facts(crowd(back, "ou=a", 6)))); got != "0 go; standing 6" {
		t.Errorf("the next pass: %s", got)
	}
	b.rule(d.Holds[0].Digest, identity.Rejected)
	if got := said(guard.Enables(b.facts(crowd(back, "ou=a", 6)))); got != "0 go; kept 6" {
		t.Errorf("rejected: %s", got)
	}
	if got := said(guard.Decide(b.facts(crowd(moved, "ou=a", 2)))); got != "2 go" {
		t.Errorf("a hold over enabling binds no leaver: %s", got)
	}
	b.holds = nil
	if got := said(guard.Enables(b.facts(crowd(back, "ou=a", 3)))); got != "3 go" {
		t.Errorf("a few: %s", got)
	}
}

// TestR06ADigestNamesAHoldExactly: 64 bits over who is in it and what it is.
func TestR06ADigestNamesAHoldExactly(t *testing.T) {
	digest := func(change func(*books, []identity.Leaver) []identity.Leaver) string {
		b := company(100)
		leave := crowd(moved, "ou=a", 6)
		if change != nil {
			leave = change(b, leave)
		}
		return b.pass(leave).Holds[0].Digest
	}
	same := digest(nil)
	if len(same) != 16 || digest(nil) != same {
		t.Errorf("%q, then %q", same, digest(nil))
	}
	for what, change := range map[string]func(*books, []identity.Leaver) []identity.Leaver{
		"one more":       func(_ *books, l []identity.Leaver) []identity.Leaver { return append(l, crowd(moved, "ou=b", 1)...) },
		"another cause":  func(_ *books, l []identity.Leaver) []identity.Leaver { return by(inactive, l) },
		"another target": func(_ *books, l []identity.Leaver) []identity.Leaver { return at("chat", l) },
		"another account": func(_ *books, l []identity.Leaver) []identity.Leaver {
			l[0].Account = "other"
			return l
		},
		"another time": func(b *books, l []identity.Leaver) []identity.Leaver { b.now = b.now.Add(time.Second); return l },
	} {
		if digest(change) == same {
			t.Errorf("%s, same digest", what)
		}
	}
}

// TestR06AHoldSaysWhichSetting: the limit that holds, the numbers, and where it is raised.
func TestR06AHoldSaysWhichSetting(t *testing.T) {
	for _, c := range []struct {
		base  int
		leave []identity.Leaver
		want  string
	}{
		{10000, crowd(deleted, "ou=a", 60), "60 people of corp would be closed (deleted), max_sweep_count = 50 allows 50 of 10000 people with an " +
			"active account within 24 h: raise it in guard {}, or approve this"},
		{100, crowd(scope, "ou=a", 6), "6 accounts of wiki would be closed (out of scope), max_sweep_percent = 5 allows 5 of 100 active accounts " +
			"within 24 h: raise it in guard {} of wiki, or approve this"},
		{100, crowd(left("g"), "ou=a", 6), "6 people of corp would be closed (out of scope: they are no longer in group g), max_sweep_percent = 5 " +
			"allows 5 of 100 people with an active account within 24 h: raise it in guard {}, or approve this"},
		{100, join(crowd(moved, "ou=a", 4), crowd(left("g"), "ou=a", 2)), "6 people of corp would be closed (all causes), max_sweep_percent = 5 allows " +
			"5 of 100 people with an active account within 24 h: raise it in guard {}, or approve this; these are 4 of them"},
	} {
		if got := company(c.base).pass(c.leave).Holds[0].Reason; got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
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
		if glob, ok := l.Protected("nobody", userName); glob != want || ok != (want != "") {
			t.Errorf("Protected(%q) = %q, %t; want %q", userName, glob, ok, want)
		}
	}
}
