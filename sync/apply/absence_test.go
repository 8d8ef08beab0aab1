package apply_test

import (
	"errors"
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

// R8: an account that cannot be read is gone, hidden or neither.
func TestR08Absence(t *testing.T) {
	proven := apply.Facts{Account: "1", ExternalID: "a", Own: true, Witness: apply.WitnessRead, Searched: true}
	with := func(change func(*apply.Facts)) apply.Facts {
		f := proven
		change(&f)
		return f
	}
	hit := func(id identity.AccountID, externalID string, active, linked bool) func(*apply.Facts) {
		return func(f *apply.Facts) {
			f.Hits = append(f.Hits, apply.Hit{Account: identity.Account{ID: id, ExternalID: externalID, Active: active}, Linked: linked})
		}
	}
	for _, c := range []struct {
		name   string
		facts  apply.Facts
		seen   string
		second identity.AccountID
		last   bool
	}{
		{"its own word, a witness, nobody found", proven, apply.SeenGone, "", false},
		{"a list that lacks it is as good as its word", with(func(f *apply.Facts) { f.Own, f.Unlisted = false, true }), apply.SeenGone, "", false},
		{"neither", with(func(f *apply.Facts) { f.Own = false }), "", "", false},
		{"no other account is linked", with(func(f *apply.Facts) { f.Witness = apply.WitnessNone }), "", "", true},
		{"no other account can be read", with(func(f *apply.Facts) { f.Witness = apply.WitnessLost }), "", "", false},
		{"others are refused too", with(func(f *apply.Facts) { f.Witness = apply.WitnessRefused }), "", "", false},
		{"nobody was asked for the person", with(func(f *apply.Facts) { f.Searched = false }), "", "", false},
		{"made anew by sign-in: no mark", with(hit("2", "", true, false)), "", "2", false},
		{"made anew with the person's mark", with(hit("2", "a", true, false)), "", "2", false},
		{"the login is another's: their mark", with(hit("2", "b", true, false)), apply.SeenGone, "", false},
		{"the login is another's: linked to them", with(hit("2", "", true, true)), apply.SeenGone, "", false},
		{"a second one that is inactive", with(hit("2", "a", false, false)), apply.SeenGone, "", false},
		{"a search still finds it active", with(hit("1", "a", true, false)), "", "", false},
		{"a search finds it inactive", with(hit("1", "a", false, false)), apply.SeenInactive, "", false},
		{"it was active, and we disabled it", with(func(f *apply.Facts) { f.Disabled = true }), apply.SeenHidden, "", false},
		{"we deleted it", with(func(f *apply.Facts) { f.Disabled, f.Deleted = true, true }), apply.SeenGone, "", false},
		{"hidden, with a second", with(func(f *apply.Facts) {
			f.Disabled = true
			hit("2", "", true, false)(f)
		}), "", "2", false},
		{"hidden, and no witness", with(func(f *apply.Facts) { f.Disabled, f.Witness = true, apply.WitnessNone }), "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := apply.Absence(c.facts)
			if v.Seen != c.seen || v.Last != c.last || (v.Second != nil) != (c.second != "") || v.Second != nil && v.Second.ID != c.second {
				t.Errorf("%+v, want %q, %q", v, c.seen, c.second)
			}
			if v.Seen == "" && v.Why == "" {
				t.Error("nothing is proven, and nothing says why")
			}
		})
	}
}

// R5: the account read is the account linked.
func TestR05Bears(t *testing.T) {
	link := state.Link{Account: "1", UserName: "Alice", ExternalID: "a"}
	for _, c := range []struct {
		name string
		link state.Link
		have identity.Account
		want bool
	}{
		{"itself", link, identity.Account{ID: "1", UserName: "alice", ExternalID: "a"}, true},
		{"renamed, its mark is there", link, identity.Account{ID: "1", UserName: "alicia", ExternalID: "a"}, true},
		{"another's mark, under its name", link, identity.Account{ID: "1", UserName: "alice", ExternalID: "b"}, false},
		{"its mark was taken away", link, identity.Account{ID: "1", UserName: "ALICE"}, true},
		{"no mark, another name", link, identity.Account{ID: "1", UserName: "bob"}, false},
		{"another identifier", link, identity.Account{ID: "2", UserName: "alice", ExternalID: "a"}, false},
		{"no mark was recorded: by name", state.Link{Account: "1", UserName: "alice"}, identity.Account{ID: "1", UserName: "alice", ExternalID: "x"}, true},
		{"no mark was recorded: another name", state.Link{Account: "1", UserName: "alice"}, identity.Account{ID: "1", UserName: "bob", ExternalID: "x"}, false},
		{"composed otherwise (Unicode)", state.Link{Account: "1", UserName: "zo\u00eb"}, identity.Account{ID: "1", UserName: "zoe\u0308"}, true},
		{"nothing is known but the identifier", state.Link{Account: "1"}, identity.Account{ID: "1", UserName: "bob"}, true},
	} {
		if got := apply.Bears(c.link, c.have); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// R5: nothing is written to an identifier that names somebody else now, whatever the change.
func TestR05AnIdentifierThatNamesSomebodyElse(t *testing.T) {
	for _, op := range []identity.Op{identity.Disable, identity.Finish, identity.Strip, identity.Delete, identity.Enable, identity.Update} {
		t.Run(string(op), func(t *testing.T) {
			d := newDesk(t, memory.New(), account("1", "stranger", "hand"))
			link := d.link(alice, "1")
			job := d.sweep(op, link)
			job.Change.Delta = identity.Delta{Withdraw: identity.NamedEntitlements("g")}
			r := d.x.Do(t.Context(), d.p, job)
			var disputed *apply.IdentityError
			if !errors.As(r.Err, &disputed) || disputed.Now.UserName != "stranger" || !strings.Contains(r.Err.Error(), "stranger") {
				t.Errorf("%v", r.Err)
			}
			d.want("writes", 0, len(d.writes()))
			d.want("intents", 0, len(d.intents()))
			d.want("recorded", link, d.recorded(alice))
		})
	}
	t.Run("only after the write", func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		link := d.link(alice, "1")
		d.app.Script("disable", applytest.Answer{During: func() { d.app.Put(account("1", "stranger", "hand")) }})
		r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link))
		var disputed *apply.IdentityError
		if !errors.As(r.Err, &disputed) {
			t.Errorf("%+v", r)
		}
		d.want("recorded", identity.LinkActive, d.recorded(alice).State)
	})
}

// R8: gone is not what one answer says.
func TestR08GoneIsProven(t *testing.T) {
	notFound := applytest.Answer{Err: targets.ErrNotFound}
	for _, c := range []struct {
		name    string
		witness bool
		script  func(d *desk)
		seen    string
		err     any // pointer to the error's type; nil for none
	}{
		{"an honest answer", true, func(d *desk) { d.app.Remove("1") }, apply.SeenGone, nil},
		{"no other account is linked", false, func(d *desk) { d.app.Remove("1") }, "", new(*apply.UnprovenError)},
		{"everybody is gone", true, func(d *desk) { d.app.Always("account", notFound) }, "", new(*apply.UnprovenError)},
		{"it is there under another identifier", true, func(d *desk) {
			d.app.Remove("1")
			d.app.Put(account("9", "renamed", "a"))
		}, "", new(*apply.SecondError)},
		{"it was made anew by sign-in", true, func(d *desk) {
			d.app.Remove("1")
			d.app.Put(account("9", "a", ""))
		}, "", new(*apply.SecondError)},
		{"it is still found", true, func(d *desk) { d.app.About("account", "1", notFound) }, "", new(*apply.UnprovenError)},
		{"the search is not answered", true, func(d *desk) {
			d.app.Remove("1")
			d.app.Always("find", unavailable)
		}, "", new(*apply.UnprovenError)},
		{"something in front says so", true, func(d *desk) { d.app.About("account", "1", unavailable) }, "", new(*apply.UnprovenError)},
		{"the target is held", true, func(d *desk) {
			d.app.Remove("1")
			hold := identity.Hold{Digest: "d", Kind: identity.HoldShrink, Target: "wiki"}
			if err := d.ledger.Update(d.t.Context(), func(w *state.Writer) error { return w.PutHold(hold) }); err != nil {
				d.t.Fatal(err)
			}
		}, "", new(*apply.UnprovenError)},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, memory.New(), account("1", "a", "a"))
				if c.witness {
					d.witness()
				}
				link := d.link(alice, "1")
				c.script(d)
				r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link))
				unreadable := c.name == "something in front says so" && errors.Is(r.Err, targets.ErrUnavailable)
				if r.Seen != c.seen || (c.err == nil) != (r.Err == nil) || c.err != nil && !errors.As(r.Err, c.err) && !unreadable {
					t.Errorf("seen %q, %v", r.Seen, r.Err)
				}
				d.want("the link is kept", c.seen != apply.SeenGone, d.recorded(alice).Account == "1")
				d.want("writes", 0, len(d.writes()))
			})
		})
	}
}

// An application whose answers about one account are never its own is believed when its whole list lacks the account.
func TestR08AListThatLacksIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		d.witness()
		link := d.link(alice, "1")
		d.app.Remove("1")
		d.app.About("account", "1", unavailable)
		list := func() {
			time.Sleep(time.Second)
			for _, err := range d.p.Accounts(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		list() // before the first look: it proves nothing
		if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err == nil {
			t.Fatalf("%+v", r)
		}
		if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err == nil {
			t.Fatalf("no list since: %+v", r)
		}
		list()
		d.app.Put(account("1", "a", "a"))
		d.app.Always("find", applytest.Answer{Hollow: true}) // the list alone tells
		list()
		if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err == nil {
			t.Fatalf("the list has it: %+v", r)
		}
		d.app.Remove("1")
		d.app.Always("find", applytest.Answer{})
		list()
		can := d.app.Capabilities()
		can.Places = true
		d.app.Can(can)
		if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err == nil {
			t.Fatalf("lists hold what is in some places, and it may be in another: %+v", r)
		}
		can.Places = false
		d.app.Can(can)
		if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err != nil || r.Seen != apply.SeenGone {
			t.Errorf("%+v", r)
		}
	})
}

// An application may hide what is inactive: that is proven, the link stays, and enabling is the one write that needs no
// look.
func TestR08Hidden(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	d.witness()
	d.app.HideInactive()
	r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, d.link(alice, "1")))
	if r.Err != nil || r.Seen != apply.SeenHidden {
		t.Fatalf("%+v", r)
	}
	link := d.recorded(alice)
	if link.Account != "1" || link.State != identity.LinkDisabled || !d.s.HidesInactive() {
		t.Errorf("recorded: %+v, hides: %t", link, d.s.HidesInactive())
	}
	d.s = d.session() // after a restart
	d.p = d.pass()
	if !d.s.HidesInactive() {
		t.Error("forgotten with the process")
	}
	if r := d.x.Do(t.Context(), d.p, d.sweep(identity.Disable, link)); r.Err != nil || r.Seen != apply.SeenHidden || d.recorded(alice).Account != "1" {
		t.Errorf("once more: %+v", r)
	}
	update := apply.Job{Change: change(identity.Update, alice, "1"), Have: identity.Account{ID: "1"}, Link: link}
	if r := d.x.Do(t.Context(), d.p, update); !errors.Is(r.Err, targets.ErrNotFound) {
		t.Errorf("an update went out blindly: %+v", r)
	}
	enable := apply.Job{Change: change(identity.Enable, alice, "1"), Have: identity.Account{ID: "1", UserName: "a"}, Link: link}
	if r := d.x.Do(t.Context(), d.p, enable); r.Err != nil || !r.Account.Active || d.recorded(alice).State != identity.LinkActive {
		t.Errorf("enabled: %+v", r)
	}
}

// R8: whatever was taken away is read back, of movers too.
func TestR08WhatIsTakenAwayIsReadBack(t *testing.T) {
	have := account("1", "a", "a")
	have.Entitlements = identity.NamedEntitlements("admins", "users")
	take := identity.Delta{Withdraw: identity.NamedEntitlements("admins")}
	empty := identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", Before: `"t"`}}}
	for _, c := range []struct {
		name   string
		delta  identity.Delta
		script func(*applytest.Target)
		err    error
	}{
		{"a right", take, func(*applytest.Target) {}, nil},
		{"a right that stays", take, func(a *applytest.Target) { a.Always("update", applytest.Answer{Hollow: true}) }, targets.ErrConflict},
		{"a value", empty, func(*applytest.Target) {}, nil},
		{"a value that stays", empty, func(a *applytest.Target) { a.Always("update", applytest.Answer{Hollow: true}) }, targets.ErrConflict},
		{"a value that may not be emptied", empty, func(a *applytest.Target) { a.Refuse("title", "no") }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d := newDesk(t, memory.New(), have)
				link := d.link(alice, "1")
				link.Entitlements = identity.NamedEntitlements("admins")
				c.script(d.app)
				job := apply.Job{Change: change(identity.Update, alice, "1"), Have: have, Link: link}
				job.Change.Delta, job.Change.WantPrint = c.delta, 7
				r := d.x.Do(t.Context(), d.p, job)
				if !errors.Is(r.Err, c.err) || c.err == nil && r.Err != nil {
					t.Errorf("%v, want %v", r.Err, c.err)
				}
				if now := d.recorded(alice); (now.Want == 7) != (c.err == nil) {
					t.Errorf("remembered: %+v", now)
				}
			})
		})
	}
}

// What the application shows of nobody is sent, and said not to be proven.
func TestR08SentIsNotProven(t *testing.T) {
	have := account("1", "a", "a")
	d := newDesk(t, memory.New(), have)
	d.app.HideEntitlements()
	link := d.link(alice, "1")
	link.Entitlements = identity.NamedEntitlements("admins")
	job := d.sweep(identity.Strip, link)
	job.Change.Delta.Withdraw = link.Entitlements
	r := d.x.Do(t.Context(), d.p, job)
	if r.Err != nil || len(r.Sent) != 1 || len(d.recorded(alice).Entitlements) != 0 {
		t.Errorf("%+v", r)
	}
	d.want("writes", []string{"update 1"}, d.writes())
	for rec, err := range d.trail.Records() {
		if err != nil || !strings.Contains(rec.Note, "sent, not provable") || !strings.Contains(rec.Note, "admins") {
			t.Errorf("the trail says %+v, %v", rec, err)
		}
	}
}

// R9: what the application refuses of a change is told, remembered and not tried again until something changes.
func TestR09WhatIsRefusedIsRemembered(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "a", "a"))
	d.app.Refuse("title", "titles are fixed")
	job := apply.Job{Change: change(identity.Update, alice, "1"), Have: account("1", "a", "a"), Link: d.link(alice, "1"), Waiting: []string{apply.Waiting + "g"}}
	job.Change.Delta = identity.Delta{Attributes: []identity.AttributeChange{{Path: "title", Before: `"t"`, After: `"u"`}}}
	r := d.x.Do(t.Context(), d.p, job)
	if r.Err != nil || len(r.Refused) != 1 || r.Refused[0].Why != "titles are fixed" || r.Receipt.RequestID == "" {
		t.Fatalf("%+v", r)
	}
	d.want("remembered", []string{"entitlement g", "title"}, d.recorded(alice).Unmet)
	for rec, err := range d.trail.Records() {
		if err != nil || rec.RequestID != r.Receipt.RequestID || !strings.Contains(rec.Note, "titles are fixed") {
			t.Errorf("R16: the trail says %+v, %v", rec, err)
		}
	}
	d.app.Accept("title")
	job.Link, job.Waiting = d.recorded(alice), nil
	if r := d.x.Do(t.Context(), d.p, job); r.Err != nil || len(d.recorded(alice).Unmet) != 0 {
		t.Errorf("taken at last: %+v", d.recorded(alice))
	}
}

// A relink takes the person's link to their account's new identifier, and forgets how the old one was written.
func TestR03ALinkFollowsTheAccount(t *testing.T) {
	d := newDesk(t, memory.New(), account("9", "a", "a"))
	link := d.link(alice, "1")
	link.Want, link.Have, link.PersonPrint, link.Entitlements = 1, 2, 3, identity.NamedEntitlements("g")
	found, ok, err := d.x.Successor(t.Context(), d.p, link)
	if err != nil || !ok || found.ID != "9" {
		t.Fatalf("%+v, %t, %v", found, ok, err)
	}
	c := change(identity.Link, alice, "9")
	if r := d.x.Do(t.Context(), d.p, apply.Job{Change: c, Have: found, Link: link}); r.Err != nil {
		t.Fatal(r.Err)
	}
	now := d.recorded(alice)
	if now.Account != "9" || now.ExternalID != "a" || now.Want+now.Have+now.PersonPrint != 0 || len(now.Entitlements) != 1 {
		t.Errorf("%+v", now)
	}
	d.app.Put(account("8", "a2", "a"))
	if _, ok, err := d.x.Successor(t.Context(), d.p, link); ok || err != nil {
		t.Errorf("two bear the mark: %t, %v", ok, err)
	}
}

// Two accounts that traded identifiers: each link follows its own.
func TestR05TradedIdentifiers(t *testing.T) {
	d := newDesk(t, memory.New(), account("1", "b", "b"), account("2", "a", "a"))
	ours, theirs := d.link(alice, "1"), d.link(bob, "2")
	for _, link := range []state.Link{ours, theirs} {
		found, ok, err := d.x.Successor(t.Context(), d.p, link)
		if err != nil || !ok {
			t.Fatalf("%s: %+v, %t, %v", link.Name, found, ok, err)
		}
		r := d.x.Do(t.Context(), d.p, apply.Job{Change: change(identity.Link, link.Person, found.ID), Have: found, Link: link})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if link.Person == alice {
			d.want("bob's meanwhile", identity.AccountID("1"), d.recorded(bob).Account)
		}
		d.want("linked to", found.ID, d.recorded(link.Person).Account)
		for _, person := range []identity.PersonID{alice, bob} {
			if d.recorded(person).Account == "" {
				t.Errorf("%s has lost the link", person)
			}
		}
	}
	d.want("alice", identity.AccountID("2"), d.recorded(alice).Account)
	d.want("bob", identity.AccountID("1"), d.recorded(bob).Account)
}
