//go:build unix

package directory

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// R1: gone is what only a directory says that at the same time shows somebody else.
func TestR01AbsenceIsProven(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 5, Groups: 1})
	src := open(
		t,
		sources.Need{Attributes: []string{"mail"}, Groups: true},
		as(
			s,
			s.ReaderDN(),
			`groups { base_dn = "ou=groups,dc=example,dc=org" }`,
			`filter = "(&(objectClass=inetOrgPerson)(!(title=Intern)))"`,
		)...)
	find := func(anchor string) sources.Sighting {
		t.Helper()
		seen, err := src.Find(t.Context(), sources.Lookup{Anchor: anchor})
		if err != nil {
			t.Fatal(err)
		}
		if seen.Proof == "" || seen.At.IsZero() {
			t.Errorf("no proof or time: %+v", seen)
		}
		return seen
	}
	dn := s.AddPerson(t, "alice", nil)
	s.Join(t, s.GroupDN("group001"), dn)
	anchor := s.Anchor(t, dn)

	seen := find(anchor)
	if seen.Where != sources.InScope || seen.Person.DN != dn || seen.Person.Attributes["mail"][0] != "alice@example.org" ||
		len(seen.Person.Groups) != 1 || seen.Person.Groups[0].Name != "group001" {
		t.Errorf("%+v", seen)
	}
	dn = s.Rename(t, dn, "uid=alicia")
	if seen = find(anchor); seen.Where != sources.InScope || seen.Person.Name != "alicia" {
		t.Errorf("%+v", seen)
	}
	s.Set(t, dn, "title", "Intern")
	if seen = find(anchor); seen.Where != sources.Elsewhere || seen.Person.DN != dn {
		t.Errorf("filtered out: %+v", seen)
	}
	s.Set(t, dn, "title", "Engineer")
	dn = s.Move(t, dn, s.FormerDN())
	if seen = find(anchor); seen.Where != sources.Elsewhere || seen.Person.DN != dn {
		t.Errorf("moved: %+v", seen)
	}
	s.Delete(t, dn)
	seen = find(anchor)
	if seen.Where != sources.Gone || !strings.Contains(seen.Proof, "with success and the witness alone") ||
		!strings.Contains(seen.Proof, anchor) {
		t.Errorf("deleted: %+v", seen)
	}

	noAnswer := func(name, want string) {
		t.Helper()
		if seen, err := src.Find(t.Context(), sources.Lookup{Anchor: anchor}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, error %v, want %q", name, seen, err, want)
		}
	}
	s.Hide(t)
	noAnswer("no rights at all", "no such object (32)")
	s.HidePeople(t)
	noAnswer("no rights to people", "absence cannot be proven while nobody at all is visible")
	s.HideAttribute(t, "entryUUID")
	noAnswer("no rights to anchors", "absence cannot be proven while nobody at all is visible")
	s.Show(t)
	s.Stop(t)
	noAnswer("server stopped", "refused")
	s.Start(t)
	if seen = find(anchor); seen.Where != sources.Gone {
		t.Errorf("after a restart: %+v", seen)
	}
	hasty := open(t, sources.Need{}, as(s, s.ReaderDN(), `timeout = "3s"`)...)
	if seen, err := hasty.Find(t.Context(), sources.Lookup{Anchor: anchor}); err != nil || seen.Where != sources.Gone {
		t.Errorf("%+v, %v", seen, err)
	}
	s.Freeze(t)
	if seen, err := hasty.Find(t.Context(), sources.Lookup{Anchor: anchor}); err == nil ||
		!strings.Contains(err.Error(), "did not answer in time") {
		t.Errorf("server frozen: %+v, %v", seen, err)
	}
	s.Thaw(t)
	if seen = find(anchor); seen.Where != sources.Gone {
		t.Errorf("after a thaw: %+v", seen)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if seen, err := src.Find(ctx, sources.Lookup{Anchor: anchor}); err == nil {
		t.Errorf("cancelled: %+v", seen)
	}
}

// R1: who was a witness before is one only as long as they are seen.
func TestR01AWitnessIsSeenEachTime(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	src := open(t, sources.Need{}, as(s, s.ReaderDN(), `filter = "(objectClass=inetOrgPerson)"`)...)
	anchors := map[string]string{}
	for n := range 3 {
		dn := s.PersonDN(slapdtest.UID(n + 1))
		anchors[s.Anchor(t, dn)] = dn
	}
	team := s.AddUnit(t, "team", s.PeopleDN())
	gone := s.Move(t, s.AddPerson(t, "alice", nil), team)
	anchor := s.Anchor(t, gone)
	bob := s.Move(t, s.AddPerson(t, "bob", nil), team)
	s.Delete(t, gone)
	find := func() sources.Sighting {
		t.Helper()
		seen, err := src.Find(t.Context(), sources.Lookup{Anchor: anchor, DN: gone})
		if err != nil || seen.Where != sources.Gone {
			t.Fatalf("%+v, %v", seen, err)
		}
		return seen
	}
	witness := s.Anchor(t, bob)
	for range 2 {
		if seen := find(); seen.Witness != witness || seen.Place != sources.PlacePeopled {
			t.Errorf("%+v, want the witness %s", seen, witness)
		}
	}
	s.Move(t, bob, s.FormerDN())
	for range 2 {
		seen := find()
		if anchors[seen.Witness] == "" || seen.Place != sources.PlaceEmpty {
			t.Errorf("%+v", seen)
		}
		s.Delete(t, anchors[seen.Witness])
	}
}

// A limit that cuts the search for somebody is no answer, and neither is an error on the whole directory.
func TestFindIsCut(t *testing.T) {
	tests := []struct {
		name   string
		people func(w *answer, q asked)
		want   string
	}{
		{"in scope", func(w *answer, _ asked) { w.done(4) }, "size limit exceeded"},
		{"witness", func(w *answer, q asked) {
			if strings.Contains(q.filter, "=*)") && q.base != "dc=example,dc=org" {
				w.done(50)
				return
			}
			w.page("")
		}, "insufficient access rights (50)"},
		{"whole directory", func(w *answer, q asked) {
			switch {
			case q.base == "dc=example,dc=org":
				w.persons(1, 1)
				w.done(11)
			case strings.Contains(q.filter, "=*)"):
				w.persons(1, 1)
				w.done(4)
			default:
				w.page("")
			}
		}, "admin limit exceeded"},
		{"witness not returned", func(w *answer, q asked) {
			if strings.Contains(q.filter, "=*)") {
				w.persons(1, 1)
				w.done(4)
				return
			}
			w.page("")
		}, "did not return the witness (entryUUID=uuid-1)"},
		{"reference", func(w *answer, q asked) {
			switch {
			case q.base == "dc=example,dc=org":
				w.persons(1, 1)
				w.reference("ldap://child.example.org/dc=child,dc=example,dc=org")
				w.page("")
			case strings.Contains(q.filter, "=*)"):
				w.persons(1, 1)
				w.done(0)
			default:
				w.page("")
			}
		}, "a part is on another server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := (&fake{people: tt.people}).start(t)
			seen, err := reading(t, sources.Need{}, []string{url}).Find(t.Context(), sources.Lookup{Anchor: "uuid-7"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, error %v, want %q", seen, err, tt.want)
			}
		})
	}
}

// Binary anchors are found by their bytes.
func TestFindBinary(t *testing.T) {
	var filter string
	url := (&fake{people: func(w *answer, q asked) {
		filter = q.filter
		w.entry("cn=a,ou=people,dc=example,dc=org", "objectGUID", "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
			"sAMAccountName", "a", "userAccountControl", "512")
		w.page("")
	}}).start(t)
	const anchor = "00112233-4455-6677-8899-aabbccddeeff"
	seen, err := reading(
		t,
		sources.Need{},
		[]string{url},
		`anchor = "objectGUID"`,
	).Find(t.Context(), sources.Lookup{Anchor: anchor})
	if err != nil || seen.Person.ID.Anchor != anchor || seen.Person.Name != "a" {
		t.Errorf("%+v, %v", seen, err)
	}
	if want := "(objectGUID=3\"\x11\\00UDwf\\88\\99\\aa\\bb\\cc\\dd\\ee\\ff)"; !strings.Contains(filter, want) {
		t.Errorf("filter %s, want %s in it", filter, want)
	}
	if _, err := reading(t, sources.Need{}, []string{url}, `anchor = "objectGUID"`).Find(t.Context(), sources.Lookup{Anchor: "nonsense"}); err == nil {
		t.Error("nonsense was looked for")
	}
}

// A tombstone is the directory's own word that somebody was deleted, with the time.
func TestR01Tombstones(t *testing.T) {
	deleted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const guid = "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	const origin = "<DS_REPL_ATTR_META_DATA>\n\t<pszAttributeName>isDeleted</pszAttributeName>\n\t<dwVersion>1</dwVersion>\n" +
		"\t<ftimeLastOriginatingChange>2026-03-01T12:00:00Z</ftimeLastOriginatingChange>\n</DS_REPL_ATTR_META_DATA>\n\x00"
	for _, c := range []struct {
		name, anchor, wanted string
		dse                  []string
		filter               string
		pairs                []string
	}{
		{ // replicated to the controller that was asked a quarter of an hour later
			"Active Directory, elsewhere", "objectGUID", "00112233-4455-6677-8899-aabbccddeeff",
			[]string{"supportedCapabilities", ldapclient.ActiveDirectoryCapability, "namingContexts", "dc=example,dc=org"},
			"(isDeleted=TRUE)",
			[]string{"objectGUID", guid, "whenChanged", "20260301121500.0Z", metadata, origin},
		},
		{
			"Active Directory", "objectGUID", "00112233-4455-6677-8899-aabbccddeeff",
			[]string{"supportedCapabilities", ldapclient.ActiveDirectoryCapability, "namingContexts", "dc=example,dc=org"},
			"(isDeleted=TRUE)",
			[]string{"objectGUID", guid, "whenChanged", "20260301120000.0Z"},
		},
		{
			"389 Directory Server", "nsUniqueId", "0-1-2-3",
			[]string{"namingContexts", "dc=example,dc=org"},
			"(objectClass=nsTombstone)",
			[]string{"nsUniqueId", "0-1-2-3", "modifyTimestamp", "20260301120000Z"},
		},
	} {
		hidden := false
		url := (&fake{dse: c.dse, people: func(w *answer, q asked) {
			switch {
			case strings.Contains(q.filter, c.filter) && !hidden:
				w.entry("cn=a,cn=Deleted Objects,dc=example,dc=org", c.pairs...)
			case strings.Contains(q.filter, "=*))"): // a witness is looked for, and there is none
			}
			w.page("")
		}}).start(t)
		src := reading(t, sources.Need{}, []string{url}, fmt.Sprintf("anchor = %q", c.anchor))
		seen, err := src.Find(t.Context(), sources.Lookup{Anchor: c.wanted})
		if err != nil || seen.Where != sources.Tombstone || !seen.Changed.Equal(deleted) ||
			!strings.Contains(seen.Proof, "Deleted Objects") {
			t.Errorf("%s: %+v, %v", c.name, seen, err)
		}
		hidden = true
		if seen, err := src.Find(t.Context(), sources.Lookup{Anchor: c.wanted}); err == nil {
			t.Errorf("%s: that no tombstone is shown proves nothing: %+v", c.name, seen)
		}
	}
}

// R14: somebody whom another attribute named before the config was edited is found by it, under the anchor of now, and
// is proven gone by it.
func TestR14WhoIsKnownByAnotherAttributeIsFound(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 2})
	dn := s.AddPerson(t, "alice", map[string][]string{"employeeNumber": {"4711"}})
	uuid := s.Anchor(t, dn)
	src := open(t, sources.Need{}, as(s, s.ReaderDN(), `anchor = "employeeNumber"`)...)
	for _, c := range []struct {
		who  sources.Lookup
		want sources.Where
	}{
		{sources.Lookup{Anchor: "4711", DN: dn}, sources.InScope},
		{sources.Lookup{Anchor: uuid, By: "entryUUID", DN: dn}, sources.InScope},
		{sources.Lookup{Anchor: uuid, DN: dn}, sources.Gone},
	} {
		seen, err := src.Find(t.Context(), c.who)
		if err != nil || seen.Where != c.want || c.want == sources.InScope && seen.Person.ID.Anchor != "4711" {
			t.Errorf("%+v: %+v, %v", c.who, seen, err)
		}
	}
	s.Delete(t, dn)
	who := sources.Lookup{Anchor: uuid, By: "entryUUID", DN: dn}
	if seen, err := src.Find(t.Context(), who); err != nil || seen.Where != sources.Gone {
		t.Errorf("deleted: %+v, %v", seen, err)
	}
}
