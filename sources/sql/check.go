package sql

import "context"

// Check implements sources.Checker.
func (s *source) Check(ctx context.Context) ([]string, error) { return nil, nil }
