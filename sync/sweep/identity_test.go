package sweep_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// R5, R8: an identifier is not the person. The person's account is looked for, and closed where it is proven to be
// theirs.
func TestR05ClosingFollowsThePerson(t *testing.T) {
	stranger := identity.Account{ID: "1", UserName: "stranger", ExternalID: "hand", Active: true}
	theirs := identity.Account{ID: "9", UserName: "alice", ExternalID: "a", Active: true}
	unmarked := identity.Account{ID: "9", UserName: "alice", Active: true}
	second := identity.Account{ID: "9", UserName: "alice.old", ExternalID: "a", Active: true}
	closedBefore := theirs
	closedBefore.Active = false
	for _, c := range []struct {
		name     string
		there    []identity.Account
		writes   string
		account  identity.AccountID // closed under another identifier than the linked one
		err      any
		open     bool // nothing is proven
		stranger bool // account 1 stays as it is
	}{
		{"the identifier is a stranger's, and nobody else is there", []identity.Account{stranger}, "", "", new(*apply.IdentityError), true, true},
		{"the identifier is a stranger's, the person's account has another", []identity.Account{stranger, theirs}, "disable 9, sessions 9", "9", nil, false, true},
		{"gone, and there under another identifier", []identity.Account{theirs}, "disable 9, sessions 9", "9", nil, false, false},
		{"there under another identifier, and closed", []identity.Account{closedBefore}, "", "", nil, false, false},
		{"gone, and made anew by sign-in", []identity.Account{unmarked}, "", "", new(*apply.SecondError), true, false},
		{"closed, with a second account", []identity.Account{active(), second}, "disable 1, sessions 1", "", new(*apply.SecondError), true, false},
		{"closed, with a second account that nothing marks", []identity.Account{active(), {ID: "9", UserName: "alice", Active: true}}, "disable 1, sessions 1", "", new(*apply.SecondError), true, false},
		{"closed, with a second account that is closed", []identity.Account{active(), closedBefore}, "disable 1, sessions 1", "", nil, false, false},
		{"closed, and the login is another's too", []identity.Account{active(), {ID: "9", UserName: "alice", ExternalID: "z", Active: true}}, "disable 1, sessions 1", "", nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, c.there...)
				a := d.leaver(strict, identity.LinkActive, time.Time{})
				a.Link.ExternalID = "a"
				closed := sweep.Close(t.Context(), d.x, d.p, a)
				if closed.Proven == c.open || (closed.Err == nil) != (c.err == nil) || c.err != nil && !errors.As(closed.Err, c.err) {
					t.Errorf("%+v", closed)
				}
				if got := d.writes(); got != c.writes {
					t.Errorf("writes %q, want %q", got, c.writes)
				}
				if closed.Account != c.account {
					t.Errorf("closed as account %q, want %q", closed.Account, c.account)
				}
				if now, _ := d.app.Get("1"); c.stranger && now.UserName != "stranger" || c.stranger && !now.Active {
					t.Errorf("the stranger is %+v", now)
				}
			})
		})
	}
}

// R6: what was decided about an account is decided about it under another identifier too, wherever closing is cut short:
// the step goes with the link.
func TestR06AStepGoesWithItsAccount(t *testing.T) {
	open := state.Step{Target: "wiki", Account: "1", Status: state.StepOpen}
	before := state.Step{
		Target: "wiki", Account: "9", Status: state.StepProven, Taken: identity.NamedEntitlements("staff"),
	}
	chat := state.Step{Target: "chat", Account: "1", Status: state.StepHeld}
	for _, c := range []struct {
		name  string
		steps []state.Step
		taken int
	}{
		{"a step", []state.Step{open}, 0},
		{"the books know its identifier", []state.Step{open, before}, 1},
		{"another target has one too", []state.Step{chat, open}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, identity.Account{ID: "9", UserName: "alice", ExternalID: "a", Active: true})
				d.app.Always("disable", applytest.Answer{Err: targets.ErrRejected})
				a := d.leaver(strict, identity.LinkActive, time.Time{})
				if err := d.ledger.Update(t.Context(), func(w *state.Writer) error {
					return w.PutCase(state.Case{Person: alice, Steps: c.steps})
				}); err != nil {
					t.Fatal(err)
				}
				if closed := sweep.Close(t.Context(), d.x, d.p, a); closed.Err == nil || closed.Account != "9" {
					t.Errorf("%+v", closed)
				}
				if err := d.ledger.View(t.Context(), func(r *state.Reader) error {
					link, _, err := r.Link("wiki", alice)
					if err != nil {
						return err
					}
					kase, _, err := r.Case(alice)
					step := sweep.StepOf(kase, "wiki", "9")
					if link.Account != "9" || step == nil || step.Status != state.StepOpen || len(step.Taken) != c.taken {
						t.Errorf("linked to %s, the step is %+v", link.Account, step)
					}
					if sweep.StepOf(kase, "wiki", "1") != nil || len(kase.Steps) != len(c.steps)-c.taken {
						t.Errorf("the steps are %+v", kase.Steps)
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// R8: whatever the last step was, the account is inactive at the end.
func TestR08TheLastStepIsNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, active("g"))
		d.app.Script("update", applytest.Answer{During: func() { d.app.Put(active("g")) }}) // enabled again meanwhile
		closed := sweep.Close(t.Context(), d.x, d.p, d.leaver(strict, identity.LinkActive, time.Time{}))
		if closed.Proven || !errors.Is(closed.Err, targets.ErrConflict) || !strings.Contains(closed.Err.Error(), "active") {
			t.Errorf("%+v", closed)
		}
	})
}

// What can never be proven waits for an operator; it is not tried for ever.
func TestR08TheLastAccountOfATarget(t *testing.T) {
	d := newDesk(t)
	if err := d.ledger.Update(t.Context(), func(w *state.Writer) error {
		return w.DeleteLink("wiki", identity.PersonID{Directory: "corp", Anchor: "w"})
	}); err != nil {
		t.Fatal(err)
	}
	closed := sweep.Close(t.Context(), d.x, d.p, d.leaver(strict, identity.LinkActive, time.Time{}))
	if closed.Proven || closed.Err != nil || !strings.Contains(closed.Why, "unlink") {
		t.Errorf("%+v", closed)
	}
}

func TestR08WhatIsHiddenIsSentAndNotProven(t *testing.T) {
	d := newDesk(t, active("g"))
	d.app.HideEntitlements()
	a := d.leaver(strict, identity.LinkActive, time.Time{})
	closed := sweep.Close(t.Context(), d.x, d.p, a)
	if !closed.Proven || d.writes() != "disable 1, sessions 1" {
		t.Errorf("nothing was granted, so nothing is to be taken back: %+v", closed)
	}
	a.Link.Entitlements = identity.NamedEntitlements("g")
	d.app.Put(active("g"))
	closed = sweep.Close(t.Context(), d.x, d.p, a)
	if closed.Proven || closed.Err != nil || closed.Seen != "inactive" || !strings.Contains(closed.Why, "sent, not provable") || len(closed.Taken) != 1 {
		t.Errorf("%+v", closed)
	}
	if got := d.writes(); got != "disable 1, sessions 1, update 1" {
		t.Errorf("writes %q", got)
	}
}

// An application that hides what is inactive: hidden is proven, and stays so.
func TestR08HiddenIsClosed(t *testing.T) {
	d := newDesk(t, active())
	d.app.HideInactive()
	closed := sweep.Close(t.Context(), d.x, d.p, d.leaver(strict, identity.LinkActive, time.Time{}))
	if !closed.Proven || closed.Seen != apply.SeenHidden {
		t.Errorf("%+v", closed)
	}
}

// R11: a closed account that is open again is seen, under whatever identifier.
func TestR11LookFollowsThePerson(t *testing.T) {
	moved := identity.Account{ID: "9", UserName: "alice", ExternalID: "a", Active: true}
	shut := moved
	shut.Active = false
	for name, c := range map[string]struct {
		there []identity.Account
		seen  string
		err   bool
	}{
		"inactive":                          {[]identity.Account{inactive()}, "inactive", false},
		"active":                            {[]identity.Account{active()}, "active", false},
		"gone":                              {nil, "gone", false},
		"open under another identifier":     {[]identity.Account{moved}, "active", false},
		"closed under another identifier":   {[]identity.Account{shut}, "gone", false},
		"the identifier is a stranger's":    {[]identity.Account{{ID: "1", UserName: "stranger", ExternalID: "x", Active: true}}, "", true},
		"a stranger's, and the person is 9": {[]identity.Account{{ID: "1", UserName: "stranger", ExternalID: "x"}, moved}, "active", false},
	} {
		d := newDesk(t, c.there...)
		s, err := apply.OpenSession(apply.SessionOptions{Target: "wiki", Memory: apply.LedgerMemory{Ledger: d.ledger}}, d.app.PacedBy)
		if err != nil {
			t.Fatal(err)
		}
		a := d.leaver(strict, identity.LinkDisabled, time.Now())
		a.Link.ExternalID = "a"
		seen, err := sweep.Door{Executor: d.x, Session: s}.Look(t.Context(), a)
		if seen != c.seen || (err != nil) != c.err {
			t.Errorf("%s: seen %q, %v", name, seen, err)
		}
		if got := d.writes(); got != "" {
			t.Errorf("%s: wrote %s", name, got)
		}
	}
}

// What dirsweep granted is asked for by name, also where a list leaves it out.
func TestR08WhatWasGrantedIsAskedFor(t *testing.T) {
	d := newDesk(t, active("g"))
	d.app.ShowRemembered()
	a := d.leaver(strict, identity.LinkActive, time.Time{})
	a.Link.Entitlements = identity.NamedEntitlements("g")
	closed := sweep.Close(t.Context(), d.x, d.p, a)
	if now, _ := d.app.Get("1"); !closed.Proven || len(now.Entitlements) > 0 {
		t.Errorf("%+v, the account has %v", closed, now.Entitlements)
	}
}
