package statetest

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

var (
	day0  = time.Date(2026, 3, 1, 8, 0, 0, 123456789, time.UTC)
	day1  = day0.Add(24 * time.Hour)
	day2  = day0.Add(48 * time.Hour)
	alice = identity.PersonID{Directory: "corp", Anchor: "0b6f2c1e-8d57-4a4e-9c3b-0f3d0a1b2c3d"}
	bob   = identity.PersonID{Directory: "corp", Anchor: "b\x00/\xff\xfe"}
	carol = identity.PersonID{Directory: "corp2", Anchor: "c"}
)

func write(t *testing.T, l *state.Ledger, fn func(*state.Writer) error) {
	t.Helper()
	if err := l.Update(t.Context(), fn); err != nil {
		t.Fatal("update:", err)
	}
}

func check(t *testing.T, l *state.Ledger, fn func(*state.Reader) error) {
	t.Helper()
	if err := l.View(t.Context(), fn); err != nil {
		t.Fatal("view:", err)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Error("verify:", err)
	}
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) (out []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal("list:", err)
		}
		out = append(out, v)
	}
	return out
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// found checks one look-up against its record.
func found[T any](t *testing.T, want T) func(T, bool, error) {
	return func(got T, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%T: found %t, %v", want, ok, err)
		}
		same(t, fmt.Sprintf("%T", want), want, got)
	}
}

// Samples are one of each record with every field set.
type Samples struct {
	Person  state.Person
	Link    state.Link
	Intent  state.Intent
	Case    state.Case
	Hold    identity.Hold
	Source  state.SourceRecord
	Names   state.Names
	Target  state.TargetRecord
	Finding state.Finding
	Orphan  state.Unlinked
	Closure state.Closure
	Run     state.Run
	Head    state.AuditHead
}

// NewSamples returns them.
func NewSamples() Samples {
	return Samples{
		Person: state.Person{
			ID: alice, Name: "alice", DN: "uid=alice,ou=people,dc=example,dc=org", Print: 1<<64 - 1, Program: 2, Active: true,
			Scope: []string{"chat", "wiki"}, Rehire: "4711", Left: day1, Proven: true,
			Noticed: day2, Changed: 5, Inactive: true, Attributes: []byte{1}, Groups: []uint32{0}, Lost: []uint32{1}, Former: []state.Former{{DN: "d", Name: "n"}},
			Turns: day2, Turn: "leaves 2026-03-03 08:00 UTC by leave_date (config.hcl:12)",
		},
		Link: state.Link{
			Target: "wiki", Person: alice, Account: "9d1c6a30-55f7-4b8f-8a63-1f7f6f0a9b11", UserName: "alice", FirstName: "alice", Name: "alice",
			Container: "ou=people,dc=example,dc=org", State: identity.LinkDisabled, Created: true, Disabled: day1,
			PersonPrint: 1, Want: 2, Have: 3, Mapping: 4, ScopePrint: 5, Entitlements: identity.NamedEntitlements("wiki-admins", "wiki-users"),
		},
		Intent: state.Intent{Seq: 1, Epoch: 3, Pass: "p1", At: day0, Change: identity.Change{
			Op: identity.Update, Cause: identity.Changed, Rule: "config.hcl:31", Target: "wiki", Person: alice, Name: "alice",
			Account: "a\x00\xff", UserName: "alice", Container: "ou=people", PersonPrint: 1, WantPrint: 2,
			Delta: identity.Delta{
				Attributes: []identity.AttributeChange{{Path: "displayName", Before: `"A"`, After: `"B"`}},
				Grant:      identity.NamedEntitlements("g"), Withdraw: []identity.Entitlement{{Kind: "role", ID: "7", Name: "w"}},
			},
		}},
		Case: state.Case{
			Person: bob, Name: "bob", DN: "uid=bob", Cause: identity.Deleted, Reason: "r", Proof: "gone", Left: day0, Closed: day2,
			Noticed: day1, Opened: day0,
			Steps: []state.Step{{Target: "chat", Account: "b2", UserName: "bob", Status: state.StepOpen}, {
				Target: "wiki", Account: "b1", UserName: "bob", Status: state.StepProven, Attempts: 3, Next: day1, Error: "503",
				Seen: "inactive", At: day1, Delete: day2, Left: day0, ExternalID: "x", Taken: identity.NamedEntitlements("g"),
			}},
		},
		Hold: identity.Hold{
			Digest: "abc", Kind: identity.HoldCohort, Target: "wiki", Directory: "corp", Cause: identity.Deleted, Container: "ou=people", Group: "g",
			Anomaly: "group g", Attribute: "title", Reason: "60 of 50", Closed: []string{"bob"}, Count: 60, Since: day0, Mapping: 1<<64 - 1,
			Ruling: identity.Ruling{What: identity.Approved, By: "olga", At: day1},
			Members: []identity.Member{
				{Target: "chat", Person: bob, Account: "b\xff", Name: "bob", UserName: "bob", Cause: identity.Deleted, Strength: identity.ByAbsence},
				{Target: "wiki", Account: "o", UserName: "old", Cause: identity.Orphaned},
				{
					Target: "wiki", Person: alice, Account: "a", Name: "alice", UserName: "alice", Cause: identity.Deleted, Strength: identity.ByAbsence,
					Ruling: identity.Ruling{What: identity.Rejected, By: "olga", At: day2},
				},
			},
		},
		Source: state.SourceRecord{
			Name: "corp", Accepted: 12, At: day0, Cursor: []byte{0, 1, 0xff}, Server: "ldap://one", Currency: map[string]string{"0": "1"},
			Rival: "ldap://two", RivalSince: day1, Undated: day2, Groups: []state.GroupRecord{{Name: "g", ID: "7", Count: 3, DN: "cn=g"}}, Anchor: "entryUUID",
			DirectoryID: "d", Directory: "corp", Counts: map[string]int{"mail": 9},
			Stays: []state.Stay{{ScopePrint: 1, Conditions: []uint64{2, 1 << 63}, Settings: map[string]uint64{"filter": 3}}},
		},
		Names:  state.Names{Attributes: []string{"mail"}, Groups: []string{"g"}},
		Target: state.TargetRecord{Name: "wiki", Scope: 7, Failures: 3, Reason: "503", Since: day0, Next: day1, PausedUntil: day2, HidesInactive: true},
		Finding: state.Finding{First: day0, Finding: identity.Finding{
			Kind: "disputed", Subject: "wiki: alice", Source: "corp", Target: "wiki", Person: alice, Account: "a", Detail: "two fit",
		}},
		Orphan:  state.Unlinked{Target: "wiki", Account: "o\xff", UserName: "old\xff", Active: true, First: day0},
		Closure: state.Closure{Person: bob, Reason: "stolen laptop", At: day0},
		Run: state.Run{
			ID: "r1", Mode: "full", Started: day0, Ended: day1, Digest: "d", People: 9, Counts: map[string]int{"create": 1, "disable": 2},
			Held: 1, Failed: 2, Findings: 3, Problems: []string{"chat: down"},
		},
		Head: state.AuditHead{Seq: 12, Hash: "ff00"},
	}
}

// Put writes all of them.
func (s Samples) Put(w *state.Writer) error {
	begun, err := w.Begin(s.Intent)
	if err == nil && begun[0].Seq != s.Intent.Seq {
		err = fmt.Errorf("intent %d", begun[0].Seq)
	}
	return errors.Join(err, w.PutPerson(s.Person), w.PutLink(s.Link), w.PutCase(s.Case),
		w.PutMembers(s.Hold.Digest, s.Hold.Members...), w.PutHold(s.Hold), w.PutSource(s.Source),
		w.PutTarget(s.Target), w.SetFindings([]identity.Finding{s.Finding.Finding}, s.Finding.First),
		w.SetUnlinked(s.Orphan.Target, []state.Unlinked{s.Orphan}), w.PutClosure(s.Closure), w.AddRun(s.Run),
		w.SetAuditHead(s.Head), w.PutNames(s.Names))
}

func testRecords(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	s := NewSamples()
	write(t, l, s.Put)
	check(t, l, func(r *state.Reader) error {
		found(t, s.Person)(r.Person(alice))
		found(t, s.Link)(r.Link("wiki", alice))
		found(t, s.Link)(r.LinkByAccount("wiki", s.Link.Account))
		found(t, s.Intent)(r.Intent(1))
		found(t, s.Case)(r.Case(bob))
		found(t, s.Hold)(r.Hold("abc"))
		found(t, s.Source)(r.Source("corp"))
		found(t, s.Target)(r.Target("wiki"))
		found(t, s.Closure)(r.Closure(bob))
		found(t, s.Head)(r.AuditHead())
		same(t, "sources", []state.SourceRecord{s.Source}, collect(t, r.Sources()))
		if names, err := r.Names(); err != nil || !reflect.DeepEqual(names, s.Names) {
			t.Errorf("names %+v, %v, want %+v", names, err, s.Names)
		}
		same(t, "intents", []state.Intent{s.Intent}, collect(t, r.Intents()))
		same(t, "cases", []state.Case{s.Case}, collect(t, r.Cases()))
		same(t, "holds", []identity.Hold{s.Hold}, collect(t, r.Holds()))
		same(t, "findings", []state.Finding{s.Finding}, collect(t, r.Findings()))
		same(t, "orphans", []state.Unlinked{s.Orphan}, collect(t, r.Orphans("wiki")))
		same(t, "closures", []state.Closure{s.Closure}, collect(t, r.Closures()))
		same(t, "runs", []state.Run{s.Run}, collect(t, r.Runs(10)))
		same(t, "targets", []state.TargetRecord{s.Target}, collect(t, r.Targets()))
		if _, ok, err := r.Person(bob); ok || err != nil {
			t.Errorf("a person nobody put: %t, %v", ok, err)
		}
		return nil
	})
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.DeletePerson(alice), w.DeleteLink("wiki", alice), w.DeleteLink("wiki", alice), w.DeleteCase(bob),
			w.DeleteHold("abc"), w.DeleteClosure(bob), w.Settle(1))
	})
	check(t, l, func(r *state.Reader) error {
		_, person, _ := r.Person(alice)
		_, link, _ := r.Link("wiki", alice)
		_, byAccount, _ := r.LinkByAccount("wiki", s.Link.Account)
		_, ofCase, _ := r.Case(bob)
		_, hold, _ := r.Hold("abc")
		_, closure, _ := r.Closure(bob)
		if person || link || byAccount || ofCase || hold || closure || len(collect(t, r.Intents())) > 0 {
			t.Error("something deleted is still there")
		}
		return nil
	})
}

func newLink(target string, person identity.PersonID, account string) state.Link {
	return state.Link{Target: target, Person: person, Account: identity.AccountID(account), Name: person.Anchor}
}

func testLists(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	write(t, l, func(w *state.Writer) error {
		for _, id := range []identity.PersonID{alice, bob, carol} {
			err := errors.Join(w.PutPerson(state.Person{ID: id}), w.PutLink(newLink("wiki", id, "w"+id.Anchor)))
			if err != nil {
				return err
			}
		}
		return errors.Join(w.PutLink(newLink("wik", alice, "1")), w.PutLink(newLink("wikis", alice, "1")))
	})
	check(t, l, func(r *state.Reader) error {
		var people, links []identity.PersonID
		for _, p := range collect(t, r.People("corp")) {
			people = append(people, p.ID)
		}
		same(t, "people", []identity.PersonID{alice, bob}, people)
		for _, link := range collect(t, r.Links("wiki")) {
			links = append(links, link.Person)
		}
		same(t, "links", []identity.PersonID{alice, bob, carol}, links)
		same(t, "alice's links", []state.Link{
			newLink("wik", alice, "1"), newLink("wiki", alice, "w"+alice.Anchor), newLink("wikis", alice, "1"),
		}, collect(t, r.LinksOf(alice)))
		same(t, "carol's links", []state.Link{newLink("wiki", carol, "wc")}, collect(t, r.LinksOf(carol)))
		return nil
	})
}

func testLinked(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	write(t, l, func(w *state.Writer) error { return w.PutLink(newLink("wiki", alice, "1")) })
	for name, link := range map[string]state.Link{
		"another's account": newLink("wiki", bob, "1"), "another account": newLink("wiki", alice, "2"),
	} {
		if err := l.Update(t.Context(), func(w *state.Writer) error { return w.PutLink(link) }); !errors.Is(err, state.ErrLinked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, link := range map[string]state.Link{
		"no account": newLink("wiki", bob, ""), "no person": newLink("wiki", identity.PersonID{}, "3"), "no target": newLink("", bob, "3"),
	} {
		if err := l.Update(t.Context(), func(w *state.Writer) error { return w.PutLink(link) }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.PutLink(newLink("wiki", alice, "1")), w.PutLink(newLink("chat", bob, "1")),
			w.DeleteLink("wiki", alice), w.PutLink(newLink("wiki", bob, "1")), w.PutLink(newLink("wiki", alice, "2")))
	})
	check(t, l, func(r *state.Reader) error {
		found(t, newLink("wiki", bob, "1"))(r.LinkByAccount("wiki", "1"))
		found(t, newLink("wiki", alice, "2"))(r.LinkByAccount("wiki", "2"))
		found(t, newLink("chat", bob, "1"))(r.LinkByAccount("chat", "1"))
		return nil
	})
}

func testTurns(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	turns := func() (out []string) {
		check(t, l, func(r *state.Reader) error {
			for _, turn := range collect(t, r.Turns()) {
				out = append(out, fmt.Sprint(turn.Person, " ", turn.At.UTC().Format(time.RFC3339Nano)))
			}
			return nil
		})
		return out
	}
	put := func(list ...state.Person) {
		t.Helper()
		write(t, l, func(w *state.Writer) error {
			for _, p := range list {
				if err := w.PutPerson(p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	at := func(id identity.PersonID, when time.Time) string {
		return fmt.Sprint(id, " ", when.UTC().Format(time.RFC3339Nano))
	}
	far := time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC) // later than anybody waits
	put(state.Person{ID: carol, Turns: day0}, state.Person{ID: alice, Turns: day2}, state.Person{ID: bob})
	same(t, "in order of when they turn", []string{at(carol, day0), at(alice, day2)}, turns())
	put(state.Person{ID: carol, Turns: day2}, state.Person{ID: alice, Turns: day1}, state.Person{ID: bob, Turns: far})
	same(t, "after changes", []string{at(alice, day1), at(carol, day2)}, turns())
	put(state.Person{ID: alice, Name: "alice", Turns: day1})
	same(t, "what else is written changes nothing", []string{at(alice, day1), at(carol, day2)}, turns())
	write(t, l, func(w *state.Writer) error { return errors.Join(w.DeletePerson(carol), w.DeletePerson(bob)) })
	same(t, "of those who are not forgotten", []string{at(alice, day1)}, turns())
	put(state.Person{ID: alice})
	same(t, "nobody", []string(nil), turns())
}

func testDue(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	due := func(target string) (out []string) {
		check(t, l, func(r *state.Reader) error {
			for _, d := range collect(t, r.Due(target)) {
				out = append(out, fmt.Sprint(d.Person.Anchor, " ", d.Account, " ", d.At.UnixNano()))
			}
			return nil
		})
		return out
	}
	step := func(target, account string, status state.StepStatus, next, end time.Time) state.Step {
		return state.Step{Target: target, Account: identity.AccountID(account), Status: status, Next: next, Delete: end}
	}
	put := func(person identity.PersonID, steps ...state.Step) {
		t.Helper()
		write(t, l, func(w *state.Writer) error { return w.PutCase(state.Case{Person: person, Steps: steps}) })
		if err := l.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	never := time.Time{}
	put(carol, step("wiki", "1", state.StepOpen, day2, never), step("wikis", "1", state.StepOpen, day0, never))
	put(bob, step("wiki", "2", state.StepOpen, never, never), step("wiki", "3", state.StepHeld, day0, day0))
	put(alice, step("wiki", "4", state.StepProven, day1, day2), step("wiki", "5", state.StepProven, never, never))
	zero := fmt.Sprint(never.UnixNano())
	same(t, "due", []string{bob.Anchor + " 2 " + zero, fmt.Sprint(alice.Anchor, " 4 ", day1.UnixNano()), fmt.Sprint("c 1 ", day2.UnixNano())}, due("wiki"))
	put(bob, step("wiki", "3", state.StepOpen, day0, never))
	put(alice, step("wiki", "4", state.StepProven, never, day2))
	same(t, "due after changes", []string{
		fmt.Sprint(bob.Anchor, " 3 ", day0.UnixNano()), fmt.Sprint(alice.Anchor, " 4 ", day2.UnixNano()), fmt.Sprint("c 1 ", day2.UnixNano()),
	}, due("wiki"))
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.DeleteCase(bob), w.DeleteCase(alice), w.DeleteCase(carol))
	})
	same(t, "due of no cases", []string(nil), due("wiki"))
	if err := l.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func testTombstones(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	tomb := state.Tombstone{Target: "wiki", Person: bob, Name: "bob", Account: "7", UserName: "Bob", AskedName: "Rob", ExternalID: "x", At: day1}
	write(t, l, func(w *state.Writer) error {
		epoch, err := w.NextEpoch(0)
		if err == nil && epoch != 1 {
			err = fmt.Errorf("epoch %d", epoch)
		}
		return errors.Join(err, w.PutTombstone(tomb))
	})
	for _, c := range []struct {
		target, externalID, userName string
		strong, ok                   bool
	}{
		{"wiki", "x", "", true, true},
		{"wiki", "x", "carol", true, true},
		{"wiki", "y", "bOB", false, true},
		{"wiki", "", "bob", false, true},
		{"wiki", "", "rob", false, true},
		{"wiki", "X", "", false, false},
		{"wiki", "", "", false, false},
		{"wik", "x", "bob", false, false},
	} {
		check(t, l, func(r *state.Reader) error {
			got, strong, ok, err := r.Tombstone(c.target, c.externalID, c.userName)
			if err != nil || ok != c.ok || strong != c.strong && ok || ok && got != tomb {
				t.Errorf("%+v: %+v, by externalId %t, %t, %v", c, got, strong, ok, err)
			}
			return nil
		})
	}
	write(t, l, func(w *state.Writer) error { return w.DeleteTombstone(tomb) })
	check(t, l, func(r *state.Reader) error {
		if _, _, ok, err := r.Tombstone("wiki", "x", "bob"); ok || err != nil {
			t.Errorf("forgotten, and there: %t, %v", ok, err)
		}
		epoch, err := r.Epoch()
		if epoch != 1 {
			t.Errorf("epoch %d", epoch)
		}
		return err
	})
}

func testCount(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	link := newLink("wiki", alice, "1")
	for _, step := range []struct {
		do   func(*state.Writer) error
		want int
	}{
		{func(w *state.Writer) error { return nil }, 0},
		{func(w *state.Writer) error { return errors.Join(w.PutLink(link), w.PutLink(newLink("wiki", bob, "2"))) }, 2},
		{func(w *state.Writer) error { return w.PutLink(link) }, 2},
		{func(w *state.Writer) error { link.State = identity.LinkDisabled; return w.PutLink(link) }, 1},
		{func(w *state.Writer) error { link.State = identity.LinkActive; return w.PutLink(link) }, 2},
		{func(w *state.Writer) error { link.State = identity.LinkDeleted; return w.PutLink(link) }, 1},
		{func(w *state.Writer) error { return w.DeleteLink("wiki", alice) }, 1},
		{func(w *state.Writer) error { return w.DeleteLink("wiki", bob) }, 0},
	} {
		write(t, l, step.do)
		check(t, l, func(r *state.Reader) error {
			got, err := r.CountActive("wiki")
			same(t, "active", step.want, got)
			return err
		})
	}
}

func testIntents(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	seqs := func() (out []uint64) {
		check(t, l, func(r *state.Reader) error {
			out = nil
			for _, i := range collect(t, r.Intents()) {
				out = append(out, i.Seq)
			}
			return nil
		})
		return out
	}
	begin := func(n int) func(*state.Writer) error {
		return func(w *state.Writer) error {
			_, err := w.Begin(make([]state.Intent, n)...)
			return err
		}
	}
	write(t, l, begin(3))
	same(t, "begun", []uint64{1, 2, 3}, seqs())
	write(t, l, func(w *state.Writer) error { return errors.Join(w.Settle(3), w.Settle(1), w.Settle(99)) })
	same(t, "settled", []uint64{2}, seqs())
	if err := l.Update(t.Context(), func(w *state.Writer) error { return errors.Join(begin(5)(w), errStop) }); !errors.Is(err, errStop) {
		t.Error(err)
	}
	write(t, l, begin(1))
	same(t, "never used twice", []uint64{2, 4}, seqs())
}

func testFindings(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	drift := identity.Finding{Kind: "drift", Subject: "wiki: alice", Target: "wiki", Detail: "1 attribute"}
	more := drift
	more.Detail = "2 attributes"
	orphan := identity.Finding{Kind: "orphan", Subject: "chat: old", Target: "chat"}
	firsts := func() map[string]time.Time {
		out := map[string]time.Time{}
		check(t, l, func(r *state.Reader) error {
			clear(out)
			for _, f := range collect(t, r.Findings()) {
				out[f.Kind+" "+f.Detail] = f.First
			}
			return nil
		})
		return out
	}
	set := func(now time.Time, fs ...identity.Finding) {
		t.Helper()
		write(t, l, func(w *state.Writer) error { return w.SetFindings(fs, now) })
	}
	set(day0, drift)
	set(day1, orphan, drift)
	same(t, "kept and new", map[string]time.Time{"drift 1 attribute": day0, "orphan ": day1}, firsts())
	set(day2, more)
	same(t, "another detail, and one gone", map[string]time.Time{"drift 2 attributes": day0}, firsts())
	set(day2, more, orphan)
	write(t, l, func(w *state.Writer) error {
		return w.SetFindingsWhere(func(f identity.Finding) bool { return f.Target == "wiki" }, nil, day2)
	})
	same(t, "a target that took no part", map[string]time.Time{"orphan ": day2}, firsts())
}

func testOrphans(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	orphan := func(target, account string, first time.Time) state.Unlinked {
		return state.Unlinked{Target: target, Account: identity.AccountID(account), First: first}
	}
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.SetUnlinked("wiki", []state.Unlinked{orphan("wiki", "a", day0), orphan("wiki", "b", day0)}),
			w.SetUnlinked("wiki2", []state.Unlinked{orphan("wiki2", "a", day0)}))
	})
	write(t, l, func(w *state.Writer) error {
		fitting := orphan("wiki", "d", day1)
		fitting.Fits = identity.PersonID{Directory: "corp", Anchor: "a"}
		return w.SetUnlinked("wiki", []state.Unlinked{orphan("wiki", "a", day1), orphan("wiki", "c", day1), fitting})
	})
	check(t, l, func(r *state.Reader) error {
		same(t, "orphans", []state.Unlinked{orphan("wiki", "a", day0), orphan("wiki", "c", day1)}, collect(t, r.Orphans("wiki")))
		found, ok, err := r.Unlinked("wiki", "d")
		same(t, "one that fits somebody", "a true", fmt.Sprint(found.Fits.Anchor, " ", ok))
		same(t, "another target's", []state.Unlinked{orphan("wiki2", "a", day0)}, collect(t, r.Orphans("wiki2")))
		return err
	})
}

func testRuns(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	const total = 510
	write(t, l, func(w *state.Writer) error {
		for i := range total {
			if err := w.AddRun(state.Run{ID: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return w.AddRun(state.Run{ID: fmt.Sprint(total - 2), Mode: "again"})
	})
	check(t, l, func(r *state.Reader) error {
		all := collect(t, r.Runs(1000))
		same(t, "kept", 500, len(all))
		same(t, "oldest", fmt.Sprint(total-500), all[len(all)-1].ID)
		same(t, "newest", []state.Run{{ID: fmt.Sprint(total - 1)}, {ID: fmt.Sprint(total - 2), Mode: "again"}}, collect(t, r.Runs(2)))
		same(t, "none asked for", 0, len(collect(t, r.Runs(0))))
		return nil
	})
}

// testSpent: R6, what counts for a window.
func testSpent(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	first := identity.Spent{
		Kind: identity.HoldCohort, Target: "wiki", Account: "a", Person: alice, Name: "alice", Cause: identity.OutOfScope, Group: "g",
		Strength: identity.ByScope, At: day0,
	}
	other := identity.Spent{Kind: identity.HoldDelete, Target: "wiki", Account: "a", At: day1}
	again := first
	again.At = day2
	spent := func() (list []identity.Spent) {
		check(t, l, func(r *state.Reader) error { list = collect(t, r.Spent()); return nil })
		slices.SortFunc(list, func(a, b identity.Spent) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
		return list
	}
	write(t, l, func(w *state.Writer) error { return errors.Join(w.PutSpent(first), w.PutSpent(other)) })
	same(t, "both kinds", []identity.Spent{first, other}, spent())
	write(t, l, func(w *state.Writer) error { return w.PutSpent(again) })
	same(t, "once, when it last did", []identity.Spent{again, other}, spent())
	write(t, l, func(w *state.Writer) error { return w.PruneSpent(day2) })
	same(t, "the bound itself stays", []identity.Spent{again}, spent())
}

// testHolds: R6, members drop out one by one, and a hold is there when all of it is.
func testHolds(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	h := NewSamples().Hold
	other := identity.Hold{Digest: "abcd", Kind: identity.HoldShrink, Directory: "corp"}
	write(t, l, func(w *state.Writer) error { return w.PutMembers("abc", h.Members[:2]...) })
	holds := func() (list []identity.Hold) {
		check(t, l, func(r *state.Reader) error { list = collect(t, r.Holds()); return nil })
		return list
	}
	same(t, "half of one", 0, len(holds()))
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.PutMembers("abc", h.Members[2]), w.PutHold(h), w.PutHold(other))
	})
	same(t, "both", []identity.Hold{h, other}, holds())
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.PutMembers("gone", h.Members...), w.PruneMembers(), w.DeleteMember("abc", h.Members[0]))
	})
	less := h
	less.Members = h.Members[1:]
	same(t, "one less", []identity.Hold{less, other}, holds())
	write(t, l, func(w *state.Writer) error { return w.PutHold(identity.Hold{Digest: "gone"}) })
	check(t, l, func(r *state.Reader) error {
		gone, ok, err := r.Hold("gone")
		same(t, "what was never put is pruned", 0, len(gone.Members))
		same(t, "found", true, ok)
		return err
	})
	write(t, l, func(w *state.Writer) error {
		return errors.Join(w.DeleteMember("abc", h.Members[1]), w.DeleteMember("abc", h.Members[2]), w.DeleteHold("gone"))
	})
	same(t, "the last one takes it along", []identity.Hold{other}, holds())
}

// testFirstName: R5, an account is protected by the name that it had when it was first seen.
func testFirstName(t *testing.T, store state.Store, _ Suite) {
	l := state.NewLedger(store)
	link := state.Link{Target: "wiki", Person: alice, Account: "a", UserName: "svc-a"}
	write(t, l, func(w *state.Writer) error {
		renamed := link
		renamed.UserName, renamed.FirstName = "alice", "forged"
		return errors.Join(w.PutLink(link), w.PutLink(renamed))
	})
	check(t, l, func(r *state.Reader) error {
		got, _, err := r.Link("wiki", alice)
		same(t, "first and now", []string{"svc-a", "alice"}, []string{got.FirstName, got.UserName})
		return err
	})
}
