// Package all lists every kind of target.
package all

import (
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim"
)

// Kinds returns every kind of target, sorted by name.
func Kinds() []targets.Kind {
	return []targets.Kind{
		scim.Kind(),
	}
}
