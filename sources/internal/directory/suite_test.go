//go:build unix

package directory

import (
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
)

// harness lets the suite change people in a real slapd.
type harness struct{ *slapdtest.Server }

func (h harness) Open(t testing.TB, need sources.Need) sources.Source {
	spec, diags := parse(t, joined(as(h.Server, h.ReaderDN(), "page_size = 5")))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h harness) Names() (login, surname, mail string) { return "uid", "sn", "mail" }

func (h harness) Add(t testing.TB, login, surname, mail string) {
	h.AddPerson(t, login, map[string][]string{"sn": {surname}, "mail": {mail}})
}

func (h harness) Rename(t testing.TB, login, now string) {
	h.Server.Rename(t, h.PersonDN(login), "uid="+now)
}

func (h harness) SetMail(t testing.TB, login, mail string) {
	if mail == "" {
		h.Set(t, h.PersonDN(login), "mail")
		return
	}
	h.Set(t, h.PersonDN(login), "mail", mail)
}

func (h harness) Disable(t testing.TB, login string) { h.Server.Disable(t, h.PersonDN(login)) }

func (h harness) Delete(t testing.TB, login string) { h.Server.Delete(t, h.PersonDN(login)) }

func (h harness) Away(t testing.TB, login string) bool {
	h.Move(t, h.PersonDN(login), h.FormerDN())
	return true
}

func (h harness) Back(t testing.TB, login string) bool {
	h.Move(t, "uid="+login+","+h.FormerDN(), h.PeopleDN())
	return true
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t testing.TB) sourcetest.Harness { return harness{slapdtest.Start(t, slapdtest.Options{})} })
}
