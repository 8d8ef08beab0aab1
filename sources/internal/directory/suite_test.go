//go:build unix

package directory

import (
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
)

// harness lets the suite change people in a real slapd.
type harness struct {
	ldaptest.Harness

	server *slapdtest.Server
}

func (h harness) Open(t testing.TB, need sources.Need) sources.Source {
	spec, diags := parse(t, joined(as(h.server, h.server.ReaderDN(), "page_size = 5")))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t testing.TB) sourcetest.Harness {
		s := slapdtest.Start(t, slapdtest.Options{})
		return harness{ldaptest.Harness{Directory: s, Login: "uid", RDN: "uid="}, s}
	})
}
