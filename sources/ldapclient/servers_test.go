package ldapclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// records are what DNS says, by name.
type records map[string][]*net.SRV

func (r records) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	found, ok := r[name]
	if !ok {
		return "", nil, fmt.Errorf("lookup %s: no such host", name)
	}
	return name, found, nil
}

func at(hosts ...string) (list []*net.SRV) {
	for _, host := range hosts {
		list = append(list, &net.SRV{Target: host, Port: 389})
	}
	return list
}

// TestServersOfADomain: DNS names them, those of the site first, and none that is not of the domain.
func TestServersOfADomain(t *testing.T) {
	const everywhere, berlin = "_ldap._tcp.dc._msdcs.ad.example.org", "_ldap._tcp.Berlin._sites.dc._msdcs.ad.example.org"
	for name, c := range map[string]struct {
		says     records
		site     string
		startTLS bool
		want     string
		trouble  string
	}{
		"in the order of DNS": {
			says: records{everywhere: at("DC2.ad.example.org.", "dc1.ad.example.org.")},
			want: "ldaps://dc2.ad.example.org ldaps://dc1.ad.example.org",
		},
		"with StartTLS": {
			says: records{everywhere: at("dc1.ad.example.org.")}, startTLS: true, want: "ldap://dc1.ad.example.org",
		},
		"those of the site first, each once": {
			says: records{everywhere: at("a.ad.example.org.", "b.ad.example.org."), berlin: at("b.ad.example.org.")}, site: "Berlin",
			want: "ldaps://b.ad.example.org ldaps://a.ad.example.org",
		},
		"a site that has none": {
			says: records{everywhere: at("a.ad.example.org.")}, site: "Berlin", want: "ldaps://a.ad.example.org",
		},
		"a name elsewhere": {
			says:    records{everywhere: at("dc1.evil.example.", "xad.example.org.")},
			trouble: "the names dc1.evil.example, xad.example.org are not in the domain",
		},
		"none":               {says: records{everywhere: nil}, trouble: "no records"},
		"no answer from DNS": {trouble: "lookup " + everywhere + ": no such host"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &servers{domain: "ad.example.org", site: c.site, startTLS: c.startTLS, resolver: c.says, now: time.Now}
			urls, err := s.inOrder(t.Context())
			if got := strings.Join(urls, " "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if (err == nil) != (c.trouble == "") || err != nil && !strings.Contains(err.Error(), c.trouble) {
				t.Errorf("%v, want %q", err, c.trouble)
			}
		})
	}
}

// TestServersThatAreAway: one that could not be reached comes last for a minute, and what DNS said holds while it is away.
func TestServersThatAreAway(t *testing.T) {
	now := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	const name = "_ldap._tcp.dc._msdcs.ad.example.org"
	dns := records{name: at("a.ad.example.org.", "b.ad.example.org.")}
	s := &servers{domain: "ad.example.org", resolver: dns, now: func() time.Time { return now }}
	const a, b, c = "ldaps://a.ad.example.org", "ldaps://b.ad.example.org", "ldaps://c.ad.example.org"
	want := func(what string, list ...string) {
		t.Helper()
		if urls, err := s.inOrder(t.Context()); err != nil || !slices.Equal(urls, list) {
			t.Errorf("%s: %q, %v", what, urls, err)
		}
	}
	want("at first", a, b)
	s.met(a, fmt.Errorf("x: %w", &UnreachableError{errors.New("refused")}))
	want("a is away", b, a)
	if why := s.missing(); len(why) != 1 || why[a] != "x: refused" {
		t.Errorf("away: %q", why)
	}
	s.met(b, errors.New("size limit exceeded"))
	want("b answers, if not what was asked", b, a)
	now = now.Add(resting)
	want("a minute later", a, b)
	s.met(a, &UnreachableError{errors.New("refused")})
	s.met(a, nil)
	want("a is back", a, b)
	if why := s.missing(); len(why) > 0 {
		t.Errorf("away: %q", why)
	}
	s.met(b, nil)
	want("b answered last", b, a)
	s.met(a, nil)
	dns[name] = at("c.ad.example.org.")
	want("DNS is not asked yet", a, b)
	now = now.Add(lookedUp)
	want("DNS is asked again", c)
	delete(dns, name)
	now = now.Add(lookedUp)
	want("DNS is away", c)
	now = now.Add(-time.Hour)
	want("the clock was put back", c)
}

// TestSignInRefusals: what a domain controller says of a refusal, as an administrator needs it.
func TestSignInRefusals(t *testing.T) {
	says := func(code uint16, text string) error {
		return &ResultError{&ldap.Error{ResultCode: code, Err: errors.New(text)}}
	}
	const windows = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data %s, v3839"
	for code, want := range map[string]string{
		"525": "knows nobody by that name", "52e": "the name or the password is wrong", "530": "logon hours", "531": "workstations",
		"532": "password has expired", "533": "is disabled", "701": "the account has expired", "773": "has to change its password",
		"775": "is locked", "80090346": "channel binding", "9999": "check bind_dn and bind_password",
	} {
		err := &SignInError{"as cn=x", says(ldap.LDAPResultInvalidCredentials, fmt.Sprintf(windows, code))}
		if !strings.Contains(err.Error(), want) || !RefusedSignIn(fmt.Errorf("dc1: %w", err)) {
			t.Errorf("%s: %v", code, err)
		}
	}
	strong := &SignInError{"as cn=x", says(ldap.LDAPResultStrongAuthRequired, "")}
	if RefusedSignIn(strong) || !strings.Contains(strong.Error(), "LDAP signing") {
		t.Error(strong)
	}
}

// TestARefusedPasswordIsNotTriedAgainAtOnce: directories lock an account after a few wrong passwords. Whoever signs in at
// the same time waits for the first answer, and once the password is right nobody waits.
func TestARefusedPasswordIsNotTriedAgainAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	g := &gate{now: func() time.Time { return now }}
	refusal := &SignInError{"as cn=x", &ResultError{&ldap.Error{ResultCode: ldap.LDAPResultInvalidCredentials}}}
	tries := 0
	try := func(answer error) error {
		return g.pass(func() error {
			tries++
			return answer
		})
	}
	var at []int // minutes
	for minute := range 60 {
		before := tries
		if err := try(refusal); !RefusedSignIn(err) {
			t.Fatal(err)
		}
		if tries > before {
			at = append(at, minute)
		}
		now = now.Add(time.Minute)
	}
	if !slices.Equal(at, []int{0, 5, 15, 30, 45}) {
		t.Errorf("tried after %d minutes", at)
	}
	if err := try(refusal); err == nil || !strings.Contains(try(nil).Error(), "not tried again before 10:15") {
		t.Error(err, try(nil))
	}
	now = now.Add(lastAgain)
	for range 3 {
		if err := try(nil); err != nil {
			t.Error(err)
		}
	}
	if err := try(&UnreachableError{errors.New("refused")}); err == nil || try(nil) != nil {
		t.Error("a server that cannot be reached is not a wrong password")
	}
}
