//go:build unix

package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

const withGroups = `groups { base_dn = "ou=groups,dc=example,dc=org" }`

// facts reads a source to its end.
func facts(t testing.TB, s *source) (map[string]identity.Person, *sources.ReadFacts) {
	t.Helper()
	people, facts := sources.Read(t.Context(), s, true)
	found := make(map[string]identity.Person)
	for p, err := range people {
		if err != nil {
			t.Log(err)
			continue
		}
		found[p.Name] = p
	}
	return found, facts
}

func groupNames(p identity.Person) string {
	var names []string
	for _, g := range p.Groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, " ")
}

func sidBytes(t testing.TB, text string) string {
	t.Helper()
	raw, err := ldapclient.SIDBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestR01PrimaryGroupsCount: a primary group lists nobody, and its people are its members all the same.
func TestR01PrimaryGroupsCount(t *testing.T) {
	const domain = "S-1-5-21-1-2-3-"
	s := slapdtest.Start(t, slapdtest.Options{Schema: slapdtest.LockSchema})
	for login, extra := range map[string]map[string][]string{
		"alice": {"objectClass": {"posixAccount"}, "uidNumber": {"1001"}, "gidNumber": {"500"}, "homeDirectory": {"/home/alice"}},
		"bob":   {"objectClass": {"posixAccount"}, "uidNumber": {"1002"}, "gidNumber": {"503"}, "homeDirectory": {"/home/bob"}},
		"carol": {"objectClass": {"lockPerson"}, "primaryGroupID": {"513"}, "objectSid": {sidBytes(t, domain+"1103")}},
		"dan":   {"objectClass": {"lockPerson"}, "primaryGroupID": {"513"}, "objectSid": {sidBytes(t, "S-1-5-21-9-9-9-1103")}},
	} {
		s.AddPerson(t, login, extra)
	}
	posix := "cn=posix," + s.GroupsDN()
	s.Add(
		t,
		posix,
		map[string][]string{"objectClass": {"posixGroup"}, "cn": {"posix"}, "gidNumber": {"500"}, "memberUid": {"bob"}},
	)
	s.Add(t, "cn=users,"+s.GroupsDN(), map[string][]string{
		"objectClass": {
			"groupOfNames",
			"lockPerson",
		}, "cn": {"users"}, "member": {"cn=nobody," + s.BaseDN()}, "objectSid": {sidBytes(t, domain+"513")},
	})
	s.AddGroup(t, "all", "cn=users,"+s.GroupsDN(), posix)
	// no posixGroup: what a gidNumber of another class means is that class's business
	s.Add(t, "cn=other,"+s.GroupsDN(), map[string][]string{
		"objectClass": {
			"groupOfNames",
			"extensibleObject",
		}, "cn": {"other"}, "member": {s.PersonDN("dan")}, "gidNumber": {"503"},
	})
	src := open(t, sources.Need{Groups: true}, as(s, s.ReaderDN(), withGroups)...)
	expect := func(want map[string]string) {
		t.Helper()
		people, _ := facts(t, src)
		for login, groups := range want {
			p := people[login]
			if got := groupNames(p); got != groups {
				t.Errorf("%s is in %q, want %q", login, got, groups)
			}
			seen, err := src.Find(t.Context(), sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN})
			if err != nil || groupNames(seen.Person) != groups {
				t.Errorf("%s is found in %q, want %q: %v", login, groupNames(seen.Person), groups, err)
			}
		}
	}
	expect(map[string]string{"alice": "all posix", "bob": "all posix", "carol": "all users", "dan": "other"})
	s.Set(t, s.PersonDN("bob"), "gidNumber", "500")
	s.Set(t, posix, "memberUid")
	expect(map[string]string{"alice": "all posix", "bob": "all posix"})
}

// TestR01GroupFacts: what a read tells of each group, so that a membership's absence is believed only where it can
// be.
func TestR01GroupFacts(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3, Loose: true})
	alice, bob := s.PersonDN(slapdtest.UID(1)), s.PersonDN(slapdtest.UID(2))
	s.Add(
		t,
		"uid=out,"+s.FormerDN(),
		map[string][]string{"objectClass": {"inetOrgPerson"}, "uid": {"out"}, "cn": {"Out"}, "sn": {"Out"}},
	)
	ghost := "uid=ghost," + s.PeopleDN()
	s.AddGroup(t, "inner", alice, ghost, "uid=out,"+s.FormerDN())
	s.AddGroup(t, "outer", s.GroupDN("inner"), bob, alice)
	s.Add(t, "cn=posix,"+s.GroupsDN(), map[string][]string{
		"objectClass": {"posixGroup"}, "cn": {"posix"}, "gidNumber": {"7"}, "memberUid": {slapdtest.UID(1), "ghost", "out"},
	})
	src := open(
		t,
		sources.Need{Groups: true, Attributes: []string{"MAIL", "employeeType"}},
		as(s, s.ReaderDN(), withGroups)...)
	want := []sources.GroupFact{
		{
			DN:       s.GroupDN("inner"),
			Name:     "inner",
			Values:   3,
			People:   1,
			Unknown:  2,
			Dangling: sources.Sample{Count: 1, First: []string{ghost}},
		},
		{DN: s.GroupDN("outer"), Name: "outer", Values: 3, People: 2, Nested: 1},
		{
			DN:       s.GroupDN("posix"),
			Name:     "posix",
			Values:   3,
			People:   1,
			Unknown:  2,
			Dangling: sources.Sample{Count: 1, First: []string{"ghost"}},
		},
	}
	for i := range want {
		want[i].ID = s.Anchor(t, want[i].DN)
	}
	_, read := facts(t, src)
	if diff := cmp.Diff(want, read.Groups); diff != "" {
		t.Error(diff)
	}
	if read.People != 3 || read.Nameless.Count != 0 || read.Server != s.URL() || read.Attributes["MAIL"] != 3 {
		t.Errorf("%+v", read)
	}
	for _, name := range []string{"employeeType", "nsAccountLock", "userAccountControl"} { // named, or judged by
		if n, told := read.Attributes[name]; !told || n != 0 {
			t.Errorf("%s: %d, told %t", name, n, told)
		}
	}

	t.Run("a rename leaves memberships behind", func(t *testing.T) {
		s.Rename(t, alice, "uid=alison")
		_, read := facts(t, src)
		if got := read.GroupsOfFormer(strings.ToUpper(alice), slapdtest.UID(1)); !slices.Equal(got, []string{
			s.GroupDN("inner"), s.GroupDN("outer"), s.GroupDN("posix"),
		}) {
			t.Errorf("%q", got)
		}
		if got := read.GroupsOfFormer(bob, slapdtest.UID(2)); len(got) > 0 {
			t.Errorf("bob is called so still: %q", got)
		}
		if fact := read.Groups[0]; fact.Dangling.Count != 2 || fact.People != 0 {
			t.Errorf("%+v", fact)
		}
		s.Rename(t, "uid=alison,"+s.PeopleDN(), "uid="+slapdtest.UID(1))
	})
	t.Run("hidden members", func(t *testing.T) {
		s.HideAttribute(t, "member")
		defer s.Show(t)
		people, read := facts(t, src)
		if g := read.Groups; !g[0].Hidden || !g[1].Hidden || g[2].Hidden || g[0].Values != 0 || g[2].People != 1 {
			t.Errorf("%+v", g)
		}
		if got := groupNames(people[slapdtest.UID(1)]); got != "posix" {
			t.Errorf("in %q", got)
		}
	})
	t.Run("hidden numbers", func(t *testing.T) {
		s.HideAttribute(t, "gidNumber")
		defer s.Show(t)
		if _, read := facts(t, src); !read.Groups[2].Hidden || read.Groups[0].Hidden {
			t.Errorf("%+v", read.Groups)
		}
	})
	t.Run("a lost attribute", func(t *testing.T) {
		s.HideAttribute(t, "mail")
		defer s.Show(t)
		if _, read := facts(t, src); read.Attributes["MAIL"] != 0 || read.People != 3 {
			t.Errorf("%+v", read)
		}
	})
	t.Run("hidden anchors", func(t *testing.T) {
		s.HideAttribute(t, "entryUUID")
		defer s.Show(t)
		if _, read := facts(t, src); read.Nameless.Count != 3 || !slices.Contains(read.Nameless.First, bob) {
			t.Errorf("%+v", read.Nameless)
		}
	})
	t.Run("a read that breaks says nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		people, read := sources.Read(ctx, src, true)
		for range people {
			cancel()
		}
		cancel()
		if read.People != 0 || read.Server != "" || read.GroupsOfFormer(alice) != nil {
			t.Errorf("%+v", read)
		}
	})
}

// TestR18DanglingValuesAreBounded: a group of people who are all elsewhere costs a bounded number of look-ups, and
// a bounded list.
func TestR18DanglingValuesAreBounded(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 1})
	var members []string
	for i := range 3 * maxChecks {
		members = append(members, fmt.Sprintf("uid=ghost%d,%s", i, s.PeopleDN()))
	}
	s.AddGroup(t, "ghosts", members...)
	_, read := facts(t, open(t, sources.Need{Groups: true}, as(s, s.ReaderDN(), withGroups)...))
	if g := read.Groups[0]; g.Unknown != 3*maxChecks || g.Dangling.Count != maxChecks ||
		len(g.Dangling.First) != sources.SampleSize {
		t.Errorf("%+v", g)
	}
}

// TestR01HowCurrent: each change of the directory makes it newer, and what was read before covers no later read.
func TestR01HowCurrent(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 2})
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	people, first := facts(t, src)
	if len(first.From) != 1 || !first.Until.Covers(first.From) || !first.From.Covers(first.Until) {
		t.Fatalf("from %v until %v", first.From, first.Until)
	}
	s.AddPerson(t, "newcomer", nil)
	_, second := facts(t, src)
	if !second.From.Covers(first.Until) || first.Until.Covers(second.From) {
		t.Errorf("%v is not newer than %v", second.From, first.Until)
	}
	p := people[slapdtest.UID(1)]
	s.Delete(t, p.DN)
	seen, err := src.Find(t.Context(), sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN})
	if err != nil || !seen.Currency.Covers(second.Until) || seen.Server != s.URL() {
		t.Errorf("%+v, %v", seen, err)
	}
	s.HideAttribute(t, "contextCSN")
	defer s.Show(t)
	if _, read := facts(t, src); read.From != nil || read.Until != nil || read.People != 2 {
		t.Errorf("a server that does not tell: %+v", read)
	}
}

// TestR01PlaceAndWitness: what a look-up tells of where somebody was.
func TestR01PlaceAndWitness(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 2})
	lab := "ou=lab," + s.PeopleDN()
	s.Add(t, lab, map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {"lab"}})
	for _, login := range []string{"ann", "ben"} {
		s.Add(
			t,
			"uid="+login+","+lab,
			map[string][]string{"objectClass": {"inetOrgPerson"}, "uid": {login}, "cn": {login}, "sn": {login}},
		)
	}
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	people, _ := facts(t, src)
	ann, ben := people["ann"], people["ben"]
	find := func(p identity.Person, dn string) sources.Sighting {
		t.Helper()
		seen, err := src.Find(t.Context(), sources.Lookup{Anchor: p.ID.Anchor, DN: dn})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	s.Delete(t, ann.DN)
	if seen := find(ann, ann.DN); seen.Where != sources.Gone || seen.Place != sources.PlacePeopled ||
		seen.Witness != ben.ID.Anchor {
		t.Errorf("one of two in the branch: %+v", seen)
	}
	if seen := find(ann, ""); seen.Place != sources.PlaceUnknown || seen.Witness == "" {
		t.Errorf("from nowhere that is known: %+v", seen)
	}
	s.Delete(t, ben.DN)
	if seen := find(ben, ben.DN); seen.Where != sources.Gone || seen.Place != sources.PlaceEmpty ||
		seen.Witness != people[slapdtest.UID(1)].ID.Anchor {
		t.Errorf("the last one: %+v", seen)
	}
	s.Delete(t, lab)
	if seen := find(ben, ben.DN); seen.Place != sources.PlaceHidden ||
		!strings.Contains(seen.Proof, lab+", where they were: not seen") {
		t.Errorf("the branch is gone: %+v", seen)
	}
	// somebody is where they were, without an anchor that can be read: nothing is proven
	one := people[slapdtest.UID(1)]
	s.Restrict(t, fmt.Sprintf(`to dn.base=%q attrs=entryUUID by * none`, one.DN))
	defer s.Show(t)
	if seen, err := src.Find(t.Context(), sources.Lookup{Anchor: one.ID.Anchor, DN: one.DN}); err == nil ||
		!strings.Contains(err.Error(), "shows no entryUUID") {
		t.Errorf("%+v, %v", seen, err)
	}
}

// TestR05OwnAccount: the entry that the source itself signs in as is told, however the bind names it.
func TestR05OwnAccount(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 2})
	base := `base_dn = "` + s.BaseDN() + `"`
	for name, lines := range map[string][]string{
		"bind_dn, in another spelling": {
			fmt.Sprintf(`url = %q`, s.URL()), fmt.Sprintf(`bind_dn = %q`, strings.ToUpper(s.ReaderDN())), fmt.Sprintf(`bind_password = %q`, s.Password()),
		},
		"a socket's peer": {fmt.Sprintf(`url = %q`, s.LDAPI()), `bind = "external"`},
	} {
		src := open(
			t,
			sources.Need{},
			append(lines, base, `filter = "(|(objectClass=inetOrgPerson)(cn=reader))"`, `name = "cn"`)...)
		people, read := facts(t, src)
		own := s.Anchor(t, s.ReaderDN())
		if read.Own != own || !people["reader"].Own {
			t.Errorf("%s: %q, want %q; %+v", name, read.Own, own, people["reader"])
		}
		for _, p := range people {
			if p.Own != (p.ID.Anchor == own) {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if seen, err := src.Find(t.Context(), sources.Lookup{Anchor: own}); err != nil || !seen.Person.Own {
			t.Errorf("%s: %+v, %v", name, seen, err)
		}
	}
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	if _, read := facts(t, src); read.Own != "" {
		t.Errorf("it is not among the people: %q", read.Own)
	}
}

// TestR19WhenItHappened: the directory's own time of the change.
func TestR19WhenItHappened(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 2})
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	before, _ := facts(t, src)
	p := before[slapdtest.UID(1)]
	s.Disable(t, p.DN)
	after, _ := facts(t, src)
	if now := after[slapdtest.UID(1)]; now.Changed.Before(p.Changed) || now.Changed.IsZero() || now.Active ||
		now.Fingerprint() == p.Fingerprint() {
		t.Errorf("%+v, before %+v", now, p)
	}
	s.Move(t, p.DN, s.FormerDN())
	seen, err := src.Find(t.Context(), sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN})
	if err != nil || seen.Where != sources.Elsewhere || seen.Changed.IsZero() {
		t.Errorf("%+v, %v", seen, err)
	}
}

// TestPositions: the currency of each kind of server, from what a root DSE and its settings say.
func TestPositions(t *testing.T) {
	for csn, want := range map[string]string{
		"20260301120000.000000Z#000000#001#000000": "001", "20260301120000Z#000001#00#000000": "00", "": "", "20260301120000Z": "",
		"x#y#z#u": "", "20260301120000Z#1##2": "",
	} {
		if got, ok := sequenceOf(csn); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", csn, got, ok)
		}
	}
	if got := ldapclient.Suffixes([]string{"dc=Example, dc=org", "o=other", ""}, []string{"ou=people,dc=example,dc=org", "ou=x,DC=example,DC=org"}); !slices.Equal(
		got,
		[]string{"dc=example,dc=org"},
	) {
		t.Errorf("%q", got)
	}
}

// TestDomainController: currency, nobody's userAccountControl and the own account, as Active Directory tells them.
func TestDomainController(t *testing.T) {
	const guid = "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee"
	usn := "900"
	dc := &fake{
		dse: []string{
			"supportedCapabilities", ldapclient.ActiveDirectoryCapability, "dsServiceName", "cn=NTDS Settings,cn=dc1,dc=example,dc=org", "namingContexts", "dc=example,dc=org",
			"supportedExtension", ldapclient.WhoAmIOperation,
		},
		who: `u:EXAMPLE\svc`,
		people: func(w *answer, q asked) {
			if strings.Contains(q.filter, "sAMAccountName=svc") {
				w.entry("cn=svc,ou=people,dc=example,dc=org", "objectGUID", guid+"\x02")
				w.done(0)
				return
			}
			w.entry(
				"cn=a,ou=people,dc=example,dc=org",
				"objectGUID",
				guid+"\x01",
				"sAMAccountName",
				"a",
				"userAccountControl",
				"512",
				"whenChanged",
				"20260301120000.0Z",
			)
			w.entry(
				"cn=svc,ou=people,dc=example,dc=org",
				"objectGUID",
				guid+"\x02",
				"sAMAccountName",
				"svc",
				"userAccountControl",
				"512",
			)
			w.entry("cn=b,ou=people,dc=example,dc=org", "objectGUID", guid+"\x03", "sAMAccountName", "b")
			w.page("")
		},
		entry: func(w *answer, q asked) {
			if strings.HasPrefix(q.base, "cn=NTDS") {
				w.entry(q.base, "invocationId", "\x01\x02\x03\x04")
			} else {
				w.entry(q.base)
			}
			w.done(0)
		},
	}
	url := dc.start(t)
	dc.usn = func() string { return usn }
	src := open(
		t,
		sources.Need{},
		`url = "`+url+`"`,
		`bind_dn = "svc@example.org"`,
		`bind_password = "x"`,
		`base_dn = "ou=people,dc=example,dc=org"`,
		`anchor = "objectGUID"`,
	)
	people, first := facts(t, src)
	if len(people) != 2 || !people["svc"].Own || people["a"].Own || first.Own != people["svc"].ID.Anchor ||
		people["a"].Changed.IsZero() {
		t.Errorf("%+v, %+v", people, first)
	}
	if fmt.Sprint(first.From) != "map[01020304:00000000000000000900]" || first.People != 3 ||
		first.Attributes["userAccountControl"] != 2 {
		t.Errorf("%+v", first)
	}
	usn = "1000"
	if _, second := facts(t, src); !second.From.Covers(first.Until) || first.From.Covers(second.From) {
		t.Errorf("%v and then %v", first.From, second.From)
	}
	usn = "soon"
	if _, third := facts(t, src); third.From != nil {
		t.Errorf("%v", third.From)
	}
}

// TestR01EmptyGroupsAreHiddenWhereTheSchemaSaysSo: 389 Directory Server lets a groupOfNames be empty, the standard does
// not.
func TestR01EmptyGroupsAreHiddenWhereTheSchemaSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		classes []string // of the schema; nil for one that cannot be read
		hidden  bool
	}{
		"must":                       {[]string{"( 2.5.6.9 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( member $ cn ) )"}, true},
		"may":                        {[]string{"( 2.5.6.9 NAME 'groupOfNames' SUP top MUST cn MAY ( member $ owner ) )"}, false},
		"a schema without the class": {[]string{"( 2.5.6.6 NAME 'person' SUP top MUST ( sn $ cn ) )"}, true},
		"no schema":                  {nil, true},
	} {
		url := (&fake{
			dse: []string{"namingContexts", "dc=example,dc=org", "subschemaSubentry", "cn=schema"},
			entry: func(w *answer, q asked) {
				switch {
				case q.base == "cn=schema" && c.classes == nil:
					w.done(50) // insufficientAccessRights
					return
				case q.base == "cn=schema":
					w.values(q.base, "objectClasses", c.classes)
				default:
					w.entry(q.base)
				}
				w.done(0)
			},
			people: func(w *answer, q asked) {
				if strings.HasPrefix(q.base, "ou=groups") {
					w.entry("cn=g,ou=groups,dc=example,dc=org", "objectClass", "groupOfNames", "cn", "g")
				}
				w.page("")
			},
		}).start(t)
		_, read := facts(t, reading(t, sources.Need{Groups: true}, []string{url}, withGroups))
		if len(read.Groups) != 1 || read.Groups[0].Hidden != c.hidden {
			t.Errorf("%s: %+v", name, read.Groups)
		}
	}
}

// Whatever a server says of its schema, its changes and its identifiers is read without harm.
func FuzzServer(f *testing.F) {
	f.Add("( 2.5.6.9 NAME ( 'a' 'b' ) MUST ( member $ cn ) )", "S-1-5-21-1-2-3-1103", "513")
	f.Add("20260301120000.000000Z#000000#001#000000", "", "-1")
	f.Fuzz(func(t *testing.T, text, sid, relative string) {
		names, must := ldapclient.ParseClass(text)
		for _, word := range append(names, must...) {
			if strings.ContainsAny(word, " $'") {
				t.Errorf("%q holds the word %q", text, word)
			}
		}
		if sequence, ok := sequenceOf(text); ok && (sequence == "" || !strings.Contains(text, "#"+sequence+"#")) {
			t.Errorf("%q is of %q", text, sequence)
		}
		if _, err := ldapclient.SIDBytes(sid); err == nil {
			if primary := (member{sid: sid, relative: relative}).primarySID(); primary != "" && !strings.HasSuffix(primary, "-"+relative) {
				t.Errorf("%q and %q make %q", sid, relative, primary)
			}
		}
	})
}
