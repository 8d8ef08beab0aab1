package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Closer does what a sweep asks of one target. Its methods are called from several goroutines, never twice at once
// for one account.
type Closer interface {
	// Close takes an account through the steps of its policy and proves each.
	Close(ctx context.Context, a Account) Closed
	// Delete removes an account whose grace is over, after one more look.
	Delete(ctx context.Context, a Account) Closed
	// Look reads an account that was proven closed: Seen is "inactive", "gone" or "active". It writes nothing.
	Look(ctx context.Context, a Account) (seen string, err error)
	// Clock is what the target's own clock says now; the zero time where it has not said so lately. It asks nothing.
	Clock() time.Time
	// Paused says until when the target wants to be left alone; the zero time for not.
	Paused() time.Time
}

// Rules are what a target's config says of its leavers, read at each call.
type Rules struct {
	Policy    Policy
	Observe   bool                                         // write nothing
	Protected func(userName string) (glob string, ok bool) //
	Limits    guard.Limits                                 // of the target
	Parallel  int                                          // accounts closed at once
	Watch     rate.Limit                                   // looks at closed accounts per second
}

// Options are what a Sweeper is made of.
type Options struct {
	Target string
	Books  *Books
	Closer Closer
	Rules  func() Rules
	// Search looks for the accounts of somebody swept, where the target could not be asked when that was ordered. It
	// opens steps for what it finds, and takes the step that stands for the search off the case.
	Search func(ctx context.Context, c state.Case) error
	Log    hclog.Logger
	Now    func() time.Time
}

// A Sweeper closes what the leavers of one target still have, proves it, looks at what it closed, and deletes what is
// over its grace. It knows no listing and waits for none: what is due is in the state. There is one for each target.
type Sweeper struct {
	Options

	wake  chan struct{}
	looks *rate.Limiter

	// Places for calls under way: until an account is seen inactive, for what comes after that, and for what is
	// repeated or looked at. A search that hangs, or an account that is always refused, keeps nobody else's account
	// open (R4).
	first, rest, again chan struct{}

	mu         sync.Mutex // guards what follows
	probe      time.Time  // the last attempt during a pause
	scanned    time.Time  // when stamps were last looked for that a clock made which has gone back since
	doubted    time.Time  // when it was last told that the clock is in doubt
	clockAsked time.Time  // when the target's own was last asked for
	busy       map[claimed]working
	turns      map[identity.PersonID]chan struct{} // whose accounts are under way; closed when that one has ended
}

// working is who is at work on an account.
type working struct {
	person identity.PersonID
	ended  chan struct{} // closed at the end
}

// NewSweeper returns a sweeper that does nothing until it is run or drained.
func NewSweeper(o Options) *Sweeper {
	rules := o.Rules()
	return &Sweeper{
		Options: o, wake: make(chan struct{}, 1), busy: map[claimed]working{}, turns: map[identity.PersonID]chan struct{}{},
		looks: rate.NewLimiter(rules.Watch, 1),
		first: make(chan struct{}, max(1, rules.Parallel)), rest: make(chan struct{}, max(1, rules.Parallel/2)),
		again: make(chan struct{}, max(1, rules.Parallel/2)),
	}
}

const (
	atLeast     = time.Minute     // how often the state is looked at, whatever it says of the next instant
	firstFor    = 5 * time.Second // how long first attempts go before repeated ones
	breath      = time.Second     // between two rounds, so that a step that stays due is not tried in a tight loop
	shortPause  = time.Minute     // a pause that sweeps wait out; in a longer one they probe
	probeEvery  = time.Minute     // during a longer pause, and of a target that does not answer
	watchOften  = time.Minute     // an account closed within a day
	watchSeldom = time.Hour       // one closed within watchFor, or that waits for the end of its grace
	watchFor    = 30 * 24 * time.Hour
)

// Wake tells the sweeper that something may have become due.
func (s *Sweeper) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run closes what is due until ctx is done, and returns when what was under way has ended. It does not wait for one
// account to begin with another.
func (s *Sweeper) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	for ctx.Err() == nil {
		begun, err := s.begin(ctx, Selection{})
		under.Go(begun.wait)
		if err != nil && ctx.Err() == nil {
			s.Log.Error("the leavers' open accounts cannot be read", "target", s.Target, "error", err)
		}
		next, err := s.Books.NextDue(ctx, s.Target)
		wait := atLeast
		if err == nil && !next.IsZero() {
			wait = min(max(next.Sub(s.Now()), breath), atLeast)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wake:
		}
		timer.Stop()
	}
}

// A Round is what one go over the due steps of a target did.
type Round struct {
	Closed []ClosedAccount // newly proven
	Failed []FailedAccount // still open
	Ops    []identity.Op   // done, one by one
	// Findings are about accounts that may not be closed.
	Findings []identity.Finding
}

// A ClosedAccount is one leaver's account, proven closed.
type ClosedAccount struct {
	Leaver identity.Leaver
	Seen   string
	At     time.Time
	Took   time.Duration // since the leaving was noticed, or since it happened where the directory tells (R19)
}

// A FailedAccount is one leaver's account that is still open.
type FailedAccount struct {
	Change identity.Change // what failed
	Err    error
}

// task is one due step with what is known of it.
type task struct {
	kase state.Case
	step state.Step
	link state.Link // zero for none

	looked bool // only looked at, whatever is due

	refused func() // called once the account is seen inactive and more is to be done; nil for nobody
}

func (t task) leaver() identity.Leaver {
	return identity.Leaver{
		Person: t.kase.Person, Name: t.kase.Name, DN: t.kase.DN, Container: identity.ParentDN(t.kase.DN), Target: t.step.Target,
		Account: t.step.Account, UserName: t.step.UserName, Cause: t.kase.Cause, Rule: t.step.Rule, Proof: t.kase.Proof,
		Reason: t.kase.Reason, Left: t.kase.Left, Noticed: t.kase.Noticed,
	}
}

// A Selection says which steps a round is about.
type Selection struct {
	Person *identity.PersonID // only this person's; nil for everybody's
	Now    bool               // also open steps whose next attempt is not due yet: somebody asked for it

	all bool // also those whose stamps a clock made that has gone back since
}

// Drain tries once everything that is due now, and returns when all of it has ended; of a person's steps also what was
// under way already.
func (s *Sweeper) Drain(ctx context.Context, which Selection) (Round, error) {
	begun, err := s.begin(ctx, which)
	begun.wait()
	if err != nil {
		return Round{}, err
	}
	return begun.round, context.Cause(ctx)
}

// A batch is what was begun together.
type batch struct {
	under sync.WaitGroup
	mu    sync.Mutex // guards round
	round Round
}

// wait returns when all of it has ended.
func (b *batch) wait() { b.under.Wait() }

func (b *batch) add(did Round) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.round.Closed = append(b.round.Closed, did.Closed...)
	b.round.Failed = append(b.round.Failed, did.Failed...)
	b.round.Ops = append(b.round.Ops, did.Ops...)
	b.round.Findings = append(b.round.Findings, did.Findings...)
}

// begin begins everything that is due now and not under way. What is tried for the first time does not share its places
// with what is repeated or looked at; what gets no place before ctx ends stays due (R20).
func (s *Sweeper) begin(ctx context.Context, which Selection) (*batch, error) {
	b := &batch{}
	now := s.Now()
	rules := s.Rules()
	if rules.Observe {
		return b, nil
	}
	which.all = s.atMost(&s.scanned, atLeast, now, false)
	tasks, err := s.Books.due(ctx, s.Target, now, rules.Limits.Window, which, s.underWay)
	if err != nil {
		return b, err
	}
	if s.Closer.Paused().Sub(now) > shortPause {
		if !s.atMost(&s.probe, probeEvery, now, which.Now) {
			return b, nil
		}
		tasks = tasks[:min(len(tasks), 1)]
	}
	if tasks, err = s.judgeDeletes(ctx, rules, tasks, now); err != nil {
		return b, err
	}
	var tried sync.WaitGroup // first attempts
	searches, first, again := split(tasks)
	for _, t := range searches { // what they find is closed by itself, and takes places of its own
		if end, ok := s.claim(t); ok {
			b.under.Go(func() {
				defer end()
				b.add(s.do(ctx, rules, t))
			})
		}
	}
	for _, t := range first {
		if end, ok := s.claim(t); ok {
			tried.Add(1)
			b.under.Go(func() {
				defer end()
				s.tryFirst(ctx, b, rules, t, sync.OnceFunc(tried.Done))
			})
		}
	}
	all := make(chan struct{})
	b.under.Go(func() {
		tried.Wait()
		close(all)
	})
	for _, t := range again {
		if end, ok := s.claim(t); ok {
			b.under.Go(func() {
				defer end()
				s.tryAgain(ctx, b, rules, t, all)
			})
		}
	}
	if which.Person != nil {
		s.await(ctx, b, *which.Person)
	}
	return b, nil
}

// split parts searches for accounts, what is tried for the first time, and what is repeated or looked at.
func split(tasks []task) (searches, first, again []task) {
	for _, t := range tasks {
		switch {
		case t.step.Account == "":
			searches = append(searches, t)
		case t.step.Status == state.StepOpen && t.step.Attempts == 0:
			first = append(first, t)
		default:
			again = append(again, t)
		}
	}
	return searches, first, again
}

// tryFirst closes an account that was never tried; tried is called once it is seen inactive, or when it ended.
func (s *Sweeper) tryFirst(ctx context.Context, b *batch, rules Rules, t task, tried func()) {
	defer tried()
	end, ok := s.turn(ctx, t)
	if !ok {
		return
	}
	defer end()
	place := &place{at: s.first}
	if !place.take(ctx) {
		return
	}
	defer place.leave()
	t.refused = func() {
		tried()
		place.move(ctx, s.rest)
	}
	b.add(s.do(ctx, rules, t))
}

// tryAgain repeats an attempt, or looks at what is closed, once all first attempts were made. It is not kept waiting by
// one that hangs.
func (s *Sweeper) tryAgain(ctx context.Context, b *batch, rules Rules, t task, tried <-chan struct{}) {
	timer := time.NewTimer(firstFor)
	defer timer.Stop()
	select {
	case <-tried:
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	end, ok := s.turn(ctx, t)
	if !ok {
		return
	}
	defer end()
	place := &place{at: s.again}
	if !place.take(ctx) {
		return
	}
	defer place.leave()
	b.add(s.do(ctx, rules, t))
}

// atMost reports whether something that is done at most once a period is due, or asked for, and notes in last that it is
// done. A clock that has gone back since puts nothing off.
func (s *Sweeper) atMost(last *time.Time, period time.Duration, now time.Time, asked bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !asked && !guard.Due(last.Add(period), now, period) {
		return false
	}
	*last = now
	return true
}

// A place is a right to have calls under way. It is one goroutine's.
type place struct {
	at chan struct{} // full when all places are taken
	in bool
}

// take waits for a place; false where ctx ended before there was one.
func (p *place) take(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case p.at <- struct{}{}:
		p.in = true
		return ctx.Err() == nil
	}
}

func (p *place) leave() {
	if p.in {
		<-p.at
		p.in = false
	}
}

// move gives the place to whoever waits for one, and waits for one of others.
func (p *place) move(ctx context.Context, to chan struct{}) {
	p.leave()
	p.at = to
	p.take(ctx)
}

// do carries one task out and writes down how far it came.
func (s *Sweeper) do(ctx context.Context, rules Rules, t task) (round Round) {
	stands, err := s.Books.stands(ctx, &t)
	if err != nil || !stands || ctx.Err() != nil {
		return round // closed meanwhile, taken back, or being stopped
	}
	now := s.Now()
	switch {
	case t.step.Status == state.StepOpen:
		return s.doOpen(ctx, rules, t)
	case t.looked:
		return s.look(ctx, rules, t)
	case !t.step.Delete.IsZero() && !t.step.Delete.After(now):
		return s.delete(ctx, rules, t)
	case s.looks.AllowN(now, 1):
		return s.look(ctx, rules, t)
	}
	return round
}

// doOpen closes the account of an open step, unless it may not be closed.
func (s *Sweeper) doOpen(ctx context.Context, rules Rules, t task) (round Round) {
	if t.step.Account == "" {
		return s.search(ctx, t)
	}
	other, err := s.Books.holder(ctx, t)
	if err == nil && other.Target != "" {
		err = s.Books.disown(ctx, t, other, s.Now())
	}
	if err != nil || other.Target != "" {
		s.failed("", err)
		return round
	}
	own, isOwn, err := s.Books.own(ctx, t)
	glob, protected := rules.Protected(t.step.UserName)
	emergency := t.kase.Cause == identity.Emergency
	switch {
	case err != nil:
	case isOwn:
		return s.spare(ctx, t, own.String())
	case protected:
		err = s.Books.set(ctx, t, state.StepProtected, fmt.Sprintf("guard { protect } names it: %q", glob), s.Now())
	case rules.Policy.Action == ActionReport && !emergency:
		err = s.Books.set(ctx, t, state.StepReported, "leaver { action = \"report\" } leaves it to you", s.Now())
	default:
		return s.close(ctx, rules, t)
	}
	s.failed("", err)
	return round
}

// A claimed account is under way: of a step without one, the person is.
type claimed struct {
	person  identity.PersonID
	account identity.AccountID
}

func (t task) claimed() claimed {
	if t.step.Account != "" {
		return claimed{account: t.step.Account}
	}
	return claimed{person: t.kase.Person}
}

// claim makes an account this task's until end is called; false where it is another's.
func (s *Sweeper) claim(t task) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := t.claimed()
	if _, taken := s.busy[key]; taken {
		return nil, false
	}
	ended := make(chan struct{})
	s.busy[key] = working{t.kase.Person, ended}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, key)
		close(ended)
	}, true
}

// turn waits until no other account of the same person is under way: what is done about one may link another (S4). It
// is the task's until end is called; false where ctx ended before.
func (s *Sweeper) turn(ctx context.Context, t task) (end func(), ok bool) {
	person := t.kase.Person
	if person.IsZero() {
		return func() {}, true
	}
	for {
		s.mu.Lock()
		other, taken := s.turns[person]
		if !taken {
			mine := make(chan struct{})
			s.turns[person] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.turns, person)
				close(mine)
			}, true
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// underWay reports whether somebody is at work on a task's account.
func (s *Sweeper) underWay(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.busy[t.claimed()]
	return taken
}

// await makes a batch wait for the accounts of a person that others have under way; a search for more of them may be
// what asks.
func (s *Sweeper) await(ctx context.Context, b *batch, person identity.PersonID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, w := range s.busy {
		if key.account != "" && w.person == person {
			b.under.Go(func() {
				select {
				case <-w.ended:
				case <-ctx.Done():
				}
			})
		}
	}
}

// account is what the closer is asked to close.
func (t task) account(policy Policy) Account {
	return Account{
		Change: t.leaver().Change(""), Link: t.link, Policy: policy.Closing(), Finishes: t.step.Finishes, Refused: t.refused,
	}
}

func (s *Sweeper) close(ctx context.Context, rules Rules, t task) (round Round) {
	a := t.account(rules.Policy)
	closed := s.Closer.Close(ctx, a)
	t.step.Account = cmp.Or(closed.Account, t.step.Account)
	if closed.Err != nil && ctx.Err() != nil && (errors.Is(closed.Err, context.Cause(ctx)) || errors.Is(closed.Err, ctx.Err())) {
		return round // a stop is nobody's failure: it stays due
	}
	round.Ops = closed.Ops
	if own := (*OwnError)(nil); errors.As(closed.Err, &own) {
		return s.spare(ctx, t, own.Own.String())
	}
	if errors.Is(closed.Err, apply.ErrOvertaken) {
		return round // the step was taken back, or the account is somebody else's: what is left of it stays due
	}
	took, err := s.Books.note(ctx, t, closed, s.Now())
	if err = errors.Join(closed.Err, err); err != nil {
		c := closed.Failed
		if c.Target == "" {
			c = a.Change
		}
		round.Failed = append(round.Failed, FailedAccount{Change: c, Err: err})
		s.Log.Error("not closed", "target", s.Target, "account", t.step.UserName, "person", t.kase.Name, "cause", t.kase.Cause, "error", err)
		return round
	}
	if !closed.Proven {
		s.Log.Warn("not provable", "target", s.Target, "account", t.step.UserName, "person", t.kase.Name,
			"cause", t.kase.Cause, "why", closed.Why)
		return round
	}
	s.Log.Info("closed", "target", s.Target, "account", t.step.UserName, "person", t.kase.Name, "cause", t.kase.Cause, "seen", closed.Seen, "took", took)
	round.Closed = append(round.Closed, ClosedAccount{Leaver: t.leaver(), Seen: closed.Seen, At: closed.At, Took: took})
	return round
}

func (s *Sweeper) search(ctx context.Context, t task) (round Round) {
	err := s.Search(ctx, t.kase)
	if err == nil || ctx.Err() != nil {
		return round
	}
	if _, noteErr := s.Books.note(ctx, t, Closed{Err: err}, s.Now()); noteErr != nil {
		s.failed("", noteErr)
	}
	c := t.leaver().Change(identity.Disable)
	round.Failed = append(round.Failed, FailedAccount{Change: c, Err: err})
	return round
}

func (s *Sweeper) delete(ctx context.Context, rules Rules, t task) (round Round) {
	_, isOwn, err := s.Books.own(ctx, t)
	if _, protected := rules.Protected(t.step.UserName); protected || isOwn || err != nil {
		s.failed("", s.Books.postpone(ctx, t, s.Now().Add(24*time.Hour), s.Now()))
		return round
	}
	if rules.Policy.DeleteAfter <= 0 || t.link.OwnSince().IsZero() {
		// The config deletes nobody any more, or dirsweep is not who disabled it.
		s.failed("", s.Books.forgetGrace(ctx, t, s.Now()))
		return round
	}
	// The grace of the config as it is now counts, from the proven disable (R10).
	if at := t.link.OwnSince().Add(rules.Policy.DeleteAfter); at.After(s.Now()) {
		s.failed("", s.Books.postpone(ctx, t, at, s.Now()))
		return round
	}
	a := t.account(rules.Policy)
	if seen, err := s.Closer.Look(ctx, a); err == nil && seen == "active" {
		return s.closeAgain(ctx, rules, t)
	}
	a.Change.Cause, a.Change.Rule, a.Change.Op = identity.GraceOver, "R10", identity.Delete
	closed := s.Closer.Delete(ctx, a)
	if closed.Err != nil && ctx.Err() != nil {
		return round
	}
	round.Ops = closed.Ops
	_, err = s.Books.note(ctx, t, closed, s.Now())
	if err = errors.Join(closed.Err, err); err != nil {
		round.Failed = append(round.Failed, FailedAccount{Change: a.Change, Err: err})
		s.failed("not deleted", err)
	}
	return round
}

// look reads an account that was closed. One that is open again is closed again at once (R11).
func (s *Sweeper) look(ctx context.Context, rules Rules, t task) (round Round) {
	seen, err := s.Closer.Look(ctx, t.account(rules.Policy))
	now := s.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		return round
	case err != nil:
		s.failed("a closed account cannot be looked at", errors.Join(err, s.Books.watch(ctx, t, now)))
		return round
	case seen != "active":
		s.failed("", s.Books.watch(ctx, t, now))
		return round
	}
	return s.closeAgain(ctx, rules, t)
}

// closeAgain closes an account that was proven closed and is active again (R11).
func (s *Sweeper) closeAgain(ctx context.Context, rules Rules, t task) (round Round) {
	now := s.Now()
	if back, err := s.Books.takenBack(ctx, t, now); err != nil || back {
		s.failed("", err)
		return round
	}
	s.Log.Warn("a leaver's account was enabled again outside dirsweep; it is closed again", "target", s.Target, "account", t.step.UserName)
	if err := s.Books.reopen(ctx, &t, now); err != nil {
		s.failed("", err)
		return round
	}
	return s.close(ctx, rules, t)
}

func (s *Sweeper) failed(what string, err error) {
	if err != nil {
		s.Log.Error(cmp.Or(what, "write the state"), "target", s.Target, "error", err)
	}
}

// NextLook is when an account that was proven closed is looked at again: often within a day, seldom within a month or
// while it waits to be deleted; after that each listing sees it. The zero time is for never.
func NextLook(step state.Step, now time.Time) time.Time {
	age := now.Sub(step.At)
	switch {
	case step.Seen != "inactive" && step.Seen != "hidden":
		return time.Time{}
	case age < 24*time.Hour:
		return now.Add(watchOften)
	case age < watchFor || !step.Delete.IsZero():
		return now.Add(watchSeldom)
	}
	return time.Time{}
}
