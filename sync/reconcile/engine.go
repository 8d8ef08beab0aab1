// Package reconcile runs one pass, end to end: read the sources, judge the people, sweep the leavers, read the targets,
// plan, guard, apply. It owns order and isolation, nothing else; each step has a package of its own.
package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/holds"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/orders"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/survey"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// What an engine is made of and takes belongs to the packages that do it.
type (
	Source   = people.Source
	Target   = survey.Target
	Order    = orders.Order
	Open     = orders.Open
	Relinked = orders.Relinked
	Ruled    = holds.Ruled
)

// ErrNobody says that no person fits what was asked for.
var ErrNobody = people.ErrNobody

// Options are what an Engine is made of. The caller opens and closes the sources, targets, ledger and trail.
type Options struct {
	Sources []Source
	Targets []Target
	Guard   guard.Limits // the general ones: for what arises in a source
	Ledger  *state.Ledger
	Trail   *audit.Trail
	// Evidence keeps a file of each closed case; nil where nothing is ever closed.
	Evidence *evidence.Folder
	Scratch  string // a folder for the pass's temporary files; "" for the system's
	Log      hclog.Logger
	Now      func() time.Time // nil for time.Now
}

// An Engine runs passes, and carries out orders beside them. A pass has two sides that do not wait for each other's
// slowness: the source side reads the people, judges them and hands leavers over to the targets' sweepers; each
// target's side lists, plans and applies for itself. Passes may overlap: of the source side there is one at a time, and
// of each target's.
type Engine struct {
	*orders.Desk

	o       Options
	judging *semaphore.Weighted
	serving map[string]*semaphore.Weighted // by target

	books    *sweep.Books
	sweepers map[string]*sweep.Sweeper // by target

	guarding sync.Mutex // one decision at a time: each has to know the holds and what was spent of the one before

	inFlight apply.InFlight // of passes and sweepers

	mu     sync.Mutex
	served map[string]int // by target: how many passes have been at work on it
}

// New returns an engine.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{
		o: o, judging: semaphore.NewWeighted(1), serving: map[string]*semaphore.Weighted{},
		served: map[string]int{}, sweepers: map[string]*sweep.Sweeper{},
	}
	e.books = &sweep.Books{Ledger: o.Ledger, Trail: o.Trail, Ended: e.ended}
	e.Desk = &orders.Desk{
		Sources: o.Sources, Targets: o.Targets, Ledger: o.Ledger, Trail: o.Trail, Folder: o.Evidence, Books: e.books,
		Sweepers: e.sweepers, Now: o.Now,
	}
	id := "sweep-" + o.Now().UTC().Format(idLayout)
	for _, t := range o.Targets {
		if t.Session == nil {
			continue // only its name is known, for questions about the state
		}
		e.serving[t.Name] = semaphore.NewWeighted(1)
		e.sweepers[t.Name] = sweep.NewSweeper(sweep.Options{
			Target: t.Name, Books: e.books, Log: o.Log, Now: o.Now,
			Search: func(ctx context.Context, c state.Case) error { return e.Search(ctx, t, c) },
			Closer: sweep.Door{Executor: e.executor(id), Session: t.Session},
			Rules: func() sweep.Rules {
				return sweep.Rules{
					Policy: t.Leaver, Observe: t.Observe, Limits: t.Guard, Parallel: t.Parallel, Watch: t.Session.Share(watchShare),
					Protected: func(userName string) (string, bool) { return t.Guard.Protected(userName) },
				}
			},
		})
	}
	return e
}

// watchShare is the part of a target's rate in which closed accounts are looked at again.
const watchShare = 0.1

// idLayout makes an instant the id of a pass or sweep.
const idLayout = "20060102T150405.000000"

func (e *Engine) executor(pass string) *apply.Executor {
	return &apply.Executor{
		Ledger: e.o.Ledger, Trail: e.o.Trail, Log: e.o.Log, Now: e.o.Now, Pass: pass, InFlight: &e.inFlight,
	}
}

// ended writes the evidence of a case that was closed.
func (e *Engine) ended(ctx context.Context, c state.Case) {
	if e.o.Evidence == nil {
		return
	}
	if _, err := e.o.Evidence.Write(ctx, c); err != nil {
		e.o.Log.Error("the evidence was not written; it is, at the next start", "person", c.Name, "error", err)
	}
}

// turns counts the passes that have been at work on a target, and adds to them.
func (e *Engine) turns(target string, more int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.served[target] += more
	return e.served[target]
}

// Sweepers are the engine's sweepers by target, for a process that runs them beside the passes.
func (e *Engine) Sweepers() map[string]*sweep.Sweeper { return e.sweepers }

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

// Retry does what is due for leavers: open steps, looks at closed accounts, and deletes whose grace is over, all
// targets side by side (R8, R10, R11). It may run while a pass does.
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

// Sweep closes every account that a person has anywhere, now: see orders.Desk.
func (e *Engine) Sweep(ctx context.Context, o Order) (Report, error) {
	now := e.o.Now()
	report := Report{Run: state.Run{ID: now.UTC().Format(idLayout), Mode: "sweep", Started: now, Counts: map[string]int{}}}
	swept, err := e.Desk.Sweep(ctx, o)
	report.add(swept.Round)
	report.Open = swept.Open
	for _, t := range e.o.Targets {
		report.Targets = append(report.Targets, Part{Name: t.Name, Observe: t.Observe})
	}
	report.Run.Ended = e.o.Now()
	return report, err
}

// Approve releases one hold, exactly as its digest names it, once: those of its members who still leave. Who is named
// by except, by login, name, DN or anchor, is kept instead, as Reject keeps people.
func (e *Engine) Approve(ctx context.Context, digest, actor string, except ...string) (Ruled, error) {
	return e.rule(ctx, digest, identity.Ruling{What: identity.Approved, By: actor, At: e.o.Now()}, except...)
}

// Reject says that a hold is not to be released: its members are kept as they are until they have returned and left
// again, or leave by a stronger proof.
func (e *Engine) Reject(ctx context.Context, digest, actor string) (Ruled, error) {
	return e.rule(ctx, digest, identity.Ruling{What: identity.Rejected, By: actor, At: e.o.Now()})
}

func (e *Engine) rule(ctx context.Context, digest string, ruling identity.Ruling, except ...string) (Ruled, error) {
	ruled, err := holds.Rule(ctx, e.o.Ledger, e.o.Trail, digest, ruling, except...)
	for _, s := range e.sweepers {
		s.Wake()
	}
	return ruled, err
}
