// Package all lists every kind of target.
package all

import (
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/activedirectory"
	"github.com/dirsweep/dirsweep/targets/exec"
	"github.com/dirsweep/dirsweep/targets/ldap"
	"github.com/dirsweep/dirsweep/targets/scim"
	"github.com/dirsweep/dirsweep/targets/sql"
)

// Kinds returns every kind of target, sorted by name.
func Kinds() []targets.Kind {
	return []targets.Kind{
		activedirectory.Kind(),
		exec.Kind(),
		ldap.Kind(),
		scim.Kind(),
		sql.Kind(),
	}
}
