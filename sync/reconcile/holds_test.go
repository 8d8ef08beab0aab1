package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// after moves the lab's clock on.
func (l *lab) after(d time.Duration) {
	now := time.Now
	if l.now != nil {
		now = l.now
	}
	at := now().Add(d)
	l.now = func() time.Time { return at }
}

// rule approves or rejects the only hold on record.
func (l *lab) rule(what identity.Verdict, except ...string) reconcile.Ruled {
	l.t.Helper()
	holds := l.holds()
	if len(holds) != 1 {
		l.t.Fatalf("%d holds: %+v", len(holds), holds)
	}
	var ruled reconcile.Ruled
	var err error
	if what == identity.Approved {
		ruled, err = l.engine().Approve(l.t.Context(), holds[0].Digest, "olga", except...)
	} else {
		ruled, err = l.engine().Reject(l.t.Context(), holds[0].Digest, "olga")
	}
	l.must(err)
	return ruled
}

// still requires that so many accounts are active.
func still(t *testing.T, what string, app *scimtest.Server, want int) {
	t.Helper()
	if got := len(active(t, app)); got != want {
		t.Errorf("%s: %d active accounts, want %d", what, got, want)
	}
}

// members are the userNames in a hold.
func members(h identity.Hold) (names []string) {
	for _, m := range h.Members {
		names = append(names, m.UserName)
	}
	slices.Sort(names)
	return names
}

// nextSecond waits until the directory, whose clock knows seconds, dates what is changed from now on later than what
// was.
func nextSecond(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now().Unix(); time.Now().Unix() == began; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// TestR06AHoldDoesNotDrain: D2, B3. Nobody decides for a week.
func TestR06AHoldDoesNotDrain(t *testing.T) {
	l, dir, app := company(t, 100, `scope = member_of("group001") || member_of("group002")`+"\n", nil)
	before := len(active(t, app))
	for i := 1; i <= 100; i += 4 { // group001
		dir.Leave(t, dir.GroupDN("group001"), dir.PersonDN(slapdtest.UID(i)))
	}
	if report := l.run(reconcile.Pass{}); report.Outcome() != reconcile.Held {
		t.Fatalf("outcome %s", report.Outcome())
	}
	still(t, "at once", app, before)
	for day := range 7 {
		l.after(25 * time.Hour)
		if report := l.run(reconcile.Pass{}); report.Outcome() != reconcile.Held || len(report.Held) != 1 {
			t.Fatalf("day %d: %s, %d holds", day, report.Outcome(), len(report.Held))
		}
		still(t, fmt.Sprint("day ", day), app, before)
	}
	if held := members(l.holds()[0]); len(held) != 25 {
		t.Errorf("%d are held: %q", len(held), held)
	}
	// Somebody of them who is deleted leaves by another proof, and is closed.
	who := dir.PersonDN(slapdtest.UID(9))
	dir.Delete(t, who)
	l.run(reconcile.Pass{})
	still(t, "one was deleted", app, before-1)
	if slices.Contains(members(l.holds()[0]), slapdtest.UID(9)) {
		t.Error("they are in the hold still")
	}
}

// TestR06ARejectedHoldIsNotCarriedOut: D3, B3.
func TestR06ARejectedHoldIsNotCarriedOut(t *testing.T) {
	l, dir, app := company(t, 100, "", nil)
	for i := 1; i <= 5; i++ {
		dir.Delete(t, dir.PersonDN(slapdtest.UID(i)))
	}
	l.full()
	for i := 11; i <= 13; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	l.run(reconcile.Pass{})
	still(t, "three inactive are over what is left of the limit", app, 95)
	ruled := l.rule(identity.Rejected)
	if len(ruled.Kept) != 3 || ruled.Hold.Ruling.By != "olga" {
		t.Errorf("%+v", ruled)
	}
	for _, mode := range []reconcile.Mode{reconcile.Delta, reconcile.Full, reconcile.Full} {
		l.after(25 * time.Hour)
		if report := l.run(reconcile.Pass{Mode: mode}); report.Outcome() != reconcile.Held {
			t.Errorf("R21: %s", report.Outcome())
		}
		still(t, string(mode), app, 95)
	}
	step := l.theCase(slapdtest.UID(11)).Steps[0]
	if step.Status != state.StepKept || !strings.HasPrefix(step.Error, "kept by olga, who rejected ") {
		t.Errorf("%+v", step)
	}
	// One of them is back, and the others are kept as before.
	nextSecond(t)
	dir.Enable(t, dir.PersonDN(slapdtest.UID(11)))
	l.after(25 * time.Hour)
	l.run(reconcile.Pass{})
	still(t, "one is back", app, 95)
	// Having left again they leave as anybody does.
	nextSecond(t)
	dir.Disable(t, dir.PersonDN(slapdtest.UID(11)))
	l.after(25 * time.Hour)
	l.run(reconcile.Pass{})
	still(t, "and has left again", app, 94)
	// The rejection can be taken back.
	l.rule(identity.Approved)
	l.run(reconcile.Pass{})
	still(t, "approved after all", app, 92)
}

// TestR06ApprovedButForOne: exactly the members, less those excepted and those who are back.
func TestR06ApprovedButForOne(t *testing.T) {
	l, dir, app := company(t, 100, "", nil)
	for i := 1; i <= 8; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	l.run(reconcile.Pass{})
	nextSecond(t)
	dir.Enable(t, dir.PersonDN(slapdtest.UID(1)))
	l.run(reconcile.Pass{})
	digest := l.holds()[0].Digest
	if _, err := l.engine().Approve(t.Context(), digest, "olga", "nobody"); err == nil || !strings.Contains(err.Error(), `"nobody" is not in hold`) {
		t.Errorf("somebody who is not in it is excepted: %v", err)
	}
	ruled := l.rule(identity.Approved, slapdtest.UID(2), dir.PersonDN(slapdtest.UID(3)))
	if len(ruled.Released) != 5 || len(ruled.Kept) != 2 {
		t.Errorf("released %d, kept %d", len(ruled.Released), len(ruled.Kept))
	}
	// It needs no pass: the steps are due.
	_, err := l.engine().Retry(t.Context())
	l.must(err)
	still(t, "approved", app, 95)
	l.after(25 * time.Hour)
	l.run(reconcile.Pass{})
	still(t, "the next day", app, 95)
	if h := l.holds(); len(h) != 1 || !slices.Equal(members(h[0]), []string{slapdtest.UID(2), slapdtest.UID(3)}) {
		t.Errorf("%+v", h)
	}
	var notes []string
	for rec, err := range l.trail.Records() {
		l.must(err)
		if rec.Kind == "approve" && rec.Actor == "olga" {
			notes = append(notes, rec.Note)
		}
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "5 released") || !strings.Contains(notes[0], "2 kept") {
		t.Errorf("R16: %q", notes)
	}
}

// TestR06OneCauseIsOneCohort: D4. Small branches do not let a mass event through piece by piece.
func TestR06OneCauseIsOneCohort(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 60})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	for i := range 15 {
		unit := dir.AddUnit(t, fmt.Sprint("team", i), dir.PeopleDN())
		for k := 1; k <= 4; k++ {
			dir.Move(t, dir.PersonDN(slapdtest.UID(4*i+k)), unit)
		}
	}
	l.directory("corp", dir, "")
	l.application("wiki", app, "", func(target *reconcile.Target) { target.Guard.MaxSweepPercent, target.Guard.MaxSweepCount = 100, 20 })
	l.full()
	for i := range 15 {
		for k := 1; k <= 2; k++ {
			dir.Disable(t, fmt.Sprintf("uid=%s,ou=team%d,%s", slapdtest.UID(4*i+k), i, dir.PeopleDN()))
		}
	}
	dir.Delete(t, fmt.Sprintf("uid=%s,ou=team1,%s", slapdtest.UID(8), dir.PeopleDN()))
	report := l.run(reconcile.Pass{})
	still(t, "thirty of fifteen teams, two of each, where twenty may go", app, 59)
	if len(report.Held) != 1 || len(report.Held[0].Members) != 30 {
		t.Errorf("%+v", report.Held)
	}
}

// TestR06TheTargetsShareWaitsAlone: a target's own limits.
func TestR06TheTargetsShareWaitsAlone(t *testing.T) {
	l, dir, app := company(t, 100, "", nil)
	small := scimtest.StartElimity(t)
	l.application("chat", small, `scope = member_of("group001")`+"\n", nil)
	l.full()
	before := len(active(t, small))
	for i := 1; i <= 13; i += 4 {
		dir.Delete(t, dir.PersonDN(slapdtest.UID(i)))
	}
	report := l.run(reconcile.Pass{})
	still(t, "four of a hundred", app, 96)
	still(t, "four of twenty-five", small, before)
	if len(report.Held) != 1 || report.Held[0].Target != "chat" || !strings.Contains(report.Held[0].Reason, "guard {} of chat") {
		t.Errorf("%+v", report.Held)
	}
}

// TestR14AnEditOfTheSourceIsHeldAtAnySize: B7, D4. While it is undecided nobody is closed by it, whatever the day, and
// a true leaver goes at once.
func TestR14AnEditOfTheSourceIsHeldAtAnySize(t *testing.T) {
	for _, c := range []struct {
		name  string
		block string // instead of the base and filter
		held  int
	}{
		{"filter", `filter = "(|(uid=*0)(uid=*1))"`, 32},
		{"filter, of one", `filter = "(&(objectClass=inetOrgPerson)(!(uid=user000002)))"`, 1},
		{"active", "filter = \"(objectClass=inetOrgPerson)\"\n active = person.uid != \"user000002\" && person.uid != \"user000003\"", 2},
		{"anchor", "filter = \"(objectClass=inetOrgPerson)\"\n anchor = \"employeeNumber\"", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, dir, app := company(t, 40, "", nil)
			block := func(text string) {
				l.source("corp", fmt.Sprintf("url = %q\n bind_dn = %q\n bind_password = %q\n base_dn = %q\n groups { base_dn = %q }\n %s\n",
					dir.URL(), dir.ReaderDN(), dir.Password(), dir.PeopleDN(), dir.GroupsDN(), text))
			}
			block(c.block)
			dir.Delete(t, dir.PersonDN(slapdtest.UID(10)))
			for day := range 3 {
				report := l.run(reconcile.Pass{})
				still(t, fmt.Sprint("day ", day), app, 39)
				held := 0
				for _, h := range report.Held {
					held += len(h.Members)
					if c.held > 0 && h.Kind == identity.HoldCohort && h.Cause != identity.ConfigEdited {
						t.Errorf("held as %s: %s", h.Cause, h.Reason)
					}
				}
				if held != c.held {
					t.Errorf("day %d: %d are held, want %d: %+v", day, held, c.held, report.Held)
				}
				if len(app.Users(t)) != 40 {
					t.Errorf("%d accounts: somebody was made again", len(app.Users(t)))
				}
				l.after(25 * time.Hour)
			}
			block(`filter = "(objectClass=inetOrgPerson)"`)
			l.run(reconcile.Pass{})
			if held := l.holds(); len(held) > 0 {
				t.Errorf("the edit is taken back: %+v", held)
			}
			still(t, "taken back", app, 39)
		})
	}
}

// TestR14AnEditedAnchorIsApproved: who was known by the old one is known by the new one, and nobody has a second
// account.
func TestR14AnEditedAnchorIsApproved(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(10)))
	dir.AddPerson(t, "newcomer", map[string][]string{"employeeNumber": {"9000"}})
	_, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: slapdtest.UID(7), Reason: "stolen laptop", Actor: "olga"})
	l.must(err)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }\n anchor = \"employeeNumber\"", dir.GroupsDN()))
	report := l.run(reconcile.Pass{})
	if len(report.Held) != 1 || report.Held[0].Kind != identity.HoldRelink || report.Held[0].Count != 39 || len(app.Users(t)) != 40 {
		t.Fatalf("%d accounts, held %+v", len(app.Users(t)), report.Held)
	}
	l.rule(identity.Approved)
	for range 2 {
		l.run(reconcile.Pass{})
	}
	still(t, "approved: the newcomer has an account, the leaver's is closed, and so is that of who was swept by an order", app, 39)
	if got := app.Users(t); len(got) != 41 || got[slapdtest.UID(10)]["active"] != false || got["newcomer"]["active"] != true {
		t.Errorf("%d accounts", len(got))
	}
	l.full()
	if held := l.holds(); len(held) > 0 {
		t.Errorf("%+v", held)
	}
}

// A selecting source is a lossy one that says by what it knows people.
type selecting struct{ lossy }

func (s selecting) Selection() (anchor string, settings map[string]uint64) {
	return s.Source.(sources.Selective).Selection()
}

// TestR14WhoIsMissedWhileAnAnchorIsEditedStays: who is missing from a read is asked for by the anchor that they are known
// by, before the edit is approved and after.
func TestR14WhoIsMissedWhileAnAnchorIsEditedStays(t *testing.T) {
	l, dir, app := company(t, 10, "", nil)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }\n anchor = \"employeeNumber\"", dir.GroupsDN()))
	whole := l.sources[0].Source
	l.sources[0].Source = selecting{lossy{whole, func(uid string) bool { return uid == slapdtest.UID(3) }}}
	l.run(reconcile.Pass{})
	still(t, "while it waits", app, 10)
	l.rule(identity.Approved)
	for range 2 {
		l.run(reconcile.Pass{})
		still(t, "approved", app, 10)
	}
	l.sources[0].Source = whole
	for range 2 {
		l.run(reconcile.Pass{})
	}
	still(t, "read whole", app, 10)
	if got := app.Users(t); len(got) != 10 {
		t.Errorf("%d accounts: somebody has a second one", len(got))
	}
	l.full()
}

// A speechless source is a selecting one whose Finder gives no answer.
type speechless struct{ selecting }

func (s speechless) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	return unanswering{}.Find(ctx, who)
}

// TestR14TheAnchorBeforeTheLastIsAskedForToo: who was found by none of two edits is asked for by the anchor that they
// were known by before both.
func TestR14TheAnchorBeforeTheLastIsAskedForToo(t *testing.T) {
	l, dir, app := company(t, 10, "", nil)
	edit := func(anchor string) selecting {
		l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }\n anchor = %q", dir.GroupsDN(), anchor))
		return selecting{lossy{l.sources[0].Source, func(uid string) bool { return uid == slapdtest.UID(3) }}}
	}
	l.sources[0].Source = speechless{edit("employeeNumber")}
	l.run(reconcile.Pass{})
	l.rule(identity.Approved)
	l.run(reconcile.Pass{})
	still(t, "nobody could be asked for", app, 10)
	l.sources[0].Source = edit("uid")
	l.run(reconcile.Pass{})
	l.rule(identity.Approved)
	for range 2 {
		l.run(reconcile.Pass{})
		still(t, "known by a third anchor", app, 10)
	}
}

// TestR14WhoIsPurgedWhileAnAnchorIsEditedIsSettledByHand: nobody can tell whether somebody new is them, until an operator
// has seen to their account.
func TestR14WhoIsPurgedWhileAnAnchorIsEditedIsSettledByHand(t *testing.T) {
	l, dir, app := company(t, 10, "", nil)
	lost := slapdtest.UID(3)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }\n anchor = \"employeeNumber\"", dir.GroupsDN()))
	whole := l.sources[0].Source
	l.sources[0].Source = speechless{selecting{lossy{whole, func(uid string) bool { return uid == lost }}}}
	l.run(reconcile.Pass{})
	l.rule(identity.Approved)
	l.run(reconcile.Pass{})
	dir.Delete(t, dir.PersonDN(lost)) // and by its old name nobody can ask for it any more
	dir.AddPerson(t, "newcomer", map[string][]string{"employeeNumber": {"9000"}})
	var told []identity.Finding
	for range 2 {
		told = findings(l.run(reconcile.Pass{}), "anchor edited")
		still(t, "nobody knows what became of one", app, 10)
	}
	if app.Users(t)["newcomer"] != nil {
		t.Error("the newcomer may be who is looked for, and has an account")
	}
	if len(told) != 1 || !strings.Contains(told[0].Detail, "1 people with accounts ("+lost+")") ||
		!strings.Contains(told[0].Detail, "`dirsweep unlink PERSON TARGET`") {
		t.Errorf("found %+v", told)
	}
	_, err := l.engine().Unlink(t.Context(), reconcile.Order{Person: lost, Target: "wiki", Reason: "seen to", Actor: "olga"})
	l.must(err)
	for range 2 {
		l.run(reconcile.Pass{})
	}
	if app.Users(t)["newcomer"]["active"] != true {
		t.Error("the newcomer has no account")
	}
	l.full()
}

// TestR14WhoHasALeaversPlaceIsSomebodyElse: an edited anchor gives nobody the account of a leaver whose DN they have.
func TestR14WhoHasALeaversPlaceIsSomebodyElse(t *testing.T) {
	l, dir, app := company(t, 10, "", nil)
	dir.Delete(t, dir.PersonDN(slapdtest.UID(3)))
	l.full()
	still(t, "one has left", app, 9)
	dir.AddPerson(t, slapdtest.UID(3), map[string][]string{"employeeNumber": {"9000"}})
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }\n anchor = \"employeeNumber\"", dir.GroupsDN()))
	l.run(reconcile.Pass{})
	l.rule(identity.Approved)
	for range 2 {
		l.run(reconcile.Pass{})
		still(t, "approved", app, 9)
	}
}

// TestR11AnOrderFollowsItsPerson: who was swept before anything was remembered of them is so under another anchor, by the
// rehire key.
func TestR11AnOrderFollowsItsPerson(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 5, Groups: 1})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	under := func(anchor string) {
		l.directory("corp", dir, fmt.Sprintf("rehire = person.employeeNumber\n anchor = %q", anchor))
	}
	under("employeeNumber")
	l.application("wiki", app, "", nil)
	order := reconcile.Order{Person: slapdtest.UID(2), Reason: "stolen laptop", Actor: "olga"}
	_, err := l.engine().Sweep(t.Context(), order)
	l.must(err)
	under("entryUUID")
	for range 2 {
		l.run(reconcile.Pass{})
		still(t, "ordered under the anchor that was", app, 4)
	}
	l.must(l.engine().Release(t.Context(), order))
	l.run(reconcile.Pass{})
	still(t, "released", app, 5)
}

// TestR08AnOrderKnowsBothAnchors: who has a new entry beside the old one, by the rehire key, is closed under both.
func TestR08AnOrderKnowsBothAnchors(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 5})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "rehire = person.employeeNumber")
	l.application("wiki", app, "account = { userName = person.uid }", nil)
	l.full()
	dir.AddPerson(t, "other", map[string][]string{"employeeNumber": {"2"}})
	l.run(reconcile.Pass{})
	still(t, "both entries are there", app, 5)
	_, err := l.engine().Sweep(t.Context(), reconcile.Order{Person: "other", Reason: "stolen laptop", Actor: "olga"})
	l.must(err)
	still(t, "ordered by the new entry", app, 4)
}

// TestR06ManyReturnsAreHeld: F4. Enabling many is judged as closing many, and an approval is used up when the accounts
// are active.
func TestR06ManyReturnsAreHeld(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	for i := 1; i <= 12; i++ {
		dir.Disable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	l.run(reconcile.Pass{})
	l.rule(identity.Approved)
	l.full()
	still(t, "twelve were closed by approval", app, 28)
	for i := 1; i <= 12; i++ {
		dir.Enable(t, dir.PersonDN(slapdtest.UID(i)))
	}
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta, reconcile.Full} {
		l.after(25 * time.Hour)
		report := l.run(reconcile.Pass{Mode: mode})
		still(t, "their return waits", app, 28)
		if len(report.Held) != 1 || report.Held[0].Kind != identity.HoldEnable || len(report.Held[0].Members) != 12 {
			t.Fatalf("%s: %+v", mode, report.Held)
		}
	}
	dir.Disable(t, dir.PersonDN(slapdtest.UID(1)))
	l.run(reconcile.Pass{})
	l.rule(identity.Approved, slapdtest.UID(2))
	l.run(reconcile.Pass{})
	still(t, "approved, but for one, and one has left again", app, 38)
	l.run(reconcile.Pass{})
	if held := l.holds(); len(held) != 1 || !slices.Equal(members(held[0]), []string{slapdtest.UID(2)}) {
		t.Errorf("who is active is in the hold still: %+v", held)
	}
}

// TestR14AnEditedMappingIsHeldByAttribute: what else changes is sent, and nothing is forgotten until it is approved.
func TestR14AnEditedMappingIsHeldByAttribute(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	edited := strings.Replace(plainAccount, "displayName       = person.cn", `displayName       = "${person.sn}, ${person.givenName}"`, 1)
	l.application("wiki", app, edited, nil)
	before := app.Writes()
	for _, mode := range []reconcile.Mode{reconcile.Full, reconcile.Delta, reconcile.Full} {
		l.after(25 * time.Hour)
		report := l.run(reconcile.Pass{Mode: mode})
		if len(report.Held) != 1 || report.Held[0].Kind != identity.HoldChange || report.Held[0].Attribute != "displayName" || report.Held[0].Count != 40 {
			t.Fatalf("%s: %+v", mode, report.Held)
		}
		if got := app.Writes() - before; got != 0 {
			t.Errorf("%s: %d writes", mode, got)
		}
	}
	// Somebody's own change is sent, and what waits of theirs still waits.
	dir.Set(t, dir.PersonDN(slapdtest.UID(1)), "mail", "new@example.test")
	l.run(reconcile.Pass{})
	if got := app.Writes() - before; got != 1 || app.Users(t)[slapdtest.UID(1)]["displayName"] != dir.Values(t, dir.PersonDN(slapdtest.UID(1)), "cn")[0] {
		t.Errorf("%d writes, %v", got, app.Users(t)[slapdtest.UID(1)])
	}
	l.rule(identity.Approved)
	l.full()
	for i := 1; i <= 40; i++ {
		dn := dir.PersonDN(slapdtest.UID(i))
		want := dir.Values(t, dn, "sn")[0] + ", " + dir.Values(t, dn, "givenName")[0]
		if got := app.Users(t)[slapdtest.UID(i)]["displayName"]; got != want {
			t.Fatalf("approved: %s is called %v, want %s", slapdtest.UID(i), got, want)
		}
	}
	l.full()
	if held := l.holds(); len(held) > 0 {
		t.Errorf("carried out: %+v", held)
	}
}

// TestR05AnUpdateIntoAProtectedName: nobody gets a userName that is protected.
func TestR05AnUpdateIntoAProtectedName(t *testing.T) {
	l, dir, app := company(t, 5, "", func(target *reconcile.Target) { target.Guard.Protect = []string{"svc-*"} })
	dir.Rename(t, dir.PersonDN(slapdtest.UID(1)), "uid=svc-backup")
	report := l.run(reconcile.Pass{})
	if app.Users(t)["svc-backup"] != nil || app.Users(t)[slapdtest.UID(1)] == nil {
		t.Errorf("an account was given a protected name: %v", app.Users(t)["svc-backup"])
	}
	if !slices.ContainsFunc(report.Findings, func(f identity.Finding) bool { return strings.Contains(f.Detail, `"svc-*" protects it`) }) {
		t.Errorf("nobody was told: %+v", report.Findings)
	}
}

// TestR06HeldWithAnAccountOpenedByHand: that their account was inactive when their link was written says nothing of it
// now.
func TestR06HeldWithAnAccountOpenedByHand(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 20})
	app := scimtest.StartElimity(t)
	id := app.AddUser(t, slapdtest.UID(1), map[string]any{"active": false})
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	l.full()
	dir.Move(t, dir.PersonDN(slapdtest.UID(2)), dir.FormerDN()) // as many as may within a day
	l.full()
	dir.Move(t, dir.PersonDN(slapdtest.UID(1)), dir.FormerDN())
	app.Patch(t, "/Users/"+id, "replace", "active", true)
	for _, day := range []string{"at once", "the day after", "a day later"} {
		if report := l.run(reconcile.Pass{}); report.Outcome() != reconcile.Held {
			t.Errorf("%s: %s", day, report.Outcome())
		}
		if held := l.holds(); len(held) != 1 || !slices.Equal(members(held[0]), []string{slapdtest.UID(1)}) {
			t.Errorf("%s: %+v", day, held)
		}
		still(t, day, app, 19)
		l.after(25 * time.Hour)
	}
	app.Patch(t, "/Users/"+id, "replace", "active", false)
	l.full()
	if held := l.holds(); len(held) != 0 {
		t.Errorf("with nothing to be closed any more: %+v", held)
	}
}
