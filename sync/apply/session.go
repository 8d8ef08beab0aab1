package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

const (
	tries         = 4 // of one call
	firstBackoff  = 200 * time.Millisecond
	shortPause    = 30 * time.Second // one that ordinary requests sit out; a longer one ends what they are for
	leaversPause  = time.Minute      // one that leavers' requests sit out; in a longer one they probe
	probeEvery    = time.Minute
	mostWitnesses = 5 // accounts that are tried to find one that can be read
)

// ErrPaused says that the target asked for a pause that is not over. It comes in a ThrottledError that says how long it
// still lasts.
var ErrPaused = errors.New("the application asked for a pause that is not over yet")

// A Record is what a session remembers of its target beyond the process.
type Record struct {
	PausedUntil   time.Time   // the target asked to be left alone until then; zero for not
	HidesInactive bool        // an account that dirsweep disabled was invisible afterwards, while others could be read
	Own           targets.Own // the account that we are signed in as, as far as the target has told
}

// Memory is what a session needs of the state. Its methods may be called from several goroutines.
type Memory interface {
	// Load returns what Save last wrote of a target, zero for nothing. It is called once in a session's life.
	Load(ctx context.Context, target string) (Record, error)
	// Save is called when the record has changed, which is rare.
	Save(ctx context.Context, target string, r Record) error
	// Witnesses returns up to n linked accounts of a target, other than except, that were active when last seen.
	Witnesses(ctx context.Context, target string, except identity.AccountID, n int) ([]state.Link, error)
}

// SessionOptions are what a Session is made of.
type SessionOptions struct {
	Target string // its name in the config
	Rate   Rate
	Paths  []string // mapped, sorted: what fingerprints of links cover
	Memory Memory   // nil remembers nothing
	Log    hclog.Logger
	Now    func() time.Time // nil for time.Now
}

// A Session is the only way in which the rest of sync sees a target. It lives as long as the target's config does, and
// is safe for concurrent use: its requests are paced, each in the class of its context; reads and writes are repeated
// where the target did not answer; a pause that the target asks for holds for everybody, across passes and restarts;
// and nothing is written to an account that is not the one linked.
type Session struct {
	o      SessionOptions
	target targets.Target
	pacer  *Pacer

	mu           sync.Mutex
	loaded       bool
	record       Record
	leaversUntil time.Time // leavers' own pause: over as soon as one of their requests is answered well
	nextProbe    time.Time
	last         targets.Pass // of the last Begin that succeeded
	recent       *Pass        // what Recent last returned
	recentAt     time.Time
	suspects     map[identity.AccountID]bool // that could not be read → whether a whole list since lacks them
	good         []state.Link                // whose accounts were read lately: witnesses
}

// OpenSession opens a session over the target that open makes. open is given what paces the target's requests
// (targets.Need.Pace).
func OpenSession(o SessionOptions, open func(pace func(context.Context) error) (targets.Target, error)) (*Session, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	s := &Session{o: o, pacer: NewPacer(o.Rate), suspects: map[identity.AccountID]bool{}}
	var err error
	s.target, err = open(s.pace)
	return s, err
}

// Name is the target's name in the config.
func (s *Session) Name() string { return s.o.Target }

// Share is a part of the target's rate, in requests per second.
func (s *Session) Share(part float64) rate.Limit { return s.pacer.Share(part) }

// Close ends every connection. Nothing may be under way.
func (s *Session) Close() error { return s.target.Close() }

// Check tries the target out without a write, as targets.Checker has it.
func (s *Session) Check(ctx context.Context) ([]string, error) {
	if c, ok := s.target.(targets.Checker); ok {
		return c.Check(ctx)
	}
	_, err := s.target.Begin(ctx)
	return []string{"answers"}, err
}

// Clock is what the application's clock says now, zero where it has not said so lately: what it said before this
// machine's clock jumped is no word about the clock as it is now.
func (s *Session) Clock() time.Time {
	dated, ok := s.target.(targets.Dated)
	if !ok {
		return time.Time{}
	}
	said, came := dated.Date()
	since := s.o.Now().Round(0).Sub(came.Round(0)) // by the clock's face: that is what may jump
	if said.IsZero() || since < 0 || since > clockLife {
		return time.Time{}
	}
	return said.Add(since)
}

// clockLife is how long it counts what an application's clock said.
const clockLife = 2 * time.Minute

// Begin begins a pass. In a pause that is too long to sit out it asks nothing and returns ErrPaused. Where closing
// leavers cannot begin one, it goes on with what the last one knew.
func (s *Session) Begin(ctx context.Context) (*Pass, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if err := s.paused(ctx); err != nil {
		return nil, err
	}
	p := &Pass{s: s}
	err := p.repeat(ctx, func(ctx context.Context) (err error) {
		p.in, err = s.target.Begin(ctx)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.last = p.in
	case forLeavers(ctx) && s.last != nil && !errors.Is(err, targets.ErrUnauthorized) && ctx.Err() == nil:
		p.in = s.last
	default:
		return nil, err
	}
	return p, nil
}

// How long what Recent returned serves others: while the target answers, and where it was left alone.
const (
	passLife = time.Minute
	downLife = 10 * time.Second
)

// Recent is Begin for closing one account: those that are closed within a minute share a pass, and what was learned in
// it.
func (s *Session) Recent(ctx context.Context) (*Pass, error) {
	s.mu.Lock()
	p, at := s.recent, s.recentAt
	s.mu.Unlock()
	if p != nil {
		age := s.o.Now().Sub(at)
		if age < downLife || age < passLife && p.Down() == nil {
			return p, nil
		}
	}
	p, err := s.Begin(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent, s.recentAt = p, s.o.Now()
	return p, nil
}

func (s *Session) load(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded || s.o.Memory == nil {
		return nil
	}
	record, err := s.o.Memory.Load(ctx, s.o.Target)
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	s.record, s.leaversUntil, s.loaded = record, record.PausedUntil, true
	return nil
}

// Paused is until when leavers' requests are to leave the target alone, but for a probe a minute; zero for not.
func (s *Session) Paused() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leaversUntil.After(s.o.Now()) {
		return time.Time{}
	}
	return s.leaversUntil
}

// PausedUntil is until when the target asked to be left alone; zero for not.
func (s *Session) PausedUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.record.PausedUntil.After(s.o.Now()) {
		return time.Time{}
	}
	return s.record.PausedUntil
}

// HidesInactive reports whether the application was seen to hide accounts that are disabled.
func (s *Session) HidesInactive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.HidesInactive
}

// paused returns ErrPaused where a request of ctx's class would have to wait for long and is no probe.
func (s *Session) paused(ctx context.Context) error {
	d, _ := s.wait(ctx)
	return tooLong(ctx, d)
}

func tooLong(ctx context.Context, d time.Duration) error {
	most := shortPause
	if forLeavers(ctx) {
		most = leaversPause
	}
	if d <= most {
		return nil
	}
	return &targets.ThrottledError{RetryAfter: d, Err: ErrPaused}
}

// wait is how long a request has to wait for the end of a pause; probe, that it may go out all the same.
func (s *Session) wait(ctx context.Context) (d time.Duration, probe bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if !forLeavers(ctx) {
		return s.record.PausedUntil.Sub(now), false
	}
	d = s.leaversUntil.Sub(now)
	if d <= leaversPause {
		return d, false
	}
	if s.nextProbe.After(now) {
		return d, false
	}
	return 0, true
}

// pace is what the target calls before each request.
func (s *Session) pace(ctx context.Context) error {
	d, probe := s.wait(ctx)
	if err := tooLong(ctx, d); err != nil {
		return err
	}
	if probe {
		s.mu.Lock()
		s.nextProbe = s.o.Now().Add(probeEvery)
		s.mu.Unlock()
	}
	if d > 0 {
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	return s.pacer.Wait(ctx)
}

// learn takes note of what an answer says of the target as a whole.
func (s *Session) learn(ctx context.Context, began time.Time, err error) {
	var throttled *targets.ThrottledError
	switch {
	case errors.Is(err, ErrPaused):
	case errors.As(err, &throttled) && throttled.RetryAfter > 0:
		until := s.o.Now().Add(throttled.RetryAfter)
		s.mu.Lock()
		longer := until.After(s.record.PausedUntil)
		if longer {
			s.record.PausedUntil = until
		}
		if until.After(s.leaversUntil) {
			s.leaversUntil, s.nextProbe = until, s.o.Now().Add(probeEvery)
		}
		record := s.record
		s.mu.Unlock()
		if longer && throttled.RetryAfter > shortPause {
			s.o.Log.Warn("the application asked for a pause", "target", s.o.Target, "until", until)
			s.save(ctx, record)
		}
	case err == nil && forLeavers(ctx):
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.leaversUntil.After(began) && s.nextProbe.After(began) {
			s.leaversUntil = time.Time{} // the probe was answered
		}
	}
}

func (s *Session) save(ctx context.Context, record Record) {
	if s.o.Memory == nil {
		return
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	if err := s.o.Memory.Save(saving, s.o.Target, record); err != nil {
		s.o.Log.Error("write the state", "target", s.o.Target, "error", err)
	}
}

// hides notes that the application hides what is inactive.
func (s *Session) hides(ctx context.Context) {
	s.mu.Lock()
	known := s.record.HidesInactive
	s.record.HidesInactive = true
	record := s.record
	s.mu.Unlock()
	if !known {
		s.save(ctx, record)
	}
}

// LedgerMemory is a session's memory in the state.
type LedgerMemory struct{ Ledger *state.Ledger }

var _ Memory = LedgerMemory{}

// Load implements Memory.
func (m LedgerMemory) Load(ctx context.Context, target string) (r Record, err error) {
	err = m.Ledger.View(ctx, func(v *state.Reader) error {
		known, _, err := v.Target(target)
		r = Record{
			PausedUntil: known.PausedUntil, HidesInactive: known.HidesInactive,
			Own: targets.Own{ID: known.OwnID, UserName: known.OwnName},
		}
		return err
	})
	return r, err
}

// Save implements Memory.
func (m LedgerMemory) Save(ctx context.Context, target string, r Record) error {
	return m.Ledger.Update(ctx, func(w *state.Writer) error {
		known, _, err := w.Target(target)
		if err != nil {
			return err
		}
		known.Name, known.PausedUntil, known.HidesInactive = target, r.PausedUntil, r.HidesInactive
		known.OwnID, known.OwnName = r.Own.ID, r.Own.UserName
		return w.PutTarget(known)
	})
}

// Witnesses implements Memory.
func (m LedgerMemory) Witnesses(ctx context.Context, target string, except identity.AccountID, n int) (out []state.Link, err error) {
	err = m.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(target) {
			if err != nil || len(out) == n {
				return err
			}
			if link.State == identity.LinkActive && link.Account != except {
				out = append(out, link)
			}
		}
		return nil
	})
	return out, err
}
