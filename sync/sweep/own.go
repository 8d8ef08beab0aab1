package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// An OwnError says that an account is one that dirsweep itself signs in as: nothing was done to it (R5).
type OwnError struct{ Own identity.Own }

func (e *OwnError) Error() string { return e.Own.String() }

// OwnFinding tells of a leaver's account that dirsweep itself signs in as.
func OwnFinding(l identity.Leaver, why string) identity.Finding {
	return identity.Finding{
		Kind: "own account", Subject: l.Target + ": " + l.UserName, Target: l.Target, Person: l.Person, Account: l.Account,
		Detail: fmt.Sprintf("would be closed (%s), but %s; it is closed then. Until then it stays open", l.Cause, why),
	}
}

// own is what signs in as the account of a task, as far as the state knows; false for nothing.
func (b *Books) own(ctx context.Context, t task) (own identity.Own, is bool, err error) {
	err = b.Ledger.View(ctx, func(r *state.Reader) error {
		list, err := r.Own()
		own, is = identity.OwnOf(list, t.kase.Person, t.step.Target, t.step.Account, t.step.UserName)
		return err
	})
	if err != nil {
		return own, false, fmt.Errorf("read the state: %w", err)
	}
	return own, is, nil
}

// holder is whose link the account of a task is by now, where that is somebody else; the zero Link for nobody.
func (b *Books) holder(ctx context.Context, t task) (other state.Link, err error) {
	err = b.Ledger.View(ctx, func(r *state.Reader) error {
		link, linked, err := r.LinkByAccount(t.step.Target, t.step.Account)
		if linked && link.Person != t.kase.Person && !t.kase.Person.IsZero() {
			other = link
		}
		return err
	})
	if err != nil {
		return other, fmt.Errorf("read the state: %w", err)
	}
	return other, nil
}

// disown takes a step off a case whose account has come to be linked to somebody else: it is closed where they leave.
func (b *Books) disown(ctx context.Context, t task, other state.Link, now time.Time) error {
	why := fmt.Sprintf("the account is linked to %s (%s)", other.Name, other.Person)
	_, err := b.takeOff(ctx, t, why, now, func(*state.Reader) (bool, error) { return true, nil })
	return err
}

// spare leaves a leaver's account open that dirsweep itself signs in as.
func (s *Sweeper) spare(ctx context.Context, t task, why string) (round Round) {
	s.Log.Warn("not closed: an account of dirsweep's own", "target", s.Target, "account", t.step.UserName,
		"person", t.kase.Name, "reason", why)
	if err := s.Books.set(ctx, t, state.StepProtected, why, s.Now()); err != nil {
		s.failed("", err)
	}
	round.Findings = append(round.Findings, OwnFinding(t.leaver(), why))
	return round
}

// notOwn refuses the account that the target is signed in to as.
func (a Account) notOwn(ctx context.Context, p *apply.Pass, seen identity.Account) error {
	if own := p.Own(ctx); own.Is(a.Change.Person, a.Change.Target, seen.ID, seen.UserName) {
		return &OwnError{own}
	}
	return nil
}
