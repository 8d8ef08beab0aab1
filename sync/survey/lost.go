package survey

import (
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// relinkedOneByOne is up to how many accounts with new identifiers are told of one by one.
const relinkedOneByOne = 3

// vanished looks after linked accounts of people in scope that the listing lacks. Those that are there under another
// identifier, with their person's own externalId, are linked again. Where far too many are left, the target is held
// (R2); else each is asked for. Closed accounts that it lacks are asked for too, so many at a time: an application that
// is tidied up would leave their links behind for ever (R18).
func (s *Survey) vanished(ctx context.Context) error {
	var lost, closed []state.Link
	missing := 0 // active ones, of everybody
	err := s.o.Ledger.View(ctx, func(v *state.Reader) error {
		active := 0
		target, _, err := v.Target(s.Name)
		if err != nil {
			return err
		}
		for link, err := range v.Links(s.Name) {
			if err != nil {
				return err
			}
			if link.State == identity.LinkActive {
				active++
			}
			if _, unlinked := s.marks[ownMark(link)]; unlinked {
				s.marked[ownMark(link)] = link
			}
			s.noteRival(link)
			if i, ok := s.people.Roster.Find(s.view.Heir(link.Person)); ok && s.view.Scope.Has(i) && s.view.Linked.Has(i) && !s.Seen.Has(i) {
				lost = append(lost, link)
			} else if s.isPast(link) && !target.HidesInactive && len(closed) < mostAsked {
				closed = append(closed, link)
			}
		}
		missing = active - s.linksSeen
		return nil
	})
	if err != nil {
		return err
	}
	if lost, err = s.relinkMarked(ctx, lost); err != nil {
		return err
	}
	missing -= len(s.relinked)
	seen := s.linksSeen + len(s.relinked)
	b, err := s.o.Book.Size(ctx, guard.Read{
		Now: s.o.Now, Limits: s.Guard, Target: s.Name, Before: seen + missing, Count: seen, Missing: max(0, missing),
	})
	switch {
	case err != nil:
		return err
	case !b.Believed:
		return ErrHeld
	}
	look := s.lookAfter
	if b.Consumed != "" {
		look = s.released
	}
	for _, link := range lost {
		if err := look(ctx, link); err != nil {
			return err
		}
	}
	for _, link := range closed {
		if err := s.leaveTombstone(ctx, link); err != nil {
			return err
		}
	}
	return nil
}

// isPast reports whether a link is to a closed account that the listing lacks, and of which nothing is to be done.
func (s *Survey) isPast(link state.Link) bool {
	_, seen := s.closedSeen[xxhash.Sum64String(string(link.Account))]
	return !seen && link.State == identity.LinkDisabled && !s.o.Delayed[link.Person] && !s.isAccepted(link.Account)
}

// leaveTombstone takes the link of a closed account that is proven gone, and keeps what it takes to know it again. What cannot be
// proven of an account that is closed is nobody's trouble.
func (s *Survey) leaveTombstone(ctx context.Context, link state.Link) error {
	if !s.o.Write {
		return nil
	}
	look := s.o.Executor.Look(ctx, s.app, apply.Job{
		Change: identity.Change{Op: identity.Disable, Target: s.Name, Person: link.Person, Account: link.Account, UserName: link.UserName},
		Have:   identity.Account{ID: link.Account, UserName: link.UserName}, Link: link,
	})
	switch {
	case look.Err == nil && look.Seen == apply.SeenGone:
	case ctx.Err() != nil || s.app.Down() != nil || errors.Is(look.Err, apply.ErrPaused):
		return look.Err
	default:
		return nil
	}
	err := s.o.Ledger.Update(ctx, func(w *state.Writer) error { return sweep.LeaveTombstone(w, link, s.o.Now) })
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// relinkMarked plans to link again those whose accounts the listing has under another identifier, and returns the
// others.
func (s *Survey) relinkMarked(ctx context.Context, lost []state.Link) (left []state.Link, err error) {
	found := map[identity.PersonID]identity.AccountID{}
	for _, link := range lost {
		if id, ok := s.marks[ownMark(link)]; ok {
			found[link.Person] = id
		}
	}
	for _, link := range lost {
		id, ok := found[link.Person]
		if !ok {
			left = append(left, link)
			continue
		}
		have, err := s.parkedAccount(id)
		if err != nil {
			return nil, err
		}
		if err := s.linkAgain(ctx, link, have, len(found) <= relinkedOneByOne); err != nil {
			return nil, err
		}
	}
	if len(found) > relinkedOneByOne {
		s.o.Find(identity.Finding{
			Kind: "relinked", Subject: s.Name, Target: s.Name,
			Detail: fmt.Sprintf("the application knows %d accounts under new identifiers; each still carries its person's own externalId, and is linked again",
				len(found)),
		})
	}
	return left, nil
}

// ownMark is the externalId that a person's account carries.
func ownMark(link state.Link) string {
	if link.ExternalID != "" {
		return link.ExternalID
	}
	return link.Person.Anchor
}

// linkAgain plans to link a person's account that has another identifier now, and what else differs of it.
func (s *Survey) linkAgain(ctx context.Context, link state.Link, have identity.Account, tell bool) error {
	i, ok := s.people.Roster.Find(s.view.Heir(link.Person))
	if !ok {
		return nil
	}
	w, ok, err := s.wanted(ctx, i, have.UserName)
	if err != nil || !ok {
		return err
	}
	s.relinked[have.ID] = true
	if tell {
		s.o.Find(identity.Finding{
			Kind: "relinked", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: link.Person, Account: have.ID,
			Detail: fmt.Sprintf("the application knows the account under another identifier than %s; it carries the person's own externalId, and is linked again",
				link.Account),
		})
	}
	steps, left := plan.Steps(s.intended(ctx, w, link, have))
	s.reportDrift(w.Person.ID, have, left)
	if len(steps) == 0 || steps[0].Op != identity.Link {
		steps = append([]plan.Step{{Op: identity.Link, Cause: identity.Drifted}}, steps...)
	}
	s.addWork(i, w, link, have, steps)
	return nil
}

// lookAfter looks after one linked account that is not where it was: it is linked again where it is found, and made
// again where it is proven gone.
func (s *Survey) lookAfter(ctx context.Context, link state.Link) error {
	if s.o.Delayed[link.Person] {
		return nil
	}
	look := s.o.Executor.Look(ctx, s.app, apply.Job{
		Change: identity.Change{Op: identity.Update, Target: s.Name, Person: link.Person, Account: link.Account, UserName: link.UserName},
		Have:   identity.Account{ID: link.Account, UserName: link.UserName}, Link: link,
	})
	gone := errors.Is(look.Err, targets.ErrNotFound) && look.Seen == apply.SeenGone
	switch {
	case look.Err == nil && look.Account.Unlisted != "":
		return s.unlistedAccount(ctx, link)
	case look.Err == nil:
		return fmt.Errorf("%w: it lacks %s (%s), which can be read by itself", targets.ErrIncomplete, link.UserName, link.Account)
	case look.Seen == apply.SeenHidden:
		return s.reveal(link)
	case !gone && !IsDispute(look.Err) && !isUnproven(look.Err):
		return s.trouble(ctx, link, look.Err)
	}
	found, ok, err := s.o.Executor.Successor(ctx, s.app, link)
	switch {
	case err != nil:
		return s.trouble(ctx, link, err)
	case ok:
		if found, err = s.app.Entitlements(ctx, found); err != nil {
			return s.trouble(ctx, link, err)
		}
		return s.linkAgain(ctx, link, found, true)
	case isUnproven(look.Err):
		return s.trouble(ctx, link, look.Err)
	case !gone:
		s.o.Find(identity.Finding{
			Kind: "disputed", Subject: s.Name + ": " + link.UserName, Target: s.Name, Person: link.Person, Account: link.Account,
			Detail: look.Err.Error(),
		})
		return nil
	}
	return s.makeAgain(ctx, link)
}

// unlistedAccount plans what differs of an account that somebody took away from where accounts are listed: it is the
// person's still, and compared as one that was listed.
func (s *Survey) unlistedAccount(ctx context.Context, link state.Link) error {
	i, ok := s.people.Roster.Find(s.view.Heir(link.Person))
	if !ok {
		return nil
	}
	have, err := s.app.Whole(ctx, link.Account)
	if err != nil {
		return s.trouble(ctx, link, err)
	}
	s.o.Find(identity.Finding{
		Kind: "missing", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: link.Person, Account: have.ID,
		Detail: "the account is not among those that are listed: " + have.Unlisted,
	})
	return s.planLinked(ctx, i, link, have)
}

// makeAgain plans an account anew that was deleted in the application (R11). Where the application has another one of the
// same person, which carries what theirs would, that becomes theirs: it is from before their anchor was edited, say.
func (s *Survey) makeAgain(ctx context.Context, link state.Link) error {
	i, here := s.people.Roster.Find(s.view.Heir(link.Person))
	if here {
		if _, want, err := s.want(ctx, i, link.UserName); err == nil && want.ExternalID != "" {
			have, other, err := s.bearing(ctx, link, want.ExternalID)
			switch {
			case err != nil:
				return s.trouble(ctx, link, err)
			case other:
				return s.linkAgain(ctx, link, have, true)
			}
		}
	}
	f := identity.Finding{
		Kind: "missing", Subject: s.Name + ": " + link.UserName, Target: s.Name, Person: link.Person, Account: link.Account,
		Detail: "the account was deleted outside dirsweep; it is made again",
	}
	if s.OnDrift == "report" && link.State == identity.LinkActive { // who is back gets an account in any case
		f.Detail = "the account was deleted outside dirsweep; on_drift = \"report\" leaves it"
	} else if here {
		s.joiners = append(s.joiners, i)
		s.lost[i] = link
	}
	s.o.Find(f)
	return nil
}

// bearing is the account, linked to nobody, that carries an externalId; false where there is none, or more than one. It was
// listed, or is asked for where the one of the link would have been found by another.
func (s *Survey) bearing(ctx context.Context, link state.Link, externalID string) (a identity.Account, ok bool, err error) {
	if s.Listed {
		id, known := s.marks[externalID]
		if !known || s.relinked[id] {
			return a, false, nil
		}
		a, err = s.parkedAccount(id)
		return a, err == nil, err
	}
	if externalID == link.ExternalID {
		return a, false, nil
	}
	found, err := s.app.Find(ctx, "externalId", externalID)
	if err != nil || len(found) != 1 || found[0].ExternalID != externalID {
		return a, false, err
	}
	if _, linked, err := s.linked(ctx, found[0].ID); err != nil || linked {
		return a, false, err
	}
	a, err = s.app.Entitlements(ctx, found[0])
	return a, err == nil, err
}

// reveal plans to enable an account that is invisible because dirsweep disabled it, of a person who is back.
func (s *Survey) reveal(link state.Link) error {
	i, ok := s.people.Roster.Find(s.view.Heir(link.Person))
	if !ok {
		return nil
	}
	e, err := s.people.Roster.Entry(i)
	if err != nil {
		return err
	}
	have := identity.Account{ID: link.Account, UserName: link.UserName, ExternalID: link.ExternalID}
	s.addWork(i, wanted{Entry: e}, link, have, []plan.Step{{Op: identity.Enable, Cause: identity.Rehired}})
	return nil
}

// IsDispute reports whether err says that an identifier is no longer the person's.
func IsDispute(err error) bool {
	var disputed *apply.IdentityError
	var second *apply.SecondError
	return errors.As(err, &disputed) || errors.As(err, &second)
}

// isUnproven reports whether err says that an account cannot be read, and that nothing proves it gone.
func isUnproven(err error) bool {
	var unproven *apply.UnprovenError
	return errors.As(err, &unproven)
}

// trouble keeps what goes wrong with one account at that account; an error is the target's.
func (s *Survey) trouble(ctx context.Context, link state.Link, err error) error {
	if ctx.Err() != nil || s.app.Down() != nil || errors.Is(err, apply.ErrPaused) {
		return err
	}
	f := identity.Finding{
		Kind: "unreadable", Subject: s.Name + ": " + link.UserName, Target: s.Name, Person: link.Person, Account: link.Account,
		Detail: "nothing is done to this account: " + err.Error(),
	}
	if isUnproven(err) {
		f.Kind = "unproven"
	}
	s.o.Find(f)
	return nil
}

// released looks after an account that an operator says is gone: there may be nobody left to be a witness. The
// application's own word is asked for all the same.
func (s *Survey) released(ctx context.Context, link state.Link) error {
	_, err := s.app.Account(ctx, link.Account)
	if errors.Is(err, targets.ErrNotFound) {
		return s.makeAgain(ctx, link)
	}
	return s.lookAfter(ctx, link)
}
