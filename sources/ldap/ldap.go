// Package ldap is the source kind for LDAP version 3 directories: OpenLDAP, 389 Directory Server, FreeIPA, eDirectory,
// PingDirectory and, as far as plain LDAP goes, Active Directory.
package ldap

import (
	_ "embed"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/internal/directory"
)

//go:embed sample.hcl
var sample string

// Kind is the `source "ldap"` kind.
func Kind() sources.Kind {
	return directory.Of(directory.Dialect{Kind: "ldap", Sample: sample, Anchor: "entryUUID"})
}
