package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// A closer is a target that answers as it is told.
type closer struct {
	mu     sync.Mutex
	calls  []string
	closed map[identity.AccountID]sweep.Closed
	seen   map[identity.AccountID]string
	paused time.Time
	clock  time.Time
	during func()
	proof  func(ctx context.Context, account identity.AccountID) // what closing waits for once sign-in is refused
}

func (c *closer) called(what string, a sweep.Account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, what+" "+string(a.Change.Account))
	if c.during != nil {
		c.during()
	}
}

func (c *closer) Close(ctx context.Context, a sweep.Account) sweep.Closed {
	c.called("close", a)
	if c.proof != nil {
		if a.Refused != nil {
			a.Refused()
		}
		c.proof(ctx, a.Change.Account)
	}
	return c.closed[a.Change.Account]
}

// asked reports whether a call arrived.
func (c *closer) asked(call string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.calls, call)
}

func (c *closer) Delete(_ context.Context, a sweep.Account) sweep.Closed {
	c.called("delete", a)
	return c.closed[a.Change.Account]
}

func (c *closer) Look(_ context.Context, a sweep.Account) (string, error) {
	c.called("look", a)
	if c.seen[a.Change.Account] == "" {
		return "", errors.New("503")
	}
	return c.seen[a.Change.Account], nil
}

func (c *closer) Paused() time.Time { return c.paused }

func (c *closer) Clock() time.Time { return c.clock }

// A round is a sweeper with its books, its clock and its target.
type round struct {
	t       *testing.T
	now     time.Time
	rules   sweep.Rules
	target  *closer
	books   *sweep.Books
	sweeper *sweep.Sweeper
}

func newRound(t *testing.T) *round {
	t.Helper()
	trail, err := audit.Open(filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &round{
		t: t, now: noon, target: &closer{closed: map[identity.AccountID]sweep.Closed{}, seen: map[identity.AccountID]string{}},
		rules: sweep.Rules{
			Policy: sweep.Policy{Action: sweep.ActionDisable, DeleteAfter: month}, Parallel: 1, Watch: rate.Inf, Limits: guard.Default(),
			Protected: func(string) (string, bool) { return "", false },
		},
		books: &sweep.Books{Ledger: state.NewLedger(memory.New()), Trail: trail},
	}
	t.Cleanup(func() {
		if err := errors.Join(r.books.Ledger.Verify(context.WithoutCancel(t.Context())), r.books.Ledger.Close(), trail.Close()); err != nil {
			t.Error(err)
		}
	})
	r.ended(noon.Add(-time.Minute))
	r.sweeper = sweep.NewSweeper(sweep.Options{
		Target: "wiki", Books: r.books, Closer: r.target, Log: hclog.NewNullLogger(), Now: func() time.Time { return r.now },
		Rules: func() sweep.Rules { return r.rules },
	})
	return r
}

// ended says when the last pass ended.
func (r *round) ended(at time.Time) {
	r.t.Helper()
	if err := r.books.Ledger.Update(r.t.Context(), func(w *state.Writer) error {
		return w.AddRun(state.Run{ID: at.String(), Ended: at})
	}); err != nil {
		r.t.Fatal(err)
	}
}

// proven is how the target answers a close that works.
func (r *round) proven(seen string, until time.Time) sweep.Closed {
	return sweep.Closed{Proven: true, Seen: seen, At: r.now, Delete: until, Ops: []identity.Op{identity.Disable}}
}

// step puts one step of a leaver of its own on the books, with the link of its account.
func (r *round) step(s state.Step) {
	r.t.Helper()
	id := identity.PersonID{Directory: "corp", Anchor: "of " + string(s.Account)}
	s.Target = "wiki"
	if s.UserName == "" {
		s.UserName = "user" + string(s.Account)
	}
	link := state.Link{Target: "wiki", Person: id, Account: s.Account, UserName: s.UserName, State: identity.LinkActive}
	if s.Status == state.StepProven {
		link.State, link.Disabled = identity.LinkDisabled, s.At
	}
	err := r.books.Ledger.Update(r.t.Context(), func(w *state.Writer) error {
		c := state.Case{Person: id, Name: "of " + string(s.Account), Cause: identity.Deleted, Left: noon, Steps: []state.Step{s}}
		if !s.Status.Open() {
			c.Closed = s.At
		}
		return errors.Join(w.PutCase(c), w.PutLink(link))
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// drain runs one round and returns the calls that the target got.
func (r *round) drain(which sweep.Selection) string {
	r.t.Helper()
	if _, err := r.sweeper.Drain(r.t.Context(), which); err != nil {
		r.t.Fatal(err)
	}
	calls := r.target.calls
	r.target.calls = nil
	return strings.Join(calls, ", ")
}

// reads renders a step: its status, attempts, when it is next due and when it is deleted, in time since noon.
func (r *round) reads(account identity.AccountID) string {
	r.t.Helper()
	var c state.Case
	if err := r.books.Ledger.View(r.t.Context(), func(v *state.Reader) (err error) {
		c, _, err = v.Case(identity.PersonID{Directory: "corp", Anchor: "of " + string(account)})
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	since := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return at.Sub(noon).String()
	}
	s := c.Steps[0]
	return fmt.Sprintf("%s %d next %s delete %s", s.Status, s.Attempts, since(s.Next), since(s.Delete))
}

// stepOf is the step of the leaver of an account's own.
func (r *round) stepOf(account identity.AccountID) (step state.Step) {
	r.t.Helper()
	if err := r.books.Ledger.View(r.t.Context(), func(v *state.Reader) error {
		c, _, err := v.Case(identity.PersonID{Directory: "corp", Anchor: "of " + string(account)})
		if len(c.Steps) > 0 {
			step = c.Steps[0]
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return step
}

// link is the link of that account.
func (r *round) link(account identity.AccountID) (link state.Link) {
	r.t.Helper()
	if err := r.books.Ledger.View(r.t.Context(), func(v *state.Reader) (err error) {
		link, _, err = v.LinkByAccount("wiki", account)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return link
}

func open(account string, attempts int) state.Step {
	return state.Step{Account: identity.AccountID(account), Status: state.StepOpen, Attempts: attempts, Left: noon}
}

func closed(account string, at, next, until time.Time) state.Step {
	return state.Step{Account: identity.AccountID(account), Status: state.StepProven, Seen: "inactive", At: at, Next: next, Delete: until, Left: noon}
}

func TestR04FirstAttemptsBeforeRepeatedOnes(t *testing.T) {
	r := newRound(t)
	for _, s := range []state.Step{open("1", 3), open("2", 0), open("3", 1), open("4", 0)} {
		r.step(s)
	}
	got := r.drain(sweep.Selection{})
	if first := strings.Split(got, ", ")[:2]; !slices.Contains(first, "close 2") || !slices.Contains(first, "close 4") {
		t.Errorf("%s", got)
	}
}

// TestR04NoAccountWaitsForAnother: the proof of an account that is closed hangs, and keeps neither the next round nor the
// next account waiting. Of three there is room for one in its proof; the others are closed all the same.
func TestR04NoAccountWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRound(t)
		r.target.proof = func(ctx context.Context, _ identity.AccountID) { <-ctx.Done() }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.sweeper.Run(ctx)
		}()
		for _, account := range []string{"1", "2", "3"} {
			r.step(open(account, 0))
			r.sweeper.Wake()
			synctest.Wait()
			if !r.target.asked("close " + account) {
				t.Errorf("%s waits for the proof of another", account)
			}
		}
		cancel()
		<-ended
	})
}

func TestWhatARoundDoes(t *testing.T) {
	long := noon.Add(month)
	for _, c := range []struct {
		name  string
		step  state.Step
		setup func(*round)
		which sweep.Selection
		calls string
		after string
	}{
		{
			"R08: closed and proven", open("1", 0), func(r *round) { r.target.closed["1"] = r.proven("inactive", long) },
			sweep.Selection{},
			"close 1", "proven 1 next 1m0s delete 720h0m0s",
		},
		{
			"R08: not closed, tried again within a minute", open("1", 0),
			func(r *round) { r.target.closed["1"] = sweep.Closed{Err: errors.New("503")} },
			sweep.Selection{},
			"close 1", "open 1 next 30s delete never",
		},
		{
			"R08: done as far as can be, and not provable", open("1", 0),
			func(r *round) { r.target.closed["1"] = sweep.Closed{Why: "no witness"} },
			sweep.Selection{},
			"close 1", "unprovable 1 next never delete never",
		},
		{
			"not due yet",
			state.Step{Account: "1", Status: state.StepOpen, Attempts: 1, Next: noon.Add(time.Second)},
			nil,
			sweep.Selection{},
			"", "open 1 next 1s delete never",
		},
		{
			"not due yet, and asked for",
			state.Step{Account: "1", Status: state.StepOpen, Attempts: 1, Next: noon.Add(time.Second), Left: noon},
			func(r *round) { r.target.closed["1"] = r.proven("gone", time.Time{}) },
			sweep.Selection{Now: true},
			"close 1", "proven 2 next never delete never",
		},
		{
			"R04: the clock went back by two hours, and it was to be tried again",
			state.Step{Account: "1", Status: state.StepOpen, Attempts: 1, Next: noon.Add(2 * time.Hour), Left: noon},
			func(r *round) { r.target.closed["1"] = r.proven("inactive", time.Time{}) },
			sweep.Selection{},
			"close 1", "proven 2 next 1m0s delete never",
		},
		{
			"R11: the clock went back by two hours, and it was to be looked at again", closed("1", noon, noon.Add(2*time.Hour), long),
			func(r *round) { r.target.seen["1"] = "inactive" },
			sweep.Selection{},
			"look 1", "proven 0 next 1m0s delete 720h0m0s",
		},
		{
			"R10: the clock went back, and grace ends later than any", closed("1", noon, time.Time{}, noon.Add(4*month)),
			nil,
			sweep.Selection{},
			"", "proven 0 next never delete 2880h0m0s",
		},
		{"R06: held", state.Step{Account: "1", Status: state.StepHeld}, nil, sweep.Selection{Now: true}, "", "held 0 next never delete never"},
		{"R05: disputed", state.Step{Account: "1", Status: state.StepDisputed}, nil, sweep.Selection{Now: true}, "", "disputed 0 next never delete never"},
		{
			"R05: protected", open("1", 0), func(r *round) { r.rules.Protected = func(string) (string, bool) { return "u*", true } },
			sweep.Selection{},
			"", "protected 0 next never delete never",
		},
		{
			"only reported", open("1", 0), func(r *round) { r.rules.Policy.Action = sweep.ActionReport },
			sweep.Selection{},
			"", "reported 0 next never delete never",
		},
		{"only observed", open("1", 0), func(r *round) { r.rules.Observe = true }, sweep.Selection{}, "", "open 0 next never delete never"},
		{
			"R11: looked at within a day each minute", closed("1", noon, noon, time.Time{}), func(r *round) { r.target.seen["1"] = "inactive" },
			sweep.Selection{},
			"look 1", "proven 0 next 1m0s delete never",
		},
		{
			"R11: within a month seldom", closed("1", noon.Add(-48*time.Hour), noon, time.Time{}), func(r *round) { r.target.seen["1"] = "inactive" },
			sweep.Selection{},
			"look 1", "proven 0 next 1h0m0s delete never",
		},
		{
			"R11: later no more", closed("1", noon.Add(-31*24*time.Hour), noon, time.Time{}), func(r *round) { r.target.seen["1"] = "inactive" },
			sweep.Selection{},
			"look 1", "proven 0 next never delete never",
		},
		{
			"R11: enabled by somebody, closed again at once", closed("1", noon, noon, long), func(r *round) {
				r.target.seen["1"], r.target.closed["1"] = "active", r.proven("inactive", long)
			}, sweep.Selection{}, "look 1, close 1", "proven 1 next 1m0s delete 720h0m0s",
		},
		{
			"a look without an answer says nothing", closed("1", noon, noon, time.Time{}), nil,
			sweep.Selection{},
			"look 1", "proven 0 next 1m0s delete never",
		},
		{
			"R10: the grace is over", closed("1", noon.Add(-month), time.Time{}, noon), func(r *round) { r.target.closed["1"] = r.proven("gone", time.Time{}) },
			sweep.Selection{},
			"look 1, delete 1", "proven 1 next never delete never",
		},
		{
			"R11: the grace is over, and somebody enabled it", closed("1", noon.Add(-month), time.Time{}, noon), func(r *round) {
				r.target.seen["1"], r.target.closed["1"] = "active", r.proven("inactive", long)
			}, sweep.Selection{}, "look 1, close 1", "proven 1 next 1m0s delete 720h0m0s",
		},
		{
			"R10: the grace is over, and it was open in between", closed("1", noon.Add(-month), time.Time{}, noon),
			func(r *round) {
				link := r.link("1")
				link.SeenActive(link.Disabled)
				if err := r.books.Ledger.Update(r.t.Context(), func(w *state.Writer) error { return w.PutLink(link) }); err != nil {
					r.t.Fatal(err)
				}
			},
			sweep.Selection{},
			"", "proven 0 next never delete never",
		},
		{
			"R10: the config gives more grace now", closed("1", noon.Add(-month), time.Time{}, noon), func(r *round) { r.rules.Policy.DeleteAfter = 2 * month },
			sweep.Selection{},
			"", "proven 0 next 1h0m0s delete 720h0m0s",
		},
		{
			"R10: the config deletes nobody now", closed("1", noon.Add(-month), time.Time{}, noon), func(r *round) { r.rules.Policy.DeleteAfter = 0 },
			sweep.Selection{},
			"", "proven 0 next never delete never",
		},
		{
			"R05: protected accounts are not deleted", closed("1", noon.Add(-month), time.Time{}, noon),
			func(r *round) { r.rules.Protected = func(string) (string, bool) { return "u*", true } },
			sweep.Selection{},
			"", "proven 0 next 1h0m0s delete 24h0m0s",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRound(t)
			r.step(c.step)
			if c.setup != nil {
				c.setup(r)
			}
			if got := r.drain(c.which); got != c.calls {
				t.Errorf("calls %q, want %q", got, c.calls)
			}
			if got := r.reads("1"); got != c.after {
				t.Errorf("the step reads %q, want %q", got, c.after)
			}
		})
	}
}

func TestR04APauseIsProbedOnceAMinute(t *testing.T) {
	r := newRound(t)
	r.target.paused = noon.Add(time.Hour)
	for _, account := range []string{"1", "2", "3"} {
		r.step(open(account, 0))
		r.target.closed[identity.AccountID(account)] = sweep.Closed{Err: errors.New("429")}
	}
	var calls []int
	for range 4 {
		calls = append(calls, len(strings.Fields(r.drain(sweep.Selection{})))/2)
		r.now = r.now.Add(30 * time.Second)
	}
	if want := []int{1, 0, 1, 0}; !slices.Equal(calls, want) {
		t.Errorf("closes %v in steps of half a minute, want %v", calls, want)
	}
	r.target.paused = r.now.Add(time.Minute) // which sweeps wait out
	if got := r.drain(sweep.Selection{Now: true}); strings.Count(got, "close") != 3 {
		t.Errorf("in a short pause: %s", got)
	}
}

func TestR20WhatAStopInterruptsStaysDue(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 0))
	r.step(open("2", 0))
	ctx, cancel := context.WithCancel(t.Context())
	r.target.during = cancel
	r.target.closed["1"] = sweep.Closed{Err: fmt.Errorf("close: %w", context.Canceled)}
	r.target.closed["2"] = r.target.closed["1"]
	if _, err := r.sweeper.Drain(ctx, sweep.Selection{}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if len(r.target.calls) != 1 {
		t.Errorf("%v: a closing was begun after the stop", r.target.calls)
	}
	for _, account := range []identity.AccountID{"1", "2"} {
		if got := r.reads(account); got != "open 0 next never delete never" {
			t.Errorf("%s reads %q: a stop is nobody's failure", account, got)
		}
	}
}

func TestR11WhatIsGoneIsKnownAgain(t *testing.T) {
	r := newRound(t)
	s := open("1", 0)
	s.ExternalID = "x"
	r.step(s)
	r.target.closed["1"] = r.proven("gone", time.Time{})
	r.drain(sweep.Selection{})
	if err := r.books.Ledger.View(t.Context(), func(v *state.Reader) error {
		tomb, strong, ok, err := v.Tombstone("wiki", "x", "")
		if !ok || !strong || tomb.Account != "1" || tomb.Person.Anchor != "of 1" {
			t.Errorf("%+v, %t, %t", tomb, strong, ok)
		}
		if _, linked, _ := v.LinkByAccount("wiki", "1"); linked {
			t.Error("the link of an account that is gone is kept")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestACaseThatEndsIsTold(t *testing.T) {
	r := newRound(t)
	var ended []string
	r.books.Ended = func(_ context.Context, c state.Case) { ended = append(ended, c.Name) }
	r.step(open("1", 0))
	r.target.closed["1"] = sweep.Closed{Err: errors.New("503")}
	r.drain(sweep.Selection{})
	r.target.closed["1"] = r.proven("inactive", time.Time{})
	r.drain(sweep.Selection{Now: true})
	if !slices.Equal(ended, []string{"of 1"}) {
		t.Errorf("ended: %q", ended)
	}
	var told []string
	for rec, err := range r.books.Trail.Records() {
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprint(rec.Kind, " ", rec.Outcome, " ", rec.Seen, " ", rec.Case != "", rec.Noticed.Equal(noon)))
	}
	if !slices.Equal(told, []string{"closed proven inactive true true"}) {
		t.Errorf("told: %q", told)
	}
}

// TestR10DeletesWaitForAClock: B14. After a jump nothing is deleted before another pass has ended by the same clock.
func TestR10DeletesWaitForAClock(t *testing.T) {
	r := newRound(t)
	r.step(state.Step{Account: "1", Status: state.StepProven, Seen: "inactive", At: noon.Add(-time.Minute), Delete: noon.Add(month - time.Minute)})
	r.now = noon.Add(40 * 24 * time.Hour)
	for range 2 {
		if _, err := r.sweeper.Drain(t.Context(), sweep.Selection{Now: true}); err != nil {
			t.Fatal(err)
		}
		if calls := strings.Join(r.target.calls, ", "); strings.Contains(calls, "delete") {
			t.Fatalf("the clock jumped by forty days: %s", calls)
		}
	}
	r.ended(r.now)
	r.now = r.now.Add(time.Second)
	if _, err := r.sweeper.Drain(t.Context(), sweep.Selection{Now: true}); err != nil {
		t.Fatal(err)
	}
	if calls := strings.Join(r.target.calls, ", "); !strings.Contains(calls, "delete 1") {
		t.Errorf("a pass has ended by that clock: %s", calls)
	}
}

// TestR10ASecondClockSettlesAJump: an account is deleted after a jump as soon as the target's clock agrees, and never
// while it does not, however many passes have ended. The target is asked for its time, by a look at one account a
// minute.
func TestR10ASecondClockSettlesAJump(t *testing.T) {
	jump := noon.Add(40 * 24 * time.Hour)
	for name, c := range map[string]struct {
		clock  time.Time
		delete bool
	}{
		"it agrees":                 {jump, true},
		"it agrees, within minutes": {jump.Add(-4 * time.Minute), true},
		"it does not":               {noon, false},

		"it does not tell": {time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRound(t)
			for _, account := range []identity.AccountID{"1", "2"} {
				r.step(state.Step{
					Account: account, Status: state.StepProven, Seen: "inactive", At: noon.Add(-time.Minute), Delete: noon.Add(month - time.Minute),
				})
				r.target.seen[account] = "inactive"
			}
			r.now = jump
			if first := r.drain(sweep.Selection{}); strings.Count(first, "look") != 1 || strings.Contains(first, "delete") {
				t.Errorf("at first: %s", first)
			}
			r.target.clock = c.clock // told by that look
			if got := r.drain(sweep.Selection{}); strings.Contains(got, "delete 1") != c.delete || !c.delete && got != "" {
				t.Errorf("within the minute: %q", got)
			}
			r.ended(r.now)
			told := c.clock.IsZero() // then another pass by the same clock has to do
			if got := r.drain(sweep.Selection{}); !c.delete && strings.Contains(got, "delete 1") != told {
				t.Errorf("after a pass: %q", got)
			}
		})
	}
}

// TestR10DeletesHaveALimit: more than the limit wait for an operator, all of them.
func TestR10DeletesHaveALimit(t *testing.T) {
	r := newRound(t)
	r.rules.Limits.MaxDeleteCount = 2
	for _, account := range []identity.AccountID{"1", "2", "3"} {
		r.step(state.Step{Account: account, Status: state.StepProven, Seen: "inactive", At: noon.Add(-2 * month), Delete: noon.Add(-time.Hour)})
	}
	if _, err := r.sweeper.Drain(t.Context(), sweep.Selection{Now: true}); err != nil {
		t.Fatal(err)
	}
	var holds []identity.Hold
	if err := r.books.Ledger.View(t.Context(), func(v *state.Reader) error {
		for h, err := range v.Holds() {
			if err != nil {
				return err
			}
			holds = append(holds, h)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if calls := strings.Join(r.target.calls, ", "); strings.Contains(calls, "delete") {
		t.Errorf("three are over the limit of two: %s", calls)
	}
	if len(holds) != 1 || holds[0].Kind != identity.HoldDelete || len(holds[0].Members) != 3 {
		t.Errorf("%+v", holds)
	}
}

// TestR04AClockThatGoesBackPutsNothingOff: what was put off by the clock as it was is due within a minute, and a paused
// target is probed on.
func TestR04AClockThatGoesBackPutsNothingOff(t *testing.T) {
	r := newRound(t)
	r.step(open("1", 0))
	r.target.paused = noon.Add(24 * time.Hour)
	r.target.closed["1"] = sweep.Closed{Err: errors.New("503")}
	if got := r.drain(sweep.Selection{}); got != "close 1" {
		t.Fatal(got)
	}
	r.now = noon.Add(-2 * time.Hour)
	if got := r.drain(sweep.Selection{}); got != "close 1" {
		t.Errorf("after the clock went back: %q", got)
	}
}
