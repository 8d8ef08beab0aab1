package survey

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// readAll streams every account of the target. It returns the leavers that only now show themselves.
func (s *Survey) readAll(ctx context.Context) (late []people.Leaver, err error) {
	s.Listed = true
	batch := make([]identity.Account, 0, chunk)
	flush := func() error {
		found, err := s.meet(ctx, batch)
		late = append(late, found...)
		s.Count += len(batch)
		batch = batch[:0]
		if s.o.Reading != nil {
			s.o.Reading(s.Count, 0)
		}
		return err
	}
	for a, err := range s.app.Accounts(ctx) {
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
	if s.o.Reading != nil {
		s.o.Reading(s.Count, s.Count)
	}
	return late, s.vanished(ctx)
}

// meet looks at a chunk of accounts: those that are linked are compared, the others parked for correlation.
func (s *Survey) meet(ctx context.Context, batch []identity.Account) (late []people.Leaver, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	err = s.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, a := range batch {
			link, linked, err := v.LinkByAccount(s.Name, a.ID)
			if err != nil {
				return err
			}
			if s.taken.Add(a.UserName); !linked {
				if _, twice := s.parked[a.ID]; twice {
					continue
				}
				if err := s.park(a); err != nil {
					return err
				}
				fitted, err := s.fitted(v, a)
				if err != nil {
					return err
				}
				s.matcher.Account(a, fitted)
				if a.ExternalID != "" {
					s.marks[a.ExternalID] = a.ID
				}
				continue
			}
			if !apply.Bears(link, a) {
				// The identifier is somebody else's now: whoever bears the account's mark is linked to it, and the
				// person's own account is looked for.
				if err := s.park(a); err != nil {
					return err
				}
				if a.ExternalID != "" {
					s.marks[a.ExternalID] = a.ID
				}
				continue
			}
			s.countHeld(a)
			if link.State == identity.LinkActive {
				s.linksSeen++
			} else {
				s.closedSeen[xxhash.Sum64String(string(a.ID))] = struct{}{}
			}
			out, reopened, err := s.compare(ctx, v, link, a)
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

// countHeld counts what a linked account has, where others than those to whom dirsweep granted it may lose it.
func (s *Survey) countHeld(a identity.Account) {
	if s.Mapping.Managed() == nil {
		return
	}
	for _, e := range a.Entitlements {
		s.holders[e.String()]++
	}
}

// fitted is whom an unlinked account fitted in the last whole listing, by the same config and under the same name, or on
// whose books it has come since; zero for nobody, nil where it was not there.
func (s *Survey) fitted(v *state.Reader, a identity.Account) (*identity.PersonID, error) {
	was, known, err := v.Unlinked(s.Name, a.ID)
	booked := was.Fitting == 0
	if err != nil || !known || !booked && was.Fitting != s.fitting || was.UserName != a.UserName {
		return nil, err
	}
	fits := s.view.Heir(was.Fits)
	return &fits, nil
}

// compare plans one linked account. It returns a leaver where the account of one was enabled again by somebody else
// (R11).
func (s *Survey) compare(ctx context.Context, v *state.Reader, link state.Link, have identity.Account) (out people.Leaver, reopened bool, err error) {
	id := s.view.Heir(link.Person)
	i, here := s.people.Roster.Find(id)
	if here {
		if s.Seen.Has(i) {
			return out, false, nil // a search, or a page that repeats itself, finds some twice
		}
		s.Seen.Set(i)
	}
	if !here || !s.view.Scope.Has(i) || s.people.OrderedAt(s.view, link.Person) != "" {
		if !s.people.Selected(link.Person) || link.State != identity.LinkDisabled || !have.Active || s.isAccepted(link.Account) {
			return out, false, nil
		}
		if out, reopened = s.people.Departure(s.view, link); !reopened {
			s.tellUnproven(link)
			s.noteOpened(link)
			return out, false, nil
		}
		if err := s.people.Recall(v, &out); err != nil {
			return out, false, err
		}
		out.Left, out.Noticed, out.Rule, out.Again = time.Time{}, s.o.Now, "R11", leftBefore(link)
		s.o.Find(identity.Finding{
			Kind: "drift", Subject: s.Name + ": " + link.UserName, Target: s.Name, Person: link.Person, Account: link.Account,
			Detail: "a leaver's account was enabled again outside dirsweep; it is closed again",
		})
		return out, true, nil
	}
	if !s.people.Selected(id) {
		return out, false, nil
	}
	if s.unchanged(i, link, have, id) {
		return out, false, nil
	}
	return out, false, s.planLinked(ctx, i, link, have)
}

// noteOpened notes that a closed account is active again, and is left so. What a listing says of one that was closed
// since it began is older than that (S9).
func (s *Survey) noteOpened(link state.Link) {
	if !link.Opened && link.Disabled.Before(s.o.Now) {
		s.opened = append(s.opened, link)
	}
}

// leftBefore reports whether closing an account that is active again is no new departure. What somebody else closed was
// no closing of ours: enabled again, its person leaves as anybody does. Nor is it one where the person was back
// meanwhile.
func leftBefore(link state.Link) bool { return !link.Disabled.IsZero() && !link.Returned }

// tellUnproven tells of a closed account that is active again, while nobody can tell whether its person is there.
func (s *Survey) tellUnproven(link state.Link) {
	why := s.people.Unproven(link.Person)
	if why == "" {
		return
	}
	s.o.Find(identity.Finding{
		Kind: "unproven", Subject: s.Name + ": " + link.UserName, Target: s.Name, Person: link.Person, Account: link.Account,
		Detail: "the account was closed and is active again, and nothing proves that its person has left, so it is left alone: " + why,
	})
}

// unchanged reports whether nothing about an active account, its person or the config is other than when it was last
// written, and nothing about it is open.
func (s *Survey) unchanged(i int, link state.Link, have identity.Account, id identity.PersonID) bool {
	print, scope := s.people.Roster.Row(i).Fingerprint, s.people.ScopePrint(s.view, s.people.Roster.Source(i))
	open := len(link.Unmet) > 0 || !link.Asked.IsZero() || link.AskedName != ""
	return people.Current(s.view, link, print, scope, id) && have.Active && !open && link.Have == have.Fingerprint(s.paths)
}

// wanted is what a person's account should be, as the application can have it.
type wanted struct {
	roster.Entry
	account identity.Account
	print   uint64                 // of the account
	waiting []identity.Entitlement // what cannot be had of what is wanted
}

// wanted evaluates what the person of a row should have; ok is false where the mapping has no answer, which is told.
// login is the one that they have there.
func (s *Survey) wanted(ctx context.Context, i int, login string) (w wanted, ok bool, err error) {
	if w.Entry, w.account, err = s.want(ctx, i, login); err != nil {
		s.expression(w.Entry, err)
		return w, false, nil
	}
	w.waiting, err = s.resolve(ctx, &w.account)
	s.tellUnmanaged(w.Entry, w.waiting)
	w.print = w.account.Fingerprint(s.paths)
	return w, err == nil, err
}

// intended is an account of somebody, linked or not, as plan sees it.
func (s *Survey) intended(ctx context.Context, w wanted, link state.Link, have identity.Account) plan.Intended {
	a := plan.Intended{
		Want: w.account, Have: have, Paths: s.paths, Granted: link.Entitlements, Managed: s.Mapping.Managed(), Waiting: w.waiting,
		Known:    link.Account != "",
		Disabled: link.State == identity.LinkDisabled || !have.Active && !link.Asked.IsZero(), Ours: link.OwnDisable(),
		Repair: true, Enforce: s.OnDrift == "enforce",
	}
	if a.Managed != nil {
		s.spareOwn(ctx, w, &a)
	}
	return a
}

// spareOwn leaves to an account that dirsweep itself signs in as what others granted to it: without that, perhaps nothing
// could be read or written any more (R5).
func (s *Survey) spareOwn(ctx context.Context, w wanted, a *plan.Intended) {
	lost := identity.WithoutEntitlements(plan.Diff(*a).Withdraw, a.Granted)
	if len(lost) == 0 {
		return
	}
	own, is := identity.OwnOf(append(s.people.Own(), s.app.Own(ctx)), w.Person.ID, s.Name, a.Have.ID, a.Have.UserName)
	if !is {
		return
	}
	a.Managed = nil
	s.o.Find(identity.Finding{
		Kind: "own account", Subject: s.Name + ": " + a.Have.UserName, Target: s.Name, Person: w.Person.ID, Account: a.Have.ID,
		Detail: fmt.Sprintf("would lose %s (%s), but %s. Until then it keeps what dirsweep did not grant", quoted(lost), s.Mapping.At("manage"), own),
	})
}

// planLinked compares an account with what it should be, and plans the difference.
func (s *Survey) planLinked(ctx context.Context, i int, link state.Link, have identity.Account) error {
	if !have.Active && link.State == identity.LinkActive {
		if closing, err := s.closing(ctx, link); err != nil || closing {
			s.Left = s.Left || closing
			return err
		}
	}
	w, ok, err := s.wanted(ctx, i, have.UserName)
	if err != nil || !ok {
		return err
	}
	havePrint := have.Fingerprint(s.paths)
	unchanged := link.Want == w.print && link.Mapping == s.Mapping.Print()
	unmet := waitingFor(w.waiting)
	if unchanged {
		unmet = append(unmet, s.leaveOut(w.Person.ID, link, &w.account, have)...)
	}
	intended := s.intended(ctx, w, link, have)
	intended.Unchanged, intended.Settled = unchanged, unchanged && link.Have == havePrint
	intended.Repair = s.OnDrift != "report"
	steps, reported := plan.Steps(intended)
	s.reportDrift(w.Person.ID, have, reported)
	if moved := link.Person != w.Person.ID; moved && (len(steps) == 0 || steps[0].Op != identity.Link) {
		steps = append([]plan.Step{{Op: identity.Link, Cause: identity.Rehired}}, steps...)
	}
	if len(steps) == 0 {
		now := s.refreshed(i, link, w.Entry, have, w.print, havePrint)
		now.Unmet = unmet
		if reported == nil && !reflect.DeepEqual(now, link) {
			s.Refresh = append(s.Refresh, now)
		}
		return nil
	}
	s.addWork(i, w, link, have, steps)
	return nil
}

// closing reports whether dirsweep itself is closing an account just now, or has closed it since the pass began: its being
// inactive is nobody else's doing, and the next pass knows more.
func (s *Survey) closing(ctx context.Context, link state.Link) (closing bool, err error) {
	if s.o.Executor.InFlight.Busy(s.Name, link.Account) {
		return true, nil
	}
	now, linked, err := s.linked(ctx, link.Account)
	return linked && now.State != link.State, err
}

// linked is the link of an account as it is now.
func (s *Survey) linked(ctx context.Context, account identity.AccountID) (link state.Link, linked bool, err error) {
	err = s.o.Ledger.View(ctx, func(v *state.Reader) error {
		link, linked, err = v.LinkByAccount(s.Name, account)
		return err
	})
	return link, linked, err
}

// reportDrift finds what differs from what is wanted and is left as it is.
func (s *Survey) reportDrift(person identity.PersonID, have identity.Account, left *plan.Step) {
	if left == nil {
		return
	}
	f := identity.Finding{
		Kind: "drift", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: person, Account: have.ID,
		Detail: describe(*left) + "; on_drift = \"report\" leaves it",
	}
	if left.Op == identity.Enable {
		f.Kind = "disabled"
		f.Detail = "somebody disabled the account in the application, so it stays disabled: enable it there, or write on_drift = \"enforce\""
	}
	s.o.Find(f)
}

// describe names what was changed.
func describe(step plan.Step) string {
	var paths []string
	for _, a := range step.Delta.Attributes {
		paths = append(paths, a.Path)
	}
	return "changed in the application by somebody else: " + strings.Join(append(paths, identity.EntitlementNames(slices.Concat(step.Delta.Grant, step.Delta.Withdraw))...), ", ")
}

// refreshed is a link as it is remembered of an account that is as wanted.
func (s *Survey) refreshed(i int, link state.Link, e roster.Entry, have identity.Account, want, got uint64) state.Link {
	link.Asked, link.AskedName = time.Time{}, ""
	link.Name, link.UserName, link.Container = e.Person.Name, have.UserName, e.Person.Container()
	link.PersonPrint, link.Want, link.Have = s.people.Roster.Row(i).Fingerprint, want, got
	link.Mapping, link.ScopePrint = s.Mapping.Print(), s.people.ScopePrint(s.view, s.people.Roster.Source(i))
	return link
}

// addWork plans the steps of one account, unless it is protected.
func (s *Survey) addWork(i int, want wanted, link state.Link, have identity.Account, steps []plan.Step) {
	if s.o.Delayed[want.Person.ID] {
		return
	}
	if glob, protected := s.Guard.Protected(append(renamed(steps), have.UserName, link.FirstName)...); protected {
		s.o.Find(identity.Finding{
			Kind: "left alone", Subject: s.Name + ": " + have.UserName, Target: s.Name, Person: want.Person.ID, Account: have.ID,
			Detail: fmt.Sprintf("differs from what the config wants, but %q protects it, by the userName that it has, had or would get", glob),
		})
		return
	}
	have.Attributes = nil // the delta has what matters; the plan keeps no more than it must
	w := Work{row: i, first: len(s.Changes), there: &there{have, link}, waiting: waitingFor(want.waiting)}
	for _, step := range steps {
		if step.Op == identity.Update && !s.caps.Update {
			continue
		}
		s.Changes = append(s.Changes, s.reasoned(identity.Change{
			Op: step.Op, Cause: step.Cause, Rule: s.rule(step), Target: s.Name, Person: want.Person.ID, Name: want.Person.Name,
			Account: have.ID, UserName: have.UserName, Container: want.Person.Container(), Delta: step.Delta,
			PersonPrint: s.people.Roster.Row(i).Fingerprint, WantPrint: want.print,
		}))
	}
	if w.steps = len(s.Changes) - w.first; w.steps > 0 {
		s.Work = append(s.Work, w)
	}
}

// renamed are the userNames that steps would give an account.
func renamed(steps []plan.Step) (names []string) {
	for _, step := range steps {
		if name := step.Delta.UserName(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// rule is the config line, or the rule, behind a step.
func (s *Survey) rule(step plan.Step) string {
	switch {
	case step.Cause == identity.Drifted:
		return "R11"
	case step.Op == identity.Update && len(step.Delta.Attributes) > 0:
		return s.Mapping.At(step.Delta.Attributes[0].Path)
	case step.Op == identity.Update:
		return s.Mapping.At("entitlements")
	}
	return s.Mapping.ScopeAt()
}

// reasoned says of a change why it grants what it grants, and takes what it takes.
func (s *Survey) reasoned(c identity.Change) identity.Change {
	wants := s.Mapping.At("entitlements")
	if len(c.Delta.Grant) > 0 {
		c.GrantRule = wants
	}
	if len(c.Delta.Withdraw) == 0 {
		return c
	}
	c.WithdrawRule = "granted by dirsweep, no longer wanted by " + wants
	if at := s.Mapping.At("manage"); at != "" {
		c.WithdrawRule = "managed by " + at + ", not wanted by " + wants
	}
	return c
}

// want evaluates what a person's account should be. current is the login that they have there, "" for none.
func (s *Survey) want(ctx context.Context, i int, current string) (e roster.Entry, want identity.Account, err error) {
	if e, err = s.people.Roster.Entry(i); err != nil {
		return e, want, err
	}
	want, err = s.Mapping.Account(e.Person, mapping.Logins{Current: current, Taken: func(login string) (bool, error) {
		if taken := s.taken.Has(login); taken || s.Listed {
			return taken, nil
		}
		found, err := s.app.Find(ctx, "userName", login)
		return len(found) > 0, err
	}})
	for _, w := range want.Withheld {
		s.o.Find(identity.Finding{
			Kind: "withheld", Subject: s.Name + ": " + e.Person.Name, Target: s.Name, Person: e.Person.ID,
			Detail: w.Reason + "; " + w.Path + " is left as it is",
		})
	}
	return e, want, err
}

func (s *Survey) expression(e roster.Entry, err error) {
	s.o.Find(identity.Finding{
		Kind: "expression", Subject: s.Name + ": " + e.Person.Name, Target: s.Name, Person: e.Person.ID,
		Detail: err.Error() + "; nothing is done for this person there",
	})
}
