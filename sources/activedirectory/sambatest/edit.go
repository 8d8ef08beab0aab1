//go:build unix

package sambatest

import (
	"crypto/tls"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/internal/ldaptest"
)

// signIn connects as the administrator.
func (s *Server) signIn(t testing.TB) *ldap.Conn {
	t.Helper()
	// loopback, in a test
	conn, err := ldap.DialURL(s.URL(), ldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true}))
	ldaptest.Check(t, "connect to Samba", err)
	ldaptest.Check(t, "sign in to Samba", conn.Bind("Administrator@ad.example.test", password))
	return conn
}

// AddPerson adds an active user below PeopleDN; attributes override the usual ones. It returns the DN.
func (s *Server) AddPerson(t testing.TB, uid string, attributes map[string][]string) string {
	t.Helper()
	all := map[string][]string{
		"objectClass": {"user"}, "sAMAccountName": {uid}, "userPrincipalName": {uid + "@ad.example.test"}, "sn": {uid},
		"displayName": {uid}, "mail": {uid + "@example.org"}, "userAccountControl": {"544"},
	}
	for name, values := range attributes {
		all[name] = values
	}
	s.Add(t, s.PersonDN(uid), all)
	return s.PersonDN(uid)
}

// AddGroup adds a group and returns its DN.
func (s *Server) AddGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	s.Add(t, s.GroupDN(name), map[string][]string{"objectClass": {"group"}, "sAMAccountName": {name}, "member": members})
	return s.GroupDN(name)
}

// Disable disables a user, as administrators do.
func (s *Server) Disable(t testing.TB, dn string) {
	t.Helper()
	s.Set(t, dn, "userAccountControl", "546")
}

// Enable ends that.
func (s *Server) Enable(t testing.TB, dn string) {
	t.Helper()
	s.Set(t, dn, "userAccountControl", "544")
}
