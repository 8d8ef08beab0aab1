package reconcile

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func someone(source, anchor, name string) entry {
	p := identity.Person{ID: identity.PersonID{Directory: source, Anchor: anchor}, Name: name, Active: true}
	return entry{Person: p, Record: state.Person{ID: p.ID, Name: name, Print: p.Fingerprint(), Active: true}}
}

func TestARosterKeepsTheLastOfOnePerson(t *testing.T) {
	r := newRoster(testSpool(t))
	add := func(source int, e entry, dirty bool) int {
		t.Helper()
		n, err := r.add(source, e, e.Record.Print, dirty)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	old, other := someone("corp", "a", "old"), someone("corp", "b", "bob")
	first, second := add(0, old, false), add(0, other, false)
	renamed := someone("corp", "a", "new")
	renamed.Record.Active = false
	if again := add(0, renamed, true); again != first || second == first {
		t.Fatalf("rows %d, %d and %d", first, second, again)
	}
	if n := r.count(0); n != 2 {
		t.Errorf("%d people", n)
	}
	got, err := r.entry(first)
	if err != nil || got.Person.Name != "new" || got.Record.ID != old.Person.ID || got.Record.Print != renamed.Record.Print {
		t.Errorf("%+v, %v", got, err)
	}
	if row := r.rows[first]; row.active || !row.dirty || row.print != renamed.Record.Print {
		t.Errorf("%+v", row)
	}
}

func TestARosterTellsSourcesApart(t *testing.T) {
	r := newRoster(testSpool(t))
	for n, e := range []entry{someone("corp", "a", "x"), someone("hr", "a", "y"), someone("corp", "b", "z")} {
		if _, err := r.add(n%2, e, 0, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Collect(r.of(0)); !slices.Equal(got, []int{0, 2}) || r.count(1) != 1 {
		t.Errorf("of the first source: %v; of the second %d", got, r.count(1))
	}
	for range r.of(0) {
		break // leaving early is fine
	}
	if n, ok := r.find(identity.PersonID{Directory: "hr", Anchor: "a"}); !ok || n != 1 {
		t.Errorf("row %d, %t", n, ok)
	}
	for _, id := range []identity.PersonID{{}, {Directory: "hr", Anchor: "b"}, {Directory: "corp", Anchor: "A"}, {Directory: "cor", Anchor: "pa"}} {
		if n, ok := r.find(id); ok {
			t.Errorf("%s is at row %d", id, n)
		}
	}
}

func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bits
		want := map[int]bool{}
		for i := range rapid.IntRange(0, 50).Draw(t, "steps") {
			n := rapid.IntRange(0, 300).Draw(t, fmt.Sprint("bit", i))
			if want[n] = rapid.Bool().Draw(t, "set"); want[n] {
				b.set(n)
			} else {
				b.clear(n)
			}
		}
		for n := range 400 {
			if b.has(n) != want[n] {
				t.Fatalf("bit %d: %t", n, b.has(n))
			}
		}
	})
}
