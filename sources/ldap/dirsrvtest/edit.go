//go:build unix

package dirsrvtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// edit runs fn on a connection of the administrator.
func (s *Server) edit(t testing.TB, what string, fn func(*ldap.Conn) error) {
	t.Helper()
	conn, err := ldap.DialURL(s.URL())
	check(t, "connect to ns-slapd", err)
	defer conn.Close()
	check(t, "sign in to ns-slapd", conn.Bind(manager, password))
	check(t, what, fn(conn))
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

// Add adds any entry.
func (s *Server) Add(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	s.edit(t, "add "+dn, func(c *ldap.Conn) error {
		request := ldap.NewAddRequest(dn, nil)
		for name, values := range attributes {
			if len(values) > 0 {
				request.Attribute(name, values)
			}
		}
		return c.Add(request)
	})
}

// AddUnit adds an organizational unit and returns its DN.
func (s *Server) AddUnit(t testing.TB, name, parent string) string {
	t.Helper()
	dn := "ou=" + ldap.EscapeDN(name) + "," + parent
	s.Add(t, dn, map[string][]string{"objectClass": {"organizationalUnit"}})
	return dn
}

// AddGroup adds a group and returns its DN.
func (s *Server) AddGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	s.Add(t, s.GroupDN(name), map[string][]string{"objectClass": {"groupOfNames"}, "member": members})
	return s.GroupDN(name)
}

// Delete removes an entry.
func (s *Server) Delete(t testing.TB, dn string) {
	t.Helper()
	s.edit(t, "delete "+dn, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Rename gives an entry another name and returns its DN.
func (s *Server) Rename(t testing.TB, dn, rdn string) string {
	t.Helper()
	s.edit(t, "rename "+dn, func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, "")) })
	return rdn + "," + identity.ParentDN(dn)
}

// Move puts an entry below another and returns its DN.
func (s *Server) Move(t testing.TB, dn, parent string) string {
	t.Helper()
	rdn := strings.TrimSuffix(dn, ","+identity.ParentDN(dn))
	s.edit(t, "move "+dn, func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, parent)) })
	return rdn + "," + parent
}

// Set gives an attribute these values, or takes it away.
func (s *Server) Set(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	s.edit(t, "change "+dn, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(dn, nil)
		request.Replace(attribute, values)
		return c.Modify(request)
	})
}

// Disable locks somebody, as the server's own tools do.
func (s *Server) Disable(t testing.TB, dn string) { t.Helper(); s.Set(t, dn, "nsAccountLock", "true") }

// Enable ends that.
func (s *Server) Enable(t testing.TB, dn string) { t.Helper(); s.Set(t, dn, "nsAccountLock") }

// Join adds a member to a group.
func (s *Server) Join(t testing.TB, group, member string) {
	t.Helper()
	s.edit(t, "change "+group, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(group, nil)
		request.Add("member", []string{member})
		return c.Modify(request)
	})
}

// Leave takes a member out of a group.
func (s *Server) Leave(t testing.TB, group, member string) {
	t.Helper()
	s.edit(t, "change "+group, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(group, nil)
		request.Delete("member", []string{member})
		return c.Modify(request)
	})
}

// Values are those of an attribute.
func (s *Server) Values(t testing.TB, dn, attribute string) (values []string) {
	t.Helper()
	s.edit(t, "read "+dn, func(c *ldap.Conn) error {
		found, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
			"(objectClass=*)", []string{attribute}, nil))
		if err == nil && len(found.Entries) == 1 {
			values = found.Entries[0].GetEqualFoldAttributeValues(attribute)
		}
		return err
	})
	return values
}

// Names are the DNs of all entries of a class below a base, sorted.
func (s *Server) Names(t testing.TB, base, class string) (dns []string) {
	t.Helper()
	s.edit(t, "search "+base, func(c *ldap.Conn) error {
		found, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
			"(objectClass="+class+")", []string{"1.1"}, nil))
		if err != nil {
			return err
		}
		for _, entry := range found.Entries {
			dns = append(dns, entry.DN)
		}
		return nil
	})
	slices.Sort(dns)
	return dns
}
