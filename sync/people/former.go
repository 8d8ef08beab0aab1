package people

import (
	"context"
	"fmt"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// absentOf is what became of somebody whom the reads lack, where they were asked about.
func (r *Read) absentOf(id identity.PersonID) (a judge.Absent, asked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, asked = r.gone[id]
	return a, asked
}

// Unproven is why nobody can tell whether somebody whom the reads lack has left; "" where that is known.
func (r *Read) Unproven(id identity.PersonID) string {
	if a, asked := r.absentOf(id); asked && a.Outcome == judge.Unproven {
		return a.Why
	}
	return ""
}

// Former says whether, and why, somebody may not keep an account that turned up at a target, and that their link does
// not lead to: because it has another identifier, because it was gone, or because nothing is remembered of them. Who is
// not among those read is asked for. What is not known for sure is not a departure; of whom nothing is remembered,
// nobody knows the place, and they have to wait for an operator.
func (r *Read) Former(ctx context.Context, l *View, link state.Link) (out Leaver, leaving bool, err error) {
	if _, here := r.Roster.Find(link.Person); !here && r.completely(link.Person.Directory) {
		if err := r.lookFor(ctx, link); err != nil {
			return out, false, err
		}
	}
	out, leaving = r.Departure(l, link)
	return out, leaving, nil
}

func (r *Read) lookFor(ctx context.Context, link state.Link) error {
	if _, asked := r.absentOf(link.Person); asked {
		return nil
	}
	unknown := true
	p := state.Person{ID: link.Person, Name: link.Name}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		known, ok, err := v.Person(link.Person)
		if ok {
			p, unknown = known, false
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	a := provenBefore(p)
	if !p.Proven {
		a = r.askAs(ctx, p, judge.Read{Nowhere: unknown})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[link.Person], r.keys[link.Person] = a, roster.HashOf(p.Rehire)
	return nil
}

// Anchored are the people whose anchor a text may be: one a directory that a target reads, where the text looks like
// the anchors there.
func (r *Read) Anchored(l *View, text string) (list []identity.PersonID, err error) {
	seen := map[string]bool{}
	for n := range r.o.Sources {
		name := r.directories[n].name
		if !r.reads(l, n) || seen[name] {
			continue
		}
		seen[name] = true
		for i := range r.Roster.Of(n) {
			e, err := r.Roster.Entry(i)
			if err != nil {
				return nil, err
			}
			if judge.Alike(e.Person.ID.Anchor, text) {
				list = append(list, identity.PersonID{Directory: name, Anchor: text})
			}
			break // they are all of one kind
		}
	}
	return list, nil
}

// provenBefore is what became of somebody who was proven gone when they left.
func provenBefore(p state.Person) judge.Absent {
	return judge.Absent{
		Outcome: judge.Left, Cause: identity.Deleted, Strength: identity.ByAbsence, Proof: "proven when the person left",
		Left: p.Left, At: p.Noticed,
	}
}
