package reconcile_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A group that people lose a few at a time is held once more have lost it within the window than may lose it at once.
func TestR06WithdrawalsThatTrickleAreHeld(t *testing.T) {
	const people, atOnce, passes = 40, 3, 7
	dir, app := slapdtest.Start(t, slapdtest.Options{People: people}), scimtest.StartElimity(t)
	group := app.AddGroup(t, "wiki-editors")
	var all []string
	for n := range people {
		all = append(all, dir.PersonDN(slapdtest.UID(n+1)))
	}
	editors := dir.AddGroup(t, "wiki-editors", all...)
	l := newLab(t)
	l.directory("corp", dir, `groups { base_dn = "`+dir.GroupsDN()+`" }`)
	l.application("wiki", app, `entitlements = [for g in person.groups : g if startswith(g, "wiki-")]`+"\n", nil)
	l.full()
	members := func() int { return len(app.Members(t, group)) }
	if members() != people {
		t.Fatalf("granted to %d", members())
	}
	var report reconcile.Report
	for i := range passes {
		for _, dn := range all[i*atOnce : (i+1)*atOnce] {
			dir.Leave(t, editors, dn)
		}
		report = l.run(reconcile.Pass{})
	}
	if got := members(); got != people-(passes-1)*atOnce {
		t.Errorf("%d have it still, %d should", got, people-(passes-1)*atOnce)
	}
	if len(report.Held) != 1 || report.Held[0].Cause != identity.Withdrawn || report.Held[0].Count != passes*atOnce {
		t.Fatalf("%+v", report.Held)
	}
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "")
	l.must(err)
	l.full()
	if got := members(); got != people-passes*atOnce {
		t.Errorf("approved, and %d have it still", got)
	}
}
