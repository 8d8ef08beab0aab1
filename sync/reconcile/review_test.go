package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// broken is a source whose list ends in an error after its last person.
type broken struct{ sources.Source }

func (b broken) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for p, err := range b.Source.People(ctx) {
			if !yield(p, err) {
				return
			}
		}
		yield(identity.Person{}, errors.New("the connection was cut"))
	}
}

func (b broken) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	return b.Source.(sources.Finder).Find(ctx, who)
}

func TestR02ABrokenReadUpdatesNobody(t *testing.T) {
	l, dir, app := company(t, 300, "", nil)
	dir.Set(t, dir.PersonDN(slapdtest.UID(1)), "sn", "Changed")
	dir.AddPerson(t, "newcomer", nil)
	real := l.sources[0].Source
	l.sources[0].Source = broken{real}
	before := app.Writes()
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
		if report := l.run(reconcile.Pass{Mode: mode}); report.Outcome() != reconcile.Failed || app.Writes() != before {
			t.Errorf("%s: a source that was not read whole ended %q with %d writes", mode, report.Outcome(), app.Writes()-before)
		}
	}
	l.sources[0].Source = real
	l.full()
	if app.Writes() == before {
		t.Error("what changed is lost")
	}
}

func TestR02AShrunkenSnapshotUpdatesNobody(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	real := l.sources[0].Source
	l.sources[0].Source = lossy{real, func(uid string) bool { return uid > slapdtest.UID(16) }}
	dir.Set(t, dir.PersonDN(slapdtest.UID(9)), "sn", "Changed")
	before := app.Writes()
	first := l.run(reconcile.Pass{})
	l.sources[0].Source = lossy{real, func(uid string) bool { return uid > slapdtest.UID(15) }}
	second := l.run(reconcile.Pass{})
	if app.Writes() != before {
		t.Errorf("%d writes from a snapshot that is held", app.Writes()-before)
	}
	if first.Held[0].Digest == second.Held[0].Digest {
		t.Error("another snapshot has the same digest")
	}
	if got := l.holds(); len(got) != 1 {
		t.Errorf("a snapshot that has been replaced still waits: %+v", got)
	}
}

// holds are those on record.
func (l *lab) holds() (out []identity.Hold) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) error {
		for h, err := range r.Holds() {
			if err != nil {
				return err
			}
			out = append(out, h)
		}
		return nil
	}))
	return out
}

// theCase is a person's case, by the login in the case.
func (l *lab) theCase(name string) (out state.Case) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) error {
		for c, err := range r.Cases() {
			if err != nil {
				return err
			}
			if c.Name == name {
				out = c
			}
		}
		return nil
	}))
	return out
}

func TestTwoSourcesAreReadSideBySide(t *testing.T) {
	first := slapdtest.Start(t, slapdtest.Options{People: 2000})
	second := slapdtest.Start(t, slapdtest.Options{People: 500})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", first, "")
	l.directory("labs", second, "")
	l.application("wiki", app, `
		account = { userName = "${person.source}-${person.uid}" }
		scope   = person.uid == "user000001"
	`, nil)
	l.full()
	if got := active(t, app); len(got) != 2 {
		t.Errorf("active: %v", got)
	}
}

func TestSweptPeopleStaySweptUntilTheyAreReleased(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	who := slapdtest.UID(3)
	report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "laptop stolen"})
	l.must(err)
	if len(report.Closed) != 1 || app.Users(t)[who]["active"] != false {
		t.Fatalf("not closed: %+v", report)
	}
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta} {
		if l.run(reconcile.Pass{Mode: mode}); app.Users(t)[who]["active"] != false {
			t.Fatalf("a %s pass gave the account back", mode)
		}
	}
	app.Patch(t, "/Users/"+app.Users(t)[who]["id"].(string), "replace", "active", true)
	if _, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "again"}); err != nil || app.Users(t)[who]["active"] != false {
		t.Errorf("a second order did not look at an account that was enabled by hand: %v", err)
	}
	l.must(l.engine().Release(t.Context(), reconcile.Order{Person: who}))
	l.full()
	if app.Users(t)[who]["active"] != true {
		t.Error("the account is not given back")
	}
}

func TestReleasedBeforeTheTargetCameBack(t *testing.T) {
	l, _, app := company(t, 20, "timeout = \"1s\"\n", nil)
	who := slapdtest.UID(3)
	app.Inject(scimtest.Fault{Trouble: scimtest.Answer(http.StatusUnauthorized, `{"detail":"no"}`)})
	report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "laptop stolen"})
	l.must(err)
	if len(report.Failures) != 1 {
		t.Errorf("an account that could not be closed is not told: %+v", report)
	}
	app.Clear()
	l.must(l.engine().Release(t.Context(), reconcile.Order{Person: who}))
	before := app.Writes()
	l.now = func() time.Time { return time.Now().Add(time.Hour) }
	_, err = l.engine().Retry(t.Context())
	l.must(err)
	l.full()
	if app.Writes() != before || app.Users(t)[who]["active"] != true {
		t.Error("an account was closed after its owner was released")
	}
}

func TestARenamedTargetIsJudgedAnew(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	l.targets[0].Name = "docs"
	before := app.Writes()
	report := l.run(reconcile.Pass{})
	if app.Writes() != before || len(active(t, app)) != 20 || len(report.Held) != 0 {
		t.Errorf("a new name for a target wrote %d times and left %d accounts active", app.Writes()-before, len(active(t, app)))
	}
	if report.Outcome() != reconcile.Held || report.Waiting.Unwatched != 1 {
		t.Errorf("%q, with what waits %+v: nobody looks after the old name's accounts", report.Outcome(), report.Waiting)
	}
}

// What bears a leaver's own externalId is theirs, under whatever identifier.
func TestR11ALeaversSecondAccountIsClosedToo(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	dn := dir.PersonDN(slapdtest.UID(1))
	app.AddUser(t, "second", map[string]any{"externalId": dir.Anchor(t, dn), "active": true})
	dir.Disable(t, dn)
	for range 2 {
		report := l.full()
		if got := app.Users(t); got["second"]["active"] != false || got[slapdtest.UID(1)]["active"] != false {
			t.Fatalf("second %v, first %v: %+v", got["second"]["active"], got[slapdtest.UID(1)]["active"], report.Findings)
		}
	}
}

// overlapping is somebody who is in the directory twice for a while, under one rehire key, and then leaves as the
// first.
func overlapping(t *testing.T) (*lab, *slapdtest.Server, *scimtest.Server) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: 40})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "rehire = person.employeeNumber")
	l.application("wiki", app, "", nil)
	dir.AddPerson(t, "ann", map[string][]string{"employeeNumber": {"E-1"}})
	dir.AddPerson(t, "ann.new", map[string][]string{"employeeNumber": {"E-1"}})
	l.full()
	return l, dir, app
}

func TestR03WhoHasAnAccountGetsNoSecondBack(t *testing.T) {
	l, dir, app := overlapping(t)
	dir.Delete(t, dir.PersonDN("ann"))
	for range 3 {
		l.full()
		if got := app.Users(t); got["ann"]["active"] != false || got["ann.new"]["active"] != true {
			t.Fatalf("ann is %v, ann.new is %v", got["ann"]["active"], got["ann.new"]["active"])
		}
	}
}

func TestR03ARehireOwesNothing(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 40})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	l.directory("corp", dir, "rehire = person.employeeNumber")
	l.application("wiki", app, "", func(target *reconcile.Target) { target.Leaver.DeleteAfter = time.Hour })
	dir.AddPerson(t, "ann", map[string][]string{"employeeNumber": {"E-1"}})
	dir.AddPerson(t, "bob", map[string][]string{"employeeNumber": {"E-2"}})
	l.full()
	dir.Delete(t, dir.PersonDN("ann"))
	l.full()
	// Ann's account is closed and waits for its delete; Bob's cannot be closed.
	refused := scimtest.Fault{Method: http.MethodPatch, Trouble: scimtest.Answer(http.StatusBadRequest, `{"detail":"no"}`)}
	app.Inject(refused)
	dir.Delete(t, dir.PersonDN("bob"))
	l.run(reconcile.Pass{})
	app.Clear()
	dir.AddPerson(t, "ann.new", map[string][]string{"employeeNumber": {"E-1"}})
	dir.AddPerson(t, "bob.new", map[string][]string{"employeeNumber": {"E-2"}})
	l.full()
	clock = clock.Add(2 * time.Hour)
	report, err := l.engine().Retry(t.Context())
	l.must(err)
	if got := app.Users(t); len(report.Failures) != 0 || got["ann.new"]["active"] != true || got["bob.new"]["active"] != true {
		t.Errorf("ann.new %v, bob.new %v, %+v", got["ann.new"], got["bob.new"], report.Failures)
	}
	l.full()
}

func TestR10NoGraceEndsForWhoIsBack(t *testing.T) {
	l, dir, app := company(t, 40, "", func(target *reconcile.Target) { target.Leaver.DeleteAfter = time.Hour })
	clock := time.Now()
	l.now = func() time.Time { return clock }
	dn := dir.PersonDN(slapdtest.UID(1))
	dir.Disable(t, dn)
	l.full()
	dir.Enable(t, dn)
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: scimtest.Answer(http.StatusBadRequest, `{"detail":"no"}`)})
	l.run(reconcile.Pass{})
	app.Clear()
	clock = clock.Add(2 * time.Hour)
	_, err := l.engine().Retry(t.Context())
	l.must(err)
	if app.Users(t)[slapdtest.UID(1)] == nil {
		t.Fatal("the account of somebody who is back was deleted")
	}
	l.full()
	if app.Users(t)[slapdtest.UID(1)]["active"] != true {
		t.Error("the account is not given back")
	}
}

func TestWhatTheConfigNoLongerAsksForIsNotDue(t *testing.T) {
	for name, change := range map[string]func(*lab){
		"grace taken out":      func(l *lab) { l.targets[0].Leaver.DeleteAfter = 0 },
		"grace made longer":    func(l *lab) { l.targets[0].Leaver.DeleteAfter = 24 * time.Hour },
		"protected":            func(l *lab) { l.targets[0].Guard.Protect = []string{"user*"} },
		"only observed":        func(l *lab) { l.targets[0].Observe = true },
		"target under no name": func(l *lab) { l.targets[0].Name = "docs" },
	} {
		t.Run(name, func(t *testing.T) {
			l, dir, app := company(t, 40, "", func(target *reconcile.Target) { target.Leaver.DeleteAfter = time.Hour })
			clock := time.Now()
			l.now = func() time.Time { return clock }
			dir.Disable(t, dir.PersonDN(slapdtest.UID(1)))
			l.full()
			clock = clock.Add(2 * time.Hour)
			change(l)
			before := app.Writes()
			_, err := l.engine().Retry(t.Context())
			l.must(err)
			if due, err := l.engine().NextDue(t.Context()); err != nil || !due.IsZero() && !due.After(clock) {
				t.Errorf("due %s, %v", due, err)
			}
			l.run(reconcile.Pass{})
			if app.Writes() != before {
				t.Errorf("%d writes", app.Writes()-before)
			}
		})
	}
}

func TestR09QuarantineEndsByItself(t *testing.T) {
	l, dir, app := company(t, 20, "timeout = \"1s\"\n", nil)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	app.Inject(scimtest.Fault{Trouble: scimtest.Answer(http.StatusUnauthorized, `{"detail":"token expired"}`)})
	for range 3 {
		l.run(reconcile.Pass{})
	}
	dir.Disable(t, dir.PersonDN(slapdtest.UID(1)))
	for range 5 {
		clock = clock.Add(5 * time.Second)
		report := l.run(reconcile.Pass{Mode: reconcile.Delta})
		if got := report.Targets[0].Err; strings.Count(got, "quarantined") != 1 {
			t.Fatalf("not told plainly: %s", got)
		}
	}
	app.Clear()
	clock = clock.Add(time.Minute)
	if _, err := l.engine().Retry(t.Context()); err != nil || app.Users(t)[slapdtest.UID(1)]["active"] != false {
		t.Errorf("a leaver waits for the end of a quarantine: %v", err)
	}
	clock = clock.Add(time.Minute)
	if report := l.run(reconcile.Pass{Mode: reconcile.Delta}); report.Targets[0].Err != "" {
		t.Errorf("a quarantine that delta passes keep extending: %s", report.Targets[0].Err)
	}
}

func TestR06AnApprovalIsForOnce(t *testing.T) {
	l, dir, app := company(t, 100, "", nil)
	for i := 1; i <= 6; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	report := l.run(reconcile.Pass{Mode: reconcile.Delta})
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if got := len(active(t, app)); got != 94 {
		t.Fatalf("%d active accounts, want 94", got)
	}
	nextSecond(t)
	for i := 1; i <= 6; i++ {
		dir.Enable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	report = l.run(reconcile.Pass{Mode: reconcile.Delta}) // so many returns are held like so many leavings
	for _, h := range report.Held {
		_, err = l.engine().Approve(t.Context(), h.Digest, "tester")
		l.must(err)
	}
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if got := len(active(t, app)); got != 100 {
		t.Fatalf("%d active accounts after the return, want 100", got)
	}
	nextSecond(t)
	for i := 1; i <= 6; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	if report := l.run(reconcile.Pass{Mode: reconcile.Delta}); len(report.Held) != 1 || len(active(t, app)) != 100 {
		t.Errorf("an old approval released the same people a second time: %d active, held %+v, findings %+v", len(active(t, app)), report.Held, report.Findings)
	}
}

func TestR06HoldsOutliveASourceThatIsDown(t *testing.T) {
	l, dir, app := company(t, 100, "", nil)
	for i := 1; i <= 6; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	report := l.run(reconcile.Pass{})
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	real := l.sources[0].Source
	l.sources[0].Source = broken{real}
	l.run(reconcile.Pass{})
	l.sources[0].Source = real
	l.full()
	if got := len(active(t, app)); got != 94 {
		t.Errorf("an approval was lost with a source: %d active accounts, want 94", got)
	}
}

func TestLoginsAreTheOnesThatWerePlanned(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 1})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, `
		account = { userName = unique_login("same", "same{n}"), displayName = person.cn }
	`, nil)
	dir.AddPerson(t, "other", nil)
	planned, err := l.engine().Plan(t.Context(), reconcile.Pass{})
	l.must(err)
	var names []string
	for _, c := range planned.Plan.Changes {
		names = append(names, c.UserName)
	}
	slices.Sort(names)
	l.full()
	if got := active(t, app); !slices.Equal(got, names) || !slices.Equal(got, []string{"same", "same2"}) {
		t.Errorf("planned %v, made %v", names, got)
	}
	before := app.Writes()
	if l.full(); app.Writes() != before {
		t.Error("the next pass wrote again")
	}
}

func TestR16APassLeavesASweepUnderWayAlone(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	sent, answer, swept := make(chan struct{}), make(chan struct{}), make(chan error)
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Times: 1, Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		close(sent)
		<-answer
		next.ServeHTTP(w, r)
	}})
	engine := l.engine()
	go func() {
		_, err := engine.Sweep(t.Context(), reconcile.Order{Person: slapdtest.UID(3), Reason: "laptop stolen"})
		swept <- err
	}()
	<-sent
	_, err := engine.Run(t.Context(), reconcile.Pass{})
	close(answer)
	l.must(errors.Join(err, <-swept))
	for rec, err := range l.trail.Records() {
		if l.must(err); rec.Outcome == audit.FoundNotDone || rec.Outcome == audit.FoundDone {
			t.Errorf("the pass looked into a sweep that was under way: %+v", rec)
		}
	}
	if app.Users(t)[slapdtest.UID(3)]["active"] != false {
		t.Error("not closed")
	}
}

func TestAnOrderInTheMiddleOfAPassStands(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	who := slapdtest.UID(3)
	dir.Set(t, dir.PersonDN(who), "sn", "Changed")
	engine := l.engine()
	var ordered error
	app.Inject(scimtest.Fault{
		Method: http.MethodGet, Times: 1, Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Users") },
		Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			_, ordered = engine.Sweep(t.Context(), reconcile.Order{Person: who, Reason: "laptop stolen"})
			next.ServeHTTP(w, r)
		},
	})
	_, err := engine.Run(t.Context(), reconcile.Pass{})
	l.must(errors.Join(err, ordered))
	if app.Users(t)[who]["active"] != false {
		t.Error("the pass that was under way gave the account back")
	}
}

func TestR03ARehireWhoseAccountIsGoneGetsANewOne(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 30})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "rehire = person.employeeNumber")
	l.application("wiki", app, "", func(target *reconcile.Target) { target.OnDrift = "report" })
	dir.AddPerson(t, "ann", map[string][]string{"employeeNumber": {"E-1"}})
	l.full()
	dir.Delete(t, dir.PersonDN("ann"))
	l.full()
	app.Raw(t, http.MethodDelete, "/Users/"+app.Users(t)["ann"]["id"].(string), nil)
	dir.AddPerson(t, "ann.new", map[string][]string{"employeeNumber": {"E-1"}})
	l.full()
	if app.Users(t)["ann.new"]["active"] != true {
		t.Error("no account")
	}
	before := app.Writes()
	if l.full(); app.Writes() != before {
		t.Error("the pass after that wrote again")
	}
}

func TestNobodyIsLeftUnwatchedInSilence(t *testing.T) {
	for name, change := range map[string]func(*lab){
		"the target reads it no more":     func(l *lab) { l.targets[0].Sources = []string{"labs"} },
		"the source is not in the config": func(l *lab) { l.sources = l.sources[1:]; l.targets[0].Sources = []string{"labs"} },
	} {
		t.Run(name, func(t *testing.T) {
			l, dir, app := company(t, 20, "", nil)
			other := slapdtest.Start(t, slapdtest.Options{People: 2, Person: func(i int) map[string][]string {
				return map[string][]string{"uid": {slapdtest.UID(i), "other"}}
			}})
			l.directory("labs", other, "")
			l.targets[0].Sources = []string{"corp"}
			l.full()
			first := l.sources[0].Source
			before := app.Writes()
			change(l)
			dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
			report := l.run(reconcile.Pass{})
			if l.sources[0].Source != first {
				l.must(first.Close())
			}
			if got := findings(report, "unwatched"); len(got) != 1 || !strings.Contains(got[0].Detail, "20 active accounts") || app.Writes() != before {
				t.Errorf("%d writes, findings %+v", app.Writes()-before, report.Findings)
			}
		})
	}
}

// TestR03ARenamedSourceReadsThePeopleThatItDid: B11.
func TestR03ARenamedSourceReadsThePeopleThatItDid(t *testing.T) {
	l, dir, app := company(t, 20, `account = { userName = unique_login(person.uid, "${person.uid}{n}") }`, nil)
	l.sources[0].Name, l.targets[0].Sources = "hr", []string{"hr"}
	before := app.Writes()
	if report := l.full(); app.Writes() != before || len(active(t, app)) != 20 {
		t.Errorf("%d writes, findings %+v", app.Writes()-before, report.Findings)
	}
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	l.full()
	if got := len(active(t, app)); got != 19 {
		t.Errorf("%d active accounts, want 19: somebody who left by the source's new name is not closed", got)
	}
}

func TestDeltaWritesToOneAccountOnce(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	who := slapdtest.UID(3)
	dir.Set(t, dir.PersonDN(who), "sn", "Changed")
	dir.AddPerson(t, "newcomer", map[string][]string{"uid": {who, "newcomer"}}) // a search for the joiner finds who has changed
	before := app.Writes()
	report := l.run(reconcile.Pass{Mode: reconcile.Delta})
	if got := app.Writes() - before; got != 1 || len(findings(report, "disputed")) != 1 {
		t.Errorf("%d writes for a change, %+v", got, report.Findings)
	}
}

func TestR16WhatCannotBeToldIsNotDone(t *testing.T) {
	l, dir, app := company(t, 20, "", func(target *reconcile.Target) { target.Parallel = 2 })
	for i := range 12 {
		dir.AddPerson(t, fmt.Sprintf("newcomer%02d", i), nil)
	}
	l.must(l.trail.Close())
	before := app.Writes()
	if _, err := l.engine().Run(t.Context(), reconcile.Pass{}); err == nil {
		t.Error("a pass whose trail cannot be written ended well")
	}
	if got := app.Writes() - before; got > 2 {
		t.Errorf("%d writes, and at most those under way are allowed", got)
	}
	again := app.Writes()
	if _, err := l.engine().Run(t.Context(), reconcile.Pass{}); err == nil || app.Writes() != again {
		t.Errorf("the next pass wrote %d times: %v", app.Writes()-again, err)
	}
	l.must(l.ledger.Close())
	l.open()
	l.full()
	if got := len(active(t, app)); got != 32 {
		t.Errorf("%d active accounts, want 32", got)
	}
	if got := app.Writes() - before; got != 12 {
		t.Errorf("%d writes for 12 joiners", got)
	}
}

func TestR07AnAccountFoundAndClosedIsNotForgotten(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 20})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	who := slapdtest.UID(1)
	dir.Disable(t, dir.PersonDN(who))
	app.AddUser(t, who, map[string]any{"externalId": dir.Anchor(t, dir.PersonDN(who)), "active": true})
	ctx, cancel := context.WithCancel(t.Context())
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Times: 1, Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		defer cancel()
		scimtest.CutAfter()(w, r, next)
	}})
	if _, err := l.engine().Run(ctx, reconcile.Pass{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped, and ended with %v", err)
	}
	app.Clear()
	before := app.Writes()
	l.full()
	c := l.theCase(who)
	if got := app.Users(t)[who]; got["active"] != false || len(c.Steps) != 1 || c.Steps[0].Status != state.StepProven {
		t.Errorf("%v, case %+v", got, c)
	}
	if got := app.Count(http.MethodPatch, "/Users/"+app.Users(t)[who]["id"].(string)); got != 1 {
		t.Errorf("%d patches, %d writes", got, app.Writes()-before)
	}
	l.full()
}

func TestR06WhoLeavesLaterIsAnotherHold(t *testing.T) {
	l, dir, app := company(t, 100, "", nil)
	for i := 1; i <= 8; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
		if i >= 6 {
			l.run(reconcile.Pass{Mode: reconcile.Delta})
		}
	}
	first := -1
	got := l.holds()
	for i, h := range got {
		if h.Count == 6 {
			first = i
		}
	}
	if len(got) != 3 || first < 0 {
		t.Fatalf("%d holds: %+v", len(got), got)
	}
	_, err := l.engine().Approve(t.Context(), got[first].Digest, "tester")
	l.must(err)
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if n := len(active(t, app)); n != 94 {
		t.Errorf("%d active accounts, want 94: those of the hold that was approved, and nobody else", n)
	}
	if got := l.holds(); len(got) != 2 {
		t.Errorf("what is left to decide: %+v", got)
	}
}

func TestAnOrderTellsWhatItOnlyObserves(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	l.targets[0].Observe = true
	before := app.Writes()
	report, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: slapdtest.UID(3), Reason: "laptop stolen"})
	l.must(err)
	if len(report.Open) != 1 || report.Outcome() != reconcile.Partial || app.Writes() != before {
		t.Errorf("R21: %d writes, outcome %s, open %+v", app.Writes()-before, report.Outcome(), report.Open)
	}
}
