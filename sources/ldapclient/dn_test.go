package ldapclient

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestNormalDN(t *testing.T) {
	tests := []struct{ dn, want string }{
		{"UID=Alice,OU=People,DC=example,DC=org", "uid=alice,ou=people,dc=example,dc=org"},
		{" uid = alice , ou=people;dc=example,dc=org ", "uid=alice,ou=people,dc=example,dc=org"},
		{`cn=Lee\, Ann,o=x`, `cn=lee\2c ann,o=x`},
		{`cn=Lee\2C Ann,o=x`, `cn=lee\2c ann,o=x`},
		{`cn="Lee, Ann",o=x`, `cn=lee\2c ann,o=x`},
		{`cn=a\ ,o=x`, `cn=a,o=x`},
		{`cn=a   b,o=x`, `cn=a b,o=x`},
		{"sn=b+cn=a,o=x", "cn=a+sn=b,o=x"},
		{"2.5.4.3=a,OID.2.5.4.10=x", "cn=a,o=x"},
		{`cn=\c3\85ngstr\C3\B6m,o=x`, "cn=ångström,o=x"},
		{"cn=A\u030angstro\u0308m,o=x", "cn=ångström,o=x"},
		{"cn=\xff\xfe,o=x", "cn=\xff\xfe,o=x"},
		{`cn=\#1,o=x`, `cn=\231,o=x`},
		{"cn=#0401,o=x", "cn=#0401,o=x"},
		{"cn=a=b,o=x", "cn=a=b,o=x"},
		{"", ""},
	}
	for _, tt := range tests {
		if got, err := NormalDN(tt.dn); err != nil || got != tt.want {
			t.Errorf("normalDN(%q) = %q, %v, want %q", tt.dn, got, err, tt.want)
		}
	}
	for _, bad := range []string{"alice", "uid=a,", ",uid=a", `cn=a\`, `cn="a`, "=a", "cn=a,,o=x", "cn=a+,o=x"} {
		if got, err := NormalDN(bad); err == nil {
			t.Errorf("normalDN(%q) = %q, want an error", bad, got)
		}
	}
	if Within(`cn=x\,ou=people,dc=example`, "ou=people,dc=example") ||
		!Within("UID=a, OU=People,DC=example", "ou=people,dc=example") {
		t.Error("within takes an escaped comma for a separator, or minds letter case")
	}
}

// A normal name is stable, has as many components as its source, and none of its commas is part of a value.
func FuzzNormalDN(f *testing.F) {
	for _, seed := range []string{
		`uid=a,ou=b`, `cn="x,y"+sn=\2C\\;o=#04`, "cn=\u0130\ufb01,o=\xff", `cn=\ a\ ,o= `, "a=+b=", `a="\"",b=c`, "2.5.4.3=ſ", `c=\,\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		once, err := NormalDN(dn)
		if err != nil {
			return
		}
		twice, err := NormalDN(once)
		if err != nil || twice != once {
			t.Errorf("%q became %q, and that %q, %v", dn, once, twice, err)
		}
		if theirs, err := ldap.ParseDN(dn); err == nil && once != "" && !strings.Contains(dn, `"`) &&
			!strings.Contains(dn, ";") {
			if got := strings.Count(once, ",") + 1; got != len(theirs.RDNs) {
				t.Errorf("%q became %q with %d components, want %d", dn, once, got, len(theirs.RDNs))
			}
		}
		if again, err := NormalDN(Readable(dn)); (err != nil || again != once) && !strings.Contains(dn, `\`) {
			t.Errorf("%q and %q are different: %q, %v", dn, Readable(dn), again, err)
		}
	})
}
