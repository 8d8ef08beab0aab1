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
		if _, ok, err := w.Closure(id); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("%q was not swept by an operator, so there is nothing to release", o.Person)
		}
		var err error
		ended, err = takeBack(w, id, d.Now())
		return err
	})
	if err != nil {
		return err
	}
	err = apply.Told(ctx, d.Ledger, d.Trail, audit.Record{At: d.Now(), Kind: audit.Release, Person: id.String(), Outcome: "released", Actor: o.Actor})
	d.Books.End(ctx, ended...)
	return err
}

// takeBack takes the order about somebody back, under every anchor.
func takeBack(w *state.Writer, id identity.PersonID, now time.Time) (ended []*state.Case, err error) {
	whom, err := alsoOrdered(w, id)
	if err != nil {
		return nil, err
	}
	for _, one := range whom {
		cases, err := release(w, one, now)
		if err != nil {
			return nil, err
		}
		ended = append(ended, cases...)
	}
	return ended, nil
}

// alsoOrdered are all who are swept with a person: the same one under other anchors, by the rehire key.
func alsoOrdered(w *state.Writer, id identity.PersonID) ([]identity.PersonID, error) {
	whom := []identity.PersonID{id}
	orders, err := state.Collect(w.Closures())
	if err != nil {
		return nil, err
	}
	keys := map[identity.PersonID]string{}
	for _, c := range orders {
		p, _, err := w.Person(c.Person)
		if err != nil {
			return nil, err
		}
		keys[c.Person] = cmp.Or(p.Rehire, c.Rehire)
	}
	for _, c := range orders {
		if c.Person != id && keys[id] != "" && keys[c.Person] == keys[id] {
			whom = append(whom, c.Person)
		}
	}
	return whom, nil
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
