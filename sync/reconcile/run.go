package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/semaphore"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// An Engine runs passes. A pass has two sides that do not wait for each other's slowness: the source side reads the people, judges them and
// hands leavers over to the targets' sweepers; each target's side lists, plans and applies for itself. Passes may overlap: of the
// source side there is one at a time, and of each target's.
type Engine struct {
	o       Options
	judging *semaphore.Weighted
	serving map[string]*semaphore.Weighted // by target

	books    *sweep.Books
	sweepers map[string]*sweep.Sweeper // by target

	guarding sync.Mutex // one decision at a time: each has to know the holds and what was spent of the one before

	mu      sync.Mutex
	running map[string]bool // ids of passes and sweeps under way
	served  map[string]int  // by target: how many passes have been at work on it
}

// New returns an engine.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{
		o: o, judging: semaphore.NewWeighted(1), serving: map[string]*semaphore.Weighted{}, running: map[string]bool{}, served: map[string]int{},
		sweepers: map[string]*sweep.Sweeper{},
	}
	e.books = &sweep.Books{Ledger: o.Ledger, Trail: o.Trail, Ended: e.ended}
	// What sweepers have under way is theirs to settle, for as long as this engine lives.
	id := "sweep-" + o.Now().UTC().Format("20060102T150405.000000")
	e.running[id] = true
	for _, t := range o.Targets {
		if t.Session == nil {
			continue // only its name is known, for questions about the state
		}
		e.serving[t.Name] = semaphore.NewWeighted(1)
		e.sweepers[t.Name] = sweep.NewSweeper(sweep.Options{
			Target: t.Name, Books: e.books, Log: o.Log, Now: o.Now,
			Search: func(ctx context.Context, c state.Case) error { return e.search(ctx, t, c) },
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

// Run makes one pass. Its error says that the pass could not be made at all (the state cannot be used, ctx is done, nobody fits Pass.Person);
// trouble with a source, a target or a change is in the report.
func (e *Engine) Run(ctx context.Context, p Pass) (Report, error) {
	return e.pass(ctx, p, true)
}

// Plan says what Run would do, and writes nothing anywhere.
func (e *Engine) Plan(ctx context.Context, p Pass) (Report, error) {
	return e.pass(ctx, p, false)
}

// pass is one pass, end to end.
func (e *Engine) pass(ctx context.Context, p Pass, write bool) (Report, error) {
	r, err := e.begin(p, write)
	if err != nil {
		return Report{}, err
	}
	defer r.spool.Close()
	defer e.start(r.id)()

	if err := r.judge(ctx); err != nil {
		return r.report, err
	}
	r.serveTargets(ctx) // R4, R9: recover, sweep, read, plan, guard, apply; each target on its own
	return r.report, r.finish(ctx)
}

// judge is the source side of a pass: it ends with every leaver's steps and holds on disk, and with the sweepers at work. No target is asked
// for anything.
func (r *run) judge(ctx context.Context) error {
	if r.write {
		if err := r.e.judging.Acquire(ctx, 1); err != nil {
			return context.Cause(ctx)
		}
		defer r.e.judging.Release(1)
	}
	for _, l := range r.lanes {
		l.turn = r.e.turns(l.Name, 0)
	}
	for _, step := range []func(context.Context) error{
		r.readOrders,   // who is swept by an operator
		r.readSources,  // R2: whole or not at all
		r.judgePeople,  // R1: who left, with proof
		r.judgeLeavers, // R6: what of it waits
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

// A run is one pass under way.
type run struct {
	e      *Engine
	o      Options
	pass   Pass
	write  bool
	id     string
	now    time.Time
	spool  *roster.Spool
	roster *roster.Roster
	lanes  []*lane
	exec   *apply.Executor

	programs []uint64   // by source: fingerprint of everything that is evaluated for its people
	readings []*reading // by source: what was read
	names    *names     // what people's records are written in
	// directories are the directories that the sources read.
	directories []directory
	whole       []bool     // by source: read whole and believed, people's number included
	picked      roster.Key // of Pass.Person
	meant       candidates // for Pass.Person, among those read
	matches     []identity.PersonID

	gone    map[identity.PersonID]judge.Absent // what became of people whom the reads lack
	closure map[identity.PersonID]string       // ordered closed, with the reason
	// stranded counts, by directory, the people who cannot be asked for under the anchors by which they are known.
	stranded map[string]int

	holders     holders
	populations populations
	books       books

	mu       sync.Mutex // guards what follows, and the lanes' bits while sources are read
	report   Report
	findings []identity.Finding
	records  []state.Person
}

func (e *Engine) begin(p Pass, write bool) (*run, error) {
	if p.Mode == "" {
		p.Mode = Full
	}
	spool, err := roster.NewSpool(e.o.Scratch)
	if err != nil {
		return nil, err
	}
	now := e.o.Now()
	r := &run{
		e: e, o: e.o, pass: p, write: write, now: now, id: now.UTC().Format("20060102T150405.000000"), spool: spool, roster: roster.New(spool),
		whole: make([]bool, len(e.o.Sources)), programs: make([]uint64, len(e.o.Sources)),
		gone: map[identity.PersonID]judge.Absent{}, readings: make([]*reading, len(e.o.Sources)), closure: map[identity.PersonID]string{}, stranded: map[string]int{},
	}
	r.meant.who = p.Person
	r.report.Sources = make([]Part, len(e.o.Sources))
	r.exec = e.executor(r.id)
	for _, t := range e.o.Targets {
		skip := len(p.Targets) > 0 && !slices.Contains(p.Targets, t.Name)
		l := &lane{Target: t, skip: skip, paths: t.Mapping.Paths(), rehired: map[identity.PersonID]identity.PersonID{}, bound: map[int]*suspicion{}}
		r.lanes = append(r.lanes, l)
	}
	for _, name := range p.Targets {
		if !slices.ContainsFunc(e.o.Targets, func(t Target) bool { return t.Name == name }) {
			spool.Close()
			return nil, fmt.Errorf("there is no target %q in the config", name)
		}
	}
	for i, s := range e.o.Sources {
		r.report.Sources[i].Name = s.Name
		r.programs[i] = s.Mapping.Print()
		for _, l := range r.lanes {
			if slices.Contains(l.Sources, s.Name) {
				r.programs[i] = mix(r.programs[i], xxhash.Sum64String(l.Name), l.Mapping.Print(), l.Mapping.ScopePrint())
			}
		}
	}
	return r, nil
}

func (e *Engine) executor(pass string) *apply.Executor {
	return &apply.Executor{Ledger: e.o.Ledger, Trail: e.o.Trail, Log: e.o.Log, Now: e.o.Now, Pass: pass}
}

// mix combines fingerprints; the order counts.
func mix(prints ...uint64) (out uint64) {
	for _, p := range prints {
		out = (out ^ p) * 0x9E3779B97F4A7C15
		out ^= out >> 29
	}
	return out
}

// readOrders reads whom an operator has swept.
func (r *run) readOrders(ctx context.Context) error {
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for c, err := range v.Closures() {
			if err != nil {
				return err
			}
			r.closure[c.Person] = c.Reason
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// recover settles what an earlier process left open at one target (R7). Accounts that turn out to have been made are judged as every link is:
// their people may have left meanwhile.
func (r *run) recover(ctx context.Context, l *lane) error {
	if !r.write || l.Observe {
		return nil
	}
	var open []apply.Unfinished
	made := false
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for intent, err := range v.Intents() {
			if err != nil {
				return err
			}
			if intent.Change.Target != l.Name || r.e.underWay(intent.Pass) {
				continue // another pass, or a sweep, settles its own
			}
			job, err := r.reopen(v, l, intent.Change)
			if err != nil {
				return err
			}
			open = append(open, apply.Unfinished{Intent: intent, Job: job})
			made = made || intent.Change.Op == identity.Create
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if len(open) == 0 {
		return nil
	}
	r.o.Log.Info("looking into changes left open", "target", l.Name, "changes", len(open))
	if err := r.begin(ctx, l); err != nil {
		return err
	}
	for _, left := range r.exec.Recover(ctx, l.app, open) {
		r.delay(l, left)
	}
	if !made {
		return nil
	}
	leavers, err := r.linkedLeavers(ctx, l)
	if err != nil {
		return err
	}
	leavers = slices.DeleteFunc(leavers, func(out leaver) bool {
		return slices.ContainsFunc(l.accepted, func(known leaver) bool { return known.Account == out.Account })
	})
	return r.guard(ctx, leavers, l)
}

// reopen makes of a recorded change the job it was. Under which mapping it was planned is not known any more, so that the account is looked at
// again.
func (r *run) reopen(v *state.Reader, l *lane, c identity.Change) (job apply.Job, err error) {
	job = apply.Job{Change: c, Have: identity.Account{ID: c.Account, UserName: c.UserName}, Scope: r.scopePrintOf(l, c.Person)}
	if c.Op != identity.Create {
		job.Link, _, err = v.LinkByAccount(c.Target, c.Account)
		return job, err
	}
	job.Want = identity.Account{UserName: c.UserName, ExternalID: c.Person.Anchor, Active: true, Attributes: map[string]identity.Value{}}
	for _, a := range c.Delta.Attributes {
		job.Want.Attributes[a.Path] = a.After
		if a.Path == "externalId" {
			job.Want.ExternalID = a.After.Text()
		}
	}
	job.Want.Entitlements = c.Delta.Grant
	job.Link, _, err = v.Link(c.Target, c.Person)
	return job, err
}

// begin begins the target's pass, once.
func (r *run) begin(ctx context.Context, l *lane) (err error) {
	if l.app == nil {
		l.app, err = l.Session.Begin(ctx)
	}
	return err
}

// delay leaves an account, or a person whose account may have been made, alone until it can be told what came of a change to it (R7).
func (r *run) delay(l *lane, left apply.Unsettled) {
	c := left.Intent.Change
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delayed == nil {
		l.delayed = map[identity.PersonID]bool{}
	}
	l.delayed[c.Person] = true
	r.o.Log.Warn("an unfinished change could not be looked into", "target", l.Name, "account", c.UserName, "error", left.Err)
	r.find(identity.Finding{
		Kind: "unsettled", Subject: l.Name + ": " + c.UserName, Target: l.Name, Person: c.Person, Account: c.Account,
		Detail: left.Err.Error() + "; nothing else is done to this account until it can be",
	})
}

// fail takes a target out of this pass, with the reason.
func (r *run) fail(l *lane, err error) {
	if l.app != nil {
		l.app.Break(err)
	}
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if first {
		r.o.Log.Error("target takes no further part in this pass", "target", l.Name, "error", err)
	}
}

// find notes a finding.
func (r *run) find(f identity.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings = append(r.findings, f)
}

// selected reports whether the pass is for this person.
func (r *run) selected(id identity.PersonID) bool {
	return r.pass.Person == "" || roster.KeyOf(id) == r.picked
}

// pick settles whom Pass.Person means.
func (r *run) pick(ctx context.Context) error {
	if r.pass.Person == "" {
		return nil
	}
	id, err := r.meant.one()
	if errors.Is(err, ErrNobody) {
		id, err = r.e.remembered(ctx, r.pass.Person)
	}
	if err != nil {
		return err
	}
	r.matches = []identity.PersonID{id}
	r.picked = roster.KeyOf(r.matches[0])
	return nil
}

// finish writes down what the pass learned and sums it up.
func (r *run) finish(ctx context.Context) error {
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.tellObserved()
	slices.SortFunc(r.report.Held, func(a, b identity.Hold) int { return strings.Compare(a.Digest, b.Digest) })
	identity.SortFindings(r.findings)
	r.report.Findings = r.findings
	var all [][]identity.Change
	people := 0
	for _, part := range r.report.Sources {
		people += part.Count
	}
	counts := r.counts()
	for _, l := range r.lanes {
		if l.skip {
			continue
		}
		part := Part{Name: l.Name, Count: l.count, Orphans: len(l.orphans), Observe: l.Observe}
		if l.err != nil {
			part.Err = l.err.Error()
		}
		r.report.Targets = append(r.report.Targets, part)
		r.report.Failures = append(r.report.Failures, l.failures...)
		r.report.Closed = append(r.report.Closed, l.closed...)
		all = append(all, l.changes)
		l.changes, l.work = nil, nil // a first pass has as many as there are people
	}
	r.report.Plan = plan.New(slices.Concat(all...))
	r.report.Run = state.Run{
		ID: r.id, Mode: string(r.pass.Mode), Started: r.now, Ended: r.o.Now(), Digest: r.report.Plan.Digest, People: people, Counts: counts,
		Held: len(r.report.Held), Failed: len(r.report.Failures), Findings: len(r.findings), Problems: r.problems(),
	}
	if !r.write {
		for _, f := range r.findings {
			r.report.Waiting.count(f.Kind)
		}
		return context.Cause(ctx)
	}
	stopped := ctx.Err() != nil
	err := r.o.Ledger.Update(settling, func(w *state.Writer) error { return r.remember(w, stopped) })
	if err == nil {
		err = apply.Told(settling, r.o.Ledger, r.o.Trail, audit.Record{
			At: r.report.Run.Ended, Pass: r.id, Kind: audit.Pass, Outcome: string(r.report.Outcome()),
			Note: fmt.Sprintf("%s pass over %d people: %s", r.pass.Mode, people, listed(counts)),
		})
	}
	return errors.Join(err, context.Cause(ctx))
}

func (r *run) problems() (out []string) {
	for _, part := range append(slices.Clone(r.report.Sources), r.report.Targets...) {
		if part.Err != "" {
			out = append(out, part.Name+": "+part.Err)
		}
	}
	return out
}

// counts are the changes done, by operation.
func (r *run) counts() map[string]int {
	counts := map[string]int{}
	for _, l := range r.lanes {
		for op, n := range l.done {
			counts[string(op)] += n
		}
	}
	return counts
}

// listed is how many of each operation there are, as text: "create 2, enable 1".
func listed(counts map[string]int) string {
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		if counts[op] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", op, counts[op]))
		}
	}
	if len(parts) == 0 {
		return "no change"
	}
	return strings.Join(parts, ", ")
}

// tellObserved finds the leavers' accounts that stay open because their target is only observed (R21).
func (r *run) tellObserved() {
	for _, l := range r.lanes {
		for _, out := range l.watched {
			r.find(identity.Finding{
				Kind: "observed", Subject: l.Name + ": " + out.UserName, Target: l.Name, Person: out.Person, Account: out.Account,
				Detail: fmt.Sprintf("would be closed (%s), and stays open: mode = \"observe\" leaves it to you", out.Cause),
			})
		}
	}
}

// remember writes the findings, orphans and health of those that took part. A pass that was stopped says nothing about anybody's health:
// a stop is nobody's failure (R20).
func (r *run) remember(w *state.Writer, stopped bool) error {
	if err := w.SetFindingsWhere(r.solved, r.findings, r.now); err != nil {
		return err
	}
	r.report.Waiting = Waiting{}
	for f, err := range w.Findings() {
		if err != nil {
			return err
		}
		r.report.Waiting.count(f.Kind)
	}
	if !stopped {
		if err := r.sourcesHealth(w); err != nil {
			return err
		}
	}
	var window time.Duration
	for _, l := range r.lanes {
		if l.skip {
			continue
		}
		if l.complete && r.pass.Mode == Full && r.pass.Person == "" {
			if err := r.setOrphans(w, l); err != nil {
				return err
			}
		}
		if !stopped {
			if err := r.health(w, l); err != nil {
				return err
			}
		}
		window = max(window, l.Guard.Window)
	}
	if err := errors.Join(w.PruneSpent(r.now.Add(-2*max(window, r.o.Guard.Window, time.Hour))), w.PruneMembers()); err != nil {
		return err
	}
	return w.AddRun(r.report.Run)
}

// solved reports whether a finding of an earlier pass would have been found again by this one, were it still true: everything that it depends
// on was looked at. What was not looked at stays as it was.
func (r *run) solved(f identity.Finding) bool {
	if f.Source != "" && !r.sourceWhole(f.Source) {
		return false
	}
	if f.Target == "" { // every pass reads the sources whole
		return r.pass.Person == "" && (f.Source != "" || r.pass.Mode == Full && len(r.pass.Targets) == 0)
	}
	at := slices.IndexFunc(r.lanes, func(l *lane) bool { return l.Name == f.Target })
	if at < 0 {
		return r.pass.Mode == Full && r.pass.Person == "" // of a target that left the config
	}
	l := r.lanes[at]
	if !l.complete || !r.claimable(l) {
		return false
	}
	if r.pass.Mode == Full && r.pass.Person == "" {
		return true
	}
	i, here := r.roster.Find(l.heir(f.Person))
	return here && r.selected(f.Person) && (l.seen.Has(i) || r.pass.Person != "")
}

// sourcesHealth notes which sources could be read.
func (r *run) sourcesHealth(w *state.Writer) error {
	for _, part := range r.report.Sources {
		rec, _, err := w.Source(part.Name)
		if err != nil {
			return err
		}
		rec.Name = part.Name
		switch {
		case part.Err == "":
			rec.Failures, rec.Reason, rec.Since = 0, "", time.Time{}
		default:
			if rec.Failures == 0 {
				rec.Since = r.now
			}
			rec.Failures++
			rec.Reason = part.Err
		}
		if err := w.PutSource(rec); err != nil {
			return err
		}
	}
	return nil
}

// setOrphans writes a target's orphans down. Without one of its sources nobody can tell who is one, so what was known stands.
func (r *run) setOrphans(w *state.Writer, l *lane) error {
	if !r.claimable(l) {
		return nil
	}
	return w.SetOrphans(l.Name, l.orphans)
}

func (r *run) sourceWhole(source string) bool {
	i := slices.IndexFunc(r.o.Sources, func(s Source) bool { return s.Name == source })
	return i >= 0 && r.whole[i]
}

// quarantineAfter is how many passes in a row a target may fail before delta passes leave it alone for a while (R9).
const quarantineAfter = 3

// errQuarantined is why a delta pass leaves a target alone.
var errQuarantined = errors.New("quarantined")

func (r *run) health(w *state.Writer, l *lane) error {
	rec, _, err := w.Target(l.Name)
	if err != nil {
		return err
	}
	rec.Name = l.Name
	if errors.Is(l.err, errQuarantined) || errors.Is(l.err, errOtherPlan) || errors.Is(l.err, apply.ErrPaused) {
		return nil // nothing was tried
	}
	if l.complete {
		rec.Refused, rec.RefusedReason = len(l.failures), ""
		if len(l.failures) > 0 {
			rec.RefusedReason = l.failures[0].Err
		}
	}
	if l.err == nil {
		rec.Failures, rec.Reason, rec.Since, rec.Next = 0, "", time.Time{}, time.Time{}
		return w.PutTarget(rec)
	}
	if rec.Failures == 0 {
		rec.Since = r.now
	}
	rec.Failures++
	rec.Reason = l.err.Error()
	if rec.Failures >= quarantineAfter {
		rec.Next = r.now.Add(min(time.Minute<<min(rec.Failures-quarantineAfter, 6), time.Hour))
	}
	return w.PutTarget(rec)
}
