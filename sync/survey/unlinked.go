package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// matchUnlinked correlates the people without a link with the accounts without one.
func (s *Survey) matchUnlinked(ctx context.Context) (late []people.Leaver, err error) {
	blocked := map[identity.PersonID]bool{}
	matched := map[identity.PersonID]bool{}
	if s.matcher.Len() > 0 {
		if err := s.unlinkedPeople(ctx); err != nil {
			return nil, err
		}
		for _, m := range s.matcher.Result() {
			if s.relinked[m.Account] {
				continue
			}
			if m, err = s.predecessors(ctx, m); err != nil {
				return nil, err
			}
			for _, id := range m.People {
				blocked[id] = true
			}
			if m.Situation == identity.Unlinked {
				matched[m.Person] = true
			}
			if !s.people.Claimable(s.view) {
				continue // somebody whom nobody could read now may have the better claim
			}
			out, leaving, err := s.matched(ctx, m)
			if err != nil {
				return nil, err
			}
			if leaving {
				late = append(late, out)
			}
		}
	}
	for i := range s.people.RowsOf(s.view) {
		if !s.view.Scope.Has(i) || s.view.Linked.Has(i) || s.view.Unsure.Has(i) || s.seenBefore(i) {
			continue
		}
		e, err := s.people.Roster.Entry(i)
		if err != nil {
			return nil, err
		}
		if id := e.Person.ID; s.people.Selected(id) && !matched[id] && !blocked[id] && s.people.Ordered(id) == "" {
			s.joiners = append(s.joiners, i)
		}
	}
	return late, nil
}

// predecessors disputes a fit by a name that the account of somebody else bore, which is not to be found any more: it may
// be that one, under another identifier (R3).
func (s *Survey) predecessors(ctx context.Context, m correlate.Match) (correlate.Match, error) {
	if m.Situation != identity.Unlinked || m.By == "externalId" {
		return m, nil
	}
	same := func(id identity.PersonID) bool { return s.view.Heir(id) == m.Person }
	was, known, err := Predecessor(ctx, s.app, s.o.Ledger, m.UserName, s.rivals[m.Account], same)
	if err != nil || !known {
		return m, err
	}
	m.Situation, m.People = identity.Disputed, []identity.PersonID{m.Person}
	m.Why = fmt.Sprintf("it may be the account of %s (%s), which bore this userName and is not there any more under %s",
		was.Name, was.Person, was.Account)
	m.Fitted = &was.Person
	return m, nil
}

// Predecessor is whose account one that nobody is linked to may be under another identifier, where that is not who is
// thought of: an account of theirs bore its userName, and is not to be found any more. bore is the link of such an
// account, the zero one where there is none.
func Predecessor(
	ctx context.Context, app *apply.Pass, ledger *state.Ledger, userName string, bore state.Link,
	thoughtOf func(identity.PersonID) bool,
) (was state.Link, known bool, err error) {
	linked := bore.Account != ""
	if !linked {
		tomb, _, gone, err := tombstone(ctx, ledger, app.Session().Name(), identity.Account{UserName: userName})
		if err != nil || !gone {
			return was, false, err
		}
		bore = state.Link{Person: tomb.Person, Name: tomb.Name, Account: tomb.Account}
	}
	if thoughtOf(bore.Person) {
		return was, false, nil
	}
	if linked { // who has a tombstone was proven gone
		now, err := app.Account(ctx, bore.Account)
		switch {
		case err == nil && apply.Bears(bore, now):
			return was, false, nil
		case err != nil && !errors.Is(err, targets.ErrNotFound):
			return was, false, err
		}
	}
	return bore, true, nil
}

// unlinkedPeople gives the matcher everybody without a link, also those who should have no account: one that they have
// is to be closed.
func (s *Survey) unlinkedPeople(ctx context.Context) error {
	for i := range s.people.RowsOf(s.view) {
		if s.view.Linked.Has(i) || s.view.Unsure.Has(i) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, want, err := s.want(ctx, i, "")
		switch {
		case err == nil && s.people.Selected(e.Person.ID):
			s.matcher.Person(e.Person.ID, want)
		case err != nil && s.view.Scope.Has(i):
			s.expression(e, err)
			s.view.Unsure.Set(i)
		}
	}
	return nil
}

// matched plans what follows from one account's correlation.
func (s *Survey) matched(ctx context.Context, m correlate.Match) (out people.Leaver, leaving bool, err error) {
	have, err := s.parkedAccount(m.Account)
	if err != nil {
		return out, false, err
	}
	switch m.Situation {
	case identity.Unmatched:
		return s.orphan(ctx, have)
	case identity.Disputed:
		people := make([]string, len(m.People))
		for i, id := range m.People {
			people[i] = id.String()
		}
		s.o.Find(identity.Finding{
			Kind: "disputed", Subject: s.Name + ": " + m.UserName, Target: s.Name, Account: m.Account,
			Detail: m.Why + " (" + strings.Join(people, ", ") + "); nothing is written for any of them until it is settled",
		})
		if m.Fitted != nil {
			s.unlinked(have, *m.Fitted)
		}
		return out, false, nil
	}
	i, _ := s.people.Roster.Find(m.Person)
	for _, rival := range m.People {
		s.o.Find(identity.Finding{
			Kind: "disputed", Subject: s.Name + ": " + m.UserName, Target: s.Name, Account: m.Account, Person: rival,
			Detail: fmt.Sprintf("%s wants this account, which is %s by %s; nothing is written for %s", rival, m.Person, m.By, rival),
		})
	}
	if s.view.Scope.Has(i) && s.people.Ordered(m.Person) == "" {
		return out, false, s.adopt(ctx, i, have)
	}
	s.unlinked(have, m.Person)
	e, err := s.people.Roster.Entry(i)
	if err != nil {
		return out, false, err
	}
	link := state.Link{
		Target: s.Name, Person: m.Person, Account: m.Account, UserName: m.UserName, Name: e.Person.Name, Container: e.Person.Container(),
		ScopePrint: s.people.ScopePrint(s.view, s.people.Roster.Source(i)), State: identity.LinkActive,
	}
	if out, leaving = s.people.Departure(s.view, link); !leaving || !have.Active {
		return out, false, nil
	}
	out.Rule = fmt.Sprintf("%s, found by %s", out.Rule, m.By)
	out.Link = state.Link{} // it becomes one when it is closed
	err = s.o.Ledger.View(ctx, func(v *state.Reader) error { return s.people.Recall(v, &out) })
	return out, err == nil, err
}

// adopt links an account that was there already to the one person whom it fits.
func (s *Survey) adopt(ctx context.Context, i int, have identity.Account) error {
	w, ok, err := s.wanted(ctx, i, have.UserName)
	if err != nil || !ok {
		return err
	}
	steps, left := plan.Steps(s.intended(ctx, w, state.Link{}, have))
	s.reportDrift(w.Person.ID, have, left)
	s.addWork(i, w, state.Link{}, have, steps)
	return nil
}

// orphan reports an account that nobody fits, or makes it a leaver where the config asks for that (R5).
func (s *Survey) orphan(ctx context.Context, have identity.Account) (out people.Leaver, leaving bool, err error) {
	if !s.everyone() {
		return out, false, nil
	}
	if have.Active && !s.Observe {
		if out, leaving, err := s.former(ctx, have); err != nil || leaving {
			if leaving {
				s.unlinked(have, out.Person)
			}
			return out, leaving, err
		}
	}
	if _, protected := s.Guard.Protected(have.UserName); protected {
		return out, false, nil
	}
	s.unlinked(have, identity.PersonID{})
	_, known := s.marked[have.ExternalID] // whose it is: closed where the account is that they are linked to, if at all
	if s.OnOrphan != "disable" || !have.Active || known {
		return out, false, nil
	}
	l := identity.Leaver{
		Target: s.Name, Account: have.ID, UserName: have.UserName, Name: have.UserName, Cause: identity.Orphaned,
		Rule: "on_orphan = \"disable\"", Noticed: s.o.Now,
	}
	if own := s.o.App.Own(ctx); own.Is(l.Person, s.Name, have.ID, have.UserName) {
		s.o.Find(sweep.OwnFinding(l, own.String()))
		return out, false, nil
	}
	return people.Leaver{Leaver: l}, true, nil
}

// Orphans is how many accounts fit nobody.
func (s *Survey) Orphans() (n int) {
	for _, a := range s.Unlinked {
		if a.Fits.IsZero() {
			n++
		}
	}
	return n
}

// unlinked notes an account that is left without a link, and whom it fits: whoever comes to fit it later is not the one
// whose it was (R3).
func (s *Survey) unlinked(have identity.Account, fits identity.PersonID) {
	if !s.everyone() {
		return
	}
	s.Unlinked = append(s.Unlinked, state.Unlinked{
		Target: s.Name, Account: have.ID, UserName: have.UserName, Active: have.Active, First: s.o.Now,
		Fits: fits, Fitting: s.fitting,
	})
}

// NoteUnadopted notes whose the accounts are that were to be linked and were not, since the pass ended before: by the next
// one they may have left, and somebody else may have their login (R3).
func (s *Survey) NoteUnadopted(ctx context.Context) error {
	if !s.everyone() {
		return nil // unlinked accounts are noted of whole listings alone
	}
	return s.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, w := range s.Work {
			if w.there == nil || w.there.link.Account != "" {
				continue
			}
			if _, linked, err := v.LinkByAccount(s.Name, w.there.have.ID); err != nil {
				return err
			} else if !linked {
				s.unlinked(w.there.have, s.Changes[w.first].Person)
			}
		}
		return nil
	})
}

// planJoiners plans an account for everybody in scope who has none.
func (s *Survey) planJoiners(ctx context.Context) error {
	if err := s.probeEmpty(ctx); err != nil {
		return err
	}
	listed := len(s.joiners)
	if s.o.Write {
		listed = min(listed, mostListed)
		s.makings = make([]making, 0, len(s.joiners)-listed)
	}
	s.Work, s.Changes = slices.Grow(s.Work, listed), slices.Grow(s.Changes, listed)
	for _, i := range s.joiners {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, want, err := s.want(ctx, i, s.lost[i].UserName)
		if err != nil {
			s.expression(e, err)
			continue
		}
		if s.o.Delayed[e.Person.ID] {
			continue // an account may have been made that nothing points to yet
		}
		waiting, err := s.resolve(ctx, &want)
		if err != nil {
			return err
		}
		s.tellUnmanaged(e, waiting)
		if _, protected := s.Guard.Protected(want.UserName); protected {
			s.o.Find(identity.Finding{
				Kind: "left alone", Subject: s.Name + ": " + want.UserName, Target: s.Name, Person: e.Person.ID,
				Detail: "should have an account, but its userName is protected, so it is not made",
			})
			continue
		}
		if s.taken.Has(want.UserName) {
			holder, err := s.holder(ctx, want.UserName)
			if err != nil {
				return err
			}
			s.o.Find(Disputed(identity.Change{Target: s.Name, UserName: want.UserName, Person: e.Person.ID},
				fmt.Sprintf("%s should get this userName, but it is %s; another person gets no access to it, so no account is made", e.Person.DN, holder)))
			continue
		}
		s.taken.Add(want.UserName)
		c := s.creation(s.joining(i, e), e, want)
		if s.o.Write {
			c.Delta = identity.Delta{} // computed again when it is applied
			if listed == 0 {
				s.makings = append(s.makings, making{i, c.UserName, plan.MarkOf(c)})
				continue
			}
			listed--
		}
		s.Work = append(s.Work, Work{row: i, first: len(s.Changes), steps: 1})
		s.Changes = append(s.Changes, c)
	}
	return nil
}

// mostProbed is for how many joiners an application that lists nobody is asked, one by one, whether they have an account.
const mostProbed = 20

// probeEmpty doubts a whole listing of nobody: where a search finds the account of one of the first who are to get one,
// the application does not list what it has, and nobody gets a second account (R2).
func (s *Survey) probeEmpty(ctx context.Context) error {
	if !s.Listed || s.Count > 0 {
		return nil
	}
	for _, i := range s.joiners[:min(mostProbed, len(s.joiners))] {
		_, want, err := s.want(ctx, i, "")
		if err != nil {
			continue // told where the account is planned
		}
		for _, key := range [][2]string{{"externalId", want.ExternalID}, {"userName", want.UserName}} {
			found, err := s.app.Find(ctx, key[0], key[1])
			if err != nil {
				return err
			}
			if key[1] != "" && len(found) > 0 {
				return fmt.Errorf("%w: it lists no account at all, and a search for %s %q finds %s",
					targets.ErrIncomplete, key[0], key[1], found[0].UserName)
			}
		}
	}
	return nil
}

// joining is the Create of a joiner, before anything of their account is computed.
func (s *Survey) joining(i int, e roster.Entry) identity.Change {
	c := identity.Change{
		Op: identity.Create, Cause: identity.Joined, Rule: s.Mapping.ScopeAt(), Target: s.Name, Person: e.Person.ID,
		PersonPrint: s.people.Roster.Row(i).Fingerprint,
	}
	if _, again := s.lost[i]; again {
		c.Cause, c.Rule = identity.Drifted, "R11"
	}
	return c
}

// creation completes a Create.
func (s *Survey) creation(c identity.Change, e roster.Entry, want identity.Account) identity.Change {
	// Everybody of one container shares its text.
	c.Name, c.UserName, c.Container = e.Person.Name, want.UserName, unique.Make(e.Person.Container()).Value()
	c.WantPrint = want.Fingerprint(s.paths)
	c.Delta = plan.Creation(want, s.paths)
	return s.reasoned(c)
}

// holder says whose account has a userName.
func (s *Survey) holder(ctx context.Context, userName string) (string, error) {
	found, err := s.app.Find(ctx, "userName", userName)
	if err != nil {
		return "", err
	}
	for _, a := range found {
		link, linked, err := s.linked(ctx, a.ID)
		if err != nil {
			return "", err
		}
		if linked {
			return fmt.Sprintf("the account of %s (%s, %s)", link.Name, link.Person, link.State), nil
		}
	}
	return "the account of somebody else", nil
}
