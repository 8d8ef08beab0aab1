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
	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
)

// harness lets the suite change people in a real domain.
type harness struct {
	ldaptest.Harness

	server *sambatest.Server
}

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
	return open(t, need, block(h.server, "page_size = 5"))
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t testing.TB) sourcetest.Harness {
		s := sambatest.Start(t, sambatest.Options{})
		return harness{ldaptest.Harness{Directory: s, Login: "sAMAccountName", RDN: "CN="}, s}
	})
}
