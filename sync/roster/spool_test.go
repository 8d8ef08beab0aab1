package roster

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func testSpool(t *testing.T) *Spool {
	t.Helper()
	s, err := NewSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// bytesOf draws text as sources and targets give it: mostly, but not always, UTF-8.
func bytesOf() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()),
		func(b []byte) string { return string(b) }))
}

func TestWhatIsSpooledComesBack(t *testing.T) {
	s := testSpool(t)
	rapid.Check(t, func(t *rapid.T) {
		text := bytesOf()
		person := identity.Person{
			ID:   identity.PersonID{Directory: text.Draw(t, "source"), Anchor: text.Draw(t, "anchor")},
			Name: text.Draw(t, "name"), DN: text.Draw(t, "dn"),
			Active: rapid.Bool().Draw(t, "active"), Attributes: identity.Attributes{},
		}
		for range rapid.IntRange(0, 3).Draw(t, "attributes") {
			person.Attributes[text.Draw(t, "attribute")] = rapid.SliceOfN(text, 0, 3).Draw(t, "values")
		}
		for range rapid.IntRange(0, 3).Draw(t, "groups") {
			person.Groups = append(person.Groups, identity.Group{Name: text.Draw(t, "group"), DN: text.Draw(t,
				"group dn")})
		}
		account := identity.Account{
			ID: identity.AccountID(text.Draw(t, "id")), UserName: text.Draw(t, "userName"),
			Active:       rapid.Bool().Draw(t, "active"),
			Attributes:   map[string]identity.Value{"title": identity.Value(text.Draw(t, "title"))},
			Entitlements: identity.NamedEntitlements(rapid.SliceOfN(text, 0, 3).Draw(t, "entitlements")...),
		}
		first, err := s.Add(person)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Add(account)
		if err != nil {
			t.Fatal(err)
		}
		var gotPerson identity.Person
		var gotAccount identity.Account
		if err := s.Get(second, &gotAccount); err != nil {
			t.Fatal(err)
		}
		if err := s.Get(first, &gotPerson); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(person, gotPerson, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the person (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(account, gotAccount, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the account (-want +got):\n%s", diff)
		}
		if person.Fingerprint() != gotPerson.Fingerprint() ||
			account.Fingerprint([]string{"title"}) != gotAccount.Fingerprint([]string{"title"}) {
			t.Fatal("a fingerprint changed on the way")
		}
	})
}

func TestASpoolTakesAGroupOfAnySize(t *testing.T) {
	s := testSpool(t)
	a := identity.Account{ID: "1", Entitlements: make([]identity.Entitlement, 200_000)}
	at, err := s.Add(a)
	if err != nil {
		t.Fatal(err)
	}
	var got identity.Account
	if err := s.Get(at, &got); err != nil || len(got.Entitlements) != len(a.Entitlements) {
		t.Fatalf("%d of %d: %v", len(got.Entitlements), len(a.Entitlements), err)
	}
}

func TestASpoolIsSharedByAll(t *testing.T) {
	s := testSpool(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 500 {
				want := identity.Account{ID: identity.AccountID(strings.Repeat("x", n*100+i)), Active: i%2 == 0}
				at, err := s.Add(want)
				if err != nil {
					t.Error(err)
					return
				}
				var got identity.Account
				if err := s.Get(at, &got); err != nil || got.ID != want.ID || got.Active != want.Active {
					t.Errorf("at %d: %v", at, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestASpoolLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s, err := NewSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if n := left(); n != 0 && runtime.GOOS != "windows" {
		t.Errorf("while it is open, %d files have a name", n)
	}
	s.Close()
	if n := left(); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if _, err := s.Add(identity.Account{}); err != nil {
		t.Fatal(err) // it is only buffered
	}
	if err := s.Get(0, &identity.Account{}); err == nil {
		t.Error("a closed spool reads")
	}
	if _, err := NewSpool(dir + "/missing"); err == nil {
		t.Error("a spool without a folder")
	}
}

func TestNothingIsReadFromElsewhere(t *testing.T) {
	s := testSpool(t)
	if _, err := s.Add(state.Person{Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{-1, 1 << 20} {
		if err := s.Get(at, &state.Person{}); err == nil {
			t.Errorf("something was read at %d", at)
		}
	}
}
