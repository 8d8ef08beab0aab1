package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// company is a directory with one application that has converged.
func company(t *testing.T, people int, extra string, adjust func(*reconcile.Target)) (*lab, *slapdtest.Server, *scimtest.Server) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: people, Groups: 4})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN()))
	l.application("wiki", app, extra, adjust)
	l.full()
	return l, dir, app
}

// unanswering is a source whose Finder gives no answer.
type unanswering struct{ sources.Source }

func (unanswering) Find(context.Context, sources.Lookup) (sources.Sighting, error) {
	return sources.Sighting{}, errors.New("the directory does not answer")
}

func TestR01AbsenceIsProven(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	dir.Move(t, dir.PersonDN(slapdtest.UID(2)), dir.FormerDN())

	real := l.sources[0].Source
	l.sources[0].Source = unanswering{real}
	before := app.Writes()
	report := l.run(reconcile.Pass{})
	if app.Writes() != before || len(findings(report, "unproven")) != 2 {
		t.Fatalf("without an answer about the absent there were %d writes and these findings: %+v", app.Writes()-before, report.Findings)
	}

	l.sources[0].Source = real
	report = l.full()
	if got := fmt.Sprint(active(t, app)); strings.Contains(got, slapdtest.UID(1)) || strings.Contains(got, slapdtest.UID(2)) {
		t.Errorf("still active: %s", got)
	}
	causes := map[string]identity.Cause{}
	for _, c := range report.Plan.Changes {
		causes[c.UserName] = c.Cause
	}
	if causes[slapdtest.UID(1)] != identity.Deleted || causes[slapdtest.UID(2)] != identity.Moved {
		t.Errorf("causes are %v", causes)
	}
}

func TestR02NoPartIsAWhole(t *testing.T) {
	l, dir, app := company(t, 300, "", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	// The second page of the application's list fails for good: nothing may be concluded from the first.
	app.Inject(scimtest.Fault{Method: "GET", Match: func(r *http.Request) bool {
		at := r.URL.Query().Get("startIndex")
		return strings.HasSuffix(r.URL.Path, "/Users") && at != "" && at != "1"
	}, Trouble: scimtest.Answer(400, `{"detail":"no more"}`)})
	dir.AddPerson(t, "newcomer", nil)
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Failed || report.Targets[0].Err == "" {
		t.Errorf("half a list ended %q: %+v", report.Outcome(), report.Targets)
	}
	app.Clear()
	if _, made := app.Users(t)["newcomer"]; made {
		t.Error("an account was made after half a list")
	}
	l.full()
	if got := len(active(t, app)); got != 300 {
		t.Errorf("%d active accounts, want 300", got)
	}
}

// lossy is a source whose list lacks people whom it has, when asked for them.
type lossy struct {
	sources.Source
	lacks func(uid string) bool
}

func (s lossy) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for p, err := range s.Source.People(ctx) {
			if (err != nil || !s.lacks(p.Name)) && !yield(p, err) {
				return
			}
		}
	}
}

func (s lossy) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	return s.Source.(sources.Finder).Find(ctx, who)
}

func TestR02ShrinkIsHeldUntilApproved(t *testing.T) {
	l, dir, app := company(t, 50, "", func(target *reconcile.Target) { target.Guard.MaxSweepPercent = 100 })
	real := l.sources[0].Source
	l.sources[0].Source = lossy{real, func(uid string) bool { return uid > slapdtest.UID(40) }} // 20 %, of whom nothing explains it
	for i := 1; i <= 6; i++ {
		dir.Delete(t, dir.PersonDN(slapdtest.UID(i)))
	}
	dir.Set(t, dir.PersonDN(slapdtest.UID(9)), "sn", "Changed")
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Held || len(report.Held) != 1 || report.Held[0].Kind != "shrink" {
		t.Fatalf("%q: %+v", report.Outcome(), report.Held)
	}
	if reason := report.Held[0].Reason; !strings.Contains(reason, "10 of them") || !strings.Contains(reason, "6 of them deleted") {
		t.Errorf("the hold does not say what became of those who are missing: %s", reason)
	}
	// Who is explained one by one does not wait for those who are not; nobody else is touched.
	if got := len(active(t, app)); got != 44 {
		t.Errorf("%d active accounts, want 44", got)
	}
	if name := app.Users(t)[slapdtest.UID(9)]["name"]; strings.Contains(fmt.Sprint(name), "Changed") {
		t.Error("a read that is held changed an account")
	}
	_, err := l.engine().Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	report = l.run(reconcile.Pass{})
	if len(report.Held) != 0 || len(findings(report, "missed")) != 10 || len(active(t, app)) != 44 {
		t.Errorf("approved: %d active accounts, held %+v, findings %+v", len(active(t, app)), report.Held, report.Findings)
	}
	if name := app.Users(t)[slapdtest.UID(9)]["name"]; !strings.Contains(fmt.Sprint(name), "Changed") {
		t.Error("what changed is lost")
	}
}

func TestR03PeopleAreAnchored(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	leaver := slapdtest.UID(1)
	dir.Delete(t, dir.PersonDN(leaver))
	l.full()
	dir.AddPerson(t, leaver, nil) // another person with the same login
	before := app.Writes()
	report := l.run(reconcile.Pass{})
	if got := findings(report, "disputed"); len(got) != 1 || app.Writes() != before || report.Outcome() != reconcile.Held {
		t.Errorf("%q with %d writes for another person with a leaver's login, findings %+v", report.Outcome(), app.Writes()-before, report.Findings)
	}
	if app.Users(t)[leaver]["active"] != false {
		t.Error("another person got the leaver's account")
	}
}

func TestR03RehireGetsTheOldAccountBack(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	dn := dir.PersonDN(slapdtest.UID(1))
	id := app.Users(t)[slapdtest.UID(1)]["id"]
	dir.Disable(t, dn)
	l.full()
	if app.Users(t)[slapdtest.UID(1)]["active"] != false {
		t.Fatal("a disabled person's account is active")
	}
	dir.Enable(t, dn)
	report := l.full()
	got := app.Users(t)[slapdtest.UID(1)]
	if got["active"] != true || got["id"] != id || report.Plan.Changes[0].Cause != identity.Rehired {
		t.Errorf("rehired: %v by %+v", got, report.Plan.Changes)
	}
	l.must(l.ledger.View(t.Context(), func(r *state.Reader) error {
		for c, err := range r.Cases() {
			t.Errorf("a case is left: %+v %v", c, err)
		}
		return nil
	}))
}

func TestR03RehireByDeclaredKey(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 30})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "rehire = person.employeeNumber")
	l.application("wiki", app, "", nil)
	dir.AddPerson(t, "ann", map[string][]string{"employeeNumber": {"E-1"}})
	l.full()
	id := app.Users(t)["ann"]["id"]
	dir.Delete(t, dir.PersonDN("ann"))
	l.full()
	dir.AddPerson(t, "ann.new", map[string][]string{"employeeNumber": {"E-1"}})
	l.full()
	if got := app.Users(t)["ann.new"]; got["id"] != id || got["active"] != true {
		t.Errorf("the person who came back has %v, want account %v", got, id)
	}
	before := app.Writes()
	l.full()
	if app.Writes() != before {
		t.Error("the pass after a rehire wrote again")
	}
}

// R3: somebody whose account was closed while they were still there is deleted, and hired again. That is seen by a delta: a
// full pass may be a day away.
func TestR03RehireWaitsForNoFullPass(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 30, Groups: 1})
	app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.directory("corp", dir, `rehire = person.employeeNumber
		groups { base_dn = "`+dir.GroupsDN()+`" }`)
	l.application("wiki", app, `scope = member_of("group001")`, nil)
	hire := func() {
		dir.Join(t, dir.GroupDN("group001"), dir.AddPerson(t, "ann", map[string][]string{"employeeNumber": {"E-1"}}))
	}
	hire()
	l.full()
	id := app.Users(t)["ann"]["id"]
	dir.Leave(t, dir.GroupDN("group001"), dir.PersonDN("ann"))
	l.full()
	dir.Delete(t, dir.PersonDN("ann"))
	hire()
	report := l.run(reconcile.Pass{Mode: reconcile.Delta})
	if got := app.Users(t)["ann"]; got["id"] != id || got["active"] != true {
		t.Errorf("who was hired again has %v, want account %v active; %+v", got, id, report.Findings)
	}
}

func TestR04LeaversFirst(t *testing.T) {
	l, dir, first := company(t, 60, "", nil)
	second := scimtest.StartElimity(t)
	l.application("chat", second, "", nil)
	l.full()
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	dir.Disable(t, dir.PersonDN(slapdtest.UID(2)))
	dir.AddPerson(t, "newcomer", nil)
	dir.Set(t, dir.PersonDN(slapdtest.UID(3)), "cn", "Another Name")
	var order []string
	first.Reset()
	second.Reset()
	var closed atomic.Int32
	watch := func(app *scimtest.Server) {
		app.Inject(scimtest.Fault{Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodPost && closed.Load() < 4 {
				t.Errorf("%s %s before every leaver was closed", r.Method, r.URL.Path)
			}
			next.ServeHTTP(w, r)
			if r.Method == http.MethodPatch {
				closed.Add(1)
			}
		}})
	}
	watch(first)
	watch(second)
	report := l.full()
	for _, c := range report.Plan.Changes {
		order = append(order, string(c.Op))
	}
	lastSweep, firstOther := -1, len(order)
	for i, op := range order {
		if identity.Op(op).Sweeps() {
			lastSweep = i
		} else if i < firstOther {
			firstOther = i
		}
	}
	if lastSweep != 3 || lastSweep > firstOther {
		t.Errorf("the plan's order is %v", order)
	}
}

func TestR05HandsOff(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	app.AddUser(t, "service", map[string]any{"active": true})
	app.AddUser(t, "handmade", map[string]any{"active": true, "displayName": "Made by hand"})
	before := app.Writes()
	report := l.full()
	if app.Writes() != before || report.Targets[0].Orphans != 2 {
		t.Errorf("orphans: %d writes, %+v", app.Writes()-before, report.Targets)
	}
	// Where the config asks for it orphans are disabled, protected ones never.
	l.application("wiki", app, "", func(target *reconcile.Target) {
		target.OnOrphan = "disable"
		target.Guard.Protect = []string{"Serv*"}
	})
	l.full()
	if got := app.Users(t); got["handmade"]["active"] != false || got["service"]["active"] != true {
		t.Errorf("handmade %v, service %v", got["handmade"], got["service"])
	}
	// A protected leaver is not touched either, and told.
	l.application("wiki", app, "", func(target *reconcile.Target) { target.Guard.Protect = []string{slapdtest.UID(5)} })
	dir.Delete(t, dir.PersonDN(slapdtest.UID(5)))
	report = l.held()
	if app.Users(t)[slapdtest.UID(5)]["active"] != true || len(findings(report, "protected")) != 1 {
		t.Errorf("a protected account was closed, or nobody was told: %+v", report.Findings)
	}
}

// Another account of who is held waits with the linked one: its person is known, so that they have not left before our
// time, and it is nobody's orphan.
func TestR06ASecondAccountOfWhoIsHeldWaitsToo(t *testing.T) {
	l, dir, app := company(t, 20, "", func(target *reconcile.Target) { target.OnOrphan = "disable" })
	l.guard.MaxSweepCount = 0
	one := slapdtest.UID(1)
	dir.Disable(t, dir.PersonDN(one))
	l.run(reconcile.Pass{})
	app.AddUser(t, "second", map[string]any{"active": true, "externalId": app.Users(t)[one]["externalId"]})
	for range 2 {
		l.run(reconcile.Pass{})
		if got := app.Users(t); got[one]["active"] != true || got["second"]["active"] != true {
			t.Errorf("%v, and the second %v", got[one], got["second"])
		}
		if holds := l.holds(); len(holds) != 1 || holds[0].Cause != identity.Inactive {
			t.Errorf("held: %+v", holds)
		}
	}
}

func TestR05DisputedIsLeftAlone(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 3})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	mail := dir.Values(t, dir.PersonDN(slapdtest.UID(1)), "mail")[0]
	for _, name := range []string{"one", "two"} {
		app.AddUser(t, name, map[string]any{"active": true, "emails": []any{map[string]any{"value": mail}}})
	}
	l.application("wiki", app, "", func(target *reconcile.Target) { target.Correlate = []string{"emails"} })
	report := l.run(reconcile.Pass{})
	got := app.Users(t)
	if got[slapdtest.UID(1)] != nil || got[slapdtest.UID(2)] == nil || len(findings(report, "disputed")) == 0 || report.Outcome() != reconcile.Held {
		t.Errorf("disputed, %q: %v, findings %+v", report.Outcome(), got, report.Findings)
	}
}

func TestR06AllPlansBeforeAnyChange(t *testing.T) {
	l, dir, app := company(t, 100, "", nil) // 5 % of 100: five may go
	for i := 1; i <= 6; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	dir.Delete(t, dir.PersonDN(slapdtest.UID(7)))
	dir.AddPerson(t, "newcomer", nil)
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Held || len(report.Held) != 1 || len(report.Held[0].Members) != 6 {
		t.Fatalf("%q: %+v", report.Outcome(), report.Held)
	}
	got := app.Users(t)
	if got[slapdtest.UID(7)]["active"] != false || got["newcomer"]["active"] != true || got[slapdtest.UID(1)]["active"] != true {
		t.Fatal("the small cohort and the joiner should have gone ahead, and the large cohort waited")
	}
	// Approving a digest releases exactly that hold, once.
	engine := l.engine()
	if _, err := engine.Approve(t.Context(), "no such digest", "tester"); err == nil {
		t.Error("a digest that does not exist was approved")
	}
	_, err := engine.Approve(t.Context(), report.Held[0].Digest, "tester")
	l.must(err)
	l.full()
	if got := len(active(t, app)); got != 94 {
		t.Errorf("%d active accounts, want 94", got)
	}
	dir.Disable(t, dir.PersonDN(slapdtest.UID(8)))
	for i := 11; i <= 15; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	if report := l.run(reconcile.Pass{}); report.Outcome() != reconcile.Held {
		t.Errorf("an approval released a second cohort: %q", report.Outcome())
	}
}

func TestR07IntentBeforeAction(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	// The answers to these writes never arrive, as if the process had died after sending: what was done is found, not
	// done twice.
	dir.AddPerson(t, "newcomer", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	ctx, cancel := context.WithCancel(t.Context())
	app.Inject(scimtest.Fault{Method: http.MethodPost, Times: 1, Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		defer cancel()
		scimtest.CutAfter()(w, r, next)
	}})
	_, err := l.engine().Run(ctx, reconcile.Pass{})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a pass that was stopped ended with %v", err)
	}
	open := 0
	l.must(l.ledger.View(t.Context(), func(r *state.Reader) error {
		for _, err := range r.Intents() {
			if err != nil {
				return err
			}
			open++
		}
		return nil
	}))
	if open != 1 {
		t.Fatalf("%d intents are open, want the create", open)
	}
	app.Clear()
	app.Reset()
	l.full()
	if got := app.Count(http.MethodPost, "/Users"); got != 0 {
		t.Errorf("the account was made %d times more", got)
	}
	if app.Users(t)["newcomer"]["active"] != true {
		t.Error("the account is not there")
	}
	told := false
	for rec, err := range l.trail.Records() {
		l.must(err)
		told = told || rec.Outcome == audit.FoundDone && rec.UserName == "newcomer"
	}
	if !told {
		t.Error("the audit trail does not tell that the create was found done")
	}
}

// R21: what was not due in a pass is open all the same.
func TestR21APassCountsWhatIsOpenAndNotDue(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: scimtest.Answer(http.StatusForbidden, `{"detail":"no"}`)})
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	l.run(reconcile.Pass{})
	report := l.run(reconcile.Pass{Mode: reconcile.Delta})
	if len(report.Failures) != 0 || report.Waiting.Open != 1 || report.Outcome() != reconcile.Partial {
		t.Errorf("%q, open %d, failures %+v", report.Outcome(), report.Waiting.Open, report.Failures)
	}
}

// R17, S15: between what an operator has looked at and the pass that does it, something else has come to be planned.
func TestR17AnotherPlanIsNotCarriedOut(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	dir.Set(t, dir.PersonDN(slapdtest.UID(1)), "cn", "New 1")
	shown, err := l.engine().Plan(t.Context(), reconcile.Pass{})
	l.must(err)
	expect := plan.Digests(shown.Plan.Changes)
	dir.Set(t, dir.PersonDN(slapdtest.UID(2)), "cn", "New 2")
	before := app.Writes()
	if l.run(reconcile.Pass{Expect: expect}); app.Writes() != before {
		t.Errorf("%d writes of a plan that nobody has seen", app.Writes()-before)
	}
	if l.full(); app.Writes() == before {
		t.Error("nothing is done at all")
	}
}

func TestR08DoneIsReadBack(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	// An application that answers 200 and does nothing.
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Content-Type", "application/scim+json")
		w.WriteHeader(http.StatusNoContent)
	}})
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Partial || len(report.Closed) != 0 {
		t.Fatalf("an account that is still active counts as closed: %q %+v", report.Outcome(), report.Closed)
	}
	engine := l.engine()
	next, err := engine.NextDue(t.Context())
	l.must(err)
	if wait := next.Sub(clock); wait <= 0 || wait > time.Minute {
		t.Errorf("the next try is in %s, want within a minute", wait)
	}
	for range 4 { // it stays open however often it fails
		clock = clock.Add(time.Hour)
		report, err = engine.Retry(t.Context())
		l.must(err)
		if len(report.Failures) != 1 {
			t.Fatalf("a retry of an open case: %+v", report)
		}
	}
	app.Clear()
	clock = clock.Add(time.Hour)
	report, err = engine.Retry(t.Context())
	l.must(err)
	if len(report.Closed) != 1 || app.Users(t)[slapdtest.UID(1)]["active"] != false {
		t.Errorf("not closed though the application works again: %+v", report)
	}
	if next, err = engine.NextDue(t.Context()); err != nil || next.Sub(clock) > time.Minute || !next.After(clock) {
		t.Errorf("R11: the closed account is looked at again at %s, want within a minute: %v", next, err)
	}
}

func TestR09OneTargetsTroubleStaysThere(t *testing.T) {
	l, dir, good := company(t, 20, "", nil)
	bad := scimtest.StartElimity(t)
	l.application("chat", bad, "timeout = \"1s\"\n", nil)
	l.full()
	hang := make(chan struct{})
	bad.Inject(scimtest.Fault{Trouble: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-r.Context().Done():
		case <-hang:
		}
	}})
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	dir.AddPerson(t, "newcomer", nil)
	start := time.Now()
	var closedAfter, joinedAfter atomic.Int64
	good.Inject(scimtest.Fault{Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		switch r.Method {
		case http.MethodPatch:
			closedAfter.Store(int64(time.Since(start)))
		case http.MethodPost:
			joinedAfter.Store(int64(time.Since(start)))
		}
	}})
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Failed {
		t.Errorf("outcome %q", report.Outcome())
	}
	if got := good.Users(t); got[slapdtest.UID(1)]["active"] != false || got["newcomer"]["active"] != true {
		t.Fatal("the target that works was not served")
	}
	if got := time.Duration(closedAfter.Load()); got > 2*time.Second {
		t.Errorf("the leaver was closed after %s: the other target was waited for", got)
	}
	if got := time.Duration(joinedAfter.Load()); got > 15*time.Second {
		t.Errorf("the joiner got the account after %s", got)
	}
	// The leaver is owed to the target, and first when it returns.
	close(hang)
	bad.Clear()
	bad.Reset()
	l.full()
	writes := slices.DeleteFunc(bad.Calls(), func(c scimtest.Call) bool { return c.Method == http.MethodGet })
	if len(writes) != 2 || writes[0].Method != http.MethodPatch {
		t.Errorf("when it returned, it saw %+v", writes)
	}
}

func TestR09RepeatedFailureQuarantines(t *testing.T) {
	l, _, app := company(t, 5, "timeout = \"1s\"\n", nil)
	app.Inject(scimtest.Fault{Trouble: scimtest.Answer(http.StatusUnauthorized, `{"detail":"token expired"}`)})
	for range 3 {
		l.run(reconcile.Pass{})
	}
	app.Clear()
	report := l.run(reconcile.Pass{Mode: reconcile.Delta})
	if got := report.Targets[0].Err; !strings.Contains(got, "quarantined since") || !strings.Contains(got, "next attempt") {
		t.Errorf("a delta pass did not leave the target alone: %q", got)
	}
	l.full() // a full pass looks whether it is back
	if got := l.run(reconcile.Pass{Mode: reconcile.Delta}).Targets[0].Err; got != "" {
		t.Errorf("still quarantined: %s", got)
	}
}

func TestR10Grace(t *testing.T) {
	l, dir, app := company(t, 40, "", func(target *reconcile.Target) { target.Leaver.DeleteAfter = 30 * 24 * time.Hour })
	clock := time.Now()
	l.now = func() time.Time { return clock }
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	// This one was disabled by somebody else before.
	byHand := slapdtest.UID(2)
	app.Patch(t, "/Users/"+app.Users(t)[byHand]["id"].(string), "replace", "active", false)
	dir.Delete(t, dir.PersonDN(byHand))
	l.full()
	clock = clock.Add(29 * 24 * time.Hour)
	l.full()
	if app.Users(t)[slapdtest.UID(1)] == nil {
		t.Fatal("deleted before its grace was over")
	}
	clock = clock.Add(2 * 24 * time.Hour)
	l.full()
	if got := app.Users(t); got[slapdtest.UID(1)] != nil {
		t.Error("not deleted when its grace was over")
	}
}

func TestR11Drift(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	byName := func(name string) string { return "/Users/" + app.Users(t)[name]["id"].(string) }
	app.Patch(t, byName(slapdtest.UID(1)), "replace", "displayName", "Somebody Else")
	app.Patch(t, byName(slapdtest.UID(2)), "replace", "active", false)
	if status, _ := app.Raw(t, http.MethodDelete, byName(slapdtest.UID(3)), nil); status != http.StatusNoContent {
		t.Fatalf("delete: %d", status)
	}
	report := l.full()
	got := app.Users(t)
	if got[slapdtest.UID(1)]["displayName"] == "Somebody Else" || got[slapdtest.UID(3)] == nil {
		t.Errorf("drift was not repaired: %v %v", got[slapdtest.UID(1)], got[slapdtest.UID(3)])
	}
	// Whom somebody disabled stays disabled, pass after pass, and is told; only "enforce" enables.
	if again := l.full(); got[slapdtest.UID(2)]["active"] != false || len(findings(report, "disabled")) != 1 || len(findings(again, "disabled")) != 1 {
		t.Errorf("disabled by hand: %v, findings %+v", got[slapdtest.UID(2)], report.Findings)
	}
	l.application("wiki", app, "", func(target *reconcile.Target) { target.OnDrift = "enforce" })
	if report := l.full(); app.Users(t)[slapdtest.UID(2)]["active"] != true || len(findings(report, "disabled")) != 0 {
		t.Errorf("on_drift = enforce: %v", app.Users(t)[slapdtest.UID(2)])
	}
	l.application("wiki", app, "", nil)
	l.full()
	// A leaver who is enabled by hand is swept again, and told.
	leaver := slapdtest.UID(4)
	dir.Delete(t, dir.PersonDN(leaver))
	l.full()
	app.Patch(t, byName(leaver), "replace", "active", true)
	report = l.full()
	if app.Users(t)[leaver]["active"] != false || len(findings(report, "drift")) != 1 {
		t.Errorf("enabled again by hand: %v, findings %+v", app.Users(t)[leaver], report.Findings)
	}
	// on_drift = "report" only tells.
	l.application("wiki", app, "", func(target *reconcile.Target) { target.OnDrift = "report" })
	l.full()
	app.Patch(t, byName(slapdtest.UID(1)), "replace", "displayName", "Somebody Else")
	report = l.full()
	if app.Users(t)[slapdtest.UID(1)]["displayName"] != "Somebody Else" || len(findings(report, "drift")) != 1 {
		t.Errorf("on_drift = report: %v, findings %+v", app.Users(t)[slapdtest.UID(1)], report.Findings)
	}
}

func TestR12OnlyManagedAttributes(t *testing.T) {
	l, dir, app := company(t, 5, `
		account = {
			userName    = person.uid
			displayName = person.cn
			title       = person.title
		}
	`, nil)
	who := slapdtest.UID(1)
	path := "/Users/" + app.Users(t)[who]["id"].(string)
	app.Patch(t, path, "add", "nickName", "Hand-made")
	dir.Set(t, dir.PersonDN(who), "title")
	dir.Set(t, dir.PersonDN(who), "cn", "New Name")
	l.full()
	got := app.Users(t)[who]
	if got["nickName"] != "Hand-made" || got["displayName"] != "New Name" {
		t.Errorf("managed and unmanaged attributes: %v", got)
	}
	if _, still := got["title"]; still {
		t.Errorf("a value that is now empty was not cleared: %v", got)
	}
}

func TestR14EditedScopeIsACohortOfItsOwn(t *testing.T) {
	l, dir, app := company(t, 40, `scope = true`+"\n", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	l.application("wiki", app, `scope = person.uid == "nobody"`+"\n", nil)
	report := l.run(reconcile.Pass{})
	if report.Outcome() != reconcile.Held || len(report.Held) != 1 || report.Held[0].Cause != identity.ConfigEdited || len(report.Held[0].Members) != 39 {
		t.Fatalf("an edited scope: %q, %d holds", report.Outcome(), len(report.Held))
	}
	if got := len(active(t, app)); got != 39 {
		t.Errorf("%d active accounts, want 39: only the true leaver goes", got)
	}
	l.application("wiki", app, `scope = true`+"\n", nil)
	l.full()
	if got := len(active(t, app)); got != 39 {
		t.Errorf("%d active accounts after the typo was mended, want 39", got)
	}
}

func TestR16EveryWriteIsTold(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	dir.Set(t, dir.PersonDN(slapdtest.UID(2)), "cn", "New Name")
	dir.AddPerson(t, "newcomer", nil)
	l.full()
	told := 0
	for rec, err := range l.trail.Records() {
		l.must(err)
		if rec.Kind == audit.Change {
			told++
			if rec.Target == "" || rec.Account == "" || rec.UserName == "" || rec.Person == "" || rec.Cause == "" || rec.Outcome == "" || rec.At.IsZero() {
				t.Errorf("a record leaves something out: %+v", rec)
			}
		}
		if rec.Op == "update" && (rec.Before["displayName"] == "" || rec.After["displayName"] != identity.Text("New Name")) {
			t.Errorf("before and after: %v → %v", rec.Before, rec.After)
		}
	}
	if told != app.Writes() {
		t.Errorf("%d writes arrived, %d are told", app.Writes(), told)
	}
}

func TestR16EvidenceHolds(t *testing.T) {
	l, dir, _ := company(t, 20, "", nil)
	leaver := slapdtest.UID(1)
	dir.Delete(t, dir.PersonDN(leaver))
	l.full()
	written := l.written()
	if len(written) != 1 {
		t.Fatalf("written at closing: %v", written)
	}
	file := l.evidence(leaver)
	if file.Closed.IsZero() || file.Accounts[0].Words() != "proven inactive" || !strings.Contains(file.Proof, "entryUUID") {
		t.Errorf("evidence: %+v", file)
	}
	if compared, err := evidence.Compare(t.Context(), file, l.trailPath()); err != nil || compared.Found != len(file.Records) {
		t.Errorf("beside the trail: %+v, %v", compared, err)
	}
}

func TestR16EvidenceOutlivesAReturn(t *testing.T) {
	l, dir, _ := company(t, 60, "", nil)
	who := slapdtest.UID(1)
	dir.Disable(t, dir.PersonDN(who))
	l.full()
	first := l.evidence(who)
	dir.Enable(t, dir.PersonDN(who))
	l.full()
	if again := l.evidence(who); again.Case != first.Case || len(l.written()) != 1 {
		t.Errorf("after they returned: %s and %v", again.Case, l.written())
	}
	dir.Disable(t, dir.PersonDN(who))
	l.full()
	if second := l.evidence(who); second.Case == first.Case || len(l.written()) != 2 {
		t.Errorf("after they left again: %s and %v", second.Case, l.written())
	}
}

func TestR16WhatIsReleasedWhileOpenHasItsEvidenceToo(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	who := slapdtest.UID(1)
	app.Inject(scimtest.Fault{Method: "PATCH", Trouble: scimtest.Answer(500, "")})
	_, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: "by mistake"})
	l.must(err)
	if file := l.evidence(who); !file.Closed.IsZero() || file.Accounts[0].Words() != "open" || len(l.written()) != 0 {
		t.Errorf("while it is open: %+v, %v", file, l.written())
	}
	l.must(l.engine().Release(t.Context(), reconcile.Order{Person: who}))
	if len(l.written()) != 1 {
		t.Fatalf("written: %v", l.written())
	}
	if file := l.evidence(who); file.Accounts[0].Words() != "withdrawn" || file.Reason != "by mistake" || file.Proven() {
		t.Errorf("%+v", file)
	}
}

func TestR16EachOrderHasItsEvidence(t *testing.T) {
	l, _, _ := company(t, 20, "", nil)
	who := slapdtest.UID(1)
	for n, reason := range []string{"ticket 4711", "again"} {
		if n > 0 {
			l.must(l.engine().Release(t.Context(), reconcile.Order{Person: who}))
			l.full()
		}
		_, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: who, Reason: reason, Actor: "ann"})
		l.must(err)
		file := l.evidence(who)
		if file.Reason != reason || !file.Proven() || len(l.written()) != n+1 {
			t.Errorf("%q: %+v, %v", reason, file, l.written())
		}
		ordered := false
		for _, line := range file.Records {
			r, err := audit.ParseLine(line)
			l.must(err)
			ordered = ordered || r.Kind == audit.Sweep && r.Actor == "ann"
		}
		if !ordered {
			t.Error("no record of the case says who ordered it")
		}
	}
}

// evidence is a leaver's file, verified.
func (l *lab) evidence(who string) evidence.Evidence {
	l.t.Helper()
	raw, err := l.engine().Evidence(l.t.Context(), who)
	l.must(err)
	e, err := evidence.Verify(bytes.NewReader(raw))
	l.must(err)
	return e
}

// written lists the files of evidence.
func (l *lab) written() (paths []string) {
	l.t.Helper()
	for file, err := range evidence.Files(l.t.Context(), l.files.Dir(), time.Time{}) {
		l.must(err)
		l.must(file.Err)
		paths = append(paths, file.Path)
	}
	return paths
}

func TestR17SameStatePlansTheSame(t *testing.T) {
	l, dir, _ := company(t, 30, "", nil)
	for i := 1; i <= 5; i++ {
		dir.Set(t, dir.PersonDN(slapdtest.UID(i)), "cn", fmt.Sprintf("New %d", i))
	}
	dir.Delete(t, dir.PersonDN(slapdtest.UID(9)))
	dir.AddPerson(t, "newcomer", nil)
	var digest string
	for range 3 {
		report, err := l.engine().Plan(t.Context(), reconcile.Pass{})
		l.must(err)
		if digest != "" && report.Plan.Digest != digest || report.Plan.Digest == "" {
			t.Fatalf("digest %q, before %q", report.Plan.Digest, digest)
		}
		digest = report.Plan.Digest
		if got := len(report.Plan.Changes); got != 7 {
			t.Fatalf("%d changes, want 7: %+v", got, report.Plan.Changes)
		}
	}
}

func TestR19HonestNumbers(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: scimtest.Answer(http.StatusForbidden, `{"detail":"no"}`)})
	dir.Delete(t, dir.PersonDN(slapdtest.UID(1)))
	l.run(reconcile.Pass{})
	app.Clear()
	clock = clock.Add(time.Hour)
	report := l.full()
	// The clock began when the person was first seen to have left, not when the call that worked was made.
	if len(report.Closed) != 1 || report.Closed[0].Took != time.Hour {
		t.Errorf("closed: %+v, want after one hour", report.Closed)
	}
}

// R14: somebody moves out of what is read, and their closing is let go while the application is down. They are back by
// the time it answers, and out of scope by an edit alone: that was let go by nobody.
func TestR14AnAcceptedClosingCoversNoEdit(t *testing.T) {
	l, dir, app := company(t, 20, `scope = true`+"\n", nil)
	who := slapdtest.UID(3)
	app.Inject(scimtest.Fault{Path: "/Users/", Trouble: scimtest.Answer(http.StatusServiceUnavailable, "{}")})
	dir.Move(t, dir.PersonDN(who), dir.FormerDN())
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if got := len(active(t, app)); got != 20 {
		t.Fatalf("%d active accounts while the application is down", got)
	}
	dir.Move(t, "uid="+who+","+dir.FormerDN(), dir.PeopleDN())
	l.application("wiki", app, fmt.Sprintf("scope = person.uid != %q\n", who), nil)
	app.Clear()
	report := l.run(reconcile.Pass{})
	if app.Users(t)[who]["active"] != true || len(report.Held) != 1 || report.Held[0].Cause != identity.ConfigEdited {
		t.Errorf("active %v, held %+v", app.Users(t)[who]["active"], report.Held)
	}
}

// TestR19AMovedContainerIsNotDatedByItsPeople: their own entries were not changed, and tell nothing of when that was.
func TestR19AMovedContainerIsNotDatedByItsPeople(t *testing.T) {
	l, dir, _ := company(t, 20, "", nil)
	sales := dir.AddUnit(t, "sales", dir.PeopleDN())
	dir.Move(t, dir.AddPerson(t, "ann", nil), sales)
	l.full()
	later := time.Now().Add(time.Hour)
	l.now = func() time.Time { return later }
	dir.Move(t, sales, dir.FormerDN())
	report := l.full()
	if len(report.Closed) != 1 || report.Closed[0].Took > time.Minute {
		t.Errorf("closed %+v", report.Closed)
	}
}
