package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// matchUnlinked correlates the people without a link with the accounts without one.
func (r *run) matchUnlinked(ctx context.Context, l *lane) (late []leaver, err error) {
	blocked := map[identity.PersonID]bool{}
	matched := map[identity.PersonID]bool{}
	if l.matcher.Len() > 0 {
		if err := r.unlinkedPeople(ctx, l); err != nil {
			return nil, err
		}
		for _, m := range l.matcher.Result() {
			if l.relinked[m.Account] {
				continue
			}
			for _, id := range m.People {
				blocked[id] = true
			}
			if m.Situation == identity.Unlinked {
				matched[m.Person] = true
			}
			if !r.claimable(l) {
				continue // somebody whom nobody could read now may have the better claim
			}
			out, leaving, err := r.matched(ctx, l, m)
			if err != nil {
				return nil, err
			}
			if leaving {
				late = append(late, out)
			}
		}
	}
	for n := range r.o.Sources {
		if !r.reads(l, n) {
			continue
		}
		for i := range r.roster.Of(n) {
			if !l.scope.Has(i) || l.linked.Has(i) || l.unsure.Has(i) {
				continue
			}
			e, err := r.roster.Entry(i)
			if err != nil {
				return nil, err
			}
			if id := e.Person.ID; r.selected(id) && !matched[id] && !blocked[id] && r.closure[id] == "" {
				l.joiners = append(l.joiners, i)
			}
		}
	}
	return late, nil
}

// claimable reports whether every source of the target was read and is believed, under the config that it was accepted under: only then can
// be told who else has a claim to an account, and so whose it is (R2).
func (r *run) claimable(l *lane) bool {
	return !slices.ContainsFunc(r.o.Sources, func(s Source) bool {
		return slices.Contains(l.Sources, s.Name) && !r.sourceWhole(s.Name)
	})
}

// reads reports whether the target reads a source that was read whole.
func (r *run) reads(l *lane, n int) bool {
	return r.whole[n] && slices.Contains(l.Sources, r.o.Sources[n].Name)
}

// unlinkedPeople gives the matcher everybody without a link, also those who should have no account: one that they have is to be closed.
func (r *run) unlinkedPeople(ctx context.Context, l *lane) error {
	for n := range r.o.Sources {
		if !r.reads(l, n) {
			continue
		}
		for i := range r.roster.Of(n) {
			if l.linked.Has(i) || l.unsure.Has(i) {
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			e, want, err := r.want(ctx, l, i, "")
			switch {
			case err == nil && r.selected(e.Person.ID):
				l.matcher.Person(e.Person.ID, want)
			case err != nil && l.scope.Has(i):
				r.expression(l, e, err)
				l.unsure.Set(i)
			}
		}
	}
	return nil
}

// matched plans what follows from one account's correlation.
func (r *run) matched(ctx context.Context, l *lane, m correlate.Match) (out leaver, leaving bool, err error) {
	var have identity.Account
	if err := r.spool.Get(l.parked[m.Account], &have); err != nil {
		return out, false, err
	}
	switch m.Situation {
	case identity.Unmatched:
		return r.orphan(l, have)
	case identity.Disputed:
		people := make([]string, len(m.People))
		for i, id := range m.People {
			people[i] = id.String()
		}
		r.find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + m.UserName, Target: l.Name, Account: m.Account,
			Detail: m.Why + " (" + strings.Join(people, ", ") + "); nothing is written for any of them until it is settled",
		})
		return out, false, nil
	}
	i, _ := r.roster.Find(m.Person)
	for _, rival := range m.People {
		r.find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + m.UserName, Target: l.Name, Account: m.Account, Person: rival,
			Detail: fmt.Sprintf("%s wants this account, which is %s by %s; nothing is written for %s", rival, m.Person, m.By, rival),
		})
	}
	if l.scope.Has(i) && r.closure[m.Person] == "" {
		return out, false, r.adopt(ctx, l, i, have)
	}
	e, err := r.roster.Entry(i)
	if err != nil {
		return out, false, err
	}
	link := state.Link{
		Target: l.Name, Person: m.Person, Account: m.Account, UserName: m.UserName, Name: e.Person.Name, Container: e.Person.Container(),
		ScopePrint: r.scopePrint(l, r.roster.Source(i)), State: identity.LinkActive,
	}
	if out, leaving = r.departure(l, link); !leaving || !have.Active {
		return out, false, nil
	}
	out.Rule = fmt.Sprintf("%s, found by %s", out.Rule, m.By)
	out.link = state.Link{} // it becomes one when it is closed
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error { return r.recall(v, &out) })
	return out, err == nil, err
}

// adopt links an account that was there already to the one person whom it fits.
func (r *run) adopt(ctx context.Context, l *lane, i int, have identity.Account) error {
	e, want, err := r.want(ctx, l, i, have.UserName)
	if err != nil {
		r.expression(l, e, err)
		return nil
	}
	waiting, err := r.resolve(ctx, l, &want)
	if err != nil {
		return err
	}
	steps, left := plan.Steps(plan.Intended{Want: want, Have: have, Paths: l.paths, Repair: true, Enforce: l.OnDrift == "enforce"})
	r.reportDrift(l, e.Person.ID, have, left)
	r.addWork(l, i, e, state.Link{}, have, steps, want.Fingerprint(l.paths), waiting)
	return nil
}

// orphan reports an account that nobody fits, or makes it a leaver where the config asks for that (R5).
func (r *run) orphan(l *lane, have identity.Account) (out leaver, leaving bool, err error) {
	if r.pass.Mode != Full || r.pass.Person != "" {
		return out, false, nil
	}
	if _, protected := l.Guard.Protected(have.UserName); protected {
		return out, false, nil
	}
	l.orphans = append(l.orphans, state.Orphan{Target: l.Name, Account: have.ID, UserName: have.UserName, Active: have.Active, First: r.now})
	if l.OnOrphan != "disable" || !have.Active {
		return out, false, nil
	}
	return leaver{
		Leaver: identity.Leaver{
			Target: l.Name, Account: have.ID, UserName: have.UserName, Name: have.UserName, Cause: identity.Orphaned,
			Rule: "on_orphan = \"disable\"", Noticed: r.now,
		},
	}, true, nil
}

// planJoiners plans an account for everybody in scope who has none.
func (r *run) planJoiners(ctx context.Context, l *lane) error {
	for _, i := range l.joiners {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		lost, again := l.lost[i]
		e, want, err := r.want(ctx, l, i, lost.UserName)
		if err != nil {
			r.expression(l, e, err)
			continue
		}
		if l.delayed[e.Person.ID] {
			continue // an account may have been made that nothing points to yet
		}
		if _, err := r.resolve(ctx, l, &want); err != nil {
			return err
		}
		if _, protected := l.Guard.Protected(want.UserName); protected {
			r.find(identity.Finding{
				Kind: "left alone", Subject: l.Name + ": " + want.UserName, Target: l.Name, Person: e.Person.ID,
				Detail: "should have an account, but its userName is protected, so it is not made",
			})
			continue
		}
		if l.taken.Has(want.UserName) {
			holder, err := r.holder(ctx, l, want.UserName)
			if err != nil {
				return err
			}
			r.find(l.disputed(identity.Change{UserName: want.UserName, Person: e.Person.ID},
				fmt.Sprintf("%s should get this userName, but it is %s; another person gets no access to it, so no account is made", e.Person.DN, holder)))
			continue
		}
		l.taken.Add(want.UserName)
		c := l.creation(identity.Change{
			Op: identity.Create, Cause: identity.Joined, Rule: l.Mapping.ScopeAt(), Target: l.Name, Person: e.Person.ID,
			PersonPrint: r.roster.Row(i).Fingerprint,
		}, e, want)
		if again {
			c.Cause, c.Rule = identity.Drifted, "R11"
		}
		if r.write {
			c.Delta = identity.Delta{} // computed again when it is applied: a plan of a hundred thousand joiners keeps none of their attributes
		}
		l.work = append(l.work, work{row: i, first: len(l.changes), steps: 1})
		l.changes = append(l.changes, c)
	}
	return nil
}

// creation completes a Create.
func (l *lane) creation(c identity.Change, e roster.Entry, want identity.Account) identity.Change {
	// Everybody of one container shares its text.
	c.Name, c.UserName, c.Container = e.Person.Name, want.UserName, unique.Make(e.Person.Container()).Value()
	c.WantPrint = want.Fingerprint(l.paths)
	c.Delta = plan.Creation(want, l.paths)
	return c
}

// holder says whose account has a userName.
func (r *run) holder(ctx context.Context, l *lane, userName string) (string, error) {
	found, err := l.app.Find(ctx, "userName", userName)
	if err != nil {
		return "", err
	}
	for _, a := range found {
		var link state.Link
		var linked bool
		if err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
			link, linked, err = v.LinkByAccount(l.Name, a.ID)
			return err
		}); err != nil {
			return "", err
		}
		if linked {
			return fmt.Sprintf("the account of %s (%s, %s)", link.Name, link.Person, link.State), nil
		}
	}
	return "the account of somebody else", nil
}
