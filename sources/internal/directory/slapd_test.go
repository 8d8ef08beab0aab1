//go:build unix

package directory

import (
	"fmt"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// as are the lines of a block that reads s; later lines of the caller's are added.
func as(s *slapdtest.Server, dn string, lines ...string) []string {
	return append([]string{
		fmt.Sprintf("url = %q", s.URL()),
		fmt.Sprintf("bind_dn = %q", dn),
		fmt.Sprintf("bind_password = %q", s.Password()),
		fmt.Sprintf("base_dn = %q", s.PeopleDN()),
	}, lines...)
}
