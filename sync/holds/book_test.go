package holds_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/holds"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
)

var (
	noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	ann  = identity.PersonID{Directory: "corp", Anchor: "ann"}
)

// A desk is a ledger with active accounts of ann's and one hold over them.
type desk struct {
	t      *testing.T
	ledger *state.Ledger
	trail  *audit.Trail
}

func newDesk(t *testing.T, hold identity.Hold, targets ...string) desk {
	t.Helper()
	trail, err := audit.Open(filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trail.Close(); err != nil {
			t.Error(err)
		}
	})
	d := desk{t, state.NewLedger(memory.New()), trail}
	d.write(func(w *state.Writer) error {
		for _, target := range targets {
			l := state.Link{Target: target, Person: ann, Name: "Ann", Account: identity.AccountID(target + "-1"), UserName: "ann"}
			l.State = identity.LinkActive
			if err := w.PutLink(l); err != nil {
				return err
			}
		}
		if err := w.PutMembers(hold.Digest, hold.Members...); err != nil {
			return err
		}
		return w.PutHold(hold)
	})
	return d
}

func (d desk) write(fn func(*state.Writer) error) {
	d.t.Helper()
	if err := d.ledger.Update(d.t.Context(), fn); err != nil {
		d.t.Fatal(err)
	}
}

// judge lets a book decide about leavers of one target; meanwhile happens once the holds were read.
func (d desk) judge(leaving []identity.Leaver, write bool, meanwhile func()) *holds.Book {
	d.t.Helper()
	b := &holds.Book{
		Ledger: d.ledger, Trail: d.trail, Log: hclog.NewNullLogger(), Now: noon, Write: write, Turn: &sync.Mutex{},
	}
	observes := func(string) bool { return false }
	var leavers []people.Leaver
	for _, l := range leaving {
		leavers = append(leavers, people.Leaver{Leaver: l})
	}
	_, err := b.Leavers(context.WithoutCancel(d.t.Context()), leavers, observes,
		func([]identity.Hold, []identity.Spent) (guard.Facts, error) {
			meanwhile()
			one := guard.Population{Now: 100}
			return guard.Facts{
				Limits: guard.Default(), People: map[string]guard.Population{"corp": one},
				Accounts: map[string]guard.Population{leaving[0].Target: one},
			}, nil
		})
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// status is that of ann's step at a target; "" for none.
func (d desk) status(target string) (status state.StepStatus) {
	d.t.Helper()
	if err := d.ledger.View(d.t.Context(), func(r *state.Reader) error {
		c, _, err := r.Case(ann)
		for _, s := range c.Steps {
			if s.Target == target {
				status = s.Status
			}
		}
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	return status
}

func leaving(target string) identity.Leaver {
	return identity.Leaver{
		Person: ann, Name: "Ann", Target: target, Account: identity.AccountID(target + "-1"), UserName: "ann",
		Cause: identity.ConfigEdited, Strength: identity.ByScope,
	}
}

// held is a hold over ann's leaving of a target, under an account's identifier.
func held(target string, account identity.AccountID, what identity.Verdict) identity.Hold {
	return identity.Hold{
		Digest: "d1", Kind: identity.HoldCohort, Directory: "corp", Cause: identity.ConfigEdited, Count: 1, Since: noon.Add(-time.Hour),
		Ruling: identity.Ruling{What: what, By: "olga", At: noon.Add(-time.Minute)},
		Members: []identity.Member{{
			Person: ann, Name: "Ann", Target: target, Account: account, UserName: "ann", Cause: identity.ConfigEdited, Strength: identity.ByScope,
		}},
	}
}

// TestR08WhoeverIsHeldIsInTheBooks: whatever binds them, and whatever an operator does meanwhile.
func TestR08WhoeverIsHeldIsInTheBooks(t *testing.T) {
	nothing := func(desk, identity.Hold) {}
	for _, c := range []struct {
		name      string
		hold      identity.Hold
		meanwhile func(desk, identity.Hold)
		want      state.StepStatus
	}{
		{"rejected here", held("wiki", "wiki-1", identity.Rejected), nothing, state.StepKept},
		{"rejected at another target", held("chat", "chat-1", identity.Rejected), nothing, state.StepKept},
		{"rejected under an older identifier", held("wiki", "wiki-0", identity.Rejected), nothing, state.StepKept},
		{"held under an older identifier", held("wiki", "wiki-0", ""), nothing, state.StepHeld},
		{"held at another target", held("chat", "chat-1", ""), nothing, state.StepHeld},
		{"the hold ends while it is read", held("wiki", "wiki-1", ""), func(d desk, h identity.Hold) {
			d.write(func(w *state.Writer) error { return w.DeleteMember(h.Digest, h.Members[0]) })
		}, state.StepHeld},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, c.hold, "wiki", "chat")
			d.judge([]identity.Leaver{leaving("wiki")}, true, func() { c.meanwhile(d, c.hold) })
			if got := d.status("wiki"); got != c.want {
				t.Errorf("the books say %q, want %q", got, c.want)
			}
		})
	}
}

// TestR06AnOrderTakesItsPersonOutOfHolds: what keeps somebody's accounts from being closed, or enabled, is over where an
// operator orders them closed. What is over deletes, and others, wait on.
func TestR06AnOrderTakesItsPersonOutOfHolds(t *testing.T) {
	bob := identity.PersonID{Directory: "corp", Anchor: "bob"}
	for _, c := range []struct {
		kind  identity.HoldKind
		waits bool
	}{
		{identity.HoldCohort, false},
		{identity.HoldAnomaly, false},
		{identity.HoldEnable, false},
		{identity.HoldDelete, true},
	} {
		anns := identity.Member{Target: "wiki", Person: ann, Account: "wiki-1"}
		bobs := identity.Member{Target: "wiki", Person: bob, Account: "wiki-2"}
		d := newDesk(t, identity.Hold{Digest: "d", Kind: c.kind, Members: []identity.Member{anns, bobs}}, "wiki")
		d.write(func(w *state.Writer) error { return holds.Overrule(w, ann) })
		if err := d.ledger.View(t.Context(), func(r *state.Reader) error {
			anns, err := r.IsMember("d", anns)
			if err != nil {
				return err
			}
			bobs, err := r.IsMember("d", bobs)
			if anns != c.waits || !bobs {
				t.Errorf("%s: ann waits: %t, bob waits: %t", c.kind, anns, bobs)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestR06AReportNamesWhoIsStillHeld: who left a hold within the pass is not told of as waiting in it.
func TestR06AReportNamesWhoIsStillHeld(t *testing.T) {
	bob := identity.PersonID{Directory: "corp", Anchor: "bob"}
	hold := held("wiki", "wiki-1", "")
	hold.Members = append(hold.Members, identity.Member{
		Person: bob, Name: "Bob", Target: "wiki", Account: "wiki-2", UserName: "bob",
		Cause: identity.ConfigEdited, Strength: identity.ByScope,
	})
	d := newDesk(t, hold, "wiki")
	waits, deleted := leaving("wiki"), leaving("wiki")
	waits.Person, waits.Name, waits.Account, waits.UserName = bob, "Bob", "wiki-2", "bob"
	deleted.Cause, deleted.Strength = identity.Deleted, identity.ByAbsence
	for _, write := range []bool{false, true} {
		b := d.judge([]identity.Leaver{waits, deleted}, write, func() {})
		list := b.Noted()
		if len(list) != 1 || len(list[0].Members) != 1 || list[0].Members[0].Person != bob {
			t.Errorf("written down %t: %+v are told of, want bob alone", write, list)
		}
	}
}
