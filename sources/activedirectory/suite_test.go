//go:build unix

package activedirectory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
)

// harness lets the suite change people in a real domain.
type harness struct{ *sambatest.Server }

// block is a block that reads s.
func block(s *sambatest.Server, lines ...string) string {
	return strings.Join(append([]string{
		fmt.Sprintf("url = %q", s.URL()), fmt.Sprintf("ca_file = %q", s.CAFile()), fmt.Sprintf("bind_dn = %q", s.Reader()),
		fmt.Sprintf("bind_password = %q", s.Password()), fmt.Sprintf("base_dn = %q", s.PeopleDN()),
	}, lines...), "\n")
}

func open(t testing.TB, need sources.Need, text string) sources.Source {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	spec, diags := Kind().Decode(file.Body, sources.Env{Name: "corp", Dir: t.TempDir(), Eval: &hcl.EvalContext{}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h harness) Open(t testing.TB, need sources.Need) sources.Source {
	return open(t, need, block(h.Server, "page_size = 5"))
}

func (h harness) Names() (login, surname, mail string) { return "sAMAccountName", "sn", "mail" }

func (h harness) Add(t testing.TB, login, surname, mail string) {
	h.AddPerson(t, login, map[string][]string{"sn": {surname}, "mail": {mail}})
}

func (h harness) Rename(t testing.TB, login, now string) {
	h.Set(t, h.Server.Rename(t, h.PersonDN(login), "CN="+now), "sAMAccountName", now)
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
	h.Move(t, "CN="+login+","+h.FormerDN(), h.PeopleDN())
	return true
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t testing.TB) sourcetest.Harness { return harness{sambatest.Start(t, sambatest.Options{})} })
}
