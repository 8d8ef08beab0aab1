// Package activedirectory is the target kind for Active Directory, and for Samba as its domain controller.
package activedirectory

import (
	_ "embed"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/directory"
)

//go:embed sample.hcl
var sample string

// Kind is the `target "active_directory"` kind.
func Kind() targets.Kind {
	return directory.Of(directory.Dialect{Kind: "active_directory", Sample: sample, Domain: true})
}
