package identity_test

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/identity"
)

func TestParentDN(t *testing.T) {
	for dn, want := range map[string]string{
		"uid=a,ou=people,dc=x":             "ou=people,dc=x",
		"uid=a, ou=people,dc=x":            "ou=people,dc=x",
		`cn=Doe\, Jane,ou=people,dc=x`:     "ou=people,dc=x",
		`cn=back\\,ou=people,dc=x`:         "ou=people,dc=x",
		`cn=back\\\,slash,ou=people,dc=x`:  "ou=people,dc=x",
		`cn=hex\2cstill,ou=people,dc=x`:    "ou=people,dc=x",
		`cn=Zoë\, Ärzte+uid=z,ou=a\,b,o=x`: `ou=a\,b,o=x`,
		"dc=x":                             "",
		`cn=a\,b`:                          "",
		`cn=a\`:                            "",
		"":                                 "",
	} {
		if got := identity.ParentDN(dn); got != want {
			t.Errorf("ParentDN(%s) = %s, want %s", dn, got, want)
		}
	}
}

func TestPersonIDReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := identity.PersonID{
			Directory: rapid.StringMatching(`[a-z][a-z0-9_-]*`).Draw(t, "source"), Anchor: rapid.StringN(1, -1, -1).Draw(t, "anchor"),
		}
		if back, err := identity.ParsePersonID(id.String()); err != nil || back != id {
			t.Fatalf("%q reads back as %+v, %v", id, back, err)
		}
	})
	for _, s := range []string{"", "corp", "/a", "corp/"} {
		if id, err := identity.ParsePersonID(s); err == nil {
			t.Errorf("%q is read as %+v", s, id)
		}
	}
}

// letter draws from so few texts that equal ones, and ones that only differ in where a field ends, are common.
func letter() *rapid.Generator[string] { return rapid.SampledFrom([]string{"", "a", "b", "aa", "ab"}) }

func drawPerson(t *rapid.T) identity.Person {
	p := identity.Person{
		ID: identity.PersonID{Directory: "corp", Anchor: "1"}, Name: letter().Draw(t, "name"), DN: letter().Draw(t, "dn"), Active: rapid.Bool().Draw(t, "active"),
		Attributes: identity.Attributes{},
	}
	for range rapid.IntRange(0, 2).Draw(t, "attributes") {
		p.Attributes[letter().Draw(t, "attribute")] = rapid.SliceOfN(letter(), 0, 2).Draw(t, "values")
	}
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		p.Groups = append(p.Groups, identity.Group{Name: letter().Draw(t, "group"), DN: letter().Draw(t, "group dn")})
	}
	return p
}

func TestPeopleHaveEqualFingerprintsIffTheyAreEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPerson(t), drawPerson(t)
		equal := reflect.DeepEqual(a, b)
		if (a.Fingerprint() == b.Fingerprint()) != equal {
			t.Fatalf("equal: %t\n%+v %x\n%+v %x", equal, a, a.Fingerprint(), b, b.Fingerprint())
		}
		again := a
		again.Attributes = identity.Attributes{}
		for name, values := range a.Attributes {
			again.Attributes[name] = slices.Clone(values)
		}
		if again.Fingerprint() != a.Fingerprint() {
			t.Fatalf("a copy of %+v has another fingerprint", a)
		}
	})
}

func TestFingerprintsStayTheSameFromVersionToVersion(t *testing.T) {
	p := identity.Person{
		Name: "alice", DN: "uid=alice,ou=people,dc=x", Active: true,
		Attributes: identity.Attributes{"mail": {"alice@example.org", "a@example.org"}, "cn": {"Alice"}},
		Groups:     []identity.Group{{Name: "wiki-users", DN: "cn=wiki-users,dc=x"}},
	}
	a := identity.Account{UserName: "alice", Active: true, Attributes: map[string]identity.Value{"displayName": `"Alice"`}, Entitlements: identity.NamedEntitlements("g")}
	// The state file of every installation holds such numbers: another one makes a full pass look at everybody again.
	if got, want := p.Fingerprint(), uint64(personPrint); got != want {
		t.Errorf("the person's is %#x, was %#x", got, want)
	}
	if got, want := a.Fingerprint([]string{"displayName", "userName"}), uint64(accountPrint); got != want {
		t.Errorf("the account's is %#x, was %#x", got, want)
	}
}

func TestAccountFingerprintSeesWhatIsManagedAndNothingElse(t *testing.T) {
	paths := []string{"externalId", "mail", "userName"}
	base := func() identity.Account {
		return identity.Account{
			ID: "1", UserName: "a", ExternalID: "x", Active: true, Version: "v1",
			Attributes: map[string]identity.Value{"mail": `"m"`, "title": `"t"`}, Entitlements: identity.NamedEntitlements("g", "h"),
		}
	}
	for name, change := range map[string]func(*identity.Account){
		"state":                 func(a *identity.Account) { a.Active = false },
		"a managed attribute":   func(a *identity.Account) { a.Attributes["mail"] = `"n"` },
		"one that is gone":      func(a *identity.Account) { delete(a.Attributes, "mail") },
		"the login":             func(a *identity.Account) { a.UserName = "b" },
		"the mark":              func(a *identity.Account) { a.ExternalID = "" },
		"an entitlement less":   func(a *identity.Account) { a.Entitlements = a.Entitlements[:1] },
		"entitlements run on":   func(a *identity.Account) { a.Entitlements = identity.NamedEntitlements("gh") },
		"an entitlement behind": func(a *identity.Account) { a.Entitlements = append(a.Entitlements, identity.Entitlement{}) },
	} {
		a := base()
		if change(&a); a.Fingerprint(paths) == base().Fingerprint(paths) {
			t.Errorf("%s is not seen", name)
		}
	}
	for name, change := range map[string]func(*identity.Account){
		"an attribute that is not managed": func(a *identity.Account) { a.Attributes["title"] = `"u"` },
		"the version":                      func(a *identity.Account) { a.Version = "v2" },
	} {
		a := base()
		if change(&a); a.Fingerprint(paths) != base().Fingerprint(paths) {
			t.Errorf("%s is seen", name)
		}
	}
}

func drawChange(t *rapid.T) identity.Change {
	return identity.Change{
		Op: rapid.SampledFrom([]identity.Op{
			identity.Disable, identity.Finish, identity.Strip, identity.Delete, identity.Link, identity.Enable, identity.Create, identity.Update,
		}).Draw(t, "op"),
		Target: letter().Draw(t, "target"), Person: identity.PersonID{Directory: letter().Draw(t, "source"), Anchor: letter().Draw(t, "anchor")},
		Account: identity.AccountID(letter().Draw(t, "account")),
	}
}

func TestR04CompareIsAStrictWeakOrderWithLeaversFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawChange(t), drawChange(t), drawChange(t)
		sign := func(a, b identity.Change) int { return cmp.Compare(a.Compare(b), 0) }
		switch {
		case sign(a, a) != 0:
			t.Fatalf("%+v is not its own equal", a)
		case sign(a, b) != -sign(b, a):
			t.Fatalf("%+v and %+v: %d and %d", a, b, sign(a, b), sign(b, a))
		case sign(a, b) <= 0 && sign(b, c) <= 0 && sign(a, c) > 0:
			t.Fatalf("%+v, %+v, %+v are not in one order", a, b, c)
		case sign(a, b) == 0 && sign(b, c) == 0 && sign(a, c) != 0:
			t.Fatalf("%+v, %+v, %+v: equal is not transitive", a, b, c)
		case a.Op.Sweeps() && !b.Op.Sweeps() && sign(a, b) >= 0:
			t.Fatalf("%s of a leaver does not go before %s", a.Op, b.Op)
		case sign(a, b) == 0 && !reflect.DeepEqual(a, b):
			t.Fatalf("%+v and %+v are one step", a, b)
		}
	})
}

func TestSortFindingsIsOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) identity.Finding {
			return identity.Finding{
				Kind: letter().Draw(t, "kind"), Subject: letter().Draw(t, "subject"), Target: letter().Draw(t, "target"),
				Person: identity.PersonID{Directory: "corp", Anchor: letter().Draw(t, "anchor")}, Detail: letter().Draw(t, "detail"),
			}
		}), 0, 12).Draw(t, "findings")
		other := slices.Clone(fs)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		identity.SortFindings(fs)
		identity.SortFindings(other)
		if !slices.Equal(fs, other) {
			t.Fatalf("%+v\n%+v", fs, other)
		}
	})
}

const (
	personPrint  = 0xeabbe4c02180b31d
	accountPrint = 0x5ed472c4d19bb3ba
)
