//go:build unix

package fieldcases

// Joiners, movers, who comes back, and what is changed in the application, pushed by each kind of directory.

import (
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// An editable directory is one whose entries can be changed.
type editable interface {
	PeopleDN() string
	AddPerson(t testing.TB, uid string, attributes map[string][]string) string
	AddGroup(t testing.TB, name string, members ...string) string
	AddUnit(t testing.TB, name, parent string) string
	Delete(t testing.TB, dn string)
	Move(t testing.TB, dn, parent string) string
	Set(t testing.TB, dn, attribute string, values ...string)
	Join(t testing.TB, group, member string)
	Leave(t testing.TB, group, member string)
	Values(t testing.TB, dn, attribute string) []string
	Anchor(t testing.TB, dn string) string
}

// A pushing directory is one of the company whose people these cases move around. Everybody in staff, or in a group
// therein, has an account.
type pushing struct {
	editable
	person  string // an attribute of a person's name that everybody has
	login   string
	block   string // of the source
	rename  func(dn, login string) string
	restore func(anchor, dn string) // makes who was deleted a person again; nil where that cannot be
}

func openLDAP(t *testing.T, dir *slapdtest.Server) *pushing {
	return &pushing{
		editable: dir, person: "cn", login: "uid",
		rename: func(dn, login string) string { return dir.Rename(t, dn, "uid="+login) },
	}
}

func domain(t *testing.T) *pushing {
	dir := sambatest.Start(t, sambatest.Options{})
	return &pushing{
		editable: dir, person: "displayName", login: "sAMAccountName", block: dir.Block("corp", "rehire = person.employeeNumber"),
		rename: func(dn, login string) string {
			dir.Set(t, dn, "sAMAccountName", login)
			return dir.Rename(t, dn, "CN="+login)
		},
		restore: func(anchor, dn string) {
			dir.Restore(t, anchor, dn)
			dir.Set(t, dn, "displayName", "Anna Restored")
			dir.Set(t, dn, "employeeNumber", "1")
			dir.Enable(t, dn)
		},
	}
}

func TestPushedReturnsAndMovers(t *testing.T) {
	for name, of := range map[string]func(t *testing.T, s *site) *pushing{
		"OpenLDAP": func(t *testing.T, s *site) *pushing {
			d := openLDAP(t, s.dir)
			d.block = s.source("corp", s.dir, "rehire = person.employeeNumber")
			return d
		},
		"Active Directory": func(t *testing.T, _ *site) *pushing { return domain(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, slapdtest.Options{})
			of(t, s).play(t, s)
		})
	}
}

// play has one person join, move, leave and come back in every way, beside somebody who is there all the time.
func (d *pushing) play(t *testing.T, s *site) {
	ann := d.hire(t, "ann", "1")
	bob := d.hire(t, "bob", "2")
	staff := d.AddGroup(t, "staff", bob)
	dev := d.AddGroup(t, "dev", bob)
	sales := d.AddUnit(t, "sales", d.PeopleDN())
	d.Move(t, d.hire(t, "carl", "3"), sales)
	s.configure(wide, everyHour, d.block, `target "scim" "app" {
  url          = "`+s.app.URL()+`"
  bearer_token = file("token")
  scope        = member_of("staff")
  account = {
    userName    = lower(person.`+d.login+`)
    displayName = person.`+d.person+`
  }
}`)
	s.settle()
	s.run()
	s.untilPushed()
	soon := func(what string, so func() bool) { s.Helper(); s.claim(s.within(20*time.Second, so), "%s", what) }

	d.Join(t, staff, dev)
	d.Join(t, dev, ann)
	soon("ann joins a group of staff, and has an account", func() bool { return s.app.active("ann") })
	id := s.app.id("ann")
	same := func() bool { return s.app.account("anna")["id"] == id && s.app.active("anna") }

	ann = d.rename(ann, "anna")
	soon("ann is called anna, in the same account", same)
	ann = d.Move(t, ann, sales)
	d.Set(t, ann, d.person, "Anna Moved")
	soon("anna is in sales", func() bool { return s.app.account("anna")["displayName"] == "Anna Moved" && same() })
	d.Leave(t, dev, ann)
	soon("anna leaves the group of staff", func() bool { return s.app.closed("anna") })
	d.Join(t, dev, ann)
	soon("anna is back in it", same)

	if d.restore != nil {
		anchor := d.Anchor(t, ann)
		d.Delete(t, ann)
		soon("anna is deleted", func() bool { return s.app.closed("anna") })
		d.restore(anchor, ann)
		d.Join(t, dev, ann)
		soon("anna is made a person again", same)
	}
	d.Delete(t, ann)
	soon("anna is deleted for good", func() bool { return s.app.closed("anna") })
	d.Join(t, dev, d.hire(t, "anna", "1"))
	soon("anna is hired again, under another identifier", same)

	s.app.Patch(t, "/Users/"+id, "replace", "displayName", "Edited By Hand")
	s.app.Patch(t, "/Users/"+s.app.id("bob"), "replace", "active", false)
	s.sync()
	soon("what was edited by hand is put right", func() bool { return s.app.account("anna")["displayName"] == "anna" })
	s.claim(s.app.closed("bob") && s.says("findings", "bob", "disabled"), "bob, who was disabled by hand, stays so and is named")
	s.app.Patch(t, "/Users/"+s.app.id("bob"), "replace", "active", true)
	d.Delete(t, bob)
	soon("bob is deleted", func() bool { return s.app.closed("bob") })
	s.claim(same(), "anna is there")
}

// hire adds somebody whose names are all the same.
func (d *pushing) hire(t *testing.T, login, number string) string {
	return d.AddPerson(t, login, map[string][]string{"employeeNumber": {number}, d.person: {login}})
}
