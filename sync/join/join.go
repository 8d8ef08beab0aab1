// Package join makes one source of several that describe the same humans: HR says who leaves and when, the directory
// says the login. Entries are brought together by a declared key; judge.Join says what they mean together.
//
//	join.go      the source, and what it is made of
//	gather.go    every member read, and put together by key
//	person.go    the person that the entries of one key make
//	find.go      one person, as the members show them now
package join

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// A Member is one source of a join.
type Member struct {
	judge.Member
	Source  sources.Source
	Mapping *mapping.Source // its own block's: who is active in it, from when and until when
	Key     mapping.Text
	Human   *mapping.Text // nil for none
	// Attributes are the names of the join's attributes that the member has, by its own spelling. Others are dropped.
	Attributes map[string]string
	First      []string // of the join's attributes, those that this member has the first word about
	// AbsenceLeaves: of a member that cannot look one entry up, whatever a whole read lacks has left.
	AbsenceLeaves bool
}

// Options are what a join is made of.
type Options struct {
	Name    string
	Members []Member         // in the order of precedence
	Scratch string           // a folder for temporary files; "" for the system's
	Clock   func() time.Time // time.Now where nil
}

// A Source is several sources, joined. It implements sources.Source, FactReader, Follower, Watcher, Finder, Identified,
// Selective and Checker, as far as its members do.
type Source struct {
	o Options

	mu   sync.Mutex
	last *gathered // what was read last; nil before
}

// New joins sources. It touches no network.
func New(o Options) *Source {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Source{o: o}
}

// Members are the sources that are joined, as the options have them.
func (s *Source) Members() []Member { return s.o.Members }

// People implements sources.Source.
func (s *Source) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return s.PeopleAndFacts(ctx, new(sources.ReadFacts))
}

// PeopleAndFacts implements sources.FactReader: every member is read whole.
func (s *Source) PeopleAndFacts(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return s.read(ctx, facts, true)
}

// Latest implements sources.Follower: members that can be followed tell what has changed, the others are read whole.
func (s *Source) Latest(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return s.read(ctx, facts, false)
}

// Renew implements sources.Follower. A join is followed where each member that can be followed is.
func (s *Source) Renew(ctx context.Context, read func(n int)) (followed bool, err error) {
	type answer struct {
		followed bool
		err      error
	}
	var followers []sources.Follower
	for _, m := range s.o.Members {
		if f, ok := m.Source.(sources.Follower); ok {
			followers = append(followers, f)
		}
	}
	answers := make([]answer, len(followers))
	var all sync.WaitGroup
	for n, f := range followers {
		all.Go(func() { answers[n].followed, answers[n].err = f.Renew(ctx, read) })
	}
	all.Wait()
	for _, a := range answers {
		if a.err != nil { // whose it is comes up again when it is read
			return false, nil
		}
		if !a.followed {
			return false, nil
		}
	}
	return len(followers) > 0, nil
}

// Watch implements sources.Watcher: a sign of any member is one of the join. The join is told of everything only where
// each member is.
func (s *Source) Watch(ctx context.Context, tell func(sources.Sign)) {
	var mu sync.Mutex
	signs := make([]sources.Sign, len(s.o.Members))
	var all sync.WaitGroup
	for n, m := range s.o.Members {
		w, ok := m.Source.(sources.Watcher)
		if !ok {
			signs[n].Why = "it cannot say when something changes"
			continue
		}
		all.Go(func() {
			w.Watch(ctx, func(sign sources.Sign) {
				mu.Lock()
				signs[n] = sign
				together := s.together(signs)
				mu.Unlock()
				tell(together)
			})
		})
	}
	all.Wait()
	<-ctx.Done()
}

func (s *Source) together(signs []sources.Sign) sources.Sign {
	out := sources.Sign{Pushing: true}
	var why []string
	for n, sign := range signs {
		if !sign.Pushing {
			out.Pushing = false
			why = append(why, s.o.Members[n].Name+": "+sign.Why)
		}
	}
	out.Why = strings.Join(why, "; ")
	return out
}

// Directory implements sources.Identified: what is joined is the same whatever the config calls it, as far as its members
// tell which directories they read.
func (s *Source) Directory(ctx context.Context) (string, error) {
	var known []string
	for _, m := range s.o.Members {
		member, ok := m.Source.(sources.Identified)
		if !ok {
			continue
		}
		id, err := member.Directory(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.Name, err)
		}
		if id != "" {
			known = append(known, id)
		}
	}
	if len(known) == 0 {
		return "", nil
	}
	slices.Sort(known)
	return "join of " + strings.Join(known, ", "), nil
}

// Selection implements sources.Selective: people are known by their key. How it is made of an entry is a setting like
// any other by which somebody is read or not.
func (s *Source) Selection() (anchor string, settings map[string]uint64) {
	settings = map[string]uint64{}
	for _, m := range s.o.Members {
		settings[m.Name+".key"] = m.Key.Print()
		for name, print := range m.Mapping.Settings() {
			settings[m.Name+"."+name] = print
		}
		if known, ok := m.Source.(sources.Selective); ok {
			by, own := known.Selection()
			settings[m.Name+".anchor"] = hash(by)
			for name, print := range own {
				settings[m.Name+"."+name] = print
			}
		}
	}
	return "key", settings
}

// Check implements sources.Checker: each member's own check, and then how many of their entries find each other.
func (s *Source) Check(ctx context.Context) (seen []string, err error) {
	for _, m := range s.o.Members {
		c, ok := m.Source.(sources.Checker)
		if !ok {
			seen = append(seen, m.Name+": this kind has no check")
			continue
		}
		steps, err := c.Check(ctx)
		for _, step := range steps {
			seen = append(seen, m.Name+": "+step)
		}
		if err != nil {
			return seen, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	g, err := s.gather(ctx, true)
	if err != nil {
		return seen, err
	}
	defer g.release()
	return append(seen, s.coverage(g)...), errors.Join(g.unread()...)
}

// coverage says in which members how many people are.
func (s *Source) coverage(g *gathered) (lines []string) {
	alone, unkeyed, both := make([]int, len(s.o.Members)), make([]int, len(s.o.Members)), 0
	for group := range g.groups() {
		first := int(group[0].member)
		switch {
		case group[0].keyless:
			unkeyed[first]++
		case !several(group):
			alone[first]++
		default:
			both++
		}
	}
	lines = append(lines, fmt.Sprintf("joined: %d people have entries in more than one of the sources", both))
	for n, m := range s.o.Members {
		lines = append(lines, fmt.Sprintf("%s: %d people are in no other source, and %d entries have no key", m.Name, alone[n], unkeyed[n]))
	}
	return lines
}

// several reports whether the entries of one key are of several members.
func several(group []ref) bool {
	for _, r := range group {
		if r.member != group[0].member {
			return true
		}
	}
	return false
}

// Close implements sources.Source.
func (s *Source) Close() error {
	s.keep(nil)
	var errs []error
	for _, m := range s.o.Members {
		errs = append(errs, m.Source.Close())
	}
	return errors.Join(errs...)
}
