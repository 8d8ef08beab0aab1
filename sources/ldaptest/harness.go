package ldaptest

import "testing"

// A Directory is a test server with people and groups in it.
type Directory interface {
	PeopleDN() string
	GroupsDN() string
	FormerDN() string
	PersonDN(uid string) string
	AddPerson(t testing.TB, uid string, attributes map[string][]string) string
	AddGroup(t testing.TB, name string, members ...string) string
	AddUnit(t testing.TB, name, parent string) string
	Delete(t testing.TB, dn string)
	Rename(t testing.TB, dn, rdn string) string
	Move(t testing.TB, dn, parent string) string
	Set(t testing.TB, dn, attribute string, values ...string)
	Disable(t testing.TB, dn string)
	Join(t testing.TB, group, member string)
	Leave(t testing.TB, group, member string)
	Values(t testing.TB, dn, attribute string) []string
	Names(t testing.TB, base, class string) []string
}

// A Harness has the suite of sources (package sourcetest) change people in a Directory; only Open is left to the kind.
type Harness struct {
	Directory

	Login string // the attribute that holds the login
	RDN   string // what the name of a person's entry begins with: "uid="
}

// Names implements sourcetest.Harness.
func (h Harness) Names() (login, surname, mail string) { return h.Login, "sn", "mail" }

// Add implements sourcetest.Harness.
func (h Harness) Add(t testing.TB, login, surname, mail string) {
	h.AddPerson(t, login, map[string][]string{"sn": {surname}, "mail": {mail}})
}

// Rename implements sourcetest.Harness.
func (h Harness) Rename(t testing.TB, login, now string) {
	dn := h.Directory.Rename(t, h.PersonDN(login), h.RDN+now)
	if h.RDN != h.Login+"=" {
		h.Set(t, dn, h.Login, now)
	}
}

// SetMail implements sourcetest.Harness.
func (h Harness) SetMail(t testing.TB, login, mail string) {
	if mail == "" {
		h.Set(t, h.PersonDN(login), "mail")
		return
	}
	h.Set(t, h.PersonDN(login), "mail", mail)
}

// Disable implements sourcetest.Harness.
func (h Harness) Disable(t testing.TB, login string) { h.Directory.Disable(t, h.PersonDN(login)) }

// Delete implements sourcetest.Harness.
func (h Harness) Delete(t testing.TB, login string) { h.Directory.Delete(t, h.PersonDN(login)) }

// Away implements sourcetest.Harness.
func (h Harness) Away(t testing.TB, login string) bool {
	h.Move(t, h.PersonDN(login), h.FormerDN())
	return true
}

// Back implements sourcetest.Harness.
func (h Harness) Back(t testing.TB, login string) bool {
	h.Move(t, h.RDN+login+","+h.FormerDN(), h.PeopleDN())
	return true
}
