package directory

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// person reads an entry of pairs of attribute and value.
func person(t testing.TB, b block, need []string, now time.Time, dn string, pairs ...string) (identity.Person, error) {
	t.Helper()
	r := b.entryReader("corp", need, now)
	entry := &ldap.Entry{DN: dn}
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		var have *ldap.EntryAttribute
		for _, attr := range entry.Attributes {
			if attr.Name == name {
				have = attr
			}
		}
		if have == nil {
			have = &ldap.EntryAttribute{Name: name}
			entry.Attributes = append(entry.Attributes, have)
		}
		have.Values, have.ByteValues = append(have.Values, value), append(have.ByteValues, []byte(value))
	}
	who, err := r.person(entry)
	return who.Person, err
}

// TestLocks: each way in which directories say that somebody may not sign in, and what looks like one.
func TestLocks(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	unix := func(offset time.Duration) string { return fmt.Sprint(now.Add(offset).Unix()) }
	const open, unsure = "", "?"
	for _, c := range []struct {
		attribute, value string
		want             string // of Inactive, "?" for a person who cannot be read
	}{
		{"nsAccountLock", "true", "nsAccountLock is true"},
		{"nsAccountLock", "TRUE", "nsAccountLock is TRUE"},
		{"NSACCOUNTLOCK", "True ", "nsAccountLock is True "},
		{"nsAccountLock", "FALSE", open},
		{"nsAccountLock", "", open},
		{"nsAccountLock", "perhaps", unsure},
		{"loginDisabled", "TRUE", "loginDisabled is TRUE"},
		{"pwdAccountLockedTime", "000001010000Z", "pwdAccountLockedTime is 000001010000Z"},
		{"pwdAccountLockedTime", "20260430230000Z", open},
		{"ibm-pwdAccountLocked", "true", "ibm-pwdAccountLocked is true"},
		{"ds-pwp-account-disabled", "true", "ds-pwp-account-disabled is true"},
		{"msDS-UserAccountDisabled", "TRUE", "msDS-UserAccountDisabled is TRUE"},
		{"inetUserStatus", "Inactive", "inetUserStatus is Inactive"},
		{"inetUserStatus", "deleted", "inetUserStatus is deleted"},
		{"inetUserStatus", "active", open},
		{"orclIsEnabled", "DISABLED", "orclIsEnabled is DISABLED"},
		{"orclIsEnabled", "ENABLED", open},
		{"sambaAcctFlags", "[UD         ]", "sambaAcctFlags has flag D, disabled"},
		{"sambaAcctFlags", "[DU]", "sambaAcctFlags has flag D, disabled"},
		{"sambaAcctFlags", "[UL         ]", open}, // locked for bad passwords
		{"sambaAcctFlags", "[U          ]", open},
		{"sambaAcctFlags", "[]", open},
		{"sambaAcctFlags", "UD", unsure},
		{"userAccountControl", "514", "userAccountControl has bit 2, disabled"},
		{"userAccountControl", "66082", "userAccountControl has bit 2, disabled"},
		{"userAccountControl", "512", open},
		{"userAccountControl", "544", open}, // no password is needed
		{"userAccountControl", "546", "userAccountControl has bit 2, disabled"},
		{"userAccountControl", "528", open}, // locked for bad passwords
		{"userAccountControl", "66048", open},
		{"lockoutTime", "134220672000000000", open},
		{"msDS-User-Account-Control-Computed", "16", open},
		{"msDS-User-Account-Control-Computed", "8388608", open}, // the password has expired
		{"userAccountControl", "0", unsure},
		{"userAccountControl", "", unsure},
		{"krbTicketFlags", "64", "krbTicketFlags has bit 0x40, disabled"},
		{"krbTicketFlags", "128", open}, // needs preauthentication
		{"krb5KDCFlags", "254", "krb5KDCFlags has bit 0x80, disabled"},
		{"krb5KDCFlags", "126", open},
		{"shadowExpire", "1", "shadowExpire has passed"},
		{"shadowExpire", "0", open},
		{"shadowExpire", "-1", open},
		{"shadowExpire", "20575", open},
		{"shadowExpire", "soon", unsure},
		{"sambaKickoffTime", unix(-time.Second), "sambaKickoffTime has passed"},
		{"sambaKickoffTime", unix(time.Second), open},
		{"sambaKickoffTime", "2147483647", open},
		{"sambaKickoffTime", "0", open},
		{"accountExpires", "134220672000000000", "accountExpires has passed"},
		{"accountExpires", "9223372036854775807", open},
		{"accountExpires", "0", open},
		{"krbPrincipalExpiration", "20260430235959Z", "krbPrincipalExpiration has passed"},
		{"krbPrincipalExpiration", "20260501010000Z", open},
		{"krb5ValidEnd", "20260430235959Z", "krb5ValidEnd has passed"},
		{"orclActiveEndDate", "20260430235959Z", "orclActiveEndDate has passed"},
		{"pwdEndTime", "20260501000000Z", "pwdEndTime has passed"},
		{"loginExpirationTime", "20270501000000Z", open},
	} {
		b := block{anchor: newAnchor("entryUUID"), name: "uid"}
		p, err := person(t, b, nil, now, "uid=a,ou=people,dc=x", "entryUUID", "u", c.attribute, c.value)
		var personal *sources.PersonError
		switch {
		case c.want == unsure:
			if !errors.As(err, &personal) || !strings.Contains(err.Error(), c.attribute) {
				t.Errorf("%s %q: %+v, %v", c.attribute, c.value, p, err)
			}
		case err != nil || p.Inactive != c.want || p.Active != (c.want == ""):
			t.Errorf("%s %q: active %t, %q, %v; want %q", c.attribute, c.value, p.Active, p.Inactive, err, c.want)
		}
	}
}

// TestR13EndsAreTold: when somebody's time ends is told of each attribute that says it, before and after.
func TestR13EndsAreTold(t *testing.T) {
	end := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	ticks := (end.Unix() + 11_644_473_600) * 10_000_000
	values := map[string]string{
		"accountExpires": fmt.Sprint(ticks), "shadowExpire": fmt.Sprint(end.Unix() / 86400), "sambaKickoffTime": fmt.Sprint(end.Unix()),
	}
	for _, generalized := range []string{
		"pwdEndTime", "krbPrincipalExpiration", "krb5ValidEnd", "loginExpirationTime", "orclActiveEndDate", "ds-pwp-account-expiration-time",
	} {
		values[generalized] = "20260501000000Z"
	}
	b := block{anchor: newAnchor("entryUUID"), name: "uid"}
	for attribute, value := range values {
		for _, now := range []time.Time{end.Add(-time.Nanosecond), end, end.Add(time.Hour)} {
			p, err := person(t, b, nil, now, "uid=a,dc=x", "entryUUID", "u", attribute, value)
			if err != nil || !p.Ends.Equal(end) || p.EndsBy != attribute || p.Active != now.Before(end) {
				t.Errorf("%s at %s: active %t, ends %s by %q, %v", attribute, now, p.Active, p.Ends, p.EndsBy, err)
			}
		}
	}
	for name, c := range map[string]struct {
		pairs []string
		ends  string
	}{
		"the earliest counts":              {[]string{"pwdEndTime", "20270501000000Z", "shadowExpire", "20574", "krb5ValidEnd", "20260601000000Z"}, "shadowExpire"},
		"a fraction of a second":           {[]string{"accountExpires", fmt.Sprint(ticks + 1), "pwdEndTime", "20260501000000Z"}, "pwdEndTime"},
		"never":                            {[]string{"accountExpires", "9223372036854775807", "shadowExpire", "-1", "sambaKickoffTime", "2147483647"}, ""},
		"later than anybody will see":      {[]string{"shadowExpire", "99999999999999", "sambaKickoffTime", "999999999999999", "accountExpires", "9223372036854775806"}, ""},
		"of who is locked it says nothing": {[]string{"pwdEndTime", "20270501000000Z", "nsAccountLock", "TRUE"}, ""},
	} {
		p, err := person(t, b, nil, end.AddDate(-1, 0, 0), "uid=a,dc=x", append([]string{"entryUUID", "u"}, c.pairs...)...)
		if err != nil || p.EndsBy != c.ends || p.Ends.IsZero() != (c.ends == "") {
			t.Errorf("%s: ends %s by %q, %v; want %q", name, p.Ends, p.EndsBy, err, c.ends)
		}
	}
}

// TestAnyReasonIsEnough: one attribute that says no is believed, whatever the others say or fail to say.
func TestAnyReasonIsEnough(t *testing.T) {
	b := block{anchor: newAnchor("entryUUID"), name: "uid"}
	for _, pairs := range [][]string{
		{"nsAccountLock", "FALSE", "loginDisabled", "TRUE"},
		{"loginDisabled", "TRUE", "nsAccountLock", "FALSE"},
		{"loginDisabled", "TRUE", "shadowExpire", "soon"},
		{"shadowExpire", "soon", "loginDisabled", "TRUE"},
		{"nsAccountLock", "FALSE", "nsAccountLock", "TRUE"},
	} {
		if p, err := person(t, b, nil, time.Unix(1e9, 0), "uid=a,dc=x", append([]string{"entryUUID", "u"}, pairs...)...); err != nil ||
			p.Active {
			t.Errorf("%q: %+v, %v", pairs, p, err)
		}
	}
}

// TestPeopleSetAside: FreeIPA moves leavers to a place of their own, where they are persons still.
func TestPeopleSetAside(t *testing.T) {
	b := block{anchor: newAnchor("entryUUID"), name: "uid"}
	for dn, active := range map[string]bool{
		"uid=bob,cn=users,cn=accounts,dc=ipa,dc=test":                               true,
		"uid=bob,cn=deleted users,cn=accounts,cn=provisioning,dc=ipa,dc=test":       false,
		"uid=bob, CN=Deleted  Users, cn=accounts, cn=Provisioning, dc=ipa, dc=test": false,
		"uid=bob,cn=staged users,cn=accounts,cn=provisioning,dc=ipa,dc=test":        false,
		"uid=bob,ou=provisioning,dc=ipa,dc=test":                                    true,
		"uid=bob,cn=more deleted users,cn=accounts,cn=provisioning,dc=ipa,dc=test":  true,
	} {
		p, err := person(t, b, nil, time.Unix(1e9, 0), dn, "entryUUID", "u")
		if err != nil || p.Active != active || active != (p.Inactive == "") {
			t.Errorf("%s: %+v, %v", dn, p, err)
		}
	}
}

// TestR01AControlThatIsMissingIsUnreadable: every user of Active Directory has a userAccountControl, so that one
// without is a lost right.
func TestR01AControlThatIsMissingIsUnreadable(t *testing.T) {
	const guid = "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	anchors := map[string][]string{
		"objectGUID":     {"objectGUID", guid},
		"employeeNumber": {"employeeNumber", "7"},
		"entryUUID":      {"entryUUID", "u"},
	}
	for _, c := range []struct {
		anchor string
		about  ldapclient.Server
		pairs  []string
		sure   bool
	}{
		{"objectGUID", ldapclient.Server{}, nil, false},
		{"objectGUID", ldapclient.Server{Directory: true}, nil, false},
		{"objectGUID", ldapclient.Server{Directory: true}, []string{"userAccountControl", "512"}, true},
		{"objectGUID", ldapclient.Server{Directory: true}, []string{"objectClass", "user"}, false},
		{"objectGUID", ldapclient.Server{Directory: true}, []string{"objectClass", "contact"}, true},
		{"objectGUID", ldapclient.Server{LightWeight: true}, nil, true}, // AD LDS keeps msDS-UserAccountDisabled instead
		{"employeeNumber", ldapclient.Server{Directory: true}, nil, false},
		{"employeeNumber", ldapclient.Server{}, nil, true},
		{"entryUUID", ldapclient.Server{}, nil, true},
	} {
		b := block{anchor: newAnchor(c.anchor), name: "cn"}
		r := b.entryReader("corp", nil, time.Unix(1e9, 0))
		r.serves(c.about)
		entry := &ldap.Entry{DN: "cn=a,dc=x"}
		for pairs := append(anchors[c.anchor], c.pairs...); len(pairs) > 0; pairs = pairs[2:] {
			entry.Attributes = append(entry.Attributes, &ldap.EntryAttribute{
				Name: pairs[0], Values: []string{pairs[1]}, ByteValues: [][]byte{[]byte(pairs[1])},
			})
		}
		who, err := r.person(entry)
		if (err == nil) != c.sure || !c.sure && !strings.Contains(err.Error(), "userAccountControl cannot be read") {
			t.Errorf("%s, %+v, %q: %+v, %v", c.anchor, c.about, c.pairs, who.Person, err)
		}
	}
}

// TestR12BytesAreNoText: a text attribute with bytes that are no text is unreadable, whole, and not absent.
func TestR12BytesAreNoText(t *testing.T) {
	b := block{anchor: newAnchor("entryUUID"), name: "uid"}
	need := []string{"cn", "jpegPhoto", "mail", "sn"}
	p, err := person(t, b, need, time.Unix(1e9, 0), "uid=a,dc=x", "entryUUID", "u", "uid", "a\xff",
		"cn", "J\xf6rg M\xfcller", "mail", "a@x", "mail", "b\xff@x", "mail", "c@x", "sn", "Müller", "jpegPhoto", "\xff\xd8")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q %q", p.Unreadable, p.Attributes); got != `["cn" "mail"] map["jpegPhoto":["/9g="] "sn":["Müller"]]` {
		t.Error(got)
	}
	if p, err := person(t, b, need, time.Unix(1e9, 0), "uid=a,dc=x", "entryUUID", "u", "sn", "a\x00b", "CN;lang-de", "\xff"); err != nil ||
		fmt.Sprintf("%q %q", p.Unreadable, p.Attributes) != `["cn" "sn"] map[]` {
		t.Errorf("%+v, %v", p, err)
	}
	findings := sources.Findings(p)
	if len(findings) != 2 || findings[0].Subject != "corp: uid=a,dc=x" || !strings.HasPrefix(findings[0].Detail, "cn ") {
		t.Errorf("%+v", findings)
	}
}

// TestEveryLockIsDocumented: the page names every attribute that the kind's own judgement reads.
func TestEveryLockIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/sources-ldap.md")
	if err != nil {
		t.Fatal(err)
	}
	for lower := range judgements() {
		if name := ldapclient.Spelling(lower); !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/sources-ldap.md does not name %s", name)
		}
		if !slices.Contains(ldapclient.Vocabulary(), ldapclient.Spelling(lower)) {
			t.Errorf("attributes.txt does not know %s", lower)
		}
	}
}
