package correlate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func anchor(s string) identity.PersonID { return identity.PersonID{Directory: "corp", Anchor: s} }

// account reads "id externalId userName mail,mail"; "-" is absent.
func account(line string) identity.Account {
	f := strings.Fields(line)
	for i, s := range f {
		if f[i] = s; s == "-" {
			f[i] = ""
		}
	}
	a := identity.Account{ID: identity.AccountID(f[0]), ExternalID: f[1], UserName: f[2], Attributes: map[string]identity.Value{}}
	if len(f) > 3 && f[3] != "" {
		a.Attributes["emails"] = identity.Texts(strings.Split(f[3], ",")...)
	}
	return a
}

// match runs a matcher over accounts and people, each person a line whose first field is the anchor, and renders what
// it says. An account's line may end in "was nobody's", or "was ANCHOR": what it was when it was listed before.
func match(attributes, accounts, people []string) []string {
	m := correlate.New(attributes)
	for _, line := range accounts {
		line, was, _ := strings.Cut(line, " was ")
		var fitted *identity.PersonID
		switch was {
		case "":
		case "nobody's":
			fitted = &identity.PersonID{}
		default:
			id := anchor(was)
			fitted = &id
		}
		m.Account(account(line), fitted)
	}
	for _, line := range people {
		want := account(line)
		id := anchor(string(want.ID))
		want.ID = ""
		m.Person(id, want)
	}
	var out []string
	for _, r := range m.Result() {
		s := fmt.Sprintf("%s %s", r.Account, r.Situation)
		if !r.Person.IsZero() {
			s += " " + r.Person.Anchor
		}
		if r.By != "" {
			s += " by " + r.By
		}
		for _, id := range r.People {
			s += " not " + id.Anchor
		}
		if r.Why != "" {
			s += ": " + r.Why
		}
		out = append(out, s)
	}
	return out
}

func TestCorrelate(t *testing.T) {
	usual := []string{"externalId", "userName", "emails"}
	for _, c := range []struct {
		name             string
		attributes       []string
		accounts, people []string
		want             []string
	}{
		{"nobody fits", usual, []string{"1 - alice"}, []string{"b b bob"}, []string{"1 unmatched"}},
		{
			"the mark decides before the name", usual,
			[]string{"1 a old", "2 - alice"},
			[]string{"a a alice"},
			[]string{"1 unlinked a by externalId", "2 unmatched"},
		},
		{"the name where nobody is marked", usual, []string{"1 - alice"}, []string{"a a alice"}, []string{"1 unlinked a by userName"}},
		{"letter case and blanks around are nothing in a name", usual, []string{"1 - ALICE"}, []string{"a a alice"}, []string{"1 unlinked a by userName"}},
		{"in a mark letter case counts", usual, []string{"1 A bob"}, []string{"a a alice"}, []string{"1 unmatched"}},
		{"any of several values", usual, []string{"1 - bob x@x,A@X"}, []string{"a a alice a@x"}, []string{"1 unlinked a by emails"}},
		{
			"two accounts fit one person", usual,
			[]string{"1 - p a@x", "2 - q a@x"},
			[]string{"a a alice a@x"},
			[]string{"1 disputed by emails not a: several accounts fit one person by emails", "2 disputed by emails not a: several accounts fit one person by emails"},
		},
		{
			"two people fit one account", usual,
			[]string{"1 - p a@x"},
			[]string{"a a alice a@x", "b b bob A@x"},
			[]string{"1 disputed by emails not a not b: several people fit it by emails"},
		},
		{
			"the stronger claim wins, the weaker person gets nothing", usual,
			[]string{"1 a bob"},
			[]string{"b b bob", "a a alice"},
			[]string{"1 unlinked a by externalId not b"},
		},
		{
			"a person torn between two accounts leaves one to whose mark it bears", usual,
			[]string{"1 b p a@x", "2 - q a@x"},
			[]string{"a a alice a@x", "b b bob"},
			[]string{"1 unlinked b by externalId not a", "2 disputed by emails not a: several accounts fit one person by emails"},
		},
		{
			"an account marked as another's", usual,
			[]string{"1 z alice"},
			[]string{"a a alice"},
			[]string{"1 disputed by userName not a: its externalId says that it is another person's, though userName fits"},
		},
		{
			"also where the config does not go by marks",
			[]string{"userName"},
			[]string{"1 z alice"},
			[]string{"a a alice"},
			[]string{"1 disputed by userName not a: its externalId says that it is another person's, though userName fits"},
		},
		{
			"people without a value fit nothing",
			[]string{"emails"},
			[]string{"1 - p", "2 - q -"},
			[]string{"a a alice"},
			[]string{"1 unmatched", "2 unmatched"},
		},
		{
			"an account that was there before its person had the value may be a predecessor's", usual,
			[]string{"1 - alice was nobody's", "2 - bob was nobody's", "3 c carol was nobody's", "4 - dora was d", "5 - erin was x", "6 - fred"},
			[]string{"a a alice", "c c carol", "d d dora", "e e erin", "f f fred"},
			[]string{
				"1 disputed by userName not a: it was there before corp/a had this userName: it may be a predecessor's",
				"2 unmatched", "3 unlinked c by externalId", "4 unlinked d by userName",
				"5 disputed by userName not e: it was there before corp/e had this userName: it may be a predecessor's",
				"6 unlinked f by userName",
			},
		},
		{"nothing to go by", nil, []string{"1 a alice"}, []string{"a a alice"}, []string{"1 unmatched"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, match(c.attributes, c.accounts, c.people)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		value identity.Value
		want  []string
	}{
		{``, nil},
		{`" "`, nil},
		{`" a "`, []string{"a"}},
		{`1234`, []string{"1234"}},
		{`true`, nil},
		{`["a"," ","b"]`, []string{"a", "b"}},
		{`{"value":"a","type":"work"}`, []string{"a"}},
		{`{"display":"a"}`, nil},
		{`[{"value":"a"},{"value":7}]`, []string{"a", "7"}},
	} {
		a := identity.Account{Attributes: map[string]identity.Value{"x": c.value}}
		if got := correlate.Values("x", a); !slices.Equal(got, c.want) {
			t.Errorf("Values(%s) = %q, want %q", c.value, got, c.want)
		}
	}
	a := identity.Account{ID: "ID", UserName: "Alice", ExternalID: "Ext"}
	for attribute, want := range map[string]string{"id": "ID", "externalId": "Ext", "userName": "alice"} {
		if got := correlate.Keys(attribute, a); len(got) != 1 || got[0] != want {
			t.Errorf("Keys(%s) = %q, want %q", attribute, got, want)
		}
	}
}

// TestR05EachAccountToOnePersonOrToNobody draws crowded targets, with few names for many, and holds what comes out
// against the rule.
func TestR05EachAccountToOnePersonOrToNobody(t *testing.T) {
	attributes := []string{"externalId", "userName", "emails"}
	few := rapid.SampledFrom([]string{"-", "a", "b", "c", "d", "A"})
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int, of string) (lines []string) {
			for i := range n {
				lines = append(lines, fmt.Sprintf("%s%d %s %s %s,%s", of, i,
					few.Draw(t, "externalId"), few.Draw(t, "userName"), few.Draw(t, "mail"), few.Draw(t, "mail")))
			}
			return lines
		}
		accounts, people := draw(rapid.IntRange(0, 6).Draw(t, "accounts"), "n"), draw(rapid.IntRange(0, 6).Draw(t, "people"), "p")
		got := match(attributes, accounts, people)
		if len(got) != len(accounts) {
			t.Fatalf("%d accounts, %d answers", len(accounts), len(got))
		}
		owner := map[string]string{} // by person
		blocked := map[string]bool{}
		for _, line := range got {
			f := strings.Fields(strings.SplitN(line, ":", 2)[0])
			for i, word := range f {
				if word == "not" {
					blocked[f[i+1]] = true
				}
			}
			if f[1] != string(identity.Unlinked) {
				continue
			}
			if other, twice := owner[f[2]]; twice {
				t.Fatalf("%s gets both %s and %s:\n%s", f[2], other, f[0], strings.Join(got, "\n"))
			}
			owner[f[2]] = f[0]
		}
		for who := range owner {
			if blocked[who] {
				t.Fatalf("%s gets an account and is named in a dispute:\n%s", who, strings.Join(got, "\n"))
			}
		}
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(accounts), func(i, j int) { accounts[i], accounts[j] = accounts[j], accounts[i] })
		r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
		if diff := cmp.Diff(got, match(attributes, accounts, people)); diff != "" {
			t.Fatalf("another order, another answer (-first +second):\n%s", diff)
		}
	})
}

func TestLenCountsAccounts(t *testing.T) {
	m := correlate.New([]string{"userName"})
	m.Account(account("1 - a"), nil)
	m.Account(account("2 - b"), nil)
	if m.Len() != 2 {
		t.Fatalf("Len = %d", m.Len())
	}
}
