package people

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// chunk is how many people or accounts share one look at the state.
const chunk = 256

// bulk is how many records share one transaction where all of them are at hand. Anchors are random, so that a small
// one writes a page of the state for each of its records.
const bulk = 10_000

// A reading is one source's whole read and what becomes of it.
type reading struct {
	record     state.SourceRecord                      // as the last accepted read left it
	anchor     string                                  // the attribute by which the source knows people; "" where it does not tell
	facts      *sources.ReadFacts                      // valid once the read has ended
	tells      bool                                    // the kind fills the facts in
	unnamed    int                                     // entries without a readable anchor
	unreadable []identity.PersonID                     // of whom the source could not read everything
	own        string                                  // the anchor of the person as whom the source signs in, where it tells
	heirs      map[identity.PersonID]identity.PersonID // while the anchor's edit waits: from who people were to who they are
	relink     string                                  // while it waits: the digest of its hold
	complete   bool                                    // read to its end, from a server that is believed
	retold     bool                                    // who has not changed, as far as was told, is as they were read before
	views      []int                                   // of the targets that read it
	targets    []string                                // their names, sorted
	vocabulary
	survey     judge.Survey
	alike      map[string]*alike // people who have kept all that they had, by what that is
	lacking    []int             // rows of people who lack something that they had
	suspicions []*suspicion
	rules      func() []judge.Member // of a join: its members, as this read has found them; nil of any other source
	approved   map[string]bool       // anomalies that an operator takes as they are, by what they are
}

// A Renewal is what became of reading a source anew before its turn.
type Renewal struct {
	done bool // what has changed since is all that is left to read
	err  error
}

// Renew has those sources read everything anew that can tell what has changed since, side by side: what is left to do of
// a full pass's reading is then as little as of a delta's, and a pass that closes a leaver has to wait for no more than
// that. reading is told how they get on, from several goroutines.
func Renew(ctx context.Context, from []Source, reading func(source string, n, of int)) []Renewal {
	var wg sync.WaitGroup
	renewed := make([]Renewal, len(from))
	for n, s := range from {
		if follower, ok := s.Source.(sources.Follower); ok {
			wg.Go(func() {
				renewed[n].done, renewed[n].err = follower.Renew(ctx, func(read int) { reading(s.Name, read, 0) })
			})
		}
	}
	wg.Wait()
	return renewed
}

// ReadSources reads every source, side by side. One that is not read whole takes no part: nobody of it is a leaver,
// and nobody of another is touched by that (R2).
func (r *Read) ReadSources(ctx context.Context) error {
	if err := r.nameDirectories(ctx); err != nil {
		return err
	}
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
			err = r.believe(ctx, n)
		}
		if err == nil && r.readings[n].complete || r.isHalf(n, err) {
			lost := cmp.Or(r.weighLosses(ctx, n), r.bindNewcomers(ctx, n))
			r.half[n] = err != nil && lost == nil
			err = cmp.Or(err, lost)
		}
		if err != nil {
			r.withdraw(n, err)
		}
	}
	return r.pick(ctx)
}

// withdraw says that a source takes no part in the pass.
func (r *Read) withdraw(n int, err error) {
	r.readings[n].complete = false
	r.o.Log.Error("source takes no part in this pass", "source", r.o.Sources[n].Name, "error", err)
	r.Parts[n].Err = err.Error()
}

// disbelieve makes nothing certain of what a source said: half a list, or one that shrank too much, changes no
// account either (R2).
func (r *Read) disbelieve(n int) {
	for _, li := range r.readers(n) {
		for i := range r.Roster.Of(n) {
			if r.half[n] && !r.Roster.Row(i).Active && !r.Views[li].Unsure.Has(i) {
				continue // what was read is reason enough
			}
			r.Views[li].Scope.Clear(i)
			r.Views[li].Unsure.Set(i)
		}
	}
}

func (r *Read) readSource(ctx context.Context, n int) error {
	s := r.o.Sources[n]
	r.o.Log.Debug("reading people", "source", s.Name)
	g, err := r.newReading(ctx, n)
	if err != nil {
		return err
	}
	r.readings[n] = g
	if err := r.agrees(n); err != nil {
		return err
	}
	whole := r.o.Full
	if r.o.Renewed != nil {
		if err := r.o.Renewed[n].err; err != nil {
			return err
		}
		whole = whole && !r.o.Renewed[n].done
	}
	_, follows := s.Source.(sources.Follower)
	g.retold = follows && !whole
	people, facts := sources.Read(ctx, s.Source, whole)
	g.facts = facts
	_, g.tells = s.Source.(sources.FactReader)
	batch := make([]present, 0, chunk)
	read := 0
	for p, err := range people {
		if trouble := (*sources.PersonError)(nil); errors.As(err, &trouble) {
			r.tellTrouble(n, trouble)
			if trouble.ID.Anchor == "" {
				g.unnamed++
				continue
			}
			p.ID, p.DN = trouble.ID, trouble.DN
			g.unreadable = append(g.unreadable, identity.PersonID{Directory: r.directories[n].name, Anchor: p.ID.Anchor})
		} else if partial := (*sources.PartialError)(nil); errors.As(err, &partial) {
			return cmp.Or(r.enter(ctx, n, batch), err)
		} else if err != nil {
			return err
		}
		p.ID.Directory = r.directories[n].name
		for _, f := range sources.Findings(p) {
			r.o.Find(f)
		}
		batch = append(batch, present{p, err != nil})
		read++
		if len(batch) == chunk {
			if err := r.enter(ctx, n, batch); err != nil {
				return err
			}
			batch = batch[:0]
			r.o.Reading(s.Name, read, 0)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.o.Reading(s.Name, read, read)
	r.tell(s.Name, facts)
	return r.enter(ctx, n, batch)
}

// tell makes findings of what a whole read says of the source itself.
func (r *Read) tell(source string, facts *sources.ReadFacts) {
	find := func(kind, subject, detail string) {
		r.o.Find(identity.Finding{Kind: kind, Subject: subject, Source: source, Detail: detail})
	}
	for _, server := range slices.Sorted(maps.Keys(facts.Away)) {
		find("server away", source+": "+server, facts.Away[server]+"; "+facts.Server+" was read in its place")
	}
	for _, part := range facts.Unseen {
		find("not seen", source+": "+part, "it is not there, or the source may not see it; the others were read, and whoever "+
			"was there and is nowhere else is looked for one by one: take it out of base_dn if it was given up, else give the right to see it")
	}
	for _, part := range slices.Sorted(maps.Keys(facts.Stale)) {
		find("stale", source+": "+part, facts.Stale[part]+": nobody leaves by that, and it is read as it is; "+
			"see whether the export has stopped: whoever has left since is not known to have")
	}
	if missed := facts.Missed; missed.Count > 0 {
		find("missed by push", source, fmt.Sprintf("%d changes were found by reading everything alone, and the directory had not "+
			"told of them (%s): until it tells of all of them, whoever leaves may be noticed at the next full pass only", missed.Count, missed))
	}
}

func (r *Read) newReading(ctx context.Context, n int) (*reading, error) {
	g := &reading{alike: map[string]*alike{}, facts: &sources.ReadFacts{}}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		g.record, _, err = v.Source(r.o.Sources[n].Name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	g.anchor, _ = r.o.Sources[n].selection()
	if j := r.o.Sources[n].join(); j != nil {
		g.rules = sync.OnceValue(func() []judge.Member { return rulesOf(j, g.facts) })
	}
	g.views = r.readers(n)
	for _, li := range g.views {
		g.targets = append(g.targets, r.Views[li].Name)
	}
	slices.Sort(g.targets)
	g.vocabulary = r.newVocabulary(n)
	active := r.o.Sources[n].Mapping
	g.survey.Deciding = func(trait judge.Trait, name string) bool {
		switch trait {
		case judge.Attribute:
			return slices.Contains(active.Names(), name)
		case judge.Group:
			groups := active.Groups()
			return groups.All || slices.Contains(groups.Names, name)
		}
		return true
	}
	return g, nil
}

// A present person is one that the source returned, perhaps in a state that cannot be read.
type present struct {
	identity.Person
	unreadable bool
}

// enter evaluates what has to be evaluated of a chunk of people, and puts them on the roster.
func (r *Read) enter(ctx context.Context, n int, batch []present) error {
	if len(batch) == 0 {
		return nil
	}
	judged := make([]weighed, len(batch))
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for i, p := range batch {
			known, old, err := v.Person(p.ID)
			if err != nil {
				return fmt.Errorf("read the state: %w", err)
			}
			if known.Parts, err = inherited(v, known, p.Person); err != nil {
				return fmt.Errorf("read the state: %w", err)
			}
			judged[i] = r.weighed(n, known, old, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.confirm(ctx, n, judged); err != nil {
		return err
	}
	for i := range judged {
		if r.isMissing(n, &judged[i]) {
			continue
		}
		if err := r.enterOne(n, judged[i]); err != nil {
			return err
		}
	}
	return nil
}

// A weighed person is one whom the source returned, with what was and what is to be remembered of them.
type weighed struct {
	present
	known       state.Person
	old         bool // somebody is known
	fingerprint uint64
	rec         state.Person
	unsure      []string        // the targets at which nobody can tell
	lost        []identity.Part // entries of other sources that they had and lack, of a join
}

func (r *Read) weighed(n int, known state.Person, old bool, p present) weighed {
	w := weighed{present: p, known: known, old: old, fingerprint: p.Fingerprint(), lost: r.lost(n, known, p.Person)}
	w.unreadable = w.unreadable || len(w.lost) == 0 && r.hidden(n, known, p.Person)
	w.rec, w.unsure = r.weigh(n, known, w.present, w.fingerprint)
	return w
}

func (r *Read) enterOne(n int, w weighed) error {
	p, rec := w.present, w.rec
	lacks := !p.unreadable && r.readings[n].note(w.known, w.old, rec)
	p.Active = rec.Active
	i, err := r.Roster.Add(n, roster.Entry{Person: p.Person, Record: rec}, w.fingerprint, !w.old || differs(w.known, rec))
	if err != nil {
		return err
	}
	if lacks {
		r.readings[n].lacking = append(r.readings[n].lacking, i)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.Person != "" {
		r.meant.Consider(p.Fits(r.o.Person), p.ID, p.DN)
	}
	if p.Own {
		r.noteOwn(n, p.ID)
	}
	r.mark(n, i, rec, w.unsure)
	r.noteParts(w, i)
	return nil
}

// noteOwn notes as whom a source signs in. The caller holds r.mu.
func (r *Read) noteOwn(n int, id identity.PersonID) {
	r.readings[n].own = id.Anchor
	r.own = append(r.own, identity.Own{Source: r.o.Sources[n].Name, Person: id})
}

// ownOf is the anchor of the person as whom a source signs in. Who is not read any more is still signed in as.
func (r *Read) ownOf(n int) string {
	known := r.readings[n]
	_, read := r.Roster.Find(identity.PersonID{Directory: r.directories[n].name, Anchor: known.record.Own})
	if known.own == "" && !read {
		return known.record.Own
	}
	return known.own
}

// mark notes at the targets that read source n whether they hold the person of row i.
func (r *Read) mark(n, i int, rec state.Person, unsure []string) {
	for _, li := range r.readings[n].views {
		l := r.Views[li]
		switch {
		case slices.Contains(unsure, l.Name):
			l.Unsure.Set(i)
		case rec.InScope(l.Name):
			l.Scope.Set(i)
		}
	}
}

// weigh says what is to be remembered of somebody who was read, and at which targets nobody can tell.
func (r *Read) weigh(n int, known state.Person, p present, fingerprint uint64) (rec state.Person, unsure []string) {
	rec = state.Person{ID: p.ID, Name: p.Name, DN: p.DN, Print: fingerprint, Program: r.programs[n]}
	var e judge.Evaluation
	switch {
	case p.unreadable:
	case known.Print == rec.Print && known.Program == rec.Program && !r.timed(n):
		rec.Rehire = known.Rehire
		e = judge.Evaluation{Active: known.Active, Scope: known.Scope}
		m := r.o.Sources[n].Mapping
		if known.Active {
			turn(&rec, m.Ends(p.Person))
		} else {
			turn(&rec, m.Begins(p.Person))
		}
	default:
		e = r.evaluate(n, p.Person, &rec)
	}
	if why := judge.Succeeded(!known.Noticed.IsZero(), known.Parts, p.Parts); why != "" && !p.unreadable && e.Active {
		r.tellSuccessor(p.Person, why)
		p.unreadable = true
	}
	was := judge.Known{Active: known.Active, Scope: known.Scope, Noticed: known.Noticed, Left: known.Left, Changed: unix(known.Changed), Turns: known.Turns}
	entry := judge.Entry{
		Unreadable: p.unreadable, Changed: p.Changed.Truncate(time.Microsecond), Since: r.readings[n].record.Undated,
	}
	j := judge.Person(was, entry, e, r.readings[n].targets, r.o.Now)
	if j.Older {
		r.o.Find(identity.Finding{
			Kind: "older entry", Subject: p.Source + ": " + p.Name, Source: p.Source, Person: p.ID,
			Detail: fmt.Sprintf("they left, as another server of the directory had it, and the server that is asked now shows them active, by an "+
				"entry that was last changed before that (%s): nothing is done for them until it knows of a later change. "+
				"If they are back, change their entry, such as its description", p.Changed.UTC().Format(time.RFC3339)),
		})
	}
	if j.Verdict == judge.Unsure {
		rec = known
		rec.ID, rec.Print = p.ID, 0 // to be evaluated again
		return rec, j.Unsure
	}
	if r.anchorEdited(n) {
		rec.KnownBy = known.KnownBy
	}
	rec.Parts = remembered(p.Parts)
	rec.Active, rec.Scope, rec.Noticed, rec.Left = j.Active, j.Scope, j.Noticed, j.Left
	r.readings[n].describe(&rec, p.Person)
	rec.Lost = lost(known, rec)
	if len(j.Unsure) > 0 {
		rec.Print = 0
	}
	if doubt := r.o.Sources[n].Mapping.Contradicts(p.Person, rec.Active); doubt != "" && len(j.Unsure) == 0 {
		r.o.Find(identity.Finding{
			Kind: "contradiction", Subject: p.Source + ": " + p.Name, Source: p.Source, Person: p.ID, Detail: doubt,
		})
	}
	return rec, j.Unsure
}

// differs reports whether a record has to be written anew. A fingerprint of 0 asks for another evaluation, and that
// alone is no change.
func differs(a, b state.Person) bool {
	return a.Print != b.Print && b.Print != 0 || a.Print == 0 || a.Program != b.Program || a.Proven != b.Proven || a.Changed != b.Changed ||
		!a.Missing.Equal(b.Missing) || !a.Lacked.Equal(b.Lacked) || !a.Noticed.Equal(b.Noticed) || !a.Left.Equal(b.Left) || a.Inactive != b.Inactive || !bytes.Equal(a.Attributes, b.Attributes) ||
		!slices.Equal(a.Groups, b.Groups) || !slices.Equal(a.Lost, b.Lost) || !slices.Equal(a.Former, b.Former) ||
		!sameTurn(a, b) || !slices.Equal(a.Parts, b.Parts)
}

// mostLost bounds the groups that are remembered as lost.
const mostLost = 16

// lost are the groups that somebody was in last and is no longer.
func lost(known, rec state.Person) (list []uint32) {
	if len(known.Lost) == 0 && slices.Equal(known.Groups, rec.Groups) {
		return nil
	}
	for _, n := range slices.Concat(known.Groups, known.Lost) {
		if _, in := slices.BinarySearch(rec.Groups, n); !in {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(mostLost, len(list))]
}

// unix is the instant of microseconds since 1970, zero for none.
func unix(microseconds int64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(microseconds)
}

// readers are the views of the targets that read a source, by their place in Views.
func (r *Read) readers(n int) (list []int) {
	for i, l := range r.Views {
		if slices.Contains(l.Sources, r.o.Sources[n].Name) {
			list = append(list, i)
		}
	}
	return list
}

func (r *Read) timed(n int) bool {
	if r.o.Sources[n].Mapping.Timed() {
		return true
	}
	for _, i := range r.readers(n) {
		if r.Views[i].Mapping.Timed() {
			return true
		}
	}
	return false
}

// evaluate asks the config's expressions about one person.
func (r *Read) evaluate(n int, p identity.Person, rec *state.Person) (e judge.Evaluation) {
	src := r.o.Sources[n]
	trouble := func(err error, target string) {
		r.o.Find(identity.Finding{
			Kind: "expression", Subject: src.Name + ": " + p.Name, Source: src.Name, Target: target, Person: p.ID,
			Detail: err.Error() + "; nothing is done for this person there",
		})
	}
	now, err := src.Mapping.Presence(p, r.o.Now)
	if err != nil {
		trouble(err, "")
		return judge.Evaluation{ActiveFailed: true}
	}
	p.Active, e.Active, e.Ended = now.Active, now.Active, now.Ended
	next := now.Next
	if rec.Rehire, err = src.Mapping.Rehire(p); err != nil {
		trouble(err, "")
	}
	for _, i := range r.readers(n) {
		l := r.Views[i]
		in, err := l.Mapping.InScope(p, r.o.Now)
		switch {
		case err != nil && now.Active:
			trouble(err, l.Name)
			e.Failed = append(e.Failed, l.Name)
		case in:
			e.Scope = append(e.Scope, l.Name)
		}
		if now.Active && l.Mapping.Timed() {
			next = next.Earlier(l.Mapping.Next(p, r.o.Now, l.Name))
		}
	}
	turn(rec, next)
	slices.Sort(e.Scope)
	return e
}
