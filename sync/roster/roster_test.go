package roster

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func someone(source, anchor, name string) Entry {
	p := identity.Person{ID: identity.PersonID{Directory: source, Anchor: anchor}, Name: name, Active: true}
	return Entry{Person: p, Record: state.Person{ID: p.ID, Name: name, Print: p.Fingerprint(), Active: true}}
}

func TestARosterKeepsTheLastOfOnePerson(t *testing.T) {
	r := New(testSpool(t))
	add := func(source int, e Entry, dirty bool) int {
		t.Helper()
		n, err := r.Add(source, e, e.Record.Print, dirty)
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
	if n := r.Count(0); n != 2 {
		t.Errorf("%d people", n)
	}
	got, err := r.Entry(first)
	if err != nil || got.Person.Name != "new" || got.Record.ID != old.Person.ID ||
		got.Record.Print != renamed.Record.Print {
		t.Errorf("%+v, %v", got, err)
	}
	if row := r.Row(first); row.Active || !row.Dirty || row.Fingerprint != renamed.Record.Print {
		t.Errorf("%+v", row)
	}
}

func TestARosterTellsSourcesApart(t *testing.T) {
	r := New(testSpool(t))
	for n, e := range []Entry{someone("corp", "a", "x"), someone("hr", "a", "y"), someone("corp", "b", "z")} {
		if _, err := r.Add(n%2, e, 0, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Collect(r.Of(0)); !slices.Equal(got, []int{0, 2}) || r.Count(1) != 1 {
		t.Errorf("of the first source: %v; of the second %d", got, r.Count(1))
	}
	for range r.Of(0) {
		break // leaving early is fine
	}
	if n, ok := r.Find(identity.PersonID{Directory: "hr", Anchor: "a"}); !ok || n != 1 {
		t.Errorf("row %d, %t", n, ok)
	}
	for _, id := range []identity.PersonID{
		{},
		{Directory: "hr", Anchor: "b"},
		{Directory: "corp", Anchor: "A"},
		{Directory: "cor", Anchor: "pa"},
	} {
		if n, ok := r.Find(id); ok {
			t.Errorf("%s is at row %d", id, n)
		}
	}
}

// Two sources may read one directory: their order, and not which of them answered sooner, says whose entry counts.
func TestR03OnePersonOfTwoSources(t *testing.T) {
	active, inactive := someone("ad", "a", "active"), someone("ad", "a", "inactive")
	inactive.Record.Active = false
	for _, c := range []struct {
		name    string
		entries [2]Entry // by source
		source  int      // whose entry counts
	}{
		{"both active", [2]Entry{active, active}, 0},
		{"both inactive", [2]Entry{inactive, inactive}, 0},
		{"active in the first", [2]Entry{active, inactive}, 0},
		{"active in the second", [2]Entry{inactive, active}, 1},
	} {
		for _, order := range [][]int{{0, 1}, {1, 0}, {0, 1, 0, 1}} {
			r := New(testSpool(t))
			for _, source := range order {
				if _, err := r.Add(source, c.entries[source], uint64(source), false); err != nil {
					t.Fatal(err)
				}
			}
			if r.Len() != 1 || r.Source(0) != c.source || r.Row(0).Fingerprint != uint64(c.source) {
				t.Errorf("%s, read in the order %v: %d rows, source %d's entry counts, want one row and source %d's",
					c.name, order, r.Len(), r.Source(0), c.source)
			}
			for source := range 2 {
				own := len(slices.Collect(r.Of(source)))
				if want := source == c.source; r.Count(source) != 1 || own == 1 != want ||
					len(slices.Collect(r.Keys(source))) != 1 {
					t.Errorf("%s, read in the order %v: source %d counts %d people, %d by its own entry", c.name,
						order, source, r.Count(source), own)
				}
			}
		}
	}
}

func TestARowIsReplaced(t *testing.T) {
	r := New(testSpool(t))
	if _, err := r.Add(3, someone("corp", "a", "old"), 1, false); err != nil {
		t.Fatal(err)
	}
	if err := r.Replace(0, someone("corp", "a", "new"), 2, true); err != nil {
		t.Fatal(err)
	}
	e, err := r.Entry(0)
	if row := r.Row(0); err != nil || e.Person.Name != "new" || row.Fingerprint != 2 || !row.Dirty ||
		!row.Active || r.Source(0) != 3 {
		t.Errorf("%+v, %+v of source %d, %v: want the new entry of source 3", e, row, r.Source(0), err)
	}
}

func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Bits
		want := map[int]bool{}
		for i := range rapid.IntRange(0, 50).Draw(t, "steps") {
			n := rapid.IntRange(0, 300).Draw(t, fmt.Sprint("bit", i))
			if want[n] = rapid.Bool().Draw(t, "set"); want[n] {
				b.Set(n)
			} else {
				b.Clear(n)
			}
		}
		for n := range 400 {
			if b.Has(n) != want[n] {
				t.Fatalf("bit %d: %t", n, b.Has(n))
			}
		}
	})
}
