package reconcile

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// survey reads the target and plans what is to be done there: in a full pass every account, else those of people who changed.
func (r *run) survey(ctx context.Context, l *lane) error {
	l.matcher = correlate.New(l.Correlate)
	l.parked = map[identity.AccountID]int64{}
	l.taken = roster.Logins{}
	l.lost = map[int]state.Link{}
	l.marks, l.relinked = map[string]identity.AccountID{}, map[identity.AccountID]bool{}
	l.waiting = map[string]wish{}
	var late []leaver
	var err error
	if r.pass.Mode == Full && r.pass.Person == "" {
		late, err = r.readAll(ctx, l)
	} else {
		late, err = r.readSome(ctx, l)
	}
	if err != nil {
		return err
	}
	more, err := r.matchUnlinked(ctx, l)
	if err != nil {
		return err
	}
	late = append(late, more...)
	if err := r.planJoiners(ctx, l); err != nil {
		return err
	}
	r.tellWaiting(l)
	r.breakCycles(l)
	if err := r.limitChanges(ctx, l); err != nil {
		return err
	}
	accepted, watched := len(l.accepted), len(l.watched)
	if err := r.guard(ctx, late, l); err != nil {
		return err
	}
	for _, out := range slices.Concat(l.accepted[accepted:], l.watched[watched:]) {
		l.changes = append(l.changes, l.account(out).Changes(l.caps)...)
	}
	return nil
}

// readAll streams every account of the target. It returns the leavers that only now show themselves.
func (r *run) readAll(ctx context.Context, l *lane) (late []leaver, err error) {
	l.listed = true
	batch := make([]identity.Account, 0, chunk)
	flush := func() error {
		found, err := r.meet(ctx, l, batch)
		late = append(late, found...)
		l.count += len(batch)
		batch = batch[:0]
		if r.pass.Progress != nil {
			r.pass.Progress.Reading(l.Name, l.count, 0)
		}
		return err
	}
	for a, err := range l.app.Accounts(ctx) {
		if err != nil {
			return nil, err
		}
		if batch = append(batch, a); len(batch) == chunk {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if r.pass.Progress != nil {
		r.pass.Progress.Reading(l.Name, l.count, l.count)
	}
	return late, r.vanished(ctx, l)
}

// meet looks at a chunk of accounts: those that are linked are compared, the others parked for correlation.
func (r *run) meet(ctx context.Context, l *lane, batch []identity.Account) (late []leaver, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, a := range batch {
			link, linked, err := v.LinkByAccount(l.Name, a.ID)
			if err != nil {
				return err
			}
			if l.taken.Add(a.UserName); !linked {
				if _, twice := l.parked[a.ID]; twice {
					continue
				}
				if l.parked[a.ID], err = r.spool.Add(a); err != nil {
					return err
				}
				l.matcher.Account(a)
				if a.ExternalID != "" {
					l.marks[a.ExternalID] = a.ID
				}
				continue
			}
			if !apply.Bears(link, a) {
				// The identifier is somebody else's now: whoever bears the account's mark is linked to it, and the person's own account is
				// looked for.
				if l.parked[a.ID], err = r.spool.Add(a); err != nil {
					return err
				}
				if a.ExternalID != "" {
					l.marks[a.ExternalID] = a.ID
				}
				continue
			}
			if link.State == identity.LinkActive {
				l.linksSeen++
			}
			out, reopened, err := r.compare(ctx, v, l, link, a)
			if err != nil {
				return err
			}
			if reopened {
				late = append(late, out)
			}
		}
		return nil
	})
	return late, err
}

// compare plans one linked account. It returns a leaver where the account of one was enabled again by somebody else (R11).
func (r *run) compare(ctx context.Context, v *state.Reader, l *lane, link state.Link, have identity.Account) (out leaver, reopened bool, err error) {
	id := l.heir(link.Person)
	i, here := r.roster.Find(id)
	if here {
		if l.seen.Has(i) {
			return out, false, nil // a search, or a page that repeats itself, finds some twice
		}
		l.seen.Set(i)
	}
	if !here || !l.scope.Has(i) || r.closure[link.Person] != "" {
		if !r.selected(link.Person) || link.State != identity.LinkDisabled || !have.Active || slices.ContainsFunc(l.accepted, func(o leaver) bool { return o.Account == link.Account }) {
			return out, false, nil
		}
		if out, reopened = r.departure(l, link); !reopened {
			return out, false, nil
		}
		if err := r.recall(v, &out); err != nil {
			return out, false, err
		}
		// What somebody else closed was no closing of ours: enabled again, its person leaves as anybody does.
		out.Left, out.Rule, out.again = r.now, "R11", !link.Disabled.IsZero()
		r.find(identity.Finding{
			Kind: "drift", Subject: l.Name + ": " + link.UserName, Target: l.Name, Person: link.Person, Account: link.Account,
			Detail: "a leaver's account was enabled again outside dirsweep; it is closed again",
		})
		return out, true, nil
	}
	if !r.selected(id) {
		return out, false, nil
	}
	print := r.roster.Row(i).Fingerprint
	if current(l, link, print, r.scopePrint(l, r.roster.Source(i)), id) && have.Active && link.Have == have.Fingerprint(l.paths) && len(link.Unmet) == 0 {
		return out, false, nil
	}
	return out, false, r.planLinked(ctx, l, i, link, have)
}

// planLinked compares an account with what it should be, and plans the difference.
func (r *run) planLinked(ctx context.Context, l *lane, i int, link state.Link, have identity.Account) error {
	e, want, err := r.want(ctx, l, i, have.UserName)
	if err != nil {
		r.expression(l, e, err)
		return nil
	}
	waiting, err := r.resolve(ctx, l, &want)
	if err != nil {
		return err
	}
	wantPrint := want.Fingerprint(l.paths)
	havePrint := have.Fingerprint(l.paths)
	unchanged := link.Want == wantPrint && link.Mapping == l.Mapping.Print()
	unmet := waiting
	if unchanged {
		unmet = append(unmet, r.leaveOut(l, e.Person.ID, link, &want, have)...)
	}
	steps, reported := plan.Steps(plan.Intended{
		Want: want, Have: have, Paths: l.paths, Granted: link.Entitlements, Known: true,
		Disabled:  link.State == identity.LinkDisabled,
		Ours:      !link.Disabled.IsZero(),
		Unchanged: unchanged,
		Settled:   unchanged && link.Have == havePrint,
		Repair:    l.OnDrift != "report",
		Enforce:   l.OnDrift == "enforce",
	})
	r.reportDrift(l, e.Person.ID, have, reported)
	if moved := link.Person != e.Person.ID; moved && (len(steps) == 0 || steps[0].Op != identity.Link) {
		steps = append([]plan.Step{{Op: identity.Link, Cause: identity.Rehired}}, steps...)
	}
	if len(steps) == 0 {
		now := r.refreshed(l, i, link, e, have, wantPrint, havePrint)
		now.Unmet = unmet
		if reported == nil && !reflect.DeepEqual(now, link) {
			l.refresh = append(l.refresh, now)
		}
		return nil
	}
	r.addWork(l, i, e, link, have, steps, wantPrint, waiting)
	return nil
}

// reportDrift finds what differs from what is wanted and is left as it is.
func (r *run) reportDrift(l *lane, person identity.PersonID, have identity.Account, left *plan.Step) {
	if left == nil {
		return
	}
	f := identity.Finding{
		Kind: "drift", Subject: l.Name + ": " + have.UserName, Target: l.Name, Person: person, Account: have.ID,
		Detail: describe(*left) + "; on_drift = \"report\" leaves it",
	}
	if left.Op == identity.Enable {
		f.Kind = "disabled"
		f.Detail = "somebody disabled the account in the application, so it stays disabled: enable it there, or write on_drift = \"enforce\""
	}
	r.find(f)
}

// describe names what was changed.
func describe(s plan.Step) string {
	var paths []string
	for _, a := range s.Delta.Attributes {
		paths = append(paths, a.Path)
	}
	return "changed in the application by somebody else: " + strings.Join(append(paths, identity.EntitlementNames(slices.Concat(s.Delta.Grant, s.Delta.Withdraw))...), ", ")
}

// refreshed is a link as it is remembered of an account that is as wanted.
func (r *run) refreshed(l *lane, i int, link state.Link, e roster.Entry, have identity.Account, want, got uint64) state.Link {
	link.Name, link.UserName, link.Container = e.Person.Name, have.UserName, e.Person.Container()
	link.PersonPrint, link.Want, link.Have = r.roster.Row(i).Fingerprint, want, got
	link.Mapping, link.ScopePrint = l.Mapping.Print(), r.scopePrint(l, r.roster.Source(i))
	return link
}

// addWork plans the steps of one account, unless it is protected.
func (r *run) addWork(l *lane, i int, e roster.Entry, link state.Link, have identity.Account, steps []plan.Step, wantPrint uint64, waiting []string) {
	if l.delayed[e.Person.ID] {
		return
	}
	if glob, protected := l.Guard.Protected(append(renamed(steps), have.UserName, link.FirstName)...); protected {
		r.find(identity.Finding{
			Kind: "left alone", Subject: l.Name + ": " + have.UserName, Target: l.Name, Person: e.Person.ID, Account: have.ID,
			Detail: fmt.Sprintf("differs from what the config wants, but %q protects it, by the userName that it has, had or would get", glob),
		})
		return
	}
	have.Attributes = nil // the delta has what matters; the plan keeps no more than it must
	w := work{row: i, first: len(l.changes), there: &there{have, link}, waiting: waiting}
	for _, s := range steps {
		if s.Op == identity.Update && !l.caps.Update {
			continue
		}
		l.changes = append(l.changes, identity.Change{
			Op: s.Op, Cause: s.Cause, Rule: l.rule(s), Target: l.Name, Person: e.Person.ID, Name: e.Person.Name,
			Account: have.ID, UserName: have.UserName, Container: e.Person.Container(), Delta: s.Delta,
			PersonPrint: r.roster.Row(i).Fingerprint, WantPrint: wantPrint,
		})
	}
	if w.steps = len(l.changes) - w.first; w.steps > 0 {
		l.work = append(l.work, w)
	}
}

// renamed are the userNames that steps would give an account.
func renamed(steps []plan.Step) (names []string) {
	for _, s := range steps {
		for _, a := range s.Delta.Attributes {
			if a.Path == "userName" {
				names = append(names, a.After.Text())
			}
		}
	}
	return names
}

// rule is the config line, or the rule, behind a step.
func (l *lane) rule(s plan.Step) string {
	switch {
	case s.Cause == identity.Drifted:
		return "R11"
	case s.Op == identity.Update && len(s.Delta.Attributes) > 0:
		return l.Mapping.At(s.Delta.Attributes[0].Path)
	}
	return l.Mapping.ScopeAt()
}

// want evaluates what a person's account should be. current is the login that they have there, "" for none.
func (r *run) want(ctx context.Context, l *lane, i int, current string) (e roster.Entry, want identity.Account, err error) {
	if e, err = r.roster.Entry(i); err != nil {
		return e, want, err
	}
	want, err = l.Mapping.Account(e.Person, mapping.Logins{Current: current, Taken: func(login string) (bool, error) {
		if taken := l.taken.Has(login); taken || l.listed {
			return taken, nil
		}
		found, err := l.app.Find(ctx, "userName", login)
		return len(found) > 0, err
	}})
	for _, w := range want.Withheld {
		r.find(identity.Finding{
			Kind: "withheld", Subject: l.Name + ": " + e.Person.Name, Target: l.Name, Person: e.Person.ID,
			Detail: w.Reason + "; " + w.Path + " is left as it is",
		})
	}
	return e, want, err
}

func (r *run) expression(l *lane, e roster.Entry, err error) {
	r.find(identity.Finding{
		Kind: "expression", Subject: l.Name + ": " + e.Person.Name, Target: l.Name, Person: e.Person.ID,
		Detail: err.Error() + "; nothing is done for this person there",
	})
}
