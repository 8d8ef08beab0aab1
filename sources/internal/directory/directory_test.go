//go:build unix

package directory

import (
	"maps"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// TestR03ADirectoryIsKnownByItsSuffix: whatever part of it a source reads, and at whatever server.
func TestR03ADirectoryIsKnownByItsSuffix(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 1})
	replica := slapdtest.Start(t, slapdtest.Options{Copy: s})
	other := slapdtest.Start(t, slapdtest.Options{People: 1})
	of := func(server *slapdtest.Server, lines ...string) string {
		t.Helper()
		id, err := open(t, sources.Need{}, append(as(server, server.ReaderDN()), lines...)...).Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := of(s)
	if id == "" || of(replica) != id {
		t.Errorf("a server calls its directory %q, and a replica %q", id, of(replica))
	}
	if got := of(other); got == id {
		t.Errorf("two directories are both called %q", got)
	}
	s.Hide(t)
	if got := of(s); got != "" {
		t.Errorf("a directory that shows nothing is called %q", got)
	}
}

// TestR14WhatSelectsPeople: every setting by which somebody is read or not makes a difference, and how it is spelled
// makes none.
func TestR14WhatSelectsPeople(t *testing.T) {
	selection := func(lines ...string) (string, map[string]uint64) {
		t.Helper()
		return open(t, sources.Need{Groups: true}, append([]string{`url = "ldap://127.0.0.1"`, `bind_dn = "cn=r"`, `bind_password = "s"`}, lines...)...).Selection()
	}
	groups := `groups { base_dn = "ou=groups,dc=example,dc=org" }`
	anchor, was := selection(`base_dn = "ou=people,dc=example,dc=org"`, groups)
	if anchor != "entryuuid" {
		t.Errorf("people are known by %q", anchor)
	}
	base := `base_dn = "ou=people,dc=example,dc=org"`
	for name, c := range map[string]struct {
		lines []string
		other string // the setting that is not as it was
	}{
		"another spelling": {[]string{`base_dn = "OU=People, DC=example,DC=org"`, groups}, ""},
		"another page":     {[]string{base, `page_size = 7`, groups}, ""},
		"another base":     {[]string{`base_dn = "ou=staff,dc=example,dc=org"`, groups}, "base_dn"},
		"one more base":    {[]string{`base_dn = ["ou=people,dc=example,dc=org", "ou=staff,dc=example,dc=org"]`, groups}, "base_dn"},
		"another filter":   {[]string{base, `filter = "(uid=a*)"`, groups}, "filter"},
		"another depth":    {[]string{base, `scope_depth = "one"`, groups}, "scope_depth"},
		"other groups":     {[]string{base, `groups { base_dn = "dc=example,dc=org" }`}, "groups.base_dn"},
	} {
		_, now := selection(c.lines...)
		other := ""
		for setting := range was {
			if was[setting] != now[setting] {
				other += setting
			}
		}
		if other != c.other || len(now) != len(was) {
			t.Errorf("%s: %q is other than it was, want %q", name, other, c.other)
		}
	}
	anchor, now := selection(base, `anchor = "employeeNumber"`, groups)
	if anchor != "employeenumber" || !maps.Equal(now, was) {
		t.Errorf("another anchor is %q, and another selection %t", anchor, !maps.Equal(now, was))
	}
}

// TestR19ChangesToTheMicrosecond: slapd dates each change, so that two within a second are told apart.
func TestR19ChangesToTheMicrosecond(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 1})
	src := open(t, sources.Need{}, as(s, s.ReaderDN())...)
	changed := func() time.Time {
		people, _ := facts(t, src)
		return people[slapdtest.UID(1)].Changed
	}
	s.Set(t, s.PersonDN(slapdtest.UID(1)), "title", "one")
	first := changed()
	if again := changed(); first.IsZero() || !again.Equal(first) {
		t.Errorf("an entry that is as it was changed at %s and at %s", first, again)
	}
	s.Set(t, s.PersonDN(slapdtest.UID(1)), "title", "two")
	if second := changed(); !second.After(first) {
		t.Errorf("an entry that was changed again is dated %s, and was %s", second, first)
	}
}
