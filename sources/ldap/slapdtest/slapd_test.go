package slapdtest_test

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// TestServer goes once through all that the harness offers.
func TestServer(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 20, Groups: 3, Person: func(i int) map[string][]string {
		if i == 3 {
			return map[string][]string{"cn": {"Zoë Ångström"}}
		}
		return nil
	}})
	count := func(want int) {
		t.Helper()
		conn, err := ldap.DialURL(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.Bind(s.ReaderDN(), s.Password()); err != nil {
			t.Fatal(err)
		}
		result, _ := conn.Search(
			ldap.NewSearchRequest(s.PeopleDN(), ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=inetOrgPerson)",
				[]string{"uid"}, nil),
		)
		if got := len(result.Entries); got != want {
			t.Errorf("the reader sees %d people, want %d", got, want)
		}
	}
	count(20)
	alice := s.AddPerson(t, "alice", nil)
	anchor := s.Anchor(t, alice)
	group := s.AddGroup(t, "staff", alice)
	alice = s.Rename(t, alice, "uid=alicia")
	if got := s.Values(t, group, "member"); len(got) != 1 || got[0] != alice {
		t.Errorf("after the rename the group holds %q, want %q", got, alice)
	}
	s.Disable(t, alice)
	s.Enable(t, alice)
	s.Set(t, alice, "title", "Boss")
	bob := s.AddPerson(t, "bob", nil)
	s.Join(t, group, bob)
	s.Leave(t, group, bob)
	unit := s.AddUnit(t, "berlin", s.PeopleDN())
	alice = s.Move(t, alice, unit)
	if anchor == "" || s.Anchor(t, alice) != anchor {
		t.Errorf("the anchor %q became %q", anchor, s.Anchor(t, alice))
	}
	s.Delete(t, alice)
	count(21)
	s.SetSizeLimit(t, 5)
	count(5)
	s.SetSizeLimit(t, 0)
	s.Hide(t)
	count(0)
	s.HidePeople(t)
	count(0)
	s.Show(t)
	s.Freeze(t)
	s.Thaw(t)
	s.Stop(t)
	s.Start(t)
	count(21)
	s.Kill(t)
	s.Start(t)
	count(21)
}
