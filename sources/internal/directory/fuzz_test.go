package directory

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

func TestAnchors(t *testing.T) {
	sid := "\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\xf4\x01\x00\x00"
	tests := []struct{ name, raw, text, filter string }{
		{
			"entryUUID",
			"3B0E7A5C-1D2E-4F50-8A9B-0C1D2E3F4A5B",
			"3b0e7a5c-1d2e-4f50-8a9b-0c1d2e3f4a5b",
			"(entryUUID=3b0e7a5c-1d2e-4f50-8a9b-0c1d2e3f4a5b)",
		},
		{
			"nsUniqueId",
			"4cf0561f-e7d711f1-aaaa0000-12345678",
			"4cf0561f-e7d711f1-aaaa0000-12345678",
			"(nsUniqueId=4cf0561f-e7d711f1-aaaa0000-12345678)",
		},
		{
			"objectGUID", "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", "00112233-4455-6677-8899-aabbccddeeff",
			`(objectGUID=\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff)`,
		},
		{
			"objectSid",
			sid,
			"S-1-5-21-1-2-3-500",
			`(objectSid=\01\05\00\00\00\00\00\05\15\00\00\00\01\00\00\00\02\00\00\00\03\00\00\00\f4\01\00\00)`,
		},
		{"employeeNumber", " 0042 ", "0042", "(employeeNumber=0042)"},
		{"employeeNumber", "a*)(b", "a*)(b", `(employeeNumber=a\2a\29\28b)`},
	}
	for _, tt := range tests {
		a := newAnchor(tt.name)
		text, err := a.render([]byte(tt.raw))
		if err != nil || text != tt.text {
			t.Errorf("%s of %q is %q, %v, want %q", tt.name, tt.raw, text, err, tt.text)
		}
		if filter, err := a.filter(text); err != nil || filter != tt.filter {
			t.Errorf("filter of %q is %q, %v, want %q", text, filter, err, tt.filter)
		}
	}
	for name, raw := range map[string]string{"objectGUID": "short", "objectSid": "\x01\x05", "entryUUID": " ", "employeeNumber": "\xff"} {
		if text, err := newAnchor(name).render([]byte(raw)); err == nil {
			t.Errorf("%s of %q is %q, want an error", name, raw, text)
		}
	}
}

// What is rendered is found again by the same bytes, and every filter can be sent.
func FuzzAnchor(f *testing.F) {
	f.Add([]byte("\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"))
	f.Add([]byte("\x01\x01\x00\x00\x00\x00\x00\x05\x12\x00\x00\x00"))
	f.Add([]byte(`a*)(|(cn=\`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range []string{"objectGUID", "objectSid", "entryUUID", "employeeNumber"} {
			a := newAnchor(name)
			text, err := a.render(raw)
			if err != nil {
				continue
			}
			filter, err := a.filter(text)
			if err != nil {
				t.Fatalf("%s %q has no filter: %v", name, text, err)
			}
			packet, err := ldap.CompileFilter(filter)
			if err != nil {
				t.Fatalf("%s cannot be sent: %v", filter, err)
			}
			if packet.Tag != ldap.FilterEqualityMatch {
				t.Errorf("%s is not an equality", filter)
			}
			if a.directory() && !bytes.Equal(packet.Children[1].Data.Bytes(), raw) {
				t.Errorf("%s %q asks for %q", name, raw, packet.Children[1].Data.Bytes())
			}
		}
	})
}

// A DN never reads as another group member's: attribute values of any shape have one key.
func FuzzMember(f *testing.F) {
	f.Add("member", "uid=a,ou=b")
	f.Add("uniqueMember", "uid=a#'0101'B")
	f.Add("memberUid", "a")
	f.Fuzz(func(t *testing.T, attribute, value string) {
		if ldapclient.KeyOfMember(attribute, value) == ldapclient.LoginKey(value) && !strings.EqualFold(attribute, "memberUid") {
			t.Errorf("%s %q reads as a login", attribute, value)
		}
	})
}

// Whatever a server sends of an entry concerns that person at most, and what is rendered is text.
func FuzzPerson(f *testing.F) {
	f.Add("uid=a,ou=b", "cn;lang-de", []byte("\xff"), "entryUUID", []byte("u"))
	f.Add("", "userAccountControl", []byte("x"), "ENTRYUUID;binary", []byte(""))
	f.Add("a", "pwdEndTime", []byte("2026"), "accountExpires", []byte("-9223372036854775808"))
	f.Fuzz(func(t *testing.T, dn, name1 string, value1 []byte, name2 string, value2 []byte) {
		b := block{anchor: newAnchor("entryUUID"), name: "uid"}
		p := b.entryReader("corp", []string{"cn", "jpegPhoto", "uid"}, time.Unix(0, 0))
		entry := &ldap.Entry{DN: dn, Attributes: []*ldap.EntryAttribute{
			{Name: name1, Values: []string{string(value1)}, ByteValues: [][]byte{value1}},
			{Name: name2, Values: []string{string(value2)}, ByteValues: [][]byte{value2}},
		}}
		who, err := p.person(entry)
		var personal *sources.PersonError
		partial := ldapclient.ParseDescription(name1).Partial || ldapclient.ParseDescription(name2).Partial
		if err != nil && !errors.As(err, &personal) && !partial {
			t.Error(err)
		}
		if err == nil && partial {
			t.Error("somebody of whom a part came only")
		}
		if err == nil && who.ID.Anchor == "" {
			t.Errorf("somebody without an anchor: %+v", who)
		}
		if !utf8.ValidString(who.Name) || !utf8.ValidString(who.DN) {
			t.Errorf("name %q, DN %q of %q", who.Name, who.DN, dn)
		}
		for name, values := range who.Attributes {
			if name != "cn" && name != "jpegPhoto" && name != "uid" {
				t.Errorf("%s was not asked for", name)
			}
			for _, value := range values {
				if !utf8.ValidString(value) {
					t.Errorf("%s is %q", name, value)
				}
			}
		}
	})
}

// What is kept of an entry comes back as it was, and nothing else is taken for an entry.
func FuzzEntry(f *testing.F) {
	f.Add([]byte{}, "uid=a", "cn", []byte("x"))
	f.Add(appendEntry(nil, ldap.NewEntry("uid=a,o=x", map[string][]string{"cn": {"a", "b"}, "sn": nil})), "", "jpegPhoto;binary", []byte{0, 255})
	f.Fuzz(func(t *testing.T, raw []byte, dn, name string, value []byte) {
		if entry, err := readEntry(raw); err == nil && !bytes.Equal(appendEntry(nil, entry), raw) {
			if again, err := readEntry(appendEntry(nil, entry)); err != nil || again.DN != entry.DN {
				t.Errorf("%x: %v, %v", raw, entry, err)
			}
		}
		entry := &ldap.Entry{DN: dn, Attributes: []*ldap.EntryAttribute{
			{Name: name, Values: []string{string(value), dn}, ByteValues: [][]byte{value, []byte(dn)}}, {Name: "none"},
		}}
		written := appendEntry(nil, entry)
		read, err := readEntry(written)
		if err != nil || read.DN != dn || len(read.Attributes) != 2 || read.Attributes[0].Name != name ||
			read.Attributes[0].Values[0] != string(value) || !bytes.Equal(read.Attributes[0].ByteValues[0], value) ||
			len(read.Attributes[1].Values) != 0 {
			t.Errorf("%v became %v, %v", entry, read, err)
		}
		if _, err := readEntry(written[:len(written)-1]); err == nil {
			t.Error("half an entry is taken for one")
		}
	})
}

// FuzzMetadata: whatever a controller says of its changes, an instant comes of it or the other one.
func FuzzMetadata(f *testing.F) {
	f.Add("<DS_REPL_ATTR_META_DATA><pszAttributeName>name</pszAttributeName>" +
		"<ftimeLastOriginatingChange>2026-03-01T12:00:00Z</ftimeLastOriginatingChange></DS_REPL_ATTR_META_DATA>\x00")
	f.Add("<a><ftimeLastOriginatingChange>1601-01-01T00:00:00Z</ftimeLastOriginatingChange></a>")
	f.Add("&")
	otherwise := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		entry := ldap.NewEntry("cn=a", map[string][]string{metadata: {text}})
		if at := originated(entry, otherwise, "name"); at.Year() <= 1601 || at.Location() != time.UTC {
			t.Errorf("%q: %s", text, at)
		}
	})
}

// One name has one key, however it is spelled.
func FuzzKey(f *testing.F) {
	f.Add("CN=Ann  Smith , OU=x")
	f.Add(`cn=a\2cb+uid=1,o=`)
	f.Fuzz(func(t *testing.T, dn string) {
		if once, err := ldapclient.NormalDN(dn); err == nil && ldapclient.DNKey(dn) != ldapclient.DNKey(once) {
			t.Errorf("%q and %q have different keys", dn, once)
		}
	})
}
