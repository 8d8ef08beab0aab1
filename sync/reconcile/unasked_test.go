package reconcile_test

import (
	"fmt"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// R21: where more accounts may be of people who left before anything was remembered than are asked about in one pass,
// that is told.
func TestR21MoreThanAreAskedAboutAreTold(t *testing.T) {
	for _, c := range []struct{ strangers, told int }{{1000, 0}, {1010, 1}} {
		dir := slapdtest.Start(t, slapdtest.Options{People: 1})
		app, fast := scimtest.StartFast(t, 0, scimtest.Quirks{})
		fast.Fill(c.strangers, func(i int) map[string]any {
			return map[string]any{
				"userName": fmt.Sprintf("stranger%d", i), "active": true, "externalId": fmt.Sprintf("0fa1b2c3-0000-4000-8000-%012d", i),
			}
		})
		l := newLab(t)
		l.directory("corp", dir, "")
		l.application("wiki", app, "", nil)
		report := l.run(reconcile.Pass{})
		told := 0
		for _, f := range findings(report, "unproven") {
			if f.Subject == "wiki: accounts that are nobody's" {
				told++
			}
		}
		if told != c.told {
			t.Errorf("%d strangers: told %d times: %+v", c.strangers, told, report.Findings)
		}
	}
}

// R6: who is ordered closed is closed by that order, though they left before anything was remembered: it can be
// released.
func TestR06AnOrderSaysMoreThanBeforeOurTime(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 1})
	app, fast := scimtest.StartFast(t, 0, scimtest.Quirks{})
	fast.Fill(1, func(int) map[string]any {
		return map[string]any{"userName": "stranger", "active": true, "externalId": "0fa1b2c3-0000-4000-8000-000000000001"}
	})
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	report := l.run(reconcile.Pass{})
	if len(report.Held) != 1 || report.Held[0].Cause != identity.BeforeUs {
		t.Fatalf("%+v", report.Held)
	}
	who := report.Held[0].Members[0].Person
	l.must(l.ledger.Update(t.Context(), func(w *state.Writer) error { return w.PutClosure(state.Closure{Person: who}) }))
	l.run(reconcile.Pass{})
	l.must(l.ledger.View(t.Context(), func(r *state.Reader) error {
		c, _, err := r.Case(who)
		if c.Cause != identity.Emergency {
			t.Errorf("closed as %s", c.Cause)
		}
		return err
	}))
}
