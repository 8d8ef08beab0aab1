package fieldcases

// Five hundred people and two hundred groups, and the ways to lose sight of some of them: nobody is closed, enabled,
// emptied or stripped by that, who really leaves is closed at once, and what waits is said in words that settle it.

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

var update = flag.Bool("update", false, "write testdata/fivehundred anew")

// The firm's config. Edits replace parts of it.
const firmConfig = `state { path = "state.db" }

source "ldap" "corp" {
  url           = "URL"
  bind_dn       = "cn=reader,dc=example,dc=org"
  bind_password = env("LDAP_PASSWORD")
  base_dn       = "dc=example,dc=org"
  filter        = "(objectClass=inetOrgPerson)"
  anchor        = "entryUUID"
  active        = !is_true(person.nsAccountLock) && person.employeeType == "staff"
  groups { base_dn = "ou=groups,dc=example,dc=org" }
}

target "scim" "wiki" {
  url          = "APPLICATION"
  bearer_token = file("token")
  rate         = { per_second = 1000, parallel = 8 }
  scope        = length([for g in person.groups : g if startswith(g, "group")]) > 0
  account = {
    userName          = lower(person.uid)
    displayName       = person.cn
    "name.givenName"  = person.givenName
    "name.familyName" = person.sn
    emails            = values("mail")
    userType          = member_of("group003") ? "lead" : "member"
  }
  entitlements = [for g in person.groups : g if startswith(g, "group")]
}
`

// A loss is a way to lose sight of people.
type loss struct {
	name    string
	happens func(*firm)
	undone  func(*firm) // nil where its access rules, or its edit, are taken back
	deleted int         // who is deleted in the same minute
	former  int         // who is made inactive in the same minute
	mark    string      // by which that is seen: employeeType or nsAccountLock
	held    int         // one of those out of sight, who is deleted a week later
}

var losses = []loss{
	{
		name: "hidden-groups", deleted: 203, former: 20, mark: "nsAccountLock", held: 3,
		happens: func(f *firm) {
			var rules []string
			for _, n := range []int{3, 77, 150} {
				rules = append(rules, `to dn.exact="`+f.dir.GroupDN(slapdtest.GroupName(n))+`" by * none`)
			}
			f.dir.Restrict(f, rules...)
		},
	},
	{
		name: "renamed-group", deleted: 203, former: 20, mark: "nsAccountLock", held: 3,
		happens: func(f *firm) { f.dir.Rename(f, f.dir.GroupDN(slapdtest.GroupName(3)), "cn=leads") },
		undone:  func(f *firm) { f.dir.Rename(f, f.dir.GroupDN("leads"), "cn="+slapdtest.GroupName(3)) },
	},
	{
		name: "hidden-employee-type", deleted: 10, former: 20, mark: "nsAccountLock", held: 3,
		happens: func(f *firm) { f.dir.HideAttribute(f, "employeeType") },
	},
	{
		name: "hidden-lock", deleted: 10, former: 20, mark: "employeeType", held: 3,
		happens: func(f *firm) { f.dir.HideAttribute(f, "nsAccountLock") },
	},
	{
		name: "hidden-mail", deleted: 10, former: 20, mark: "nsAccountLock", held: 3,
		happens: func(f *firm) { f.dir.HideAttribute(f, "mail") },
	},
	{
		name: "edited-anchor", deleted: 10, former: 20, mark: "nsAccountLock", held: 3,
		happens: func(f *firm) { f.edit(`"entryUUID"`, `"employeeNumber"`) },
	},
	{
		name: "edited-filter", deleted: 57, former: 20, mark: "nsAccountLock", held: 7,
		happens: func(f *firm) {
			f.edit("(objectClass=inetOrgPerson)", "(&(objectClass=inetOrgPerson)(!(departmentNumber=7)))")
		},
	},
	{
		name: "edited-active", deleted: 57, former: 20, mark: "nsAccountLock", held: 7,
		happens: func(f *firm) {
			f.edit(`person.employeeType == "staff"`, `person.employeeType == "staff" && person.departmentNumber != "7"`)
		},
	},
	{
		name: "edited-base", deleted: 482, former: 20, mark: "nsAccountLock", held: 490,
		happens: func(f *firm) {
			f.edit(`base_dn       = "dc=example,dc=org"`, `base_dn       = "ou=people,dc=example,dc=org"`)
		},
	},
}

func TestFiveHundredPeople(t *testing.T) {
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) { newFirm(t).lose(l) })
	}
}

// A firm is a company of five hundred: twenty of them in a plant beside ou=people, three of them closed already.
type firm struct {
	*site
	groups  map[string]string // those of the application, name by id
	printed bytes.Buffer      // what was printed since the loss
}

func newFirm(t *testing.T) *firm {
	t.Helper()
	s := open(t, slapdtest.Options{People: 500, Groups: 200, Person: func(int) map[string][]string {
		return map[string][]string{"objectClass": {"lockPerson"}, "employeeType": {"staff"}}
	}})
	f := &firm{site: s, groups: map[string]string{}}
	plant := s.dir.AddUnit(t, "plant", s.dir.BaseDN())
	for n := 481; n <= 500; n++ {
		s.dir.Move(t, s.dir.PersonDN(slapdtest.UID(n)), plant)
	}
	for n := 1; n <= 200; n++ {
		f.groups[s.app.AddGroup(t, slapdtest.GroupName(n))] = slapdtest.GroupName(n)
	}
	f.write("config.hcl", strings.NewReplacer("URL", s.dir.URL(), "APPLICATION", s.app.URL()).Replace(firmConfig))
	f.settle()
	f.leaves(30, "nsAccountLock")
	f.leaves(31, "nsAccountLock")
	f.leaves(32, "employeeType")
	f.settle()
	f.age()
	f.settle()
	return f
}

func (f *firm) person(n int) string {
	if n > 480 {
		return "uid=" + slapdtest.UID(n) + ",ou=plant," + f.dir.BaseDN()
	}
	return f.dir.PersonDN(slapdtest.UID(n))
}

// leaves marks somebody as one who left.
func (f *firm) leaves(n int, mark string) {
	f.Helper()
	value := map[string]string{"nsAccountLock": "TRUE", "employeeType": "former"}[mark]
	f.dir.Set(f, f.person(n), mark, value)
}

// edit replaces a part of the config.
func (f *firm) edit(old, replacement string) {
	f.Helper()
	config := f.read("config.hcl")
	if strings.Count(config, old) != 1 {
		f.Fatalf("the config has %q not once", old)
	}
	f.write("config.hcl", strings.Replace(config, old, replacement, 1))
}

// lose plays a loss.
func (f *firm) lose(l loss) {
	f.Helper()
	accounts, members := f.app.accounts(), f.members()
	active, memberships := len(accounts)-len(f.app.inactive()), slices.Concat(slices.Collect(maps.Values(members))...)
	if len(accounts) != 500 || active != 497 || len(memberships) != active {
		f.Fatalf("of %d accounts %d are active, with %d groups", len(accounts), active, len(memberships))
	}
	config := f.read("config.hcl")
	f.app.Reset()
	l.happens(f)
	f.dir.Delete(f, f.person(l.deleted))
	f.leaves(l.former, l.mark)

	f.claim(f.tell("sync") == 3, "the pass says that something waits")
	f.closed(accounts, members, l.deleted, l.former)
	f.tell("status")
	f.tell("holds")
	f.tell("findings")
	f.tell("plan")
	f.tell("explain", slapdtest.UID(l.held))

	for range 7 {
		f.ahead += day
		f.claim(f.sync() == 3, "each day says that something waits")
	}
	f.closed(accounts, members, l.deleted, l.former)
	f.dir.Delete(f, f.person(l.held))
	f.claim(f.tell("sync") == 3, "the pass says that the others wait")
	f.closed(accounts, members, l.deleted, l.former, l.held)

	f.dir.Show(f)
	f.write("config.hcl", config)
	if l.undone != nil {
		l.undone(f)
	}
	f.claim(f.tell("sync") == 0, "once it is taken back nothing waits")
	f.closed(accounts, members, l.deleted, l.former, l.held)
	f.golden(l.name)
}

// members are the logins in each group of the application.
func (f *firm) members() map[string][]string {
	f.Helper()
	logins := map[string]string{}
	for login, doc := range f.app.accounts() {
		logins[doc["id"].(string)] = login
	}
	all := map[string][]string{}
	for id, name := range f.groups {
		var list []string
		for _, member := range f.app.Members(f, id) {
			list = append(list, logins[member])
		}
		slices.Sort(list)
		all[name] = list
	}
	return all
}

// closed claims that these are closed and out of their groups, and that everybody else's account and groups are as they
// were, by what the application holds and by the requests that it got.
func (f *firm) closed(accounts map[string]map[string]any, members map[string][]string, leavers ...int) {
	f.Helper()
	var names, ids []string
	for _, n := range leavers {
		names = append(names, slapdtest.UID(n))
		ids = append(ids, accounts[slapdtest.UID(n)]["id"].(string))
	}
	left := func(name string) bool { return slices.Contains(names, name) }
	now := f.app.accounts()
	f.claim(len(now) == len(accounts), "there are %d accounts, as before, not %d", len(accounts), len(now))
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		if left(name) {
			f.claim(now[name]["active"] == false, "%s, who left, is closed", name)
		} else {
			f.claim(reflect.DeepEqual(now[name], accounts[name]), "%s is as before, not %v", name, now[name])
		}
	}
	for group, list := range f.members() {
		want := slices.DeleteFunc(slices.Clone(members[group]), left)
		f.claim(slices.Equal(list, want), "in %s are %v, not %v", group, want, list)
	}
	for _, call := range f.app.Calls() {
		about := func(id string) bool { return strings.HasSuffix(call.Path, "/"+id) || strings.Contains(call.Body, id) }
		f.claim(call.Method == "GET" || slices.ContainsFunc(ids, about),
			"nobody but who left is written: %s %s %s", call.Method, call.Path, call.Body)
	}
}

// tell runs a command and keeps what it printed.
func (f *firm) tell(args ...string) int {
	f.Helper()
	code, out := f.dirsweep(args...)
	fmt.Fprintf(&f.printed, "$ dirsweep %s\n%s(exit %d)\n\n", strings.Join(args, " "), out, code)
	return code
}

var (
	ids    = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	digest = regexp.MustCompile(`\b[0-9a-f]{12,64}\b`)
	times  = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d\d:?\d\d|Z)?`)
	spans  = regexp.MustCompile(`\b\d+(\.\d+)? (ms|s|min|h|days)\b( \d\d (s|min)\b)?`)
	hosts  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	number = regexp.MustCompile(`\(1\d{7}\)`) // of an account
	blanks = regexp.MustCompile(`(\S)   +`)
	// progress is printed where a pass takes its time: how often depends on the machine.
	progress = regexp.MustCompile(`(?m)^(read|done) \S+ \d+(/\d+)?.*\n`)
)

// golden compares what was told with testdata, whatever differs from run to run aside.
func (f *firm) golden(name string) {
	f.Helper()
	text := strings.ReplaceAll(f.printed.String(), f.folder, "/etc/dirsweep")
	text = progress.ReplaceAllString(text, "")
	text = ids.ReplaceAllString(text, "UUID")
	text = times.ReplaceAllString(text, "TIME")
	text = spans.ReplaceAllString(text, "SPAN")
	text = number.ReplaceAllString(text, "(ID)")
	text = hosts.ReplaceAllString(text, "HOST")
	text = blanks.ReplaceAllString(text, "$1  ")
	var digests []string
	text = digest.ReplaceAllStringFunc(text, func(one string) string {
		if !slices.Contains(digests, one) {
			digests = append(digests, one)
		}
		return fmt.Sprintf("DIGEST%d", slices.Index(digests, one)+1)
	})
	path := filepath.Join("testdata", "fivehundred", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.claim(text == string(want), "it is told as in %s, not:\n%s", path, text)
}
