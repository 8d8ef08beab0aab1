package sweep_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

var (
	alice  = identity.PersonID{Directory: "corp", Anchor: "a"}
	month  = 30 * 24 * time.Hour
	all    = identity.Capabilities{Disable: true, Delete: true, Entitlements: true, Update: true}
	strict = sweep.Policy{Action: sweep.ActionDisable, Revoke: true, Strip: true}
)

// A desk is a sweep's surroundings: a real ledger, a real trail, one application.
type desk struct {
	t      *testing.T
	app    *applytest.Target
	ledger *state.Ledger
	trail  *audit.Trail
	x      *apply.Executor
	p      *apply.Pass
}

func newDesk(t *testing.T, accounts ...identity.Account) *desk {
	t.Helper()
	trail, err := audit.Open(filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, app: applytest.New(accounts...), ledger: state.NewLedger(memory.New()), trail: trail}
	t.Cleanup(func() { _ = errors.Join(d.ledger.Close(), trail.Close()) })
	d.x = &apply.Executor{Ledger: d.ledger, Trail: trail, Log: hclog.NewNullLogger(), Now: time.Now, Pass: "pass", InFlight: &apply.InFlight{}}
	s, err := apply.OpenSession(apply.SessionOptions{Target: "wiki", Memory: apply.LedgerMemory{Ledger: d.ledger}}, d.app.PacedBy)
	if err != nil {
		t.Fatal(err)
	}
	if d.p, err = s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.witness()
	d.app.Calls()
	return d
}

// witness is another account that is linked, by which the application shows that it answers truly.
func (d *desk) witness() {
	d.t.Helper()
	d.app.Put(identity.Account{ID: "w", UserName: "witness", Active: true})
	link := state.Link{Target: "wiki", Person: identity.PersonID{Directory: "corp", Anchor: "w"}, Account: "w", UserName: "witness"}
	if err := d.ledger.Update(d.t.Context(), func(w *state.Writer) error { return w.PutLink(link) }); err != nil {
		d.t.Fatal(err)
	}
}

// leaver is alice's account 1, on record as link says.
func (d *desk) leaver(policy sweep.Policy, linked identity.LinkState, disabled time.Time) sweep.Account {
	d.t.Helper()
	link := state.Link{Target: "wiki", Person: alice, Account: "1", Name: "alice", UserName: "alice", State: linked, Disabled: disabled}
	if err := d.ledger.Update(d.t.Context(), func(w *state.Writer) error { return w.PutLink(link) }); err != nil {
		d.t.Fatal(err)
	}
	return sweep.Account{Link: link, Policy: policy, Change: identity.Change{
		Cause: identity.Deleted, Target: "wiki", Person: alice, Name: "alice", Account: "1", UserName: "alice",
	}}
}

// writes are the calls that write.
func (d *desk) writes() string {
	return strings.Join(slices.DeleteFunc(d.app.Calls(), func(s string) bool {
		method, _, _ := strings.Cut(s, " ")
		return method == "account" || method == "find" || method == "entitlements" || method == "begin"
	}), ", ")
}

func active(entitlements ...string) identity.Account {
	return identity.Account{ID: "1", UserName: "alice", Active: true, Entitlements: identity.NamedEntitlements(entitlements...)}
}

func inactive(entitlements ...string) identity.Account {
	a := active(entitlements...)
	a.Active = false
	return a
}

func TestClose(t *testing.T) {
	remove := sweep.Policy{Action: sweep.ActionDelete, Revoke: true, Strip: true}
	rejected, conflict := targets.ErrRejected, targets.ErrConflict
	before := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC) // the bubble's clock begins in 2000
	for _, c := range []struct {
		name     string
		there    []identity.Account
		state    identity.LinkState
		disabled time.Time
		policy   sweep.Policy
		caps     identity.Capabilities
		script   func(*applytest.Target)
		writes   string
		seen     string
		failed   identity.Op
		err      error
	}{
		{
			"disable, end sessions, strip",
			[]identity.Account{active("g")},
			identity.LinkActive,
			time.Time{},
			strict, all, nil,
			"disable 1, sessions 1, update 1", "inactive", "", nil,
		},
		{"nothing to strip", []identity.Account{active()}, identity.LinkActive, time.Time{}, strict, all, nil, "disable 1, sessions 1", "inactive", "", nil},
		{"disable alone", []identity.Account{active("g")}, identity.LinkActive, time.Time{}, sweep.Policy{Action: sweep.ActionDisable}, all, nil, "disable 1", "inactive", "", nil},
		{
			"what the target cannot do is left out",
			[]identity.Account{active("g")},
			identity.LinkActive,
			time.Time{},
			strict,
			identity.Capabilities{Disable: true},
			func(a *applytest.Target) { a.Steps() },
			"disable 1", "inactive", "", nil,
		},
		{"gone already", nil, identity.LinkActive, time.Time{}, strict, all, nil, "", "gone", "", nil},
		{
			"delete, after everything else",
			[]identity.Account{active("g")},
			identity.LinkActive,
			time.Time{},
			remove, all, nil,
			"disable 1, sessions 1, update 1, delete 1", "gone", "", nil,
		},
		{
			"a target that can only delete",
			[]identity.Account{active("g")},
			identity.LinkActive,
			time.Time{},
			remove,
			identity.Capabilities{Delete: true, Entitlements: true},
			nil, "delete 1", "gone", "", nil,
		},
		{"and is not asked to", []identity.Account{active()}, identity.LinkActive, time.Time{}, strict, identity.Capabilities{Delete: true}, nil, "", "", identity.Disable, rejected},
		{
			"R8: it says yes and stays active",
			[]identity.Account{active()},
			identity.LinkActive,
			time.Time{},
			strict, all,
			func(a *applytest.Target) { a.Always("disable", applytest.Answer{Hollow: true}) }, "disable 1", "", identity.Disable, conflict,
		},
		{
			"R8 R9: disabled, sessions not ended; the rest is taken",
			[]identity.Account{active("g")},
			identity.LinkActive,
			time.Time{},
			strict, all,
			func(a *applytest.Target) { a.Always("sessions", applytest.Answer{Err: rejected}) },
			"disable 1, sessions 1, update 1", "inactive", identity.Finish, rejected,
		},
		{
			"R8: its entitlements stay",
			[]identity.Account{active("g")},
			identity.LinkActive,
			time.Time{},
			strict, all,
			func(a *applytest.Target) { a.Always("update", applytest.Answer{Hollow: true}) }, "disable 1, sessions 1, update 1", "inactive", identity.Strip, conflict,
		},
		{
			"R8: it is still there after the delete",
			[]identity.Account{active()},
			identity.LinkActive,
			time.Time{},
			remove, all,
			func(a *applytest.Target) { a.Always("delete", applytest.Answer{Hollow: true}) }, "disable 1, sessions 1, delete 1", "", identity.Delete, conflict,
		},

		{"on record as closed: the rest is taken", []identity.Account{inactive("g")}, identity.LinkDisabled, before, strict, all, nil, "sessions 1, update 1", "inactive", "", nil},
		{"on record as closed: whether sessions ended is not known", []identity.Account{inactive()}, identity.LinkDisabled, before, strict, all, nil, "sessions 1", "inactive", "", nil},
		{
			"on record as closed, with no sessions to end: only read",
			[]identity.Account{inactive()},
			identity.LinkDisabled, before, strict,
			identity.Capabilities{Disable: true, Entitlements: true},
			func(a *applytest.Target) { a.Steps() }, "", "inactive", "", nil,
		},
		{"on record as closed, and gone", nil, identity.LinkDisabled, before, strict, all, nil, "", "gone", "", nil},
		{"R11: on record as closed, and open again", []identity.Account{active()}, identity.LinkDisabled, before, strict, all, nil, "disable 1, sessions 1", "inactive", "", nil},
		{
			"on record as closed, and nobody answers",
			[]identity.Account{inactive()},
			identity.LinkDisabled, before, strict, all,
			func(a *applytest.Target) { a.Always("account", applytest.Answer{Err: targets.ErrUnavailable}) }, "", "", identity.Disable, targets.ErrUnavailable,
		},
		{"R10: closed by us, to be deleted", []identity.Account{inactive()}, identity.LinkDisabled, before, remove, all, nil, "sessions 1, delete 1", "gone", "", nil},
		{"R10: closed by somebody else, not deleted", []identity.Account{inactive()}, identity.LinkDisabled, time.Time{}, remove, all, nil, "sessions 1", "inactive", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, c.there...)
				d.app.Can(c.caps)
				if c.script != nil {
					c.script(d.app)
				}
				closed := sweep.Close(t.Context(), d.x, d.p, d.leaver(c.policy, c.state, c.disabled))
				if !errors.Is(closed.Err, c.err) || c.err == nil && closed.Err != nil {
					t.Errorf("error %v, want %v", closed.Err, c.err)
				}
				if closed.Proven != (c.err == nil) || closed.Seen != c.seen || closed.Failed.Op != c.failed {
					t.Errorf("%+v", closed)
				}
				if closed.Proven && closed.At.IsZero() {
					t.Error("proven, no time")
				}
				if diff := cmp.Diff(c.writes, d.writes()); diff != "" {
					t.Errorf("writes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAnInterruptedCloseIsFinishedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, active("g"))
		a := d.leaver(strict, identity.LinkActive, time.Time{})
		d.app.Script("sessions", applytest.Answer{Err: targets.ErrRejected})
		if closed := sweep.Close(t.Context(), d.x, d.p, a); closed.Proven || d.writes() != "disable 1, sessions 1, update 1" {
			t.Fatalf("%+v", closed)
		}
		if err := d.ledger.View(t.Context(), func(r *state.Reader) (err error) {
			a.Link, _, err = r.Link("wiki", alice)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if closed := sweep.Close(t.Context(), d.x, d.p, a); !closed.Proven || d.writes() != "sessions 1" {
			t.Fatalf("%+v", closed)
		}
		if now, _ := d.app.Get("1"); now.Active || len(now.Entitlements) > 0 {
			t.Errorf("%+v", now)
		}
	})
}

func TestR10GraceCountsFromTheProvenDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := strict
		policy.DeleteAfter = month
		d := newDesk(t, active())
		d.app.Script("disable", applytest.Answer{Err: targets.ErrUnavailable}) // the clock moves on
		closed := sweep.Close(t.Context(), d.x, d.p, d.leaver(policy, identity.LinkActive, time.Time{}))
		var link state.Link
		if err := d.ledger.View(t.Context(), func(r *state.Reader) (err error) {
			link, _, err = r.Link("wiki", alice)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if link.Disabled.IsZero() || !closed.Delete.Equal(link.Disabled.Add(month)) {
			t.Errorf("disabled %s, to be deleted %s", link.Disabled, closed.Delete)
		}
		again := sweep.Close(t.Context(), d.x, d.p, sweep.Account{Link: link, Policy: policy, Change: identity.Change{
			Target: "wiki", Person: alice, Account: "1",
		}})
		if !again.Delete.Equal(closed.Delete) {
			t.Errorf("looked at again, the grace ends %s instead of %s", again.Delete, closed.Delete)
		}
		other := newDesk(t, inactive())
		if closed := sweep.Close(t.Context(), other.x, other.p, other.leaver(policy, identity.LinkDisabled, time.Time{})); !closed.Delete.IsZero() {
			t.Errorf("not disabled by us, and to be deleted %s", closed.Delete)
		}
	})
}

func TestAnOrphanIsClosedWithoutALink(t *testing.T) {
	d := newDesk(t, active())
	closed := sweep.Close(t.Context(), d.x, d.p, sweep.Account{
		Policy: sweep.Policy{Action: sweep.ActionDisable}, Change: identity.Change{Cause: identity.Orphaned, Target: "wiki", Account: "1", UserName: "alice"},
	})
	if !closed.Proven || closed.Seen != "inactive" || d.writes() != "disable 1" {
		t.Errorf("%+v", closed)
	}
}

func TestR10Delete(t *testing.T) {
	before := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		there    []identity.Account
		disabled time.Time
		script   func(*applytest.Target)
		writes   string
		err      error
	}{
		{"disabled by us, still inactive", []identity.Account{inactive()}, before, nil, "delete 1", nil},
		{"gone already", nil, before, nil, "", nil},
		{"not disabled by us", []identity.Account{inactive()}, time.Time{}, nil, "", targets.ErrRejected},
		{"enabled again", []identity.Account{active()}, before, nil, "", targets.ErrConflict},
		{
			"nobody answers",
			[]identity.Account{inactive()},
			before,
			func(a *applytest.Target) { a.Always("account", applytest.Answer{Err: targets.ErrUnavailable}) }, "", targets.ErrUnavailable,
		},
		{
			"still there after it",
			[]identity.Account{inactive()},
			before,
			func(a *applytest.Target) { a.Always("delete", applytest.Answer{Hollow: true}) }, "delete 1", targets.ErrConflict,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, c.there...)
				if c.script != nil {
					c.script(d.app)
				}
				closed := sweep.Delete(t.Context(), d.x, d.p, d.leaver(strict, identity.LinkDisabled, c.disabled))
				if !errors.Is(closed.Err, c.err) || c.err == nil && closed.Err != nil {
					t.Errorf("error %v, want %v", closed.Err, c.err)
				}
				if closed.Proven != (c.err == nil) || closed.Proven && closed.Seen != "gone" {
					t.Errorf("%+v", closed)
				}
				if got := d.writes(); got != c.writes {
					t.Errorf("writes %q, want %q", got, c.writes)
				}
			})
		})
	}
}

func TestDefaultPolicy(t *testing.T) {
	for _, mapped := range []bool{true, false} {
		want := sweep.Policy{Action: sweep.ActionDisable, Revoke: true, Strip: mapped}
		if got := sweep.Default(mapped); got != want {
			t.Errorf("Default(%t) = %s", mapped, fmt.Sprint(got))
		}
	}
}

// TestR11WhatWasAskedForIsOurOwn: an application that disables the account and does not answer. Whoever finds it
// disabled later has found dirsweep's own doing: it counts for grace, and whoever is back is enabled.
func TestR11WhatWasAskedForIsOurOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, identity.Account{ID: "1", UserName: "alice", Active: true})
		a := d.leaver(sweep.Policy{Action: sweep.ActionDisable, DeleteAfter: month}, identity.LinkActive, time.Time{})
		d.app.Always("disable", applytest.Answer{Err: targets.ErrUnavailable, During: func() {
			d.app.Put(identity.Account{ID: "1", UserName: "alice"})
		}})
		if closed := sweep.Close(t.Context(), d.x, d.p, a); closed.Err == nil {
			t.Fatalf("nothing was answered: %+v", closed)
		}
		link := d.recorded()
		if link.Asked.IsZero() || !link.OwnDisable() {
			t.Fatalf("that it was asked for is forgotten: %+v", link)
		}
		a.Link = link
		closed := sweep.Close(t.Context(), d.x, d.p, a)
		if link = d.recorded(); !closed.Proven || closed.Delete.IsZero() || link.Disabled.IsZero() || !link.Asked.IsZero() {
			t.Errorf("somebody else is taken to have disabled it: %+v, %+v", closed, link)
		}
	})
}

// recorded is alice's link.
func (d *desk) recorded() (link state.Link) {
	d.t.Helper()
	if err := d.ledger.View(d.t.Context(), func(r *state.Reader) (err error) {
		link, _, err = r.Link("wiki", alice)
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	return link
}
