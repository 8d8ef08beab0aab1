//go:build unix

package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// What has cost others their accounts, on a real server: each ends in an error, or in a complete and true list.
func TestIncidents(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 1500})
	refused := func(t *testing.T, want string, lines ...string) {
		t.Helper()
		people, _, err := everyone(t, open(t, sources.Need{}, lines...))
		if !errors.Is(err, sources.ErrIncomplete) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d people, error %v, want %q", len(people), err, want)
		}
	}
	t.Run("size limit appears mid-life", func(t *testing.T) {
		src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
		if people, _, err := everyone(t, src); err != nil || len(people) != 1500 {
			t.Fatal(len(people), err)
		}
		s.SetSizeLimit(t, 700)
		defer s.SetSizeLimit(t, 0)
		people, _, err := everyone(t, src)
		if !errors.Is(err, sources.ErrIncomplete) || !strings.Contains(err.Error(), "size limit exceeded (4)") ||
			len(people) > 700 {
			t.Errorf("%d people, %v", len(people), err)
		}
	})
	t.Run("the server stops at 500, without pages", func(t *testing.T) {
		refused(t, "size limit exceeded (4)", as(s, s.LimitedDN(), "page_size = 0")...)
	})
	t.Run("the server stops at 500, with pages", func(t *testing.T) {
		refused(
			t,
			"page 6 of ou=people,dc=example,dc=org, after 500 entries: size limit exceeded (4)",
			as(s, s.LimitedDN(), "page_size = 100")...)
	})
	t.Run("page size over the server's", func(t *testing.T) {
		refused(t, "admin limit exceeded (11)", as(s, s.LimitedDN(), "page_size = 200")...)
	})
	t.Run("password changed", func(t *testing.T) {
		lines := as(s, s.ReaderDN())
		lines[2] = `bind_password = "wrong"`
		refused(t, "sign in as cn=reader,dc=example,dc=org: invalid credentials (49): check bind_dn", lines...)
	})
	t.Run("base that does not exist", func(t *testing.T) {
		lines := as(s, s.ReaderDN())
		lines[3] = `base_dn = "ou=poeple,dc=example,dc=org"`
		refused(
			t,
			"base_dn ou=poeple,dc=example,dc=org: no such object (32) (it does not exist, or the bind DN may not see it)",
			lines...)
	})
	t.Run("rights taken away", func(t *testing.T) {
		s.Hide(t)
		defer s.Show(t)
		refused(t, "base_dn ou=people,dc=example,dc=org", as(s, s.ReaderDN())...)
	})
	t.Run("rights to people taken away: success, and nobody", func(t *testing.T) {
		s.HidePeople(t)
		defer s.Show(t)
		people, _, err := everyone(t, open(t, sources.Need{}, as(s, s.ReaderDN())...))
		if err != nil || len(people) != 0 {
			t.Error(len(people), err) // an empty list is for the guard to hold, and Find refuses to call anybody gone
		}
	})
	t.Run("rights to anchors taken away", func(t *testing.T) {
		s.HideAttribute(t, "entryUUID")
		defer s.Show(t)
		people, personal, err := everyone(t, open(t, sources.Need{}, as(s, s.ReaderDN())...))
		if err != nil || len(people) != 0 || len(personal) != 1500 {
			t.Error(len(people), len(personal), err)
		}
	})
	for _, end := range []struct {
		name string
		do   func(*slapdtest.Server, testing.TB)
		want string
	}{
		{"killed", (*slapdtest.Server).Kill, "page 3 of"},
		{"frozen", (*slapdtest.Server).Freeze, "did not answer in time"},
	} {
		t.Run(end.name+" between pages", func(t *testing.T) {
			src := open(t, sources.Need{}, as(s, s.ReaderDN(), `page_size = 100`, `timeout = "3s"`)...)
			count := 0
			var last error
			for _, err := range src.People(t.Context()) {
				if last = err; err == nil {
					count++
				}
				if count == 200 && err == nil {
					end.do(s, t)
				}
			}
			if !errors.Is(last, sources.ErrIncomplete) || !strings.Contains(last.Error(), end.want) || count != 200 {
				t.Errorf("%d people, %v", count, last)
			}
			s.Stop(t)
			s.Start(t)
		})
	}
	t.Run("cancelled between pages", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		count := 0
		for _, err := range open(t, sources.Need{}, as(s, s.ReaderDN())...).People(ctx) {
			if last = err; err == nil {
				if count++; count == 500 {
					cancel()
				}
			}
		}
		if !errors.Is(last, sources.ErrIncomplete) || count != 500 {
			t.Errorf("%d people, %v", count, last)
		}
	})
}

// R3: names, places and letter case change; people stay themselves, and a second read is like the first.
func TestR03PeopleAreAnchored(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 300})
	src := open(t, sources.Need{Attributes: []string{"cn", "mail"}}, as(s, s.ReaderDN())...)
	read := func() map[string]identity.Person {
		people, _, err := everyone(t, src)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]identity.Person)
		for _, p := range people {
			all[p.ID.Anchor] = p
		}
		return all
	}
	before := read()
	prints := func(all map[string]identity.Person) map[string]uint64 {
		m := make(map[string]uint64)
		for anchor, p := range all {
			m[anchor] = p.Fingerprint()
		}
		return m
	}
	if !maps.Equal(prints(before), prints(read())) {
		t.Error("two reads of the same directory differ")
	}
	unit := s.AddUnit(t, "Vertrieb, Süd", s.PeopleDN())
	for i := 1; i <= 90; i++ {
		dn := s.PersonDN(slapdtest.UID(i))
		switch i % 3 {
		case 0:
			s.Rename(t, dn, fmt.Sprintf("uid=renamed%d", i))
		case 1:
			s.Move(t, dn, unit)
		case 2:
			s.Set(t, dn, "mail", fmt.Sprintf("New.%d@Example.ORG", i))
		}
	}
	after := read()
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		t.Error("renames and moves changed who there is")
	}
	changed := 0
	for anchor, p := range after {
		if p.Fingerprint() != before[anchor].Fingerprint() {
			changed++
		}
	}
	if changed != 90 {
		t.Errorf("%d people changed, want 90", changed)
	}
	dn := s.PersonDN(slapdtest.UID(200))
	was := s.Anchor(t, dn)
	s.Delete(t, dn)
	s.AddPerson(t, slapdtest.UID(200), nil)
	if is := s.Anchor(t, dn); is == was {
		t.Error("somebody new has a leaver's anchor")
	}
	if seen, err := src.Find(t.Context(), sources.Lookup{Anchor: was}); err != nil || seen.Where != sources.Gone {
		t.Errorf("a leaver whose login somebody else has: %+v, %v", seen, err)
	}
}

// Every way to connect and sign in, and those that are refused.
func TestAccess(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	stranger := slapdtest.Start(t, slapdtest.Options{})
	base := fmt.Sprintf("base_dn = %q", s.PeopleDN())
	simple := []string{base, fmt.Sprintf("bind_dn = %q", s.ReaderDN()), fmt.Sprintf("bind_password = %q", s.Password())}
	ca := fmt.Sprintf("ca_file = %q", s.CAFile())
	url := func(u string) string { return fmt.Sprintf("url = %q", u) }
	tests := []struct {
		name  string
		lines []string
		want  string // of the error, "" for none
	}{
		{"ldap on loopback", append(simple, url(s.URL())), ""},
		{"ldaps", append(simple, url(s.LDAPS()), ca), ""},
		{"ldaps, by name", append(simple, url(strings.Replace(s.LDAPS(), "127.0.0.1", "localhost", 1)), ca), ""},
		{"StartTLS", append(simple, url(s.URL()), ca, "starttls = true"), ""},
		{"unverified on loopback", append(simple, url(s.LDAPS()), "tls_insecure = true"), ""},
		{"Unix socket", append(simple, url(s.LDAPI())), ""},
		{"EXTERNAL over the Unix socket", []string{base, url(s.LDAPI()), `bind = "external"`}, ""},
		{"EXTERNAL by client certificate", []string{
			base, url(s.LDAPS()), ca, `bind = "external"`, fmt.Sprintf("cert_file = %q", s.ClientCert()), fmt.Sprintf("key_file = %q", s.ClientKey()),
		}, ""},
		{"EXTERNAL by client certificate, StartTLS", []string{
			base, url(s.URL()), "starttls = true", ca, `bind = "external"`, fmt.Sprintf("cert_file = %q", s.ClientCert()),
			fmt.Sprintf("key_file = %q", s.ClientKey()),
		}, ""},
		{"anonymous, who may see nothing", []string{base, url(s.URL()), `bind = "anonymous"`}, "base_dn ou=people"},
		{"ldaps, unknown authority", append(simple, url(s.LDAPS())), "certificate signed by unknown authority"},
		{
			"ldaps, another authority",
			append(simple, url(s.LDAPS()), fmt.Sprintf("ca_file = %q", stranger.CAFile())),
			"unknown authority",
		},
		{
			"StartTLS, another authority",
			append(simple, url(s.URL()), "starttls = true", fmt.Sprintf("ca_file = %q", stranger.CAFile())),
			"StartTLS",
		},
		{
			"ldaps to a port without TLS",
			append(simple, url(strings.Replace(s.URL(), "ldap:", "ldaps:", 1)), ca, `timeout = "2s"`),
			"ldaps://127.0.0.1",
		},
		{"nobody listens", append(simple, `url = "ldap://127.0.0.1:1"`), "connection refused"},
		{"the second server works", append(simple, fmt.Sprintf(`url = ["ldap://127.0.0.1:1", %q]`, s.URL())), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			people, _, err := everyone(t, open(t, sources.Need{}, tt.lines...))
			switch {
			case tt.want == "" && (err != nil || len(people) != 3):
				t.Errorf("%d people, %v", len(people), err)
			case tt.want != "" && (!errors.Is(err, sources.ErrIncomplete) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%d people, error %v, want %q", len(people), err, tt.want)
			case err != nil && strings.Contains(err.Error(), s.Password()):
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 600, Groups: 3})
	src := open(
		t,
		sources.Need{Groups: true},
		as(s, s.ReaderDN(), `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	lines, err := src.Check(t.Context())
	got := strings.ReplaceAll(strings.Join(lines, "\n"), s.URL(), "URL")
	want := `URL: connected with no TLS, signed in as cn=reader,dc=example,dc=org
ou=people,dc=example,dc=org: 600 people in 2 pages
3 groups with 603 members
changes are noticed at once: by content synchronisation (RFC 4533)
absence is proven under ["dc=example,dc=org"]`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	// Not somebody renamed: slapd's overlay refint follows a rename, in its own time.
	s.Set(t, s.GroupDN("group001"), "member", s.PersonDN("nobody"))
	s.Restrict(
		t,
		fmt.Sprintf("to dn.base=%q attrs=member by * none", s.GroupDN("group002")),
		"to attrs=mail by * none",
		"to attrs=contextCSN by * none",
	)
	src = open(
		t,
		sources.Need{Groups: true, Attributes: []string{"cn", "employeeType", "mail", "title"}},
		as(s, s.ReaderDN(), withGroups)...)
	lines, err = src.Check(t.Context())
	got = strings.Join(lines, "\n")
	for _, want := range []string{
		"warning: nobody shows mail,", "warning: nobody shows employeeType,", "warning: group group002 hides its members",
		"warning: group group001 names somebody who does not exist: uid=nobody,ou=people,dc=example,dc=org", "does not tell how current it is",
	} {
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("no %q in %v\n%s", want, err, got)
		}
	}
	s.Show(t)
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"size limit", as(s, s.LimitedDN(), "page_size = 100"), "size limit exceeded (4) (give the bind DN"},
		{"nobody matches", as(s, s.ReaderDN(), `filter = "(title=King)"`), "warning: nobody matches (title=King)"},
		{"a filter that hides who is disabled", as(s, s.ReaderDN(), `filter = "(!(pwdAccountLockedTime=*))"`), "the filter names pwdAccountLockedTime"},
		{"a filter that nobody's change tells of", as(s, s.ReaderDN(), `filter = "(memberOf=cn=x)"`), "memberOf, in filter, changes without"},
		{"no anchors", as(s, s.ReaderDN(), `anchor = "nsUniqueId"`), "none of the 600 people"},
		{"wrong password", append(as(s, s.ReaderDN())[:2], `bind_password = "x"`, `base_dn = "dc=example,dc=org"`), "invalid credentials (49)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, err := open(t, sources.Need{}, tt.lines...).Check(t.Context())
			if text := fmt.Sprint(lines, err); !strings.Contains(text, tt.want) {
				t.Errorf("%s, want %q", text, tt.want)
			}
		})
	}
}

// An administrator's lock makes a leaver; a lock for bad passwords does not.
func TestActive(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 2})
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	active := func() string {
		people, _, err := everyone(t, src)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(people[0].Active, people[1].Active)
	}
	s.Disable(t, s.PersonDN(slapdtest.UID(1)))
	s.Set(t, s.PersonDN(slapdtest.UID(2)), "pwdAccountLockedTime", "20261124065823Z")
	if got := active(); got != "false true" {
		t.Error(got)
	}
	s.Enable(t, s.PersonDN(slapdtest.UID(1)))
	if got := active(); got != "true true" {
		t.Error(got)
	}
}
