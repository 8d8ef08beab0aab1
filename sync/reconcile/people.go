package reconcile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// chunk is how many people or accounts share one look at the state.
const chunk = 256

// bulk is how many records share one transaction where all of them are at hand. Anchors are random, so that a small one writes a page of the
// state for each of its records.
const bulk = 10_000

// readSources reads every source, side by side. One that is not read whole, or is too small to believe, takes no part: nobody of it is a
// leaver, and nobody of another is touched by that (R2).
func (r *run) readSources(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(r.o.Sources))
	for n := range r.o.Sources {
		wg.Go(func() { errs[n] = r.readSource(ctx, n) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for n, err := range errs { // one after the other: the roster is everybody's
		if err == nil {
			err = r.accept(ctx, n)
		}
		if err != nil {
			r.o.Log.Error("source takes no part in this pass", "source", r.o.Sources[n].Name, "error", err)
			r.report.Sources[n].Err = err.Error()
		}
		if !r.whole[n] {
			r.disbelieve(n)
		}
	}
	return r.pick(ctx)
}

// disbelieve makes nothing certain of what a source said: half a list, or one that shrank too much, changes no account either (R2).
func (r *run) disbelieve(n int) {
	for _, li := range r.readers(n) {
		for i := range r.roster.Of(n) {
			r.lanes[li].scope.Clear(i)
			r.lanes[li].unsure.Set(i)
		}
	}
}

func (r *run) readSource(ctx context.Context, n int) error {
	s := r.o.Sources[n]
	r.o.Log.Debug("reading people", "source", s.Name)
	batch := make([]present, 0, chunk)
	read := 0
	for p, err := range s.Source.People(ctx) {
		if trouble := (*sources.PersonError)(nil); errors.As(err, &trouble) {
			r.find(identity.Finding{
				Kind: "unreadable", Subject: s.Name + ": " + trouble.DN, Source: s.Name, Person: trouble.ID,
				Detail: trouble.Err.Error() + "; nothing is done for this person",
			})
			if trouble.ID.Anchor == "" {
				continue
			}
			p.ID = trouble.ID
		} else if err != nil {
			return err
		}
		for _, f := range sources.Findings(p) {
			r.find(f)
		}
		batch = append(batch, present{p, err != nil})
		read++
		if len(batch) == chunk {
			if err := r.enter(ctx, n, batch); err != nil {
				return err
			}
			batch = batch[:0]
			if r.pass.Progress != nil {
				r.pass.Progress.Reading(s.Name, read, 0)
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.pass.Progress != nil {
		r.pass.Progress.Reading(s.Name, read, read)
	}
	return r.enter(ctx, n, batch)
}

// A present person is one that the source returned, perhaps in a state that cannot be read.
type present struct {
	identity.Person
	unreadable bool
}

// accept believes a complete snapshot, or not.
func (r *run) accept(ctx context.Context, n int) error {
	name := r.o.Sources[n].Name
	count, people := r.roster.Count(n), uint64(0)
	for k := range r.roster.Keys(n) {
		people ^= binary.LittleEndian.Uint64(k[:])
	}
	r.report.Sources[n].Count = count
	var record state.SourceRecord
	var hold state.Hold
	err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		record, _, err = v.Source(name)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	shrink := guard.Shrunk(r.o.Shrink, name, record.Accepted, count, people)
	if shrink != nil && record.Accepted == 0 {
		return fmt.Errorf("%w: %s", sources.ErrIncomplete, shrink.Reason)
	}
	if shrink != nil {
		hold = state.Hold{Digest: shrink.Digest, Kind: "shrink", Source: name, Reason: shrink.Reason, Since: r.now}
		released, err := r.hold(ctx, hold)
		if err != nil {
			return err
		}
		if !released {
			return nil
		}
	}
	r.whole[n] = true
	if !r.write {
		return nil
	}
	return r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		if err := dropHoldsWhere(w, func(h state.Hold) bool { return h.Kind == "shrink" && h.Source == name }); err != nil {
			return err
		}
		record.Name, record.Accepted, record.At = name, count, r.now
		return w.PutSource(record)
	})
}

// dropHoldsWhere forgets the holds that are over.
func dropHoldsWhere(w *state.Writer, over func(state.Hold) bool) error {
	var digests []string
	for h, err := range w.Holds() {
		if err != nil {
			return err
		}
		if over(h) {
			digests = append(digests, h.Digest)
		}
	}
	for _, digest := range digests {
		if err := w.DeleteHold(digest); err != nil {
			return err
		}
	}
	return nil
}

// hold puts a shrunken source on hold, unless an operator has released exactly this.
func (r *run) hold(ctx context.Context, h state.Hold) (released bool, err error) {
	var known state.Hold
	var old bool
	if err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		known, old, err = v.Hold(h.Digest)
		return err
	}); err != nil {
		return false, fmt.Errorf("read the state: %w", err)
	}
	if old {
		if !known.Approved.IsZero() {
			return true, nil
		}
		h = known
	}
	r.mu.Lock()
	r.report.Held = append(r.report.Held, h)
	r.mu.Unlock()
	r.o.Log.Warn("held", "source", h.Source, "target", h.Target, "reason", h.Reason, "release", "dirsweep approve "+h.Digest)
	if old || !r.write {
		return false, nil
	}
	// Another snapshot is another hold: what the last one waited for cannot be released any more.
	if err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return dropHoldsWhere(w, func(old state.Hold) bool {
			return old.Kind == "shrink" && old.Source == h.Source && old.Target == h.Target && old.Approved.IsZero()
		})
	}); err != nil {
		return false, fmt.Errorf("write the state: %w", err)
	}
	return false, r.tellHolds(ctx, []state.Hold{h})
}

// enter evaluates what has to be evaluated of a chunk of people, and puts them on the roster.
func (r *run) enter(ctx context.Context, n int, batch []present) error {
	if len(batch) == 0 {
		return nil
	}
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, p := range batch {
			if err := r.enterOne(v, n, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *run) enterOne(v *state.Reader, n int, p present) error {
	known, old, err := v.Person(p.ID)
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	rec := state.Person{ID: p.ID, Name: p.Name, DN: p.DN, Print: p.Fingerprint(), Program: r.programs[n], Left: known.Left}
	var unsure []int
	switch {
	case p.unreadable:
		unsure = r.readers(n)
		rec = known
		rec.ID, rec.Print = p.ID, 0
	case old && known.Print == rec.Print && known.Program == rec.Program && !r.timed(n):
		rec.Active, rec.Scope, rec.Rehire = known.Active, known.Scope, known.Rehire
	default:
		unsure = r.evaluate(n, p.Person, &rec)
	}
	if doubt := r.o.Sources[n].Mapping.Contradicts(p.Person, rec.Active); doubt != "" && len(unsure) == 0 {
		r.find(identity.Finding{
			Kind: "contradiction", Subject: p.Source + ": " + p.Name, Source: p.Source, Person: p.ID, Detail: doubt,
		})
	}
	p.Active = rec.Active
	if len(unsure) == 0 {
		if rec.Active {
			rec.Left = time.Time{}
		} else if rec.Left.IsZero() {
			rec.Left = r.now
		}
	}
	dirty := !old || known.Print != rec.Print || known.Program != rec.Program || !known.Left.Equal(rec.Left) || known.Proven
	if len(unsure) > 0 {
		rec.Print = 0 // to be evaluated again
	}
	i, err := r.roster.Add(n, roster.Entry{Person: p.Person, Record: rec}, p.Fingerprint(), dirty)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pass.Person != "" {
		r.meant.consider(p.Fits(r.pass.Person), p.ID, p.DN)
	}
	for li, l := range r.lanes {
		l.scope.Clear(i)
		l.unsure.Clear(i)
		if slices.Contains(unsure, li) {
			l.unsure.Set(i)
		} else if rec.Active && slices.Contains(rec.Scope, l.Name) {
			l.scope.Set(i)
		}
	}
	return nil
}

// readers are the lanes that read a source.
func (r *run) readers(n int) (lanes []int) {
	for i, l := range r.lanes {
		if slices.Contains(l.Sources, r.o.Sources[n].Name) {
			lanes = append(lanes, i)
		}
	}
	return lanes
}

func (r *run) timed(n int) bool {
	if r.o.Sources[n].Mapping.Timed() {
		return true
	}
	for _, i := range r.readers(n) {
		if r.lanes[i].Mapping.Timed() {
			return true
		}
	}
	return false
}

// evaluate asks the config's expressions about one person. It returns the lanes for which an expression failed: there the person is neither in
// scope nor a leaver, and nothing is done for them (incident 3: trouble is not absence).
func (r *run) evaluate(n int, p identity.Person, rec *state.Person) (unsure []int) {
	src := r.o.Sources[n]
	trouble := func(err error, target string) {
		r.find(identity.Finding{
			Kind: "expression", Subject: src.Name + ": " + p.Name, Source: src.Name, Target: target, Person: p.ID,
			Detail: err.Error() + "; nothing is done for this person there",
		})
	}
	active, err := src.Mapping.Active(p)
	if err != nil {
		trouble(err, "")
		return r.readers(n)
	}
	p.Active, rec.Active = active, active
	if rec.Rehire, err = src.Mapping.Rehire(p); err != nil {
		trouble(err, "")
	}
	for _, i := range r.readers(n) {
		l := r.lanes[i]
		in, err := l.Mapping.InScope(p)
		switch {
		case err != nil && active:
			trouble(err, l.Name)
			unsure = append(unsure, i)
		case in:
			rec.Scope = append(rec.Scope, l.Name)
		}
	}
	slices.Sort(rec.Scope)
	return unsure
}

// judgePeople finds out about everybody who has an account somewhere and is missing from a whole snapshot, and who of them came back under
// another anchor. It changes nothing but memory.
func (r *run) judgePeople(ctx context.Context) error {
	absent, err := r.absent(ctx)
	if err != nil {
		return err
	}
	work := make(chan state.Person)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for p := range work {
				r.prove(ctx, p)
			}
		})
	}
	for _, p := range absent {
		work <- p
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// absent lists the linked people whom whole snapshots lack and who have not been proven gone before.
func (r *run) absent(ctx context.Context) (absent []state.Person, err error) {
	seen := map[identity.PersonID]bool{}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		if err := r.rehires(v); err != nil {
			return err
		}
		for _, l := range r.lanes {
			for link, err := range v.Links(l.Name) {
				if err != nil {
					return err
				}
				if seen[link.Person] || !r.sourceWhole(link.Person.Directory) {
					continue
				}
				if _, ok := r.roster.Find(link.Person); ok {
					continue
				}
				if _, ok := l.rehired[link.Person]; ok {
					continue
				}
				if r.pass.Mode == Delta && link.State != identity.LinkActive {
					continue // closed already: a full pass asks about them again, and Retry has in hand what is owed
				}
				seen[link.Person] = true
				p, ok, err := v.Person(link.Person)
				if err != nil {
					return err
				}
				if !ok {
					p = state.Person{ID: link.Person, Name: link.Name}
				}
				if p.Proven {
					r.gone[p.ID] = sweep.Departure{Cause: identity.Deleted, Proof: "proven when the person left", At: p.Left}
					continue
				}
				absent = append(absent, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return absent, nil
}

// rehires finds the people who left and are back under another anchor, by the declared rehire key (R3). Where they have an account of their own
// by now, because both entries were there for a while, the old one stays a leaver's.
func (r *run) rehires(v *state.Reader) error {
	for n, s := range r.o.Sources {
		if !r.whole[n] {
			continue
		}
		left := map[string]identity.PersonID{}
		for p, err := range v.People(s.Name) {
			if err != nil {
				return err
			}
			if p.Rehire == "" || p.Left.IsZero() {
				continue
			}
			if _, here := r.roster.Find(p.ID); !here {
				left[p.Rehire] = p.ID
			}
		}
		if len(left) == 0 {
			continue
		}
		for i := range r.roster.Of(n) {
			if !r.roster.Row(i).Active {
				continue
			}
			e, err := r.roster.Entry(i)
			if err != nil {
				return err
			}
			if old, ok := left[e.Record.Rehire]; ok && e.Record.Rehire != "" {
				if err := r.rehire(v, old, e.Person.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *run) rehire(v *state.Reader, old, now identity.PersonID) error {
	for _, l := range r.lanes {
		_, had, err := v.Link(l.Name, old)
		if err != nil {
			return err
		}
		_, has, err := v.Link(l.Name, now)
		if err != nil {
			return err
		}
		if had && !has {
			l.rehired[old] = now
		}
	}
	return nil
}

// prove asks the source about one absent person (R1).
func (r *run) prove(ctx context.Context, p state.Person) {
	n := slices.IndexFunc(r.o.Sources, func(s Source) bool { return s.Name == p.ID.Directory })
	departure, left, err := sweep.Prove(ctx, r.o.Sources[n].Source, sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN})
	f := identity.Finding{Subject: p.ID.Directory + ": " + p.Name, Source: p.ID.Directory, Person: p.ID}
	switch {
	case err != nil:
		f.Kind, f.Detail = "unproven", "missing from the snapshot, but their absence is not proven, so nothing is closed: "+err.Error()
		r.find(f)
		return
	case !left:
		f.Kind, f.Detail = "missed", "missing from a snapshot that called itself complete, though the source has them in scope: nothing is closed"
		r.find(f)
		return
	}
	if p.Left.IsZero() {
		p.Left = r.now
	}
	p.Proven, p.Active, p.Scope, p.Print = departure.Cause == identity.Deleted, false, nil, 0
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[p.ID] = departure
	r.records = append(r.records, p)
}
