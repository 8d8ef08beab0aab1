package daemon

import (
	"context"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// A scheduler says which pass is next and when. One at a time reads and judges the people: what comes due meanwhile
// runs after it, once, however many times it came due. The targets' part of a pass is not waited for.
type scheduler struct {
	// times are read before each decision, since a reload may change them. A nil schedule never comes due.
	times func() (full, delta cron.Schedule)
	// pass begins one pass and returns when its people have been judged; its errors are its own business.
	pass func(ctx context.Context, mode reconcile.Mode)
	// full and delta ask for a pass at once; buffered by one.
	full, delta chan struct{}
}

// run runs passes until ctx is done. last is when the last full pass began, zero where there was none: one that came
// due since, while the daemon was down, is caught up at once. Otherwise the first pass is a delta.
func (r *scheduler) run(ctx context.Context, last time.Time) {
	fullAt, _ := r.next(last, last)
	mode := reconcile.Delta
	if last.IsZero() || due(fullAt, time.Now()) {
		mode = reconcile.Full
	}
	for ctx.Err() == nil {
		began := time.Now()
		r.pass(ctx, mode)
		if mode == reconcile.Full {
			last = began
			fullAt, _ = r.next(began, time.Now())
		}
		ended := time.Now()
		_, deltaAt := r.next(began, ended)
		mode = r.wait(ctx, fullAt, deltaAt, min(ended.Sub(began)/2, longestRest))
	}
}

// longestRest bounds how long no pass begins that a source asks for. It is half as long as the pass before it took, so
// that a directory in which something changes all the time takes two thirds of the time at most.
const longestRest = 5 * time.Second

// wait returns which pass is to run as soon as it is due. A full pass does all that a delta does, so it wins a tie. For
// as long as rest, nobody but an operator or the clock begins one.
func (r *scheduler) wait(ctx context.Context, fullAt, deltaAt time.Time, rest time.Duration) reconcile.Mode {
	mode, at := reconcile.Full, fullAt
	if fullAt.IsZero() || !deltaAt.IsZero() && deltaAt.Before(fullAt) {
		mode, at = reconcile.Delta, deltaAt
	}
	var alarm <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		alarm = timer.C
	}
	rested := time.NewTimer(rest)
	defer rested.Stop()
	var pushed <-chan struct{} // nil while it rests
	for {
		select {
		case <-ctx.Done():
			return mode
		case <-r.full:
			return reconcile.Full
		case <-alarm:
			return mode
		case <-rested.C:
			pushed = r.delta
		case <-pushed:
			return reconcile.Delta
		}
	}
}

// next returns the instants that follow a pass that began and ended then. One that ended after it was due again is not
// made up for.
func (r *scheduler) next(began, ended time.Time) (fullAt, deltaAt time.Time) {
	full, delta := r.times()
	return follow(full, began, ended), follow(delta, began, ended)
}

func follow(s cron.Schedule, began, ended time.Time) time.Time {
	if s == nil {
		return time.Time{}
	}
	at := s.Next(began)
	if !at.IsZero() && at.Before(ended) {
		at = s.Next(ended)
	}
	return at
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }
