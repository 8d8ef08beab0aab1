package fieldcases

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// twoBases is a company whose people are read below two base DNs: alice and bob below one, carol and dan in a branch.
func twoBases(t *testing.T) (s *site, branch string) {
	t.Helper()
	s = open(t, slapdtest.Options{})
	branch = s.dir.AddUnit(t, "branch", s.dir.BaseDN())
	for _, uid := range []string{"alice", "bob"} {
		s.hire(uid)
	}
	for _, uid := range []string{"carol", "dan"} {
		s.dir.Move(t, s.hire(uid), branch)
	}
	one := fmt.Sprintf("base_dn       = %q", s.dir.PeopleDN())
	both := fmt.Sprintf("base_dn       = [%q, %q]", s.dir.PeopleDN(), branch)
	s.configure(wide, strings.Replace(s.source("corp", s.dir), one, both, 1), s.target("app", s.app))
	s.settle()
	return s, branch
}

// TestBranchIsGivenUp: a base DN is no longer there. Whoever was moved to the other stays, whoever leaves that is closed,
// and of who went with the branch it is said that nobody can tell (C3).
func TestBranchIsGivenUp(t *testing.T) {
	s, branch := twoBases(t)
	s.dir.Move(t, "uid=carol,"+branch, s.dir.PeopleDN())
	s.dir.Delete(t, "uid=dan,"+branch)
	s.dir.Delete(t, branch)
	s.fire("bob")
	code := s.sync()
	s.claim(code != 0, "exit %d", code)
	s.claim(s.app.closed("bob") && s.app.active("alice", "carol"), "bob is closed, alice and carol are not")
	s.claim(s.says("findings", "not seen", branch) && s.says("status", branch), "the branch is named")
	s.claim(s.app.closed("dan") || s.told("dan"), "dan is closed, or named")
}

// TestHiddenBaseClosesNobody: the right to see one of two base DNs is taken away.
func TestHiddenBaseClosesNobody(t *testing.T) {
	s, branch := twoBases(t)
	s.dir.Restrict(t, `to dn.subtree="`+branch+`" by * none`)
	s.fire("bob")
	s.sync()
	s.claim(s.app.active("alice", "carol", "dan"), "who may not be seen is not closed")
	s.claim(s.app.closed("bob"), "bob is closed")
	s.claim(s.says("findings", "not seen", branch), "the branch is named")
	s.dir.Show(t)
	s.claim(s.sync() == 0, "all is well again")
}

// TestServerThatIsAwayIsNamed: the second of two servers answers in the place of the first, and status says why (B4).
func TestServerThatIsAwayIsNamed(t *testing.T) {
	s := company(t, "alice", "bob")
	const away = "ldap://127.0.0.1:1"
	block := strings.Replace(s.source("corp", s.dir), fmt.Sprintf("%q", s.dir.URL()), fmt.Sprintf("[%q, %q]", away, s.dir.URL()), 1)
	s.configure(wide, block, s.target("app", s.app))
	s.settle()
	s.fire("bob")
	s.claim(s.sync() == 0 && s.app.closed("bob"), "bob is closed")
	s.claim(s.says("status", away, "connection refused") && s.says("findings", "server away", away), "the server is named")
}
