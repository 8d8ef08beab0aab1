package sql

import (
	"context"
	"database/sql"
)

type follower struct{ source *source }

func newFollower(s *source) *follower { return &follower{s} }

// clock is the server's own, in UTC, less the overlap.
func (s *source) clock(ctx context.Context, tx *sql.Tx) (string, error) {
	return "", nil
}
