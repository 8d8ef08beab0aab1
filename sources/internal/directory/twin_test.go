//go:build unix

package directory

import (
	"fmt"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
)

// TestAnotherControllerIsAnother: two controllers of one domain are told apart, and neither covers the other.
func TestAnotherControllerIsAnother(t *testing.T) {
	one := sambatest.Start(t, sambatest.Options{People: 3})
	two := one.Twin(t)
	read := func(s *sambatest.Server) sources.ReadFacts {
		_, src := followingDomain(t, one, fmt.Sprintf("url = %q", s.URL()), "ca_file = \""+s.CAFile()+"\"")
		return stateOf(t, src, true).Facts
	}
	a, b := read(one), read(two)
	if a.People != 3 || b.People != 3 || a.Until.Covers(b.Until) || b.Until.Covers(a.Until) {
		t.Errorf("%v and %v", a.Until, b.Until)
	}
}
