//go:build unix

package directory

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A lab is one running directory, of which each test gets a unit of its own.
type lab struct {
	ldaptest.Editor

	url    string
	root   string   // below which units are made
	access []string // how to sign in, in HCL
	lines  []string // what else the kind needs
	domain bool
	login  string // attribute
	mark   string // attribute
	id     string // attribute
	naming string
	units  atomic.Int32
}

// A unit is the part of a lab that a test has for itself.
type unit struct {
	*lab
	base, groups, leavers string
	prefix                string // logins are unique in a whole directory
}

func slapd(t testing.TB) *lab { return slapdLab(slapdtest.Start(t, slapdtest.Options{Locks: true})) }

// slapdLab writes as the administrator, to one server or more.
func slapdLab(s *slapdtest.Server, more ...string) *lab {
	return &lab{
		Editor: s.Editor, url: s.URL(), root: s.BaseDN(), login: "uid", mark: "employeeNumber", id: "entryUUID", naming: "uid",
		access: []string{
			"url = [\"" + strings.Join(append([]string{s.URL()}, more...), `", "`) + "\"]", fmt.Sprintf("bind_dn = %q", s.AdminDN()),
			fmt.Sprintf("bind_password = %q", s.Password()),
		},
		lines: []string{`profile = "openldap"`},
	}
}

func dirsrv(t testing.TB) *lab { return dirsrvLab(dirsrvtest.Start(t, dirsrvtest.Options{})) }

func dirsrvLab(s *dirsrvtest.Server) *lab {
	return &lab{
		Editor: s.Editor, url: s.URL(), root: identity.ParentDN(s.PeopleDN()), login: "uid", mark: "employeeNumber", id: "nsUniqueId", naming: "uid",
		access: []string{
			fmt.Sprintf("url = %q", s.URL()), `bind_dn = "cn=Directory Manager"`, fmt.Sprintf("bind_password = %q", s.Password()),
		},
		lines: []string{`profile = "389"`, `id = "nsUniqueId"`},
	}
}

func samba(t testing.TB) *lab { return sambaLab(sambatest.Start(t, sambatest.Options{})) }

func sambaLab(s *sambatest.Server) *lab {
	return &lab{
		Editor: s.Editor, url: s.URL(), root: s.BaseDN(), domain: true, login: "sAMAccountName", mark: "employeeID", id: "objectGUID", naming: "cn",
		access: []string{
			fmt.Sprintf("url = %q", s.URL()), fmt.Sprintf("ca_file = %q", s.CAFile()), `bind_dn = "Administrator@ad.example.test"`,
			fmt.Sprintf("bind_password = %q", s.Password()),
		},
	}
}

// labs runs a test on each real directory.
func labs(t *testing.T, run func(t *testing.T, l *lab)) {
	for name, start := range map[string]func(testing.TB) *lab{"slapd": slapd, "389": dirsrv, "samba": samba} {
		t.Run(name, func(t *testing.T) { run(t, start(t)) })
	}
}

func (l *lab) unit(t testing.TB) *unit {
	n := l.units.Add(1)
	base := l.AddUnit(t, fmt.Sprintf("unit%d", n), l.root)
	u := &unit{lab: l, base: base, prefix: fmt.Sprintf("u%d.", n)}
	u.groups = l.AddUnit(t, fmt.Sprintf("groups%d", n), l.root)
	u.leavers = l.AddUnit(t, fmt.Sprintf("leavers%d", n), l.root)
	return u
}

func (l *lab) kind() targets.Kind {
	name := map[bool]string{true: "active_directory", false: "ldap"}[l.domain]
	return Of(Dialect{Kind: name, Domain: l.domain})
}

// spec decodes a block for the unit.
func (u *unit) spec(t testing.TB, lines ...string) targets.Spec {
	t.Helper()
	text := slices.Concat(u.access, u.lines, []string{
		fmt.Sprintf("base_dn = %q", u.base), fmt.Sprintf("groups { base_dn = %q }", u.groups), fmt.Sprintf("external_id = %q", u.mark),
	}, lines)
	return decode(t, u.kind(), text...)
}

// closing is a block that takes every step which the lab's schema allows.
func (u *unit) closing(stamp string) []string {
	lines := []string{"closing {", fmt.Sprintf("move_to = %q", u.leavers), fmt.Sprintf("stamp = %q", stamp), `clear = ["userCertificate"]`}
	if u.domain {
		lines = append(lines, "expire = true")
	}
	return append(lines, "}")
}

func decode(t testing.TB, kind targets.Kind, lines ...string) targets.Spec {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(strings.Join(lines, "\n")), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	spec, diags := kind.Decode(file.Body, targets.Env{Name: "accounts", Dir: t.TempDir(), Eval: &hcl.EvalContext{}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return spec
}

// paths are those that the tests map.
func paths() []string {
	return []string{"cn", "displayName", "externalId", "mail", "sn", "title", "userName"}
}

func (u *unit) open(t testing.TB, lines ...string) targets.Target {
	t.Helper()
	target, err := u.spec(t, lines...).Open(targets.Need{Paths: append(paths(), "container"), Entitlements: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	return target
}

func (u *unit) want(n int) identity.Account {
	login := fmt.Sprintf("%sperson%d", u.prefix, n)
	mark := fmt.Sprintf("E%s%04d", u.prefix, n)
	return identity.Account{
		UserName: login, ExternalID: mark, Active: true, Attributes: map[string]identity.Value{
			"userName": identity.Text(login), "externalId": identity.Text(mark), "cn": identity.Text(fmt.Sprintf("%sPerson %d", u.prefix, n)),
			"sn": identity.Text("Person"), "displayName": identity.Text(fmt.Sprintf("Person %d", n)),
			"mail": identity.Text(login + "@example.org"), "title": identity.Text("Engineer"),
			"container": identity.Text(strings.ToLower(u.base)),
		},
	}
}

// dn is where an account is now, by the administrator's eyes; "" for nowhere.
func (u *unit) dn(t testing.TB, id identity.AccountID) (dn string) {
	t.Helper()
	u.Edit(t, "find "+string(id), func(c *ldap.Conn) error {
		q := ldap.NewSearchRequest(u.root, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "("+u.id+"="+string(id)+")",
			[]string{"1.1"}, nil)
		if u.domain {
			q.BaseDN, q.Scope, q.Filter = "<GUID="+string(id)+">", ldap.ScopeBaseObject, "(objectClass=*)"
		}
		found, err := c.Search(q)
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		if err == nil && len(found.Entries) == 1 {
			dn = found.Entries[0].DN
		}
		return err
	})
	return dn
}

// look reads an account as the administrator sees it.
func (u *unit) look(t testing.TB, id identity.AccountID) (a identity.Account, ok bool) {
	t.Helper()
	dn := u.dn(t, id)
	if dn == "" {
		return a, false
	}
	a = identity.Account{ID: id, UserName: u.one(t, dn, u.login), ExternalID: u.one(t, dn, u.mark), Active: u.active(t, dn), Attributes: map[string]identity.Value{}}
	for _, path := range []string{"displayName", "title"} {
		if v := u.Values(t, dn, path); len(v) > 0 {
			a.Attributes[path] = identity.Texts(v...)
			if len(v) == 1 {
				a.Attributes[path] = identity.Text(v[0])
			}
		}
	}
	for _, class := range []string{"groupOfNames", "group"} {
		for _, group := range u.Names(t, u.groups, class) {
			if slices.ContainsFunc(u.Values(t, group, "member"), func(m string) bool { return strings.EqualFold(m, dn) }) {
				a.Entitlements = append(a.Entitlements, identity.Entitlement{Name: u.one(t, group, "cn")})
			}
		}
	}
	a.Entitlements = identity.SortedEntitlements(a.Entitlements)
	return a, true
}

func (u *unit) one(t testing.TB, dn, attribute string) string {
	t.Helper()
	if values := u.Values(t, dn, attribute); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (u *unit) active(t testing.TB, dn string) bool {
	t.Helper()
	switch {
	case u.domain:
		var flags int
		if _, err := fmt.Sscan(u.one(t, dn, "userAccountControl"), &flags); err != nil {
			t.Fatal(err)
		}
		return flags&2 == 0
	case u.id == "nsUniqueId":
		return !strings.EqualFold(u.one(t, dn, "nsAccountLock"), "true")
	}
	return u.one(t, dn, "pwdAccountLockedTime") != "000001010000Z"
}

// group makes a group with a member who is nobody's account.
func (u *unit) group(t testing.TB, name string, members ...string) string {
	t.Helper()
	dn := "cn=" + name + "," + u.groups
	if u.domain {
		u.Add(t, dn, map[string][]string{"objectClass": {"group"}, "sAMAccountName": {u.prefix + name}, "member": members})
		return dn
	}
	u.Add(t, dn, map[string][]string{"objectClass": {"groupOfNames"}, "member": append(members, "cn=nobody")})
	return dn
}

// setPassword gives an account a password, as an administrator does.
func (u *unit) setPassword(t testing.TB, dn, password string) {
	t.Helper()
	if u.domain {
		var quoted []byte
		for _, c := range []byte(`"` + password + `"`) {
			quoted = append(quoted, c, 0)
		}
		u.Set(t, dn, "unicodePwd", string(quoted))
		return
	}
	u.Set(t, dn, "userPassword", password)
}

// signsIn tries to sign in as somebody.
func (u *unit) signsIn(t testing.TB, dn, password string) bool {
	t.Helper()
	conn, err := ldap.DialURL(u.url, ldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true})) // loopback, in a test
	ldaptest.Check(t, "connect", err)
	defer func() { _ = conn.Close() }()
	return conn.Bind(dn, password) == nil
}
