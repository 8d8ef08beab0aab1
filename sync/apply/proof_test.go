package apply_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// R8: enabling is read back as closing is.
func TestR08EnableIsReadBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer applytest.Answer
		err    error
		told   string
	}{
		{"done", applytest.Answer{}, nil, "enable done active"},
		{"the application says yes and does nothing", applytest.Answer{Hollow: true}, targets.ErrConflict, "enable failed inactive"},
		{"refused", applytest.Answer{Err: targets.ErrRejected}, targets.ErrRejected, "enable failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				off := account("1", "a", "a")
				off.Active = false
				d := newDesk(t, memory.New(), off)
				d.app.Always("enable", c.answer)
				r := d.x.Do(t.Context(), d.p, d.sweep(identity.Enable, d.link(alice, "1")))
				if !errors.Is(r.Err, c.err) || c.err == nil && r.Err != nil {
					t.Errorf("error %v, want %v", r.Err, c.err)
				}
				d.want("the trail", []string{c.told}, d.told())
			})
		})
	}
}

// R8: an account that is invisible after a write that takes nothing away is no success, gone or not.
func TestR08WhatVanishesUnderAnUpdateIsNotDone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		d.witness()
		link := d.link(alice, "1")
		d.app.Always("find", applytest.Answer{Hollow: true})
		d.app.Script("update", applytest.Answer{During: func() { d.app.About("account", "1", applytest.Answer{Err: targets.ErrNotFound}) }})
		job := d.sweep(identity.Update, link)
		job.Change.Delta = identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", Before: `"t"`}}}
		if r := d.x.Do(t.Context(), d.p, job); !errors.Is(r.Err, targets.ErrNotFound) || r.Seen != "" {
			t.Errorf("seen %q, error %v: want that it is not found", r.Seen, r.Err)
		}
		d.want("the link stays", identity.AccountID("1"), d.recorded(alice).Account)
	})
}

// S11: disabling and its proof ask for no group.
func TestS11DisablingReadsNoEntitlements(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, d.link(alice, "1"))); r.Err != nil {
		t.Fatal(r.Err)
	}
	if calls := d.app.Calls(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "entitlements") }) {
		t.Errorf("calls %q", calls)
	}
}

// A creation is told what of it was refused, and remembers what it granted.
func TestACreationRemembersWhatItWas(t *testing.T) {
	d := newDesk(t, memory.New())
	d.app.Refuse("title", "no titles here")
	job := creation()
	job.Want.Entitlements = identity.NamedEntitlements("g", "h")
	r := d.x.Do(t.Context(), d.p, job)
	if r.Err != nil || len(r.Refused) != 1 || r.Refused[0].Path != "title" {
		t.Errorf("%v, refused %v: want the title", r.Err, r.Refused)
	}
	d.want("granted", job.Want.Entitlements, r.Account.Entitlements)
	d.want("remembered", job.Want.Entitlements, d.recorded(alice).Entitlements)
	d.want("unmet", []string{"title"}, d.recorded(alice).Unmet)
}

// R9: no answer about an account is the target's trouble, and no reason to search for its person.
func TestR09NoAnswerIsNoAbsence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		d.witness()
		d.app.About("account", "1", unavailable)
		r := d.x.Look(t.Context(), d.p, d.sweep(identity.Disable, d.link(alice, "1")))
		var unproven *apply.UnprovenError
		if !errors.Is(r.Err, targets.ErrUnavailable) || errors.As(r.Err, &unproven) {
			t.Errorf("error %v: want that the target did not answer", r.Err)
		}
		if calls := d.app.Calls(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "find") }) {
			t.Errorf("calls %q: nobody is to be searched for", calls)
		}
	})
}

// R8, S9: a list that was not read to its end says nothing about who is not in it.
func TestR08HalfAListProvesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("0", "first", "z"))
		d.witness()
		link := d.link(alice, "1")
		d.app.About("account", "1", unavailable)
		closeIt := func() error { return d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)).Err }
		if closeIt() == nil {
			t.Fatal("closed without an answer")
		}
		for range d.p.Accounts(t.Context()) {
			break
		}
		if closeIt() == nil {
			t.Error("one account of a list proves that the others are not there")
		}
		d.app.Script("accounts", applytest.Answer{Err: targets.ErrIncomplete, Lost: true})
		var failed error
		for _, err := range d.p.Accounts(t.Context()) {
			failed = err
		}
		if !errors.Is(failed, targets.ErrIncomplete) {
			t.Errorf("a list that breaks off ends with %v", failed)
		}
		if closeIt() == nil {
			t.Error("a list that broke off proves that the others are not there")
		}
	})
}

// R20: what a call answers while everything is being stopped says nothing about the target.
func TestR20AStopSaysNothingOfTheTarget(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	d.app.Script("account", applytest.Answer{Err: targets.ErrUnauthorized, During: cancel})
	if _, err := d.p.Account(ctx, "1"); err == nil {
		t.Fatal("no error")
	}
	if err := d.p.Down(); err != nil {
		t.Errorf("the target is left alone: %v", err)
	}
}

// R8: which accounts are the person's second ones.
func TestR08Seconds(t *testing.T) {
	off := account("4", "a", "a")
	off.Active = false
	for _, c := range []struct {
		name  string
		there identity.Account
		want  bool
	}{
		{"the linked one", account("1", "a", "a"), false},
		{"made anew with the person's mark", account("2", "other", "a"), true},
		{"made anew by sign-in, without a mark", account("3", "a", ""), true},
		{"inactive", off, false},
		{"another's mark", account("5", "a", "b"), false},
		{"linked to another", account("6", "a", ""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, memory.New(), c.there)
			link := d.link(alice, "1")
			holder := d.link(bob, "6")
			holder.UserName, holder.ExternalID = "a", ""
			d.putLink(holder)
			seconds, err := d.x.Seconds(t.Context(), d.p, link)
			if err != nil || (len(seconds) == 1) != c.want {
				t.Errorf("%v, %v: want a second account: %t", seconds, err, c.want)
			}
		})
	}
}

// deaf is a memory that cannot be read.
type deaf struct{ apply.Memory }

func (deaf) Load(context.Context, string) (apply.Record, error) {
	return apply.Record{}, errors.New("disk")
}

// Without its memory a session would forget a pause that the application asked for.
func TestASessionWithoutItsMemoryBeginsNothing(t *testing.T) {
	app := applytest.New()
	s, err := apply.OpenSession(apply.SessionOptions{Target: "wiki", Memory: deaf{}}, app.PacedBy)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.Begin(t.Context()); err == nil || p != nil {
		t.Errorf("%v, %v: want an error", p, err)
	}
	if calls := app.Calls(); len(calls) > 0 {
		t.Errorf("calls %q", calls)
	}
}

// R9: a target that is left alone is not called at all.
func TestR09WhatIsLeftAloneIsNotCalled(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	why := errors.New("its credentials lapsed")
	d.p.Break(why)
	if _, err := d.p.Account(t.Context(), "1"); !errors.Is(err, why) {
		t.Errorf("error %v, want why it is left alone", err)
	}
	for _, err := range d.p.Accounts(t.Context()) {
		if !errors.Is(err, why) {
			t.Errorf("error %v of the list, want why it is left alone", err)
		}
	}
	if calls := d.app.Calls(); len(calls) > 0 {
		t.Errorf("calls %q", calls)
	}
}

// R8: where others are linked and cannot be read now, it is not the last account: closing it is tried again.
func TestR08AWitnessThatCannotBeReadIsStillOne(t *testing.T) {
	d := newDesk(t, memory.New())
	d.witness()
	d.app.Remove("w")
	r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, d.link(alice, "1")))
	var unproven *apply.UnprovenError
	if !errors.As(r.Err, &unproven) || unproven.Last {
		t.Errorf("%v: want that nothing is proven yet", r.Err)
	}
	if calls := d.app.Calls(); slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "find") }) {
		t.Errorf("calls %q: a search proves nothing without a witness", calls)
	}
}

// R8: who may be a witness.
func TestR08Witnesses(t *testing.T) {
	d := newDesk(t, memory.New())
	d.link(alice, "1")
	d.link(bob, "2")
	d.putLink(state.Link{Target: "wiki", Person: identity.PersonID{Directory: "corp", Anchor: "c"}, Account: "3", State: identity.LinkDisabled})
	d.putLink(state.Link{Target: "chat", Person: alice, Account: "4"})
	for except, want := range map[identity.AccountID][]identity.AccountID{"1": {"2"}, "2": {"1"}, "9": {"1", "2"}} {
		links, err := apply.LedgerMemory{Ledger: d.ledger}.Witnesses(t.Context(), "wiki", except, 5)
		if err != nil {
			t.Fatal(err)
		}
		var got []identity.AccountID
		for _, link := range links {
			got = append(got, link.Account)
		}
		d.want("but for "+string(except), want, got)
	}
	if links, err := (apply.LedgerMemory{Ledger: d.ledger}).Witnesses(t.Context(), "wiki", "", 1); err != nil || len(links) != 1 {
		t.Errorf("%v, %v: want one", links, err)
	}
}

// R4: who has left is closed, whatever is remembered of them.
func TestR04WhoHasLeftIsClosed(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	link := d.link(alice, "1")
	if err := d.ledger.Update(t.Context(), func(w *state.Writer) error { return w.PutPerson(state.Person{ID: alice, Name: "a"}) }); err != nil {
		t.Fatal(err)
	}
	if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err != nil || r.Seen != apply.SeenInactive {
		t.Errorf("seen %q, %v", r.Seen, r.Err)
	}
}

// R4, R16: during a pause nothing is begun, and so nothing is told as failed.
func TestNothingIsBegunDuringAPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		d.app.Script("account", applytest.Answer{Err: &targets.ThrottledError{RetryAfter: time.Hour, Err: errors.New("429")}})
		if _, err := d.p.Account(t.Context(), "1"); err == nil {
			t.Fatal("no pause")
		}
		if r := d.x.Do(t.Context(), d.p, creation()); !errors.Is(r.Err, apply.ErrPaused) {
			t.Errorf("error %v, want the pause", r.Err)
		}
		d.want("told", 0, len(d.told()))
		d.want("intents", 0, len(d.intents()))
	})
}

// R16: a trail that is gone takes the target out of the pass.
func TestR16ABrokenTrailEndsThePass(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	if err := os.Remove(d.path); err != nil {
		t.Fatal(err)
	}
	if r := d.x.Do(t.Context(), d.p, creation()); r.Err == nil || d.p.Down() == nil {
		t.Errorf("error %v, down %v: want that it goes no further", r.Err, d.p.Down())
	}
	d.want("writes", 0, len(d.writes()))
}

// R7: whether an account was made cannot be told where the application does not answer the search for it.
func TestR07AnUnansweredSearchSettlesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New())
		d.cutShort(change(identity.Create, alice, ""))
		d.app.Always("find", unavailable)
		if left := d.x.Recover(t.Context(), d.p, d.unfinished()); len(left) != 1 {
			t.Errorf("%d are left, want one", len(left))
		}
		d.want("intents", 1, len(d.intents()))
	})
}

// What the application's answer shows is not asked for again.
func TestAnUpdateIsReadOnce(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	job := d.sweep(identity.Update, d.link(alice, "1"))
	job.Change.Delta = identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", Before: `"t"`, After: `"u"`}}}
	if r := d.x.Do(t.Context(), d.p, job); r.Err != nil {
		t.Fatal(r.Err)
	}
	d.want("calls", []string{"account 1", "update 1"}, d.app.Calls())
}

// TestR21AnUpdateThatChangedNothingIsTold: an application that answers well and leaves a value as it was has refused it.
// What it makes of a value is its own matter.
func TestR21AnUpdateThatChangedNothingIsTold(t *testing.T) {
	update := func(d *desk, before, after identity.Value) apply.Result {
		job := d.sweep(identity.Update, d.link(alice, "1"))
		job.Change.Delta = identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", Before: before, After: after}}}
		return d.x.Do(t.Context(), d.p, job)
	}
	have := account("1", "a", "a")
	have.Attributes = map[string]identity.Value{"title": `"t"`}

	d := newDesk(t, memory.New(), have)
	d.app.Ignore("title")
	r := update(d, `"t"`, `"u"`)
	if r.Err != nil || len(r.Refused) != 1 || r.Refused[0].Path != "title" {
		t.Errorf("as before: %v, refused %+v", r.Err, r.Refused)
	}
	d.want("unmet", []string{"title"}, d.recorded(alice).Unmet)

	d = newDesk(t, memory.New(), have)
	d.app.Ignore("title")
	if r := update(d, `"s"`, `"u"`); r.Err != nil || len(r.Refused) != 0 {
		t.Errorf("something else than before: %v, refused %+v", r.Err, r.Refused)
	}
}

// A telling target says as whom it is signed in to, or does not.
type telling struct {
	*applytest.Target
	own targets.Own
}

func (t telling) Begin(ctx context.Context) (targets.Pass, error) {
	_, err := t.Target.Begin(ctx)
	return t, err
}

func (t telling) Own(context.Context) (targets.Own, error) { return t.own, nil }

// TestR05WhoIsSignedIn: the account that a target is signed in to as is known by its identifier or its name, and nobody
// is where it does not tell.
func TestR05WhoIsSignedIn(t *testing.T) {
	for _, own := range []targets.Own{{}, {ID: "7", UserName: "svc"}, {UserName: "svc"}} {
		app := applytest.New()
		s, err := apply.OpenSession(
			apply.SessionOptions{Target: "wiki", Memory: apply.LedgerMemory{Ledger: state.NewLedger(memory.New())}},
			func(func(context.Context) error) (targets.Target, error) { return telling{app, own}, nil },
		)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := identity.Own{}
		if own.UserName != "" {
			want = identity.Own{Target: "wiki", ID: own.ID, Name: own.UserName}
		}
		if got := p.Own(t.Context()); got != want {
			t.Errorf("%+v: %+v, want %+v", own, got, want)
		}
	}
}

// TestR07WhatIsLeftOpenIsUnderWayNoMore: a change that could not be written down is for whoever recovers, not for ever
// its beginner's.
func TestR07WhatIsLeftOpenIsUnderWayNoMore(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	job := d.sweep(identity.Disable, d.link(alice, "1"))
	d.app.Always("disable", applytest.Answer{During: func() {
		for _, intent := range d.intents() {
			if !d.x.InFlight.UnderWay(intent) {
				t.Error("under way, and for anybody to recover")
			}
		}
		_ = d.trail.Close() // nothing can be told any more
	}})
	if r := d.x.Do(t.Context(), d.p, job); r.Err == nil {
		t.Fatal("settled without a trail")
	}
	open := d.intents()
	d.want("intents", 1, len(open))
	if d.x.InFlight.UnderWay(open[0]) {
		t.Error("left open, and nobody may recover it")
	}
}

// TestR05ANameThatWasAskedForIsKnown: a rename without an answer leaves the account under its old name or under its new
// one; it is the person's by both.
func TestR05ANameThatWasAskedForIsKnown(t *testing.T) {
	link := state.Link{Account: "1", UserName: "old", AskedName: "new"}
	for name, bears := range map[string]bool{"old": true, "NEW": true, "other": false} {
		if got := apply.Bears(link, identity.Account{ID: "1", UserName: name}); got != bears {
			t.Errorf("%s: %t", name, got)
		}
	}
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), identity.Account{ID: "1", UserName: "old", Active: true})
		had := d.link(alice, "1")
		had.UserName, had.ExternalID = "old", ""
		d.putLink(had)
		d.app.Always("update", applytest.Answer{Err: targets.ErrUnavailable, During: func() {
			d.want("while it is under way", "new", d.recorded(alice).AskedName)
		}})
		rename := identity.Delta{Attributes: []identity.AttributeChange{{Path: "userName", Before: `"old"`, After: `"new"`}}}
		r := d.x.Do(t.Context(), d.p, apply.Job{
			Change: identity.Change{Op: identity.Update, Target: "wiki", Person: alice, Account: "1", UserName: "old", Delta: rename},
			Have:   identity.Account{ID: "1", UserName: "old", Active: true}, Link: had,
		})
		if r.Err == nil || d.recorded(alice).AskedName != "new" {
			t.Errorf("%v, and on record is %+v", r.Err, d.recorded(alice))
		}
	})
}

// TestR08AnAccountIsLookedForByTheNameThatWasAskedFor: where a rename had no answer, the person's account under another
// identifier may bear either name.
func TestR08AnAccountIsLookedForByTheNameThatWasAskedFor(t *testing.T) {
	d := newDesk(t, memory.New(), identity.Account{ID: "2", UserName: "new", Active: true})
	had := d.link(alice, "1")
	had.UserName, had.AskedName, had.ExternalID = "old", "new", ""
	seconds, err := d.x.Seconds(t.Context(), d.p, had)
	if err != nil || len(seconds) != 1 || seconds[0].ID != "2" {
		t.Errorf("%v, %v", seconds, err)
	}
}
