//go:build unix

package directory

import (
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// TestLatestSeesWhoGoesOutOfSight: whoever is moved to where the source may not look, or is hidden from it, is not there
// any more.
func TestLatestSeesWhoGoesOutOfSight(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	s.Restrict(t, `to dn.subtree="`+s.FormerDN()+`" by * none`)
	follows, reads := following(t, s)
	stateOf(t, follows, false)
	followed := follows.follower.mirror
	s.Move(t, s.PersonDN(slapdtest.UID(3)), s.FormerDN())
	s.Set(t, s.PersonDN(slapdtest.UID(4)), "title", "x")
	now, want := stateOf(t, follows, false), stateOf(t, reads, true)
	if len(now.People) != len(want.People) || len(now.People) != 11 {
		t.Errorf("%d people, and reading everything shows %d", len(now.People), len(want.People))
	}
	t.Log(follows.follower.mirror == followed)
}
