package modeltest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

var errDown = errors.New("no answer")

// kept is how many versions of the directory a server that lags behind may be back.
const kept = 4

// A snapshot is the people of the company at one version of the directories.
type snapshot struct {
	version int
	entries []entry
	gone    map[string]tombstone
}

// snap makes what is true now a new version, for servers that are up to date.
func (w *world) snap() {
	w.version++
	s := snapshot{version: w.version, gone: map[string]tombstone{}}
	for _, h := range w.model.humans {
		if h.entry != nil {
			s.entries = append(s.entries, *h.entry)
		}
		for anchor, t := range h.gone {
			s.gone[anchor] = t
		}
	}
	w.snapshots = append(w.snapshots, s)
	if len(w.snapshots) > kept {
		w.snapshots = w.snapshots[1:]
	}
}

// A source reads one base of a directory, with whatever is wrong with it now.
type source struct {
	world   *world
	n       int
	replica *replica // that is handed out; nil for the directory itself
}

var (
	_ sources.Source     = source{}
	_ sources.Selective  = source{}
	_ sources.Finder     = source{}
	_ sources.FactReader = source{}
)

func (s source) name() string { return sourceNames[s.n] }

var sourceNames = [sourceCount]string{"corp", "plant"}

// Close has nothing to end.
// Selection implements sources.Selective.
func (s source) Selection() (anchor string, settings map[string]uint64) {
	if s.world.model.config.number[s.n] {
		return "employeeNumber", nil
	}
	return "entryUUID", nil
}

func (s source) Close() error { return nil }

// People implements sources.Source.
func (s source) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return s.PeopleAndFacts(ctx, &sources.ReadFacts{})
}

// PeopleAndFacts implements sources.FactReader.
func (s source) PeopleAndFacts(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		seen, trouble, err := s.read(ctx, facts)
		for i, e := range seen {
			if i == len(seen)/2 && trouble == ReadCut {
				yield(identity.Person{}, fmt.Errorf("%w: the connection was cut", sources.ErrIncomplete))
				return
			}
			if trouble == PersonGarbled && i == 0 || s.garbles(e) {
				bad := &sources.PersonError{ID: s.person(e).ID, DN: s.dn(e), Err: errors.New("an attribute cannot be rendered")}
				if !yield(identity.Person{ID: bad.ID}, bad) {
					return
				}
				continue
			}
			if !yield(s.person(e), nil) {
				return
			}
		}
		if err != nil {
			yield(identity.Person{}, err)
		}
	}
}

// read returns the entries that a read shows, as the fault of now lets it show them.
func (s source) read(ctx context.Context, facts *sources.ReadFacts) (seen []entry, trouble Fault, err error) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.reads(ctx); err != nil {
		return nil, NoFault, err
	}
	trouble = w.faultOf(s.n, true)
	if trouble == SourceDown {
		return nil, trouble, errDown
	}
	snap := s.shown(s.server(trouble))
	*facts = sources.ReadFacts{
		Server: s.address(trouble), From: s.currency(snap), Until: s.currency(snap),
		Attributes: map[string]int{"departmentNumber": 0, "title": 0}, Missed: s.missed(),
	}
	for i, e := range s.base(snap, trouble) {
		switch {
		case trouble == PeopleMissed && i%2 == 1:
			continue
		case trouble == AnchorHidden && i == 0:
			facts.People++
			facts.Nameless.Add(s.dn(e))
			continue
		}
		facts.People++
		for attribute, values := range s.person(e).Attributes {
			facts.Attributes[attribute] += len(values)
		}
		seen = append(seen, e)
	}
	facts.Groups = s.groups(seen)
	w.cut.sources[s.n] = w.cut.sources[s.n] || trouble == ReadCut && len(seen) > 0
	if w.backwards && trouble == NoFault {
		slices.Reverse(seen)
	}
	return seen, trouble, nil
}

// server is what the server that answers holds.
func (s source) server(trouble Fault) snapshot {
	if trouble == StaleServer {
		return s.world.snapshots[0]
	}
	return s.world.snapshots[len(s.world.snapshots)-1]
}

func (s source) address(trouble Fault) string {
	if trouble == StaleServer {
		return "second." + s.name()
	}
	return "first." + s.name()
}

func (s source) currency(snap snapshot) sources.Currency {
	return sources.Currency{"1": fmt.Sprintf("%08d", snap.version)}
}

// base is what a server shows of the people below the source's base.
func (s source) base(snap snapshot, trouble Fault) (list []entry) {
	for _, e := range snap.entries {
		if e.source != s.n || e.place == outside || trouble == ContainerHidden && e.place == 0 {
			continue
		}
		if trouble == AttributeLost {
			e.dept = ""
		}
		if trouble == MembersHidden {
			e.groups = [groupCount]bool{}
		}
		list = append(list, e)
	}
	return list
}

// groups are the facts of the groups, which are there and named whether or not their members can be seen.
func (s source) groups(seen []entry) (facts []sources.GroupFact) {
	for g, name := range groupNames {
		fact := sources.GroupFact{ID: s.groupDN(g), DN: s.groupDN(g), Name: name}
		for _, e := range seen {
			if e.groups[g] {
				fact.Values++
				fact.People++
			}
		}
		facts = append(facts, fact)
	}
	return facts
}

// directory is the name of the one that a source reads.
func (w *world) directory(source int) string {
	if w.shared {
		return "company"
	}
	return sourceNames[source]
}

func (s source) groupDN(g int) string {
	return "cn=" + groupNames[g] + ",ou=groups,dc=" + s.world.directory(s.n)
}

func (w *world) container(source, place int) string {
	if place == outside {
		return "ou=former,dc=" + w.directory(source)
	}
	return fmt.Sprintf("ou=unit%d,ou=%s,dc=%s", place, sourceNames[source], w.directory(source))
}

func (s source) dn(e entry) string {
	return "uid=" + e.login + "," + s.world.container(e.source, e.place)
}

// person renders an entry.
func (s source) person(e entry) identity.Person {
	p := identity.Person{
		ID: identity.PersonID{Directory: s.world.directory(s.n), Anchor: s.world.model.config.anchor(&e)}, Source: s.name(), Name: e.login, DN: s.dn(e), Active: e.active, Changed: e.changed,
		Attributes: identity.Attributes{"cn": {e.name}, "employeeNumber": {e.number}, "uid": {e.login}},
	}
	if e.title != "" {
		p.Attributes["title"] = []string{e.title}
	}
	if e.dept != "" {
		p.Attributes["departmentNumber"] = []string{e.dept}
	}
	if !e.active {
		p.Inactive = "nsAccountLock is TRUE"
	}
	s.dates(e, &p)
	for g, member := range e.groups {
		if member {
			p.Groups = append(p.Groups, identity.Group{Name: groupNames[g], DN: s.groupDN(g)})
		}
	}
	slices.SortFunc(p.Groups, func(a, b identity.Group) int { return strings.Compare(a.DN, b.DN) })
	return p
}

// Find implements sources.Finder.
func (s source) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.reads(ctx); err != nil {
		return sources.Sighting{}, err
	}
	trouble := w.faultOf(s.n, true)
	if trouble == SourceDown || trouble == LookupDown {
		return sources.Sighting{}, errDown
	}
	snap := s.server(trouble)
	seen := sources.Sighting{At: w.now(), Server: s.address(trouble), Currency: s.currency(snap), Proof: "asked " + s.address(trouble)}
	visible := s.base(snap, trouble)
	if trouble == AnchorHidden && len(visible) > 0 {
		visible = visible[1:]
	}
	bearer := func(e entry) bool {
		switch who.By {
		case "":
			return w.model.config.anchor(&e) == who.Anchor
		case "employeeNumber":
			return e.number == who.Anchor
		}
		return e.anchor == who.Anchor
	}
	if i := slices.IndexFunc(visible, bearer); i >= 0 {
		seen.Where, seen.Person = sources.InScope, s.person(visible[i])
		return seen, nil
	}
	for _, e := range snap.entries {
		if (e.source == s.n && e.place == outside || e.source != s.n && w.shared) && bearer(e) {
			seen.Where, seen.Person, seen.Changed = sources.Elsewhere, s.person(e), e.changed
			return seen, nil
		}
	}
	if t, ok := snap.gone[who.Anchor]; ok && t.seen && (w.shared || t.entry.source == s.n) {
		seen.Where, seen.Changed = sources.Tombstone, t.at
		return seen, nil
	}
	seen.Where, seen.Place = sources.Gone, s.place(who.DN, visible, trouble)
	if len(visible) > 0 {
		seen.Witness = w.model.config.anchor(&visible[0])
	}
	return seen, nil
}

// place is what can be seen of the container where somebody was.
func (s source) place(dn string, visible []entry, trouble Fault) sources.Place {
	at := identity.ParentDN(dn)
	switch {
	case dn == "":
		return sources.PlaceUnknown
	case trouble == ContainerHidden && at == s.world.container(s.n, 0):
		return sources.PlaceHidden
	case slices.ContainsFunc(visible, func(e entry) bool { return s.world.container(e.source, e.place) == at }):
		return sources.PlacePeopled
	}
	return sources.PlaceEmpty
}
