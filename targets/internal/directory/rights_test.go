//go:build unix

package directory

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// documented are the lines of a page that begin with a word, its names of places replaced.
func documented(t testing.TB, page, word string, names ...string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/targets/" + page)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(strings.NewReplacer(names...).Replace(string(text)), "\n") {
		if rest, ok := strings.CutPrefix(line, word); ok {
			lines = append(lines, rest)
		}
	}
	if len(lines) < 5 {
		t.Fatalf("%s has %d lines that begin with %s", page, len(lines), word)
	}
	return lines
}

// aces are the access control entries of what dsacls is told to grant, each without the trustee (MS-DTYP 2.5.1).
func (u *unit) aces(t testing.TB, line string) (list []string) {
	t.Helper()
	flags := ""
	switch {
	case strings.Contains(line, "/I:S"):
		flags = "CIIO"
	case strings.Contains(line, "/I:T"):
		flags = "CI"
	}
	for _, grant := range regexp.MustCompile(`"AD\\dirsweep-write:([^"]*)"`).FindAllStringSubmatch(line, -1) {
		parts := append(strings.Split(grant[1], ";"), "", "")
		rights := strings.Replace(parts[0], "CA", "CR", 1)
		if parts[1] == "" && parts[2] == "" {
			list = append(list, fmt.Sprintf("(A;%s;%s;;;", flags, rights))
			continue
		}
		object, below := u.schemaGUID(t, parts[1]), u.schemaGUID(t, parts[2])
		list = append(list, fmt.Sprintf("(OA;%s;%s;%s;%s;", flags, rights, object, below))
	}
	if len(list) == 0 {
		t.Fatalf("%s grants nothing", line)
	}
	return list
}

// schemaGUID is by what an entry names an attribute, a class or a right.
func (u *unit) schemaGUID(t testing.TB, name string) (guid string) {
	t.Helper()
	switch name {
	case "":
		return ""
	case "Reset Password":
		return resetPassword
	}
	u.Edit(t, "find "+name, func(c *ldap.Conn) error {
		found, err := c.Search(ldap.NewSearchRequest("CN=Schema,CN=Configuration,"+u.root, ldap.ScopeSingleLevel,
			ldap.NeverDerefAliases, 0, 0, false, equal("lDAPDisplayName", name), []string{"schemaIDGUID"}, nil))
		if err == nil && len(found.Entries) != 1 {
			err = fmt.Errorf("the schema has %d of it", len(found.Entries))
		}
		if err == nil {
			guid, err = ldapclient.GUIDText(found.Entries[0].GetRawAttributeValue("schemaIDGUID"))
		}
		return err
	})
	return guid
}

// TestTheDocumentedRightsSuffice: with what the pages say, and no more, everything that a target does is done.
func TestTheDocumentedRightsSuffice(t *testing.T) {
	t.Run("samba", func(t *testing.T) {
		s := sambatest.Start(t, sambatest.Options{})
		l := sambaLab(s)
		u := l.unit(t)
		for _, line := range documented(t, "active_directory.md", "dsacls ", "OU=Groups,DC=ad,DC=example,DC=org", u.groups) {
			switch {
			case strings.Contains(line, "WP;displayName;user"):
				for _, attribute := range []string{
					"displayName", "sAMAccountName", "employeeID", "mail", "sn", "title", "description", "accountExpires",
					"userCertificate",
				} {
					for _, ou := range []string{u.base, u.leavers} {
						s.Grant(t, ou, u.aces(t, strings.Replace(line, "displayName", attribute, 1))...)
					}
				}
			case strings.HasPrefix(line, "%OU%"):
				for _, ou := range []string{u.base, u.leavers} {
					s.Grant(t, ou, u.aces(t, line)...)
				}
			case strings.Contains(line, u.groups):
				s.Grant(t, u.groups, u.aces(t, line)...)
			}
		}
		l.access[2] = fmt.Sprintf("bind_dn = %q", s.Reader())
		l.access[3] = fmt.Sprintf("bind_password = %q", s.Password())
		u.life(t)
	})
	t.Run("slapd", func(t *testing.T) {
		s := slapdtest.Start(t, slapdtest.Options{Locks: true})
		l := slapdLab(s)
		u := l.unit(t)
		rules := documented(t, "ldap.md", "olcAccess: ", u.places(s.ReaderDN())...)
		s.Restrict(t, mapped(rules)...)
		l.access[1] = fmt.Sprintf("bind_dn = %q", s.ReaderDN())
		u.life(t)
	})
	t.Run("389", func(t *testing.T) {
		s := dirsrvtest.Start(t, dirsrvtest.Options{})
		l := dirsrvLab(s)
		u := l.unit(t)
		rules := documented(t, "ldap.md", "aci: ", u.places(s.ReaderDN())...)
		u.Set(t, u.root, "aci", mapped(rules)...)
		l.access[1] = fmt.Sprintf("bind_dn = %q", s.ReaderDN())
		u.life(t)
	})
}

// places are the names on the page of LDAP, each before what it is here.
func (u *unit) places(writer string) []string {
	const suffix = ",dc=example,dc=org"
	return []string{
		"ou=accounts" + suffix, u.base, "ou=former" + suffix, u.leavers, "ou=groups" + suffix, u.groups,
		"cn=dirsweep-write" + suffix, writer,
	}
}

// mapped adds what these tests map besides to what the page's example maps.
func mapped(rules []string) []string {
	for i, rule := range rules {
		rule = strings.ReplaceAll(rule, "employeeNumber,", "employeeNumber,displayName,title,")
		rules[i] = strings.ReplaceAll(rule, "employeeNumber ||", "employeeNumber || displayName || title ||")
	}
	return rules
}

// life does everything that a target does, once.
func (u *unit) life(t *testing.T) {
	u.group(t, "editors")
	below := u.AddUnit(t, "below", u.base)
	closing := append(u.closing("description"), "")
	first := u.made(t, u.begun(t, closing...), 1)
	lines, err := u.open(t, closing...).(targets.Checker).Check(t.Context())
	if err != nil {
		t.Errorf("check: %v\n%s", err, strings.Join(lines, "\n"))
	}
	p := u.begun(t, closing...)
	change := func(a identity.Account, delta identity.Delta) {
		t.Helper()
		if _, r, err := p.Update(t.Context(), a, delta); err != nil || len(r.Refused) > 0 {
			t.Errorf("%+v: %+v, %v", delta, r.Refused, err)
		}
	}
	set := func(path, to string) identity.Delta {
		return identity.Delta{Attributes: []identity.AttributeChange{{Path: path, After: p.Normal(path, identity.Text(to))}}}
	}
	for path, to := range map[string]string{
		"cn": u.prefix + "Renamed", "displayName": "Renamed", "title": "Boss", "mail": "renamed@example.org",
		"userName": u.prefix + "renamed", "sn": "Renamed", "externalId": "E99",
	} {
		change(first, set(path, to))
	}
	change(first, set("container", below))
	change(first, identity.Delta{Grant: identity.NamedEntitlements("editors")})
	whole, err := p.Entitlements(t.Context(), first)
	if err != nil || len(whole.Entitlements) != 1 {
		t.Errorf("it is in %+v, %v", whole.Entitlements, err)
	}
	certificate := map[bool]string{true: "userCertificate", false: "userCertificate;binary"}[u.domain]
	u.Set(t, u.dn(t, first.ID), certificate, someCertificate(t))
	kept := u.close(t, p, first)
	change(first, identity.Delta{Withdraw: whole.Entitlements})
	if got := u.dn(t, first.ID); !ldapclient.Within(got, u.leavers) || u.active(t, got) {
		t.Errorf("closed, it is at %s", got)
	}
	if _, err := p.Enable(t.Context(), first, kept); err != nil {
		t.Errorf("open again: %v", err)
	}
	if got := u.dn(t, first.ID); !ldapclient.Within(got, below) || !u.active(t, got) {
		t.Errorf("open again, it is at %s", got)
	}
	if listed := slices.Collect(accounts(t, p)); len(listed) != 1 {
		t.Errorf("listed: %+v", listed)
	}
	u.close(t, p, first)
	if _, err := p.Delete(t.Context(), first); err != nil || u.dn(t, first.ID) != "" {
		t.Errorf("deleted: %v", err)
	}
}

// TestR05WhoCannotBeIdentifiedIsNotTouched: an account that hides by what the domain's own are known may be one of them.
func TestR05WhoCannotBeIdentifiedIsNotTouched(t *testing.T) {
	u, s := delegated(t, writeAll()...)
	p := u.begun(t)
	a, other := u.hand(t, 1), u.hand(t, 2)
	s.Grant(t, u.dn(t, a.ID), "(OD;;RP;"+u.schemaGUID(t, "objectSid")+";;")
	if _, err := p.Disable(t.Context(), a); !errors.Is(err, targets.ErrForbidden) ||
		!strings.Contains(err.Error(), "objectSid") || !u.active(t, u.dn(t, a.ID)) {
		t.Errorf("disabled: %v", err)
	}
	if _, err := p.Disable(t.Context(), other); err != nil {
		t.Errorf("another one: %v", err)
	}
}
