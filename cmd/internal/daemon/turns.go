package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A turnClock has a pass begun at each instant at which the clock alone changes what somebody is or is to have: when
// their time is over, or begins (R13). Which instants those are, passes have written down.
type turnClock struct {
	now func() time.Time // as the clock on the wall has it, which may be set at any time
	// read returns the first instant after one, zero for none, and whether any before it is still to be judged.
	read  func(ctx context.Context, after time.Time) (next time.Time, overdue bool, err error)
	begin func() // asks for a pass, which judges everybody who is due at once
	log   hclog.Logger

	changed chan struct{} // passes have written; buffered by one
	mu      sync.Mutex
	judged  time.Time // when the last pass began of those that have judged everybody
}

// told takes in that everybody was judged by a pass that began at an instant; the zero time says only that something
// was written.
func (c *turnClock) told(began time.Time) {
	c.mu.Lock()
	if !began.IsZero() {
		c.judged = began
	}
	c.mu.Unlock()
	nudge(c.changed)
}

// run begins passes until ctx is done.
func (c *turnClock) run(ctx context.Context) {
	var a alarm
	for {
		timer := time.NewTimer(a.wait(c.now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.changed:
			timer.Stop()
			a = c.look(ctx, a)
		case <-timer.C:
		}
		if now := c.now(); a.due(now) {
			a.rung(now)
			c.begin()
		}
	}
}

// look sets the alarm by what passes have written.
func (c *turnClock) look(ctx context.Context, a alarm) alarm {
	c.mu.Lock()
	judged := c.judged
	c.mu.Unlock()
	next, overdue, err := c.read(ctx, judged)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Error("who turns by the clock cannot be read, and is judged by the schedule until it can", "error", err)
		}
		overdue = true
	}
	a.set(c.now(), judged, next, overdue)
	return a
}

const (
	// glance is how often the clock is looked at, however long there is to wait: a timer counts the time that passes,
	// and knows neither of a clock that was set nor of a computer that slept.
	glance = 500 * time.Millisecond
	// firstPause and longestPause are between passes over people who stay due: their source cannot be read, or their
	// entry.
	firstPause, longestPause = 5 * time.Second, time.Hour
)

// An alarm is when a pass is to begin.
type alarm struct {
	judged time.Time     // everybody was, by a clock that showed this
	next   time.Time     // somebody turns; zero for nobody
	again  time.Time     // a pass was begun, and somebody may be due all the same; zero for nobody
	pause  time.Duration // before again
}

// wait is how long nothing can be due.
func (a *alarm) wait(now time.Time) time.Duration {
	wait := glance
	for _, at := range []time.Time{a.next, a.again} {
		if !at.IsZero() {
			wait = min(wait, max(0, at.Sub(now)))
		}
	}
	return wait
}

// due reports whether a pass is to begin: somebody turns, or the clock shows less than when everybody was judged, and
// who had turned may not have.
func (a *alarm) due(now time.Time) bool {
	reached := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	return reached(a.next) || reached(a.again) || now.Before(a.judged.Add(-time.Second))
}

// rung notes that a pass was asked for.
func (a *alarm) rung(now time.Time) {
	a.judged, a.next = now, time.Time{}
	a.pause = min(longestPause, max(firstPause, 2*a.pause))
	a.again = now.Add(a.pause)
}

// set takes in what was written by passes of which the last that judged everybody began at judged.
func (a *alarm) set(now, judged, next time.Time, overdue bool) {
	a.judged, a.next = judged, next
	switch {
	case !overdue:
		a.again, a.pause = time.Time{}, 0
	case a.again.IsZero():
		a.pause = max(firstPause, a.pause)
		a.again = now.Add(a.pause)
	}
}
