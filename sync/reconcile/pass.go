package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/holds"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// A Mode says how much a pass reads.
type Mode string

// The modes.
const (
	Full  Mode = "full"  // every source and every target whole
	Delta Mode = "delta" // every source, but of the targets only the accounts of people who changed
)

// A Pass says what one pass is to do. The zero value is a full pass over everything.
type Pass struct {
	Mode     Mode
	Targets  []string // only these; nil for all
	Person   string   // only this one: a login, DN, anchor or source/anchor; "" for everyone
	Progress Progress // nil for none
	// Beside leaves out targets that another pass is at work on, rather than wait for them: leavers are closed there
	// all the same.
	Beside bool
	// Judged is called when the source side has ended: everybody's leavers are on the books, and another pass may
	// begin. nil for nobody.
	Judged func()
	// Expect, where it is not nil, are the digests by target of the only plan that may be carried out (plan.Digests); a
	// target whose plan is another one by now is left as it is. Leavers are closed all the same.
	Expect map[string]string
}

// Progress is told how a pass gets on. Its methods are called from several goroutines, often, and must return at once.
type Progress interface {
	// Reading counts people of a source or accounts of a target; total is 0 where it is not known.
	Reading(name string, done, total int)
	// Applying counts changes of a target.
	Applying(target string, done, total int)
}

// Run makes one pass. Its error says that the pass could not be made at all (the state cannot be used, ctx is done,
// nobody fits Pass.Person); trouble with a source, a target or a change is in the report.
func (e *Engine) Run(ctx context.Context, p Pass) (Report, error) {
	return e.pass(ctx, p, true)
}

// Plan says what Run would do, and writes nothing anywhere.
func (e *Engine) Plan(ctx context.Context, p Pass) (Report, error) {
	return e.pass(ctx, p, false)
}

// pass is one pass, end to end.
func (e *Engine) pass(ctx context.Context, p Pass, write bool) (Report, error) {
	r, err := e.begin(ctx, p, write)
	if err != nil {
		return Report{}, err
	}
	defer r.spool.Close()

	if err := r.judge(ctx); err != nil {
		return r.report, err
	}
	r.serveTargets(ctx) // R4, R9: recover, sweep, read, plan, guard, apply; each target on its own
	return r.report, r.finish(ctx)
}

// A run is one pass under way.
type run struct {
	e     *Engine
	o     Options
	pass  Pass
	write bool
	id    string
	now   time.Time
	spool *roster.Spool
	exec  *apply.Executor

	people *people.Read
	book   *holds.Book
	sides  []*side // of the targets

	mu       sync.Mutex // guards what follows
	report   Report
	findings []identity.Finding
}

// begin makes a run, whose clock begins once the sources have been read anew: no other pass waits for that (R4).
func (e *Engine) begin(ctx context.Context, p Pass, write bool) (*run, error) {
	if p.Mode == "" {
		p.Mode = Full
	}
	for _, name := range p.Targets {
		if !slices.ContainsFunc(e.o.Targets, func(t Target) bool { return t.Name == name }) {
			return nil, fmt.Errorf("there is no target %q in the config", name)
		}
	}
	var renewed []people.Renewal
	if p.Mode == Full {
		renewed = people.Renew(ctx, e.o.Sources, p.reading)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	spool, err := roster.NewSpool(e.o.Scratch)
	if err != nil {
		return nil, err
	}
	now := e.o.Now()
	r := &run{e: e, o: e.o, pass: p, write: write, now: now, id: now.UTC().Format(idLayout), spool: spool}
	r.exec = e.executor(r.id)
	r.book = &holds.Book{
		Ledger: e.o.Ledger, Trail: e.o.Trail, Log: e.o.Log, Now: now, Pass: r.id, Write: write, Turn: &e.guarding,
	}
	var views []*people.View
	for _, t := range e.o.Targets {
		s := &side{Target: t, view: t.View(len(p.Targets) > 0 && !slices.Contains(p.Targets, t.Name))}
		r.sides, views = append(r.sides, s), append(views, s.view)
	}
	r.people = people.New(people.Options{
		Sources: e.o.Sources, Views: views, Limits: e.o.Guard, Ledger: e.o.Ledger, Keeper: r.book, Spool: spool, Log: e.o.Log, Now: now,
		Full: p.Mode == Full, Write: write, Person: p.Person, Find: r.find, Reading: p.reading,
		Renewed: renewed,
	})
	return r, nil
}

// judge is the source side of a pass: it ends with every leaver's steps and holds on disk, and with the sweepers at
// work. No target is asked for anything.
func (r *run) judge(ctx context.Context) error {
	if r.write {
		if err := r.e.judging.Acquire(ctx, 1); err != nil {
			return context.Cause(ctx)
		}
		defer r.e.judging.Release(1)
	}
	for _, s := range r.sides {
		s.turn = r.e.turns(s.Name, 0)
	}
	for _, step := range []func(context.Context) error{
		r.people.ReadOrders,    // who is swept by an operator
		r.people.ReadSources,   // R2: whole or not at all
		r.people.FollowOrders,  // who is swept is so under another anchor too
		r.people.JudgePeople,   // R1: who left, with proof
		r.rememberPeople,       // and who is back
		r.people.TellRestored,  // R1: what a state that was put back does not know
		r.judgeLeavers,         // R6: what of it waits
		r.tellUnconfigured,     // R9: whom nobody looks after any more
		r.people.HoldAnomalies, // R1: what looks odd
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if r.write {
		for _, s := range r.e.sweepers {
			s.Wake()
		}
	}
	if r.pass.Judged != nil {
		r.pass.Judged()
	}
	return nil
}

// rememberPeople writes down what was read of people, and takes back what those owe who are where they should be again.
func (r *run) rememberPeople(ctx context.Context) error {
	if !r.write {
		return nil
	}
	if err := r.people.Remember(ctx); err != nil {
		return err
	}
	return r.e.books.Forgive(ctx, func(id identity.PersonID, target string) bool {
		return r.people.Ordered(id) == "" && r.people.Back(id, target)
	}, r.now)
}

// judgeLeavers goes through every link: who stays in scope, and whose account has to be closed. No target has to be
// asked for that, so the guard sees the leavers of all targets before any of them is touched, and a target that cannot
// be read delays nobody's closing.
func (r *run) judgeLeavers(ctx context.Context) error {
	var all []people.Leaver
	for _, s := range r.sides {
		leavers, err := r.people.Leavers(ctx, s.view)
		if err != nil {
			return err
		}
		if !s.view.Skip {
			all = append(all, leavers...)
		}
	}
	return r.guard(ctx, all, nil)
}

// guard decides which leavers go ahead. It is called once for the leavers of all targets that are known from links, and
// then for each target with those that only its listing shows: late is that target's side.
func (r *run) guard(ctx context.Context, leavers []people.Leaver, late *side) error {
	observes := func(target string) bool { return r.side(target).Observe }
	v, err := r.book.Leavers(ctx, leavers, observes, func(standing []identity.Hold, spent []identity.Spent) (guard.Facts, error) {
		p, err := r.people.Populations(ctx, spent)
		f := guard.Facts{
			Limits: r.o.Guard, Targets: map[string]guard.Limits{}, Reports: map[string]bool{}, People: p.People, Accounts: p.Accounts,
			FirstNames: p.Names, Own: p.Own, Anomalies: r.people.Suspect(leavers),
		}
		if err != nil {
			return f, err
		}
		for _, s := range r.sides {
			f.Targets[s.Name], f.Reports[s.Name] = s.Guard, s.Reports()
		}
		var view *people.View
		if late != nil {
			view = late.view
		}
		var open func(identity.AccountID) bool
		if late != nil && late.survey != nil && late.survey.Listed {
			open = late.survey.Open
		}
		f.Ended, err = r.people.Ended(ctx, standing, view, open)
		return f, err
	})
	if err != nil {
		return err
	}
	for _, out := range v.Accepted {
		s := r.side(out.Target)
		s.accepted = append(s.accepted, out)
	}
	for _, out := range v.Observed {
		s := r.side(out.Target)
		s.watched = append(s.watched, out)
	}
	for _, f := range v.Findings {
		r.find(f)
	}
	return nil
}

// tellUnconfigured tells of targets that left the config, in a pass over everything.
func (r *run) tellUnconfigured(ctx context.Context) error {
	if r.pass.Mode != Full || r.pass.Person != "" || len(r.pass.Targets) > 0 {
		return nil
	}
	return r.people.Unconfigured(ctx)
}

func (r *run) side(target string) *side {
	return r.sides[slices.IndexFunc(r.sides, func(s *side) bool { return s.Name == target })]
}

// find notes a finding.
func (r *run) find(f identity.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings = append(r.findings, f)
}

// reading tells how the reading of a source or target gets on.
func (p Pass) reading(name string, n, of int) {
	if p.Progress != nil {
		p.Progress.Reading(name, n, of)
	}
}

// everyone reports whether the pass is a full one over everybody.
func (r *run) everyone() bool { return r.pass.Mode == Full && r.pass.Person == "" }

// fail takes a target out of this pass, with the reason.
func (r *run) fail(s *side, err error) {
	if s.app != nil {
		s.app.Break(err)
	}
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if first {
		r.o.Log.Error("target takes no further part in this pass", "target", s.Name, "error", err)
	}
}

var (
	// errQuarantined is why a delta pass leaves a target alone.
	errQuarantined = errors.New("quarantined")
	// errOtherPlan is why a target is left as it is.
	errOtherPlan = errors.New("the plan is another one by now than the one that was asked for")
)
