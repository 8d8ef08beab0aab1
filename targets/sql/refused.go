package sql

import (
	"context"
	"database/sql"
	"errors"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// point undoes what f did where it fails, and nothing else of the transaction.
func point(ctx context.Context, tx *sql.Tx, f func() error) error {
	if _, err := sqlclient.Exec(ctx, tx, "SAVEPOINT dirsweep"); err != nil {
		return err
	}
	failed := f()
	if failed == nil {
		_, err := sqlclient.Exec(ctx, tx, "RELEASE SAVEPOINT dirsweep")
		return err
	}
	// Where this fails the connection is gone, and with it the transaction.
	_, _ = sqlclient.Exec(ctx, tx, "ROLLBACK TO SAVEPOINT dirsweep")
	return failed
}

// each writes changes one by one. What the server does not take of several is refused; where nothing is taken, or
// something else fails, the error is returned.
func each(
	ctx context.Context, tx *sql.Tx, changes []identity.AttributeChange, write func(identity.AttributeChange) error,
) ([]targets.Refusal, error) {
	var refused []targets.Refusal
	var first error
	for _, change := range changes {
		err := point(ctx, tx, func() error { return write(change) })
		if err == nil {
			continue
		}
		if !refuses(err) {
			return nil, err
		}
		if first == nil {
			first = rejection(change.Path, err)
		}
		refused = append(refused, targets.Refusal{Path: change.Path, Why: err.Error()})
	}
	if len(refused) == len(changes) {
		return nil, first
	}
	return refused, nil
}

// refuses reports whether a server does not take a value, rather than that it is not there or that we may not write.
func refuses(err error) bool {
	class := sqlclient.ClassOf(err)
	var rejected *targets.RejectedError
	return class == sqlclient.Statement || class == sqlclient.Conflict || errors.As(err, &rejected)
}

// rejection names the attribute that an error is about. One that has to be unique, and is another account's, is a
// conflict.
func rejection(path string, err error) error {
	var rejected *targets.RejectedError
	if errors.As(err, &rejected) || sqlclient.ClassOf(err) == sqlclient.Conflict {
		return err
	}
	return &targets.RejectedError{Path: path, Err: err}
}
