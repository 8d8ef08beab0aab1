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
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// TakeOver begins a process over a state and its trail, whose records are told apart by its epoch. Where the trail
// tells of a later process than the state knows of, the state was put back to an older one, or lost: what was ordered
// and released since is carried over. Of one that was put back, what leavers owed by it is judged anew, and for a
// window nobody is closed or enabled, and nothing is deleted, by what it remembers (state.Restored).
func TakeOver(ctx context.Context, books *sweep.Books, now time.Time) error {
	older, known, err := Older(ctx, books)
	if err != nil {
		return err
	}
	beyond := books.Trail.Beyond()
	var orders []audit.Record
	if older {
		if orders, err = ordersSince(ctx, books.Trail, known.Seq); err != nil {
			return err
		}
	}
	var epoch uint64
	var ended []*state.Case
	err = books.Ledger.Update(ctx, func(w *state.Writer) (err error) {
		ended = nil
		if older {
			ended, err = carryOver(w, orders, now)
		}
		if err == nil && older && known.Seq > 0 {
			var more []*state.Case
			more, err = judgeAnew(w, now)
			ended = append(ended, more...)
			err = errors.Join(err, w.SetRestored(state.Restored{At: now, From: beyond.From, Records: beyond.Records}))
		}
		if err != nil {
			return err
		}
		epoch, err = w.NextEpoch(beyond.Epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if books.Trail.Begin(epoch); !older {
		return nil
	}
	note := fmt.Sprintf("the state is older than the trail: it does not know of %d records", beyond.Records)
	err = apply.Told(ctx, books.Ledger, books.Trail, audit.Record{
		At: now, Kind: audit.Restored, Outcome: "judged anew", Count: beyond.Records, Note: note,
	})
	books.End(ctx, ended...)
	return err
}

// Older reports whether the trail tells of a later process than the state knows of, and what the state knows of the
// trail.
func Older(ctx context.Context, books *sweep.Books) (older bool, known state.AuditHead, err error) {
	var epoch uint64
	err = books.Ledger.View(ctx, func(r *state.Reader) (err error) {
		if epoch, err = r.Epoch(); err == nil {
			known, _, err = r.AuditHead()
		}
		return err
	})
	if err != nil {
		return false, known, fmt.Errorf("read the state: %w", err)
	}
	return books.Trail.Beyond().Epoch > epoch, known, nil
}

// ordersSince are the records of what operators ordered and released after a record.
func ordersSince(ctx context.Context, trail *audit.Trail, after uint64) (list []audit.Record, err error) {
	for r, err := range trail.Records() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("read the audit trail: %w", err)
		}
		if r.Seq > after && (r.Kind == audit.Sweep || r.Kind == audit.Release) {
			list = append(list, r)
		}
	}
	return list, nil
}

// carryOver gives and takes back orders as the trail tells.
func carryOver(w *state.Writer, orders []audit.Record, now time.Time) (ended []*state.Case, err error) {
	for _, r := range orders {
		id, err := identity.ParsePersonID(r.Person)
		if err != nil {
			continue // an anchor that was too long for a record
		}
		if r.Kind == audit.Sweep {
			p, _, err := w.Person(id)
			order := state.Closure{Person: id, Reason: r.Note, At: r.At, Rehire: p.Rehire}
			if err = errors.Join(err, w.PutClosure(order)); err != nil {
				return nil, err
			}
			continue
		}
		about, err := ordered(w, id)
		if err != nil {
			return nil, err
		}
		over, err := takeBack(w, about, now)
		if err != nil {
			return nil, err
		}
		ended = append(ended, over...)
	}
	return ended, nil
}

// judgeAnew takes off their cases what leavers owe by a state that is not believed: who has left still is judged again.
// What an operator ordered is owed.
func judgeAnew(w *state.Writer, now time.Time) (ended []*state.Case, err error) {
	cases, err := state.Collect(w.Cases())
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		if _, ordered, err := w.Closure(c.Person); err != nil {
			return nil, err
		} else if ordered {
			continue
		}
		for _, s := range slices.Clone(c.Steps) {
			if s.Status != state.StepOpen {
				continue
			}
			over, err := sweep.ReturnOne(w, c.Person, s, "the state was put back to an older one: judged anew", now)
			if err != nil {
				return nil, err
			}
			ended = append(ended, over)
		}
	}
	return ended, nil
}
