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

// A mortal store is one whose process can die: before a write, or when it was committed and nobody knows yet. From then
// on it answers nothing.
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
	before, after := m.world.stumbles()
	if before {
		return errStore
	}
	if err := m.Store.Update(ctx, fn); err != nil {
		return err
	}
	if after {
		return errStore
	}
	if m.world.dies(AfterStore) {
		return errDied
	}
	return nil
}

// stumbles counts a write to the state down, and says whether it fails: before it is written, or after.
func (w *world) stumbles() (before, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stumble == 0 {
		return false, false
	}
	w.stumble--
	if w.stumble > 0 {
		return false, false
	}
	return w.at%2 == 0, w.at%2 == 1
}
