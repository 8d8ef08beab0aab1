package join

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
)

// Find implements sources.Finder for people who were there in the last read: each of their entries is asked for anew in
// the members that can be asked for one. Of who was not there it says that the join knows nobody of that key, without a
// witness: what became of them their members have to say, entry by entry.
func (s *Source) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	g := s.latest()
	if g == nil {
		var err error
		if g, err = s.gather(ctx, true); err != nil {
			return sources.Sighting{}, err
		}
		s.keep(g)
	}
	defer g.release()
	none := sources.Sighting{Where: sources.Gone, At: s.o.Clock(), Proof: "no entry of any of the joined sources has that key"}
	from, _ := slices.BinarySearchFunc(g.refs, hash(who.Anchor), func(r ref, h uint64) int {
		switch {
		case r.hash < h:
			return -1
		case r.hash > h:
			return 1
		}
		return 0
	})
	to := from
	for to < len(g.refs) && g.refs[to].hash == hash(who.Anchor) {
		to++
	}
	made, err := g.entries(s.o.Members, g.refs[from:to])
	if err != nil {
		return none, err
	}
	at := slices.IndexFunc(made, func(entries []entry) bool { return entries[0].anchor(s.o.Members) == who.Anchor })
	if at < 0 {
		return none, nil
	}
	entries, err := s.anew(ctx, made[at], who.Leaving)
	if err != nil || len(entries) == 0 {
		return none, err
	}
	p, err := s.person(entries, g.failed, s.o.Clock())
	if err != nil {
		return none, err
	}
	return sources.Sighting{
		Where: sources.InScope, Person: p, At: s.o.Clock(), Proof: fmt.Sprintf("entries of %d joined sources", len(p.Parts)),
	}, nil
}

// anew asks the members for entries as they are now. One that is not where its member reads any more is left out.
func (s *Source) anew(ctx context.Context, entries []entry, leaving bool) (now []entry, err error) {
	for _, e := range entries {
		m := s.o.Members[e.Member]
		finder, ok := m.Source.(sources.Finder)
		if !ok {
			now = append(now, e)
			continue
		}
		seen, err := finder.Find(ctx, sources.Lookup{Anchor: e.Person.ID.Anchor, DN: e.Person.DN, Leaving: leaving})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if seen.Where != sources.InScope {
			continue
		}
		before := e.anchor(s.o.Members)
		e.Person = seen.Person
		if e.Key, err = m.Key.Of(e.Person); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		e.Key = strings.TrimSpace(e.Key)
		if e.anchor(s.o.Members) == before {
			now = append(now, e)
		}
	}
	return now, nil
}
