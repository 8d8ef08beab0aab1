//go:build unix

package directory

import (
	"slices"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestGroupsFollow: on a server where no group follows a rename by itself, as most are, whoever is renamed, moved or
// closed keeps their memberships, and nobody else gets them.
func TestGroupsFollow(t *testing.T) {
	u := slapdLab(slapdtest.Start(t, slapdtest.Options{Locks: true, Loose: true})).unit(t)
	p := u.begun(t, u.closing("description")...)
	a, b := u.made(t, p, 1), u.made(t, p, 2)
	named, other := u.group(t, "named", u.dn(t, a.ID), u.dn(t, b.ID)), u.group(t, "other", u.dn(t, b.ID))
	posix := "cn=posix," + u.groups
	u.Add(t, posix, map[string][]string{
		"objectClass": {"posixGroup"}, "gidNumber": {"5000"}, "memberUid": {a.UserName, b.UserName},
	})
	elsewhere := u.AddUnit(t, "elsewhere", u.base)
	members := func(after string, login string, more ...string) {
		t.Helper()
		var want []string
		if dn := u.dn(t, a.ID); dn != "" {
			want = append(want, dn)
		}
		want = append(want, u.dn(t, b.ID), "cn=nobody")
		has := u.Values(t, named, "member")
		is := func(m string) bool { return ldapclient.SameDN(m, want[0]) }
		if len(has) != len(want) || !slices.ContainsFunc(has, is) {
			t.Errorf("%s: members are %q, want %q", after, has, want)
		}
		if got := u.Values(t, posix, "memberUid"); len(got) != 1+len(more) || !slices.Contains(got, login) {
			t.Errorf("%s: memberUid is %q", after, got)
		}
	}
	change := func(path, to string) {
		t.Helper()
		after, _, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
			{Path: path, Before: a.Get(path), After: p.Normal(path, identity.Text(to))},
		}})
		if err != nil {
			t.Fatal(err)
		}
		a = after
	}
	change("container", elsewhere)
	members("moved", a.UserName, b.UserName)
	change("userName", u.prefix+"renamed")
	members("renamed", u.prefix+"renamed", b.UserName)
	kept := u.close(t, p, a)
	members("closed", a.UserName, b.UserName)
	if _, err := p.Enable(t.Context(), a, kept); err != nil {
		t.Fatal(err)
	}
	members("opened again", a.UserName, b.UserName)
	before := u.everything(t, other)
	if _, err := p.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	members("deleted", b.UserName)
	same(t, "a group of others", before, u.everything(t, other))
}
