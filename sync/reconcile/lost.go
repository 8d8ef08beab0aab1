package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/targets"
)

// errHeld says that a target is held whole: it lists far fewer accounts than are linked there.
var errHeld = errors.New("the target is held")

// relinkedOneByOne is up to how many accounts with new identifiers are told of one by one.
const relinkedOneByOne = 3

// vanished looks after linked accounts of people in scope that the listing lacks. Those that are there under another identifier, with their
// person's own externalId, are linked again. Where far too many are left, the target is held (R2); else each is asked for.
func (r *run) vanished(ctx context.Context, l *lane) error {
	var lost []state.Link
	missing := 0 // active ones, of everybody
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		active := 0
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			if link.State == identity.LinkActive {
				active++
			}
			if i, ok := r.roster.Find(l.heir(link.Person)); ok && l.scope.Has(i) && l.linked.Has(i) && !l.seen.Has(i) {
				lost = append(lost, link)
			}
		}
		missing = active - l.linksSeen
		return nil
	})
	if err != nil {
		return err
	}
	if lost, err = r.relinkMarked(ctx, l, lost); err != nil {
		return err
	}
	missing -= len(l.relinked)
	seen := l.linksSeen + len(l.relinked)
	b, err := r.size(ctx, guard.Read{
		Now: r.now, Limits: l.Guard, Target: l.Name, Before: seen + missing, Count: seen, Missing: max(0, missing),
	})
	switch {
	case err != nil:
		return err
	case !b.Believed:
		return errHeld
	}
	look := r.lost
	if b.Consumed != "" {
		look = r.released
	}
	for _, link := range lost {
		if err := look(ctx, l, link); err != nil {
			return err
		}
	}
	return nil
}

// relinkMarked plans to link again those whose accounts the listing has under another identifier, and returns the others.
func (r *run) relinkMarked(ctx context.Context, l *lane, lost []state.Link) (left []state.Link, err error) {
	found := map[identity.PersonID]identity.AccountID{}
	for _, link := range lost {
		if id, ok := l.marks[ownMark(link)]; ok {
			found[link.Person] = id
		}
	}
	for _, link := range lost {
		id, ok := found[link.Person]
		if !ok {
			left = append(left, link)
			continue
		}
		var have identity.Account
		if err := r.spool.Get(l.parked[id], &have); err != nil {
			return nil, err
		}
		if err := r.linkAgain(ctx, l, link, have, len(found) <= relinkedOneByOne); err != nil {
			return nil, err
		}
	}
	if len(found) > relinkedOneByOne {
		r.find(identity.Finding{
			Kind: "relinked", Subject: l.Name, Target: l.Name,
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
func (r *run) linkAgain(ctx context.Context, l *lane, link state.Link, have identity.Account, tell bool) error {
	i, ok := r.roster.Find(l.heir(link.Person))
	if !ok {
		return nil
	}
	e, want, err := r.want(ctx, l, i, have.UserName)
	if err != nil {
		r.expression(l, e, err)
		return nil
	}
	waiting, err := r.resolve(ctx, l, &want)
	if err != nil {
		return err
	}
	l.relinked[have.ID] = true
	if tell {
		r.find(identity.Finding{
			Kind: "relinked", Subject: l.Name + ": " + have.UserName, Target: l.Name, Person: link.Person, Account: have.ID,
			Detail: fmt.Sprintf("the application knows the account under another identifier than %s; it carries the person's own externalId, and is linked again",
				link.Account),
		})
	}
	steps, left := plan.Steps(plan.Intended{
		Want: want, Have: have, Paths: l.paths, Granted: link.Entitlements, Known: true, Disabled: link.State == identity.LinkDisabled,
		Ours: !link.Disabled.IsZero(), Repair: true, Enforce: l.OnDrift == "enforce",
	})
	r.reportDrift(l, e.Person.ID, have, left)
	if len(steps) == 0 || steps[0].Op != identity.Link {
		steps = append([]plan.Step{{Op: identity.Link, Cause: identity.Drifted}}, steps...)
	}
	r.addWork(l, i, e, link, have, steps, want.Fingerprint(l.paths), waiting)
	return nil
}

// lost looks after one linked account that is not where it was: it is linked again where it is found, and made again where it is proven gone.
func (r *run) lost(ctx context.Context, l *lane, link state.Link) error {
	if l.delayed[link.Person] {
		return nil
	}
	look := r.exec.Look(ctx, l.app, apply.Job{
		Change: identity.Change{Op: identity.Update, Target: l.Name, Person: link.Person, Account: link.Account, UserName: link.UserName},
		Have:   identity.Account{ID: link.Account, UserName: link.UserName}, Link: link,
	})
	gone := errors.Is(look.Err, targets.ErrNotFound) && look.Seen == apply.SeenGone
	switch {
	case look.Err == nil:
		return fmt.Errorf("%w: it lacks %s (%s), which can be read by itself", targets.ErrIncomplete, link.UserName, link.Account)
	case look.Seen == apply.SeenHidden:
		return r.reveal(l, link)
	case !gone && !isDispute(look.Err) && !isUnproven(look.Err):
		return r.trouble(ctx, l, link, look.Err)
	}
	found, ok, err := r.exec.Successor(ctx, l.app, link)
	switch {
	case err != nil:
		return r.trouble(ctx, l, link, err)
	case ok:
		if found, err = l.app.Entitlements(ctx, found); err != nil {
			return r.trouble(ctx, l, link, err)
		}
		return r.linkAgain(ctx, l, link, found, true)
	case isUnproven(look.Err):
		return r.trouble(ctx, l, link, look.Err)
	case !gone:
		r.find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + link.UserName, Target: l.Name, Person: link.Person, Account: link.Account,
			Detail: look.Err.Error(),
		})
		return nil
	}
	r.makeAgain(l, link)
	return nil
}

// makeAgain plans an account anew that was deleted in the application (R11).
func (r *run) makeAgain(l *lane, link state.Link) {
	f := identity.Finding{
		Kind: "missing", Subject: l.Name + ": " + link.UserName, Target: l.Name, Person: link.Person, Account: link.Account,
		Detail: "the account was deleted outside dirsweep; it is made again",
	}
	if l.OnDrift == "report" && link.State == identity.LinkActive { // who is back gets an account in any case
		f.Detail = "the account was deleted outside dirsweep; on_drift = \"report\" leaves it"
	} else if i, ok := r.roster.Find(l.heir(link.Person)); ok {
		l.joiners = append(l.joiners, i)
		l.lost[i] = link
	}
	r.find(f)
}

// reveal plans to enable an account that is invisible because dirsweep disabled it, of a person who is back.
func (r *run) reveal(l *lane, link state.Link) error {
	i, ok := r.roster.Find(l.heir(link.Person))
	if !ok {
		return nil
	}
	e, err := r.roster.Entry(i)
	if err != nil {
		return err
	}
	have := identity.Account{ID: link.Account, UserName: link.UserName, ExternalID: link.ExternalID}
	r.addWork(l, i, e, link, have, []plan.Step{{Op: identity.Enable, Cause: identity.Rehired}}, 0, nil)
	return nil
}

// isDispute reports whether err says that an identifier is no longer the person's.
func isDispute(err error) bool {
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
func (r *run) trouble(ctx context.Context, l *lane, link state.Link, err error) error {
	if ctx.Err() != nil || l.app.Down() != nil || errors.Is(err, apply.ErrPaused) {
		return err
	}
	f := identity.Finding{
		Kind: "unreadable", Subject: l.Name + ": " + link.UserName, Target: l.Name, Person: link.Person, Account: link.Account,
		Detail: "nothing is done to this account: " + err.Error(),
	}
	if isUnproven(err) {
		f.Kind = "unproven"
	}
	r.find(f)
	return nil
}

// released looks after an account that an operator says is gone: there may be nobody left to be a witness. The application's own word is asked
// for all the same.
func (r *run) released(ctx context.Context, l *lane, link state.Link) error {
	_, err := l.app.Account(ctx, link.Account)
	if errors.Is(err, targets.ErrNotFound) {
		r.makeAgain(l, link)
		return nil
	}
	return r.lost(ctx, l, link)
}
