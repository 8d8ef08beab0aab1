package slapdtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// UID is the login of the person of number i, from 1.
func UID(i int) string { return ldaptest.UID(i) }

// GroupName is the name of the group of number g, from 1.
func GroupName(g int) string { return fmt.Sprintf("group%03d", g) }

// PersonDN is where the person of that login is loaded or added.
func (s *Server) PersonDN(uid string) string { return "uid=" + ldap.EscapeDN(uid) + "," + s.PeopleDN() }

// GroupDN is where the group of that name is.
func (s *Server) GroupDN(name string) string { return "cn=" + ldap.EscapeDN(name) + "," + s.GroupsDN() }

// load writes the directory with slapadd, at some ten thousand entries a second.
func (s *Server) load(t testing.TB, o Options) {
	t.Helper()
	command := exec.Command("/usr/sbin/slapadd", "-q", "-f", s.path("slapd.conf"), "-b", s.suffix)
	in, err := command.StdinPipe()
	ldaptest.Check(t, "start slapadd", err)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	ldaptest.Check(t, "start slapadd", command.Start())
	w := bufio.NewWriter(in)
	if o.Copy != nil {
		dump := exec.Command("/usr/sbin/slapcat", "-f", o.Copy.path("slapd.conf"), "-b", s.suffix)
		dump.Stdout = w
		ldaptest.Check(t, "copy a server", dump.Run())
	} else {
		s.skeleton(w)
	}
	if o.Locks {
		entry(w, "cn=policy,"+s.suffix, map[string][]string{
			"objectClass": {"organizationalRole", "pwdPolicy"}, "pwdAttribute": {"userPassword"}, "pwdLockout": {"TRUE"},
		})
	}
	for i := 1; i <= o.People; i++ {
		attributes := person(UID(i), i)
		if o.Person != nil {
			for name, values := range o.Person(i) {
				if name == "objectClass" {
					values = append(attributes[name], values...)
				}
				attributes[name] = values
			}
		}
		entry(w, s.PersonDN(UID(i)), attributes)
	}
	for g := 1; g <= o.Groups; g++ {
		members := []string{"cn=nobody," + s.suffix}
		for i := g; i <= o.People; i += o.Groups {
			members = append(members, s.PersonDN(UID(i)))
		}
		entry(
			w,
			s.GroupDN(GroupName(g)),
			map[string][]string{"objectClass": {"groupOfNames"}, "cn": {GroupName(g)}, "member": members},
		)
	}
	_, _ = io.WriteString(w, o.LDIF)
	err = w.Flush()
	_ = in.Close()
	if wait := command.Wait(); wait != nil || err != nil {
		t.Fatalf("slapadd: %v %v\n%s", wait, err, out.String())
	}
}

func (s *Server) skeleton(w io.Writer) {
	entry(
		w,
		s.suffix,
		map[string][]string{"objectClass": {"dcObject", "organization"}, "o": {"Example"}, "dc": {"example"}},
	)
	for _, ou := range []string{"people", "groups", "former"} {
		entry(w, "ou="+ou+","+s.suffix, map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {ou}})
	}
	for _, cn := range []string{"reader", "limited"} {
		entry(w, "cn="+cn+","+s.suffix, map[string][]string{
			"objectClass": {"organizationalRole", "simpleSecurityObject"}, "cn": {cn}, "userPassword": {s.Password()},
		})
	}
}

func person(uid string, i int) map[string][]string {
	first, last := fmt.Sprintf("First%d", i), fmt.Sprintf("Last%d", i)
	return map[string][]string{
		"objectClass":      {"inetOrgPerson"},
		"uid":              {uid},
		"cn":               {first + " " + last},
		"sn":               {last},
		"givenName":        {first},
		"displayName":      {first + " " + last},
		"mail":             {uid + "@example.org"},
		"telephoneNumber":  {fmt.Sprintf("+1 555 %07d", i)},
		"departmentNumber": {fmt.Sprint(i % 50)},
		"title":            {"Engineer"},
		"employeeNumber":   {fmt.Sprint(i)},
	}
}

// entry writes LDIF (RFC 2849).
func entry(w io.Writer, dn string, attributes map[string][]string) {
	line(w, "dn", dn)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		for _, value := range attributes[name] {
			line(w, name, value)
		}
	}
	_, _ = io.WriteString(w, "\n")
}

func line(w io.Writer, name, value string) {
	plain := utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) &&
		strings.TrimSpace(value) == value && !strings.HasPrefix(value, ":") && !strings.HasPrefix(value, "<")
	if plain {
		_, _ = fmt.Fprintf(w, "%s: %s\n", name, value)
		return
	}
	_, _ = fmt.Fprintf(w, "%s:: %s\n", name, base64.StdEncoding.EncodeToString([]byte(value)))
}
