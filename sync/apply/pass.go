package apply

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// failuresInARow is how many calls may fail for want of an answer before somebody else's account is read, to tell
// whether it is the target that does not answer; where that is not answered either, the target is left alone for the
// rest of the pass (R9).
const failuresInARow = 5

// A Pass is one use of a session: a pass over everybody, or the closing of one account. Trouble with one account stays
// that account's: a pass is down only where the target refuses our credentials, or where somebody else's account cannot
// be read either. It is safe for concurrent use.
type Pass struct {
	s  *Session
	in targets.Pass

	mu    sync.Mutex
	asked sync.Once

	row  int // calls without an answer since the last that had one
	down error
}

// Session is whose pass it is.
func (p *Pass) Session() *Session { return p.s }

// Capabilities say what the target can do.
func (p *Pass) Capabilities() identity.Capabilities { return p.in.Capabilities() }

// ownWait bounds the question which account we are signed in as: closing a leaver does not wait for long to be told.
const ownWait = 5 * time.Second

// Own is the account that we are signed in as at the target, as far as it has told, now or before. It is asked once a
// pass.
func (p *Pass) Own(ctx context.Context) identity.Own {
	p.asked.Do(func() { p.askOwn(ctx) })
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	own := p.s.record.Own
	if own == (targets.Own{}) {
		return identity.Own{}
	}
	return identity.Own{Target: p.s.o.Target, ID: own.ID, Name: own.UserName}
}

func (p *Pass) askOwn(ctx context.Context) {
	tells, ok := p.in.(targets.Identifier)
	if !ok {
		return
	}
	asking, cancel := context.WithTimeout(ctx, ownWait)
	defer cancel()
	own, err := tells.Own(asking)
	if err != nil {
		p.s.o.Log.Debug("the target does not tell which account we are signed in as", "target", p.s.o.Target, "error", err)
	}
	p.s.mu.Lock()
	if err != nil && p.s.record.Own.ID != "" {
		own = p.s.record.Own // what it told before holds
	}
	changed := p.s.record.Own != own
	p.s.record.Own = own
	record := p.s.record
	p.s.mu.Unlock()
	if changed {
		p.s.save(ctx, record)
	}
}

// Down returns why the target is left alone, nil while it is not.
func (p *Pass) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

// Break leaves the target alone for the rest of the pass.
func (p *Pass) Break(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down == nil {
		p.down = err
	}
}

// Accounts streams every account, as targets.Pass has it.
func (p *Pass) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		if err := p.Down(); err != nil {
			yield(identity.Account{}, err)
			return
		}
		began := p.s.o.Now()
		listing := p.s.listing()
		for a, err := range p.in.Accounts(ctx) {
			if err != nil {
				p.s.learn(ctx, began, err)
				p.noteRefusal(err)
				yield(identity.Account{}, err)
				return
			}
			listing.saw(a.ID)
			if !yield(a, nil) {
				return
			}
		}
		listing.whole()
	}
}

// Account reads one account, less its entitlements.
func (p *Pass) Account(ctx context.Context, id identity.AccountID) (a identity.Account, err error) {
	err = p.call(ctx, id, func(ctx context.Context) error {
		a, err = p.in.Account(ctx, id)
		return err
	})
	return a, err
}

// Entitlements returns account with its entitlements, as targets.Pass has it.
func (p *Pass) Entitlements(ctx context.Context, account identity.Account) (a identity.Account, err error) {
	a = account
	err = p.call(ctx, account.ID, func(ctx context.Context) error {
		a, err = p.in.Entitlements(ctx, account)
		return err
	})
	return a, err
}

// Whole reads one account with its entitlements.
func (p *Pass) Whole(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	a, err := p.Account(ctx, id)
	if err != nil {
		return a, err
	}
	return p.Entitlements(ctx, a)
}

// Find returns the accounts, less their entitlements, whose attribute equals value.
func (p *Pass) Find(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	err = p.call(ctx, "", func(ctx context.Context) error {
		found, err = p.in.Find(ctx, attribute, value)
		return err
	})
	return found, err
}

// Resolve names the application's own entitlements for those wanted, as targets.Pass has it.
func (p *Pass) Resolve(ctx context.Context, want []identity.Entitlement) (known []identity.Entitlement, missing []targets.Missing, err error) {
	if len(want) == 0 {
		return want, nil, nil
	}
	err = p.call(ctx, "", func(ctx context.Context) error {
		known, missing, err = p.in.Resolve(ctx, want)
		return err
	})
	return known, missing, err
}

// call makes one call about an account, "" for none, and learns from how it ends.
func (p *Pass) call(ctx context.Context, account identity.AccountID, fn func(context.Context) error) error {
	if err := p.Down(); err != nil {
		return err
	}
	err := p.repeat(ctx, fn)
	if ctx.Err() != nil {
		return err // a stop is nobody's failure (R20)
	}
	p.judge(ctx, account, err)
	return err
}

// repeat makes one call, again where the target was not available, up to a number of tries.
func (p *Pass) repeat(ctx context.Context, fn func(context.Context) error) error {
	for try := 0; ; try++ {
		began := p.s.o.Now()
		err := fn(ctx)
		p.s.learn(ctx, began, err)
		if err == nil || !errors.Is(err, targets.ErrUnavailable) || errors.Is(err, ErrPaused) || ctx.Err() != nil || try+1 == tries {
			return err
		}
		if throttled := (*targets.ThrottledError)(nil); errors.As(err, &throttled) && throttled.RetryAfter > 0 {
			continue // the next request waits for the end of the pause, or is refused
		}
		if err := sleep(ctx, firstBackoff<<try); err != nil {
			return err
		}
	}
}

// judge takes the target out of the pass where it is the target that fails, rather than one account.
func (p *Pass) judge(ctx context.Context, account identity.AccountID, err error) {
	switch {
	case errors.Is(err, ErrPaused):
		return
	case errors.Is(err, targets.ErrUnauthorized):
		p.noteRefusal(err)
		return
	case errors.Is(err, targets.ErrForbidden):
		if seen, why := p.witness(ctx, account); seen == WitnessRefused {
			p.Break(fmt.Errorf("left alone for this pass: %w, and so is %s: %w", targets.ErrUnauthorized, why, err))
		}
		return
	case !errors.Is(err, targets.ErrUnavailable):
		p.mu.Lock()
		p.row = 0
		p.mu.Unlock()
		return
	}
	p.mu.Lock()
	p.row++
	n := p.row
	p.mu.Unlock()
	if n < failuresInARow {
		return
	}
	if seen, _ := p.witness(ctx, account); seen == WitnessRead {
		p.mu.Lock()
		p.row = 0
		p.mu.Unlock()
		return
	}
	p.Break(fmt.Errorf("left alone for this pass after %d failures in a row: %w", n, err))
}

func (p *Pass) noteRefusal(err error) {
	if errors.Is(err, targets.ErrUnauthorized) {
		p.Break(fmt.Errorf("left alone for this pass: %w", err))
	}
}

// witness reads another linked account of the target, to tell whether the target answers at all. who names the account
// that was, or was not, read.
func (p *Pass) witness(ctx context.Context, except identity.AccountID) (seen Witness, who string) {
	candidates, err := p.s.candidates(ctx, except)
	if err != nil {
		return WitnessLost, err.Error()
	}
	seen = WitnessNone
	for _, link := range candidates {
		a, err := p.in.Account(ctx, link.Account)
		who = fmt.Sprintf("%s (%s)", link.UserName, link.Account)
		switch {
		case err == nil && Bears(link, a):
			p.s.noteGood(link)
			return WitnessRead, who
		case errors.Is(err, targets.ErrForbidden), errors.Is(err, targets.ErrUnauthorized):
			seen = max(seen, WitnessRefused)
		default:
			seen = WitnessLost
		}
	}
	return seen, who
}

// candidates are accounts that may be witnesses, those first that were read lately.
func (s *Session) candidates(ctx context.Context, except identity.AccountID) (out []state.Link, err error) {
	s.mu.Lock()
	for _, link := range s.good {
		if link.Account != except {
			out = append(out, link)
		}
	}
	s.mu.Unlock()
	if s.o.Memory == nil {
		return out, nil
	}
	more, err := s.o.Memory.Witnesses(ctx, s.o.Target, except, mostWitnesses)
	if err != nil && len(out) == 0 {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	for _, link := range more {
		if !hasAccount(out, link.Account) {
			out = append(out, link)
		}
	}
	return out[:min(len(out), mostWitnesses)], nil
}

// noteGood remembers two accounts that could be read.
func (s *Session) noteGood(link state.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !hasAccount(s.good, link.Account) {
		s.good = append(s.good[max(0, len(s.good)-1):], link)
	}
}

func hasAccount(links []state.Link, id identity.AccountID) bool {
	for _, link := range links {
		if link.Account == id {
			return true
		}
	}
	return false
}

// sleep waits, a little longer each time for each.
func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
