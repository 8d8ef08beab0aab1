package people

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// returns finds the people who left and are back under another anchor, by the declared key (R3): before anybody is
// taken for a leaver. Where they have an account of their own by now, because both entries were there for a while,
// the old one stays a leaver's.
func (r *Read) returns(ctx context.Context, l *View) error {
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		if err := r.misplaced(v, l); err != nil {
			return err
		}
		claims := r.claims(l)
		if len(claims) == 0 {
			return nil
		}
		var left []judge.Former
		var present []judge.Claimant
		wanted := map[uint64]bool{}
		former := func(id identity.PersonID, known bool) error { // known to have left
			p, _, err := v.Person(id)
			if err != nil {
				return err
			}
			hash := roster.HashOf(p.Rehire)
			if claims[hash] == nil || !known && r.gone[id].Outcome != judge.Left && p.Noticed.IsZero() {
				return nil
			}
			wanted[hash] = true
			left = append(left, judge.Former{Person: id, Key: key(hash)})
			return nil
		}
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			i, here := r.Roster.Find(link.Person)
			if here {
				if claims[r.Roster.Row(i).Key] == nil || l.Unsure.Has(i) {
					continue
				}
				if r.Roster.Row(i).Active {
					if err := r.onePerson(l, i, claims[r.Roster.Row(i).Key]); err != nil {
						return err
					}
					present = append(present, judge.Claimant{Person: link.Person, Key: key(r.Roster.Row(i).Key), Account: true})
					continue
				}
			}
			if err := former(link.Person, here); err != nil {
				return err
			}
		}
		for a, err := range v.AllUnlinked(l.Name) { // one that is to be closed is theirs before it is linked to them
			if err != nil {
				return err
			}
			if _, here := r.Roster.Find(a.Fits); here || a.Fits.IsZero() {
				continue
			}
			c, booked, err := v.Case(a.Fits)
			if err != nil {
				return err
			}
			if err := former(a.Fits, booked && c.Cause != identity.Emergency); err != nil {
				return err
			}
		}
		if len(left) == 0 {
			return nil
		}
		by := map[identity.PersonID]int{}
		for hash := range wanted {
			for _, i := range claims[hash] {
				e, err := r.Roster.Entry(i)
				if err != nil {
					return err
				}
				by[e.Person.ID] = i
				present = append(present, judge.Claimant{Person: e.Person.ID, Key: key(hash)})
			}
		}
		back, disputes := judge.Returns(left, present)
		maps.Copy(l.rehired, back)
		for _, d := range disputes {
			if err := r.disputeReturn(v, l, "rehire key", d, by); err != nil {
				return err
			}
		}
		return nil
	})
}

// misplaced finds those whose account was closed when nothing was remembered of them, as somebody's of another
// directory than the one that shows them now: nobody could tell then whose anchor the account's externalId is.
func (r *Read) misplaced(v *state.Reader, l *View) error {
	directories := r.directoriesOf(l)
	links, err := v.CountLinks(l.Name)
	if err != nil || links == 0 || len(directories) < 2 {
		return err
	}
	rows := map[identity.PersonID]int{}
	now := map[identity.PersonID][]identity.PersonID{}
	for i := range r.RowsOf(l) {
		if !l.Scope.Has(i) || l.Linked.Has(i) || !r.Roster.Row(i).Active {
			continue
		}
		e, err := r.Roster.Entry(i)
		if err != nil {
			return err
		}
		for _, directory := range directories {
			was := identity.PersonID{Directory: directory, Anchor: e.Person.ID.Anchor}
			misplaced, err := r.isMisplaced(v, l, was)
			if err != nil {
				return err
			}
			if misplaced {
				now[was], rows[e.Person.ID] = append(now[was], e.Person.ID), i
			}
		}
	}
	for was, present := range now {
		if len(present) > 1 {
			d := judge.Dispute{Left: []identity.PersonID{was}, Present: present}
			if err := r.disputeReturn(v, l, "anchor", d, rows); err != nil {
				return err
			}
			continue
		}
		l.rehired[was] = present[0]
		l.Linked.Set(rows[present[0]])
	}
	return nil
}

// isMisplaced reports whether an account is linked to somebody of whom nothing is remembered, by the externalId alone.
func (r *Read) isMisplaced(v *state.Reader, l *View, id identity.PersonID) (bool, error) {
	if _, here := r.Roster.Find(id); here {
		return false, nil
	}
	link, linked, err := v.Link(l.Name, id)
	if err != nil || !linked || link.ExternalID != id.Anchor {
		return false, err
	}
	_, known, err := v.Person(id)
	return !known, err
}

// directoriesOf are those that a target reads, whether or not they could be read now.
func (r *Read) directoriesOf(l *View) (names []string) {
	for n := range r.o.Sources {
		name, read := r.directories[n].name, slices.Contains(l.Sources, r.o.Sources[n].Name)
		if name != "" && read && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// key is a rehire key as far as it is kept: a hash of it.
func key(hash uint64) string { return fmt.Sprintf("%016x", hash) }

// claims are the rows of people in scope without an account, by their rehire key. Of whom nobody can tell whether they
// are in scope, nobody can tell either that they are not back.
func (r *Read) claims(l *View) map[uint64][]int {
	keyed := func(i int) bool {
		row := r.Roster.Row(i)
		return row.Key != 0 && row.Active && (l.Scope.Has(i) || l.Unsure.Has(i)) && r.reads(l, r.Roster.Source(i))
	}
	claims := map[uint64][]int{}
	for i := range r.Roster.Len() {
		if keyed(i) && !l.Linked.Has(i) {
			claims[r.Roster.Row(i).Key] = append(claims[r.Roster.Row(i).Key], i)
		}
	}
	return claims
}

// onePerson says that somebody new is, by their key, somebody who has an account already: while both are there
// nothing is made for the new one.
func (r *Read) onePerson(l *View, owner int, rows []int) error {
	has, err := r.Roster.Entry(owner)
	if err != nil {
		return err
	}
	for _, i := range rows {
		e, err := r.Roster.Entry(i)
		if err != nil {
			return err
		}
		l.Unsure.Set(i)
		l.Scope.Clear(i)
		r.o.Find(identity.Finding{
			Kind: "one person", Subject: l.Name + ": " + e.Person.Name, Target: l.Name, Person: e.Person.ID,
			Detail: fmt.Sprintf("%s and %s are one person by the rehire key: "+
				"the account of the first becomes the second's once the first entry is gone",
				has.Person.DN, e.Person.DN),
		})
	}
	return nil
}

// disputeReturn leaves everybody alone who might be back.
func (r *Read) disputeReturn(
	v *state.Reader, l *View, by string, d judge.Dispute, rows map[identity.PersonID]int,
) error {
	var names []string
	called := map[identity.PersonID]string{}
	for _, id := range slices.Concat(d.Left, d.Present) {
		called[id] = id.String()
		if i, here := r.Roster.Find(id); here {
			e, err := r.Roster.Entry(i)
			if err != nil {
				return err
			}
			called[id] = cmp.Or(e.Person.Name, e.Person.DN)
		} else if p, known, err := v.Person(id); err != nil {
			return err
		} else if known {
			called[id] = cmp.Or(p.Name, p.DN)
		}
		names = append(names, called[id])
	}
	for _, id := range d.Present {
		i, claims := rows[id]
		if !claims {
			continue
		}
		l.Unsure.Set(i)
		l.Scope.Clear(i)
		r.o.Find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + called[id], Target: l.Name, Person: id,
			Detail: "one " + by + " names several people (" + strings.Join(names, ", ") +
				"): nobody takes an account over, and none is made, until it names one of those that left " +
				"and one of those that are here",
		})
	}
	return nil
}
