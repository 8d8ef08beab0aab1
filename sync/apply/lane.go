package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/targets"
)

// failuresInARow is how many changes may fail for want of an answer before a target is left alone for the rest of the pass (R9).
const failuresInARow = 5

// A Lane is one target's way through a pass: its rate, its pauses, and whether it is worth calling at all. Trouble in one lane is never
// felt in another. It is safe for concurrent use.
type Lane struct {
	Name   string
	Target targets.Target
	Pacer  *Pacer
	Paths  []string // mapped, sorted: what link fingerprints cover

	mu     sync.Mutex
	notYet time.Time // throttled until then
	row    int       // failures without an answer since the last success
	down   error
}

// Down returns why the target is left alone, nil while it is not.
func (l *Lane) Down() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// Break leaves the target alone for the rest of the pass.
func (l *Lane) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down == nil {
		l.down = err
	}
}

// learn counts a change's outcome.
func (l *Lane) learn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, targets.ErrUnauthorized):
		l.down = fmt.Errorf("left alone for this pass: %w", err)
	case errors.Is(err, targets.ErrUnavailable):
		l.row++
		if l.row >= failuresInARow && l.down == nil {
			l.down = fmt.Errorf("left alone for this pass after %d failures in a row: %w", l.row, err)
		}
	default:
		l.row = 0
	}
}

// call calls fn within the rate, again where the target was not available, up to a number of tries.
func (l *Lane) call(ctx context.Context, leaver bool, fn func(context.Context) error) error {
	for try := 0; ; try++ {
		if err := l.wait(ctx, leaver); err != nil {
			return err
		}
		err := fn(ctx)
		if err == nil || !errors.Is(err, targets.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		delay := firstPause << try
		if throttled := (*targets.ThrottledError)(nil); errors.As(err, &throttled) && throttled.RetryAfter > 0 {
			delay = throttled.RetryAfter
			l.throttle(delay)
		}
		if try+1 == tries || delay > longestWait {
			return err
		}
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

func (l *Lane) throttle(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.notYet) {
		l.notYet = until
	}
}

// Paused is until when the target asked to be left alone; the zero time for not.
func (l *Lane) Paused() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notYet
}

func (l *Lane) wait(ctx context.Context, leaver bool) error {
	l.mu.Lock()
	d := time.Until(l.notYet)
	l.mu.Unlock()
	if d > longestWait {
		return &targets.ThrottledError{RetryAfter: d, Err: errors.New("the target asked for a longer pause")}
	}
	if d > 0 {
		if err := pause(ctx, d); err != nil {
			return err
		}
	}
	if leaver {
		return l.Pacer.Leaver(ctx)
	}
	return l.Pacer.Ordinary(ctx)
}
