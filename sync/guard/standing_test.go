package guard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// R6: of several holds that bind one leaver, a rejection counts before one that is undecided, and that before an
// approval.
func TestR06TheSeverestRulingBinds(t *testing.T) {
	leave := crowd(moved, "ou=a", 1)
	hold := func(digest string, what identity.Verdict) identity.Hold {
		l := leave[0]
		return identity.Hold{
			Digest: digest, Kind: identity.HoldCohort, Target: "wiki", Cause: l.Cause, Since: morning.Add(-48 * time.Hour),
			Members: []identity.Member{{
				Target: l.Target, Person: l.Person, Account: l.Account, Name: l.Name, Cause: l.Cause, Strength: l.Strength,
				Ruling: identity.Ruling{What: what, By: "olga"},
			}},
		}
	}
	for _, c := range []struct {
		name  string
		holds []identity.Hold
		want  string
	}{
		{"approved", []identity.Hold{hold("1", identity.Approved)}, "1 go"},
		{"undecided", []identity.Hold{hold("1", "")}, "0 go; standing 1"},
		{"approved and undecided", []identity.Hold{hold("1", identity.Approved), hold("2", "")}, "0 go; standing 1"},
		{"approved and rejected", []identity.Hold{hold("1", identity.Approved), hold("2", identity.Rejected)}, "0 go; kept 1"},
		{"undecided and rejected", []identity.Hold{hold("1", ""), hold("2", identity.Rejected)}, "0 go; kept 1"},
	} {
		b := company(100)
		b.holds = c.holds
		if got := said(b.pass(leave)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// R6: a hold over enabling somebody binds nobody who leaves, and the other way round.
func TestR06AHoldBindsWhatItIsAbout(t *testing.T) {
	leave := crowd(deleted, "ou=a", 1)
	b := company(100)
	b.holds = []identity.Hold{{
		Digest: "1", Kind: identity.HoldEnable, Target: "wiki", Cause: identity.Rehired, Since: morning,
		Members: []identity.Member{{Target: "wiki", Person: leave[0].Person, Account: leave[0].Account, Strength: identity.ByOrder}},
	}}
	if got := said(b.pass(leave)); got != "1 go" {
		t.Errorf("%s: who is not to be enabled may be closed", got)
	}
	b.holds[0].Kind = identity.HoldCohort
	if got := said(guard.Enables(b.facts(leave))); got != "1 go" {
		t.Errorf("%s: who is not to be closed may be enabled", got)
	}
}

// A hold over one target's accounts names the target, whatever it is judged in; one over several names none.
func TestAHoldNamesItsTarget(t *testing.T) {
	leave := crowd(deleted, "ou=a", 20)
	if h := company(100).pass(leave).Holds[0]; h.Target != "wiki" || h.Directory != "corp" {
		t.Errorf("of wiki's accounts alone: target %q of %q", h.Target, h.Directory)
	}
	if h := company(100).pass(leave, at("chat", leave)).Holds[0]; h.Target != "" {
		t.Errorf("of two targets' accounts: target %q", h.Target)
	}
}

// A hold says how many wait for the same already.
func TestAHoldCountsWhoWaits(t *testing.T) {
	b := company(100)
	b.pass(crowd(moved, "ou=a", 6))
	d := b.pass(crowd(moved, "ou=b", 1))
	if len(d.Holds) != 1 || !strings.Contains(d.Holds[0].Reason, "(moved), 6 wait, ") {
		t.Errorf("%+v", d.Holds)
	}
	b = company(100)
	b.pass(crowd(moved, "ou=a", 5))
	b.holds = append(b.holds, identity.Hold{
		Digest: "1", Kind: identity.HoldCohort, Directory: "corp", Cause: identity.Moved, Since: morning,
		Members: []identity.Member{{Target: "wiki", Person: person("x"), Account: "x", Cause: identity.Moved, Strength: identity.ByScope}},
	})
	d = b.pass(crowd(moved, "ou=b", 1))
	if len(d.Holds) != 1 || !strings.Contains(d.Holds[0].Reason, "(moved), 5 were closed already, 1 wait, ") {
		t.Errorf("%+v", d.Holds)
	}
}

// A percentage below one lets one go all the same; one of nothing nobody.
func TestR06APercentageOfFewIsOne(t *testing.T) {
	for percent, want := range map[float64]string{0.5: "1 go", 1: "1 go", 0: "0 go; held 1 moved"} {
		b := company(100)
		b.limits.MaxSweepPercent = percent
		if got := said(b.pass(crowd(moved, "ou=a", 1))); got != want {
			t.Errorf("%g percent of a hundred: %s, want %s", percent, got, want)
		}
	}
}

// A hold over a read says what more is known of those who are missing.
func TestR02AShrinkSaysWhatIsKnown(t *testing.T) {
	r := guard.Read{Now: morning, Limits: guard.Default(), Source: "corp", Before: 100, Count: 50, Missing: 50}
	for words, want := range map[string]string{"": "before you approve", "7 of them deleted": "before you approve; 7 of them deleted"} {
		r.Words = words
		if b := guard.Believe(r); b.Hold == nil || !strings.HasSuffix(b.Hold.Reason, want) {
			t.Errorf("%q: %+v, want that it ends in %q", words, b.Hold, want)
		}
	}
}

// R6: who was rejected at one target is kept at another that they leave by the same; not once they have returned to the
// first, where that ends.
func TestR06WhoHasReturnedIsBoundNowhereElse(t *testing.T) {
	gone := crowd(moved, "ou=a", 1)
	l := gone[0]
	b := company(100)
	b.holds = []identity.Hold{{
		Digest: "1", Kind: identity.HoldCohort, Directory: "corp", Target: "wiki", Cause: l.Cause, Since: morning,
		Members: []identity.Member{{
			Target: "wiki", Person: l.Person, Account: l.Account, Strength: l.Strength,
			Ruling: identity.Ruling{What: identity.Rejected, By: "olga"},
		}},
	}}
	elsewhere := at("chat", gone)
	f := b.facts(elsewhere)
	if got := said(guard.Decide(f)); got != "0 go; kept 1" {
		t.Errorf("%s: the rejection is of one departure, at every target", got)
	}
	f.Ended = map[guard.Ref]guard.End{guard.RefOf(l.Person, "wiki", l.Account): guard.Returned}
	if got := said(guard.Decide(f)); got != "1 go" {
		t.Errorf("%s: they have returned to wiki", got)
	}
}
