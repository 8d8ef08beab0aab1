package people

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// turn notes when the clock alone changes what somebody is or is to have.
func turn(rec *state.Person, next mapping.Turn) { rec.Turns, rec.Turn = next.At, next.String() }

// sameTurn reports whether the clock alone changes the same of somebody as before.
func sameTurn(a, b state.Person) bool { return a.Turns.Equal(b.Turns) && a.Turn == b.Turn }

// turned reports whether somebody is another than before by the clock alone, as far as was told.
func (w *weighed) turned(now time.Time) bool {
	due := w.old && !w.known.Turns.IsZero() && !w.known.Turns.After(now)
	return due && (w.rec.Active != w.known.Active || !slices.Equal(w.rec.Scope, w.known.Scope))
}

// confirm looks those up who turn by the clock, where the source hands out what it has not been told to have changed as
// it was: whose time was extended without a word is closed by nobody's saying so (R13, R1).
func (r *Read) confirm(ctx context.Context, n int, judged []weighed) error {
	finder, finds := r.o.Sources[n].Source.(sources.Finder)
	if !finds || !r.readings[n].retold {
		return nil
	}
	var due []*weighed
	for i := range judged {
		if w := &judged[i]; w.turned(r.o.Now) {
			due = append(due, w)
		}
	}
	atOnce(due, func(w *weighed) { r.confirmOne(ctx, n, finder, w) })
	return context.Cause(ctx)
}

// confirmOne judges somebody anew by what a look-up shows of them now. Who is not where people are read is judged by the
// next read that lacks them; and where there is no answer, nobody knows.
func (r *Read) confirmOne(ctx context.Context, n int, finder sources.Finder, w *weighed) {
	seen, err := finder.Find(ctx, sources.Lookup{Anchor: w.ID.Anchor, DN: w.DN})
	p := w.present
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		r.o.Find(identity.Finding{
			Kind: "unproven", Subject: w.Source + ": " + w.Name, Source: w.Source, Person: w.ID,
			Detail: fmt.Sprintf("%s, and nobody can tell whether that still holds: nothing is done for this person until "+
				"it can be told: %v", w.known.Turn, err),
		})
		p.unreadable = true
	case seen.Where != sources.InScope || seen.Person.Changed.Before(w.Changed):
		return
	default:
		p.Person = seen.Person
		p.ID = w.ID
	}
	*w = r.weighed(n, w.known, w.old, p)
}
