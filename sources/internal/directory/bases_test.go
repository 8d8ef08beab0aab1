//go:build unix

package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestOneBaseOfSeveralIsGone: of several base DNs one was given up. Whoever is below the others is read, whoever was moved
// there is there, and those who went with it are looked for one by one (C3).
func TestOneBaseOfSeveralIsGone(t *testing.T) {
	slapd := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	samba := sambatest.Start(t, sambatest.Options{People: 12, Groups: 2})
	type server interface {
		ldaptest.Directory
		AddPerson(t testing.TB, uid string, attributes map[string][]string) string
		PeopleDN() string
	}
	for name, c := range map[string]struct {
		server
		suffix string
		open   func(t *testing.T, s *slapdtest.Server, lines ...string) (follows, reads *source)
		gone   sources.Where
	}{
		"slapd": {slapd, slapd.BaseDN(), following, sources.Gone},
		"Samba": {samba, samba.BaseDN(), func(t *testing.T, _ *slapdtest.Server, lines ...string) (follows, reads *source) {
			return followingDomain(t, samba, lines...)
		}, sources.Tombstone},
	} {
		t.Run(name, func(t *testing.T) {
			unit := c.AddUnit(t, "branch", c.suffix)
			moves, leaves := c.Move(t, c.AddPerson(t, "ann", nil), unit), c.Move(t, c.AddPerson(t, "bob", nil), unit)
			follows, reads := c.open(t, slapd, fmt.Sprintf("base_dn = [%q, %q]", c.PeopleDN(), unit))
			same(t, follows, reads, 14)
			all := stateOf(t, reads, true).People
			bob := all[slices.IndexFunc(all, func(p identity.Person) bool { return strings.EqualFold(p.DN, leaves) })]

			c.Move(t, moves, c.PeopleDN())
			c.Delete(t, leaves)
			c.Delete(t, unit)
			same(t, follows, reads, 13)
			for _, source := range []*source{follows, reads} {
				if unseen := stateOf(t, source, true).Facts.Unseen; !slices.Equal(unseen, []string{unit}) {
					t.Errorf("not seen: %q, want %s", unseen, unit)
				}
				seen, err := source.Find(t.Context(), sources.Lookup{Anchor: bob.ID.Anchor, DN: bob.DN})
				if err != nil || seen.Where != c.gone {
					t.Errorf("bob: %+v, %v", seen, err)
				}
				lines, err := source.Check(t.Context())
				if err != nil || !strings.Contains(strings.Join(lines, "\n"), "warning: base_dn "+unit+" cannot be seen") {
					t.Errorf("check: %q, %v", lines, err)
				}
			}
			c.Move(t, c.AddPerson(t, "eve", nil), c.AddUnit(t, "branch", c.suffix))
			if same(t, follows, reads, 14); len(stateOf(t, follows, false).Facts.Unseen) > 0 {
				t.Error("the unit that came back is not seen")
			}
		})
	}
}
