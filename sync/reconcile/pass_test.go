package reconcile_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

func TestFirstPassCreatesSecondWritesNothing(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 50})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	l.full()
	if got := len(active(t, app)); got != 50 {
		t.Fatalf("%d active accounts, want 50", got)
	}
	before := app.Writes()
	l.full()
	if got := app.Writes() - before; got != 0 {
		t.Fatalf("a pass without changes wrote %d times: %+v", got, app.Calls()[len(app.Calls())-5:])
	}
	gone := slapdtest.UID(7)
	dir.Delete(t, dir.PersonDN(gone))
	report := l.full()
	if len(report.Closed) != 1 || app.Users(t)[gone]["active"] != false {
		t.Fatalf("the leaver is not closed: %+v %v", report.Closed, app.Users(t)[gone])
	}
	if got := len(active(t, app)); got != 49 {
		t.Fatalf("%d active accounts, want 49", got)
	}
	before = app.Writes()
	l.full()
	if got := app.Writes() - before; got != 0 {
		t.Fatalf("a pass without changes wrote %d times", got)
	}
}
