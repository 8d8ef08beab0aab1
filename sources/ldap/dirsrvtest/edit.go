//go:build unix

package dirsrvtest

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// signIn connects as the directory manager.
func (s *Server) signIn(t testing.TB) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(s.URL())
	ldaptest.Check(t, "connect to ns-slapd", err)
	ldaptest.Check(t, "sign in to ns-slapd", conn.Bind(manager, password))
	return conn
}

// AddPerson adds an inetOrgPerson below PeopleDN; attributes override the usual ones. It returns the DN.
func (s *Server) AddPerson(t testing.TB, uid string, attributes map[string][]string) string {
	t.Helper()
	all := person(uid, 0)
	for name, values := range attributes {
		all[name] = values
	}
	s.Add(t, s.PersonDN(uid), all)
	return s.PersonDN(uid)
}

// AddGroup adds a group and returns its DN.
func (s *Server) AddGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	s.Add(t, s.GroupDN(name), map[string][]string{"objectClass": {"groupOfNames"}, "member": members})
	return s.GroupDN(name)
}

// Disable locks somebody, as the server's own tools do.
func (s *Server) Disable(t testing.TB, dn string) { t.Helper(); s.Set(t, dn, "nsAccountLock", "true") }

// Enable ends that.
func (s *Server) Enable(t testing.TB, dn string) { t.Helper(); s.Set(t, dn, "nsAccountLock") }
