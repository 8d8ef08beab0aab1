// Package sourcetest is the suite that every kind of source passes, run against the real system:
//
//	func TestSource(t *testing.T) { sourcetest.Run(t, func(t testing.TB) sourcetest.Harness { … }) }
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Harness is one real system that holds nobody when it starts. People are called by their logins.
type Harness interface {
	// Open makes a source that reads every person there is in scope. The suite closes it.
	Open(t testing.TB, need sources.Need) sources.Source
	// Names are the attributes in which the system keeps login, surname and mail, in canonical spelling.
	Names() (login, surname, mail string)
	Add(t testing.TB, login, surname, mail string)
	Rename(t testing.TB, login, now string)
	SetMail(t testing.TB, login, mail string) // "" takes it away
	Disable(t testing.TB, login string)
	Delete(t testing.TB, login string)
	// Away moves somebody out of what People reads, and Back moves them in again. They report false where the
	// system has no such place.
	Away(t testing.TB, login string) bool
	Back(t testing.TB, login string) bool
}

// Run runs the whole suite, each test on a system of its own.
func Run(t *testing.T, start func(t testing.TB) Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"Nobody", nobody},
		{"Whole", whole},
		{"AttributesAsAsked", attributesAsAsked},
		{"Stable", stable},
		{"R2CancelledIsIncomplete", cancelled},
		{"R3RenamedIsTheSame", renamed},
		{"R3OldLoginNewPerson", oldLogin},
		{"Inactive", inactive},
		{"R2LatestIsWhole", latest},
		{"R1Find", find},
		{"R1Facts", facts},
		{"R1Strength", strength},
		{"Check", check},
		{"Concurrent", concurrent},
		{"CloseEndsEverything", closes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, start(t)) })
	}
}

// Read returns everyone by login, and fails the test where the list is not complete.
func Read(t testing.TB, s sources.Source) map[string]identity.Person {
	t.Helper()
	people := make(map[string]identity.Person)
	for p, err := range s.People(t.Context()) {
		if err != nil {
			t.Fatalf("read people: %v", err)
		}
		if p.ID.IsZero() || p.ID.Anchor == "" || p.Name == "" {
			t.Errorf("a person without an anchor or a name: %+v", p)
		}
		if _, again := people[p.Name]; again {
			t.Errorf("%s comes twice", p.Name)
		}
		people[p.Name] = p
	}
	return people
}

func open(t testing.TB, h Harness, need sources.Need) sources.Source {
	t.Helper()
	s := h.Open(t, need)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func add(t testing.TB, h Harness, logins ...string) {
	t.Helper()
	for _, login := range logins {
		h.Add(t, login, "Lee", login+"@example.org")
	}
}

func many(n int) []string {
	logins := make([]string, n)
	for i := range logins {
		logins[i] = fmt.Sprintf("p%03d", i)
	}
	return logins
}

// latest: what is read for a delta after each kind of change, by a Follower as it likes, is what a whole read shows.
func latest(t *testing.T, h Harness) {
	login, surname, mail := h.Names()
	need := sources.Need{Attributes: []string{login, surname, mail}}
	slices.Sort(need.Attributes)
	reads := open(t, h, need)
	need.Follow, need.Scratch = true, t.TempDir()
	follows := open(t, h, need)
	add(t, h, many(10)...)
	for what, change := range []func(){
		func() {}, func() { add(t, h, "newcomer") }, func() { h.Rename(t, "p001", "renamed") }, func() { h.SetMail(t, "p002", "") },
		func() { h.SetMail(t, "p003", "x@example.org") }, func() { h.Disable(t, "p004") }, func() { h.Delete(t, "p005") },
		func() { h.Away(t, "p006") }, func() { h.Away(t, "p007") }, func() { h.Back(t, "p006") }, func() {},
	} {
		change()
		shown := map[string]identity.Person{}
		people, _ := sources.Read(t.Context(), follows, false)
		for p, err := range people {
			if err != nil {
				t.Fatal(err)
			}
			shown[p.Name] = p
		}
		if diff := cmp.Diff(Read(t, reads), shown); diff != "" {
			t.Errorf("change %d:\n%s", what, diff)
		}
	}
}

func nobody(t *testing.T, h Harness) {
	if people := Read(t, open(t, h, sources.Need{})); len(people) != 0 {
		t.Errorf("an empty system has %d people", len(people))
	}
}

func whole(t *testing.T, h Harness) {
	logins := many(25)
	add(t, h, logins...)
	s := open(t, h, sources.Need{})
	for range 2 {
		people := Read(t, s)
		if got := slices.Sorted(maps.Keys(people)); !slices.Equal(got, logins) {
			t.Errorf("read %q, want %q", got, logins)
		}
		for login, p := range people {
			if !p.Active {
				t.Errorf("%s is not active", login)
			}
		}
	}
}

func attributesAsAsked(t *testing.T, h Harness) {
	login, surname, mail := h.Names()
	h.Add(t, "ann", "Ångström", "ann@example.org")
	add(t, h, "bob")
	h.SetMail(t, "bob", "")
	need := []string{surname, mail}
	slices.Sort(need)
	people := Read(t, open(t, h, sources.Need{Attributes: need}))
	want := map[string]identity.Attributes{
		"ann": {surname: {"Ångström"}, mail: {"ann@example.org"}},
		"bob": {surname: {"Lee"}},
	}
	got := map[string]identity.Attributes{"ann": people["ann"].Attributes, "bob": people["bob"].Attributes}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p := Read(t, open(t, h, sources.Need{}))["ann"]; len(p.Attributes) != 0 {
		t.Errorf("nothing was asked for, and %v came", p.Attributes)
	}
	if p := Read(t, open(t, h, sources.Need{Attributes: []string{login}}))["ann"]; !slices.Equal(
		p.Attributes[login],
		[]string{"ann"},
	) {
		t.Errorf("asked for %s, and %v came", login, p.Attributes)
	}
}

// Two reads of an unchanged system are equal, fingerprints included (R17).
func stable(t *testing.T, h Harness) {
	_, surname, mail := h.Names()
	add(t, h, many(12)...)
	s := open(t, h, sources.Need{Attributes: sorted(surname, mail)})
	before := Read(t, s)
	after := Read(t, s)
	for login, p := range before {
		if p.Fingerprint() != after[login].Fingerprint() {
			t.Errorf("%s reads differently the second time: %v, %v", login, p, after[login])
		}
	}
}

func sorted(names ...string) []string { return slices.Sorted(slices.Values(names)) }

// A read whose context ends is never complete, wherever it ends; one that the consumer leaves yields nothing more.
func cancelled(t *testing.T, h Harness) {
	const n = 12
	add(t, h, many(n)...)
	s := open(t, h, sources.Need{})
	for after := range n {
		ctx, cancel := context.WithCancel(t.Context())
		if after == 0 {
			cancel()
		}
		count := 0
		var last error
		for _, err := range s.People(ctx) {
			if last = err; err == nil {
				count++
			}
			if count == after {
				cancel()
			}
		}
		cancel()
		if !errors.Is(last, sources.ErrIncomplete) {
			t.Errorf("cancelled after %d of %d: %d people, then %v", after, n, count, last)
		}
	}
	for range s.People(t.Context()) {
		break
	}
	if got := len(Read(t, s)); got != n {
		t.Errorf("after a read that was left early: %d people, want %d", got, n)
	}
}

func renamed(t *testing.T, h Harness) {
	add(t, h, "ann", "bob")
	s := open(t, h, sources.Need{})
	before := Read(t, s)
	h.Rename(t, "ann", "anna")
	h.SetMail(t, "bob", "robert@example.org")
	after := Read(t, s)
	if before["ann"].ID != after["anna"].ID || before["bob"].ID != after["bob"].ID {
		t.Errorf("people changed who they are: before %v, after %v", before, after)
	}
	if _, there := after["ann"]; there || len(after) != 2 {
		t.Errorf("after the rename: %v", after)
	}
}

func oldLogin(t *testing.T, h Harness) {
	add(t, h, "ann")
	s := open(t, h, sources.Need{})
	before := Read(t, s)["ann"]
	h.Delete(t, "ann")
	add(t, h, "ann")
	if after := Read(t, s)["ann"]; after.ID == before.ID {
		t.Errorf("somebody new is taken for a leaver: %v", after)
	}
}

func inactive(t *testing.T, h Harness) {
	add(t, h, "ann", "bob")
	h.Disable(t, "ann")
	people := Read(t, open(t, h, sources.Need{}))
	if people["ann"].Active || !people["bob"].Active {
		t.Errorf("ann is disabled, and not bob: %v", people)
	}
}

// A Finder tells people in scope, people elsewhere, and those whom nobody knows any more; and it proves what it says.
func find(t *testing.T, h Harness) {
	_, surname, _ := h.Names()
	add(t, h, "ann", "bob", "eve")
	s := open(t, h, sources.Need{Attributes: []string{surname}})
	finder, ok := s.(sources.Finder)
	if !ok {
		return
	}
	people := Read(t, s)
	expect := func(login string, want ...sources.Where) {
		t.Helper()
		seen, err := finder.Find(t.Context(), sources.Lookup{Anchor: people[login].ID.Anchor})
		if err != nil {
			t.Fatalf("find %s: %v", login, err)
		}
		if !slices.Contains(want, seen.Where) || seen.Proof == "" || seen.At.IsZero() {
			t.Errorf("find %s: %+v, want %v with proof and time", login, seen, want)
		}
		if known := seen.Where == sources.InScope || seen.Where == sources.Elsewhere; known &&
			seen.Person.ID != people[login].ID {
			t.Errorf("find %s: somebody else, %+v", login, seen.Person)
		}
	}
	for login, p := range people {
		expect(login, sources.InScope)
		seen, err := finder.Find(t.Context(), sources.Lookup{Anchor: p.ID.Anchor})
		if err != nil || seen.Person.Fingerprint() != p.Fingerprint() {
			t.Errorf("find %s: %+v, %v, and People said %+v", login, seen.Person, err, p)
		}
	}
	if h.Away(t, "bob") {
		expect("bob", sources.Elsewhere)
		if _, there := Read(t, s)["bob"]; there {
			t.Error("bob is away, and People reads him")
		}
		if h.Back(t, "bob") {
			expect("bob", sources.InScope)
		}
	}
	h.Delete(t, "eve")
	expect("eve", sources.Gone, sources.Tombstone)
	add(t, h, "eve")
	expect("eve", sources.Gone, sources.Tombstone)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if seen, err := finder.Find(ctx, sources.Lookup{Anchor: people["eve"].ID.Anchor}); err == nil {
		t.Errorf("a cancelled look-up has an answer: %+v", seen)
	}
}

// A FactReader's facts agree with the people it reads, and say nothing of a read that did not end.
func facts(t *testing.T, h Harness) {
	_, surname, mail := h.Names()
	add(t, h, many(5)...)
	h.SetMail(t, "p001", "")
	s := open(t, h, sources.Need{Attributes: sorted(surname, mail)})
	if _, ok := s.(sources.FactReader); !ok {
		return
	}
	read := func() *sources.ReadFacts {
		t.Helper()
		people, facts := sources.Read(t.Context(), s, true)
		for _, err := range people {
			if err != nil {
				t.Fatal(err)
			}
		}
		return facts
	}
	first := read()
	if first.People != 5 || first.Attributes[surname] != 5 || first.Attributes[mail] != 4 || first.Nameless.Count != 0 ||
		first.Server == "" {
		t.Errorf("%+v", first)
	}
	add(t, h, "late")
	second := read()
	if second.People != 6 || first.Until != nil && (!second.From.Covers(first.Until) || first.Until.Covers(second.From)) {
		t.Errorf("%+v, and then %+v", first, second)
	}
	people, left := sources.Read(t.Context(), s, true)
	for range people {
		break
	}
	if left.People != 0 || left.Attributes != nil {
		t.Errorf("of a read that was left early: %+v", left)
	}
}

// An absence says what it is worth: which server, how current, whom it could see, and what is left of the place.
func strength(t *testing.T, h Harness) {
	add(t, h, "ann", "bob")
	s := open(t, h, sources.Need{})
	finder, ok := s.(sources.Finder)
	if !ok {
		return
	}
	ann := Read(t, s)["ann"]
	people, before := sources.Read(t.Context(), s, true)
	for _, err := range people {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.Delete(t, "ann")
	seen, err := finder.Find(t.Context(), sources.Lookup{Anchor: ann.ID.Anchor, DN: ann.DN})
	if err != nil || seen.Server == "" || before.Until != nil && !seen.Currency.Covers(before.Until) {
		t.Errorf("%+v, %v", seen, err)
	}
	if seen.Where == sources.Gone &&
		(seen.Witness == "" || seen.Witness == ann.ID.Anchor || seen.Place != sources.PlacePeopled) {
		t.Errorf("gone without a witness or a place: %+v", seen)
	}
	if unknown, err := finder.Find(t.Context(), sources.Lookup{Anchor: ann.ID.Anchor}); err != nil ||
		unknown.Place != sources.PlaceUnknown {
		t.Errorf("from nowhere that is known: %+v, %v", unknown, err)
	}
}

func check(t *testing.T, h Harness) {
	add(t, h, "ann", "bob")
	checker, ok := open(t, h, sources.Need{}).(sources.Checker)
	if !ok {
		return
	}
	lines, err := checker.Check(t.Context())
	if err != nil || len(lines) == 0 {
		t.Errorf("check: %q, %v", lines, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if lines, err := checker.Check(ctx); err == nil {
		t.Errorf("a cancelled check passes: %q", lines)
	}
}

func concurrent(t *testing.T, h Harness) {
	const n = 12
	add(t, h, many(n)...)
	s := open(t, h, sources.Need{})
	anchor := Read(t, s)["p003"].ID.Anchor
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			count := 0
			for _, err := range s.People(t.Context()) {
				if err != nil {
					t.Error(err)
				}
				count++
			}
			if count != n {
				t.Errorf("%d people, want %d", count, n)
			}
		})
		wg.Go(func() {
			if finder, ok := s.(sources.Finder); ok {
				if seen, err := finder.Find(t.Context(), sources.Lookup{Anchor: anchor}); err != nil ||
					seen.Where != sources.InScope {
					t.Errorf("%+v, %v", seen, err)
				}
			}
		})
	}
	wg.Wait()
}

func closes(t *testing.T, h Harness) {
	add(t, h, "ann", "bob", "eve")
	before := goleak.IgnoreCurrent()
	s := h.Open(t, sources.Need{})
	for range s.People(t.Context()) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range s.People(ctx) {
		cancel()
	}
	anchor := Read(t, s)["ann"].ID.Anchor
	if finder, ok := s.(sources.Finder); ok {
		if _, err := finder.Find(t.Context(), sources.Lookup{Anchor: anchor}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}
