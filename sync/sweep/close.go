package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// An Account is one account of a leaver, or an orphan account, that is to be closed on one target.
type Account struct {
	Change identity.Change // its Op is ignored: who, where and why
	Link   state.Link      // zero for an orphan account
	Policy Policy
	// Finishes are the closing steps of attempts before: what they did is not done again to an account that is seen
	// inactive.
	Finishes []state.Finish
	// Refused is called once sign-in is seen refused, before whatever else there is to do; nil for nobody.
	Refused func()
}

// A Closed says how far Close came.
type Closed struct {
	Proven bool                   // read back inactive or gone, with everything the policy asks for taken away (R8)
	Seen   string                 // "inactive", "gone" or "hidden"
	At     time.Time              // of the read-back
	Delete time.Time              // when grace ends; zero for never
	Taken  []identity.Entitlement // what was taken away
	// Finishes are the closing steps as they stand now; nil where nothing is new.
	Finishes []state.Finish
	Why      string // of one that is done as far as can be and not Proven: what cannot be proven
	// Account is the one that was closed, where that is another than the one asked for: the person's account has
	// another identifier now, and so has its step.
	Account identity.AccountID
	Ops     []identity.Op
	Failed  identity.Change // the change that Err is about, the first of them
	// Err is why the account is not closed. With Seen, sign-in is refused, and the rest was done as far as it goes.
	Err error
}

// A Door is a target as its sweeper uses it.
type Door struct {
	Executor *apply.Executor
	Session  *apply.Session
}

var _ Closer = Door{}

// Close implements Closer.
func (d Door) Close(ctx context.Context, a Account) Closed {
	ctx = apply.ForLeavers(ctx)
	p, err := d.Session.Recent(ctx)
	if err != nil {
		return Closed{Failed: a.change(identity.Disable), Err: err}
	}
	return Close(ctx, d.Executor, p, a)
}

// Delete implements Closer.
func (d Door) Delete(ctx context.Context, a Account) Closed {
	ctx = apply.ForLeavers(ctx)
	p, err := d.Session.Recent(ctx)
	if err == nil && !p.Capabilities().Delete {
		err = errors.New("the target cannot delete accounts; take delete_after out of its leaver block")
	}
	if err != nil {
		return Closed{Failed: a.change(identity.Delete), Err: err}
	}
	return Delete(ctx, d.Executor, p, a)
}

// Look implements Closer. An account that came back under another identifier, with the person's own externalId, is open
// again as well.
func (d Door) Look(ctx context.Context, a Account) (string, error) {
	ctx = apply.ForLeavers(ctx)
	p, err := d.Session.Recent(ctx)
	if err != nil {
		return "", err
	}
	r := d.Executor.Look(ctx, p, apply.Job{Change: a.change(identity.Disable), Have: a.last(), Link: a.Link})
	if elsewhere(r.Err) {
		found, ok, err := d.Executor.Successor(ctx, p, a.known())
		switch {
		case err != nil:
			return "", err
		case ok && found.Active:
			return apply.SeenActive, nil
		}
	}
	return r.Seen, r.Err
}

// Clock implements Closer.
func (d Door) Clock() time.Time { return d.Session.Clock() }

// Paused implements Closer.
func (d Door) Paused() time.Time { return d.Session.Paused() }

// last is what is known of the account before it is read.
func (a Account) last() identity.Account {
	return identity.Account{ID: a.Change.Account, UserName: a.Change.UserName, Active: true}
}

// known is the account's link, or what would be known of it.
func (a Account) known() state.Link {
	if a.Link.Account != "" {
		return a.Link
	}
	return state.Link{Target: a.Change.Target, Person: a.Change.Person, Account: a.Change.Account, UserName: a.Change.UserName}
}

// elsewhere reports whether err says that the person's account has to be looked for under another identifier.
func elsewhere(err error) bool {
	var disputed *apply.IdentityError
	var second *apply.SecondError
	var unproven *apply.UnprovenError
	return errors.As(err, &disputed) || errors.As(err, &second) || errors.As(err, &unproven)
}

func (a Account) change(op identity.Op) identity.Change {
	c := a.Change
	c.Op = op
	return c
}

// Close takes an account through its steps: sign-in is refused, the target's own closing steps are taken, entitlements
// are taken away, it is deleted, each read back. It is looked at first, and what it still has is taken; what cannot be
// read is remembered. A step that fails holds nothing back but the delete (R9). An identifier is not the person: where
// it names somebody else, or nobody, the one account that bears the person's own externalId is linked and closed
// instead. A second account of the person that is active keeps the case open (R8).
func Close(ctx context.Context, x *apply.Executor, p *apply.Pass, a Account) Closed {
	a.Finishes = slices.Clone(a.Finishes)
	closed := closeLinked(ctx, x, p, &a)
	if elsewhere(closed.Err) && !a.Change.Person.IsZero() {
		if found, ok, err := x.Successor(ctx, p, a.known()); err == nil && ok {
			closed = closeSuccessor(ctx, x, p, &a, found)
		}
	}
	closed = unprovable(closed)
	if closed.Finishes = a.Finishes; closed.Err == nil {
		closed.Finishes = slices.DeleteFunc(closed.Finishes, failed) // its account is gone, or nobody asks for it any more
	}
	if a.Change.Person.IsZero() || closed.Seen != apply.SeenInactive && closed.Seen != apply.SeenHidden {
		return closed
	}
	seconds, err := x.Seconds(ctx, p, a.known())
	if err == nil && len(seconds) > 0 {
		err = &apply.SecondError{Linked: a.Change.Account, Second: seconds[0]}
	}
	if err != nil {
		closed.fail(a.change(identity.Disable), err)
	}
	return closed
}

// fail notes why the account is not closed, beside what was noted before.
func (c *Closed) fail(change identity.Change, err error) {
	if c.Proven = false; c.Err == nil {
		c.Failed, c.Err = change, err
		return
	}
	c.Err = fmt.Errorf("%w; %w", c.Err, err)
}

// unprovable ends the closing of an account that cannot be read, and that nothing will ever prove gone: an operator has
// to look.
func unprovable(closed Closed) Closed {
	var unproven *apply.UnprovenError
	if errors.As(closed.Err, &unproven) && unproven.Last {
		closed.Why, closed.Err = closed.Err.Error(), nil
	}
	return closed
}

// closeSuccessor links the account that is the person's now, and closes it. The step goes with the link: cut short
// between the two, what was decided about the account would be decided again.
func closeSuccessor(ctx context.Context, x *apply.Executor, p *apply.Pass, a *Account, found identity.Account) Closed {
	was := a.Change.Account
	a.Change.Account, a.Change.UserName, a.Finishes = found.ID, found.UserName, nil
	r := x.Do(ctx, p, apply.Job{
		Change: a.change(identity.Link), Have: found, Link: a.Link, Scope: a.Link.ScopePrint,
		Also: func(w *state.Writer) error {
			return renumber(w, a.Change.Person, a.Change.Target, was, found.ID, x.Now())
		},
	})
	if r.Err != nil {
		return Closed{Failed: a.change(identity.Link), Err: r.Err}
	}
	a.Link = r.Link
	closed := closeLinked(ctx, x, p, a)
	closed.Account = found.ID
	return closed
}

func closeLinked(ctx context.Context, x *apply.Executor, p *apply.Pass, a *Account) Closed {
	caps := p.Capabilities()
	if !caps.Disable && (a.Policy.Action != ActionDelete || !caps.Delete) {
		return Closed{Failed: a.change(identity.Disable), Err: fmt.Errorf(
			"%w: it cannot disable accounts; set leaver { action = \"delete\" } or \"report\"", targets.ErrRejected)}
	}
	r := x.Look(ctx, p, apply.Job{Change: a.change(identity.Disable), Have: a.last(), Link: a.Link})
	unknown := a.Link.State == identity.LinkActive || a.Link.Opened || a.Link.Asked.After(a.Link.Disabled)
	if r.Err == nil && r.Seen == apply.SeenInactive && a.Link.Account != "" && unknown {
		// Somebody else closed it, and what dirsweep did not disable it does not delete (R10); or it did, and had no
		// answer.
		asked, err := x.Asked(ctx, a.Link)
		if err != nil {
			return Closed{Failed: a.change(identity.Disable), Err: err}
		}
		a.Link.Asked = asked
		r = x.Do(ctx, p, apply.Job{Change: a.change(identity.Link), Have: r.Account, Link: a.Link, Scope: a.Link.ScopePrint})
		a.Link, r.Seen = r.Link, apply.SeenInactive
	}
	if r.Err == nil && r.Seen == apply.SeenActive {
		r.Err = a.notOwn(ctx, p, r.Account)
	}
	if r.Err == nil && r.Seen == apply.SeenActive {
		r.Err = a.linkFound(ctx, x, p, r.Account)
	}
	if r.Err != nil {
		return Closed{Failed: a.change(identity.Disable), Err: r.Err}
	}
	if r.Seen == apply.SeenActive {
		if err := a.forgetFinishes(ctx, x); err != nil {
			return Closed{Failed: a.change(identity.Disable), Err: err}
		}
	}
	return a.take(ctx, x, p, r)
}

// take takes what an account that was looked at still has; seen is what was last seen of it.
func (a *Account) take(ctx context.Context, x *apply.Executor, p *apply.Pass, seen apply.Result) (closed Closed) {
	refused := func() {}
	if a.Refused != nil {
		refused = sync.OnceFunc(a.Refused)
	}
	for _, w := range a.works(p) {
		if seen.Seen != apply.SeenActive {
			refused()
		}
		nothing := seen.Seen == apply.SeenGone || seen.Seen == apply.SeenHidden
		if nothing || w.change.Op == identity.Delete && closed.Err != nil {
			break // it is gone, or what cannot be undone waits for the rest
		}
		did := a.takeOne(ctx, x, p, w, seen, &closed)
		if did.Err == nil {
			seen = did
			continue
		}
		closed.fail(w.change, a.failed(w, did.Err, x.Now()))
		if stops(ctx, p, w, did) {
			return closed
		}
	}
	refused()
	return a.end(closed, seen, x.Now())
}

// stops reports whether nothing more can be done to an account once a change of it has failed: sign-in is not refused, or
// is no longer, it is not deleted, it is not the account that it was, or nothing more is to be done at all.
func stops(ctx context.Context, p *apply.Pass, w work, did apply.Result) bool {
	switch {
	case w.change.Op == identity.Disable, w.change.Op == identity.Delete, did.Seen == apply.SeenActive:
		return true
	}
	return elsewhere(did.Err) || errors.Is(did.Err, apply.ErrOvertaken) || ctx.Err() != nil || p.Down() != nil
}

// takeOne does one thing that closing takes, where that is needed, and returns what is seen of the account then.
func (a *Account) takeOne(
	ctx context.Context, x *apply.Executor, p *apply.Pass, w work, seen apply.Result, closed *Closed,
) apply.Result {
	c, needed, err := a.step(ctx, p, w, &seen, x.Now())
	if seen.Err = err; err != nil || !needed {
		return seen
	}
	did := x.Do(ctx, p, apply.Job{
		Change: c, Have: seen.Account, Fresh: true, Link: a.Link, Scope: a.Link.ScopePrint, Also: a.remember(w, x.Now),
	})
	if a.Link = did.Link; did.Err != nil {
		return did
	}
	if w.change.Op == identity.Finish && did.Seen == apply.SeenInactive {
		a.note(w.finished(did.At))
	}
	closed.Ops = append(closed.Ops, c.Op)
	closed.Taken = append(closed.Taken, c.Delta.Withdraw...)
	if len(did.Sent) > 0 {
		closed.Why = fmt.Sprintf("sent, not provable: taking away %s; the application shows nobody's entitlements",
			strings.Join(identity.EntitlementNames(did.Sent), ", "))
	}
	return did
}

// linkFound links an account that was found to be the person's, where they have none there, before it is closed: what
// is asked of it and not answered is remembered by the link.
func (a *Account) linkFound(ctx context.Context, x *apply.Executor, p *apply.Pass, seen identity.Account) error {
	if a.Link.Account != "" || a.Change.Person.IsZero() {
		return nil
	}
	linked, err := x.Linked(ctx, a.Change.Target, a.Change.Person)
	if err != nil || linked {
		return err
	}
	r := x.Do(ctx, p, apply.Job{Change: a.change(identity.Link), Have: seen})
	if r.Err == nil {
		a.Link = r.Link
	}
	return r.Err
}

// step completes one step of closing; needed is false where there is nothing to do.
func (a *Account) step(
	ctx context.Context, p *apply.Pass, w work, r *apply.Result, now time.Time,
) (c identity.Change, needed bool, err error) {
	switch c = w.change; c.Op {
	case identity.Disable:
		return c, r.Account.Active, nil
	case identity.Finish:
		needed, err = a.unfinished(ctx, p, w, r.Account, now)
		return c, needed, err
	case identity.Delete:
		ours := !a.Link.Disabled.IsZero() || a.Change.Person.IsZero() // R10
		return c, ours || !p.Capabilities().Disable, nil
	case identity.Strip:
		have := r.Account
		have.Entitlements = a.Link.Entitlements // what is remembered; the rest is what the application shows
		have, err := p.Entitlements(ctx, have)
		if err != nil {
			return c, false, err
		}
		r.Account = have
		c.Delta.Withdraw = have.Entitlements
		if have.EntitlementsUnknown {
			c.Delta.Withdraw = a.Link.Entitlements
		}
		return c, len(c.Delta.Withdraw) > 0, nil
	}
	return c, true, nil
}

// end says what closing proved. Whatever the last step was: the account is seen inactive, hidden or gone, or it is not
// closed (R8).
func (a *Account) end(closed Closed, r apply.Result, now time.Time) Closed {
	closed.Seen, closed.At = r.Seen, r.At
	if closed.At.IsZero() {
		closed.At = now
	}
	switch closed.Seen {
	case apply.SeenInactive, apply.SeenHidden, apply.SeenGone:
	default:
		closed.fail(a.change(identity.Disable), fmt.Errorf("%w: at the end of closing the account is %s",
			targets.ErrConflict, cmp.Or(closed.Seen, "not seen")))
		return closed
	}
	closed.Proven = closed.Why == "" && closed.Err == nil
	if grace := a.Policy.DeleteAfter; grace > 0 && closed.Seen != apply.SeenGone && !a.Link.Disabled.IsZero() {
		closed.Delete = a.Link.Disabled.Add(grace)
	}
	return closed
}

// Delete removes an account whose grace is over, after one more look: only one that dirsweep itself disabled, and that
// is still inactive and still the one that was linked, is deleted (R10).
func Delete(ctx context.Context, x *apply.Executor, p *apply.Pass, a Account) Closed {
	closed := Closed{Failed: a.change(identity.Delete)}
	if a.Link.OwnSince().IsZero() {
		closed.Err = fmt.Errorf("%w: dirsweep did not disable it, so it does not delete it", targets.ErrRejected)
		return closed
	}
	r := x.Look(ctx, p, apply.Job{Change: closed.Failed, Have: a.last(), Link: a.Link})
	switch {
	case r.Err != nil:
		closed.Err = r.Err
		return closed
	case r.Seen == apply.SeenGone:
		return Closed{Proven: true, Seen: r.Seen, At: r.At}
	case r.Seen == apply.SeenActive:
		closed.Err = fmt.Errorf("%w: it was enabled again since", targets.ErrConflict)
		return closed
	}
	if closed.Err = a.notOwn(ctx, p, r.Account); closed.Err != nil {
		return closed
	}
	r = x.Do(ctx, p, apply.Job{Change: closed.Failed, Have: r.Account, Fresh: true, Link: a.Link})
	if closed.Err = r.Err; r.Err != nil {
		return closed
	}
	return Closed{Proven: true, Seen: r.Seen, At: r.At, Ops: []identity.Op{identity.Delete}}
}
