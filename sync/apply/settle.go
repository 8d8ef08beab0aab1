package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// settle tells the audit trail first and then, in one transaction, removes the intent and records the link: a crash
// between the two repeats the telling, never loses it.
func (x *Executor) settle(ctx context.Context, p *Pass, intent state.Intent, job Job, r Result) Result {
	head, err := x.Trail.Append(ctx, x.record(job.Change, r, outcome(r.Err)))
	if err != nil {
		// What was done stays an intent, to be told by the next pass; nothing more is done that cannot be told (R16).
		err = fmt.Errorf("the audit trail cannot be written: %w", err)
		p.Break(err)
		r.Err = errors.Join(r.Err, err)
		return r
	}
	link := job.Link
	switch {
	case r.Err == nil:
		link = after(p, job, r)
	case job.Change.Op == identity.Finish:
		link.Kept = keeping(link.Kept, job.Change.Step, r.Kept) // the call may have had its effect
	case errors.Is(r.Err, targets.ErrUnavailable):
		link = asked(job, r.At)
	}
	err = x.conclude(ctx, intent, job, link, r.Err == nil, r.At, head)
	if linkedOtherwise := errors.Is(err, state.ErrLinked); err != nil && (!linkedOtherwise || !job.Change.Op.Sweeps()) {
		r.Err = errors.Join(r.Err, fmt.Errorf("settle: %w", err))
		return r
	}
	r.Link = link
	return r
}

// conclude removes the intent and, of a change that was done, records the link. Where the account or the person has
// been linked otherwise since, what is remembered stands, and the error is a state.ErrLinked: the intent is removed all
// the same, or it would be looked into for ever.
func (x *Executor) conclude(
	ctx context.Context, intent state.Intent, job Job, link state.Link, done bool, at time.Time, head audit.Head,
) error {
	put := func(w *state.Writer) error {
		if !done {
			return noteAsked(w, link)
		}
		if err := putLink(w, job, link, at); err != nil || job.Also == nil {
			return err
		}
		return job.Also(w)
	}
	settle := func(put func(*state.Writer) error) error {
		return x.Ledger.Update(ctx, func(w *state.Writer) error {
			return errors.Join(w.Settle(intent.Seq), put(w), advanceHead(w, head))
		})
	}
	err := settle(put)
	if !errors.Is(err, state.ErrLinked) {
		return err
	}
	x.Log.Error("a change that was done is not remembered",
		"target", job.Change.Target, "account", job.Change.UserName, "error", err)
	return cmp.Or(settle(func(*state.Writer) error { return nil }), err)
}

// asked is a job's link with what the application was asked for and gave no answer about: it may have been done.
func asked(job Job, at time.Time) state.Link {
	link := job.Link
	switch job.Change.Op {
	case identity.Disable:
		link.Asked = at
	case identity.Update:
		link.AskedName = cmp.Or(job.Change.Delta.UserName(), link.AskedName)
		link.Entitlements = granted(link.Entitlements, identity.Delta{Grant: job.Change.Delta.Grant}) // to be taken back one day
	}
	return link
}

// noteAsked remembers of a link, where it still leads to that account, what was asked of the application, and that the
// account was seen active.
func noteAsked(w *state.Writer, link state.Link) error {
	if link.Target == "" {
		return nil
	}
	now, ok, err := w.Link(link.Target, link.Person)
	same := now.Asked.Equal(link.Asked) && now.AskedName == link.AskedName && slices.Equal(now.Entitlements, link.Entitlements) &&
		maps.Equal(now.Kept, link.Kept)
	opened := now.Opened
	if link.Opened {
		now.SeenActive(link.Disabled)
	}
	if err != nil || !ok || now.Account != link.Account || same && now.Opened == opened {
		return err
	}
	now.Asked, now.AskedName, now.Entitlements, now.Kept = link.Asked, link.AskedName, link.Entitlements, link.Kept
	return w.PutLink(now)
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

// HoldsTold are the records of holds that were made at an instant, by a pass or, "", by a sweeper.
func HoldsTold(holds []identity.Hold, at time.Time, pass string) []audit.Record {
	told := make([]audit.Record, 0, len(holds))
	for _, h := range holds {
		told = append(told, audit.Record{
			At: at, Pass: pass, Kind: audit.Hold, Target: h.Target, Cause: string(h.Cause), Outcome: "held",
			Note: fmt.Sprintf("%s: %d accounts: %s", h.Digest, h.Count, h.Reason),
		})
	}
	return told
}

func putLink(w *state.Writer, job Job, link state.Link, at time.Time) error {
	displaced, err := displace(w, job, link)
	if err != nil {
		return err
	}
	if job.Change.Op.Sweeps() {
		// A second account of somebody is closed, not remembered in place of the first.
		first, known, err := w.Link(job.Change.Target, job.Change.Person)
		if err != nil || known && first.Account != cmp.Or(link.Account, job.Link.Account) {
			return err
		}
	}
	if !job.Link.Person.IsZero() && (link.Target == "" || job.Link.Person != link.Person || job.Link.Account != link.Account) {
		if err := w.DeleteLink(job.Link.Target, job.Link.Person); err != nil {
			return err
		}
	}
	if link.Target == "" {
		if job.Link.Person.IsZero() {
			return nil
		}
		// With the link, since nothing else may know the account by then, where the change was cut short (R11).
		return w.PutTombstone(job.Link.Tombstone(at))
	}
	if job.Change.Op == identity.Create {
		// Found, and linked, by somebody else since it was made: an order that closed it, say. What it was made with is
		// known here alone.
		if known, linked, err := w.Link(link.Target, link.Person); err != nil {
			return err
		} else if linked && known.Account == link.Account {
			known.Entitlements = granted(known.Entitlements, identity.Delta{Grant: link.Entitlements})
			return w.PutLink(known)
		}
		if err := closedSince(w, &link); err != nil {
			return err
		}
	}
	if err := w.PutLink(link); err != nil || displaced.Target == "" {
		return err
	}
	return w.PutLink(displaced)
}

// closedSince notes of an account that turned out to have been made that dirsweep has closed it since, as a second one
// of its person.
func closedSince(w *state.Writer, link *state.Link) error {
	c, _, err := w.Case(link.Person)
	if err != nil {
		return err
	}
	for _, s := range c.Steps {
		if s.Target == link.Target && s.Account == link.Account && s.Status == state.StepProven {
			link.State, link.Disabled = identity.LinkDisabled, s.At
		}
	}
	return nil
}

// displace takes another person's link off an account that is proven to be this one's: identifiers that were traded.
// The other gets the identifier that this one had; whether it is theirs is seen before anything is written there.
func displace(w *state.Writer, job Job, link state.Link) (displaced state.Link, err error) {
	if job.Change.Op != identity.Link || link.Target == "" {
		return displaced, nil
	}
	holder, linked, err := w.LinkByAccount(link.Target, link.Account)
	if err != nil || !linked || holder.Person == link.Person || Bears(holder, job.Have) {
		return displaced, err
	}
	was, known, err := w.Link(link.Target, link.Person)
	if err != nil || !known {
		return displaced, err
	}
	holder.Account = was.Account
	holder.PersonPrint, holder.Have = 0, 0
	return holder, w.DeleteLink(holder.Target, holder.Person)
}

// after is what is remembered of the account once a change has succeeded; the zero link where there is nothing left to
// remember.
func after(p *Pass, job Job, r Result) state.Link {
	c := job.Change
	link := job.Link
	if c.Person.IsZero() || c.Op == identity.Delete || r.Seen == SeenGone {
		return state.Link{}
	}
	link.Target, link.Person, link.Name = c.Target, c.Person, c.Name
	if link.Account != r.Account.ID {
		link.Account, link.ExternalID = r.Account.ID, ""
		link.PersonPrint, link.Want, link.Have, link.Unmet = 0, 0, 0, nil // nothing is known of how this one was written
		link.Disabled, link.Opened, link.Kept = time.Time{}, false, nil
	}
	if r.Account.UserName != "" {
		link.UserName = r.Account.UserName
	}
	if r.Account.ExternalID != "" {
		link.ExternalID = r.Account.ExternalID
	}
	if c.Container != "" {
		link.Container = c.Container
	}
	link.FirstName = cmp.Or(job.Link.FirstName, job.Link.UserName, link.UserName)
	switch c.Op {
	case identity.Disable:
		link.State, link.Disabled, link.Asked, link.Returned = identity.LinkDisabled, r.At, time.Time{}, false
		link.Opened = false
	case identity.Finish:
		link.Kept = keeping(link.Kept, c.Step, r.Kept)
	case identity.Enable, identity.Create:
		if link.OwnDisable() {
			link.Kept = nil // it is undone
		}
		link.Enabled()
		link.Asked, link.Returned = time.Time{}, false
	case identity.Link:
		link.State = identity.LinkDisabled
		if r.Account.Active {
			link.Enabled()
			link.Returned = false
		} else if link.Asked.After(link.Disabled) {
			link.Disabled = r.At // it was dirsweep, which had no answer
		} else {
			link.Disabled = link.OwnSince()
		}
		link.Asked, link.Opened = time.Time{}, false
	case identity.Update:
		link.AskedName = ""
	}
	switch c.Op {
	case identity.Create:
		link.Created = true
		link.Entitlements = slices.Clone(job.Want.Entitlements)
	case identity.Update:
		link.Entitlements = granted(link.Entitlements, c.Delta)
	case identity.Strip:
		link.Entitlements = identity.WithoutEntitlements(link.Entitlements, c.Delta.Withdraw)
	}
	link.ScopePrint = job.Scope
	if c.Op == identity.Create || c.Op == identity.Update {
		link.PersonPrint, link.Want, link.Mapping = c.PersonPrint, c.WantPrint, job.Mapping
		link.Have = r.Account.Fingerprint(p.s.o.Paths)
		link.Unmet = unmet(link.Unmet, c.Delta, r.Refused, job.Waiting)
		lacks := len(identity.WithoutEntitlements(job.Want.Entitlements, r.Account.Entitlements)) > 0
		if c.Op == identity.Create && (lacks || r.Found) { // not all as wanted: to be looked at again
			link.PersonPrint, link.Want = 0, 0
			if !r.Unanswered && !r.Account.EntitlementsUnknown {
				// What somebody else has granted since it was made is theirs (R12).
				others := identity.WithoutEntitlements(r.Account.Entitlements, job.Want.Entitlements)
				link.Entitlements = identity.WithoutEntitlements(r.Account.Entitlements, others)
			}
		}
	}
	return link
}

// Waiting is what those of Link.Unmet begin with that are no attributes: entitlements that the application lacks.
const Waiting = "entitlement "

// unmet is what is wanted and the application does not take or have: what it lacks, attributes that it refused now, and
// those from before that were not tried again.
func unmet(before []string, d identity.Delta, refused []targets.Refusal, waiting []string) (now []string) {
	now = slices.Clone(waiting)
	for _, path := range before {
		if !strings.HasPrefix(path, Waiting) && !slices.ContainsFunc(d.Attributes, func(a identity.AttributeChange) bool { return a.Path == path }) {
			now = append(now, path)
		}
	}
	for _, r := range refused {
		now = append(now, r.Path)
	}
	slices.Sort(now)
	return slices.Compact(now)
}

func granted(before []identity.Entitlement, d identity.Delta) []identity.Entitlement {
	after := identity.WithoutEntitlements(before, d.Withdraw)
	return identity.SortedEntitlements(append(after, identity.WithoutEntitlements(d.Grant, after)...))
}

// record is what the audit trail is told (R16).
func (x *Executor) record(c identity.Change, r Result, outcome string) audit.Record {
	rec := audit.Record{
		At: r.At, Pass: x.Pass, Kind: audit.Change, Op: string(c.Op), Cause: string(c.Cause), Rule: c.Rule,
		Target: c.Target, Person: c.Person.String(), Name: c.Name, Account: string(c.Account), UserName: c.UserName, Step: c.Step,
		Outcome: outcome, Seen: r.Seen, RequestID: r.Receipt.RequestID, Note: note(c, r),
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
	if r.Kept != "" {
		before[c.Step] = identity.Text(r.Kept)
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

// note tells why entitlements were taken away, and what of a change was not taken, or not proven.
func note(c identity.Change, r Result) string {
	var notes []string
	if len(c.Delta.Withdraw) > 0 && c.WithdrawRule != "" {
		notes = append(notes, "entitlements withdrawn: "+c.WithdrawRule)
	}
	for _, refused := range r.Refused {
		notes = append(notes, fmt.Sprintf("the application refused %s: %s", refused.Path, refused.Why))
	}
	if len(r.Sent) > 0 {
		notes = append(notes, fmt.Sprintf("sent, not provable: taking away %s; the application shows nobody's entitlements",
			strings.Join(identity.EntitlementNames(r.Sent), ", ")))
	}
	return strings.Join(notes, "; ")
}

// An Unfinished change is an intent with the job that it was for, but for the link, which is as it is by then.
type Unfinished struct {
	Intent state.Intent
	Job    Job
}

// An Unsettled change is one that could not be looked into.
type Unsettled struct {
	Intent state.Intent
	Err    error
}

// Recover looks into what a crash, a stop or a lost answer left open (R7): for each intent it asks the target whether
// the change is there, and settles it as found done or found not done. Nothing is repeated here: what follows plans
// again from what is. Those that could not be looked into are returned: each delays its account, and nothing else.
func (x *Executor) Recover(ctx context.Context, p *Pass, open []Unfinished) (left []Unsettled) {
	for _, u := range open {
		if err := x.recover(ctx, p, u); err != nil {
			left = append(left, Unsettled{u.Intent, fmt.Errorf("look into an unfinished %s of %s: %w", u.Intent.Change.Op, u.Intent.Change.Name, err)})
		}
	}
	return left
}

func (x *Executor) recover(ctx context.Context, p *Pass, u Unfinished) error {
	if u.Intent.Change.Op.Sweeps() {
		ctx = ForLeavers(ctx)
	}
	var err error
	if u.Job.Link, err = x.linkOf(ctx, u.Job.Change); err != nil {
		return err
	}
	r, done, err := x.inspect(ctx, p, u.Job)
	if err != nil {
		return err
	}
	if r.At = x.Now(); r.Seen == SeenActive {
		u.Job.Link.SeenActive(u.Job.Link.Disabled)
	}
	return x.settleFound(ctx, p, u.Intent, u.Job, r, done)
}

// linkOf is what is remembered of the account of a change by now: what came of an earlier one to it may have been found
// out just before.
func (x *Executor) linkOf(ctx context.Context, c identity.Change) (link state.Link, err error) {
	err = x.Ledger.View(ctx, func(r *state.Reader) error {
		if c.Op == identity.Create {
			link, _, err = r.Link(c.Target, c.Person)
		} else {
			link, _, err = r.LinkByAccount(c.Target, c.Account)
		}
		return err
	})
	if err != nil {
		return link, fmt.Errorf("read the state: %w", err)
	}
	return link, nil
}

func (x *Executor) settleFound(ctx context.Context, p *Pass, intent state.Intent, job Job, r Result, done bool) error {
	told := audit.FoundNotDone
	if done {
		told = audit.FoundDone
	}
	head, err := x.Trail.Append(ctx, x.record(intent.Change, r, told))
	if err != nil {
		err = fmt.Errorf("the audit trail cannot be written: %w", err)
		p.Break(err)
		return err
	}
	link := job.Link
	if done {
		link = after(p, job, r)
	}
	if err = x.conclude(ctx, intent, job, link, done, r.At, head); errors.Is(err, state.ErrLinked) {
		return nil // what is remembered stands
	}
	return err
}

// inspect asks the target whether an intended change is there. One to an identifier that names another account now is
// not.
func (x *Executor) inspect(ctx context.Context, p *Pass, job Job) (r Result, done bool, err error) {
	c := job.Change
	if c.Op == identity.Create {
		var own identity.Account
		err = p.call(ctx, "", func(ctx context.Context) (err error) {
			own, err = x.Own(ctx, p, c.Person, job.Want)
			return err
		})
		if errors.Is(err, ErrTaken) {
			return r, false, nil
		}
		if err == nil && own.ID != "" && len(job.Want.Entitlements) > 0 {
			own.Entitlements = job.Want.Entitlements // some applications can only be asked about each
			own, err = p.Entitlements(ctx, own)      // what was granted is to be taken away one day
		}
		return Result{Account: own, Found: true}, own.ID != "", err
	}
	link := bearing(job)
	have, err := p.Account(ctx, link.Account)
	if err == nil && (len(c.Delta.Grant)+len(c.Delta.Withdraw) > 0 || c.Op == identity.Strip) {
		have, err = p.Entitlements(ctx, have)
	}
	switch {
	case err == nil && !Bears(link, have):
		r.Account = identity.Account{ID: link.Account, UserName: link.UserName}
		return r, false, nil
	case err == nil:
		r.Account, r.Seen = have, seen(have)
	case !p.absent(link.Account, err):
		return r, false, err
	default:
		v := x.prove(ctx, p, link, err, Facts{Disabled: p.hidden(link), Deleted: c.Op == identity.Delete})
		r.judged(v, link, err)
		if second := (*SecondError)(nil); errors.As(r.Err, &second) { // it has another identifier now
			return Result{Account: identity.Account{ID: link.Account, UserName: link.UserName}}, false, nil
		}
		if r.Err != nil {
			return r, false, r.Err
		}
	}
	gone := r.Seen == SeenGone
	switch c.Op {
	case identity.Disable:
		done = r.Seen != SeenActive
	case identity.Delete:
		done = gone
	case identity.Enable:
		done = r.Seen == SeenActive
	case identity.Finish:
		if r.Seen == SeenInactive {
			done, err = p.finished(ctx, c.Step, have)
			return r, done, err
		}
		done = gone
	case identity.Strip:
		done = gone || withdrawn(have, c.Delta.Withdraw) == nil && !have.EntitlementsUnknown
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
	return !have.EntitlementsUnknown && len(identity.WithoutEntitlements(d.Grant, have.Entitlements)) == 0 && withdrawn(have, d.Withdraw) == nil
}
