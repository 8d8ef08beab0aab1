package reconcile_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// The account that a target is signed in to as is not closed, whoever asks for it: a pass, an order, on_orphan. It is
// told, with what to do.
func TestR05TheTargetsOwnAccountIsNeverClosed(t *testing.T) {
	signedInAs := func(t *testing.T, app *scimtest.Server, who string) {
		body := fmt.Sprintf(`{"id": %q, "userName": %q}`, app.Users(t)[who]["id"], who)
		app.Inject(scimtest.Fault{Path: "/Me", Trouble: scimtest.Answer(200, body)})
	}
	who, other := slapdtest.UID(1), slapdtest.UID(2)
	t.Run("a leaver", func(t *testing.T) {
		l, dir, app := company(t, 20, "", nil)
		signedInAs(t, app, who)
		dir.Delete(t, dir.PersonDN(who))
		dir.Delete(t, dir.PersonDN(other))
		for range 2 { // asked in the first pass, known in the second
			report := l.held()
			users := app.Users(t)
			if users[who]["active"] != true || users[other]["active"] != false {
				t.Fatalf("%v, %v", users[who]["active"], users[other]["active"])
			}
			found := findings(report, "own account")
			if len(found) != 1 || !strings.Contains(found[0].Subject+found[0].Detail, who) || len(report.Failures) > 0 {
				t.Errorf("%+v; failures %+v", found, report.Failures)
			}
		}
	})
	t.Run("an order", func(t *testing.T) {
		l, _, app := company(t, 5, "", nil)
		signedInAs(t, app, who)
		report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "stolen laptop"})
		l.must(err)
		if app.Users(t)[who]["active"] != true || len(report.Open) != 1 || !strings.Contains(report.Open[0].Why, "signs in to target wiki") {
			t.Errorf("%v, open %+v", app.Users(t)[who]["active"], report.Open)
		}
	})
	t.Run("an orphan", func(t *testing.T) {
		l, _, app := company(t, 5, "", nil)
		app.AddUser(t, "robot", map[string]any{"active": true})
		app.AddUser(t, "nobody", map[string]any{"active": true})
		signedInAs(t, app, "robot")
		l.application("wiki", app, "", func(target *reconcile.Target) { target.OnOrphan = "disable" })
		report := l.full()
		users := app.Users(t)
		if users["robot"]["active"] != true || users["nobody"]["active"] != false || len(findings(report, "own account")) != 1 {
			t.Errorf("robot %v, nobody %v, %+v", users["robot"]["active"], users["nobody"]["active"], report.Findings)
		}
	})
}

// A person as whom a source signs in is not closed by an order either.
func TestR05TheSourcesOwnPersonIsNeverClosed(t *testing.T) {
	l, dir, app := company(t, 5, "", nil)
	who := slapdtest.UID(1)
	l.sources[0].Source = signedIn{l.sources[0].Source, who}
	l.full()
	report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "stolen laptop"})
	l.must(err)
	if app.Users(t)[who]["active"] != true || len(report.Open) != 1 || !strings.Contains(report.Open[0].Why, "signs in to source corp") {
		t.Errorf("%v, open %+v", app.Users(t)[who]["active"], report.Open)
	}
	// Out of sight, it is signed in as all the same.
	dir.Move(t, dir.PersonDN(who), dir.FormerDN())
	for range 3 {
		report := l.held()
		if app.Users(t)[who]["active"] != true || len(findings(report, "own account")) != 1 {
			t.Errorf("%v, %+v", app.Users(t)[who]["active"], report.Findings)
		}
	}
	// Another account was given to it.
	l.sources[0].Source = signedIn{l.sources[0].Source.(signedIn).real, slapdtest.UID(2)}
	l.full()
	l.full()
	if app.Users(t)[who]["active"] != false {
		t.Error("still open")
	}
}

// signedIn is a source that signs in as one of its people.
type signedIn struct {
	real sources.Source
	uid  string
}

func (s signedIn) Close() error { return s.real.Close() }

func (s signedIn) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for p, err := range s.real.People(ctx) {
			p.Own = p.Fits(s.uid) != identity.NoFit
			if !yield(p, err) {
				return
			}
		}
	}
}

func (s signedIn) Find(ctx context.Context, asked sources.Lookup) (sources.Sighting, error) {
	return s.real.(sources.Finder).Find(ctx, asked)
}
