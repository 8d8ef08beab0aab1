package modeltest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// A span is a time in which the engine was at work, by the clock that everybody sees.
type span struct {
	from, to  time.Time
	after     uint64    // the record of the trail before its first one
	ambiguous time.Time // until when the clock had shown some instants twice by then
	// What the engine reports of a pass.
	closed  []reconcile.Closing // that the trail was not seen to tell as well
	outcome reconcile.Outcome
}

func (s span) holds(at time.Time) bool { return !at.Before(s.from) && !at.After(s.to) }

// begins notes that the engine is at work from now on, until ends is called.
func (w *world) begins() {
	w.cut.sources, w.cut.targets = [sourceCount]bool{}, [targetCount]bool{}
	w.worked = append(w.worked, span{from: w.now(), after: w.trail.Head().Seq, ambiguous: w.ambiguous})
}

// run makes a pass.
func (w *world) run(ctx context.Context, p reconcile.Pass) error {
	report, err := w.engine.Run(ctx, p)
	now := &w.worked[len(w.worked)-1]
	if now.outcome = report.Outcome(); err == nil {
		now.closed = report.Closed
	}
	return err
}

func (w *world) ends() { w.worked[len(w.worked)-1].to = w.now() }

// judgeProof judges what the trail says of an account that was proven closed: when it happened, when it was noticed and
// when it was proven (R19). step is the one in which that was.
func (w *world) judgeProof(r audit.Record, step *span) {
	looked := func(at time.Time) bool {
		return slices.ContainsFunc(w.worked, func(s span) bool { return s.holds(at) })
	}
	person, _ := identity.ParsePersonID(r.Person)
	n, known := w.model.human(person.Anchor)
	said := known && slices.ContainsFunc(w.model.humans[n].told, func(at time.Time) bool { return at.Equal(r.Left) })
	ordered := !r.Left.After(r.Noticed) && !r.Noticed.After(r.At) || !r.Noticed.After(step.ambiguous)
	if !looked(r.Noticed) || !looked(r.At) || !r.Left.IsZero() && !said || !ordered {
		w.broken(Instants, "%s: %s of %s: left at %s, noticed at %s, closed at %s", r.Target, r.Account, r.Name, r.Left, r.Noticed, r.At)
	}
	step.closed = slices.DeleteFunc(step.closed, func(one reconcile.Closing) bool {
		return one.Person.String() == r.Person && one.Target == r.Target && one.Took == r.At.Sub(cmp.Or(r.Left, r.Noticed))
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
