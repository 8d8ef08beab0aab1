package reconcile_test

import (
	"context"
	"errors"
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

// dated is a company whose people leave by their title and come by their departmentNumber, both of Berlin, with a
// clock that the test sets.
func dated(t *testing.T, people int, follow bool) (l *lab, dir *slapdtest.Server, app *scimtest.Server, set func(clock string)) {
	t.Helper()
	dir = slapdtest.Start(t, slapdtest.Options{People: people, Person: func(int) map[string][]string {
		return map[string][]string{"title": {}, "departmentNumber": {}}
	}})
	app = scimtest.StartElimity(t)
	l = newLab(t)
	l.follow = follow
	now := parsed(t, "2026-12-01T12:00:00Z")
	l.now = func() time.Time { return now }
	l.directory("corp", dir, datesOfPeople)
	l.application("wiki", app, "", nil)
	l.full()
	return l, dir, app, func(clock string) { now = parsed(t, clock) }
}

const datesOfPeople = `
	leave_date = person.title
	enter_date = person.departmentNumber
	time_zone  = "Europe/Berlin"
`

func parsed(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (l *lab) delta() reconcile.Report {
	l.t.Helper()
	return l.run(reconcile.Pass{Mode: reconcile.Delta})
}

// turns are the people whom the clock alone changes, and when, by the index of the state.
func (l *lab) turns() (list []string) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) error {
		for turn, err := range r.Turns() {
			if err != nil {
				return err
			}
			p, _, err := r.Person(turn.Person)
			if err != nil {
				return err
			}
			list = append(list, p.Name+" "+p.Turn)
		}
		return nil
	}))
	return list
}

// TestR13WhoseTimeEndsIsClosedAtThatInstant: not before, at the instant itself, without a change that the directory
// told, dated by that instant and with the date for a proof.
func TestR13WhoseTimeEndsIsClosedAtThatInstant(t *testing.T) {
	for name, follow := range map[string]bool{"read whole": false, "followed": true} {
		t.Run(name, func(t *testing.T) {
			l, dir, app, set := dated(t, 5, follow)
			one := slapdtest.UID(1)
			dir.Set(t, dir.PersonDN(one), "title", "2026-12-31")
			l.delta()
			if want := []string{one + " leaves 2027-01-01 00:00 CET by leave_date (corp.hcl:8)"}; !slices.Equal(l.turns(), want) {
				t.Errorf("the state tells %q, want %q", l.turns(), want)
			}
			set("2026-12-31T22:59:59Z")
			if l.delta(); len(active(t, app)) != 5 {
				t.Fatalf("a second before, active are %q", active(t, app))
			}
			set("2026-12-31T23:00:00Z")
			if l.delta(); slices.Contains(active(t, app), one) || len(active(t, app)) != 4 {
				t.Fatalf("at the instant, active are %q", active(t, app))
			}
			c := l.theCase(one)
			if !c.Left.Equal(parsed(t, "2026-12-31T23:00:00Z")) || c.Cause != identity.Inactive || !strings.Contains(c.Proof, "their time ended 2027-01-01 00:00 CET by leave_date (corp.hcl:8)") {
				t.Errorf("the case says %s, left %s: %s", c.Cause, c.Left, c.Proof)
			}
			if left := l.turns(); len(left) != 0 {
				t.Errorf("still to come: %q", left)
			}
		})
	}
}

// TestR13AnEntrysOwnEndIsRemembered: when somebody's time ends by an attribute that no expression names is remembered as
// it is now, whether or not anything has to be evaluated for them.
func TestR13AnEntrysOwnEndIsRemembered(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 3, Schema: slapdtest.LockSchema, Person: func(int) map[string][]string {
		return map[string][]string{"objectClass": {"lockPerson"}}
	}})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.follow = true
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	l.full()
	one := slapdtest.UID(1)
	for _, year := range []int{2101, 2102, 2100} {
		end := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		dir.Set(t, dir.PersonDN(one), "accountExpires", fmt.Sprint((end.Unix()+11_644_473_600)*10_000_000))
		l.delta()
		if want := []string{fmt.Sprintf("%s leaves %d-01-01 00:00 UTC by accountExpires", one, year)}; !slices.Equal(l.turns(), want) {
			t.Errorf("the state tells %q, want %q", l.turns(), want)
		}
	}
	dir.Set(t, dir.PersonDN(one), "accountExpires", "0")
	if l.delta(); len(l.turns()) != 0 || len(active(t, app)) != 3 {
		t.Errorf("the state tells %q, active are %q", l.turns(), active(t, app))
	}
	dir.Set(t, dir.PersonDN(one), "accountExpires", "1")
	if l.delta(); slices.Contains(active(t, app), one) {
		t.Error("who has expired is active")
	}
}

// TestR13WhoIsKeptTurnsAsTheySay: while people are kept as they are, because a group has lost everybody at once, that the end
// of one of them is another is remembered all the same.
func TestR13WhoIsKeptTurnsAsTheySay(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 10, Groups: 1, Person: func(int) map[string][]string {
		return map[string][]string{"title": {}, "departmentNumber": {}}
	}})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, fmt.Sprintf("groups { base_dn = %q }", dir.GroupsDN())+datesOfPeople)
	l.application("wiki", app, `scope = member_of("group001")`, nil)
	one := slapdtest.UID(1)
	dir.Set(t, dir.PersonDN(one), "title", "2200-12-31")
	l.full()
	dir.Set(t, dir.GroupDN("group001"), "member", "cn=nobody,"+dir.BaseDN())
	l.held()
	dir.Set(t, dir.PersonDN(one), "title", "2100-12-31")
	l.delta()
	want := []string{one + " leaves 2101-01-01 00:00 CET by leave_date (corp.hcl:8)"}
	if !slices.Equal(l.turns(), want) || len(active(t, app)) != 10 {
		t.Errorf("the state tells %q, active are %q", l.turns(), active(t, app))
	}
}

// TestR13AnExtendedTimeClosesNobody: what the directory says when the time is over counts, not what it said before; also
// where it has told nobody.
func TestR13AnExtendedTimeClosesNobody(t *testing.T) {
	for name, silent := range map[string]bool{"told": false, "without a word": true} {
		t.Run(name, func(t *testing.T) {
			l, dir, app, set := dated(t, 5, false)
			if silent {
				l.sources[0].Source = &forgetful{Source: l.sources[0].Source}
			}
			one, two := slapdtest.UID(1), slapdtest.UID(2)
			dir.Set(t, dir.PersonDN(one), "title", "2026-12-31")
			dir.Set(t, dir.PersonDN(two), "title", "2026-12-31")
			l.full()
			dir.Set(t, dir.PersonDN(one), "title", "2027-06-30")
			set("2026-12-31T23:00:00Z")
			if l.delta(); !slices.Contains(active(t, app), one) || slices.Contains(active(t, app), two) {
				t.Errorf("active are %q", active(t, app))
			}
			if want := []string{one + " leaves 2027-07-01 00:00 CEST by leave_date (corp.hcl:8)"}; !slices.Equal(l.turns(), want) {
				t.Errorf("the state tells %q, want %q", l.turns(), want)
			}
		})
	}
}

// hushed is a forgetful source that answers nothing about one person.
type hushed struct{ forgetful }

func (*hushed) Find(context.Context, sources.Lookup) (sources.Sighting, error) {
	return sources.Sighting{}, errors.New("the directory does not answer")
}

// TestR13NoAnswerIsNoEnd: whose time is over as far as was told, and of whom the directory says nothing when it is asked,
// stays until it does.
func TestR13NoAnswerIsNoEnd(t *testing.T) {
	l, dir, app, set := dated(t, 5, false)
	real := l.sources[0].Source
	source := &hushed{forgetful{Source: real}}
	l.sources[0].Source = source
	one := slapdtest.UID(1)
	dir.Set(t, dir.PersonDN(one), "title", "2026-12-31")
	l.full()
	set("2026-12-31T23:00:00Z")
	report := l.delta()
	if found := findings(report, "unproven"); !slices.Contains(active(t, app), one) || len(found) != 1 || !strings.Contains(found[0].Detail, "does not answer") {
		t.Errorf("active are %q, found %+v", active(t, app), found)
	}
	l.sources[0].Source = &source.forgetful
	if l.delta(); slices.Contains(active(t, app), one) {
		t.Error("once it answers, they are not closed")
	}
}

// TestR13WhoComesIsThereAtThatInstant: an account is made when somebody's time begins, and enabled again when they are
// back, without a change that the directory told.
func TestR13WhoComesIsThereAtThatInstant(t *testing.T) {
	l, dir, app, set := dated(t, 5, true)
	one := slapdtest.UID(1)
	dir.AddPerson(t, "newcomer", map[string][]string{"title": {}, "departmentNumber": {"2027-01-01"}})
	dir.Set(t, dir.PersonDN(one), "departmentNumber", "2027-01-01T08:00")
	if l.delta(); slices.Contains(active(t, app), one) || len(active(t, app)) != 4 {
		t.Fatalf("before their time, active are %q", active(t, app))
	}
	want := []string{"newcomer comes 2027-01-01 00:00 CET by enter_date (corp.hcl:9)", one + " comes 2027-01-01 08:00 CET by enter_date (corp.hcl:9)"}
	if !slices.Equal(l.turns(), want) {
		t.Errorf("the state tells %q, want %q", l.turns(), want)
	}
	set("2026-12-31T22:59:59Z")
	if l.delta(); len(active(t, app)) != 4 {
		t.Errorf("a second before, active are %q", active(t, app))
	}
	set("2026-12-31T23:00:00Z")
	if l.delta(); !slices.Contains(active(t, app), "newcomer") || slices.Contains(active(t, app), one) {
		t.Errorf("at midnight, active are %q", active(t, app))
	}
	set("2027-01-01T07:00:00Z")
	if l.delta(); !slices.Contains(active(t, app), one) {
		t.Errorf("at eight, active are %q", active(t, app))
	}
}

// TestR13ManyAtOnceAreOneBatch: those whose time ends together are judged together: all the same a limit is a limit.
func TestR13ManyAtOnceAreOneBatch(t *testing.T) {
	l, dir, app, set := dated(t, 40, true)
	for i := range 20 {
		dir.Set(t, dir.PersonDN(slapdtest.UID(i+1)), "title", "2026-12-31")
	}
	l.delta()
	set("2026-12-31T23:00:00Z")
	report := l.delta()
	if got := len(active(t, app)); len(report.Held) != 1 || len(report.Held[0].Members) < 17 || got < 37 {
		t.Errorf("%d active, held %+v", got, report.Held)
	}
}

// TestR13AClockThatWasAheadIsForgiven: whoever was closed by a clock that was ahead comes back when it is set right.
func TestR13AClockThatWasAheadIsForgiven(t *testing.T) {
	l, dir, app, set := dated(t, 5, true)
	one := slapdtest.UID(1)
	dir.Set(t, dir.PersonDN(one), "title", "2026-12-31")
	l.delta()
	set("2027-02-01T00:00:00Z")
	if l.delta(); slices.Contains(active(t, app), one) {
		t.Fatal("they are not closed")
	}
	set("2026-12-02T00:00:00Z")
	if l.delta(); !slices.Contains(active(t, app), one) || len(l.turns()) != 1 {
		t.Errorf("active are %q, to come is %q", active(t, app), l.turns())
	}
}

// TestR13WhatCannotBeReadEndsNothing: somebody whose date cannot be read stays as they are, with a finding that names the
// line; nobody comes or leaves by it.
func TestR13WhatCannotBeReadEndsNothing(t *testing.T) {
	l, dir, app, set := dated(t, 5, true)
	one := slapdtest.UID(1)
	dir.Set(t, dir.PersonDN(one), "title", "31.12.2026")
	dir.AddPerson(t, "newcomer", map[string][]string{"title": {}, "departmentNumber": {"next spring"}})
	set("2027-12-31T23:00:00Z")
	report := l.delta()
	if found := findings(report, "expression"); !slices.Contains(active(t, app), one) || slices.Contains(active(t, app), "newcomer") || len(found) != 2 ||
		!strings.Contains(fmt.Sprint(found), "corp.hcl:8: leave_date of "+one) || !strings.Contains(fmt.Sprint(found), "corp.hcl:9: enter_date of newcomer") {
		t.Errorf("active are %q, found %+v", active(t, app), found)
	}
}

// TestR14ANewDateIsAnEdit: people who have left by a date that the config has only now are the edit's, and wait.
func TestR14ANewDateIsAnEdit(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 20, Person: func(i int) map[string][]string {
		return map[string][]string{"title": {"2020-01-01"}, "departmentNumber": {}}
	}})
	app := scimtest.StartElimity(t)
	l := newLab(t)
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	l.full()
	l.directory("corp", dir, datesOfPeople)
	report := l.held()
	if got := len(active(t, app)); got != 20 || len(report.Held) != 1 || report.Held[0].Cause != identity.ConfigEdited {
		t.Errorf("%d active, held %+v", got, report.Held)
	}
	if !strings.Contains(fmt.Sprint(report.Held[0]), "leave_date") {
		t.Errorf("the hold does not name what was edited: %+v", report.Held[0])
	}
}

// TestR13ADatePassedBeforeItWasSet: of somebody whose end was set to a time that had passed, the directory said so when
// it was set.
func TestR13ADatePassedBeforeItWasSet(t *testing.T) {
	l, dir, _, _ := dated(t, 5, true)
	l.now = time.Now
	one := slapdtest.UID(1)
	began := time.Now().Add(-2 * time.Second)
	dir.Set(t, dir.PersonDN(one), "title", "2020-01-01")
	l.delta()
	if c := l.theCase(one); c.Left.Before(began) || c.Closed.IsZero() {
		t.Errorf("they left %s, closed %s; it was set after %s", c.Left, c.Closed, began)
	}
}
