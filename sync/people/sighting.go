package people

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// lookups is how many people are asked about at once.
const lookups = 8

// traced is how long a directory keeps what was deleted, at least (tombstoneLifetime of Active Directory: 60 days or more).
const traced = 60 * 24 * time.Hour

// askAll asks about absent people.
func (r *Read) askAll(ctx context.Context, absent []missing) error {
	atOnce(absent, func(p missing) { r.prove(ctx, p) })
	return context.Cause(ctx)
}

// atOnce asks about each of some people, a few at a time.
func atOnce[T any](people []T, ask func(T)) {
	work := make(chan T)
	var wg sync.WaitGroup
	for range min(lookups, len(people)) {
		wg.Go(func() {
			for p := range work {
				ask(p)
			}
		})
	}
	for _, p := range people {
		work <- p
	}
	close(work)
	wg.Wait()
}

// prove asks every source of their directory about one absent person (R1). Of those whose accounts are closed nothing
// has to be told.
func (r *Read) prove(ctx context.Context, m missing) {
	p := m.Person
	a := r.ask(ctx, p)
	f := identity.Finding{
		Subject: p.ID.Directory + ": " + p.Name, Source: r.o.Sources[r.readersOf(p.ID.Directory)[0]].Name, Person: p.ID,
	}
	switch {
	case !m.open:
	case a.Outcome == judge.Unproven:
		f.Kind = "unproven"
		f.Detail = "missing from what was read, but their absence is not proven, so nothing is closed: " + a.Why
		r.o.Find(f)
	case a.Outcome == judge.Missed && r.heir(p.ID): // they were read, by their new anchor
	case a.Outcome == judge.Missed:
		f.Kind, f.Detail = "missed", "missing from what was read, so nothing is closed: "+a.Why
		r.o.Find(f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[p.ID] = a
	if a.First {
		r.records = append(r.records, r.lacked(p))
	}
	if a.Outcome != judge.Left {
		if slices.ContainsFunc(r.readersOf(p.ID.Directory), func(n int) bool { return len(r.knownBy(n, p)) > 0 }) {
			r.noteStranded(p)
		}
		return
	}
	if p.Noticed.IsZero() {
		p.Noticed, p.Left = r.o.Now, a.Left
	}
	turn(&p, mapping.Turn{})
	p.Proven, p.Active, p.Scope, p.Print = a.Cause == identity.Deleted && !a.Emptied && !a.Unlisted, false, nil, 0
	p.KnownBy = cmp.Or(r.foundBy[p.ID], p.KnownBy) // of whom only an account told, nobody else knows it
	r.records = append(r.records, p)
}

// ask looks one person up in every source of their directory.
func (r *Read) ask(ctx context.Context, p state.Person) judge.Absent {
	return r.askAs(ctx, p, judge.Read{})
}

// askAs is ask, of a read as it is known to be beforehand.
func (r *Read) askAs(ctx context.Context, p state.Person, read judge.Read) judge.Absent {
	if n, j := r.joinOf(p.ID.Directory); j != nil {
		return r.askParts(ctx, n, j, p, read)
	}
	var asked []judge.Sighting
	for _, n := range r.readersOf(p.ID.Directory) {
		g := r.readings[n]
		if g == nil {
			return judge.Absence(read, nil)
		}
		read.Unnamed += r.nameless(n)
		asked = append(asked, r.sighting(ctx, n, p))
	}
	return judge.Absence(read, asked)
}

// nameless is how many entries a source showed without an anchor that could be read.
func (r *Read) nameless(n int) int {
	return max(r.readings[n].unnamed, r.readings[n].facts.Nameless.Count)
}

// sighting is what one source says of a person. A kind that tells nothing of its reads vouches for its answers itself.
func (r *Read) sighting(ctx context.Context, n int, p state.Person) judge.Sighting {
	s, g := r.o.Sources[n], r.readings[n]
	finder, ok := s.Source.(sources.Finder)
	others := r.knownBy(n, p)
	if !ok && len(others) > 0 {
		return judge.Sighting{
			Source: s.Name,
			Trouble: fmt.Sprintf("the source knows people by another attribute than %s by now, and cannot look one person up",
				strings.Join(others, " or ")),
		}
	}
	if !ok {
		return r.unlisted(listing{
			source: s.Name, leaves: s.AbsenceLeaves, facts: g.facts, before: p.LackedIn,
			lacks: fmt.Sprintf("%d people, lacks them", r.Roster.Count(n)), one: "person",
		}, p)
	}
	seen, err := finder.Find(ctx, sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN, Leaving: true})
	late := false
	foundBy, _ := s.selection()
	for _, by := range others {
		if err != nil || seen.Where != sources.Gone {
			break
		}
		foundBy = by
		seen, err = finder.Find(ctx, sources.Lookup{Anchor: p.ID.Anchor, By: by, DN: p.DN, Leaving: true})
		late = err == nil && seen.Where == sources.InScope
	}
	if err != nil {
		return judge.Sighting{Source: s.Name, Trouble: err.Error()}
	}
	r.mu.Lock()
	if seen.Person.Own {
		r.noteOwn(n, p.ID)
	}
	if seen.Where != sources.Gone {
		r.foundBy[p.ID] = foundBy
	}
	if late {
		r.late[p.ID] = identity.PersonID{Directory: p.ID.Directory, Anchor: seen.Person.ID.Anchor}
	}
	r.mu.Unlock()
	out := sightingOf(s.Name, seen, g.facts)
	// What was deleted is kept for months, so that nothing is left of whom nobody has read for longer.
	out.Untraced = seen.Untraced && p.DN != "" && r.o.Now.Sub(g.record.At) < traced
	if late {
		out.Inactive = r.inactive(n, seen.Person, r.asked[p.ID])
	}
	answer := order(seen.Currency, g.record.Currency)
	if !g.complete && answer != judge.Current && answer != judge.Undated {
		out.Order = judge.Older // the server whose read was not believed is not asked for proof
	}
	if !g.tells {
		out.Order, out.Witness, out.Place = judge.Current, true, judge.PlacePeopled
	}
	for _, other := range r.readersOf(p.ID.Directory) {
		// Sources of one directory are one sequence of changes: what one has seen, the answer of another has to have seen.
		if order(seen.Currency, r.readings[other].facts.Until) == judge.Older {
			out.Order = judge.Older
		}
	}
	if p.Changed != 0 {
		out.Changed = judge.Happened(unix(p.Changed), out.Changed)
	}
	return out
}

// sightingOf is what a source has answered, as judge sees it. facts are those of the read that lacks the person.
func sightingOf(source string, seen sources.Sighting, facts *sources.ReadFacts) judge.Sighting {
	out := judge.Sighting{
		Source: source, Where: judge.Where(seen.Where), Now: seen.Person.DN, Proof: seen.Proof,
		Changed: seen.Changed, At: seen.At,
		Order: order(seen.Currency, facts.Until), Same: seen.Server == facts.Server, Witness: seen.Witness != "",
	}
	switch seen.Place {
	case sources.PlacePeopled:
		out.Place = judge.PlacePeopled
	case sources.PlaceEmpty:
		out.Place = judge.PlaceEmpty
	case sources.PlaceHidden:
		out.Place = judge.PlaceHidden
	}
	return out
}

// listAgain makes nobody a leaver whom nothing but a read proves to have left that is not believed.
func (r *Read) listAgain(n int) {
	for id, a := range r.gone {
		if !a.Unlisted && !a.First || id.Directory != r.directories[n].name {
			continue
		}
		r.gone[id] = judge.Absent{Outcome: judge.Unproven, Why: "the read that lacks them is not believed"}
		r.records = slices.DeleteFunc(r.records, func(p state.Person) bool { return p.ID == id })
	}
}
