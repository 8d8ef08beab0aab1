//go:build unix

package directory

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func TestPeople(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 1203, Groups: 2})
	src := open(t, sources.Need{Attributes: []string{"MAIL", "givenName", "telexNumber"}, Groups: true},
		as(s, s.ReaderDN(), `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	people, personal, err := everyone(t, src)
	if err != nil || len(personal) > 0 {
		t.Fatal(err, personal)
	}
	if len(people) != 1203 {
		t.Fatalf("%d people, want 1203", len(people))
	}
	want := identity.Person{
		ID:         identity.PersonID{Directory: "corp", Anchor: s.Anchor(t, s.PersonDN("user000007"))},
		Source:     "corp",
		Name:       "user000007",
		DN:         s.PersonDN("user000007"),
		Active:     true,
		Attributes: identity.Attributes{"MAIL": {"user000007@example.org"}, "givenName": {"First7"}},
		Groups:     []identity.Group{{Name: "group001", DN: s.GroupDN("group001")}},
	}
	if changed := people[6].Changed; changed.IsZero() || time.Since(changed) > time.Hour {
		t.Errorf("changed %s", changed)
	}
	want.Changed = people[6].Changed
	if diff := cmp.Diff(want, people[6]); diff != "" {
		t.Error(diff)
	}
}
