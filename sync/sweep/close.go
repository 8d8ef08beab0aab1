package sweep

import (
	"context"
	"errors"
	"fmt"
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
	// Uncounted: an operator let it go past the guard, or it was closed before: it does not count for the guard's window.
	Uncounted bool
}

// deletes reports whether the account is ever to be deleted, for which it matters who disabled it (R10).
func (a Account) deletes() bool { return a.Policy.Action == ActionDelete || a.Policy.DeleteAfter > 0 }

// A Closed says how far Close came.
type Closed struct {
	Proven bool                   // read back inactive or gone, with everything the policy asks for taken away (R8)
	Seen   string                 // "inactive" or "gone"
	At     time.Time              // of the read-back
	Delete time.Time              // when grace ends; zero for never
	Taken  []identity.Entitlement // what was taken away
	Why    string                 // of one that is done as far as can be and not Proven: what cannot be proven
	Ops    []identity.Op
	Failed identity.Change // the change that Err is about
	Err    error
}

// A Door is a target as its sweeper uses it.
type Door struct {
	Executor *apply.Executor
	Lane     *apply.Lane
}

var _ Closer = Door{}

// Close implements Closer.
func (d Door) Close(ctx context.Context, a Account) Closed {
	caps, err := d.Lane.Target.Capabilities(ctx)
	if err != nil {
		return Closed{Failed: a.change(identity.Disable), Err: err}
	}
	return Close(ctx, d.Executor, d.Lane, caps, a)
}

// Delete implements Closer.
func (d Door) Delete(ctx context.Context, a Account) Closed {
	caps, err := d.Lane.Target.Capabilities(ctx)
	if err == nil && !caps.Delete {
		err = errors.New("the target cannot delete accounts; take delete_after out of its leaver block")
	}
	if err != nil {
		return Closed{Failed: a.change(identity.Delete), Err: err}
	}
	return Delete(ctx, d.Executor, d.Lane, a)
}

// Look implements Closer.
func (d Door) Look(ctx context.Context, a Account) (string, error) {
	have, err := d.Lane.Target.Account(ctx, a.Change.Account)
	switch {
	case errors.Is(err, targets.ErrNotFound):
		return "gone", nil
	case err != nil:
		return "", err
	case have.Active:
		return "active", nil
	}
	return "inactive", nil
}

// Paused implements Closer.
func (d Door) Paused() time.Time { return d.Lane.Paused() }

// Changes are what closing takes on a target with these capabilities, in order. Where accounts cannot be disabled, nothing but the delete can
// be proven.
func (a Account) Changes(caps identity.Capabilities) []identity.Change {
	var ops []identity.Op
	if caps.Disable {
		ops = append(ops, identity.Disable)
		if a.Policy.Revoke && caps.Revoke {
			ops = append(ops, identity.Revoke)
		}
		if a.Policy.Strip && caps.Entitlements {
			ops = append(ops, identity.Strip)
		}
	}
	if a.Policy.Action == ActionDelete && caps.Delete {
		ops = append(ops, identity.Delete)
	}
	changes := make([]identity.Change, len(ops))
	for i, op := range ops {
		changes[i] = a.change(op)
	}
	return changes
}

func (a Account) change(op identity.Op) identity.Change {
	c := a.Change
	c.Op = op
	return c
}

// Close takes an account through its steps: disable, revoke, strip, delete, each read back. An account that was closed before, or that is to be
// deleted one day, is read first, and what it still has is taken; whether its sessions were ended cannot be read, so they are ended again.
func Close(ctx context.Context, x *apply.Executor, lane *apply.Lane, caps identity.Capabilities, a Account) Closed {
	have := identity.Account{ID: a.Change.Account, UserName: a.Change.UserName, Active: true}
	r := apply.Result{Account: have, Link: a.Link}
	closed := Closed{}
	if a.Link.State == identity.LinkDisabled || a.deletes() && !a.Change.Person.IsZero() {
		var done bool
		if closed, done = observe(ctx, x, lane, caps, a, &r); done || closed.Err != nil {
			return closed
		}
	}
	if !caps.Disable && (a.Policy.Action != ActionDelete || !caps.Delete) {
		closed.Failed = a.change(identity.Disable)
		closed.Err = fmt.Errorf("%w: it cannot disable accounts; set leaver { action = \"delete\" } or \"report\"", targets.ErrRejected)
		return closed
	}
	for _, c := range a.Changes(caps) {
		switch {
		case c.Op == identity.Strip && len(r.Account.Entitlements) == 0,
			c.Op == identity.Disable && !r.Account.Active,
			c.Op == identity.Delete && caps.Disable && r.Link.Disabled.IsZero() && !a.Change.Person.IsZero(): // R10
			continue
		case c.Op == identity.Strip:
			c.Delta.Withdraw = r.Account.Entitlements
		}
		r = x.Do(ctx, lane, apply.Job{Change: c, Have: r.Account, Link: r.Link, Scope: r.Link.ScopePrint, Uncounted: a.Uncounted})
		if r.Err != nil {
			closed.Failed, closed.Err = c, r.Err
			return closed
		}
		closed.Ops = append(closed.Ops, c.Op)
		if r.Seen == "gone" {
			break
		}
	}
	closed.Proven, closed.Seen, closed.At = true, r.Seen, r.At
	if r.Seen == "" {
		closed.Seen, closed.At = "inactive", x.Now()
	}
	if grace := a.Policy.DeleteAfter; grace > 0 && closed.Seen == "inactive" && !r.Link.Disabled.IsZero() {
		closed.Delete = r.Link.Disabled.Add(grace)
	}
	return closed
}

// observe reads an account that is on record as closed; done is true where it is still so and nothing is left to take away.
func observe(ctx context.Context, x *apply.Executor, lane *apply.Lane, caps identity.Capabilities, a Account, r *apply.Result) (closed Closed, done bool) {
	have, err := lane.Target.Account(ctx, a.Change.Account)
	switch {
	case errors.Is(err, targets.ErrNotFound):
		return Closed{Proven: true, Seen: "gone", At: x.Now()}, true
	case err != nil:
		return Closed{Failed: a.change(identity.Disable), Err: err}, false
	}
	r.Account = have
	if a.Link.State == identity.LinkActive && !have.Active {
		// Somebody else closed it, and what dirsweep did not disable it does not delete.
		*r = x.Do(ctx, lane, apply.Job{Change: a.change(identity.Link), Have: have, Link: a.Link, Scope: a.Link.ScopePrint})
		if r.Err != nil {
			return Closed{Failed: a.change(identity.Link), Err: r.Err}, false
		}
		a.Link = r.Link
	}
	if have.Active || a.Policy.Revoke && caps.Revoke || a.Policy.Strip && len(have.Entitlements) > 0 || a.Policy.Action == ActionDelete {
		return Closed{}, false
	}
	closed = Closed{Proven: true, Seen: "inactive", At: x.Now()}
	if grace := a.Policy.DeleteAfter; grace > 0 && !a.Link.Disabled.IsZero() {
		closed.Delete = a.Link.Disabled.Add(grace)
	}
	return closed, true
}

// Delete removes an account whose grace is over, after one more look: only one that dirsweep itself disabled, and that is still inactive, is
// deleted (R10).
func Delete(ctx context.Context, x *apply.Executor, lane *apply.Lane, a Account) Closed {
	closed := Closed{Failed: a.change(identity.Delete)}
	if a.Link.Disabled.IsZero() {
		closed.Err = fmt.Errorf("%w: dirsweep did not disable it, so it does not delete it", targets.ErrRejected)
		return closed
	}
	have, err := lane.Target.Account(ctx, a.Change.Account)
	switch {
	case errors.Is(err, targets.ErrNotFound):
		return Closed{Proven: true, Seen: "gone", At: x.Now()}
	case err != nil:
		closed.Err = err
		return closed
	case have.Active:
		closed.Err = fmt.Errorf("%w: it was enabled again since", targets.ErrConflict)
		return closed
	}
	r := x.Do(ctx, lane, apply.Job{Change: closed.Failed, Have: have, Link: a.Link})
	if closed.Err = r.Err; r.Err != nil {
		return closed
	}
	return Closed{Proven: true, Seen: r.Seen, At: r.At, Ops: []identity.Op{identity.Delete}}
}
