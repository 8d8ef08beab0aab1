package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// startDirectory serves a company of so many people and returns a connection that is bound.
func startDirectory(t *testing.T, people int) (*company, *ldap.Conn) {
	t.Helper()
	d := &directory{}
	c, err := newCompany(d, people)
	if err != nil {
		t.Fatal(err)
	}
	s, err := serveLDAP(t.Context(), d, readerDN, "secret", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	conn, err := ldap.DialURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.Bind(readerDN, "secret"); err != nil {
		t.Fatal(err)
	}
	return c, conn
}

func search(base string, scope int, filter string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil)
}

func TestDirectoryFilters(t *testing.T) {
	c, conn := startDirectory(t, 8)
	one, err := c.pick(func(*person) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		filter string
		want   int
	}{
		{"(objectClass=inetOrgPerson)", 8},
		{"(&(objectClass=person)(ou=sales))", 2},
		{"(|(ou=sales)(ou=SUPPORT))", 4 + 2}, // and the two units themselves
		{"(&(objectClass=person)(!(ou=sales)))", 6},
		{"(UID=" + one.uid + ")", 1},
		{"(entryUUID=" + one.id + ")", 1},
		{"(mail=*@example.org)", 8},
		{"(uid=" + one.uid[:2] + "*" + one.uid[len(one.uid)-2:] + ")", 1},
		{"(employeeNumber>=10006)", 2},
		{"(nosuch=*)", 0},
		{"(uid:caseExactMatch:=x)", 0},
		{"(!(uid:caseExactMatch:=x))", 0},
		{"(&(cn=staff)(member=UID=" + one.uid + ", OU=" + one.unit + "," + peopleDN + "))", 1},
	}
	for _, tt := range tests {
		found, err := conn.Search(search(suffix, ldap.ScopeWholeSubtree, tt.filter, "1.1"))
		if err != nil {
			t.Errorf("%s: %v", tt.filter, err)
		} else if len(found.Entries) != tt.want {
			t.Errorf("%s finds %d entries, want %d", tt.filter, len(found.Entries), tt.want)
		}
	}
}

func TestDirectoryPagesAreComplete(t *testing.T) {
	_, conn := startDirectory(t, 23)
	for _, size := range []uint32{1, 5, 23, 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			found, err := conn.SearchWithPaging(search(peopleDN, ldap.ScopeWholeSubtree, "(objectClass=inetOrgPerson)", "uid"), size)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, e := range found.Entries {
				seen[e.DN] = true
			}
			if len(seen) != 23 || len(found.Entries) != 23 {
				t.Errorf("%d entries, %d different", len(found.Entries), len(seen))
			}
		})
	}
}

func TestDirectoryAttributesAreThoseAskedFor(t *testing.T) {
	_, conn := startDirectory(t, 1)
	tests := []struct {
		name        string
		asked, want []string
	}{
		{"by name, in the schema's spelling", []string{"GIVENNAME", "entryuuid", "nosuch"}, []string{"entryUUID", "givenName"}},
		{"none", []string{"1.1"}, nil},
		{"operational", []string{"+"}, []string{"entryUUID"}},
		{"all others", nil, []string{"cn", "employeeNumber", "givenName", "mail", "objectClass", "ou", "sn", "uid"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := conn.Search(search(peopleDN, ldap.ScopeWholeSubtree, "(uid=*)", tt.asked...))
			if err != nil || len(found.Entries) != 1 {
				t.Fatal(found, err)
			}
			var got []string
			for _, a := range found.Entries[0].Attributes {
				got = append(got, a.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDirectoryRefuses(t *testing.T) {
	_, conn := startDirectory(t, 3)
	tests := []struct {
		name string
		do   func() error
		want uint16
	}{
		{"a base that is not there", func() error {
			_, err := conn.Search(search("ou=nowhere,"+suffix, ldap.ScopeWholeSubtree, "(uid=*)"))
			return err
		}, ldap.LDAPResultNoSuchObject},
		{"more than the client's size limit", func() error {
			request := search(peopleDN, ldap.ScopeWholeSubtree, "(uid=*)")
			request.SizeLimit = 2
			_, err := conn.Search(request)
			return err
		}, ldap.LDAPResultSizeLimitExceeded},
		{"writes", func() error { return conn.Del(ldap.NewDelRequest(peopleDN, nil)) }, ldap.LDAPResultUnwillingToPerform},
		{"extended operations", func() error {
			_, err := conn.WhoAmI(nil)
			return err
		}, ldap.LDAPResultProtocolError},
		{"a wrong password", func() error { return conn.Bind(readerDN, "guess") }, ldap.LDAPResultInvalidCredentials},
		{"strangers", func() error {
			_, err := conn.Search(search(peopleDN, ldap.ScopeWholeSubtree, "(uid=*)"))
			return err
		}, ldap.LDAPResultInsufficientAccessRights},
	}
	for _, tt := range tests {
		err := tt.do()
		var got *ldap.Error
		if !errors.As(err, &got) || got.ResultCode != tt.want {
			t.Errorf("%s: %v, want code %d", tt.name, err, tt.want)
		}
	}
	root, err := conn.Search(search("", ldap.ScopeBaseObject, "(objectClass=*)", "namingContexts", "supportedControl"))
	if err != nil || len(root.Entries) != 1 || root.Entries[0].GetAttributeValue("namingContexts") != suffix {
		t.Errorf("root DSE: %v, %v", root, err)
	}
}

func TestPeopleKeepTheirAnchorAndTheirGroups(t *testing.T) {
	c, conn := startDirectory(t, 8)
	p, err := c.pick(func(p *person) bool { return p.unit == "engineering" })
	if err != nil {
		t.Fatal(err)
	}
	groupsOf := func() []string {
		found, err := conn.Search(search(groupsDN, ldap.ScopeSingleLevel, "(member="+p.dn()+")", "cn"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range found.Entries {
			names = append(names, e.GetAttributeValue("cn"))
		}
		slices.Sort(names)
		return names
	}
	for name, change := range map[string]func() error{
		"marry":    func() error { return c.marry(p, "Ueda") },
		"transfer": func() error { return c.transfer(p, "sales") },
		"regroup":  func() error { return c.regroup(p, "chat-engineering", "chat-oncall") },
	} {
		if err := change(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found, err := conn.Search(search(suffix, ldap.ScopeWholeSubtree, "(entryUUID="+p.id+")", "uid", "ou", "cn"))
		if err != nil || len(found.Entries) != 1 {
			t.Fatalf("%s: %v, %v", name, found, err)
		}
		e := found.Entries[0]
		if e.DN != p.dn() || e.GetAttributeValue("uid") != p.uid || e.GetAttributeValue("cn") != p.cn() || e.GetAttributeValue("ou") != p.unit {
			t.Errorf("%s: the directory has %s, the company means %+v", name, e.DN, p)
		}
		if diff := cmp.Diff(p.groups, groupsOf()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if err := c.leave(p, deleted); err != nil {
		t.Fatal(err)
	}
	if left := groupsOf(); left != nil {
		t.Errorf("a deleted person is still in %q", left)
	}
}

func FuzzLDAPRequests(f *testing.F) {
	message := ber.NewSequence("")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""))
	filter, err := ldap.CompileFilter("(&(uid=a*b*c)(!(member=cn=x,dc=y))(cn>=a)(|(sn=*)))")
	if err != nil {
		f.Fatal(err)
	}
	message.AppendChild(searchPacket(suffix, filter))
	asked := message.Bytes()
	f.Add([]byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00})
	f.Add(asked)
	f.Fuzz(func(t *testing.T, request []byte) {
		d := &directory{}
		d.add(suffix)
		session := &ldapSession{server: &ldapServer{directory: d, bindDN: readerDN}, out: bufio.NewWriter(io.Discard), bound: true}
		_ = session.serve(bytes.NewReader(request)) // whatever comes, it ends without a panic
	})
}

// searchPacket is a search request over a whole tree.
func searchPacket(base string, filter *ber.Packet) *ber.Packet {
	request := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchRequest, nil, "")
	request.AppendChild(octets(base))
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, ldap.ScopeWholeSubtree, ""))
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, ldap.NeverDerefAliases, ""))
	for range 2 { // size and time limit
		request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 0, ""))
	}
	request.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, ""))
	request.AppendChild(filter)
	request.AppendChild(ber.NewSequence(""))
	return request
}
