// Package sql is the source kind for databases that know who works here: PostgreSQL, MariaDB and MySQL.
package sql

import (
	_ "embed"

	"github.com/dirsweep/dirsweep/sources"
)

//go:embed sample.hcl
var sample string

// Kind is the `source "sql"` kind.
func Kind() sources.Kind { return sources.Kind{Name: "sql", Sample: sample, Decode: decode} }
