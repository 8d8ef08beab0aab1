package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/survey"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// A side is one target's side of a pass.
type side struct {
	Target
	view     *people.View
	turn     int            // how many passes had been at work on the target when this one judged its links
	app      *apply.Pass    // nil until it is begun
	survey   *survey.Survey // nil until the target is read
	complete bool           // read whole, planned and guarded

	accepted []people.Leaver            // to be closed
	watched  []people.Leaver            // would be closed, were the target not in observe mode
	changes  []identity.Change          // what is planned: closings, then the survey's
	delayed  map[identity.PersonID]bool // left alone in this pass
	cannot   []string                   // closing steps about which nothing can be done

	mu       sync.Mutex // guards what follows
	err      error
	done     map[identity.Op]int
	failures []Failure
	closed   []Closing
	left     bool // something was left to the next pass
}

// serveTargets takes each target through its side of the pass. None waits for another (R9).
func (r *run) serveTargets(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range r.sides {
		if s.view.Skip {
			continue
		}
		wg.Go(func() {
			if err := r.serve(ctx, s); err != nil {
				r.fail(s, err)
			}
		})
	}
	wg.Wait()
}

func (r *run) serve(ctx context.Context, s *side) error {
	if r.write {
		if busy, err := r.enterTarget(ctx, s); busy || err != nil {
			return err
		}
		defer r.e.serving[s.Name].Release(1)
		defer r.e.turns(s.Name, 1)
		if r.e.turns(s.Name, 0) != s.turn {
			if err := r.people.Relink(ctx, s.view); err != nil {
				return err
			}
		}
	}
	r.sweep(ctx, s) // before anything else, and whatever state the target is in
	if err := r.recover(ctx, s); err != nil {
		return err
	}
	if err := r.ready(ctx, s); err != nil {
		return err
	}
	if err := s.app.Down(); err != nil {
		return err
	}
	if err := r.read(ctx, s); errors.Is(err, survey.ErrHeld) {
		return nil
	} else if err != nil {
		return err
	}
	s.complete = true
	if !r.write {
		return nil
	}
	r.sweep(ctx, s)
	r.closeOrphans(ctx, s)
	if !r.expected(s) {
		return errOtherPlan
	}
	if s.Observe {
		return nil
	}
	if err := s.survey.PutRefreshed(ctx); err != nil {
		return err
	}
	r.applyWork(ctx, s)
	if err := s.app.Down(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// enterTarget waits for the pass that is at work on the target. One that is to go on beside it leaves the target out
// instead.
func (r *run) enterTarget(ctx context.Context, s *side) (busy bool, err error) {
	if r.pass.Beside && !r.e.serving[s.Name].TryAcquire(1) {
		r.o.Log.Debug("another pass is at work on the target", "target", s.Name)
		s.view.Skip, s.left = true, true
		return true, nil
	}
	if !r.pass.Beside && r.e.serving[s.Name].Acquire(ctx, 1) != nil {
		return false, context.Cause(ctx)
	}
	return false, nil
}

// expected reports whether the target's plan is the one that was asked for, where one was.
func (r *run) expected(s *side) bool {
	return r.pass.Expect == nil || plan.Digest(s.changes, s.survey.Unlisted()...) == r.pass.Expect[s.Name]
}

// ready asks what the target can do.
func (r *run) ready(ctx context.Context, s *side) error {
	if s.err != nil {
		return s.err
	}
	if r.pass.Mode == Delta && r.pass.Person == "" {
		if err := r.quarantined(ctx, s); err != nil {
			return err
		}
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.planClosings(s.accepted, s.watched)
	return nil
}

// planned adds what a survey planned. A first pass plans as many changes as there are people: they are not copied where
// they are all there is.
func (s *side) planned(changes []identity.Change) {
	if len(s.changes) == 0 {
		s.changes = slices.Clip(changes)
		return
	}
	s.changes = append(s.changes, changes...)
}

// planClosings adds what closing accounts takes to the plan.
func (s *side) planClosings(lists ...[]people.Leaver) {
	for _, out := range slices.Concat(lists...) {
		account := s.Closing(out)
		s.changes = append(s.changes, account.Changes(s.app)...)
		for _, step := range account.Impossible(s.app) {
			if !slices.Contains(s.cannot, step) {
				s.cannot = append(s.cannot, step)
			}
		}
	}
}

// read reads the target and plans what is to be done there; the leavers that only now show themselves are judged like
// any.
func (r *run) read(ctx context.Context, s *side) error {
	s.survey = survey.New(survey.Options{
		Target: s.Target, View: s.view, People: r.people, App: s.app, Executor: r.exec, Book: r.book, Ledger: r.o.Ledger, Spool: r.spool,
		Limits: r.o.Guard, Log: r.o.Log, Now: r.now, Full: r.pass.Mode == Full, One: r.pass.Person != "", Write: r.write, Find: r.find,
		Reading: func(n, of int) { r.pass.reading(s.Name, n, of) }, Accepted: s.accepted, Delayed: s.delayed,
	})
	if err := s.survey.Read(ctx); err != nil {
		return err
	}
	s.planned(s.survey.Changes)
	accepted, watched := len(s.accepted), len(s.watched)
	if err := r.guard(ctx, s.survey.Late, s); err != nil {
		return err
	}
	s.planClosings(s.accepted[accepted:], s.watched[watched:])
	return nil
}

// quarantined keeps delta passes away from a target that failed repeatedly, until its next attempt is due.
func (r *run) quarantined(ctx context.Context, s *side) error {
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		rec, ok, err := v.Target(s.Name)
		if err == nil && ok && (guard.Trouble{Next: rec.Next}).Quarantined(r.now) {
			err = fmt.Errorf("%w since %s, next attempt %s: %s", errQuarantined, rec.Since.Format(time.RFC3339), rec.Next.Format(time.RFC3339), rec.Reason)
		}
		return err
	})
}

// sweep closes what the target's leavers still have. Whoever started the pass by hand does not wait for the time of a
// retry.
func (r *run) sweep(ctx context.Context, s *side) {
	if !r.write {
		return
	}
	which := sweep.Selection{Now: r.pass.Mode == Full || r.pass.Person != ""}
	if r.pass.Person != "" {
		person := r.people.Match()
		which.Person = &person
	}
	round, err := r.e.sweepers[s.Name].Drain(ctx, which)
	if err != nil && ctx.Err() == nil {
		r.o.Log.Error("the leavers' open accounts cannot be read", "target", s.Name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range round.Findings {
		r.find(f)
	}
	for _, op := range round.Ops {
		s.tally(op)
	}
	var done Report
	done.add(round)
	s.failures = append(s.failures, done.Failures...)
	s.closed = append(s.closed, done.Closed...)
}

// closeOrphans closes accounts that are nobody's, where the config asks for it.
func (r *run) closeOrphans(ctx context.Context, s *side) {
	var orphans []people.Leaver
	for _, out := range s.accepted {
		if out.Person.IsZero() {
			orphans = append(orphans, out)
		}
	}
	s.parallel(len(orphans), func(i int) {
		if ctx.Err() != nil {
			return
		}
		out := orphans[i]
		closed := sweep.Close(ctx, r.exec, s.app, s.Closing(out))
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, op := range closed.Ops {
			s.tally(op)
		}
		if closed.Err != nil {
			s.failures = append(s.failures, Failure{Change: closed.Failed, Err: closed.Err.Error()})
			r.o.Log.Error("orphan account not closed", "target", s.Name, "account", out.UserName, "error", closed.Err)
			return
		}
		r.o.Log.Info("orphan account closed", "target", s.Name, "account", out.UserName)
	})
}

// tally counts one change done; s.mu is held.
func (s *side) tally(op identity.Op) {
	if s.done == nil {
		s.done = map[identity.Op]int{}
	}
	s.done[op]++
}

// parallel runs fn for 0 to n-1, as many at once as the target's rate says.
func (s *side) parallel(n int, fn func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(max(s.Parallel, 1), n) {
		wg.Go(func() {
			for i := range next {
				fn(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// applyWork carries out everything that is not a sweep.
func (r *run) applyWork(ctx context.Context, s *side) {
	done := 0
	units := s.survey.Units()
	s.parallel(units, func(i int) {
		if ctx.Err() != nil {
			return
		}
		r.applyOne(ctx, s, i)
		s.mu.Lock()
		done++
		n := done
		s.mu.Unlock()
		if r.pass.Progress != nil {
			r.pass.Progress.Applying(s.Name, n, units)
		}
	})
}

// applyOne carries out the steps of one account, up to the first that does not succeed.
func (r *run) applyOne(ctx context.Context, s *side, unit int) {
	w, steps, err := s.survey.Unit(unit)
	if err != nil {
		r.o.Log.Error("read the temporary file", "error", err)
		return
	}
	if ordered, err := r.ordered(ctx, steps[0].Person); err != nil || ordered {
		return // an operator has swept them since they were judged
	}
	have, link := s.survey.Start(w)
	was := link.Person // who a rehire was before owes nothing any more either
	fresh := false
	for _, c := range steps {
		job, err := s.survey.Job(ctx, w, c, have, link)
		if err != nil {
			s.failed(c, err)
			return
		}
		job.Fresh = fresh
		res := r.exec.Do(ctx, s.app, job)
		s.survey.Refused(c, res)
		if res.Err != nil {
			r.notDone(s, c, res.Err)
			return
		}
		s.mu.Lock()
		s.tally(c.Op)
		s.mu.Unlock()
		r.o.Log.Info("done", "target", s.Name, "op", c.Op, "account", c.UserName, "person", c.Name, "cause", c.Cause)
		have, link, fresh = res.Account, res.Link, c.Op == identity.Enable
	}
	if err := r.e.books.Returned(ctx, link, r.o.Now(), was, link.Person); err != nil {
		r.o.Log.Error("write the state", "error", err)
	}
}

// notDone says what a change that did not succeed means: it is planned anew, it is disputed, or it failed.
func (r *run) notDone(s *side, c identity.Change, err error) {
	switch {
	case errors.Is(err, apply.ErrOvertaken):
		s.mu.Lock()
		s.left = true
		s.mu.Unlock()
		r.o.Log.Debug("planned anew", "target", s.Name, "op", c.Op, "person", c.Name, "error", err)
		return
	case errors.Is(err, apply.ErrTaken), survey.IsDispute(err):
		r.find(survey.Disputed(c, err.Error()))
		return
	}
	s.failed(c, err)
	if f, ok := survey.NotDone(c, err); ok {
		r.find(f)
	}
	r.o.Log.Error("not done", "target", s.Name, "op", c.Op, "account", c.UserName, "person", c.Name, "error", err)
	if errors.Is(err, targets.ErrUnauthorized) {
		r.fail(s, err)
	}
}

func (r *run) ordered(ctx context.Context, id identity.PersonID) (ordered bool, err error) {
	err = r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		_, ordered, err = v.Closure(id)
		return err
	})
	return ordered, err
}

func (s *side) failed(c identity.Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Delta = identity.Delta{}
	s.failures = append(s.failures, Failure{Change: c, Err: err.Error()})
}

// recover settles what an earlier process left open at one target (R7). Accounts that turn out to have been made, or
// enabled, are judged as every link is: their people may have left meanwhile.
func (r *run) recover(ctx context.Context, s *side) error {
	if !r.write || s.Observe {
		return nil
	}
	var open []apply.Unfinished
	made := false
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for intent, err := range v.Intents() {
			if err != nil {
				return err
			}
			if intent.Change.Target != s.Name || r.e.inFlight.UnderWay(intent) {
				continue // another pass, or a sweep, settles its own
			}
			open = append(open, apply.Unfinished{Intent: intent, Job: survey.Reopen(intent)})
			made = made || intent.Change.Op == identity.Create || intent.Change.Op == identity.Enable
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if len(open) == 0 {
		return nil
	}
	r.o.Log.Info("looking into changes left open", "target", s.Name, "changes", len(open))
	if err := s.begin(ctx); err != nil {
		return err
	}
	unsettled := r.exec.Recover(ctx, s.app, open)
	if ctx.Err() != nil {
		return context.Cause(ctx) // a stop says nothing of any account (R20)
	}
	for _, left := range unsettled {
		r.delay(s, left)
	}
	if !made {
		return nil
	}
	if err := r.askForMade(ctx, s, open); err != nil {
		return err
	}
	leavers, err := r.people.Leavers(ctx, s.view)
	if err != nil {
		return err
	}
	leavers = slices.DeleteFunc(leavers, func(out people.Leaver) bool { // whose account goes with them is told by the next pass
		return r.people.Anew(out.Person) || slices.ContainsFunc(s.accepted, func(known people.Leaver) bool { return known.Account == out.Account })
	})
	if err := r.guard(ctx, leavers, s); err != nil {
		return err
	}
	r.sweep(ctx, s) // the pass may go no further with a target that has failed
	return nil
}

// askForMade asks for the people whose accounts turned out to have been made, or enabled: nobody has asked for them
// while they had none.
func (r *run) askForMade(ctx context.Context, s *side, open []apply.Unfinished) error {
	for _, u := range open {
		var link state.Link
		err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
			link, _, err = v.Link(s.Name, u.Intent.Change.Person)
			return err
		})
		if err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		if link.Account == "" {
			continue
		}
		if _, _, err := r.people.Former(ctx, s.view, link); err != nil {
			return err
		}
	}
	return nil
}

// begin begins the target's pass, once.
func (s *side) begin(ctx context.Context) (err error) {
	if s.app == nil {
		s.app, err = s.Session.Begin(ctx)
	}
	return err
}

// delay leaves an account, or a person whose account may have been made, alone until it can be told what came of a
// change to it (R7).
func (r *run) delay(s *side, left apply.Unsettled) {
	c := left.Intent.Change
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delayed == nil {
		s.delayed = map[identity.PersonID]bool{}
	}
	s.delayed[c.Person] = true
	r.o.Log.Warn("an unfinished change could not be looked into", "target", s.Name, "account", c.UserName, "error", left.Err)
	r.find(identity.Finding{
		Kind: "unsettled", Subject: s.Name + ": " + c.UserName, Target: s.Name, Person: c.Person, Account: c.Account,
		Detail: left.Err.Error() + "; nothing else is done to this account until it can be",
	})
}
