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
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// A lane is one target's way through a pass.
type lane struct {
	Target
	skip  bool
	turn  int         // how many passes had been at work on the target when this one judged its links
	app   *apply.Pass // nil until it is begun
	caps  identity.Capabilities
	paths []string // mapped, sorted

	// One bit a row of the roster: in scope, not known to be in scope or out of it, linked, linked and changed since, seen in the target.
	scope, unsure, linked, stale, seen roster.Bits

	bound   map[int]*suspicion                      // by row: who leaves by an anomaly, and by which
	rehired map[identity.PersonID]identity.PersonID // who left and has an account here → who came back as somebody new, and has none

	accepted []leaver // to be closed
	watched  []leaver // would be closed, were the target not in observe mode

	matcher  *correlate.Matcher
	parked   map[identity.AccountID]int64 // unlinked accounts in the spool
	taken    roster.Logins                // in use
	joiners  []int                        // rows of people in scope without an account
	lost     map[int]state.Link           // by row, of joiners whose account has vanished
	work     []work
	refresh  []state.Link // links whose fingerprints are to be written anew
	orphans  []state.Orphan
	count    int  // accounts read
	listed   bool // every account of it was read
	complete bool // read whole, planned and guarded

	marks     map[string]identity.AccountID // of unlinked accounts, by externalId
	relinked  map[identity.AccountID]bool   // unlinked accounts that turned out to be a linked person's
	waiting   map[string]wish               // by name, entitlements that are wanted and cannot be given
	delayed   map[identity.PersonID]bool    // left alone in this pass
	linksSeen int                           // links to active accounts that the list holds

	mu       sync.Mutex // guards what follows
	err      error
	changes  []identity.Change
	done     map[identity.Op]int
	failures []Failure
	closed   []Closing
}

// work is what is to be done to one account: so many steps of the lane's changes, in order. There may be one for everybody.
type work struct {
	row          int // of the person
	first, steps int
	there        *there   // nil for an account that is yet to be made
	waiting      []string // what the application lacks of what is wanted
	partly       bool     // some of what is wanted waits for an operator
}

// there is an account that the target has.
type there struct {
	have identity.Account
	link state.Link // zero for none
}

// serveTargets takes each target through its side of the pass. None waits for another (R9).
func (r *run) serveTargets(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range r.lanes {
		if l.skip {
			continue
		}
		wg.Go(func() {
			if err := r.serve(ctx, l); err != nil {
				r.fail(l, err)
			}
		})
	}
	wg.Wait()
}

func (r *run) serve(ctx context.Context, l *lane) error {
	if r.write {
		if busy, err := r.enterTarget(ctx, l); busy || err != nil {
			return err
		}
		defer r.e.serving[l.Name].Release(1)
		defer r.e.turns(l.Name, 1)
		if err := r.relink(ctx, l); err != nil {
			return err
		}
	}
	r.sweep(ctx, l) // before anything else, and whatever state the target is in
	if err := r.recover(ctx, l); err != nil {
		return err
	}
	if err := r.ready(ctx, l); err != nil {
		return err
	}
	if err := l.app.Down(); err != nil {
		return err
	}
	if err := r.survey(ctx, l); errors.Is(err, errHeld) {
		l.work = nil
		l.changes = slices.DeleteFunc(l.changes, func(c identity.Change) bool { return !c.Op.Sweeps() })
		return nil
	} else if err != nil {
		return err
	}
	l.complete = true
	if !r.write {
		return nil
	}
	r.sweep(ctx, l)
	r.closeOrphans(ctx, l)
	if !r.expected(l) {
		return errOtherPlan
	}
	if err := r.putRefreshed(ctx, l); err != nil {
		return err
	}
	r.applyWork(ctx, l)
	if err := l.app.Down(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// enterTarget waits for the pass that is at work on the target. One that is to go on beside it leaves the target out instead.
func (r *run) enterTarget(ctx context.Context, l *lane) (busy bool, err error) {
	if r.pass.Beside && !r.e.serving[l.Name].TryAcquire(1) {
		r.o.Log.Debug("another pass is at work on the target", "target", l.Name)
		l.skip = true
		return true, nil
	}
	if !r.pass.Beside && r.e.serving[l.Name].Acquire(ctx, 1) != nil {
		return false, context.Cause(ctx)
	}
	return false, nil
}

// relink looks again at who is linked, where another pass has been at work on the target since that was judged.
func (r *run) relink(ctx context.Context, l *lane) error {
	if r.e.turns(l.Name, 0) == l.turn {
		return nil
	}
	l.linked, l.stale = nil, nil
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			if i, here := r.roster.Find(link.Person); here {
				l.linked.Set(i)
			}
			r.stay(l, link)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// errOtherPlan is why a target is left as it is.
var errOtherPlan = errors.New("the plan is another one by now than the one that was asked for")

// expected reports whether the target's plan is the one that was asked for, where one was.
func (r *run) expected(l *lane) bool {
	return r.pass.Expect == nil || plan.Digests(slices.Clone(l.changes))[l.Name] == r.pass.Expect[l.Name]
}

// ready asks what the target can do.
func (r *run) ready(ctx context.Context, l *lane) error {
	if l.err != nil {
		return l.err
	}
	if r.pass.Mode == Delta && r.pass.Person == "" {
		if err := r.quarantined(ctx, l); err != nil {
			return err
		}
	}
	if err := r.begin(ctx, l); err != nil {
		return err
	}
	caps := l.app.Capabilities()
	l.caps = caps
	for _, out := range l.accepted {
		l.changes = append(l.changes, l.account(out).Changes(caps)...)
	}
	for _, out := range l.watched {
		l.changes = append(l.changes, l.account(out).Changes(caps)...)
	}
	return nil
}

// quarantined keeps delta passes away from a target that failed repeatedly, until its next attempt is due.
func (r *run) quarantined(ctx context.Context, l *lane) error {
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		rec, ok, err := v.Target(l.Name)
		if err == nil && ok && rec.Next.After(r.now) {
			err = fmt.Errorf("%w since %s, next attempt %s: %s", errQuarantined, rec.Since.Format(time.RFC3339), rec.Next.Format(time.RFC3339), rec.Reason)
		}
		return err
	})
}

func (l *lane) account(out leaver) sweep.Account {
	policy := l.Leaver
	if out.Person.IsZero() {
		policy = sweep.Policy{Action: sweep.ActionDisable, Revoke: policy.Revoke}
	}
	if policy.Action == sweep.ActionReport {
		policy.Action = sweep.ActionDisable // an emergency
	}
	return sweep.Account{Change: out.Change(""), Link: out.link, Policy: policy}
}

// sweep closes what the target's leavers still have. Whoever started the pass by hand does not wait for the time of a retry.
func (r *run) sweep(ctx context.Context, l *lane) {
	if !r.write {
		return
	}
	which := sweep.Selection{Now: r.pass.Mode == Full || r.pass.Person != ""}
	if r.pass.Person != "" {
		which.Person = &r.matches[0]
	}
	round, err := r.e.sweepers[l.Name].Drain(ctx, which)
	if err != nil && ctx.Err() == nil {
		r.o.Log.Error("the leavers' open accounts cannot be read", "target", l.Name, "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, op := range round.Ops {
		l.tally(op)
	}
	var done Report
	done.add(round)
	l.failures = append(l.failures, done.Failures...)
	l.closed = append(l.closed, done.Closed...)
}

// closeOrphans closes accounts that are nobody's, where the config asks for it.
func (r *run) closeOrphans(ctx context.Context, l *lane) {
	var orphans []leaver
	for _, out := range l.accepted {
		if out.Person.IsZero() {
			orphans = append(orphans, out)
		}
	}
	l.parallel(len(orphans), func(i int) {
		if ctx.Err() != nil {
			return
		}
		out := orphans[i]
		closed := sweep.Close(ctx, r.exec, l.app, l.account(out))
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, op := range closed.Ops {
			l.tally(op)
		}
		if closed.Err != nil {
			l.failures = append(l.failures, Failure{Change: closed.Failed, Err: closed.Err.Error()})
			r.o.Log.Error("orphan account not closed", "target", l.Name, "account", out.UserName, "error", closed.Err)
			return
		}
		r.o.Log.Info("orphan account closed", "target", l.Name, "account", out.UserName)
	})
}

// tally counts one change done; l.mu is held.
func (l *lane) tally(op identity.Op) {
	if l.done == nil {
		l.done = map[identity.Op]int{}
	}
	l.done[op]++
}

// parallel runs fn for 0 to n-1, as many at once as the target's rate says.
func (l *lane) parallel(n int, fn func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(max(l.Parallel, 1), n) {
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
func (r *run) applyWork(ctx context.Context, l *lane) {
	if l.Observe {
		return
	}
	done := 0
	l.parallel(len(l.work), func(i int) {
		if ctx.Err() != nil {
			return
		}
		r.applyOne(ctx, l, l.work[i])
		l.mu.Lock()
		done++
		n := done
		l.mu.Unlock()
		if r.pass.Progress != nil {
			r.pass.Progress.Applying(l.Name, n, len(l.work))
		}
	})
}

func (r *run) applyOne(ctx context.Context, l *lane, w work) {
	if ordered, err := r.ordered(ctx, l.changes[w.first].Person); err != nil || ordered {
		return // an operator has swept them since they were judged
	}
	var have identity.Account
	link := l.lost[w.row]
	if w.there != nil {
		have, link = w.there.have, w.there.link
	}
	fresh := false
	was := link.Person // who a rehire was before owes nothing any more either
	made := l.Mapping.Print()
	if w.partly {
		made = link.Mapping
	}
	for _, c := range l.changes[w.first : w.first+w.steps] {
		job := apply.Job{Change: c, Have: have, Fresh: fresh, Link: link, Waiting: w.waiting, Mapping: made, Scope: r.scopePrint(l, r.roster.Source(w.row))}
		if c.Op == identity.Create {
			e, want, err := r.want(ctx, l, w.row, c.UserName) // the login that was planned
			if err != nil {
				l.failed(c, err)
				return
			}
			if job.Waiting, err = r.resolve(ctx, l, &want); err != nil {
				l.failed(c, err)
				return
			}
			job.Want = want
			job.Change = l.creation(c, e, want)
		}
		res := r.exec.Do(ctx, l.app, job)
		r.refused(l, c, res)
		switch {
		case errors.Is(res.Err, apply.ErrOvertaken):
			r.o.Log.Debug("planned anew", "target", l.Name, "op", c.Op, "person", c.Name, "error", res.Err)
			return
		case errors.Is(res.Err, apply.ErrTaken), isDispute(res.Err):
			r.find(l.disputed(c, res.Err.Error()))
			return
		case res.Err != nil:
			l.failed(c, res.Err)
			r.o.Log.Error("not done", "target", l.Name, "op", c.Op, "account", c.UserName, "person", c.Name, "error", res.Err)
			if errors.Is(res.Err, targets.ErrUnauthorized) {
				r.fail(l, res.Err)
			}
			return
		}
		l.mu.Lock()
		l.tally(c.Op)
		l.mu.Unlock()
		r.o.Log.Info("done", "target", l.Name, "op", c.Op, "account", c.UserName, "person", c.Name, "cause", c.Cause)
		have, link = res.Account, res.Link
		fresh = c.Op == identity.Enable
	}
	for _, person := range []identity.PersonID{was, link.Person} {
		if err := r.e.returned(ctx, person, link.State, l.Name); err != nil {
			r.o.Log.Error("write the state", "error", err)
		}
	}
}

func (r *run) ordered(ctx context.Context, id identity.PersonID) (ordered bool, err error) {
	err = r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		_, ordered, err = v.Closure(id)
		return err
	})
	return ordered, err
}

func (l *lane) failed(c identity.Change, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Delta = identity.Delta{}
	l.failures = append(l.failures, Failure{Change: c, Err: err.Error()})
}

func (l *lane) disputed(c identity.Change, detail string) identity.Finding {
	return identity.Finding{Kind: "disputed", Subject: l.Name + ": " + c.UserName, Target: l.Name, Person: c.Person, Account: c.Account, Detail: detail}
}

// putRefreshed writes links that turned out to be as wanted though something about them had changed.
func (r *run) putRefreshed(ctx context.Context, l *lane) error {
	if l.Observe {
		return nil
	}
	for links := range slices.Chunk(l.refresh, bulk) {
		err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
			for _, link := range links {
				now, ok, err := w.Link(link.Target, link.Person)
				if err != nil {
					return err
				}
				if !ok || now.State != link.State || now.Account != link.Account {
					continue // closed since it was looked at
				}
				if err := w.PutLink(link); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write the state: %w", err)
		}
	}
	return nil
}
