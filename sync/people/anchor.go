package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// anchored holds a source whose anchor was edited (R14): everybody in it has another name for dirsweep, so that nobody
// can be told to have left, stayed or joined. Once an operator approves, who is remembered becomes who was read, one to
// one by the rehire key, or the DN of their entry.
func (r *Read) anchored(ctx context.Context, n int) (believed bool, err error) {
	name, g := r.o.Sources[n].Name, r.readings[n]
	anchor, _ := r.o.Sources[n].selection()
	what := fmt.Sprintf("anchor %s instead of %s", anchor, g.record.Anchor)
	edited := r.anchorEdited(n)
	if err := r.o.Keeper.Drop(ctx, func(h identity.Hold) bool {
		return h.Kind == identity.HoldRelink && h.Directory == name && (!edited || h.Anomaly != what)
	}); err != nil || !edited {
		return !edited, err
	}
	if r.o.Person != "" {
		return false, nil // it is a matter of everybody's
	}
	now, lost, err := r.successors(ctx, n)
	if err != nil {
		return false, err
	}
	hold, released, err := r.o.Keeper.Hold(ctx, identity.Hold{
		Kind: identity.HoldRelink, Directory: name, Anomaly: what, Count: len(now),
		Reason: fmt.Sprintf("%s knows people by %s (%s): nobody leaves, joins or changes by that. "+
			"Take the edit back; or approve, and %d people with accounts are known by their new anchor from then on, each by the rehire key or the DN of the entry, "+
			"and %d who are not found by it as before", name, what, r.o.Sources[n].line("anchor"), len(now), len(lost)),
	})
	if err != nil {
		return false, err
	}
	if !released {
		g.heirs, g.relink = now, hold.Digest
		return false, nil
	}
	if r.o.Write {
		if err := r.strand(ctx, n, lost); err != nil {
			return false, err
		}
		if err := r.rename(ctx, now, n); err != nil {
			return false, err
		}
		if err := r.enterAgain(ctx, n); err != nil {
			return false, err
		}
	}
	g.record.Anchor = anchor
	return true, nil
}

// strand notes by what they are known of those of whom nobody knows who they are by the new anchor: they are asked for
// by that. Whoever was so already is known by what they were: they never got the anchor that is edited now.
func (r *Read) strand(ctx context.Context, n int, lost []state.Person) error {
	return r.update(ctx, func(w *state.Writer) error {
		for _, p := range lost {
			p.KnownBy = cmp.Or(p.KnownBy, r.readings[n].record.Anchor)
			if err := w.PutPerson(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// renameLate gives what is remembered of people whom their source, asked by the old anchor, has shown under the new one
// to who they are now. In this pass nothing is done for them yet.
func (r *Read) renameLate(ctx context.Context) error {
	now := map[identity.PersonID]identity.PersonID{}
	for old, id := range r.late {
		if !slices.ContainsFunc(r.readersOf(id.Directory), r.anchorEdited) {
			now[old] = id
		}
	}
	if !r.o.Write || len(now) == 0 {
		return nil
	}
	return r.rename(ctx, now)
}

// enterAgain weighs the people of a source by what is remembered of who they were.
func (r *Read) enterAgain(ctx context.Context, n int) error {
	fresh, err := r.newReading(ctx, n)
	if err != nil {
		return err
	}
	g := r.readings[n]
	fresh.facts, fresh.tells, fresh.unnamed, fresh.unreadable, fresh.own = g.facts, g.tells, g.unnamed, g.unreadable, g.own
	*g = *fresh
	for rows := range slices.Chunk(slices.Collect(r.Roster.Of(n)), chunk) {
		batch := make([]present, 0, len(rows))
		for _, i := range rows {
			e, err := r.Roster.Entry(i)
			if err != nil {
				return err
			}
			batch = append(batch, present{e.Person, slices.Contains(g.unreadable, e.Person.ID)})
		}
		if err := r.enter(ctx, n, batch); err != nil {
			return err
		}
	}
	return nil
}

// successors are the people with accounts or anything open who are known by the old anchor, and who they are by the new
// one; lost are those of whom nobody knows.
func (r *Read) successors(
	ctx context.Context, n int,
) (now map[identity.PersonID]identity.PersonID, lost []state.Person, err error) {
	byKey, byDN := map[uint64][]int{}, map[uint64][]int{}
	for i := range r.Roster.Of(n) {
		e, err := r.Roster.Entry(i)
		if err != nil {
			return nil, nil, err
		}
		dn := roster.HashOf(identity.FoldDN(e.Person.DN))
		byDN[dn] = append(byDN[dn], i)
		if key := r.Roster.Row(i).Key; key != 0 {
			byKey[key] = append(byKey[key], i)
		}
	}
	// successor is who bears the rehire key of somebody, or else has their DN and says nothing against it. Whoever has
	// the DN of somebody who is gone is somebody else.
	successor := func(p state.Person) (e roster.Entry, ok bool, err error) {
		key := roster.HashOf(p.Rehire)
		if rows := byKey[key]; key != 0 && len(rows) == 1 {
			e, err = r.Roster.Entry(rows[0])
			return e, err == nil, err
		}
		rows := byDN[roster.HashOf(identity.FoldDN(p.DN))]
		if p.DN == "" || p.Proven || len(rows) != 1 {
			return e, false, nil
		}
		e, err = r.Roster.Entry(rows[0])
		return e, err == nil && (key == 0 || e.Record.Rehire == ""), err
	}
	now = map[identity.PersonID]identity.PersonID{}
	heirs := map[identity.PersonID]bool{}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for id, err := range r.remembered(v) {
			if err != nil {
				return err
			}
			if !slices.Contains(r.readersOf(id.Directory), n) {
				continue
			}
			p, known, err := v.Person(id)
			if err != nil {
				return err
			}
			switch e, ok, err := successor(p); {
			case err != nil:
				return err
			case !known:
			case !ok || heirs[e.Person.ID]:
				lost = append(lost, p)
			case e.Person.ID != id:
				now[id], heirs[e.Person.ID] = e.Person.ID, true
			}
		}
		return nil
	})
	return now, lost, err
}

// remembered is everybody, once, of whom something is kept that is more than what they looked like: an account, linked
// or not, a hold, a case, an order.
func (r *Read) remembered(v *state.Reader) iter.Seq2[identity.PersonID, error] {
	return func(yield func(identity.PersonID, error) bool) {
		seen := map[identity.PersonID]bool{{}: true} // nobody is nobody's
		tell := func(id identity.PersonID, err error) bool {
			if err == nil && seen[id] {
				return true
			}
			seen[id] = true
			return yield(id, err)
		}
		for _, l := range r.Views {
			for link, err := range v.Links(l.Name) {
				if !tell(link.Person, err) {
					return
				}
			}
		}
		for _, l := range r.Views {
			for a, err := range v.AllUnlinked(l.Name) {
				if !tell(a.Fits, err) {
					return
				}
			}
		}
		for h, err := range v.Holds() {
			for _, m := range h.Members {
				if !tell(m.Person, nil) {
					return
				}
			}
			if err != nil && !tell(identity.PersonID{}, err) {
				return
			}
		}
		for c, err := range v.Cases() {
			if !tell(c.Person, err) {
				return
			}
		}
		for c, err := range v.Closures() {
			if !tell(c.Person, err) {
				return
			}
		}
		for intent, err := range v.Intents() {
			if !tell(intent.Change.Person, err) {
				return
			}
		}
	}
}

// rename gives what is remembered of people to who they are now, and then notes by what some sources know people.
func (r *Read) rename(ctx context.Context, now map[identity.PersonID]identity.PersonID, by ...int) error {
	old := make([]identity.PersonID, 0, len(now))
	for id := range now {
		old = append(old, id)
	}
	for batch := range slices.Chunk(old, chunk) {
		err := r.update(ctx, func(w *state.Writer) error {
			for _, id := range batch {
				if err := r.renameOne(w, id, now[id], r.anchorOf(now[id].Directory)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	err := r.update(ctx, func(w *state.Writer) error {
		for _, n := range by {
			record, _, err := w.Source(r.o.Sources[n].Name)
			if err != nil {
				return err
			}
			record.Name = r.o.Sources[n].Name
			record.Anchor, _ = r.o.Sources[n].selection()
			if err := w.PutSource(record); err != nil {
				return err
			}
		}
		return errors.Join(renameMembers(w, now), r.renameUnlinked(w, now), renameIntents(w, now))
	})
	if err != nil {
		return err
	}
	for _, id := range old {
		if order, ordered := r.orders[id]; ordered {
			order.Person = now[id]
			r.orders[order.Person] = order
		}
	}
	return nil
}

// anchorOf is the attribute by which the sources of a directory know people now.
func (r *Read) anchorOf(directory string) (anchor string) {
	for _, n := range r.readersOf(directory) {
		anchor, _ = r.o.Sources[n].selection()
	}
	return anchor
}

// renameMembers keeps people held under the name by which they are known now.
func renameMembers(w *state.Writer, now map[identity.PersonID]identity.PersonID) error {
	holds, err := state.Collect(w.Holds())
	if err != nil {
		return err
	}
	for _, h := range holds {
		for _, m := range h.Members {
			id, known := now[m.Person]
			if !known {
				continue
			}
			renamed := m
			renamed.Person = id // first, since a hold without members is forgotten
			if err := errors.Join(w.PutMembers(h.Digest, renamed), w.DeleteMember(h.Digest, m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameIntents lets what is found of unfinished changes be remembered of who people are now.
func renameIntents(w *state.Writer, now map[identity.PersonID]identity.PersonID) error {
	intents, err := state.Collect(w.Intents())
	if err != nil {
		return err
	}
	for _, intent := range intents {
		if id, known := now[intent.Change.Person]; known {
			intent.Change.Person = id
			if err := w.Amend(intent); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameUnlinked remembers whom accounts without a link fit by the name by which they are known now.
func (r *Read) renameUnlinked(w *state.Writer, now map[identity.PersonID]identity.PersonID) error {
	for _, l := range r.Views {
		list, err := state.Collect(w.AllUnlinked(l.Name))
		if err != nil {
			return err
		}
		for i, a := range list {
			if id, known := now[a.Fits]; known {
				list[i].Fits = id
			}
		}
		if err := w.SetUnlinked(l.Name, list); err != nil {
			return err
		}
	}
	return nil
}

func (r *Read) renameOne(w *state.Writer, old, now identity.PersonID, by string) error {
	for _, l := range r.Views {
		link, ok, err := w.Link(l.Name, old)
		if err != nil {
			return err
		}
		if _, has, err := w.Link(l.Name, now); err != nil || !ok || has {
			if err != nil {
				return err
			}
			continue
		}
		if err := w.DeleteLink(l.Name, old); err != nil {
			return err
		}
		link.Person = now
		if err := w.PutLink(link); err != nil {
			return err
		}
	}
	if err := follow(w, old, now); err != nil {
		return err
	}
	p, known, err := w.Person(old)
	if err != nil || !known {
		return err
	}
	p.ID, p.KnownBy = now, by // where this is cut short, and the edit taken back, they can be asked for all the same
	return errors.Join(w.DeletePerson(old), w.PutPerson(p))
}

// follow gives what is open about a person to who they are now: their case, and an operator's order.
func follow(w *state.Writer, old, now identity.PersonID) error {
	if c, ok, err := w.Case(old); err != nil {
		return err
	} else if ok {
		if err := w.DeleteCase(old); err != nil {
			return err
		}
		own, has, err := w.Case(now)
		if err != nil {
			return err
		}
		if has { // of theirs: what the old one knows of other accounts is added
			for _, s := range c.Steps {
				same := func(o state.Step) bool { return o.Target == s.Target && o.Account == s.Account }
				if !slices.ContainsFunc(own.Steps, same) {
					own.Steps = append(own.Steps, s)
				}
			}
			c = own
		}
		c.Person = now
		if err := w.PutCase(c); err != nil {
			return err
		}
	}
	order, ok, err := w.Closure(old)
	if err != nil || !ok {
		return err
	}
	if err := w.DeleteClosure(old); err != nil {
		return err
	}
	order.Person = now
	return w.PutClosure(order)
}
