package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestR02Believe: unexplained absence beyond the limit, and the floor (F7), of a source and of an application (F1).
func TestR02Believe(t *testing.T) {
	for _, c := range []struct {
		name                   string
		percent                float64
		before, count, missing int
		believed               bool
	}{
		{"grown", 10, 100, 150, 0, true},
		{"exactly the percentage", 10, 100, 90, 10, true},
		{"one more", 10, 100, 89, 11, false},
		{"as many are fewer, but explained", 10, 100, 50, 2, true},
		{"three of few are no shrink", 10, 6, 3, 3, true},
		{"four are", 10, 6, 2, 4, false},
		{"nobody", 10, 4, 0, 4, false},
		{"exactly a share that is not whole", 10, 1009, 909, 100, true},
		{"nothing may be missing", 0, 100, 99, 1, false},
		{"and nothing is", 0, 100, 100, 0, true},
		{"all may be missing, but for one", 100, 100, 1, 99, true},
		{"the first read", 10, 0, 5, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []guard.Read{{Source: "corp"}, {Target: "wiki"}} {
				r.Now, r.Limits = morning, guard.Default()
				r.Limits.MaxShrinkPercent, r.Before, r.Count, r.Missing = c.percent, c.before, c.count, c.missing
				b := guard.Believe(r)
				if b.Believed != c.believed || (b.Hold == nil) != c.believed {
					t.Errorf("%s%s: %+v", r.Source, r.Target, b)
				}
				if b.Hold != nil && (b.Hold.Kind != identity.HoldShrink || b.Digest != b.Hold.Digest || !strings.HasPrefix(b.Hold.Reason, r.Source+r.Target)) {
					t.Errorf("%+v", b.Hold)
				}
			}
		})
	}
	all := guard.Default()
	all.MaxShrinkPercent = 100
	for before := range 3 {
		if b := guard.Believe(guard.Read{Source: "corp", Limits: all, Before: before}); b.Believed {
			t.Errorf("a source that returns nobody, where there were %d, is believed", before)
		}
	}
	if b := guard.Believe(guard.Read{Target: "wiki", Limits: all, Before: 100, Missing: 100}); !b.Believed {
		t.Error("an application may lack everybody, and is not believed")
	}
	if b := guard.Believe(guard.Read{Target: "wiki", Limits: guard.Default(), Before: 3, Missing: 3}); !b.Believed {
		t.Error("an application that lacks three is not believed")
	}
	if b := guard.Believe(guard.Read{Target: "wiki", Limits: guard.Default()}); !b.Believed {
		t.Error("an application where nobody is linked yet is not believed")
	}
}

// TestR02AShrinkIsOneHold: while no more are missing it is the same hold, and an approval is for so many and no more.
func TestR02AShrinkIsOneHold(t *testing.T) {
	read := guard.Read{Now: morning, Limits: guard.Default(), Source: "corp", Before: 100, Count: 60, Missing: 40}
	first := *guard.Believe(read).Hold
	read.Holds = []identity.Hold{first, {Digest: "other", Kind: identity.HoldShrink, Directory: "hr", Count: 99, Ruling: identity.Ruling{What: identity.Approved}}}
	read.Now = morning.Add(time.Hour)
	check := func(what string, got, want guard.Belief) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("as before", guard.Believe(read), guard.Belief{Digest: first.Digest})
	read.Missing = 30
	check("fewer", guard.Believe(read), guard.Belief{Digest: first.Digest})
	read.Missing = 10
	check("few enough", guard.Believe(read), guard.Belief{Believed: true, Over: []string{first.Digest}})
	read.Missing = 41
	more := guard.Believe(read)
	if more.Believed || more.Hold == nil || more.Digest == first.Digest || len(more.Over) != 1 {
		t.Errorf("more: %+v", more)
	}
	for _, ruling := range []identity.Verdict{identity.Rejected, identity.Approved} {
		read.Holds[0].Ruling.What = ruling
		read.Missing = 40
		want := guard.Belief{Digest: first.Digest}
		if ruling == identity.Approved {
			want = guard.Belief{Believed: true, Consumed: first.Digest}
		}
		check(string(ruling), guard.Believe(read), want)
		read.Missing = 41
		if b := guard.Believe(read); b.Believed || b.Hold == nil {
			t.Errorf("%s, and one more is missing: %+v", ruling, b)
		}
	}
}

// losing are so many accounts.
func losing(n int) (list []identity.AccountID) {
	for i := range n {
		list = append(list, identity.AccountID(fmt.Sprint(i)))
	}
	return list
}

// TestR06WithdrawalsCountOverTheWindow: an entitlement that trickles away is held when too many of its holders have
// lost it, however few do in one pass. What was approved does not count, and what is tried again counts once.
func TestR06WithdrawalsCountOverTheWindow(t *testing.T) {
	all := losing(100)
	now := morning
	var spent []identity.Spent
	var holds []identity.Hold
	pass := func(losers []identity.AccountID, holders int) (held bool) {
		d := guard.Changes(guard.Edit{
			Now: now, Limits: guard.Default(), Target: "wiki", Holds: holds, Spent: spent,
			Withdrawn: map[string]guard.Withdrawal{"editors": {Losers: losers, Holders: holders}},
		})
		holds = append(holds, d.Holds...)
		spent = append(spent, d.Spent...)
		return d.Withdrawn["editors"] != ""
	}
	for i := range 6 { // five at a time, up to 30 of 100
		if pass(all[5*i:5*i+5], 100-5*i) {
			t.Fatalf("held after %d", 5*i)
		}
	}
	if pass(all[25:30], 75) {
		t.Error("the same five again are held")
	}
	if !pass(all[30:31], 70) || len(holds) != 1 || holds[0].Count != 31 ||
		!strings.Contains(holds[0].Reason, "31 of 100 holders would lose it or have lost it (30) within 24 h") {
		t.Errorf("one more is not held: %+v", holds)
	}
	holds[0].Ruling.What = identity.Approved
	if before := len(spent); pass(all[30:31], 70) || len(spent) != before {
		t.Error("what was approved is held, or counts")
	}
	holds = nil
	now = now.Add(24 * time.Hour)
	if pass(all[40:60], 69) {
		t.Error("held though the window is over")
	}
	holds, spent = nil, nil
	if !pass(all[:40], 60) || !strings.Contains(holds[0].Reason, "40 of 60 holders would lose it,") {
		t.Errorf("many at once, and nobody before: %+v", holds)
	}
}

// TestR14Changes: an edited mapping, by attribute; ENGINE: withdrawals of one entitlement, in its holders.
func TestR14Changes(t *testing.T) {
	for _, c := range []struct {
		name   string
		linked int
		change int
		held   bool
	}{
		{"exactly the percentage", 1000, 300, false},
		{"one more", 1000, 301, true},
		{"twenty of few", 25, 20, false},
		{"twenty-one", 25, 21, true},
		{"all of few", 12, 12, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := guard.Edit{
				Now: morning, Limits: guard.Default(), Target: "wiki", Mapping: 7, Linked: c.linked,
				Attributes: map[string]int{"title": c.change, "mail": 1},
				Withdrawn:  map[string]guard.Withdrawal{"editors": {Losers: losing(c.change), Holders: c.linked}, "all": {Losers: losing(1), Holders: 1}},
			}
			d := guard.Changes(e)
			if held := d.Attributes["title"] != ""; held != c.held || d.Attributes["mail"] != "" {
				t.Errorf("attributes held: %v", d.Attributes)
			}
			if held := d.Withdrawn["editors"] != ""; held != c.held || d.Withdrawn["all"] != "" {
				t.Errorf("withdrawals held: %v", d.Withdrawn)
			}
			if n := len(d.Holds); n != 0 && !c.held || n != 2 && c.held {
				t.Errorf("%d holds", n)
			}
		})
	}
	none := guard.Default()
	none.MaxChangePercent = 0
	if d := guard.Changes(guard.Edit{Limits: none, Linked: 5, Attributes: map[string]int{"title": 1}}); d.Attributes["title"] == "" {
		t.Error("a percentage of nothing allows a change")
	}
}

// TestR14AChangeOnHoldStands: until it is decided, or nothing of it is left, or the mapping is another.
func TestR14AChangeOnHoldStands(t *testing.T) {
	e := guard.Edit{
		Now: morning, Limits: guard.Default(), Target: "wiki", Mapping: 7, Linked: 100, Attributes: map[string]int{"title": 60},
		Withdrawn: map[string]guard.Withdrawal{"editors": {Losers: losing(60), Holders: 100}},
	}
	first := guard.Changes(e)
	e.Holds = first.Holds
	want := "title of wiki: 60 of 100 linked accounts would change, max_change_percent = 30 allows 30: raise it in guard {} of wiki, or approve this"
	for _, h := range first.Holds {
		if h.Attribute == "title" && h.Reason != want {
			t.Errorf("got  %s\nwant %s", h.Reason, want)
		}
	}
	say := func(d guard.EditDecision) (out string) {
		if d.Attributes["title"] != "" {
			out += "title "
		}
		if d.Withdrawn["editors"] != "" {
			out += "editors "
		}
		return strings.TrimSpace(out + strings.Repeat("new ", len(d.Holds)) + strings.Repeat("over ", len(d.Over)))
	}
	few := e
	few.Attributes, few.Withdrawn = map[string]int{"title": 3}, map[string]guard.Withdrawal{"editors": {Losers: losing(3), Holders: 100}}
	nothing := e
	nothing.Attributes, nothing.Withdrawn = nil, nil
	more := e
	more.Attributes, more.Withdrawn = map[string]int{"title": 61}, map[string]guard.Withdrawal{"editors": {Losers: losing(61), Holders: 100}}
	another := e
	another.Mapping = 8
	for _, c := range []struct {
		name   string
		edit   guard.Edit
		ruling identity.Verdict
		want   string
	}{
		{"as before", e, "", "title editors"},
		{"few are left", few, "", "title editors"},
		{"nothing is left", nothing, "", "over over"},
		{"another mapping", another, "", "title editors new over"},
		{"approved", e, identity.Approved, ""},
		{"approved, and few are left", few, identity.Approved, ""},
		{"approved, and one more", more, identity.Approved, "title editors new new"},
		{"approved, and another mapping", another, identity.Approved, "title new over"},
		{"rejected", e, identity.Rejected, "title editors"},
		{"rejected, and few are left", few, identity.Rejected, "title editors"},
		{"approved and carried out", nothing, identity.Approved, "over over"},
	} {
		c.edit.Holds = nil
		for _, h := range first.Holds {
			h.Ruling.What = c.ruling
			c.edit.Holds = append(c.edit.Holds, h)
		}
		if got := say(guard.Changes(c.edit)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestR10Deletes: deletes have a limit of their own.
func TestR10Deletes(t *testing.T) {
	over := way{identity.GraceOver, identity.ByAbsence, ""}
	sure := guard.Clock{Last: morning.Add(-time.Minute)}
	b := company(10)
	d := guard.Deletes(b.facts(crowd(over, "ou=a", 50)), sure)
	if got := said(d.Decision); got != "50 go" || d.Why != "" {
		t.Fatalf("%s %s", got, d.Why)
	}
	b.keepAs(identity.HoldDelete, d.Decision)
	d = guard.Deletes(b.facts(crowd(over, "ou=b", 1)), sure)
	if got := said(d.Decision); got != "0 go; held 1 grace over" {
		t.Fatal(got)
	}
	want := "1 accounts of wiki would be deleted (grace over), 50 were deleted already, max_delete_count = 50 allows 50 within 24 h: raise it in " +
		"guard {} of wiki, or approve this"
	if got := d.Holds[0].Reason; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b.keep(d.Decision)
	b.now = b.now.Add(25 * time.Hour)
	sure.Last = b.now
	if got := said(guard.Deletes(b.facts(crowd(over, "ou=b", 1)), sure).Decision); got != "0 go; standing 1" {
		t.Errorf("the next day: %s", got)
	}
	b.rule(d.Holds[0].Digest, identity.Approved)
	if got := said(guard.Deletes(b.facts(crowd(over, "ou=b", 1)), sure).Decision); got != "1 go" {
		t.Errorf("approved: %s", got)
	}
	b = company(10)
	b.limits.MaxDeleteCount = 0
	if got := said(guard.Deletes(b.facts(crowd(over, "ou=a", 1)), sure).Decision); got == "1 go" {
		t.Error("a count of nothing allows a delete")
	}
	b = company(10)
	b.limits.Protect = []string{"*"}
	if got := said(guard.Deletes(b.facts(crowd(over, "ou=a", 1)), guard.Clock{Last: morning}).Decision); got != "0 go; protected 1" {
		t.Error(got)
	}
}

// TestR10TheSecondClock: B14. After a jump nothing is deleted until a second clock agrees or a second pass confirms.
func TestR10TheSecondClock(t *testing.T) {
	over := way{identity.GraceOver, identity.ByAbsence, ""}
	day := 24 * time.Hour
	for _, c := range []struct {
		name  string
		clock guard.Clock
		goes  int
	}{
		{"as every minute", guard.Clock{Last: morning.Add(-time.Minute)}, 1},
		{"as every day", guard.Clock{Last: morning.Add(-day)}, 1},
		{"forty days ahead", guard.Clock{Last: morning.Add(-40 * day)}, 0},
		{"and the pass after that", guard.Clock{Last: morning.Add(-time.Second)}, 1},
		{"a week, as the week before", guard.Clock{Last: morning.Add(-7 * day), Before: morning.Add(-14 * day)}, 1},
		{"forty days ahead, where passes are made each week", guard.Clock{Last: morning.Add(-40 * day), Before: morning.Add(-47 * day)}, 0},
		{"back", guard.Clock{Last: morning.Add(time.Minute)}, 0},
		{"a day and two hours", guard.Clock{Last: morning.Add(-26 * time.Hour)}, 1},
		{"a little more", guard.Clock{Last: morning.Add(-26*time.Hour - time.Second)}, 0},
		{"two weeks, where passes are made each week", guard.Clock{Last: morning.Add(-14 * day), Before: morning.Add(-21 * day)}, 1},
		{"a day more", guard.Clock{Last: morning.Add(-15 * day), Before: morning.Add(-22 * day)}, 0},
		{"no pass has ended", guard.Clock{}, 0},
		{"forty days ahead, and so is a second clock", guard.Clock{Last: morning.Add(-40 * day), Second: morning.Add(time.Minute)}, 1},
		{"forty days ahead, and a second clock is not", guard.Clock{Last: morning.Add(-40 * day), Second: morning.Add(-40 * day)}, 0},
		{"no jump, but a second clock says otherwise", guard.Clock{Last: morning.Add(-time.Minute), Second: morning.Add(-day)}, 0},
	} {
		d := guard.Deletes(company(10).facts(crowd(over, "ou=a", 1)), c.clock)
		if len(d.Go) != c.goes || (d.Why == "") != (c.goes > 0) {
			t.Errorf("%s: %d go: %s", c.name, len(d.Go), d.Why)
		}
	}
}

// TestR10AStampBeyondItsMaximumIsDue: the clock was ahead when it was made.
func TestR10AStampBeyondItsMaximumIsDue(t *testing.T) {
	for wait, want := range map[time.Duration]bool{
		-time.Second: true, 0: true, time.Second: false, time.Hour: false, time.Hour + time.Second: true,
	} {
		if got := guard.Due(morning.Add(wait), morning, time.Hour); got != want {
			t.Errorf("in %s: %t", wait, got)
		}
	}
}

// What a state remembers that was put back to an older one closes, enables and deletes nobody without an operator.
func TestR01AStateThatWasPutBackHoldsEverybody(t *testing.T) {
	for _, cause := range []identity.Cause{identity.Deleted, identity.OutOfScope, identity.SecondFound} {
		one := identity.Leaver{
			Person: identity.PersonID{Directory: "corp", Anchor: "ann"}, Target: "wiki", Account: "7", UserName: "ann", Cause: cause,
			Strength: identity.ByAbsence,
		}
		f := guard.Facts{
			Now: time.Now(), Limits: guard.Default(), Leavers: []identity.Leaver{one},
			People: map[string]guard.Population{"corp": {Start: 1000, Now: 1000}}, Accounts: map[string]guard.Population{"wiki": {Start: 1000, Now: 1000}},
		}
		if d := guard.Decide(f); len(d.Go) != 1 {
			t.Errorf("%s: %+v without a doubt", cause, d)
		}
		f.Restored = "the state is older"
		for kind, d := range map[string]guard.Decision{"closed": guard.Decide(f), "enabled": guard.Enables(f)} {
			if len(d.Held) != 1 || len(d.Holds) != 1 || d.Holds[0].Reason != f.Restored {
				t.Errorf("%s: %s: %+v", cause, kind, d)
			}
		}
		if d := guard.Deletes(f, guard.Clock{Second: f.Now}); d.Why != f.Restored || len(d.Go) != 0 {
			t.Errorf("%s: deleted: %+v", cause, d)
		}
	}
}
