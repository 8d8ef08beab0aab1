package fieldcases

// Cases of public reports, about other products and of the same kind of trouble. Each says where it was seen.

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

const wikiGroups = `entitlements = [for g in person.groups : g if startswith(g, "wiki-")]`

// notFound is what a web server says that knows of no application.
var notFound = scimtest.Answer(404, `{"message":"Not Found","status":"404"}`, "Content-Type",
	"application/json; charset=utf-8")

// A token without rights, or a tenant that was reset, answers 404 to everything (google/go-github#2209).
func TestNotFoundIsNoProof(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.odd("", "", notFound)
	code, _ := s.dirsweep("sweep", "bob", "--reason", "field case")
	s.claim(code != 0, "the sweep is not called done")
	s.claim(s.says("leavers", "bob"), "bob's case is open")
	s.fire("carol")
	s.sync()
	s.app.Clear()
	s.sync()
	s.claim(s.app.closed("bob", "carol"), "both are closed once the application answers")
	s.claim(s.app.active("alice"), "alice is active")
}

// An administrator deletes the account, and the next sign-in makes a new one (featurehub-io/featurehub#368).
func TestAccountMadeAnewBySignIn(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.edit("bob", func(doc map[string]any) { doc["id"] = "jit-1"; delete(doc, "externalId") })
	s.fire("bob")
	s.sync()
	s.claim(s.app.closed("bob") || s.says("leavers", "bob") || s.says("findings", "bob"),
		"bob's new account is closed, or named")
	_, evidence := s.dirsweep("evidence", "bob")
	s.claim(s.app.closed("bob") || !strings.Contains(evidence, `"closed"`), "no evidence calls an open account closed")
}

// One of two directories cannot be read; the other knows a locked person of that login (zammad/zammad#5057).
func TestSourceDownEndsNoDispute(t *testing.T) {
	s := company(t)
	north := s.dir.AddUnit(t, "north", s.dir.PeopleDN())
	south := s.dir.AddUnit(t, "south", s.dir.PeopleDN())
	s.hireAt("uid=mia,"+north, "nsAccountLock", "TRUE")
	s.hireAt("uid=mia," + south)
	s.hireAt("uid=noah," + south)
	s.app.AddUser(t, "mia", nil)
	password := func(is string) { s.write("south.password", is) }
	password(s.dir.Password())
	s.configure(wide, below(s.source("north", s.dir), north),
		strings.Replace(below(s.source("south", s.dir), south), `env("LDAP_PASSWORD")`, `file("south.password")`, 1),
		s.target("app", s.app))
	s.sync()
	s.claim(s.app.active("mia"), "mia is active while both are read")
	password("wrong")
	s.sync()
	s.claim(s.app.active("mia"), "mia is active while the south cannot be read")
}

// below makes a source read another base.
func below(source, base string) string {
	const name = "base_dn       = "
	before, after, _ := strings.Cut(source, name)
	_, after, _ = strings.Cut(after, "\n")
	return before + name + `"` + base + "\"\n" + after
}

// A group hides its members from the reader (bitwarden/directory-connector#103).
func TestGroupHidesItsMembers(t *testing.T) {
	s := staffAndAdmins(t)
	s.dir.Restrict(t,
		`to dn.exact="`+s.dir.GroupDN("admins")+`" attrs=member by dn.exact="`+s.dir.ReaderDN()+`" none by * break`)
	s.sync()
	s.claim(s.app.active("alice", "bob"), "alice and bob are active")
}

// staffAndAdmins is a company of 42 with accounts for two groups; alice and bob are the administrators.
func staffAndAdmins(t *testing.T) *site {
	t.Helper()
	s := open(t, slapdtest.Options{People: 40, Groups: 1})
	s.hire("alice")
	s.hire("bob")
	s.group("admins", "alice", "bob")
	s.configure(percent(5), s.source("corp", s.dir),
		s.target("app", s.app, `scope = member_of("group001") || member_of("admins")`))
	s.settle()
	return s
}

// percent is a guard that lets so many percent go, and holds no shrink.
func percent(n int) string {
	return strings.Replace(wide, "max_sweep_percent  = 100", fmt.Sprintf("max_sweep_percent  = %d", n), 1)
}

// The primary group counts, though memberUid does not list it (nextcloud/server#2640).
func TestPrimaryGroupIsAMembership(t *testing.T) {
	s := company(t)
	s.hire("alice", posix("alice", "500")...)
	s.hire("bob", posix("bob", "503")...)
	group := s.posixGroup("wiki-users", "500", "bob")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, `scope = member_of("wiki-users")`))
	s.sync()
	s.claim(s.app.active("alice"), "alice has an account by her primary group")
	s.set("bob", "gidNumber", "500")
	s.dir.Set(t, group, "memberUid")
	s.sync()
	s.claim(s.app.active("bob"), "bob, whose primary group it is now, is active")
}

// The application answers 200 to the removal of a member, and does nothing (wso2/product-is#7040).
func TestMoverWhoKeepsTheGroupIsNotDone(t *testing.T) {
	s := company(t, "alice", "bob")
	group := s.group("wiki-admins", "alice", "bob")
	there := s.app.AddGroup(t, "wiki-admins")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, wikiGroups))
	s.settle()
	s.app.Inject(scimtest.Fault{Method: "PATCH", Path: "/Groups", Match: bodyHas("remove"), Trouble: unheard})
	s.dir.Leave(t, group, s.dir.PersonDN("alice"))
	first, second := s.sync(), s.sync()
	s.claim(first != 0 || second != 0 || s.says("findings", "alice"), "it is said that alice is still in the group")
	s.app.Clear()
	s.sync()
	s.claim(!slices.Contains(s.app.members(there), "alice"), "alice is taken out once the application does it")
}

// unheard answers a write as if it had been done, by showing the resource as it is.
func unheard(w http.ResponseWriter, r *http.Request, next http.Handler) {
	read := r.Clone(r.Context())
	read.Method, read.Body = http.MethodGet, http.NoBody
	next.ServeHTTP(w, read)
}

// bodyHas matches requests by a part of their body.
func bodyHas(part string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return err == nil && bytes.Contains(body, []byte(part))
	}
}

// The list of groups leaves members out, each group shows them, and filters by member are refused
// (graphql-hive/console#8352).
func TestGroupListWithoutMembers(t *testing.T) {
	s := company(t, "alice", "bob")
	s.group("wiki-editors", "alice", "bob")
	there := s.app.AddGroup(t, "wiki-editors")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, wikiGroups))
	s.app.Inject(scimtest.Fault{Method: "GET", Path: "/Groups", Match: func(r *http.Request) bool {
		return strings.Contains(r.URL.Query().Get("filter"), "members")
	}, Trouble: scimError(400, "invalidFilter", "members cannot be filtered")})
	s.app.Inject(scimtest.Fault{Method: "GET", Path: "/Groups", Match: func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/Groups")
	}, Trouble: rewrite(func(body string) string { return strings.ReplaceAll(body, `"members"`, `"kept"`) })})
	s.settle()
	before := s.app.Writes()
	s.sync()
	s.claim(s.app.Writes() == before, "a second pass writes nothing")
	bob := s.app.id("bob")
	s.fire("bob")
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed")
	s.claim(!slices.Contains(s.app.Members(t, there), bob) || s.told("bob"),
		"bob left the group, or it is said that he did not")
}

// A tool moves people by copying the entry and deleting the old one (owncloud/core#30170).
func TestCopiedThenDeletedIsOnePerson(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.configure(wide, s.source("corp", s.dir, "rehire = person.employeeNumber"), s.target("app", s.app))
	s.settle()
	number := s.dir.Values(t, s.dir.PersonDN("bob"), "employeeNumber")[0]
	s.hireAt("uid=bob,"+s.dir.AddUnit(t, "moved", s.dir.PeopleDN()), "employeeNumber", number)
	s.sync()
	s.fire("bob")
	s.sync()
	s.sync()
	s.claim(s.app.requests("PATCH", "active") == 0, "bob is never locked out in between")
	s.claim(s.app.active("bob") && len(s.app.accounts()) == 3, "bob has one account, and it is active")
}

// Tools write true, TRUE and True; the directory compares without case (RocketChat/Rocket.Chat#7235).
func TestLockedSpelledInSmallLetters(t *testing.T) {
	s := company(t, "alice", "bob")
	s.configure(wide, s.source("corp", s.dir, `active = person.nsAccountLock != "TRUE"`), s.target("app", s.app))
	s.settle()
	s.set("bob", "nsAccountLock", "true")
	s.sync()
	s.claim(s.app.closed("bob") || s.says("findings", "bob"),
		"bob is closed, or it is said that the directory calls him locked")
	s.claim(s.app.active("alice"), "alice is active")
}

// Collections live at /Users/, and /Users is redirected there (fastapi/fastapi#51).
func TestTrailingSlashIsRedirected(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.app.Inject(scimtest.Fault{
		Match: func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/Users") || strings.HasSuffix(r.URL.Path, "/Groups")
		},
		Trouble: withSlash,
	})
	named := s.says("check", "redirect")
	s.sync()
	s.claim(named || len(s.app.accounts()) == 3, "accounts are made, or check names the redirect")
}

func withSlash(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	to := *r.URL
	to.Path += "/"
	http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
}

// 429 with Retry-After: 3600 is kept over passes (pingidentity/scim#20).
func TestPauseOutlivesThePass(t *testing.T) {
	s := company(t, "alice", "bob")
	s.configure(wide, everySecond, s.source("corp", s.dir), s.target("app", s.app))
	s.settle()
	s.app.Inject(scimtest.Fault{
		Method: "POST", Match: bodyHas(`"dora"`),
		Trouble: scimtest.Answer(429, "slow down", "Retry-After", "3600"),
	})
	s.run()
	s.hire("dora")
	asked := func(times int) func() bool {
		return func() bool { return s.app.requests("POST", `"dora"`) >= times }
	}
	if !s.within(30*time.Second, asked(1)) {
		s.Fatal("dora was never created")
	}
	s.claim(!s.within(8*time.Second, asked(3)), "it is not asked again in each pass")
	s.fire("bob")
	s.claim(s.within(70*time.Second, func() bool { return s.app.closed("bob") }),
		"a leaver is closed within about a minute nevertheless")
}

const everySecond = `schedule { delta = "@every 1s" }`

// The application shows active as 1 and 0 (grokability/snipe-it#13948).
func TestActiveIsANumber(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	numbers := strings.NewReplacer(`"active":true`, `"active":1`, `"active":false`, `"active":0`)
	s.app.odd("", "/Users", rewrite(numbers.Replace))
	s.sync()
	s.sync()
	s.fire("bob")
	s.sync()
	s.claim(s.app.closed("bob"), "bob is closed")
	s.claim(!s.says("leavers", "bob") || s.says("leavers", "number"),
		"the case is closed, or its reason says that active is a number")
	s.claim(s.app.active("alice", "carol"), "alice and carol are active")
}

// The login cannot be changed; name and mail can (keycloak/keycloak#51155).
func TestImmutableLoginHoldsNothingElseBack(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.Inject(scimtest.Fault{
		Method: "PATCH", Path: "/Users", Match: bodyHas("userName"),
		Trouble: scimError(400, "mutability", "userName is immutable"),
	})
	s.dir.Rename(t, s.dir.PersonDN("bob"), "uid=robert")
	s.set("robert", "sn", "Barker")
	s.set("robert", "mail", "robert@example.org")
	s.sync()
	s.sync()
	name, _ := s.app.account("bob")["name"].(map[string]any)
	s.claim(name["familyName"] == "Barker", "what can be changed is changed")
	s.claim(s.says("findings", "robert"), "the login is a finding")
	before := s.app.Writes()
	s.sync()
	s.claim(s.app.Writes() == before, "what is refused is not sent again in each pass")
}

// An old import left ISO 8859-1 in a name (casdoor/casdoor#4802).
func TestNameThatIsNotUTF8(t *testing.T) {
	s := company(t, "alice", "bob")
	s.set("bob", "rawName", "J\xf6rg M\xfcller")
	account := strings.Replace(s.target("app", s.app), "= person.cn", "= default(person.rawName, person.cn)", 1)
	s.configure(wide, s.source("corp", s.dir, `attributes = ["rawName"]`), account)
	s.sync()
	name, _ := s.app.account("bob")["displayName"].(string)
	s.claim(name == "" || name == "Bob Case" || name == "Jörg Müller", "bob is called %q", name)
	s.claim(s.app.account("alice") != nil, "alice has an account")
}

// The token was saved by an editor that writes a byte order mark and CR LF (influxdata/telegraf#1378).
func TestTokenFileWithByteOrderMark(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.write("token", "\ufeff"+s.app.Token()+"\r\n")
	_, out := s.dirsweep("sync")
	out = strings.ToLower(out)
	said := strings.Contains(out, "byte order") || strings.Contains(out, "bom") || strings.Contains(out, "control")
	s.claim(said || len(s.app.accounts()) == 3, "the mark is taken off, or named")
}

// The token was saved by a shell that writes UTF-16 (elastic/beats#2354).
func TestTokenFileInUTF16(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	wide := []byte{0xff, 0xfe}
	for _, letter := range []byte(s.app.Token() + "\r\n") {
		wide = append(wide, letter, 0)
	}
	s.write("token", string(wide))
	_, out := s.dirsweep("sync")
	s.claim(strings.Contains(out, "UTF-16") || len(s.app.accounts()) == 3, "the encoding is named")
}

// So was the whole config.
func TestConfigWithByteOrderMark(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.write("config.hcl", "\ufeff"+strings.ReplaceAll(s.read("config.hcl"), "\n", "\r\n"))
	s.sync()
	s.claim(len(s.app.accounts()) == 3, "accounts are made")
}

// Samba's schema locks by the flag D (tine20/tine20#5720).
func TestLockedBySambaFlags(t *testing.T) {
	s := company(t, "alice", "bob")
	s.hire("carol", "objectClass", "shadowAccount")
	s.settle()
	s.set("alice", "sambaAcctFlags", "[UL         ]")
	s.set("bob", "sambaAcctFlags", "[UD         ]")
	s.set("carol", "shadowExpire", "1")
	s.sync()
	s.claim(s.app.closed("carol"), "carol, expired by shadowExpire, is closed")
	s.claim(s.app.closed("bob"), "bob, who has the flag D, is closed")
	s.claim(s.app.active("alice"), "alice, locked for a while by wrong passwords, is active")
}

// Somebody is renamed, and memberUid lists the old login (martymac/ldapscripts#7).
func TestRenameLeavesTheMembershipBehind(t *testing.T) {
	s := open(t, slapdtest.Options{People: 40})
	members := []string{"bob"}
	for n := range 40 {
		members = append(members, slapdtest.UID(n+1))
	}
	s.hire("bob")
	s.posixGroup("wiki-users", "500", members...)
	s.configure(percent(5), s.source("corp", s.dir), s.target("app", s.app, `scope = member_of("wiki-users")`))
	s.settle()
	s.dir.Rename(t, s.dir.PersonDN("bob"), "uid=robert")
	s.sync()
	s.claim(len(s.app.inactive()) == 0, "nobody is closed, not %v", s.app.inactive())
	s.claim(s.says("findings", "wiki-users", "bob"), "the value that names nobody is a finding")
}

// The application was restored: same logins, same externalIds, new ids (Budibase/budibase#17628).
func TestNewIDsAfterARestore(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	s.settle()
	s.app.renumber()
	s.sync()
	s.sync()
	s.claim(!s.says("findings", "disputed"), "nobody is disputed")
	s.fire("bob")
	s.sync()
	s.claim(s.app.closed("bob") || s.says("leavers", "bob"), "bob is closed, or his case is open")
	s.claim(s.app.active("alice", "carol") && len(s.app.accounts()) == 3, "the others have their one account")
}

// The application's group differs from the directory's in letter case (owncloud/user_ldap#499).
func TestGroupNameInOtherCase(t *testing.T) {
	s := company(t, "alice", "bob")
	s.group("wiki-editors", "bob")
	there := s.app.AddGroup(t, "Wiki-Editors")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, wikiGroups))
	s.sync()
	code := s.sync()
	said := code != 0 || s.says("findings", "wiki-editors")
	s.claim(said || slices.Contains(s.app.members(there), "bob"), "bob is in the group, or it is said that he is not")
}
