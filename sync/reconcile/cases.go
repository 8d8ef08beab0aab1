package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// start says that a retry or a sweep is under way beside passes, until the function that it returns is called.
func (e *Engine) start(id string) (end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[id] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.running, id)
	}
}

// turns counts the passes that have been at work on a target, and adds to them.
func (e *Engine) turns(target string, more int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.served[target] += more
	return e.served[target]
}

func (e *Engine) underWay(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running[id]
}

// returned takes a person's step off their case once their account is open again.
func (e *Engine) returned(ctx context.Context, person identity.PersonID, now identity.LinkState, target string) error {
	if now != identity.LinkActive || person.IsZero() {
		return nil
	}
	known := false
	if err := e.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		_, known, err = v.Case(person)
		return err
	}); err != nil || !known {
		return err
	}
	var ended *state.Case
	err := e.o.Ledger.Update(ctx, func(w *state.Writer) (err error) {
		ended, err = sweep.Return(w, person, target, "in scope of "+target+" again", e.o.Now())
		return err
	})
	if err == nil {
		e.books.End(ctx, ended)
	}
	return err
}

// NextDue is when Retry next has something to do; zero for never, a past time for now.
func (e *Engine) NextDue(ctx context.Context) (next time.Time, err error) {
	for _, t := range e.o.Targets {
		if t.Observe {
			continue
		}
		at, err := e.books.NextDue(ctx, t.Name)
		if err != nil {
			return next, err
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, nil
}

// Retry does what is due for leavers: open steps, looks at closed accounts, and deletes whose grace is over, all targets side by side (R8, R10,
// R11). It may run while a pass does.
func (e *Engine) Retry(ctx context.Context) (Report, error) {
	var report Report
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for _, sweeper := range e.sweepers {
		wg.Go(func() {
			round, err := sweeper.Drain(ctx, sweep.Selection{})
			mu.Lock()
			defer mu.Unlock()
			report.add(round)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return report, errors.Join(errs...)
}

// Sweepers are the engine's sweepers by target, for a process that runs them beside the passes.
func (e *Engine) Sweepers() map[string]*sweep.Sweeper { return e.sweepers }

// add takes in what a sweeper did.
func (r *Report) add(round sweep.Round) {
	for _, op := range round.Ops {
		if r.Run.Counts == nil {
			r.Run.Counts = map[string]int{}
		}
		r.Run.Counts[string(op)]++
	}
	for _, f := range round.Failed {
		r.Failures = append(r.Failures, Failure{Change: f.Change, Err: f.Err.Error()})
	}
	for _, c := range round.Closed {
		r.Closed = append(r.Closed, Closing{Person: c.Leaver.Person, Name: c.Leaver.Name, Target: c.Leaver.Target, Took: c.Took})
	}
}

// Release ends what Sweep ordered; the next pass gives the person back what they should have.
func (e *Engine) Release(ctx context.Context, o Order) error {
	id, err := e.remembered(ctx, o.Person)
	if err != nil {
		return err
	}
	var ended []*state.Case
	err = e.o.Ledger.Update(ctx, func(w *state.Writer) error {
		ended = nil
		if _, ok, err := w.Closure(id); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("%q was not swept by an operator, so there is nothing to release", o.Person)
		}
		// What could not be closed yet is not owed any more. Where the person has left all the same, the next pass says so.
		c, _, err := w.Case(id)
		if err != nil {
			return err
		}
		for _, s := range c.Steps {
			if c.Cause != identity.Emergency || s.Status != state.StepOpen {
				continue
			}
			c, err := sweep.Return(w, id, s.Target, "released", e.o.Now())
			if err != nil {
				return err
			}
			ended = append(ended, c)
		}
		return w.DeleteClosure(id)
	})
	if err != nil {
		return err
	}
	err = apply.Told(ctx, e.o.Ledger, e.o.Trail, audit.Record{At: e.o.Now(), Kind: audit.Release, Person: id.String(), Outcome: "released", Actor: o.Actor})
	e.books.End(ctx, ended...)
	return err
}
