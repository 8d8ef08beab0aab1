package people

import (
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// anchored holds a source whose anchor was edited (R14): everybody in it has another name for dirsweep, so that nobody
// can be told to have left, stayed or joined. Once an operator approves, who is remembered becomes who was read, one to
// one by the DN of their entry.
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
	now, lost, err := r.successors(ctx, n)
	if err != nil {
		return false, err
	}
	_, released, err := r.o.Keeper.Hold(ctx, identity.Hold{
		Kind: identity.HoldRelink, Directory: name, Anomaly: what, Count: len(now),
		Reason: fmt.Sprintf("%s knows people by %s: nobody leaves, joins or changes by that. Take the edit back; or approve, and %d people with "+
			"accounts are known by their new anchor from then on, each by the DN of the entry, and %d who are not found by it as before",
			name, what, len(now), lost),
	})
	if err != nil || !released {
		return false, err
	}
	if r.o.Write {
		if err := r.rename(ctx, now); err != nil {
			return false, err
		}
	}
	g.record.Anchor = anchor
	return true, nil
}

// successors are the people with accounts who are known by the old anchor, and who they are by the new one; lost is how
// many nobody is known for.
func (r *Read) successors(ctx context.Context, n int) (now map[identity.PersonID]identity.PersonID, lost int, err error) {
	entries := map[uint64][]int{}
	for i := range r.Roster.Of(n) {
		e, err := r.Roster.Entry(i)
		if err != nil {
			return nil, 0, err
		}
		dn := roster.HashOf(identity.FoldDN(e.Person.DN))
		entries[dn] = append(entries[dn], i)
	}
	now = map[identity.PersonID]identity.PersonID{}
	seen := map[identity.PersonID]bool{}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, l := range r.Views {
			for link, err := range v.Links(l.Name) {
				if err != nil {
					return err
				}
				if seen[link.Person] || !slices.Contains(r.readersOf(link.Person.Directory), n) {
					continue
				}
				seen[link.Person] = true
				p, _, err := v.Person(link.Person)
				if err != nil {
					return err
				}
				rows := entries[roster.HashOf(identity.FoldDN(p.DN))]
				if p.DN == "" || len(rows) != 1 {
					lost++
					continue
				}
				e, err := r.Roster.Entry(rows[0])
				if err != nil {
					return err
				}
				if e.Person.ID != link.Person {
					now[link.Person] = e.Person.ID
				}
			}
		}
		return nil
	})
	return now, lost, err
}

// rename gives the links of people to who they are now.
func (r *Read) rename(ctx context.Context, now map[identity.PersonID]identity.PersonID) error {
	old := make([]identity.PersonID, 0, len(now))
	for id := range now {
		old = append(old, id)
	}
	for batch := range slices.Chunk(old, chunk) {
		err := r.update(ctx, func(w *state.Writer) error {
			for _, id := range batch {
				if err := r.renameOne(w, id, now[id]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, id := range old {
		if reason, ordered := r.orders[id]; ordered {
			r.orders[now[id]] = reason
		}
	}
	return nil
}

func (r *Read) renameOne(w *state.Writer, old, now identity.PersonID) error {
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
	return w.DeletePerson(old)
}

// follow gives what is open about a person to who they are now: their case, and an operator's order.
func follow(w *state.Writer, old, now identity.PersonID) error {
	if c, ok, err := w.Case(old); err != nil {
		return err
	} else if ok {
		if err := w.DeleteCase(old); err != nil {
			return err
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
