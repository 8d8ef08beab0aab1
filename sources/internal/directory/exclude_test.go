//go:build unix

package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// anchored finds the person with a DN.
func anchored(t *testing.T, s *source, dn string) sources.Lookup {
	t.Helper()
	people := stateOf(t, s, true).People
	n := slices.IndexFunc(people, func(p identity.Person) bool { return strings.EqualFold(p.DN, dn) })
	if n < 0 {
		t.Fatalf("%s is not read", dn)
	}
	return sources.Lookup{Anchor: people[n].ID.Anchor, DN: dn}
}

// where is what a look-up of somebody says.
func where(t *testing.T, s *source, who sources.Lookup) sources.Where {
	t.Helper()
	seen, err := s.Find(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return seen.Where
}

// TestNobodyExcludedIsRead: whoever is moved below a DN of exclude_dn leaves, and whoever is moved out of it comes.
func TestNobodyExcludedIsRead(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	service := s.AddUnit(t, "service", s.PeopleDN())
	robot := s.Move(t, s.AddPerson(t, "robot", nil), service)
	follows, reads := following(t, s, fmt.Sprintf("exclude_dn = %q", strings.ToUpper(service)))
	same(t, follows, reads, 12)
	before := follows.follower.mirror
	ann := anchored(t, reads, s.PersonDN(slapdtest.UID(3)))
	s.Move(t, ann.DN, service)
	same(t, follows, reads, 11)
	for _, source := range []*source{follows, reads} {
		if got := where(t, source, ann); got != sources.Elsewhere {
			t.Errorf("who was moved is %s", got)
		}
	}
	s.Move(t, robot, s.PeopleDN())
	if same(t, follows, reads, 12); follows.follower.mirror != before {
		t.Error("everybody was read anew")
	}
}

// soon is same, of a server that tells of changes in its own time.
func soon(t *testing.T, follows, reads *source, people int) {
	t.Helper()
	want := stateOf(t, reads, true).People
	for start := time.Now(); time.Since(start) < 5*time.Second; {
		if gocmp.Equal(want, stateOf(t, follows, false).People) {
			break
		}
	}
	same(t, follows, reads, people)
}

// TestFreeIPAKeepsWhoLeft: FreeIPA moves who left and is preserved, and keeps who is yet to come, below the suffix. Neither
// is active, even where the whole suffix is read (C4).
func TestFreeIPAKeepsWhoLeft(t *testing.T) {
	s := dirsrvtest.Start(t, dirsrvtest.Options{People: 12, Groups: 2})
	suffix := identity.ParentDN(s.PeopleDN())
	container := func(name, parent string) string {
		dn := "cn=" + name + "," + parent
		s.Add(t, dn, map[string][]string{"objectClass": {"nsContainer"}})
		return dn
	}
	accounts := container("accounts", container("provisioning", suffix))
	preserved, staged := container("deleted users", accounts), container("staged users", accounts)
	dan := s.Move(t, s.AddPerson(t, "dan", nil), staged)
	follows, reads := openBoth(t, []string{
		fmt.Sprintf("url = %q", s.URL()), fmt.Sprintf("bind_dn = %q", s.ReaderDN()),
		fmt.Sprintf("bind_password = %q", s.Password()), fmt.Sprintf("base_dn = %q", suffix), `anchor = "nsUniqueId"`,
		`filter = "(&(objectClass=inetOrgPerson)(!(uid=reader)))"`, fmt.Sprintf("groups { base_dn = %q }", s.GroupsDN()),
	})
	inactive := func(want ...string) {
		t.Helper()
		soon(t, follows, reads, 13)
		var got []string
		for _, p := range stateOf(t, follows, false).People {
			if !p.Active {
				got = append(got, p.Name+": "+p.Inactive)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("inactive are %q, want %q", got, want)
		}
	}
	inactive("dan: the entry is below cn=staged users")
	s.Move(t, s.PersonDN(dirsrvtest.UID(1)), preserved)
	s.Disable(t, s.PersonDN(dirsrvtest.UID(2)))
	inactive("dan: the entry is below cn=staged users", "user000001: the entry is below cn=deleted users",
		"user000002: nsAccountLock is true")
	s.Move(t, dan, s.PeopleDN())
	inactive("user000001: the entry is below cn=deleted users", "user000002: nsAccountLock is true")
	lines, err := reads.Check(t.Context())
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), "base_dn takes in cn=accounts,cn=provisioning,"+suffix) {
		t.Errorf("check: %q, %v", lines, err)
	}
}
