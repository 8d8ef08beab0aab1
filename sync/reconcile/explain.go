package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/survey"
)

// An Explanation says how one target stands to one person, for `explain`.
type Explanation struct {
	survey.Standing // their account, and why it is theirs

	Person identity.PersonID
	Name   string
	DN     string
	Where  string // what the source says: "in scope", "elsewhere", "gone", …
	// Entries are what the sources say whose entries the person is joined of.
	Entries []SourceEntry
	Next    string // what the clock alone changes next: "leaves 2026-12-31 18:00 CET by leave_date (config.hcl:12)"; "" for nothing
	Target  string
	InScope bool
	Because string // the config line or the source's word that decides
	Manages string // the line of manage, and its patterns: "config.hcl:32: wiki-*"
	Changes []identity.Change
	// Impossible are the closing steps about which nothing can be done, with the reason, where the account is to be closed.
	Impossible []string
	Held       string // why a change would wait, "" where none would
	History    []audit.Record
}

// A SourceEntry is what one source says of somebody whom several describe.
type SourceEntry struct {
	identity.Part
	Attributes []string // those that it gave, sorted
}

// Explain says, target by target, how things stand for one person: what the source says, whether they are in scope and
// by which line, which account is theirs and why, and what a pass would do. It writes nothing.
func (e *Engine) Explain(ctx context.Context, who string) ([]Explanation, error) {
	r, err := e.begin(ctx, Pass{Mode: Delta, Person: who}, false)
	if err != nil {
		return nil, err
	}
	defer r.spool.Close()
	if err := r.judge(ctx); err != nil {
		return nil, err
	}
	r.serveTargets(ctx)
	id := r.people.Match()
	history, err := e.history(ctx, id)
	if err != nil {
		return nil, err
	}
	base := Explanation{Person: id, Name: id.Anchor}
	remembered := state.Person{ID: id}
	links := map[string]*state.Link{} // by target
	err = e.o.Ledger.View(ctx, func(v *state.Reader) error {
		p, known, err := v.Person(id)
		if err != nil {
			return err
		}
		if known {
			remembered, base.Name = p, cmp.Or(p.Name, base.Name)
		}
		for link, err := range v.LinksOf(id) {
			if err != nil {
				return err
			}
			links[link.Target] = &link
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	base.Where, base.Next = r.people.Whereabouts(ctx, id, remembered), r.people.Next(id)
	if i, ok := r.people.Roster.Find(id); ok {
		entry, err := r.people.Roster.Entry(i)
		if err != nil {
			return nil, err
		}
		base.Name, base.DN, base.Entries = entry.Person.Name, entry.Person.DN, entriesOf(entry.Person)
	}
	var out []Explanation
	for _, s := range r.sides {
		x := base
		x.Target = s.Name
		for _, rec := range history {
			if rec.Target == s.Name {
				x.History = append(x.History, rec)
			}
		}
		r.explain(s, links[s.Name], &x)
		out = append(out, x)
	}
	return out, nil
}

// entriesOf are the entries that a joined person is made of.
func entriesOf(p identity.Person) (list []SourceEntry) {
	told := map[string]bool{}
	for _, part := range p.Parts {
		e := SourceEntry{Part: part}
		for name, source := range p.From {
			if source == part.Source && !told[source] {
				e.Attributes = append(e.Attributes, name)
			}
		}
		told[part.Source] = true
		slices.Sort(e.Attributes)
		list = append(list, e)
	}
	return list
}

// explain fills in one target's part.
func (r *run) explain(s *side, link *state.Link, x *Explanation) {
	x.InScope, x.Because = r.people.Because(s.view, x.Person, x.Where)
	x.Manages = s.Mapping.Manages()
	for _, c := range s.changes {
		if c.Person == x.Person {
			x.Changes = append(x.Changes, c)
		}
	}
	if slices.ContainsFunc(x.Changes, func(c identity.Change) bool { return c.Op.Sweeps() }) {
		x.Impossible = s.cannot
	}
	for _, h := range r.book.Noted() {
		if slices.ContainsFunc(h.Members, func(m identity.Member) bool { return m.Person == x.Person && m.Target == s.Name }) {
			x.Held = h.Digest + ": " + h.Reason
		}
	}
	x.Standing = s.StandingOf(x.Person, link, x.Changes, r.findings)
	if s.err != nil {
		x.Why = "the target could not be read: " + s.err.Error()
	}
}

func (e *Engine) history(ctx context.Context, id identity.PersonID) (out []audit.Record, err error) {
	if e.o.Trail == nil {
		return nil, nil
	}
	for rec, err := range e.o.Trail.Person(id) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		out = append(out, rec)
	}
	return out, nil
}
