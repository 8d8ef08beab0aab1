//go:build unix

package sambatest

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
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

// Anchor is somebody's objectGUID, as people write it (MS-DTYP 2.3.4.3).
func (s *Server) Anchor(t testing.TB, dn string) string {
	t.Helper()
	values := s.Values(t, dn, "objectGUID")
	if len(values) != 1 || len(values[0]) != 16 {
		t.Fatalf("%s has no objectGUID", dn)
	}
	b := []byte(values[0])
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]),
		binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])
}

// Restore makes a tombstone an object again (MS-ADTS 3.1.1.5.3.7), without what tombstones lose: id is its objectGUID as
// people write it. Samba 4.17 cannot take objects out of a recycle bin.
func (s *Server) Restore(t testing.TB, id, dn string) {
	t.Helper()
	s.Edit(t, "restore "+dn, func(c *ldap.Conn) error {
		shown := []ldap.Control{ldap.NewControlMicrosoftShowDeleted()}
		found, err := c.Search(ldap.NewSearchRequest("<GUID="+id+">", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
			"(objectClass=*)", []string{"isDeleted"}, shown))
		if err != nil {
			return err
		}
		request := ldap.NewModifyRequest(found.Entries[0].DN, shown)
		request.Delete("isDeleted", nil)
		request.Replace("distinguishedName", []string{dn})
		return c.Modify(request)
	})
}

// Grant gives the reader rights on an entry and what is below it: each ace is one of a security descriptor (MS-DTYP 2.5.1.1)
// without its account, such as "(A;CI;WP;;;" or "(OA;CI;CR;00299570-246d-11d0-a768-00aa006e0529;;".
func (s *Server) Grant(t testing.TB, dn string, aces ...string) {
	t.Helper()
	raw := []byte(s.Values(t, "CN=dirsweep,CN=Users,"+baseDN, "objectSid")[0])
	sid := "S-1-5"
	for sub := raw[8:]; len(sub) > 0; sub = sub[4:] {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(sub))
	}
	for _, ace := range aces {
		ldaptest.Output(t, "grant "+ace, "samba-tool", "dsacl", "set", "-s", s.conf(), "-H", s.database(),
			"--objectdn="+dn, "--sddl="+ace+sid+")")
	}
}

// UseRecycleBin lets deleted objects keep what tombstones lose (MS-ADTS 3.1.1.8.1, Recycle Bin). Samba takes that from its
// own tools only.
func (s *Server) UseRecycleBin(t testing.TB) {
	t.Helper()
	script := s.path("recycle.ldif")
	ldaptest.Check(t, "write LDIF", os.WriteFile(script, []byte("dn:\nchangetype: modify\nadd: enableOptionalFeature\n"+
		"enableOptionalFeature: CN=Partitions,CN=Configuration,"+baseDN+":766ddcd8-acd0-445e-f3b9-a7f9b6744f2a\n"), 0o600))
	ldaptest.Output(t, "use the recycle bin", "ldbmodify", "-H", s.database(), "--configfile="+s.conf(), script)
}
