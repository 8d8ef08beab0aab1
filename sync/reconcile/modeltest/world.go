// Package modeltest plays histories of a company (people who join, move and leave, directories and applications that
// fail in every way, an operator, a process that dies) against the real engine, all of it in memory, and judges what
// was written in the applications by a small reference model of the truth. It is for tests.
package modeltest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// A world is one history under way.
type world struct {
	site *Site
	dir  string
	log  hclog.Logger
	tell io.Writer // nil for nobody

	memory *memory.Store
	ledger *state.Ledger
	trail  *audit.Trail
	engine *reconcile.Engine

	shared  bool // both sources are of one directory
	manages int  // the step from which on chat's groups are managed; 0 for never
	dated   bool // times end and begin by dates that the config names
	// late are those of whom the last pass told another instant than theirs: one that took in an edited anchor tells it in the
	// next, which the daemon begins at once for whoever is due.
	late  map[int]bool
	dates []time.Time
	feed  feed

	mu           sync.Mutex // guards what follows while the engine is at work
	model        *model
	applications []*application
	version      int
	snapshots    []snapshot
	offset       time.Duration
	ambiguous    time.Time // until when the clock has shown some instants twice
	worked       []span    // when the engine was at work

	fault struct {
		Fault
		where, who, lasts int
	}
	crash Crash
	at    int // so many events until it
	// stumble is at which write to the state an error comes, 0 for none; every second one was written all the same.
	stumble int
	away    bool // no application answers
	// stop is how many calls there are until the process is told to stop, 0 for none; stopped that it was.
	stop    int
	stopped bool
	// backwards is that people and accounts are read in another order than usual.
	backwards bool
	dead      bool
	cancel    context.CancelFunc

	writes       []write // of this step
	all          []write // of the history
	swept        []swept
	standing     map[place]member // who waits for an operator, or was rejected, and how surely they had left
	returned     map[inHold]bool  // who is listed still, though they were back and the books held nothing of them any more
	released     map[place]bool   // whom an approval lets go
	unknown      map[place]member // of those, of whom nothing was remembered then
	closedBefore map[place]bool   // and not back since
	linked       map[place]bool
	decided      map[place]time.Time // when it was decided to close what is not closed yet
	owed         map[place]bool      // whose closing was begun, and whose source is not believed since: nobody can tell that they are back
	known        [targetCount]map[identity.AccountID]bool
	pauses       [targetCount]time.Time
	began        bool // everybody was read once
	lossApproved bool // an operator took it for true that people have lost an attribute
	violations   []Violation
	step         int
	cut          struct { // what broke off in this step
		sources [sourceCount]bool
		targets [targetCount]bool
	}
	counts *Counts
}

// Play runs a history and returns what it broke. dir is for the trail and temporary files. It is to be called in a
// synctest bubble: nothing in it waits for real time.
func Play(site *Site, dir string, h History, log hclog.Logger, tell io.Writer, counts *Counts) ([]Violation, error) {
	w := &world{
		site: site, dir: dir, shared: h.Shared, dated: h.Dated, manages: h.Managed, log: log, tell: tell, memory: memory.New(),
		counts: counts, feed: feed{followed: h.Followed},
		model:    &model{ordered: map[int]bool{}, anchors: map[string]int{}},
		standing: map[place]member{}, returned: map[inHold]bool{}, released: map[place]bool{}, unknown: map[place]member{},
		closedBefore: map[place]bool{}, linked: map[place]bool{},
		owed: map[place]bool{}, decided: map[place]time.Time{},
	}
	w.model.now = w.now
	for n := range targetCount {
		w.known[n] = map[identity.AccountID]bool{}
		w.applications = append(w.applications, &application{
			world: w, n: n, accounts: map[identity.AccountID]*account{}, token: identity.NewSecret(token),
		})
	}
	for _, p := range h.People {
		w.settle(p)
	}
	for n := range sourceCount {
		if w.model.inBase(n) == 0 { // a source without people is not believed, rightly
			w.settle(Person{Source: n})
		}
	}
	w.snap()
	w.model.accepted = []config{w.model.config}
	if err := w.start(); err != nil {
		return nil, err
	}
	for i, s := range h.Steps {
		w.step = i + 1
		if err := w.take(s); err != nil {
			return w.violations, fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	err := w.finish()
	return w.violations, err
}

// most is how many people a company may have: what breaks with many breaks with few.
const most = 10

var departments = []string{"sales", "ops", "lab"}

// settle puts somebody into the company.
func (w *world) settle(p Person) {
	e := entry{source: p.Source, place: p.Place, dept: departments[p.Dept], changed: w.clock(p.Source)}
	for g := range groupCount {
		e.groups[g] = p.Groups&(1<<g) != 0
	}
	n := w.model.hire(e)
	if p.Account == 0 {
		return
	}
	for _, app := range w.applications {
		want := identity.Account{UserName: w.model.humans[n].entry.login, Active: true}
		if p.Account == 2 {
			want.ExternalID = w.model.humans[n].anchors[0]
		}
		app.add(want, n)
		if p.Account == 3 {
			app.add(identity.Account{UserName: fmt.Sprintf("stranger%d", n), Active: true}, stranger)
		}
	}
}

// now is the clock that everybody sees.
func (w *world) now() time.Time { return time.Now().Add(w.offset) }

func (w *world) trailPath() string { return filepath.Join(w.dir, "audit.jsonl") }

// clock is that of the directory of a source, which is never set back: one goes a day behind, another is soon ahead of
// ours.
func (w *world) clock(source int) time.Time {
	behind := 24 * time.Hour * time.Duration(index(source == 0 || w.shared))
	return time.Now().Add(-behind).Truncate(time.Microsecond)
}

// start is a process that starts: on whatever the last one left.
func (w *world) start() error {
	w.ledger = state.NewLedger(mortal{w.memory, w})
	var head state.AuditHead
	err := w.ledger.View(context.Background(), func(r *state.Reader) (err error) {
		head, _, err = r.AuditHead()
		return err
	})
	if err != nil {
		return err
	}
	if w.trail, err = audit.Open(w.trailPath(), audit.Head(head), 0); err != nil {
		return err
	}
	w.engine, w.feed.replicas = reconcile.New(w.options()), [sourceCount]*replica{}
	return nil
}

// dies counts an event down and reports whether the process is dead by now.
func (w *world) dies(point Crash) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.die(point)
}

func (w *world) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// die is dies for those who hold the lock.
func (w *world) die(point Crash) bool {
	if w.dead || w.crash != point || point == NoCrash {
		return w.dead
	}
	if w.at--; w.at < 0 {
		w.dead = true
		w.cancel()
		_ = w.trail.Close()
	}
	return w.dead
}

// reads is what every read meets first.
func (w *world) reads(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if w.die(DuringRead) {
		return errDied
	}
	w.called()
	return nil
}

// calls is what every write meets before it is done, and after.
func (w *world) calls(ctx context.Context, point Crash) error {
	if err := context.Cause(ctx); err != nil && point == BeforeCall {
		return err
	}
	if w.die(point) {
		return errDied
	}
	if point == AfterCall {
		w.called()
	}
	return nil
}

// called counts a call down that is answered, and tells the process to stop where it is to: what it asks then gets no
// answer any more.
func (w *world) called() {
	if w.stop == 0 {
		return
	}
	if w.stop--; w.stop == 0 {
		w.stopped = true
		w.cancel()
	}
}

// faultOf is what is wrong with a source or target now.
func (w *world) faultOf(n int, ofSource bool) Fault {
	f := w.fault
	switch {
	case !ofSource && w.away:
		return TargetDown
	case ofSource && f.ofSource() && f.where%sourceCount == n, !ofSource && f.ofTarget() && f.where%targetCount == n:
		return f.Fault
	}
	return NoFault
}

// take is one step of a history.
func (w *world) take(s Step) error {
	jump := jumps[s.Jump%len(jumps)]
	if jump < 0 {
		w.ambiguous = later(w.ambiguous, w.now())
		w.offset += jump
	} else {
		time.Sleep(jump)
	}
	w.elapse()
	w.fail(s)
	if w.tell != nil {
		fmt.Fprintf(w.tell, "step %d: after %s; fault %s, %s at %d; %s, crash %s at %d\n", w.step, jump, w.fault.Fault, s.Deed, s.Where, s.Do, s.Crash, s.At)
	}
	for i, e := range s.Edits {
		w.edit(e, s.Who[i], s.To)
		w.note()
	}
	w.edit(s.Then, s.Who[1], s.To)
	w.term(s)
	w.manage(s)
	if s.Tend > 0 {
		w.applications[s.Tend%targetCount].tend(s.Tend / targetCount)
	}
	if err := w.prepare(s); err != nil {
		return err
	}
	w.learn()
	kind, act := w.act(s)
	if err := w.do(kind, act, s); err != nil {
		return err
	}
	if w.fault.lasts--; w.fault.lasts <= 0 {
		w.fault.Fault = NoFault
	}
	return nil
}

// learn makes the truth of now what can be read, and what the model goes by.
func (w *world) learn() {
	w.snap()
	w.model.changed()
	if w.fault.Fault == ContainerHidden {
		w.hide()
	}
	if w.fault.ofSource() {
		w.miss()
	}
	w.forget()
	switch w.fault.Fault {
	case MembersHidden:
		w.hideNew()
	case AttributeLost:
		w.lose()
	case StaleServer:
		w.lag()
	}
	for _, app := range w.applications {
		app.claimed()
	}
}

// prepare sees to it that a step of that kind has something to do.
func (w *world) prepare(s Step) error {
	full := Step{Do: Full, Choice: s.Choice}
	switch {
	case s.Do == Full || s.Do == Delta || s.Do == One:
		if s.Crash == BeforeCall || s.Crash == AfterCall {
			w.edit(Retitle, s.Choice, s.At+s.Who[0])
		}
		return nil
	case s.Do == Retry:
		w.edit(Deactivate, s.Who[0], 0)
		w.away = true
		full.Do = Delta
	case (s.Do == Approve || s.Do == Reject) && len(w.undecided()) == 0:
		w.edit(EditScope, 0, s.Who[0])
	case s.Do == Release && len(w.model.ordered) == 0:
		full.Do = Sweep
	default:
		return nil
	}
	w.learn()
	kind, act := w.act(full)
	err := w.do(kind, act, full)
	w.away = false
	if s.Do == Retry {
		time.Sleep(time.Minute)
	}
	return err
}

// do lets the engine do something, with the process dying where the step says, and looks at what came of it.
func (w *world) do(kind Kind, act func(context.Context) error, s Step) error {
	w.writes, w.crash, w.at, w.dead = nil, s.Crash, s.At, false
	w.begins()
	if kind == Approve || kind == Reject || kind == Release {
		w.at %= 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.stumble = index(w.fault.Fault == StoreFails) * (1 + s.Choice)
	w.feed.begin(s, kind)
	w.stop, w.stopped = s.Stop*index(s.Crash == NoCrash), false
	done := act(ctx)
	cancel()
	w.ends()
	w.mu.Lock()
	died, stopped := w.dead, w.stopped
	w.dead, w.crash, w.stumble, w.stop = false, NoCrash, 0, 0
	w.mu.Unlock()
	if stopped {
		if err := w.judgeStop(); err != nil {
			return err
		}
	}
	for _, f := range []Fault{w.fault.Fault, s.Deed} {
		w.counts.add(f, kind, s.Crash, died)
	}
	w.counts.took(w.feed.came, s.Crash, died)
	for _, app := range w.applications {
		app.noticed(died)
	}
	if died || stopped {
		if err := w.restart(); err != nil {
			return err
		}
	}
	return w.check(kind, !died && !stopped && done == nil)
}

// restart begins a new process over what is left of the old one.
func (w *world) restart() error {
	_ = w.trail.Close()
	time.Sleep(time.Second)
	return w.start()
}

// fail makes something go wrong.
func (w *world) fail(s Step) {
	if s.Deed != NoFault {
		w.applications[s.Where%targetCount].byHand(s.Deed, s.Where/targetCount)
	}
	unseen := (s.Fault.ofRight() || s.Fault == StaleServer) && !w.began // what was never seen is not missed
	if s.Fault != NoFault && w.fault.Fault == NoFault && !unseen {
		w.fault.Fault, w.fault.where, w.fault.who, w.fault.lasts = s.Fault, s.Where, s.Where/targetCount, s.Lasts
	}
}

// hide takes those for leavers who moved, since they were last seen, to where nobody can be seen any more: no look-up
// tells the difference.
func (w *world) hide() {
	for n, h := range w.model.humans {
		hidden := [2]int{w.fault.where % sourceCount, 0}
		if h.entry != nil && [2]int{h.entry.source, h.entry.place} == hidden && (h.moved || h.read != h.entry.anchor) {
			for t, s := range w.model.shares[n] {
				s.leaves, s.edited, s.left = true, nil, identity.ByAbsence
				w.back(place{n, t})
			}
		}
	}
}

// hideNew takes those whom nobody has read yet for members of nothing while groups hide theirs: what was never seen is not
// missed.
func (w *world) hideNew() {
	for n, h := range w.model.humans {
		if h.entry == nil || h.read != "" || h.entry.source != w.fault.where%sourceCount {
			continue
		}
		seen, alone := *h, *h.entry
		alone.groups, seen.entry = [groupCount]bool{}, &alone
		for t, s := range w.model.shares[n] {
			w.model.learn(&seen, t, s)
		}
	}
}

// miss takes those who are back under another anchor, which nobody has read yet, for what they were while a source is
// not read as it is: they may not be seen.
func (w *world) miss() {
	for n, h := range w.model.humans {
		if h.entry == nil || len(h.anchors) == 1 || h.read == h.entry.anchor {
			continue
		}
		w.missOne(n)
	}
}

func (w *world) missOne(n int) {
	for t, s := range w.model.shares[n] {
		s.leaves, s.edited = true, nil
		w.back(place{n, t})
	}
}

// fewLost is how many may lose an attribute at once and be believed (ENGINE, Anomaly).
const fewLost = 3

// lose takes people without a department for what they seem to be, where they are so few that nothing tells a lost
// right from a change.
func (w *world) lose() {
	source, had := w.fault.where%sourceCount, 0
	for _, h := range w.model.humans {
		if h.entry != nil && h.read == h.entry.anchor && !h.bare && h.entry.source == source && h.entry.place != outside {
			had++
		}
	}
	if had > fewLost && !w.lossApproved {
		return
	}
	for n, h := range w.model.humans {
		if h.entry == nil || h.entry.source != source {
			continue
		}
		h.bare = h.bare || h.entry.place != outside // what they are believed to lack, they cannot lose once more
		seen, bare := *h, *h.entry
		bare.dept, seen.entry = "", &bare
		for t, s := range w.model.shares[n] {
			if !w.model.config.in(&seen, t) {
				continue
			}
			w.model.learn(&seen, t, s)
			delete(w.standing, place{n, t}) // an approval is spent where that is believed, and else it stands
		}
	}
}

// lag takes people also for what a server that is behind shows of them: under the config of now.
func (w *world) lag() {
	for _, e := range w.snapshots[0].entries {
		n, known := w.model.human(e.anchor)
		if !known || e.source != w.fault.where%sourceCount {
			continue
		}
		seen := *w.model.humans[n]
		seen.entry = &e
		for t, s := range w.model.shares[n] {
			w.model.learn(&seen, t, s)
			if w.model.config.in(&seen, t) {
				delete(w.standing, place{n, t})
			}
		}
	}
}

// back forgets what was held or released of somebody who is in scope again.
func (w *world) back(p place) {
	delete(w.standing, p)
	delete(w.released, p)
}

// act is what the engine is to do in a step; where there is nothing of the kind to do it is a delta pass.
func (w *world) act(s Step) (Kind, func(context.Context) error) {
	run := func(p reconcile.Pass) func(context.Context) error {
		return func(ctx context.Context) error { return w.run(ctx, p) }
	}
	switch s.Do {
	case Full:
		if s.Shown > 0 && s.Crash == NoCrash {
			return s.Do, func(ctx context.Context) error { return w.asShown(ctx, s) }
		}
		return s.Do, run(reconcile.Pass{})
	case One:
		if n, ok := w.somebody(s.Choice, func(n int) bool { return w.model.humans[n].entry != nil }); ok {
			return s.Do, run(reconcile.Pass{Person: w.model.config.anchor(w.model.humans[n].entry)})
		}
	case Retry:
		return s.Do, func(ctx context.Context) error {
			_, err := w.engine.Retry(ctx)
			return err
		}
	case Approve, Reject:
		if digests := w.undecided(); len(digests) > 0 {
			digest := digests[s.Choice%len(digests)]
			return s.Do, func(ctx context.Context) error { return w.decide(ctx, digest, s.Do == Approve) }
		}
	case Sweep:
		if n, ok := w.somebody(s.Choice, func(n int) bool { return w.model.humans[n].entry != nil && !w.model.ordered[n] }); ok {
			w.model.ordered[n] = true // until it is seen that the order was not taken
			return s.Do, func(ctx context.Context) error {
				_, err := w.engine.Sweep(ctx, reconcile.Order{Person: w.model.config.anchor(w.model.humans[n].entry), Reason: "test", Actor: "test"})
				return err
			}
		}
	case Release:
		if n, ok := w.somebody(s.Choice, func(n int) bool { return w.model.ordered[n] }); ok {
			return s.Do, func(ctx context.Context) error { return w.release(ctx, n) }
		}
	}
	return Delta, run(reconcile.Pass{Mode: reconcile.Delta})
}

// release ends an order.
func (w *world) release(ctx context.Context, n int) error {
	var err error
	for _, anchor := range w.model.names(n) {
		if err = w.engine.Release(ctx, reconcile.Order{Person: anchor, Actor: "test"}); err == nil {
			return nil
		}
	}
	return err
}

// somebody picks one of the humans who fit.
func (w *world) somebody(choice int, fits func(int) bool) (n int, ok bool) {
	var list []int
	for n := range w.model.humans {
		if fits(n) {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return 0, false
	}
	return list[choice%len(list)], true
}

// edit changes the truth.
func (w *world) edit(e Edit, who, to int) {
	if w.tell != nil && e != NoEdit {
		fmt.Fprintf(w.tell, "    %s (%d, %d)\n", e, who, to)
	}
	m := w.model
	pick := func(fits func(h *human) bool) (*human, int) {
		n, ok := w.somebody(who, func(n int) bool { return fits(m.humans[n]) })
		if !ok {
			return nil, 0
		}
		return m.humans[n], n
	}
	here := func(h *human) bool { return h.entry != nil }
	spare := func(h *human) bool { return here(h) && (h.entry.place == outside || m.inBase(h.entry.source) > 1) }
	switch e {
	case Hire:
		if len(m.humans) < most {
			m.hire(entry{
				source: to % sourceCount, place: to / 2 % 2, dept: departments[to%3],
				groups: [groupCount]bool{to%4 != 0, to%2 == 0, to%5 == 0}, changed: w.clock(to % sourceCount),
			})
		}
	case HireWithOldLogin:
		if n, ok := w.somebody(who, func(n int) bool { return m.humans[n].entry == nil && !m.used(m.humans[n].login()) }); ok && len(m.humans) < most {
			m.hire(entry{
				source: to % sourceCount, dept: departments[to%3], groups: [groupCount]bool{true}, login: m.humans[n].login(),
				changed: w.clock(to % sourceCount),
			})
		}
	case Rename:
		if h, _ := pick(here); h != nil {
			m.logins++
			h.entry.login = fmt.Sprintf("r%d", m.logins)
			h.stamp(w.clock(h.entry.source))
		}
	case EditScope:
		m.edit(func(c *config) { c.narrow[to%targetCount] = !c.narrow[to%targetCount] })
		for n, shares := range m.shares {
			for t, s := range shares {
				if !w.linked[place{n, t}] {
					s.edited = nil // what is found later is judged as such
				}
			}
		}
		w.reload()
	case EditMapping:
		m.edit(func(c *config) { c.long[to%targetCount] = !c.long[to%targetCount] })
		w.reload()
	case EditAnchor:
		m.edit(func(c *config) {
			c.number[to%sourceCount] = !c.number[to%sourceCount]
			if w.shared { // people of one directory have one anchor
				c.number[1-to%sourceCount] = c.number[to%sourceCount]
			}
		})
		w.reload()
	case EmptyGroup:
		for _, h := range m.humans {
			if h.entry != nil && h.entry.source == to%sourceCount {
				h.entry.groups[to%groupCount] = false
			}
		}
	case Delete, Purge:
		if h, _ := pick(spare); h != nil {
			h.delete(e == Delete, w.clock(h.entry.source))
		}
	case Restore:
		if h, _ := pick(func(h *human) bool { return h.entry == nil && !m.used(h.login()) }); h != nil {
			h.restore()
			h.stamp(w.clock(h.entry.source))
		}
	case Rehire:
		if h, n := pick(func(h *human) bool { return h.entry == nil && !m.used(h.login()) }); h != nil {
			m.enter(n, h.last())
			h.stamp(w.clock(h.entry.source))
		}
	default:
		if e == MoveOver && !w.shared {
			return
		}
		fits := here
		if e == MoveOut || e == MoveOver {
			fits = spare
		}
		if h, _ := pick(fits); h != nil {
			h.entry.change(e, to)
			if e != Join && e != Leave { // those are edits of groups
				h.stamp(w.clock(h.entry.source))
			}
		}
	}
}

// reload is a config that was edited: a new engine over the same state.
func (w *world) reload() { w.engine = reconcile.New(w.options()) }

func (w *world) undecided() (digests []string) {
	for _, h := range w.holds() {
		if !h.approved && !h.rejected {
			digests = append(digests, h.digest)
		}
	}
	slices.Sort(digests)
	return digests
}
