package identity_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
)

func TestWhoIsMeant(t *testing.T) {
	t.Parallel()
	p := identity.Person{
		ID: identity.PersonID{Directory: "corp", Anchor: "7646-A"}, Name: "alice", DN: `cn=Smith\, Alice,ou=people,dc=example,dc=org`,
		Attributes: map[string][]string{
			"mail": {"alice@example.org", "a.smith@example.org"}, "cn": {"Alice Smith"}, "sAMAccountName": {"ASMITH"}, "title": {"boss"},
		},
	}
	for who, want := range map[string]identity.Fit{
		"7646-A": identity.ByID, "corp/7646-A": identity.ByID, "7646-a": identity.NoFit,
		`cn=Smith\, Alice,ou=people,dc=example,dc=org`:       identity.ByDN,
		`CN = Smith\, Alice, OU=People, DC=example , dc=org`: identity.ByDN,
		`cn=Smith,Alice,ou=people,dc=example,dc=org`:         identity.NoFit,
		"alice": identity.ByName, " Alice ": identity.ByName, "A.Smith@Example.org": identity.ByName, "asmith": identity.ByName,
		"alice smith": identity.ByText, "boss": identity.NoFit, "": identity.NoFit, "al": identity.NoFit,
	} {
		if got := p.Fits(who); got != want {
			t.Errorf("%q fits by %d, want %d", who, got, want)
		}
	}
	if got := identity.FitsOf("dup5", p.ID, p.DN, p.Name, "DUP5"); got != identity.ByName {
		t.Errorf("the name of an account fits by %d", got)
	}
	if !identity.ByID.Better(identity.ByText) || identity.NoFit.Better(identity.ByText) || !identity.ByText.Better(identity.NoFit) {
		t.Error("the order of fits")
	}
}
