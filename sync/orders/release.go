package orders

import (
	"context"
	"fmt"
	"slices"

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
		ended = nil
		if _, ok, err := w.Closure(id); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("%q was not swept by an operator, so there is nothing to release", o.Person)
		}
		// What could not be closed yet is not owed any more. Where the person has left all the same, the next pass says so.
		c, _, err := w.Case(id)
		if err != nil {
			return err
		}
		p, _, err := w.Person(id)
		if err != nil {
			return err
		}
		for _, s := range c.Steps {
			if c.Cause != identity.Emergency {
				continue
			}
			if s.Status == state.StepProven && p.Active && slices.Contains(p.Scope, s.Target) {
				if err := sweep.Unwatch(w, id, s.Target, s.Account, d.Now()); err != nil {
					return err
				}
			}
			if s.Status != state.StepOpen {
				continue
			}
			c, err := sweep.Return(w, id, s.Target, "released", d.Now())
			if err != nil {
				return err
			}
			ended = append(ended, c)
		}
		return w.DeleteClosure(id)
	})
	if err != nil {
		return err
	}
	err = apply.Told(ctx, d.Ledger, d.Trail, audit.Record{At: d.Now(), Kind: audit.Release, Person: id.String(), Outcome: "released", Actor: o.Actor})
	d.Books.End(ctx, ended...)
	return err
}
