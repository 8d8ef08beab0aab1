package apply_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

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
