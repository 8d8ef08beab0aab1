// Package activedirectory is the source kind for Active Directory, and for Samba as its domain controller.
package activedirectory

import (
	_ "embed"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/internal/directory"
)

//go:embed sample.hcl
var sample string

// Kind is the `source "active_directory"` kind.
func Kind() sources.Kind {
	return directory.Of(directory.Dialect{Kind: "active_directory", Sample: sample, Anchor: "objectGUID", Domain: true})
}
