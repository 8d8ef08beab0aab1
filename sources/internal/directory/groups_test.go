//go:build unix

package directory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Nested groups count, cycles end, and a look-up of one person finds the same groups as a read of all.
func TestGroups(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 4})
	alice, bob := s.PersonDN(slapdtest.UID(1)), s.PersonDN(slapdtest.UID(2))
	s.AddGroup(t, "inner", strings.ToUpper(alice), `uid=user000002 , OU=People,dc=example,  dc=org`)
	s.AddGroup(t, "middle", s.GroupDN("inner"), s.GroupDN("outer"))
	s.AddGroup(t, "outer", s.GroupDN("middle"), alice)
	s.AddGroup(t, "other", s.PersonDN(slapdtest.UID(3)))
	s.AddGroup(t, "odd, name", alice)
	s.Add(t, "cn=unique,"+s.GroupsDN(), map[string][]string{
		"objectClass": {"groupOfUniqueNames"}, "cn": {"unique"}, "uniqueMember": {bob + "#'0101'B", s.GroupDN("other")},
	})
	s.Add(t, "cn=posix,"+s.GroupsDN(), map[string][]string{
		"objectClass": {"posixGroup"}, "cn": {"posix"}, "gidNumber": {"7"}, "memberUid": {"user000004", "USER000003"},
	})
	want := map[string]string{
		"user000001": "inner middle odd, name outer",
		"user000002": "inner middle outer unique",
		"user000003": "other unique",
		"user000004": "posix",
	}
	src := open(
		t,
		sources.Need{Groups: true},
		as(s, s.ReaderDN(), `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	people, _, err := everyone(t, src)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range people {
		var names []string
		for _, g := range p.Groups {
			names = append(names, g.Name)
		}
		if got := strings.Join(names, " "); got != want[p.Name] {
			t.Errorf("%s is in %q, want %q", p.Name, got, want[p.Name])
		}
		if p.Name == "user000002" {
			continue // slapd compares the optional part of a uniqueMember, too
		}
		seen, err := src.Find(t.Context(), sources.Lookup{Anchor: p.ID.Anchor})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, seen.Person, cmp.Comparer(func(a, b []identity.Group) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
			t.Errorf("People and Find differ: %s", diff)
		}
	}
}

// Groups that cannot be read in full make the read of people fail: somebody would seem to have left a group.
func TestGroupsAreComplete(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3, Groups: 30})
	src := open(
		t,
		sources.Need{Groups: true},
		as(s, s.ReaderDN(), "page_size = 10", `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	s.SetSizeLimit(t, 20)
	people, _, err := everyone(t, src)
	if len(people) > 0 || err == nil || !strings.Contains(err.Error(), "groups: page 3 of ou=groups") {
		t.Errorf("%d people, %v", len(people), err)
	}
}

// Active Directory sends 1,500 values at a time; nobody may be missing from the rest.
func TestRanges(t *testing.T) {
	for _, n := range []int{1, 1499, 1500, 1501, 3000, 13000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			src := reading(
				t,
				sources.Need{Groups: true, Attributes: []string{"proxyAddresses"}},
				[]string{rangedServer(n).start(t)},
				`groups { base_dn = "ou=groups,dc=example,dc=org" }`,
			)
			people, _, err := everyone(t, src)
			if err != nil || len(people) != 1 {
				t.Fatal(len(people), err)
			}
			if len(people[0].Groups) != 1 || len(people[0].Attributes["proxyAddresses"]) != n {
				t.Errorf("of %d values %d came, groups %v", n, len(people[0].Attributes["proxyAddresses"]), people[0].Groups)
			}
		})
	}
}

// rangedServer has one person with n addresses, who is the last of n members of a group.
func rangedServer(n int) *fake {
	const most = 1500
	list := func(w *answer, dn, name, format string, from int) {
		to, last := min(from+most, n), "*"
		if to < n {
			last = fmt.Sprint(to - 1)
		}
		var values []string
		for i := from; i < to; i++ {
			values = append(values, fmt.Sprintf(format, i))
		}
		if from > 0 || to < n {
			name = fmt.Sprintf("%s;range=%d-%s", name, from, last)
		}
		w.values(dn, name, values, "entryUUID", "u-"+dn)
	}
	const group, member = "cn=g,ou=groups,dc=example,dc=org", "uid=p%d,ou=people,dc=example,dc=org"
	return &fake{
		people: func(w *answer, q asked) {
			if strings.HasPrefix(q.base, "ou=groups") {
				list(w, group, "member", member, 0)
			} else {
				list(w, fmt.Sprintf(member, n-1), "proxyAddresses", "smtp:%d@example.org", 0)
			}
			w.page("")
		},
		entry: func(w *answer, q asked) {
			var from int
			name, option, _ := strings.Cut(q.attributes[0], ";")
			_, _ = fmt.Sscanf(option, "range=%d-*", &from)
			switch {
			case option == "":
				w.entry(q.base)
			case name == "member":
				list(w, q.base, "member", member, from)
			default:
				list(w, q.base, "proxyAddresses", "smtp:%d@example.org", from)
			}
			w.done(0)
		},
	}
}

// A server that does not go on with a range leaves an incomplete list.
func TestRangeThatDoesNotGoOn(t *testing.T) {
	for name, entry := range map[string]func(w *answer, q asked){
		"nothing": func(w *answer, q asked) { w.entry(q.base); w.done(0) },
		"the same again": func(w *answer, q asked) {
			w.values(q.base, "member;range=0-1", []string{"uid=a", "uid=b"})
			w.done(0)
		},
		"an error": func(w *answer, q asked) {
			if len(q.attributes) > 0 && strings.Contains(q.attributes[0], "range") {
				w.done(51)
				return
			}
			w.entry(q.base)
			w.done(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{entry: entry, people: func(w *answer, q asked) {
				w.values("cn=g,ou=groups,dc=example,dc=org", "member;range=0-1", []string{"uid=a", "uid=b"})
				w.page("")
			}}
			src := reading(
				t,
				sources.Need{Groups: true},
				[]string{f.start(t)},
				`groups { base_dn = "ou=groups,dc=example,dc=org" }`,
			)
			if people, _, err := everyone(t, src); err == nil || len(people) > 0 ||
				!strings.Contains(err.Error(), "values of cn=g") {
				t.Error(people, err)
			}
		})
	}
}
