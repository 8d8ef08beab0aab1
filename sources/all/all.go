// Package all lists every kind of source.
package all

import (
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory"
	"github.com/dirsweep/dirsweep/sources/csv"
	"github.com/dirsweep/dirsweep/sources/ldap"
	"github.com/dirsweep/dirsweep/sources/sql"
)

// Kinds returns the kinds in the order of their names.
func Kinds() []sources.Kind {
	return []sources.Kind{
		activedirectory.Kind(),
		csv.Kind(),
		ldap.Kind(),
		sql.Kind(),
	}
}
