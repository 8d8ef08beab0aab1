// Package ldap is the target kind for LDAP version 3 directories: OpenLDAP, 389 Directory Server, FreeIPA, eDirectory.
package ldap

import (
	_ "embed"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/directory"
)

//go:embed sample.hcl
var sample string

// Kind is the `target "ldap"` kind.
func Kind() targets.Kind { return directory.Of(directory.Dialect{Kind: "ldap", Sample: sample}) }
