package people

import (
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// forget forgets the people whom full reads have lacked for a day and of whom nothing else is left (R18). Nobody is
// forgotten while a source knows people by another anchor than before.
func (r *Read) forget(ctx context.Context) error {
	if !r.o.Full || r.o.Person != "" {
		return nil
	}
	var names []string
	for _, d := range r.directories {
		edited := slices.ContainsFunc(r.readersOf(d.name), r.anchorEdited)
		if !edited && !slices.Contains(names, d.name) && r.directoryWhole(d.name) {
			names = append(names, d.name)
		}
	}
	var over []state.Person
	var kept traces
	err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		if kept, err = tracesIn(v); err != nil {
			return err
		}
		for _, name := range names {
			for id, err := range v.Known(name) {
				if err != nil {
					return err
				}
				if _, here := r.Roster.Find(id); here || r.missingParts[id] != nil {
					continue
				}
				left, err := kept.of(v, id)
				if err != nil {
					return err
				}
				p, _, err := v.Person(id)
				if err != nil {
					return err
				}
				if judge.Nowhere(left) && (p.Missing.IsZero() || p.Missing.After(r.o.Now) || judge.Forgotten(p.Missing, r.o.Now)) {
					over = append(over, p)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	for some := range slices.Chunk(over, chunk) {
		err := r.update(ctx, func(w *state.Writer) error {
			begun, err := intentsIn(&w.Reader)
			if err != nil {
				return err
			}
			for _, p := range some { // others are at work beside the read: once more, as it is now
				left, err := begun.of(&w.Reader, p.ID)
				switch {
				case err != nil:
				case !judge.Nowhere(left):
				case judge.Forgotten(p.Missing, r.o.Now):
					err = w.DeletePerson(p.ID)
				default:
					p.Missing = r.o.Now
					err = w.PutPerson(p)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// traces are what people have left, as far as it is not found by who they are.
type traces map[roster.Key]judge.Traces

// tracesIn collects them.
func tracesIn(v *state.Reader) (traces, error) {
	all, err := intentsIn(v)
	if err != nil {
		return nil, err
	}
	for t, err := range v.Tombstones() {
		if err != nil {
			return nil, err
		}
		all.note(t.Person, func(left *judge.Traces) { left.Tombstone = true })
	}
	for h, err := range v.Holds() {
		if err != nil {
			return nil, err
		}
		for _, m := range h.Members {
			all.note(m.Person, func(left *judge.Traces) { left.Held = true })
		}
	}
	return all, nil
}

// intentsIn collects those that come and go beside a read.
func intentsIn(v *state.Reader) (traces, error) {
	all := traces{}
	for i, err := range v.Intents() {
		if err != nil {
			return nil, err
		}
		all.note(i.Change.Person, func(left *judge.Traces) { left.Begun = true })
	}
	return all, nil
}

func (t traces) note(id identity.PersonID, what func(*judge.Traces)) {
	left := t[roster.KeyOf(id)]
	what(&left)
	t[roster.KeyOf(id)] = left
}

// of are somebody's.
func (t traces) of(v *state.Reader, id identity.PersonID) (left judge.Traces, err error) {
	left = t[roster.KeyOf(id)]
	if _, left.Case, err = v.Case(id); err != nil {
		return left, err
	}
	if _, left.Ordered, err = v.Closure(id); err != nil {
		return left, err
	}
	for _, err := range v.LinksOf(id) {
		if err != nil {
			return left, err
		}
		left.Linked = true
	}
	return left, nil
}
