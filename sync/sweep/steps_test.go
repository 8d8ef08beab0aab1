package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// R10: what somebody else had disabled is not disabled by dirsweep, whatever it takes away besides.
func TestR10WhatSomebodyElseDisabledIsNotOurs(t *testing.T) {
	d := newDesk(t, inactive("g"))
	policy := strict
	policy.DeleteAfter = month
	got := sweep.Close(t.Context(), d.x, d.p, d.leaver(policy, identity.LinkActive, time.Time{}))
	if got.Err != nil || !got.Proven || !got.Delete.IsZero() {
		t.Errorf("%+v: it is closed, and no grace begins", got)
	}
	if err := d.ledger.View(t.Context(), func(r *state.Reader) error {
		link, _, err := r.Link("wiki", alice)
		if !link.Disabled.IsZero() || link.State != identity.LinkDisabled {
			t.Errorf("link %s since %s: it is disabled, and not by us", link.State, link.Disabled)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// R10: an account that dirsweep disabled and that was seen active since is dirsweep's to delete only once it has
// disabled it again, and then after a grace of its own; also where that was cut short.
func TestR10WhatWasSeenActiveSinceIsNotOurs(t *testing.T) {
	before := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)
	policy := strict
	policy.DeleteAfter = month
	t.Run("disabled again by somebody else", func(t *testing.T) {
		d := newDesk(t, inactive())
		a := d.leaver(policy, identity.LinkDisabled, before)
		a.Link.Opened = true
		if deleted := sweep.Delete(t.Context(), d.x, d.p, a); !errors.Is(deleted.Err, targets.ErrRejected) {
			t.Errorf("deleted: %+v", deleted)
		}
		closed := sweep.Close(t.Context(), d.x, d.p, a)
		link := d.recorded()
		if !closed.Proven || !closed.Delete.IsZero() || !link.Disabled.IsZero() || link.Opened || link.OwnDisable() {
			t.Errorf("%+v, %+v: no grace goes on", closed, link)
		}
	})
	t.Run("disabled again by dirsweep, which was cut short", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, active())
			a := d.leaver(policy, identity.LinkDisabled, before)
			ctx, cancel := context.WithCancel(t.Context())
			d.app.Script("disable", applytest.Answer{Err: context.Canceled, During: func() { d.app.Put(inactive()); cancel() }})
			if closed := sweep.Close(ctx, d.x, d.p, a); closed.Err == nil || !d.recorded().Opened {
				t.Fatalf("%+v, %+v: that it was active is remembered before it is disabled", closed, d.recorded())
			}
			a.Link = d.recorded()
			closed := sweep.Close(t.Context(), d.x, d.p, a)
			link, grace := d.recorded(), time.Now().Add(month)
			if !closed.Proven || !closed.Delete.Equal(grace) || link.Opened || !link.OwnDisable() {
				t.Errorf("%+v, %+v: grace begins anew", closed, link)
			}
		})
	})
}

// D7: a target that could not be searched for somebody's accounts is searched again; what it answers by then is not
// closed as an account.
func TestR08ASearchThatIsOwedIsMade(t *testing.T) {
	r := newRound(t)
	var searched []string
	answer := errors.New("503")
	r.sweeper = sweep.NewSweeper(sweep.Options{
		Target: "wiki", Books: r.books, Closer: r.target, Log: hclog.NewNullLogger(), Now: func() time.Time { return r.now },
		Rules: func() sweep.Rules { return r.rules },
		Search: func(_ context.Context, c state.Case) error {
			searched = append(searched, c.Name)
			return answer
		},
	})
	if err := r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
		return w.PutCase(state.Case{
			Person: identity.PersonID{Directory: "corp", Anchor: "of "}, Name: "ann", Cause: identity.Emergency, Left: noon,
			Steps: []state.Step{{Target: "wiki", Status: state.StepOpen, Left: noon}},
		})
	}); err != nil {
		t.Fatal(err)
	}
	if calls := r.drain(sweep.Selection{}); calls != "" || len(searched) != 1 {
		t.Errorf("calls %q, searched for %q: want one search alone", calls, searched)
	}
	if got := r.reads(""); got != "open 1 next 30s delete never" {
		t.Errorf("the step reads %q", got)
	}
}

// R11: often within a day, seldom within a month or while it waits to be deleted; what is gone is not there to be
// looked at.
func TestR11WhenAClosedAccountIsLookedAt(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		seen   string
		age    time.Duration
		delete bool
		want   time.Duration // from now; 0 for never
	}{
		{"inactive", 0, false, time.Minute},
		{"inactive", day - time.Second, false, time.Minute},
		{"hidden", day - time.Second, false, time.Minute},
		{"inactive", day, false, time.Hour},
		{"inactive", 30*day - time.Second, false, time.Hour},
		{"inactive", 30 * day, false, 0},
		{"inactive", 300 * day, true, time.Hour},
		{"gone", 0, false, 0},
		{"gone", 0, true, 0},
	} {
		step := state.Step{Seen: c.seen, At: noon.Add(-c.age)}
		if c.delete {
			step.Delete = noon.Add(day)
		}
		want := time.Time{}
		if c.want > 0 {
			want = noon.Add(c.want)
		}
		if got := sweep.NextLook(step, noon); !got.Equal(want) {
			t.Errorf("%s for %s, to be deleted %t: next look %s, want %s", c.seen, c.age, c.delete, got, want)
		}
	}
}

// again is a target that has everything due tried once more while it closes an account.
type again struct {
	*closer
	drain func()
}

func (c again) Close(ctx context.Context, a sweep.Account) sweep.Closed {
	closed := c.closer.Close(ctx, a)
	if len(c.calls) == 1 {
		c.drain()
	}
	return closed
}

// S4: one operation at a time on one account.
func TestS4OneCloserOfAnAccount(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 0))
	r.target.closed["1"] = r.proven("inactive", time.Time{})
	r.rules.Parallel = 2 // so that a second one would have a place
	target := again{closer: r.target, drain: func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // a second closer would wait for the first, and that for it
		defer cancel()
		if _, err := r.sweeper.Drain(ctx, sweep.Selection{Now: true}); err != nil {
			t.Error(err)
		}
	}}
	r.sweeper = sweep.NewSweeper(sweep.Options{
		Target: "wiki", Books: r.books, Closer: target, Log: hclog.NewNullLogger(), Now: func() time.Time { return r.now },
		Rules: func() sweep.Rules { return r.rules },
	})
	if calls := r.drain(sweep.Selection{}); calls != "close 1" {
		t.Errorf("calls %q: the account is being closed already", calls)
	}
}

// S4: what was withdrawn since a round began is not done.
func TestS4WhatWasWithdrawnIsNotDone(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 0))
	r.step(open("2", 0))
	withdraw := func(anchor string) error {
		return r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
			_, err := sweep.Return(w, identity.PersonID{Directory: "corp", Anchor: anchor}, "wiki", "back", noon)
			return err
		})
	}
	r.target.during = func() {
		if err := errors.Join(withdraw("of 1"), withdraw("of 2")); err != nil {
			t.Error(err)
		}
	}
	if calls := r.drain(sweep.Selection{}); calls != "close 1" && calls != "close 2" {
		t.Errorf("calls %q: both are back while the first is closed", calls)
	}
	if calls := r.drain(sweep.Selection{Now: true}); calls != "" {
		t.Errorf("calls %q after both are back", calls)
	}
}

// S13: one round holds a thousand cases, and the next does the rest.
func TestS13ARoundIsBounded(t *testing.T) {
	r := newRound(t)
	const most = 1000
	if err := r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
		for n := range most + 1 {
			s := state.Step{Target: "wiki", Account: identity.AccountID(fmt.Sprint(n)), Status: state.StepReported, Left: noon}
			if s.Status = state.StepOpen; n == 0 {
				s.Attempts = 1
			}
			id := identity.PersonID{Directory: "corp", Anchor: fmt.Sprint(n)}
			if err := w.PutCase(state.Case{Person: id, Cause: identity.Deleted, Left: noon, Steps: []state.Step{s}}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r.rules.Policy.Action = sweep.ActionReport // what is due costs no call
	for _, want := range []int{1, 0} {
		if _, err := r.sweeper.Drain(t.Context(), sweep.Selection{}); err != nil {
			t.Fatal(err)
		}
		left := 0
		if err := r.books.Ledger.View(t.Context(), func(v *state.Reader) error {
			for _, err := range v.Due("wiki") {
				if err != nil {
					return err
				}
				left++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if left != want {
			t.Errorf("%d are due after a round, want %d", left, want)
		}
	}
}

// An operator's order is noted on a case that was open for another cause; no other cause takes an order's place.
func TestAnOrderIsNotedOnACaseThatIsOpen(t *testing.T) {
	b := newBook(t)
	owe := func(cause identity.Cause) {
		b.write(func(w *state.Writer) error {
			c := state.Case{Person: alice, Name: "alice", Cause: cause, Left: at(0)}
			return sweep.Owe(w, c, state.Step{Target: "wiki", Account: "1", Status: state.StepOpen, At: at(0)})
		})
	}
	for _, c := range []struct{ next, want identity.Cause }{
		{identity.Moved, identity.Moved},
		{identity.Deleted, identity.Moved},
		{identity.Emergency, identity.Emergency},
		{identity.Deleted, identity.Emergency},
	} {
		owe(c.next)
		if err := b.ledger.View(t.Context(), func(r *state.Reader) error {
			known, _, err := r.Case(alice)
			if known.Cause != c.want {
				t.Errorf("after %s the case is %s, want %s", c.next, known.Cause, c.want)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// R19: how long a closing took counts from the leaving, not from the attempt that succeeded.
func TestR19ClosingIsTimedFromTheLeaving(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 3))
	r.now = noon.Add(90 * time.Second)
	r.target.closed["1"] = r.proven("inactive", time.Time{})
	did, err := r.sweeper.Drain(t.Context(), sweep.Selection{})
	if err != nil || len(did.Closed) != 1 || did.Closed[0].Took != 90*time.Second {
		t.Errorf("%+v, %v: want one closed in 90 s", did.Closed, err)
	}
}

// S4: what is done about one account of a person may link another, so that the second waits for the first; accounts of
// others do not.
func TestS4OneAccountOfAPersonAtATime(t *testing.T) {
	r := newRound(t)
	first, second := open("1", 0), open("2", 0)
	first.Target, second.Target = "wiki", "wiki"
	err := r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
		return w.PutCase(state.Case{Person: alice, Cause: identity.Deleted, Left: noon, Steps: []state.Step{first, second}})
	})
	if err != nil {
		t.Fatal(err)
	}
	r.step(open("3", 0))
	r.rules.Parallel = 6
	var mu sync.Mutex
	under, others := 0, make(chan struct{})
	r.target.proof = func(ctx context.Context, account identity.AccountID) {
		if account == "3" {
			close(others)
			return
		}
		mu.Lock()
		under++
		if under > 1 {
			t.Error("two accounts of one person are closed at once")
		}
		mu.Unlock()
		<-others // somebody else's is not kept waiting
		mu.Lock()
		under--
		mu.Unlock()
	}
	r.sweeper = sweep.NewSweeper(sweep.Options{
		Target: "wiki", Books: r.books, Closer: r.target, Log: hclog.NewNullLogger(), Now: func() time.Time { return r.now },
		Rules: func() sweep.Rules { return r.rules },
	})
	calls := strings.Split(r.drain(sweep.Selection{}), ", ")
	if slices.Sort(calls); !slices.Equal(calls, []string{"close 1", "close 2", "close 3"}) {
		t.Errorf("calls %q", calls)
	}
}

// A linker links its person to the other account while it closes the first one, and keeps the links that it was given.
type linker struct {
	*closer
	link  func(identity.AccountID)
	given map[identity.AccountID]state.Link
}

func (c *linker) Close(ctx context.Context, a sweep.Account) sweep.Closed {
	if len(c.given) == 0 {
		c.link(map[identity.AccountID]identity.AccountID{"1": "2", "2": "1"}[a.Change.Account])
	}
	c.given[a.Change.Account] = a.Link
	return c.closer.Close(ctx, a)
}

// S4: an account that came to be linked while another of its person was closed is closed as the link says.
func TestS4AStepHasTheLinkOfNow(t *testing.T) {
	r := newRound(t)
	first, second := open("1", 0), open("2", 0)
	first.Target, second.Target = "wiki", "wiki"
	update := func(fn func(*state.Writer) error) {
		t.Helper()
		if err := r.books.Ledger.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	update(func(w *state.Writer) error {
		return w.PutCase(state.Case{Person: alice, Cause: identity.Deleted, Left: noon, Steps: []state.Step{first, second}})
	})
	var linked identity.AccountID
	link := func(account identity.AccountID) {
		linked = account
		update(func(w *state.Writer) error {
			return w.PutLink(state.Link{
				Target: "wiki", Person: alice, Account: account, Entitlements: identity.NamedEntitlements("g"),
			})
		})
	}
	target := &linker{closer: r.target, given: map[identity.AccountID]state.Link{}, link: link}
	r.sweeper = sweep.NewSweeper(sweep.Options{
		Target: "wiki", Books: r.books, Closer: target, Log: hclog.NewNullLogger(), Now: func() time.Time { return r.now },
		Rules: func() sweep.Rules { return r.rules },
	})
	r.drain(sweep.Selection{})
	if got := target.given[linked]; got.Account != linked || len(got.Entitlements) != 1 {
		t.Errorf("it is closed with %+v", target.given)
	}
}

// R10: an account that was enabled again, and is closed the second time without an answer, has a grace of its own.
func TestR10GraceBeginsAnewForWhatWasEnabledAgain(t *testing.T) {
	r := newRound(t)
	r.rules.Policy.DeleteAfter = month
	r.step(closed("1", noon, noon, noon.Add(month)))
	r.now = noon.Add(month - time.Hour)
	r.target.seen["1"] = "active"
	r.target.closed["1"] = sweep.Closed{Err: targets.ErrUnavailable}
	if calls := r.drain(sweep.Selection{}); calls != "look 1, close 1" {
		t.Fatalf("calls %q", calls)
	}
	link := r.link("1")
	if link.State != identity.LinkActive || !link.Disabled.IsZero() {
		t.Errorf("it is on record as disabled %s (%s)", link.Disabled, link.State)
	}
}

// ended is that sessions were ended, which nothing shows.
var ended = state.Finish{Name: "sessions", Status: state.FinishSent, At: noon}

// R17: whether sessions were ended cannot be read, so it is remembered: of an account that stays inactive they are
// ended once, whatever else keeps its step open.
func TestR17SessionsAreEndedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name   string
			there  identity.Account
			ended  bool
			writes string
		}{
			{"the first attempt", active(), false, "disable 1, sessions 1"},
			{"inactive, and nobody ended them", inactive(), false, "sessions 1"},
			{"inactive, and they were ended", inactive(), true, ""},
			{"enabled since they were ended", active(), true, "disable 1, sessions 1"},
		} {
			d := newDesk(t, c.there)
			a := d.leaver(sweep.Policy{Action: sweep.ActionDisable, Revoke: true}, identity.LinkActive, time.Time{})
			if c.ended {
				a.Finishes = []state.Finish{ended}
			}
			if closed := sweep.Close(t.Context(), d.x, d.p, a); closed.Err != nil || !closed.Proven {
				t.Errorf("%s: %+v", c.name, closed)
			}
			if got := d.writes(); got != c.writes {
				t.Errorf("%s: writes %q, want %q", c.name, got, c.writes)
			}
		}
	})
}

// R17: that sessions were ended is on record with a failed attempt too, and not after the account was enabled again.
func TestR17ThatSessionsWereEndedIsRemembered(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 0))
	r.target.closed["1"] = sweep.Closed{Err: errors.New("a second account"), Finishes: []state.Finish{ended}}
	r.drain(sweep.Selection{})
	if len(r.stepOf("1").Finishes) != 1 {
		t.Error("it is forgotten")
	}
	two := closed("2", noon, noon, time.Time{})
	two.Finishes = []state.Finish{ended}
	r.step(two)
	r.target.seen["2"] = "active"
	r.target.closed["2"] = sweep.Closed{Err: targets.ErrUnavailable}
	r.drain(sweep.Selection{})
	if len(r.stepOf("2").Finishes) > 0 {
		t.Error("it counts for the sessions of an account that was enabled again")
	}
}

// R11: an account of somebody who had no link is linked before it is closed: what is asked for and not answered is
// known as dirsweep's own doing.
func TestR11WhatIsAskedOfAnAccountThatWasFoundIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, active())
		d.app.Always("disable", applytest.Answer{Err: targets.ErrUnavailable})
		a := sweep.Account{Policy: sweep.Policy{Action: sweep.ActionDisable}, Change: identity.Change{
			Cause: identity.Emergency, Target: "wiki", Person: alice, Name: "alice", Account: "1", UserName: "alice",
		}}
		if closed := sweep.Close(t.Context(), d.x, d.p, a); closed.Err == nil {
			t.Fatalf("nothing was answered: %+v", closed)
		}
		if link := d.recorded(); link.Account != "1" || link.Asked.IsZero() {
			t.Errorf("%+v", link)
		}
	})
}

// R14: who was back, and is held as a leaver since, has not left again yet: an account of theirs that is found active
// is a new departure until closing it is accepted.
func TestR14WhoIsHeldHasNotLeftAgainYet(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []state.StepStatus
		rule     string
		returned bool
		state    identity.LinkState
	}{
		{"held", []state.StepStatus{state.StepHeld}, "config.hcl:1", true, identity.LinkDisabled},
		{"kept", []state.StepStatus{state.StepHeld, state.StepKept}, "config.hcl:1", true, identity.LinkDisabled},
		{"approved", []state.StepStatus{state.StepHeld, state.StepOpen}, "config.hcl:1", false, identity.LinkDisabled},
		{"accepted at once", []state.StepStatus{state.StepOpen}, "config.hcl:1", false, identity.LinkDisabled},
		{"held, and seen active", []state.StepStatus{state.StepHeld}, "R11", false, identity.LinkActive},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRound(t)
			r.step(closed("1", noon, noon, noon.Add(month)))
			link := r.link("1")
			link.Returned = true
			err := r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
				if err := w.PutLink(link); err != nil {
					return err
				}
				for _, status := range c.statuses {
					kase := state.Case{Person: link.Person, Cause: identity.ConfigEdited, Left: noon}
					step := state.Step{Target: "wiki", Account: "1", UserName: "user1", Status: status, At: noon, Rule: c.rule}
					if err := sweep.Owe(w, kase, step); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if now := r.link("1"); now.Returned != c.returned || now.State != c.state {
				t.Errorf("returned %t, %s", now.Returned, now.State)
			}
		})
	}
}

// R11: what is proven of one who is where they should be again is not watched any more: whoever enables it may. The
// steps of others, and at other targets, stay.
func TestR11WhoIsBackIsNotWatched(t *testing.T) {
	for _, c := range []struct {
		name string
		step state.Step
		back bool
		want string // status, watched, to be deleted

		ordered bool // closed, by an order that came since they were judged
	}{
		{"open, back", open("1", 2), true, "none", false},
		{"open, back, and ordered closed", open("1", 2), true, "open false false", true},
		{"closed, back, and ordered closed", closed("1", noon, noon.Add(time.Minute), time.Time{}), true, "proven true false", true},
		{"open, away", open("1", 2), false, "open false false", false},
		{"closed, back", closed("1", noon, noon.Add(time.Minute), time.Time{}), true, "proven false false", false},
		{"closed, away", closed("1", noon, noon.Add(time.Minute), time.Time{}), false, "proven true false", false},
		{"to be deleted, back", closed("1", noon, noon.Add(time.Minute), noon.Add(month)), true, "proven false false", false},
		{"to be deleted, away", closed("1", noon, noon.Add(time.Minute), noon.Add(month)), false, "proven true true", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRound(t)
			r.step(c.step)
			if c.ordered {
				err := r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
					return w.PutClosure(state.Closure{Person: r.link("1").Person, At: noon})
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			back := func(identity.PersonID, string) bool { return c.back }
			if err := r.books.Forgive(t.Context(), back, noon); err != nil {
				t.Fatal(err)
			}
			got := "none"
			if s := r.stepOf("1"); s.Status != "" {
				got = fmt.Sprintf("%s %t %t", s.Status, !s.Next.IsZero(), !s.Delete.IsZero())
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// R11: a step that is taken off a case is that one: an account that became somebody else's says nothing of the others.
func TestR11OneStepIsTakenOff(t *testing.T) {
	r := newRound(t)
	mine, other := open("1", 0), closed("2", noon, noon, time.Time{})
	mine.Target, other.Target = "wiki", "wiki"
	err := r.books.Ledger.Update(t.Context(), func(w *state.Writer) error {
		bobs := state.Link{Target: "wiki", Person: identity.PersonID{Directory: "corp", Anchor: "b"}, Account: "1"}
		return errors.Join(
			w.PutCase(state.Case{Person: alice, Cause: identity.Deleted, Left: noon, Steps: []state.Step{mine, other}}), w.PutLink(bobs))
	})
	if err != nil {
		t.Fatal(err)
	}
	r.target.seen["2"] = "inactive"
	if calls := r.drain(sweep.Selection{}); calls != "look 2" {
		t.Errorf("calls %q: account 1 is somebody else's now", calls)
	}
	err = r.books.Ledger.View(t.Context(), func(v *state.Reader) error {
		c, _, err := v.Case(alice)
		if len(c.Steps) != 1 || c.Steps[0].Account != "2" {
			t.Errorf("left of the case: %+v", c.Steps)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// R21: what nothing proves is no closing that a pass may report.
func TestR21WhatIsNotProvenIsNotReportedClosed(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 0))
	r.target.closed["1"] = sweep.Closed{Why: "no witness", Ops: []identity.Op{identity.Disable}}
	did, err := r.sweeper.Drain(t.Context(), sweep.Selection{})
	if err != nil || len(did.Closed) != 0 || len(did.Ops) != 1 {
		t.Errorf("%+v, %v: want one operation and nothing closed", did, err)
	}
}
