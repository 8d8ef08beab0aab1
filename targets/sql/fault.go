package sql

import (
	"fmt"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/targets"
)

// classed makes an error one of the classes of package targets. reading: what we may not read is nobody's account in
// particular.
func classed(err error, reading bool) error {
	if err == nil || targets.Classed(err) {
		return err
	}
	var class error
	switch sqlclient.ClassOf(err) {
	case sqlclient.Unavailable:
		class = targets.ErrUnavailable
	case sqlclient.Unauthorized:
		class = targets.ErrUnauthorized
	case sqlclient.Forbidden:
		if class = targets.ErrForbidden; reading {
			class = targets.ErrUnauthorized
		}
	case sqlclient.Conflict:
		class = targets.ErrConflict
	case sqlclient.Statement:
		class = targets.ErrRejected
	default:
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}

// unfit reports whether a value cannot be one of the column's type (PostgreSQL: class 22): no row has it.
func unfit(err error) bool {
	code := sqlclient.CodeOf(err)
	return len(code) == 5 && code[:2] == "22"
}
