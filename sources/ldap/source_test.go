//go:build unix

package ldap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// parse decodes the body of a source block.
func parse(t testing.TB, text string) (sources.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return decode(file.Body, sources.Env{Name: "corp", Dir: t.TempDir()})
}

// open makes a source of the lines of a block.
func open(t testing.TB, need sources.Need, lines ...string) *source {
	t.Helper()
	spec, diags := parse(t, strings.Join(lines, "\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if need.Log == nil {
		need.Log = hclog.NewNullLogger()
	}
	opened, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened.(*source)
}

// as are the lines of a block that reads s; later lines of the caller's are added.
func as(s *slapdtest.Server, dn string, lines ...string) []string {
	return append([]string{
		fmt.Sprintf("url = %q", s.URL()),
		fmt.Sprintf("bind_dn = %q", dn),
		fmt.Sprintf("bind_password = %q", s.Password()),
		fmt.Sprintf("base_dn = %q", s.PeopleDN()),
	}, lines...)
}

// everyone reads a source to its end; personal errors are counted, not returned.
func everyone(t testing.TB, s sources.Source) (people []identity.Person, personal []*sources.PersonError, err error) {
	t.Helper()
	return gather(s.People(t.Context()))
}
