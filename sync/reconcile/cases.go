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
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// claim takes an account in hand for closing; false where somebody has it already.
func (e *Engine) claim(target string, account identity.AccountID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := target + "/" + string(account)
	if e.sweeping[k] {
		return false
	}
	e.sweeping[k] = true
	return true
}

func (e *Engine) unclaim(target string, account identity.AccountID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sweeping, target+"/"+string(account))
}

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

func (e *Engine) underWay(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running[id]
}

// note records on the leaver's case how far closing an account came, and returns how long it took from leaving.
func (e *Engine) note(ctx context.Context, a sweep.Account, person identity.PersonID, closed sweep.Closed) (took time.Duration, err error) {
	if person.IsZero() {
		return 0, nil
	}
	now := e.o.Now()
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	before := false // proven closed by an earlier pass: this is the end of its grace
	err = e.o.Ledger.Update(settling, func(w *state.Writer) error {
		c, _, err := w.Case(person)
		if err != nil {
			return err
		}
		if step := stepOf(c, a.Change.Target, a.Change.Account); step != nil {
			took, before = closed.At.Sub(step.Left), step.Status == state.StepProven
		}
		if closed.Proven && closed.Seen == "gone" {
			if link, ok, err := w.Link(a.Change.Target, person); err != nil {
				return err
			} else if ok && link.Account == a.Change.Account {
				if err := w.DeleteLink(a.Change.Target, person); err != nil {
					return err
				}
			}
		}
		return sweep.Note(w, person, a.Change.Target, a.Change.Account, func(s *state.Step) {
			s.Attempts++
			if closed.Err != nil {
				s.Status, s.Error, s.Next = state.StepOpen, closed.Err.Error(), sweep.Retry(s.Attempts, now)
				return
			}
			if !before {
				s.At = closed.At
			}
			s.Status, s.Error, s.Next = state.StepProven, "", time.Time{}
			s.Seen, s.Delete = closed.Seen, closed.Delete
		}, now)
	})
	if err != nil {
		return took, fmt.Errorf("write the state: %w", err)
	}
	if closed.Err != nil || before {
		return took, nil
	}
	return took, apply.Told(settling, e.o.Ledger, e.o.Trail, audit.Record{
		At: closed.At, Kind: audit.Closed, Cause: string(a.Change.Cause), Rule: "R8", Target: a.Change.Target, Person: person.String(), Name: a.Change.Name,
		Account: string(a.Change.Account), UserName: a.Change.UserName, Outcome: "proven", Seen: closed.Seen,
		Note: "from leaving to proven closed: " + took.Round(time.Millisecond).String(),
	})
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
	return e.o.Ledger.Update(ctx, func(w *state.Writer) error { return sweep.Return(w, person, target, e.o.Now()) })
}

// A debt is one open step, or one whose grace is over.
type debt struct {
	c     state.Case
	step  state.Step
	link  state.Link
	grave bool
}

// debts lists what is due now, and when the next thing is.
func (e *Engine) debts(ctx context.Context, now time.Time) (due []debt, next time.Time, err error) {
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	err = e.o.Ledger.View(ctx, func(v *state.Reader) error {
		for c, err := range v.Cases() {
			if err != nil {
				return err
			}
			for _, s := range c.Steps {
				d, at, owed, err := e.debt(v, c, s)
				switch {
				case err != nil:
					return err
				case !owed:
				case at.After(now):
					soonest(at)
				default:
					soonest(now)
					due = append(due, d)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, next, fmt.Errorf("read the state: %w", err)
	}
	return due, next, nil
}

// debt says what a step still owes, and when it is due; owed is false where that is nothing, or where the config as it is now has nothing done
// about it: its target is gone or only observed, the account is protected, leavers are only reported, or there is no end of grace any more.
func (e *Engine) debt(v *state.Reader, c state.Case, s state.Step) (d debt, at time.Time, owed bool, err error) {
	n := slices.IndexFunc(e.o.Targets, func(t Target) bool { return t.Name == s.Target })
	if n < 0 || e.o.Targets[n].Observe || s.Status != state.StepOpen && (s.Status != state.StepProven || s.Delete.IsZero()) {
		return d, at, false, nil
	}
	t := e.o.Targets[n]
	if _, protected := t.Guard.Protected(s.UserName); protected {
		return d, at, false, nil
	}
	d = debt{c: c, step: s, grave: s.Status == state.StepProven}
	if d.link, _, err = v.Link(s.Target, c.Person); err != nil {
		return d, at, false, err
	}
	if !d.grave {
		return d, s.Next, t.Leaver.Action != sweep.ActionReport || c.Cause == identity.Emergency, nil
	}
	at = d.link.Disabled.Add(t.Leaver.DeleteAfter)
	for _, later := range []time.Time{s.Delete, s.Next} {
		if later.After(at) {
			at = later
		}
	}
	return d, at, t.Leaver.DeleteAfter > 0 && d.link.Account == s.Account, nil
}

// stands reports whether a step is still as it was: a pass, a retry and an operator may each have changed it since it was read.
func (e *Engine) stands(ctx context.Context, target string, person identity.PersonID, account identity.AccountID, grave bool) (stands bool, err error) {
	err = e.o.Ledger.View(ctx, func(v *state.Reader) error {
		c, _, err := v.Case(person)
		s := stepOf(c, target, account)
		stands = s != nil && (s.Status == state.StepOpen && !grave || s.Status == state.StepProven && grave && !s.Delete.IsZero())
		return err
	})
	return stands, err
}

// NextDue is when Retry next has something to do; zero for never, a past time for now.
func (e *Engine) NextDue(ctx context.Context) (time.Time, error) {
	_, next, err := e.debts(ctx, e.o.Now())
	return next, err
}

// Retry tries the open steps that are due, and the deletes whose grace is over, all targets side by side (R8, R10). It may run while a pass does.
func (e *Engine) Retry(ctx context.Context) (Report, error) {
	now := e.o.Now()
	due, _, err := e.debts(ctx, now)
	if err != nil || len(due) == 0 {
		return Report{}, err
	}
	r := &run{e: e, o: e.o, write: true, now: now, id: now.UTC().Format("20060102T150405.000000"), closure: map[identity.PersonID]string{}, planned: newGate(nil), swept: newGate(nil)}
	r.exec = e.executor(r.id)
	defer e.start(r.id)()
	var wg sync.WaitGroup
	for _, t := range e.o.Targets {
		l := &lane{Target: t, apply: newApplyLane(t)}
		var mine []debt
		for _, d := range due {
			if d.step.Target == t.Name {
				mine = append(mine, d)
			}
		}
		if len(mine) == 0 {
			continue
		}
		r.lanes = append(r.lanes, l)
		wg.Go(func() { r.retry(ctx, l, mine) })
	}
	wg.Wait()
	for _, l := range r.lanes {
		r.report.Failures = append(r.report.Failures, l.failures...)
		r.report.Closed = append(r.report.Closed, l.closed...)
	}
	return r.report, context.Cause(ctx)
}

func (r *run) retry(ctx context.Context, l *lane, mine []debt) {
	for _, d := range mine {
		out := d.leaver(l)
		if !d.grave {
			l.accepted = append(l.accepted, out)
		}
	}
	if err := r.ready(ctx, l); err != nil {
		r.postpone(ctx, l, err)
		return
	}
	r.close(ctx, l, l.accepted)
	for _, d := range mine {
		if d.grave {
			r.buryOne(ctx, l, d)
		}
	}
}

func (d debt) leaver(l *lane) leaver {
	out := leaver{link: d.link, rule: l.LeaverAt, proof: d.c.Proof, left: d.c.Left, owed: true}
	out.Person, out.Name, out.Account, out.UserName = d.c.Person, d.c.Name, d.step.Account, d.step.UserName
	out.Cause, out.Container = d.c.Cause, d.link.Container
	return out
}

// bury deletes the target's accounts whose grace is over (R10).
func (r *run) bury(ctx context.Context, l *lane) {
	due, _, err := r.e.debts(ctx, r.now)
	if err != nil {
		r.o.Log.Error("read the state", "error", err)
		return
	}
	for _, d := range due {
		if d.grave && d.step.Target == l.Name && r.selected(d.c.Person) {
			r.buryOne(ctx, l, d)
		}
	}
}

func (r *run) buryOne(ctx context.Context, l *lane, d debt) {
	if !r.e.claim(l.Name, d.step.Account) {
		return
	}
	defer r.e.unclaim(l.Name, d.step.Account)
	if stands, err := r.e.stands(ctx, l.Name, d.c.Person, d.step.Account, true); err != nil || !stands {
		return
	}
	out := d.leaver(l)
	out.Cause, out.rule = identity.GraceOver, "R10"
	a := sweep.Account{Change: out.change(l.Name), Link: d.link, Policy: l.Leaver}
	closed := sweep.Closed{}
	if !l.caps.Delete {
		closed.Err = errors.New("the target cannot delete accounts; take delete_after out of its leaver block")
	} else {
		closed = sweep.Delete(ctx, r.exec, l.apply, a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if closed.Err == nil {
		l.tally(identity.Delete)
		if _, err := r.e.note(ctx, a, d.c.Person, closed); err != nil {
			r.o.Log.Error("write the state", "error", err)
		}
		return
	}
	r.o.Log.Error("not deleted", "target", l.Name, "account", d.step.UserName, "error", closed.Err)
	l.failures = append(l.failures, Failure{Change: out.change(l.Name), Err: closed.Err.Error()})
	err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return sweep.Note(w, d.c.Person, l.Name, d.step.Account, func(s *state.Step) {
			s.Attempts++
			s.Error, s.Next = closed.Err.Error(), sweep.Retry(s.Attempts, r.now)
		}, r.now)
	})
	if err != nil {
		r.o.Log.Error("write the state", "error", err)
	}
}

// Sweep closes every account of one person now, whatever the source says, and keeps them closed until Release.
func (e *Engine) Sweep(ctx context.Context, who, reason string) (Report, error) {
	id, err := e.remembered(ctx, who)
	if err != nil {
		return Report{}, err
	}
	now := e.o.Now()
	err = e.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return w.PutClosure(state.Closure{Person: id, Reason: reason, At: now})
	})
	if err != nil {
		return Report{}, fmt.Errorf("write the state: %w", err)
	}
	if err := apply.Told(ctx, e.o.Ledger, e.o.Trail, audit.Record{
		At: now, Kind: audit.Sweep, Cause: string(identity.Emergency), Person: id.String(), Outcome: "ordered", Note: reason,
	}); err != nil {
		return Report{}, err
	}
	r, err := e.begin(Pass{Mode: Delta, Person: id.String()}, true)
	if err != nil {
		return Report{}, err
	}
	defer r.spool.Close()
	defer e.start(r.id)()
	r.closure[id], r.picked, r.urgent = reason, roster.KeyOf(id), true
	return r.emergency(ctx)
}

// emergency closes the picked person's linked accounts without asking any source.
func (r *run) emergency(ctx context.Context) (Report, error) {
	for _, l := range r.lanes {
		leavers, err := r.linkedLeavers(ctx, l)
		if err != nil {
			return r.report, err
		}
		if l.accepted, err = r.guard(ctx, l, leavers); err != nil {
			return r.report, err
		}
		for _, out := range l.watched {
			r.find(identity.Finding{
				Kind: "leaver", Subject: l.Name + ": " + out.UserName, Target: l.Name, Person: out.Person, Account: out.Account,
				Detail: "the account stays open: mode = \"observe\" leaves it to you",
			})
		}
	}
	var wg sync.WaitGroup
	for _, l := range r.lanes {
		if len(l.accepted) == 0 {
			continue
		}
		wg.Go(func() {
			if err := r.ready(ctx, l); err != nil {
				r.postpone(ctx, l, err)
				return
			}
			r.close(ctx, l, l.accepted)
		})
	}
	wg.Wait()
	for _, l := range r.lanes {
		r.report.Failures = append(r.report.Failures, l.failures...)
		r.report.Closed = append(r.report.Closed, l.closed...)
		r.report.Plan.Changes = append(r.report.Plan.Changes, l.changes...)
	}
	r.report.Findings = r.findings
	return r.report, context.Cause(ctx)
}

// Release ends what Sweep ordered; the next pass gives the person back what they should have.
func (e *Engine) Release(ctx context.Context, who string) error {
	id, err := e.remembered(ctx, who)
	if err != nil {
		return err
	}
	err = e.o.Ledger.Update(ctx, func(w *state.Writer) error {
		if _, ok, err := w.Closure(id); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("%q was not swept by an operator, so there is nothing to release", who)
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
			if err := sweep.Return(w, id, s.Target, e.o.Now()); err != nil {
				return err
			}
		}
		return w.DeleteClosure(id)
	})
	if err != nil {
		return err
	}
	return apply.Told(ctx, e.o.Ledger, e.o.Trail, audit.Record{At: e.o.Now(), Kind: audit.Release, Person: id.String(), Outcome: "released"})
}

// Approve releases one hold, exactly as its digest names it, once.
func (e *Engine) Approve(ctx context.Context, digest, actor string) (state.Hold, error) {
	return e.decide(ctx, digest, actor, audit.Approve, func(h *state.Hold, now time.Time) { h.Approved, h.Rejected = now, time.Time{} })
}

// Reject says that a hold is not to be released; it stays on record, and its people stay as they are.
func (e *Engine) Reject(ctx context.Context, digest, actor string) (state.Hold, error) {
	return e.decide(ctx, digest, actor, audit.Reject, func(h *state.Hold, now time.Time) { h.Rejected, h.Approved = now, time.Time{} })
}

func (e *Engine) decide(ctx context.Context, digest, actor string, kind audit.Kind, set func(*state.Hold, time.Time)) (h state.Hold, err error) {
	now := e.o.Now()
	err = e.o.Ledger.Update(ctx, func(w *state.Writer) error {
		var ok bool
		if h, ok, err = w.Hold(digest); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("there is no hold %q; `dirsweep holds` lists them", digest)
		}
		set(&h, now)
		return w.PutHold(h)
	})
	if err != nil {
		return h, err
	}
	names := make([]string, 0, len(h.People))
	for _, p := range h.People {
		names = append(names, p.UserName)
	}
	slices.Sort(names)
	return h, apply.Told(ctx, e.o.Ledger, e.o.Trail, audit.Record{
		At: now, Kind: kind, Target: h.Target, Cause: string(h.Cause), Actor: actor,
		Note: fmt.Sprintf("%s: %s %v", digest, h.Reason, names),
	})
}
