package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/join"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// join is the join that the source is; nil where it is none.
func (s Source) join() *join.Source {
	j, _ := s.Source.(*join.Source)
	return j
}

// joinOf is the join that reads a directory, and its place among the sources; nil where none does.
func (r *Read) joinOf(directory string) (n int, j *join.Source) {
	for _, n := range r.readersOf(directory) {
		if j := r.o.Sources[n].join(); j != nil {
			return n, j
		}
	}
	return 0, nil
}

// isHalf reports whether a read ended because some of the sources that it joins were not read, and the others are as
// current as they were.
func (r *Read) isHalf(n int, err error) bool {
	if partial := (*sources.PartialError)(nil); !errors.As(err, &partial) || r.readings[n] == nil {
		return false
	}
	g := r.readings[n]
	before := sources.Currency{}
	for _, m := range g.facts.Members {
		if m.Err != nil {
			continue
		}
		for sequence := range m.Facts.From {
			if position, known := g.record.Currency[join.Sequence(m.Name, sequence)]; known {
				before[join.Sequence(m.Name, sequence)] = position
			}
		}
	}
	then := order(g.facts.From, before)
	return then == judge.Current || then == judge.Undated
}

// tellTrouble makes a finding of somebody who cannot be told for sure, where the read as a whole does not tell it.
func (r *Read) tellTrouble(n int, trouble *sources.PersonError) {
	s := r.o.Sources[n]
	f := identity.Finding{
		Kind: "unreadable", Subject: s.Name + ": " + trouble.DN, Source: s.Name, Person: trouble.ID,
		Detail: trouble.Err.Error() + "; nothing is done for this person",
	}
	switch {
	case trouble.Told:
		return
	case trouble.Disputed:
		f.Kind, f.Subject = "disputed", s.Name+": "+trouble.ID.Anchor
	}
	r.o.Find(f)
}

// tellSuccessor says that somebody who left may be another human than who has their key now.
func (r *Read) tellSuccessor(p identity.Person, why string) {
	r.o.Find(identity.Finding{
		Kind: "disputed", Subject: p.Source + ": " + p.Name, Source: p.Source, Person: p.ID,
		Detail: fmt.Sprintf("the key %q may be somebody else's now: %s. Nothing is done for them. If they are one human who is "+
			"back, `dirsweep link PERSON TARGET ACCOUNT` gives them an account that they had; if not, give them a key of their own",
			p.ID.Anchor, why),
	})
}

// inherited are the entries that somebody was made of, as far as it matters whether they are the same human: of who left
// and has no account there is nothing that another could be given by mistake.
func inherited(v *state.Reader, known state.Person, p identity.Person) ([]identity.Part, error) {
	if judge.Succeeded(!known.Noticed.IsZero(), known.Parts, p.Parts) == "" {
		return known.Parts, nil
	}
	for _, err := range v.LinksOf(known.ID) {
		return known.Parts, err
	}
	return nil, nil
}

// remembered are the entries that somebody is made of, as the state keeps them.
func remembered(parts []identity.Part) []identity.Part {
	if parts == nil {
		return nil
	}
	out := slices.Clone(parts)
	for i := range out {
		out[i].Says, out[i].Over = "", false
	}
	return out
}

// rulesOf are the members of a join as judge sees them in a read.
func rulesOf(j *join.Source, facts *sources.ReadFacts) (list []judge.Member) {
	for i, m := range j.Members() {
		rule := m.Member
		if i < len(facts.Members) {
			rule.Unread = facts.Members[i].Err != nil
		}
		list = append(list, rule)
	}
	return list
}

// lost are the entries that somebody had and lacks in this read; none of whom no join reads.
func (r *Read) lost(n int, known state.Person, p identity.Person) []identity.Part {
	if r.readings[n].rules == nil {
		return nil
	}
	return judge.Lost(r.readings[n].rules(), known.Active, known.Parts, p.Parts)
}

// isMissing reports whether somebody who was read lacks entries that they had. As far as their sources go they are missing:
// they are looked for as whoever was not read at all. But whom the entries that are there say to have left has, and what
// they lack is still remembered.
func (r *Read) isMissing(n int, w *weighed) bool {
	if len(w.lost) == 0 || w.unreadable {
		return false
	}
	if !w.rec.Active && judge.LeftElsewhere(r.readings[n].rules(), w.Parts, w.lost) {
		w.rec.Parts = append(w.rec.Parts, w.lost...)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missingParts[w.ID] = w.lost
	return true
}

// hidden reports whether somebody who has not left lacks an entry that may be among those which its source could not tell
// whose they are: what they have of it is not known.
func (r *Read) hidden(n int, known state.Person, p identity.Person) bool {
	return p.Active && slices.ContainsFunc(r.readings[n].facts.Members, func(m sources.MemberFacts) bool {
		of := func(q identity.Part) bool { return q.Source == m.Name }
		return m.Nameless > 0 && slices.ContainsFunc(known.Parts, of) && !slices.ContainsFunc(p.Parts, of)
	})
}

// noteParts notes whose entries are not those that they were: they may be of somebody else. The caller holds r.mu.
func (r *Read) noteParts(w weighed, row int) {
	note := func(rows map[identity.Part][]int, some, others []identity.Part) {
		for _, p := range some {
			if !slices.ContainsFunc(others, func(q identity.Part) bool { return q.Source == p.Source && q.Anchor == p.Anchor }) {
				p = identity.Part{Source: p.Source, Anchor: p.Anchor}
				rows[p] = append(rows[p], row)
			}
		}
	}
	note(r.newRows, w.Parts, w.known.Parts)
	note(r.formerRows, w.known.Parts, w.Parts)
}

// doubt does nothing for the person of a row, and remembers of them what was: nobody can tell whose their entries are.
func (r *Read) doubt(row int) {
	r.Roster.Keep(row)
	for _, li := range r.readers(r.Roster.Source(row)) {
		r.Views[li].Scope.Clear(row)
		r.Views[li].Unsure.Set(row)
	}
}

// swapped has nobody leave or change whose key has entries of somebody else, while others have theirs: two numbers may have
// been mistaken for each other, then or now.
func (r *Read) swapped() error {
	keys := map[int][]string{} // by row: who has what made them
	for part, rows := range r.formerRows {
		for _, row := range r.newRows[part] {
			e, err := r.Roster.Entry(row)
			if err != nil {
				return err
			}
			for _, was := range rows {
				keys[was] = append(keys[was], fmt.Sprintf("%s %s has the key %s", part.Source, part.Anchor, e.Person.ID.Anchor))
				r.doubt(was)
			}
			r.doubt(row)
		}
	}
	for row, now := range keys {
		e, err := r.Roster.Entry(row)
		if err != nil {
			return err
		}
		slices.Sort(now)
		p := e.Person
		r.o.Find(identity.Finding{
			Kind: "disputed", Subject: r.o.Sources[r.Roster.Source(row)].Name + ": " + p.Name,
			Source: r.o.Sources[r.Roster.Source(row)].Name, Person: p.ID,
			Detail: fmt.Sprintf("entries that made %s have other keys now (%s), and others have this one: nobody can tell who is who, "+
				"and nothing is done for any of them until the keys are corrected", p.ID.Anchor, strings.Join(now, ", ")),
		})
	}
	return nil
}

// rekeyed reports whether entries of somebody who is missing are somebody else's now: they have not left, their key was
// changed. Where nothing else shows them under the old one, and one person without an account has it all, what is remembered
// of them is given to who they are now; else nobody can tell who is who, and nothing is done for either. The caller reads the state.
func (r *Read) rekeyed(v *state.Reader, p state.Person) (bool, error) {
	var rows []int
	for _, part := range p.Parts {
		for _, row := range r.newRows[identity.Part{Source: part.Source, Anchor: part.Anchor}] {
			if !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var now []string
	for _, row := range rows {
		e, err := r.Roster.Entry(row)
		if err != nil {
			return false, err
		}
		now = append(now, e.Person.ID.Anchor)
		r.doubt(row) // as long as nobody can tell whose the entry is, it is new to whoever shows it

		taken := false // they have accounts of their own
		for _, err := range v.LinksOf(e.Person.ID) {
			if err != nil {
				return false, err
			}
			taken = true
		}
		if len(rows) == 1 && r.missingParts[p.ID] == nil && !taken {
			r.late[p.ID] = e.Person.ID
		}
	}
	r.gone[p.ID] = judge.Absent{Outcome: judge.Missed, Why: fmt.Sprintf("entries of theirs have the key %s now", now[0])}
	if _, one := r.late[p.ID]; one {
		return true, nil
	}
	r.o.Find(identity.Finding{
		Kind: "disputed", Subject: p.ID.Directory + ": " + p.Name, Source: p.ID.Directory, Person: p.ID,
		Detail: fmt.Sprintf("entries that made %s (%s) have other keys now (%s), and others still have the old one, or those have "+
			"accounts of their own: nobody can tell who is who, and nothing is done for any of them until the keys are corrected, "+
			"or one of them has no account any more (dirsweep unlink)", p.ID.Anchor, judge.Named(p.Parts), now),
	})
	return true, nil
}

// takeOver gives what is remembered of the people of a source that was read by itself, and is part of a join now, to the
// humans whose entries theirs are: whoever declares a join keeps everybody's accounts. Where nothing is written, nobody can
// tell what would become of them.
func (r *Read) takeOver(ctx context.Context) error {
	now := map[identity.PersonID]identity.PersonID{}
	var rows []int
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		former, err := r.formerly(v)
		if err != nil || len(former) == 0 {
			return err
		}
		for id, err := range r.remembered(v) {
			if err != nil {
				return err
			}
			member, was := former[id.Directory]
			of := r.newRows[identity.Part{Source: member, Anchor: id.Anchor}]
			if !was || len(of) != 1 {
				continue
			}
			e, err := r.Roster.Entry(of[0])
			if err != nil {
				return err
			}
			now[id], rows = e.Person.ID, append(rows, of[0])
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if r.o.Write {
		return r.rename(ctx, now)
	}
	for _, row := range rows {
		r.doubt(row)
	}
	return nil
}

// formerly are the directories that sources read by themselves which are part of a join now, and that nothing else reads.
func (r *Read) formerly(v *state.Reader) (map[string]string, error) {
	former := map[string]string{}
	for n, s := range r.o.Sources {
		j := s.join()
		if j == nil || r.readings[n] == nil || !r.readings[n].complete {
			continue
		}
		for _, m := range j.Members() {
			record, known, err := v.Source(m.Name)
			if err != nil {
				return nil, err
			}
			if name := cmp.Or(record.Directory, m.Name); known && len(r.readersOf(name)) == 0 {
				former[name] = m.Name
			}
		}
	}
	return former, nil
}

// askParts asks the joined sources for the entries of somebody that are missing.
func (r *Read) askParts(ctx context.Context, n int, j *join.Source, p state.Person, read judge.Read) judge.Absent {
	if r.readings[n] == nil {
		return judge.Absence(read, nil)
	}
	read.Unnamed += r.nameless(n)
	missing := r.missingParts[p.ID]
	if missing == nil {
		missing = judge.Lost(r.readings[n].rules(), false, p.Parts, nil)
	}
	var said []judge.Absent
	for i, m := range j.Members() {
		var asked []judge.Sighting
		for _, part := range missing {
			if part.Source == m.Name {
				asked = append(asked, r.partSighting(ctx, n, i, m, p, part))
			}
		}
		if len(asked) > 0 {
			said = append(said, judge.Absence(read, asked))
		}
	}
	return judge.Missing(said)
}

// partSighting is what one joined source says of one entry.
func (r *Read) partSighting(ctx context.Context, n, at int, m join.Member, p state.Person, part identity.Part) judge.Sighting {
	if at >= len(r.readings[n].facts.Members) || r.readings[n].facts.Members[at].Err != nil {
		return judge.Sighting{Source: m.Name, Trouble: "it was not read"}
	}
	of := r.readings[n].facts.Members[at]
	finder, ok := m.Source.(sources.Finder)
	if !ok {
		before := sources.Currency{}
		for sequence, position := range p.LackedIn {
			if own, ok := strings.CutPrefix(sequence, join.Sequence(m.Name, "")); ok {
				before[own] = position
			}
		}
		return r.unlisted(listing{
			source: m.Name, leaves: m.AbsenceLeaves, facts: of.Facts, before: before,
			lacks: fmt.Sprintf("%d entries, lacks theirs (%s)", of.Count, part.Anchor), one: "entry",
		}, p)
	}
	seen, err := finder.Find(ctx, sources.Lookup{Anchor: part.Anchor, DN: part.DN, Leaving: true})
	if err != nil {
		return judge.Sighting{Source: m.Name, Trouble: err.Error()}
	}
	out := sightingOf(m.Name, seen, of.Facts)
	out.Untraced = seen.Untraced && part.DN != "" && r.o.Now.Sub(r.readings[n].record.At) < traced
	if !of.Tells {
		out.Order, out.Witness, out.Place = judge.Current, true, judge.PlacePeopled
	}
	return out
}
