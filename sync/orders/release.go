package orders

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// Release ends what Sweep ordered; the next pass gives the person back what they should have.
func (d *Desk) Release(ctx context.Context, o Order) error {
	id, err := d.remembered(ctx, o.Person)
	if err != nil {
		return err
	}
	var ended []*state.Case
	err = d.Ledger.Update(ctx, func(w *state.Writer) error {
		about, err := ordered(w, id)
		switch {
		case err != nil:
			return err
		case len(about) == 0:
			return fmt.Errorf("%q was not swept by an operator, so there is nothing to release", o.Person)
		}
		ended, err = takeBack(w, about, d.Now())
		return err
	})
	if err != nil {
		return err
	}
	err = apply.Told(ctx, d.Ledger, d.Trail, audit.Record{At: d.Now(), Kind: audit.Release, Person: id.String(), Outcome: "released", Actor: o.Actor})
	d.Books.End(ctx, ended...)
	return err
}

// takeBack takes orders back.
func takeBack(w *state.Writer, orders []identity.PersonID, now time.Time) (ended []*state.Case, err error) {
	for _, one := range orders {
		cases, err := release(w, one, now)
		if err != nil {
			return nil, err
		}
		ended = append(ended, cases...)
	}
	return ended, nil
}

// ordered are all orders that are about a person: the same one under other anchors, by the rehire key, or in another
// directory, where nobody of that anchor was ever read in one of them.
func ordered(w *state.Writer, id identity.PersonID) (about []identity.PersonID, err error) {
	self, known, err := w.Person(id)
	if err != nil {
		return nil, err
	}
	own, _, err := w.Closure(id)
	if err != nil {
		return nil, err
	}
	key := cmp.Or(self.Rehire, own.Rehire)
	for c, err := range w.Closures() {
		if err != nil {
			return nil, err
		}
		p, read, err := w.Person(c.Person)
		if err != nil {
			return nil, err
		}
		rehired := key != "" && cmp.Or(p.Rehire, c.Rehire) == key
		misplaced := c.Person.Anchor == id.Anchor && !(known && read)
		if c.Person == id || rehired || misplaced {
			about = append(about, c.Person)
		}
	}
	return about, nil
}

// release takes the order back. What could not be closed yet is not owed any more; where the person has left all the
// same, the next pass says so.
func release(w *state.Writer, id identity.PersonID, now time.Time) (ended []*state.Case, err error) {
	c, _, err := w.Case(id)
	if err != nil {
		return nil, err
	}
	p, known, err := w.Person(id)
	if err != nil {
		return nil, err
	}
	for _, s := range c.Steps {
		switch {
		case c.Cause != identity.Emergency:
		case s.Status == state.StepProven && (!known || p.InScope(s.Target)): // nothing says that they have left
			if err := sweep.Unwatch(w, id, s, now); err != nil {
				return nil, err
			}
		case s.Status == state.StepOpen:
			over, err := sweep.ReturnOne(w, id, s, "released", now)
			if err != nil {
				return nil, err
			}
			ended = append(ended, over)
		}
	}
	return ended, w.DeleteClosure(id)
}
