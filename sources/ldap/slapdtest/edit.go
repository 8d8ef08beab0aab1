package slapdtest

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// AddPerson adds an inetOrgPerson below PeopleDN; attributes override the usual ones. It returns the DN.
func (s *Server) AddPerson(t testing.TB, uid string, attributes map[string][]string) string {
	t.Helper()
	all := person(uid, 0)
	for name, values := range attributes {
		if name == "objectClass" {
			values = append(all[name], values...)
		}
		all[name] = values
	}
	s.Add(t, s.PersonDN(uid), all)
	return s.PersonDN(uid)
}

// Disable locks a person as an administrator does with the ppolicy overlay.
func (s *Server) Disable(t testing.TB, dn string) {
	t.Helper()
	s.Set(t, dn, "pwdAccountLockedTime", "000001010000Z")
}

// Enable ends a Disable.
func (s *Server) Enable(t testing.TB, dn string) { t.Helper(); s.Set(t, dn, "pwdAccountLockedTime") }

// AddGroup adds a groupOfNames below GroupsDN and returns its DN.
func (s *Server) AddGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	if len(members) == 0 {
		members = []string{"cn=nobody," + s.suffix}
	}
	s.Add(t, s.GroupDN(name), map[string][]string{"objectClass": {"groupOfNames"}, "cn": {name}, "member": members})
	return s.GroupDN(name)
}

// Anchor is the entryUUID of an entry; "" where there is none.
func (s *Server) Anchor(t testing.TB, dn string) string {
	t.Helper()
	if values := s.Values(t, dn, "entryUUID"); len(values) == 1 {
		return values[0]
	}
	return ""
}

// SetSizeLimit limits the reader from the next search on, paged or not; 0 for unlimited.
func (s *Server) SetSizeLimit(t testing.TB, size int) {
	t.Helper()
	s.reconfigure(t, "olcLimits", s.limits(size))
}

// Hide takes all of the reader's rights away, so that everything looks empty or absent.
func (s *Server) Hide(t testing.TB) { t.Helper(); s.reconfigure(t, "olcAccess", s.access(false)) }

// HidePeople leaves the reader the right to read everything but what is directly below PeopleDN: searches succeed
// and find nobody.
func (s *Server) HidePeople(t testing.TB) {
	t.Helper()
	hide := `to dn.one="` + s.PeopleDN() + `" by dn.exact="` + s.ReaderDN() + `" none by * none`
	s.reconfigure(t, "olcAccess", append([]string{hide}, s.access(true)...))
}

// HideAttribute leaves the reader the right to read everything but one attribute.
func (s *Server) HideAttribute(t testing.TB, name string) {
	t.Helper()
	s.reconfigure(t, "olcAccess", append([]string{"to attrs=" + name + " by * none"}, s.access(true)...))
}

// Restrict puts access rules of slapd.access(5), such as `to attrs=mail by * none`, before the reader's right to
// everything.
func (s *Server) Restrict(t testing.TB, rules ...string) {
	t.Helper()
	s.reconfigure(t, "olcAccess", append(rules, s.access(true)...))
}

// Show gives the reader all rights back.
func (s *Server) Show(t testing.TB) { t.Helper(); s.reconfigure(t, "olcAccess", s.access(true)) }

// reconfigure replaces a setting of the database at run time.
func (s *Server) reconfigure(t testing.TB, attribute string, values []string) {
	t.Helper()
	conn := s.bind(t, "cn=config")
	defer conn.Close()
	result, err := conn.Search(
		ldap.NewSearchRequest("cn=config", ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false,
			"(olcSuffix="+ldap.EscapeFilter(s.suffix)+")", []string{"1.1"}, nil),
	)
	ldaptest.Check(t, "find the database in cn=config", err)
	if len(result.Entries) != 1 {
		t.Fatalf("cn=config has %d databases of %s", len(result.Entries), s.suffix)
	}
	request := ldap.NewModifyRequest(result.Entries[0].DN, nil)
	request.Replace(attribute, values)
	ldaptest.Check(t, "set "+attribute, conn.Modify(request))
}
