package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

func TestApprovedLeaversDoNotUseTheWindowUp(t *testing.T) {
	l, dir, _ := company(t, 100, "", nil)
	for i := 1; i <= 20; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	report := l.run(reconcile.Pass{})
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	l.full()
	dir.Disable(t, dir.PersonDN(slapdtest.UID(30)))
	l.full() // held, were the twenty counted
}

func TestR10WhatSomebodyElseDisabledIsNotDeleted(t *testing.T) {
	l, dir, app := company(t, 40, "", func(target *reconcile.Target) { target.Leaver.DeleteAfter = time.Hour })
	clock := time.Now()
	l.now = func() time.Time { return clock }
	who := slapdtest.UID(1)
	app.Patch(t, "/Users/"+app.Users(t)[who]["id"].(string), "replace", "active", false)
	dir.Delete(t, dir.PersonDN(who))
	l.full()
	for range 3 {
		clock = clock.Add(24 * time.Hour)
		l.full()
	}
	if app.Users(t)[who] == nil {
		t.Error("an account that somebody else disabled was deleted")
	}
}

func TestGraceDeleteKeepsTheClockOfTheClosing(t *testing.T) {
	l, dir, app := company(t, 40, "", func(target *reconcile.Target) { target.Leaver.DeleteAfter = 30 * 24 * time.Hour })
	clock := time.Now()
	l.now = func() time.Time { return clock }
	who := slapdtest.UID(1)
	dir.Delete(t, dir.PersonDN(who))
	l.full()
	clock = clock.Add(31 * 24 * time.Hour)
	l.full()
	if app.Users(t)[who] == nil {
		t.Error("R10: deleted by a clock that jumped by a month")
	}
	clock = clock.Add(time.Minute)
	l.full() // a second pass confirms the clock
	if app.Users(t)[who] != nil {
		t.Fatal("not deleted")
	}
	file := l.evidence(who)
	if a := file.Accounts[0]; a.Took > 60 || a.Words() != "proven gone" {
		t.Errorf("evidence says %+v", file.Accounts)
	}
}

func TestEmergencySweepAndRelease(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	who := slapdtest.UID(1)
	app.Inject(scimtest.Fault{Method: "PATCH", Trouble: scimtest.Answer(500, "")})
	report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "stolen laptop"})
	l.must(err)
	if len(report.Failures) != 1 {
		t.Fatalf("the application failed, and the report says %+v", report)
	}
	app.Clear()
	l.full() // the source still says that the person is here
	if app.Users(t)[who]["active"] != false {
		t.Fatal("not closed")
	}
	var c state.Case
	l.must(l.ledger.View(t.Context(), func(r *state.Reader) error {
		for found, err := range r.Cases() {
			l.must(err)
			c = found
		}
		return nil
	}))
	if c.Cause != identity.Emergency || !strings.Contains(c.Reason, "stolen") || c.Steps[0].Status != state.StepProven {
		t.Errorf("the case: %+v", c)
	}
	l.full()
	l.must(l.engine().Release(t.Context(), reconcile.Order{Person: who}))
	l.full()
	if app.Users(t)[who]["active"] != true {
		t.Error("not given back")
	}
}

func TestObserveWritesNothing(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	l.application("wiki", app, "", func(target *reconcile.Target) { target.Observe = true })
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	dir.AddPerson(t, "newcomer", nil)
	before := app.Writes()
	report := l.run(reconcile.Pass{})
	if app.Writes() != before || len(report.Plan.Changes) != 2 {
		t.Errorf("%d writes; planned %+v", app.Writes()-before, report.Plan.Changes)
	}
}

func TestEntitlements(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 10})
	app := scimtest.StartElimity(t)
	ids := map[string]string{}
	for _, group := range []string{"wiki-readers", "wiki-editors", "by-hand"} {
		ids[group] = app.AddGroup(t, group)
	}
	dn := dir.PersonDN(slapdtest.UID(1))
	dir.AddGroup(t, "wiki-readers", dn)
	editors := dir.AddGroup(t, "wiki-editors", dir.PersonDN(slapdtest.UID(2)))
	l := newLab(t)
	l.directory("corp", dir, `groups { base_dn = "`+dir.GroupsDN()+`" }`)
	l.application("wiki", app, `entitlements = [for g in person.groups : g if startswith(g, "wiki-")]`+"\n", func(target *reconcile.Target) {
		target.Leaver = sweep.Policy{Action: sweep.ActionDisable, Strip: true}
	})
	l.full()
	member := func(group, uid string) bool {
		for _, id := range app.Members(t, ids[group]) {
			if id == app.Users(t)[uid]["id"] {
				return true
			}
		}
		return false
	}
	if !member("wiki-readers", slapdtest.UID(1)) || !member("wiki-editors", slapdtest.UID(2)) {
		t.Fatal("entitlements were not granted")
	}
	before := app.Writes()
	l.full()
	if app.Writes() != before {
		t.Error("a pass without changes wrote")
	}
	dir.Join(t, editors, dn)
	dir.AddGroup(t, "wiki-other", dir.PersonDN(slapdtest.UID(3))) // the application has no such group
	l.run(reconcile.Pass{})
	if !member("wiki-editors", slapdtest.UID(1)) {
		t.Error("an added group was not granted")
	}
	dir.Leave(t, editors, dn)
	l.run(reconcile.Pass{})
	if member("wiki-editors", slapdtest.UID(1)) {
		t.Error("a group that the person left was not withdrawn")
	}
	dir.Delete(t, dn)
	l.run(reconcile.Pass{})
	if member("wiki-readers", slapdtest.UID(1)) || app.Users(t)[slapdtest.UID(1)]["active"] != false {
		t.Error("the leaver was not stripped and disabled")
	}
}
