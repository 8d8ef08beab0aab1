package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// tickets are what nothing can be done about.
var tickets = targets.Step{Name: "tickets", Revokes: true, Impossible: "Kerberos tickets live for up to 10 h"}

// stepped is a desk whose application moves leavers, ends their sessions and cannot end their tickets.
func stepped(t *testing.T, accounts ...identity.Account) *desk {
	t.Helper()
	d := newDesk(t, accounts...)
	d.app.Steps(d.app.Sessions(), d.app.Shown("move"), tickets)
	return d
}

// standing is how closing steps stand: "move proven, tickets impossible: …".
func standing(finishes []state.Finish) string {
	var list []string
	for _, f := range finishes {
		text := fmt.Sprintf("%s %s", f.Name, f.Status)
		if f.Why != "" {
			text += ": " + f.Why
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// moved is account 1, closed, where it was moved to.
func moved(entitlements ...string) identity.Account {
	a := inactive(entitlements...)
	a.Attributes = map[string]identity.Value{"move": `"done"`}
	return a
}

// R8, R9: each closing step is taken by itself, in its order, between refusing sign-in and what comes after. One that
// fails holds back nothing but the delete, and keeps the case open; one that is impossible is told, and keeps nothing
// open.
func TestR09AClosingStepThatFailsHoldsNothingBack(t *testing.T) {
	remove := sweep.Policy{Action: sweep.ActionDelete, Revoke: true, Strip: true}
	impossible := "tickets impossible: " + tickets.Impossible
	for _, c := range []struct {
		name   string
		there  identity.Account
		known  []state.Finish
		policy sweep.Policy
		script func(*applytest.Target)
		writes string
		seen   string
		failed string
		says   string
		stands string
	}{
		{
			"all of them", active("g"), nil, remove, nil,
			"disable 1, sessions 1, do move 1, update 1, delete 1", "gone", "", "",
			"sessions sent, move proven, " + impossible,
		},
		{
			"one is refused for good", active("g"), nil, remove,
			func(a *applytest.Target) { a.Always("do move", applytest.Answer{Err: targets.ErrForbidden}) },
			"disable 1, sessions 1, do move 1, update 1", "inactive", "finish move", "move: the target forbids it",
			"sessions sent, move failed: the target forbids it for this account, " + impossible,
		},
		{
			"what is left of one cannot be read", active("g"), nil, strict,
			func(a *applytest.Target) { a.Always("left move", applytest.Answer{Err: targets.ErrForbidden}) },
			"disable 1, sessions 1, update 1", "inactive", "finish move", "move: the target forbids it",
			"sessions sent, move failed: the target forbids it for this account, " + impossible,
		},
		{
			"one says that it is done, and is not", active("g"), nil, strict,
			func(a *applytest.Target) { a.Always("do move", applytest.Answer{Hollow: true}) },
			"disable 1, sessions 1, do move 1, update 1", "inactive", "finish move", "read back, move is not done",
			"sessions sent, move failed: the target's account has changed: read back, move is not done, " + impossible,
		},
		{
			"several fail", active("g"), nil, strict,
			func(a *applytest.Target) {
				a.Always("sessions", applytest.Answer{Err: targets.ErrRejected})
				a.Always("update", applytest.Answer{Hollow: true})
			},
			"disable 1, sessions 1, do move 1, update 1", "inactive", "finish sessions", "the account still has g",
			"sessions failed: the target rejected the change, move proven, " + impossible,
		},
		{
			"sign-in is not refused: nothing else is done", active("g"), nil, strict,
			func(a *applytest.Target) { a.Always("disable", applytest.Answer{Err: targets.ErrRejected}) },
			"disable 1", "", "disable", "rejected", "",
		},
		{
			"one opens the account: it is closed again before anything else", active("g"), nil, strict,
			func(a *applytest.Target) {
				a.Always("do move", applytest.Answer{During: func() { a.Put(active("g")) }})
			},
			"disable 1, sessions 1, do move 1", "", "finish move", "still active",
			"sessions sent, move failed: the target's account has changed: read back, the account is still active",
		},
		{
			"one that was done by somebody else is seen, not taken", moved(), nil, strict, nil,
			"sessions 1", "inactive", "", "", "sessions sent, move proven, " + impossible,
		},
		{
			"one that failed is tried alone", inactive(),
			[]state.Finish{ended, {Name: "move", Status: state.FinishFailed, Why: "503"}},
			strict, nil,
			"do move 1", "inactive", "", "", "sessions sent, move proven, " + impossible,
		},
		{
			"what was impossible and is not any more is done", moved(),
			[]state.Finish{{Name: "sessions", Status: state.FinishImpossible, Why: "the licence does not have it"}},
			strict, nil,
			"sessions 1", "inactive", "", "", "sessions sent, move proven, " + impossible,
		},
		{
			"revoke = false leaves out what ends sessions", active("g"), nil,
			sweep.Policy{Action: sweep.ActionDisable, Strip: true},
			nil,
			"disable 1, do move 1, update 1", "inactive", "", "", "move proven",
		},
		{
			"one that failed and that nobody asks for any more keeps nothing open", moved(),
			[]state.Finish{{Name: "sessions", Status: state.FinishFailed, Why: "503"}},
			sweep.Policy{Action: sweep.ActionDisable},
			nil,
			"", "inactive", "", "", "move proven",
		},
		{
			"somebody deletes the account meanwhile", active("g"), nil, strict,
			func(a *applytest.Target) { a.Always("do move", applytest.Answer{During: func() { a.Remove("1") }}) },
			"disable 1, sessions 1, do move 1", "gone", "", "", "sessions sent",
		},
		{
			"somebody deletes the account before one is looked at", active("g"), nil, strict,
			func(a *applytest.Target) { a.Always("sessions", applytest.Answer{During: func() { a.Remove("1") }}) },
			"disable 1, sessions 1", "gone", "", "", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := stepped(t, c.there)
				if c.script != nil {
					c.script(d.app)
				}
				a := d.leaver(c.policy, identity.LinkActive, time.Time{})
				a.Finishes = c.known
				a.Link.Disabled = time.Now()
				closed := sweep.Close(t.Context(), d.x, d.p, a)
				if closed.Proven != (c.failed == "") || closed.Err == nil != closed.Proven || closed.Seen != c.seen {
					t.Errorf("proven %t, seen %q, error %v", closed.Proven, closed.Seen, closed.Err)
				}
				if failed := strings.TrimSpace(fmt.Sprint(closed.Failed.Op, " ", closed.Failed.Step)); failed != c.failed {
					t.Errorf("failed %q, want %q", failed, c.failed)
				}
				if c.says != "" && !strings.Contains(fmt.Sprint(closed.Err), c.says) {
					t.Errorf("it says %v, and not %q", closed.Err, c.says)
				}
				if diff := cmp.Diff(c.stands, standing(closed.Finishes)); diff != "" {
					t.Errorf("steps (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.writes, d.taken()); diff != "" {
					t.Errorf("writes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What a plan shows of a leaver names each closing step, in its order, and what nothing can be done about.
func TestAPlanNamesTheClosingSteps(t *testing.T) {
	d := stepped(t, active())
	for _, c := range []struct {
		policy     sweep.Policy
		person     identity.PersonID
		changes    string
		impossible int
	}{
		{strict, alice, "disable, finish sessions, finish move, strip", 1},
		{sweep.Policy{Action: sweep.ActionDelete}, alice, "disable, finish move, delete", 0},
		{sweep.Policy{Action: sweep.ActionDisable, Revoke: true}, identity.PersonID{}, "disable, finish sessions", 1},
	} {
		a := sweep.Account{Policy: c.policy, Change: identity.Change{Target: "wiki", Person: c.person, Account: "1"}}
		var changes []string
		for _, change := range plan.New(a.Changes(d.p)).Changes {
			changes = append(changes, strings.TrimSpace(fmt.Sprint(change.Op, " ", change.Step)))
		}
		if got := strings.Join(changes, ", "); got != c.changes {
			t.Errorf("planned %q, want %q", got, c.changes)
		}
		if list := a.Impossible(d.p); len(list) != c.impossible || c.impossible > 0 && !strings.Contains(list[0], "Kerberos") {
			t.Errorf("impossible: %q", list)
		}
	}
}

// taken are the calls that write, less those that read what is left of a step.
func (d *desk) taken() string {
	reads := func(s string) bool { return strings.HasPrefix(s, "left ") }
	return strings.Join(slices.DeleteFunc(strings.Split(d.writes(), ", "), reads), ", ")
}

// R9: a second account is looked for whatever closing step the first one waits for.
func TestR09AStepThatFailsHidesNoSecondAccount(t *testing.T) {
	d := stepped(t, active())
	a := d.leaver(strict, identity.LinkActive, time.Time{})
	a.Link.ExternalID = "a"
	one := active()
	one.ExternalID = "a"
	d.app.Put(one)
	d.app.Put(identity.Account{ID: "2", UserName: "alice2", ExternalID: "a", Active: true})
	d.app.Always("sessions", applytest.Answer{Err: targets.ErrRejected})
	closed := sweep.Close(t.Context(), d.x, d.p, a)
	text := fmt.Sprint(closed.Err)
	if closed.Proven || !strings.Contains(text, "sessions: ") || !strings.Contains(text, "alice2") {
		t.Errorf("%+v", closed)
	}
}

// R5: with an account that is nobody's, nobody has left: its sessions are ended, and it stays where it is.
func TestR05AnOrphanIsNotMoved(t *testing.T) {
	d := stepped(t, active())
	closed := sweep.Close(t.Context(), d.x, d.p, sweep.Account{
		Policy: sweep.Policy{Action: sweep.ActionDisable, Revoke: true},
		Change: identity.Change{Cause: identity.Orphaned, Target: "wiki", Account: "1", UserName: "alice"},
	})
	if got := d.taken(); !closed.Proven || got != "disable 1, sessions 1" {
		t.Errorf("%s: %+v", got, closed)
	}
}

// R10: grace counts from the disable, whatever closing steps were taken since.
func TestR10GraceCountsFromTheDisableNotFromTheLastStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := strict
		policy.DeleteAfter = month
		d := stepped(t, active())
		d.app.Script("do move", applytest.Answer{Err: targets.ErrUnavailable}) // the clock moves on
		closed := sweep.Close(t.Context(), d.x, d.p, d.leaver(policy, identity.LinkActive, time.Time{}))
		link := d.recorded()
		if !closed.Proven || !closed.Delete.Equal(link.Disabled.Add(month)) || !closed.At.After(link.Disabled) {
			t.Errorf("disabled %s, closed %s, to be deleted %s", link.Disabled, closed.At, closed.Delete)
		}
	})
}

// R7, R20: a closing step that was answered is on the books at once: whoever is stopped behind it, or cut short, does
// not take it again, and one that an account was enabled after is forgotten before anything else is done.
func TestR07AClosingStepIsRememberedAtOnce(t *testing.T) {
	owed := state.Case{Person: alice, Name: "alice", Cause: identity.Deleted, Steps: []state.Step{{
		Target: "wiki", Account: "1", UserName: "alice", Status: state.StepOpen,
	}}}
	for _, c := range []struct {
		name  string
		there identity.Account
		known []state.Finish
		stop  string // the call in which everything stops
		want  string
	}{
		{"stopped behind it", active(), nil, "do move", "sessions sent"},
		{"enabled since, and stopped in the disable", active(), []state.Finish{ended}, "disable", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := stepped(t, c.there)
			a := d.leaver(strict, identity.LinkActive, time.Time{})
			kase := owed
			kase.Steps = slices.Clone(owed.Steps)
			kase.Steps[0].Finishes, a.Finishes = c.known, c.known
			if err := d.ledger.Update(t.Context(), func(w *state.Writer) error { return w.PutCase(kase) }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			d.app.Always(c.stop, applytest.Answer{Err: context.Canceled, During: cancel})
			if closed := sweep.Close(ctx, d.x, d.p, a); !errors.Is(closed.Err, context.Canceled) {
				t.Fatalf("%+v", closed)
			}
			if got := standing(d.step().Finishes); got != c.want {
				t.Errorf("on the books: %q, want %q", got, c.want)
			}
		})
	}
}

// step is what the books say of alice's account.
func (d *desk) step() (s state.Step) {
	d.t.Helper()
	if err := d.ledger.View(d.t.Context(), func(r *state.Reader) error {
		c, _, err := r.Case(alice)
		if known := sweep.StepOf(c, "wiki", "1"); known != nil {
			s = *known
		}
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	return s
}
