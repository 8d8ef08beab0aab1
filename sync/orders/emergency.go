// Package orders carries out what an operator orders about a person or a target: an emergency sweep and its release,
// and whose account is whose.
package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/holds"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/survey"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// An Order is what an operator wants done about one person.
type Order struct {
	Person string // a login, DN, anchor or directory/anchor
	Reason string // why, for the case, the trail and the evidence
	Actor  string // who ordered it, for the trail (R16)

	Target  string // of links: where
	Account string // of links: its id or userName
}

// An Open is one account of somebody swept that was not seen closed, or a target that did not say which accounts they
// have.
type Open struct {
	Target   string
	Account  identity.AccountID // "" where the target did not answer
	UserName string
	Why      string // and what to do about it
}

// A Swept is what came of an emergency.
type Swept struct {
	sweep.Round
	Open []Open // sorted
}

// A Desk takes an operator's orders. Its fields are set before it is used.
type Desk struct {
	Sources  []people.Source
	Targets  []survey.Target
	Ledger   *state.Ledger
	Trail    *audit.Trail
	Folder   *evidence.Folder // nil where nothing is ever closed
	Books    *sweep.Books
	Sweepers map[string]*sweep.Sweeper // by target
	Now      func() time.Time
}

// remembered looks a person up in the state.
func (d *Desk) remembered(ctx context.Context, who string) (identity.PersonID, error) {
	var targets []string
	for _, t := range d.Targets {
		targets = append(targets, t.Name)
	}
	return people.Remembered(ctx, d.Ledger, d.Sources, targets, who)
}

// Sweep closes every account that a person has anywhere, now, whatever the sources say and whether or not dirsweep
// knows of it, and keeps them closed until Release. Every target is searched live. What was not seen closed is in
// Report.Open; its case stays open and is tried again.
func (d *Desk) Sweep(ctx context.Context, o Order) (out Swept, err error) {
	person, err := d.whom(ctx, o.Person)
	if err != nil {
		return out, err
	}
	key, err := d.rememberedKey(ctx, person)
	if err != nil {
		return out, err
	}
	whom, err := d.names(ctx, person, key)
	if err != nil {
		return out, err
	}
	now := d.Now()
	err = d.Ledger.Update(ctx, func(w *state.Writer) error {
		for _, one := range whom {
			order := state.Closure{Person: one.ID, Reason: o.Reason, At: now, Rehire: key}
			if err := errors.Join(w.PutClosure(order), holds.Overrule(w, one.ID)); err != nil {
				return err
			}
		}
		return noteOwn(w, person)
	})
	if err != nil {
		return out, fmt.Errorf("write the state: %w", err)
	}
	if err := apply.Told(ctx, d.Ledger, d.Trail, audit.Record{
		At: now, Kind: audit.Sweep, Cause: string(identity.Emergency), Person: person.ID.String(), Name: person.Name,
		Outcome: "ordered", Note: o.Reason, Actor: o.Actor,
	}); err != nil {
		return out, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, t := range d.Targets {
		wg.Go(func() {
			for _, one := range whom {
				part := d.sweepTarget(ctx, t, one, o.Reason)
				mu.Lock()
				out.Ops, out.Failed = append(out.Ops, part.Ops...), append(out.Failed, part.Failed...)
				out.Closed, out.Open = append(out.Closed, part.Closed...), append(out.Open, part.Open...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(out.Open, func(a, b Open) int { return strings.Compare(a.Target+a.UserName, b.Target+b.UserName) })
	return out, context.Cause(ctx)
}

// names are somebody under every anchor by which they are remembered, by the rehire key: the one that the order names
// comes first. Their accounts may be linked to any of them.
func (d *Desk) names(ctx context.Context, person identity.Person, key string) (list []identity.Person, err error) {
	list = []identity.Person{person}
	if key == "" {
		return list, nil
	}
	err = d.Ledger.View(ctx, func(r *state.Reader) error {
		for p, err := range r.People(person.ID.Directory) {
			if err != nil {
				return err
			}
			if p.Rehire == key && p.ID != person.ID && !p.Proven {
				also := person
				also.ID = p.ID
				list = append(list, also)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return list, nil
}

// rehireKey is by what somebody is known under another anchor; "" where nothing tells.
func (d *Desk) rehireKey(person identity.Person) string {
	i := slices.IndexFunc(d.Sources, func(s people.Source) bool { return s.Name == person.Source })
	if i < 0 {
		return ""
	}
	key, err := d.Sources[i].Mapping.Rehire(person)
	if err != nil {
		return "" // their entry says nothing that could be understood
	}
	return key
}

// rememberedKey is rehireKey, or else, of somebody whose entry cannot be read now, the one that it had.
func (d *Desk) rememberedKey(ctx context.Context, person identity.Person) (string, error) {
	if key := d.rehireKey(person); key != "" {
		return key, nil
	}
	var known state.Person
	err := d.Ledger.View(ctx, func(r *state.Reader) (err error) {
		known, _, err = r.Person(person.ID)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the state: %w", err)
	}
	return known.Rehire, nil
}

// noteOwn remembers that a source signs in as this person, whose accounts are not closed then (R5).
func noteOwn(w *state.Writer, person identity.Person) error {
	rec, known, err := w.Source(person.Source)
	if err != nil || !known || !person.Own {
		return err
	}
	rec.Own = person.ID.Anchor
	return w.PutSource(rec)
}

// whom finds the person that an operator names: in the state, else in the sources as they are now.
func (d *Desk) whom(ctx context.Context, who string) (identity.Person, error) {
	id, err := d.remembered(ctx, who)
	if errors.Is(err, people.ErrNobody) {
		return d.unknown(ctx, who)
	}
	if err != nil {
		return identity.Person{}, err
	}
	names, err := people.DirectoryNames(ctx, d.Ledger, d.Sources)
	if err != nil {
		return identity.Person{}, err
	}
	for _, s := range d.Sources {
		if names[s.Name] != id.Directory {
			continue
		}
		if p, ok := d.present(ctx, s, id.Anchor); ok {
			if p.ID = id; d.recorded(ctx, id) {
				return p, nil
			}
			return d.known(ctx, p)
		}
	}
	p := identity.Person{ID: id, Name: id.Anchor}
	err = d.Ledger.View(ctx, func(r *state.Reader) error {
		known, ok, err := r.Person(id)
		if ok {
			p.Name, p.DN = known.Name, known.DN
		}
		return err
	})
	return p, err
}

// recorded reports whether somebody is among the people who are remembered, and not only by an account of theirs.
func (d *Desk) recorded(ctx context.Context, id identity.PersonID) (known bool) {
	err := d.Ledger.View(ctx, func(r *state.Reader) (err error) {
		_, known, err = r.Person(id)
		return err
	})
	return known || err != nil
}

// present is how a source shows somebody now; false where it does not, or gives no answer.
func (d *Desk) present(ctx context.Context, s people.Source, anchor string) (identity.Person, bool) {
	if finder, ok := s.Source.(sources.Finder); ok {
		seen, err := finder.Find(ctx, sources.Lookup{Anchor: anchor})
		return seen.Person, err == nil && anchor != "" && seen.Person.ID.Anchor == anchor
	}
	for p, err := range s.Source.People(ctx) {
		if err == nil && p.ID.Anchor == anchor {
			return p, true
		}
	}
	return identity.Person{}, false
}

// unknown finds somebody whom the state does not know, by reading every source. One that cannot be read is told only
// where nobody is found.
func (d *Desk) unknown(ctx context.Context, who string) (identity.Person, error) {
	names, err := people.DirectoryNames(ctx, d.Ledger, d.Sources)
	if err != nil {
		return identity.Person{}, err
	}
	c := people.Candidates{Who: who}
	fitting := map[identity.PersonID]identity.Person{}
	var troubles []error
	for _, s := range d.Sources {
		for p, err := range s.Source.People(ctx) {
			if trouble := (*sources.PersonError)(nil); errors.As(err, &trouble) {
				continue
			}
			if err != nil {
				troubles = append(troubles, fmt.Errorf("%s: %w", s.Name, err))
				break
			}
			p.ID.Directory = names[s.Name]
			if fit := p.Fits(who); fit != identity.NoFit {
				c.Consider(fit, p.ID, p.DN)
				fitting[p.ID] = p
			}
		}
	}
	id, err := c.One()
	if err != nil {
		return identity.Person{}, errors.Join(append([]error{err}, troubles...)...)
	}
	return d.known(ctx, fitting[id])
}

// known gives somebody who was read the name by which they are remembered, where that is another: the source may know
// people by another anchor by now (R14).
func (d *Desk) known(ctx context.Context, person identity.Person) (identity.Person, error) {
	key, dn := d.rehireKey(person), identity.FoldDN(person.DN)
	var byKey, byDN []identity.PersonID
	err := d.Ledger.View(ctx, func(r *state.Reader) error {
		for p, err := range r.People(person.ID.Directory) {
			switch {
			case err != nil:
				return err
			case p.Proven: // who has left
			case key != "" && p.Rehire == key:
				byKey = append(byKey, p.ID)
			case (key == "" || p.Rehire == "") && dn != "" && identity.FoldDN(p.DN) == dn:
				byDN = append(byDN, p.ID)
			}
		}
		return nil
	})
	if err != nil {
		return person, fmt.Errorf("read the state: %w", err)
	}
	if all := append(byKey, byDN...); len(all) > 0 {
		person.ID = all[0]
	}
	return person, nil
}

// sweepTarget closes a person's accounts at one target.
func (d *Desk) sweepTarget(ctx context.Context, t survey.Target, person identity.Person, reason string) (out Swept) {
	own, disputed, unsearched := d.owned(ctx, t, person)
	return d.closeOwned(ctx, t, person, reason, own, disputed, unsearched)
}

// closeOwned closes what was found of a person's accounts, and notes what was not; unsearched is why the target could
// not tell of all.
func (d *Desk) closeOwned(
	ctx context.Context, t survey.Target, person identity.Person, reason string, own, disputed []sweep.Hit, unsearched error,
) (out Swept) {
	if t.Observe {
		if unsearched != nil {
			out.Open = append(out.Open, Open{Target: t.Name, Why: "it could not be searched for their accounts: " + unsearched.Error()})
		}
		for _, h := range own {
			if h.Account.Active {
				out.Open = append(out.Open, Open{t.Name, h.Account.ID, h.Account.UserName, "mode = \"observe\": close it by hand"})
			}
		}
		return out
	}
	now := d.Now()
	leaver := identity.Leaver{
		Person: person.ID, Name: person.Name, DN: person.DN, Container: person.Container(), Target: t.Name, Cause: identity.Emergency,
		Strength: identity.ByOrder, Rule: "sweep --reason " + reason, Proof: "ordered by an operator: " + reason, Reason: reason, Noticed: now,
	}
	err := d.Ledger.Update(ctx, func(w *state.Writer) error {
		if unsearched != nil {
			why := "the target could not be searched for their accounts; it is tried again: " + unsearched.Error()
			if err := sweep.Open(w, leaver, identity.Account{UserName: "any account of " + person.Name}, state.StepOpen, why, now); err != nil {
				return err
			}
		} else if err := sweep.Searched(w, person.ID, t.Name, now); err != nil {
			return err
		}
		for _, h := range own {
			if err := sweep.Open(w, leaver, h.Account, state.StepOpen, "", now); err != nil {
				return err
			}
		}
		for _, h := range disputed {
			why := fmt.Sprintf("it fits by %s, and nothing proves that it is theirs: settle it with `dirsweep link`, or close it by hand", h.By)
			if err := sweep.Open(w, leaver, h.Account, state.StepDisputed, why, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		out.Open = append(out.Open, Open{Target: t.Name, Why: err.Error()})
		return out
	}
	round, err := d.Sweepers[t.Name].Drain(ctx, sweep.Selection{Person: &person.ID, Now: true})
	out.Round = round
	still, viewErr := d.open(ctx, person.ID, t.Name)
	if err = errors.Join(err, viewErr); err != nil {
		out.Open = append(out.Open, Open{Target: t.Name, Why: err.Error()})
	}
	out.Open = append(out.Open, still...)
	return out
}

// Search looks again for the accounts of somebody swept at a target that could not be searched then.
func (d *Desk) Search(ctx context.Context, t survey.Target, c state.Case) error {
	person, err := d.whom(ctx, c.Person.String())
	if err != nil {
		return err
	}
	own, disputed, err := d.owned(ctx, t, person)
	if err != nil {
		return err
	}
	d.closeOwned(ctx, t, person, c.Reason, own, disputed, nil)
	return nil
}

// open lists the steps of a person at one target that are not proven.
func (d *Desk) open(ctx context.Context, id identity.PersonID, target string) (out []Open, err error) {
	ctx = context.WithoutCancel(ctx)
	err = d.Ledger.View(ctx, func(r *state.Reader) error {
		c, _, err := r.Case(id)
		for _, s := range c.Steps {
			if s.Target == target && s.Status.Open() {
				out = append(out, Open{target, s.Account, s.UserName, fmt.Sprintf("%s: %s", s.Status, s.Error)})
			}
		}
		return err
	})
	return out, err
}

// owned asks a target for the accounts that are, or may be, a person's: those linked to them, and those that any of
// their traits finds.
func (d *Desk) owned(ctx context.Context, t survey.Target, person identity.Person) (own, disputed []sweep.Hit, err error) {
	traits, hits, err := d.traits(ctx, t, person)
	if err != nil {
		return nil, nil, err
	}
	var troubles []error
	ctx = apply.ForLeavers(ctx)
	app, err := t.Session.Recent(ctx)
	if err != nil {
		own, disputed = sweep.Owned(traits, hits)
		return own, disputed, err
	}
	for _, key := range traits.Keys() {
		found, err := app.Find(ctx, key[0], key[1])
		if err != nil {
			troubles = append(troubles, err)
			break // what it does not answer once it will not answer for the next
		}
		for _, a := range found {
			hits = append(hits, sweep.Hit{Account: a, By: key[0]})
		}
	}
	bore, err := d.holders(ctx, t.Name, hits)
	if err != nil {
		return nil, nil, err
	}
	hits, err = d.doubt(ctx, app, person, hits, bore)
	own, disputed = sweep.Owned(traits, hits)
	return own, disputed, errors.Join(append(troubles, err)...)
}

// holders notes of hits whom they are linked to, or whom they fitted. It returns the links of accounts that bore the
// userName of one without a link, by it in lower case.
func (d *Desk) holders(ctx context.Context, target string, hits []sweep.Hit) (bore map[string]state.Link, err error) {
	bore = map[string]state.Link{}
	err = d.Ledger.View(ctx, func(r *state.Reader) error {
		for i, h := range hits {
			link, linked, err := r.LinkByAccount(target, h.Account.ID)
			if err != nil {
				return err
			}
			if hits[i].Holder = link.Person; linked {
				continue
			}
			bore[strings.ToLower(h.Account.UserName)] = state.Link{}
			was, known, err := r.Unlinked(target, h.Account.ID)
			if err != nil {
				return err
			}
			if known && was.UserName == h.Account.UserName {
				hits[i].Fitted = &was.Fits
			}
		}
		if len(bore) == 0 {
			return nil
		}
		for link, err := range r.Links(target) {
			if err != nil {
				return err
			}
			for _, name := range link.UserNames() {
				was, asked := bore[strings.ToLower(name)]
				if asked && (was.Account == "" || name == link.UserName) {
					bore[strings.ToLower(name)] = link
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return bore, nil
}

// doubt notes of hits without a link that they fitted somebody else, where they may be that one's under another
// identifier. Those of which that cannot be told now are left out, and its error says why.
func (d *Desk) doubt(
	ctx context.Context, app *apply.Pass, person identity.Person, hits []sweep.Hit, bore map[string]state.Link,
) (told []sweep.Hit, err error) {
	var troubles []error
	key := d.rehireKey(person)
	same := func(id identity.PersonID) (same bool) { // also under another anchor
		err := d.Ledger.View(ctx, func(r *state.Reader) error {
			p, known, err := r.Person(id)
			same = id == person.ID || known && key != "" && p.Rehire == key
			return err
		})
		return same && err == nil
	}
	for _, h := range hits {
		if h.Holder.IsZero() {
			name := h.Account.UserName
			was, known, err := survey.Predecessor(ctx, app, d.Ledger, name, bore[strings.ToLower(name)], same)
			switch {
			case err != nil:
				troubles = append(troubles, err)
				continue
			case known:
				h.Fitted = &was.Person
			case h.Fitted != nil && same(*h.Fitted):
				h.Fitted = &person.ID
			}
		}
		told = append(told, h)
	}
	return told, errors.Join(troubles...)
}

// traits collects what tells a person's accounts apart at a target, and the account that is linked to them.
func (d *Desk) traits(ctx context.Context, t survey.Target, person identity.Person) (traits sweep.Traits, linked []sweep.Hit, err error) {
	traits = sweep.Traits{Person: person.ID, ExternalIDs: []string{person.ID.Anchor}, Others: map[string][]string{}}
	err = d.Ledger.View(ctx, func(r *state.Reader) error {
		link, ok, err := r.Link(t.Name, person.ID)
		if ok {
			traits.UserNames = append(traits.UserNames, link.UserNames()...)
			a := identity.Account{ID: link.Account, UserName: link.UserName, Active: true}
			linked = append(linked, sweep.Hit{Account: a, By: "link", Holder: person.ID})
		}
		return err
	})
	if err != nil {
		return traits, nil, fmt.Errorf("read the state: %w", err)
	}
	current := mapping.Logins{}
	if len(traits.UserNames) > 0 {
		current.Current = traits.UserNames[0]
	}
	// Where the mapping has no answer for them, what is remembered has to do.
	if want, err := t.Mapping.Account(person, current); err == nil {
		traits.ExternalIDs = append(traits.ExternalIDs, want.ExternalID)
		traits.UserNames = append(traits.UserNames, want.UserName)
		for _, attribute := range t.Correlate {
			traits.Others[attribute] = correlate.Values(attribute, want)
		}
	}
	return traits, linked, nil
}
