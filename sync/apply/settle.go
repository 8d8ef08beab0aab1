package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// settle tells the audit trail first and then, in one transaction, removes the intent and records the link: a crash between the two
// repeats the telling, never loses it.
func (x *Executor) settle(ctx context.Context, lane *Lane, intent state.Intent, job Job, r Result) Result {
	head, err := x.Trail.Append(ctx, x.record(job.Change, r, outcome(r.Err)))
	if err != nil {
		// What was done stays an intent, to be told by the next pass; nothing more is done that cannot be told (R16).
		err = fmt.Errorf("the audit trail cannot be written: %w", err)
		lane.Break(err)
		r.Err = errors.Join(r.Err, err)
		return r
	}
	link := job.Link
	if r.Err == nil {
		link = after(lane, job, r)
	}
	if err := x.conclude(ctx, intent, job, link, r.Err == nil, r.At, head); err != nil {
		r.Err = errors.Join(r.Err, fmt.Errorf("settle: %w", err))
		return r
	}
	r.Link = link
	return r
}

// conclude removes the intent and, of a change that was done, records the link and what counts for the guard's window.
func (x *Executor) conclude(ctx context.Context, intent state.Intent, job Job, link state.Link, done bool, at time.Time, head audit.Head) error {
	c := job.Change
	return x.Ledger.Update(ctx, func(w *state.Writer) error {
		if err := w.Settle(intent.Seq); err != nil {
			return err
		}
		if done {
			if err := putLink(w, job, link); err != nil {
				return err
			}
			if (c.Op == identity.Disable || c.Op == identity.Delete) && c.Cause != identity.Emergency && !job.Uncounted && job.Link.State == identity.LinkActive {
				if err := w.AddSwept(c.Target, c.Account, at); err != nil {
					return err
				}
			}
		}
		return advanceHead(w, head)
	})
}

// advanceHead never moves the head back: appends and commits of several goroutines may pass each other.
func advanceHead(w *state.Writer, head audit.Head) error {
	known, _, err := w.AuditHead()
	if err != nil || known.Seq >= head.Seq {
		return err
	}
	return w.SetAuditHead(state.AuditHead(head))
}

// Told records an event that is no change of an account (a hold, an approval, a new config) in the trail and the state.
func Told(ctx context.Context, ledger *state.Ledger, trail *audit.Trail, records ...audit.Record) error {
	if len(records) == 0 {
		return nil
	}
	head, err := trail.Append(ctx, records...)
	if err != nil {
		return fmt.Errorf("the audit trail cannot be written: %w", err)
	}
	return ledger.Update(ctx, func(w *state.Writer) error { return advanceHead(w, head) })
}

func putLink(w *state.Writer, job Job, link state.Link) error {
	if !job.Link.Person.IsZero() && (link.Target == "" || job.Link.Person != link.Person || job.Link.Account != link.Account) {
		if err := w.DeleteLink(job.Link.Target, job.Link.Person); err != nil {
			return err
		}
	}
	if link.Target == "" {
		return nil
	}
	if job.Change.Op.Sweeps() && job.Link.Target == "" {
		// A second account of somebody is closed, not remembered in place of the first.
		if first, ok, err := w.Link(link.Target, link.Person); err != nil || ok && first.Account != link.Account {
			return err
		}
	}
	return w.PutLink(link)
}

// after is what is remembered of the account once a change has succeeded; the zero link where there is nothing left to remember.
func after(lane *Lane, job Job, r Result) state.Link {
	c := job.Change
	link := job.Link
	if c.Person.IsZero() || c.Op == identity.Delete || r.Seen == "gone" {
		return state.Link{}
	}
	link.Target, link.Person, link.Name = c.Target, c.Person, c.Name
	link.Account = r.Account.ID
	if r.Account.UserName != "" {
		link.UserName = r.Account.UserName
	}
	if c.Container != "" {
		link.Container = c.Container
	}
	switch c.Op {
	case identity.Disable:
		link.State, link.Disabled = identity.LinkDisabled, r.At
	case identity.Enable, identity.Create:
		link.State, link.Disabled = identity.LinkActive, time.Time{}
	case identity.Link:
		link.State = identity.LinkDisabled
		if r.Account.Active {
			link.State, link.Disabled = identity.LinkActive, time.Time{}
		}
	}
	switch c.Op {
	case identity.Create:
		link.Created = true
		link.Entitlements = slices.Clone(job.Want.Entitlements)
	case identity.Update:
		link.Entitlements = granted(link.Entitlements, c.Delta)
	case identity.Strip:
		link.Entitlements = nil
	}
	link.ScopePrint = job.Scope
	if c.Op == identity.Create || c.Op == identity.Update {
		link.PersonPrint, link.Want, link.Mapping = c.PersonPrint, c.WantPrint, job.Mapping
		link.Have = r.Account.Fingerprint(lane.Paths)
		if c.Op == identity.Create && len(identity.WithoutEntitlements(job.Want.Entitlements, r.Account.Entitlements)) > 0 {
			link.Want, link.Entitlements = 0, slices.Clone(r.Account.Entitlements) // not all as wanted: to be looked at again
		}
	}
	return link
}

func granted(before []identity.Entitlement, d identity.Delta) []identity.Entitlement {
	after := identity.WithoutEntitlements(before, d.Withdraw)
	return identity.SortedEntitlements(append(after, identity.WithoutEntitlements(d.Grant, after)...))
}

// record is what the audit trail is told (R16).
func (x *Executor) record(c identity.Change, r Result, outcome string) audit.Record {
	rec := audit.Record{
		At: r.At, Pass: x.Pass, Kind: audit.Change, Op: string(c.Op), Cause: string(c.Cause), Rule: c.Rule,
		Target: c.Target, Person: c.Person.String(), Name: c.Name, Account: string(c.Account), UserName: c.UserName,
		Outcome: outcome, Seen: r.Seen,
	}
	if c.Person.IsZero() {
		rec.Person = ""
	}
	if rec.Account == "" {
		rec.Account = string(r.Account.ID)
	}
	if rec.UserName == "" {
		rec.UserName = r.Account.UserName
	}
	if r.Err != nil {
		rec.Error = r.Err.Error()
	}
	before, after := audit.Values{}, audit.Values{}
	for _, a := range c.Delta.Attributes {
		before[a.Path], after[a.Path] = a.Before, a.After
	}
	if len(c.Delta.Grant) > 0 {
		after["entitlements granted"] = identity.Texts(identity.EntitlementNames(c.Delta.Grant)...)
	}
	if len(c.Delta.Withdraw) > 0 {
		before["entitlements withdrawn"] = identity.Texts(identity.EntitlementNames(c.Delta.Withdraw)...)
	}
	switch c.Op {
	case identity.Disable:
		before["active"], after["active"] = "true", "false"
	case identity.Enable:
		before["active"], after["active"] = "false", "true"
	}
	rec.Before, rec.After = before, after
	return rec
}

// An Unfinished change is an intent with the job that it was for.
type Unfinished struct {
	Intent state.Intent
	Job    Job
}

// Recover looks into what a crash, a stop or a lost answer left open (R7): for each intent of the lane's target it asks the target whether the
// change is there, and settles it as found done or found not done. Nothing is repeated here: the pass that follows plans again from
// what is. An error means that the target gave no answer; its intents stay, and it must take no part in this pass.
func (x *Executor) Recover(ctx context.Context, lane *Lane, open []Unfinished) error {
	for _, u := range open {
		intent, j := u.Intent, u.Job
		var r Result
		var done bool
		err := lane.call(ctx, intent.Change.Op.Sweeps(), func(ctx context.Context) (err error) {
			r, done, err = x.look(ctx, lane, j)
			return err
		})
		if err != nil {
			return fmt.Errorf("look into an unfinished %s of %s: %w", intent.Change.Op, intent.Change.Name, err)
		}
		r.At = x.Now()
		if err := x.settleFound(ctx, lane, intent, j, r, done); err != nil {
			return err
		}
	}
	return nil
}

func (x *Executor) settleFound(ctx context.Context, lane *Lane, intent state.Intent, job Job, r Result, done bool) error {
	told := audit.FoundNotDone
	if done {
		told = audit.FoundDone
	}
	head, err := x.Trail.Append(ctx, x.record(intent.Change, r, told))
	if err != nil {
		return fmt.Errorf("the audit trail cannot be written: %w", err)
	}
	err = x.conclude(ctx, intent, job, after(lane, job, r), done, r.At, head)
	if errors.Is(err, state.ErrLinked) {
		// The account or the person has been linked otherwise since. What is remembered stands, or this intent would stop every pass to come.
		x.Log.Error("a change found done is not remembered", "target", lane.Name, "account", job.Change.UserName, "error", err)
		err = x.conclude(ctx, intent, job, state.Link{}, false, r.At, head)
	}
	return err
}

// look asks the target whether an intended change is there.
func (x *Executor) look(ctx context.Context, lane *Lane, job Job) (r Result, done bool, err error) {
	c := job.Change
	if c.Op == identity.Create {
		own, err := x.Own(ctx, lane, c.Person, job.Want)
		if errors.Is(err, ErrTaken) {
			return r, false, nil
		}
		return Result{Account: own}, own.ID != "", err
	}
	have, err := lane.Target.Account(ctx, c.Account)
	gone := errors.Is(err, targets.ErrNotFound)
	if err != nil && !gone {
		return r, false, err
	}
	r.Account = have
	switch {
	case gone:
		r.Seen, r.Account.ID = "gone", c.Account
	case !have.Active:
		r.Seen = "inactive"
	default:
		r.Seen = "active"
	}
	switch c.Op {
	case identity.Disable:
		done = gone || !have.Active
	case identity.Delete:
		done = gone
	case identity.Enable:
		done = !gone && have.Active
	case identity.Strip:
		done = gone || len(have.Entitlements) == 0
	case identity.Update:
		done = !gone && holds(have, c.Delta)
	}
	return r, done, nil
}

func holds(have identity.Account, d identity.Delta) bool {
	for _, a := range d.Attributes {
		if !a.After.Covers(have.Get(a.Path)) {
			return false
		}
	}
	return len(identity.WithoutEntitlements(d.Grant, have.Entitlements)) == 0
}
