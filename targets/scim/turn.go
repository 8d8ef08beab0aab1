package scim

import (
	"context"
	"sync"
)

// A turn is a lock that a caller can stop waiting for, since who holds it may wait for the application. Its zero value
// is free.
type turn struct {
	once sync.Once
	free chan struct{}
}

func (t *turn) lock(ctx context.Context) error {
	t.once.Do(func() { t.free = make(chan struct{}, 1) })
	select {
	case t.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *turn) unlock() { <-t.free }
