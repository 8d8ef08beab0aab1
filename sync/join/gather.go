package join

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// An entry is one person of one member, in the temporary file.
type entry struct {
	Member int
	Person identity.Person
	Key    string // "" for none
	Human  string
}

// anchor is by which the join knows the person of an entry: by their key, and where they have none by the entry itself.
func (e entry) anchor(members []Member) string {
	return cmp.Or(e.Key, members[e.Member].Name+":"+e.Person.ID.Anchor)
}

// A ref is what memory holds of one entry.
type ref struct {
	hash    uint64 // of the anchor
	at      int64  // in the temporary file
	member  uint16
	keyless bool
}

// gathered are the entries of every member, by key. Whoever has it releases it.
type gathered struct {
	spool    *roster.Spool
	refs     []ref // sorted by hash
	members  []sources.MemberFacts
	failed   map[int]error // by member: why it was not read
	nameless []*sources.PersonError
	uses     atomic.Int32
}

func (g *gathered) acquire() *gathered {
	g.uses.Add(1)
	return g
}

func (g *gathered) release() {
	if g.uses.Add(-1) == 0 {
		g.spool.Close()
	}
}

// groups goes through the entries whose anchors have one hash.
func (g *gathered) groups() iter.Seq[[]ref] {
	return func(yield func([]ref) bool) {
		for from := 0; from < len(g.refs); {
			to := from + 1
			for to < len(g.refs) && g.refs[to].hash == g.refs[from].hash {
				to++
			}
			if !yield(g.refs[from:to]) {
				return
			}
			from = to
		}
	}
}

// entries reads the entries of one hash back, those of one anchor together.
func (g *gathered) entries(members []Member, group []ref) (people [][]entry, err error) {
	by := map[string]int{}
	for _, r := range group {
		var e entry
		if err := g.spool.Get(r.at, &e); err != nil {
			return nil, err
		}
		anchor := e.anchor(members)
		n, ok := by[anchor]
		if !ok {
			n = len(people)
			by[anchor] = n
			people = append(people, nil)
		}
		people[n] = append(people[n], e)
	}
	return people, nil
}

// unread are the errors of members that were not read.
func (g *gathered) unread() (errs []error) {
	for _, err := range g.failed {
		errs = append(errs, err)
	}
	return errs
}

func hash(text string) uint64 { return xxhash.Sum64String(text) }

// gather reads every member, side by side. A member that is not read whole, or that shows nobody, takes no part, and what
// it would have said is unknown. An error means that none was.
func (s *Source) gather(ctx context.Context, whole bool) (*gathered, error) {
	spool, err := roster.NewSpool(s.o.Scratch)
	if err != nil {
		return nil, err
	}
	g := &gathered{spool: spool, members: make([]sources.MemberFacts, len(s.o.Members)), failed: map[int]error{}}
	g.acquire()
	type reading struct {
		refs     []ref
		nameless []*sources.PersonError
		err      error
	}
	read := make([]reading, len(s.o.Members))
	var all sync.WaitGroup
	for n := range s.o.Members {
		all.Go(func() {
			r := &read[n]
			r.refs, r.nameless, r.err = s.gatherOne(ctx, g, n, whole)
			if r.err == nil && len(r.refs) == 0 {
				r.err = fmt.Errorf("%w: it shows nobody", sources.ErrIncomplete)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		g.release()
		return nil, context.Cause(ctx)
	}
	for n, r := range read {
		if r.err != nil {
			g.failed[n], g.members[n].Err = r.err, r.err
			continue
		}
		g.refs, g.nameless = append(g.refs, r.refs...), append(g.nameless, r.nameless...)
	}
	if len(g.failed) == len(s.o.Members) {
		g.release()
		return nil, s.partial(g)
	}
	slices.SortFunc(g.refs, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.member, b.member), cmp.Compare(a.at, b.at))
	})
	return g, nil
}

// partial says which members were not read; nil where all were.
func (s *Source) partial(g *gathered) error {
	if len(g.failed) == 0 {
		return nil
	}
	e := &sources.PartialError{Unread: map[string]error{}}
	for n, err := range g.failed {
		e.Unread[s.o.Members[n].Name] = err
	}
	return e
}

// gatherOne reads one member. An entry whose key cannot be told may be anybody's, and is nameless.
func (s *Source) gatherOne(ctx context.Context, g *gathered, n int, whole bool) (refs []ref, nameless []*sources.PersonError, err error) {
	m := s.o.Members[n]
	g.members[n].Name = m.Name
	people, facts := sources.Read(ctx, m.Source, whole)
	for p, err := range people {
		trouble := (*sources.PersonError)(nil)
		if errors.As(err, &trouble) {
			nameless = append(nameless, &sources.PersonError{DN: m.Name + ": " + trouble.DN, Err: trouble.Err})
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		e := entry{Member: n, Person: p}
		if e.Key, err = m.Key.Of(p); err == nil && m.Human != nil {
			e.Human, err = m.Human.Of(p)
		}
		if err != nil {
			nameless = append(nameless, &sources.PersonError{DN: m.Name + ": " + cmp.Or(p.DN, p.Name), Err: err})
			continue
		}
		e.Key, e.Human = strings.TrimSpace(e.Key), strings.TrimSpace(e.Human)
		at, err := g.spool.Add(e)
		if err != nil {
			return nil, nil, err
		}
		refs = append(refs, ref{hash: hash(e.anchor(s.o.Members)), at: at, member: uint16(n), keyless: e.Key == ""})
	}
	_, follows := m.Source.(sources.Follower)
	_, tells := m.Source.(sources.FactReader)
	g.members[n] = sources.MemberFacts{Name: m.Name, Facts: facts, Tells: tells || follows, Count: len(refs), Nameless: len(nameless)}
	return refs, nameless, nil
}

// keep has Find answer from what was read last.
func (s *Source) keep(g *gathered) {
	s.mu.Lock()
	old := s.last
	if s.last = g; g != nil {
		g.acquire()
	}
	s.mu.Unlock()
	if old != nil {
		old.release()
	}
}

// latest is what was read last, acquired; nil before anything was.
func (s *Source) latest() *gathered {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	return s.last.acquire()
}

// read gathers the members, and hands out the people that their entries make.
func (s *Source) read(ctx context.Context, facts *sources.ReadFacts, whole bool) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		g, err := s.gather(ctx, whole)
		if err != nil {
			yield(identity.Person{}, err)
			return
		}
		defer g.release()
		s.keep(g)
		facts.Members = g.members
		for _, e := range g.nameless {
			if !yield(identity.Person{}, e) {
				return
			}
		}
		counts, now, people := map[string]int{}, s.o.Clock(), 0
		for group := range g.groups() {
			made, err := g.entries(s.o.Members, group)
			if err != nil {
				yield(identity.Person{}, err)
				return
			}
			for _, entries := range made {
				p, err := s.person(entries, g.failed, now)
				for name := range p.Attributes {
					counts[name]++
				}
				people++
				if !yield(p, err) {
					return
				}
			}
		}
		if ctx.Err() != nil {
			yield(identity.Person{}, context.Cause(ctx))
			return
		}
		s.facts(facts, g, counts, people)
		if err := s.partial(g); err != nil {
			yield(identity.Person{}, err)
		}
	}
}

// facts puts together what the members told of themselves. What is called by a name of its own in each of them (servers,
// sequences of changes) has the member's before it.
func (s *Source) facts(out *sources.ReadFacts, g *gathered, counts map[string]int, people int) {
	out.People, out.Attributes = people, counts
	out.From, out.Until, out.Away = sources.Currency{}, sources.Currency{}, map[string]string{}
	var former []func(dn string, logins []string) []string
	for n, m := range s.o.Members {
		if g.failed[n] != nil {
			continue
		}
		f := g.members[n].Facts
		if f.Server != "" {
			out.Server = joined(out.Server, m.Name+" "+f.Server)
		}
		for sequence, position := range f.From {
			out.From[Sequence(m.Name, sequence)] = position
		}
		for sequence, position := range f.Until {
			out.Until[Sequence(m.Name, sequence)] = position
		}
		for _, name := range m.Attributes {
			if _, counted := counts[name]; !counted {
				counts[name] = 0
			}
		}
		add(&out.Nameless, m.Name, f.Nameless)
		add(&out.Missed, m.Name, f.Missed)
		out.Groups = append(out.Groups, f.Groups...)
		for _, part := range f.Unseen {
			out.Unseen = append(out.Unseen, m.Name+": "+part)
		}
		if f.Version != "" {
			out.Version = joined(out.Version, f.Version)
		}
		for part, why := range f.Stale {
			if out.Stale == nil {
				out.Stale = map[string]string{}
			}
			out.Stale[m.Name+" "+part] = why
		}
		for server, why := range f.Away {
			out.Away[m.Name+" "+server] = why
		}
		former = append(former, func(dn string, logins []string) []string { return f.GroupsOfFormer(dn, logins...) })
	}
	slices.SortFunc(out.Groups, func(a, b sources.GroupFact) int { return cmp.Compare(a.DN, b.DN) })
	out.SetFormer(func(dn string, logins []string) (list []string) {
		for _, of := range former {
			list = append(list, of(dn, logins)...)
		}
		slices.Sort(list)
		return slices.Compact(list)
	})
}

// Sequence is what the join calls a sequence of changes of one member.
func Sequence(member, sequence string) string { return member + ":" + sequence }

// add adds a member's sample to the join's.
func add(to *sources.Sample, member string, from sources.Sample) {
	for _, what := range from.First {
		to.Add(member + ": " + what)
	}
	to.Count += from.Count - len(from.First)
}

func joined(list, next string) string {
	if list == "" {
		return next
	}
	return list + ", " + next
}
