package slapdtest

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
	conn := s.bind(t, s.AdminDN())
	defer conn.Close()
	check(t, what, fn(conn))
}

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
	s.Add(t, dn, map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {name}})
	return dn
}

// Delete removes an entry.
func (s *Server) Delete(t testing.TB, dn string) {
	t.Helper()
	s.edit(t, "delete "+dn, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Rename changes an entry's first component, such as "uid=alice2", and returns the new DN.
func (s *Server) Rename(t testing.TB, dn, rdn string) string {
	t.Helper()
	s.edit(t, "rename "+dn, func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, "")) })
	return rdn + "," + identity.ParentDN(dn)
}

// Move puts an entry, with all that is below, under parent, and returns the new DN.
func (s *Server) Move(t testing.TB, dn, parent string) string {
	t.Helper()
	rdn := strings.TrimSuffix(dn, ","+identity.ParentDN(dn))
	s.edit(t, "move "+dn, func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, parent)) })
	return rdn + "," + parent
}

// Set replaces an attribute's values; none takes it away.
func (s *Server) Set(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	s.edit(t, "set "+attribute+" of "+dn, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(dn, nil)
		request.Replace(attribute, values)
		return c.Modify(request)
	})
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

// Join makes member a member of a group.
func (s *Server) Join(t testing.TB, group, member string) {
	t.Helper()
	s.edit(t, "join "+group, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(group, nil)
		request.Add("member", []string{member})
		return c.Modify(request)
	})
}

// Leave ends a Join.
func (s *Server) Leave(t testing.TB, group, member string) {
	t.Helper()
	s.edit(t, "leave "+group, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(group, nil)
		request.Delete("member", []string{member})
		return c.Modify(request)
	})
}

// Values reads an attribute of an entry as the administrator; nil where there is no entry or no value.
func (s *Server) Values(t testing.TB, dn, attribute string) (values []string) {
	t.Helper()
	s.edit(t, "read "+dn, func(c *ldap.Conn) error {
		result, err := c.Search(
			ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
				[]string{attribute}, nil),
		)
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		if err == nil && len(result.Entries) > 0 {
			values = slices.Clone(result.Entries[0].GetEqualFoldAttributeValues(attribute))
		}
		return err
	})
	return values
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
	check(t, "find the database in cn=config", err)
	if len(result.Entries) != 1 {
		t.Fatalf("cn=config has %d databases of %s", len(result.Entries), s.suffix)
	}
	request := ldap.NewModifyRequest(result.Entries[0].DN, nil)
	request.Replace(attribute, values)
	check(t, "set "+attribute, conn.Modify(request))
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
