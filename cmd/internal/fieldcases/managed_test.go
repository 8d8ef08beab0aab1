//go:build unix

package fieldcases

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// byTitle is what of an application goes with a job there, and what of it is managed.
const byTitle = `lookup({ clerk = ["readers"], expert = ["editors"] }, person.title, [])
  manage       = ["*ers", "edit*"]`

// TestManagedMoversInAnApplication: plan and explain say by which line a mover is granted what, and why they lose the rest;
// sync does it, and reads it back.
func TestManagedMoversInAnApplication(t *testing.T) {
	s := open(t, slapdtest.Options{})
	groups := map[string]string{}
	for _, name := range []string{"readers", "editors", "owners", "guild"} {
		groups[name] = s.app.AddGroup(t, name)
	}
	s.hire("alice", "title", "clerk")
	s.hire("bob", "title", "clerk")
	s.configure(wide, s.source("corp", s.dir), s.target("app", s.app, "entitlements = "+byTitle))
	in := func(uid string) string {
		var list []string
		for name, id := range groups {
			if slices.Contains(s.app.Members(t, id), fmt.Sprint(s.app.Users(t)[uid]["id"])) {
				list = append(list, name)
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	s.settle()
	s.claim(in("alice") == "readers" && in("bob") == "readers", "both are readers: %q, %q", in("alice"), in("bob"))

	for _, name := range []string{"owners", "guild"} { // by hand
		s.app.Patch(t, "/Groups/"+groups[name], "add", "members", []any{map[string]any{"value": s.app.Users(t)["alice"]["id"]}})
	}
	s.set("alice", "title", "expert")
	text := strings.Split(s.read("config.hcl"), "\n")
	line := func(with string) string {
		return fmt.Sprintf("config.hcl:%d", 1+slices.IndexFunc(text, func(l string) bool { return strings.Contains(l, with) }))
	}
	granted := "grant editors  by " + line("entitlements =")
	taken := "withdraw owners, readers  managed by " + line("manage ") + ", not wanted by " + line("entitlements =")
	for _, command := range []string{"plan", "explain alice"} {
		_, out := s.dirsweep(strings.Fields(command)...)
		s.claim(strings.Contains(out, granted) && strings.Contains(out, taken), "%s says %q and %q:\n%s", command, granted, taken, out)
	}
	_, out := s.dirsweep("explain", "alice")
	s.claim(strings.Contains(out, line("manage ")+": *ers, edit*"), "explain says what is managed:\n%s", out)
	_, out = s.dirsweep("plan", "--format", "csv")
	s.claim(strings.Contains(out, `"managed by `+line("manage ")), "the table says why:\n%s", out)
	s.settle()
	s.claim(in("alice") == "editors guild" && in("bob") == "readers", "alice has moved: %q, bob has not: %q", in("alice"), in("bob"))
	code, out := s.dirsweep("plan", "--detailed-exitcode")
	s.claim(code == 0, "nothing is left to do:\n%s", out)

	s.set("bob", "title", "guest")
	s.settle()
	s.claim(in("bob") == "", "bob has nothing: %q", in("bob"))
	s.fire("alice")
	s.settle()
	s.claim(in("alice") == "", "closing takes what is not managed as well: %q", in("alice"))
}

// TestManagedMoversInADirectory: the same, where entitlements are groups of a directory.
func TestManagedMoversInADirectory(t *testing.T) {
	for name, start := range map[string]func(testing.TB) side{"OpenLDAP": slapdSide, "AD": sambaSide} {
		t.Run(name, func(t *testing.T) {
			s := open(t, slapdtest.Options{})
			from, b := slapdSide(t), s.branch(start(t))
			b.team("owners")
			b.team("guild")
			people := map[string]string{}
			for _, login := range []string{"alice", "bob"} {
				people[login] = from.AddPerson(s, login, map[string][]string{
					"displayName": {"The " + login}, "mail": {login + "@b.example.test"}, "title": {"clerk"},
				})
			}
			before, _, _ := strings.Cut(b.target(from), "entitlements = ")
			s.configure(wide, from.block(), before+"entitlements = "+byTitle+"\n}")
			s.settle()
			s.claim(b.in("alice") == "readers" && b.in("bob") == "readers", "both are readers: %q, %q", b.in("alice"), b.in("bob"))

			for _, team := range []string{"owners", "guild"} { // by hand
				b.Join(s, "cn="+team+","+b.teams, b.account("alice"))
			}
			from.Set(s, people["alice"], "title", "expert")
			_, out := s.dirsweep("explain", "alice")
			s.claim(strings.Contains(out, "grant editors  by ") && strings.Contains(out, "withdraw owners, readers  managed by "), "explain says why:\n%s", out)
			s.settle()
			s.claim(b.in("alice") == "editors guild" && b.in("bob") == "readers", "alice has moved: %q, bob has not: %q", b.in("alice"), b.in("bob"))
			code, out := s.dirsweep("plan", "--detailed-exitcode")
			s.claim(code == 0, "nothing is left to do:\n%s", out)
			from.Set(s, people["bob"], "title", "guest")
			s.settle()
			s.claim(b.in("bob") == "", "bob has nothing: %q", b.in("bob"))
		})
	}
}

// TestS6AReturnToAnotherJob: who comes back in another job has what goes with that, and none of what they had, with or without
// strip.
func TestS6AReturnToAnotherJob(t *testing.T) {
	for name, strip := range map[string]bool{"stripped": true, "kept": false} {
		t.Run(name, func(t *testing.T) {
			s := open(t, slapdtest.Options{})
			from, b := slapdSide(t), s.branch(slapdSide(t))
			b.team("guild")
			bob := from.AddPerson(s, "bob", map[string][]string{"displayName": {"The bob"}, "mail": {"bob@b.example.test"}, "title": {"clerk"}})
			before, _, _ := strings.Cut(b.target(from), "entitlements = ")
			s.configure(wide, from.block(), fmt.Sprintf("%sentitlements = %s\n  leaver { strip = %v }\n}", before, byTitle, strip))
			s.settle()
			b.Join(s, "cn=guild,"+b.teams, b.account("bob"))
			from.Disable(s, bob)
			s.settle()
			left := map[bool]string{true: "", false: "guild readers"}[strip]
			s.claim(b.in("bob") == left, "bob has left with %q", b.in("bob"))
			from.Set(s, bob, "title", "expert")
			from.enable(bob)
			s.settle()
			s.settle()
			back := map[bool]string{true: "editors", false: "editors guild"}[strip]
			s.claim(b.in("bob") == back, "bob is back with %q", b.in("bob"))
		})
	}
}

// in are the groups that an account is in.
func (b *branch) in(login string) string {
	b.Helper()
	dn := b.account(login)
	var list []string
	for _, group := range b.Names(b, b.teams, map[bool]string{true: "group", false: "groupOfNames"}[b.domain]) {
		if slices.ContainsFunc(b.Values(b, group, "member"), func(m string) bool { return strings.EqualFold(m, dn) }) {
			list = append(list, b.Values(b, group, "cn")[0])
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
