package sweep

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Remains are what the state has of a case's person, beside the case.
type Remains struct {
	Active  bool // a linked account that is not closed
	Ordered bool // an operator has them swept until they are released
	Begun   bool // a change that is not settled
}

// Forgettable reports whether a case has been kept long enough (R18): it was closed before a time, and nothing of it is
// to be done, looked at, deleted or decided any more. A link to a closed account stands in nobody's way: it is what the
// account is known by for as long as the application has it (R11).
func Forgettable(c state.Case, left Remains, before time.Time) bool {
	if c.Closed.IsZero() || !c.Closed.Before(before) || left != (Remains{}) {
		return false
	}
	return !slices.ContainsFunc(c.Steps, func(s state.Step) bool {
		_, due := s.Due()
		return due || s.Status.Open()
	})
}

// forgotten is how many cases or tombstones are forgotten in one transaction.
const forgotten = 250

// Forget forgets the cases that were closed, and the tombstones of accounts that were gone, before a time, and tells
// the trail how many. What proves a case, its evidence and the trail, is for others to keep as long.
func (b *Books) Forget(ctx context.Context, before time.Time) error {
	var people []identity.PersonID
	var gone []state.Tombstone
	err := b.Ledger.View(ctx, func(r *state.Reader) error {
		for c, err := range r.Cases() {
			if err != nil {
				return err
			}
			if Forgettable(c, Remains{}, before) {
				people = append(people, c.Person)
			}
		}
		for t, err := range r.Tombstones() {
			if err != nil {
				return err
			}
			if t.At.Before(before) {
				gone = append(gone, t)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	cases := 0
	for some := range slices.Chunk(people, forgotten) {
		n := 0
		err := b.Ledger.Update(ctx, func(w *state.Writer) (err error) {
			n, err = forgetCases(w, some, before)
			return err
		})
		if err != nil {
			return fmt.Errorf("write the state: %w", err)
		}
		cases += n
	}
	for some := range slices.Chunk(gone, forgotten) {
		err := b.Ledger.Update(ctx, func(w *state.Writer) error {
			for _, t := range some {
				if err := w.DeleteTombstone(t); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write the state: %w", err)
		}
	}
	if cases+len(gone) == 0 {
		return nil
	}
	return apply.Told(ctx, b.Ledger, b.Trail, audit.Record{
		Kind: audit.Prune, Count: cases,
		Note: fmt.Sprintf("the state forgot cases closed before %s, and the names of accounts that were gone by then",
			before.UTC().Format(time.RFC3339)),
	})
}

// forgetCases forgets those of people's cases that may be, by what the state has of them in that moment.
func forgetCases(w *state.Writer, people []identity.PersonID, before time.Time) (n int, err error) {
	begun := map[identity.PersonID]bool{}
	for intent, err := range w.Intents() {
		if err != nil {
			return 0, err
		}
		begun[intent.Change.Person] = true
	}
	for _, person := range people {
		c, ok, err := w.Case(person)
		if err != nil {
			return 0, err
		}
		left := Remains{Begun: begun[person]}
		if _, left.Ordered, err = w.Closure(person); err != nil {
			return 0, err
		}
		for link, err := range w.LinksOf(person) {
			if err != nil {
				return 0, err
			}
			left.Active = left.Active || link.State == identity.LinkActive
		}
		if !ok || !Forgettable(c, left, before) {
			continue
		}
		if err := w.DeleteCase(person); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
