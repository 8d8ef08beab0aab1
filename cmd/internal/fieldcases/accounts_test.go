//go:build unix

package fieldcases

// Directories as targets: people of one are accounts in another, in another branch of the same one, or the same entries.

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A side is a directory, as a source of people or as what holds accounts.
type side struct {
	ldaptest.Directory

	block  func(lines ...string) string // as a source
	enable func(dn string)
	login  string // attribute
	domain bool
	root   string
	url    string
	access string // how a target block signs in
	edit   ldaptest.Editor
}

func slapdSide(t testing.TB) side {
	s := slapdtest.Start(t, slapdtest.Options{Locks: true})
	return side{
		Directory: s, login: "uid", root: s.BaseDN(), url: s.URL(), edit: s.Editor,
		block:  func(lines ...string) string { return s.Block("corp", lines...) },
		enable: func(dn string) { s.Enable(t, dn) },
		access: fmt.Sprintf("url = %q\nbind_dn = %q\nbind_password = %q\nprofile = \"openldap\"", s.URL(), s.AdminDN(), s.Password()),
	}
}

func dirsrvSide(t testing.TB) side {
	s := dirsrvtest.Start(t, dirsrvtest.Options{})
	return side{
		Directory: s, login: "uid", root: identity.ParentDN(s.PeopleDN()), url: s.URL(), edit: s.Editor,
		block:  func(lines ...string) string { return s.Block("corp", lines...) },
		enable: func(dn string) { s.Enable(t, dn) },
		access: fmt.Sprintf("url = %q\nbind_dn = \"cn=Directory Manager\"\nbind_password = %q\nprofile = \"389\"\nid = \"nsUniqueId\"",
			s.URL(), s.Password()),
	}
}

func sambaSide(t testing.TB) side {
	s := sambatest.Start(t, sambatest.Options{})
	return side{
		Directory: s, login: "sAMAccountName", domain: true, root: s.BaseDN(), url: s.URL(), edit: s.Editor,
		block:  func(lines ...string) string { return s.Block("corp", lines...) },
		enable: func(dn string) { s.Enable(t, dn) },
		access: fmt.Sprintf("url = %q\nca_file = %q\nbind_dn = \"Administrator@ad.example.test\"\nbind_password = %q",
			s.URL(), s.CAFile(), s.Password()),
	}
}

// A branch is where a target keeps accounts.
type branch struct {
	*site
	side
	accounts, bosses, leavers, teams string
}

// branch makes one, and a group of it that is an entitlement.
func (s *site) branch(on side) *branch {
	b := &branch{site: s, side: on}
	b.accounts = on.AddUnit(s, "accounts", on.root)
	b.bosses = on.AddUnit(s, "bosses", b.accounts)
	b.leavers = on.AddUnit(s, "leavers", on.root)
	b.teams = on.AddUnit(s, "teams", on.root)
	b.team("editors")
	b.team("readers")
	return b
}

// team makes a group without members.
func (b *branch) team(name string) {
	class, member := "groupOfNames", []string{"cn=nobody"}
	if b.domain {
		class, member = "group", nil
	}
	attributes := map[string][]string{"objectClass": {class}, "member": member}
	if b.domain {
		attributes["sAMAccountName"] = []string{"team-" + name}
	}
	b.edit.Add(b, "cn="+name+","+b.teams, attributes)
}

// target is the block of the branch.
func (b *branch) target(from side, lines ...string) string {
	kind := map[bool]string{true: "active_directory", false: "ldap"}[b.domain]
	more := ""
	if b.domain {
		more = fmt.Sprintf("cn = person.displayName\n    userPrincipalName = \"${lower(person.%s)}@b.example.test\"", from.login)
	} else {
		more = "cn = person.displayName"
	}
	return fmt.Sprintf(`target %q "accounts" {
  %s
  base_dn = %q
  groups { base_dn = %q }
  closing {
    move_to = %q
    stamp   = "description"
  }
  account = {
    userName    = lower(person.%s)
    sn          = person.sn
    displayName = person.displayName
    mail        = person.mail
    title       = person.title
    container   = person.title == "boss" ? %q : %q
    %s
  }
  entitlements = [for g in person.groups : g if g == "editors" || g == "readers"]
  leaver { strip = true }
  %s
}`, kind, b.access, b.accounts, b.teams, b.leavers, from.login, b.bosses, b.accounts, more, strings.Join(lines, "\n  "))
}

// account is the DN of an account by its login; "" for none.
func (b *branch) account(login string) (dn string) {
	b.Helper()
	for _, base := range []string{b.accounts, b.leavers} {
		for _, entry := range b.Names(b, base, "person") {
			if slices.ContainsFunc(b.Values(b, entry, b.login), func(v string) bool { return strings.EqualFold(v, login) }) {
				dn = entry
			}
		}
	}
	return dn
}

func (b *branch) is(login, attribute string) string {
	b.Helper()
	if values := b.Values(b, b.account(login), attribute); len(values) > 0 {
		return values[0]
	}
	return ""
}

// teamsOf are the groups that an account is in.
func (b *branch) teamsOf(login string) (names []string) {
	b.Helper()
	dn := b.account(login)
	for _, name := range []string{"editors", "readers"} {
		members := b.Values(b, "cn="+name+","+b.teams, "member")
		if slices.ContainsFunc(members, func(m string) bool { return strings.EqualFold(m, dn) }) {
			names = append(names, name)
		}
	}
	return names
}

const knownPassword = "Correct-Horse-7-Battery"

// givePassword has somebody able to sign in.
func (b *branch) givePassword(login string) {
	b.Helper()
	dn := b.account(login)
	if !b.domain {
		b.Set(b, dn, "userPassword", knownPassword)
		return
	}
	var quoted []byte
	for _, c := range []byte(`"` + knownPassword + `"`) {
		quoted = append(quoted, c, 0)
	}
	b.Set(b, dn, "unicodePwd", string(quoted))
}

func (b *branch) signsIn(login string) bool {
	b.Helper()
	conn, err := ldap.DialURL(b.url, ldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true})) // loopback, in a test
	ldaptest.Check(b, "connect", err)
	defer func() { _ = conn.Close() }()
	return conn.Bind(b.account(login), knownPassword) == nil
}

// whole is everything that an entry has, but for what only tells of reads, binds and writes elsewhere.
func (b *branch) whole(dn string) map[string]string {
	b.Helper()
	all := map[string]string{"dn": dn}
	b.edit.Edit(b, "read "+dn, func(c *ldap.Conn) error {
		found, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"*", "+"}, nil))
		if err != nil {
			return err
		}
		for _, a := range found.Entries[0].Attributes {
			switch a.Name {
			case "lastLogon", "lastLogonTimestamp", "logonCount", "badPwdCount", "badPasswordTime":
			default:
				all[a.Name] = strings.Join(a.Values, "\x00")
			}
		}
		return nil
	})
	return all
}

// TestAccountsInADirectory: joiner, mover, leaver, rehire and drift, from one kind of directory to another.
func TestAccountsInADirectory(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to func(testing.TB) side // to is nil for another branch of the same server
	}{
		{"OpenLDAP to AD", slapdSide, sambaSide},
		{"AD to OpenLDAP", sambaSide, slapdSide},
		{"AD to another AD", sambaSide, sambaSide},
		{"389 to another branch of it", dirsrvSide, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, slapdtest.Options{})
			from := c.from(t)
			to := from
			if c.to != nil {
				to = c.to(t)
			}
			s.live(from, s.branch(to))
		})
	}
}

// live plays the life of a few people.
func (s *site) live(from side, b *branch) {
	s.Helper()
	people := map[string]string{}
	for _, login := range []string{"alice", "bob", "carol"} {
		people[login] = from.AddPerson(s, login, map[string][]string{
			"displayName": {"The " + login}, "sn": {login}, "mail": {login + "@b.example.test"}, "title": {"clerk"},
		})
	}
	editors := from.AddGroup(s, "editors", people["alice"], people["bob"])
	from.AddGroup(s, "readers", people["bob"])
	s.configure(wide, from.block(), b.target(from))
	code, out := s.dirsweep("check")
	s.claim(code == 0, "check says that all is well:\n%s", out)
	s.settle()

	for _, login := range slices.Sorted(maps.Keys(people)) { // joiners
		s.claim(b.is(login, "displayName") == "The "+login, "%s has an account", login)
	}
	s.claim(slices.Equal(b.teamsOf("bob"), []string{"editors", "readers"}) && len(b.teamsOf("carol")) == 0, "bob is in both groups, carol in none")
	b.givePassword("bob")
	b.givePassword("alice")
	if b.domain {
		b.Set(s, b.account("bob"), "pwdLastSet", "-1")
		b.Set(s, b.account("alice"), "pwdLastSet", "-1")
	}
	s.claim(b.signsIn("bob"), "bob can sign in")

	from.Set(s, people["alice"], "displayName", "Alice the Second") // movers
	from.Set(s, people["carol"], "title", "boss")
	from.Join(s, editors, people["carol"])
	from.Leave(s, editors, people["alice"])
	s.settle()
	s.claim(b.is("alice", "cn") == "Alice the Second", "alice's entry is %q", b.is("alice", "cn"))
	s.claim(strings.EqualFold(identity.ParentDN(b.account("carol")), b.bosses), "carol is at %s", b.account("carol"))
	s.claim(slices.Equal(b.teamsOf("carol"), []string{"editors"}) && len(b.teamsOf("alice")) == 0, "the group has changed hands")

	b.Set(s, b.account("carol"), "title", "hacker") // drift
	b.Move(s, b.account("alice"), b.teams)
	s.settle()
	s.claim(b.is("carol", "title") == "boss", "carol's title is put back")
	s.claim(b.account("alice") != "" && strings.EqualFold(identity.ParentDN(b.account("alice")), b.accounts), "alice is back at %s", b.account("alice"))
	code, out = s.dirsweep("sync")
	s.claim(code == 0 && strings.Contains(out, "nothing"), "nothing is left to do:\n%s", out)

	neighbour := b.whole(b.account("alice"))
	from.Disable(s, people["bob"]) // leaver
	s.settle()
	s.claim(!b.signsIn("bob"), "bob cannot sign in")
	s.claim(strings.EqualFold(identity.ParentDN(b.account("bob")), b.leavers), "bob is at %s", b.account("bob"))
	s.claim(len(b.teamsOf("bob")) == 0, "bob is in no group")
	s.claim(strings.HasPrefix(b.is("bob", "description"), "Closed by dirsweep"), "bob's description is %q", b.is("bob", "description"))
	s.claim(maps.Equal(neighbour, b.whole(b.account("alice"))), "alice's account is as it was: %v and %v", neighbour, b.whole(b.account("alice")))
	s.claim(b.signsIn("alice"), "alice can sign in")
	code, out = s.dirsweep("leavers", "--all")
	s.Logf("leavers: %d\n%s", code, out)

	from.enable(people["bob"]) // rehire
	s.settle()
	s.settle()
	s.claim(strings.EqualFold(identity.ParentDN(b.account("bob")), b.accounts), "bob is back at %s", b.account("bob"))
	s.claim(slices.Equal(b.teamsOf("bob"), []string{"editors", "readers"}), "bob has his groups back: %v", b.teamsOf("bob"))
	s.claim(b.is("bob", "description") == "", "bob's description is %q", b.is("bob", "description"))
	b.givePassword("bob")
	if b.domain {
		b.Set(s, b.account("bob"), "pwdLastSet", "-1")
	}
	s.claim(b.signsIn("bob"), "bob can sign in again")
}

// TestAccountsInADirectoryAfterACrash: closing that is cut short anywhere is gone on with, and nobody else is touched.
func TestAccountsInADirectoryAfterACrash(t *testing.T) {
	s := open(t, slapdtest.Options{})
	from, to := slapdSide(t), sambaSide(t)
	b := s.branch(to)
	var leavers []string
	people := map[string]string{}
	for n := range 14 {
		login := fmt.Sprintf("person%02d", n)
		people[login] = from.AddPerson(s, login, map[string][]string{"displayName": {"The " + login}, "mail": {login + "@b.example.test"}})
		if n < 10 {
			leavers = append(leavers, login)
		}
	}
	from.AddGroup(s, "editors", slices.Collect(maps.Values(people))...)
	s.configure(wide, from.block(), b.target(from))
	s.settle()
	for _, login := range leavers {
		from.Delete(s, people[login])
	}
	for n := range 6 {
		var out strings.Builder
		cmd := s.command(&out, "sync")
		ldaptest.Check(t, "start", cmd.Start())
		timer := time.AfterFunc(time.Duration(150+120*n)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	}
	s.settle()
	for login := range people {
		left := slices.Contains(leavers, login)
		at := b.accounts
		if left {
			at = b.leavers
		}
		var flags int
		_, _ = fmt.Sscan(b.is(login, "userAccountControl"), &flags)
		s.claim(strings.EqualFold(identity.ParentDN(b.account(login)), at) && (flags&2 != 0) == left && (len(b.teamsOf(login)) == 0) == left,
			"%s: at %s, flags %d, groups %v", login, b.account(login), flags, b.teamsOf(login))
	}
}

// TestDisabledInPlace: the directory that people are read from is where their accounts are, and what dirsweep writes there
// is no news to it.
func TestDisabledInPlace(t *testing.T) {
	s := open(t, slapdtest.Options{})
	domain := sambaSide(t)
	people := map[string]string{}
	for _, login := range []string{"alice", "bob", "carol"} {
		people[login] = domain.AddPerson(s, login, map[string][]string{"employeeType": {"staff"}})
	}
	leavers := domain.AddUnit(s, "leavers", domain.PeopleDN())
	domain.AddGroup(s, "editors", people["bob"])
	s.configure(wide, everyHour, domain.block(`active = person.employeeType != "left"`), fmt.Sprintf(`target "active_directory" "same" {
  %s
  base_dn     = %q
  external_id = "objectGUID"
  closing {
    move_to = %q
    stamp   = "description"
  }
  account = { userName = person.sAMAccountName }
  leaver { strip = true }
}`, domain.access, domain.PeopleDN(), leavers))
	s.settle()
	b := &branch{site: s, side: domain, accounts: domain.PeopleDN(), leavers: leavers, teams: domain.GroupsDN()}
	alice := b.whole(people["alice"])
	s.run()
	s.untilPushed()
	domain.Set(s, people["bob"], "employeeType", "left")
	closed := func() bool {
		return strings.EqualFold(identity.ParentDN(b.account("bob")), leavers) && b.is("bob", "userAccountControl") == "546"
	}
	s.claim(s.within(30*time.Second, closed), "bob is disabled in place: %s", b.account("bob"))
	s.claim(s.within(20*time.Second, func() bool { return len(b.teamsOf("bob")) == 0 }), "bob is in no group")
	written := func() string { return b.is("bob", "uSNChanged") }
	s.within(5*time.Second, func() bool { return false })
	before := written()
	s.within(5*time.Second, func() bool { return false })
	s.claim(before == written(), "nothing is written again: %s, %s", before, written())
	s.claim(maps.Equal(alice, b.whole(people["alice"])), "alice's account is as it was")
	domain.Set(s, b.account("bob"), "employeeType", "staff")
	back := func() bool {
		return strings.EqualFold(b.account("bob"), people["bob"]) && b.is("bob", "userAccountControl") == "544"
	}
	s.claim(s.within(30*time.Second, back), "bob is back: %s, %s", b.account("bob"), b.is("bob", "userAccountControl"))
	s.claim(b.is("bob", "description") == "", "bob's description is %q", b.is("bob", "description"))
}

// TestRefusalsOfADomainNameTheCure: a mail address that somebody has, an account that AdminSDHolder protects, one that is
// protected from deletion, a place that does not exist: each is one finding or one open case, which says what to do; and
// everybody else is made, changed and closed.
func TestRefusalsOfADomainNameTheCure(t *testing.T) {
	s := open(t, slapdtest.Options{})
	from, domain := slapdSide(t), sambatest.Start(t, sambatest.Options{})
	to := side{
		Directory: domain, login: "sAMAccountName", domain: true, root: domain.BaseDN(), url: domain.URL(), edit: domain.Editor,
		access: fmt.Sprintf("url = %q\nca_file = %q\nbind_dn = %q\nbind_password = %q", domain.URL(), domain.CAFile(), domain.Reader(), domain.Password()),
	}
	b := s.branch(to)
	rights := []string{"(A;CI;WPCCDCSD;;;", "(OA;CI;CR;00299570-246d-11d0-a768-00aa006e0529;;"}
	for _, dn := range []string{b.accounts, b.leavers, b.teams} {
		domain.Grant(t, dn, rights...)
	}
	people := map[string]string{}
	hire := func(login, title string) {
		people[login] = from.AddPerson(s, login, map[string][]string{
			"displayName": {"The " + login}, "mail": {login + "@b.example.test"}, "title": {title},
		})
	}
	for _, login := range []string{"alice", "bob", "carol", "dan"} {
		hire(login, "clerk")
	}
	s.configure(wide, from.block(), b.target(from))
	s.settle()

	domain.AddPerson(t, "taken", map[string][]string{"mail": {"erin@b.example.test"}})
	hire("erin", "clerk")
	hire("frank", "clerk")
	code := s.sync()
	s.claim(code == 4 && b.account("erin") == "" && b.account("frank") != "", "erin has no account, frank has one: exit %d", code)
	s.claim(s.says("findings", "not done", "erin", "CN=taken", "only one account may have"), "a finding names who has erin's address")
	domain.Delete(t, domain.PersonDN("taken"))
	s.claim(s.sync() == 0 && b.account("erin") != "", "erin has an account once the address is free")
	s.claim(s.says("findings", "No findings"), "the finding is over")

	domain.Set(t, b.account("bob"), "adminCount", "1")
	domain.Grant(t, b.account("bob"), "(D;;WP;;;")
	domain.Grant(t, b.account("carol"), "(D;;SD;;;")
	domain.Grant(t, b.accounts, "(D;;DC;;;")
	for _, login := range []string{"bob", "carol", "dan"} {
		from.Delete(s, people[login])
	}
	code = s.sync()
	s.claim(code == 4, "leavers are open: exit %d", code)
	s.claim(s.says("leavers", "bob", "AdminSDHolder", "Disable-ADAccount"), "bob's case names AdminSDHolder and the command")
	s.claim(s.says("leavers", "carol", "move", "protected from accidental deletion"), "carol's case names what protects her account")
	disabled := func(login string) bool { return b.is(login, "userAccountControl") == "514" }
	s.claim(disabled("carol") && disabled("dan") && !disabled("bob"), "carol and dan are disabled, bob is not")
	s.claim(strings.EqualFold(identity.ParentDN(b.account("dan")), b.leavers), "dan is at %s", b.account("dan"))
}
