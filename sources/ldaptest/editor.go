package ldaptest

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// An Editor changes what is in a server.
type Editor struct {
	// SignIn connects as somebody who may change everything. The Editor closes the connection.
	SignIn func(t testing.TB) *ldap.Conn
}

// Edit runs fn on a connection of the administrator.
func (e Editor) Edit(t testing.TB, what string, fn func(*ldap.Conn) error) {
	t.Helper()
	conn := e.SignIn(t)
	defer conn.Close()
	Check(t, what, fn(conn))
}

// Add adds any entry.
func (e Editor) Add(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	e.Edit(t, "add "+dn, func(c *ldap.Conn) error {
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
func (e Editor) AddUnit(t testing.TB, name, parent string) string {
	t.Helper()
	dn := "ou=" + ldap.EscapeDN(name) + "," + parent
	e.Add(t, dn, map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {name}})
	return dn
}

// Delete removes an entry.
func (e Editor) Delete(t testing.TB, dn string) {
	t.Helper()
	e.Edit(t, "delete "+dn, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Rename changes an entry's first component, such as "uid=alice2", and returns the new DN.
func (e Editor) Rename(t testing.TB, dn, rdn string) string {
	t.Helper()
	e.Edit(t, "rename "+dn, func(c *ldap.Conn) error {
		return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, ""))
	})
	return rdn + "," + identity.ParentDN(dn)
}

// Move puts an entry, with all that is below, under parent, and returns the new DN.
func (e Editor) Move(t testing.TB, dn, parent string) string {
	t.Helper()
	rdn := strings.TrimSuffix(dn, ","+identity.ParentDN(dn))
	e.Edit(t, "move "+dn, func(c *ldap.Conn) error {
		return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, parent))
	})
	return rdn + "," + parent
}

// Set replaces an attribute's values; none takes it away.
func (e Editor) Set(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	e.modify(t, "set "+attribute+" of "+dn, dn, func(r *ldap.ModifyRequest) { r.Replace(attribute, values) })
}

// Join makes member a member of a group.
func (e Editor) Join(t testing.TB, group, member string) {
	t.Helper()
	e.modify(t, "join "+group, group, func(r *ldap.ModifyRequest) { r.Add("member", []string{member}) })
}

// Leave ends a Join.
func (e Editor) Leave(t testing.TB, group, member string) {
	t.Helper()
	e.modify(t, "leave "+group, group, func(r *ldap.ModifyRequest) { r.Delete("member", []string{member}) })
}

func (e Editor) modify(t testing.TB, what, dn string, change func(*ldap.ModifyRequest)) {
	t.Helper()
	e.Edit(t, what, func(c *ldap.Conn) error {
		request := ldap.NewModifyRequest(dn, nil)
		change(request)
		return c.Modify(request)
	})
}

// Values reads an attribute of an entry; nil where there is no entry or no value.
func (e Editor) Values(t testing.TB, dn, attribute string) (values []string) {
	t.Helper()
	for _, entry := range e.search(t, dn, ldap.ScopeBaseObject, "(objectClass=*)", attribute) {
		values = slices.Clone(entry.GetEqualFoldAttributeValues(attribute))
	}
	return values
}

// Names are the DNs of all entries of a class below a base, sorted.
func (e Editor) Names(t testing.TB, base, class string) (dns []string) {
	t.Helper()
	for _, entry := range e.search(t, base, ldap.ScopeWholeSubtree, "(objectClass="+class+")", "1.1") {
		dns = append(dns, entry.DN)
	}
	slices.Sort(dns)
	return dns
}

// search returns nothing where the base is not there.
func (e Editor) search(t testing.TB, base string, scope int, filter, attribute string) (entries []*ldap.Entry) {
	t.Helper()
	e.Edit(t, "search "+base, func(c *ldap.Conn) error {
		found, err := c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 0, 0, false, filter,
			[]string{attribute}, nil))
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		if err == nil {
			entries = found.Entries
		}
		return err
	})
	return entries
}
