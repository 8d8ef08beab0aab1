package modeltest

import (
	"context"
	"errors"

	"github.com/dirsweep/dirsweep/state"
)

var (
	errDied  = errors.New("the process died")
	errStore = errors.New("no space left on device")
)

// A mortal store is one whose process can die: before a write, or when it was committed and nobody knows yet. From then on it answers nothing.
type mortal struct {
	state.Store
	world *world
}

// View answers the living.
func (m mortal) View(ctx context.Context, fn func(state.Tx) error) error {
	if m.world.isDead() {
		return errDied
	}
	return m.Store.View(ctx, fn)
}

// Update commits, unless the process dies before.
func (m mortal) Update(ctx context.Context, fn func(state.Tx) error) error {
	if m.world.dies(BeforeStore) {
		return errDied
	}
	if err := m.Store.Update(ctx, fn); err != nil {
		return err
	}
	if m.world.dies(AfterStore) {
		return errDied
	}
	return nil
}
