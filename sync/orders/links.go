package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/survey"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// target returns the target of that name.
func (d *Desk) target(name string) (survey.Target, error) {
	i := slices.IndexFunc(d.Targets, func(t survey.Target) bool { return t.Name == name })
	if i < 0 {
		return survey.Target{}, fmt.Errorf("there is no target %q in the config", name)
	}
	return d.Targets[i], nil
}

// Link settles whose an account is: Order.Account, an id or a userName at Order.Target, is the person's from now on. An
// account that is linked to somebody else, or a person who has another one there, is refused: Unlink comes first.
// Nothing is written to the target; what the account should be like, or that it has to be closed, is the next pass's
// business, and an emergency's at once.
func (d *Desk) Link(ctx context.Context, o Order) (link state.Link, err error) {
	t, err := d.target(o.Target)
	if err != nil {
		return link, err
	}
	person, err := d.whom(ctx, o.Person)
	if err != nil {
		return link, err
	}
	have, err := account(ctx, t, o.Account)
	if err != nil {
		return link, fmt.Errorf("%s: %w", t.Name, err)
	}
	link = state.Link{
		Target: t.Name, Person: person.ID, Account: have.ID, UserName: have.UserName, Name: person.Name, Container: person.Container(),
		ExternalID: have.ExternalID,
	}
	if !have.Active {
		link.State = identity.LinkDisabled
	}
	err = d.Ledger.Update(ctx, func(w *state.Writer) error {
		if err := free(w, link); err != nil {
			return err
		}
		if has, linked, err := w.Link(link.Target, link.Person); err != nil {
			return err
		} else if linked { // that it was dirsweep who disabled it, and what has to be given back, is still so
			has.UserName, has.Name, has.ExternalID, has.State = link.UserName, link.Name, link.ExternalID, link.State
			link = has
		}
		if err := errors.Join(w.PutLink(link), isOne(w, person.ID)); err != nil {
			return err
		}
		return settleDispute(w, link, d.Now())
	})
	if err != nil {
		return link, err
	}
	return link, apply.Told(ctx, d.Ledger, d.Trail, linkRecord(audit.Link, link, o, d.Now()))
}

// account looks one account of a target up, by id or by userName.
func account(ctx context.Context, t survey.Target, name string) (identity.Account, error) {
	pass, err := t.Session.Begin(ctx)
	if err != nil {
		return identity.Account{}, err
	}
	have, err := pass.Account(ctx, identity.AccountID(name))
	if err == nil || !errors.Is(err, targets.ErrNotFound) {
		return have, err
	}
	found, err := pass.Find(ctx, "userName", name)
	switch {
	case err != nil:
		return have, err
	case len(found) == 0:
		return have, fmt.Errorf("no account has the id or the userName %q", name)
	case len(found) > 1:
		return have, fmt.Errorf("%d accounts have the userName %q (%s, %s, …): name one by its id", len(found), name, found[0].ID, found[1].ID)
	}
	return found[0], nil
}

// isOne takes whoever has a key now for the human who had it before, of whatever entries they were made then.
func isOne(w *state.Writer, id identity.PersonID) error {
	p, known, err := w.Person(id)
	if err != nil || !known || p.Parts == nil {
		return err
	}
	p.ID, p.Parts = id, nil
	return w.PutPerson(p)
}

// free refuses a link that would take an account from somebody, or give a person a second one.
func free(w *state.Writer, link state.Link) error {
	holder, taken, err := w.LinkByAccount(link.Target, link.Account)
	if err != nil {
		return err
	}
	if taken && holder.Person != link.Person {
		return fmt.Errorf("%s: %s is the account of %s (%s): `dirsweep unlink %s %s` first",
			link.Target, link.UserName, holder.Name, holder.Person, holder.Person, link.Target)
	}
	has, ok, err := w.Link(link.Target, link.Person)
	if err != nil {
		return err
	}
	if ok && has.Account != link.Account {
		return fmt.Errorf("%s has the account %s (%s) at %s: `dirsweep unlink %s %s` first",
			link.Name, has.UserName, has.Account, link.Target, link.Person, link.Target)
	}
	return nil
}

// settleDispute ends what was unclear about an account: the findings, and on an open case that it may not be closed.
func settleDispute(w *state.Writer, link state.Link, now time.Time) error {
	if err := w.SetFindingsWhere(func(f identity.Finding) bool {
		return f.Kind == "disputed" && f.Target == link.Target && (f.Account == link.Account || f.Person == link.Person)
	}, nil, now); err != nil {
		return err
	}
	return sweep.Note(w, link.Person, link.Target, link.Account, func(s *state.Step) {
		if s.Status == state.StepDisputed {
			s.Status, s.Error, s.Next, s.At = state.StepOpen, "", time.Time{}, now
		}
	}, now)
}

// Unlink forgets that Order.Person's account at Order.Target is theirs, and takes it off their case: nobody is closed
// there for them, and whose it is the next pass looks for anew. An operator who has seen to an account that nothing can
// prove closed ends the case with it.
func (d *Desk) Unlink(ctx context.Context, o Order) (link state.Link, err error) {
	person, err := d.remembered(ctx, o.Person)
	if err != nil {
		return link, err
	}
	var ended *state.Case
	err = d.Ledger.Update(ctx, func(w *state.Writer) error {
		var linked bool
		if link, linked, err = w.Link(o.Target, person); err != nil {
			return err
		}
		c, _, err := w.Case(person)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(c.Steps, func(s state.Step) bool { return s.Target == o.Target })
		switch {
		case !linked && at < 0:
			return fmt.Errorf("%s has no account at %s that dirsweep knows of", person, o.Target)
		case !linked:
			link = state.Link{Target: o.Target, Person: person, Account: c.Steps[at].Account, UserName: c.Steps[at].UserName, Name: c.Name}
		default:
			if err := w.DeleteLink(o.Target, person); err != nil {
				return err
			}
		}
		ended, err = sweep.Return(w, person, o.Target, "unlinked: "+o.Reason, d.Now())
		return err
	})
	if err != nil {
		return link, err
	}
	err = apply.Told(ctx, d.Ledger, d.Trail, linkRecord(audit.Unlink, link, o, d.Now()))
	d.Books.End(ctx, ended)
	return link, err
}

func linkRecord(kind audit.Kind, link state.Link, o Order, now time.Time) audit.Record {
	return audit.Record{
		At: now, Kind: kind, Target: link.Target, Person: link.Person.String(), Name: link.Name, Account: string(link.Account),
		UserName: link.UserName, Outcome: audit.Done, Actor: o.Actor, Note: o.Reason,
	}
}

// A Relinked says what Relink found.
type Relinked struct {
	Same    int          // links whose account is there under the identifier that is known
	Moved   []state.Link // links that lead to another identifier now
	Missing []state.Link // links without an account that is surely theirs; they stay as they are
}

// Relink finds the accounts of a target anew after it was rebuilt or moved and its identifiers are others: each link
// whose identifier is gone leads from now on to the one account that bears the person's externalId, else their
// userName, and that nobody is linked to. Nothing is written to the target, and nobody's link is lost.
func (d *Desk) Relink(ctx context.Context, o Order) (out Relinked, err error) {
	t, err := d.target(o.Target)
	if err != nil {
		return out, err
	}
	there, err := index(ctx, t)
	if err != nil {
		return out, fmt.Errorf("%s: it has to be listed whole for this: %w", t.Name, err)
	}
	err = d.Ledger.Update(ctx, func(w *state.Writer) error {
		out = Relinked{}
		clear(there.taken)
		var links []state.Link
		for link, err := range w.Links(t.Name) {
			if err != nil {
				return err
			}
			if _, same := there.marks[link.Account]; same {
				out.Same++
				there.take(link.Account)
				continue
			}
			links = append(links, link)
		}
		for _, link := range links {
			id, ok := there.one(link)
			if !ok {
				out.Missing = append(out.Missing, link)
				continue
			}
			if link, err = move(w, link, id, there.marks[id], d.Now()); err != nil {
				return err
			}
			out.Moved = append(out.Moved, link)
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	return out, apply.Told(ctx, d.Ledger, d.Trail, audit.Record{
		At: d.Now(), Kind: audit.Relink, Target: t.Name, Outcome: audit.Done, Actor: o.Actor,
		Note: fmt.Sprintf("%d links lead to another identifier now, %d as before, %d have no account: %s", len(out.Moved), out.Same, len(out.Missing), o.Reason),
	})
}

// move leads a link, and its person's case, to another identifier.
func move(w *state.Writer, link state.Link, id identity.AccountID, externalID string, now time.Time) (state.Link, error) {
	old := link.Account
	if err := w.DeleteLink(link.Target, link.Person); err != nil {
		return link, err
	}
	link.Account, link.ExternalID, link.Have = id, externalID, 0
	if err := w.PutLink(link); err != nil {
		return link, err
	}
	return link, sweep.Note(w, link.Person, link.Target, old, func(s *state.Step) { s.Account = id }, now)
}

// An accountIndex finds a target's accounts by what marks them.
type accountIndex struct {
	marks    map[identity.AccountID]string // the externalId of each account
	external map[string][]identity.AccountID
	names    map[string][]identity.AccountID
	taken    map[identity.AccountID]bool
}

func index(ctx context.Context, t survey.Target) (*accountIndex, error) {
	i := &accountIndex{
		marks: map[identity.AccountID]string{}, external: map[string][]identity.AccountID{}, names: map[string][]identity.AccountID{},
		taken: map[identity.AccountID]bool{},
	}
	pass, err := t.Session.Begin(ctx)
	if err != nil {
		return nil, err
	}
	for a, err := range pass.Accounts(ctx) {
		if err != nil {
			return nil, err
		}
		i.marks[a.ID] = a.ExternalID
		i.external[a.ExternalID] = append(i.external[a.ExternalID], a.ID)
		i.names[a.UserName] = append(i.names[a.UserName], a.ID)
	}
	return i, nil
}

func (i *accountIndex) take(id identity.AccountID) { i.taken[id] = true }

// one is the one account that is surely the link's.
func (i *accountIndex) one(link state.Link) (identity.AccountID, bool) {
	for _, found := range [][]identity.AccountID{i.external[link.Person.Anchor], i.names[link.UserName]} {
		if len(found) == 1 && !i.taken[found[0]] {
			i.take(found[0])
			return found[0], true
		}
		if len(found) > 0 {
			return "", false
		}
	}
	return "", false
}

// Forget forgets everything about a target that is no more: links, orphan accounts and findings. While a leaver's
// account there is open in the books it refuses: Unlink says of each that somebody has seen to it.
func (d *Desk) Forget(ctx context.Context, o Order) (forgotten int, err error) {
	err = d.Ledger.Update(ctx, func(w *state.Writer) error {
		forgotten = 0
		var linked []identity.PersonID
		for link, err := range w.Links(o.Target) {
			if err != nil {
				return err
			}
			linked = append(linked, link.Person)
		}
		for c, err := range w.Cases() {
			if err != nil {
				return err
			}
			for _, s := range c.Steps {
				if s.Target == o.Target && s.Status.Open() {
					return fmt.Errorf("%s: the account %s of %s, who left, is not seen closed: see to it and say so with `dirsweep unlink %s %s`",
						o.Target, s.UserName, c.Name, c.Person, o.Target)
				}
			}
		}
		if len(linked) == 0 {
			return fmt.Errorf("nothing is known of a target %q", o.Target)
		}
		for _, id := range linked {
			if err := w.DeleteLink(o.Target, id); err != nil {
				return err
			}
			forgotten++
		}
		if err := w.SetUnlinked(o.Target, nil); err != nil {
			return err
		}
		return w.SetFindingsWhere(func(f identity.Finding) bool { return f.Target == o.Target }, nil, d.Now())
	})
	if err != nil {
		return 0, err
	}
	return forgotten, apply.Told(ctx, d.Ledger, d.Trail, audit.Record{
		At: d.Now(), Kind: audit.Forget, Target: o.Target, Outcome: audit.Done, Actor: o.Actor,
		Note: fmt.Sprintf("%d links: %s", forgotten, o.Reason),
	})
}
